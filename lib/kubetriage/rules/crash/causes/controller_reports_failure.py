"""The controller of a custom resource says itself that the resource fails, and no pod of it shows why.

Meaning: an operator or a progressive delivery controller (Argo Rollouts, Knative, Strimzi, cert-manager) has given up,
waits, or refuses the resource. What it says stands in the resource's own status.

Told by: a condition of the resource that says so: Ready, Available, Healthy, Synced or Reconciled is False, or
Degraded, Failed, Stalled, Error or ReplicaFailure is True; else status.phase with status.message. Asked only for kinds
that Kubernetes itself does not have, and only while no pod below the resource is in trouble: a pod says more.

Fix: act on the condition's message; where it says nothing, the log of the operator does.

Source: the API conventions of Kubernetes (typical status properties); Argo Rollouts, Knative Serving, Strimzi, kstatus.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_KIND

CODE = "ControllerReportsFailure"

_GOOD = lazy(r"(?:Ready|Available|Healthy|Synced|Reconciled|Succeeded|Valid|Accepted)\Z")
"""Conditions, by the end of their types, that are False where something is wrong."""
_BAD = lazy(r"(?:Degraded|Failed|Failure|Error|Stalled|Invalid|InvalidSpec)\Z")
_BAD_PHASES = frozenset({"degraded", "error", "failed", "failure", "invalid", "unhealthy"})


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Quote what the controller says."""
    if case.kind in BY_KIND or any(pod.is_troubled for pod in case.pods):
        return
    told = list(failures(case.raw))
    phase = text(case.raw, "status", "phase")
    if not told and phase.lower() not in _BAD_PHASES:
        return
    said = next((text(c, "message") for c in told if text(c, "message")), "") or text(case.raw, "status", "message")
    reason = next((text(c, "reason") for c in told if text(c, "reason")), "") or text(case.raw, "status", "reason")
    what = f"{text(told[0], 'type')} is {text(told[0], 'status')}" if told else f"its phase is {phase}"
    why = ": ".join(part for part in (reason, said.rstrip(".")) if part) or "it does not say why"
    evidence = [_evidence(c) for c in told] or [
        Evidence("status", "status.phase", f"{phase}: {said}".removesuffix(": "))
    ]
    for event in case.events_of(case.kind, case.raw).items[-2:]:
        evidence += [event.evidence()] if event.warning else []
    name = f"{case.kind.lower()} {case.ref.name}"
    look = kubectl("describe", case.kind.lower(), case.ref.name, namespace=case.ref.namespace)
    act = (
        f"Act on what the controller of {name} says, then look at the condition again."
        if said
        else f"Read the log of the operator that keeps {name}: its status does not say why."
    )
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.ref,
        f"{case.kind} {case.ref.name} is reported as failing by its controller: {what} ({why}).",
        tuple(evidence),
        fix=(Fix(act, actor=Actor.MANIFEST if said else Actor.CLUSTER, commands=(look,)),),
        verify=(kubectl("get", case.kind.lower(), case.ref.name, "-o", "yaml", namespace=case.ref.namespace),),
        details={"reason": reason} if reason else {},
    )


def failures(raw: Obj) -> Iterator[Obj]:
    """Yield the conditions of an object that say that it fails."""
    for condition in objects(raw, "status", "conditions"):
        kind, status = text(condition, "type"), text(condition, "status")
        gives_up = kind == "Progressing" and status == "False" and "DeadlineExceeded" in text(condition, "reason")
        if gives_up or (status == "False" and _GOOD.search(kind)) or (status == "True" and _BAD.search(kind)):
            yield condition


def _evidence(condition: Obj) -> Evidence:
    words = ": ".join(part for part in (text(condition, "reason"), text(condition, "message")) if part)
    at = f"status.conditions[{text(condition, 'type')}]"
    value = f"{text(condition, 'status')}: {words}".removesuffix(": ")
    return Evidence("status", at, value, text(condition, "lastTransitionTime"))
