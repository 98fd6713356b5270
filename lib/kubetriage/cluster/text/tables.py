"""Tables that ``kubectl get``, ``kubectl top`` and ``oc get`` print."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from kubetriage.cluster.text.ages import parse_age
from kubetriage.cluster.text.found import Finds, Found, Raw
from kubetriage.cluster.text.selection import label_selector
from kubetriage.cluster.text.table_rows import (
    api_service_row,
    attachment_row,
    class_row,
    cluster_operator_row,
    gateway_row,
    ingress_class_row,
    lease_row,
    policy_row,
    secret_row,
    signing_request_row,
)
from kubetriage.found import Form
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, find_resource

Row = Mapping[str, str]
_RESTARTS = lazy(r"(\d{1,9})(?: \(([0-9ydhms]{1,24}) ago\))?\Z")
_RATIO = lazy(r"(\d{1,9})/(\d{1,9})\Z")
_PORTS = lazy(r"(\d{1,5})(?::(\d{1,5}))?/(TCP|UDP|SCTP)")
_ADDRESS = lazy(r"[0-9a-fA-F.:]{2,45}\Z")
MAX_ROWS = 50_000

SIGNATURES: tuple[tuple[str, frozenset[str]], ...] = (
    ("top pods", frozenset({"CPU(CORES)", "MEMORY(BYTES)"})),
    ("nodes", frozenset({"STATUS", "ROLES", "VERSION"})),
    ("pods", frozenset({"READY", "STATUS", "RESTARTS"})),
    ("services", frozenset({"CLUSTER-IP", "PORT(S)"})),
    ("endpointslices", frozenset({"ADDRESSTYPE", "ENDPOINTS"})),
    ("endpoints", frozenset({"ENDPOINTS"})),
    ("ingressclasses", frozenset({"CONTROLLER", "PARAMETERS"})),
    ("ingresses", frozenset({"HOSTS", "PORTS"})),
    ("volumeattachments", frozenset({"ATTACHER", "PV", "NODE"})),
    ("persistentvolumes", frozenset({"RECLAIM POLICY", "CLAIM"})),
    ("persistentvolumeclaims", frozenset({"VOLUME", "CAPACITY", "STORAGECLASS"})),
    ("storageclasses", frozenset({"PROVISIONER"})),
    ("cronjobs", frozenset({"SCHEDULE", "SUSPEND"})),
    ("jobs", frozenset({"COMPLETIONS"})),
    ("daemonsets", frozenset({"DESIRED", "UP-TO-DATE", "NODE SELECTOR"})),
    ("deployments", frozenset({"UP-TO-DATE", "AVAILABLE"})),
    ("replicasets", frozenset({"DESIRED", "CURRENT", "READY"})),
    ("leases", frozenset({"HOLDER"})),
    ("networkpolicies", frozenset({"POD-SELECTOR"})),
    ("secrets", frozenset({"TYPE", "DATA"})),
    ("configmaps", frozenset({"DATA"})),
    ("horizontalpodautoscalers", frozenset({"REFERENCE", "TARGETS"})),
    ("poddisruptionbudgets", frozenset({"MIN AVAILABLE", "ALLOWED DISRUPTIONS"})),
    ("gateways", frozenset({"CLASS", "ADDRESS", "PROGRAMMED"})),
    ("gatewayclasses", frozenset({"CONTROLLER", "ACCEPTED"})),
    ("httproutes", frozenset({"HOSTNAMES"})),
    ("apiservices", frozenset({"SERVICE", "AVAILABLE"})),
    ("certificatesigningrequests", frozenset({"SIGNERNAME", "REQUESTOR", "CONDITION"})),
    ("clusteroperators", frozenset({"AVAILABLE", "PROGRESSING", "DEGRADED"})),
    ("statefulsets", frozenset({"READY", "AGE"})),
)
"""Columns by which a table is known, the more special first; a prefix ``TYPE/`` before the names decides before it."""
_STATEFUL = frozenset({"NAME", "NAMESPACE", "READY", "AGE", "CONTAINERS", "IMAGES", "LABELS"})


def is_header(row: str) -> bool:
    """Tell whether a line is the header of a table: columns in capitals, the first one known."""
    stripped = row.strip()
    if (
        not stripped.startswith(("NAME", "NAMESPACE", "LAST SEEN", "LASTSEEN", "POD ", "FIRST SEEN"))
        or len(stripped) > 2000
    ):
        return False
    # kubectl top writes its units in small letters.
    plain = stripped.replace("(cores)", "").replace("(bytes)", "")
    return plain == plain.upper() and (len(columns(row)) > 1 or stripped == "NAME")


def columns(header: str) -> list[tuple[str, int]]:
    """Return the names of the columns with the places where they begin."""
    return (
        [(m[0].strip().upper(), m.start()) for m in re.finditer(r"[^\s](?:[^\s]| (?=[^\s]))*", header.expandtabs(8))]
        if "  " in header or "\t" in header
        else [(m[0].upper(), m.start()) for m in re.finditer(r"\S+", header)]
    )


def read_rows(header: str, rows: Sequence[str]) -> Iterator[dict[str, str]]:
    """Part the rows of a table into cells.

    Cells stand below their headers; where blanks were lost on the way, two blanks or a tab part them.
    """
    cols = columns(header)
    names = [name for name, _ in cols]
    starts = [start for _, start in cols]
    for raw in rows[:MAX_ROWS]:
        row = raw.expandtabs(8)
        aligned = all(s == 0 or s >= len(row) or (row[s - 1] == " ") for s in starts)
        if aligned and len(starts) > 1:
            ends = [*starts[1:], len(row) + 1]
            yield {n: row[s:e].strip() for n, s, e in zip(names, starts, ends, strict=True)}
            continue
        cells = [c for c in re.split(r"\s{2,}|\t", raw.strip()) if c]
        if len(cells) != len(names):
            cells = re.sub(r"(\d) \((\S{1,24}) ago\)", "\\1\u0001(\\2\u0001ago)", raw.strip()).split()
            cells = [c.replace("\u0001", " ") for c in cells]
        if len(cells) > len(names):
            cells = [*cells[: len(names) - 1], " ".join(cells[len(names) - 1 :])]
        yield dict(zip(names, cells, strict=False))


def kind_of_table(header: str, rows: Sequence[str]) -> str:
    """Return the plural name of what a table lists; empty when it is not known."""
    names = frozenset(name for name, _ in columns(header))
    if "LAST SEEN" in names or {"REASON", "MESSAGE", "OBJECT"} <= names:
        return "events"
    for row in rows[:3]:
        first = next((w for w in row.split() if "/" in w), "")
        kind = first.partition("/")[0]
        found = find_resource(kind)
        if found is not None and row.split().index(first) < 2 and not kind.isdigit():
            return found.plural
    for plural, wanted in SIGNATURES:
        if wanted <= names:
            if plural == "statefulsets" and not names <= _STATEFUL:
                continue
            return plural
    return ""


def read_table(plural: str, header: str, rows: Sequence[str], namespace: str, finds: Finds, line: int) -> int:
    """Put the rows of a table into ``finds``; return how many there were."""
    make = _MAKERS.get(plural)
    count = 0
    for row in read_rows(header, rows):
        name = row.get("NAME", "").rpartition("/")[2]
        if not _NAME.fullmatch(name):
            continue
        count += 1
        if plural.startswith("top"):
            if plural == "top pods" and (used := row.get("MEMORY(BYTES)")):
                # With --containers the pod has a column of its own.
                whose = (row["POD"], name) if row.get("POD") else (name, "")
                finds.usage.append((row.get("NAMESPACE", "") or namespace, *whose, used))
            continue
        resource = BY_PLURAL.get(plural)
        if resource is None:
            continue
        obj: Raw = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
        place = row.get("NAMESPACE", "") or namespace
        if resource.namespaced and place:
            obj["metadata"]["namespace"] = place
        shows = {"metadata.name", "metadata.namespace"}
        if "LABELS" in row:
            shows.add("metadata.labels")
            labels = dict(p.split("=", 1) for p in row["LABELS"].split(",") if "=" in p)
            if labels:
                obj["metadata"]["labels"] = labels
        if make is not None:
            shows |= set(make(row, obj))
        form = Form(f"kubectl get {plural}", shows=tuple(sorted(shows)))
        finds.objects.append(Found(plural, obj, form, line, age=parse_age(row.get("AGE", ""))))
    return count


_NAME = lazy(r"[a-z0-9A-Z][\w.:-]{0,252}")


def _given(row: Row, column: str) -> str:
    value = row.get(column, "")
    return "" if value in ("<none>", "<unset>", "<unknown>", "<pending>", "") else value


def _pod(row: Row, obj: Raw) -> list[str]:
    shows = ["metadata.creationTimestamp"]
    spec, status = obj.setdefault("spec", {}), obj.setdefault("status", {})
    if "NODE" in row:
        shows += ["spec.nodeName", "status.podIP", "spec.readinessGates"]
        if node := _given(row, "NODE"):
            spec["nodeName"] = node
        if address := _given(row, "IP"):
            status["podIP"], status["podIPs"] = address, [{"ip": address}]
    word = row.get("STATUS", "")
    ready = _RATIO.match(row.get("READY", ""))
    restarts = _RESTARTS.match(row.get("RESTARTS", ""))
    if not word or ready is None:
        return shows
    shows += ["status.phase", "status.conditions"]
    obj["x-printed"] = {
        "status": word,
        "ready": [int(ready[1]), int(ready[2])],
        "restarts": int(restarts[1]) if restarts else 0,
        "last": restarts[2] if restarts and restarts[2] else "",
    }
    return shows


def _node(row: Row, obj: Raw) -> list[str]:
    words = row.get("STATUS", "").split(",")
    status: Raw = {"nodeInfo": {"kubeletVersion": row.get("VERSION", "")}}
    if words[0] in ("Ready", "NotReady", "Unknown"):
        ready = "True" if words[0] == "Ready" else "Unknown" if words[0] == "Unknown" else "False"
        status["conditions"] = [{"type": "Ready", "status": ready}]
    if "SchedulingDisabled" in words:
        obj["spec"] = {"unschedulable": True}
    roles = _given(row, "ROLES")
    if roles:
        obj["metadata"]["labels"] = {f"node-role.kubernetes.io/{r}": "" for r in roles.split(",")} | obj[
            "metadata"
        ].get("labels", {})
    if address := _given(row, "INTERNAL-IP"):
        status["addresses"] = [{"type": "InternalIP", "address": address}]
    for column, field in (
        ("OS-IMAGE", "osImage"),
        ("KERNEL-VERSION", "kernelVersion"),
        ("CONTAINER-RUNTIME", "containerRuntimeVersion"),
    ):
        if value := _given(row, column):
            status["nodeInfo"][field] = value
    obj["status"] = status
    return ["status.nodeInfo", "spec.unschedulable", "metadata.creationTimestamp"]


def _service(row: Row, obj: Raw) -> list[str]:
    spec: Raw = {"type": row.get("TYPE", "ClusterIP"), "ports": []}
    address = row.get("CLUSTER-IP", "")
    spec["clusterIP"] = "" if address == "<none>" else address
    for match in _PORTS.finditer(row.get("PORT(S)", "")):
        port: Raw = {"port": int(match[1]), "protocol": match[3]}
        if match[2]:
            port["nodePort"] = int(match[2])
        spec["ports"].append(port)
    external = row.get("EXTERNAL-IP", "")
    status: Raw = {"loadBalancer": {}}
    if spec["type"] == "LoadBalancer" and _given(row, "EXTERNAL-IP"):
        status["loadBalancer"]["ingress"] = [
            {"ip" if _ADDRESS.match(a) else "hostname": a} for a in external.split(",") if a
        ]
    elif spec["type"] == "ExternalName":
        spec["externalName"] = external
    shows = [
        "spec.type",
        "spec.clusterIP",
        "spec.ports.port",
        "spec.ports.protocol",
        "spec.ports.nodePort",
        "status.loadBalancer",
    ]
    if "SELECTOR" in row:
        shows.append("spec.selector")
        selector = label_selector(row["SELECTOR"]).get("matchLabels")
        if selector:
            spec["selector"] = selector
    obj.update(spec=spec, status=status)
    return shows


def _endpoints(row: Row, obj: Raw) -> list[str]:
    by_port: dict[int, list[str]] = {}
    words = _given(row, "ENDPOINTS")
    for word in words.split(" + ")[0].split(","):
        match = re.fullmatch(r"(\[?[0-9a-fA-F.:]+?\]?):(\d{1,5})", word.strip())
        if match is not None:
            by_port.setdefault(int(match[2]), []).append(match[1].strip("[]"))
        elif _ADDRESS.match(word.strip()):
            by_port.setdefault(0, []).append(word.strip())
    obj["subsets"] = [
        {"addresses": [{"ip": a} for a in found], **({"ports": [{"port": port, "protocol": "TCP"}]} if port else {})}
        for port, found in by_port.items()
    ]
    return [] if " + " in words else ["subsets.addresses", "subsets.ports.port"]


def _slice(row: Row, obj: Raw) -> list[str]:
    obj["addressType"] = row.get("ADDRESSTYPE", "IPv4")
    ports = _given(row, "PORTS")
    obj["ports"] = [{"port": int(p), "protocol": "TCP"} for p in ports.split(",") if p.strip().isdigit()]
    addresses = _given(row, "ENDPOINTS").split(" + ")[0]
    # The table does not tell which of them are ready.
    obj["endpoints"] = [{"addresses": [a.strip()], "conditions": {}} for a in addresses.split(",") if a.strip()]
    return ["addressType", "endpoints.addresses", "ports.port"]


def _ingress(row: Row, obj: Raw) -> list[str]:
    spec: Raw = {}
    shows = ["spec.rules.host", "status.loadBalancer"]
    if "CLASS" in row:
        shows.append("spec.ingressClassName")
        if name := _given(row, "CLASS"):
            spec["ingressClassName"] = name
    hosts = [h for h in row.get("HOSTS", "").split(",") if h and h != "*"]
    spec["rules"] = [{"host": h} for h in hosts if not h.startswith("+")]
    status: Raw = {"loadBalancer": {}}
    if address := _given(row, "ADDRESS"):
        status["loadBalancer"]["ingress"] = [{"ip" if _ADDRESS.match(a) else "hostname": a} for a in address.split(",")]
    obj.update(spec=spec, status=status)
    return shows


def _claim(row: Row, obj: Raw) -> list[str]:
    spec: Raw = {}
    status: Raw = {"phase": row.get("STATUS", "")}
    if volume := _given(row, "VOLUME"):
        spec["volumeName"] = volume
    if name := _given(row, "STORAGECLASS"):
        spec["storageClassName"] = name
    if capacity := _given(row, "CAPACITY"):
        status["capacity"] = {"storage": capacity}
    obj.update(spec=spec, status=status)
    return ["spec.volumeName", "spec.storageClassName", "status.phase", "status.capacity"]


def _volume(row: Row, obj: Raw) -> list[str]:
    spec: Raw = {
        "capacity": {"storage": row.get("CAPACITY", "")},
        "persistentVolumeReclaimPolicy": row.get("RECLAIM POLICY", ""),
    }
    claim = _given(row, "CLAIM")
    if "/" in claim:
        spec["claimRef"] = dict(zip(("namespace", "name"), claim.split("/", 1), strict=True))
    if name := _given(row, "STORAGECLASS"):
        spec["storageClassName"] = name
    obj.update(spec=spec, status={"phase": row.get("STATUS", "")})
    return ["spec.capacity", "spec.claimRef", "spec.storageClassName", "status.phase"]


def _replicas(row: Row, obj: Raw) -> list[str]:
    ratio = _RATIO.match(row.get("READY", ""))
    spec: Raw = {}
    status: Raw = {}
    if ratio is not None:
        status["readyReplicas"], spec["replicas"] = int(ratio[1]), int(ratio[2])
    for column, where, field in (
        ("DESIRED", spec, "replicas"),
        ("CURRENT", status, "replicas"),
        ("READY", status, "readyReplicas"),
        ("UP-TO-DATE", status, "updatedReplicas"),
        ("AVAILABLE", status, "availableReplicas"),
    ):
        if row.get(column, "").isdigit():
            where[field] = int(row[column])
    if "SELECTOR" in row:
        spec["selector"] = label_selector(row["SELECTOR"])
    obj.update(spec=spec, status=status)
    return ["spec.replicas", "status.readyReplicas", "status.replicas"] + (
        ["spec.selector"] if "SELECTOR" in row else []
    )


def _daemon_set(row: Row, obj: Raw) -> list[str]:
    status: Raw = {}
    for column, field in (
        ("DESIRED", "desiredNumberScheduled"),
        ("CURRENT", "currentNumberScheduled"),
        ("READY", "numberReady"),
        ("UP-TO-DATE", "updatedNumberScheduled"),
        ("AVAILABLE", "numberAvailable"),
    ):
        if row.get(column, "").isdigit():
            status[field] = int(row[column])
    obj.update(spec={}, status=status)
    return ["status"]


def _job(row: Row, obj: Raw) -> list[str]:
    ratio = _RATIO.match(row.get("COMPLETIONS", ""))
    word = row.get("STATUS", "")
    status: Raw = {"succeeded": int(ratio[1])} if ratio is not None else {}
    if word in ("Complete", "Failed"):
        status["conditions"] = [{"type": word, "status": "True"}]
    obj.update(spec={"completions": int(ratio[2])} if ratio is not None else {}, status=status)
    return ["spec.completions", "status.succeeded"]


_MAKERS: Mapping[str, Callable[[Row, Raw], Any]] = {
    "pods": _pod,
    "nodes": _node,
    "services": _service,
    "endpoints": _endpoints,
    "endpointslices": _slice,
    "ingresses": _ingress,
    "ingressclasses": ingress_class_row,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume,
    "storageclasses": class_row,
    "deployments": _replicas,
    "replicasets": _replicas,
    "statefulsets": _replicas,
    "daemonsets": _daemon_set,
    "jobs": _job,
    "leases": lease_row,
    "volumeattachments": attachment_row,
    "gateways": gateway_row,
    "apiservices": api_service_row,
    "certificatesigningrequests": signing_request_row,
    "clusteroperators": cluster_operator_row,
    "networkpolicies": policy_row,
    "secrets": secret_row,
}
