"""Pods of which only a row of a table is known."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from kubetriage.cluster.text.ages import parse_age
from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.pods import DELETED
from kubetriage.values.fields import dig, objects
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

_PENDING = frozenset(
    {
        *("Pending", "ContainerCreating", "PodInitializing", "SchedulingGated"),
        *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"),
        *("CreateContainerConfigError", "CreateContainerError", "ImageInspectError", "SignatureValidationFailed"),
    }
)
_FAILED = lazy(
    r"Evicted|Failed|NodeLost|NodeAffinity|NodeShutdown|Terminated|Shutdown|Preempting|DeadlineExceeded|OutOf\w+"
    r"|UnexpectedAdmissionError|NodePorts|AdmissionRejected"
)
_WAITS = frozenset({*_PENDING, "CrashLoopBackOff", "RunContainerError", "PostStartHookError", "StartError"}) - {
    "Pending",
    "SchedulingGated",
}
NO_CONTAINER = "CONTAINER"
"""Stands for a container that the texts do not name; kubectl's own help writes it so."""
NO_IMAGE = "IMAGE"
"""Stands for the image of a container that ran."""
_EXIT = lazy(r"(ExitCode|Signal):(\d{1,9})\Z")


def finish_pod(pod: Raw, containers: Collection[str], now: datetime) -> None:
    """Turn the columns of a table into the fields that they were printed from.

    READY and STATUS are made of many fields; only those that follow are set. A container is set only where the texts
    name it (``containers``) and READY counts no other.
    """
    printed = pod.pop("x-printed", None)
    since = parse_age(pod.pop("x-deleted", "")) or timedelta()
    if dig(pod, "metadata", "deletionTimestamp") == DELETED:
        pod["metadata"]["deletionTimestamp"] = format_time(now - since)
    if printed is not None and printed["status"] == "SchedulingGated":
        for row in objects(pod, "status", "conditions"):
            if row.get("type") == "PodScheduled" and isinstance(row, dict):
                row.setdefault("reason", "SchedulingGated")
    if printed is None or dig(pod, "status", "phase") or dig(pod, "spec", "containers"):
        return
    word, (ready, total) = printed["status"], printed["ready"]
    status = pod.setdefault("status", {})
    inner = word.partition(":")[2] if word.startswith("Init:") else ""
    if word == "Terminating":
        pod["metadata"]["deletionTimestamp"] = format_time(now)
        status["phase"] = "Running"
    elif word in _PENDING or inner:
        status["phase"] = "Pending"
    elif _FAILED.fullmatch(word):
        status["phase"], status["reason"] = "Failed", word
    elif word in ("Completed", "Succeeded"):
        status["phase"] = "Succeeded"
    elif word in ("Error", "OOMKilled", "ContainerCannotRun") or _EXIT.match(word):
        # A pod that is run again shows this between two instances, one that is not when it failed.
        status["phase"] = "Running" if printed["restarts"] else "Failed"
    else:
        status["phase"] = "Unknown" if word == "Unknown" else "Running"
    conditions = [{"type": "Ready", "status": "True" if word == "Running" and ready == total else "False"}]
    if word == "Pending" and not dig(pod, "spec", "nodeName") and "nodeName" in (pod.get("spec") or {"nodeName": ""}):
        conditions.append({"type": "PodScheduled", "status": "False"})
    if word == "SchedulingGated":
        conditions.append({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"})
    if not objects(pod, "status", "conditions"):
        status["conditions"] = conditions
    if inner:
        _set_init(pod, inner, printed, next(iter(containers), NO_CONTAINER))
    if inner or not (total == 1 or ready == total):
        return
    names = [next(iter(containers), NO_CONTAINER)] if total == 1 else [f"{NO_CONTAINER}-{i + 1}" for i in range(total)]
    ran = {} if word in _PENDING else {"image": NO_IMAGE}
    pod["spec"] = {**(pod.get("spec") or {}), "containers": [{"name": name, **ran} for name in names]}
    status["containerStatuses"] = [_status(name, printed, now) for name in names]


def _set_init(pod: Raw, word: str, printed: Raw, name: str) -> None:
    """Set the init container that holds the others up, where STATUS says how it fails (``Init:CrashLoopBackOff``)."""
    ended = _EXIT.match(word)
    if word not in _WAITS and word != "Error" and not ended:
        return
    # What runs and ends was pulled.
    ran = {} if word in _PENDING else {"image": NO_IMAGE}
    pod["spec"] = {**(pod.get("spec") or {}), "initContainers": [{"name": name, **ran}]}
    status = _status(name, {**printed, "status": word, "ready": [0, 1]}, now=None)
    if word == "Error":
        status["state"] = {"terminated": {"reason": word}}
    elif ended:
        status["state"] = {"terminated": {"exitCode" if ended[1] == "ExitCode" else "signal": int(ended[2])}}
    pod["status"]["initContainerStatuses"] = [status]


def _status(name: str, printed: Raw, now: datetime | None) -> Raw:
    """Make the status of a container of which STATUS and RESTARTS tell."""
    word, (ready, total) = printed["status"], printed["ready"]
    status: Raw = {"name": name, "restartCount": printed["restarts"] if total == 1 else 0, "ready": ready == total}
    if word in _WAITS:
        status["state"] = {"waiting": {"reason": word}}
        if word == "CrashLoopBackOff":
            # Between two instances: how the last one ended is not printed.
            status["lastState"] = {"terminated": {}}
    elif word == "Running":
        ago = parse_age(printed["last"]) if now is not None else None
        status["state"] = {"running": {} if ago is None or now is None else {"startedAt": format_time(now - ago)}}
    return status
