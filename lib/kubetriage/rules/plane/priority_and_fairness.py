"""API Priority and Fairness: seats, queues and rejects of each level, and who sends the requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kubetriage.needs import Raw
from kubetriage.readers.prometheus import Window, text_lines
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot

LEVELS = tuple(Raw("/debug/api_priority_and_fairness/dump_priority_levels", n, timeout=5.0) for n in (0, 1))
_REQUESTS = "/debug/api_priority_and_fairness/dump_requests?includeRequestDetails="
LOOKS = (Raw(f"{_REQUESTS}1", 0, timeout=5.0), Raw(f"{_REQUESTS}1", 1, timeout=5.0))
"""Two looks at who is waiting and executing, an interval apart."""
MORE_LOOKS = tuple(Raw(f"{_REQUESTS}{n}", timeout=5.0) for n in range(2, 6))
"""Further looks under pressure. Any value asks for the details, so the number makes them distinct."""
REQUESTS = LOOKS + MORE_LOOKS

SYSTEM_LEVELS = ("leader-election", "node-high", "system", "workload-high")
"""Levels on which the cluster itself depends (apis/flowcontrol/bootstrap/default.go)."""
LONG_WAIT = 0.5
"""Mean seconds in a queue that clients notice: half of the latency objective of a request for one object."""
DEFAULT_SEATS = 600
"""--max-requests-inflight 400 plus --max-mutating-requests-inflight 200 (server/config.go)."""


@dataclass(frozen=True)
class Level:
    """One priority level."""

    name: str
    nominal: float | None
    """Seats that it is entitled to."""
    limit: float | None
    """Seats that it may use now, with what it borrowed or lent."""
    executing: float | None
    waiting: float | None
    rejected: dict[str, float]
    """Rejects between the samples by reason (queue-full, concurrency-limit, time-out)."""
    rejected_total: float
    """Rejects since the API server started."""
    waits: tuple[float, float] | None = None
    """Requests between the samples and the mean of their wait in the queue in seconds."""

    @property
    def rejects(self) -> float:
        """Rejects between the samples."""
        return sum(self.rejected.values())

    @property
    def full(self) -> bool:
        """All seats taken and requests waiting, or more of them waiting than there are seats."""
        seats, waiting = self.limit or self.nominal, self.waiting or 0.0
        if not seats or not waiting:
            return False
        return waiting >= seats or (self.executing is not None and self.executing >= seats)

    @property
    def queued(self) -> bool:
        """Requests waited long in the queue between the samples."""
        return self.waits is not None and self.waits[1] >= LONG_WAIT

    @property
    def pressed(self) -> bool:
        """Requests were rejected between the samples, waited long, or wait for a seat now."""
        return self.name != "exempt" and (self.rejects > 0 or self.full or self.queued)


@dataclass(frozen=True)
class Request:
    """One request that waits or executes, as dump_requests shows it."""

    level: str
    waiting: bool
    user: str
    verb: str
    resource: str
    namespace: str
    seats: int


def read_levels(window: Window | None, snapshot: Snapshot) -> tuple[Level, ...]:
    """Read all levels from the metrics, or from dump_priority_levels where they were not seen."""
    if window is not None and "apiserver_flowcontrol_nominal_limit_seats" in window.latest:
        return _from_metrics(window, snapshot)
    return _from_dump(snapshot)


def _from_metrics(window: Window, snapshot: Snapshot) -> tuple[Level, ...]:
    latest = window.latest
    nominal = latest.by("apiserver_flowcontrol_nominal_limit_seats", "priority_level")
    limits = latest.by("apiserver_flowcontrol_current_limit_seats", "priority_level")
    executing = latest.by("apiserver_flowcontrol_current_executing_seats", "priority_level")
    waiting = latest.by("apiserver_flowcontrol_current_inqueue_requests", "priority_level")
    # Absent is zero: the counter comes into being with the first reject.
    total = latest.by("apiserver_flowcontrol_rejected_requests_total", "priority_level")
    dumped = {level.name: level for level in _from_dump(snapshot)}
    queued = Counter(r.level for r in read_requests(snapshot) if r.waiting)
    looks = sum(snapshot.body(need.path, need.sample) is not None for need in REQUESTS)
    levels = []
    for name in sorted(nominal):
        rejected = window.increase_by("apiserver_flowcontrol_rejected_requests_total", "reason", priority_level=name)
        seen = dumped.get(name)
        waits = window.histogram("apiserver_flowcontrol_request_wait_duration_seconds", priority_level=name)
        levels.append(
            Level(
                name,
                nominal[name],
                limits.get(name),
                max(executing.get(name, 0.0), (seen.executing or 0.0) if seen else 0.0),
                max(waiting.get(name, 0.0), (seen.waiting or 0.0) if seen else 0.0, queued[name] / max(looks, 1)),
                rejected,
                total.get(name, 0.0),
                (waits.count, waits.mean) if waits and waits.mean is not None else None,
            )
        )
    return tuple(levels)


def _from_dump(snapshot: Snapshot) -> tuple[Level, ...]:
    samples = []
    for need in LEVELS:
        body = snapshot.body(need.path, need.sample)
        samples.append({r[0]: r for r in _rows(body.text)} if body and body.status < 400 else {})
    before, after = samples[0], samples[1] or samples[0]
    levels = []
    for name, row in sorted(after.items()):
        numbers = [_count(row, i) for i in (4, 5, 7, 8)]
        earlier = [_count(before[name], i) for i in (7, 8)] if name in before and samples[1] else numbers[2:]
        rejected = {
            reason: float(now - then)
            for reason, now, then in zip(("rejected", "time-out"), numbers[2:], earlier, strict=True)
            if now > then
        }
        levels.append(Level(name, None, None, float(numbers[1]), float(numbers[0]), rejected, float(sum(numbers[2:]))))
    return tuple(levels)


def read_requests(snapshot: Snapshot) -> tuple[Request, ...]:
    """Read every look at dump_requests; the exempt level, which cannot be throttled, is left out.

    The columns are found by their headers, padded and misspelt as the API server writes them
    ("FlowDistingsher", apf_controller_debug.go).
    """
    found: list[Request] = []
    for need in REQUESTS:
        body = snapshot.body(need.path, need.sample)
        if body is None or body.status >= 400:
            continue
        header: dict[str, int] = {}
        for row in _rows(body.text, with_header=True):
            if not header:
                header = {title: i for i, title in enumerate(row)}
                continue

            def cell(title: str, row: list[str] = row, header: dict[str, int] = header) -> str:
                i = header.get(title, -1)
                return row[i] if 0 <= i < len(row) else ""

            level = cell("PriorityLevelName")
            if level in ("", "exempt"):
                continue
            seats = cell("InitialSeats")
            user = cell("UserName") or cell("FlowDistingsher") or cell("FlowDistinguisher")
            found.append(
                Request(
                    level,
                    cell("QueueIndex") not in ("-1", ""),
                    user,
                    cell("Verb"),
                    cell("Resource"),
                    cell("Namespace"),
                    int(seats) if seats.isdigit() else 1,
                )
            )
    return tuple(found)


@dataclass(frozen=True)
class Flood:
    """Requests of one user with one verb on one resource, in one level."""

    user: str
    verb: str
    resource: str
    level: str
    requests: int
    share: float
    """Of all seats that the requests seen in that level take."""


def floods(requests: Iterable[Request]) -> tuple[Flood, ...]:
    """Return who sends the requests, the one with most seats first."""
    seats: Counter[tuple[str, str, str, str]] = Counter()
    number: Counter[tuple[str, str, str, str]] = Counter()
    per_level: Counter[str] = Counter()
    for request in requests:
        key = (request.user, request.verb, request.resource, request.level)
        seats[key] += request.seats
        number[key] += 1
        per_level[request.level] += request.seats
    return tuple(
        Flood(*key, number[key], taken / per_level[key[3]]) for key, taken in seats.most_common() if per_level[key[3]]
    )


def _rows(dump: str, with_header: bool = False) -> list[list[str]]:
    # Columns are separated by commas and padded with blanks and tabs.
    rows = [[cell.strip() for cell in line.split(",")] for line in text_lines(dump) if line.strip()]
    if rows and rows[0][0] == "PriorityLevelName":
        return rows if with_header else rows[1:]
    return []


def _count(row: list[str], i: int) -> int:
    return int(row[i]) if i < len(row) and row[i].isdigit() else 0


def seats(levels: tuple[Level, ...]) -> str:
    """Say what the nominal seats reveal about the API server's flags."""
    total = sum(level.nominal or 0 for level in levels)
    if not total:
        return "its limits are not visible"
    # Each level's share is rounded up, so the sum is a few seats above the flags.
    number = sum(1 for level in levels if level.nominal)
    if DEFAULT_SEATS <= total <= DEFAULT_SEATS + number:
        return f"{total:.0f} nominal seats: the default of 400 and 200"
    return f"{total:.0f} nominal seats, so the two inflight flags add up to about {total - number / 2:.0f}"
