"""plane-trace against an API server over HTTP: dying clusters, denied reads, clocks."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from datetime import timedelta

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.live import LiveReader
from kubetriage.plugins import Request, load
from kubetriage.values.times import format_time
from support.clock import ENOUGH, HANGS, SOON, least
from support.fake_api import Answer, FakeApi
from support.live import open_session
from support.offline import CAPTURES
from support.plane import NOW, Plane, micro


@pytest.fixture
def serve():
    with ExitStack() as stack:
        yield lambda capture="", **kwargs: stack.enter_context(
            FakeApi(CAPTURES / capture if capture else None, **kwargs)
        )


@pytest.fixture
def ask(tmp_path):
    """Ask plane-trace; the second samples come at once."""

    def answer(api, deadline=10.0, interval=0.1, **options):
        reader = LiveReader(open_session(api, tmp_path, request_timeout=ENOUGH), deadline=deadline, interval=interval)
        _, got = collect(load("plane-trace"), Request(options=options), reader)
        assert not got.errors
        return got.diagnoses[0]

    return answer


def link(got, name):
    return next(x for x in got.extra["links"] if x["link"] == name)


def plane(api, leader_age=1.0, node_age=3.0, nodes=3, skew=0.0):
    """Give an API server nodes and leases; ``skew`` sets the clock of the first node ahead."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_time(NOW - timedelta(hours=1))}
    for n in range(nodes):
        name = f"node-{n}"
        api.add({"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [ready]}})
        age = node_age - (skew if n == 0 else 0.0)
        spec = {"holderIdentity": name, "renewTime": micro(NOW - timedelta(seconds=age))}
        api.add({"kind": "Lease", "metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": spec})
    for name in ("kube-controller-manager", "kube-scheduler"):
        spec = {"holderIdentity": "cp-1_x", "renewTime": micro(NOW - timedelta(seconds=leader_age))}
        api.add({"kind": "Lease", "metadata": {"name": name, "namespace": "kube-system"}, "spec": spec})
    text = "text/plain; charset=utf-8"
    ok = b"[+]ping ok\n[+]etcd ok\nlivez check passed\n"
    api.raw["/livez?verbose"] = api.raw["/readyz?verbose"] = [Answer(200, ok, text)]
    api.raw["/metrics"] = [Answer(200, "\n".join(Plane.api_lines()).encode(), text)]


@pytest.mark.parametrize("capture", ["cp-healthy", "cp-etcd-disk-stall", "cp-controllers-down"])
def test_live_reads_reach_the_verdict_of_the_dump(serve, ask, capture):
    truth = json.loads((CAPTURES / capture / "truth.json").read_text())
    assert ask(serve(capture), interval=0.3).cause == truth["cause"]


def test_livez_500_is_read_with_its_body(serve, ask):
    got = ask(serve("cp-etcd-disk-stall"), interval=0.3)
    finding = next(f for f in got.findings if f.cause == "ApiServerUnready")
    assert finding.details["checks"] == ["etcd"]
    assert any("context deadline exceeded" in e.value for e in finding.evidence)


def test_fresh_leases_are_silent(serve, ask):
    api = serve(clock=NOW)
    plane(api)
    got = ask(api)
    assert got.findings == ()
    assert link(got, "controller-manager")["state"] == "ok"


def test_stale_leases_with_all_nodes_ready_mean_that_writes_fail(serve, ask):
    api = serve(clock=NOW)
    plane(api, leader_age=90, node_age=95)
    got = ask(api)
    assert got.cause == "ApiServerUnready"
    assert got.findings[0].confidence.value == "confirmed"
    assert link(got, "kubelets' contact")["state"] == "frozen"
    assert api.asked("/leases/kube-controller-manager")


def test_a_hanging_quorum_read_says_that_etcd_does_not_answer(serve, ask):
    api = serve(clock=NOW)
    plane(api, leader_age=90, node_age=95)
    api.fault("/leases/kube-controller-manager", delay=HANGS)
    begun = time.monotonic()
    got = ask(api, deadline=ENOUGH)
    assert time.monotonic() - begun < SOON
    assert got.cause == "EtcdDown"
    assert "does not answer" in got.findings[0].message


def test_clock_of_a_node_that_runs_ahead(serve, ask):
    api = serve(clock=NOW)
    plane(api, skew=120.0)
    got = ask(api)
    assert got.findings == ()
    assert "clock" in link(got, "kubelets' contact")["evidence"]


def test_our_own_clock_does_not_matter(serve, ask):
    """Ages are taken against the Date of the answers, which here is years before ours."""
    api = serve(clock=NOW - timedelta(days=1))
    plane(api)
    for lease in api.store["leases"].values():
        lease["spec"]["renewTime"] = micro(NOW - timedelta(days=1, seconds=2))
    assert ask(api).findings == ()


def test_hung_reads_cost_their_own_time_only(serve, ask):
    """Lists, events and metrics hang; what answers is judged, what does not is named."""
    api = serve("cp-etcd-disk-stall")
    api.fault(r"/events|/pods/[^/]*/log|/proxy/metrics", delay=HANGS)
    begun = time.monotonic()
    got = ask(api, deadline=ENOUGH, interval=0.2)
    assert time.monotonic() - begun < SOON
    assert got.findings
    assert got.cause in ("EtcdSlowDisk", "EtcdQuorumLost")
    assert any("etcd member" in gap.what for gap in got.not_seen)
    assert any("events" in gap.what for gap in got.not_seen)


def test_hanging_logs_and_events_do_not_cost_the_second_samples(serve, ask):
    api = serve("cp-etcd-disk-stall")
    api.fault(r"/events|/pods/[^/]*/log", delay=HANGS)
    got = ask(api, deadline=ENOUGH, interval=0.3)
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdSlowDisk", "confirmed")
    assert {e.source for e in got.findings[0].evidence} == {"metric"}
    assert any("log of etcd member" in gap.what for gap in got.not_seen)


def test_everything_hangs_but_livez(serve, ask):
    api = serve("cp-etcd-disk-stall")
    api.fault(r"^/(api|metrics|version|debug)", delay=HANGS)
    begun = time.monotonic()
    got = ask(api, deadline=ENOUGH)
    assert time.monotonic() - begun < SOON
    assert got.cause == "ApiServerUnready"
    assert link(got, "etcd disk")["state"] == "not seen"
    assert link(got, "controller-manager")["state"] == "not seen"


def test_nothing_but_leases_allowed(serve, ask):
    api = serve("cp-controllers-down")
    api.deny("pods", "pods/log", "pods/proxy", "nodes", "events", "/metrics", "/livez", "/readyz", "/debug/*")
    api.fault(r"^/(metrics|livez|readyz|debug|api/v1)", status=403, reason="Forbidden", message="forbidden")
    got = ask(api)
    assert got.cause == "ControllersDown"
    for name in ("etcd disk", "etcd space", "API server load"):
        assert link(got, name)["state"] == "not seen"
    assert any("metrics" in gap.what for gap in got.not_seen)


def test_lists_come_from_the_watch_cache_and_metrics_are_read_twice(serve, ask):
    api = serve("cp-controllers-down")
    ask(api, interval=0.3)
    for resource in ("nodes", "leases", "pods"):
        lists = api.asked(f"/{resource}$")
        assert lists
        assert all(r.query.get("resourceVersion") == "0" for r in lists)
    assert len(api.asked("^/metrics$")) == 2
    assert len(api.asked("etcd-cp-1:2381/proxy/metrics$")) == 2
    assert {r.method for r in api.requests} == {"GET"}


def test_no_port_forward_unless_asked(serve, ask):
    api = serve("cp-healthy")
    for (_, name), pod in api.store["pods"].items():
        if name.startswith("etcd"):
            pod["spec"]["containers"][0]["command"] = ["etcd", "--listen-metrics-urls=http://127.0.0.1:2381"]
    got = ask(api)
    assert not api.asked("portforward|exec")
    assert any("--etcd" in gap.why for gap in got.not_seen)


@pytest.mark.slow
def test_streaming_three_megabytes_is_cheap(serve, tmp_path):
    """CPU of streaming 2.8 MB over HTTP, that of the server in the same process included."""
    from kubetriage.rules.plane.api_server import METRICS

    api = serve("cp-healthy")

    def spent() -> float:
        reader = LiveReader(open_session(api, tmp_path), interval=0.1)
        snapshot = reader.open()
        begun = time.process_time()
        reader.fetch([METRICS[0]], snapshot)
        took = time.process_time() - begun
        body = snapshot.body("/metrics")
        assert body is not None
        assert len(body.text) < 200_000
        return took

    assert least(spent, 0.3) < 0.3


def test_waiting_for_the_second_sample_is_told(serve, tmp_path):
    api = serve(clock=NOW)
    plane(api)
    told: list[tuple[str, int, int | None]] = []
    reader = LiveReader(
        open_session(api, tmp_path), interval=1.5, progress=lambda what, come, total: told.append((what, come, total))
    )
    collect(load("plane-trace"), Request(), reader)
    waits = [(come, total) for what, come, total in told if "second sample" in what]
    assert waits
    assert all(0 <= come <= 2 == total for come, total in waits)


def test_etcd_on_loopback_is_read_by_port_forward_when_asked(serve, ask):
    api = serve("cp-etcd-disk-stall")
    stalled = Plane()
    stalled.fsyncs = dict.fromkeys(stalled.members, [1.3] * 20)
    reads: dict[str, int] = {}

    def listen(member, i):
        def respond(connection):
            connection.recv(4096)
            sample = reads[member] = reads.get(member, -1) + 1
            body = "\n".join(stalled.member_lines(member, i, min(sample, 1))).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

        return respond

    for (_, name), pod in api.store["pods"].items():
        if name.startswith("etcd"):
            pod["spec"]["containers"][0]["command"] = ["etcd", "--listen-metrics-urls=http://127.0.0.1:2381"]
            pod["status"].pop("podIP", None)
            api.ports["kube-system", name, 2381] = listen(name, int(name[-1]))
    got = ask(api, etcd=True)
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdSlowDisk", "confirmed")
    assert "mean 1.3 s over 20" in got.findings[0].evidence[0].value
    assert set(reads.values()) == {1}
