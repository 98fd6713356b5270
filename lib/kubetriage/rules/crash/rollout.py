"""How far a rollout is: a workload or pod goes in, whether it has what was asked for comes out, and what is missing.

The conditions of ``kubectl rollout status`` and ``kubectl wait``, read from one look.
"""

from __future__ import annotations

from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.values.fields import Obj, condition, dig, number, text


@dataclass(frozen=True)
class Progress:
    """One look at a rollout."""

    done: bool
    """Everything that the spec asks for is there and ready."""
    words: str
    """What is missing, or that nothing is."""


def progress(kind: str, raw: Obj) -> Progress:
    """Say how far a Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet or Job is."""
    if kind == "Pod":
        pod = Pod(raw)
        done = pod.phase == "Succeeded" or (pod.ready and not pod.deleting)
        return Progress(done, f"{pod.status_text()}, {pod.ready_text()} ready")
    if kind == "Job":
        return _job(raw)
    generation = number(raw, "metadata", "generation") or 0
    if (number(raw, "status", "observedGeneration") or 0) < generation:
        return Progress(False, "its controller has not seen the change yet")
    if kind == "DaemonSet":
        wanted = number(raw, "status", "desiredNumberScheduled") or 0
        return _counted(raw, wanted, ("updatedNumberScheduled", "updated"), ("numberAvailable", "available"))
    replicas = dig(raw, "spec", "replicas")
    wanted = replicas if isinstance(replicas, int) else 1
    if kind == "ReplicaSet":
        return _counted(raw, wanted, ("availableReplicas", "available"))
    if kind == "StatefulSet":
        partition = number(raw, "spec", "updateStrategy", "rollingUpdate", "partition") or 0
        updated = number(raw, "status", "updatedReplicas") or 0
        missing = max(wanted - partition, 0) - updated
        if missing > 0 and text(raw, "status", "updateRevision") != text(raw, "status", "currentRevision"):
            return Progress(False, f"{updated} of {max(wanted - partition, 0)} updated")
        return _counted(raw, wanted, ("readyReplicas", "ready"))
    old = (number(raw, "status", "replicas") or 0) - (number(raw, "status", "updatedReplicas") or 0)
    counted = _counted(raw, wanted, ("updatedReplicas", "updated"), ("availableReplicas", "available"))
    if counted.done and old > 0:
        return Progress(False, f"{old} old pod{'' if old == 1 else 's'} still running")
    return counted


def _counted(raw: Obj, wanted: int, *fields: tuple[str, str]) -> Progress:
    for field, word in fields:
        have = number(raw, "status", field) or 0
        if have < wanted:
            return Progress(False, f"{int(have)} of {wanted} {word}")
    return Progress(True, f"all {wanted} {fields[-1][1]}" if wanted else "scaled to zero")


def _job(raw: Obj) -> Progress:
    if text(condition(raw, "Complete"), "status") == "True":
        return Progress(True, "complete")
    if text(condition(raw, "Failed"), "status") == "True":
        return Progress(False, "failed")
    succeeded = int(number(raw, "status", "succeeded") or 0)
    wanted = dig(raw, "spec", "completions")
    return Progress(False, f"{succeeded} of {wanted if isinstance(wanted, int) else 1} completed")
