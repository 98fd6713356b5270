"""Readers of etcd, its logs, the API server's log and health, and how figures are written."""

import json
import math
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.needs import Body, Dial, Failure, Log, Raw, Why
from kubetriage.readers.prometheus import Histogram
from kubetriage.rules.plane import api_server, component_log, etcd_log, etcd_members
from kubetriage.rules.plane.figure_format import distribution, names, span
from kubetriage.rules.plane.thresholds import LIMITS, Limit, written
from kubetriage.snapshot import Snapshot
from support.plane import NOW, ago, zap


def pod(*command, env=(), labels=None):
    return {
        "metadata": {"name": "etcd-a", "namespace": "kube-system", "labels": labels or {"component": "etcd"}},
        "spec": {"containers": [{"name": "etcd", "command": list(command), "env": list(env)}]},
    }


@pytest.mark.parametrize(
    ("command", "address"),
    [
        (["etcd", "--listen-metrics-urls=http://127.0.0.1:2381"], (2381, False, False)),
        (["etcd", "--listen-metrics-urls", "http://10.0.0.1:2381"], (2381, False, True)),
        (["etcd", "--listen-metrics-urls=http://127.0.0.1:2381,https://10.0.0.1:9978"], (9978, True, True)),
        (["etcd", "--listen-metrics-urls=http://[::1]:2381"], (2381, False, False)),
        (["etcd", "--listen-metrics-urls=http://[fd00::1]:2381"], (2381, False, True)),
        (["etcd", "--listen-metrics-urls=http://localhost:2381"], (2381, False, False)),
        (["etcd", "--listen-metrics-urls=http://0.0.0.0:2381"], (2381, False, True)),
        (["etcd", "--listen-metrics-urls=http://host.example:2381"], (2381, False, True)),
        (["etcd", "--listen-metrics-urls=unix:///x"], None),
        (["etcd"], None),
    ],
)
def test_metrics_address(command, address):
    got = etcd_members.metrics_address(pod(*command))
    assert (got and (got.port, got.tls, got.routable)) == address


def test_metrics_address_from_the_environment():
    got = etcd_members.metrics_address(
        pod("etcd", env=[{"name": "ETCD_LISTEN_METRICS_URLS", "value": "https://0.0.0.0:9978"}])
    )
    assert got == etcd_members.Address(9978, True, True)


def test_way_to_the_metrics():
    routable = pod("etcd", "--listen-metrics-urls=https://10.0.0.1:9978")
    assert etcd_members.metrics_need(routable, 1, False) == Raw(
        "/api/v1/namespaces/kube-system/pods/https:etcd-a:9978/proxy/metrics", 1
    )
    loopback = pod("etcd", "--listen-metrics-urls=http://127.0.0.1:2381")
    assert etcd_members.metrics_need(loopback, 0, False) is None
    assert etcd_members.metrics_need(loopback, 1, True) == Dial("kube-system", "etcd-a", 2381, "/metrics", False, 1)
    assert etcd_members.metrics_need(pod("etcd"), 0, True) == Dial("kube-system", "etcd-a", 2381, "/metrics")


@pytest.mark.parametrize(
    ("labels", "member"),
    [
        ({"component": "etcd"}, True),
        ({"app": "etcd", "k8s-app": "etcd"}, True),
        ({"k8s-app": "etcd-manager-main"}, True),
        ({"k8s-app": "etcd-manager-events"}, False),
        ({"k8s-app": "kube-dns"}, False),
        ({"app": "etcd-backup"}, False),
    ],
)
def test_who_is_a_member(labels, member):
    assert etcd_members.is_etcd(pod("etcd", labels=labels)) == member


def test_log_of_json_and_console_lines_say_the_same():
    fields = {"took": "1.302s", "expected-duration": "1s"}
    console = f"2026-01-02T11:59:00.000Z\twarn\twal/wal.go:805\tslow fdatasync\t{json.dumps(fields)}"
    written_as_json = etcd_log.read_log(zap(ago(60), "slow fdatasync", **fields), NOW)
    assert etcd_log.read_log(console, NOW).slow_fsyncs == written_as_json.slow_fsyncs
    assert written_as_json.slow_fsyncs[0].seconds == 1.302


def test_every_kind_of_line():
    log = etcd_log.read_log(
        "\n".join(
            [
                zap(ago(99), "starting etcd server"),
                zap(ago(90), "leader failed to send out heartbeat on time; took too long, leader is overloaded"),
                zap(ago(80), "raft.node: 43c6 lost leader 43c6 at term 5"),
                zap(ago(79), "43c6 is starting a new election at term 5"),
                zap(ago(78), "43c6 no leader at term 6; dropping index reading msg"),
                zap(ago(77), "raft.node: 43c6 elected leader ddd6 at term 7"),
                zap(ago(76), "raft.node: 43c6 changed leader from ddd6 to 1e53 at term 8"),
                zap(
                    ago(70),
                    "prober detected unhealthy status",
                    error="dial tcp: connection refused",
                    **{"remote-peer-id": "1e"},
                ),
                zap(ago(60), "prober found high clock drift", **{"clock-drift": "3.2s"}),
                zap(ago(50), "alarm raised", alarm="NOSPACE"),
                zap(ago(49), "x", error="etcdserver: mvcc: database space exceeded"),
                zap(ago(40), "apply request took too long", took="120ms"),
                zap(ago(30), "closed etcd server"),
                "{broken",
                '{"ts":5,"msg":[]}',
                "plain text",
                "",
            ]
        ),
        NOW,
    )
    assert (len(log.elected), len(log.lost), len(log.leaderless)) == (2, 1, 2)
    assert log.late_heartbeats == (ago(90),)
    assert log.refused_peers == ((ago(70), "1e", "dial tcp: connection refused"),)
    assert log.clock_drift == ((ago(60), "3.2s"),)
    assert log.alarms == ((ago(50), "NOSPACE", True),)
    assert log.no_space == (ago(49),)
    assert len(log.slow_applies) == 1
    assert log.closed == ago(30)
    assert (log.first, log.last) == (ago(99), ago(30))


def test_a_member_that_started_again_is_not_closed():
    log = etcd_log.read_log(zap(ago(30), "closed etcd server") + "\n" + zap(ago(20), "starting etcd server"), NOW)
    assert log.closed is None


@settings(max_examples=80)
@given(st.text())
def test_logs_never_raise(content):
    etcd_log.read_log(content, NOW)
    snapshot = Snapshot(NOW)
    snapshot.add_log(Log("kube-system", "kube-apiserver", "kube-apiserver"), content)
    component_log.read_component_logs(snapshot, ())
    snapshot.add_body(api_server.LIVEZ, Body(content, 500))
    api_server.read_health(snapshot, api_server.LIVEZ)


def remarks(line, now=NOW):
    snapshot = Snapshot(now)
    snapshot.add_log(Log("kube-system", "kube-apiserver", "kube-apiserver"), line)
    return tuple(r for log in component_log.read_component_logs(snapshot, ()) for r in log.remarks)


def test_year_of_a_klog_line_is_the_readers():
    january = datetime(2026, 1, 1, 0, 0, 30, tzinfo=timezone.utc)
    (got,) = remarks('E1231 23:59:59.1   1 x.go:1] "etcdserver: mvcc: database space exceeded"', january)
    assert got.at == datetime(2025, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
    assert remarks('E0230 23:59:59.1   1 x.go:1] "etcdserver: mvcc: database space exceeded"') == ()
    assert remarks("no header: etcdserver: mvcc: database space exceeded") == ()


def health(body):
    snapshot = Snapshot(NOW)
    if isinstance(body, Failure):
        snapshot.fail(api_server.LIVEZ, body)
    elif body is not None:
        snapshot.add_body(api_server.LIVEZ, body)
    return api_server.read_health(snapshot, api_server.LIVEZ)


def test_health():
    lines = ["[+]ping ok", "[-]etcd failed: reason withheld", "[+]kms excluded: ok"]
    body = "\n".join([*lines, "[-]etcd-readiness failed: reason withheld", "livez check failed"])
    got = health(Body(body, 500, 2.0))
    assert got.failed == (("etcd", "reason withheld"), ("etcd-readiness", "reason withheld"))
    assert (got.passed, got.ok, got.fails("etcd")) == (2, False, True)
    assert health(Body("ok", 200)).ok
    assert not health(Body("", 503)).ok
    assert not health(Body("", 403)).seen
    assert not health(None).seen
    assert health(Failure(Why.TIMEOUT)).hung
    assert not health(Failure(Why.FORBIDDEN)).seen


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0005, "500 us"), (0.012, "12 ms"), (0.7005, "700 ms"), (1.3029, "1.3 s"), (26, "26 s")]
)
def test_span(seconds, words):
    assert span(seconds) == words


def test_distribution():
    few = Histogram(((0.5, 18.0), (math.inf, 20.0)), 10.0, 20.0)
    assert distribution(few, 0.5) == "mean 500 ms over 20, 2 of 20 longer than 500 ms"
    assert distribution(few, 9.0) == "mean 500 ms over 20"
    many = Histogram(((0.5, 0.0), (math.inf, 200.0)), 400.0, 200.0)
    assert distribution(many, 0.5) == "mean 2 s over 200, p99 above 500 ms"
    assert distribution(Histogram((), 400.0, 200.0), 0.5) == "mean 2 s over 200"
    assert distribution(Histogram((), 0.0, 0.0), 0.5) == "none in the window"


def test_names_of_many():
    assert names(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_thresholds_are_written_as_their_flags_take_them():
    from kubetriage.cli.options import DURATION

    for _, default, limit in LIMITS:
        words = written(default, limit)
        assert (DURATION.convert(words, None, None) if limit.unit == "duration" else float(words)) == pytest.approx(
            default
        )
    assert written(90.0, Limit("duration", "", "")) == "90s"


def test_a_member_that_was_removed_says_so_at_a_low_level():
    row = zap(ago(5), "the member has been permanently removed from the cluster")
    assert etcd_log.read_log(row, NOW).fatal[0][1].startswith("the member has been permanently removed")
