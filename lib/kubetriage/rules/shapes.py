"""What is kept of the objects of long lists, so that a large cluster fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kubetriage.values.fields import Obj, mapping, objects, text


def without_managed_fields(raw: Obj) -> Obj:
    """Leave out who wrote which field when: a third of most objects."""
    metadata = {k: v for k, v in mapping(raw, "metadata").items() if k != "managedFields"}
    return {**raw, "metadata": metadata}


def lean_node(raw: Obj) -> Obj:
    """Leave out the list of a node's images, which is most of it, and the managed fields."""
    status = {k: v for k, v in mapping(raw, "status").items() if k != "images"}
    return {**without_managed_fields(raw), "status": status}


def reporting(raw: Obj) -> Obj:
    """Keep of a node's status whether it reports: its Ready condition, and the versions of kubelet and runtime."""
    ready = [c for c in objects(raw, "status", "conditions") if text(c, "type") == "Ready"]
    versions = ("kubeletVersion", "containerRuntimeVersion")
    return {"conditions": ready, "nodeInfo": {v: text(raw, "status", "nodeInfo", v) for v in versions}}


def lean_lease(raw: Obj) -> Obj:
    """Keep of a Lease who wrote it when."""
    metadata = {k: v for k, v in mapping(raw, "metadata").items() if k in ("name", "namespace", "resourceVersion")}
    return {"metadata": metadata, "spec": mapping(raw, "spec")}


def events_of_pods(uids: Iterable[str]) -> Callable[[Obj], Obj | None]:
    """Return what drops the events of all pods but these; those of other objects stay."""
    wanted = frozenset(uids)

    def keep(raw: Obj) -> Obj | None:
        about = raw.get("involvedObject") or raw.get("regarding")
        if text(about, "kind") == "Pod" and text(about, "uid") not in wanted:
            return None
        return without_managed_fields(raw)

    return keep
