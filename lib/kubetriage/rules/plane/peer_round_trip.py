"""The network between etcd members, by the round trips that they measure."""

from __future__ import annotations

from kubetriage.rules.plane.case import Case


def slowest_round_trip(case: Case) -> float | None:
    """Return the longest mean round trip between members, in seconds; None when not seen."""
    return max((m.round_trip for m in case.members if m.round_trip is not None), default=None)
