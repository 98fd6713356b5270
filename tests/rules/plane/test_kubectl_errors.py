"""Error lines of kubectl and Helm that are about the control plane: the cause, and the look or the act that ends it."""

from __future__ import annotations

import pytest

from kubetriage.model import Confidence
from kubetriage.rules.plane.kubectl_errors import explain
from kubetriage.values.commands import is_plain

HOOK = 'Error from server (InternalError): Internal error occurred: failed calling webhook "check.example.io": '
CALL = HOOK + 'failed to call webhook: Post "https://hook.guard.svc:443/validate?timeout=10s": '
SURE, LIKELY, POSSIBLE = Confidence.CONFIRMED, Confidence.LIKELY, Confidence.POSSIBLE


@pytest.mark.parametrize(
    ("line", "cause", "confidence", "told"),
    [
        (CALL + "context deadline exceeded", "WebhookBlocking", SURE, "open the API server's way"),
        (CALL + "dial tcp 10.1.2.3:8443: i/o timeout", "WebhookBlocking", SURE, "open the API server's way"),
        (CALL + 'no endpoints available for service "hook"', "WebhookBlocking", SURE, "Bring up the pods"),
        (CALL + "x509: certificate signed by unknown authority", "WebhookBlocking", SURE, "caBundle"),
        (CALL + "dial tcp 10.1.2.3:443: connect: connection refused", "WebhookBlocking", SURE, "targetPort"),
        (HOOK + 'service "hook" not found', "WebhookBlocking", SURE, "left over"),
        (
            "Error from server: conversion webhook for example.io/v1, Kind=Thing failed: Post "
            '"https://hook.guard.svc:443/convert?timeout=30s": no endpoints available for service "hook"',
            "WebhookBlocking",
            SURE,
            "Bring up the pods",
        ),
        ("Error from server: etcdserver: mvcc: database space exceeded", "EtcdNoSpace", SURE, "disarm the alarm"),
        ("Error from server: etcdserver: no leader", "EtcdQuorumLost", SURE, "which members answer"),
        ("Error from server: etcdserver: leader changed", "EtcdLeaderFlapping", POSSIBLE, "Repeat the request"),
        ("Error from server: etcdserver: request timed out", "EtcdSlowDisk", POSSIBLE, "lost quorum"),
        (
            "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get "
            "pods.metrics.k8s.io)",
            "APIServiceUnavailable",
            SURE,
            "metrics-server",
        ),
        (
            "error: unable to retrieve the complete list of server APIs: things.example.io/v1beta1: the server is "
            "currently unable to handle the request",
            "APIServiceUnavailable",
            SURE,
            "what serves it",
        ),
        (
            "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
            "ApiServerUnready",
            LIKELY,
            "its own checks",
        ),
        ("error: Metrics API not available", "APIServiceUnavailable", SURE, "Install metrics-server"),
        (
            "Error from server (TooManyRequests): the server has received too many requests and has asked us to try "
            "again later",
            "ApiServerOverloaded",
            LIKELY,
            "which level is full",
        ),
        (
            "Error from server (Timeout): the server was unable to return a response in the time allotted, but may "
            "still be processing the request (get pods)",
            "ApiServerOverloaded",
            POSSIBLE,
            "its own checks first",
        ),
        (
            'Error: UPGRADE FAILED: Kubernetes cluster unreachable: Get "https://api.shop:6443/version": dial tcp: '
            "lookup api.shop: no such host",
            "ApiServerUnready",
            SURE,
            "Make api.shop resolve",
        ),
        ("error: You must be logged in to the server (Unauthorized)", "ApiServerUnready", SURE, "Log in again"),
        (
            "Unable to connect to the server: net/http: TLS handshake timeout",
            "ApiServerUnready",
            SURE,
            "nc -vz -w 5 SERVER",
        ),
    ],
)
def test_a_line_names_the_cause_and_what_ends_it(line, cause, confidence, told):
    found = explain(line)
    assert (found.cause, found.confidence) == (cause, confidence)
    advice = " ".join(part for fix in found.fix for part in (fix.text, *fix.commands))
    assert told in advice
    assert found.evidence[0].value == line
    for command in (*found.verify, *(c for fix in found.fix for c in fix.commands)):
        assert is_plain(command), command


def test_the_service_of_a_webhook_is_the_object():
    found = explain(CALL + "context deadline exceeded")
    assert (found.object.kind, found.object.namespace, found.object.name) == ("Service", "guard", "hook")


@pytest.mark.parametrize(
    ("line", "host", "port"),
    [
        (
            "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
            "10.0.0.1",
            "6443",
        ),
        (
            "The connection to the server [fd00::1]:6443 was refused - did you specify the right host or port?",
            "fd00::1",
            "6443",
        ),
        (
            'Unable to connect to the server: Get "https://api.shop/api?timeout=32s": dial tcp 10.9.9.9:443: EOF',
            "api.shop",
            "",
        ),
        ("Unable to connect to the server: dial tcp: lookup api.shop on 10.0.0.2:53: no such host", "api.shop", ""),
        ("Unable to connect to the server: x509: certificate is valid for a, b, not api.shop", "api.shop", ""),
    ],
)
def test_the_server_is_named_as_far_as_the_line_tells(line, host, port):
    place = f"{host}:{port}" if port else host
    assert f" at {place}: " in explain(line).message


@pytest.mark.parametrize(
    "line",
    [
        'Error from server (NotFound): pods "api" not found',
        'Error from server (Forbidden): pods is forbidden: User "dev" cannot list resource "pods" in API group ""',
        'admission webhook "check.example.io" denied the request: no owner label',
        "could not connect to server: Connection refused. Is the server running on host db and accepting TCP/IP",
        "2026-11-29T07:00:00Z ERROR request failed: context deadline exceeded",
        "read tcp 10.0.0.1:5432: unexpected EOF",
        "",
    ],
)
def test_what_is_about_something_else_is_left_alone(line):
    assert explain(line) is None
