"""etcd does not answer at all, or one of its members is gone.

Meaning: without etcd nothing can be written and nothing can be read that the API server does not hold in its watch
cache. Running pods keep running; nodes keep the status that they had, usually all Ready.

Told by: an etcd pod in CrashLoopBackOff with its last words; connections to all members refused (metrics listener or
peer probes in the logs), or the API server's etcd check failing while every member's log has fallen silent. A member
without quorum is told apart because it keeps logging elections every second; one that kept the data of before a restore
says "cluster ID mismatch". Where no member can be seen (external, managed, or because the API server needs etcd to find
its pods): the API server's etcd checks fail, no lease is renewed, and reads through etcd hang. One refused member of
several, one that the others say they do not reach, or one outside the cluster that the API server's log says it does
not reach, is reported as lost redundancy.

Fix: start etcd again on its hosts (static pod manifest, disk full, certificate), restore from a snapshot only when
the data directory is lost.

Source: etcd operations guide (failure modes); rafthttp/probing_status.go; kubelet static pods.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case, Writes
from kubetriage.rules.plane.control_plane_pods import Failing, crash_finding
from kubetriage.rules.plane.datastore_words import datastore_findings
from kubetriage.rules.plane.etcd_from_outside import from_outside, last_write, long_silent, only_etcd_fails
from kubetriage.rules.plane.etcd_liveness import gone, leaderless_lately, unanswered, unreached
from kubetriage.rules.plane.etcd_members import Member
from kubetriage.rules.plane.etcd_remedies import member_fixes, stopped_by_kubelet, unseen_fixes
from kubetriage.rules.plane.etcd_servers import Servers
from kubetriage.rules.plane.etcd_two_clusters import two_clusters
from kubetriage.rules.plane.etcdctl_words import member_findings
from kubetriage.rules.plane.figure_format import ago, count, names
from kubetriage.rules.plane.thresholds import RECENT_LOG, SILENT_LOG
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.times import format_time

CODE = "EtcdDown"
LINK = "etcd quorum and leader"
_SILENT = timedelta(seconds=SILENT_LOG)
_DIALLED_AGAIN = 150.0
"""Seconds: grpc's client waits 120 between two tries at most, give or take a fifth."""


def check(case: Case) -> Iterator[Finding]:
    """Tell a member that ends, all members down, one member down, and an etcd that answers nothing apart."""
    loops = [f for f in case.failing if f.component == "etcd"]
    down = [m for m in case.members if gone(m, case)]
    if loops:
        yield _ends(loops, case)
    elif down and len(down) == len(case.members):
        if case.writes is not Writes.FLOWING and (case.etcd_check_fails or case.writes is Writes.FROZEN):
            yield _all_down(down, case)
    elif down and len(down) * 2 < len(case.members):
        yield from (_member_down(m, case) for m in down)
    elif foreign := [m for m in case.members if m.log and m.log.strangers]:
        yield two_clusters(foreign, case, CODE, LINK)
    elif ended := [m for m in case.members if m.log and m.log.fatal and not m.window]:
        yield _ended_itself(ended, case)
    elif told := list(datastore_findings(case, CODE, LINK)) or list(member_findings(case, CODE, LINK)):
        yield from told
    elif (
        not down
        and len(case.members) < 2
        and unanswered(case)
        and not any(leaderless_lately(m, case) for m in case.members)
    ):
        yield _unanswered(case)
    elif not down and any(m.window is None for m in case.members):
        missed = unreached(case)
        if missed and len(missed) * 2 < len(case.members):
            yield from (_missed(peer, told, case) for peer, told in missed.items())
    elif case.servers is not None and case.etcd_check_seen[0] and not case.etcd_check_seen[1]:
        yield from _server_lost(case.servers, case)


def _ends(loops: list[Failing], case: Case) -> Finding:
    """Report members whose pod ends again and again: by their own words, by why-crash, or by their kubelet."""
    first = loops[0]
    whole = 2 * len(loops) > len(case.members)
    details: dict[str, object] = {"link": LINK, "members": [f.name for f in loops]}
    if first.ending.at:
        details["since"] = format_time(first.ending.at)
    evidence = [f.evidence() for f in loops[:3]]
    if case.stopped is not None and any(f.pod is first.pod for f in case.stopped.pods):
        return stopped_by_kubelet(CODE, LINK, case.stopped, case, whole)
    words = _own_words(first, case)
    if words:
        evidence.append(Evidence("log", first.name, words))
    crash = crash_finding(case.snapshot, first.pod)
    if crash is not None:
        evidence += list(crash.evidence[:3])
        details["crash"] = crash.cause
    reason = f"it ends with: {words}" if words else crash.message if crash else "why it ends was not seen"
    rest = len(case.members) - len(loops)
    quorum = "Without it nothing can be written" if whole else f"{rest} of {len(case.members)} members are left"
    return Finding(
        CODE,
        Severity.ERROR if whole else Severity.WARNING,
        Confidence.CONFIRMED if words or crash else Confidence.LIKELY,
        Ref("Pod", text(first.pod, "metadata", "namespace"), first.name, container=first.container),
        f"etcd on {first.node or first.name} is in {first.waiting or 'a restart loop'} ({first.restarts} restarts):"
        f" {reason}."
        f" {quorum}.",
        tuple(evidence[:8]),
        (),
        (*member_fixes(words, [first.name], case), *((crash.fix[:2]) if crash and not words else ())),
        (kubectl("logs", first.name, "--previous", namespace="kube-system"),),
        details,
    )


def _own_words(item: Failing, case: Case) -> str:
    member = next((m for m in case.members if m.name == item.name), None)
    logs = [log for log in (member.log, member.previous) if log] if member else []
    return next((log.fatal[-1][1] for log in logs if log.fatal), "")


def _ended_itself(ended: list[Member], case: Case) -> Finding:
    """Report a member whose log ends in a panic, where no pod shows a restart."""
    words = next(m.log.fatal[-1][1] for m in ended if m.log)
    at = next(m.log.fatal[-1][0] for m in ended if m.log)
    details: dict[str, object] = {"link": LINK, "members": [m.name for m in ended]}
    if at is not None:
        details["since"] = format_time(at)
    return Finding(
        CODE,
        Severity.ERROR if 2 * len(ended) > len(case.members) else Severity.WARNING,
        Confidence.LIKELY,
        CLUSTER,
        f"etcd on {names([m.name for m in ended])} ended itself: {words}.",
        tuple(Evidence("log", m.name, m.log.fatal[-1][1], format_time(at) if at else "") for m in ended if m.log),
        (),
        member_fixes(words, [m.name for m in ended], case),
        ("kubectl get --raw '/livez/etcd'",),
        details,
    )


def _unanswered(case: Case) -> Finding:
    """Report an etcd that answers the API server nothing and that shows itself nowhere."""
    since = last_write(case)
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY if long_silent(case) else Confidence.POSSIBLE,
        CLUSTER,
        "etcd does not answer the API server: it is down, without quorum, cut off from it"
        + ("" if long_silent(case) else ", or its disk stalls")
        + (f"; nothing was written since {since}" if since else "")
        + (". Lists are not answered any more." if case.lists_hang else ". What kubectl shows is as old as that."),
        from_outside(case).evidence,
        (
            RuledOut("ApiServerUnready", only_etcd_fails(case)),
            *((RuledOut("EtcdSlowDisk", "no request was finished, not even a slow one"),) if long_silent(case) else ()),
        ),
        unseen_fixes(case),
        ("kubectl get --raw '/livez?verbose'", "kubectl get --raw '/readyz?verbose'"),
        {"link": LINK, "members": [m.name for m in case.members], **({"since": since} if since else {})},
    )


def _missed(peer: str, told: list[tuple[Member, datetime, str]], case: Case) -> Finding:
    """Report a member that the others do not reach; its name stands in its own log only, and there its silence."""
    silent = [m for m in case.members if m.log is None or m.log.last is None or case.now - m.log.last > _SILENT]
    named = silent[0].name if len(silent) == 1 else ""
    left = len(case.members) - 1
    which = f"etcd member {named}" if named else f"The etcd member with id {peer}"
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.LIKELY if len(told) > 1 else Confidence.POSSIBLE,
        CLUSTER,
        f"{which} is not reached by {names([m.name for m, _, _ in told])}: it is down or cut off."
        f" {left} of {len(case.members)} still form a quorum.",
        tuple(Evidence("log", m.name, f"peer {peer}: {error}", format_time(at)) for m, at, error in told[:5]),
        (RuledOut("EtcdQuorumLost", "the API server's etcd check passes"),) if case.etcd_check_seen[0] else (),
        (
            Fix(
                "See on its host whether etcd runs, and bring it back before another member fails.",
                actor=Actor.CLUSTER,
                commands=case.machine.lines("container log", container="etcd"),
            ),
            Fix("If it runs there: look at the network between the members' hosts (port 2380).", actor=Actor.NODE),
        ),
        tuple(kubectl("logs", m.name, "--since=2m", namespace=m.namespace) for m, _, _ in told[:1] if m.namespace),
        {"link": LINK, "members": [named] if named else [], "since": format_time(min(at for _, at, _ in told))},
    )


def _server_lost(servers: Servers, case: Case) -> Iterator[Finding]:
    """Report servers outside the cluster that the API server's log says it does not reach, while the others answer."""
    told = (*case.lately("refused", _DIALLED_AGAIN), *case.lately("unreached", _DIALLED_AGAIN))
    lost = {r.about: r for r in told if r.about in servers.addresses}
    left = len(servers.addresses) - len(lost)
    if not lost or left <= len(lost):
        return
    yield Finding(
        CODE,
        Severity.WARNING,
        Confidence.LIKELY,
        CLUSTER,
        f"The API server does not reach etcd at {names(list(lost))}: it is down there, or the way to it is closed."
        f" {left} of {len(servers.addresses)} servers are left.",
        tuple(Evidence("log", r.source, r.words, format_time(r.at)) for r in lost.values()),
        (RuledOut("EtcdQuorumLost", "the API server's etcd check passes"),),
        (
            Fix(
                "See there whether etcd runs, and bring it back before another member fails.",
                actor=Actor.NODE,
                commands=servers.only(lost).health() + servers.only(lost).logs(),
            ),
        ),
        servers.health(),
        {"link": LINK, "members": list(lost)},
    )


def _all_down(down: list[Member], case: Case) -> Finding:
    dialled = case.lately("refused", RECENT_LOG)
    refused = all(m.refused for m in down) or bool(dialled)
    stopped = all(m.log is not None and m.log.closed for m in down)
    last = [m.log.last for m in down if m.log and m.log.last]
    details: dict[str, object] = {"link": LINK, "members": [m.name for m in down]}
    if last:
        details["since"] = format_time(max(last))
    silent = f"; the last line of its log is of {ago(max(last), case.now)}" if last else ""
    return Finding(
        CODE,
        Severity.ERROR,
        # A healthy member without clients is silent too: cut off from the API server it looks like a dead one.
        Confidence.CONFIRMED if refused else Confidence.LIKELY if stopped else Confidence.POSSIBLE,
        CLUSTER,
        f"etcd is down{'' if refused or stopped else ', or cut off from the API server'}: none of"
        f" {count(len(down), 'member')} answers{silent}. Nothing can be written; the status of nodes and"
        " pods is frozen.",
        tuple(_evidence(down, case)),
        ()
        if refused
        else (RuledOut("EtcdQuorumLost", "a member without quorum logs elections every second; all are silent"),),
        unseen_fixes(case),
        ("kubectl get --raw '/livez/etcd'",),
        details,
    )


def _evidence(down: list[Member], case: Case) -> Iterator[Evidence]:
    for member in down[:5]:
        if member.refused:
            yield Evidence("status", f"connection to {member.name}", member.refused)
        elif member.log and member.log.last:
            state = "stopped" if member.log.closed else "silent"
            yield Evidence("log", member.name, f"{state}: no line since", format_time(member.log.last))
    for remark in case.lately("refused", RECENT_LOG)[-1:]:
        yield Evidence("log", remark.source, remark.words, format_time(remark.at))
    if case.etcd_check:
        yield Evidence("status", "/livez/etcd", case.etcd_check)


def _member_down(member: Member, case: Case) -> Finding:
    left = len(case.members) - 1
    spare = (left - (len(case.members) // 2 + 1)) if left else 0
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.CONFIRMED if member.refused else Confidence.POSSIBLE,
        Ref("Pod", member.namespace, member.name),
        f"etcd member {member.name} does not answer; {left} of {len(case.members)} still form a quorum,"
        f" and {'no' if spare <= 0 else spare} more may fail.",
        tuple(_evidence([member], case)),
        (),
        (
            Fix(
                f"Look at why {member.name} stopped and bring it back before another member fails.",
                actor=Actor.CLUSTER,
                commands=(kubectl("logs", member.name, "--previous", namespace=member.namespace),),
            ),
            Fix(
                "When its host is lost for good: etcdctl member remove, then add its replacement.", actor=Actor.CLUSTER
            ),
        ),
        (kubectl("logs", member.name, "--previous", namespace=member.namespace),),
        {"link": LINK, "members": [member.name]},
    )
