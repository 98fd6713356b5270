"""The address pools of MetalLB around one Service: which may serve it, and whether they have an address left."""

from __future__ import annotations

import ipaddress

from kubetriage.model import Actor, Fix
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend, World
from kubetriage.rules.service.load_balancer_state import addresses_of, requested_addresses
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, flag, labels, name_of, namespace_of, texts

_POOL_ANNOTATIONS = ("metallb.io/address-pool", "metallb.universe.tf/address-pool")
Span = tuple[int, int]


@dataclass(frozen=True)
class _Pool:
    raw: Obj
    spans: tuple[Span, ...]

    @property
    def name(self) -> str:
        return name_of(self.raw)

    @property
    def automatic(self) -> bool:
        return flag(self.raw, "spec", "autoAssign") is not False

    @property
    def size(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)

    def holds(self, address: str) -> bool:
        number = _number(address)
        return number is not None and any(first <= number <= last for first, last in self.spans)


def _number(address: str) -> int | None:
    try:
        return int(ipaddress.ip_address(address.strip()))
    except ValueError:
        return None


def span_of(words: str) -> Span | None:
    """Read a range (``10.0.0.1-10.0.0.9``) or a prefix (``10.0.0.0/29``); None for anything else."""
    first, dash, last = words.partition("-")
    if dash:
        ends = _number(first), _number(last)
        return (ends[0], ends[1]) if ends[0] is not None and ends[1] is not None and ends[0] <= ends[1] else None
    try:
        network = ipaddress.ip_network(words.strip(), strict=False)
    except ValueError:
        return None
    return int(network.network_address), int(network.broadcast_address)


def pool_holding(world: World, address: str) -> str | None:
    """Return the name of MetalLB's pool that holds an address; None where none does."""
    number = _number(address)
    for raw in world.listing("ipaddresspools").items:
        spans = (span_of(words) for words in texts(raw, "spec", "addresses"))
        if number is not None and any(s is not None and s[0] <= number <= s[1] for s in spans):
            return name_of(raw)
    return None


def pool_fix(backend: Backend) -> Fix | None:
    """Say what gives a Service an address of MetalLB's pools; None where they were not seen or do not tell."""
    world = backend.world
    pools = []
    for raw in world.listing("ipaddresspools").items:
        spans = [span_of(a) for a in texts(raw, "spec", "addresses")]
        pools.append(_Pool(raw, tuple(s for s in spans if s is not None)))
    if not pools:
        return None
    marks = labels(backend.service, "metadata", "annotations")
    key = next((k for k in _POOL_ANNOTATIONS if marks.get(k)), "")
    shown = ", ".join(f"{p.name} ({', '.join(texts(p.raw, 'spec', 'addresses'))})" for p in pools[:3])
    if key and marks[key] not in {p.name for p in pools}:
        return _annotate(
            backend,
            f"Annotation {key} of svc/{backend.name} names the pool {marks[key]}, which does not exist. Name one of: "
            f"{shown}",
            f"{key}={pools[0].name}",
        )
    asked = requested_addresses(backend.service)
    for address in asked:
        if not any(p.holds(address) for p in pools):
            return Fix(
                f"svc/{backend.name} asks for {address}, which is in no pool ({shown}). Ask for an address of a pool, "
                f"or add {address} to one",
                actor=Actor.MANIFEST,
            )
    if not key and not asked and not any(p.automatic for p in pools):
        name = _POOL_ANNOTATIONS[0]
        return _annotate(
            backend,
            f"Every pool has autoAssign: false, so a Service gets an address only where it names its pool. Name one "
            f"in {name} of svc/{backend.name}: {shown}",
            f"{name}={pools[0].name}",
        )
    usable = [p for p in pools if (p.name == marks.get(key) if key else p.automatic)]
    holders = {}
    for other in world.listing("services").items:
        for address in addresses_of(other):
            if any(p.holds(address) for p in usable):
                holders[address] = f"svc/{name_of(other)} in {namespace_of(other)}"
    total = sum(p.size for p in usable)
    if usable and total and len(holders) >= total:
        who = ", ".join(f"{address} ({name})" for address, name in sorted(holders.items())[:3])
        return Fix(
            f"All {total} addresses of pool {', '.join(p.name for p in usable)} are in use: {who}. Add free addresses "
            "to spec.addresses, or delete a Service of type LoadBalancer that nobody uses",
            actor=Actor.CLUSTER,
            commands=(kubectl("edit", "ipaddresspool", usable[0].name, namespace=namespace_of(usable[0].raw)),),
        )
    return None


def _annotate(backend: Backend, words: str, mark: str) -> Fix:
    command = kubectl("annotate", "service", backend.name, mark, "--overwrite", namespace=backend.namespace)
    return Fix(words, actor=Actor.MANIFEST, commands=(command,))
