"""Policies that are attached to a Gateway, a Route or a Service, and what their controllers say against them.

Any kind counts that names its object in ``spec.targetRef`` or ``spec.targetRefs`` (Gateway API, GEP-713).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubetriage.data import table
from kubetriage.model import Ref
from kubetriage.needs import Need
from kubetriage.readers.api_discovery import ServedKind, served_kinds
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Place, World
from kubetriage.rules.service.custom_entrances import kind_need, objects_of_kind
from kubetriage.values.fields import Obj, mapping, name_of, namespace_of, objects, text, uid_of

_KINDS = ("Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "Service")


@dataclass(frozen=True)
class AttachedPolicy:
    """One policy, and the object on the way that it is attached to."""

    raw: Obj
    place: Place
    target: Ref

    @property
    def ref(self) -> Ref:
        """Reference to the policy."""
        return Ref(text(self.raw, "kind"), namespace_of(self.raw), name_of(self.raw), uid_of(self.raw))


def attached_policies(trace: Trace) -> Iterator[AttachedPolicy]:
    """Yield the policies that were read and are attached to an object on the way."""
    on_the_way: dict[tuple[str, str, str], Place] = {}
    for path in trace.routes:
        on_the_way[path.ref.kind, path.route.namespace, path.ref.name] = path.place
    for entry in trace.gateways:
        on_the_way["Gateway", entry.namespace, entry.ref.name] = entry.place
    for backend in trace.services:
        on_the_way["Service", backend.namespace, backend.name] = backend.place
    for raw in _policies(trace.world):
        targets = [*objects(raw, "spec", "targetRefs"), mapping(raw, "spec", "targetRef")]
        for target in targets:
            key = (text(target, "kind"), text(target, "namespace") or namespace_of(raw), text(target, "name"))
            if key in on_the_way:
                yield AttachedPolicy(raw, on_the_way[key], Ref(*key))
                break


def _policies(world: World) -> tuple[Obj, ...]:
    def collect() -> tuple[Obj, ...]:
        listed = [o for kind in _served(world) for o in objects_of_kind(world.snapshot, kind)]
        read = [o for o in world.snapshot.others if text(o, "kind") not in _KINDS]
        return tuple(o for o in (*read, *listed) if mapping(o, "spec", "targetRef") or objects(o, "spec", "targetRefs"))

    return world.kept("attached policies", collect)


def _served(world: World) -> list[ServedKind]:
    groups = {row["group"]: row["kinds"] for row in table("attached_policies")["groups"]}
    return [k for k in served_kinds(world.snapshot) if k.kind in groups.get(k.group, ())]


def attached_needs(world: World, namespaces: Iterable[str]) -> Iterator[Need]:
    """Ask for the policies of known kinds in some namespaces."""
    for space in dict.fromkeys(namespaces):
        for kind in _served(world):
            yield kind_need(kind, space)


def answer_without(policy: AttachedPolicy) -> str:
    """Return the status that requests get where a policy of this kind is not valid; empty: not known."""
    group = text(policy.raw, "apiVersion").partition("/")[0]
    return next((str(r.get("answers", "")) for r in table("attached_policies")["groups"] if r["group"] == group), "")
