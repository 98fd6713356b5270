"""Error lines of kubectl logs, exec and top about the way to a kubelet: what became of the dial, and what ends it."""

from __future__ import annotations

import pytest

from kubetriage.rules.node.kubectl_errors import explain
from kubetriage.values.commands import is_plain

LOGS = 'Error from server: Get "https://10.0.0.5:10250/containerLogs/shop/api-0/api": '
DIAL = "Error from server: error dialing backend: "


@pytest.mark.parametrize(
    ("line", "cause", "host", "told"),
    [
        (LOGS + "dial tcp 10.0.0.5:10250: i/o timeout", "KubeletUnreachable", "10.0.0.5", "open port 10250"),
        (
            DIAL + "dial tcp 10.0.0.5:10250: connect: no route to host",
            "KubeletUnreachable",
            "10.0.0.5",
            "open port 10250",
        ),
        (
            LOGS + "dial tcp 10.0.0.5:10250: connect: connection refused",
            "KubeletDown",
            "10.0.0.5",
            "systemctl status kubelet",
        ),
        (
            DIAL + "remote error: tls: internal error",
            "ServingCertificatePending",
            "NODE",
            "kubectl certificate approve",
        ),
        (
            LOGS + "x509: certificate signed by unknown authority",
            "KubeletUnreachable",
            "10.0.0.5",
            "serving certificate",
        ),
        (
            DIAL + "x509: cannot validate certificate for 10.0.0.5 because it doesn't contain any IP SANs",
            "KubeletUnreachable",
            "NODE",
            "serving certificate",
        ),
        (
            DIAL + "dial tcp: lookup worker-3 on 10.0.0.2:53: no such host",
            "KubeletUnreachable",
            "worker-3",
            "--kubelet-preferred-address-types",
        ),
        (DIAL + "No agent available", "KubeletUnreachable", "NODE", "konnectivity-agent"),
        (
            LOGS + "proxy error from 127.0.0.1:6443 while dialing 10.0.0.5:10250, code 502: 502 Bad Gateway",
            "KubeletUnreachable",
            "10.0.0.5",
            "restart k3s-agent",
        ),
        (DIAL + "failed to find Session for client worker-3", "KubeletUnreachable", "worker-3", "restart k3s-agent"),
        (
            "Error from server (Forbidden): Forbidden (user=apiserver, verb=get, resource=nodes, subresource=proxy) "
            "( pods/log api-0)",
            "KubeletUnreachable",
            "NODE",
            "--user=apiserver",
        ),
        (LOGS + "Unauthorized", "KubeletUnreachable", "10.0.0.5", "--kubelet-client-certificate"),
        (
            "error: failed to create fsnotify watcher: too many open files",
            "InotifyLimitReached",
            "NODE",
            "max_user_instances=8192",
        ),
    ],
)
def test_a_line_names_the_cause_and_what_ends_it(line, cause, host, told):
    found = explain(line)
    assert (found.cause, found.object.kind, found.object.name) == (cause, "Node", host)
    assert told in " ".join(part for fix in found.fix for part in (fix.text, *fix.commands))
    for command in (*found.verify, *(c for fix in found.fix for c in fix.commands)):
        assert is_plain(command), command


@pytest.mark.parametrize(
    "line",
    [
        "Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout",
        "dial tcp 10.0.0.9:5432: connect: connection refused",
        "open /data/x: too many open files",
        'Error from server (BadRequest): container "api" in pod "api-0" is waiting to start: ContainerCreating',
    ],
)
def test_what_is_about_something_else_is_left_alone(line):
    assert explain(line) is None


def test_a_silent_dial_is_not_called_a_dead_node():
    found = explain(LOGS + "dial tcp 10.0.0.5:10250: i/o timeout")
    assert found.confidence.value == "likely"
    assert "or, where it is Ready" in found.message
