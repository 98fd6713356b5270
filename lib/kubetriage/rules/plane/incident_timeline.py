"""Fossils of an incident: dated traces in the objects of the control plane, for those who arrive late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from kubetriage.records import dataclass
from kubetriage.rules.plane.case import Case, Leading, Writes
from kubetriage.rules.plane.figure_format import count, names, span
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER, SCHEDULER
from kubetriage.rules.plane.object_states import ready_since, ready_status, restarts
from kubetriage.values.fields import name_of, text
from kubetriage.values.times import format_time

_KUBELET_REASONS = ("Unhealthy", "Killing", "BackOff")
_NODE_REASONS = ("NodeNotReady", "RegisteredNode")


@dataclass(frozen=True)
class Fossil:
    """One dated trace."""

    at: datetime
    what: str
    source: str

    def json(self) -> dict[str, str]:
        """Write it for the JSON contract."""
        return {"time": format_time(self.at), "what": self.what, "source": self.source}


def fossils(case: Case, within: timedelta = timedelta(hours=24)) -> tuple[Fossil, ...]:
    """Return all traces of the last day, oldest first."""
    every = [*_restarts(case), *_leases(case), *_logs(case), *_nodes(case), *_events(case), *_starts(case)]
    recent = {f for f in every if timedelta() <= case.now - f.at <= within}
    return tuple(sorted(recent, key=lambda f: (f.at, f.what)))


def _restarts(case: Case) -> Iterator[Fossil]:
    for pod in case.pods:
        for container, number, ended, code, reason in restarts(pod):
            if ended is not None:
                exited = f"exited with {code}" + (f" ({reason})" if reason else "")
                yield Fossil(
                    ended, f"{name_of(pod)} {exited}; {count(number, 'restart')} so far", f"pod status [{container}]"
                )


def _leases(case: Case) -> Iterator[Fossil]:
    for component in (CONTROLLER_MANAGER, SCHEDULER):
        lease = case.leases.leader(component)
        if lease is None:
            continue
        if lease.acquired is not None and lease.holder:
            changes = f", {count(lease.transitions, 'change')} of leader so far" if lease.transitions else ""
            yield Fossil(
                lease.acquired, f"{component}: {lease.holder.split('_')[0]} became leader{changes}", "lease acquireTime"
            )
        if lease.renewed is not None and not lease.holder:
            yield Fossil(lease.renewed, f"{component} gave its lease up", "lease renewTime")
        elif lease.renewed is not None and _stopped(lease.renewed, component, case):
            yield Fossil(lease.renewed, f"{component} renewed its lease for the last time", "lease renewTime")


def _stopped(renewed: datetime, component: str, case: Case) -> bool:
    """Tell whether a renewal was the last one before a stop, not just the last one that a recording shows."""
    stops = case.leading(component) is not Leading.YES or case.writes in (Writes.FROZEN, Writes.SLOW)
    return stops and case.now - renewed > timedelta(seconds=case.limits.controller_stale)


def _logs(case: Case) -> Iterator[Fossil]:
    for member in case.members:
        log = member.log
        if log is None:
            continue
        if log.slow_fsyncs:
            longest = max(s.seconds for s in log.slow_fsyncs)
            number = count(len(log.slow_fsyncs), "slow fdatasync", "slow fdatasyncs")
            yield Fossil(log.slow_fsyncs[0].at, f"{member.name}: {number} begin, longest {span(longest)}", "etcd log")
            yield Fossil(log.slow_fsyncs[-1].at, f"{member.name}: last slow fdatasync", "etcd log")
        for at, drift in log.clock_drift[-1:]:
            yield Fossil(at, f"{member.name}: clocks of members differ by {drift}", "etcd log")
        for at in log.lost[-3:]:
            yield Fossil(at, f"{member.name} lost its leader", "etcd log")
        for at in log.elected[-3:]:
            yield Fossil(at, f"{member.name} saw a leader elected", "etcd log")
        for at, alarm, raised in log.alarms:
            yield Fossil(at, f"alarm {alarm} {'raised' if raised else 'disarmed'} on {member.name}", "etcd log")
        if log.closed is not None:
            yield Fossil(log.closed, f"{member.name} was stopped", "etcd log")


def _nodes(case: Case) -> Iterator[Fossil]:
    by_second: dict[tuple[datetime, str], list[str]] = {}
    for node in case.nodes:
        since = ready_since(node)
        if since is not None:
            by_second.setdefault((since, ready_status(node)), []).append(name_of(node))
    for (since, status), nodes in by_second.items():
        yield Fossil(since, f"Ready became {status}: {names(nodes)}", "node condition")


def _events(case: Case) -> Iterator[Fossil]:
    for event in case.events:
        if event.last is None:
            continue
        name = text(event.raw, "involvedObject", "name")
        if event.reason == "LeaderElection":
            holder, _, rest = event.message.partition(" ")
            yield Fossil(event.last, f"{name}: {holder.split('_')[0]} {rest}", "event LeaderElection")
        elif event.reason in _KUBELET_REASONS and any(name == name_of(p) for p in case.pods):
            yield Fossil(event.last, f"{name}: {event.message[:80]}", f"event {event.reason}")
        elif event.reason in _NODE_REASONS:
            yield Fossil(event.last, event.message[:80], f"event {event.reason}")


def _starts(case: Case) -> Iterator[Fossil]:
    if case.api is not None and (start := case.api.latest.value("process_start_time_seconds")):
        yield from _start("the API server", start)
    for member in case.members:
        if member.window is not None and (start := member.window.latest.value("process_start_time_seconds")):
            yield from _start(f"etcd member {member.name}", start)


def _start(what: str, seconds: float) -> Iterator[Fossil]:
    try:
        yield Fossil(datetime.fromtimestamp(seconds, timezone.utc), f"{what} started", "process_start_time_seconds")
    except (ValueError, OverflowError, OSError):
        return
