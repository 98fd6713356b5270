"""Whether an etcd member runs: in come its metrics, log and connection, out goes gone or leaderless."""

from __future__ import annotations

from datetime import datetime, timedelta

from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.etcd_from_outside import Answer, from_outside
from kubetriage.rules.plane.etcd_members import Member, recent
from kubetriage.rules.plane.thresholds import RECENT_LOG, SILENT_LOG


def gone(member: Member, case: Case) -> bool:
    """Tell whether a member is certainly, or by its silence very probably, not running."""
    if member.window is not None:
        return False
    if member.refused:
        return not any(_all_peers(m, case) for m in case.members)
    if member.log is None or not case.etcd_check_fails or member.log.last is None:
        return False
    if member.log.closed is not None:
        return True
    # A healthy member without clients is silent too, so silence tells only beside a failing check of etcd itself: an
    # API server that does not answer at all may hang by itself.
    told = case.livez.fails("etcd") or case.readyz.fails("etcd")
    return told and (case.now - member.log.last).total_seconds() > SILENT_LOG


def _all_peers(member: Member, case: Case) -> bool:
    """Tell whether a member is connected with all others: then none of them is down, only its metrics are."""
    peers = member.window.latest.value("etcd_network_active_peers") if member.window else None
    return peers is not None and peers >= len(case.members) - 1


def leaderless_lately(member: Member, case: Case) -> bool:
    """Tell whether a member's log speaks of a missing leader now."""
    if member.log is None:
        return False
    late = recent(member.log.leaderless, case.now, RECENT_LOG)
    elected = member.log.elected[-1] if member.log.elected else None
    return bool(late) and (elected is None or elected < max(late))


def unreached(case: Case) -> dict[str, list[tuple[Member, datetime, str]]]:
    """Return by id the peers that other members say they do not reach now: who says so, when and with what error."""
    found: dict[str, list[tuple[Member, datetime, str]]] = {}
    for member in case.members:
        newest = {peer: (at, error) for at, peer, error in member.log.refused_peers} if member.log else {}
        for peer, (at, error) in newest.items():
            if case.now - at <= timedelta(seconds=RECENT_LOG):
                found.setdefault(peer, []).append((member, at, error))
    return found


def unanswered(case: Case) -> bool:
    """Tell whether etcd answers the API server nothing, while no member shows by itself what is the matter."""
    if any(m.has_leader is not None or m.refused for m in case.members):
        return False
    return from_outside(case).answer is Answer.NOT
