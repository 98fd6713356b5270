"""No listener of the Gateway takes the Route, or no controller has looked at it.

Meaning: the Route has no effect; requests for it get 404 from the Gateway.

Told by: what both specs must lead to (section name, port, route kinds, namespaces by the labels of the namespace)
and what ``status.parents`` says. Where both are there and differ, that is said too. Told apart from hostnames that
do not meet (RouteHostnameMismatch).

Fix: widen ``allowedRoutes`` of the listener, or attach to the listener that allows it.

An OpenShift Route is judged by condition Admitted of each router in ``status.ingress``.

Source: Gateway API v1 RouteConditionAccepted (NotAllowedByListeners, NoMatchingParent, UnsupportedValue);
openshift/router (HostAlreadyClaimed, ExtendedValidationFailed, RouteNotAdmitted).
"""

import json
from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.controller_words import Complaint
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.gateway_objects import ParentRef, is_stale
from kubetriage.rules.service.gateway_routes import Attachment, Entry, Path, controller_says
from kubetriage.rules.service.hop_faults import Fault, age_of, fault
from kubetriage.rules.service.known_remedies import fixes_for, unknown_fix
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, dig, mapping, objects, text
from kubetriage.values.patterns import lazy

CODE = "RouteNotAccepted"

_HOSTNAME = "NoMatchingListenerHostname"
_PATIENCE = timedelta(minutes=1)


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each parent of each Route."""
    for custom in trace.customs:
        if custom.kind == "Route" and custom.judged:
            yield from _admission(trace, custom)
    for route in trace.routes:
        if not objects(route.route.raw, "spec", "parentRefs"):
            yield _orphan(route)
        for parent, entry in route.parents:
            if entry.lookup.found:
                yield from _judge(trace, route, parent, entry)
            elif not entry.lookup.absent:
                yield from _told(route, parent, entry)
            if not entry.lookup.absent:
                yield from _unresolved(trace, route, parent)


_ADMISSION_FIXES = {
    "HostAlreadyClaimed": "Give {shown} another host or a path of its own, or delete the older Route{older}",
    "ExtendedValidationFailed": "Correct the TLS settings of {shown}: the router names what is invalid",
    "RouteNotAdmitted": "Make {shown} keep the rules of the IngressController: namespace ownership, wildcard policy",
}
"""By the reason of condition Admitted (openshift/router)."""
_CLAIMED_BY = lazy(r"route (\S{1,253}) already exposes")


def _admission(trace: Trace, custom: CustomEntrance) -> Iterator[Fault]:
    """Judge what the routers of OpenShift say of a Route, one entry of status.ingress each."""
    said = [
        (text(r, "routerName") or "router", condition({"status": r}, "Admitted"))
        for r in objects(custom.raw, "status", "ingress")
    ]
    refused = [(name, c) for name, c in said if text(c, "status") == "False"]
    admitted = any(text(c, "status") == "True" for _, c in said)
    age = age_of(custom.raw, trace.now)
    if refused:
        yield _refused(custom, *refused[0], admitted=admitted)
    elif not admitted and (age is None or age > _PATIENCE):
        controllers = kubectl("get", "ingresscontrollers", "-o", "yaml", namespace="openshift-ingress-operator")
        yield fault(
            CODE,
            custom.place,
            f"No router has admitted {custom.shown}: its status names none. No IngressController takes its "
            "namespace and labels, or none runs.",
            proof="inferred",
            evidence=[Evidence("status", f"{custom.shown} status.ingress", "<none>")],
            fix=[
                Fix(
                    f"Let an IngressController select {custom.shown}: compare its routeSelector and "
                    "namespaceSelector with the labels",
                    actor=Actor.CLUSTER,
                    commands=(controllers,),
                )
            ],
            verify=(kubectl("get", "route", custom.name, "-o", "yaml", namespace=custom.namespace),),
            short="no router has admitted it",
        )


def _refused(custom: CustomEntrance, router: str, found: Obj, *, admitted: bool) -> Fault:
    reason, message = text(found, "reason"), text(found, "message").strip().rstrip(".")
    claimed = _CLAIMED_BY.search(message)
    older = f" {claimed[1]}" if claimed else ""
    words = _ADMISSION_FIXES.get(reason, "Correct what the router names in {shown}")
    return fault(
        CODE,
        custom.place,
        f"Router {router} does not admit {custom.shown}: {reason}, {message}.",
        severity=Severity.WARNING if admitted else Severity.ERROR,
        evidence=[
            Evidence(
                "status",
                f"{custom.shown} status.ingress[{router}] Admitted",
                f"False, {reason}: {message}",
                text(found, "lastTransitionTime"),
            ),
            Evidence("spec", f"{custom.shown} spec.host", text(custom.raw, "spec", "host") or "<none>"),
        ],
        fix=[Fix(words.format(shown=custom.shown, older=older), actor=Actor.MANIFEST)],
        verify=(
            kubectl("describe", "route", custom.name, namespace=custom.namespace),
            kubectl("get", "routes", "-A"),
        ),
        short=f"router {router} does not admit it: {reason}",
        details={"reason": reason},
    )


def _orphan(route: Path) -> Fault:
    return fault(
        CODE,
        route.place,
        f"{route.shown} names no parent, so no Gateway serves it.",
        evidence=[Evidence("spec", f"{route.shown} spec.parentRefs", "<none>")],
        fix=[Fix(f"Name a Gateway in spec.parentRefs of {route.shown}")],
        verify=(route.kubectl("get", route.shown, "-o", "yaml"), "kubectl get gateways -A"),
        short="no parentRefs: no Gateway serves it",
    )


def _judge(trace: Trace, route: Path, parent: ParentRef, entry: Entry) -> Iterator[Fault]:
    predicted = route.attachment(parent, entry)
    statuses = route.route.parent_status(parent)
    said = controller_says(statuses, "Accepted")
    status, reason = text(said, "status"), text(said, "reason")
    conditions = [c for s in statuses for c in objects(s, "conditions")]
    stale = is_stale(route.route.raw, conditions)
    if status == "False" and predicted.reason == "Accepted" and _listeners_down(entry, predicted) and not stale:
        # What is wrong with the listeners is told of the Gateway.
        return
    if status == "False" and reason in _LISTENERS_DOWN and predicted.reason == "Accepted" and not stale:
        yield _fault(route, parent, predicted, reason, f"{reason}: {text(said, 'message')}")
    elif status == "False" and reason != _HOSTNAME and not stale:
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
            verify=(route.kubectl("get", route.shown, "-o", "yaml"),),
            short="status is about an older generation",
        )


def _told(route: Path, parent: ParentRef, entry: Entry) -> Iterator[Fault]:
    """Take the controller's word where the Gateway was not seen: who owns a Route may often not read the Gateway."""
    statuses = route.route.parent_status(parent)
    said = controller_says(statuses, "Accepted")
    stale = is_stale(route.route.raw, [c for s in statuses for c in objects(s, "conditions")])
    reason = text(said, "reason")
    # Hostnames that do not meet are RouteHostnameMismatch.
    if text(said, "status") == "False" and reason != _HOSTNAME and not stale:
        unseen = route.attachment(parent, entry)
        yield _fault(route, parent, unseen, reason, f"{reason}: {text(said, 'message').strip().rstrip('.')}")


_JUDGED_ELSEWHERE = ("BackendNotFound", "RefNotPermitted")
"""By what the rules of the Route refer to."""


def _unresolved(trace: Trace, route: Path, parent: ParentRef) -> Iterator[Fault]:
    """Tell of a backend or filter that the controller cannot use, for a reason that no other cause judges."""
    statuses = route.route.parent_status(parent)
    said = controller_says(statuses, "ResolvedRefs")
    reason, message = text(said, "reason"), text(said, "message").strip().rstrip(".")
    conditions = [c for s in statuses for c in objects(s, "conditions")]
    elsewhere = reason == "RefNotPermitted" or (reason in _JUDGED_ELSEWHERE and route.backends)
    if text(said, "status") != "False" or elsewhere or is_stale(route.route.raw, conditions):
        return
    at = f"{route.shown} status.parents[{parent.name}] ResolvedRefs"
    complaint = Complaint("status", reason, message, Evidence("status", at, f"False, {reason}: {message}"))
    known = fixes_for(trace, complaint, route.ref, route.route.raw)
    yield fault(
        CODE,
        route.place,
        f"The controller of gateway/{parent.name} cannot use what {route.shown} refers to: {reason}, {message}. The "
        "rules that do so answer 500.",
        about=route.ref,
        evidence=[complaint.evidence],
        fix=known or (unknown_fix(complaint, route.ref, route.route.raw),),
        verify=(route.kubectl("get", route.shown, "-o", "yaml"),),
        short=f"references are not resolved: {reason}",
        details={"reason": reason},
    )


_LISTENERS_DOWN = ("NoReadyListeners", "NoReadyGateways", "ParentRefNotReady", "GatewayNotProgrammed")


def _listeners_down(entry: Entry, predicted: Attachment) -> bool:
    """Tell whether the Gateway itself says that it, or each listener that takes the route, does not work."""
    if any(text(entry.gateway.condition(kind), "status") == "False" for kind in ("Programmed", "Accepted")):
        return True
    return bool(predicted.listeners) and all(
        any(text(x.condition(kind), "status") == "False" for kind in ("Programmed", "Accepted", "ResolvedRefs"))
        for x in predicted.listeners
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
            route.kubectl("get", route.shown, "-o", "yaml"),
            kubectl("get", "gateway", parent.name, "-o", "yaml", namespace=parent.namespace),
        ),
        short=f"not attached to {where}: {words}",
        details={"reason": reason, "predicted": predicted.reason},
    )


_PROTOCOLS = {
    "TLSRoute": ("TLS", 443, "  tls:\n    mode: Passthrough\n"),
    "TCPRoute": ("TCP", 5432, ""),
    "UDPRoute": ("UDP", 53, ""),
}
"""Routes that only a listener of their own protocol takes: protocol, a usual port, more of its YAML."""


def _own_listener(route: Path, parent: ParentRef) -> Fix:
    """Give a Route of layer 4 a listener of its protocol: allowedRoutes.kinds of an HTTP listener cannot admit it."""
    protocol, port, more = _PROTOCOLS[route.route.kind]
    host = next(iter(route.route.hostnames), "")
    named = f"  hostname: {json.dumps(host)}\n" if host and protocol == "TLS" else ""
    yaml = (
        f"# one more entry in spec.listeners of gateway/{parent.name} in {parent.namespace}; the port is an example\n"
        f"- name: {protocol.lower()}\n  protocol: {protocol}\n  port: {port}\n{named}{more}"
        f"  allowedRoutes:\n    kinds: [{{kind: {route.route.kind}}}]\n    namespaces:\n      from: Selector\n"
        f"      selector:\n        matchLabels:\n          kubernetes.io/metadata.name: {route.route.namespace}\n"
    )
    return Fix(
        f"Add a listener of protocol {protocol} to gateway/{parent.name}, and name it in sectionName of {route.shown}: "
        f"listeners of other protocols cannot take a {route.route.kind}",
        actor=Actor.MANIFEST,
        yaml=yaml,
    )


_UNSEEN_FIXES = {
    "NotAllowedByListeners": "Let allowedRoutes of a listener of {gateway} take {route}: its namespaces must include "
    "{space} (the default is Same), its kinds the kind of the Route",
    "NoMatchingParent": "Set sectionName and port of {at} in {route} to a listener that {gateway} has",
}
"""By the reason of condition Accepted, where the listeners were not seen (Gateway API v1 RouteConditionReason)."""


def _fixes(route: Path, parent: ParentRef, predicted: Attachment, reason: str) -> list[Fix]:
    gateway, space = f"gateway/{parent.name}", route.route.namespace
    if predicted.reason == "NoMatchingParent":
        return [Fix(f"Set sectionName and port of {parent.at} in {route.shown} to a listener of {gateway}")]
    if predicted.reason == "Accepted":
        return [Fix(f"Look at the controller of {gateway}: it does not process {route.shown}")]
    if predicted.reason == "Unknown" and reason in _UNSEEN_FIXES:
        words = _UNSEEN_FIXES[reason].format(gateway=gateway, route=route.shown, at=parent.at, space=space)
        look = kubectl("get", "gateway", parent.name, "-o", "yaml", namespace=parent.namespace)
        return [Fix(words, actor=Actor.CLUSTER, commands=(look,))]
    if predicted.reason != "NotAllowedByListeners":
        return [Fix(f"Correct what the controller names in {route.shown}: {reason}")]
    if not predicted.refusing and route.route.kind in _PROTOCOLS:
        return [_own_listener(route, parent)]
    if not predicted.refusing:
        return [Fix(f"Let allowedRoutes.kinds of a listener of {gateway} take {route.route.kind}")]
    name = predicted.refusing[0].name
    yaml = (
        f"# listener {name} of {gateway} in {parent.namespace}\nallowedRoutes:\n  namespaces:\n    from: Selector\n"
        f"    selector:\n      matchLabels:\n        kubernetes.io/metadata.name: {space}\n"
    )
    words = f"Let allowedRoutes.namespaces of listener {name} of {gateway} take namespace {space}; the default is Same"
    fixes = [Fix(words, actor=Actor.CLUSTER, yaml=yaml)]
    for listener in predicted.refusing:
        wanted = mapping(listener.namespace_selector, "matchLabels")
        if (
            wanted
            and listener.namespaces_from == "Selector"
            and not dig(listener.namespace_selector, "matchExpressions")
        ):
            command = kubectl("label", "namespace", space, *(f"{k}={v}" for k, v in sorted(wanted.items())))
            fixes.append(
                Fix("Or, if its Routes belong there, label its namespace", actor=Actor.CLUSTER, commands=(command,))
            )
            break
    return fixes
