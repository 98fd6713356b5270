"""The memory of many containers on one screen: pods, usage and nodes of a snapshot in, tables out, the worst first.

One row per container that has a limit; containers without one are folded per workload. A row that a former look has
measured too tells its trend, and when it meets its limit at that pace. A container that was killed at its limit tells
it by the life that it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta

from kubetriage.model import NotSeen, Table
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass
from kubetriage.rules.memory import memory_usage, node_memory
from kubetriage.rules.memory.budget import exact
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.rules.memory.node_load import limit_sum, unbounded
from kubetriage.rules.memory.terminations import was_oom_kill
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import name_of, text
from kubetriage.values.quantity import format_bytes
from kubetriage.values.times import human_duration

Key = tuple[str, str, str]
"""Namespace, pod, container."""
Samples = Mapping[Key, int]
"""Bytes in use of each container at one moment."""
NEAR_LIMIT = 0.9
"""A working set above this share of the limit is near it."""
_NOISE = 0.01
"""A change below this share of the limit is no trend."""
_LONGEST = timedelta(days=7)
"""Beyond this a pace says nothing."""
_NODES_AT_MOST = 10


class Row:
    """One container, or the containers of a workload that have no limit.

    A large scan holds one for each container, so it is a class with slots and not a record.
    """

    __slots__ = (
        *("ceiling", "count", "expected", "full_in", "key", "killed", "limit"),
        *("peak", "pod", "request", "source", "trend", "used"),
    )

    def __init__(
        self,
        key: Key,
        pod: Pod,
        used: int | None,
        peak: int | None,
        limit: int | None,
        request: int | None,
        trend: float | None = None,
        full_in: timedelta | None = None,
        *,
        killed: bool = False,
        source: str = "",
    ) -> None:
        """Hold what one look at a container showed.

        ``peak`` is the largest usage of the cgroup where its counter was read, else the largest of the looks of
        ``--watch``; ``trend`` is in bytes per minute, None without a former look; ``full_in`` says when it meets its
        limit at that pace; ``source`` is the API that the used bytes come from.
        """
        self.key = key
        self.pod = pod
        self.used = used
        self.peak = peak
        self.limit = limit
        self.request = request
        self.trend = trend
        self.full_in = full_in
        self.killed = killed
        self.source = source
        self.expected: int | None = None
        self.ceiling: int | None = None
        self.count = 1
        """Containers that the row stands for."""

    @property
    def container(self) -> Container:
        """The container itself; of a folded row the first one."""
        found = self.pod.container(self.key[2])
        assert found is not None
        return found

    @property
    def share(self) -> float | None:
        """Used of the limit."""
        return self.used / self.limit if self.used is not None and self.limit else None


def samples(shown: Iterable[Row]) -> dict[Key, int]:
    """Return what each container uses now, to be kept for the next look."""
    return {row.key: row.used for row in shown if row.used is not None and row.count == 1}


def rows(
    snapshot: Snapshot, pods: Sequence[Pod], earlier: Sequence[tuple[datetime, Samples]] = ()
) -> tuple[list[Row], list[Row]]:
    """Return the containers with a limit, the worst first, and those without one folded per workload."""
    limited: list[Row] = []
    folded: dict[tuple[str, str, str], Row] = {}
    for given in pods:
        # What is read of it here goes with it: the rows of a large scan hold their pods as these were listed.
        pod = Pod(given.raw)
        if pod.finished:
            continue
        for container in _shown(pod):
            row = _row(snapshot, given, container, earlier)
            if row.limit is not None:
                limited.append(row)
                continue
            owner = text(pod.controller, "uid") or pod.name
            known = folded.get((pod.namespace, owner, container.name))
            folded[pod.namespace, owner, container.name] = row if known is None else _joined(known, row)
    limited.sort(key=_badness)
    return limited, sorted(folded.values(), key=lambda r: -(r.used or 0))


def _shown(pod: Pod) -> list[Container]:
    return [c for c in pod.containers if c.kind in ("app", "sidecar") and c.name]


def _key(container: Container) -> Key:
    return container.pod.namespace, container.pod.name, container.name


def _row(snapshot: Snapshot, pod: Pod, container: Container, earlier: Sequence[tuple[datetime, Samples]]) -> Row:
    usage = memory_usage.listed_usage(snapshot, container)
    used = usage.working_set.size if usage.working_set is not None else None
    limit = node_memory.limit_of(container).size
    key = _key(container)
    trend = _trend(key, used, snapshot.now, earlier)
    end = container.last_termination or container.current_termination
    killed = end is not None and was_oom_kill(end)
    full_in = _full_in(used, limit, trend)
    if full_in is None and killed and end is not None and end.lifetime is not None and container.running_since:
        # It met its limit after that life; at the same pace it meets it again then.
        left = end.lifetime - (snapshot.now - container.running_since)
        full_in = left if left > timedelta() and end.exit_code == 137 else None
    looks = [s[key] for _, s in earlier if key in s] + ([used] if used is not None and earlier else [])
    peak = usage.peak.size if usage.peak is not None else max(looks, default=None)
    request = node_memory.request_of(container).size
    source = usage.working_set.source if usage.working_set is not None else ""
    return Row(key, pod, used, peak, limit, request, trend, full_in, killed=killed, source=source)


def _trend(key: Key, used: int | None, now: datetime, earlier: Sequence[tuple[datetime, Samples]]) -> float | None:
    first = next(((t, s[key]) for t, s in earlier if key in s), None)
    if used is None or first is None:
        return None
    minutes = (now - first[0]).total_seconds() / 60
    return (used - first[1]) / minutes if minutes > 0 else None


def _full_in(used: int | None, limit: int | None, trend: float | None) -> timedelta | None:
    if used is None or limit is None or trend is None or trend * 60 < limit * _NOISE:
        return None
    left = timedelta(minutes=max(limit - used, 0) / trend)
    return left if left <= _LONGEST else None


def _joined(one: Row, other: Row) -> Row:
    joined = copy(one)
    joined.used = None if one.used is None and other.used is None else (one.used or 0) + (other.used or 0)
    joined.peak = None  # peaks of different moments add up to nothing
    joined.count = one.count + 1
    return joined


def _badness(row: Row) -> tuple[int, float, str]:
    if row.share is None:
        return (1 if row.killed else 2, -(row.limit or 0), row.key[1])
    return (0, -row.share, row.key[1])


def with_budgets(snapshot: Snapshot, shown: Iterable[Row]) -> list[Row]:
    """Add what flags and defaults allow; replicas share a template, so each is computed once."""
    known: dict[tuple[str, str], tuple[int | None, int | None]] = {}
    made: list[Row] = []
    for row in shown:
        owner = text(row.pod.controller, "uid") or row.pod.name, row.container.name
        if owner not in known:
            budget = Case(row.container, snapshot).budget
            known[owner] = budget.expected, budget.ceiling if budget.solvable else None
        told = copy(row)
        told.expected, told.ceiling = known[owner]
        made.append(told)
    return made


OPTIONAL = ("REQUEST", "PEAK", "EXPECTED", "WORST", "TREND")
"""Columns that give way on a narrow terminal, in this order."""


def container_table(
    limited: Sequence[Row], folded: Sequence[Row], source: str, *, namespaces: bool, at_most: int
) -> Table:
    """Return the table of the containers; ``source`` says where the numbers in use come from."""
    shown = [_cells(row, namespaces) for row in limited[:at_most]]
    shown += [_cells(row, namespaces) for row in folded[: max(at_most - len(shown), 3)]]
    left = len(limited) + len(folded) - len(shown)
    title = f"Memory of {_counted(len(limited), folded)}, the worst first; in use: {source}"
    if left > 0:
        title += f" ({left} more rows with --all)"
    name = "NAMESPACE/POD/CONTAINER" if namespaces else "POD/CONTAINER"
    columns: tuple[str, ...] = (name, "USED", "PEAK", "LIMIT", "%", "REQUEST", "TREND", "FULL IN", "EXPECTED", "WORST")
    peak = columns.index("PEAK")
    if all(row[peak] == "-" for row in shown):  # only the kubelets' counters tell it, which a scan does not read
        columns = columns[:peak] + columns[peak + 1 :]
        shown = [row[:peak] + row[peak + 1 :] for row in shown]
    return Table(title, columns, tuple(shown), tuple(name for name in OPTIONAL if name in columns))


def _counted(limited: int, folded: Sequence[Row]) -> str:
    free = sum(r.count for r in folded)
    words = f"{limited} container" + ("" if limited == 1 else "s")
    return words + (f" and {free} without a limit" if free else "")


def _cells(row: Row, namespaces: bool) -> tuple[str, ...]:
    namespace, pod, container = row.key
    name = pod if container == pod else f"{pod}/{container}"
    if row.count > 1:
        owner = row.pod.controller
        name = f"{row.count} of {text(owner, 'kind').lower()}/{text(owner, 'name')}/{container}"
    if namespaces:
        name = f"{namespace}/{name}"
    share = f"{row.share:.0%}".rstrip("%") if row.share is not None else "-"
    return (
        name,
        _size(row.used),
        _size(row.peak),
        exact(row.limit) if row.limit is not None else "none",
        share,
        _size(row.request),
        _rate(row.trend, row.limit),
        human_duration(row.full_in) if row.full_in is not None else "-",
        _size(row.expected),
        _size(row.ceiling),
    )


def _size(size: int | None) -> str:
    """Write a size in at most six columns."""
    if size is None:
        return "-"
    return format_bytes(size) if size >= GIB else f"{-(-size // MIB)}Mi"


def _rate(trend: float | None, limit: int | None) -> str:
    if trend is None:
        return "-"
    if limit is not None and abs(trend) * 60 < limit * _NOISE:
        return "steady"
    return f"{'+' if trend > 0 else '-'}{max(round(abs(trend) / MIB), 1)}Mi/m"


@dataclass(frozen=True)
class NodeSums:
    """What the pods of a node request and may take of what it has, in bytes."""

    name: str
    has: int
    requests: int
    limits: int
    unreachable: int
    """Pods whose limits pass what the requests of the others leave."""
    unbounded: int
    """Pods with a container without a limit."""


def node_sums(snapshot: Snapshot, pods: Iterable[Pod]) -> list[NodeSums]:
    """Add up the pods per node, the most overcommitted first; empty where no nodes or not all pods were read.

    ``pods`` are all pods of the snapshot, as the scan holds them already.
    """
    listing = snapshot.list("nodes")
    if not listing.items or not snapshot.list("pods").complete:
        return []
    by_node: dict[str, list[tuple[int, int, bool]]] = {}
    for given in pods:
        pod = Pod(given.raw)
        if pod.node and not pod.finished:
            sums = node_memory.requested(pod), limit_sum(pod), unbounded(pod)
            by_node.setdefault(pod.node, []).append(sums)
    found = []
    for node in listing.items:
        name, has = name_of(node), node_memory.node_memory(node, "allocatable")
        sizes = by_node.get(name, [])
        if has and sizes:
            requests, limits = sum(s[0] for s in sizes), sum(s[1] for s in sizes)
            unreachable = sum(limit > has - requests + own for own, limit, _ in sizes)
            found.append(NodeSums(name, has, requests, limits, unreachable, sum(s[2] for s in sizes)))
    return sorted(found, key=lambda n: (-n.limits / n.has, n.name))


def nodes_table(found: Sequence[NodeSums]) -> Table | None:
    """Return the sums of the nodes as a table; None where there are none."""
    cells = tuple(
        (
            n.name,
            format_bytes(n.has),
            f"{n.requests / n.has:.0%}",
            f"{n.limits / n.has:.0%}",
            str(n.unreachable) if n.unreachable else "-",
            str(n.unbounded) if n.unbounded else "-",
        )
        for n in found[:_NODES_AT_MOST]
    )
    more = f" ({len(found) - _NODES_AT_MOST} more nodes)" if len(found) > _NODES_AT_MOST else ""
    title = f"Nodes: what their pods request and may take of the allocatable memory{more}"
    columns = ("NODE", "HAS", "REQUESTS", "LIMITS", "UNREACHABLE LIMITS", "PODS WITHOUT LIMIT")
    return Table(title, columns, cells) if cells else None


def as_json(limited: Iterable[Row], folded: Iterable[Row], source: str, nodes: Iterable[NodeSums]) -> dict[str, object]:
    """Return all rows for the JSON contract, in bytes, the worst first."""
    return {
        "source": source,
        "containers": [_row_json(row) for row in (*limited, *folded)],
        "nodes": [
            {
                "node": n.name,
                "allocatableBytes": n.has,
                "requestedBytes": n.requests,
                "limitBytes": n.limits,
                "unreachableLimits": n.unreachable,
                "podsWithoutLimit": n.unbounded,
            }
            for n in nodes
        ],
    }


def _row_json(row: Row) -> dict[str, object]:
    namespace, pod, container = row.key
    owner = row.pod.controller
    values: dict[str, object] = {
        "namespace": namespace,
        "pod": pod if row.count == 1 else "",
        "workload": f"{text(owner, 'kind')}/{text(owner, 'name')}" if owner else "",
        "container": container,
        "count": row.count,
        "usedBytes": row.used,
        "peakBytes": row.peak,
        "limitBytes": row.limit,
        "requestBytes": row.request,
        "bytesPerMinute": round(row.trend) if row.trend is not None else None,
        "fullInSeconds": round(row.full_in.total_seconds()) if row.full_in is not None else None,
        "oomKilled": row.killed,
    }
    return {name: value for name, value in values.items() if value is not None}


def usage_source(shown: Iterable[Row]) -> tuple[str, NotSeen | None]:
    """Name the API that the numbers in use come from; where none answered, say so once."""
    sources = {row.source for row in shown} - {""}
    if sources:
        return " and ".join(sorted(sources)), None
    return "not seen", NotSeen("memory in use (metrics.k8s.io and the kubelets)", "no source answered")
