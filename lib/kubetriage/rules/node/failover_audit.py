"""Before the incident: in come all pods, out goes who would wait how long for a replacement if its node were lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from kubetriage.model import Lines, Table
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.node.eviction_timetable import evict, is_static
from kubetriage.rules.node.failover import deployment_of
from kubetriage.values.fields import Obj, mapping, objects, text
from kubetriage.values.selectors import label_selector_matches
from kubetriage.values.times import format_time, parse_go_duration

_KEPT = ("name", "namespace", "uid", "labels", "ownerReferences", "annotations", "creationTimestamp")
_REPLACED = ("Deployment", "ReplicaSet", "ReplicationController", "Job")
"""Kinds whose controller makes another pod as soon as the old one is marked for deletion."""


def lean_pod(raw: Obj) -> Obj:
    """Keep of a pod what tells who replaces it, and when."""
    metadata = {k: v for k, v in mapping(raw, "metadata").items() if k in _KEPT}
    volumes = [
        {"persistentVolumeClaim": v["persistentVolumeClaim"]}
        for v in objects(raw, "spec", "volumes")
        if "persistentVolumeClaim" in v
    ]
    spec = {
        "tolerations": objects(raw, "spec", "tolerations"),
        "nodeName": text(raw, "spec", "nodeName"),
        "volumes": volumes,
    }
    return {"metadata": metadata, "spec": spec, "status": {"phase": text(raw, "status", "phase")}}


@dataclass(frozen=True)
class Workload:
    """Pods of one controller that wait equally long."""

    kind: str
    """Of the controller; ``Pod`` for one without."""
    namespace: str
    name: str
    pods: int
    seconds: int | None
    """Tolerated time; None: never evicted."""
    example: Pod

    @property
    def stays(self) -> bool:
        """It belongs to its node and is not replaced elsewhere."""
        return self.kind in ("DaemonSet", "Node")

    def waits(self, grace: timedelta) -> timedelta | None:
        """Return the time from the loss to a new pod; None where no new one comes by itself."""
        if self.stays or self.seconds is None or self.kind not in _REPLACED:
            return None
        return grace + timedelta(seconds=5 + self.seconds)

    def fate(self, grace: timedelta) -> str:
        """Say what happens when its node is lost."""
        if self.stays:
            return "belongs to its node"
        if self.kind == "Pod":
            return "is deleted and never comes back: no controller"
        if self.seconds is None:
            return "is never evicted: it tolerates the loss for ever"
        if self.kind == "StatefulSet":
            return "waits until the node answers or is fenced: one pod per name"
        after = self.waits(grace)
        return (
            f"gets a new pod after {int(after.total_seconds())}s"
            if after is not None
            else f"goes as its {self.kind} decides"
        )


def audit(pods: Iterable[Obj], now: datetime) -> tuple[Workload, ...]:
    """Group running pods by controller and tolerated time, the longest wait first."""
    mark = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": format_time(now)}
    counted: dict[tuple[str, str, str, int | None], list[Pod]] = {}
    for raw in pods:
        pod = Pod(raw)
        if pod.finished or not pod.node:
            continue
        eviction = evict(objects(raw, "spec", "tolerations"), [mark], None, None)
        seconds = eviction.seconds if eviction.kind == "at" else None
        deployment = deployment_of(pod)
        kind = "Deployment" if deployment else text(pod.controller, "kind") or "Pod"
        if is_static(pod):
            kind = "Node"
        key = (kind, pod.namespace, deployment or text(pod.controller, "name") or pod.name, seconds)
        counted.setdefault(key, []).append(pod)
    found = [Workload(k, where, name, len(group), s, group[0]) for (k, where, name, s), group in counted.items()]
    return tuple(
        sorted(found, key=lambda w: (w.stays, -(w.seconds if w.seconds is not None else 10**9), w.namespace, w.name))
    )


@dataclass(frozen=True)
class Wanted:
    """What the user calls critical, and how long it may wait."""

    selector: str
    seconds: int

    def takes(self, workload: Workload) -> bool:
        """Tell whether the pods of a workload are meant."""
        return label_selector_matches(self.selector, workload.example.labels)


def parse_wanted(words: Sequence[str]) -> tuple[list[Wanted], str]:
    """Read SELECTOR=DURATION (``tier=frontend=30s``); the second value is the first that is none of them."""
    found = []
    for word in words:
        selector, _, duration = word.rpartition("=")
        took = parse_go_duration(duration)
        if not selector or took is None or took < timedelta():
            return [], word
        found.append(Wanted(selector, int(took.total_seconds())))
    return found, ""


def table(workloads: Sequence[Workload], grace: timedelta) -> Table:
    """Show who waits how long."""
    rows = tuple(
        (
            f"{w.kind.lower()}/{w.name}",
            w.namespace,
            str(w.pods),
            "for ever" if w.seconds is None else f"{w.seconds}s",
            w.fate(grace),
        )
        for w in workloads
        if not w.stays
    )
    return Table("IF ITS NODE IS LOST", ("WORKLOAD", "NAMESPACE", "PODS", "TOLERATES", "WHAT HAPPENS"), rows)


def lines(workloads: Sequence[Workload], grace: timedelta) -> Lines:
    """Show the longest waits, for the first screen."""
    moving = [w for w in workloads if not w.stays]
    shown = [f"{w.namespace}/{w.name} ({w.kind}, {w.pods}): {w.fate(grace)}" for w in moving[:_FIRST]]
    more = [f"and {len(moving) - _FIRST} more with -o wide"] if len(moving) > _FIRST else []
    return Lines("If lost", (*shown, *more), brief=True)


_FIRST = 6
