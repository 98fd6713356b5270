"""Lines of kubelets, runtimes and kernels: each beside one that reads alike and means something else."""
# ruff: noqa: E501

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from kubetriage.found import NodeLog
from kubetriage.model import Ref
from kubetriage.rules.node.diagnose import words_alone
from kubetriage.rules.node.machine_words import read_words
from kubetriage.rules.plane.etcd_remedies import end_class

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


def told(row, unit="kubelet[911]"):
    words = read_words((NodeLog("n1", "journal", f"Nov 24 11:59:01 n1 {unit}: {row}\n"),), NOW)
    return {f.cause: f for f in words_alone(Ref("Node", "", "n1"), words)}


def commands(finding):
    return " ".join(str(c) for f in finding.fix for c in f.commands)


HEAD = "E1124 11:59:01.000000     911 "
LINES = [
    (f'{HEAD}eviction_manager.go:366] "Eviction manager: must evict pod(s) to reclaim" resourceName="ephemeral-storage"', "kubelet[911]", "DiskPressure", "ephemeral-storage"),
    (f'{HEAD}eviction_manager.go:349] "Eviction manager: attempting to reclaim" resourceName="memory"', "kubelet[911]", "MemoryPressure", "request"),
    (f'{HEAD}kubelet.go:1310] "Image garbage collection failed multiple times in a row" err="failed to garbage collect required amount of images. Attempted to free 5 bytes"', "kubelet[911]", "NodeDiskFull", "emptyDirs"),
    (f"{HEAD}certificate_manager.go:562] kubernetes.io/kubelet-serving: certificate request was not signed: timed out", "kubelet[911]", "ServingCertificatePending", "approve"),
    ('time="2026-11-24T11:59:01Z" level=warning msg="waiting for response from boltdb open" plugin=bolt', "containerd[5]", "ContainerRuntimeDown", "second containerd"),
    ("ena 0000:00:05.0 eth0: TX hasn't completed, qid 1, index 5. 5520 msecs have passed", "kernel", "LinkDown", "driver"),
    ("e1000e 0000:00:19.0 eno1: Detected Hardware Unit Hang:", "kernel", "LinkDown", "driver"),
    ("NETDEV WATCHDOG: eth0 (ixgbe): transmit queue 3 timed out", "kernel", "LinkDown", "driver"),
    ("unregister_netdevice: waiting for eth0 to become free. Usage count = 1", "kernel", "KernelDeadlock", "restart the machine"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "unit", "cause", "act"), LINES)
def test_a_line_tells_its_cause(row, unit, cause, act):
    found = told(row, unit)[cause]
    assert act in " ".join(f.text for f in found.fix)


@pytest.mark.parametrize(
    ("row", "unit"),
    [
        ('I1124 11:59:01.000000     911 eviction_manager.go:366] "Eviction manager: no observation found for eviction signal"', "kubelet[911]"),
        (f'{HEAD}certificate_manager.go:562] kubernetes.io/kube-apiserver-client-kubelet: certificate request was signed', "kubelet[911]"),
        ("ena 0000:00:05.0 eth0: Link is up", "kernel"),
    ],
)  # fmt: skip
def test_a_line_that_reads_alike_does_not(row, unit):
    assert not set(told(row, unit)) & {"DiskPressure", "MemoryPressure", "ServingCertificatePending", "LinkDown"}


def test_cri_o_is_restarted_and_not_containerd():
    row = 'level=fatal msg="validating runtime config: runtime validation: \\"crun\\" not found in $PATH"'
    found = told(row, "crio[400]")["ContainerRuntimeDown"]
    assert "systemctl restart crio" in commands(found)
    assert "restart containerd" not in commands(found)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("discovery failed: cannot access data directory: open /var/lib/etcd/.touch: permission denied", "rights"),
        ("discovery failed: open /etc/kubernetes/pki/etcd/server.crt: no such file or directory", "certificate"),
        ("discovery failed: error validating peerURLs: member count is unequal", "bootstrapped"),
        ("discovery failed: member 1 has already been bootstrapped", "bootstrapped"),
    ],
)
def test_why_discovery_failed_decides_what_ends_it(words, kind):
    """A data directory that may not be opened is not to be moved away."""
    assert end_class(words) == kind
