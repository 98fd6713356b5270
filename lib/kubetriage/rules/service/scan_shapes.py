"""What a scan of many Services keeps of the objects that it lists: what Services and policies look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubetriage.readers.pods import Pod
from kubetriage.rules.shapes import reporting, without_managed_fields
from kubetriage.values.fields import Obj, controller_of, labels, mapping, name_of, objects, text

_SPEC = ("nodeName", "hostNetwork", "hostname", "subdomain", "restartPolicy")
_CONTAINER = (
    "name",
    "image",
    "ports",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
    "restartPolicy",
    "command",
    "args",
    "env",
    "envFrom",
)
_CONDITION = ("type", "status", "reason", "message")
_STATUS = ("phase", "reason", "message", "podIP", "podIPs")
_REPORTED = ("name", "ready", "started", "restartCount", "state", "lastState")


def scanned_pod() -> Callable[[Obj], Obj]:
    """Return what keeps of a pod that is healthy only what Services and policies look at.

    What is equal in all pods of one controller, or on one node, is kept once.
    """
    pool: dict[tuple[str, str], Any] = {}

    def shared(owner: str, part: str, value: Any) -> Any:
        if pool.get((owner, part)) != value:
            pool[owner, part] = value
        return pool[owner, part]

    def keep(raw: Obj) -> Obj:
        kept = without_managed_fields(raw)
        if Pod(raw).is_troubled:
            return kept
        owner = text(controller_of(raw), "uid")
        metadata = {
            k: shared(owner, k, v) if k in ("namespace", "labels", "annotations", "ownerReferences") else v
            for k, v in mapping(kept, "metadata").items()
        }
        spec = {k: shared(str(v), k, v) for k, v in mapping(raw, "spec").items() if k in _SPEC}
        for part in ("containers", "initContainers"):
            containers = [{k: v for k, v in c.items() if k in _CONTAINER} for c in objects(raw, "spec", part)]
            spec[part] = shared(owner, part, containers)
        status = {k: v for k, v in mapping(raw, "status").items() if k in _STATUS}
        status["phase"] = shared("", "phase", status.get("phase"))
        conditions = [{k: v for k, v in c.items() if k in _CONDITION} for c in objects(raw, "status", "conditions")]
        status["conditions"] = shared(owner, "conditions", conditions)
        statuses = [{k: v for k, v in c.items() if k in _REPORTED} for c in objects(raw, "status", "containerStatuses")]
        status["containerStatuses"] = [shared(owner, text(c, "name"), c) for c in statuses]
        return {**kept, "metadata": metadata, "spec": spec, "status": status}

    return keep


def scanned_node(raw: Obj) -> Obj:
    """Keep of a Node its name, labels and taints, and whether it reports."""
    kept = {"name": name_of(raw), "labels": labels(raw, "metadata", "labels")}
    return {"metadata": kept, "spec": {"taints": objects(raw, "spec", "taints")}, "status": reporting(raw)}
