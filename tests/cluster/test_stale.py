"""etcd gives no answer: what the API server remembers is read instead, quickly, and called old."""

from __future__ import annotations

import time

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster import asking
from kubetriage.needs import Get, List, Log, Raw, Why
from kubetriage.plugins import Request, Target, load
from support.clock import ENOUGH, HANGS, SOON
from support.live import Read, Serve

NS = "java-npe"
THROUGH_ETCD = r"^(?!.*resourceVersion=0)/api/v1/(namespaces/[^/]+/)?(pods|configmaps|events|nodes)"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for etcd a moment only."""
    monkeypatch.setattr(asking, "FRESH_SECONDS", ENOUGH)
    monkeypatch.setattr(asking, "STALE_SECONDS", ENOUGH)


@pytest.mark.parametrize(
    "fault",
    [
        {"delay": HANGS},
        {"status": 500, "message": "etcdserver: request timed out"},
        {"status": 503, "message": "the server was unable to return a response: context deadline exceeded"},
        {"status": 504, "message": "request did not complete within the allotted timeout"},
    ],
)
def test_the_watch_cache_answers_where_etcd_does_not(serve: Serve, read: Read, fault: dict[str, object]) -> None:
    api = serve(NS)
    api.fault(THROUGH_ETCD, **fault)
    begun = time.monotonic()
    reader = read(api)
    snapshot = reader.open()
    reader.fetch([Raw("/version"), Get("pods", NS, "api"), List("configmaps", NS)], snapshot)
    assert time.monotonic() - begun < SOON
    assert snapshot.get("pods", NS, "api").found
    assert snapshot.list("configmaps", NS).complete
    assert snapshot.stale
    assert not [n for n, _ in snapshot.unseen([Get("pods", NS, "api")])]


def test_once_etcd_was_silent_nothing_waits_for_it_again(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault(THROUGH_ETCD, delay=HANGS)
    reader = read(api)
    snapshot = reader.open()
    reader.fetch([Get("pods", NS, "api")], snapshot)
    asked = len(api.requests)
    reader.fetch([List("configmaps", NS), Get("nodes", "", "node-1")], snapshot)
    assert [r.path for r in api.requests[asked:] if r.query.get("resourceVersion") != "0"] == []


def test_an_object_that_the_watch_cache_does_not_know_is_absent_within_seconds(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault(THROUGH_ETCD, delay=20.0)
    reader = read(api)
    snapshot = reader.open()
    begun = time.monotonic()
    reader.fetch([Get("pods", NS, "api"), Get("configmaps", NS, "nowhere")], snapshot)
    assert time.monotonic() - begun < 6
    assert snapshot.get("configmaps", NS, "nowhere").absent
    assert snapshot.stale


def test_what_was_asked_for_before_is_not_waited_for_either(serve: Serve, read: Read) -> None:
    """Logs and events have no watch cache; those begun beside the pod get no more time than those begun after it."""
    api = serve(NS)
    api.fault(THROUGH_ETCD, delay=HANGS)
    reader = read(api)
    snapshot = reader.open()
    beside = [List("events", NS), Log(NS, "api", "app")]
    begun = time.monotonic()
    reader.expect(beside, snapshot)
    reader.fetch([Get("pods", NS, "api"), *beside], snapshot)
    assert time.monotonic() - begun < SOON
    assert snapshot.get("pods", NS, "api").found
    assert [f.why for n in beside if (f := snapshot.failure(n))] == [Why.TIMEOUT, Why.TIMEOUT]


@pytest.mark.parametrize(("status", "message"), [(403, "forbidden"), (500, "internal error")])
def test_other_refusals_are_no_word_about_etcd(serve: Serve, read: Read, status: int, message: str) -> None:
    api = serve(NS)
    api.fault(r"/pods", status=status, message=message)
    reader = read(api)
    snapshot = reader.open()
    reader.fetch([Get("pods", NS, "api")], snapshot)
    assert not snapshot.stale
    assert not any("resourceVersion" in r.query for r in api.requests)


def test_a_server_that_is_slow_altogether_gets_its_time(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault(r"/pods", delay=0.8)
    reader = read(api)
    snapshot = reader.open()
    reader.fetch([Get("pods", NS, "api")], snapshot)
    assert snapshot.get("pods", NS, "api").found
    assert not snapshot.stale


def test_an_answer_from_memory_says_so_and_is_not_healthy(serve: Serve, read: Read) -> None:
    api = serve("healthy")
    api.fault(THROUGH_ETCD, status=500, message="etcdserver: leader changed")
    request = Request(targets=(Target("pods", "api"),), namespace="healthy", options={"max_logs": 50})
    _, answer = collect(load("why-crash"), request, read(api))
    told = answer.diagnoses[0]
    assert not told.healthy
    assert told.cause == "Unknown"
    assert "watch cache" in told.not_seen[0].what
    assert "kubectl plane-trace" in told.not_seen[0].why
