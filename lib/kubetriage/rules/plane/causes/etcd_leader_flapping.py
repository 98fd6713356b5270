"""etcd changes its leader again and again.

Meaning: at each change all writes stop for about a second, requests in flight fail with "leader changed", and the
API server's watches may stall.

Told by: `etcd_server_leader_changes_seen_total` growing between the two samples, or at least four elections in the
last 15 minutes in a member's log. Slow disks, starved CPUs and lossy links between members all cause it, so the
fsync times and the round trips between members are shown beside it.

Fix: cure the disk or the network between members first; on links of more than 10 ms raise --heartbeat-interval to
the round trip and --election-timeout to ten times that.

Source: etcd-mixin etcdHighNumberOfLeaderChanges; etcd tuning guide (time parameters).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.etcd_members import ROUND_TRIP, recent
from kubetriage.rules.plane.figure_format import count, metric, span
from kubetriage.rules.plane.peer_round_trip import slowest_round_trip
from kubetriage.rules.plane.thresholds import RECENT_LOG
from kubetriage.values.commands import PIPE, kubectl
from kubetriage.values.times import format_time

CODE = "EtcdLeaderFlapping"
LINK = "etcd quorum and leader"
_QUARTER = 15 * 60.0


def check(case: Case) -> Iterator[Finding]:
    """Count leader changes in the window and in the logs."""
    changes = {m.name: m.leader_changes or 0.0 for m in case.members}
    elections = {m.name: recent(m.log.elected, case.now, _QUARTER) for m in case.members if m.log}
    many = {
        name: times
        for name, times in elections.items()
        if len(times) >= case.limits.leader_changes and (case.now - times[-1]).total_seconds() <= 5 * RECENT_LOG
    }
    most = max(changes.values(), default=0.0)
    if not most and not many:
        return
    evidence = [
        metric("etcd_server_leader_changes_seen_total", f"grew by {n:.0f} in {_seconds(case)}", name)
        for name, n in changes.items()
        if n
    ]
    for name, times in elections.items():
        if times:
            evidence.append(
                Evidence("log", name, f"elected leader, {count(len(times), 'time')}", format_time(times[-1]))
            )
    evidence += _round_trips(case)
    firsts = sorted(times[0] for times in elections.values() if times)
    details: dict[str, object] = {"link": LINK}
    if firsts:
        details["since"] = format_time(firsts[0])
    counted = (
        f"{count(most, 'time')} in {_seconds(case)}" if most else f"{max(map(len, many.values()))} times in 15 minutes"
    )
    trip = slowest_round_trip(case)
    far = trip is not None and trip >= case.limits.peer_round_trip
    network = f" A round trip between members takes {span(trip)}: their network is slow." if trip and far else ""
    yield Finding(
        CODE,
        Severity.ERROR if most >= 2 or many else Severity.WARNING,
        Confidence.CONFIRMED,
        CLUSTER,
        f"etcd changed its leader {counted}; writes stop at every change.{network}",
        tuple(evidence),
        (),
        (
            Fix(
                "Look at the network between the members' hosts (port 2380): loss, delay, a saturated link."
                if far
                else "Look at the disk of the members first (etcd disk above), then at CPU and at the network between"
                " them."
            ),
            Fix(
                "Where members are more than 10 ms apart: --heartbeat-interval = round trip, --election-timeout"
                " = ten times that,"
                " the same on all members."
            ),
        ),
        tuple(
            kubectl("logs", m.name, PIPE, "grep", "-E", "elected leader|lost leader", namespace=m.namespace)
            for m in case.members[:3]
        ),
        details,
    )


def _seconds(case: Case) -> str:
    seconds = max((m.window.seconds for m in case.members if m.window), default=0.0)
    return f"{seconds:.0f} s" if seconds else "the window"


def _round_trips(case: Case) -> Iterator[Evidence]:
    for member in case.members:
        if member.round_trip is not None:
            yield metric(ROUND_TRIP, f"mean {span(member.round_trip)}", member.name)
