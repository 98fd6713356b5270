"""The objects of custom kinds on the way (OpenShift, Istio, Traefik, Contour, others), joined with their Services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property

from kubetriage.data import table
from kubetriage.model import Ref
from kubetriage.needs import Raw
from kubetriage.readers.api_discovery import ServedKind, is_no_entrance, is_traffic_kind, traffic_kinds
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend, Place, World
from kubetriage.rules.service.custom_objects import Links, ServiceRef, links_of, mesh_host, only_to
from kubetriage.rules.service.entrance_controllers import controller_of_group, is_controller
from kubetriage.rules.service.named_kinds import ROUTER_PLURALS
from kubetriage.rules.service.service_endpoints import ServicePort
from kubetriage.rules.service.tls_secrets import SecretUse
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import Command, kubectl
from kubetriage.values.fields import Obj, name_of, namespace_of, objects, text, uid_of
from kubetriage.values.resources import BY_PLURAL

ROUTER_NAMESPACE = "openshift-ingress"
ROUTER_LABEL = "ingresscontroller.operator.openshift.io/deployment-ingresscontroller"
"""Where OpenShift's routers run, and a label of their pods."""
_JUDGED = {(BY_PLURAL[p].group, BY_PLURAL[p].kind) for p in ROUTER_PLURALS} | {("", "Route")}


@dataclass(frozen=True, eq=False)
class CustomEntrance:
    """One object of a custom kind that leads to Services."""

    world: World
    raw: Obj
    only: tuple[str, str] | None = None
    """(namespace, name) of the Service whose references matter; None: all."""

    @property
    def group(self) -> str:
        """API group."""
        return text(self.raw, "apiVersion").rpartition("/")[0]

    @property
    def kind(self) -> str:
        """Kubernetes kind."""
        return text(self.raw, "kind")

    @property
    def namespace(self) -> str:
        """``metadata.namespace``."""
        return namespace_of(self.raw)

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return name_of(self.raw)

    @property
    def judged(self) -> bool:
        """The rules know the kind; of any other only conditions and references are read."""
        return (self.group, self.kind) in _JUDGED

    @property
    def is_traefik(self) -> bool:
        """It is one of Traefik's kinds."""
        return self.group.startswith("traefik.")

    @property
    def ref(self) -> Ref:
        """Reference to it."""
        return Ref(self.kind, self.namespace, self.name, uid_of(self.raw))

    @property
    def shown(self) -> str:
        """``virtualservice/NAME``."""
        return f"{self.kind.lower()}/{self.name}"

    @property
    def typed(self) -> str:
        """``virtualservice.networking.istio.io``: what kubectl takes for the kind without doubt."""
        return f"{self.kind.lower()}.{self.group}" if self.group else self.kind.lower()

    def kubectl(self, *words: str) -> Command:
        """Write a kubectl command in the namespace."""
        return kubectl(*words, namespace=self.namespace)

    @property
    def place(self) -> Place:
        """The row of it."""
        return Place("Route", self.ref)

    @cached_property
    def controller_pods(self) -> tuple[Pod, ...]:
        """Pods of the controller of its API group, as far as they were found."""
        known = controller_of_group(self.group)
        if known is None:
            return ()
        return self.world.kept(
            ("controller pods of a group", known.controller),
            lambda: tuple(p for p in self.world.pods("") if is_controller(p, "", known)),
        )

    @property
    def carriers(self) -> tuple[Pod, ...]:
        """The pods that connect to its backends, as far as they were found: Contour's are the envoys."""
        if self.group == "projectcontour.io":
            return self.world.selected("", {"app.kubernetes.io/component": "envoy"})
        if (self.group, self.kind) in (("route.openshift.io", "Route"), ("", "Route")):
            return tuple(p for p in self.world.pods(ROUTER_NAMESPACE) if ROUTER_LABEL in p.labels)
        return self.controller_pods if self.is_traefik else ()

    @cached_property
    def all_links(self) -> Links:
        """All that it names."""
        return links_of(self.raw)

    @cached_property
    def links(self) -> Links:
        """What it names, of the Services only those that matter for what the user asked."""
        return self.all_links if self.only is None else only_to(self.all_links, *self.only)

    @cached_property
    def backends(self) -> tuple[tuple[ServiceRef, Backend], ...]:
        """The references with their Services.

        What an unknown kind seems to name counts only where such a Service exists.
        """
        found = ((r, self.world.backend(r.namespace, r.name)) for r in self.links.services if r.name)
        return tuple((r, b) for r, b in found if self.judged or b.lookup.found)

    @cached_property
    def secrets(self) -> tuple[SecretUse, ...]:
        """The TLS Secrets that it names."""
        hosts = self.all_links.hosts
        return tuple(
            SecretUse(self.world, Place("Route", Ref("Secret", where, name), f"of {self.shown}"), self.ref, at, hosts)
            for at, where, name in self.all_links.secrets
        )

    @cached_property
    def includes(self) -> tuple[tuple[str, str, str], ...]:
        """The other HTTPProxies that this one includes: (field path, namespace, name)."""
        if self.kind != "HTTPProxy":
            return ()
        found = enumerate(objects(self.raw, "spec", "includes"))
        return tuple((f"spec.includes[{i}]", text(e, "namespace") or self.namespace, text(e, "name")) for i, e in found)

    def redirects(self, namespace: str, name: str) -> bool:
        """Tell whether it rules the requests of mesh clients to a Service, wherever it sends them."""
        if self.kind != "VirtualService":
            return False
        return any(mesh_host(h, self.namespace) == (namespace, name) for h in self.all_links.hosts)


def port_of(ref: ServiceRef, backend: Backend) -> ServicePort | None:
    """Return the Service port that a reference means; None when it has none such, or the only one is not told."""
    if ref.port is None:
        return backend.ports[0] if len(backend.ports) == 1 else None
    for port in backend.ports:
        if ref.pod_port and (port.target == ref.port or port.port == ref.port):
            return port
        if not ref.pod_port and (port.port == ref.port if isinstance(ref.port, int) else port.name == ref.port):
            return port
    if ref.pod_port:
        # The router looks the number up among the endpoints' ports.
        return next((c.port for c in backend.counts if ref.port in c.numbers), None)
    return None


def custom_entrances(world: World, namespace: str = "") -> Iterator[CustomEntrance]:
    """Yield every object of a custom kind that was read and may lead traffic to a Service."""
    for plural in ROUTER_PLURALS:
        for raw in world.listing(plural, namespace).items:
            yield CustomEntrance(world, raw)
    for raw in other_objects(world):
        if namespace in ("", namespace_of(raw)):
            yield CustomEntrance(world, raw)


def customs_to(world: World, backend: Backend) -> tuple[CustomEntrance, ...]:
    """Return the objects of custom kinds that lead to a Service, or rule the requests to it."""
    key = (backend.namespace, backend.name)
    found = []
    for entrance in custom_entrances(world):
        named = any((s.namespace, s.name) == key for s in entrance.all_links.services)
        if named:
            found.append(CustomEntrance(world, entrance.raw, key))
        elif entrance.redirects(*key):
            found.append(entrance)
    parts = {(c.namespace, c.name) for c in found if c.kind == "HTTPProxy"}
    roots = (c for c in custom_entrances(world) if parts & {(space, name) for _, space, name in c.includes})
    return (*found, *(CustomEntrance(world, c.raw, key) for c in roots if (c.namespace, c.name) not in parts))


def parts_of(world: World, entrance: CustomEntrance) -> tuple[CustomEntrance, ...]:
    """Return the HTTPProxies that one includes, and those that they include, as far as they were read."""
    found: dict[tuple[str, str], CustomEntrance] = {}
    pending = [entrance]
    while pending and len(found) < _PARTS_AT_MOST:
        for _, space, name in pending.pop().includes:
            raw = world.lookup("httpproxies", space, name).obj
            if raw and (space, name) not in found:
                found[space, name] = CustomEntrance(world, raw)
                pending.append(found[space, name])
    return tuple(found.values())


_PARTS_AT_MOST = 50


def other_objects(world: World) -> tuple[Obj, ...]:
    """Return the objects of kinds without a table entry: of a dump, and of the kinds that were listed live."""

    def collect() -> tuple[Obj, ...]:
        found = [o for o in world.snapshot.others if _may_lead(o)]
        listed, _ = traffic_kinds(world.snapshot)
        for kind in listed:
            found += objects_of_kind(world.snapshot, kind)
        unique = {(text(o, "apiVersion"), text(o, "kind"), namespace_of(o), name_of(o)): o for o in found}
        return tuple(unique.values())

    return world.kept("other custom objects", collect)


def objects_of_kind(snapshot: Snapshot, kind: ServedKind) -> Iterator[Obj]:
    """Yield the objects of one custom kind that were read by its own paths."""
    tail = f"/{kind.plural}"
    for path in snapshot.tried_paths():
        if path.startswith(f"/apis/{kind.group}/{kind.version}/") and (
            path.partition("?")[0].endswith(tail) or f"{tail}/" in path
        ):
            yield from _items(snapshot, path, kind)


def _may_lead(raw: Obj) -> bool:
    """Tell whether an object of a dump may be an entrance: of any kind that is not known to name Services otherwise."""
    group, kind = text(raw, "apiVersion").rpartition("/")[0], text(raw, "kind")
    return is_traffic_kind(group, kind) or not is_no_entrance(group, kind)


def _items(snapshot: Snapshot, path: str, kind: ServedKind) -> Iterator[Obj]:
    """Read the body of a list of a custom kind, or of one object."""
    body = snapshot.body(path)
    try:
        answer = json.loads(body.text) if body is not None and body.status == 200 else {}
    except ValueError:
        return
    items = objects(answer, "items") if isinstance(answer, dict) and "items" in answer else [answer]
    for item in items:
        if isinstance(item, dict) and name_of(item):
            yield {"apiVersion": f"{kind.group}/{kind.version}", "kind": kind.kind, **item}


def find_custom(world: World, namespace: str, word: str, name: str, kind: ServedKind | None) -> CustomEntrance | None:
    """Return the object that TYPE and NAME of an unknown kind mean; None when none was read."""
    if kind is not None:
        for raw in _items(world.snapshot, kind.path(namespace, name), kind):
            return CustomEntrance(world, raw)
    head, _, group = word.lower().partition(".")
    for raw in world.snapshot.others:
        own = text(raw, "kind").lower()
        plurals = (own, f"{own}s", f"{own}es", f"{own[:-1]}ies", *_short_names(raw))
        same = namespace_of(raw) in (namespace, "") and name_of(raw) == name
        if same and head in plurals and text(raw, "apiVersion").startswith(group):
            return CustomEntrance(world, raw)
    return None


def _short_names(raw: Obj) -> Iterator[str]:
    """Yield the short names of a kind that live discovery would tell (``ksvc``)."""
    group, kind = text(raw, "apiVersion").rpartition("/")[0], text(raw, "kind")
    for row in table("traffic_kinds")["entrances"]:
        if (row["group"], row["kind"]) == (group, kind):
            yield from row.get("short", ())


def kind_need(kind: ServedKind, namespace: str, name: str = "") -> Raw:
    """Ask for one object of a custom kind, or (without a name) for those of a namespace."""
    return Raw(kind.path(namespace, name))
