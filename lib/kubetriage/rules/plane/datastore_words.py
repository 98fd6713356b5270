"""A datastore that a server's own log explains: in come its words, out goes what is wrong with it and who acts.

A member that never becomes a voter, a server whose address changed, an SQL server that refuses k3s, and a dqlite
without a leader all look like "etcd does not answer" from outside.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.component_log import Remark
from kubetriage.rules.plane.etcd_members import Member
from kubetriage.rules.plane.etcd_remedies import etcd_log, join_anew
from kubetriage.rules.plane.figure_format import count, names
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

_LATELY = 600.0
"""Seconds for which such a line speaks of the present."""


def datastore_findings(case: Case, code: str, link: str) -> Iterator[Finding]:
    """Report what a server's log says of its datastore; at most one."""
    learners = [m for m in case.members if m.log and m.log.learner]
    if moved := case.lately("member address", _LATELY):
        yield _moved(moved, case, code, link)
    elif refused := case.lately("sql refused", _LATELY):
        yield _sql(refused, case, code, link)
    elif learners:
        yield _learner(learners, case, code, link)


def _quotes(remarks: tuple[Remark, ...]) -> tuple[Evidence, ...]:
    last = remarks[-1]
    times = f" ({count(len(remarks), 'line')} like it)" if len(remarks) > 1 else ""
    return (Evidence("log", last.source, last.words + times, format_time(last.at)),)


def _learner(learners: list[Member], case: Case, code: str, link: str) -> Finding:
    first = learners[0]
    log = first.log
    assert log is not None
    assert log.learner is not None
    own = "rpc not supported" in log.quotes.get("learner", "")
    who = names([m.name for m in learners]) if own else "A new etcd member"
    return Finding(
        code,
        Severity.WARNING,
        Confidence.LIKELY,
        CLUSTER,
        f"{who} is a learner that is not promoted: it does not catch up with the leader, so it does not vote and"
        " serves no clients. No other member can be added meanwhile.",
        (Evidence("log", first.name, log.quotes.get("learner", ""), format_time(log.learner)),),
        (RuledOut("EtcdQuorumLost", "a learner has no vote; the members that vote still decide"),),
        (
            Fix(
                "See whether it gets data: port 2380 open both ways between the members, the clocks, and its disk."
                " If it does, wait: it is promoted by itself once it has caught up.",
                actor=Actor.NODE,
                commands=etcd_log(case.machine),
            ),
            join_anew([m.name for m in learners] if own else ["the learner"], case),
        ),
        (),
        {"link": link, "members": [m.name for m in learners] if own else [], "since": format_time(log.learner)},
    )


_PEER_URL = lazy(r"https?://(\[[0-9a-fA-F:]+\]|[\w.-]+):\d+")


def _moved(moved: tuple[Remark, ...], case: Case, code: str, link: str) -> Finding:
    """Report a server of k3s or RKE2 that etcd knows under another address."""
    known, _, mine = moved[-1].about.rpartition(" ")
    here = _PEER_URL.search(mine)
    name = mine.partition("=")[0]
    rows = [r.strip() for r in known.replace(",", " ").split()]
    there = [m[1] for r in rows if (m := _PEER_URL.search(r)) and (r.startswith(f"{name}=") or len(rows) == 1)]
    now, old = here[1] if here else "another address", there[0] if there else ""
    machine = case.machine
    product = machine.name if machine.name in ("k3s", "rke2") else "k3s"
    config = f"/etc/rancher/{product}/config.yaml"
    told = f"etcd knows this server as {old}, and it calls itself {now} now" if old else f"etcd does not know {mine}"
    others = [m[1] for r in rows if (m := _PEER_URL.search(r)) and m[1] != old]
    unit = "rke2-server" if product == "rke2" else "k3s"
    host = machine.address
    reset = (
        shell("ssh", host, f"sudo systemctl stop {unit}"),
        shell("ssh", host, f"sudo {product} server --cluster-reset"),
        shell("ssh", host, f"sudo systemctl start {unit}"),
    )
    return Finding(
        code,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        f"{told}, so {unit} does not start its datastore: the machine's address changed, or the interface"
        " that it picks.",
        _quotes(moved),
        (RuledOut("EtcdCorrupt", "the data are whole; the address in the member list is what differs"),),
        (
            Fix(
                f"Give the machine {old or 'its old address'} back (static lease). If it still has it: set node-ip:"
                f" {old or 'ADDRESS'} in {config}. Then restart {unit}.",
                actor=Actor.NODE,
                commands=(
                    shell("ssh", host, "ip -brief address"),
                    shell("ssh", host, f"sudo systemctl restart {unit}"),
                ),
            ),
            join_anew([name], case)
            if others
            else Fix(
                "If the new address is meant to stay, and this is the only server: reset the member list. It keeps the"
                f" data; copy {machine.path('etcd_data') or '/var/lib/rancher/k3s/server/db'} away first.",
                actor=Actor.CLUSTER,
                commands=reset,
            ),
        ),
        ("kubectl get nodes -o wide",),
        {"link": link, "since": format_time(moved[0].at)},
    )


_SQL: tuple[tuple[str, str, str], ...] = (
    (
        r"too many clients|connection slots|Error 1040|SQLSTATE 53300",
        "has no connection left",
        "Raise max_connections of the SQL server, or put a pool before it (PgBouncer, ProxySQL); see who else holds"
        " connections. Each server of the cluster needs some dozens.",
    ),
    (
        r"authentication|Error 1045|SQLSTATE 28|pg_hba",
        "refuses the login",
        "Correct user and password in datastore-endpoint (config.yaml or K3S_DATASTORE_ENDPOINT), or let the SQL server"
        " admit this machine (pg_hba.conf, GRANT); then restart k3s.",
    ),
    (
        r"read-only|cannot execute|Error 1290|Error 1836",
        "is read-only: a replica, or one that was demoted",
        "Let datastore-endpoint name the primary, or promote this one.",
    ),
    (
        r"database system is|SQLSTATE 57P0",
        "is starting, stopping or recovering",
        "Wait for its recovery to end, and see in its own log why it restarted.",
    ),
)


def _sql(refused: tuple[Remark, ...], case: Case, code: str, link: str) -> Finding:
    """Report the SQL server behind kine that refuses its clients, or is not reached."""
    last = refused[-1]
    row = next((r for r in _SQL if lazy(r[0]).search(last.words)), None)
    state = row[1] if row else "is not reached or refuses what it is asked"
    lost = case.lately("election lost", _LATELY)
    end = " The controllers lost their leases by it." if lost else ""
    fix = row[2] if row else "Bring the SQL server back, and the way to it; the line names address and error."
    return Finding(
        code,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        f"The SQL datastore (kine, no etcd) {state}: {last.about}. Nothing can be read or written through it.{end}",
        (*_quotes(refused), *(Evidence("log", r.source, r.words, format_time(r.at)) for r in lost[-1:])),
        (RuledOut("EtcdSlowDisk", "the SQL server answered with an error; it was not slow"),) if row else (),
        (Fix(fix, actor=Actor.CLUSTER, commands=case.machine.lines("kubelet log")),),
        ("kubectl get --raw '/livez/etcd'",),
        {"link": link, "since": format_time(refused[0].at)},
    )


def dqlite_finding(case: Case, code: str, link: str) -> Finding | None:
    """Report MicroK8s' dqlite without a leader; None where its log does not say so."""
    told = case.lately("dqlite", _LATELY)
    if not told:
        return None
    backend = "/var/snap/microk8s/current/var/kubernetes/backend"
    host = case.machine.address
    return Finding(
        code,
        Severity.ERROR,
        Confidence.LIKELY,
        CLUSTER,
        "MicroK8s' datastore (dqlite, no etcd) has no leader: fewer than a majority of its voters run or reach each"
        " other, so the API server cannot start.",
        _quotes(told),
        (RuledOut("EtcdSlowDisk", "a slow disk delays a leader; here none is found at all"),),
        (
            Fix(
                "Start MicroK8s on the other voters, and compare the addresses in cluster.yaml with those that the"
                " machines have (port 19001).",
                actor=Actor.NODE,
                commands=(
                    shell("ssh", host, f"sudo cat {backend}/cluster.yaml {backend}/info.yaml; ip -brief address"),
                    shell("ssh", host, "sudo snap restart microk8s.daemon-k8s-dqlite"),
                ),
            ),
            Fix(
                "Only when a majority is lost for good: stop MicroK8s everywhere, copy the backend directory away, and"
                " make the machine with the newest data the only voter (MicroK8s docs, recover from lost quorum).",
                actor=Actor.CLUSTER,
            ),
        ),
        (kubectl("get", "--raw", "/livez/etcd"),),
        {"link": link, "since": format_time(told[0].at)},
    )
