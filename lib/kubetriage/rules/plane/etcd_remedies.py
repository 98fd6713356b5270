"""What ends an etcd incident: in come etcd's own last words or the kind of its end, out go fixes for this machine."""

from __future__ import annotations

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.rules.machine import Machine
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.control_plane_pods import Stopped
from kubetriage.rules.plane.etcd_members import etcd_container, flags
from kubetriage.rules.plane.figure_format import names
from kubetriage.values.commands import Command, kubectl, shell
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

# Words of etcd 3.4 to 3.6 with which a member ends itself (server/storage, raft, embed, etcdmain), by what ends that.
_CLASSES = (
    (
        "damaged",
        lazy(
            r"tocommit\(\d+\) is out of range|failed to recover v3 backend|crc mismatch|unexpected EOF|walpb|"
            r"snapshot file|corrupt|invalid database|page \d+|freepages|database file (?:is )?(?:damaged|not found)|"
            r"failed to find \[?database|snap: file"
        ),
    ),
    ("address", lazy(r"address already in use|cannot assign requested address|bind:|no such host")),
    ("removed", lazy(r"has been permanently removed|removed from the cluster|member not found|was removed")),
    # Flags that contradict one another (server/embed/config.go, etcdmain); no data is at fault.
    (
        "flags",
        lazy(
            r"couldn't find local name|--initial-cluster (?:has|must)|initial-advertise-peer-urls"
            r"|conflicting environment"
            r"|expected IP in URL|flag provided but not defined|unknown flag|invalid value .{0,80} for flag"
            r"|error verifying flags|multiple discovery or bootstrap flags"
        ),
    ),
    ("disk full", lazy(r"no space left on device")),
    ("certificate", lazy(r"x509|tls:|certificate|private key|\.crt|\.pem|\.key\b")),
    ("rights", lazy(r"permission denied|operation not permitted|read-only file system|no such file")),
    (
        "bootstrapped",
        lazy(
            r"already been bootstrapped|cluster ID mismatch|data-dir is in use|discovery failed|member count is unequal"
        ),
    ),
    ("quota", lazy(r"database space exceeded|etcdserver: no space")),
)


def end_class(words: str) -> str:
    """Name the kind of an end by etcd's words; empty when none fits."""
    return next((kind for kind, pattern in _CLASSES if pattern.search(words)), "")


def etcd_log(machine: Machine) -> tuple[Command, ...]:
    """Return how etcd's log is read on its machine; Talos runs it as a service and not as a pod."""
    return machine.lines("etcd log") or machine.lines("container log")


def join_anew(members: list[str], case: Case, *, removed: bool = False) -> Fix:
    """Let a member join anew by the means of its distribution; ``removed``: the others have let it go already."""
    machine = case.machine
    who = names(members)
    joins = machine.rejoin("join")
    if not joins:
        return _remove_and_add(members, case)
    first = (
        f"Wipe etcd's data on {who}, of this member alone: it then joins as a new one."
        if removed
        else f"While a majority of other members lives: remove {who}, wipe its own data, and let it join anew."
    )
    commands = joins if removed else (*machine.rejoin("remove"), *joins)
    return Fix(f"{first} {machine.rejoin_note}", actor=Actor.CLUSTER, commands=commands)


def _remove_and_add(members: list[str], case: Case) -> Fix:
    pod = next((m for m in case.members if m.name not in members and m.namespace), None)
    etcdctl = ["exec", pod.name, "--", "etcdctl"] if pod else []
    commands = (
        (
            kubectl(*etcdctl, "member", "list", "-w", "table", namespace=pod.namespace),
            kubectl(*etcdctl, "member", "remove", "MEMBER-ID", namespace=pod.namespace),
            kubectl(*etcdctl, "member", "add", "NAME", "--peer-urls=https://ADDRESS:2380", namespace=pod.namespace),
        )
        if pod
        else (shell("etcdctl", "member", "list", "-w", "table"), shell("etcdctl", "member", "remove", "MEMBER-ID"))
    )
    return Fix(
        f"While a majority of other members lives: remove {names(members)} from the cluster, move its data directory"
        " away, and add it again as a new member.",
        actor=Actor.CLUSTER,
        commands=commands,
    )


_LOCAL_NAME = lazy(r"couldn't find local name \W{0,3}([\w.-]{1,253})")


def _flags_fix(words: str, members: list[str], case: Case) -> Fix:
    """Say which flags of etcd contradict one another; its data is not touched."""
    pod = next((m.pod for m in case.members if m.name in members and m.pod), {})
    given = flags(etcd_container(pod)) if pod else {}
    folder = case.machine.path("manifests")
    at = f"{folder}/etcd.yaml" if folder else "its flags"
    name, cluster = _LOCAL_NAME.search(words), given.get("initial-cluster", "")
    if name is not None:
        have = f", which is {cluster}" if cluster else ""
        return Fix(
            f"Give etcd the same name in both flags in {at}: --name={name[1]} is not in --initial-cluster{have}."
            " Where the data directory is that of a member, its old name is the right one. Leave the data as it is.",
            actor=Actor.NODE,
            commands=(shell("ssh", case.machine.address, f"sudo grep -n -e --name= -e --initial-cluster {at}"),)
            if folder
            else (),
        )
    return Fix(
        f"Correct the flags of etcd that its last words name, in {at}: they contradict one another. Leave the data as"
        " it is.",
        actor=Actor.NODE,
        commands=(shell("ssh", case.machine.address, f"sudo grep -n -e '- --' {at}"),) if folder else (),
    )


_BIND = lazy(r"listen tcp \[?([\w.:-]+?)\]?:\d+: bind: ")


def _address_fix(address: str, absent: bool, case: Case) -> Fix:
    """Say what to do about an address that etcd cannot listen on."""
    machine = case.machine
    if not absent:
        return Fix(
            f"End what else listens at {address}: a second etcd, or the old container that still runs.",
            actor=Actor.NODE,
            commands=(shell("ssh", machine.address, "sudo ss -ltnp | grep -E ':(2379|2380|2381)'"),),
        )
    present = f" (its Node has {machine.address})" if machine.address not in ("", "NODE", machine.node, address) else ""
    return Fix(
        f"The machine has {address} no more{present}. Give it that address back (static lease, interface): etcd, its"
        " certificates and all kubeconfigs name it. Else put the new one into all manifests and certificates.",
        actor=Actor.NODE,
        commands=(
            shell("ssh", machine.address, "ip -brief address"),
            shell("ssh", machine.address, f"sudo grep -rln {address} /etc/kubernetes"),
        ),
    )


def member_fixes(words: str, members: list[str], case: Case) -> tuple[Fix, ...]:
    """Return what ends this kind of end."""
    machine, kind = case.machine, end_class(words)
    data = machine.path("etcd_data") or "etcd's data directory"
    alone = len(case.members) <= len(members)
    log = Fix("Read etcd's last words on its machine.", actor=Actor.NODE, commands=etcd_log(machine))
    if kind == "damaged":
        known = case.pods_seen and any(m.namespace for m in case.members)
        restore = Fix(
            ("No other member is left: copy" if known else "Only if no other member has whole data: copy")
            + f" {data} away first, then restore the newest snapshot (etcdutl snapshot restore).",
            actor=Actor.CLUSTER,
        )
        if alone and known:
            return (restore, log)
        return (join_anew(members, case), *((restore,) if alone else ()), log)
    if kind == "flags":
        return (_flags_fix(words, members, case), log)
    if kind in ("removed", "bootstrapped"):
        return (join_anew(members, case, removed=kind == "removed"), log)
    if kind == "address" and (bound := _BIND.search(words)) is not None:
        return (_address_fix(bound[1], "cannot assign" in words, case), log)
    texts = {
        "address": "Another process holds etcd's address, or the machine's address changed: compare the listen and"
        " advertise URLs of etcd's manifest with the machine's own addresses.",
        "disk full": f"Free the disk under {data}: logs and images first, never files of etcd.",
        "certificate": "Renew etcd's certificates, then restart etcd and the API server.",
        "rights": f"Give etcd back what it may not open: owner and mode of {data}, a read-only mount, a missing file.",
        "quota": "Compact, defragment and disarm the NOSPACE alarm.",
    }
    if kind == "certificate":
        return (Fix(texts[kind], actor=Actor.CLUSTER, commands=machine.rows("certificates")), log)
    if kind in texts:
        return (Fix(texts[kind], actor=Actor.NODE, commands=machine.lines("disk") if kind != "quota" else ()), log)
    return (log,)


def unseen_fixes(case: Case) -> tuple[Fix, ...]:
    """Return how to look at an etcd that the API server cannot show, and what to do then."""
    machine = case.machine
    if machine.managed:
        return (
            Fix(
                "The provider runs this etcd: give its support the time and the failing checks. Change nothing"
                " meanwhile.",
                actor=Actor.CLOUD,
            ),
        )
    kept = not (case.lists_hang or case.reinitializing)
    hosts = names([text(m.pod, "spec", "nodeName") or m.name for m in case.members]) or "etcd's machines"
    look = Fix(
        f"Look at etcd itself on {hosts}: only its machine can tell.",
        actor=Actor.NODE,
        commands=(*etcd_log(machine), shell("curl", "-s", "http://127.0.0.1:2381/metrics")),
    )
    if servers := case.servers:
        look = Fix(
            f"etcd runs outside the cluster, on {servers.named} (--etcd-servers): ask each for its health from the API"
            " server's machine, then read its log on its own.",
            actor=Actor.NODE,
            commands=(*servers.health(), *servers.logs()),
        )
    return (
        look,
        Fix("Start what does not run; check its data disk, its certificates, and port 2380 between members."),
        Fix(
            ("Do not restart the API server: it would lose the watch cache that still answers. " if kept else "")
            + "Restore from a snapshot only when the data of a majority is lost."
        ),
    )


def stopped_by_kubelet(code: str, link: str, stopped: Stopped, case: Case, whole: bool) -> Finding:
    """Report static pods that end by a signal together: their kubelet stops them, they do not fail."""
    machine = case.machine
    first = stopped.pods[0]
    parts = names([p.component for p in stopped.pods], 4)
    evidence = [p.evidence() for p in stopped.pods[:4]]
    for reason in ("SandboxChanged", "Killing"):
        event = next((e for e in reversed(stopped.events) if e.reason == reason), None)
        if event is not None:
            evidence.append(event.evidence())
    member = next((m for m in case.members if m.name == first.name), None)
    log = (member.previous or member.log) if member else None
    if log is not None and log.signalled is not None:
        evidence.append(Evidence("log", first.name, log.quotes.get("signal", ""), format_time(log.signalled)))
    drivers = (
        shell("ssh", machine.address, f"sudo grep -i cgroupDriver {machine.path('kubelet_config')}"),
        shell("ssh", machine.address, "sudo grep -n SystemdCgroup /etc/containerd/config.toml"),
        shell("ssh", machine.address, "stat -fc %T /sys/fs/cgroup"),
    )
    return Finding(
        code,
        Severity.ERROR if whole else Severity.WARNING,
        Confidence.LIKELY,
        Ref("Node", "", stopped.node),
        f"The kubelet of {stopped.node} stops and re-creates its static pods again and again ({parts};"
        f" {first.restarts} restarts of {first.component}): they end by SIGTERM, not by a fault of their own.",
        tuple(evidence[:8]),
        (
            RuledOut("a fault of etcd's data", "it started, elected a leader and ended cleanly on a signal"),
            RuledOut("OOMKilled", "no exit was an out-of-memory kill"),
        ),
        (
            Fix(
                "Compare the cgroup drivers first: the kubelet's and the container runtime's must both be systemd on"
                " cgroup v2.",
                actor=Actor.NODE,
                commands=drivers if machine.row["tools"] == "systemd" else machine.lines("kubelet log"),
            ),
            Fix(
                "If containerd has SystemdCgroup = false: set it to true in /etc/containerd/config.toml, then restart"
                " both.",
                actor=Actor.NODE,
                commands=(*machine.lines("runtime restart"), *machine.lines("kubelet restart")),
            )
            if machine.row["tools"] == "systemd"
            else Fix("Read why in the kubelet's log.", actor=Actor.NODE, commands=machine.lines("kubelet log")),
            Fix(
                "If they agree, the kubelet's log tells why (sandbox, probe, manifest rewritten); leave etcd's data"
                " alone.",
                actor=Actor.NODE,
                commands=machine.lines("kubelet log"),
            ),
        ),
        ("kubectl get events -n kube-system --field-selector reason=SandboxChanged",),
        {"link": link, "members": [p.name for p in stopped.pods], "node": stopped.node},
    )


_ETCDCTL = {
    "etcd status": ("endpoint", "status", "--cluster", "-w", "table"),
    "etcd alarm": ("alarm", "list"),
    "etcd compact": ("compact", "REVISION"),
    "etcd defrag": ("defrag",),
    "etcd disarm": ("alarm", "disarm"),
}


def etcdctl(case: Case, task: str) -> tuple[Command, ...]:
    """Write an etcdctl command for this cluster: inside a member's pod where there is one, else on its machine."""
    machine = case.machine
    if case.servers:
        return case.servers.etcdctl(task)
    pod = next((m for m in case.members if m.namespace), None)
    if pod is None or machine.row["tools"] != "systemd" or not machine.path("manifests"):
        return machine.lines(task)
    trust = (
        f"--cacert={machine.path('etcd_ca')}",
        f"--cert={machine.path('etcd_cert')}",
        f"--key={machine.path('etcd_key')}",
    )
    return (kubectl("exec", pod.name, "--", "etcdctl", *trust, *_ETCDCTL[task], namespace=pod.namespace),)
