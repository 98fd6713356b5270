"""Members that belong to two clusters: in come logs with "cluster ID mismatch", out goes which data must give way.

After a restore or a reset a cluster has a new id. Members that kept their old data speak of another cluster.
"""

from __future__ import annotations

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.machine import SERVER_ROLES, machine_of
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.etcd_members import Member
from kubetriage.rules.plane.figure_format import names
from kubetriage.rules.plane.object_states import ready_status
from kubetriage.values.commands import shell
from kubetriage.values.fields import labels
from kubetriage.values.times import format_time


def two_clusters(foreign: list[Member], case: Case, code: str, link: str) -> Finding:
    """Report members that do not belong together, and how the one with the old data joins again."""
    logs = [(m, s) for m in foreign if m.log for s in m.log.strangers]
    ids = [i for i in dict.fromkeys(i for _, s in logs for i in (s.mine, s.theirs)) if i]
    shown = f" (cluster ids {' and '.join(ids[:2])})" if len(ids) > 1 else ""
    peers = [s.peer for _, s in logs if s.peer]
    whom = f"peer {names(list(dict.fromkeys(peers)))}" if peers else "its peers"
    machine = case.machine
    data = machine.path("etcd_data") or "the data directory"
    own = machine.name in ("k3s", "rke2")
    unit = machine.kubelet_unit
    server = machine.path("server") or unit
    old = _old_server(case)
    commands = (
        (
            shell("ssh", old, "sudo", "systemctl", "stop", server),
            shell("ssh", old, f"sudo mv {data} {data}.old"),
            shell("ssh", old, "sudo", "systemctl", "start", server),
        )
        if own
        else (
            shell("etcdctl", "member", "list", "-w", "table"),
            shell("ssh", old, f"sudo mv {data} {data}.old"),
        )
    )
    rejoin = (
        f"then start {server} with server: pointing at the other one (no cluster-init)"
        if own
        else "then add it as a new member (etcdctl member add, --initial-cluster-state=existing)"
    )
    return Finding(
        code,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        f"etcd on {names([m.name for m in foreign])} is of another cluster than {whom}{shown}: one side was restored,"
        " reset or begun anew, the other kept its old data.",
        tuple(Evidence("log", m.name, s.words, format_time(s.at)) for m, s in logs[:3]),
        (RuledOut("EtcdSlowNetwork", "the peers answer each other, and refuse"),),
        (
            Fix(
                "Decide which side holds the wanted data: after a restore it is the one that was restored. Leave its"
                " data alone."
            ),
            Fix(
                f"On each server of the other side: stop it, move {data} away (keep it), {rejoin}.",
                actor=Actor.CLUSTER,
                commands=commands,
            ),
        ),
        (shell("kubectl", "get", "nodes"),),
        {"link": link, "members": [m.name for m in foreign], "since": format_time(min(s.at for _, s in logs))},
    )


def _old_server(case: Case) -> str:
    """Return the address of the one server that is not in contact; a word in capitals where that is not clear."""
    silent = [
        n
        for n in case.nodes
        if ready_status(n) != "True" and any(r in labels(n, "metadata", "labels") for r in SERVER_ROLES)
    ]
    return machine_of(silent[0]).address if len(silent) == 1 else "OLD-SERVER"
