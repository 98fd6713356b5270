"""The chain of a control plane: one link per part, the first broken one the cause, what it breaks its consequence.

    disk -> quorum and leader -> space -> API server -> controllers, scheduler, kubelets

A later link is a consequence only where there is a mechanism and where it did not break before its cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from kubetriage.model import Finding, NotSeen, Severity
from kubetriage.rules.plane import RULES
from kubetriage.rules.plane.api_server import METRICS
from kubetriage.rules.plane.case import Case, Leading, Writes
from kubetriage.rules.plane.causes import (
    api_server_overloaded,
    api_server_unready,
    controllers_down,
    etcd_down,
    etcd_leader_flapping,
    etcd_near_quota,
    etcd_no_space,
    etcd_quorum_lost,
    etcd_slow_disk,
    etcd_slow_network,
    nodes_lost_contact,
    scheduler_down,
    webhook_blocking,
)
from kubetriage.rules.plane.causes.webhook_blocking import blocks
from kubetriage.rules.plane.etcd_disk import disruptive
from kubetriage.rules.plane.figure_format import count, distribution, names, span
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER, SCHEDULER
from kubetriage.rules.plane.thresholds import DEFAULT_QUOTA_BYTES
from kubetriage.values.fields import text
from kubetriage.values.quantity import format_bytes
from kubetriage.values.times import format_time, human_duration, parse_time

DISK = etcd_slow_disk.LINK
QUORUM = etcd_down.LINK
SPACE = etcd_no_space.LINK
HEALTH = api_server_unready.LINK
LOAD = api_server_overloaded.LINK
CONTROLLERS = controllers_down.LINK
SCHEDULING = scheduler_down.LINK
WEBHOOKS = webhook_blocking.LINK
KUBELETS = nodes_lost_contact.LINK

LINKS = (DISK, QUORUM, SPACE, HEALTH, LOAD, CONTROLLERS, SCHEDULING, WEBHOOKS, KUBELETS)

OK, DEGRADED, BROKEN, FROZEN, UNSEEN = "ok", "degraded", "broken", "frozen", "not seen"


@dataclass(frozen=True)
class Link:
    """One part of the control plane."""

    name: str
    state: str
    """``ok``, ``degraded`` (warnings), ``broken``, ``frozen`` (its status is not written any more) or ``not seen``."""
    evidence: str
    since: str = ""
    """RFC 3339; empty when not known."""
    cause: str = ""
    """Code of the finding that says so."""
    since_at_latest: str = ""
    """RFC 3339; where the beginning lies before everything that was seen."""
    consequence_of: str = ""
    """Code of the finding that broke this link; empty for a cause of its own."""

    def json(self) -> dict[str, Any]:
        """Write it for the JSON contract."""
        keys = {
            "since": self.since,
            "sinceAtLatest": self.since_at_latest,
            "cause": self.cause,
            "consequenceOf": self.consequence_of,
        }
        return {
            "link": self.name,
            "state": self.state,
            "evidence": self.evidence,
            **{k: v for k, v in keys.items() if v},
        }


_JUST_STARTED = timedelta(minutes=5)
"""A restart this young may explain what clients saw."""
_SETTLING = timedelta(seconds=60)
"""An effect that is this much older than a cause is not its effect."""

_STALLS = (
    etcd_leader_flapping.CODE,
    etcd_quorum_lost.CODE,
    api_server_unready.CODE,
    api_server_overloaded.CODE,
    controllers_down.CODE,
    scheduler_down.CODE,
    nodes_lost_contact.CODE,
)


def _slow_disk_breaks(_cause: Finding, effect: Finding, case: Case) -> bool:
    return disruptive(case) and effect.cause in _STALLS


def _no_leader_breaks(_cause: Finding, effect: Finding, _case: Case) -> bool:
    return effect.cause in _STALLS[2:]


def _down_breaks(cause: Finding, effect: Finding, case: Case) -> bool:
    # One member of several that is down takes nothing with it.
    return cause.severity is Severity.ERROR and (effect.cause in _STALLS[:2] or _no_leader_breaks(cause, effect, case))


def _full_breaks(cause: Finding, effect: Finding, case: Case) -> bool:
    return effect.cause != api_server_overloaded.CODE and _no_leader_breaks(cause, effect, case)


def _unready_breaks(cause: Finding, effect: Finding, _case: Case) -> bool:
    return cause.severity is Severity.ERROR and effect.cause in _STALLS[4:]


def _overload_breaks(cause: Finding, effect: Finding, _case: Case) -> bool:
    levels = cause.details.get("levels", [])
    if effect.cause in (controllers_down.CODE, scheduler_down.CODE):
        return "leader-election" in levels
    return effect.cause == nodes_lost_contact.CODE and "node-high" in levels


def _webhook_breaks(cause: Finding, effect: Finding, _case: Case) -> bool:
    if cause.severity is not Severity.ERROR:
        return False
    if effect.cause == nodes_lost_contact.CODE:
        return blocks(cause, "leases", "nodes", "nodes/status")
    if effect.cause == api_server_unready.CODE:
        return not effect.details.get("checks") and blocks(cause, "leases")
    return effect.cause in (controllers_down.CODE, scheduler_down.CODE) and blocks(cause, "leases")


_BREAKS: dict[str, Callable[[Finding, Finding, Case], bool]] = {
    etcd_slow_disk.CODE: _slow_disk_breaks,
    etcd_down.CODE: _down_breaks,
    etcd_quorum_lost.CODE: _no_leader_breaks,
    etcd_leader_flapping.CODE: _no_leader_breaks,
    etcd_no_space.CODE: _full_breaks,
    api_server_unready.CODE: _unready_breaks,
    api_server_overloaded.CODE: _overload_breaks,
    webhook_blocking.CODE: _webhook_breaks,
}
"""Per cause: whether it breaks an effect. What is not here breaks nothing else."""


def breaks(cause: Finding, effect: Finding, case: Case) -> bool:
    """Tell whether one finding explains another."""
    rule = _BREAKS.get(cause.cause)
    if rule is None or cause is effect or effect.severity is Severity.NOTE or not rule(cause, effect, case):
        return False
    began, followed = (parse_time(text(f.details, "since")) for f in (cause, effect))
    return began is None or followed is None or followed >= began - _SETTLING


_TOLD_BY = {
    etcd_near_quota.CODE: etcd_no_space.CODE,
    etcd_slow_network.CODE: etcd_leader_flapping.CODE,
}
"""Causes that the finding of another one already tells."""


def findings(case: Case) -> list[Finding]:
    """Ask every rule, in the order of the chain."""
    found: list[Finding] = []
    for rule in RULES:
        if not any(f.cause == _TOLD_BY.get(rule.CODE) for f in found):
            found.extend(rule.check(case))
    return found


def explain(found: Iterable[Finding], case: Case) -> tuple[Finding, ...]:
    """Put causes before their consequences, and say of each consequence what it follows from.

    A cause is at least as severe as what it breaks; a consequence keeps its evidence and loses its fixes, because
    mending it changes nothing while its cause stands.
    """
    items = list(found)
    roots: list[Finding] = []
    effects: list[tuple[Finding, Finding]] = []
    for finding in items:
        why = next((c for c in items if breaks(c, finding, case)), None)
        if why is None:
            roots.append(finding)
        else:
            effects.append((finding, why))
    result = []
    for root in roots:
        mine = [effect for effect, why in effects if _root(why, effects) is root]
        worst = min([root, *mine], key=lambda f: f.severity.rank).severity
        result.append(replace(root, severity=worst))
    result.sort(key=lambda f: f.severity.rank)
    for effect, why in effects:
        root = _root(why, effects)
        result.append(
            replace(
                effect,
                message=f"{effect.message.rstrip('.')}; this follows from {root.cause}.",
                fix=(),
                details={**effect.details, "consequenceOf": root.cause},
            )
        )
    return tuple(result)


def _root(finding: Finding, effects: list[tuple[Finding, Finding]]) -> Finding:
    seen = [finding]
    while True:
        why = next((w for e, w in effects if e is seen[-1]), None)
        if why is None or why in seen:
            return seen[-1]
        seen.append(why)


def links(found: tuple[Finding, ...], case: Case) -> tuple[Link, ...]:
    """Return the state of every link."""
    chain = []
    for name in LINKS:
        own = [f for f in found if f.details.get("link") == name and f.severity is not Severity.NOTE]
        own.sort(key=lambda f: (f.severity.rank, bool(f.details.get("consequenceOf"))))
        if own:
            worst = own[0]
            state = BROKEN if worst.severity is Severity.ERROR else DEGRADED
            chain.append(
                Link(
                    name,
                    state,
                    _short(worst),
                    text(worst.details, "since"),
                    worst.cause,
                    text(worst.details, "sinceAtLatest"),
                    text(worst.details, "consequenceOf"),
                )
            )
        else:
            state, evidence = _QUIET[name](case)
            since = ""
            cause = ""
            if state == FROZEN:
                last = case.leases.newest
                since = format_time(last.renewed) if last and last.renewed else ""
                cause = next((f.cause for f in found if f.severity is Severity.ERROR), "")
            chain.append(Link(name, state, evidence, since, consequence_of=cause))
    return tuple(chain)


def _short(finding: Finding) -> str:
    message = finding.message.split("; this follows from ", 1)[0].rstrip(".")
    return message.split(". ", 1)[0].split("; ", 1)[0]


# What a link without a finding shows: its state and the evidence for it.


def _disk(case: Case) -> tuple[str, str]:
    if any(m.has_leader is False for m in case.members) and not any(m.has_leader for m in case.members):
        return UNSEEN, "without a leader nothing is written, so fsyncs tell nothing"
    measured = [(m.name, m.fsync) for m in case.members if m.fsync is not None and m.fsync.mean is not None]
    if measured:
        name, worst = max(measured, key=lambda pair: pair[1].mean or 0.0)
        return OK, f"fsync {distribution(worst, case.limits.fsync_alert)} on {name}, the slowest of {len(measured)}"
    traffic = case.traffic
    told = (
        f"; the API server's requests to etcd take {span(traffic.mean)}" if traffic and traffic.mean is not None else ""
    )
    if any(m.window for m in case.members):
        return UNSEEN, "no fsync between two samples of etcd's metrics was seen" + told
    if any(m.log for m in case.members):
        return (
            OK if case.livez.ok else UNSEEN,
            "no slow fsync in the last minute of etcd's log; its metrics were not read" + told,
        )
    return UNSEEN, _no_etcd(case) + told


def _no_etcd(case: Case) -> str:
    if case.members:
        return "etcd's metrics and logs were not read"
    return (
        "no etcd pod is visible (managed, external or another store)"
        if case.pods_seen
        else "pods of kube-system not seen"
    )


def _quorum(case: Case) -> tuple[str, str]:
    with_leader = [m for m in case.members if m.has_leader]
    if with_leader:
        leader = next((m.name for m in case.members if m.is_leader), "")
        of = f"{len(with_leader)} of {count(len(case.members), 'member')} see a leader" + (
            f" ({leader})" if leader else ""
        )
        return OK, of + _drift(case)
    if case.livez.ok and case.livez.passed:
        return OK, "the API server's etcd check passes" + ("" if case.members else f"; {_no_etcd(case)}")
    return UNSEEN, _no_etcd(case)


def _drift(case: Case) -> str:
    """Name the clock drift that members complain of; etcd bears it, certificates and leases of clients do not."""
    late = [d for m in case.members if m.log for at, d in m.log.clock_drift if case.now - at <= _JUST_STARTED]
    return f"; the clocks of their hosts differ by {late[-1]}" if late else ""


def _space(case: Case) -> tuple[str, str]:
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


def _health(case: Case) -> tuple[str, str]:
    if not case.livez.seen and not case.readyz.seen:
        if case.writes is Writes.FLOWING:
            return OK, f"leases are renewed; /livez and /readyz not read ({case.livez.why})"
        return UNSEEN, f"/livez and /readyz: {case.livez.why}"
    parts = [f"{h.path} ok ({count(h.passed, 'check')})" for h in (case.livez, case.readyz) if h.ok]
    last = case.leases.newest
    if last is not None and last.renewed is not None and case.writes is Writes.FLOWING:
        age = max((case.now - last.renewed).total_seconds(), 0.0)
        parts.append(f"last lease renewed {human_duration(timedelta(seconds=age))} ago")
    if case.api_uptime is not None and case.api_uptime <= _JUST_STARTED:
        parts.append(f"started {human_duration(case.api_uptime)} ago")
    return OK, ", ".join(parts)


def _load(case: Case) -> tuple[str, str]:
    if not case.levels:
        return UNSEEN, "/metrics and the dump of priority levels were not read"
    busy = [x for x in case.levels if x.name != "exempt" and (x.executing or 0) > 0]
    taken = sum(x.executing or 0 for x in busy)
    if case.api is not None and not case.api.comparable:
        return OK, f"nothing waits; rejects unknown without a second sample; {api_server_overloaded.seats(case.levels)}"
    return OK, f"no request rejected, {count(taken, 'seat')} taken; {api_server_overloaded.seats(case.levels)}"


def _leader(case: Case, component: str) -> tuple[str, str]:
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
        how = "nobody can write" if case.writes is Writes.FROZEN else "leases are renewed late or not at all"
        return FROZEN, f"{how}; {holder} led, last renewed {human_duration(age)} ago"
    return OK, f"{holder} leads, renewed {human_duration(age)} ago"


def _webhooks(case: Case) -> tuple[str, str]:
    seen = [case.snapshot.list(n) for n in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")]
    if not all(listing.complete for listing in seen):
        return UNSEEN, "webhook configurations not read"
    if not case.webhooks:
        return OK, "none configured"
    closed = sum(w.closed for w in case.webhooks)
    return OK, f"{count(len(case.webhooks), 'webhook')}, {closed} of them must be asked; no failed call seen"


def _kubelets(case: Case) -> tuple[str, str]:
    total = len(case.nodes)
    if not total and not case.leases.nodes:
        return UNSEEN, "nodes and their leases not seen"
    if case.writes is Writes.FROZEN:
        return FROZEN, f"nobody can write, so the status of {count(total, 'node')} is what it was"
    if case.writes is Writes.SLOW:
        return FROZEN, f"leases are renewed late or not at all, so the status of {count(total, 'node')} is old"
    skewed = case.skewed_nodes
    if skewed:
        told = names([f"{name} by {human_duration(abs(off))}" for name, off in skewed])
        return OK, f"{count(total, 'node')} in contact; clocks are off: {told}"
    lost = case.lost_nodes
    if lost:
        return OK, f"{total - len(lost)} of {count(total, 'node')} in contact; not {names(lost)}"
    if not case.leases.nodes:
        return UNSEEN, "node leases not seen"
    return OK, f"{count(total, 'node')} in contact"


_QUIET: dict[str, Callable[[Case], tuple[str, str]]] = {
    DISK: _disk,
    QUORUM: _quorum,
    SPACE: _space,
    HEALTH: _health,
    LOAD: _load,
    CONTROLLERS: lambda case: _leader(case, CONTROLLER_MANAGER),
    SCHEDULING: lambda case: _leader(case, SCHEDULER),
    WEBHOOKS: _webhooks,
    KUBELETS: _kubelets,
}


def drawing(chain: tuple[Link, ...]) -> tuple[str, ...]:
    """Draw the chain from the cause down; a whole chain is one line."""
    if all(link.state in (OK, UNSEEN) for link in chain):
        return (" ▶ ".join(link.name + ("?" if link.state == UNSEEN else "") for link in chain),)
    lines = []
    for cause in dict.fromkeys(link.cause for link in chain if link.cause and not link.consequence_of):
        for link in chain:
            if link.cause == cause and not link.consequence_of:
                lines.append(f"{'✗' if link.state == BROKEN else '!'} {link.name}: {link.state} ({cause})")
        lines += [f"└▶ {link.name}: {link.state}" for link in chain if link.consequence_of == cause]
    lines += [f"? {link.name}: not seen" for link in chain if link.state == UNSEEN]
    return tuple(lines)


_SIGN = {BROKEN: "✗", FROZEN: "✗", DEGRADED: "!", OK: "✓", UNSEEN: "?"}


def tree(links: tuple[Link, ...], ages: Mapping[str, str]) -> tuple[str, ...]:
    """Draw each cause with the links that it breaks below it; what is ok and what was not seen take a line each.

    ``ages`` tells by the name of a link for how long it is so.
    """
    lines = []
    for cause in dict.fromkeys(link.cause for link in links if link.cause and not link.consequence_of):
        own = [link for link in links if link.cause == cause and not link.consequence_of]
        below = [link for link in links if link.consequence_of == cause]
        lines += [f"{_SIGN[link.state]} {link.name}{_how(link, ages)}" for link in own]
        for i, link in enumerate(below):
            branch = "└─" if i == len(below) - 1 else "├─"
            lines.append(f"{branch} {_SIGN[link.state]} {link.name}{_how(link, ages)}")
    for state in (OK, UNSEEN):
        names_of = [link.name for link in links if link.state == state]
        if names_of:
            lines.append(f"{state}: {', '.join(names_of)}")
    return tuple(lines)


def _how(link: Link, ages: Mapping[str, str]) -> str:
    age = ages.get(link.name, "")
    return f": {link.state}" + (f" ({age})" if age else "")


def blind_spots(case: Case, found: tuple[Finding, ...]) -> tuple[NotSeen, ...]:
    """Return what the kind of cluster hides, beside reads that failed."""
    spots = []
    if not case.members and case.pods_seen:
        spots.append(
            NotSeen(
                "etcd's disk, leader and quota",
                "no etcd pod in kube-system: managed, external or no etcd; judged from the API server's own metrics",
            )
        )
    for member in case.members:
        if member.error and not any(member.name in f.details.get("members", ()) for f in found):
            spots.append(NotSeen(f"metrics of etcd member {member.name}: fsync, leader and size", member.error))
    body = case.snapshot.body(METRICS[0].path)
    if case.api is None and body is not None:
        spots.append(NotSeen("the API server's metrics", f"HTTP {body.status} {body.text.strip()[:300]}".strip()))
    hidden = [
        m.name for m in case.members if m.window is None and not m.refused and not (m.address and m.address.routable)
    ]
    if hidden and not case.forward:
        spots.append(
            NotSeen(
                f"metrics of {names(hidden)}",
                "etcd serves them on loopback only, where the API server's proxy does not go; --etcd reads them"
                " by port-forward",
            )
        )
    if case.api is not None and case.api.second is not None and not case.api.comparable:
        spots.append(NotSeen("rates of the API server", "the two samples came from two API servers behind one address"))
    return tuple(spots)
