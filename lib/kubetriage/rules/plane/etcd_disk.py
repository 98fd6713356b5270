"""etcd's disk: in come a member's fsyncs and log, out goes how slow it is and what that delays."""

from __future__ import annotations

from datetime import datetime

from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.etcd_from_outside import Answer, from_outside, slow_read
from kubetriage.rules.plane.etcd_members import FSYNC, Member
from kubetriage.rules.plane.figure_format import ago
from kubetriage.rules.plane.thresholds import RECENT_LOG, STALLED


def slowness(member: Member, case: Case) -> int:
    """Return 0 for a disk that is fast enough or was not seen, 1 for below target, 2 for broken."""
    limits = case.limits
    fsync, commit = member.fsync, member.commit
    if fsync is not None and fsync.mean is not None:
        mean, commit_mean = fsync.mean, (commit.mean if commit else None) or 0.0
        if mean >= limits.fsync_alert or commit_mean >= limits.commit_alert:
            return 2
        above, _ = fsync.longer_than(limits.fsync_alert)
        if mean >= limits.fsync_target or commit_mean >= limits.commit_target or above > fsync.count / 100:
            return 1
        return 0
    if fsync is not None and member.window is not None and member.has_leader:
        pending = [m.value("etcd_server_proposals_pending") or 0 for m in (member.window.first, member.window.latest)]
        if all(pending):
            return 2
    if member.window is not None and member.window.second is None and _slow_since_start(member, case):
        return 2
    recent = (
        [s for s in member.log.slow_fsyncs if (_clock(member, case) - s.at).total_seconds() <= RECENT_LOG]
        if member.log
        else []
    )
    return 2 if recent and fsync is None else 0


def _clock(member: Member, case: Case) -> datetime:
    """Return the clock of a member's log: a journal ends when somebody saved it."""
    last = member.log.last if member.log else None
    return last if last is not None and not member.namespace and last < case.now else case.now


def _slow_since_start(member: Member, case: Case) -> bool:
    """Judge the one sample that there is: its histogram reaches back to the start, so the present must agree."""
    seen = member.window.first.histogram(FSYNC) if member.window else None
    if seen is None or not seen.count:
        return False
    above, _ = seen.longer_than(case.limits.fsync_alert)
    pending = member.window.first.value("etcd_server_proposals_pending") if member.window else 0.0
    return above >= seen.count / 100 and bool(pending or case.etcd_check_fails)


def measured(case: Case) -> bool:
    """Tell whether the fsyncs of a majority of members were measured and are fast: then it is not the disk."""
    return 2 * sum(m.fsync is not None and m.fsync.mean is not None for m in case.members) > len(case.members)


def disruptive(case: Case) -> bool:
    """Tell whether the disk is slow enough to delay heartbeats on a majority of members, or on the leader."""
    late = [m for m in case.members if _delays(m, case)]
    if not late and not measured(case) and from_outside(case).answer is Answer.SLOWLY:
        mean = case.traffic.mean if case.traffic else None
        return case.etcd_check_fails or bool(mean >= STALLED if mean is not None else slow_read(case))
    return any(m.is_leader for m in late) or len(late) * 2 > len(case.members)


def _delays(member: Member, case: Case) -> bool:
    mean = member.fsync.mean if member.fsync else None
    return mean >= case.limits.fsync_disruptive if mean is not None else slowness(member, case) == 2


def onset(case: Case) -> str:
    """Say when etcd's logs report slow fsyncs that are over now; empty when they report none."""
    times = sorted(s.at for m in case.members if m.log for s in m.log.slow_fsyncs)
    return f"etcd logged slow fsyncs until {ago(times[-1], case.now)}" if times else ""
