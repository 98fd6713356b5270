"""The Istio Gateways that VirtualServices bind to: their servers, the pods that carry them, their certificates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from kubetriage.found import Lookup
from kubetriage.model import Ref
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Place, World
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.named_kinds import MESH_GATEWAYS
from kubetriage.rules.service.tls_secrets import SecretUse
from kubetriage.values.fields import Obj, labels, objects, text, texts, uid_of

MESH = "mesh"
"""The reserved gateway name that means all sidecars; a VirtualService without gateways has it alone."""


@dataclass(frozen=True, eq=False)
class MeshGateway:
    """One Istio Gateway."""

    world: World
    namespace: str
    name: str

    @cached_property
    def lookup(self) -> Lookup:
        """The Gateway."""
        return self.world.lookup(MESH_GATEWAYS, self.namespace, self.name)

    @property
    def ref(self) -> Ref:
        """Reference to it."""
        return Ref("Gateway", self.namespace, self.name, uid_of(self.lookup.obj))

    @property
    def shown(self) -> str:
        """``gateway/NAME``."""
        return f"gateway/{self.name}"

    @property
    def place(self) -> Place:
        """The row of it."""
        return Place("Gateway", self.ref, "istio")

    @property
    def servers(self) -> list[Obj]:
        """``spec.servers``."""
        return objects(self.lookup.obj, "spec", "servers")

    @property
    def selector(self) -> dict[str, str]:
        """``spec.selector``: the labels of the proxies that carry it, in any namespace."""
        return labels(self.lookup.obj, "spec", "selector")

    @property
    def selector_text(self) -> str:
        """The selector as a label selector of the API."""
        return ",".join(f"{k}={v}" for k, v in sorted(self.selector.items()))

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The proxies that carry it, as far as pods were read."""
        return self.world.selected("", self.selector)

    @cached_property
    def secrets(self) -> tuple[SecretUse, ...]:
        """The TLS Secrets of its servers; they are looked for in the namespace of the proxies."""
        where = self.pods[0].namespace if self.pods else ""
        found = {}
        for i, server in enumerate(self.servers):
            name = text(server, "tls", "credentialName")
            if name and where and not name.startswith("kubernetes-gateway://"):
                hosts = tuple(h for h in (bare_host(h) for h in texts(server, "hosts")) if h != "*")
                place = Place("Gateway", Ref("Secret", where, name), f"of istio {self.shown}")
                found[name] = SecretUse(self.world, place, self.ref, f"spec.servers[{i}].tls.credentialName", hosts)
        return tuple(found.values())

    def serves(self, host: str, namespace: str) -> bool:
        """Tell whether a server takes a host of a VirtualService of this namespace."""
        return any(
            _namespace_taken(taken, self.namespace, namespace) and _hosts_meet(bare_host(taken), host)
            for server in self.servers
            for taken in texts(server, "hosts")
        )


def bare_host(host: str) -> str:
    """Return a server's host without its namespace part (``*/shop.example.com``)."""
    return host.rpartition("/")[2]


def _namespace_taken(host: str, own: str, namespace: str) -> bool:
    where = host.rpartition("/")[0]
    return where in ("", "*", namespace) or (where == "." and own == namespace)


def _hosts_meet(server: str, host: str) -> bool:
    """Tell whether a host of a VirtualService is a subset of a server's, or the other way round."""
    one, other = server.lower(), host.lower()
    if one == other or "*" in (one, other):
        return True
    if one.startswith("*."):
        return other.endswith(one[1:])
    return other.startswith("*.") and one.endswith(other[1:])


def gateway_names(entrance: CustomEntrance) -> Iterator[tuple[str, str, str]]:
    """Yield (as written, namespace, name) of each Gateway that a VirtualService binds to, but for the mesh."""
    for written in texts(entrance.raw, "spec", "gateways"):
        if written == MESH:
            continue
        where, slash, name = written.partition("/")
        if not slash and "." in written:
            # NAME.NAMESPACE.svc.cluster.local, the form before 1.1.
            name, where = written.split(".")[0], written.split(".")[1]
        elif not slash:
            where, name = entrance.namespace, written
        yield written, where, name


def mesh_gateways_of(world: World, entrance: CustomEntrance) -> tuple[tuple[str, MeshGateway], ...]:
    """Return the Gateways that a VirtualService binds to, each with the words by which it does."""
    if entrance.kind != "VirtualService":
        return ()
    return tuple((written, MeshGateway(world, where, name)) for written, where, name in gateway_names(entrance))
