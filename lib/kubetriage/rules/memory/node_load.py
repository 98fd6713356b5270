"""What a node holds: its object and its pods in, the sums of requests and limits against its allocatable memory out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from kubetriage.needs import List
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.memory import node_memory
from kubetriage.rules.memory.terminations import was_oom_kill
from kubetriage.rules.node_pods import pods_on
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj

_TOGETHER = timedelta(seconds=60)
"""Kills of several pods within this time on one node have one reason."""


def node_pods(name: str) -> List:
    """Ask for the pods of a node."""
    return List("pods", fields=f"spec.nodeName={name}")


@dataclass(frozen=True)
class NodeLoad:
    """The memory of a node and who may take it."""

    name: str
    allocatable: int | None
    """Bytes that pods may request together; None when the node was not seen."""
    pods: tuple[Pod, ...]
    """The pods that run on it, as far as they were read."""
    complete: bool
    """All pods of the node were read."""

    @property
    def requested(self) -> int:
        """Sum of the effective requests."""
        return sum(node_memory.requested(p) for p in self.pods)

    @property
    def limited(self) -> int:
        """Sum of the limits of those containers that have one."""
        return sum(limit_sum(p) for p in self.pods)

    @property
    def unlimited(self) -> tuple[Pod, ...]:
        """Pods with a container that nothing but the node bounds."""
        return tuple(p for p in self.pods if unbounded(p))

    @property
    def overcommitted(self) -> bool:
        """The limits of its pods add up to more than it has."""
        return self.allocatable is not None and self.limited > self.allocatable

    def reachable(self, pod: Pod) -> int | None:
        """Return what is left for a pod while all others use what they request; None when that is not known."""
        if self.allocatable is None:
            return None
        others = (p for p in self.pods if (p.namespace, p.name) != (pod.namespace, pod.name))
        return self.allocatable - sum(node_memory.requested(p) for p in others)

    def killed_near(self, pod: Pod, moment: datetime | None) -> tuple[Pod, ...]:
        """Return the other pods of the node with an OOM kill at about ``moment``."""
        if moment is None:
            return ()
        return tuple(
            p
            for p in self.pods
            if (p.namespace, p.name) != (pod.namespace, pod.name)
            and any(abs(t - moment) <= _TOGETHER for t in _kills(p))
        )


def _kills(pod: Pod) -> Iterable[datetime]:
    for c in pod.containers:
        for end in (c.current_termination, c.last_termination):
            if end is not None and end.finished is not None and was_oom_kill(end):
                yield end.finished


def limit_sum(pod: Pod) -> int:
    """Return the most that a pod's limits allow together; containers without one are not counted."""
    whole = node_memory.pod_limit(pod).size
    if whole is not None:
        return whole
    own = (node_memory.limit_of(c) for c in pod.containers if c.kind in ("app", "sidecar"))
    return sum(limit.size or 0 for limit in own if limit.level == "container")


def unbounded(pod: Pod) -> bool:
    """Tell whether a container of the pod has no limit, nor the pod."""
    return any(node_memory.limit_of(c).size is None for c in pod.containers if c.kind in ("app", "sidecar") and c.spec)


def node_load(snapshot: Snapshot, name: str, node: Obj) -> NodeLoad:
    """Add up what was read of a node's pods."""
    listing = snapshot.list("pods", fields=node_pods(name).fields)
    allocatable = node_memory.node_memory(node, "allocatable")
    return NodeLoad(name, allocatable, pods_on(snapshot, name), listing.complete)
