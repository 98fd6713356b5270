"""No listener of the Gateway takes the Route, or no controller has looked at it.

Meaning: the Route has no effect; requests for it get 404 from the Gateway.

Told by: what both specs must lead to (section name, port, route kinds, namespaces by the labels of the namespace)
and what ``status.parents`` says. Where both are there and differ, that is said too. Told apart from hostnames that
do not meet (RouteHostnameMismatch).

Fix: widen ``allowedRoutes`` of the listener, or attach to the listener that allows it.

Source: Gateway API v1 RouteConditionAccepted (NotAllowedByListeners, NoMatchingParent, UnsupportedValue).
"""

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.gateway_objects import ParentRef, is_stale
from kubetriage.rules.service.gateway_routes import Attachment, Entry, Path, controller_says
from kubetriage.rules.service.hop_faults import Fault, age_of, fault
from kubetriage.values.fields import dig, mapping, objects, text

CODE = "RouteNotAccepted"

_HOSTNAME = "NoMatchingListenerHostname"
_PATIENCE = timedelta(minutes=1)


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each parent of each Route."""
    for route in trace.routes:
        if not objects(route.route.raw, "spec", "parentRefs"):
            yield _orphan(route)
        for parent, entry in route.parents:
            if entry.lookup.found:
                yield from _judge(trace, route, parent, entry)


def _orphan(route: Path) -> Fault:
    return fault(
        CODE,
        route.place,
        f"{route.shown} names no parent, so no Gateway serves it.",
        evidence=[Evidence("spec", f"{route.shown} spec.parentRefs", "<none>")],
        fix=[Fix(f"Name a Gateway in spec.parentRefs of {route.shown}")],
        verify=(f"{route.command} get {route.shown} -o yaml", "kubectl get gateways -A"),
        short="no parentRefs: no Gateway serves it",
    )


def _judge(trace: Trace, route: Path, parent: ParentRef, entry: Entry) -> Iterator[Fault]:
    predicted = route.attachment(parent, entry)
    statuses = route.route.parent_status(parent)
    said = controller_says(statuses, "Accepted")
    status, reason = text(said, "status"), text(said, "reason")
    conditions = [c for s in statuses for c in objects(s, "conditions")]
    stale = is_stale(route.route.raw, conditions)
    if status == "False" and reason != _HOSTNAME and not stale:
        agrees = predicted.reason == reason
        why = predicted.why if agrees else text(said, "message")
        extra = "" if agrees or predicted.reason == "Unknown" else f" By the specs it would be {predicted.reason}."
        yield _fault(route, parent, predicted, reason, f"{reason}: {why}", extra)
    elif predicted.reason in ("NoMatchingParent", "NotAllowedByListeners"):
        doubted = status == "True" and not stale
        extra = " The controller says Accepted all the same." if doubted else ""
        words = f"{predicted.reason}: {predicted.why}"
        yield _fault(route, parent, predicted, reason, words, extra, doubted=doubted)
    elif not statuses and predicted.reason == "Accepted":
        programmed = text(entry.gateway.condition("Programmed"), "status") == "True"
        age = age_of(route.route.raw, trace.now)
        if programmed and (age is None or age > _PATIENCE):
            words = f"no controller has written to its status, although {entry.shown} is programmed"
            yield _fault(route, parent, predicted, "", words)
    elif stale:
        yield fault(
            CODE,
            route.place,
            f"The status of {route.shown} is about an older generation of its spec; the controller is behind.",
            severity=Severity.NOTE,
            evidence=[Evidence("status", f"{route.shown} status.parents[].conditions[].observedGeneration", "older")],
            verify=(f"{route.command} get {route.shown} -o yaml",),
            short="status is about an older generation",
        )


def _fault(
    route: Path,
    parent: ParentRef,
    predicted: Attachment,
    reason: str,
    words: str,
    extra: str = "",
    *,
    doubted: bool = False,
) -> Fault:
    where = f"gateway/{parent.name}" + (f" listener {parent.section}" if parent.section else "")
    return fault(
        CODE,
        route.place,
        f"{route.shown} is not attached to {where}: {words}.{extra}",
        severity=Severity.WARNING if doubted else Severity.ERROR,
        proof="inferred" if doubted else "proven",
        confidence=Confidence.LIKELY if doubted else Confidence.CONFIRMED,
        evidence=[
            Evidence("status", f"{route.shown} status.parents[{parent.name}] Accepted", reason or "<no entry>"),
            Evidence(
                "spec", f"{route.shown} {parent.at}", f"{parent.namespace}/{parent.name} {parent.section}".strip()
            ),
        ],
        fix=_fixes(route, parent, predicted, reason),
        verify=(
            f"{route.command} get {route.shown} -o yaml",
            f"kubectl -n {parent.namespace} get gateway {parent.name} -o yaml",
        ),
        short=f"not attached to {where}: {words}",
        details={"reason": reason, "predicted": predicted.reason},
    )


def _fixes(route: Path, parent: ParentRef, predicted: Attachment, reason: str) -> list[Fix]:
    gateway, space = f"gateway/{parent.name}", route.route.namespace
    if predicted.reason == "NoMatchingParent":
        return [Fix(f"Set sectionName and port of {parent.at} in {route.shown} to a listener of {gateway}")]
    if predicted.reason == "Accepted":
        return [Fix(f"Look at the controller of {gateway}: it does not process {route.shown}")]
    if predicted.reason != "NotAllowedByListeners":
        return [Fix(f"Correct what the controller names in {route.shown}: {reason}")]
    if not predicted.refusing:
        return [Fix(f"Let allowedRoutes.kinds of a listener of {gateway} take {route.route.kind}")]
    fixes = [Fix(f"Let allowedRoutes.namespaces of a listener of {gateway} take namespace {space}")]
    for listener in predicted.refusing:
        wanted = mapping(listener.namespace_selector, "matchLabels")
        if (
            wanted
            and listener.namespaces_from == "Selector"
            and not dig(listener.namespace_selector, "matchExpressions")
        ):
            pairs = " ".join(f"{k}={v}" for k, v in sorted(wanted.items()))
            fixes.append(Fix(f"Or, if its Routes belong there: kubectl label namespace {space} {pairs}"))
            break
    return fixes
