"""Nodes as ``kubectl describe`` prints them, with the lease and the pods that stand there."""

from __future__ import annotations

import re

from kubetriage.cluster.text.ages import api_time, parse_age
from kubetriage.cluster.text.found import Finds, Found, Raw
from kubetriage.cluster.text.outline import NONE, Entry
from kubetriage.found import Form
from kubetriage.values.patterns import lazy

HIDDEN = (
    "metadata.uid",
    "status.images",
    "status.daemonEndpoints",
    "status.volumesInUse",
    "status.volumesAttached",
    "status.config",
)
_DATE = r"(\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}|<\w+>)"
_CONDITION = lazy(
    r"(\w[\w./-]{0,316})\s+(True|False|Unknown)\s+" + _DATE + r"\s+" + _DATE + r"\s+(\S{1,1000})\s+(.*)\Z"
)
_TAINT = lazy(r"([^\s=:]{1,400})(?:=([^\s:]{0,63}))?:(NoSchedule|PreferNoSchedule|NoExecute)\Z")
_POD_ROW = lazy(
    r"([a-z0-9][a-z0-9-]{0,62})\s+([a-z0-9][a-z0-9.-]{0,252})\s+\S{1,40} \(\d{1,9}%\)\s.*?(?:\s(\S{1,20}))?\Z"
)
_INFO = (
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
    ("Kube-Proxy Version", "kubeProxyVersion"),
)
POD_ROW = Form("kubectl describe node", shows=("metadata.name", "metadata.namespace", "spec.nodeName"))
LEASE = Form("kubectl describe node", hides=("metadata.uid", "spec.leaseDurationSeconds"))


def node(root: Entry) -> Raw:
    """Make a Node of the outline of its describe."""
    spec: Raw = {}
    status: Raw = {"conditions": _conditions(root.get("Conditions"))}
    taints = root.get("Taints")
    if taints is not None:
        spec["taints"] = [
            {"key": m[1], "effect": m[3], **({"value": m[2]} if m[2] else {})}
            for m in map(_TAINT.match, taints.values())
            if m is not None
        ]
    if root.text("Unschedulable") == "true":
        spec["unschedulable"] = True
    for key, field in (("ProviderID", "providerID"), ("PodCIDR", "podCIDR")):
        if value := root.text(key):
            spec[field] = value
    if ranges := root.text("PodCIDRs"):
        spec["podCIDRs"] = [r.strip() for r in ranges.split(",")]
    addresses = root.get("Addresses")
    if addresses is not None:
        status["addresses"] = [{"type": e.key, "address": e.value} for e in addresses.below if e.key and e.value]
    for key, field in (("Capacity", "capacity"), ("Allocatable", "allocatable")):
        found = root.get(key)
        if found is not None:
            status[field] = {e.key: e.value for e in found.below if e.key and e.value}
    info = root.get("System Info")
    if info is not None:
        status["nodeInfo"] = {field: info.text(key) for key, field in _INFO if info.text(key)}
    return {"apiVersion": "v1", "kind": "Node", "spec": spec, "status": status}


def _conditions(entry: Entry | None) -> list[Raw]:
    made = []
    for row in entry.lines() if entry is not None else ():
        match = _CONDITION.match(row)
        if match is not None:
            made.append(
                {
                    "type": match[1],
                    "status": match[2],
                    "lastHeartbeatTime": api_time(match[3]) or None,
                    "lastTransitionTime": api_time(match[4]) or None,
                    "reason": match[5],
                    "message": match[6].strip(),
                }
            )
        elif made and row and not row.startswith(("Type", "---")):
            made[-1]["message"] = f"{made[-1]['message']} {row}"
    return made


def beside_node(root: Entry, name: str, finds: Finds, line: int) -> None:
    """Take the lease of a node and the pods on it from its describe."""
    lease = root.get("Lease")
    if lease is not None and (renewed := api_time(lease.text("RenewTime"))):
        spec: Raw = {"holderIdentity": lease.text("HolderIdentity"), "renewTime": renewed}
        obj: Raw = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
        obj["metadata"] = {"name": name, "namespace": "kube-node-lease"}
        finds.objects.append(Found("leases", obj, LEASE, line))
    elif lease is not None and f'"{name}" not found' in lease.value:
        finds.absent.append(("leases", "kube-node-lease", name))
    pods = root.get("Non-terminated Pods")
    for row in pods.lines() if pods is not None else ():
        match = _POD_ROW.match(row)
        if match is not None:
            obj = {"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": name}, "status": {}}
            obj["metadata"] = {"name": match[2], "namespace": match[1]}
            finds.objects.append(Found("pods", obj, POD_ROW, line, age=parse_age(match[3] or "")))


def storage(root: Entry, kind: str) -> Raw:
    """Make a claim, a volume or a class of storage of the outline of its describe."""
    from kubetriage.cluster.text.volumes import volume_source

    spec: Raw = {}
    status: Raw = {}
    made: Raw = {"apiVersion": "v1", "kind": kind, "spec": spec, "status": status}
    if kind == "StorageClass":
        del made["spec"], made["status"]
        made["apiVersion"] = "storage.k8s.io/v1"
        for key, field in (
            ("Provisioner", "provisioner"),
            ("ReclaimPolicy", "reclaimPolicy"),
            ("VolumeBindingMode", "volumeBindingMode"),
        ):
            if value := root.text(key):
                made[field] = value
        if parameters := root.text("Parameters"):
            made["parameters"] = dict(p.split("=", 1) for p in parameters.split(",") if "=" in p)
        if root.text("AllowVolumeExpansion").lower() == "true":
            made["allowVolumeExpansion"] = True
        return made
    if phase := root.text("Status"):
        status["phase"] = phase.partition(" ")[0]
    if name := root.text("StorageClass"):
        spec["storageClassName"] = name
    if mode := root.text("VolumeMode"):
        spec["volumeMode"] = mode
    modes = [_MODES.get(m.strip(), m.strip()) for m in root.text("Access Modes").split(",") if m.strip()]
    if modes:
        spec["accessModes"] = modes
    capacity = root.text("Capacity")
    if kind == "PersistentVolumeClaim":
        if volume := root.text("Volume"):
            spec["volumeName"] = volume
        if capacity:
            status["capacity"] = {"storage": capacity}
        return made
    if capacity:
        spec["capacity"] = {"storage": capacity}
    if policy := root.text("Reclaim Policy"):
        spec["persistentVolumeReclaimPolicy"] = policy
    claim = root.text("Claim")
    if "/" in claim:
        spec["claimRef"] = dict(zip(("namespace", "name"), claim.split("/", 1), strict=True))
    source = root.get("Source")
    if source is not None:
        spec.update(volume_source(source))
    if terms := _node_terms(root.get("Node Affinity")):
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    return made


_MODES = {"RWO": "ReadWriteOnce", "ROX": "ReadOnlyMany", "RWX": "ReadWriteMany", "RWOP": "ReadWriteOncePod"}


def _node_terms(entry: Entry | None) -> list[Raw]:
    terms = []
    for row in entry.lines() if entry is not None else ():
        match = re.match(r"(?:Term \d{1,3}:\s*)?([\w./-]{1,317}) (in|notin|exists) ?\[?([^\]]{0,2000})\]?\Z", row)
        if match is not None:
            operator = {"in": "In", "notin": "NotIn", "exists": "Exists"}[match[2]]
            values = [v.strip() for v in match[3].split(",") if v.strip()]
            terms.append({"matchExpressions": [{"key": match[1], "operator": operator, "values": values}]})
    return terms


def quota(root: Entry) -> Raw:
    """Make a ResourceQuota of the outline of its describe."""
    hard: dict[str, str] = {}
    used: dict[str, str] = {}
    for entry in root.below:
        words = entry.raw.split()
        if len(words) == 3 and not entry.key and words[0] not in ("Resource", "--------"):
            used[words[0]], hard[words[0]] = words[1], words[2]
    return {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": hard}, "status": {"hard": hard, "used": used}}


def limit_range(root: Entry) -> Raw:
    """Make a LimitRange of the outline of its describe."""
    limits: dict[str, Raw] = {}
    for entry in root.below:
        words = entry.raw.split()
        if len(words) == 7 and words[0] in ("Container", "Pod", "PersistentVolumeClaim"):
            item = limits.setdefault(words[0], {"type": words[0]})
            for field, value in zip(
                ("min", "max", "defaultRequest", "default", "maxLimitRequestRatio"), words[2:], strict=True
            ):
                if value != "-":
                    item.setdefault(field, {})[words[1]] = value
    return {"apiVersion": "v1", "kind": "LimitRange", "spec": {"limits": list(limits.values())}}


def service_account(root: Entry) -> Raw:
    """Make a ServiceAccount of the outline of its describe."""
    made: Raw = {"apiVersion": "v1", "kind": "ServiceAccount"}
    for key, field in (("Image pull secrets", "imagePullSecrets"), ("Mountable secrets", "secrets")):
        entry = root.get(key)
        names = [v.removesuffix(" (not found)") for v in entry.values()] if entry is not None else []
        if names:
            made[field] = [{"name": n} for n in names if n not in NONE]
    return made
