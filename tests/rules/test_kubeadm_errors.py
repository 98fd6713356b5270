"""What the last line of kubeadm asks for, by the part that answers; words of other tools are left alone."""

from __future__ import annotations

import pytest

from kubetriage.plugins import load
from kubetriage.rules.kubeadm_errors import explain
from kubetriage.values.commands import is_plain

JOIN = "error execution phase preflight: "
WHO = JOIN + "couldn't validate the identity of the API Server: "


@pytest.mark.parametrize(
    ("line", "part", "code", "told"),
    [
        (
            "error execution phase check-etcd: etcd cluster is not healthy: failed to dial endpoint"
            " https://10.0.0.13:2379 with maintenance client: context deadline exceeded",
            "plane",
            "EtcdDown",
            "member remove MEMBER-ID",
        ),
        (
            "error execution phase check-etcd: error syncing endpoints with etcd: failed to dial endpoint"
            " https://[fd00::3]:2379: dial tcp [fd00::3]:2379: connect: no route to host",
            "plane",
            "EtcdDown",
            "nc -vz -w 5 fd00::3 2379",
        ),
        (
            WHO + 'could not find a JWS signature in the cluster-info ConfigMap for token ID "abc123"',
            "node",
            "NodeJoinFailed",
            "kubeadm token create --print-join-command",
        ),
        (
            WHO
            + 'cluster CA found in cluster-info ConfigMap is invalid: none of the public keys "sha256:'
            + "0a" * 32
            + '" are pinned',
            "node",
            "NodeJoinFailed",
            "hash",
        ),
        (
            "error execution phase control-plane-prepare/download-certs: error downloading certs: error downloading the"
            ' secret: Secret "kubeadm-certs" was not found in the "kube-system" Namespace.',
            "node",
            "NodeJoinFailed",
            "--upload-certs",
        ),
        (
            'error execution phase kubelet-start: a Node with name "w1" and status "Ready" already exists in the'
            " cluster.",
            "node",
            "NodeJoinFailed",
            "kubectl get node w1",
        ),
        (
            WHO + 'Get "https://10.0.0.1:6443/api/v1/namespaces/kube-public/configmaps/cluster-info?timeout=10s": dial'
            " tcp 10.0.0.1:6443: i/o timeout",
            "node",
            "NodeJoinFailed",
            "nc -vz -w 5 10.0.0.1 6443",
        ),
        (
            "[ERROR FileContent--proc-sys-net-ipv4-ip_forward]: contents are not set to 1",
            "node",
            "NodeJoinFailed",
            "br_netf",
        ),
        ("[ERROR Port-10250]: Port 10250 is in use", "node", "NodeJoinFailed", "kubeadm reset"),
    ],
)
def test_a_line_names_what_ends_it(line, part, code, told):
    found = explain(line, part)
    assert found.cause == code
    advice = " ".join(word for fix in found.fix for word in (found.message, fix.text, *map(str, fix.commands)))
    assert told in advice
    assert "{" not in advice
    assert explain(line, "plane" if part == "node" else "node") is None
    for command in (*found.verify, *(c for fix in found.fix for c in fix.commands)):
        assert is_plain(command), command


@pytest.mark.parametrize(
    "line",
    [
        "etcd cluster is not healthy: failed to dial endpoint https://10.0.0.13:2379: context deadline exceeded",
        "error execution phase preflight: docker is required for container runtime: exec: not found",
        "[WARNING Swap]: swap is supported for cgroup v2 only",
        "Error from server (Forbidden): nodes is forbidden",
    ],
)
def test_words_of_others_and_unknown_ones_are_left_alone(line):
    assert explain(line, "node") is None
    assert explain(line, "plane") is None


def test_the_answer_says_whose_line_it_rests_on():
    told = load("node-triage").explains("[ERROR Port-10250]: Port 10250 is in use")
    assert told.header == (("", "from kubeadm's words alone"),)
