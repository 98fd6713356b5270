"""Reads Gateway API objects, and predicts from their specs what a controller must say of them.

gateway.networking.k8s.io/v1: GatewayClass, Gateway, HTTPRoute, GRPCRoute, ReferenceGrant (v1beta1 too).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from kubetriage.records import dataclass
from kubetriage.rules.service.selector_edits import selector_text
from kubetriage.values.apiobject import ApiObject
from kubetriage.values.fields import Obj, condition, dig, mapping, namespace_of, number, objects, text, texts

GROUP = "gateway.networking.k8s.io"
GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"
"""Implementations put it on the pods that they run for a Gateway (GEP-1762)."""
ROUTE_KINDS = {
    "httproutes": "HTTPRoute",
    "grpcroutes": "GRPCRoute",
    "tlsroutes": "TLSRoute",
    "tcproutes": "TCPRoute",
    "udproutes": "UDPRoute",
}
_PROTOCOL_KINDS = {
    "HTTP": ("HTTPRoute", "GRPCRoute"),
    "HTTPS": ("HTTPRoute", "GRPCRoute"),
    "TLS": ("TLSRoute", "TCPRoute"),
    "TCP": ("TCPRoute",),
    "UDP": ("UDPRoute",),
}
"""Route kinds that a listener takes unless allowedRoutes.kinds says otherwise (SupportedKinds of the spec)."""


@dataclass(frozen=True)
class Listener:
    """One listener of a Gateway, with its status."""

    raw: Obj
    status: Obj

    @property
    def name(self) -> str:
        """``name``."""
        return text(self.raw, "name")

    @property
    def port(self) -> int | None:
        """``port``."""
        return number(self.raw, "port")

    @property
    def protocol(self) -> str:
        """``protocol``."""
        return text(self.raw, "protocol")

    @property
    def hostname(self) -> str:
        """``hostname``; empty: every host."""
        return text(self.raw, "hostname")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Route kinds that it takes."""
        given = tuple(text(k, "kind") for k in objects(self.raw, "allowedRoutes", "kinds"))
        return given or _PROTOCOL_KINDS.get(self.protocol, ())

    @property
    def namespaces_from(self) -> str:
        """``allowedRoutes.namespaces.from``, default Same."""
        return text(self.raw, "allowedRoutes", "namespaces", "from") or "Same"

    @property
    def namespace_selector(self) -> Obj:
        """``allowedRoutes.namespaces.selector``; it is about labels of the namespace, not of the route."""
        return mapping(self.raw, "allowedRoutes", "namespaces", "selector")

    @property
    def namespaces_text(self) -> str:
        """The namespaces that it takes Routes from, in words."""
        if self.namespaces_from == "Selector":
            return f"namespaces with {selector_text(self.namespace_selector)} only"
        return {"All": "all namespaces", "Same": "the Gateway's own namespace only"}.get(
            self.namespaces_from, "no namespace"
        )

    @property
    def certificates(self) -> tuple[tuple[str, str], ...]:
        """(namespace or empty, name) of the Secrets it terminates TLS with."""
        if text(self.raw, "tls", "mode") == "Passthrough":
            return ()
        return tuple(
            (text(r, "namespace"), text(r, "name"))
            for r in objects(self.raw, "tls", "certificateRefs")
            if (text(r, "kind") or "Secret") == "Secret" and not text(r, "group")
        )

    def condition(self, kind: str) -> Obj:
        """Return a condition of its status."""
        return condition({"status": self.status}, kind)


@dataclass(frozen=True)
class Gateway(ApiObject):
    """One Gateway."""

    raw: Obj
    kind = "Gateway"

    @property
    def class_name(self) -> str:
        """``spec.gatewayClassName``."""
        return text(self.raw, "spec", "gatewayClassName")

    @cached_property
    def listeners(self) -> tuple[Listener, ...]:
        """Its listeners."""
        status = {text(s, "name"): s for s in objects(self.raw, "status", "listeners")}
        return tuple(Listener(raw, status.get(text(raw, "name"), {})) for raw in objects(self.raw, "spec", "listeners"))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Published addresses."""
        return tuple(text(a, "value") for a in objects(self.raw, "status", "addresses"))

    @property
    def stale(self) -> bool:
        """Its status is about an older generation of the spec."""
        return is_stale(self.raw, objects(self.raw, "status", "conditions"))


def is_stale(obj: Obj, conditions: Iterable[Obj]) -> bool:
    """Tell whether conditions were written for an older generation."""
    generation = number(obj, "metadata", "generation")
    seen = [g for c in conditions if (g := number(c, "observedGeneration")) is not None]
    return generation is not None and bool(seen) and max(seen) < generation


@dataclass(frozen=True)
class ParentRef:
    """One entry of ``spec.parentRefs``."""

    at: str
    group: str
    kind: str
    namespace: str
    name: str
    section: str = ""
    port: int | None = None

    @property
    def is_gateway(self) -> bool:
        """It names a Gateway (the API server defaults group and kind; manifests may leave them out)."""
        return self.group == GROUP and self.kind == "Gateway"


@dataclass(frozen=True)
class RouteBackend:
    """One entry of ``rules[].backendRefs``."""

    at: str
    group: str
    kind: str
    namespace: str
    name: str
    port: int | None
    weight: int

    @property
    def is_service(self) -> bool:
        """It names a Service."""
        return self.group == "" and self.kind == "Service"

    @property
    def shown(self) -> str:
        """``svc/NAME:PORT``, or ``KIND/NAME`` of another backend."""
        if not self.is_service:
            return f"{self.kind}/{self.name}"
        return f"svc/{self.name}" + (f":{self.port}" if self.port is not None else "")


@dataclass(frozen=True)
class Route(ApiObject):
    """One Route of any kind."""

    raw: Obj
    kind: str

    @property
    def hostnames(self) -> tuple[str, ...]:
        """``spec.hostnames``; none: those of the listener."""
        return tuple(texts(self.raw, "spec", "hostnames"))

    @cached_property
    def parents(self) -> tuple[ParentRef, ...]:
        """``spec.parentRefs``."""
        return tuple(
            ParentRef(
                f"spec.parentRefs[{i}]",
                text(p, "group") if isinstance(p.get("group"), str) else GROUP,
                text(p, "kind") or "Gateway",
                text(p, "namespace") or self.namespace,
                text(p, "name"),
                text(p, "sectionName"),
                number(p, "port"),
            )
            for i, p in enumerate(objects(self.raw, "spec", "parentRefs"))
        )

    @cached_property
    def backends(self) -> tuple[RouteBackend, ...]:
        """All backendRefs of all rules."""
        return tuple(
            RouteBackend(
                f"spec.rules[{i}].backendRefs[{j}]",
                text(b, "group"),
                text(b, "kind") or "Service",
                text(b, "namespace") or self.namespace,
                text(b, "name"),
                number(b, "port"),
                w if (w := number(b, "weight")) is not None else 1,
            )
            for i, rule in enumerate(objects(self.raw, "spec", "rules"))
            for j, b in enumerate(objects(rule, "backendRefs"))
        )

    @property
    def paths(self) -> tuple[tuple[str, str], ...]:
        """(type, value) of all path matches; without any the route serves every path."""
        found = []
        for rule in objects(self.raw, "spec", "rules"):
            matches = objects(rule, "matches")
            if not matches:
                found.append(("PathPrefix", "/"))
            for match in matches:
                found.append((text(match, "path", "type") or "PathPrefix", text(match, "path", "value") or "/"))
        return tuple(found)

    def parent_status(self, parent: ParentRef) -> tuple[Obj, ...]:
        """Return the entries of ``status.parents`` about one parent, one for each controller."""
        return tuple(
            s
            for s in objects(self.raw, "status", "parents")
            if text(s, "parentRef", "name") == parent.name
            and (text(s, "parentRef", "namespace") or self.namespace) == parent.namespace
            and text(s, "parentRef", "sectionName") == parent.section
        )


def hostnames_meet(listener: str, route: str) -> bool:
    """Tell whether the hostnames of a listener and a route have one in common.

    Here ``*.x`` stands for any depth of names below x, not for x itself, unlike an Ingress's wildcard.
    """
    one, other = listener.lower().rstrip("."), route.lower().rstrip(".")
    if not one or not other or one == other:
        return True
    wild_one, wild_other = one.startswith("*."), other.startswith("*.")
    if wild_one and wild_other:
        return one[1:].endswith(other[1:]) or other[1:].endswith(one[1:])
    if wild_one:
        return other.endswith(one[1:])
    if wild_other:
        return one.endswith(other[1:])
    return False


def granted(
    grants: Iterable[Obj], kind: str, from_namespace: str, to_kind: str, to_namespace: str, to_name: str
) -> bool:
    """Tell whether a ReferenceGrant in the target's namespace allows a reference.

    ``from`` and ``to`` must stand in the same object.
    """
    for grant in grants:
        if namespace_of(grant) != to_namespace:
            continue
        allowed_from = any(
            text(f, "group") == GROUP and text(f, "kind") == kind and text(f, "namespace") == from_namespace
            for f in objects(grant, "spec", "from")
        )
        allowed_to = any(
            text(t, "group") in ("", "core") and text(t, "kind") == to_kind and dig(t, "name") in (None, "", to_name)
            for t in objects(grant, "spec", "to")
        )
        if allowed_from and allowed_to:
            return True
    return False


def grant_yaml(kind: str, from_namespace: str, to_kind: str, to_namespace: str, to_name: str) -> str:
    """Write the ReferenceGrant that allows a reference, as YAML flow that may stand in single quotes."""
    return (
        f"{{apiVersion: {GROUP}/v1beta1, kind: ReferenceGrant, metadata: {{name: allow-{from_namespace}, namespace: "
        f"{to_namespace}}}, spec: {{from: [{{group: {GROUP}, kind: {kind}, namespace: {from_namespace}}}], "
        f'to: [{{group: "", kind: {to_kind}, name: {to_name}}}]}}}}'
    )


def bad_condition(listener: Listener) -> tuple[Obj, str]:
    """Return the condition that says why a listener does not work, with its bad status; an empty one where none does.

    Programmed only says that one of the others is wrong.
    """
    for kind, bad in (
        ("Conflicted", "True"),
        ("ResolvedRefs", "False"),
        ("Accepted", "False"),
        ("Programmed", "False"),
    ):
        found = listener.condition(kind)
        if text(found, "status") == bad:
            return found, bad
    return {}, ""
