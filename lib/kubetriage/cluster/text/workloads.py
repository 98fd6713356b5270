"""Workloads as ``kubectl describe`` prints them: controllers of pods, jobs."""

from __future__ import annotations

import re

from kubetriage.cluster.text.ages import api_time
from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.outline import NONE, Entry
from kubetriage.cluster.text.pods import HIDDEN as POD_HIDDEN
from kubetriage.cluster.text.pods import annotation_map, conditions, template
from kubetriage.cluster.text.selection import label_selector
from kubetriage.values.patterns import lazy

HIDDEN = (
    "metadata.uid",
    "metadata.generation",
    "spec.revisionHistoryLimit",
    "spec.paused",
    "spec.progressDeadlineSeconds",
    "spec.podFailurePolicy",
    "status.conditions.message",
    "status.conditions.lastTransitionTime",
    "status.observedGeneration",
    *(f"spec.template.{path}" for path in POD_HIDDEN if path.startswith("spec.")),
)
"""Fields of workloads that describe never prints."""
_COUNT = lazy(r"(\d{1,9}) (desired|updated|total|available|unavailable|current|ready)")
_PODS = lazy(r"(\d{1,9}) (Running|Active|Waiting|Succeeded|Failed)")
_NEW_SET = lazy(r"(\S{1,253}) \((\d{1,9})/(\d{1,9}) replicas? created\)")


def metadata(root: Entry) -> Raw:
    """Return name, namespace, labels, annotations and creation of any object."""
    made: Raw = {"name": root.text("Name")}
    if namespace := root.text("Namespace"):
        made["namespace"] = namespace
    labels, annotations = root.get("Labels"), root.get("Annotations")
    if labels is not None and labels.pairs():
        made["labels"] = labels.pairs()
    if annotations is not None and (found := annotation_map(annotations)):
        made["annotations"] = found
    if created := api_time(root.text("CreationTimestamp", "Created on")):
        made["creationTimestamp"] = created
    owner = root.text("Controlled By", "Controllers")
    if "/" in owner:
        kind, _, name = owner.partition("/")
        made["ownerReferences"] = [{"kind": kind, "name": name, "controller": True}]
    if deleting := root.text("DeletionTimestamp", "Deletion Timestamp"):
        made["deletionTimestamp"] = api_time(deleting) or deleting
    return made


def workload(root: Entry, kind: str) -> Raw:
    """Make a workload of the outline of its describe."""
    spec: Raw = {}
    status: Raw = {}
    selector = root.get("Selector")
    if selector is not None and selector.values():
        spec["selector"] = label_selector(",".join(selector.values()))
    found = root.get("Pod Template")
    if found is not None:
        spec["template"] = template(found)
    counts = {m[2]: int(m[1]) for m in _COUNT.finditer(root.text("Replicas"))}
    if "desired" in counts:
        spec["replicas"] = counts["desired"]
    for word, field in (
        ("updated", "updatedReplicas"),
        ("available", "availableReplicas"),
        ("unavailable", "unavailableReplicas"),
    ):
        if counts.get(word):
            status[field] = counts[word]
    total = counts.get("total", counts.get("current"))
    if total is not None:
        status["replicas"] = total
    pods = {m[2]: int(m[1]) for m in _PODS.finditer(root.text("Pods Status", "Pods Statuses"))}
    rows = conditions(root.get("Conditions"))
    if rows:
        status["conditions"] = rows
    if kind == "DaemonSet":
        _daemon_set(root, status)
    elif kind == "Job":
        _job(root, spec, status, pods)
    elif kind == "CronJob":
        _cron_job(root, spec, status)
    if kind in ("Deployment", "StatefulSet", "ReplicaSet") and counts.get("available"):
        status["readyReplicas"] = counts["available"]
    return {"apiVersion": _VERSIONS[kind], "kind": kind, "spec": spec, "status": status}


_VERSIONS = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicationController": "v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}


def new_sets(root: Entry) -> list[tuple[str, int, int]]:
    """Return the ReplicaSets that a Deployment's describe names: name, pods there, pods wanted."""
    rows = []
    for key in ("NewReplicaSet", "OldReplicaSets"):
        entry = root.get(key)
        for value in entry.values() if entry is not None else ():
            rows += [(m[1], int(m[2]), int(m[3])) for m in _NEW_SET.finditer(value)]
    return rows


def _number(root: Entry, *keys: str) -> int | None:
    value = root.text(*keys).rstrip("s%")
    return int(value) if value.isdigit() and len(value) < 12 else None


def _daemon_set(root: Entry, status: Raw) -> None:
    for key, field in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        if (number := _number(root, key)) is not None:
            status[field] = number
    if "numberAvailable" in status:
        status["numberReady"] = status["numberAvailable"]


def _job(root: Entry, spec: Raw, status: Raw, pods: dict[str, int]) -> None:
    for key, field in (
        ("Parallelism", "parallelism"),
        ("Completions", "completions"),
        ("Backoff Limit", "backoffLimit"),
        ("Active Deadline Seconds", "activeDeadlineSeconds"),
        ("TTL Seconds After Finished", "ttlSecondsAfterFinished"),
    ):
        if (number := _number(root, key)) is not None:
            spec[field] = number
    if root.text("Suspend") == "true":
        spec["suspend"] = True
    if mode := root.text("Completion Mode"):
        spec["completionMode"] = mode
    for key, field in (("Start Time", "startTime"), ("Completed At", "completionTime")):
        if moment := api_time(root.text(key)):
            status[field] = moment
    for word, field in (("Running", "active"), ("Active", "active"), ("Succeeded", "succeeded"), ("Failed", "failed")):
        if pods.get(word):
            status[field] = pods[word]
    ready = re.search(r"\((\d{1,9}) Ready\)", root.text("Pods Statuses"))
    if ready is not None and int(ready[1]):
        status["ready"] = int(ready[1])


def _cron_job(root: Entry, spec: Raw, status: Raw) -> None:
    spec["schedule"] = root.text("Schedule")
    spec["suspend"] = root.text("Suspend").lower() == "true"
    if policy := root.text("Concurrency Policy"):
        spec["concurrencyPolicy"] = policy
    if (seconds := _number(root, "Starting Deadline Seconds")) is not None:
        spec["startingDeadlineSeconds"] = seconds
    inner = spec.pop("template", None) or {}
    job: Raw = {"template": inner}
    for key, field in (("Parallelism", "parallelism"), ("Completions", "completions")):
        if (number := _number(root, key)) is not None:
            job[field] = number
    spec["jobTemplate"] = {"spec": job}
    if moment := api_time(root.text("Last Schedule Time")):
        status["lastScheduleTime"] = moment
    active = root.text("Active Jobs")
    if active not in NONE:
        status["active"] = [{"kind": "Job", "name": n.strip()} for n in active.split(",") if n.strip()]
