"""Pods and pod templates as ``kubectl describe`` prints them."""

from __future__ import annotations

import re

from kubetriage.cluster.text.ages import api_time, parse_age
from kubetriage.cluster.text.containers import container, container_status, has_status
from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.outline import NONE, Entry
from kubetriage.cluster.text.volumes import volume
from kubetriage.values.patterns import lazy

HIDDEN = (
    "metadata.uid",
    "metadata.creationTimestamp",
    "metadata.finalizers",
    "spec.activeDeadlineSeconds",
    "spec.affinity",
    "spec.automountServiceAccountToken",
    "spec.containers.imagePullPolicy",
    "spec.containers.lifecycle",
    "spec.containers.resizePolicy",
    "spec.containers.restartPolicy",
    "spec.containers.securityContext",
    "spec.containers.stdin",
    "spec.containers.terminationMessagePolicy",
    "spec.containers.tty",
    "spec.containers.workingDir",
    "spec.initContainers.imagePullPolicy",
    "spec.initContainers.lifecycle",
    "spec.initContainers.restartPolicy",
    "spec.initContainers.securityContext",
    "spec.dnsConfig",
    "spec.dnsPolicy",
    "spec.enableServiceLinks",
    "spec.hostAliases",
    "spec.hostIPC",
    "spec.hostNetwork",
    "spec.hostPID",
    "spec.hostUsers",
    "spec.hostname",
    "spec.imagePullSecrets",
    "spec.preemptionPolicy",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.schedulingGates",
    "spec.securityContext",
    "spec.setHostnameAsFQDN",
    "spec.shareProcessNamespace",
    "spec.subdomain",
    "spec.terminationGracePeriodSeconds",
    "spec.overhead",
    "status.conditions.lastTransitionTime",
    "status.conditions.message",
    "status.conditions.reason",
    "status.containerStatuses.allocatedResources",
    "status.containerStatuses.resources",
    "status.containerStatuses.started",
    "status.hostIP",
    "status.observedGeneration",
    "status.resize",
)
"""Fields of a pod that describe never prints (kubectl 1.20 to 1.37, pkg/describe)."""

_SECTIONS = (
    ("Init Containers", "initContainers", "initContainerStatuses"),
    ("Containers", "containers", "containerStatuses"),
    ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
)
_TOLERATION = lazy(r"([^\s:=]{0,400})(?:=([^\s:]{0,63}))?(?::(\w{1,40}))?(?: op=(\w{1,20}))?(?: for (\d{1,12})s)?\Z")


def pod(root: Entry) -> Raw:
    """Make a pod of the outline of its describe."""
    made = template(root)
    spec: Raw = made["spec"]
    status: Raw = {}
    node = root.text("Node")
    if node:
        spec["nodeName"], _, address = node.partition("/")
        if address:
            status["hostIP"] = address
    for key, field in (
        ("Service Account", "serviceAccountName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Priority Class Name", "priorityClassName"),
    ):
        if value := root.text(key):
            spec[field] = value
    priority = root.text("Priority")
    if priority.lstrip("-").isdigit():
        spec["priority"] = int(priority)
    phase = root.text("Status")
    terminating = re.match(r"Terminating(?: \((?:lasts|expires) (.{1,60})\))?", phase)
    if terminating is not None:
        made["metadata"]["deletionTimestamp"] = api_time(terminating[1] or "") or DELETED
        if terminating[1] and parse_age(terminating[1]) is not None:
            made["x-deleted"] = terminating[1]
        period = root.text("Termination Grace Period").rstrip("s")
        made["metadata"]["deletionGracePeriodSeconds"] = int(period) if period.isdigit() else 30
        phase = "Running"
    if phase:
        status["phase"] = phase
    for key, field in (("Reason", "reason"), ("IP", "podIP"), ("NominatedNodeName", "nominatedNodeName")):
        if value := root.text(key):
            status[field] = value
    message = root.get("Message")
    if message is not None and message.values():
        status["message"] = "\n".join(message.values())
    if start := api_time(root.text("Start Time")):
        status["startTime"] = start
    addresses = root.get("IPs")
    if addresses is not None:
        found = [e.value for e in addresses.below if e.key == "IP" and e.value not in NONE]
        if found:
            status["podIPs"] = [{"ip": a} for a in found]
    if quality := root.text("QoS Class"):
        status["qosClass"] = quality
    for section, _, statuses in _SECTIONS:
        entry = root.get(section)
        told = [container_status(e) for e in entry.below if e.key and has_status(e)] if entry is not None else []
        if told:
            status[statuses] = told
    _mark_sidecars(spec, status)
    if policy := _restart_policy(root.text("Controlled By"), status):
        spec["restartPolicy"] = policy
    gates = root.get("Readiness Gates")
    if gates is not None:
        spec["readinessGates"] = [{"conditionType": t} for t in _first_words(gates)]
    status["conditions"] = conditions(root.get("Conditions"))
    _phase_from_conditions(status)
    made["status"] = status
    made.update(apiVersion="v1", kind="Pod")
    return made


def _restart_policy(controller: str, status: Raw) -> str:
    """Tell what the restart policy is not: describe does not print it, and only jobs and bare pods have another."""
    kind = controller.partition("/")[0]
    if kind not in ("Job", ""):
        return "Always"
    ended = [s for s in status.get("containerStatuses", []) if "terminated" in s.get("state", {})]
    if any(s["state"]["terminated"].get("exitCode") for s in ended) and status.get("phase") == "Failed":
        return "Never"
    if kind == "Job" or (ended and status.get("phase") in ("Succeeded", "Failed")):
        return "OnFailure"
    return ""


def _mark_sidecars(spec: Raw, status: Raw) -> None:
    """Tell sidecars from init containers: the restart policy that makes them is not printed.

    Only a sidecar has probes or is ready while it runs, and the main containers wait for all others to end.
    """
    begun = any(
        s.get("restartCount")
        or s.get("lastState")
        or "running" in s.get("state", {})
        or "terminated" in s.get("state", {})
        for s in status.get("containerStatuses", [])
    )
    states = {s["name"]: s for s in status.get("initContainerStatuses", [])}
    for init in spec.get("initContainers", []):
        told = states.get(init["name"], {})
        state = told.get("state", {})
        done = state.get("terminated", {}).get("exitCode") == 0
        probed = any(probe in init for probe in ("livenessProbe", "readinessProbe", "startupProbe"))
        if probed or ("running" in state and told.get("ready")) or (begun and state and not done):
            init["restartPolicy"] = "Always"


DELETED = "1970-01-02T00:00:00Z"
"""For a pod of which only is told that it is being deleted; replaced by the time of the text."""


def _phase_from_conditions(status: Raw) -> None:
    """Give a scheduled pod without a ``Status`` line its phase, where its containers tell it."""
    if "phase" in status:
        return
    states = [s.get("state", {}) for s in status.get("containerStatuses", [])]
    if any("running" in s for s in states):
        status["phase"] = "Running"


def _first_words(entry: Entry) -> list[str]:
    rows = [e.raw.split()[0] for e in entry.below]
    return [row for row in rows if row not in ("Type",) and not row.startswith("-")]


def template(root: Entry) -> Raw:
    """Make metadata and spec of a pod, or of the template of a workload."""
    made: Raw = {"metadata": {}, "spec": {}}
    spec = made["spec"]
    for section, specs, _ in _SECTIONS:
        entry = root.get(section)
        if entry is not None:
            containers = [container(e) for e in entry.below if e.key]
            if containers:
                spec[specs] = containers
    volumes = root.get("Volumes")
    if volumes is not None:
        spec["volumes"] = [volume(e) for e in volumes.below if e.key and not e.value]
    labels = root.get("Labels")
    if labels is not None and labels.pairs():
        made["metadata"]["labels"] = labels.pairs()
    annotations = root.get("Annotations")
    if annotations is not None and annotation_map(annotations):
        made["metadata"]["annotations"] = annotation_map(annotations)
    if account := root.text("Service Account"):
        spec["serviceAccountName"] = account
    selector = root.get("Node-Selectors")
    if selector is not None and selector.pairs():
        spec["nodeSelector"] = selector.pairs()
    tolerations = root.get("Tolerations")
    if tolerations is not None:
        found = [t for t in map(_toleration, tolerations.values()) if t]
        if found:
            spec["tolerations"] = found
    spread = root.get("Topology Spread Constraints")
    if spread is not None:
        spec["topologySpreadConstraints"] = [s for s in map(_spread, spread.values()) if s]
    if name := root.text("Priority Class Name"):
        spec["priorityClassName"] = name
    return made


def annotation_map(entry: Entry) -> dict[str, str]:
    """Read annotations; a long one stands below its key."""
    found = entry.pairs(":")
    for below in entry.below:
        if below.key:
            found[below.key] = "\n".join([v for v in (below.value, *below.more) if v] + list(below.lines()))
    return found


def conditions(entry: Entry | None) -> list[Raw]:
    """Read the conditions of a pod or workload: a table of type, status and, for some kinds, reason."""
    made = []
    for below in entry.below if entry is not None else ():
        words = below.raw.split()
        if len(words) >= 2 and words[1] in ("True", "False", "Unknown"):
            row: Raw = {"type": words[0], "status": words[1]}
            if len(words) > 2:
                row["reason"] = words[2]
            made.append(row)
    return made


def _toleration(row: str) -> Raw | None:
    match = _TOLERATION.match(row.strip())
    if match is None or not (match[1] or match[4]):
        return None
    made: Raw = {}
    if match[1]:
        made["key"] = match[1]
    if match[2] is not None:
        made["value"] = match[2]
    if match[3]:
        made["effect"] = match[3]
    if match[4]:
        made["operator"] = match[4]
    if match[5]:
        made["tolerationSeconds"] = int(match[5])
    return made


def _spread(row: str) -> Raw | None:
    match = re.match(
        r"(\S{1,317}):(\w{1,40}) when max skew (\d{1,9}) is exceeded(?: for selector (\S{1,2000}))?", row.strip()
    )
    if match is None:
        return None
    made: Raw = {"topologyKey": match[1], "whenUnsatisfiable": match[2], "maxSkew": int(match[3])}
    if match[4]:
        made["labelSelector"] = {"matchLabels": dict(p.split("=", 1) for p in match[4].split(",") if "=" in p)}
    return made
