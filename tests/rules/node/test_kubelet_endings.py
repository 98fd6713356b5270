"""Kubelets that do not start or were forgotten: what their last line asks for, and look-alikes."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from kubetriage.found import NodeLog
from kubetriage.model import Ref
from kubetriage.rules.node.diagnose import words_alone
from kubetriage.rules.node.machine_words import read_words

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


def journal(row: str, unit: str = "kubelet[812]", host: str = "n1") -> str:
    return f"Nov 24 11:59:01 {host} {unit}: {row}\n"


def err(words: str, source: str = "kubelet.go:1466") -> str:
    return journal(f"E1124 11:59:01.123456     812 {source}] {words}")


def told(log: str, source: str = "journalctl -u kubelet") -> list[Any]:
    words = read_words((NodeLog("n1", source, log),), NOW)
    return list(words_alone(Ref("Node", "", "n1"), words))


def said(finding: Any) -> str:
    commands = (str(c) for f in finding.fix for c in f.commands)
    return " ".join([finding.message, *(f.text for f in finding.fix), *commands])


@pytest.mark.parametrize(
    ("log", "code", "says"),
    [
        (
            err('"Failed to start ContainerManager" err="failed to get rootfs info: unable to find data in cache"'),
            "KubeletConfigInvalid",
            "localStorageCapacityIsolation",
        ),
        (
            journal(
                'time="2026-11-24T11:59:01Z" level=fatal msg="kubelet exited: failed to run Kubelet: failed to create'
                ' kubelet: open /dev/kmsg: no such file or directory"',
                "k3s[9]",
            ),
            "KubeletConfigInvalid",
            "/dev/console",
        ),
        (
            err('"Failed to start ContainerManager" err="[open /proc/sys/kernel/panic: permission denied]"'),
            "KubeletConfigInvalid",
            "KubeletInUserNamespace=true",
        ),
        (
            err(
                '"Failed to listen and serve" err="listen tcp 0.0.0.0:10250: bind: address already in use"',
                "server.go:1",
            ),
            "KubeletConfigInvalid",
            "sport = :10250",
        ),
        (
            err(
                '"Failed to start ContainerManager" err="failed to initialize top level QOS containers: root container'
                " [kubepods] doesn't exist\""
            ),
            "KubeletConfigInvalid",
            "cgroupRoot",
        ),
        (
            err(
                '"command failed" err="failed to run Kubelet: cloud provider \\"aws\\" was specified, but built-in'
                ' cloud providers are disabled"',
                "run.go:74",
            ),
            "KubeletConfigInvalid",
            "--cloud-provider=external",
        ),
        (
            err(
                '"command failed" err="failed to run Kubelet: unable to load client certificate: tls: failed to find'
                ' any PEM data in certificate input"',
                "run.go:74",
            ),
            "KubeletCertificateExpired",
            "power loss",
        ),
        (
            err('"Error updating node status, will retry" err="error getting node \\"n1\\": nodes \\"n1\\" not found"'),
            "NodeDeleted",
            "restart kubelet",
        ),
        (
            err(
                'Failed to list *v1.Node: nodes "n1" is forbidden: User "system:anonymous" cannot list resource "nodes"'
            ),
            "KubeletUnauthorized",
            "certificate approve",
        ),
        (
            journal(
                'time="x" level=error msg="Failed" error="runtime/cgo: pthread_create failed: Resource temporarily'
                ' unavailable"',
                "containerd[5]",
            ),
            "ProcessLimitReached",
            "TasksMax",
        ),
        (
            err(
                '"x" err="failed to stat \\"/var/lib/kubelet/pods/99907500-0000-4000-8000-000000000000/volumes/'
                'kubernetes.io~csi/pvc-92dbd015-e441-434b-80af-37b44d8efd78/mount\\": errno 512"'
            ),
            "ContainerRuntimeSlow",
            "umount -f -l /var/lib/kubelet/pods",
        ),
        (
            err(
                '"x" err="lstat /var/lib/kubelet/pods/99907500-0000-4000-8000-000000000000/volumes/kubernetes.io~nfs/d:'
                ' stale NFS file handle"'
            ),
            "ContainerRuntimeSlow",
            "findmnt -T",
        ),
    ],
)
def test_a_last_line_names_what_ends_it(log: str, code: str, says: str) -> None:
    found = told(log)
    assert found[0].cause == code
    assert says in said(found[0])


@pytest.mark.parametrize(
    "log",
    [
        # The informer's word before a Node is made, which passes by itself.
        err('"Error getting node" err="node \\"n1\\" not found"'),
        err('"Failed to stat" err="stat /var/lib/kubelet/config.yaml: no such file or directory"'),
        err('"Error syncing pod" err="failed to \\"StartContainer\\" for \\"app\\" with CrashLoopBackOff: back-off"'),
        err('"Watch" err="configmaps is forbidden: User \\"system:node:n1\\" cannot list resource"'),
    ],
)
def test_look_alikes_name_no_such_end(log: str) -> None:
    assert [f.cause for f in told(log) if f.cause not in ("KubeletErrors",)] == []


LOOP = err(
    '"Error syncing pod, skipping" err="failed to \\"StartContainer\\" for \\"kube-apiserver\\" with CrashLoopBackOff:'
    ' \\"back-off 1m20s\\""',
    "pod_workers.go:1301",
)
REFUSED = err(
    '"Unable to register node with API server" err="Post \\"https://10.2.0.4:6443/api/v1/nodes\\": dial tcp'
    ' 10.2.0.4:6443: connect: connection refused"'
)


def test_a_refused_api_server_of_this_machine_is_the_static_pod_that_loops() -> None:
    found = told(LOOP + REFUSED)
    assert [f.cause for f in found] == ["ApiServerUnreachable"]
    assert "crictl ps -a --name kube-apiserver" in said(found[0])
    assert "10.2.0.4" in said(told(REFUSED)[0])


def test_an_agent_that_was_sent_to_another_address_names_the_server_that_advertises_it() -> None:
    lines = [
        'time="2026-11-24T11:59:01Z" level=info msg="Removing server from load balancer k3s-agent-load-balancer:'
        ' 192.168.56.2:6443"',
        'time="2026-11-24T11:59:01Z" level=error msg="Failed to connect to proxy. Empty dialer response" error="dial'
        ' tcp 10.0.2.15:6443: connect: connection refused"',
    ]
    found = told("".join(journal(row, "k3s[9]") for row in lines), "journalctl -u k3s-agent")
    assert found[0].cause == "ApiServerUnreachable"
    assert "advertise-address: 192.168.56.2" in said(found[0])
    assert "restart k3s-agent" not in said(told(journal(lines[1], "k3s[9]"), "journalctl -u k3s")[0])


def test_a_server_of_k3s_is_told_by_the_unit_that_was_asked_for() -> None:
    row = 'time="2026-11-24T11:59:01Z" level=fatal msg="failed to run Kubelet: open /dev/kmsg: permission denied"'
    assert "restart k3s\n" in said(told(journal(row, "k3s[9]"), "journalctl -u k3s")[0]) + "\n"
    assert "restart k3s-agent" in said(told(journal(row, "k3s[9]"), "journalctl -u k3s-agent")[0])
