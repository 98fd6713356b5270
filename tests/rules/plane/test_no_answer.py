"""The API server gives no answer: at which step the contact ended, and what to look at."""

from __future__ import annotations

import subprocess

import pytest

from kubetriage.model import Actor, Severity
from kubetriage.rules.plane.no_answer import no_answer
from kubetriage.values.commands import is_plain

REFUSED = "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?"
UNABLE = "Unable to connect to the server: "


@pytest.mark.parametrize(
    ("error", "step", "told"),
    [
        (REFUSED, "port", "nothing listens on this port"),
        (UNABLE + "dial tcp 10.0.0.1:6443: i/o timeout", "answer", "no answer came in time"),
        (UNABLE + "net/http: request canceled (Client.Timeout exceeded while awaiting headers)", "answer", "in time"),
        (UNABLE + "dial tcp: lookup api.example: no such host", "name", "does not resolve"),
        (
            UNABLE + "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: x",
            "certificate",
            "has ended",
        ),
        (
            UNABLE + "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "certificate",
            "not signed by the CA",
        ),
        (
            UNABLE + "tls: failed to verify certificate: x509: certificate is not valid for 10.0.0.1",
            "certificate",
            "does not have this name",
        ),
        ("error: You must be logged in to the server (Unauthorized)", "credentials", "refuses the credentials"),
        (UNABLE + "http: server gave HTTP response to HTTPS client", "TLS", "plain HTTP"),
        (UNABLE + "dial tcp 10.0.0.1:6443: connect: no route to host", "network", "no way leads"),
        (UNABLE + "EOF", "answer", "closed without an answer"),
        ("error: the answer is not JSON: perhaps a proxy or a login page answered", "answer", "somebody else"),
        (UNABLE + "something new", "unknown", "do not say at which step"),
    ],
)
def test_the_step_at_which_the_contact_ended(error, step, told):
    finding = no_answer(error, "10.0.0.1", "6443")
    assert finding.cause == "ApiServerUnready"
    assert finding.severity is Severity.ERROR
    assert finding.details["step"] == step
    assert told in finding.message
    assert finding.evidence[0].value == error
    assert finding.fix
    for fix in finding.fix:
        assert fix.actor is not None
        assert fix.commands
        assert all(map(is_plain, fix.commands))


def test_a_managed_control_plane_is_asked_of_its_provider_and_has_no_host_to_log_in_to():
    host = "c-1a2b.hcp.westeurope.azmk8s.io"
    finding = no_answer(UNABLE + f"dial tcp: lookup {host}: no such host", host, "443")
    assert finding.fix[0].actor is Actor.CLOUD
    assert any("az aks start" in c for c in finding.fix[0].commands)
    refused = no_answer(REFUSED, host, "443")
    assert not any("crictl" in c for f in refused.fix for c in f.commands)


def test_no_command_prints_a_key_of_the_kubeconfig():
    for error in (UNABLE + "x509: certificate signed by unknown authority", "Unauthorized"):
        for fix in no_answer(error, "h", "443").fix:
            assert not any("--raw" in c and "jsonpath" not in c for c in fix.commands)
            assert not any("key-data" in c or "token" in c for c in fix.commands)


def test_a_shell_accepts_every_command():
    for error in (REFUSED, UNABLE + "i/o timeout", UNABLE + "x509: certificate has expired", "Unauthorized", "EOF"):
        for fix in no_answer(error, "a;b$(id)", "6443").fix:
            for command in fix.commands:
                assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
