"""Which pods of a scan matter and in which order: pods in, the few that get an answer of their own out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kubetriage.model import Diagnosis, Table
from kubetriage.readers.pods import Container, Pod
from kubetriage.rules.memory.budget import mebibytes
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.oom_kills import evicted_for_memory, kill_key, kill_time, oom_killed_at
from kubetriage.rules.memory.pod_answer import working_set
from kubetriage.rules.shapes import reporting
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, mapping, objects, text
from kubetriage.values.times import human_duration

SLIM = "kubetriage.slim"
"""Key of a pod of a scan of which only what the table shows was kept."""


def slim(raw: Obj) -> Obj | None:
    """Keep of a pod what the table of a scan shows; nothing of one that has ended."""
    if text(raw, "status", "phase") in ("Succeeded", "Failed"):
        return None
    spec, status = mapping(raw, "spec"), mapping(raw, "status")
    parts = ("name", "image", "resources", "restartPolicy")
    states = ("name", "state", "lastState", "resources", "ready", "restartCount")
    meta = ("name", "namespace", "uid", "labels", "ownerReferences")
    slim: dict[str, object] = {k: spec[k] for k in ("nodeName", "resources", "overhead") if k in spec}
    for kind in ("containers", "initContainers"):
        if kind in spec:
            slim[kind] = [{k: c[k] for k in parts if k in c} for c in objects(spec, kind)]
    shown: dict[str, object] = {k: status[k] for k in ("phase", "resources", "qosClass") if k in status}
    shown["containerStatuses"] = [{k: c[k] for k in states if k in c} for c in objects(status, "containerStatuses")]
    return {
        "metadata": {k: v for k, v in mapping(raw, "metadata").items() if k in meta},
        "spec": slim,
        "status": shown,
        SLIM: True,
    }


def node_memory_only(raw: Obj) -> Obj:
    """Keep of a node what its sums need, and whether it reports."""
    status = {**reporting(raw), **{k: mapping(raw, "status", k) for k in ("capacity", "allocatable")}}
    return {"metadata": {k: v for k, v in mapping(raw, "metadata").items() if k in ("name", "uid")}, "status": status}


def containers_of(pod: Pod, name: str) -> list[Container]:
    """Return the containers in question; an init container that ended well is not one of them."""
    if name:
        found = pod.container(name)
        return [found] if found is not None else []
    return [
        c
        for c in pod.containers
        if (c.kind in ("app", "sidecar") and c.name)
        or (c.kind == "init" and c.termination is not None and (c.termination.exit_code or oom_killed_at(c)))
    ]


_DECIDES = ("image", "command", "args", "env", "envFrom", "resources")
"""What of a container the budget rests on, as far as the pod alone tells it."""


def worth_showing(pod: Pod, container: str, now: datetime, known: dict[str, bool] | None = None) -> bool:
    """Tell from the pod alone whether a scan has anything to say about it.

    ``known`` keeps what was judged: replicas share a template, so each template is added up once.
    """
    if kill_time(pod) is not None or evicted_for_memory(pod):
        return True
    if pod.finished:
        return False
    judged = {} if known is None else known
    alone = Snapshot(now)
    for c in containers_of(pod, container):
        if c.kind not in ("app", "sidecar"):
            continue
        key = _template(c)
        if key not in judged:
            case = Case(c, alone)
            judged[key] = case.limit.size is None or (case.budget.margin or 0) < 0
        if judged[key]:
            return True
    return False


def _template(container: Container) -> str:
    """Return a key that is the same for containers with the same budget."""
    pod, spec = container.pod, container.spec
    volumes = [v for v in objects(pod.raw, "spec", "volumes") if text(v, "emptyDir", "medium") == "Memory"]
    mounts = spec.get("volumeMounts") if volumes else None
    own = [spec.get(name) for name in _DECIDES]
    return repr((own, container.status.get("resources"), dig(pod.raw, "spec", "resources"), volumes, mounts))


def groups(pods: Iterable[Pod]) -> list[list[Pod]]:
    """Put the pods of one controller together: they share a template, so one of them stands for all.

    The newest kill goes first; pods that ended otherwise do not stand for the others.
    """
    found: dict[str, list[Pod]] = {}
    for pod in pods:
        owner = text(pod.controller, "uid")
        ended = pod.finished and kill_time(pod) is None
        found.setdefault(owner if owner and not ended else f"{pod.namespace}/{pod.name}", []).append(pod)
    return [sorted(group, key=lambda p: (kill_key(p), p.name)) for group in found.values()]


def rank(pod: Pod, diagnosis: Diagnosis) -> tuple[int, float]:
    """Order a scan: recent OOM kills, then budgets that cannot close by how far, then what is unbounded."""
    causes = [f.cause for f in diagnosis.findings]
    if kill_time(pod) is not None:
        return (0, kill_key(pod))
    if evicted_for_memory(pod):
        return (0, 0.0)
    if "RuntimeOutOfMemory" in causes or "ChildOOMKilled" in causes:
        return (0, 0.0)
    if "HeapExceedsLimit" in causes or "BudgetExceedsLimit" in causes:
        margin = mapping(diagnosis.extra, "budget").get("marginBytes")
        return (1, float(margin) if isinstance(margin, int) else 0.0)
    return (2, 0.0) if "NoMemoryLimit" in causes else (3, 0.0)


def replicas_table(snapshot: Snapshot, workload: str, pods: Iterable[Pod]) -> Table:
    """List all pods of a workload: who was killed when, and who uses how much."""
    rows = []
    for pod in sorted(pods, key=lambda p: (kill_key(p), -(working_set(snapshot, p) or 0), p.name)):
        killed, used = kill_time(pod), working_set(snapshot, pod)
        ago = f"{human_duration(snapshot.now - killed)} ago" if killed is not None else ""
        size = mebibytes(used) if used is not None else "unknown"
        rows.append((pod.name, pod.status_text(), pod.restarts_text(snapshot.clock), ago, size, pod.node))
    columns = ("POD", "STATUS", "RESTARTS", "LAST OOM KILL", "WORKING SET", "NODE")
    return Table(f"All pods of {workload}", columns, tuple(rows))
