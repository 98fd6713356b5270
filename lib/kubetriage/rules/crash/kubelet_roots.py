"""Where the kubelet of a distribution keeps its pods and plugins, where that is not /var/lib/kubelet."""

from __future__ import annotations

from kubetriage.readers.pods import Pod
from kubetriage.values.fields import Obj, labels, objects, text

USUAL = "/var/lib/kubelet"
_KUBELET_ROOTS = (
    # Marks of a node's kubelet version or labels, and where its kubelet keeps the pods.
    ("+k0s", "/var/lib/k0s/kubelet"),
    ("microk8s.io/cluster", "/var/snap/microk8s/common/var/lib/kubelet"),
    ("ibm-cloud.kubernetes.io/", "/var/data/kubelet"),
    ("pks-system/", "/var/vcap/data/kubelet"),
)


def kubelet_root(node: Obj) -> str:
    """Return the kubelet's directory that the marks of a node tell of; empty where they tell of none."""
    marks = (text(node, "status", "nodeInfo", "kubeletVersion"), *labels(node, "metadata", "labels"))
    return next((root for mark, root in _KUBELET_ROOTS if any(mark in m for m in marks)), "")


def looks_elsewhere(pod: Pod, node: Obj) -> str:
    """Return the hostPath by which a pod works in the usual directory on a node whose kubelet has another one."""
    root = kubelet_root(node)
    paths = [text(v, "hostPath", "path") for v in objects(pod.raw, "spec", "volumes")]
    if not root or any(p.startswith(root) for p in paths):
        return ""
    return next((p for p in paths if p.startswith(USUAL)), "")
