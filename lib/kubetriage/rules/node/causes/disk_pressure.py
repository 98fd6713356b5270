"""The kubelet reports DiskPressure.

Meaning: less disk space or fewer inodes are free than the kubelet's eviction threshold asks. It deletes dead
containers and unused images, then evicts pods by their use of ephemeral storage.

Told by: condition DiskPressure=True, which the kubelet writes. Thresholds and free amounts come from its
configuration and statistics where nodes/proxy may be read. DiskPressure=Unknown says nothing: the node
controller set it when contact was lost. The condition stays True for evictionPressureTransitionPeriod (5m)
after the pressure has gone.

Fix: free the disk: images, logs, emptyDirs; set ephemeral-storage limits; enlarge the disk.

Source: pkg/kubelet/nodestatus/setters.go and pkg/kubelet/eviction.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Finding, Fix, RuledOut
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.image_garbage import collected
from kubetriage.rules.node.pressure_conditions import Pressure, containers_use, pressure
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.quantity import format_bytes

CODE = "DiskPressure"

_ABOUT = Pressure(
    CODE,
    "disk",
    (
        "nodefs.available",
        "nodefs.inodesFree",
        "imagefs.available",
        "imagefs.inodesFree",
    ),
    ("ephemeral-storage", "usedBytes"),
    "Free the disk where it is full (logs, emptyDirs, unused images); set ephemeral-storage limits; enlarge it.",
    r"(ephemeral-storage|nodefs|imagefs|inodes)",
)


def check(case: NodeCase) -> Iterator[Finding]:
    """Match the condition, with numbers where the kubelet's figures were seen, and what image collection found."""
    for finding in pressure(case, _ABOUT):
        if _lacks_inodes(case):
            yield _of_inodes(case, finding)
        else:
            yield _with_writer(case, _with_collection(case, finding))


_MUCH = 1 << 30
"""Bytes in a container's own file system, logs and emptyDirs from which on its pod is what fills a disk."""


def _with_writer(case: NodeCase, finding: Finding) -> Finding:
    """Put the workload first that the kubelet evicted for what it wrote: its writing is what has to end."""
    used: dict[str, tuple[int, Pod, str]] = {}
    for pod in case.pods:
        for name, size in containers_use(pod) if pod.reason == "Evicted" else ():
            key = f"{pod.namespace}/{pod.controller.get('name', pod.name)}/{name}"
            if size > used.get(key, (0, pod, name))[0]:
                used[key] = (size, pod, name)
    if not used:
        return finding
    size, pod, container = max(used.values(), key=lambda u: u[0])
    if size < _MUCH:
        return finding
    mine = pod.controller.get("name")
    sibling = next((p for p in case.pods if p.ready and mine and p.controller.get("name") == mine), None)
    look = (
        (kubectl("exec", sibling.name, "-c", container, "--", "du", "-xhd2", "/", namespace=sibling.namespace),)
        if sibling is not None
        else ()
    )
    return replace(
        finding,
        fix=(
            Fix(
                f"Stop what writes: container {container} of {pod.namespace}/{pod.name} held {format_bytes(size)} in"
                " its own file system, logs and emptyDirs. Let it clean up or write to a volume, and give it a limit"
                " (resources.limits ephemeral-storage), so that it alone is evicted.",
                actor=Actor.APP,
                commands=look,
            ),
            *finding.fix,
        ),
    )


def _lacks_inodes(case: NodeCase) -> bool:
    """Tell whether inodes ran out and not bytes: by the figures, else by the kubelet's newest word."""
    met = [s.signal for s in case.guarded(*_ABOUT.signals) if s.met]
    if met:
        return all(signal.endswith("inodesFree") for signal in met)
    event = case.events.last("EvictionThresholdMet", matching=_ABOUT.reclaims)
    evicted = [p.message for p in case.pods if p.reason == "Evicted"]
    words = event.message if event is not None else evicted[-1] if evicted else ""
    return "inodes" in words


def _of_inodes(case: NodeCase, finding: Finding) -> Finding:
    """Say where to look when a file system has no inodes left; a bigger disk need not have more."""
    line = "df -i; sudo du --inodes -xd3 /var 2>/dev/null | sort -rn | head -20"
    ssh = case.machine.row["tools"] == "systemd"
    look = (shell("ssh", case.machine.address, line),) if ssh else case.machine.lines("disk")
    return replace(
        finding,
        message=f"{finding.message} Inodes ran out, not bytes: there are too many files.",
        ruled_out=(*finding.ruled_out, RuledOut("a full disk", "the kubelet reclaims inodes, not bytes")),
        fix=(
            Fix(
                "Find the directory with the many small files (caches, sessions, mail, images' layers) and have them"
                " removed with their owner. Deleting big files frees nothing.",
                actor=Actor.NODE,
                commands=look,
            ),
            Fix("For good: a file system with more inodes (XFS, or mkfs -N) on a volume of its own.", actor=Actor.NODE),
        ),
        details={**finding.details, "lacks": "inodes"},
    )


_FLAPS = timedelta(minutes=30)


def _with_collection(case: NodeCase, finding: Finding) -> Finding:
    """Add what image garbage collection wanted and found, and how often the condition came and went."""
    gone = collected(case.events)
    cleared = [e for e in case.events.select("NodeHasNoDiskPressure") if e.last and case.now - e.last <= _FLAPS]
    flaps = " It came and went: the kubelet starts with a clean condition after each restart." if cleared else ""
    look = case.machine.lines("disk", "disk use")
    if gone is None:
        where = Fix("See what fills the disk before anything is removed.", actor=Actor.NODE, commands=look)
        return replace(finding, message=finding.message + flaps, fix=(where, *finding.fix))
    size = format_bytes(gone.wanted)
    told = f" Image garbage collection wanted {gone.wanted} bytes ({size}) and freed {gone.found}"
    if not gone.images_are_not_it:
        return replace(
            finding, message=f"{finding.message}{told}.{flaps}", evidence=(*finding.evidence, gone.event.evidence())
        )
    return replace(
        finding,
        message=f"{finding.message}{told} bytes: unused images are not what fills the disk.{flaps}",
        evidence=(*finding.evidence, gone.event.evidence()),
        ruled_out=(*finding.ruled_out, RuledOut("unused images", f"only {gone.found} bytes of them could be freed")),
        fix=(
            Fix(
                f"Find about {size} of other data on that file system: container logs, emptyDirs, volumes, build"
                " caches,"
                " data outside Kubernetes.",
                actor=Actor.NODE,
                commands=look,
            ),
            Fix(
                "Move or delete that data with its owner, or enlarge the disk; then set limits: ephemeral-storage,"
                " log size (containerLogMaxSize), thresholds (evictionHard).",
                actor=Actor.NODE,
            ),
            *finding.fix[1:],
        ),
    )
