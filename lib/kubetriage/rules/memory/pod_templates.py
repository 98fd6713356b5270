"""Pod templates: a workload or a manifest in, the pods that it makes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubetriage.readers.pods import Pod
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, mapping, name_of, namespace_of, objects, text


def template_pod(raw: Obj, kind: str) -> Pod | None:
    """Return the pod that a workload's template makes; None for kinds without one."""
    template: Obj = mapping(raw, "spec", "template")
    if kind == "Pod":
        template = raw
    elif kind == "CronJob":
        template = mapping(raw, "spec", "jobTemplate", "spec", "template")
    if not objects(template, "spec", "containers"):
        return None
    owner = {"kind": kind, "name": name_of(raw), "uid": "", "controller": True}
    meta = {
        "name": name_of(raw),
        "namespace": namespace_of(raw) or "default",
        "labels": mapping(template, "metadata", "labels"),
        "annotations": mapping(template, "metadata", "annotations"),
        **({} if kind == "Pod" else {"ownerReferences": [owner]}),
    }
    return Pod({"kind": "Pod", "metadata": meta, "spec": mapping(template, "spec")})


def manifest_pods(snapshot: Snapshot, documents: Iterable[object]) -> Iterator[tuple[str, Pod]]:
    """Yield kind and pod of every pod template of a manifest; ConfigMaps beside it go into the snapshot."""
    found: list[Obj] = []
    for document in documents:
        found += objects(document, "items") if isinstance(dig(document, "items"), list) else [mapping(document)]
    for raw in found:
        if text(raw, "kind") == "ConfigMap":
            placed = {**raw, "metadata": {**mapping(raw, "metadata"), "namespace": namespace_of(raw) or "default"}}
            snapshot.add("configmaps", placed)
    for raw in found:
        kind = text(raw, "kind")
        pod = template_pod(raw, kind)
        if pod is not None:
            yield kind, pod
