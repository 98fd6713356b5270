"""The controller refuses an object on the way, or cannot build what it asks for, and says so itself.

Meaning: nothing of it is served, or only what was built before the last change; an address that stands in its status
may be that of an older version.

Told by: the newest Warning event of each component about the Ingress, Route, Service or custom object that no later
success of the same component supersedes; a status condition that is False (or True for a type that names an error);
the one word of status of controllers without conditions (``Rejected``, ``Invalid``); and the newest line of the
controller's own log that names the object. For Traefik's kinds, which have no status: a Middleware, entry point or
namespace that it cannot use. With --symptom nxdomain also what external-dns says of the host. What another cause judges
by the specification is left to it, and so are events that only begin something or are tried again at once.

Fix: correct what the controller names. Where its words are known, the fix says what ends them.

Source: reasons of AWS Load Balancer Controller (FailedBuildModel, FailedDeployModel), ingress-gce (Translate, Sync),
NGINX Ingress Controller (Rejected, AddedOrUpdatedWithError), Application Gateway Ingress Controller, Contour (Valid).
"""

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Fix, Ref, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.access_logs import ways
from kubetriage.rules.service.attached_policies import AttachedPolicy, answer_without, attached_policies
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend, Place
from kubetriage.rules.service.controller_words import (
    Complaint,
    condition_complaints,
    event_complaints,
    log_complaint,
    risk_complaint,
)
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.entrance_controllers import watched_namespaces
from kubetriage.rules.service.external_dns import unwritten
from kubetriage.rules.service.hop_faults import Fault, age_of, fault
from kubetriage.rules.service.ingress_annotations import annotation_refusals
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.ingress_objects import Ingress
from kubetriage.rules.service.known_remedies import fixes_for, risky_annotations, typed, unknown_fix
from kubetriage.rules.service.load_balancer_state import addresses_of, has_cloud_marks
from kubetriage.rules.service.traefik_refusals import refusals
from kubetriage.values.commands import PIPE, kubectl, shell
from kubetriage.values.fields import Obj, name_of, objects, text
from kubetriage.values.times import human_duration

CODE = "IngressRejected"

_JUDGED_CONDITIONS = frozenset(("Accepted", "Programmed", "ResolvedRefs", "Scheduled", "Ready", "Conflicted"))
"""Conditions of the Gateway API that other causes judge."""
_HEALTH = ("unhealthy", "failedhealthchecks")


def check(trace: Trace) -> Iterator[Fault]:
    """Judge what the controllers say of each object on the way."""
    for entrance in trace.ingresses:
        said = [*event_complaints(trace.snapshot, entrance.ref), *condition_complaints(entrance.ingress.raw)]
        published = bool(entrance.ingress.addresses)
        found = list(
            _faults(
                trace,
                entrance.place,
                entrance.ref,
                said,
                entrance.controller_pods,
                entrance.ingress.raw,
                published=published,
            )
        )
        yield from found
        # What the controller says of a path itself comes with its own remedy.
        spoken = any("cannot be used with pathType" in f.message for f in found)
        refused = [] if spoken else list(annotation_refusals(entrance))
        for refusal in refused:
            start = "serves it in another way than it asks" if refusal.partly else "does not serve it"
            yield fault(
                CODE,
                entrance.place,
                f"The controller of {entrance.name} {start}: {refusal.words}. {refusal.then}.",
                severity=Severity.WARNING if refusal.partly else Severity.ERROR,
                proof="inferred",
                evidence=refusal.evidence,
                fix=[Fix(refusal.fix, actor=Actor.MANIFEST, commands=refusal.commands)],
                verify=(kubectl("describe", "ingress", entrance.ingress.name, namespace=entrance.ingress.namespace),),
                short=refusal.words,
            )
        if not found and not refused and not published:
            yield from _passed_over(trace, entrance)
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
                fix=[Fix(refusal.fix, actor=Actor.MANIFEST, commands=refusal.commands)],
                verify=(kubectl("get", custom.typed, custom.name, "-o", "yaml", namespace=custom.namespace),),
                short=refusal.words,
            )
        said = [
            *event_complaints(trace.snapshot, custom.ref),
            *condition_complaints(custom.raw, but=but, waited=trace.now - _USUAL),
        ]
        yield from _faults(trace, custom.place, custom.ref, said, custom.controller_pods, custom.raw, published=False)
    if trace.options.symptom == "nxdomain":
        yield from _without_record(trace)
    for route in trace.routes:
        said = [
            *event_complaints(trace.snapshot, route.ref),
            *condition_complaints(route.route.raw, but=_JUDGED_CONDITIONS),
        ]
        yield from _faults(trace, route.place, route.ref, said, (), route.route.raw, published=False)
    for entry in trace.gateways:
        said = [
            *event_complaints(trace.snapshot, entry.ref),
            *condition_complaints(entry.gateway.raw, but=_JUDGED_CONDITIONS),
        ]
        yield from _faults(
            trace, entry.place, entry.ref, said, (), entry.gateway.raw, published=bool(entry.gateway.addresses)
        )
    for custom in trace.customs:
        for at, space, name in custom.includes:
            if trace.world.lookup("httpproxies", space, name).absent:
                yield _lost_include(custom, at, space, name)
    for backend in trace.services:
        balanced = backend.type == "LoadBalancer"
        if (balanced and addresses_of(backend.service)) or (not balanced and has_cloud_marks(backend.service)):
            said = list(event_complaints(trace.snapshot, backend.ref))
            yield from _faults(trace, backend.address_place, backend.ref, said, (), backend.service, published=True)
    for attached in attached_policies(trace):
        yield from _attached(trace, attached)
    for policy, backend in _tls_policies(trace):
        ref = Ref("BackendTLSPolicy", backend.namespace, name_of(policy))
        yield from _faults(trace, backend.place, ref, list(condition_complaints(policy)), (), policy, published=False)


def _attached(trace: Trace, policy: AttachedPolicy) -> Iterator[Fault]:
    """Tell of a policy on the way that its controller does not take."""
    said = condition_complaints(policy.raw)
    if not said:
        return
    head, ref = said[0], policy.ref
    name, target = f"{ref.kind}/{ref.name}", f"{policy.target.kind.lower()}/{policy.target.name}"
    answer = answer_without(policy)
    then = f"requests to {target} get {answer} until it is" if answer else f"{target} is served without it, or not"
    yield fault(
        CODE,
        policy.place,
        f"{name}, which is attached to {target}, is not accepted by its controller: {head.words}. So {then}.",
        proof="observed",
        about=ref,
        evidence=[c.evidence for c in said[:3]],
        fix=fixes_for(trace, head, ref, policy.raw) or (unknown_fix(head, ref, policy.raw),),
        verify=(kubectl("describe", typed(ref, policy.raw), ref.name, namespace=ref.namespace),),
        short=f"{name} is not accepted: {head.words}",
    )


def _without_record(trace: Trace) -> Iterator[Fault]:
    """Tell of a host for which external-dns writes no record; asked only where the name does not resolve."""
    for way in ways(trace):
        if way.ref.kind == "Service":
            continue
        said = unwritten(trace.world, way)
        if said is not None:
            yield fault(
                CODE,
                way.place,
                f"external-dns writes no record for the host of {way.shown}: {said.words.rstrip('.')}.",
                proof="observed" if said.evidence.source == "log" else "inferred",
                confidence=Confidence.LIKELY,
                about=way.ref,
                evidence=[said.evidence],
                fix=[said.fix],
                verify=(shell("dig", "+short", way.hosts[0]),),
                short=f"external-dns writes no record: {said.words}",
            )


_USUAL = timedelta(minutes=5)
"""Controllers write the address of an Ingress that they serve within this time."""


def _passed_over(trace: Trace, entrance: Entrance) -> Iterator[Fault]:
    """Tell of an Ingress without an address where the same controller gives others theirs."""
    age = age_of(entrance.ingress.raw, trace.now)
    pods = [p for p in entrance.controller_pods if p.ready]
    if age is None or age < _USUAL or not pods or (entrance.known is not None and entrance.known.balancer):
        return
    if any(n != entrance.ingress.namespace for n in watched_namespaces(pods[0])):
        return
    other = next((e for e in _served_alike(trace, entrance)), None)
    if other is None:
        return
    shown = f"ingress/{other.name} in {other.namespace}"
    pod = pods[0]
    words = f"{shown} of the same class has an address, {entrance.name} has had none for {human_duration(age)}"
    yield fault(
        CODE,
        entrance.address_place,
        f"{words}. The controller writes it for each Ingress that it takes, so it has not taken this one.",
        severity=Severity.WARNING,
        proof="inferred",
        evidence=[
            Evidence("status", f"{entrance.name} status.loadBalancer.ingress", "<none>"),
            Evidence("status", f"{shown} status.loadBalancer.ingress", ", ".join(other.addresses)),
        ],
        fix=[
            Fix(
                f"Read what the controller says of {entrance.name}: a refused annotation, path or certificate, or a "
                "namespace that it does not watch",
                actor=Actor.CLUSTER,
                commands=(
                    shell(
                        *("kubectl", "-n", pod.namespace, "logs", pod.name, "--tail=2000"),
                        PIPE,
                        *("grep", "-F", entrance.ingress.name),
                    ),
                ),
            )
        ],
        verify=(kubectl("get", "ingress", entrance.ingress.name, namespace=entrance.ingress.namespace),),
        short=words,
    )


def _served_alike(trace: Trace, entrance: Entrance) -> Iterator[Ingress]:
    for raw in trace.world.listing("ingresses").items:
        other = Ingress(raw)
        same = other.any_class and other.any_class == entrance.ingress.any_class
        if same and other.addresses and (other.namespace, other.name) != (entrance.ref.namespace, entrance.ref.name):
            yield other


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
    raw: Obj,
    *,
    published: bool,
) -> Iterator[Fault]:
    said = [c for c in said if not any(w in c.words.lower() for w in _HEALTH)]
    if not said:
        logged = log_complaint(trace.snapshot, pods, about)
        if logged is None and risky_annotations(raw, ""):
            logged = risk_complaint(trace.snapshot, pods, about)
        said = [logged] if logged is not None else []
    if not said:
        return
    head = said[0]
    name = f"{about.kind.lower()}/{about.name}"
    known = fixes_for(trace, head, about, raw, pods)
    who = "Its controller" if head.who in ("status", "") else head.who
    tail = " The address that it has may be of an older version." if published and not head.mild else ""
    words = f"{who} says of {name}: {head.words}.{tail}"
    # A known refusal in the log, and no address: nothing of it is served.
    severe = not head.mild and (not head.logged or bool(known and not published))
    yield fault(
        CODE,
        place,
        words,
        severity=Severity.ERROR if severe else Severity.WARNING,
        proof="observed",
        confidence=Confidence.LIKELY if head.logged else Confidence.CONFIRMED,
        about=about,
        evidence=[*(c.evidence for c in said[:3]), *_context(trace, head)],
        fix=known or (unknown_fix(head, about, raw),),
        verify=(
            kubectl("describe", typed(about, raw), about.name, namespace=about.namespace),
            kubectl("events", "--for", f"{typed(about, raw)}/{about.name}", namespace=about.namespace),
        ),
        short=f"the controller says {head.words}",
        details={"reason": head.reason} if head.reason else {},
    )


def _context(trace: Trace, head: Complaint) -> Iterator[Evidence]:
    for backend in trace.services:
        if f"{backend.namespace}/{backend.name}" in head.message:
            yield Evidence("spec", f"service/{backend.name} spec.type", backend.type)
