"""How a kubelet ends that does not start: in comes its last line, out goes what such a line asks for.

Lines of the same kind ("Failed to start ContainerManager") have different ends; what stands behind them decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.word_findings import Meaning, Stage, on_machine
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
    return None
