"""The node's view of a pod: effective request, QoS, oom_score_adj, eviction order.

Formulas are those of the kubelet and of component-helpers (1.28 to 1.37); capacity is the node's capacity, not its
allocatable.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass
from kubetriage.rules.memory.budget import Limit
from kubetriage.values.fields import Obj, dig, mapping, number, text
from kubetriage.values.quantity import format_bytes, parse_bytes, parse_millis


def memory_of(resources: Obj, kind: str) -> int | None:
    """Return ``requests.memory`` or ``limits.memory`` in bytes; None when it is not set or zero."""
    return parse_bytes(dig(resources, kind, "memory")) or None


def limit_of(container: Container) -> Limit:
    """Return the limit in force: the container's as the kubelet applied it, else the pod's, else none.

    ``status.containerStatuses[].resources`` goes before the spec: after a resize in place the spec is a wish.
    """
    name = container.name
    actuated = memory_of(mapping(container.status, "resources"), "limits")
    declared = memory_of(mapping(container.spec, "resources"), "limits")
    whole = pod_limit(container.pod)
    if actuated is not None:
        # The kubelet writes a pod's limit into the container's cgroup, but reports it only for the pod.
        return Limit(actuated, f"{container.path}.resources.limits.memory{_defaulted(container)}", "container")
    if declared is not None:
        return Limit(declared, f"spec.containers[{name}].resources.limits.memory{_defaulted(container)}", "container")
    if whole.size is not None:
        return whole
    return Limit(None, "no limit on the container or the pod")


def pod_limit(pod: Pod) -> Limit:
    """Return the pod-level limit (KEP-2837). ``status.resources`` alone is only the sum of the containers."""
    declared = memory_of(mapping(pod.raw, "spec", "resources"), "limits")
    if declared is None:
        return Limit(None, "no pod-level limit")
    actuated = memory_of(mapping(pod.raw, "status", "resources"), "limits")
    if actuated is not None:
        return Limit(actuated, "status.resources.limits.memory", "pod")
    return Limit(declared, "spec.resources.limits.memory", "pod")


def _defaulted(container: Container) -> str:
    """Say that a LimitRange set the limit: its admission plugin leaves an annotation."""
    note = text(container.pod.raw, "metadata", "annotations", "kubernetes.io/limit-ranger")
    for part in note.split(";"):
        if "memory limit" in part and part.rstrip().endswith(f"container {container.name}"):
            return " (default of a LimitRange)"
    return ""


def request_of(container: Container) -> Limit:
    """Return the container's memory request; it defaults to its limit at admission."""
    actuated = memory_of(mapping(container.status, "resources"), "requests")
    if actuated is not None:
        return Limit(actuated, f"{container.path}.resources.requests.memory", "container")
    declared = memory_of(mapping(container.spec, "resources"), "requests")
    if declared is not None:
        return Limit(declared, f"{container.spec_path}.resources.requests.memory", "container")
    limit = memory_of(mapping(container.spec, "resources"), "limits")
    if limit is not None:
        return Limit(limit, "defaults to the limit", "container")
    return Limit(None, "no request")


@dataclass(frozen=True)
class Term:
    """One term of the effective pod request."""

    name: str
    size: int
    counts: bool
    """It is part of the sum; otherwise it is shown to explain what was compared."""


@dataclass(frozen=True)
class EffectiveRequest:
    """What the scheduler reserves for a pod, and why it is that much."""

    size: int
    terms: tuple[Term, ...]
    words: str
    """The whole computation in one line."""


def requested(pod: Pod) -> int:
    """Return the effective memory request in bytes (component-helpers ``PodRequests``)."""
    whole = memory_of(mapping(pod.raw, "spec", "resources"), "requests")
    return (max(_sums(pod)) if whole is None else whole) + _overhead(pod)


def _overhead(pod: Pod) -> int:
    return parse_bytes(dig(pod.raw, "spec", "overhead", "memory")) or 0


def _sums(pod: Pod) -> tuple[int, int]:
    """Return what containers and sidecars request together, and the most while an init container runs."""
    running = beside = largest = 0
    for c in pod.containers:
        if c.kind == "app":
            running += _request(pod, c)
        elif c.kind == "sidecar":
            beside += _request(pod, c)
            largest = max(largest, beside)
        elif c.kind == "init":
            largest = max(largest, _request(pod, c) + beside)
    return running + beside, largest


def effective_request(pod: Pod) -> EffectiveRequest:
    """Compute the effective memory request (component-helpers ``PodRequests``), with each of its terms."""
    terms = [Term(f"container {c.name}{_resize(pod, c)}", _request(pod, c), True) for c in _of(pod, "app")]
    beside = 0
    for c in _of(pod, "sidecar", "init"):
        if c.kind == "sidecar":
            beside += _request(pod, c)
            terms.append(Term(f"sidecar {c.name}{_resize(pod, c)}", _request(pod, c), True))
        else:
            use = _request(pod, c) + beside
            terms.append(Term(f"init {c.name} with the sidecars started before it", use, False))
    total, largest_init = _sums(pod)
    words = f"max(containers and sidecars {format_bytes(total)}, largest init {format_bytes(largest_init)})"
    whole = memory_of(mapping(pod.raw, "spec", "resources"), "requests")
    if whole is not None:
        words = f"pod-level request {format_bytes(whole)} replaces the containers' {format_bytes(total)}"
        terms.append(Term("pod-level request", whole, True))
    overhead = _overhead(pod)
    if overhead:
        words += f" + overhead {format_bytes(overhead)}"
        terms.append(Term("overhead of the RuntimeClass", overhead, True))
    effective = requested(pod)
    return EffectiveRequest(effective, tuple(terms), f"{words} = {format_bytes(effective)}")


def _of(pod: Pod, *kinds: str) -> list[Container]:
    return [c for c in pod.containers if c.kind in kinds]


def _requests(container: Container) -> tuple[int, int | None, int | None]:
    """Return what the spec asks for, what the kubelet allocated, and what is in force."""
    declared = memory_of(mapping(container.spec, "resources"), "requests")
    if declared is None:
        declared = memory_of(mapping(container.spec, "resources"), "limits")
    allocated = parse_bytes(dig(container.status, "allocatedResources", "memory"))
    return declared or 0, allocated, memory_of(mapping(container.status, "resources"), "requests")


def _request(pod: Pod, container: Container) -> int:
    """Return a container's term: while a resize is open, the largest of wish, allocation and what is in force."""
    declared, *others = _requests(container)
    known = [v for v in others if v is not None]
    if known and text(pod.condition("PodResizePending"), "reason") == "Infeasible":
        return max(known)
    return max([declared, *known])


def _resize(pod: Pod, container: Container) -> str:
    """Explain the term of a container whose resize is not finished; empty otherwise."""
    declared, allocated, actuated = _requests(container)
    known = [v for v in (allocated, actuated) if v is not None]
    if all(v == declared for v in known):
        return ""
    reason = text(pod.condition("PodResizePending"), "reason")
    parts = [f"spec {format_bytes(declared)}"]
    parts += [f"allocated {format_bytes(allocated)}"] if allocated is not None else []
    parts += [f"in force {format_bytes(actuated)}"] if actuated is not None else []
    return f" (resize {reason or 'in progress'}: {', '.join(parts)})"


def qos_class(pod: Pod) -> str:
    """Return the QoS class: the status's, which outlives a resize, else computed from the spec."""
    known = text(pod.raw, "status", "qosClass")
    if known:
        return known
    whole = mapping(pod.raw, "spec", "resources")
    sets = [whole] if whole else [mapping(c.spec, "resources") for c in pod.containers if c.kind != "ephemeral"]
    requested = limited = False
    guaranteed = bool(sets)
    for resources in sets:
        for name, parse in (("cpu", parse_millis), ("memory", parse_bytes)):
            limit = parse(dig(resources, "limits", name)) or 0
            asked = dig(resources, "requests", name)
            request = limit if asked is None else parse(asked) or 0
            requested, limited = requested or request > 0, limited or limit > 0
            guaranteed = guaranteed and limit > 0 and request == limit
    if not requested and not limited:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def oom_score_adj(container: Container, capacity: int | None, request: int | None = None) -> int | None:
    """Return about what the kubelet writes to ``oom_score_adj``; None when the node's capacity decides and is unknown.

    "About", because the gate KubeletOOMScoreAdjTieBreak may shift it by a few points. ``request`` recomputes it for
    another request.
    """
    pod = container.pod
    if text(pod.raw, "spec", "priorityClassName") == "system-node-critical":
        return -997
    qos = qos_class(pod)
    if qos == "Guaranteed":
        return -997
    if qos == "BestEffort" and not request:
        return 1000
    if not capacity:
        return None
    own = _adjusted(pod, container, capacity, request)
    if container.kind == "sidecar":
        regular = [c for c in pod.containers if c.kind == "app"]
        if regular:
            smallest = min(regular, key=lambda c: request_of(c).size or 0)
            own = min(own, _adjusted(pod, smallest, capacity, None))
    return own


def _adjusted(pod: Pod, container: Container, capacity: int, request: int | None) -> int:
    size = request if request is not None else request_of(container).size or 0
    whole = memory_of(mapping(pod.raw, "spec", "resources"), "requests")
    if whole is not None:
        counted = [c for c in pod.containers if c.kind in ("app", "sidecar")]
        size += max(whole - sum(request_of(c).size or 0 for c in counted), 0) // max(len(counted), 1)
    # Burstable stays above Guaranteed (-997) and below BestEffort (1000); the floor in code is 1000 - 997 = 3.
    return max(3, min(999, 1000 - 1000 * size // capacity))


def node_memory(node: Obj, kind: str = "capacity") -> int | None:
    """Return a node's memory (``capacity`` or ``allocatable``) in bytes."""
    return parse_bytes(dig(node, "status", kind, "memory"))


def node_cpus(node: Obj) -> int | None:
    """Return a node's CPUs, rounded up."""
    millis = parse_millis(dig(node, "status", "capacity", "cpu"))
    return -(-millis // 1000) if millis else None


@dataclass(frozen=True)
class Candidate:
    """One pod in the eviction order of its node."""

    pod: Pod
    usage: int | None
    """Working set of the pod; None when the kubelet has no statistics of it."""
    request: int

    @property
    def excess(self) -> int | None:
        """Bytes that usage is above the request; negative below it."""
        return None if self.usage is None else self.usage - self.request


def eviction_order(pods: Iterable[Pod], usage: dict[str, int]) -> list[Candidate]:
    """Return the pods of a node in the order in which memory pressure evicts them (kubelet rankMemoryPressure).

    Pods without statistics first, then those above their request, then by priority, then by excess. QoS plays no
    part. Static, mirror and critical pods are never evicted and left out.
    """
    candidates = [Candidate(p, usage.get(p.uid), requested(p)) for p in pods if not p.finished and not _critical(p)]

    def rank(c: Candidate) -> tuple[int, int, int, str]:
        priority = number(c.pod.raw, "spec", "priority") or 0
        excess = c.excess
        if excess is None:
            return (0, 0, 0, c.pod.name)
        return (1 if excess > 0 else 2, priority, -excess, c.pod.name)

    return sorted(candidates, key=rank)


_SYSTEM_CRITICAL = 2_000_000_000


def _critical(pod: Pod) -> bool:
    annotations = mapping(pod.raw, "metadata", "annotations")
    if "kubernetes.io/config.mirror" in annotations or text(annotations, "kubernetes.io/config.source") == "file":
        return True
    return (number(pod.raw, "spec", "priority") or 0) >= _SYSTEM_CRITICAL
