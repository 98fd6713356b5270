"""Rows of tables that list objects of the whole cluster and of its parts: each cell goes into the field it shows."""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.selection import label_selector

Row = Mapping[str, str]


def class_row(row: Row, obj: Raw) -> list[str]:
    """Read the provisioner of a StorageClass, and its defaults. Returns the fields that it shows."""
    obj["provisioner"] = row.get("PROVISIONER", "")
    obj["volumeBindingMode"] = row.get("VOLUMEBINDINGMODE", "")
    return ["provisioner", "volumeBindingMode"]


def ingress_class_row(row: Row, obj: Raw) -> list[str]:
    """Read the controller of an IngressClass. Returns the fields that it shows."""
    obj["spec"] = {"controller": row.get("CONTROLLER", "")}
    return ["spec.controller"]


def lease_row(row: Row, obj: Raw) -> list[str]:
    """Read who holds a Lease. Returns the fields that it shows."""
    obj["spec"] = {"holderIdentity": row.get("HOLDER", "")}
    return ["spec.holderIdentity"]


def attachment_row(row: Row, obj: Raw) -> list[str]:
    """Read which volume is attached to which node. Returns the fields that it shows."""
    source = {"persistentVolumeName": row.get("PV", "")}
    obj["spec"] = {"attacher": row.get("ATTACHER", ""), "nodeName": row.get("NODE", ""), "source": source}
    obj["status"] = {"attached": row.get("ATTACHED") == "true"}
    return ["spec.attacher", "spec.nodeName", "spec.source", "status.attached"]


def gateway_row(row: Row, obj: Raw) -> list[str]:
    """Read the class, the address and the state of a Gateway. Returns the fields that it shows."""
    obj["spec"] = {"gatewayClassName": row.get("CLASS", "")}
    addresses = [{"value": a} for a in row.get("ADDRESS", "").split(",") if a]
    state = row.get("PROGRAMMED", "")
    conditions = [{"type": "Programmed", "status": state}] if state else []
    obj["status"] = {"addresses": addresses, "conditions": conditions}
    return ["spec.gatewayClassName", "status.addresses"]


def policy_row(row: Row, obj: Raw) -> list[str]:
    """Read the pods that a NetworkPolicy selects. Returns the fields that it shows."""
    obj["spec"] = {"podSelector": label_selector(row.get("POD-SELECTOR", ""))}
    return ["spec.podSelector"]


def secret_row(row: Row, obj: Raw) -> list[str]:
    """Read the type of a Secret. Returns the fields that it shows."""
    if "TYPE" in row:
        obj["type"] = row["TYPE"]
    return ["type"]


def api_service_row(row: Row, obj: Raw) -> list[str]:
    """Read who serves an aggregated API, and whether it answers. Returns the fields that it shows."""
    place, _, name = row.get("SERVICE", "").partition("/")
    spec: Raw = {}
    if name:
        spec["service"] = {"namespace": place, "name": name}
    state, _, reason = row.get("AVAILABLE", "").partition(" ")
    told = {"type": "Available", "status": state if state in ("True", "False") else "Unknown"}
    obj["spec"], obj["status"] = spec, {"conditions": [{**told, "reason": reason.strip("()")}]}
    return ["spec.service", "status.conditions"]


def signing_request_row(row: Row, obj: Raw) -> list[str]:
    """Read a certificate signing request. Returns the fields that it shows."""
    obj["spec"] = {"signerName": row.get("SIGNERNAME", ""), "username": row.get("REQUESTOR", "")}
    words = [w for w in row.get("CONDITION", "").split(",") if w not in ("", "Pending")]
    status: Raw = {"conditions": [{"type": w, "status": "True"} for w in words if w != "Issued"]}
    if "Issued" in words:
        status["certificate"] = "issued"
    obj["status"] = status
    return ["spec.signerName", "spec.username", "status.conditions"]


def cluster_operator_row(row: Row, obj: Raw) -> list[str]:
    """Read the conditions of an operator of OpenShift. Returns the fields that it shows."""
    message = row.get("MESSAGE", "")
    conditions = [
        {"type": kind, "status": row.get(kind.upper(), ""), "message": message}
        for kind in ("Available", "Progressing", "Degraded")
    ]
    obj["status"] = {"conditions": conditions}
    return ["status.conditions"]
