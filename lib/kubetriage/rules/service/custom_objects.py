"""Reads the custom kinds that lead traffic to Services: what hosts each serves, and which Services it names.

Known by their specification: OpenShift Route (route.openshift.io/v1), Istio VirtualService (networking.istio.io),
Traefik IngressRoute, IngressRouteTCP and IngressRouteUDP (traefik.io/v1alpha1), Contour HTTPProxy
(projectcontour.io/v1). Of any other kind only the references to Services are taken, by the field names in use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kubetriage.records import dataclass, replace
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, mapping, namespace_of, number, objects, text, texts
from kubetriage.values.patterns import lazy


@dataclass(frozen=True)
class ServiceRef:
    """One reference to a Service."""

    at: str
    """Field path, for evidence."""
    namespace: str
    name: str
    port: int | str | None = None
    """Number or name as written; None: the object names none."""
    weight: int = 1
    subset: str = ""
    """Istio: the subset of the destination."""
    host: str = ""
    """Istio: the destination's host as written."""
    pod_port: bool = False
    """The number is the pod's port, not the Service's (OpenShift)."""


@dataclass(frozen=True)
class Links:
    """What one object of a custom kind leads to."""

    hosts: tuple[str, ...] = ()
    services: tuple[ServiceRef, ...] = ()
    secrets: tuple[tuple[str, str, str], ...] = ()
    """(field path, namespace, name) of the TLS Secrets."""
    class_name: str = ""
    """Name of the class that it asks for; empty: none."""


def links_of(raw: Obj) -> Links:
    """Read the hosts, Services, Secrets and class that an object names."""
    group, kind = text(raw, "apiVersion").rpartition("/")[0], text(raw, "kind")
    reader = {
        ("route.openshift.io", "Route"): _openshift_route,
        ("", "Route"): _openshift_route,
        ("networking.istio.io", "VirtualService"): _virtual_service,
        ("projectcontour.io", "HTTPProxy"): _http_proxy,
    }.get((group, kind))
    if reader is None and group.startswith("traefik.") and kind.startswith("IngressRoute"):
        reader = _ingress_route
    return reader(raw) if reader is not None else _any_kind(raw)


def _openshift_route(raw: Obj) -> Links:
    namespace = namespace_of(raw)
    port: Any = raw.get("spec", {}).get("port", {}) if isinstance(raw.get("spec"), Mapping) else {}
    target = port.get("targetPort") if isinstance(port, Mapping) else None
    wanted = target if isinstance(target, int | str) and not isinstance(target, bool) else None
    found = []
    for at, entry in (
        ("spec.to", mapping(raw, "spec", "to")),
        *((f"spec.alternateBackends[{i}]", b) for i, b in enumerate(objects(raw, "spec", "alternateBackends"))),
    ):
        if text(entry, "name") and (text(entry, "kind") or "Service") == "Service":
            weight = number(entry, "weight")
            found.append(
                ServiceRef(
                    at,
                    namespace,
                    text(entry, "name"),
                    wanted,
                    1 if weight is None else weight,
                    pod_port=isinstance(wanted, int),
                )
            )
    hosts = [text(raw, "spec", "host"), *(text(i, "host") for i in objects(raw, "status", "ingress"))]
    external = text(raw, "spec", "tls", "externalCertificate", "name")
    secrets = (("spec.tls.externalCertificate.name", namespace, external),) if external else ()
    return Links(tuple(dict.fromkeys(h for h in hosts if h)), tuple(found), secrets)


_KUBE_DOMAIN = lazy(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.[a-z0-9.-]+)?\Z", re.IGNORECASE)


def mesh_host(host: str, namespace: str) -> tuple[str, str] | None:
    """Return (namespace, Service) that a host of an Istio rule means; None for a name outside the cluster's domain.

    A name without a dot is of the rule's own namespace; ``web.shop`` is taken as it is and means no Service.
    """
    match = _KUBE_DOMAIN.match(host)
    if match:
        return match[2].lower(), match[1].lower()
    return (namespace, host) if host and "." not in host and "*" not in host else None


def _virtual_service(raw: Obj) -> Links:
    namespace = namespace_of(raw)
    found = []
    for protocol in ("http", "tls", "tcp"):
        for i, rule in enumerate(objects(raw, "spec", protocol)):
            for j, route in enumerate(objects(rule, "route")):
                host = text(route, "destination", "host")
                meant = mesh_host(host, namespace)
                weight = number(route, "weight")
                found.append(
                    ServiceRef(
                        f"spec.{protocol}[{i}].route[{j}].destination",
                        meant[0] if meant else "",
                        meant[1] if meant else "",
                        number(route, "destination", "port", "number"),
                        1 if weight is None else weight,
                        text(route, "destination", "subset"),
                        host,
                    )
                )
    return Links(tuple(texts(raw, "spec", "hosts")), tuple(found))


_RULE_HOSTS = lazy(r"Host(?:SNI)?\(([^)]*)\)")
_QUOTED = lazy(r"[`\"']([^`\"']+)[`\"']")


def _ingress_route(raw: Obj) -> Links:
    namespace = namespace_of(raw)
    found, hosts = [], []
    for i, route in enumerate(objects(raw, "spec", "routes")):
        for match in _RULE_HOSTS.finditer(text(route, "match")):
            hosts += _QUOTED.findall(match[1])
        for j, service in enumerate(objects(route, "services")):
            if (text(service, "kind") or "Service") != "Service":
                continue
            weight = number(service, "weight")
            found.append(
                ServiceRef(
                    f"spec.routes[{i}].services[{j}]",
                    text(service, "namespace") or namespace,
                    text(service, "name"),
                    _port(service.get("port")),
                    1 if weight is None else weight,
                )
            )
    secret = text(raw, "spec", "tls", "secretName")
    secrets = (("spec.tls.secretName", namespace, secret),) if secret else ()
    named = text(raw, "metadata", "annotations", "kubernetes.io/ingress.class")
    return Links(tuple(dict.fromkeys(h for h in hosts if h != "*")), tuple(found), secrets, named)


def _http_proxy(raw: Obj) -> Links:
    namespace = namespace_of(raw)
    found = []
    routes = [(f"spec.routes[{i}]", r) for i, r in enumerate(objects(raw, "spec", "routes"))]
    proxy = mapping(raw, "spec", "tcpproxy")
    for at, route in (*routes, *((("spec.tcpproxy", proxy),) if proxy else ())):
        for j, service in enumerate(objects(route, "services")):
            weight = number(service, "weight")
            found.append(
                ServiceRef(
                    f"{at}.services[{j}]",
                    namespace,
                    text(service, "name"),
                    number(service, "port"),
                    1 if weight is None else weight,
                )
            )
    host = text(raw, "spec", "virtualhost", "fqdn")
    secret = text(raw, "spec", "virtualhost", "tls", "secretName")
    where, _, name = secret.rpartition("/")
    secrets = (("spec.virtualhost.tls.secretName", where or namespace, name),) if secret else ()
    annotations = mapping(raw, "metadata", "annotations")
    named = (
        text(raw, "spec", "ingressClassName")
        or text(annotations, "projectcontour.io/ingress.class")
        or text(annotations, "kubernetes.io/ingress.class")
    )
    return Links((host,) if host else (), tuple(found), secrets, named)


# Any other kind.

_DEEPEST = 14
_NODES_AT_MOST = 5000
_SERVICE_KEYS = (
    "service",
    "serviceName",
    "service_name",
    "backendService",
    "serviceRef",
    "backendRef",
    "destination",
    "targetRef",
    "to",
)
_LIST_KEYS = ("services", "backends", "upstreams", "backendRefs", "destinations", "targets", "serviceRefs", "splits")
_HOST_KEYS = ("host", "hostname", "fqdn", "domain", "virtualHost")
_ADDRESS = lazy(
    r"(?:[a-z][a-z0-9+]*://)?([a-z0-9]([a-z0-9-]*[a-z0-9])?)"
    r"(?:\.([a-z0-9]([a-z0-9-]*[a-z0-9])?)(?:\.svc(?:\.[a-z0-9.-]+)?)?)?(?::(\d{1,5}))?(?:/\S*)?\Z"
)


def _any_kind(raw: Obj) -> Links:
    """Collect the Services that an object of an unknown kind names, by the names of its fields."""
    found = tuple(_walk(raw.get("spec"), "spec", namespace_of(raw)))
    hosts: list[str] = []
    for key in _HOST_KEYS:
        if text(raw, "spec", key):
            hosts.append(text(raw, "spec", key))
    for key in ("hosts", "hostnames", "domains"):
        hosts += texts(raw, "spec", key)
    for rule in (*objects(raw, "spec", "rules"), *objects(raw, "spec", "http")):
        hosts += [text(rule, "host")] if text(rule, "host") else []
        hosts += texts(rule, "match", "hosts")
    unique = {(r.namespace, r.name, r.port): r for r in reversed(found)}
    return Links(tuple(dict.fromkeys(hosts)), tuple(reversed(unique.values())))


def _walk(value: Any, at: str, namespace: str) -> Iterator[ServiceRef]:
    pending: list[tuple[Any, str, int]] = [(value, at, 0)]
    seen = 0
    while pending and seen < _NODES_AT_MOST:
        node, where, depth = pending.pop(0)
        seen += 1
        if isinstance(node, Mapping):
            yield from _of_mapping(node, where, namespace)
            if depth < _DEEPEST:
                pending += [(v, f"{where}.{k}", depth + 1) for k, v in node.items() if isinstance(v, Mapping | list)]
        elif isinstance(node, list) and depth < _DEEPEST:
            pending += [(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(node) if isinstance(v, Mapping | list)]


def _of_mapping(node: Mapping[str, Any], at: str, namespace: str) -> Iterator[ServiceRef]:
    own = text(node, "namespace") or namespace
    for key in _SERVICE_KEYS:
        value = node.get(key)
        if isinstance(value, str) and key != "to":
            port = _port(node.get("servicePort") or node.get("port"))
            yield from _address(value, f"{at}.{key}", own, port)
        elif isinstance(value, Mapping) and text(value, "name") and _is_service(value, key):
            port = _port(value.get("port"))
            yield ServiceRef(f"{at}.{key}.name", text(value, "namespace") or own, text(value, "name"), port)
    for key in _LIST_KEYS:
        for i, entry in enumerate(objects(node, key)):
            if text(entry, "name") and not text(entry, "service") and _is_service(entry, key):
                where = text(entry, "namespace") or own
                yield ServiceRef(f"{at}.{key}[{i}].name", where, text(entry, "name"), _port(entry.get("port")))


def _is_service(entry: Obj, key: str) -> bool:
    kind = text(entry, "kind")
    # "to: {name}" and "upstreams: [{name}]" mean anything; they count where they say Service or give a port.
    named = "service" in key.lower() or key in ("backendRef", "backendRefs", "backends", "destination")
    return kind == "Service" if kind else named or _port(entry.get("port")) is not None


def _address(value: str, at: str, namespace: str, port: int | str | None) -> Iterator[ServiceRef]:
    match = _ADDRESS.match(value)
    if match:
        yield ServiceRef(at, match[3] or namespace, match[1], int(match[5]) if match[5] else port)


def _port(value: Any) -> int | str | None:
    """Read a port: a number, a name, or a mapping with ``number`` or ``name``."""
    if isinstance(value, Mapping):
        return number(value, "number") or text(value, "name") or None
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return value if isinstance(value, int) or (isinstance(value, str) and value) else None


def only_to(links: Links, namespace: str, name: str) -> Links:
    """Return the links with only the references to one Service."""
    return replace(links, services=tuple(s for s in links.services if (s.namespace, s.name) == (namespace, name)))
