"""What a link of the control plane shows while no finding is about it: ok, or not seen with the reason.

A link is ok only when something was seen that would show its fault; what was not read, or not understood, is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from kubetriage.rules.plane.admission_webhooks import CONFIGURATIONS
from kubetriage.rules.plane.case import Case, Leading, Writes
from kubetriage.rules.plane.etcd_from_outside import Answer, from_outside
from kubetriage.rules.plane.figure_format import count, distribution, names, span
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER, SCHEDULER
from kubetriage.rules.plane.priority_and_fairness import seats
from kubetriage.rules.plane.thresholds import DEFAULT_QUOTA_BYTES
from kubetriage.values.fields import condition, mapping, name_of, text
from kubetriage.values.quantity import format_bytes
from kubetriage.values.times import format_time, human_duration

DISK = "etcd disk"
QUORUM = "etcd quorum and leader"
SPACE = "etcd space"
HEALTH = "API server health"
LOAD = "API server load"
CONTROLLERS = "controller-manager"
SCHEDULING = "scheduler"
WEBHOOKS = "admission webhooks"
AGGREGATED = "aggregated APIs"
KUBELETS = "kubelets' contact"

LINKS = (DISK, QUORUM, SPACE, HEALTH, LOAD, CONTROLLERS, SCHEDULING, WEBHOOKS, AGGREGATED, KUBELETS)
"""In the order in which one breaks the next."""

OK, DEGRADED, BROKEN, FROZEN, UNSEEN = "ok", "degraded", "broken", "frozen", "not seen"
State = tuple[str, str]
"""State and evidence."""

_LIVELY = timedelta(minutes=10)
"""A member's log with a line this young is the log of a living member."""
_JUST_STARTED = timedelta(minutes=5)
"""A restart this young may explain what clients saw."""


def _disk(case: Case) -> State:
    if any(m.has_leader is False for m in case.members) and not any(m.has_leader for m in case.members):
        return UNSEEN, "without a leader nothing is written, so fsyncs tell nothing"
    measured = [(m.name, m.fsync) for m in case.members if m.fsync is not None and m.fsync.mean is not None]
    if measured:
        name, worst = max(measured, key=lambda pair: pair[1].mean or 0.0)
        return OK, f"fsync {distribution(worst, case.limits.fsync_alert)} on {name}, the slowest of {len(measured)}"
    outside, traffic = from_outside(case), case.traffic
    told = (
        f"the API server's requests to etcd take {span(traffic.mean)}" if traffic and traffic.mean is not None else ""
    )
    if outside.answer is Answer.WELL:
        return OK, f"{told}; {_no_etcd(case)}"
    if any(m.window for m in case.members):
        return UNSEEN, "; ".join(p for p in ("no fsync between two samples of etcd's metrics was seen", told) if p)
    fresh = [m for m in case.members if m.log and m.log.last and case.now - m.log.last <= _LIVELY]
    passed, failed = case.etcd_check_seen
    if 2 * len(fresh) > len(case.members) and passed and not failed and not told:
        return OK, "no slow fsync in the newest lines of etcd's log, and the API server's etcd check passes"
    return UNSEEN, "; ".join(p for p in (_no_etcd(case), told) if p)


def _no_etcd(case: Case) -> str:
    unread = next((m.unread for m in case.members if m.unread), "")
    if unread:
        return f"etcd's metrics were not read, and of its log {unread}"
    if case.members:
        return "etcd's metrics were not read" + ("" if any(m.log for m in case.members) else ", nor its logs")
    if case.servers:
        return f"etcd runs outside the cluster, on {case.servers.named}"
    return (
        "no etcd pod is visible (managed, external or another store)"
        if case.pods_seen
        else "pods of kube-system not seen"
    )


def _quorum(case: Case) -> State:
    with_leader = [m for m in case.members if m.has_leader]
    if with_leader:
        leader = next((m.name for m in case.members if m.is_leader), "")
        of = f"{len(with_leader)} of {count(len(case.members), 'member')} see a leader" + (
            f" ({leader})" if leader else ""
        )
        return OK, of + _drift(case)
    passed, failed = case.etcd_check_seen
    if passed and failed:
        return UNSEEN, "the API server's etcd check passes and fails"
    if passed and any(case.quorum(c).hung for c in (CONTROLLER_MANAGER, SCHEDULER)):
        return UNSEEN, "the API server's etcd check passes, but a read through etcd was not answered"
    if failed and from_outside(case).answer is Answer.SLOWLY and case.traffic is not None:
        return OK, "requests to it are finished, if slowly, so it has a leader"
    if passed:
        return OK, "the API server's etcd check passes" + ("" if case.members else f"; {_no_etcd(case)}")
    return UNSEEN, _no_etcd(case)


def _drift(case: Case) -> str:
    """Name the clock drift that members complain of; etcd bears it, certificates and leases of clients do not."""
    late = [d for m in case.members if m.log for at, d in m.log.clock_drift if case.now - at <= _JUST_STARTED]
    return f"; the clocks of their hosts differ by {late[-1]}" if late else ""


def _space(case: Case) -> State:
    sized = [(m.database[0], m.database[2] or DEFAULT_QUOTA_BYTES) for m in case.members if m.database]
    if sized:
        size, quota = max(sized, key=lambda pair: pair[0] / pair[1])
        return OK, f"{format_bytes(int(size))} of {format_bytes(int(quota))} ({size / quota:.0%} of the quota)"
    size_seen = case.api.latest.value("apiserver_storage_size_bytes") if case.api else None
    if size_seen is None and case.api:
        size_seen = case.api.latest.value("apiserver_storage_db_total_size_in_bytes")
    if size_seen:
        known = f"{format_bytes(int(size_seen))} by the API server's metrics; the quota is not visible"
        return (OK, known) if size_seen < 0.8 * DEFAULT_QUOTA_BYTES else (UNSEEN, known)
    return UNSEEN, _no_etcd(case)


def _health(case: Case) -> State:
    if not case.livez.seen and not case.readyz.seen:
        if case.writes is Writes.FLOWING:
            return UNSEEN, f"leases are renewed; /livez and /readyz not read ({case.livez.why})"
        return UNSEEN, f"/livez and /readyz: {case.livez.why}"
    parts = [f"{h.path} ok ({count(h.passed, 'check')})" for h in (case.livez, case.readyz) if h.ok]
    last = case.leases.newest
    if last is not None and last.renewed is not None and case.writes is Writes.FLOWING:
        age = max((case.now - last.renewed).total_seconds(), 0.0)
        parts.append(f"last lease renewed {human_duration(timedelta(seconds=age))} ago")
    if case.api_uptime is not None and case.api_uptime <= _JUST_STARTED:
        parts.append(f"started {human_duration(case.api_uptime)} ago")
    return OK, ", ".join(parts)


def _load(case: Case) -> State:
    if not case.levels:
        return UNSEEN, "/metrics and the dump of priority levels were not read"
    busy = [x for x in case.levels if x.name != "exempt" and (x.executing or 0) > 0]
    taken = sum(x.executing or 0 for x in busy)
    if case.api is not None and not case.api.comparable:
        return UNSEEN, f"nothing waits; rejects unknown without a second sample; {seats(case.levels)}"
    return OK, f"no request rejected, {count(taken, 'seat')} taken; {seats(case.levels)}"


def _leader(case: Case, component: str) -> State:
    lease = case.leases.leader(component)
    state = case.leading(component)
    if lease is None or lease.renewed is None or state is Leading.UNKNOWN:
        if case.leases.system_seen:
            return UNSEEN, f"no lease {component} in kube-system (no leader election, or a managed control plane)"
        return UNSEEN, "leases of kube-system not seen"
    if state is Leading.BACK:
        again = case.quorum(component).lease
        behind = case.now - again.renewed if again and again.renewed else timedelta()
        if behind.total_seconds() > case.limits.controller_stale:
            return OK, f"{lease.holder.split('_')[0]} leads and renews; its clock is {human_duration(behind)} behind"
        return OK, f"leads again; its lease had not been renewed since {format_time(lease.renewed)}"
    holder = lease.holder.split("_")[0]
    age = max(case.now - lease.renewed, timedelta())
    if case.writes in (Writes.FROZEN, Writes.SLOW) and age.total_seconds() > case.limits.controller_stale:
        how = "nothing can be written" if case.writes is Writes.FROZEN else "leases are renewed late or not at all"
        return FROZEN, f"{how}; {holder} led, last renewed {human_duration(age)} ago"
    return OK, f"{holder} leads, renewed {human_duration(age)} ago"


def _webhooks(case: Case) -> State:
    seen = [case.snapshot.list(need.resource) for need in CONFIGURATIONS]
    if not all(listing.complete for listing in seen):
        return UNSEEN, "webhook configurations not read"
    if not case.webhooks and any(listing.presumed for listing in seen) and not whole_recording(case):
        return UNSEEN, "the recording holds none, and not the rest of the cluster either"
    if not case.webhooks:
        return OK, "none configured"
    closed = sum(w.closed for w in case.webhooks)
    return OK, f"{count(len(case.webhooks), 'webhook')}, {closed} of them must be asked; no failed call seen"


def _kubelets(case: Case) -> State:
    total = len(case.nodes)
    if not total and not case.leases.nodes:
        read = case.snapshot.list("nodes").complete and not case.snapshot.list("nodes").presumed
        return UNSEEN, "there is no Node" if read else "nodes and their leases not seen"
    if case.writes is Writes.FROZEN:
        return FROZEN, f"nothing can be written, so the status of {count(total, 'node')} is what it was"
    if case.writes is Writes.SLOW:
        return FROZEN, f"leases are renewed late or not at all, so the status of {count(total, 'node')} is old"
    skewed = case.skewed_nodes
    if skewed:
        told = names([f"{name} by {human_duration(abs(off))}" for name, off in skewed])
        return OK, f"{count(total, 'node')} in contact; clocks are off: {told}"
    lost = case.lost_nodes
    if lost:
        return DEGRADED, f"{total - len(lost)} of {count(total, 'node')} in contact; not {names(lost)}"
    if not case.leases.nodes:
        return UNSEEN, "node leases not seen"
    return OK, f"{count(total, 'node')} in contact"


def _aggregated(case: Case) -> State:
    listing = case.snapshot.list("apiservices")
    if not listing.complete:
        return UNSEEN, "apiservices not read"
    if not listing.items and listing.presumed and not whole_recording(case):
        return UNSEEN, "the recording holds none, and not the rest of the cluster either"
    mine = [a for a in listing.items if mapping(a, "spec", "service")]
    open_ = [name_of(a) for a in mine if text(condition(a, "Available"), "status") != "True"]
    if open_:
        return UNSEEN, f"{names(open_)}: no word on whether it answers"
    return OK, f"{count(len(mine), 'aggregated API')} available"


def whole_recording(case: Case) -> bool:
    """Tell whether a recording holds so much of the cluster that what it lacks was not there."""
    return bool(case.nodes and case.leases.items and case.pods)


QUIET: dict[str, Callable[[Case], State]] = {
    DISK: _disk,
    QUORUM: _quorum,
    SPACE: _space,
    HEALTH: _health,
    LOAD: _load,
    CONTROLLERS: lambda case: _leader(case, CONTROLLER_MANAGER),
    SCHEDULING: lambda case: _leader(case, SCHEDULER),
    WEBHOOKS: _webhooks,
    AGGREGATED: _aggregated,
    KUBELETS: _kubelets,
}
