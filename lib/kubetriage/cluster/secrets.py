"""Takes the values out of Secrets before anything else sees them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from kubetriage.typed import Any
from kubetriage.values.fields import Obj, dig, mapping, objects, text

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CERTIFICATES = re.compile(rb"-----BEGIN (TRUSTED )?CERTIFICATE-----.*?-----END (TRUSTED )?CERTIFICATE-----", re.DOTALL)
TLS_VERDICT = "tlsVerdict"
"""Key that :func:`strip_secret` adds at the top of a Secret that holds ``tls.crt`` and ``tls.key``: a map with
``key``, what became of comparing the two (``match``, ``mismatch``, ``unreadable``, ``encrypted``, ``unknown``), and
``certificate`` (``read``, ``empty``, ``unreadable``, ``unknown``). It is not part of the Kubernetes API."""


def strip_secret(obj: Obj) -> dict[str, Any]:
    """Return a Secret with metadata, type and the names of its keys, but without values.

    ``data`` keeps its keys with empty values; ``stringData`` (manifests only) is folded into it. The CERTIFICATE
    blocks of ``tls.crt`` are kept: every client of the service sees them anyway. The key beside it is compared with
    them here, and only the verdict stays, see :data:`TLS_VERDICT`. Every Secret of every reader passes here, one
    that was stripped before included. An empty key is not known rather than empty: that is what makers of dumps
    leave of it.
    """
    kept: dict[str, Any] = {k: v for k, v in obj.items() if k in ("apiVersion", "kind", "type", "immutable")}
    kept["metadata"] = strip_metadata(mapping(obj, "metadata"))
    data: dict[str, Any] = {}
    for part in ("data", "stringData"):
        data.update(dict.fromkeys(mapping(obj, part), ""))
    if "tls.crt" in data and "tls.key" in data:
        kept[TLS_VERDICT], data["tls.crt"] = _judge_pair(obj)
    if data or isinstance(obj.get("data"), Mapping):
        kept["data"] = data
    return kept


def _judge_pair(obj: Obj) -> tuple[dict[str, str], str]:
    """Return the verdict on ``tls.crt`` and ``tls.key``, and what may be kept of ``tls.crt``."""
    from kubetriage.cluster.tls_keys import compare_key

    content, key = _decoded(obj, "tls.crt"), _decoded(obj, "tls.key")
    blocks = b"\n".join(m[0] for m in _CERTIFICATES.finditer(content or b""))
    before = mapping(obj, TLS_VERDICT)
    if before:
        verdict = {k: text(before, k) for k in ("certificate", "key")}
    else:
        state = "read" if blocks else "empty" if content == b"" else "unreadable"
        verdict = {"certificate": state, "key": compare_key(blocks, key) if key is not None else "unreadable"}
        if key == b"":
            verdict = {"certificate": "unknown" if state == "empty" else state, "key": "unknown"}
    return verdict, base64.b64encode(blocks).decode("ascii")


def _decoded(obj: Obj, key: str) -> bytes | None:
    """Return the bytes of one value; None when it is not base64."""
    plain = text(obj, "stringData", key)
    if plain:
        return plain.encode()
    try:
        return base64.b64decode(text(obj, "data", key), validate=False)
    except (binascii.Error, ValueError):
        return None


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
