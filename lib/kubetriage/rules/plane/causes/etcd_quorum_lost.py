"""etcd has no leader because a majority of its members is missing.

Meaning: with fewer than half of the members plus one, etcd answers neither writes nor linearizable reads. The API
server still answers from its watch cache; nodes keep the status that they had, usually all Ready.

Told by: `etcd_server_has_leader` 0 on the members that answer, or their logs calling elections without result in
the last minute; the missing members are named from refused connections and from peer probes. Latency histograms
look green here, because nothing commits.

Fix: bring the missing members back. Only when they are lost for good: restore a new cluster from a snapshot, or
start one survivor with --force-new-cluster.

Source: etcd-mixin etcdNoLeader and etcdInsufficientMembers; etcd disaster recovery guide; etcdserver/metrics.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case, Writes
from kubetriage.rules.plane.datastore_words import dqlite_finding
from kubetriage.rules.plane.etcd_from_outside import from_outside, last_write, long_silent, only_etcd_fails
from kubetriage.rules.plane.etcd_liveness import gone, leaderless_lately, unanswered
from kubetriage.rules.plane.etcd_members import Member
from kubetriage.rules.plane.etcd_remedies import unseen_fixes
from kubetriage.rules.plane.figure_format import count, metric, names
from kubetriage.rules.plane.thresholds import RECENT_LOG
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

CODE = "EtcdQuorumLost"
LINK = "etcd quorum and leader"


def check(case: Case) -> Iterator[Finding]:
    """Find members that live without a leader."""
    dqlite = dqlite_finding(case, CODE, LINK)
    if dqlite is not None:
        yield dqlite
        return
    blind = [m for m in case.members if m.has_leader is False and not m.leader_changes]
    told = [m for m in case.members if m.window is None and leaderless_lately(m, case) and not gone(m, case)]
    sighted = [m for m in case.members if m.has_leader]
    if not (sighted or blind or told) and len(case.members) > 1 and unanswered(case):
        if not all(gone(m, case) for m in case.members):
            yield _unanswered(case)
        return
    if not sighted and not blind and (broken := _distrust(case)):
        yield _by_certificates(case, broken)
        return
    # Where the API server's own word was not seen, leases that nobody renews stand for it.
    frozen = not case.livez.seen and not case.readyz.seen and case.writes is not Writes.FLOWING
    if sighted or not (blind or (told and (case.etcd_check_fails or frozen))):
        return
    down = [m for m in case.members if gone(m, case)]
    alive = blind or told
    lost = sorted(t for m in alive if m.log for t in m.log.lost)
    details: dict[str, object] = {"link": LINK, "members": [m.name for m in down]}
    if lost:
        details["since"] = format_time(lost[-1])
    missing = f": {names([m.name for m in down])} {'does' if len(down) == 1 else 'do'} not answer" if down else ""
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED if blind else Confidence.LIKELY,
        CLUSTER,
        f"etcd has no leader; {len(alive)} of {count(len(case.members), 'member')} live and cannot elect one{missing}."
        " Nothing can be written, and only cached reads are answered.",
        tuple(_evidence(alive, down, case)),
        (RuledOut("EtcdDown", f"{names([m.name for m in alive])} runs"),),
        (
            Fix(
                f"Bring back {names([m.name for m in down]) if down else 'the other members'}:"
                " look at etcd's log and disk on those hosts, and at the network between them (port 2380).",
                actor=Actor.NODE,
                commands=case.machine.lines("container log", container="etcd"),
            ),
            Fix(
                "Only when a majority is lost for good, as after a deleted control plane machine: start one survivor"
                " with --force-new-cluster after copying its data directory, or restore a snapshot.",
                actor=Actor.CLUSTER,
            ),
        ),
        ("kubectl get --raw '/livez/etcd'",),
        details,
    )


_TLS = lazy(r"x509|certificate|tls: ")


def _distrust(case: Case) -> list[tuple[Member, datetime, str, str]]:
    """Return the newest refusals of peers by their certificates, where a majority of the members tells of them.

    Empty while something is still written.
    """
    if case.writes is Writes.FLOWING or case.livez.ok:
        return []
    found = []
    for member in case.members:
        told = [r for r in member.log.refused_peers if _TLS.search(r[2])] if member.log else []
        if told and (case.now - told[-1][0]).total_seconds() <= RECENT_LOG:
            found.append((member, *told[-1]))
    return found if 2 * len(found) > len(case.members) else []


def _by_certificates(case: Case, told: list[tuple[Member, datetime, str, str]]) -> Finding:
    """Report members that run and refuse each other's TLS certificates, so that none can lead."""
    since = min(at for _, at, _, _ in told)
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        CLUSTER,
        f"etcd's members run and refuse each other's peer certificates ({told[-1][3].rstrip('.')}), so none leads and"
        " nothing can be written.",
        tuple(Evidence("log", m.name, f"peer {peer}: {error}", format_time(at)) for m, at, peer, error in told[:3]),
        (
            RuledOut("EtcdDown", f"{names([m.name for m, _, _, _ in told])} write their logs now"),
            RuledOut("EtcdSlowNetwork", "the connections are made; TLS ends them"),
        ),
        (
            Fix(
                "Renew the peer and server certificates of etcd on every member, then restart etcd there. Where they"
                " have not expired: compare their CA and names with those of the other members.",
                actor=Actor.CLUSTER,
                commands=case.machine.rows("certificates"),
            ),
            Fix("Do not restore and do not force a new cluster: the data of all members is whole."),
        ),
        tuple(kubectl("logs", m.name, "--since=2m", namespace=m.namespace) for m, _, _, _ in told[:1] if m.namespace),
        {"link": LINK, "members": [m.name for m, _, _, _ in told], "since": format_time(since)},
    )


def _unanswered(case: Case) -> Finding:
    """Report members of which none could be read, while etcd answers the API server nothing."""
    since = last_write(case)
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY if long_silent(case) else Confidence.POSSIBLE,
        CLUSTER,
        f"etcd does not answer the API server: fewer than a majority of its {len(case.members)} members serve, or they"
        " are cut off from it"
        + ("" if long_silent(case) else ", or their disks stall")
        + (f"; nothing was written since {since}" if since else "")
        + ". Which of them run was not seen.",
        from_outside(case).evidence,
        (
            RuledOut("ApiServerUnready", only_etcd_fails(case)),
            *((RuledOut("EtcdSlowDisk", "no request was finished, not even a slow one"),) if long_silent(case) else ()),
        ),
        unseen_fixes(case),
        ("kubectl get --raw '/livez?verbose'", "kubectl get --raw '/readyz?verbose'"),
        {"link": LINK, "members": [m.name for m in case.members], **({"since": since} if since else {})},
    )


def _evidence(alive: list[Member], down: list[Member], case: Case) -> Iterator[Evidence]:
    for member in alive:
        if member.has_leader is False:
            yield metric("etcd_server_has_leader", "0", member.name)
        if member.log and member.log.leaderless:
            times = count(len(member.log.leaderless), "time")
            yield Evidence(
                "log",
                member.name,
                f"{member.log.quotes.get('leaderless', '')} ({times})",
                format_time(member.log.leaderless[-1]),
            )
        peers = {p: (at, error) for at, p, error in member.log.refused_peers} if member.log else {}
        for peer, (at, error) in peers.items():
            if (case.now - at).total_seconds() <= RECENT_LOG:
                yield Evidence("log", member.name, f"peer {peer}: {error}", format_time(at))
    for member in down:
        if member.refused:
            yield Evidence("status", f"connection to {member.name}", member.refused)
    if case.etcd_check:
        yield Evidence("status", "/livez/etcd", case.etcd_check)
