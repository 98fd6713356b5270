"""Which pods are in an Istio mesh, and which mutual TLS mode is in force for a port of theirs."""

from __future__ import annotations

from kubetriage.readers.pods import Pod
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.selector_edits import selects
from kubetriage.values.fields import Obj, labels, mapping, namespace_of, text

ROOT_NAMESPACE = "istio-system"
"""Istio's root namespace unless the mesh configuration names another."""


def in_mesh(pod: Pod) -> bool:
    """Tell whether a pod's connections go through the mesh: injected proxy or ambient mode."""
    return (
        any(c.name == "istio-proxy" for c in pod.containers)
        or pod.labels.get("istio.io/dataplane-mode") == "ambient"
        or labels(pod.raw, "metadata", "annotations").get("ambient.istio.io/redirection") == "enabled"
    )


def mode_in_force(backend: Backend, pod: Pod, port: int | None) -> tuple[Obj, str]:
    """Return the PeerAuthentication that decides for a pod's port, and its mode; PERMISSIVE when none does."""
    policies = backend.world.listing("peerauthentications").items
    own = [p for p in policies if namespace_of(p) == backend.namespace]
    workload = [p for p in own if selects(labels(p, "spec", "selector", "matchLabels"), pod.labels)]
    for policy in workload:
        mode = text(mapping(policy, "spec", "portLevelMtls", str(port)), "mode")
        if mode not in ("", "UNSET"):
            return policy, mode
    wide = [p for p in own if not mapping(p, "spec", "selector", "matchLabels")]
    root = [
        p for p in policies if namespace_of(p) == ROOT_NAMESPACE and not mapping(p, "spec", "selector", "matchLabels")
    ]
    for policy in (*workload, *wide, *root):
        mode = text(policy, "spec", "mtls", "mode")
        if mode not in ("", "UNSET"):
            return policy, mode
    return {}, "PERMISSIVE"
