"""What to list of a control plane, and what to keep of it: in come objects, out go lean ones and their component."""

from __future__ import annotations

from kubetriage.needs import List
from kubetriage.rules.plane import etcd_members
from kubetriage.rules.plane.tunnel_agents import is_agent
from kubetriage.values.fields import Obj, condition, labels, mapping, name_of, objects, text

_KEPT_INFO = ("kubeletVersion", "osImage", "operatingSystem", "containerRuntimeVersion")


def readiness_only(node: Obj) -> Obj:
    """Keep of a node its labels, taints, Ready condition and what machine it is: thousands are mostly images."""
    ready = [c for c in (condition(node, "Ready"),) if c]
    marks = {k: v for k, v in labels(node, "metadata", "annotations").items() if k.startswith("kubeadm")}
    kept = {"name": name_of(node), "labels": labels(node, "metadata", "labels"), "annotations": marks}
    info = mapping(node, "status", "nodeInfo")
    status = {
        "conditions": ready,
        "addresses": objects(node, "status", "addresses"),
        "nodeInfo": {k: info[k] for k in _KEPT_INFO if k in info},
    }
    spec = {"taints": objects(node, "spec", "taints"), "providerID": text(node, "spec", "providerID")}
    return {"metadata": kept, "spec": spec, "status": status}


NODES = List("nodes", cached=True, shape=readiness_only, timeout=8.0)
EVENTS = List("events", "kube-system", timeout=5.0)
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def component(pod: Obj) -> str:
    """Return which part of the control plane a pod is; empty for other pods.

    kubeadm, RKE2, kind and minikube label ``component``, kops ``k8s-app``, OpenShift ``app``.
    """
    if etcd_members.is_etcd(pod):
        return "etcd"
    marks = labels(pod, "metadata", "labels")
    for key in ("component", "k8s-app", "app"):
        name = marks.get(key, "").removeprefix("openshift-")
        if name in COMPONENTS:
            return name
    # A table of kubectl shows no labels; a static pod is called after its component and its node.
    return "" if marks else next((c for c in COMPONENTS[1:] if name_of(pod).startswith(f"{c}-")), "")


def control_plane_only(pod: Obj) -> Obj | None:
    """Keep only pods of the control plane, and the agents of its tunnel, while a list arrives."""
    return pod if component(pod) or is_agent(pod) else None


PODS = List("pods", "kube-system", cached=True, shape=control_plane_only, timeout=5.0)
OPENSHIFT_ETCD = List("pods", "openshift-etcd", cached=True, shape=control_plane_only, timeout=5.0)
