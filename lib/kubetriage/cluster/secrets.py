"""Takes the values out of Secrets before anything else sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubetriage.fields import Obj, dig, mapping, objects, text

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_PUBLIC_KEYS = {"kubernetes.io/tls": ("tls.crt",)}
"""By type of Secret, the keys whose value every client of the service sees anyway."""


def strip_secret(obj: Obj) -> dict[str, Any]:
    """Return a Secret with metadata, type and the names of its keys, but without values.

    ``data`` keeps its keys with empty values; ``stringData`` (manifests only) is folded into it. A certificate
    (``tls.crt`` of a ``kubernetes.io/tls`` Secret) is kept: it is public. Every Secret of every reader passes here.
    """
    kind = text(obj, "type")
    public = _PUBLIC_KEYS.get(kind, ())
    kept: dict[str, Any] = {k: v for k, v in obj.items() if k in ("apiVersion", "kind", "type", "immutable")}
    kept["metadata"] = strip_metadata(mapping(obj, "metadata"))
    data: dict[str, Any] = {}
    for part in ("data", "stringData"):
        for key, value in mapping(obj, part).items():
            data[key] = value if key in public and part == "data" and isinstance(value, str) else ""
    if data or isinstance(obj.get("data"), Mapping):
        kept["data"] = data
    return kept


def strip_metadata(metadata: Obj) -> dict[str, Any]:
    """Return metadata without the copies of the object's values that annotations and managed fields hold."""
    kept = dict(metadata)
    annotations = mapping(metadata, "annotations")
    if annotations:
        kept["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
    if "managedFields" in metadata:
        kept["managedFields"] = [
            {k: dig(entry, k) for k in ("manager", "operation", "time") if k in entry}
            for entry in objects(metadata, "managedFields")
        ]
    return kept


def strip(plural: str, obj: Obj) -> Obj:
    """Return an object of a resource as it may enter a snapshot."""
    if plural == "secrets":
        return strip_secret(obj)
    if plural == "configmaps" and "managedFields" in mapping(obj, "metadata"):
        metadata = dict(mapping(obj, "metadata"))
        metadata["managedFields"] = strip_metadata(metadata)["managedFields"]
        return {**obj, "metadata": metadata}
    return obj
