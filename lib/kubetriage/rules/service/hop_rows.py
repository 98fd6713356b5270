"""The rows of the hop table before they are judged: what is in order at each hop, or why it was not seen."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import crossings
from kubetriage.rules.service.cluster_view import Backend, Place
from kubetriage.rules.service.custom_entrances import CustomEntrance, port_of
from kubetriage.rules.service.dns_words import dns_refusal
from kubetriage.rules.service.foreign_crossings import unresolved
from kubetriage.rules.service.gateway_routes import Entry, Path
from kubetriage.rules.service.hop_faults import plural
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.mesh_authorization import AUTHORIZATION, Caller, action_of, policies_on, rule_on
from kubetriage.rules.service.mesh_gateways import MeshGateway, mesh_gateways_of
from kubetriage.rules.service.mesh_policies import in_mesh, mode_in_force
from kubetriage.rules.service.other_policies import other_policies
from kubetriage.rules.service.outside_clients import outside_crossings
from kubetriage.rules.service.policies_around_pods import admissions, isolated, policies_of
from kubetriage.rules.service.service_endpoints import ServicePort, find_port
from kubetriage.rules.service.tls_secrets import SecretUse
from kubetriage.values.fields import name_of, number, objects, text, texts
from kubetriage.values.times import format_time


@dataclass(frozen=True)
class Draft:
    """A row before it is judged."""

    place: Place
    object: str
    ok: str
    """Evidence when nothing is wrong."""
    gap: str = ""
    """Why the row could not be judged; empty when it could."""
    needs: tuple[Place, ...] = ()
    """Rows without which this one cannot work."""


def drafts_of(trace: Trace) -> Iterator[Draft]:
    """Yield the rows of a trace, from the pods up to the outside."""
    users = (
        *(e.place for e in trace.ingresses),
        *(r.place for r in trace.routes),
        *(c.place for c in trace.customs),
    )
    for backend in trace.backends:
        yield from _backend_drafts(trace, backend, users)
    for entrance in trace.ingresses:
        yield from _ingress_drafts(entrance)
    for route in trace.routes:
        yield _route_draft(trace, route)
    for custom in trace.customs:
        yield _custom_draft(trace, custom)
        for use in custom.secrets:
            yield _secret_draft(use)
    for entry in trace.gateways:
        yield from _gateway_drafts(entry)
    for gateway in trace.mesh_gateways:
        yield _mesh_gateway_draft(gateway)
        for use in gateway.secrets:
            yield _secret_draft(use)
    for backend in trace.services:
        if backend.type == "LoadBalancer":
            given = objects(backend.service, "status", "loadBalancer", "ingress")
            shown = ", ".join(text(i, "ip") or text(i, "hostname") for i in given)
            ranges = texts(backend.service, "spec", "loadBalancerSourceRanges")
            shown += f"; admits only {', '.join(ranges[:3])}" if shown and ranges else ""
            yield Draft(backend.address_place, f"svc/{backend.name} address", shown or "<none>")
    yield from _dns_drafts(trace)


def _dns_drafts(trace: Trace) -> Iterator[Draft]:
    dns = trace.dns
    name = f"svc/{dns.name} in {dns.namespace}"
    if dns.lookup.found and dns.endpoints.read:
        ready = sum(e.takes_traffic for e in dns.endpoints.items)
        own = any((b.namespace, b.name) == (dns.namespace, dns.name) for b in trace.services)
        if own and not ready and dns_refusal(trace) is not None:
            # The rows of its pods tell it.
            return
        yield Draft(trace.dns_place, name, f"{ready}/{plural(len(dns.endpoints.items), 'endpoint')} ready")
    elif trace.options.symptom in ("nxdomain", "timeout"):
        why = dns.lookup.why if dns.lookup.unseen else dns.endpoints.why
        yield Draft(trace.dns_place, name, "", why or "it was not found")


def _rows_of(backend: Backend, port: ServicePort | None) -> tuple[Place, ...]:
    """Return the rows that a request through one port of a Service depends on."""
    own = (backend.port_place(port),) if port is not None else ()
    return (backend.pods_place, backend.place, *own)


def _ingress_drafts(entrance: Entrance) -> Iterator[Draft]:
    ingress = entrance.ingress
    leads = []
    for path in entrance.paths:
        where = "default" if path.kind == "Default" else f"{path.host or '*'}{path.path}"
        target = path.backend
        to = f"svc/{target.service}:{target.port_text}" if target.service else target.resource or "<none>"
        leads.append(f"{where} to {to}")
    said = "; ".join(leads[:3]) + (f"; {len(leads) - 3} more" if len(leads) > 3 else "")
    backends = [(b, p.backend.find(b.ports)) for p in entrance.paths if (b := entrance.backend(p)) is not None]
    unseen = next((b for b, _ in backends if b.lookup.unseen), None)
    gap = f"svc/{unseen.name} not seen: {unseen.lookup.why}" if unseen is not None else ""
    needs = tuple(dict.fromkeys(row for b, port in backends if b.lookup.found for row in _rows_of(b, port)))
    yield Draft(entrance.place, entrance.name, said or "no rules", gap, needs)
    yield _class_draft(entrance)
    for use in entrance.secrets:
        yield _secret_draft(use)
    shown = ", ".join(ingress.addresses)
    yield Draft(
        entrance.address_place,
        f"{entrance.name} address",
        shown or _no_address(entrance),
        "",
        (entrance.class_place, entrance.place) if not shown else (),
    )


def _no_address(entrance: Entrance) -> str:
    known = entrance.known
    if known is not None and known.address_always:
        return "none published"
    return "none published (usual where the controller has no load balancer)"


def _class_draft(entrance: Entrance) -> Draft:
    ingress, place = entrance.ingress, entrance.class_place
    named = ingress.any_class
    listing = entrance.world.listing("ingressclasses")
    if not entrance.class_object and entrance.known is not None and entrance.known.classless:
        return Draft(place, shown_class(named), f"served by the platform ({entrance.known.controller})")
    if not listing.complete and not entrance.class_object:
        return Draft(place, f"ingressclass/{named or '<none>'}", "", listing.why)
    shown = shown_class(named)
    if entrance.class_source == "annotation" and not entrance.class_object:
        said = "named by the legacy annotation, which needs no IngressClass object"
        return Draft(place, shown, said + _pods_said(entrance))
    if not entrance.class_object:
        return Draft(place, shown, "watched without a class")
    said = f"controller {entrance.controller}" + _pods_said(entrance)
    if ingress.addresses and not entrance.controller_pods:
        said += "; an address is published, so a controller took it up"
    return Draft(place, shown, said)


def shown_class(name: str) -> str:
    """Write the class of an Ingress for people."""
    return f"ingressclass/{name}" if name else "no class"


def _pods_said(entrance: Entrance) -> str:
    pods = entrance.controller_pods
    return f", {sum(p.ready for p in pods)}/{plural(len(pods), 'controller pod')} ready" if pods else ""


def _secret_draft(use: SecretUse) -> Draft:
    if use.lookup.unseen:
        return Draft(use.place, use.name, "", f"TLS not checked: {use.lookup.why}")
    leaf = use.leaf
    if leaf is None:
        gap = "" if use.parsed[1] or not use.lookup.found else "the certificate was not seen"
        return Draft(use.place, use.name, "", gap)
    key = {"match": "its key matches", "": "key match not seen"}.get(use.key, "")
    said = f"for {', '.join(leaf.names[:4]) or leaf.common_name}, until {format_time(leaf.not_after)}"
    return Draft(use.place, use.name, f"{said}; {key}" if key else said)


def _route_draft(trace: Trace, route: Path) -> Draft:
    hosts = ", ".join(route.route.hostnames[:3]) or "*"
    leads = ", ".join(b.shown for b in route.backends[:3])
    found = [(trace.world.backend(b.namespace, b.name), b.port) for b in route.backends if b.is_service]
    unseen = next((b for b, _ in found if b.lookup.unseen), None)
    gap = f"svc/{unseen.name} not seen: {unseen.lookup.why}" if unseen is not None else ""
    if any(route.is_granted(b) is None for b in route.backends):
        gap = gap or "ReferenceGrants not seen"
    needs = [row for b, port in found if b.lookup.found for row in _rows_of(b, b.port_numbered(port))]
    needs += [p for _, entry in route.parents for p in (entry.class_place, entry.place)]
    return Draft(route.place, route.shown, f"{hosts} to {leads or '<none>'}", gap, tuple(dict.fromkeys(needs)))


def _custom_draft(trace: Trace, custom: CustomEntrance) -> Draft:
    hosts = ", ".join(custom.all_links.hosts[:3]) or "*"
    leads = ", ".join(
        (f"svc/{r.name}" if r.name else r.host) + (f":{r.port}" if r.port is not None else "")
        for r in custom.links.services[:3]
    )
    said = f"{hosts} to {leads or '<none>'}"
    unseen = next((b for _, b in custom.backends if b.lookup.unseen), None)
    gap = f"svc/{unseen.name} not seen: {unseen.lookup.why}" if unseen is not None else ""
    if not custom.judged:
        gap = f"not evaluated: {custom.kind}/{custom.name}; {said}"
    needs = [row for r, b in custom.backends if b.lookup.found for row in _rows_of(b, port_of(r, b))]
    needs += [g.place for _, g in mesh_gateways_of(trace.world, custom)]
    return Draft(custom.place, custom.shown, said, gap, tuple(dict.fromkeys(needs)))


def _mesh_gateway_draft(gateway: MeshGateway) -> Draft:
    if not gateway.lookup.found:
        return Draft(gateway.place, gateway.shown, "not found", gateway.lookup.why if gateway.lookup.unseen else "")
    servers = ", ".join(
        f"{', '.join(texts(s, 'hosts')[:2])}:{number(s, 'port', 'number')}/{text(s, 'port', 'protocol')}"
        for s in gateway.servers[:3]
    )
    listing = gateway.world.listing("pods")
    if not gateway.pods and not listing.complete:
        return Draft(gateway.place, gateway.shown, servers, f"pods {gateway.selector_text}: {listing.why}")
    ready = sum(p.ready for p in gateway.pods)
    return Draft(gateway.place, gateway.shown, f"{servers}; {ready}/{plural(len(gateway.pods), 'pod')} ready")


def _gateway_drafts(entry: Entry) -> Iterator[Draft]:
    if not entry.lookup.found:
        gap = entry.lookup.why if entry.lookup.unseen else ""
        yield Draft(entry.place, entry.shown, "not found", gap)
        return
    gateway = entry.gateway
    listeners = ", ".join(f"{x.name} {x.hostname or '*'}:{x.port}/{x.protocol}" for x in gateway.listeners[:3])
    addresses = ", ".join(gateway.addresses)
    status = text(gateway.condition("Programmed"), "status") or "<none>"
    said = f"{listeners}; Programmed {status}" + (f"; {addresses}" if addresses else "")
    yield Draft(entry.place, entry.shown, said, "", (entry.class_place,))
    found = entry.class_lookup
    gap = found.why if found.unseen else ""
    controller = text(found.obj, "spec", "controllerName")
    yield Draft(entry.class_place, f"gatewayclass/{gateway.class_name}", f"controller {controller}", gap)
    for use in entry.secrets:
        yield _secret_draft(use)


def _backend_drafts(trace: Trace, backend: Backend, users: tuple[Place, ...]) -> Iterator[Draft]:
    lookup, place = backend.lookup, backend.place
    name = f"svc/{backend.name}"
    if not lookup.found:
        gap = lookup.why if lookup.unseen else ""
        yield Draft(place, name, "not found", gap, users)
        return
    if backend.is_external:
        yield Draft(place, name, f"ExternalName {backend.external_name}, a DNS alias only")
        return
    if backend.selector:
        yield _pods_draft(backend)
    yield _service_draft(backend)
    for count in backend.counts:
        view = backend.endpoints
        total = len(count.ready) + len(count.fallback) + len(count.unready) + len(count.without)
        target = f"port {count.port.target}" if isinstance(count.port.target, str) else ""
        leads = "/".join(map(str, count.numbers)) or target or str(count.port.target)
        said = f"{len(count.ready)}/{plural(total, 'endpoint')} ready on {leads}" if total else "no endpoints"
        if count.fallback and not count.ready:
            said += f", {len(count.fallback)} terminating still serve"
        said += {"endpoints": " (legacy Endpoints; slices not seen)", "pods": " (derived from the pods)"}.get(
            view.source, ""
        )
        if count.port.node_port:
            said += f"; node port {count.port.node_port}"
        gap = ""
        if view.source in ("none", "pods"):
            gap = view.why + (f"; {said}" if view.source == "pods" else "")
        needs = (backend.pods_place, place) if not count.ready else ()
        yield Draft(backend.port_place(count.port), f"{name}:{backend.port_shown(count.port)}", said, gap, needs)
    yield _policy_draft(trace, backend)
    if any(in_mesh(p) for p in backend.pods):
        yield _mesh_draft(backend)
        yield from _authorization_draft(backend)


def _pods_draft(backend: Backend) -> Draft:
    place = backend.pods_place
    listing = backend.pod_list
    if not listing.complete:
        return Draft(place, f"pods {backend.selector_text}", "", listing.why)
    owners = {backend.workload(p) for p in backend.pods}
    own = next(iter(owners)) if len(owners) == 1 else None
    shown = f"{own.kind.lower()}/{own.name}" if own is not None else f"pods {backend.selector_text}"
    if not backend.pods:
        return Draft(place, shown, "no pod is selected", "no pod is selected", (backend.place,))
    leaving = sum(p.deleting for p in backend.pods)
    said = f"{len(backend.ready_pods)}/{plural(len(backend.pods), 'pod')} ready"
    return Draft(place, shown, f"{said}, {leaving} terminating" if leaving else said)


def _service_draft(backend: Backend) -> Draft:
    if backend.selector:
        said = f"{backend.selector_text} selects {plural(len(backend.pods), 'pod')}"
        if not backend.pod_list.complete:
            said = f"selector {backend.selector_text}; pods not seen"
    elif backend.world.snapshot.covers(backend.service, "spec.selector"):
        said = f"no selector; {plural(len(backend.endpoints.items), 'endpoint')} written by hand"
    else:
        said = f"selector not seen; {plural(len(backend.endpoints.items), 'endpoint')}"
    if backend.headless:
        said += "; headless"
    if text(backend.service, "spec", "sessionAffinity") == "ClientIP":
        said += "; clients stick to one pod (sessionAffinity ClientIP)"
    if backend.publishes_unready:
        said += "; publishes pods that are not ready"
    zones = _hinted_zones(backend)
    if zones:
        said += f"; topology hints: {', '.join(f'{z} {n}' for z, n in zones.items())}"
    return Draft(backend.place, f"svc/{backend.name}", said)


def _hinted_zones(backend: Backend) -> dict[str, int]:
    """Return how many endpoints each zone is hinted to; a zone without any uses all of them."""
    found: dict[str, int] = {}
    for raw in backend.world.slices(backend.namespace, backend.name):
        for endpoint in objects(raw, "endpoints"):
            for zone in objects(endpoint, "hints", "forZones"):
                name = text(zone, "name")
                found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def _policy_draft(trace: Trace, backend: Backend) -> Draft:
    place = backend.policy_place
    listing = backend.world.listing("networkpolicies", backend.namespace)
    if not listing.complete:
        return Draft(place, "networkpolicies", "", listing.why)
    if not backend.pods and policies_of(backend):
        return Draft(place, "networkpolicies", "", "no pod to judge them by", (backend.pods_place, backend.place))
    names = isolated(backend)
    found = list(admissions(backend))
    said = "none isolates the pods" if policies_of(backend) else "none in the namespace"
    if names:
        said = ", ".join(f"networkpolicy/{n}" for n in names)
        if not found and any(p.host_network for p in backend.pods):
            gap = f"{said}: the pods have the node's address, which network plugins treat differently"
            return Draft(place, "networkpolicies", said, gap)
        if not found:
            rows = tuple(backend.port_place(p) for p in backend.ports)
            return Draft(place, "networkpolicies", said, f"{said}: no pod port to judge by", rows)
        said += " admits " if len(names) == 1 else " admit "
        said += "everyone" if all(a.admission.everyone for a in found) else "some peers"
        said += " on " + ", ".join(sorted({f"{a.number}/{a.port.protocol}" for a in found}))
    doubtful = next((c for c in crossings(trace, backend) if not c.allowed and not c.blocked), None)
    if doubtful is not None:
        return Draft(place, "networkpolicies", said, f"{doubtful.words}: cannot be told, {doubtful.decision.why}")
    outside = next((c for c in outside_crossings(trace, backend) if not c.blocked), None)
    if outside is not None:
        cidrs = ", ".join(outside.blocks[:3])
        return Draft(place, "networkpolicies", said, f"whether {cidrs} cover {outside.client.name} is not known")
    unknown = [p.shown for p in unresolved(trace, backend)]
    if unknown:
        return Draft(place, "networkpolicies", said, f"{said}; not evaluated: {', '.join(unknown[:3])}")
    judged = list(dict.fromkeys(p.shown for p in other_policies(backend) if p.ingress))
    if judged:
        said = f"{said}; {', '.join(judged[:3])}"
    return Draft(place, "networkpolicies", said)


def _authorization_draft(backend: Backend) -> Iterator[Draft]:
    listing = backend.world.listing(AUTHORIZATION)
    pod = next(p for p in backend.pods if in_mesh(p))
    policies = policies_on(backend, pod)
    if policies or not listing.complete:
        shown = ", ".join(f"{name_of(p)} ({action_of(p)})" for p in policies[:3])
        gap = "" if listing.complete else listing.why
        port = next((find_port(pod.raw, p.target, p.protocol) for p in backend.ports), None)
        open_rules = rule_on(policies, Caller("a client"), port)
        if policies and open_rules.allowed is None:
            names = ", ".join(f"AuthorizationPolicy/{name_of(p)}" for p in (open_rules.policies or policies)[:2])
            gap = gap or f"not evaluated: {names}: it depends on the request (path, method, token, provider)"
        yield Draft(backend.authorization_place, AUTHORIZATION, shown, gap)


def _mesh_draft(backend: Backend) -> Draft:
    listing = backend.world.listing("peerauthentications")
    if not listing.complete:
        return Draft(backend.mesh_place, "peerauthentications", "", listing.why)
    pod = next(p for p in backend.pods if in_mesh(p))
    numbers = [find_port(pod.raw, port.target, port.protocol) for port in backend.ports] or [None]
    modes = sorted({mode_in_force(backend, pod, number)[1] for number in numbers})
    said = f"mTLS {', '.join(modes)}" + ("; no client outside the mesh is known" if "STRICT" in modes else "")
    return Draft(backend.mesh_place, "peerauthentications", said)
