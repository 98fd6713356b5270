"""The chain of a control plane: one link per part, the first broken one the cause, what it breaks its consequence.

    disk -> quorum and leader -> space -> API server -> controllers, scheduler, kubelets

A later link is a consequence only where there is a mechanism and where it did not break before its cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from kubetriage.model import Finding, NotSeen, Severity
from kubetriage.records import dataclass, replace
from kubetriage.rules.plane.api_server import METRICS
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.causes import (
    api_server_overloaded,
    api_server_unready,
    certificate_expiring,
    control_plane_errors,
    control_plane_restarts,
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
from kubetriage.rules.plane.figure_format import names
from kubetriage.rules.plane.link_states import BROKEN, DEGRADED, FROZEN, LINKS, OK, QUIET, UNSEEN
from kubetriage.rules.plane.registry import RULES
from kubetriage.typed import Any
from kubetriage.values.fields import text
from kubetriage.values.times import format_time, parse_time


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
    return (disruptive(case) or bool(case.lately("election lost", 600.0))) and effect.cause in _STALLS


def _no_leader_breaks(_cause: Finding, effect: Finding, _case: Case) -> bool:
    return effect.cause in _STALLS[2:]


def _down_breaks(cause: Finding, effect: Finding, case: Case) -> bool:
    # One member of several that is down takes nothing with it.
    return cause.severity is Severity.ERROR and (effect.cause in _STALLS[:2] or _no_leader_breaks(cause, effect, case))


def _full_breaks(cause: Finding, effect: Finding, case: Case) -> bool:
    return effect.cause != api_server_overloaded.CODE and _no_leader_breaks(cause, effect, case)


def _unready_breaks(cause: Finding, effect: Finding, _case: Case) -> bool:
    return cause.severity is Severity.ERROR and effect.cause in _STALLS[4:]


def _expired_breaks(cause: Finding, effect: Finding, _case: Case) -> bool:
    return cause.severity is Severity.ERROR and effect.cause in (
        controllers_down.CODE,
        scheduler_down.CODE,
        nodes_lost_contact.CODE,
    )


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
    certificate_expiring.CODE: _expired_breaks,
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
    # A restart is told where nothing explains the link that it broke.
    told = {f.details.get("link") for f in found if f.cause != control_plane_restarts.CODE}
    whole = any(f.severity is Severity.ERROR for f in found if f.cause != control_plane_restarts.CODE)
    found = [f for f in found if f.cause != control_plane_restarts.CODE or not (whole or f.details.get("link") in told)]
    return [f for f in found if f.cause != control_plane_errors.CODE or _worth_telling(f, found, case)]


def _worth_telling(errors: Finding, found: list[Finding], case: Case) -> bool:
    """Tell whether errors that no rule knows are news: not beside a cause, nor of a link that was seen to be ok."""
    if any(f is not errors and f.severity is not Severity.NOTE for f in found):
        return False
    return QUIET[str(errors.details["link"])](case)[0] != OK


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
            state, evidence = QUIET[name](case)
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


def blind_spots(case: Case, found: tuple[Finding, ...], chain: tuple[Link, ...]) -> tuple[NotSeen, ...]:
    """Return what was not seen, beside reads that failed; with a link unseen there is no all-clear."""
    spots = []
    unseen = [link.name for link in chain if link.state == UNSEEN]
    if unseen:
        spots.append(NotSeen(f"{', '.join(unseen)}", "a fault there would not show", decides=True))
    for member in case.members:
        if member.unread:
            spots.append(NotSeen(f"log of etcd member {member.name}", member.unread))
    for log in case.logs:
        if log.unread:
            words = f"0 of {log.lines} lines understood, the first: {log.head[:120]}"
            spots.append(NotSeen(f"log of {log.source}", words))
    if not case.members and case.pods_seen:
        where = (
            f"etcd runs outside the cluster, on {case.servers.named}"
            if case.servers
            else "no etcd pod in kube-system: managed, external or no etcd"
        )
        spots.append(NotSeen("etcd's disk, leader and quota", f"{where}; judged from the API server's own metrics"))
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
