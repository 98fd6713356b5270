"""Finds the ways that a target stands for: which Services, Ingresses, Routes and Gateways belong to a trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from kubetriage.model import Ref
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Options, Trace
from kubetriage.rules.service.cluster_view import Backend, World
from kubetriage.rules.service.custom_entrances import CustomEntrance, custom_entrances, customs_to, parts_of
from kubetriage.rules.service.external_names import follow, in_cluster_target
from kubetriage.rules.service.gateway_objects import ROUTE_KINDS, Route, hostnames_meet
from kubetriage.rules.service.gateway_routes import Entry, Path
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.ingress_objects import Ingress, best_path, path_matches
from kubetriage.rules.service.mesh_gateways import MeshGateway, mesh_gateways_of
from kubetriage.rules.service.selector_edits import selector_edit, selects
from kubetriage.values.fields import Obj, labels, mapping, name_of, namespace_of, text
from kubetriage.values.resources import BY_PLURAL

_NEAR = 3
"""Cost of an edit up to which a Service that selects nothing may be meant for a pod."""


@dataclass(frozen=True)
class Address:
    """What the user typed as a URL or host."""

    host: str
    path: str
    port: int | None = None

    @property
    def in_cluster(self) -> tuple[str, str] | None:
        """(namespace, Service) when it is a name of the cluster's DNS."""
        return in_cluster_target(self.host)

    def short(self, namespace: str) -> tuple[str, str] | None:
        """Return (namespace, Service) when a pod of ``namespace`` may mean a Service by it (``web``, ``web.shop``)."""
        name, _, rest = self.host.partition(".")
        return (rest or namespace, name) if name and "." not in rest else None


def read_address(words: str) -> Address:
    """Read ``https://host:port/path``, ``host:port/path`` or ``host``; the scheme is not needed."""
    try:
        parts = urlsplit(words if "://" in words else f"//{words}")
        return Address(parts.hostname or "", parts.path or "/", parts.port)
    except ValueError:
        return Address("", "/")


def all_routes(world: World, namespace: str = "") -> Iterator[Route]:
    """Yield the Routes of the Gateway API that were read."""
    for plural, kind in ROUTE_KINDS.items():
        for raw in world.listing(plural, namespace).items:
            yield Route(raw, kind)


def gateways_of(routes: Iterable[Path]) -> tuple[Entry, ...]:
    """Return the Gateways that routes attach to, each once."""
    found = {(e.namespace, e.name): e for r in routes for _, e in r.parents}
    return tuple(found.values())


def entrances_to(world: World, backend: Backend) -> tuple[Entrance, ...]:
    """Return the Ingresses that lead to a Service, for the paths that do."""
    found = (Ingress(raw) for raw in world.listing("ingresses", backend.namespace).items)
    return tuple(Entrance(world, i, only=backend.name) for i in found if backend.name in i.services)


def routes_to(world: World, backend: Backend) -> tuple[Path, ...]:
    """Return the Routes that lead to a Service, for the backends that do."""
    key = (backend.namespace, backend.name)
    return tuple(
        Path(world, r, key)
        for r in all_routes(world)
        if any(b.is_service and (b.namespace, b.name) == key for b in r.backends)
    )


def service_trace(world: World, namespace: str, name: str, options: Options) -> Trace:
    """Trace a Service, and what leads to it."""
    backend = world.backend(namespace, name)
    chain, _ = follow(backend)
    backends = tuple(dict.fromkeys(chain)) if backend.is_external else (backend,)
    routes = routes_to(world, backend)
    return Trace(
        world,
        backend.ref,
        backends,
        options,
        entrances_to(world, backend),
        routes,
        gateways_of(routes),
        customs_to(world, backend),
    )


def ingress_trace(world: World, ingress: Ingress, options: Options, wanted: Address | None = None) -> Trace:
    """Trace an Ingress down to the pods of its backends."""
    request = (wanted.host, wanted.path) if wanted is not None else None
    entrance = Entrance(world, ingress, request)
    found = (entrance.backend(p) for p in entrance.paths)
    return Trace(world, ingress.ref, _each_once(found), options, (entrance,))


def route_trace(world: World, route: Route, options: Options) -> Trace:
    """Trace a Route down to the pods of its backends, and up to its Gateways."""
    path = Path(world, route)
    found = (world.backend(b.namespace, b.name) for b in path.backends if b.is_service)
    return Trace(world, route.ref, _each_once(found), options, (), (path,), gateways_of((path,)))


def custom_trace(world: World, entrance: CustomEntrance, options: Options) -> Trace:
    """Trace an object of a custom kind down to the pods of the Services that it names."""
    customs = (entrance, *parts_of(world, entrance))
    found = _each_once(backend for c in customs for _, backend in c.backends)
    return Trace(world, entrance.ref, found, options, customs=customs)


def mesh_gateway_trace(world: World, gateway: MeshGateway, options: Options) -> Trace:
    """Trace an Istio Gateway, and the VirtualServices that bind to it."""
    key = (gateway.namespace, gateway.name)
    customs = tuple(
        c for c in custom_entrances(world) if any((g.namespace, g.name) == key for _, g in mesh_gateways_of(world, c))
    )
    found = _each_once(backend for c in customs for _, backend in c.backends)
    return Trace(world, gateway.ref, found, options, customs=customs, asked_gateway=gateway)


def gateway_trace(world: World, namespace: str, name: str, options: Options) -> Trace:
    """Trace a Gateway, and the Routes that attach to it."""
    entry = Entry(world, namespace, name)
    routes = tuple(
        Path(world, r)
        for r in all_routes(world)
        if any(p.is_gateway and (p.namespace, p.name) == (namespace, name) for p in r.parents)
    )
    found = (world.backend(b.namespace, b.name) for r in routes for b in r.backends if b.is_service)
    return Trace(world, entry.ref, _each_once(found), options, (), routes, (entry,))


def pod_of(resource: str, raw: Obj) -> Pod:
    """Return a pod, or the one that a workload's template makes, under the workload's name."""
    if resource == "pods":
        return Pod(raw)
    known = mapping(raw, "metadata")
    template = mapping(raw, "spec", "template")
    metadata = {"namespace": text(known, "namespace"), "name": text(known, "name"), "uid": text(known, "uid")}
    return Pod({**template, "metadata": {**mapping(template, "metadata"), **metadata}})


def pod_trace(world: World, pod: Pod, options: Options, resource: str = "pods") -> Trace:
    """Trace every way that should end at a pod, or at those of a workload (:func:`pod_of`)."""
    backends = services_for(world, pod)
    entrances = tuple(e for b in backends for e in entrances_to(world, b))
    routes = tuple(r for b in backends for r in routes_to(world, b))
    customs = tuple(c for b in backends for c in customs_to(world, b))
    target = Ref(BY_PLURAL[resource].kind, pod.namespace, pod.name, pod.uid)
    return Trace(world, target, backends, options, entrances, routes, gateways_of(routes), customs)


def services_for(world: World, pod: Pod) -> tuple[Backend, ...]:
    """Return the Services that select a pod; without any, those that select nothing and come near to it."""
    known = world.listing("services", pod.namespace).items
    exact = [s for s in known if selects(labels(s, "spec", "selector"), pod.labels)]
    near = []
    if not exact:
        for service in known:
            edit = selector_edit(labels(service, "spec", "selector"), pod.labels)
            backend = world.backend(pod.namespace, name_of(service))
            if edit is not None and edit.cost <= _NEAR and not backend.all_pods:
                near.append(service)
    return tuple(world.backend(namespace_of(s), name_of(s)) for s in (exact or near))


def address_trace(world: World, address: Address, options: Options, namespace: str) -> Trace | None:
    """Trace what serves a URL: an Ingress or Route, or a Service by its name; None when nothing that was read does."""
    if address.in_cluster is not None:
        return service_trace(world, *address.in_cluster, options)
    entrance = _entrance_for(world, address, options)
    short = address.short(namespace)
    if entrance is None and short is not None and world.lookup("services", *short).found:
        return service_trace(world, *short, options)
    return entrance


def missing_port(address: Address, trace: Trace) -> str:
    """Say that a Service that was named by a URL does not have the URL's port; empty when it does, or may."""
    if address.port is None or trace.target.kind != "Service" or not trace.services:
        return ""
    backend = trace.services[0]
    if backend.headless or backend.is_external or backend.port_numbered(address.port) is not None:
        return ""
    have = ", ".join(map(str, backend.ports)) or "none"
    return f"svc/{backend.name} in namespace {backend.namespace} has no port {address.port}, only {have}"


def _entrance_for(world: World, address: Address, options: Options) -> Trace | None:
    ingresses = [Ingress(raw) for raw in world.listing("ingresses").items]
    best = best_path(((i, p) for i in ingresses for p in i.paths if p.kind != "Default"), address.host, address.path)
    if best is not None:
        return ingress_trace(world, best[0], options, address)
    for route in all_routes(world):
        hosts = route.hostnames or tuple(
            x.hostname for p in route.parents for x in Entry(world, p.namespace, p.name).gateway.listeners
        )
        if any(h and hostnames_meet(h, address.host) for h in hosts) and any(
            kind == "RegularExpression" or path_matches(value, "Exact" if kind == "Exact" else "Prefix", address.path)
            for kind, value in route.paths
        ):
            return route_trace(world, route, options)
    for custom in custom_entrances(world):
        if any(_covers(h, address.host) for h in custom.all_links.hosts):
            return custom_trace(world, custom, options)
    return None


def _covers(host: str, asked: str) -> bool:
    return host.lower() == asked.lower() or (host.startswith("*.") and asked.lower().endswith(host[1:].lower()))


def _each_once(found: Iterable[Backend | None]) -> tuple[Backend, ...]:
    return tuple(dict.fromkeys(b for b in found if b is not None))
