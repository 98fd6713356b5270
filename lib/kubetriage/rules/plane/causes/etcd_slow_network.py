"""The network between etcd's members is slow.

Meaning: a write is committed when a majority of members has it, so every write of the cluster waits for a round trip.
Above the heartbeat interval heartbeats come late, and near the election timeout members elect new leaders.

Told by: the mean of `etcd_network_peer_round_trip_time_seconds` between the two samples at 150 ms or more, while the
leader stays. Members probe each other every half a minute, so two samples may hold no round trip: where the API server
waits long for etcd while the members' fsyncs are fast, the network (or the CPU of their machines) is what is left.
Where the leader changes as well, EtcdLeaderFlapping reports the round trip.

Fix: look for loss, delay or a saturated link between the members' hosts; members belong in one region.

Source: etcd-mixin etcdMemberCommunicationSlow; etcd tuning guide (time parameters).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.etcd_disk import measured, slowness
from kubetriage.rules.plane.etcd_from_outside import Answer, from_outside
from kubetriage.rules.plane.etcd_members import FSYNC, ROUND_TRIP
from kubetriage.rules.plane.figure_format import metric, span
from kubetriage.rules.plane.peer_round_trip import slowest_round_trip
from kubetriage.rules.plane.thresholds import STALLED
from kubetriage.values.commands import PIPE, kubectl

CODE = "EtcdSlowNetwork"
LINK = "etcd quorum and leader"
_LONGER = "kubectl plane-trace --etcd --interval 60s"


def check(case: Case) -> Iterator[Finding]:
    """Judge the longest mean round trip where the leader stays."""
    trip = slowest_round_trip(case)
    if trip is None or trip < case.limits.peer_round_trip:
        if measured(case) and not any(slowness(m, case) for m in case.members):
            yield from _left_over(case, trip)
        return
    slow = [m for m in case.members if (m.round_trip or 0.0) >= case.limits.peer_round_trip]
    yield Finding(
        CODE,
        Severity.WARNING,
        Confidence.CONFIRMED,
        CLUSTER,
        f"The network between etcd's members is slow: a round trip takes {span(trip)}, and every write of the cluster"
        " waits for one.",
        tuple(metric(ROUND_TRIP, f"mean {span(m.round_trip or 0.0)}", m.name) for m in slow),
        (RuledOut("EtcdLeaderFlapping", "the leader has not changed"),),
        (
            Fix("Look at the network between the members' hosts (port 2380): loss, delay, a saturated link."),
            Fix(
                "If the distance is meant: --heartbeat-interval = round trip, --election-timeout = ten times that, the"
                " same on all members."
            ),
        ),
        tuple(kubectl("logs", m.name, PIPE, "grep", "-c", "took too long", namespace=m.namespace) for m in slow[:3]),
        {"link": LINK, "members": [m.name for m in slow]},
    )


def _left_over(case: Case, trip: float | None) -> Iterator[Finding]:
    """Report slow requests that no disk explains."""
    traffic = case.traffic
    if from_outside(case).answer is not Answer.SLOWLY or traffic is None or traffic.mean is None:
        return
    several = len(case.members) > 1
    where = "between its members or to the API server" if several and trip is None else "to the API server"
    fast = max((m.fsync.mean for m in case.members if m.fsync and m.fsync.mean is not None), default=0.0)
    stalled = traffic.mean >= STALLED
    yield Finding(
        CODE,
        Severity.ERROR if stalled else Severity.WARNING,
        Confidence.POSSIBLE,
        CLUSTER,
        f"etcd answers slowly: the API server waits {span(traffic.mean)} for a request. The disks of its members are"
        f" fast, so the network {where} or the CPU of its machines is slow.",
        (
            metric("etcd_request_duration_seconds", f"mean {span(traffic.mean)} over {traffic.requests:.0f} requests"),
            metric(FSYNC, f"mean {span(fast)} on the slowest of {len(case.members)}"),
            *((metric(ROUND_TRIP, f"mean {span(trip)}"),) if trip is not None else ()),
        ),
        (RuledOut("EtcdSlowDisk", "fsyncs were measured and are fast"),),
        (
            Fix("Measure for longer: members probe each other every 30 s.", commands=(_LONGER,)),
            Fix(
                "Look at loss and delay on the members' ports 2379 and 2380, and at the load of their machines.",
                actor=Actor.NODE,
            ),
        ),
        ("kubectl get --raw /metrics | grep etcd_request_duration_seconds_sum",),
        {"link": LINK, "members": [m.name for m in case.members]},
    )
