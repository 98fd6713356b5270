"""What svc-trace reads, and what it makes of that; imported while the first reads are under way."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.found import Lookup, State
from kubetriage.model import Diagnosis, NotSeen
from kubetriage.needs import Get, List, Need
from kubetriage.plugins import ANY_KIND, Answer, Request, Target, reads_objects
from kubetriage.plugins.answers import from_error_line, not_seen, target_error
from kubetriage.plugins.svc_trace_scan import scan, scan_needs
from kubetriage.plugins.trace_targets import namesakes, resolved, unknown_kind
from kubetriage.readers.api_discovery import DISCOVERY, find_kind, served_group, serves
from kubetriage.records import replace
from kubetriage.rules.service.asked_names import log_needs
from kubetriage.rules.service.case import Options, Trace
from kubetriage.rules.service.client_policies import client_ref
from kubetriage.rules.service.cluster_view import World
from kubetriage.rules.service.custom_entrances import (
    CustomEntrance,
    custom_entrances,
    find_custom,
    kind_need,
)
from kubetriage.rules.service.entrance_controllers import controller_selector, own_selector
from kubetriage.rules.service.gateway_objects import GATEWAY_NAME_LABEL, GROUP, ROUTE_KINDS, Route
from kubetriage.rules.service.hop_table import judge
from kubetriage.rules.service.ingress_objects import Ingress
from kubetriage.rules.service.mesh_gateways import MeshGateway
from kubetriage.rules.service.named_kinds import MESH_GATEWAYS, ROUTER_PLURALS, TEMPLATED
from kubetriage.rules.service.observed_drops import FLOWS
from kubetriage.rules.service.routes_to_target import (
    address_trace,
    all_routes,
    custom_trace,
    gateway_trace,
    ingress_trace,
    mesh_gateway_trace,
    missing_port,
    pod_of,
    pod_trace,
    read_address,
    route_trace,
    service_trace,
    services_for,
)
from kubetriage.rules.service.trace_answer import diagnosis
from kubetriage.rules.service.trace_reads import (
    client_needs,
    custom_list_needs,
    custom_needs,
    dns_needs,
    elsewhere_needs,
    entrance_needs,
    front_needs,
    gateway_needs,
    mesh_gateway_needs,
    mesh_needs,
    other_policy_needs,
    route_needs,
    routes_served,
    service_needs,
    upward_needs,
)
from kubetriage.rules.shapes import lean_node, without_managed_fields
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import name_of, uid_of
from kubetriage.values.resources import BY_PLURAL


def options_of(request: Request) -> Options:
    """Read the plugin's own options."""
    client = str(request.options.get("client") or "")
    return Options(
        client=client_ref(client, request.namespace) if client else None,
        symptom=str(request.options.get("symptom") or ""),
        probe=bool(request.options.get("probe")),
    )


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Say what to read: the target, then what it leads to, down to the pods and up to the entrances."""
    yield DISCOVERY
    world, options = World(snapshot), options_of(request)
    if request.is_scan:
        yield from scan_needs(world, request, options)
    for target in request.targets:
        yield from _target_needs(world, request, target, options)
        yield from _quiet_needs(world, request, target, options)
    yield from client_needs(options.client)
    yield from other_policy_needs(snapshot)
    world.forget()


def _target_needs(world: World, request: Request, target: Target, options: Options) -> Iterator[Need]:
    """Say what the verdict on one target rests on."""
    snapshot, namespace = world.snapshot, request.namespace
    target = resolved(snapshot, namespace, target)
    if target.resource == "url":
        yield from _address_needs(world, target.name, options, namespace)
        return
    if target.resource == ANY_KIND:
        kind = find_kind(snapshot, target.kind)
        if kind is not None:
            yield kind_need(kind, namespace, target.name)
    elif target.resource != "services":
        yield Get(target.resource, namespace, target.name)
        for plural in namesakes(target.resource):
            if snapshot.get(target.resource, namespace, target.name).absent and serves(snapshot, plural):
                yield Get(plural, namespace, target.name)
    target = resolved(snapshot, namespace, target)
    found = (
        Lookup(State.FOUND) if target.resource == ANY_KIND else snapshot.get(target.resource, namespace, target.name)
    )
    if target.resource == "services":
        yield from service_needs(world, namespace, target.name, options)
        yield from upward_needs(world, namespace)
    elif not found.found:
        return
    elif target.resource in ("pods", *TEMPLATED):
        yield List("services", namespace)
        yield from upward_needs(world, namespace)
        for backend in services_for(world, pod_of(target.resource, found.obj)):
            yield from service_needs(world, namespace, backend.name, options)
    elif target.resource == "gateways" and served_group(snapshot, GROUP):
        for plural in routes_served(snapshot):
            yield List(plural)
    elif target.resource == MESH_GATEWAYS:
        yield List("virtualservices")
    trace = _trace(world, request, target, options)
    if trace is not None:
        yield from _way_needs(world, trace, options)


def _way_needs(world: World, trace: Trace, options: Options) -> Iterator[Need]:
    for entrance in trace.ingresses:
        yield from entrance_needs(world, entrance, options)
    for route in trace.routes:
        yield from route_needs(world, route, options)
    for entry in trace.gateways:
        yield from gateway_needs(entry)
    for custom in trace.customs:
        yield from custom_needs(world, custom, options)
    for gateway in trace.mesh_gateways:
        yield from mesh_gateway_needs(gateway)
    for backend in trace.backends:
        yield from service_needs(world, backend.namespace, backend.name, options)


def _address_needs(world: World, words: str, options: Options, namespace: str) -> Iterator[Need]:
    address = read_address(words)
    if address.in_cluster is not None:
        yield from service_needs(world, *address.in_cluster, options)
    else:
        yield List("ingresses", shape=without_managed_fields)
        yield from custom_list_needs(world.snapshot, "")
        if served_group(world.snapshot, GROUP):
            for plural in (*routes_served(world.snapshot), "gateways"):
                yield List(plural)
    trace = address_trace(world, address, options, namespace)
    short = address.short(namespace)
    if trace is None and short is not None:
        yield Get("services", *short)
    if trace is not None and trace.target.kind == "Service":
        yield from service_needs(world, trace.target.namespace, trace.target.name, options)
        yield from upward_needs(world, trace.target.namespace)
    if trace is not None:
        yield from _way_needs(world, trace, options)


def _quiet_needs(world: World, request: Request, target: Target, options: Options) -> Iterator[Need]:
    """Say what may add to the verdict, and is not missed without."""
    yield from dns_needs(world, options)
    if world.snapshot.has_log(FLOWS):
        yield FLOWS
    trace = _trace(world, request, target, options)
    if trace is not None and trace.target.kind == "Pod":
        # What it asks for in vain, its log says.
        pod = pod_of("pods", world.lookup("pods", trace.target.namespace, trace.target.name).obj)
        yield from log_needs(pod)
    if trace is not None:
        yield from mesh_needs(world.snapshot, trace.backends)
        yield from elsewhere_needs(trace.backends)
        if trace.ingresses:
            yield List("pods", "", controller_selector())
            for selector in {own_selector(e.known) for e in trace.ingresses if e.known is not None} - {""}:
                yield List("pods", "", selector)
        if any(e.class_source == "none" and not e.default_classes for e in trace.ingresses):
            yield List("nodes", cached=True, shape=lean_node)
        yield from front_needs(trace)


def _trace(world: World, request: Request, target: Target, options: Options) -> Trace | None:
    """Return the ways that a target stands for; None when it is not there."""
    namespace = request.namespace
    target = resolved(world.snapshot, namespace, target)
    if target.resource == "services":
        trace = service_trace(world, namespace, target.name, options)
        return None if trace.backends[0].lookup.unseen else trace
    if target.resource == "url":
        return address_trace(world, read_address(target.name), options, namespace)
    if target.resource == ANY_KIND:
        kind = find_kind(world.snapshot, target.kind)
        custom = find_custom(world, namespace, target.kind, target.name, kind)
        return custom_trace(world, custom, options) if custom is not None else None
    target = resolved(world.snapshot, namespace, target)
    found = world.snapshot.get(target.resource, namespace, target.name)
    if not found.found:
        return None
    if target.resource in ROUTER_PLURALS:
        return custom_trace(world, CustomEntrance(world, found.obj), options)
    if target.resource == MESH_GATEWAYS:
        return mesh_gateway_trace(world, MeshGateway(world, namespace, target.name), options)
    if target.resource == "ingresses":
        return ingress_trace(world, Ingress(found.obj), options)
    if target.resource in ROUTE_KINDS:
        return route_trace(world, Route(found.obj, ROUTE_KINDS[target.resource]), options)
    if target.resource == "gateways":
        return gateway_trace(world, namespace, target.name, options)
    return pod_trace(world, pod_of(target.resource, found.obj), options, target.resource)


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Name the first broken hop for each target."""
    world, options = World(snapshot), options_of(request)
    if request.options.get("client") and options.client is None:
        words = f"error: --client takes pod/NAME or namespace/NAME, not {request.options['client']!r}"
        return Answer((), (words,))
    if request.is_scan:
        return scan(world, request, options)
    client = options.client
    if client is not None and client.kind == "Pod" and snapshot.get("pods", client.namespace, client.name).absent:
        return Answer((), (target_error(snapshot, Target("pods", client.name), client.namespace),))
    diagnoses: list[Diagnosis] = []
    errors: list[str] = []
    for named in request.targets:
        target = resolved(snapshot, request.namespace, named)
        trace = _trace(world, request, target, options)
        address = read_address(target.name) if target.resource == "url" else None
        if trace is not None and address is not None and (lacking := missing_port(address, trace)):
            errors.append(f"error: {lacking}")
        elif trace is not None:
            diagnoses.append(diagnosis(trace, _gaps(world, request, target, options), judge(trace)))
        elif target.resource == "url":
            errors.append(_unserved(world, target.name))
        elif target.resource == ANY_KIND:
            errors.append(unknown_kind(world, target))
        else:
            errors.append(target_error(snapshot, target, request.namespace))
    return Answer(tuple(diagnoses), tuple(errors))


def _unserved(world: World, words: str) -> str:
    address = read_address(words)
    listing = world.listing("ingresses")
    if not listing.complete:
        return f"error: cannot tell what serves {words}: {listing.why}"
    hosts = sorted(
        {h for raw in listing.items for h in Ingress(raw).hosts}
        | {h for r in all_routes(world) for h in r.hostnames}
        | {h for c in custom_entrances(world) for h in c.all_links.hosts}
    )
    known = f"; hosts that are served: {', '.join(hosts[:5])}" if hosts else ""
    return f"error: no Ingress or Route serves {address.host}{address.path}{known}"


def _gaps(world: World, request: Request, target: Target, options: Options) -> tuple[NotSeen, ...]:
    asked = [*_target_needs(world, request, target, options), *client_needs(options.client)]
    # That a namesake stands in another namespace is a hint; few users may look there.
    needs = [n for n in asked if isinstance(n, Get) or (isinstance(n, List) and not n.fields.startswith("metadata."))]
    names = {uid_of(raw): f"pod/{name_of(raw)}" for raw in world.listing("pods", request.namespace).items}
    if world.snapshot.source != "cluster" and not any(world.listing(p).items for p in (*ROUTE_KINDS, "gateways")):
        # A dump does not say whether the Gateway API is served; without one of its objects it hardly is.
        needs = [n for n in needs if BY_PLURAL[n.resource].group != GROUP]
    return _in_words(not_seen(world.snapshot, needs, names, reads_objects))


_WORDS = {
    str(List("ingresses")): "ingresses of other namespaces (who else claims the host)",
    str(List("pods", "", controller_selector())): "pods of ingress controllers (whether one runs, and may pass)",
    str(List("pods", "", GATEWAY_NAME_LABEL)): "pods of Gateways (whether they may pass)",
}


def _in_words(gaps: tuple[NotSeen, ...]) -> tuple[NotSeen, ...]:
    """Name the lists that only a selector tells apart by what they are for."""
    return tuple(replace(g, what=_WORDS.get(g.what, g.what)) for g in gaps)


def explains(line: str) -> Diagnosis | None:
    """Answer where a paste holds nothing but what istioctl, linkerd or Cilium's own status said."""
    from kubetriage.rules.service import mesh_analysis, mesh_checks

    return from_error_line("svc-trace", mesh_analysis.explain(line) or mesh_checks.explain(line))
