"""Completes the fixes of a finding: who acts, and which tool would undo a change by hand."""

from __future__ import annotations

from kubetriage.model import Actor, Finding, Fix
from kubetriage.readers.ownership import keeper
from kubetriage.records import replace
from kubetriage.rules.service.case import Trace
from kubetriage.values.resources import BY_KIND

_CLUSTER = frozenset(
    (
        "DNSNotReady",
        "GatewayClassNotFound",
        "GatewayNotAccepted",
        "GatewayNotProgrammed",
        "IngressClassNotFound",
        "IngressControllerNotFound",
        "LoadBalancerPending",
    )
)
"""Causes whose fix is the cluster operator's where it does not say otherwise; of all others it is the manifest's."""
_APP = frozenset(("TargetPortMismatch",))
"""Causes where a fix without a patch is about the program (the address that it listens on)."""


def finished(trace: Trace, finding: Finding) -> Finding:
    """Return the finding with an actor in each fix, and with the tool that keeps the object to change."""
    return replace(finding, fix=tuple(_finished(trace, finding.cause, fix) for fix in finding.fix))


def _finished(trace: Trace, cause: str, fix: Fix) -> Fix:
    if fix.actor is None:
        actor = Actor.CLUSTER if cause in _CLUSTER and fix.patch is None else Actor.MANIFEST
        actor = Actor.APP if cause in _APP and fix.patch is None else actor
        fix = replace(fix, actor=actor)
    resource = BY_KIND.get(fix.on.kind) if fix.on is not None and fix.patch is not None else None
    if resource is None or fix.on is None:
        return fix
    found = trace.snapshot.get(resource.plural, fix.on.namespace, fix.on.name)
    kept_by = keeper((found.obj,)) if found.found else None
    if kept_by is None or kept_by.where in fix.text:
        return fix
    return replace(fix, text=f"{fix.text.rstrip('.')}. {kept_by.where}", commands=(*fix.commands, *kept_by.commands))
