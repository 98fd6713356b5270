"""etcd does not answer at all, or one of its members is gone.

Meaning: without etcd nothing can be written and nothing can be read that the API server does not hold in its watch
cache. Running pods keep running; nodes keep the status that they had, usually all Ready.

Told by: connections to all members refused (metrics listener or peer probes in the logs), or the API server's etcd
check failing while every member's log has fallen silent. A member without quorum is told apart because it keeps
logging elections every second. One refused member of several is reported as lost redundancy.

Fix: start etcd again on its hosts (static pod manifest, disk full, certificate), restore from a snapshot only when
the data directory is lost.

Source: etcd operations guide (failure modes); rafthttp/probing_status.go; kubelet static pods.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case, Writes
from kubetriage.rules.plane.etcd_liveness import gone
from kubetriage.rules.plane.etcd_members import Member
from kubetriage.rules.plane.figure_format import ago, count, names
from kubetriage.rules.plane.thresholds import RECENT_LOG
from kubetriage.values.times import format_time

CODE = "EtcdDown"
LINK = "etcd quorum and leader"


def check(case: Case) -> Iterator[Finding]:
    """Tell all members down from one member down."""
    down = [m for m in case.members if gone(m, case)]
    if not down:
        return
    if len(down) == len(case.members):
        if case.writes is not Writes.FLOWING and (case.etcd_check_fails or case.writes is Writes.FROZEN):
            yield _all_down(down, case)
    elif len(down) * 2 < len(case.members):
        yield from (_member_down(m, case) for m in down)


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
        (
            Fix(
                f"On the hosts of {names([m.name for m in down])}: crictl ps -a --name etcd, then crictl logs of"
                " the newest one."
            ),
            Fix(
                "Check that /etc/kubernetes/manifests/etcd.yaml is there, that the data disk is mounted and not full,"
                " and that etcd's certificates are valid."
            ),
            Fix("Restore from a snapshot only when the data directory is lost on a majority of members."),
        ),
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
        yield Evidence("log", "kube-apiserver", remark.words, format_time(remark.at))
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
            Fix(f"Look at why {member.name} stopped and bring it back before another member fails."),
            Fix("When its host is lost for good: etcdctl member remove, then add its replacement."),
        ),
        (f"kubectl -n {member.namespace} logs {member.name} --previous",),
        {"link": LINK, "members": [member.name]},
    )
