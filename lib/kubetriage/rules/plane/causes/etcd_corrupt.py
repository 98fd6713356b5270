"""The data of etcd's members differ, so that the same read gives different answers.

Meaning: members took the same writes and hold different data: after a power loss, a copied data directory, or a fault
of etcd (3.5.0 to 3.5.2). etcd raises the alarm CORRUPT and refuses writes; objects come and go with the member asked.

Told by: etcd's own checks of hashes at start, at compaction and from time to time, in its log, and the alarm CORRUPT.

Fix: find the member whose hash differs from the others, and replace it as a new member. The alarm is disarmed last:
disarmed alone the difference stays.

Source: etcd operations guide (data corruption); etcdserver/corrupt.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.etcd_remedies import etcdctl
from kubetriage.rules.plane.figure_format import names
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.times import format_time

CODE = "EtcdCorrupt"
LINK = "etcd quorum and leader"


def check(case: Case) -> Iterator[Finding]:
    """Look for a check that failed in any member's log."""
    told = [(m, at, words) for m in case.members if m.log for at, words in m.log.corrupt]
    if not told:
        return
    who = list(dict.fromkeys(m.name for m, _, _ in told))
    alone = len(case.members) < 2
    data = case.machine.path("etcd_data") or "its data directory"
    hashes = shell("etcdctl", "endpoint", "hashkv", "--cluster", "-w", "table")
    pod = next((m for m in case.members if m.namespace), None)
    remove = (
        (
            kubectl("exec", pod.name, "--", "etcdctl", "member", "list", "-w", "table", namespace=pod.namespace),
            kubectl("exec", pod.name, "--", "etcdctl", "member", "remove", "MEMBER-ID", namespace=pod.namespace),
        )
        if pod
        else (shell("etcdctl", "member", "remove", "MEMBER-ID"),)
    )
    replace = Fix(
        f"Save {data} of each member first. Replace the one whose hash differs from the majority: remove it, move its"
        " data away, and add it as a new member.",
        actor=Actor.CLUSTER,
        commands=remove,
    )
    restore = Fix(
        f"There is no other member to compare with: save {data}, then restore the newest snapshot from before it"
        " (etcdutl snapshot restore).",
        actor=Actor.CLUSTER,
    )
    said = next((w for _, _, w in reversed(told) if not w.startswith("alarm")), told[-1][2])
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        f"The data of etcd's members differ (log of {names(who)}: {said.rstrip('.')}). etcd refuses writes by"
        " the alarm CORRUPT, or answers reads by whichever member is asked.",
        tuple(Evidence("log", m.name, words, format_time(at)) for m, at, words in told[-3:]),
        (RuledOut("EtcdNoSpace", "the alarm is CORRUPT, not NOSPACE"),),
        (
            *(() if alone else (Fix("Compare the members' hashes.", actor=Actor.CLUSTER, commands=(hashes,)),)),
            restore if alone else replace,
            Fix(
                "Disarm the alarm last. Disarmed without that, the members go on with different data.",
                actor=Actor.CLUSTER,
                commands=etcdctl(case, "etcd disarm"),
            ),
        ),
        (hashes,),
        {"link": LINK, "members": who, "since": format_time(min(at for _, at, _ in told))},
    )
