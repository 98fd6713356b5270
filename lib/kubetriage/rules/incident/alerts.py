"""Alerts as Alertmanager sends and prints them: its JSON goes in, the objects that they are about come out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache

from kubetriage.data import table
from kubetriage.records import dataclass
from kubetriage.values.fields import Obj, mapping, objects, text

_KINDS = (
    ("pod", "Pod"),
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("job_name", "Job"),
    ("cronjob", "CronJob"),
    ("replicaset", "ReplicaSet"),
    ("service", "Service"),
    ("ingress", "Ingress"),
    ("node", "Node"),
)
"""Labels of kube-state-metrics and cAdvisor that name an object, the most exact first."""
_OF_THE_SCRAPE = frozenset({"service", "pod"})
"""Labels that name the exporter instead, where the alert comes from kube-state-metrics itself."""


@dataclass(frozen=True)
class Alert:
    """One alert that fires, and the object that its labels name."""

    name: str
    plugin: str
    """Executable that answers it; empty for an alert that the table does not know."""
    kind: str = ""
    """Empty: the alert is about a namespace, or about the cluster."""
    namespace: str = ""
    object: str = ""


def read_alerts(content: str) -> tuple[Alert, ...]:
    """Read a webhook body of Alertmanager, or what ``amtool alert -o json`` and its API print.

    Alerts that are resolved are left out, equal ones are told once. Raises ValueError for anything else.
    """
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    listed = parsed if isinstance(parsed, list) else objects(parsed, "alerts") or objects(parsed, "data")
    found = dict.fromkeys(a for raw in listed if (a := _alert(mapping(raw))) is not None)
    if not found and not (isinstance(parsed, dict) and "alerts" in parsed):
        raise ValueError(
            "no alerts: expected the body of Alertmanager's webhook, or the output of amtool alert -o json"
        )
    return tuple(found)


def _alert(raw: Obj) -> Alert | None:
    labels = {k: v for k, v in mapping(raw, "labels").items() if isinstance(v, str)}
    state = raw.get("status")
    if state == "resolved" or not labels.get("alertname"):
        return None
    row = _rows().get(labels["alertname"], {})
    namespace = labels.get("namespace", "")
    named = [(text(row, "label"), text(row, "kind"))] if text(row, "label") else list(_guesses(labels, bool(row)))
    for label, kind in named:
        name = labels.get(label, "")
        if name:
            return Alert(labels["alertname"], text(row, "plugin"), kind, "" if kind == "Node" else namespace, name)
    return Alert(labels["alertname"], text(row, "plugin"), namespace=namespace)


def _guesses(labels: dict[str, str], known: bool) -> Iterator[tuple[str, str]]:
    """Yield the labels that may name the object of an alert that the table does not know."""
    if known:
        return
    exported = "kube-state-metrics" in (labels.get("job", ""), labels.get("service", ""))
    for label, kind in _KINDS:
        if not (exported and label in _OF_THE_SCRAPE and labels.get("container", "") == "kube-state-metrics"):
            yield label, kind


@cache
def _rows() -> dict[str, Obj]:
    return {row["alert"]: row for row in table("alerts")["alerts"]}
