"""The kubelet's words, the API server's dial, and the one heartbeat that counts."""

import pytest

from kubetriage.found import Lookup, State
from kubetriage.readers.kubelet_contact import Beat, grace_period, read_contact, write_order
from kubetriage.rules.node.kubelet_probe import read_dial
from kubetriage.rules.node.self_report import parse_self_report
from support.nodes import LOST, lease, lost, node
from support.objects import NOW

DOWN = "container runtime is down"
PLEG = "PLEG is not healthy: pleg was last seen active 3m2.1s ago; threshold is 3m0s"
NEVER = ("Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status.")
CNI = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)


@pytest.mark.parametrize(
    ("message", "kinds"),
    [
        (DOWN, ["runtime-down"]),
        (PLEG, ["runtime-slow"]),
        (CNI, ["network"]),
        (f"[{DOWN}, {PLEG}, {CNI}]", ["runtime-down", "runtime-slow", "network"]),
        (f"[{CNI}, CSINode is not yet initialized]", ["network", "csi"]),
        ("container runtime not ready: RuntimeReady=false reason:X message:a, b, c", ["runtime-down"]),
        ("container runtime status check may not have completed yet", ["runtime-down"]),
        ("PLEG is not healthy: pleg has yet to be successful", ["starting"]),
        (
            "EventedPLEG is not healthy: EventedPLEG: pleg event channel capacity is full with 1000 events",
            ["runtime-slow"],
        ),
        ("[network state unknown, node is shutting down]", ["network", "shutdown"]),
        ("missing node capacity for resources: cpu, memory, ephemeral-storage", ["capacity"]),
        (f"{DOWN}. WARNING: cpu manager: x, y", ["runtime-down"]),
        ("failed to initialize CSINode: timed out waiting for the condition", ["csi"]),
        ("something new of 1.40, with a comma", ["other"]),
        ("", []),
    ],
)
def test_the_self_report_is_split_by_its_grammar(message: str, kinds: list[str]):
    assert [r.kind for r in parse_self_report(message)] == kinds


DIAL = "error trying to reach service: dial tcp 10.0.0.1:10250: "


@pytest.mark.parametrize(
    ("words", "status", "kind"),
    [
        ("ok", 200, "answers"),
        (DIAL + "connect: connection refused", 503, "refused"),
        (DIAL + "i/o timeout", 503, "timeout"),
        ("error trying to reach service: context deadline exceeded", 503, "timeout"),
        (DIAL + "connect: no route to host", 503, "no-route"),
        ("error trying to reach service: remote error: tls: internal error", 503, "tls"),
        ("error trying to reach service: x509: certificate has expired or is not yet valid", 503, "tls"),
        ("Unauthorized", 401, "rejected"),
        ("Forbidden (user=kube-apiserver, verb=get, resource=nodes, subresource=proxy)", 403, "rejected"),
        ('nodes "n1" is forbidden: User "jo" cannot get resource "nodes/proxy"', 403, "forbidden"),
        ("No agent available", 503, "tunnel"),
        ("error dialing backend: No agent available", 500, "tunnel"),
        ("error dialing backend: dial tcp 10.0.0.1:10250: i/o timeout", 503, "tunnel"),
        ("healthz check failed", 500, "error"),
    ],
)
def test_the_dial_is_classified(words: str, status: int, kind: str):
    assert read_dial(words, status) == kind


@pytest.mark.parametrize(
    ("version", "seconds"), [((1, 28), 40), ((1, 31), 40), ((1, 32), 50), ((1, 37), 50), (None, 50)]
)
def test_the_grace_period_follows_the_version(version, seconds):
    assert grace_period(version).total_seconds() == seconds


def contact(raw, renewed, others=(), version=(1, 36), rv=None):
    own = lease("n1", renewed, rv=rv) if renewed is not None else None
    found = Lookup(State.FOUND, own) if own else Lookup(State.ABSENT)
    return read_contact(raw, found, write_order([*([own] if own else []), *others]), NOW, version)


@pytest.mark.parametrize(
    ("renewed", "version", "beat"),
    [
        (-9, (1, 36), Beat.FRESH),
        (-21, (1, 36), Beat.LATE),
        (-45, (1, 36), Beat.LATE),
        (-45, (1, 31), Beat.STALE),
        (-51, (1, 36), Beat.STALE),
        (None, (1, 36), Beat.ABSENT),
    ],
)
def test_the_lease_is_judged_by_its_age_against_the_grace_period(renewed, version, beat):
    assert contact(node(), renewed, version=version).beat is beat


def test_an_old_status_heartbeat_is_no_sign_of_loss():
    raw = node()
    raw["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-11-24T11:52:40Z"
    assert not contact(raw, -8).silent


def test_a_clock_that_is_ahead_hides_no_loss():
    # Died 150 s ago with a clock 120 s ahead: renewed "30 s ago", marked 98 s ago, written before the mark.
    raw = node("n1", LOST, changed=-98, rv=5000)
    got = contact(raw, -30, rv=4000)
    assert got.lost
    assert got.skew is not None
    assert 60 < got.skew.total_seconds() < 80


def test_a_clock_that_is_ahead_makes_no_loss():
    got = contact(node(), 120)
    assert not got.silent
    assert got.skew is not None
    assert got.skew.total_seconds() == 120


def test_a_clock_that_is_behind_makes_no_loss():
    others = [lease(f"n{i}", -6) for i in range(2, 6)]
    got = contact(node(), -120, others, rv=9999)
    assert got.beat is Beat.FRESH
    assert not got.silent
    assert got.skew is not None
    assert got.skew.total_seconds() == -120


def test_one_lying_lease_does_not_prove_a_clock_wrong():
    others = [lease("n2", -3, rv=10), *[lease(f"n{i}", -6) for i in range(3, 6)]]
    assert contact(node(), -120, others, rv=8800).beat is Beat.STALE


def test_a_renewal_after_the_mark_is_contact_again():
    raw = lost()
    assert contact(raw, -4, rv=6000).unmoving
    assert contact(raw, -90, rv=4000).lost


def test_a_label_written_after_the_renewal_hides_no_contact():
    raw = node("n1", LOST, changed=-300, rv=9000)
    assert contact(raw, -4, rv=8000).unmoving


@pytest.mark.parametrize("raw", [node(ready=()), node(ready=NEVER)])
def test_a_node_without_any_status_never_joined(raw):
    got = contact(raw, None)
    assert got.never
    assert not got.lost
