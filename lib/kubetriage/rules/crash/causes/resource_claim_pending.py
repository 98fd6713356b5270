"""A ResourceClaim of the pod exists, and no device is allocated to it.

Meaning: no node publishes a free device that the claim's request fits: the driver does not run, its DeviceClass is
missing, the selectors fit nothing, or the devices are taken. Until then no node takes the pod.

Told by: ``cannot allocate all claims``, ``waiting for ... resourceclaim``, ``device class ... does not exist`` or
``resourceclaim not available on the node`` of the scheduler; a claim of the pod without ``status.allocation``; or a
template of which no claim was made.

Fix: bring the driver of the device up on a node that has one (it publishes ResourceSlices), correct the request's
DeviceClass or selectors, or end a pod that holds the device.

Source: scheduler plugin DynamicResources; kube-controller-manager resourceclaim controller.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.rules.crash import scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.resource_claims import PodClaim, claim_of_pod, pod_claims, template_of_pod
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, mapping, name_of, objects, text
from kubetriage.values.patterns import lazy

CODE = "ResourceClaimPending"

_TOLD = lazy(
    r"cannot allocate all claims|resourceclaim\S{0,80} (?:not available|in use|pending)|"
    r"waiting for .{0,300}resourceclaim|"
    r"device class \S+ does not exist|unallocated (?:immediate )?resourceclaim|must be reallocated",
)
_CLASS = lazy(r"device class (?P<name>\S+) does not exist")
SETTLING = timedelta(minutes=1)
"""The controller makes a claim of a template within seconds."""


def needs(case: Case) -> Iterator[Need]:
    """Ask for the claims, their classes, and the nodes."""
    namespace = case.pod.namespace
    for one in pod_claims(case):
        yield from scheduling.needs(case)
        yield List("deviceclasses")
        if one.claim:
            yield Get("resourceclaims", namespace, one.claim)
        if one.template:
            yield Get("resourceclaimtemplates", namespace, one.template)


def check(case: Case) -> Iterator[Finding]:
    """Name the claim that has no device."""
    found = scheduling.unscheduled(case)
    said = next((r for r in found.reasons if _TOLD.search(r.words)), None) if found is not None else None
    claims = list(pod_claims(case))
    if found is not None and (said is None or found.head is not said):
        return
    late = case.pod.created is None or case.now - case.pod.created >= SETTLING
    for one in claims:
        lookup = claim_of_pod(case, one) if one.claim else None
        if lookup is not None and lookup.found and not mapping(lookup.obj, "status", "allocation"):
            yield _finding(case, one, lookup.obj, found.evidence if found else (), said.words if said else "")
            return
        if one.template and not one.claim and template_of_pod(case, one).found and late:
            yield _finding(case, one, {}, found.evidence if found else (), said.words if said else "")
            return
    if said is not None and found is not None and claims:
        yield _finding(case, claims[0], {}, found.evidence, said.words)


def _finding(case: Case, one: PodClaim, claim: Obj, seen: tuple[Evidence, ...], words: str) -> Finding:
    pod = case.pod
    name = one.claim or one.template
    kind = "ResourceClaim" if one.claim else "ResourceClaimTemplate"
    requests = objects(claim, "spec", "devices", "requests")
    wanted = [text(r, "exactly", "deviceClassName") or text(r, "deviceClassName") for r in requests]
    known = case.snapshot.list("deviceclasses")
    names = [name_of(c) for c in known.items]
    told = _CLASS.search(words)
    missing = [told["name"]] if told else [w for w in wanted if w and known.complete and w not in names]
    message = f"{kind} {name} has no device allocated, so no node takes the pod"
    message += f": {words}." if words else "."
    if kind == "ResourceClaimTemplate" and not words:
        message = f"No ResourceClaim was made of template {name}, so the scheduler does not take the pod up."
    if missing:
        message += f" DeviceClass {missing[0]} does not exist."
    look = (
        kubectl("get", "resourceclaims", namespace=pod.namespace),
        kubectl("get", "deviceclasses,resourceslices"),
    )
    if missing:
        act = f"Install the driver that brings DeviceClass {missing[0]}, or name an existing class in {kind} {name}."
    elif kind == "ResourceClaimTemplate" and not words:
        act = "See that kube-controller-manager runs and may create resourceclaims; its events stand with the pod."
    else:
        asked = f" of class {wanted[0]}" if wanted and wanted[0] else ""
        act = (
            f"See that a node publishes a free device{asked} (ResourceSlices): the driver's pod must run there. Else "
            "free a device that another claim holds, or add a node that has one."
        )
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED if seen else Confidence.LIKELY,
        pod.ref,
        message,
        (*seen, pod.fact("spec", one.at, name)),
        fix=(Fix(act, actor=Actor.CLUSTER, commands=look),),
        verify=(case.kubectl("describe", kind.lower(), name), case.kubectl("describe", "pod", pod.name)),
        details={"reference": {"kind": kind, "name": name}},
    )
