"""Pods of which nothing but events is there: what these tell of their state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from kubetriage.cluster.text.found import FoundEvent, Raw
from kubetriage.cluster.text.printed_pods import NO_CONTAINER, NO_IMAGE
from kubetriage.found import Form
from kubetriage.values.patterns import lazy

FORM = Form(
    "its events",
    shows=("metadata.name", "status.phase", "status.reason", "status.message", "status.containerStatuses.state"),
)
REASONS = frozenset(
    {
        *("FailedScheduling", "Scheduled", "NotTriggerScaleUp", "TriggeredScaleUp", "Preempted"),
        *("Pulling", "Pulled", "Failed", "BackOff", "Created", "Started", "Killing", "Unhealthy", "ProbeWarning"),
        *("InspectFailed", "ErrImageNeverPull", "FailedPostStartHook", "FailedPreStopHook", "ExceededGracePeriod"),
        *("FailedMount", "FailedAttachVolume", "SuccessfulAttachVolume", "FailedMapVolume", "FailedKillPod"),
        *("FailedCreatePodSandBox", "FailedCreatePodContainer", "FailedPodSandBoxStatus", "SandboxChanged"),
        *("NetworkNotReady", "Evicted", "TaintManagerEviction", "FailedPrepareDynamicResources"),
    }
)
"""Reasons of events that are about pods (kubernetes/pkg/kubelet/events, scheduler, attach-detach, taint eviction)."""
NO_NODE = "NODE"
"""Stands for the node of a pod that one has."""
BOUND = REASONS - {"FailedScheduling", "NotTriggerScaleUp", "TriggeredScaleUp", "Preempted", "Scheduled", "Evicted"}
"""Reasons of which a pod has a node: the kubelet and the attach-detach controller know no other pods."""
_ASSIGNED = lazy(r"Successfully assigned (?:([a-z0-9-]{1,63})/)?([a-z0-9.-]{1,253}) to (\S{1,253})")
_IN_POD = lazy(r"(?:in pod |pod=)([a-z0-9.-]{1,253})_([a-z0-9-]{1,63})\([0-9a-f-]{8,40}\)")
_SANDBOX = lazy(r"name \"?([a-z0-9.-]{1,253})_([a-z0-9-]{1,63})_[0-9a-f-]{36}_\d{1,9}\"?")
_CONTAINER = lazy(
    r"(?:(?:Created|Started|Stopping) container:? |Container )\"?([a-z0-9][a-z0-9-]{0,62})\"?(?: failed|\Z|\s)"
    r"|failed container ([a-z0-9][a-z0-9-]{0,62}) in pod|failed container=([a-z0-9][a-z0-9-]{0,62}) pod="
)
_PULLED = lazy(r"image \"([^\"]{1,1000})\"")
_CONFIG = lazy(
    r"Error: (?:configmap|secret|couldn't find key|container has runAs|image will run as root|failed to sync"
    r"|services have|.{0,60}subPath|.{0,80}cannot verify user is non-root|stat )"
)
_OF_IMAGES = ("Pulling", "Pulled", "Failed", "BackOff")
_BEFORE_CONTAINERS = ("FailedMount", "FailedAttach", "FailedMap", "FailedCreatePod", "NetworkNotReady")
_CREATING = lazy(r"Error creating: [Pp]ods? \"([a-z0-9][a-z0-9.-]{0,250}?)-+\"")


def named_by(messages: Iterable[str]) -> tuple[str, str]:
    """Return the namespace and the name of the pod that its messages tell; empty where none does."""
    for message in messages:
        for pattern, space, name in ((_ASSIGNED, 1, 2), (_IN_POD, 2, 1), (_SANDBOX, 2, 1)):
            match = pattern.search(message)
            if match is not None:
                return match[space] or "", match[name]
    return "", ""


def replica_set_of(event: FoundEvent) -> str:
    """Return the ReplicaSet whose pods a message says could not be created: their names begin with its name."""
    match = _CREATING.match(event.message)
    return match[1] if match is not None else ""


def pod_of(events: Sequence[FoundEvent]) -> Raw:
    """Make the status of a pod of its events; metadata is the caller's.

    The kubelet and the scheduler write these events at the changes that the status tells of, so the newest of them
    tells how far the pod came.
    """
    state = _State()
    for event in sorted(events, key=lambda e: e.age or timedelta(), reverse=True):
        state.take(event)
    return state.pod()


class _State:
    def __init__(self) -> None:
        self.node = self.image = self.reason = self.message = self.unscheduled = ""
        self.container = ""
        self.waiting: Raw = {}
        self.begun = self.unready = False
        self.starts = 0

    def take(self, event: FoundEvent) -> None:
        named = _CONTAINER.search(event.message)
        path = event.container_path
        name = next(filter(None, named.groups()), "") if named is not None else ""
        name = name or (path[16:-1] if path.startswith("spec.containers{") else "")
        self.container = name or self.container
        if event.reason in _OF_IMAGES and (image := _PULLED.search(event.message)) is not None:
            self.image = image[1]
        act = getattr(self, f"_take_{event.reason.lower()}", None)
        if act is not None:
            act(event)
        elif event.reason.startswith(_BEFORE_CONTAINERS) and not self.begun:
            self._wait("ContainerCreating", "")
        elif event.reason == "ErrImageNeverPull":
            self._wait("ErrImageNeverPull", event.message)

    def _wait(self, reason: str, message: str) -> None:
        self.waiting = {"reason": reason, **({"message": message} if message else {})}

    def _take_failedscheduling(self, event: FoundEvent) -> None:
        if not self.node:
            self.unscheduled = event.message

    def _take_scheduled(self, event: FoundEvent) -> None:
        match = _ASSIGNED.search(event.message)
        self.node, self.unscheduled = match[3] if match is not None else self.node, ""

    def _take_started(self, event: FoundEvent) -> None:
        self.begun, self.waiting, self.unready = True, {}, False
        self.starts = max(self.starts + 1, event.count)

    def _take_failed(self, event: FoundEvent) -> None:
        words = event.message
        if words.startswith("Failed to pull image"):
            self._wait("ErrImagePull", words.partition('": ')[2])
        elif re.fullmatch(r"Error: [A-Z]\w{1,60}", words):
            self._wait(words[7:], self.waiting.get("message", ""))
        elif _CONFIG.match(words):
            self._wait("CreateContainerConfigError", words.removeprefix("Error: "))
        elif "failed to start container" in words or "OCI runtime" in words or "create containerd task" in words:
            self._wait("RunContainerError", words.removeprefix("Error: "))
            self.starts += event.count
        elif words.startswith("Error: "):
            self._wait("CreateContainerError", words.removeprefix("Error: "))

    def _take_backoff(self, event: FoundEvent) -> None:
        if event.message.startswith("Back-off pulling"):
            pull = self.waiting.get("message", "")
            self._wait("ImagePullBackOff", f"{event.message}: ErrImagePull: {pull}" if pull else event.message)
        else:
            kept = self.waiting.get("message", "") if self.waiting.get("reason") == "RunContainerError" else ""
            self._wait("CrashLoopBackOff", kept or event.message)
            self.begun = True

    def _take_unhealthy(self, _: FoundEvent) -> None:
        self.begun = self.unready = True

    def _take_killing(self, event: FoundEvent) -> None:
        if "will be restarted" in event.message:
            self.begun = True
            self.starts = max(self.starts, 1) + event.count

    def _take_evicted(self, event: FoundEvent) -> None:
        self.reason, self.message = "Evicted", event.message

    def pod(self) -> Raw:
        spec: Raw = {"nodeName": self.node} if self.node else {}
        status: Raw = {"phase": "Failed" if self.reason else "Running" if self.begun else "Pending"}
        if self.reason:
            return {"spec": spec, "status": {**status, "reason": self.reason, "message": self.message}}
        if self.unscheduled:
            told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": self.unscheduled}
            return {"spec": spec, "status": {**status, "conditions": [told]}}
        name = self.container or NO_CONTAINER
        image = self.image or (NO_IMAGE if self.begun else "")
        spec["containers"] = [{"name": name, **({"image": image} if image else {})}]
        one: Raw = {"name": name, "ready": False, "restartCount": max(self.starts - 1, 0)}
        if self.waiting:
            one["state"] = {"waiting": self.waiting}
            if self.begun or self.starts:
                one["restartCount"] = max(self.starts, 1)
                one["lastState"] = {"terminated": {}}
        elif self.begun:
            one["state"] = {"running": {}}
            if self.starts > 1:
                one["lastState"] = {"terminated": {}}
        else:
            one["state"] = {"waiting": {"reason": "ContainerCreating"}}
        if self.waiting or self.unready or not self.begun:
            status["conditions"] = [{"type": "Ready", "status": "False"}]
        status["containerStatuses"] = [one]
        return {"spec": spec, "status": status}
