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

from kubetriage.fields import objects, text
from kubetriage.model import Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Fault, Trace, age_of, fault
from kubetriage.rules.service.gateway import ParentRef, is_stale
from kubetriage.rules.service.routes import Entry, Path, controller_says

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
        yield _fault(route, parent, f"{reason}: {why}.{extra}", reason, predicted.reason)
    elif predicted.reason in ("NoMatchingParent", "NotAllowedByListeners"):
        doubted = status == "True" and not stale
        words = f"{predicted.reason}: {predicted.why}."
        if doubted:
            words += " The controller says Accepted all the same."
        yield _fault(route, parent, words, reason, predicted.reason, doubted=doubted)
    elif not statuses and predicted.reason == "Accepted":
        programmed = text(entry.gateway.condition("Programmed"), "status") == "True"
        age = age_of(route.route.raw, trace.now)
        if programmed and (age is None or age > _PATIENCE):
            words = f"no controller has written to its status, although {entry.shown} is programmed."
            yield _fault(route, parent, words, "", predicted.reason)
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


def _fault(route: Path, parent: ParentRef, words: str, reason: str, predicted: str, *, doubted: bool = False) -> Fault:
    where = f"gateway/{parent.name}" + (f" listener {parent.section}" if parent.section else "")
    fixes = {
        "NotAllowedByListeners": f"Let allowedRoutes of {where} take {route.route.kind} from namespace "
        f"{route.route.namespace}",
        "NoMatchingParent": f"Set sectionName and port of {parent.at} in {route.shown} to a listener of "
        f"gateway/{parent.name}",
        "Accepted": f"Look at the controller of gateway/{parent.name}: it does not process {route.shown}",
    }
    fix = fixes.get(predicted, f"Correct what the controller names in {route.shown}: {reason}")
    return fault(
        CODE,
        route.place,
        f"{route.shown} is not attached to {where}: {words}",
        severity=Severity.WARNING if doubted else Severity.ERROR,
        proof="inferred" if doubted else "proven",
        confidence=Confidence.LIKELY if doubted else Confidence.CONFIRMED,
        evidence=[
            Evidence("status", f"{route.shown} status.parents[{parent.name}] Accepted", reason or "<no entry>"),
            Evidence(
                "spec", f"{route.shown} {parent.at}", f"{parent.namespace}/{parent.name} {parent.section}".strip()
            ),
        ],
        fix=[Fix(fix)],
        verify=(
            f"{route.command} get {route.shown} -o yaml",
            f"kubectl -n {parent.namespace} get gateway {parent.name} -o yaml",
        ),
        short=f"not attached to {where}: {words}",
        details={"reason": reason, "predicted": predicted},
    )
