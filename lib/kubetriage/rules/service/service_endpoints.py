"""Service ports, how each pod resolves them, and the endpoints that serve them.

This follows the endpoint slice controller (``k8s.io/endpointslice`` ``utils.go``: FindPort, getEndpointPorts,
podToEndpoint) and kube-proxy (``pkg/proxy/topology.go``: CategorizeEndpoints). containerPort is documentation: a
number is used as it is, whether or not a container declares it; only a name must be found in the pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple  # noqa: TID251  a plain class would take a scan more memory

from kubetriage.records import dataclass
from kubetriage.typed import Literal
from kubetriage.values.fields import Obj, condition, dig, flag, mapping, name_of, number, objects, text, texts, uid_of

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class ServicePort:
    """One entry of ``spec.ports`` of a Service."""

    name: str
    """Empty for the only, unnamed port."""
    protocol: str
    port: int
    target: int | str
    """Number or name of the port on the pod; the API defaults it to ``port``."""
    node_port: int = 0
    app_protocol: str = ""

    def __str__(self) -> str:
        """Write it as kubectl does (``http 80/TCP``)."""
        return f"{self.name} {self.port}/{self.protocol}".strip()


def service_ports(service: Obj) -> tuple[ServicePort, ...]:
    """Read ``spec.ports``; an entry without a port number is left out."""
    found = []
    for raw in objects(service, "spec", "ports"):
        port = number(raw, "port")
        if port is None:
            continue
        target: int | str = number(raw, "targetPort") or text(raw, "targetPort") or port
        found.append(
            ServicePort(
                text(raw, "name"),
                text(raw, "protocol") or "TCP",
                port,
                target,
                number(raw, "nodePort") or 0,
                text(raw, "appProtocol"),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class DeclaredPort:
    """One entry of ``ports`` of a container."""

    container: str
    name: str
    protocol: str
    number: int
    kind: Literal["app", "sidecar", "init"]

    def __str__(self) -> str:
        """Write it for people (``http 8080/TCP``)."""
        return f"{self.name} {self.number}/{self.protocol}".strip()


def declared_ports(pod: Obj) -> tuple[DeclaredPort, ...]:
    """Return the ports that the containers of a pod or pod template declare, in the order of resolution.

    Containers first, then native sidecars (init containers with restartPolicy Always), then plain init
    containers, which never count for a Service.
    """
    return tuple(_declared(pod))


def _declared(pod: Obj) -> Iterator[DeclaredPort]:
    initial = objects(pod, "spec", "initContainers")
    groups: tuple[tuple[Literal["app", "sidecar", "init"], list[Obj]], ...] = (
        ("app", objects(pod, "spec", "containers")),
        ("sidecar", [c for c in initial if text(c, "restartPolicy") == "Always"]),
        ("init", [c for c in initial if text(c, "restartPolicy") != "Always"]),
    )
    for kind, containers in groups:
        for container in containers:
            for port in objects(container, "ports"):
                value = number(port, "containerPort")
                if value is not None:
                    yield DeclaredPort(
                        text(container, "name"), text(port, "name"), text(port, "protocol") or "TCP", value, kind
                    )


def find_port(pod: Obj, target: int | str, protocol: str) -> int | None:
    """Resolve a targetPort in one pod as the endpoint controllers do; None when the pod has no such name."""
    if isinstance(target, int):
        return target
    for port in declared_ports(pod):
        if port.kind != "init" and port.name == target and port.protocol == protocol:
            return port.number
    return None


def probed_ports(pod: Obj) -> tuple[tuple[str, str, int], ...]:
    """Return (container, probe, port number) of each readiness, liveness and startup probe that names a port."""
    found = []
    for container in (*objects(pod, "spec", "containers"), *objects(pod, "spec", "initContainers")):
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            for action in ("httpGet", "tcpSocket", "grpc"):
                value = dig(container, probe, action, "port")
                if isinstance(value, str):
                    # Probes look the name up in their own container only (pkg/probe ResolveContainerPort).
                    named = (p for p in objects(container, "ports") if text(p, "name") == value)
                    value = next((number(p, "containerPort") for p in named), None)
                if isinstance(value, int) and not isinstance(value, bool):
                    found.append((text(container, "name"), probe, value))
    return tuple(found)


@dataclass(frozen=True)
class EndpointPort:
    """One port of a slice."""

    name: str
    protocol: str
    number: int | None
    """None: every port, in a hand-made slice."""


class Endpoint(NamedTuple):
    """One address behind a Service."""

    address: str
    family: str
    """``IPv4``, ``IPv6`` or ``FQDN``."""
    ports: tuple[EndpointPort, ...]
    ready: bool
    serving: bool
    terminating: bool
    node: str = ""
    pod: str = ""
    """Name of the pod in ``targetRef``; empty for other addresses."""
    uid: str = ""
    source: str = ""
    """Object that it stands in (``endpointslice/web-abc``)."""

    @property
    def takes_traffic(self) -> bool:
        """kube-proxy sends to it, if only while no ready endpoint is left."""
        return self.ready or (self.serving and self.terminating)


def slice_endpoints(slices: Iterable[Obj]) -> tuple[Endpoint, ...]:
    """Read the endpoints of all slices of one Service.

    The same endpoint may stand in two slices for a moment; it is taken once for each family and port map.
    ``endpoints`` and ``ports`` may be null on the wire. Absent conditions mean ready, serving, not terminating.
    """
    found: dict[tuple[object, ...], Endpoint] = {}
    for raw in slices:
        ports = tuple(
            EndpointPort(text(p, "name"), text(p, "protocol") or "TCP", number(p, "port"))
            for p in objects(raw, "ports")
        )
        family = text(raw, "addressType") or "IPv4"
        source = f"endpointslice/{name_of(raw)}"
        for entry in objects(raw, "endpoints"):
            # Only the first address has a meaning (discovery/v1 types.go).
            address = next(iter(texts(entry, "addresses")), "")
            target = mapping(entry, "targetRef")
            ready = flag(entry, "conditions", "ready")
            serving = flag(entry, "conditions", "serving")
            endpoint = Endpoint(
                address=address,
                family=family,
                ports=ports,
                ready=ready is not False,
                serving=serving if serving is not None else ready is not False,
                terminating=flag(entry, "conditions", "terminating") is True,
                node=text(entry, "nodeName") or text(entry, "topology", "kubernetes.io/hostname"),
                pod=text(target, "name") if text(target, "kind") in ("Pod", "") else "",
                uid=text(target, "uid"),
                source=source,
            )
            found.setdefault((endpoint.uid or address, family, ports), endpoint)
    return tuple(found.values())


def legacy_endpoints(endpoints: Obj) -> tuple[Endpoint, ...]:
    """Read a v1 Endpoints object; it knows neither terminating nor a second address family."""
    found = []
    for subset in objects(endpoints, "subsets"):
        ports = tuple(
            EndpointPort(text(p, "name"), text(p, "protocol") or "TCP", number(p, "port"))
            for p in objects(subset, "ports")
        )
        for key, ready in (("addresses", True), ("notReadyAddresses", False)):
            for entry in objects(subset, key):
                target = mapping(entry, "targetRef")
                address = text(entry, "ip")
                found.append(
                    Endpoint(
                        address,
                        "IPv6" if ":" in address else "IPv4",
                        ports,
                        ready,
                        ready,
                        False,
                        text(entry, "nodeName"),
                        text(target, "name"),
                        text(target, "uid"),
                        f"endpoints/{name_of(endpoints)}",
                    )
                )
    return tuple(found)


def derived_endpoints(service: Obj, pods: Iterable[Obj]) -> tuple[Endpoint, ...]:
    """Say which endpoints the controller would make of these pods, where no slice could be read."""
    publish = flag(service, "spec", "publishNotReadyAddresses") is True
    ports = service_ports(service)
    found = []
    for pod in pods:
        if not becomes_endpoint(pod):
            continue
        serving = _pod_ready(pod)
        terminating = bool(dig(pod, "metadata", "deletionTimestamp"))
        resolved = tuple(
            EndpointPort(p.name, p.protocol, value)
            for p in ports
            if (value := find_port(pod, p.target, p.protocol)) is not None
        )
        address = text(pod, "status", "podIP")
        found.append(
            Endpoint(
                address,
                "IPv6" if ":" in address else "IPv4",
                resolved,
                publish or (serving and not terminating),
                serving,
                terminating,
                text(pod, "spec", "nodeName"),
                name_of(pod),
                uid_of(pod),
                f"pod/{name_of(pod)}",
            )
        )
    return tuple(found)


def becomes_endpoint(pod: Obj) -> bool:
    """Tell whether the controller lists this pod at all: it has an address and has not ended."""
    return bool(text(pod, "status", "podIP")) and text(pod, "status", "phase") not in ("Succeeded", "Failed")


def _pod_ready(pod: Obj) -> bool:
    return text(condition(pod, "Ready"), "status") == "True"


@dataclass(frozen=True)
class PortCount:
    """How many endpoints serve one Service port."""

    port: ServicePort
    ready: tuple[Endpoint, ...]
    """Ready endpoints that carry this port."""
    fallback: tuple[Endpoint, ...]
    """Serving endpoints of terminating pods; kube-proxy uses them only while none is ready."""
    unready: tuple[Endpoint, ...]
    """Endpoints that carry the port but take no traffic."""
    without: tuple[Endpoint, ...]
    """Endpoints whose slice does not carry this port: nothing is reachable there."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Pod ports that the Service port leads to."""
        found = {
            p.number
            for e in (*self.ready, *self.fallback, *self.unready)
            for p in e.ports
            if p.name == self.port.name and p.number is not None
        }
        return tuple(sorted(found))


def count_port(endpoints: Iterable[Endpoint], port: ServicePort, *, ports_matter: bool = True) -> PortCount:
    """Sort the endpoints of a Service by what they are worth for one Service port.

    A slice serves a Service port only where it carries a port of the same name (unnamed is the empty name) and
    protocol. ``ports_matter`` False is for headless Services, whose clients choose the port themselves.
    """
    ready, fallback, unready, without = [], [], [], []
    for endpoint in endpoints:
        carries = not ports_matter or any(p.name == port.name and p.protocol == port.protocol for p in endpoint.ports)
        if not carries:
            without.append(endpoint)
        elif endpoint.ready:
            ready.append(endpoint)
        elif endpoint.takes_traffic:
            fallback.append(endpoint)
        else:
            unready.append(endpoint)
    return PortCount(port, tuple(ready), tuple(fallback), tuple(unready), tuple(without))
