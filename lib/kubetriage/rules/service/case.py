"""What the rules of svc-trace look at: one way to a program, from the pods up to the outside."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from kubetriage.model import Ref
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, field
from kubetriage.rules.service.cluster_view import Backend, Place, World
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.gateway_routes import Entry, Path
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.mesh_gateways import MeshGateway, mesh_gateways_of
from kubetriage.rules.service.tls_secrets import SecretUse
from kubetriage.snapshot import Snapshot


@dataclass(frozen=True)
class Options:
    """How the user wants the trace judged."""

    client: Ref | None = None
    symptom: str = ""
    probe: bool = False


@dataclass(frozen=True, eq=False)
class Trace:
    """One way to a program: what the user asked about, and everything on it."""

    world: World
    target: Ref
    backends: tuple[Backend, ...]
    options: Options = field(default_factory=Options)
    ingresses: tuple[Entrance, ...] = ()
    """The Ingresses on the way."""
    routes: tuple[Path, ...] = ()
    """The HTTPRoutes and GRPCRoutes on the way."""
    gateways: tuple[Entry, ...] = ()
    """The Gateways on the way."""
    customs: tuple[CustomEntrance, ...] = ()
    """The objects of custom kinds on the way: OpenShift Routes, VirtualServices, IngressRoutes and others."""
    asked_gateway: MeshGateway | None = None
    """The Istio Gateway that the user asked about."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot."""
        return self.world.snapshot

    @property
    def now(self) -> datetime:
        """The clock of the observation."""
        return self.world.now

    @cached_property
    def services(self) -> tuple[Backend, ...]:
        """The Services that exist."""
        return tuple(b for b in self.backends if b.lookup.found)

    @cached_property
    def entrances(self) -> tuple[Pod, ...]:
        """Pods of the ingress controllers and Gateways on the way, as far as they were found."""
        found = {p.uid: p for e in self.ingresses for p in e.carriers if p.ready}
        found.update((p.uid, p) for g in self.gateways for p in g.pods if p.ready)
        found.update((p.uid, p) for c in self.customs for p in c.carriers if p.ready)
        found.update((p.uid, p) for m in self.mesh_gateways for p in m.pods if p.ready)
        return tuple(found.values())[:3]

    @cached_property
    def secrets(self) -> tuple[SecretUse, ...]:
        """The TLS Secrets on the way."""
        return (
            *(u for e in self.ingresses for u in e.secrets),
            *(u for g in self.gateways for u in g.secrets),
            *(u for c in self.customs for u in c.secrets),
            *(u for m in self.mesh_gateways for u in m.secrets),
        )

    @cached_property
    def mesh_gateways(self) -> tuple[MeshGateway, ...]:
        """The Istio Gateways on the way, each once."""
        found = {(g.namespace, g.name): g for c in self.customs for _, g in mesh_gateways_of(self.world, c)}
        if self.asked_gateway is not None:
            found[self.asked_gateway.namespace, self.asked_gateway.name] = self.asked_gateway
        return tuple(found.values())

    @property
    def dns(self) -> Backend:
        """The Service of the cluster's DNS."""
        return self.world.backend("kube-system", "kube-dns")

    @property
    def dns_place(self) -> Place:
        """The row of the cluster's DNS."""
        return Place("DNS", self.dns.ref)
