"""Builds clusters of nodes, Leases and pods as snapshots; times are seconds relative to ``NOW``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from kubetriage.needs import Body, Failure, List, Need, Raw
from kubetriage.plugins import Answer, Request, Target, load
from kubetriage.snapshot import Snapshot
from support.objects import NOW, at

Obj = dict[str, Any]
LOST = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
READY = ("True", "KubeletReady", "kubelet is posting ready status")


def micro(seconds: float) -> str:
    """Write a MicroTime."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def taint(key: str, effect: str = "NoExecute", added: float | None = None, value: str = "") -> Obj:
    """Make a taint."""
    mark: Obj = {"key": key if "/" in key else f"node.kubernetes.io/{key}", "effect": effect}
    if added is not None:
        mark["timeAdded"] = at(added)
    if value:
        mark["value"] = value
    return mark


def condition(kind: str, status: str, reason: str, message: str, changed: float = -3600, beat: float = -120) -> Obj:
    """Make a condition of a node."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(changed),
        "lastHeartbeatTime": at(beat),
    }


def node(
    name: str = "n1",
    ready: Sequence[str] = READY,
    *,
    changed: float = -3600,
    version: str = "v1.36.2",
    zone: str = "",
    labels: Mapping[str, str] | None = None,
    taints: Iterable[Obj] = (),
    conditions: Iterable[Obj] = (),
    rv: int = 100,
    created: float = -86400,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Obj:
    """Make a node; ``ready`` is status, reason and message of its Ready condition, empty for none."""
    have = dict(labels or {})
    if zone:
        have |= {"topology.kubernetes.io/region": "r1", "topology.kubernetes.io/zone": zone}
    found = [*conditions]
    if ready:
        found.append(condition("Ready", *ready, changed=changed))
    return {
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": have,
            "annotations": dict(annotations or {}),
            "resourceVersion": str(rv),
            "creationTimestamp": at(created),
        },
        "spec": {"taints": list(taints), **spec},
        "status": {
            "conditions": found,
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": version, "containerRuntimeVersion": "containerd://2.1.4"} if version else {},
        },
    }


def lost(name: str = "n1", *, since: float = -90, **kwargs: Any) -> Obj:
    """Make a node whose last renewal was at ``since``, marked 52 s later with both taints."""
    marked = since + 52
    kwargs.setdefault("taints", [taint("unreachable", "NoSchedule", marked), taint("unreachable", "NoExecute", marked)])
    return node(name, LOST, changed=marked, **{"rv": 5000, **kwargs})


def lease(name: str, renewed: float, *, rv: int | None = None, namespace: str = "kube-node-lease", **spec: Any) -> Obj:
    """Make a Lease; its resourceVersion follows the time of renewal unless given."""
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "resourceVersion": str(rv if rv is not None else int(10000 + 10 * renewed)),
        },
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro(renewed), **spec},
    }


def leader(
    name: str = "kube-controller-manager", renewed: float = -1, acquired: float = -7200, holder: str = "cp-1_1234"
) -> Obj:
    """Make a leader Lease of the control plane."""
    return lease(
        name,
        renewed,
        namespace="kube-system",
        holderIdentity=holder,
        leaseDurationSeconds=15,
        acquireTime=micro(acquired),
    )


LEADERS = (leader(), leader("kube-scheduler"))


def tolerate(key: str, seconds: int | None = 300, **more: Any) -> Obj:
    """Make the toleration of a NoExecute taint."""
    found: Obj = {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", **more}
    if seconds is not None:
        found["tolerationSeconds"] = seconds
    return found


DEFAULTS = (tolerate("not-ready"), tolerate("unreachable"))
FOR_EVER = (tolerate("not-ready", None), tolerate("unreachable", None))


def pod(
    name: str = "web-1",
    where: str = "n1",
    *,
    owner: tuple[str, str] | None = ("ReplicaSet", "web-5d8c"),
    tolerations: Iterable[Obj] = DEFAULTS,
    bound: float = -7200,
    deleted: float | None = None,
    grace: int = 30,
    namespace: str = "shop",
    phase: str = "Running",
    volumes: Iterable[Obj] = (),
    conditions: Iterable[Obj] = (),
    **metadata: Any,
) -> Obj:
    """Make a pod; ``deleted`` is when its deletion was asked for."""
    meta: Obj = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "creationTimestamp": at(bound),
        "labels": {"pod-template-hash": "5d8c"},
        **metadata,
    }
    if owner:
        meta["ownerReferences"] = [
            {"kind": owner[0], "name": owner[1], "uid": f"uid-{owner[1]}", "controller": True, "apiVersion": "apps/v1"}
        ]
    if deleted is not None:
        meta["deletionTimestamp"] = at(deleted + grace)
        meta["deletionGracePeriodSeconds"] = grace
    return {
        "metadata": meta,
        "spec": {
            "nodeName": where,
            "tolerations": list(tolerations),
            "containers": [{"name": "app"}],
            "volumes": list(volumes),
        },
        "status": {
            "phase": phase,
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(bound)},
                *conditions,
            ],
        },
    }


def world(
    nodes: Iterable[Obj],
    leases: Iterable[Obj] = (),
    pods: Iterable[Obj] = (),
    *,
    failures: Mapping[Need, Failure] | None = None,
    bodies: Mapping[str, Body] | None = None,
    version: str = "v1.36.2",
    **lists: Iterable[Obj],
) -> Snapshot:
    """Make what a live read would have given; resources in ``failures`` are left unread."""
    snapshot = Snapshot(now=NOW)
    failed = {need.resource for need in (failures or {}) if isinstance(need, List)}
    given: dict[str, Iterable[Obj]] = {"nodes": nodes, "leases": leases, "pods": pods, **lists}
    for resource in ("events", "volumeattachments", "jobs", "persistentvolumeclaims"):
        given.setdefault(resource, ())
    for resource, items in given.items():
        if resource not in failed:
            snapshot.add_list(List(resource), items)
    for need, failure in (failures or {}).items():
        snapshot.fail(need, failure)
    if version:
        snapshot.add_body(Raw("/version"), Body(f'{{"gitVersion": "{version}"}}'))
    for path, body in (bodies or {}).items():
        snapshot.add_body(Raw(path), body)
    return snapshot


def triage(snapshot: Snapshot, *names: str, **options: Any) -> Answer:
    """Answer from a snapshot that needs no reader."""
    plugin = load("node-triage")
    request = Request(
        tuple(Target("nodes", n) for n in names), show_all=bool(options.pop("show_all", False)), options=options
    )
    return plugin.diagnose(snapshot, request)


def causes(snapshot: Snapshot, name: str = "n1", **options: Any) -> list[str]:
    """Return the codes found for one node."""
    got = triage(snapshot, name, **options)
    assert not got.errors, got.errors
    return [f.cause for f in got.diagnoses[0].findings]
