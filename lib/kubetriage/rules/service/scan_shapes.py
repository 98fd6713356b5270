"""What a scan of many Services keeps of the objects that it lists: what Services and policies look at."""

from __future__ import annotations

from collections.abc import Callable

from kubetriage.readers.pods import Pod
from kubetriage.rules.shapes import reporting, without_managed_fields
from kubetriage.values.fields import Obj, labels, mapping, name_of, objects
from kubetriage.values.packed import packing

_METADATA = ("name", "namespace", "uid", "creationTimestamp", "labels", "annotations", "ownerReferences")
_SPEC = ("nodeName", "hostNetwork", "hostname", "subdomain", "restartPolicy", "resources", "overhead")
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
    "resources",
)
_CONDITION = ("type", "status", "reason", "message")
_STATUS = ("phase", "reason", "message", "podIP", "podIPs")
_REPORTED = ("name", "ready", "started", "restartCount", "state", "lastState")


def scanned(plural: str) -> Callable[[Obj], Obj | None]:
    """Return what a scan keeps of the objects of a resource, of which a large cluster has one for each Service."""
    return packing(_scanned_pod if plural == "pods" else without_managed_fields)


def _scanned_pod(raw: Obj) -> Obj:
    """Keep of a pod that is healthy only what Services and policies look at, and what it takes of its node."""
    if Pod(raw).is_troubled:
        return without_managed_fields(raw)
    spec = {k: v for k, v in mapping(raw, "spec").items() if k in _SPEC}
    for part in ("containers", "initContainers"):
        containers = [{k: v for k, v in c.items() if k in _CONTAINER} for c in objects(raw, "spec", part)]
        if containers:
            spec[part] = containers
    status = {k: v for k, v in mapping(raw, "status").items() if k in _STATUS}
    status["conditions"] = [
        {k: v for k, v in c.items() if k in _CONDITION} for c in objects(raw, "status", "conditions")
    ]
    status["containerStatuses"] = [
        {k: v for k, v in c.items() if k in _REPORTED} for c in objects(raw, "status", "containerStatuses")
    ]
    metadata = {k: v for k, v in mapping(raw, "metadata").items() if k in _METADATA}
    return {**raw, "metadata": metadata, "spec": spec, "status": status}


def scanned_node(raw: Obj) -> Obj:
    """Keep of a Node its name, labels and taints, and whether it reports."""
    kept = {"name": name_of(raw), "labels": labels(raw, "metadata", "labels")}
    return {"metadata": kept, "spec": {"taints": objects(raw, "spec", "taints")}, "status": reporting(raw)}
