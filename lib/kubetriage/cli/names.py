"""What a name that is not there was probably meant to be: a workload, an abbreviation, a slip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubetriage.needs import Get, List
from kubetriage.plugins import Plugin, Request, Target
from kubetriage.records import replace
from kubetriage.snapshot import Reader, Snapshot
from kubetriage.values.fields import name_of
from kubetriage.values.nearest import nearest
from kubetriage.values.resources import BY_PLURAL

_BETWEEN = ("replicasets",)
"""Resources that people seldom name: they stand behind the others."""
_HINTS = 3


def meant(plugin: Plugin, request: Request, reader: Reader, snapshot: Snapshot) -> tuple[Request, tuple[str, ...]]:
    """Replace each NAME without a type by the one object that it can only mean; say so, or what comes near.

    A name is looked for among the other types of the plugin first, then as the beginning of a name. Reads only where
    a target is known not to be there.
    """
    targets: list[Target] = []
    notes: list[str] = []
    for target in request.targets:
        if target.resource not in BY_PLURAL or not _absent(target, request, snapshot):
            targets.append(target)
            continue
        if target.resource == "nodes" and any(log.node == target.name for log in snapshot.node_logs()):
            # A machine that never joined has a log and no Node.
            targets.append(target)
            continue
        found = _other_type(plugin, target, request, reader, snapshot) if target.guessed else None
        if found is not None:
            targets.append(found)
            continue
        known = list(_known(plugin, target, request, reader, snapshot))
        begins = [t for t in known if t.name.startswith(target.name)]
        only = _only(begins, target) if target.guessed else None
        if only is not None:
            targets.append(only)
            notes.append(f'note: "{target.name}" is taken as {_shown(only)}')
            continue
        targets.append(target)
        near = list(dict.fromkeys([*begins, *_slips(target, known)]))[:_HINTS]
        if near:
            notes.append(f"did you mean {' or '.join(_shown(t) for t in near)}?")
    return replace(request, targets=tuple(dict.fromkeys(targets))), tuple(notes)


def _absent(target: Target, request: Request, snapshot: Snapshot) -> bool:
    place = request.namespace if BY_PLURAL[target.resource].namespaced else ""
    found = snapshot.get(target.resource, place, target.name)
    return found.absent and not found.presumed


def _other_type(plugin: Plugin, target: Target, request: Request, reader: Reader, snapshot: Snapshot) -> Target | None:
    others = sorted((r for r in plugin.resources if r != target.resource), key=lambda r: r in _BETWEEN)
    needs = [Get(r, request.namespace, target.name) for r in others]
    reader.fetch([n for n in needs if not snapshot.knows(n)], snapshot)
    found = (r for r in others if snapshot.get(r, request.namespace, target.name).found)
    return next((Target(r, target.name) for r in found), None)


def _known(plugin: Plugin, target: Target, request: Request, reader: Reader, snapshot: Snapshot) -> Iterator[Target]:
    """List what a name without a type may be, or the objects of its type."""
    resources = plugin.resources if target.guessed else (target.resource,)
    places = {r: request.namespace if BY_PLURAL[r].namespaced else "" for r in resources if r not in _BETWEEN}
    needs = [List(r, place) for r, place in places.items()]
    reader.fetch([n for n in needs if not snapshot.knows(n)], snapshot)
    for resource, place in places.items():
        for raw in snapshot.list(resource, place).items:
            yield Target(resource, name_of(raw))


def _only(begins: list[Target], target: Target) -> Target | None:
    """Return the one object that a beginning stands for: of the plugin's own type, or the workload above several."""
    own = [t for t in begins if t.resource == target.resource]
    if len(own) == 1:
        return own[0]
    others = [t for t in begins if t.resource != target.resource]
    return others[0] if len(others) == 1 else None


def _slips(target: Target, known: Iterable[Target]) -> Iterator[Target]:
    by_name: dict[str, Target] = {}
    for candidate in known:
        by_name.setdefault(candidate.name, candidate)
    left = dict(by_name)
    while left and (name := nearest(target.name, left)):
        yield left.pop(name)


def _shown(target: Target) -> str:
    return f"{BY_PLURAL[target.resource].kind.lower()}/{target.name}"
