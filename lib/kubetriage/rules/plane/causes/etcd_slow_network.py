"""The network between etcd's members is slow.

Meaning: a write is committed when a majority of members has it, so every write of the cluster waits for a round trip.
Above the heartbeat interval heartbeats come late, and near the election timeout members elect new leaders.

Told by: the mean of `etcd_network_peer_round_trip_time_seconds` between the two samples at 150 ms or more, while the
leader stays. Where the leader changes as well, EtcdLeaderFlapping reports the round trip.

Fix: look for loss, delay or a saturated link between the members' hosts; members belong in one region.

Source: etcd-mixin etcdMemberCommunicationSlow; etcd tuning guide (time parameters).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.etcd_members import ROUND_TRIP
from kubetriage.rules.plane.figure_format import metric, span
from kubetriage.rules.plane.peer_round_trip import slowest_round_trip

CODE = "EtcdSlowNetwork"
LINK = "etcd quorum and leader"


def check(case: Case) -> Iterator[Finding]:
    """Judge the longest mean round trip where the leader stays."""
    trip = slowest_round_trip(case)
    if trip is None or trip < case.limits.peer_round_trip:
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
        tuple(f"kubectl -n {m.namespace} logs {m.name} | grep -c 'took too long'" for m in slow[:3]),
        {"link": LINK, "members": [m.name for m in slow]},
    )
