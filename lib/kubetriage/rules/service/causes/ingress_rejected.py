"""The controller refuses an object on the way, or cannot build what it asks for, and says so itself.

Meaning: nothing of it is served, or only what was built before the last change; an address that stands in its status
may be that of an older version.

Told by: the newest Warning event of each component about the Ingress, Route, Service or custom object that no later
success of the same component supersedes; a status condition that is False (or True for a type that names an error);
the one word of status of controllers without conditions (``Rejected``, ``Invalid``); and the newest line of the
controller's own log that names the object. For Traefik's kinds, which have no status: a Middleware, entry point or
namespace that it cannot use. What another cause judges by the specification is left to it, and so are events that only
begin something or are tried again at once.

Fix: correct what the controller names. Where its words are known, the fix says what ends them.

Source: reasons of AWS Load Balancer Controller (FailedBuildModel, FailedDeployModel), ingress-gce (Translate, Sync),
NGINX Ingress Controller (Rejected, AddedOrUpdatedWithError), Application Gateway Ingress Controller, Contour (Valid).
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Ref, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend, Place
from kubetriage.rules.service.controller_words import (
    Complaint,
    advice_for,
    condition_complaints,
    event_complaints,
    log_complaint,
)
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.load_balancer_state import addresses_of, has_cloud_marks
from kubetriage.rules.service.traefik_refusals import refusals
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, name_of, objects, text

CODE = "IngressRejected"

_JUDGED_CONDITIONS = frozenset(("Accepted", "Programmed", "ResolvedRefs", "Scheduled", "Ready", "Conflicted"))
"""Conditions of the Gateway API that other causes judge."""
_HEALTH = ("unhealthy", "failedhealthchecks")


def check(trace: Trace) -> Iterator[Fault]:
    """Judge what the controllers say of each object on the way."""
    for entrance in trace.ingresses:
        said = [*event_complaints(trace.snapshot, entrance.ref), *condition_complaints(entrance.ingress.raw)]
        published = bool(entrance.ingress.addresses)
        yield from _faults(trace, entrance.place, entrance.ref, said, entrance.controller_pods, published=published)
    for custom in trace.customs:
        # The refusal of a Route by its router is RouteNotAccepted; an orphan is a part that no root includes.
        but = frozenset(("Admitted",)) if custom.kind == "Route" else frozenset[str]()
        for refusal in refusals(custom) if custom.is_traefik else ():
            yield fault(
                CODE,
                custom.place,
                f"Traefik cannot build {custom.shown}: {refusal.words}. Requests get 404.",
                proof="inferred",
                evidence=refusal.evidence,
                fix=[Fix(refusal.fix, actor=Actor.MANIFEST)],
                verify=(kubectl("get", custom.typed, custom.name, "-o", "yaml", namespace=custom.namespace),),
                short=refusal.words,
            )
        said = [*event_complaints(trace.snapshot, custom.ref), *condition_complaints(custom.raw, but=but)]
        yield from _faults(trace, custom.place, custom.ref, said, custom.controller_pods, published=False)
    for route in trace.routes:
        said = [
            *event_complaints(trace.snapshot, route.ref),
            *condition_complaints(route.route.raw, but=_JUDGED_CONDITIONS),
        ]
        yield from _faults(trace, route.place, route.ref, said, (), published=False)
    for entry in trace.gateways:
        said = [
            *event_complaints(trace.snapshot, entry.ref),
            *condition_complaints(entry.gateway.raw, but=_JUDGED_CONDITIONS),
        ]
        yield from _faults(trace, entry.place, entry.ref, said, (), published=bool(entry.gateway.addresses))
    for custom in trace.customs:
        for at, space, name in custom.includes:
            if trace.world.lookup("httpproxies", space, name).absent:
                yield _lost_include(custom, at, space, name)
    for backend in trace.services:
        balanced = backend.type == "LoadBalancer"
        if (balanced and addresses_of(backend.service)) or (not balanced and has_cloud_marks(backend.service)):
            said = list(event_complaints(trace.snapshot, backend.ref))
            yield from _faults(trace, backend.address_place, backend.ref, said, (), published=True)
    for policy, backend in _tls_policies(trace):
        ref = Ref("BackendTLSPolicy", backend.namespace, name_of(policy))
        yield from _faults(trace, backend.place, ref, list(condition_complaints(policy)), (), published=False)


def _lost_include(custom: CustomEntrance, at: str, space: str, name: str) -> Fault:
    words = f"{at} names HTTPProxy {name} of namespace {space}, which does not exist"
    return fault(
        CODE,
        custom.place,
        f"Contour cannot build all of {custom.shown}: {words}.",
        evidence=[Evidence("spec", f"{custom.shown} {at}", f"{space}/{name}")],
        fix=[Fix(f"Create the HTTPProxy, or correct {at} of {custom.shown}", actor=Actor.MANIFEST)],
        verify=(kubectl("get", "httpproxies", "-A"),),
        short=words,
    )


def _tls_policies(trace: Trace) -> Iterator[tuple[Obj, Backend]]:
    for backend in trace.services:
        for policy in trace.world.listing("backendtlspolicies", backend.namespace).items:
            targets = objects(policy, "spec", "targetRefs")
            if any((text(t, "kind"), text(t, "name")) == ("Service", backend.name) for t in targets):
                yield policy, backend


def _faults(
    trace: Trace,
    place: Place,
    about: Ref,
    said: list[Complaint],
    pods: tuple[Pod, ...],
    *,
    published: bool,
) -> Iterator[Fault]:
    said = [c for c in said if not any(w in c.words.lower() for w in _HEALTH)]
    if not said:
        logged = log_complaint(trace.snapshot, pods, about)
        said = [logged] if logged is not None else []
    if not said:
        return
    head = said[0]
    name = f"{about.kind.lower()}/{about.name}"
    known = advice_for(head)
    who = "Its controller" if head.who in ("status", "") else head.who
    tail = " The address that it has may be of an older version." if published and not head.mild else ""
    words = f"{who} says of {name}: {head.words}.{tail}"
    severe = not head.mild and not head.logged
    advice = known.text if known is not None else f"Correct what the controller names in {name}: {head.words}"
    commands = _commands(trace, head, known.action if known is not None else "")
    yield fault(
        CODE,
        place,
        words,
        severity=Severity.ERROR if severe else Severity.WARNING,
        proof="observed",
        confidence=Confidence.LIKELY if head.logged else Confidence.CONFIRMED,
        about=about,
        evidence=[*(c.evidence for c in said[:3]), *_context(trace, head)],
        fix=[Fix(advice, actor=known.actor if known is not None else Actor.MANIFEST, commands=commands)],
        verify=(
            kubectl("describe", about.kind.lower(), about.name, namespace=about.namespace),
            kubectl("events", "--for", f"{about.kind.lower()}/{about.name}", namespace=about.namespace),
        ),
        short=f"the controller says {head.words}",
        details={"reason": head.reason} if head.reason else {},
    )


def _commands(trace: Trace, head: Complaint, action: str) -> tuple[str, ...]:
    if action != "gke-service-type":
        return ()
    named = next((b for b in trace.services if f"{b.namespace}/{b.name}" in head.message), None)
    if named is None:
        return ()
    neg = 'cloud.google.com/neg={"ingress": true}'
    return (kubectl("annotate", "service", named.name, neg, namespace=named.namespace),)


def _context(trace: Trace, head: Complaint) -> Iterator[Evidence]:
    for backend in trace.services:
        if f"{backend.namespace}/{backend.name}" in head.message:
            yield Evidence("spec", f"service/{backend.name} spec.type", backend.type)
