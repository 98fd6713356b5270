"""OOM kills of a container: its status and its node's events in, whose limit was met and the proof out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from kubetriage.model import Confidence, Evidence
from kubetriage.readers.events import Event, Events
from kubetriage.readers.pods import Container, Pod
from kubetriage.readers.terminations import Termination
from kubetriage.rules.memory import node_memory
from kubetriage.values.patterns import lazy

KilledBy = Literal["container", "pod", "node"]

_NEAR = timedelta(seconds=60)
"""A node event this near to a death may be about it: the kubelet reads the kernel log within seconds, and status
times are whole seconds."""
_FITS = 1.25
"""A victim this much above the limit belonged to another cgroup; shared pages and batched counters explain less."""


@dataclass(frozen=True)
class Kill:
    """One OOM kill that the container's status records."""

    end: Termination
    killed_by: KilledBy
    confidence: Confidence
    because: str
    """What tells whose limit it was."""
    before_start: bool
    """runc's first process was killed; the program never ran."""
    evidence: tuple[Evidence, ...]
    event: Event | None
    """The node's event about it, where there is one."""
    main_process: bool
    """PID 1 itself was killed (exit code 137, or before it started); otherwise only a child was."""
    resident_at_death: int | None = None
    """anon-rss and shmem-rss of the victim from the kernel's line, in bytes."""


# "Killed process 4711 (java) total-vm:5213128kB, anon-rss:4190212kB, file-rss:0kB, shmem-rss:0kB": mm/oom_kill.c
# __oom_kill_process, as node-problem-detector's kernel-monitor.json quotes it.
_KILLED_PROCESS = lazy(
    r"Killed process (\d+) \((.+?)\)[^\n]*?anon-rss:(\d+)kB(?:, file-rss:(\d+)kB)?(?:, shmem-rss:(\d+)kB)?"
)
# What starts that line: "Out of memory: " when the node had none left, "Memory cgroup out of memory: " at a limit;
# mm/oom_kill.c out_of_memory, Linux 5.1 and later. Kernels before print the same words on a line of their own.
_NODE_OUT_OF_MEMORY = lazy(r"(?<!cgroup )\bOut of memory(?: \(oom_kill_allocating_task\))?: Kill")
# runc 1.1 and later: the first process died at the limit before it became the program (StartError, exit code 128).
_KILLED_BEFORE_START = lazy(r"container init was OOM-killed")
_REPORTED = "the node itself reported being out of memory at that time"


def _resident(event: Event) -> int | None:
    """Return anon-rss and shmem-rss of the victim that the kernel's line in an event names, in bytes."""
    match = _KILLED_PROCESS.search(event.message)
    return (int(match[3]) + int(match[5] or 0)) * 1024 if match else None


def _of_the_node(event: Event) -> bool:
    """Tell whether an event says that the node, and not a cgroup, had no memory left."""
    return event.reason == "SystemOOM" or bool(_NODE_OUT_OF_MEMORY.search(event.message))


def _before_start(end: Termination) -> bool:
    return end.reason != "OOMKilled" and bool(_KILLED_BEFORE_START.search(end.message))


def was_oom_kill(end: Termination) -> bool:
    """Tell whether an end is an OOM kill by the runtime's reason, or by runc's words about one before the start."""
    return end.reason == "OOMKilled" or _before_start(end)


def oom_kills(container: Container, events: Events) -> tuple[Kill, ...]:
    """Return the OOM kills in the container's status, the newest first; ``events`` are those of its node."""
    ends = (container.current_termination, container.last_termination)
    return tuple(_kill(container, events, e) for e in ends if e is not None and was_oom_kill(e))


def _kill(container: Container, events: Events, end: Termination) -> Kill:
    near = _events_near(container, events, end)
    killed_by, confidence, because = killer(container, near)
    lines = [(e, size) for e in near if (size := _resident(e)) is not None]
    limit = node_memory.limit_of(container).size
    line = next((x for x in reversed(lines) if limit is None or x[1] <= limit * _FITS), None)
    told = next((e for e in reversed(near) if _of_the_node(e)), None) if killed_by == "node" else None
    event = line[0] if line is not None else told or next(iter(near[-1:]), None)
    quoted = [told] if told is event else [told, event]
    evidence = [end.evidence(), *(e.evidence() for e in quoted if e is not None)]
    start = _before_start(end)
    main = end.exit_code == 137 or start
    return Kill(end, killed_by, confidence, because, start, tuple(evidence), event, main, line[1] if line else None)


def _events_near(container: Container, events: Events, end: Termination) -> list[Event]:
    if end.finished is None or container.pod.node == "":
        return []
    return [
        e
        for e in events.select("SystemOOM", "OOMKilling")
        if e.last is not None and e.first is not None and e.first - _NEAR <= end.finished <= e.last + _NEAR
    ]


def killer(container: Container, near: Iterable[Event]) -> tuple[KilledBy, Confidence, str]:
    """Tell whose limit a kill met, from the limits and the node's events ``near`` it, how sure, and why."""
    own, whole = node_memory.limit_of(container), node_memory.pod_limit(container.pod)
    system = any(_of_the_node(e) for e in near)
    if own.size is None:
        if system:
            return "node", Confidence.CONFIRMED, f"it has no limit, and {_REPORTED}"
        return "node", Confidence.LIKELY, "neither the container nor the pod has a memory limit that it could meet"
    if own.level == "pod":
        if system:
            return "node", Confidence.LIKELY, _REPORTED
        return "pod", Confidence.LIKELY, "the container has no limit of its own, the pod has one"
    if system:
        return "node", Confidence.LIKELY, f"{_REPORTED}, which a kill at a container limit does not cause"
    if whole.size is not None and whole.size <= own.size:
        return "pod", Confidence.LIKELY, "the pod-level limit is not above the container's"
    if whole.size is not None:
        others = [c for c in container.pod.containers if c.kind in ("app", "sidecar") and c.name != container.name]
        if others:
            return "container", Confidence.LIKELY, "it has a limit of its own; the pod-level limit is a rival"
    return "container", Confidence.CONFIRMED, "the kernel kills at the container's own limit"


def oom_killed_at(container: Container) -> datetime | None:
    """Return when an instance of the container was last OOM-killed."""
    ends = (container.current_termination, container.last_termination)
    times = [e.finished for e in ends if e is not None and was_oom_kill(e)]
    return max((t for t in times if t is not None), default=None)


def kill_time(pod: Pod) -> datetime | None:
    """Return when a container of the pod was last OOM-killed."""
    return max((t for c in pod.containers if (t := oom_killed_at(c)) is not None), default=None)


def kill_key(pod: Pod) -> float:
    """Return a key that sorts pods by their last OOM kill, the newest first."""
    moment = kill_time(pod)
    return -moment.timestamp() if moment is not None else 0.0


def evicted_for_memory(pod: Pod) -> bool:
    """Tell whether the kubelet evicted the pod for memory (its message outlives the events)."""
    return pod.reason == "Evicted" and "low on resource: memory" in pod.message


def handed_over(pod: Pod) -> bool:
    """Tell whether something ended with SIGKILL or by the node that is no OOM kill by its status."""
    if pod.phase == "Failed" and pod.reason:
        return True
    return any(_killed_otherwise(c) for c in pod.containers)


def _killed_otherwise(container: Container) -> bool:
    end = container.termination
    return end is not None and end.exit_code == 137 and not was_oom_kill(end)
