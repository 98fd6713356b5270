"""The kernel's own log names what failed below the kubelet.

Meaning: memory, a disk, a link, the connection or neighbour table or the hardware of the machine failed; kubelet,
runtime and pods suffer from it in many ways.

Told by: dmesg or a journal given with --node-log or inside --from, in the kernel's words; lines of the last hour of the
log, or all where they carry no time. Kills for want of the machine's memory also by the kubelet's event SystemOOM and
Node Problem Detector's OOMKilling; those of a daemon (systemd-oomd, earlyoom, Talos' OOM controller) by its own words.

Fix: below the cluster: disk, link, limits, memory. An out-of-memory kill of a container's cgroup is that container's
matter (oom-budget), one of the whole machine is the machine's.

Source: Linux mm/oom_kill.c, block/blk-core.c, fs/ext4, kernel/hung_task.c, net/netfilter/nf_conntrack_core.c,
net/core/neighbour.c, arch/x86/kernel/cpu/mce.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.kernel_meanings import meaning_of
from kubetriage.rules.node.oom_events import machine_kills
from kubetriage.rules.node.stage import stage_of
from kubetriage.rules.node.word_findings import Stage, finding

CODES = {
    "KernelOOMKill": "The kernel killed a process for want of memory",
    "OOMDaemonKill": "A daemon of the node killed a process under memory pressure, before the kernel had to",
    "DiskIOError": "A disk of the node reports I/O errors",
    "NFSServerNotResponding": "An NFS server does not answer the node, so that what touches its mounts hangs",
    "KernelPanic": "The kernel of the node stopped with a panic",
    "LinkDown": "A network link of the node went down",
    "ConntrackFull": "The connection table of the node is full",
    "HardwareError": "The hardware of the node reports an uncorrected error",
    "NeighbourTableFull": "The neighbour table of the node is full",
}


_BESIDE = {"oom context": "oom", "oom daemon context": "oom daemon"}
"""Lines beside a kill, which name the cgroup or the unit, by the line of the kill itself."""


def check(case: NodeCase) -> Iterator[Finding]:
    """Report what the kernel of this node says."""
    if stage_of(case).words.of("oom") is None:
        yield from machine_kills(case)
    yield from check_words(stage_of(case))


def check_words(stage: Stage) -> Iterator[Finding]:
    """Report what a kernel's log says of a machine, whether its Node was seen or not."""
    for word in stage.words.words:
        if word.kind in _BESIDE and stage.words.of(_BESIDE[word.kind]) is not None:
            continue
        meaning = meaning_of(stage, word)
        if meaning is not None:
            yield finding(stage, word, meaning)
