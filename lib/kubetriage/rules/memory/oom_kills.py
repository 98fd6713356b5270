"""OOM kills of a container: its status and its node's events in, whose limit was met and the proof out.

The runtime writes OOMKilled for a kill at any level: the container's limit, the pod's, all pods of the node together
(``kubepods``, the node's allocatable) or the whole node. Which one it was is argued from what was seen; where nothing
decides, both readings stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from kubetriage.model import Confidence, Evidence
from kubetriage.readers.events import Event, Events
from kubetriage.readers.pods import Container, Pod
from kubetriage.readers.terminations import Termination
from kubetriage.records import dataclass
from kubetriage.rules.memory import node_memory
from kubetriage.rules.memory.budget import exact
from kubetriage.rules.memory.node_load import NodeLoad
from kubetriage.rules.memory.terminations import before_start, was_oom_kill
from kubetriage.typed import Literal
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import format_bytes
from kubetriage.values.times import format_time

KilledBy = Literal["container", "pod", "node"]

_NEAR = timedelta(seconds=60)
"""A node event this near to a death may be about it: the kubelet reads the kernel log within seconds, and status
times are whole seconds."""
_FITS = 1.25
"""A victim this much above the limit belonged to another cgroup; shared pages and batched counters explain less."""
_AT_LIMIT = 0.7
"""A victim that held this share of the limit met it: the rest was page cache, other processes, kernel memory."""
_SURELY_SMALL = 512 * 2**20
"""A limit up to this is met before any node runs out."""
LARGE_SHARE = 4
"""A limit this many times below the node's allocatable memory is met long before the node's own."""


@dataclass(frozen=True)
class Scope:
    """Whose limit a kill met."""

    killed_by: KilledBy
    confidence: Confidence
    because: str
    """What tells."""
    evidence: tuple[Evidence, ...] = ()
    rival: str = ""
    """The other reading that nothing rules out, as a clause."""


@dataclass(frozen=True)
class Kill:
    """One OOM kill that the container's status records."""

    end: Termination
    scope: Scope
    before_start: bool
    """runc's first process was killed; the program never ran."""
    evidence: tuple[Evidence, ...]
    event: Event | None
    """The node's event about it, where there is one."""
    main_process: bool
    """PID 1 itself was killed (exit code 137, or before it started); otherwise only a child was."""
    resident_at_death: int | None = None
    """anon-rss and shmem-rss of the victim from the kernel's line, in bytes."""
    address_space: int | None = None
    """total-vm of the victim from the kernel's line, in bytes."""

    @property
    def killed_by(self) -> KilledBy:
        """Whose limit it was."""
        return self.scope.killed_by

    @property
    def confidence(self) -> Confidence:
        """How well that is known."""
        return self.scope.confidence

    @property
    def because(self) -> str:
        """What tells."""
        return self.scope.because


@dataclass(frozen=True)
class Victim:
    """A process that the kernel says it killed."""

    event: Event
    pid: str
    name: str
    resident: int
    """anon-rss and shmem-rss in bytes."""
    address_space: int | None
    score: int | None
    """The kernel's oom score with oom_score_adj in it, which kernels before 5.1 print."""


# "Killed process 4711 (java) total-vm:5213128kB, anon-rss:4190212kB, file-rss:0kB, shmem-rss:0kB": mm/oom_kill.c
# __oom_kill_process, as node-problem-detector's kernel-monitor.json quotes it.
_KILLED_PROCESS = lazy(
    r"Killed process (\d+) \((.+?)\)(?: total-vm:(\d+)kB)?[^\n]*?anon-rss:(\d+)kB"
    r"(?:, file-rss:(\d+)kB)?(?:, shmem-rss:(\d+)kB)?"
)
_SCORE = lazy(r"\bscore (\d+) or sacrifice child")
# What starts that line: "Out of memory: " when the node had none left, "Memory cgroup out of memory: " at a limit;
# mm/oom_kill.c out_of_memory, Linux 5.1 and later. Kernels before print the same words on a line of their own.
_NODE_OUT_OF_MEMORY = lazy(
    r"(?<!cgroup )\bOut of memory(?: \(oom_kill_allocating_task\))?: Kill"
    r"|constraint=CONSTRAINT_(?:NONE|CPUSET|MEMORY_POLICY)"
)
# mm/memcontrol.c mem_cgroup_print_oom_context: the cgroup whose limit was met, with the victim's own after it.
_MET = lazy(
    r"oom_memcg=(?P<met>[^,\s]{1,512}),task_memcg=(?P<task>[^,\s]{1,512})"
    r"|Task in (?P<old_task>\S{1,600}) killed as a result of limit of (?P<old_met>\S+)"
)
_ALL_PODS = lazy(r"(?:^|/)kubepods(?:\.slice)?(?:/(?:kubepods-)?(?:burstable|besteffort)(?:\.slice)?)?/?\Z")
_REPORTED = "the node itself reported being out of memory at that time"


def victim(event: Event) -> Victim | None:
    """Read the process that the kernel's line in an event names; None where it names none."""
    match = _KILLED_PROCESS.search(event.message)
    if match is None:
        return None
    score = _SCORE.search(event.message)
    return Victim(
        event,
        match[1],
        match[2],
        (int(match[4]) + int(match[6] or 0)) * 1024,
        int(match[3]) * 1024 if match[3] else None,
        int(score[1]) if score else None,
    )


def _of_the_node(event: Event) -> bool:
    """Tell whether an event says that the node, and not a cgroup, had no memory left."""
    return event.reason == "SystemOOM" or bool(_NODE_OUT_OF_MEMORY.search(event.message))


def oom_kills(container: Container, events: Events, load: NodeLoad) -> tuple[Kill, ...]:
    """Return the OOM kills in the container's status, the newest first; ``events`` are those of its node."""
    ends = (container.current_termination, container.last_termination)
    return tuple(_kill(container, events, load, e) for e in ends if e is not None and was_oom_kill(e))


def _kill(container: Container, events: Events, load: NodeLoad, end: Termination) -> Kill:
    near = _events_near(container, events, end)
    victims = [v for e in near if (v := victim(e)) is not None]
    own = _own_victim(container, victims, end)
    scope = killer(container, near, load, end, own)
    told = next((e for e in reversed(near) if _of_the_node(e)), None) if scope.killed_by == "node" else None
    rest = [e for e in near if victim(e) is None]
    event = own.event if own is not None else told or next(iter(rest[-1:]), None)
    quoted = [told] if told is event else [told, event]
    evidence = [end.evidence(), *(e.evidence() for e in quoted if e is not None), *scope.evidence]
    start = before_start(end)
    return Kill(
        end,
        scope,
        start,
        tuple(evidence),
        event,
        end.exit_code == 137 or start,
        own.resident if own is not None else None,
        own.address_space if own is not None else None,
    )


def _events_near(container: Container, events: Events, end: Termination) -> list[Event]:
    if end.finished is None or container.pod.node == "":
        return []
    return [
        e
        for e in events.select("SystemOOM", "OOMKilling")
        if e.last is not None and e.first is not None and e.first - _NEAR <= end.finished <= e.last + _NEAR
    ]


def _own_victim(container: Container, victims: list[Victim], end: Termination) -> Victim | None:
    """Choose the victim that belongs to the container: by cgroup, by name, by size, then the nearest in time."""
    limit = node_memory.limit_of(container).size
    fitting = [v for v in victims if limit is None or v.resident <= limit * _FITS]
    identity = container.status.get("containerID")
    number = str(identity).rpartition("/")[2] if identity else ""
    names = {container.name.lower(), *image_words(container.image)}

    def rank(v: Victim) -> tuple[int, float, int]:
        met = _MET.search(v.event.message)
        task = (met["task"] or met["old_task"]) if met else ""
        word = v.name.lower()
        if number and number[:12] in task:
            fits = 0
        elif container.pod.uid and _in_pod(task, container.pod.uid):
            fits = 1
        elif any(word[:15] == n[:15] or (len(n) > 3 and (n in word or word in n)) for n in names):
            fits = 2
        else:
            fits = 3 if limit is not None and v.resident >= limit * _AT_LIMIT else 4
        away = abs((v.event.last - end.finished).total_seconds()) if v.event.last and end.finished else 0.0
        return (fits, away, -v.resident)

    best = min(fitting, key=rank, default=None)
    # One of several strangers says nothing about this container.
    return None if best is not None and rank(best)[0] == 4 and len(fitting) > 1 else best


def _in_pod(path: str, uid: str) -> bool:
    return uid in path or uid.replace("-", "_") in path


def image_words(image: str) -> set[str]:
    """Return the name of an image without registry, path and tag."""
    segment = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return {segment.lower()} if segment else set()


def killer(
    container: Container,
    near: Iterable[Event] = (),
    load: NodeLoad | None = None,
    end: Termination | None = None,
    own: Victim | None = None,
) -> Scope:
    """Tell whose limit a kill met, from limits, the node's events ``near`` it, its other pods, and the victim."""
    near = list(near)
    by_path = _by_path(container, near)
    if by_path is not None:
        return by_path
    limit, whole = node_memory.limit_of(container), node_memory.pod_limit(container.pod)
    system = any(_of_the_node(e) for e in near)
    if limit.size is None:
        return _without_limit(system, near, own)
    if limit.level == "pod":
        if system:
            return Scope("node", Confidence.LIKELY, _REPORTED)
        return Scope("pod", Confidence.LIKELY, "the container has no limit of its own, the pod has one")
    if system:
        return Scope("node", Confidence.LIKELY, f"{_REPORTED}, which a kill at a container limit does not cause")
    if whole.size is not None and whole.size <= limit.size:
        return Scope("pod", Confidence.LIKELY, "the pod-level limit is not above the container's")
    proven = own is not None and own.resident >= limit.size * _AT_LIMIT
    short = None if proven or load is None else _node_is_short(container, limit.size, load, end)
    if short is not None:
        return short
    if whole.size is not None:
        others = [c for c in container.pod.containers if c.kind in ("app", "sidecar") and c.name != container.name]
        if others:
            return Scope("container", Confidence.LIKELY, "it has a limit of its own; the pod-level limit is a rival")
    allocatable = load.allocatable if load is not None else None
    if (
        allocatable is not None
        and not proven
        and limit.size * LARGE_SHARE > allocatable
        and not (load and _has_room(load))
    ):
        rival = f"the node running out first, as the limit is {limit.size / allocatable:.0%} of its allocatable memory"
        return Scope("container", Confidence.LIKELY, "the kernel kills at the container's own limit", (), rival)
    if allocatable is None and not proven and limit.size > _SURELY_SMALL and load is not None:
        rival = "the node running out first: its memory was not seen"
        return Scope("container", Confidence.LIKELY, "the kernel kills at the container's own limit", (), rival)
    return Scope("container", Confidence.CONFIRMED, "the kernel kills at the container's own limit")


def _has_room(load: NodeLoad) -> bool:
    return load.complete and not load.unlimited and not load.overcommitted


def _by_path(container: Container, near: list[Event]) -> Scope | None:
    """Read the cgroup whose limit was met, where the kernel names it and the victim is this pod's."""
    for event in reversed(near):
        met = _MET.search(event.message)
        if met is None:
            continue
        path, task = met["met"] or met["old_met"], met["task"] or met["old_task"]
        if container.pod.uid and not _in_pod(task, container.pod.uid):
            continue
        quoted = (Evidence("event", event.reason, f"limit of {path}", format_time(event.last) if event.last else ""),)
        if _ALL_PODS.search(path):
            words = "the limit that it met is that of all pods of the node together (kubepods, its allocatable memory)"
            return Scope("node", Confidence.CONFIRMED, words, quoted)
        if path == task:
            level: KilledBy = "container" if node_memory.limit_of(container).level == "container" else "pod"
            return Scope(level, Confidence.CONFIRMED, "the kernel names the container's own cgroup", quoted)
        if _in_pod(path, container.pod.uid):
            return Scope("pod", Confidence.CONFIRMED, "the kernel names the pod's cgroup", quoted)
    return None


def _without_limit(system: bool, near: list[Event], own: Victim | None) -> Scope:
    if system:
        return Scope("node", Confidence.CONFIRMED, f"it has no limit, and {_REPORTED}")
    victims = [v for e in near if (v := victim(e)) is not None]
    if len({v.pid for v in victims}) > 1:
        names = ", ".join(dict.fromkeys(v.name for v in victims))
        size = _cgroup_size(own)
        evidence = (Evidence("event", "OOMKilling", size),) if size else ()
        words = (
            f"it has no limit, and the kernel killed processes of several pods within a minute ({names}): all pods "
            "together reached the node's allocatable memory"
        )
        return Scope("node", Confidence.LIKELY, words, evidence)
    words = "neither the container nor the pod has a memory limit that it could meet"
    return Scope("node", Confidence.LIKELY, words)


def _cgroup_size(own: Victim | None) -> str:
    """Reckon the size of the cgroup from the kernel's score: adj + 1000 * rss / size (mm/oom_kill.c oom_badness)."""
    if own is None or own.score is None or own.score <= 1010:
        return ""
    share = (own.score - 1000) / 1000  # only BestEffort (oom_score_adj 1000) passes 1000
    size = format_bytes(round(own.resident / share))
    return (
        f"score {own.score} of {own.name}: its {format_bytes(own.resident)} are {share:.0%} of a cgroup of about {size}"
    )


def _node_is_short(container: Container, limit: int, load: NodeLoad, end: Termination | None) -> Scope | None:
    """Argue that the node ran out before the limit was met; None where nothing says so."""
    allocatable = load.allocatable
    if allocatable is None:
        return None
    capacity = Evidence("status", f"node/{load.name} allocatable.memory", format_bytes(allocatable))
    if limit > allocatable:
        words = f"its limit of {exact(limit)} is more than the {format_bytes(allocatable)} that the node has for pods"
        return Scope("node", Confidence.LIKELY, words, (capacity,))
    left = load.reachable(container.pod)
    if left is None or limit <= left or not load.overcommitted:
        return None
    sums = Evidence(
        "spec",
        f"limits of the pods on node/{load.name}",
        f"{format_bytes(load.limited)}, {load.limited / allocatable:.0%} of its allocatable memory; "
        f"requests {format_bytes(load.requested)}, {load.requested / allocatable:.0%}",
    )
    words = (
        f"the limits on it add up to {load.limited / allocatable:.0%} of its {format_bytes(allocatable)}, and while "
        f"the others use what they request only {format_bytes(max(left, 0))} are left below the limit of {exact(limit)}"
    )
    together = load.killed_near(container.pod, end.finished if end is not None else None)
    evidence = [capacity, sums]
    if together:
        names = ", ".join(f"{p.namespace}/{p.name}" for p in together[:3])
        words = f"{names} was killed there within the same minute; {words}"
        evidence.append(Evidence("status", "other OOM kills of the node within a minute", names))
    return Scope("node", Confidence.LIKELY, words, tuple(evidence), "its own limit")


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
