"""What a line of a machine's kernel means: in comes the line, out goes its cause with what ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kubetriage.model import Actor, Fix
from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.word_findings import Meaning, Stage, on_machine
from kubetriage.values.commands import Command, kubectl
from kubetriage.values.patterns import lazy

_POD_UID = lazy(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})")


def meaning_of(stage: Stage, word: Word) -> Meaning | None:
    """Return what a line of the kernel means; None for a kind that is not the kernel's."""
    made = _MADE.get(word.kind)
    return made(stage, word) if made else _plain(stage).get(word.kind)


def _pod_of(stage: Stage, group: str) -> str:
    """Return the pod of a cgroup's path, as ``NAMESPACE/NAME``; empty for none that is known."""
    found = _POD_UID.search(group)
    if found is None:
        return ""
    plain = {uid.replace("-", ""): pod for uid, pod in stage.pods.items()}
    return plain.get(found.group(1).replace("_", "").replace("-", ""), "")


def _uid_of(group: str) -> str:
    """Return the uid of the pod in a cgroup's path, as the API writes it; empty for static pods and other cgroups."""
    found = _POD_UID.search(group)
    return found[1].replace("_", "-") if found is not None and len(found[1]) == 36 else ""


def _oom(stage: Stage, word: Word) -> Meaning:
    """Part the container at its limit from the machine without memory: the kernel names the cgroup."""
    context = stage.words.of("oom context")
    group = context.about if context is not None else ""
    detail = context.words if context is not None else ""
    pod = _pod_of(stage, detail)
    process = word.about if word.kind == "oom" else ""
    who = f"{{name}} killed {process or 'a process'}"
    look = (*on_machine(stage, "free -m; ps -eo pid,rss,comm --sort=-rss | head -15"),)
    if "emory cgroup out of memory" in word.words or "CONSTRAINT_MEMCG" in detail:
        commands: tuple[Command, ...] = ()
        if pod:
            namespace, _, name = pod.partition("/")
            commands = (kubectl("oom-budget", name, "-n", namespace),)
        uid, budget = _uid_of(detail), "kubectl oom-budget shows what its runtime may take"
        if uid and not pod:
            shown = '{.metadata.namespace} {.metadata.name}{"\\n"}'
            path = f'{{range .items[?(@.metadata.uid=="{uid}")]}}{shown}{{end}}'
            commands = (kubectl("get", "pods", "-A", "-o", f"jsonpath={path}"),)
        cgroup = f"cgroup {group}" if group else "a cgroup"
        where = f"pod {pod}" if pod else f"the pod with uid {uid}" if uid else cgroup
        return Meaning(
            "KernelOOMKill",
            f"The kernel of {who} at the memory limit of {where}, not for want of memory of the machine.",
            f"Raise the memory limit of that container of {where}, or find what grows in it ({budget}); the node itself"
            " needs nothing."
            if pod or uid
            else f"Raise the limit of {where}, or find what grows in it; the node itself needs nothing.",
            actor=Actor.APP,
            commands=commands or look,
            rules_out=("MemoryPressure", "the limit of one cgroup was reached, not the machine's memory"),
        )
    if "kubepods" in group or pod:
        whose = f"of pod {pod or group}"
    elif group:
        whose = f"of {group}, which is no pod"
    else:
        whose = ""
    kube = "Give pods requests that cover their use, and those without a limit a limit."
    system = (
        "What runs beside the pods needs a reserve: set systemReserved and kubeReserved (memory) and"
        f" evictionHard memory.available in {stage.machine.path('kubelet_config')}."
    )
    return Meaning(
        "KernelOOMKill",
        f"The kernel of {who}{' ' + whose if whose else ''}, because the whole machine had no memory left.",
        (f"{system} {kube}" if group and "kubepods" not in group else f"{kube} {system}"),
        ("kubelet restart",),
        commands=look,
        rules_out=("OOMKilled", "no container's limit was reached: the machine's memory was") if not pod else None,
    )


_DAEMONS = (
    (
        lazy(r"systemd-oomd|^Killed /"),
        "systemd-oomd",
        "Take kubepods.slice out of its reach (ManagedOOMMemoryPressure=auto and ManagedOOMSwap=auto for that slice and"
        " those above it), or switch it off on nodes: the kubelet evicts by requests and priority, which it does not"
        " know.",
        ("systemctl", "disable", "--now", "systemd-oomd"),
    ),
    (
        lazy(r"SIG(?:TERM|KILL) to process"),
        "earlyoom",
        "Switch it off on nodes, or raise its thresholds above evictionHard, so that the kubelet acts first.",
        ("systemctl", "disable", "--now", "earlyoom"),
    ),
    (
        lazy(r"OOM controller"),
        "Talos' OOM controller",
        "OOMConfig of the machine configuration sets when it acts and whom it ranks first.",
        (),
    ),
)
"""Who kills before the kernel has to, by its words; what sets it; the command that switches it off."""


def _oom_daemon(stage: Stage, word: Word) -> Meaning:
    """Name the daemon that killed for memory: no status says OOMKilled, and the kernel says nothing."""
    _, daemon, setting, off = next((row for row in _DAEMONS if row[0].search(word.words)), _DAEMONS[0])
    pod, uid = _pod_of(stage, word.words), _uid_of(word.words)
    whom = f"pod {pod}" if pod else f"a container of the pod with uid {uid}" if uid else word.about or "a process"
    commands = on_machine(stage, " ".join(("sudo", *off))) if off else ()
    if uid and not pod:
        shown = '{.metadata.namespace} {.metadata.name}{"\\n"}'
        path = f'{{range .items[?(@.metadata.uid=="{uid}")]}}{shown}{{end}}'
        commands = (kubectl("get", "pods", "-A", "-o", f"jsonpath={path}"), *commands)
    return Meaning(
        "OOMDaemonKill",
        f"{daemon} on {{name}} killed {whom} under memory pressure, before the kernel had to; no status says so.",
        f"{setting} Then give pods requests that cover their use, so that the node is not full.",
        commands=commands,
        rules_out=("OOMKilled", "a daemon of the machine killed it, not the kernel at the container's limit"),
    )


_DEVICE = lazy(r"\b(nvme\d+(?:n\d+)?|sd[a-z]{1,2}\d*|vd[a-z]\d*|xvd[a-z]\d*|dm-\d+|md\d+|mmcblk\d+)")


def _device(word: Word) -> str:
    found = _DEVICE.search(word.about) or _DEVICE.search(word.words)
    return found.group(1) if found else ""


def _disk(stage: Stage, word: Word) -> Meaning:
    device = _device(word)
    smart = f"lsblk /dev/{device}; sudo smartctl -H -A /dev/{device}" if device else "lsblk; sudo smartctl --scan"
    said = device or "a disk"
    cloud = " On a cloud volume look at its state and its throttling there." if stage.machine.provider else ""
    return Meaning(
        "DiskIOError",
        f"A disk of {{name}} fails: the kernel reports I/O errors on {said}.",
        f"Move the pods off, then replace {said}: a restart does not mend it.{cloud}",
        commands=(
            kubectl("drain", stage.ref.name, "--ignore-daemonsets", "--delete-emptydir-data"),
            *on_machine(stage, smart),
        ),
        actor=Actor.NODE,
    )


def _read_only(stage: Stage, word: Word) -> Meaning:
    device = _device(word)
    said = f"the file system on {device}" if device else "a file system"
    return Meaning(
        "ReadonlyFilesystem",
        f"{{name}} mounted {said} read-only, as the kernel does after disk errors.",
        f"Move the pods off, check {said} offline (fsck, xfs_repair), and replace the disk if it failed.",
        commands=(
            kubectl("drain", stage.ref.name, "--ignore-daemonsets", "--delete-emptydir-data"),
            *on_machine(stage, f"findmnt -o SOURCE,TARGET,OPTIONS {'/dev/' + device if device else '-O ro'}"),
        ),
    )


def _nfs(stage: Stage, word: Word) -> Meaning:
    server = word.about or "the NFS server"
    pods = stage.mounts.get(word.about, ())
    whose = f" Pods here that mount it: {', '.join(pods[:3])}." if pods else ""
    return Meaning(
        "NFSServerNotResponding",
        f"NFS server {server} does not answer {{name}}: what touches its mounts hangs, the kubelet and df too.{whose}",
        f"Bring {server} back, or the way to it (port 2049). All that hangs goes on by itself then.",
        commands=on_machine(stage, f"findmnt -t nfs,nfs4; nc -zvw3 {server} 2049"),
        actor=Actor.CLOUD,
        rules_out=("DiskIOError", "the machine's own disks report nothing here"),
        more=(
            Fix(
                "If it stays away: take its mounts off lazily, then restart the kubelet. A reboot hangs on them too,"
                " unless it is a hard one.",
                actor=Actor.NODE,
                commands=(
                    *on_machine(stage, "sudo umount -f -l -a -t nfs,nfs4"),
                    *stage.machine.lines("kubelet restart"),
                ),
            ),
        ),
    )


def _lockup(stage: Stage, word: Word) -> Meaning:
    cpu = f"{word.about} of " if word.about.startswith("CPU") else ""
    virtual = "On a virtual machine ask its host first: steal time, overcommit, live migration, a paused snapshot. "
    return Meaning(
        "KernelDeadlock",
        f"The kernel of {{name}} reports a lockup: {cpu or 'a CPU of '}{{name}} ran one thing for many seconds.",
        f"{virtual}Else a driver or the kernel itself: take another kernel. Restart the machine if it stays locked.",
        ("reboot",),
        commands=on_machine(stage, "uptime; vmstat 1 5"),
        rules_out=("DiskIOError", "a CPU was busy; nothing waited for a disk"),
    )


def _panic(stage: Stage, word: Word) -> Meaning:
    return Meaning(
        "KernelPanic",
        "The kernel of {name} stopped with a panic or a bug" + (f": {word.about}." if word.about else "."),
        "Restart the machine (kernel.panic=10 lets it do so itself), keep the dump, and take another kernel or driver.",
        ("reboot",),
        commands=on_machine(stage, "uname -r; ls -l /var/crash /sys/fs/pstore"),
        rules_out=("NodePartitioned", "the machine itself stopped"),
    )


def _hung(stage: Stage, word: Word) -> Meaning:
    about = word.about or "a task"
    return Meaning(
        "KernelDeadlock",
        f"Tasks of {{name}} hang in the kernel: {about} waits for a disk or a file system that does not answer.",
        "See what they wait for: a full or failed disk, a storage volume, a network file system. Free that; else only a"
        " hard reboot ends tasks in state D.",
        ("disk latency", "reboot"),
        commands=on_machine(stage, "ps -eo pid,stat,wchan:32,comm | awk '$2 ~ /D/'"),
    )


# Of NVIDIA's catalogue of Xid errors: those of programs, and those that a reset of the GPU mends.
_XID_PROGRAM = frozenset(("8", "13", "31", "32", "43", "45", "68", "69"))
_XID_MEMORY = frozenset(("48", "63", "64", "92", "94", "95"))


def _gpu(stage: Stage, word: Word) -> Meaning | None:
    """Judge an error of a GPU by its number: the program's, its memory's, or the card's."""
    if word.about in _XID_PROGRAM:
        return None
    number = f" (Xid {word.about})" if word.about else ""
    drain = kubectl("drain", stage.ref.name, "--ignore-daemonsets", "--delete-emptydir-data")
    look = on_machine(stage, "nvidia-smi -q -d ECC,PAGE_RETIREMENT,ROW_REMAPPER; sudo dmesg -T | grep -i xid")
    if word.about in _XID_MEMORY:
        says = f"The memory of a GPU of {{name}} reports errors{number}."
        fix = "Move the pods off, then reset the GPU or restart the machine. Replace it when rows cannot be remapped."
    else:
        says = f"A GPU of {{name}} failed{number}: the driver does not reach it any more."
        fix = (
            "Move the pods off and restart the machine (a virtual one: stop and start it, so that it moves). Replace"
            " the card when it comes back: power, slot, NVLink, firmware."
        )
    return Meaning("HardwareError", says, fix, ("reboot",), commands=(drain, *look))


_MADE: Mapping[str, Callable[[Stage, Word], Meaning | None]] = {
    "gpu": _gpu,
    "oom": _oom,
    "oom context": _oom,
    "oom daemon": _oom_daemon,
    "oom daemon context": _oom_daemon,
    "io error": _disk,
    "read-only": _read_only,
    "nfs": _nfs,
    "lockup": _lockup,
    "panic": _panic,
    "hung task": _hung,
}


def _plain(stage: Stage) -> dict[str, Meaning]:
    """Say what the lines mean that have one end each."""
    tables = "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max net.ipv4.neigh.default.gc_thresh3"
    return {
        "link down": Meaning(
            "LinkDown",
            "A network link of {name} went down: {about}.",
            "Look at cable, switch port, bond and driver of that link.",
            commands=on_machine(stage, "ip -s link; cat /proc/net/bonding/* 2>/dev/null"),
        ),
        "interface hung": Meaning(
            "LinkDown",
            "The network card of {name} hung and was reset: it sent nothing more by {about}.",
            "Move the pods off and restart the machine. If it comes back: another driver or firmware (on a cloud the"
            " instance type's driver: ena, gve, mlx5), then another machine.",
            ("kernel log",),
            commands=on_machine(stage, "ip -s link; ethtool -i eth0"),
        ),
        "interface kept": Meaning(
            "KernelDeadlock",
            "The kernel of {name} cannot let go of a network interface ({about}) of a pod that is gone, so networks of"
            " pods are neither taken down nor made there.",
            "Move the pods off and restart the machine: nothing else frees the reference. Old kernels leak it: take a"
            " newer one.",
            ("reboot",),
            commands=(kubectl("drain", stage.ref.name, "--ignore-daemonsets", "--delete-emptydir-data"),),
            rules_out=("NetworkPluginNotReady", "the kernel holds the interface, not the plugin"),
        ),
        "conntrack": Meaning(
            "ConntrackFull",
            "The connection table of {name} is full, so the kernel drops packets of new connections.",
            "Raise net.netfilter.nf_conntrack_max (kube-proxy: conntrack.maxPerCore), and find who opens so many.",
            commands=on_machine(stage, tables),
        ),
        "hardware": Meaning(
            "HardwareError",
            "The hardware of {name} reports an error that it did not correct.",
            "Move the pods off and have the machine checked or replaced.",
            ("kernel log",),
            commands=(kubectl("drain", stage.ref.name, "--ignore-daemonsets", "--delete-emptydir-data"),),
        ),
        "neighbours": Meaning(
            "NeighbourTableFull",
            "The neighbour (ARP) table of {name} is full, so the kernel drops packets to new addresses.",
            "Raise net.ipv4.neigh.default.gc_thresh1 to 3 above the number of pods and nodes that it talks to.",
            commands=on_machine(stage, tables),
        ),
    }
