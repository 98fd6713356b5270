"""Which pods take up room on a node."""

from __future__ import annotations

from kubetriage.readers.pods import Pod
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj


class _ByNode:
    """The pods of a snapshot by node; read are those of the nodes that somebody asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._raw: dict[str, list[Obj]] = {}
        for raw in snapshot.list("pods").items:
            pod = Pod(raw)
            if pod.node and not pod.finished:
                self._raw.setdefault(pod.node, []).append(raw)
        self._read: dict[str, tuple[Pod, ...]] = {}

    def of(self, node: str) -> tuple[Pod, ...]:
        if node not in self._read:
            self._read[node] = tuple(map(Pod, self._raw.get(node, ())))
        return self._read[node]


def pods_on(snapshot: Snapshot, node: str) -> tuple[Pod, ...]:
    """Return the pods that were placed on a node and have not ended."""
    return snapshot.derived(_ByNode).of(node)
