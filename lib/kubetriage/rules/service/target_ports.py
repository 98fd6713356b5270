"""How the Service ports land in the pods: shared by the three rules about targetPort."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Fix
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.values.nearest import edit_distance


@dataclass(frozen=True)
class NamedPort:
    """A Service port with a named target, and the pods that do not have it."""

    backend: Backend
    port: eps.ServicePort
    without: tuple[Pod, ...]
    other_protocol: tuple[eps.DeclaredPort, ...]
    """Ports of that name under another protocol, in the pods of ``without``."""

    @property
    def everywhere(self) -> bool:
        """No selected pod has the port."""
        return len(self.without) == len(self.backend.pods)

    @property
    def declared(self) -> tuple[eps.DeclaredPort, ...]:
        """What the containers of the first pod declare and the Service could use."""
        return tuple(d for d in eps.declared_ports(self.without[0].raw) if d.kind != "init")

    @property
    def nearest(self) -> eps.DeclaredPort | None:
        """The declared port that is meant: the only one of the protocol, or the nearest by name."""
        fitting = [d for d in self.declared if d.protocol == self.port.protocol]
        if len(fitting) == 1:
            return fitting[0]
        named = sorted((edit_distance(str(self.port.target), d.name), d.name) for d in fitting if d.name)
        if named and named[0][0] <= 2 and (len(named) == 1 or named[1][0] > named[0][0]):
            return next(d for d in fitting if d.name == named[0][1])
        return None


def named_ports(trace: Trace) -> Iterator[NamedPort]:
    """Yield each Service port whose target name is missing in some selected pod."""
    for backend in trace.services:
        if not backend.selector or backend.headless:
            continue
        for port in backend.ports:
            if not isinstance(port.target, str):
                continue
            without = tuple(p for p in backend.pods if eps.find_port(p.raw, port.target, port.protocol) is None)
            if without:
                other = tuple(
                    d
                    for p in without
                    for d in eps.declared_ports(p.raw)
                    if d.kind != "init" and d.name == port.target and d.protocol != port.protocol
                )
                yield NamedPort(backend, port, without, other)


def common_number(named: NamedPort) -> int | None:
    """Return the number that all selected pods give the port: by its name, or as the one that was meant."""
    near = named.nearest
    if near is None:
        return None
    numbers = {eps.find_port(p.raw, named.port.target, named.port.protocol) for p in named.backend.pods}
    lacking = {d.number for p in named.without for d in eps.declared_ports(p.raw) if d.number == near.number}
    return near.number if numbers <= {None, near.number} and lacking else None


def target_fix(backend: Backend, port: eps.ServicePort, declared: eps.DeclaredPort) -> Fix:
    """Point a Service port at a declared container port."""
    target: int | str = declared.name or declared.number
    patch = {"spec": {"ports": [{"port": port.port, "targetPort": target}]}}
    words = f"Set targetPort of port {port.port} of svc/{backend.name} to {target}"
    return Fix(words, patch, backend.ref)
