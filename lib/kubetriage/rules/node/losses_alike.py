"""Lost nodes that look alike: cases go in, groups come out of which a few are told and stand for the others.

Nodes that fell silent together, and of which nothing was seen that tells them apart, have one answer. A scan then
costs by the number of different losses, not of lost nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from kubetriage.needs import Raw
from kubetriage.readers.events import events_by_node
from kubetriage.rules.node.case import MACHINE_CHECKS, NODE_CHECKS, NodeCase
from kubetriage.rules.node.machine_words import some_logs
from kubetriage.rules.node.sections import GROUP_SHOWN
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, mapping, name_of, objects, text

_SAID_BY_CONTROLLERS = frozenset({"NodeNotReady", "NodeSchedulable", "NodeNotSchedulable", "RegisteredNode"})
"""Events that tell no more of a lost node than its Ready condition does."""
ENDED = "status.phase=Failed"
"""Chooses, as a field selector, the pods of which :func:`ended_with_node` may be true."""
_SHUT_DOWN = ("NodeShutdown", "Terminated")
_CHECKS = (NODE_CHECKS, *MACHINE_CHECKS.values())


def losses_alike(cases: Sequence[NodeCase], together: timedelta) -> Iterator[tuple[list[NodeCase], list[NodeCase]]]:
    """Yield the nodes to tell of each group that is too long to tell one by one, and those that they stand for.

    ``together``: last renewals this close have one cause. The first of the list is told, and those that fell silent
    first and last, so that the group's time is that of all.
    """
    groups: dict[object, list[NodeCase]] = {}
    looks = _Looks(cases[0].snapshot) if cases else None
    for case in cases:
        look = looks.of(case) if looks is not None else None
        if look is not None:
            groups.setdefault(look, []).append(case)
    for group in groups.values():
        for near in _by_time(group, together):
            if len(near) > GROUP_SHOWN:
                told = {id(c): c for c in (near[0], min(near, key=_since), max(near, key=_last_sign))}
                yield list(told.values()), [c for c in near if id(c) not in told]


def told_apart(cases: Sequence[NodeCase], together: timedelta) -> list[NodeCase]:
    """Return the cases that are told, in their order: without those that others stand for."""
    hidden = {id(case) for _, others in losses_alike(cases, together) for case in others}
    return [case for case in cases if id(case) not in hidden]


def ended_with_node(pod: Obj) -> bool:
    """Tell whether a kubelet ended the pod since its machine went down."""
    return text(pod, "status", "reason") in _SHUT_DOWN and text(pod, "status", "phase") == "Failed"


def _since(case: NodeCase) -> datetime:
    return case.contact.since or case.now


def _last_sign(case: NodeCase) -> datetime:
    """Return the newest time that stands in the proof of a loss."""
    contact = case.contact
    return max(
        t for t in (contact.renewed, contact.changed, contact.since, datetime.min.replace(tzinfo=case.now.tzinfo)) if t
    )


def _by_time(group: list[NodeCase], together: timedelta) -> Iterator[list[NodeCase]]:
    """Part a group where between two losses lies more time than one cause takes; the order of the list is kept."""
    since = [_since(case) for case in group]
    near: list[int] = []
    for i in sorted(range(len(group)), key=since.__getitem__):
        if near and since[i] - since[near[-1]] > together:
            yield [group[n] for n in sorted(near)]
            near = []
        near.append(i)
    yield [group[n] for n in sorted(near)]


def _looks_of_nodes(_: Snapshot) -> dict[str, object]:
    return {}


class _Looks:
    """What the rules tell lost nodes apart by."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Look once at what concerns all nodes, and at what was read of none of them."""
        self._nodes = snapshot.derived_of(_looks_of_nodes, "nodes")
        self._events = snapshot.derived(events_by_node)
        self._heard = some_logs(snapshot)
        reads = (need for known in (snapshot.bodies, snapshot.failures) for need, _ in known)
        self._dialled = any(isinstance(need, Raw) and "/proxy/" in need.path for need in reads)
        self._signed = bool(snapshot.list("certificatesigningrequests").items)
        self._checked = any(body is not None and body.status == 200 for body in map(snapshot.body, _CHECKS))

    def of(self, case: NodeCase) -> object:
        """Return what is equal for nodes with one answer; None for a node that has something of its own to tell."""
        contact = case.contact
        told = (
            not case.alone
            or case.drains
            or (self._dialled and case.probe is not None)
            or contact.skew is not None
            or self._checked
            or (self._signed and bool(case.requests))
            or (self._heard and bool(case.words.words or case.words.unread))
            or (case.name in self._events and any(e.reason not in _SAID_BY_CONTROLLERS for e in case.events.items))
            or self._holds_a_lease(case)
        )
        if told:
            return None
        return (
            (case.scope.kind, case.scope.label),
            (contact.reason, contact.message, contact.beat, contact.renewed_after_mark, contact.why),
            self._of_node(case.node),
            any(ended_with_node(pod.raw) for pod in case.pods),
        )

    def _of_node(self, node: Obj) -> object:
        """Return what the Node itself is told by; it is read once and looked at after every wave of reads."""
        name = name_of(node)
        if name not in self._nodes:
            conditions = (
                (text(c, "type"), text(c, "status"), text(c, "reason")) for c in objects(node, "status", "conditions")
            )
            marks = ((text(t, "key"), text(t, "effect")) for t in objects(node, "spec", "taints"))
            annotations = frozenset(mapping(node, "metadata", "annotations"))
            self._nodes[name] = (tuple(sorted(conditions)), tuple(sorted(marks)), annotations)
        return self._nodes[name]

    def _holds_a_lease(self, case: NodeCase) -> bool:
        """Tell whether leader elections show what became of this machine."""
        holders = case.cluster.holders
        return case.name in holders or any(pod.name in holders for pod in case.pods)
