"""Taints of a node that somebody else than its kubelet sets."""

from __future__ import annotations

from kubetriage.values.fields import Obj, objects, text

SHUTDOWN_TAINT = "node.cloudprovider.kubernetes.io/shutdown"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
LOSS_TAINTS = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
"""Taints of the node controller on a node that is lost or not ready."""


def taint(node: Obj, key: str) -> Obj:
    """Return the taint with this key, or an empty object."""
    return next((t for t in objects(node, "spec", "taints") if text(t, "key") == key), {})
