"""Nodes of which nothing but events is there: what these tell of their conditions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from kubetriage.cluster.text.found import FoundEvent, Raw
from kubetriage.found import Form
from kubetriage.values.patterns import lazy

FORM = Form("its events", shows=("metadata.name",))
# pkg/kubelet/kubelet_node_status.go, nodestatus/setters.go; pkg/controller/nodelifecycle.
_TOLD = {
    "NodeReady": ("Ready", "True"),
    "NodeNotReady": ("Ready", "False"),
    "NodeHasInsufficientMemory": ("MemoryPressure", "True"),
    "NodeHasSufficientMemory": ("MemoryPressure", "False"),
    "NodeHasDiskPressure": ("DiskPressure", "True"),
    "NodeHasNoDiskPressure": ("DiskPressure", "False"),
    "NodeHasInsufficientPID": ("PIDPressure", "True"),
    "NodeHasSufficientPID": ("PIDPressure", "False"),
}
"""Events that the kubelet and the node controller write when a condition changes."""
_RECLAIMS = lazy(r"Attempting to reclaim (memory|ephemeral-storage|inodes|nodefs|imagefs|pids)")
_PRESSURES = {"memory": "MemoryPressure", "pids": "PIDPressure"}
_OTHERS = frozenset({"SystemOOM", "OOMKilling", "Rebooted", "NodeShutdown", "KernelDeadlock", "TaskHung"}) | {
    *("ContainerGCFailed", "ImageGCFailed", "FreeDiskSpaceFailed", "InvalidDiskCapacity", "ContainerdUnhealthy"),
    *("KubeletSetupFailed", "NodeNotSchedulable", "NodeSchedulable", "NodeAllocatableEnforced", "EvictionThresholdMet"),
    *("DeletingNode", "RemovingNode", "RegisteredNode", "Starting", "CIDRAssignmentFailed", "HostNetworkNotSupported"),
}
REASONS = frozenset(_TOLD) | _OTHERS
"""Reasons of events that are about nodes."""
_NAMED = lazy(r"Node ([a-z0-9][a-z0-9.-]{0,252}) (?:status is now|event: )")


def node_of(event: FoundEvent) -> str:
    """Return the node that an event is about; empty where it is about something else, or does not say."""
    if event.reason not in REASONS or event.kind not in ("", "Node"):
        return ""
    match = _NAMED.match(event.message)
    return event.name or (match[1] if match is not None else "")


def node_from(events: Iterable[FoundEvent]) -> Raw:
    """Make what the events of a node tell of its spec and status; the newest word on a condition counts."""
    told: dict[str, str] = {}
    cordoned = False
    for event in sorted(events, key=lambda e: e.age or timedelta(), reverse=True):
        kind, status = _TOLD.get(event.reason, ("", ""))
        if event.reason == "EvictionThresholdMet" and (match := _RECLAIMS.search(event.message)) is not None:
            kind, status = _PRESSURES.get(match[1], "DiskPressure"), "True"
        if kind:
            told[kind] = status
        cordoned = (cordoned or event.reason == "NodeNotSchedulable") and event.reason != "NodeSchedulable"
    # Events of a kubelet that nobody called not ready are those of a living one.
    told.setdefault("Ready", "True")
    made: Raw = {"status": {"conditions": [{"type": kind, "status": status} for kind, status in told.items()]}}
    if cordoned:
        made["spec"] = {"unschedulable": True}
    return made
