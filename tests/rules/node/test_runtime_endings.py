"""Container runtimes by their own last words, sandbox images, read-only disks, and budgets that operators hold."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from kubetriage.found import NodeLog
from kubetriage.model import Ref
from kubetriage.rules.node.causes.drain_blocked import _enough
from kubetriage.rules.node.diagnose import words_alone
from kubetriage.rules.node.kept_budgets import keeper_of
from kubetriage.rules.node.machine_words import read_words

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


def journal(row: str, unit: str = "containerd[5]") -> str:
    return f"Nov 24 11:59:01 n1 {unit}: {row}\n"


def told(log: str) -> list[Any]:
    words = read_words((NodeLog("n1", "journal", log),), NOW)
    return list(words_alone(Ref("Node", "", "n1"), words))


def said(finding: Any) -> str:
    commands = (str(c) for f in finding.fix for c in f.commands)
    return " ".join([finding.message, *(f.text for f in finding.fix), *commands])


UNIMPLEMENTED = journal(
    'E1124 11:59:02.100000     911 run.go:74] "command failed" err="failed to run Kubelet: validate service connection:'
    ' validate CRI v1 runtime API: rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService"',
    "kubelet[911]",
)


@pytest.mark.parametrize(
    ("log", "says", "not_said"),
    [
        (
            journal(
                'time="2026-11-24T11:59:01Z" level=warning msg="failed to load plugin io.containerd.grpc.v1.cri"'
                ' error="invalid plugin config: `mirrors` cannot be set when `config_path` is provided"'
            )
            + UNIMPLEMENTED,
            "hosts.toml",
            "disabled_plugins",
        ),
        (
            journal("containerd: failed to load TOML from /etc/containerd/config.toml: toml: line 42: duplicate key"),
            "at line 42",
            "mirrors",
        ),
        (
            journal(
                'time="2026-11-24 11:59:01Z" level=fatal msg="Failed to start: stat'
                ' /var/lib/containers/storage/overlay/l/AB: layer not known"',
                "crio[3]",
            ),
            "crio wipe -f",
            "config.toml",
        ),
        (UNIMPLEMENTED, "disabled_plugins", "hosts.toml"),
    ],
)
def test_a_runtimes_own_words_come_before_its_kubelets(log: str, says: str, not_said: str) -> None:
    found = told(log)
    assert found[0].cause == "ContainerRuntimeDown"
    assert says in said(found[0])
    assert not_said not in said(found[0])


PULL = (
    'E1124 11:59:02.100000     911 log.go:32] "RunPodSandbox from runtime service failed" err="rpc error: code ='
    ' Unknown desc = failed to get sandbox image \\"registry.k8s.io/pause:3.8\\": failed to pull image: no such host"'
)
REFUSED = (
    'E1124 11:59:02.100000     911 kubelet_node_status.go:92] "Unable to register node with API server" err="Post'
    ' \\"https://10.1.0.10:6443/api/v1/nodes\\": dial tcp 10.1.0.10:6443: connect: connection refused"'
)


def test_without_its_sandbox_image_a_machine_starts_no_pod() -> None:
    found = told(journal(PULL, "kubelet[911]") + journal(REFUSED, "kubelet[911]"))
    assert [f.cause for f in found] == ["ContainerRuntimeDown"]
    assert "crictl pull registry.k8s.io/pause:3.8" in said(found[0])
    assert told(journal(REFUSED, "kubelet[911]"))[0].cause == "ApiServerUnreachable"


@pytest.mark.parametrize(
    ("path", "read_only"),
    [
        ("/var/lib/kubelet/pods/1b2c/etc-hosts", True),
        ("/var/log/pods/shop_web_1", True),
        # A volume that is mounted read-only is no broken disk.
        ("/var/lib/kubelet/pods/1b2c/volumes/kubernetes.io~nfs/data/a", False),
        ("/etc/app/config", False),
    ],
)
def test_a_disk_that_turned_read_only_is_told_by_the_machines_own_paths(path: str, read_only: bool) -> None:
    row = f'E1124 11:59:02.100000     911 kubelet.go:1920] "Failed" err="mkdir {path}: read-only file system"'
    assert ("ReadonlyFilesystem" in [f.cause for f in told(journal(row, "kubelet[911]"))]) is read_only


@pytest.mark.parametrize(
    ("budget", "keeper"),
    [
        ("longhorn-system/instance-manager-r-78f5", "Longhorn"),
        ("rook-ceph/rook-ceph-osd-host-w1", "Rook"),
        ("vms/kubevirt-disruption-budget-abcde", "KubeVirt"),
        ("shop/instance-manager", ""),
        ("shop/web", ""),
    ],
)
def test_a_budget_that_an_operator_holds_is_left_to_it(budget: str, keeper: str) -> None:
    found = keeper_of(budget)
    assert (found.keeper if found else "") == keeper


@pytest.mark.parametrize(
    ("asks", "expected", "enough"),
    [
        ("minAvailable 1", 1, 2),
        ("minAvailable 50%", 1, 2),
        ("minAvailable 80%", 1, 5),
        ("minAvailable 95%", 1, 0),
        ("minAvailable 2", 2, 3),
    ],
)
def test_as_many_pods_as_a_budget_needs_to_let_one_go(asks: str, expected: int, enough: int) -> None:
    assert _enough(asks, expected) == enough


# The runtime's own database.

PANIC = "panic: freepages: failed to get all reachable pages (page 371: multiple references)"


@pytest.mark.parametrize(
    ("row", "unit", "root"),
    [
        (PANIC, "containerd[5]", "/var/lib/containerd "),
        (PANIC, "microk8s.daemon-containerd[5]", "/var/snap/microk8s/common/var/lib/containerd "),
        (
            "containerd: failed to create metadata store: open"
            " /var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db: invalid database",
            "systemd[1]",
            "/var/lib/containerd ",
        ),
    ],
)
def test_a_damaged_database_of_a_runtime_is_moved_away(row, unit, root):
    extra = journal("I1124 11:59:02.100000 1 x.go:1] up", "microk8s.daemon-kubelite[1]") if "microk8s" in unit else ""
    found = told(journal(row, unit) + extra)[0]
    assert found.cause == "ContainerRuntimeDown"
    assert f"sudo mv {root}" in said(found)
    assert "Volumes and emptyDirs are not in it" in said(found)


@pytest.mark.parametrize("unit", ["etcd[5]", "k3s[5]", "mongod[5]"])
def test_the_same_panic_of_another_program_is_no_runtime(unit):
    assert all("sudo mv" not in said(f) for f in told(journal(PANIC, unit)))


def kubelet(words: str) -> str:
    return journal(
        f'E1124 11:59:01.100000 9 run.go:74] "command failed" err="failed to run Kubelet: {words}"', "kubelet[9]"
    )


def test_two_addresses_of_one_family_leave_one():
    words = 'bad --node-ip \\"10.8.12.20,10.8.12.5\\"; must contain either a single IP or a dual-stack pair of IPs'
    found = told(kubelet(words))[0]
    assert found.cause == "NodeAddressInvalid"
    assert "10.8.12.20,10.8.12.5" in found.message
    assert "one address, or one of each family" in said(found)


def test_an_address_that_is_on_no_interface_is_another_matter():
    words = 'failed to validate nodeIP: node IP: \\"10.8.12.20\\" not found in the host\'s network interfaces'
    assert "takes one address" not in said(told(kubelet(words))[0])


def test_talos_is_known_by_its_lines_in_the_kernels_log():
    row = (
        '10.5.0.3: user: warning: [2026-11-24T11:59:00.1Z]: [talos] controller failed {"error": "error getting node:'
        ' Get \\"https://127.0.0.1:7445/api/v1/nodes/w1\\": dial tcp 127.0.0.1:7445: connect: connection refused"}\n'
    )
    found = told(row)[0]
    assert found.cause == "ApiServerUnreachable"
    assert "ssh " not in said(found)
    assert "talosctl" in " ".join([said(found), *map(str, found.verify)])
