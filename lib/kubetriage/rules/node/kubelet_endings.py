"""How a kubelet ends that does not start: in comes its last line, out goes what such a line asks for.

Lines of the same kind ("Failed to start ContainerManager") have different ends; what stands behind them decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.word_findings import Meaning, Stage, on_machine
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_Make = Callable[["re.Match[str]", Stage], Meaning]


def _root_file_system(_match: re.Match[str], stage: Stage) -> Meaning:
    state = "/var/lib/rancher" if stage.machine.name in ("k3s", "rke2") else "/var/lib/kubelet"
    return Meaning(
        "KubeletConfigInvalid",
        f"The kubelet of {{name}} does not start: it cannot measure the file system below {state}, whose kind or device"
        " it does not know (btrfs, ZFS, overlay, tmpfs, a mount that is not up).",
        f"Put {state} on ext4 or XFS, and see that its mount is there before the kubelet. Where that cannot be (kind"
        f" on btrfs, rootless): localStorageCapacityIsolation: false in {stage.machine.path('kubelet_config')}, which"
        " gives up limits on ephemeral-storage.",
        ("kubelet restart",),
        commands=on_machine(stage, f"findmnt -T {state}; lsblk -f"),
    )


def _kernel_messages(_match: re.Match[str], stage: Stage) -> Meaning:
    link = (
        "echo 'L /dev/kmsg - - - - /dev/console' | sudo tee /etc/tmpfiles.d/kmsg.conf; sudo systemd-tmpfiles --create"
    )
    return Meaning(
        "KubeletConfigInvalid",
        "The kubelet of {name} does not start: its machine is a container (LXC and the like) that has no /dev/kmsg.",
        "Give the container /dev/kmsg: link it to /dev/console at each boot, or bind the host's (Proxmox:"
        " lxc.mount.entry). Or set the feature gate KubeletInUserNamespace=true.",
        ("kubelet restart",),
        commands=on_machine(stage, link),
    )


def _kernel_settings(match: re.Match[str], _stage: Stage) -> Meaning:
    return Meaning(
        "KubeletConfigInvalid",
        f"The kubelet of {{name}} does not start: it may not write {match[1]}, because its machine is an unprivileged"
        " container or user namespace.",
        "Set the feature gate KubeletInUserNamespace=true (k3s: kubelet-arg feature-gates=KubeletInUserNamespace=true),"
        " or make the container privileged with a writable /proc/sys (LXC: unprivileged 0, lxc.mount.auto proc:rw"
        " sys:rw).",
        ("kubelet restart",),
    )


def _port(match: re.Match[str], stage: Stage) -> Meaning:
    return Meaning(
        "KubeletConfigInvalid",
        f"The kubelet of {{name}} does not start: another process listens on port {match[1]} already.",
        "See which one: mostly a second kubelet (MicroK8s, k3s, a snap, one started by hand, or the old one that"
        " still runs). Stop and disable the one that is not meant, then start this one.",
        ("kubelet restart",),
        commands=on_machine(
            stage, f"sudo ss -ltnp sport = :{match[1]}; systemctl list-units | grep -iE kube\\|k3s\\|rke2\\|k0s"
        ),
    )


def _quality_groups(_match: re.Match[str], stage: Stage) -> Meaning:
    return Meaning(
        "KubeletConfigInvalid",
        "The kubelet of {name} does not start: the cgroups of its pods (kubepods) are not there or cannot be made.",
        "Compare cgroupDriver and cgroupRoot with the runtime and with the machine (systemd on cgroup v2). If they"
        " agree, restart the machine: leftovers of another driver go with it.",
        ("kubelet restart",),
        commands=on_machine(
            stage, f"stat -fc %T /sys/fs/cgroup; sudo grep -i cgroup {stage.machine.path('kubelet_config')}"
        ),
    )


def _cloud(_match: re.Match[str], stage: Stage) -> Meaning:
    return Meaning(
        "KubeletConfigInvalid",
        "The kubelet of {name} does not start: it has no cloud provider of that name built in any more.",
        "Set --cloud-provider=external (or take the flag out) and run the cloud's controller manager in the cluster;"
        " then start the kubelet.",
        ("kubelet restart",),
        commands=on_machine(stage, f"sudo grep -rn cloud-provider {stage.flags}"),
    )


def _empty_certificate(_match: re.Match[str], stage: Stage) -> Meaning:
    text, commands = stage.identity("renew")
    return Meaning(
        "KubeletCertificateExpired",
        "The kubelet of {name} does not start: a certificate or key file of it is empty or damaged, as after a full"
        " disk or a power loss.",
        f"See which file it names and whether the disk is full; move it away and get a new one. {text}",
        ("kubelet restart",),
        commands=(*on_machine(stage, "sudo ls -l /var/lib/kubelet/pki; df -h /var/lib/kubelet"), *commands),
    )


def _node_labels(match: re.Match[str], stage: Stage) -> Meaning:
    bad = match[1].strip("[] ")
    return Meaning(
        "KubeletConfigInvalid",
        f"The kubelet of {{name}} does not start: it may not give its own node the label {bad}.",
        f"Take {bad} out of --node-labels in {stage.flags}. Set it from outside once the node is there: a kubelet may"
        " use only labels below kubelet.kubernetes.io and node.kubernetes.io, and those of domains of your own.",
        ("kubelet restart",),
        commands=(
            *on_machine(stage, f"sudo grep -rn node-labels {stage.flags}"),
            kubectl("label", "node", stage.ref.name, f"{bad.partition(',')[0]}=" if "=" not in bad else bad),
        ),
    )


def _reserved(match: re.Match[str], stage: Stage) -> Meaning:
    more, least = _QUANTITY.findall(match[2])[:1], _QUANTITY.findall(match[3])[:1]
    sizes = f" ({more[0]} reserved, {least[0]} there)" if more and least else ""
    return Meaning(
        "KubeletConfigInvalid",
        f"The kubelet of {{name}} does not start: it is to keep back more {match[1]} than the machine has{sizes}.",
        "Lower the sum of kubeReserved, systemReserved and evictionHard (memory) for machines of this size in"
        f" {stage.machine.path('kubelet_config') or 'its configuration'}, or give the machine more {match[1]}.",
        ("kubelet restart",),
        commands=on_machine(
            stage, f"sudo grep -rn -i -A4 reserved {stage.machine.path('kubelet_config')} {stage.flags}; free -m; nproc"
        ),
    )


def _two_addresses(match: re.Match[str], stage: Stage) -> Meaning:
    given = match[1]
    talos = stage.machine.name == "talos"
    where = (
        "In the machine configuration let machine.kubelet.nodeIP.validSubnets leave one: the subnet of the nodes, and"
        " with an exclamation mark before it what is not to be taken (a virtual address as !ADDRESS/32)."
        if talos
        else f"Give --node-ip (k3s, RKE2: node-ip) in {stage.flags} one address, or one of each family. On Talos"
        " machine.kubelet.nodeIP.validSubnets decides; there an exclamation mark leaves a subnet out."
    )
    return Meaning(
        "NodeAddressInvalid",
        f"The kubelet of {{name}} does not start: --node-ip is {given}, and it takes one address, or one of IPv4 and"
        " one of IPv6. The others are mostly a virtual address that moves between machines, or another network's.",
        where,
        () if talos else ("kubelet restart",),
        commands=(stage.machine.line(["talosctl", "-n", "{address}", "edit", "machineconfig"]),)
        if talos
        else on_machine(stage, f"ip -brief address; sudo grep -rn node-ip {stage.flags}"),
    )


_QUANTITY = lazy(r"\b(\d+(?:[KMGT]i?|m)?) (?:BinarySI|DecimalSI)")

# cmd/kubelet and pkg/kubelet with cAdvisor, 1.18 to 1.37, also inside k3s and RKE2.
_ENDINGS: tuple[tuple[re.Pattern[str], _Make], ...] = (
    (
        lazy(
            r"failed to get rootfs info|could not find device with major: \d+|unable to find data in memory cache"
            r"|unable to find data for container /"
        ),
        _root_file_system,
    ),
    (lazy(r"/dev/kmsg: (?:no such file|operation not permitted|permission denied)"), _kernel_messages),
    (lazy(r"open (/proc/sys/[\w/.-]+): (?:permission denied|read-only file system)"), _kernel_settings),
    (lazy(r"listen tcp \S*:(\d{2,5}): bind: address already in use"), _port),
    (
        lazy(r"failed to initialize top level QOS containers|root container \S+ doesn't exist|\[?kubepods\]? doesn't"),
        _quality_groups,
    ),
    (
        lazy(r"labels specified with --node-labels: \[([\w./=, -]{1,300})\]"),
        _node_labels,
    ),
    (
        lazy(
            r"Resource \\?\"(\w[\w.-]{0,60})\\?\" has a reservation of (.{1,120}?) but capacity of"
            r" (.{1,120}?)\. Expected"
        ),
        _reserved,
    ),
    (
        lazy(r"bad --node-ip \\?\"([\da-fA-F.:, ]{3,200})\\?\"|--node-ip \\?\"?([\da-fA-F.:]+,[\da-fA-F.:,]+)"),
        _two_addresses,
    ),
    (lazy(r"built-in cloud providers are disabled|unknown cloud provider|could not init cloud provider"), _cloud),
    (
        lazy(r"failed to find any PEM data|failed to parse (?:certificate|private key)|does not match public key"),
        _empty_certificate,
    ),
)


def ending_of(stage: Stage, word: Word) -> Meaning | None:
    """Return what a kubelet's last line means; None where no row knows it."""
    for pattern, make in _ENDINGS:
        if match := pattern.search(word.words):
            return make(match, stage)
    return _flag_named(stage, word)


_FLAG = lazy(r"(?<![\w-])--([a-z][a-z0-9-]{2,60})")


def _flag_named(stage: Stage, word: Word) -> Meaning | None:
    """Name the one flag of which last words speak that no row knows, and where it stands."""
    named = set(_FLAG.findall(word.words))
    if len(named) != 1:
        return None
    flag = named.pop()
    return Meaning(
        "KubeletErrors",
        f"The kubelet of {{name}} ends itself, and names its flag --{flag}.",
        f"Correct --{flag} as its last words ask, in {stage.flags}, then start it.",
        ("kubelet restart",),
        commands=on_machine(stage, f"sudo grep -rn -e {flag} {stage.flags}"),
        rules_out=("NodePartitioned", "the kubelet does not stay up long enough to need the network"),
    )
