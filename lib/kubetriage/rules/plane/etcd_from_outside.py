"""etcd as the API server meets it: in come its checks, latencies and the ages of leases, out goes one verdict.

Where neither metrics nor logs of a member can be read (external, managed, or because the API server needs etcd to find
the member's pod), this is all there is. Requests that finished are told from requests that were never answered.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Evidence
from kubetriage.needs import List
from kubetriage.records import dataclass
from kubetriage.rules.plane.api_server import lease_writes
from kubetriage.rules.plane.case import Case, Writes
from kubetriage.rules.plane.figure_format import ago, metric, span
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER, SCHEDULER, quorum_read
from kubetriage.rules.plane.thresholds import RECENT_LOG, STALLED
from kubetriage.values.times import format_time


class Answer(enum.Enum):
    """What etcd answers the API server."""

    WELL = "in time"
    SLOWLY = "slowly"
    NOT = "not at all"
    UNSEEN = "not seen"


@dataclass(frozen=True)
class Outside:
    """The verdict, and what it rests on."""

    answer: Answer
    evidence: tuple[Evidence, ...] = ()


FEW_REQUESTS = 10
"""Below this a mean of requests is chance."""


def from_outside(case: Case) -> Outside:
    """Judge etcd by what the API server shows."""
    passed, failed = case.etcd_check_seen
    evidence = tuple(_evidence(case))
    refused = [m for m in case.members if m.refused] or case.lately("refused", RECENT_LOG)
    if (failed or case.reinitializing or case.etcd_words or _hangs(case)) and (refused or _stuck(case)):
        return Outside(Answer.NOT, evidence)
    traffic = case.traffic
    mean = traffic.mean if traffic and traffic.requests >= FEW_REQUESTS else None
    if mean is not None and mean >= case.limits.etcd_request:
        return Outside(Answer.SLOWLY, evidence)
    if failed and (mean is None or mean >= STALLED) and max(case.livez.seconds, case.readyz.seconds) >= STALLED:
        return Outside(Answer.SLOWLY, evidence)
    if mean is None and slow_read(case):
        return Outside(Answer.SLOWLY, evidence)
    if passed and not failed:
        # A check that passes tells that etcd answers; how fast, only the latencies do.
        return Outside(Answer.WELL if mean is not None else Answer.UNSEEN, evidence)
    return Outside(Answer.UNSEEN, evidence)


def _stuck(case: Case) -> bool:
    """Tell whether nothing at all got through: no renewal of a lease finished, and reads or writes hang."""
    if lease_writes(case.api):
        return False
    hung = any(case.quorum(c).hung for c in (CONTROLLER_MANAGER, SCHEDULER))
    return case.writes is Writes.FROZEN or hung or case.reinitializing or case.lists_hang


def slow_read(case: Case) -> float:
    """Return how many seconds a read through etcd took, where it took long and the API server itself is quick; or 0.

    A read that was given up counts as long as it was waited for, while leases show that etcd still takes writes.
    """
    quorums = [case.quorum(c) for c in (CONTROLLER_MANAGER, SCHEDULER)]
    took = max(q.seconds for q in quorums)
    if any(q.hung for q in quorums) and case.writes in (Writes.FLOWING, Writes.SLOW):
        took = max(took, quorum_read(CONTROLLER_MANAGER).timeout)
    quick = 4 * max(case.livez.seconds, case.readyz.seconds) < took
    return took if took >= STALLED and quick and not any(level.pressed for level in case.levels) else 0.0


def _hangs(case: Case) -> bool:
    """Tell whether a read through etcd hangs while the API server itself answers and nothing waits for a seat.

    Its check of etcd may pass all the same: of several clients that ask at once, all but one are told the last result.
    """
    hung = case.lists_hang or any(case.quorum(c).hung for c in (CONTROLLER_MANAGER, SCHEDULER))
    silent = case.writes is Writes.FROZEN or case.lists_hang
    return hung and silent and not case.livez.hung and not any(level.pressed for level in case.levels)


def _evidence(case: Case) -> Iterator[Evidence]:
    for health in (case.livez, case.readyz):
        for name, reason in health.failed:
            if name == "etcd" or name.startswith("etcd-"):
                yield Evidence(
                    "status", f"{health.path} {name}", f"failed: {case.etcd_check or reason or 'reason withheld'}"
                )
    if case.etcd_check_fails and not any(h.fails("etcd") or h.hung for h in (case.livez, case.readyz)):
        yield Evidence("status", "/readyz, asked again", "the etcd check failed")
    if case.etcd_words:
        yield Evidence("status", "a list, answered with an error of etcd", case.etcd_words)
    if case.lists_hang:
        hung = [need.resource for need, _ in case.snapshot.failures if isinstance(need, List)]
        yield Evidence("status", "lists that were not answered", ", ".join(dict.fromkeys(hung)))
    last = case.leases.newest
    if last is not None and last.renewed is not None and case.writes is not Writes.FLOWING:
        words = f"newest of {len(case.leases.items)} leases, renewed {ago(last.renewed, case.now)}"
        yield Evidence("status", f"lease {last.namespace}/{last.name}", words, format_time(last.renewed))
    for component in (CONTROLLER_MANAGER, SCHEDULER):
        quorum = case.quorum(component)
        if quorum.hung:
            yield Evidence("status", f"GET lease {component} through etcd", quorum.words or "no answer")
    if took := slow_read(case):
        yield Evidence("status", "GET a leader lease through etcd", f"{span(took)} or longer")
    traffic = case.traffic
    if traffic is not None and traffic.mean is not None:
        yield metric("etcd_request_duration_seconds", f"mean {span(traffic.mean)} over {traffic.requests:.0f} requests")
        if traffic.errors:
            yield metric("etcd_request_errors_total", f"{traffic.errors:.0f} in the same time")
    for remark in case.lately("etcd timeout", 120.0)[-1:]:
        yield Evidence("log", remark.source, remark.words, format_time(remark.at))


def only_etcd_fails(case: Case) -> str:
    """Say why it is not the API server itself."""
    if case.etcd_check_seen[1]:
        return "it answers; of its health checks only those of etcd fail"
    return "its health checks answer; what needs etcd hangs"


_LONG = timedelta(minutes=2)
"""A disk that stalls lets something through within this time."""


def last_write(case: Case) -> str:
    """Return when the newest Lease was written, where nothing has been since; empty where writes flow."""
    last = case.leases.newest
    return format_time(last.renewed) if last and last.renewed and case.writes is not Writes.FLOWING else ""


def long_silent(case: Case) -> bool:
    """Tell whether nothing was written for so long that a slow disk alone does not explain it."""
    last = case.leases.newest
    return last is not None and last.renewed is not None and case.now - case.snapshot.lag - last.renewed > _LONG
