"""The Routes and Gateways on the way, joined, with what a controller must say of each attachment."""

from __future__ import annotations

from functools import cached_property

from kubetriage.found import Lookup
from kubetriage.model import Ref
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Place, World
from kubetriage.rules.service.gateway_objects import (
    GATEWAY_NAME_LABEL,
    Gateway,
    Listener,
    ParentRef,
    Route,
    RouteBackend,
    granted,
    hostnames_meet,
)
from kubetriage.rules.service.selector_edits import matches_labels
from kubetriage.rules.service.tls_secrets import SecretUse
from kubetriage.values.commands import Command, kubectl
from kubetriage.values.fields import Obj, condition, objects, text

_ENVOY_GATEWAY = "gateway.envoyproxy.io"


@dataclass(frozen=True)
class Attachment:
    """What a parent makes of a route, predicted from both specs."""

    reason: str
    """``Accepted``, ``NoMatchingParent``, ``NotAllowedByListeners``, ``NoMatchingListenerHostname``, or ``Unknown``
    where a part was not seen."""
    listeners: tuple[Listener, ...] = ()
    """Listeners that take the route."""
    why: str = ""
    refusing: tuple[Listener, ...] = ()
    """Listeners that take its kind, but not from its namespace."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One Gateway on the way."""

    world: World
    namespace: str
    name: str

    @cached_property
    def lookup(self) -> Lookup:
        """The Gateway."""
        return self.world.lookup("gateways", self.namespace, self.name)

    @cached_property
    def gateway(self) -> Gateway:
        """The Gateway, or one without anything."""
        return Gateway(self.lookup.obj)

    @property
    def ref(self) -> Ref:
        """Reference to it."""
        return Ref("Gateway", self.namespace, self.name, self.gateway.ref.uid)

    @property
    def shown(self) -> str:
        """``gateway/NAME``."""
        return f"gateway/{self.name}"

    def kubectl(self, *words: str) -> Command:
        """Write a kubectl command in the namespace."""
        return kubectl(*words, namespace=self.namespace)

    @property
    def place(self) -> Place:
        """The row of the Gateway."""
        return Place("Gateway", self.ref)

    @property
    def class_place(self) -> Place:
        """The row of its class."""
        return Place("Gateway", Ref("GatewayClass", "", self.gateway.class_name), f"of {self.namespace}/{self.name}")

    @cached_property
    def class_lookup(self) -> Lookup:
        """Its GatewayClass."""
        return self.world.lookup("gatewayclasses", "", self.gateway.class_name)

    @property
    def class_judged(self) -> bool:
        """Some controller has judged the class (``Accepted`` is True or False), so it runs."""
        return text(condition(self.class_lookup.obj, "Accepted"), "status") in ("True", "False")

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that carry its traffic, as far as they were found."""
        return self.world.selected(self.namespace, {GATEWAY_NAME_LABEL: self.name})

    @property
    def carriers(self) -> tuple[Pod, ...]:
        """The pods that carry its traffic, those of Envoy Gateway too, which run in its own namespace."""
        wanted = {f"{_ENVOY_GATEWAY}/owning-gateway-name": self.name}
        return self.pods or self.world.selected(
            "", {**wanted, f"{_ENVOY_GATEWAY}/owning-gateway-namespace": self.namespace}
        )

    @cached_property
    def secrets(self) -> tuple[SecretUse, ...]:
        """The TLS Secrets of its listeners, with the hosts that each must stand for."""
        found: dict[tuple[str, str], SecretUse] = {}
        for i, listener in enumerate(self.gateway.listeners):
            for namespace, name in listener.certificates:
                key = (namespace or self.namespace, name)
                place = Place("Gateway", Ref("Secret", *key), f"of {self.shown}")
                # A wildcard listener may serve hosts that several certificates share; only an exact one decides.
                hosts = (listener.hostname,) if listener.hostname else ()
                known = found.get(key)
                merged = tuple(dict.fromkeys([*(known.hosts if known else ()), *hosts]))
                found[key] = SecretUse(self.world, place, self.ref, f"spec.listeners[{i}].tls.certificateRefs", merged)
        return tuple(found.values())


@dataclass(frozen=True, eq=False)
class Path:
    """One Route with its parents and backends."""

    world: World
    route: Route
    only: tuple[str, str] | None = None
    """(namespace, name) of the Service whose backendRefs matter; None: all."""

    @property
    def ref(self) -> Ref:
        """Reference to the Route."""
        return self.route.ref

    @property
    def shown(self) -> str:
        """``httproute/NAME``."""
        return f"{self.route.kind.lower()}/{self.route.name}"

    def kubectl(self, *words: str) -> Command:
        """Write a kubectl command in the namespace."""
        return kubectl(*words, namespace=self.route.namespace)

    @property
    def place(self) -> Place:
        """The row of the Route."""
        return Place("Route", self.ref)

    @property
    def parents(self) -> tuple[tuple[ParentRef, Entry], ...]:
        """The Gateways that it attaches to."""
        return tuple((p, Entry(self.world, p.namespace, p.name)) for p in self.route.parents if p.is_gateway)

    @property
    def backends(self) -> tuple[RouteBackend, ...]:
        """The backends that matter for what the user asked."""
        return tuple(b for b in self.route.backends if self.only in (None, (b.namespace, b.name)))

    def is_granted(self, ref: RouteBackend) -> bool | None:
        """Tell whether a backend may be used from here; None when the ReferenceGrants were not seen."""
        if ref.namespace == self.route.namespace:
            return True
        listing = self.world.listing("referencegrants", ref.namespace)
        if granted(listing.items, self.route.kind, self.route.namespace, ref.kind, ref.namespace, ref.name):
            return True
        return False if listing.complete else None

    def attachment(self, parent: ParentRef, entry: Entry) -> Attachment:
        """Predict what a conformant controller says of one parent."""
        if not entry.lookup.found:
            return Attachment("Unknown", why="the Gateway was not seen")
        named = [
            x
            for x in entry.gateway.listeners
            if parent.section in ("", x.name) and (parent.port is None or parent.port == x.port)
        ]
        if not named:
            wanted = f"listener {parent.section}" if parent.section else f"listener on port {parent.port}"
            have = ", ".join(f"{x.name}:{x.port}" for x in entry.gateway.listeners) or "none"
            return Attachment("NoMatchingParent", why=f"{entry.shown} has no {wanted}; it has {have}")
        kinds = [x for x in named if self.route.kind in x.kinds or not x.kinds]
        allowed: list[Listener] = []
        unseen = False
        for listener in kinds:
            verdict = self._namespace_allowed(listener, entry)
            unseen = unseen or verdict is None
            if verdict:
                allowed.append(listener)
        if not allowed:
            if unseen:
                return Attachment("Unknown", why=f"the labels of namespace {self.route.namespace} were not seen")
            return Attachment("NotAllowedByListeners", refusing=tuple(kinds), why=self._not_allowed(named, kinds))
        meeting = [x for x in allowed if self._hostnames_meet(x)]
        if not meeting:
            hosts = ", ".join(sorted({x.hostname or "*" for x in allowed}))
            mine = ", ".join(self.route.hostnames)
            return Attachment("NoMatchingListenerHostname", why=f"the listeners take {hosts}, the route is for {mine}")
        return Attachment("Accepted", tuple(meeting))

    def _hostnames_meet(self, listener: Listener) -> bool:
        return not self.route.hostnames or any(hostnames_meet(listener.hostname, h) for h in self.route.hostnames)

    def _namespace_allowed(self, listener: Listener, entry: Entry) -> bool | None:
        mode = listener.namespaces_from
        if mode == "All":
            return True
        if mode == "Same":
            return self.route.namespace == entry.namespace
        if mode == "Selector":
            have = self.world.namespace_labels(self.route.namespace)
            return None if have is None else matches_labels(listener.namespace_selector, have)
        return False

    def _not_allowed(self, named: list[Listener], kinds: list[Listener]) -> str:
        if not kinds:
            taken = ", ".join(dict.fromkeys(k for x in named for k in x.kinds))
            return f"no listener takes {self.route.kind}, only {taken or 'other kinds'}"
        return "; ".join(f"listener {x.name} takes Routes of {x.namespaces_text}" for x in kinds)


def controller_says(statuses: tuple[Obj, ...], kind: str) -> Obj:
    """Return the worst condition of a type that any controller wrote about one parent."""
    found = [c for s in statuses for c in objects(s, "conditions") if text(c, "type") == kind]
    return next((c for c in found if text(c, "status") == "False"), found[0] if found else {})
