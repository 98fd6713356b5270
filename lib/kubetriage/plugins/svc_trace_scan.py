"""A scan of svc-trace: a bounded number of lists, every Service and entrance judged, details only of what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from kubetriage.model import Diagnosis, NotSeen, Ref, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.plugins import Answer, Request, reads_objects
from kubetriage.plugins.answers import list_error, not_seen
from kubetriage.readers.api_discovery import served_group
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.incident.folding import folded
from kubetriage.rules.node_contact import carrier, contact_gaps, contact_needs
from kubetriage.rules.service.asked_names import asker_needs, askers
from kubetriage.rules.service.case import Options, Trace
from kubetriage.rules.service.certificate_issuance import is_issued
from kubetriage.rules.service.cluster_view import WORKLOADS, Backend, World
from kubetriage.rules.service.custom_entrances import (
    custom_entrances,
)
from kubetriage.rules.service.drop_findings import homeless
from kubetriage.rules.service.entrance_controllers import controller_selector
from kubetriage.rules.service.gateway_objects import GROUP, ROUTE_KINDS
from kubetriage.rules.service.hop_table import judge
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.ingress_objects import Ingress
from kubetriage.rules.service.observed_drops import FLOWS, drops
from kubetriage.rules.service.pod_health import crash_needs, representatives, unready
from kubetriage.rules.service.routes_to_target import (
    all_routes,
    custom_trace,
    gateway_trace,
    ingress_trace,
    route_trace,
)
from kubetriage.rules.service.scan_shapes import scanned, scanned_node
from kubetriage.rules.service.trace_answer import STILL_ANSWERS, diagnosis
from kubetriage.rules.service.trace_reads import (
    custom_list_needs,
    header_needs,
    routes_served,
)
from kubetriage.rules.shapes import events_of_pods, without_managed_fields
from kubetriage.values.fields import labels, name_of, namespace_of, objects, text
from kubetriage.values.resources import BY_PLURAL
from kubetriage.values.selectors import field_selector_matches, label_selector_matches

SCAN_PODS = 20
"""Unready pods that a scan looks at in detail, one of each Service: the reads of a scan stay bounded."""
SCAN_NAMESPACES = 50
"""With faults in more namespaces the events of all are read in one list."""
_UPPER_HOPS = ("Ingress", "Route", "Gateway")


def scan_needs(world: World, request: Request, options: Options) -> Iterator[Need]:
    """Ask for a bounded number of lists; details only about what they show to be wrong."""
    snapshot, namespace = world.snapshot, request.namespace
    for plural in ("services", "endpointslices", "networkpolicies", "ingresses", "pods"):
        yield List(plural, namespace, shape=scanned(plural))
    yield List("ingressclasses")
    yield from custom_list_needs(snapshot, namespace)
    if served_group(snapshot, GROUP):
        for plural in (*routes_served(snapshot), "gateways", "referencegrants"):
            yield List(plural, namespace, shape=without_managed_fields)
        yield List("gatewayclasses")
    seen = _overview(world, request)
    yield from contact_needs(snapshot, seen.nodes)
    yield from asker_needs(world, namespace)
    if snapshot.has_log(FLOWS):
        yield FLOWS
    if seen.empty:
        for plural in WORKLOADS:
            yield List(plural, namespace, shape=scanned(plural))
    if seen.local:
        yield List("nodes", cached=True, shape=scanned_node)
    entrances = _scanned_entrances(world, request)
    if any(e.secrets for e in entrances):
        yield List("secrets", namespace, fields="type=kubernetes.io/tls")
        for entrance in entrances:
            for use in entrance.secrets:
                if use.lookup.unseen:
                    yield Get("secrets", use.ref.namespace, use.ref.name)
    if entrances:
        yield List("pods", "", controller_selector())
    # A balancer whose annotation speaks of the PROXY header, and a controller's ConfigMap that may not.
    for trace, _ in _entrance_traces(world, request, options):
        yield from header_needs(trace)
    # The events of all namespaces are most of a large cluster; a fault needs those beside it.
    places = {p.namespace for p in seen.troubled} | {b.namespace for b in (*seen.pending, *seen.empty)}
    told = events_of_pods(seen.unready)
    for place in sorted(places) if len(places) <= SCAN_NAMESPACES else (namespace,):
        yield List("events", place, shape=told)
    for pod in seen.troubled[:SCAN_PODS]:
        yield from crash_needs(snapshot, pod, events=False)


class _Overview:
    """What a plan of a scan looks at of all Services; their pods are held while one of them is looked at."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self.empty: list[Backend] = []
        """Services that select nothing."""
        self.pending: list[Backend] = []
        self.local = False
        """A Service has a traffic policy that is Local."""
        self.troubled: list[Pod] = []
        """One unready pod of each Service that has any."""
        self.unready: set[str] = set()
        """All unready pods, by uid."""
        self._carriers: dict[str, str] = {}
        for backend in backends:
            self._look_at(backend)
            backend.world.drop(backend)

    def _look_at(self, backend: Backend) -> None:
        self._carriers.update((pod.uid, name) for pod in backend.ready_pods if (name := carrier(pod)))
        self.troubled += representatives(backend)[:1]
        self.unready.update(pod.uid for pod in unready(backend))
        self.local = self.local or bool(backend.local_policies)
        if backend.selector and backend.pod_list.complete and not backend.pods:
            self.empty.append(backend)
        if _is_pending(backend):
            self.pending.append(backend)

    @property
    def nodes(self) -> Counter[str]:
        """The ready pods by the node whose word that is."""
        return Counter(self._carriers.values())


def _overview(world: World, request: Request) -> _Overview:
    return world.kept("overview of the scan", lambda: _Overview(_scanned(world, request)))


def _is_pending(backend: Backend) -> bool:
    return backend.type == "LoadBalancer" and not objects(backend.service, "status", "loadBalancer", "ingress")


def _scanned(world: World, request: Request) -> Iterator[Backend]:
    for raw in world.listing("services", request.namespace).items:
        if label_selector_matches(request.selector, labels(raw, "metadata", "labels")) and field_selector_matches(
            request.field_selector, raw
        ):
            yield world.backend(namespace_of(raw), name_of(raw))


def _scanned_entrances(world: World, request: Request) -> list[Entrance]:
    chosen = (
        raw
        for raw in world.listing("ingresses", request.namespace).items
        if label_selector_matches(request.selector, labels(raw, "metadata", "labels"))
    )
    return [Entrance(world, Ingress(raw)) for raw in chosen]


def scan(world: World, request: Request, options: Options) -> Answer:
    """Answer for each Service below its entrances, and for each entrance above its Services."""
    listing = world.listing("services", request.namespace)
    if not listing.complete and not listing.items and next(_scan_traces(world, request, options), None) is None:
        # What a text shows of entrances can be judged without their Services.
        return Answer((), (list_error("services", listing.why),))
    lists = [n for n in scan_needs(world, request, options) if isinstance(n, List)]
    gaps = not_seen(world.snapshot, _present(world, lists), {}, reads_objects)
    shown: list[Diagnosis] = []
    checked = 0
    dark: dict[str, list[str]] = {}
    for trace, hops in _scan_traces(world, request, options):
        checked += 1
        request.tell("ways judged", checked, None)
        verdict = judge(trace)
        for row in verdict.rows:
            if row.state == "not seen" and not any(g.why and g.why in row.evidence for g in gaps):
                dark.setdefault(row.evidence, []).append(row.object)
        if hops:
            # What is below an entrance stands under its Services.
            verdict = replace(verdict, faults=tuple(f for f in verdict.faults if f.place.hop in hops))
        if request.show_all or any(f.severity is not Severity.NOTE for f in verdict.faults):
            shown.append(diagnosis(trace, gaps, verdict))
        for backend in trace.backends:
            world.drop(backend)
    silent = contact_gaps(world.snapshot, _overview(world, request).nodes, *STILL_ANSWERS)
    unseen = (NotSeen(_several(names), why, decides=True) for why, names in dark.items())
    told = folded(shown, world.snapshot) if request.fold else tuple(shown)
    return Answer(told, checked=checked, not_seen=(*silent, *gaps, *unseen))


def _several(names: list[str]) -> str:
    """Write the objects of a hop that was not seen, the first few by name."""
    known = list(dict.fromkeys(names))
    return ", ".join(known[:3]) + (f" and {len(known) - 3} more" if known[3:] else "")


def _present(world: World, needs: list[List]) -> list[List]:
    """Leave out the lists of the Gateway API that a dump without one of its objects hardly lacks."""
    if world.snapshot.source == "cluster" or any(world.listing(p).items for p in (*ROUTE_KINDS, "gateways")):
        return needs
    return [n for n in needs if BY_PLURAL[n.resource].group != GROUP]


def _scan_traces(world: World, request: Request, options: Options) -> Iterator[tuple[Trace, tuple[str, ...]]]:
    """Yield each trace of a scan, and the hops that it answers for; all when there are none."""
    for backend in _scanned(world, request):
        yield Trace(world, backend.ref, (backend,), options), ()
    seen = drops(world.snapshot)
    for drop in homeless(tuple(_scanned(world, request)), seen) if seen else ():
        if request.namespace in ("", drop.target.namespace, drop.source.namespace):
            yield Trace(world, Ref("Pod", drop.target.namespace, drop.target.name), (), options), ()
    for pod in askers(world, request.namespace):
        # Whatever leads to the pod itself stands under its own Service.
        yield Trace(world, Ref("Pod", pod.namespace, pod.name, pod.uid), (), options), ()
    yield from _entrance_traces(world, request, options)


def _entrance_traces(world: World, request: Request, options: Options) -> Iterator[tuple[Trace, tuple[str, ...]]]:
    """Yield the traces of what leads to the Services of a scan."""
    for entrance in _scanned_entrances(world, request):
        yield ingress_trace(world, entrance.ingress, options), _UPPER_HOPS
    attached = set()
    for route in all_routes(world, request.namespace):
        if label_selector_matches(request.selector, labels(route.raw, "metadata", "labels")):
            made = route_trace(world, route, options)
            attached |= {(entry.namespace, entry.name) for entry in made.gateways}
            yield made, _UPPER_HOPS
    for raw in world.listing("gateways", request.namespace).items:
        # One that no Route uses may be what keeps its Routes away, or all that a text shows.
        place, name = namespace_of(raw), name_of(raw)
        if (place, name) not in attached and label_selector_matches(
            request.selector, labels(raw, "metadata", "labels")
        ):
            yield gateway_trace(world, place, name, options), _UPPER_HOPS
    yield from _lone_certificates(world, request, options)
    for custom in custom_entrances(world, request.namespace):
        if label_selector_matches(request.selector, labels(custom.raw, "metadata", "labels")):
            yield custom_trace(world, custom, options), _UPPER_HOPS


def _lone_certificates(world: World, request: Request, options: Options) -> Iterator[tuple[Trace, tuple[str, ...]]]:
    """Yield the certificates of a recording that are not issued and that no entrance of it names."""
    if world.snapshot.source == "cluster":
        return
    used = {(u.ref.namespace, u.ref.name) for e in _scanned_entrances(world, request) for u in e.secrets}
    for raw in world.listing("certificates", request.namespace).items:
        place, secret = namespace_of(raw), text(raw, "spec", "secretName")
        if not is_issued(raw) and (place, secret) not in used:
            yield Trace(world, Ref("Certificate", place, name_of(raw)), (), options), ()
