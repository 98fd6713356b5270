"""Findings from a machine's own words: in comes a line, out goes the cause with what ends it on this distribution."""

from __future__ import annotations

from kubetriage.model import Actor, Confidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.records import dataclass
from kubetriage.rules.machine import Machine
from kubetriage.rules.node.machine_words import Word
from kubetriage.values.commands import Command, kubectl, shell


@dataclass(frozen=True)
class Stage:
    """The node that a log is about."""

    ref: Ref
    machine: Machine
    ready: bool
    """It is Ready and in contact: what its log says harms it, but has not taken it down."""


@dataclass(frozen=True)
class Meaning:
    """What a kind of line means."""

    code: str
    says: str
    """A sentence; ``{name}`` is the node, ``{about}`` what the line is about."""
    fix: str
    tasks: tuple[str, ...] = ()
    actor: Actor = Actor.NODE
    rules_out: tuple[str, str] | None = None


def finding(stage: Stage, word: Word, meaning: Meaning, more: tuple[Fix, ...] = ()) -> Finding:
    """Build the finding of one line."""
    names = {"name": stage.ref.name, "about": word.about or "it"}
    commands = stage.machine.lines(*meaning.tasks)
    return Finding(
        meaning.code,
        Severity.WARNING if stage.ready else Severity.ERROR,
        Confidence.CONFIRMED,
        stage.ref,
        f"{meaning.says.format(**names)} Its own log says: {word.words.rstrip('.')[:300]}.",
        (word.evidence(),),
        (RuledOut(*meaning.rules_out),) if meaning.rules_out else (),
        (Fix(meaning.fix.format(**names), actor=meaning.actor, commands=commands), *more),
        tuple(str(c) for c in stage.machine.lines("kubelet log")[:1]),
        {"log": word.kind, "lines": word.count},
    )


def kubelet_meanings(machine: Machine) -> dict[str, Meaning]:
    """Say what the kubelet's lines mean on this distribution."""
    config = machine.path("kubelet_config")
    return {
        "certificate": Meaning(
            "KubeletCertificateExpired",
            "The kubelet of {name} has no valid client certificate, so the API server refuses it.",
            "Look at the certificate's end, restart the kubelet, and approve its CSR.",
            ("client certificate", "kubelet restart"),
            rules_out=("NodePartitioned", "the API server answered: it refused the certificate"),
        ),
        "clock": Meaning(
            "NodeClockWrong",
            "The clock of {name} is wrong: certificates look as if they were not valid yet, or expired.",
            "Set the clock right and mend its time service (chrony, systemd-timesyncd), then restart the kubelet.",
            ("kubelet restart",),
        ),
        "cgroup driver": Meaning(
            "CgroupDriverMismatch",
            "The kubelet and the container runtime of {name} use different cgroup drivers.",
            f"Set both to systemd: cgroupDriver in {config}, SystemdCgroup = true in /etc/containerd/config.toml;"
            " then restart both.",
            ("runtime restart", "kubelet restart"),
        ),
        "swap": Meaning(
            "SwapEnabled",
            "The kubelet of {name} does not start, because swap is on.",
            f"Switch swap off (swapoff -a, and its line in /etc/fstab), or set failSwapOn: false in {config}.",
            ("kubelet restart",),
        ),
        "configuration": Meaning(
            "KubeletConfigInvalid",
            "The kubelet of {name} does not start with its configuration, as after an upgrade that removed a flag, a"
            " field or a feature gate.",
            f"Take out what the line names, in the unit's flags or in {config}; then start the kubelet.",
            ("kubelet status", "kubelet restart"),
        ),
        "disk full": Meaning(
            "NodeDiskFull",
            "A disk of {name} is full: its kubelet or runtime cannot write.",
            "Free it: logs and unused data first, with the owner of the data.",
            ("disk", "disk use"),
        ),
        "inotify": Meaning(
            "InotifyLimitReached",
            "The inotify limit of {name} is reached: kubelet, runtime or pods cannot watch files.",
            "Raise fs.inotify.max_user_instances and fs.inotify.max_user_watches on the node (sysctl.d), then restart"
            " what failed.",
            ("kubelet restart",),
            rules_out=("NodeDiskFull", "the error is inotify's, not the disk's"),
        ),
        "cgroups": Meaning(
            "CgroupLimitReached",
            "The kernel of {name} cannot make more cgroups or has leaked them.",
            "Restart the node; old kernels leak memory cgroups: take a newer kernel.",
            ("reboot",),
            rules_out=("NodeDiskFull", "the error is the cgroup file system's, not the disk's"),
        ),
        "no memory cgroup": Meaning(
            "CgroupUnavailable",
            "The kernel of {name} runs without the cgroup controllers that the kubelet needs.",
            "Enable them on the kernel's command line (cgroup_enable=memory cgroup_memory=1), then restart the"
            " machine.",
            ("reboot",),
        ),
        "processes": Meaning(
            "ProcessLimitReached",
            "{name} can start no more processes: a limit of process ids is reached.",
            "Find what starts so many; raise kernel.pid_max, and limit pods (podPidsLimit).",
            ("containers",),
        ),
        "api server": Meaning(
            "ApiServerUnreachable",
            "The kubelet of {name} runs and does not reach the API server at {about}.",
            f"Compare that address with the API server's: server in {machine.path('kubeconfig')}, DNS for it, load"
            " balancer, firewall, route.",
            ("api server",),
            rules_out=("KubeletDown", "the kubelet runs and tries"),
        ),
        "unauthorized": Meaning(
            "KubeletUnauthorized",
            "The API server refuses the identity of the kubelet of {name}.",
            "Give it a new client certificate: a bootstrap kubeconfig with a valid token, then a restart.",
            ("client certificate", "kubelet restart"),
        ),
    }


ALONE = {
    "network plugin": Meaning(
        "NetworkPluginNotReady",
        "The container runtime of {name} has no network configuration.",
        "See whether the network plugin's pod ran on this node, and whether its configuration and binary are there.",
        ("network plugin",),
    ),
    "pleg": Meaning(
        "ContainerRuntimeSlow",
        "The container runtime of {name} answers its kubelet too slowly.",
        "A full or slow disk first, then one hanging container; a restart of the runtime frees one in deadlock.",
        ("disk latency", "containers", "runtime restart"),
    ),
}
"""What the node's conditions tell where they are seen, and only its log where they are not."""

RUNTIME_SOCKET = Meaning(
    "ContainerRuntimeDown",
    "The container runtime of {name} does not answer its kubelet.",
    "See why the runtime does not run or does not answer; restart it, then ask it again.",
    ("runtime status", "runtime log", "runtime restart", "runtime answer"),
)


def kernel_meanings() -> dict[str, Meaning]:
    """Say what the kernel's lines mean."""
    look = ("kernel log",)
    return {
        "oom": Meaning(
            "KernelOOMKill",
            "The kernel of {name} killed a process for want of memory.",
            "See whose cgroup it was: a container at its limit (oom-budget tells), or the machine without reserved"
            " memory"
            " (systemReserved, kubeReserved).",
            look,
        ),
        "io error": Meaning(
            "DiskIOError",
            "A disk of {name} fails: the kernel reports I/O errors on {about}.",
            "Move the pods off and replace the disk or volume; check its health first.",
            look,
        ),
        "read-only": Meaning(
            "ReadonlyFilesystem",
            "A file system of {name} turned read-only, as the kernel does after disk errors.",
            "Move the pods off, check the file system offline, and replace the disk if it failed.",
            look,
        ),
        "link down": Meaning(
            "LinkDown",
            "A network link of {name} went down: {about}.",
            "Look at cable, switch port, bond and driver of that link.",
            look,
        ),
        "hung task": Meaning(
            "KernelDeadlock",
            "Tasks of {name} hang in the kernel: {about}.",
            "A disk or network file system usually does not answer; free it, or restart the machine.",
            ("kernel log", "disk latency"),
        ),
        "conntrack": Meaning(
            "ConntrackFull",
            "The connection table of {name} is full, so the kernel drops packets of new connections.",
            "Raise net.netfilter.nf_conntrack_max (kube-proxy: conntrack.maxPerCore), and find who opens so many.",
            (),
        ),
        "hardware": Meaning(
            "HardwareError",
            "The hardware of {name} reports an error that it did not correct.",
            "Move the pods off and have the machine checked or replaced.",
            look,
        ),
        "neighbours": Meaning(
            "NeighbourTableFull",
            "The neighbour (ARP) table of {name} is full, so the kernel drops packets to new addresses.",
            "Raise net.ipv4.neigh.default.gc_thresh1 to 3 above the number of pods and nodes that it talks to.",
            (),
        ),
    }


def approve_csr() -> tuple[Fix, ...]:
    """Approve a kubelet's request, where the cluster does not do so by itself."""
    commands: tuple[Command, ...] = (kubectl("get", "csr"), kubectl("certificate", "approve", "CSR"))
    return (Fix("A new request may wait for approval.", actor=Actor.CLUSTER, commands=commands),)


def kernel_limits(machine: Machine) -> tuple[Fix, ...]:
    """Read how full the connection and neighbour tables are."""
    if machine.row["tools"] != "systemd":
        return ()
    line = "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max net.ipv4.neigh.default.gc_thresh3"
    return (Fix("Read how full the tables are.", actor=Actor.NODE, commands=(shell("ssh", machine.address, line),)),)
