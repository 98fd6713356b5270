"""The kernel's own log names what failed below the kubelet.

Meaning: memory, a disk, a link, the connection or neighbour table or the hardware of the machine failed; kubelet,
runtime and pods suffer from it in many ways.

Told by: dmesg or a journal given with --node-log or inside --from, in the kernel's words; lines of the last hour of the
log, or all where they carry no time.

Fix: below the cluster: disk, link, limits, memory. An out-of-memory kill of a container's cgroup is that container's
matter (oom-budget), one of the whole machine is the machine's.

Source: Linux mm/oom_kill.c, block/blk-core.c, fs/ext4, kernel/hung_task.c, net/netfilter/nf_conntrack_core.c,
net/core/neighbour.c, arch/x86/kernel/cpu/mce.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.machine_words import MachineWords
from kubetriage.rules.node.word_findings import Stage, finding, kernel_limits, kernel_meanings

CODES = {
    "KernelOOMKill": "The kernel killed a process for want of memory",
    "DiskIOError": "A disk of the node reports I/O errors",
    "LinkDown": "A network link of the node went down",
    "ConntrackFull": "The connection table of the node is full",
    "HardwareError": "The hardware of the node reports an uncorrected error",
    "NeighbourTableFull": "The neighbour table of the node is full",
}


def check(case: NodeCase) -> Iterator[Finding]:
    """Report what the kernel of this node says."""
    ready = case.contact.ready == "True" and not case.contact.silent
    yield from check_words(Stage(case.ref, case.machine, ready), case.words)


def check_words(stage: Stage, words: MachineWords) -> Iterator[Finding]:
    """Report what a kernel's log says of a machine, whether its Node was seen or not."""
    meanings = kernel_meanings()
    for word in words.words:
        if word.kind in meanings:
            more = kernel_limits(stage.machine) if word.kind in ("conntrack", "neighbours") else ()
            yield finding(stage, word, meanings[word.kind], more)
