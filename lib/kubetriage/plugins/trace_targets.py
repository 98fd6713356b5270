"""What a TYPE/NAME of svc-trace means: the API group that has it, or a kind that no table knows."""

from __future__ import annotations

from kubetriage.plugins import ANY_KIND, Target
from kubetriage.readers.api_discovery import find_kind
from kubetriage.rules.service.cluster_view import World
from kubetriage.rules.service.named_kinds import MESH_GATEWAYS, ROUTER_PLURALS
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import text
from kubetriage.values.resources import BY_PLURAL


def namesakes(resource: str) -> tuple[str, ...]:
    """Return the resources of other API groups that kubectl may mean by the same TYPE."""
    name = BY_PLURAL[resource].path_name
    return tuple(p for p in (*ROUTER_PLURALS, MESH_GATEWAYS) if p != resource and BY_PLURAL[p].path_name == name)


def resolved(snapshot: Snapshot, namespace: str, target: Target) -> Target:
    """Return the target in the API group that has it: ``gateway/x`` may be Istio's, ``mappings.acme.io/x`` no host."""
    if target.resource == "url":
        word, _, name = target.name.partition("/")
        group = word.partition(".")[2]
        known = find_kind(snapshot, word) is not None or any(
            text(o, "apiVersion").startswith(f"{group}/") for o in snapshot.others if group
        )
        return Target(ANY_KIND, name, word) if known and name and "/" not in name else target
    if target.resource in (ANY_KIND, "url") or not snapshot.get(target.resource, namespace, target.name).absent:
        return target
    found = (p for p in namesakes(target.resource) if snapshot.get(p, namespace, target.name).found)
    return Target(next(found, target.resource), target.name)


def unknown_kind(world: World, target: Target) -> str:
    """Say that an object of a kind without a table entry is not there, or that nobody knows the kind."""
    word, name = target.kind, target.name
    kind = find_kind(world.snapshot, word)
    if kind is not None:
        return f'Error from server (NotFound): {kind.plural}.{kind.group} "{name}" not found'
    if world.snapshot.source == "cluster":
        return f'error: the cluster serves no kind "{word}" that svc-trace could read'
    return f'error: svc-trace does not know the kind "{word}", and {world.snapshot.source} holds no {word}/{name}'
