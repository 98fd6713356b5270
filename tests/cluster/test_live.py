"""Reading from the fake API server."""

from __future__ import annotations

import base64
import json
import time
import tracemalloc
from typing import Any

import pytest

from kubetriage.cluster.errors import ClusterError
from kubetriage.needs import Failure, Get, List, Log, Need, Raw, Why
from kubetriage.snapshot import Snapshot
from support.clock import ENOUGH, HANGS, SOON
from support.fake_api import Answer, FakeApi
from support.live import Read, Serve

NS = "java-npe"


def fetch(reader, *needs: Need) -> Snapshot:
    snapshot = reader.open()
    reader.fetch(needs, snapshot)
    return snapshot


@pytest.mark.parametrize("tls", [False, True])
def test_reads_what_the_cluster_has(serve: Serve, read: Read, tls: bool) -> None:
    api = serve(NS, tls=tls)
    snapshot = fetch(
        read(api),
        Get("pods", NS, "api"),
        Get("pods", NS, "nope"),
        List("configmaps", NS),
        Log(NS, "api", "app", previous=True),
        Raw("/version"),
    )
    pod = snapshot.get("pods", NS, "api")
    assert pod.found
    assert pod.obj["kind"] == "Pod"
    assert snapshot.get("pods", NS, "nope").absent
    listing = snapshot.list("configmaps", NS)
    assert listing.complete
    assert all(o["kind"] == "ConfigMap" and o["apiVersion"] == "v1" for o in listing.items)
    assert len(listing.items) == len([k for k in api.store["configmaps"] if k[0] == NS]) > 0
    assert "NullPointerException" in snapshot.log(NS, "api", "app", previous=True).text
    assert snapshot.version == (1, 36)
    assert not list(snapshot.unseen([Get("pods", NS, "api"), Log(NS, "api", "app", previous=True)]))


def test_clock_is_the_api_servers(serve: Serve, read: Read) -> None:
    api = serve(NS)
    reader = read(api)
    snapshot = fetch(reader, Get("pods", NS, "api"))
    assert snapshot.now == api.clock
    assert reader.skew.total_seconds() < -60


def many(api: FakeApi, count: int = 1200, note: str = "") -> None:
    api.add(
        *(
            {
                "kind": "Pod",
                "metadata": {
                    "namespace": f"ns-{i % 3}",
                    "name": f"p-{i:05}",
                    "labels": {"app": f"a{i % 7}"},
                    "annotations": {"n": note},
                },
                "status": {"phase": "Running" if i % 10 else "Failed"},
            }
            for i in range(count)
        )
    )


def test_lists_are_paged(serve: Serve, read: Read) -> None:
    api = serve()
    many(api)
    told = []
    snapshot = fetch(read(api, progress=lambda *words: told.append(words)), List("pods"))
    assert len(snapshot.list("pods").items) == 1200
    assert [r.query.get("limit") for r in api.requests] == ["500"] * 3
    assert told == [("pods", 500, 1200), ("pods", 1000, 1200), ("pods", 1200, 1200)]


def test_selectors_reach_the_api_server(serve: Serve, read: Read) -> None:
    api = serve()
    many(api, 100)
    wanted = List("pods", "ns-1", labels="app in (a1,a2)", fields="status.phase!=Failed")
    snapshot = fetch(read(api), wanted)
    items = snapshot.list("pods", "ns-1", wanted.labels, wanted.fields).items
    assert items
    assert {o["metadata"]["labels"]["app"] for o in items} == {"a1", "a2"}
    assert {o["status"]["phase"] for o in items} == {"Running"}
    assert not snapshot.list("pods", "ns-1").complete


def test_shape_is_applied_to_each_page(serve: Serve, read: Read) -> None:
    api = serve()
    many(api)
    need = List("pods", shape=lambda o: {"metadata": o["metadata"]} if o["status"]["phase"] == "Failed" else None)
    snapshot = fetch(read(api), need)
    assert len(snapshot.list("pods").items) == 120
    assert snapshot.dropped(need) == 1080
    assert all("status" not in o for o in snapshot.list("pods").items)
    assert snapshot.get("pods", "ns-1", "p-00001").unseen


def test_cached_list_asks_the_watch_cache(serve: Serve, read: Read) -> None:
    api = serve()
    many(api)
    snapshot = fetch(read(api), List("pods", cached=True))
    assert len(snapshot.list("pods").items) == 1200
    assert [r.query for r in api.requests] == [{"resourceVersion": "0"}]


def test_expired_token_restarts_the_list(serve: Serve, read: Read) -> None:
    api = serve()
    many(api)
    api.fault("continue=", status=410, times=1)
    assert len(fetch(read(api), List("pods")).list("pods").items) == 1200
    assert [bool(r.query.get("continue")) for r in api.requests] == [False, True, False, True, True]


def test_token_that_always_expires_ends_in_one_whole_list(serve: Serve, read: Read) -> None:
    api = serve()
    many(api)
    api.fault("continue=", status=410)
    assert len(fetch(read(api), List("pods")).list("pods").items) == 1200
    assert api.requests[-1].query == {}
    assert len(api.requests) == 5


def test_older_version_is_asked_when_the_newer_is_not_served(serve: Serve, read: Read) -> None:
    api = serve("svc-healthy")
    api.versions["endpointslices"] = ("v1beta1",)
    api.versions["gateways"] = ()
    reader = read(api)
    snapshot = fetch(reader, List("endpointslices"), List("gateways"), Get("httproutes", "shop", "web"))
    listing = snapshot.list("endpointslices")
    assert listing.complete
    assert {o["apiVersion"] for o in listing.items} == {"discovery.k8s.io/v1beta1"}
    assert snapshot.list("gateways").complete
    assert snapshot.list("gateways").why == 'the server doesn\'t have a resource type "gateways"'
    assert snapshot.get("httproutes", "shop", "web").absent
    before = len(api.requests)
    reader.fetch([List("endpointslices", "shop", "a=b")], reader.open())
    assert len(api.requests) == before + 1, "the served version is remembered"


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
@pytest.mark.parametrize(
    ("status", "why", "words"),
    [
        (403, Why.FORBIDDEN, "pods is forbidden"),
        (400, Why.FAILED, "bad"),
        (500, Why.FAILED, "etcdserver: request timed out"),
        (503, Why.FAILED, "the server is currently unable to handle the request"),
        (504, Why.TIMEOUT, "Timeout: request did not complete within the allotted timeout"),
    ],
)
def test_refusals_are_failures_in_the_servers_words(
    serve: Serve, read: Read, status: int, why: Why, words: str
) -> None:
    api = serve(NS)
    api.fault("/pods", status=status, message=words)
    need = List("pods", NS)
    failure = fetch(read(api), need, Raw("/version")).failure(need)
    assert failure is not None
    assert (failure.why, failure.status) == (why, status)
    assert words in failure.message


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
@pytest.mark.parametrize("body", [b"404 page not found\n", b"<html>not here</html>", b"", b"{}"])
@pytest.mark.parametrize("need", [List("pods", NS), Get("pods", NS, "api")], ids=["list", "get"])
def test_a_server_without_the_core_api_ends_the_run(serve: Serve, read: Read, need: Need, body: bytes) -> None:
    api = serve(NS)
    api.fault("/pods", status=404, body=body)
    with pytest.raises(ClusterError) as ended:
        fetch(read(api), need, Raw("/version"))
    assert str(ended.value) == "Error from server (NotFound): the server could not find the requested resource"


def test_a_kind_of_every_server_is_unseen_where_it_is_not_served(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault("/networkpolicies", status=404, body=b"404 page not found")
    snapshot = fetch(read(api), List("networkpolicies", NS), List("gateways", NS))
    assert not snapshot.list("networkpolicies", NS).complete
    assert snapshot.list("gateways", NS).complete, "nobody installed the Gateway API"


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"kind":"SecretList","items":[]}', "the answer is a SecretList, not a PodList"),
        (b'{"kind":"PodList","items":[{"kind":"Secret"}]}', "the list holds Secret, not only Pod objects"),
        (b'{"kind":"PodList","items":["pod"]}', "the list holds what is no object, not only Pod objects"),
        (b'{"kind":"PodList","items":{}}', "the answer is not a list of the API"),
        (b'{"kind":"Pod"}', "the answer is not a list of the API"),
    ],
)
def test_a_list_of_something_else_is_no_list(serve: Serve, read: Read, body: bytes, words: str) -> None:
    api = serve(NS)
    api.fault("/pods", status=200, body=body)
    snapshot = fetch(read(api), List("pods", NS), Raw("/version"))
    listing = snapshot.list("pods", NS)
    assert (listing.complete, listing.why) == (False, words)


def test_rbac_refusal_names_who_may_not_do_what(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.deny("pods/log", "events", "nodes/proxy", "/metrics")
    needs = [
        Log(NS, "api", "app"),
        List("events", NS),
        Raw("/api/v1/nodes/node-1/proxy/stats/summary"),
        Raw("/metrics"),
    ]
    snapshot = fetch(read(api), *needs, Get("pods", NS, "api"))
    assert {snapshot.failure(n).why for n in needs} == {Why.FORBIDDEN}  # type: ignore[union-attr]
    assert str(snapshot.failure(needs[0])) == (
        f'pods "api" is forbidden: User "tester" cannot get resource "pods/log" in API group "" in the namespace "{NS}"'
    )
    assert snapshot.get("pods", NS, "api").found
    assert [n for n, _ in snapshot.unseen(needs)] == needs


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retry_after_is_honoured(serve: Serve, read: Read, status: int) -> None:
    api = serve(NS)
    api.fault("/pods/api", status=status, retry_after="0", times=2)
    assert fetch(read(api), Get("pods", NS, "api")).get("pods", NS, "api").found
    assert len(api.requests) == 3


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
@pytest.mark.parametrize("value", ["²", "1e3", "-5", "soon", "Thu, 99 Foo 2026 00:00:00 GMT", " ", "0x10"])
def test_a_retry_after_that_says_nothing_has_no_words_of_ours(serve: Serve, read: Read, value: str) -> None:
    api = serve(NS)
    api.fault("/pods/api", status=503, retry_after=value, message="busy")
    asked = Get("pods", NS, "api")
    failure = fetch(read(api, flags={"request_timeout": 2}), asked).failure(asked)
    assert failure is not None
    assert "busy" in str(failure) or "Client.Timeout" in str(failure)


def test_retry_after_beyond_the_time_limit_is_not_waited_for(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault("/pods/api", status=429, retry_after=f"{HANGS:g}", message="too many")
    begun = time.monotonic()
    failure = fetch(read(api), Get("pods", NS, "api")).failure(Get("pods", NS, "api"))
    assert time.monotonic() - begun < SOON
    assert failure == Failure(Why.FAILED, "too many", 429)
    assert len(api.requests) == 1


def test_500_without_retry_after_is_not_asked_again(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault("/pods/api", status=500)
    fetch(read(api), Get("pods", NS, "api"))
    assert len(api.requests) == 1


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
@pytest.mark.parametrize("tls", [False, True])
def test_dropped_connection_is_tried_again(serve: Serve, read: Read, tls: bool) -> None:
    api = serve(NS, tls=tls)
    api.fault("/pods/api", drop=True, times=2)
    assert fetch(read(api), Get("pods", NS, "api")).get("pods", NS, "api").found


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
def test_truncated_answer_is_tried_again(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault("/pods/api", truncate=300, times=1)
    assert fetch(read(api), Get("pods", NS, "api")).get("pods", NS, "api").found


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
@pytest.mark.parametrize(
    "fault",
    [
        {"truncate": 300},
        {"truncate": 300, "chunked": True},
        {"drop": True},
        {"body": b"<html>Please log in</html>"},
        {"body": b'{"kind": "Pod", "metadata"'},
        {"body": b"[]"},
        {"body": b"{}"},
        {"body": b'{"kind": "Pod", "metadata": {"namespace": "java-npe", "name": "another"}}'},
        {"body": b"\xff\xfe\x00"},
        {"body": b"[" * 200_000},
        {"body": b'{"metadata": {"name": ' + b"1" * 10_000 + b"}}"},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/elsewhere"}},
        {"body": b"not compressed", "headers": {"Content-Encoding": "gzip"}},
    ],
    ids=lambda f: " ".join(f"{k}={str(v)[:20]}" for k, v in f.items()),
)
@pytest.mark.parametrize("need", [Get("pods", NS, "api"), List("pods", NS)], ids=["get", "list"])
def test_broken_answers_are_gaps(serve: Serve, read: Read, fault: dict[str, Any], need: Need) -> None:
    api = serve(NS)
    api.fault("/pods", **fault)
    snapshot = fetch(read(api), need, Raw("/version"))
    failure = snapshot.failure(need)
    assert failure is not None
    assert failure.why is Why.FAILED
    assert failure.message
    assert "\n" not in failure.message
    assert [n for n, _ in snapshot.unseen([need])] == [need]


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"body": b"<html>Please log in</html>"}, "the answer is not JSON: perhaps a proxy or a login page answered"),
        (
            {"status": 502, "body": b"<html><body>Bad Gateway</body></html>"},
            "HTTP status 502, an HTML page: perhaps a proxy or load balancer answered",
        ),
        (
            {"body": b"not compressed", "headers": {"Content-Encoding": "gzip"}},
            "the body of the answer cannot be decompressed",
        ),
    ],
)
def test_answers_of_somebody_else_are_named_so(serve: Serve, read: Read, fault: dict[str, Any], words: str) -> None:
    api = serve(NS)
    api.fault("/pods", **fault)
    need = Get("pods", NS, "api")
    assert fetch(read(api), need, Raw("/version")).failure(need).message == words  # type: ignore[union-attr]


@pytest.mark.parametrize("fault", [{"compress": True}, {"chunked": True}, {"compress": True, "chunked": True}])
def test_compressed_and_chunked_answers_are_read(serve: Serve, read: Read, fault: dict[str, bool]) -> None:
    api = serve(NS)
    api.fault("/pods", **fault)
    snapshot = fetch(read(api), List("pods", NS), Log(NS, "api", "app", previous=True))
    assert len(snapshot.list("pods", NS).items) == 1
    assert "NullPointerException" in snapshot.log(NS, "api", "app", previous=True).text


def test_large_lists_travel_compressed(serve: Serve, read: Read) -> None:
    api = serve()
    many(api, note="x" * 1500)
    fetch(read(api), List("pods"))
    assert api.sent < 100_000


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
def test_invalid_utf8_is_replaced_and_a_log_of_another_encoding_read(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.logs[NS, "api", "app", True] = b"caf\xe9\nok\n"
    api.fault("/configmaps", body=b'{"kind":"ConfigMapList","apiVersion":"v1","items":[{"metadata":{"name":"\xff"}}]}')
    snapshot = fetch(read(api), Log(NS, "api", "app", previous=True), List("configmaps", NS))
    assert snapshot.log(NS, "api", "app", previous=True).text == "café\nok\n"
    assert [o["metadata"]["name"] for o in snapshot.list("configmaps").items] == ["�"]


def test_list_without_items_is_empty(serve: Serve, read: Read) -> None:
    api = serve()
    api.fault("/pods", body=b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}')
    listing = fetch(read(api), List("pods")).list("pods")
    assert listing.complete
    assert not listing.items


# Time.


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
def test_slow_answer_is_a_timeout_of_that_read_only(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault("/events", delay=HANGS)
    begun = time.monotonic()
    need = List("events", NS)
    snapshot = fetch(read(api, flags={"request_timeout": ENOUGH}), need, Get("pods", NS, "api"))
    assert time.monotonic() - begun < SOON
    assert snapshot.get("pods", NS, "api").found
    failure = snapshot.failure(need)
    assert failure is not None
    assert failure.why is Why.TIMEOUT
    assert "Client.Timeout exceeded" in failure.message


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
def test_dripping_answer_is_given_up_at_the_time_limit(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault("/events", drip=0.1)
    begun = time.monotonic()
    reader = read(api, flags={"request_timeout": ENOUGH}, max_workers=1)
    need = List("events", NS)
    snapshot = fetch(reader, need)
    assert time.monotonic() - begun < SOON
    assert snapshot.failure(need).why is Why.TIMEOUT  # type: ignore[union-attr]
    reader.fetch([Get("pods", NS, "api")], snapshot)
    assert snapshot.get("pods", NS, "api").found, "another worker took the place of the hanging one"


def test_own_time_limit_of_a_read(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault("/events|/livez", delay=HANGS)
    begun = time.monotonic()
    needs = [Raw("/livez", timeout=0.3), List("events", NS, timeout=0.3)]
    snapshot = fetch(read(api), *needs, Raw("/version"))
    assert time.monotonic() - begun < SOON
    assert [snapshot.failure(n).why for n in needs] == [Why.TIMEOUT] * 2  # type: ignore[union-attr]


def test_deadline_of_the_run(serve: Serve, read: Read) -> None:
    api = serve(NS)
    api.fault("/events|/configmaps", delay=HANGS)
    begun = time.monotonic()
    needs = [List("events", NS), List("configmaps", NS)]
    snapshot = fetch(read(api, deadline=ENOUGH), *needs, Get("pods", NS, "api"))
    assert time.monotonic() - begun < SOON
    assert snapshot.get("pods", NS, "api").found
    assert {str(snapshot.failure(n)) for n in needs} == {"not answered within the time limit of 4s for the whole run"}


def test_deadline_counts_across_rounds(serve: Serve, read: Read) -> None:
    api = serve(NS)
    reader = read(api, deadline=ENOUGH)
    snapshot = reader.open()
    reader.fetch([Get("pods", NS, "api")], snapshot)
    api.fault("/configmaps", delay=HANGS)
    begun = time.monotonic()
    needs = [Get("configmaps", NS, f"c{i}") for i in range(40)]
    reader.fetch(needs, snapshot)
    assert time.monotonic() - begun < SOON
    assert {str(snapshot.failure(n)) for n in needs} == {"not answered within the time limit of 4s for the whole run"}


def test_no_time_limit(serve: Serve, read: Read) -> None:
    api = serve(NS, latency=0.2)
    assert fetch(read(api, flags={"request_timeout": 0}), Get("pods", NS, "api")).get("pods", NS, "api").found


def test_second_samples_come_one_interval_later_together(serve: Serve, read: Read) -> None:
    api = serve("cp-healthy")
    paths = ("/metrics", "/api/v1/namespaces/kube-system/pods/etcd-cp-1:2381/proxy/metrics")
    begun = time.monotonic()
    snapshot = fetch(read(api, interval=0.6), *(Raw(p, sample=s) for p in paths for s in (0, 1)))
    assert 0.6 <= time.monotonic() - begun < SOON
    for path in paths:
        first, second = snapshot.body(path), snapshot.body(path, 1)
        assert first is not None
        assert second is not None
        assert first.text != second.text
        assert first.at == 0
        assert second.at > 0.5


def test_no_second_sample_after_the_deadline(serve: Serve, read: Read) -> None:
    api = serve("cp-healthy")
    begun = time.monotonic()
    snapshot = fetch(read(api, interval=HANGS, deadline=ENOUGH), Raw("/metrics"), Raw("/metrics", sample=1))
    assert time.monotonic() - begun < SOON
    assert snapshot.body("/metrics") is not None
    assert snapshot.failure(Raw("/metrics", sample=1)).why is Why.TIMEOUT  # type: ignore[union-attr]


# Many at once.


def test_reads_go_out_together_over_kept_connections(serve: Serve, read: Read) -> None:
    api = serve(NS, latency=1.0)
    reader = read(api)
    needs = [Get("configmaps", NS, f"c{i}") for i in range(10)]
    snapshot = fetch(reader, *needs)
    assert api.most_at_once > 5
    assert all(snapshot.get("configmaps", NS, n.name).absent for n in needs)
    opened = api.connections
    reader.fetch([Get("configmaps", NS, f"d{i}") for i in range(10)], snapshot)
    assert api.connections == opened <= 10


def test_concurrency_is_bounded(serve: Serve, read: Read) -> None:
    api = serve(NS, latency=0.05)
    fetch(read(api, max_workers=3), *(Get("configmaps", NS, f"c{i}") for i in range(30)))
    assert api.most_at_once <= 3
    assert api.connections <= 3


def test_a_defect_in_a_shape_ends_the_run(serve: Serve, read: Read) -> None:
    api = serve(NS)

    def broken(obj: Any) -> Any:
        raise KeyError("a defect")

    with pytest.raises(KeyError, match="a defect"):
        fetch(read(api), List("pods", NS, shape=broken))


# Secrets.


def test_values_of_secrets_never_enter_the_snapshot(serve: Serve, read: Read) -> None:
    api = serve()
    value = base64.b64encode(b"hunter2").decode()
    certificate = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----").decode()
    applied = {"kubectl.kubernetes.io/last-applied-configuration": f'{{"data":{{"p":"{value}"}}}}', "keep": "me"}
    managed = [{"manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:data": {"f:p": {}}}}]
    meta = {"namespace": "a", "annotations": applied, "managedFields": managed}
    api.add(
        {
            "kind": "Secret",
            "metadata": {**meta, "name": "db"},
            "type": "Opaque",
            "data": {"p": value, "tls.crt": value},
        },
        {
            "kind": "Secret",
            "metadata": {"namespace": "a", "name": "web"},
            "type": "kubernetes.io/tls",
            "data": {"tls.crt": certificate, "tls.key": value},
        },
    )
    snapshot = fetch(read(api), List("secrets", "a"))
    again = fetch(read(api), Get("secrets", "a", "db"), Get("secrets", "a", "web"))
    for known in (snapshot, again):
        db, web = known.get("secrets", "a", "db").obj, known.get("secrets", "a", "web").obj
        assert value not in json.dumps([db, web])
        assert db["data"] == {"p": "", "tls.crt": ""}
        assert db["type"] == "Opaque"
        assert db["metadata"]["annotations"] == {"keep": "me"}
        assert db["metadata"]["managedFields"] == [{"manager": "kubectl", "time": "2026-01-01T00:00:00Z"}]
        assert web["data"] == {"tls.crt": certificate, "tls.key": ""}


# Logs.


def logging_pod(api: FakeApi, log: bytes) -> None:
    api.add(
        {
            "kind": "Pod",
            "metadata": {"namespace": "a", "name": "p"},
            "spec": {"containers": [{"name": "c"}]},
            "status": {"containerStatuses": [{"name": "c", "state": {"running": {}}, "containerID": "containerd://1"}]},
        }
    )
    api.logs["a", "p", "c", False] = log


def test_log_is_a_tail_of_lines(serve: Serve, read: Read) -> None:
    api = serve()
    logging_pod(api, b"".join(b"%d\n" % i for i in range(1000)))
    snapshot = fetch(read(api), Log("a", "p", "c", tail_lines=3))
    assert snapshot.log("a", "p", "c").text == "997\n998\n999\n"
    assert "timestamps" not in api.requests[0].query


def test_long_lines_do_not_hide_the_end_of_the_log(serve: Serve, read: Read) -> None:
    api = serve()
    logging_pod(api, (b"x" * 8000 + b"\n") * 399 + b"the error\n")
    log = fetch(read(api), Log("a", "p", "c", limit_bytes=20_000)).log("a", "p", "c").text
    assert log.endswith("the error\n")
    assert len(log) <= 20_000
    assert log.startswith("x" * 8000 + "\n")


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
def test_endless_log_is_not_held_in_memory(serve: Serve, read: Read) -> None:
    api = serve()
    logging_pod(api, b"")
    megabyte = b"y" * (1 << 20)
    api.endless_log = lambda: (megabyte for _ in range(200))
    tracemalloc.start()
    try:
        log = fetch(read(api), Log("a", "p", "c", limit_bytes=64 * 1024)).log("a", "p", "c").text
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(log) == 64 * 1024
    assert peak < 16 << 20


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "unable to retrieve container logs for containerd://abc"),
        (200, 'failed to try resolving symlinks in path "/var/log/pods/a_p_1/c/0.log": lstat: no such file'),
        (400, 'previous terminated container "c" in pod "p" not found'),
        (400, 'container "c" in pod "p" is waiting to start: ContainerCreating'),
        (400, "container c is not valid for pod p"),
        (404, 'pods "p" not found'),
    ],
)
def test_absent_log(serve: Serve, read: Read, status: int, body: str) -> None:
    api = serve()
    logging_pod(api, b"")
    if status == 200:
        api.fault("/log", body=body.encode())
    else:
        api.fault("/log", status=status, message=body)
    log = fetch(read(api), Log("a", "p", "c")).log("a", "p", "c")
    assert log.absent
    assert log.why == body
    assert not log.text


def test_log_that_quotes_the_refusal_is_a_log(serve: Serve, read: Read) -> None:
    api = serve()
    logging_pod(api, b"unable to retrieve container logs for containerd://abc\nand more\n")
    assert fetch(read(api), Log("a", "p", "c")).log("a", "p", "c").seen


def test_log_of_an_unreachable_node_is_unseen(serve: Serve, read: Read) -> None:
    api = serve()
    logging_pod(api, b"")
    words = 'Get "https://10.0.0.1:10250/containerLogs/a/p/c": dial tcp 10.0.0.1:10250: connect: connection refused'
    api.fault("/log", status=500, message=words)
    log = fetch(read(api), Log("a", "p", "c")).log("a", "p", "c")
    assert not log.seen
    assert not log.absent
    assert log.why == words


# Plain GETs.


def test_only_wanted_lines_of_metrics_are_kept(serve: Serve, read: Read) -> None:
    api = serve()
    lines = [f'wanted_total{{n="{i}"}} {i}' if i % 100 == 0 else f"other_{i} 1" for i in range(20_000)]
    api.raw["/metrics"] = [Answer(200, "\n".join(lines).encode(), "text/plain")]
    body = fetch(read(api), Raw("/metrics", keep=("wanted_total", "third"))).body("/metrics")
    assert body is not None
    assert body.text.splitlines() == [x for x in lines if x.startswith("wanted")]


@pytest.mark.parametrize(
    ("status", "seen"), [(200, True), (500, True), (503, True), (401, False), (403, False), (404, False)]
)
def test_every_body_but_a_refusal_is_an_answer(serve: Serve, read: Read, status: int, seen: bool) -> None:
    api = serve()
    api.raw["/livez?verbose"] = [Answer(status, b"[-]etcd failed: reason withheld\nlivez check failed", "text/plain")]
    need = Raw("/livez?verbose")
    snapshot = fetch(read(api), need, Raw("/version"))
    body = snapshot.body(need.path)
    assert (body is not None) == seen
    if body is not None:
        assert body.status == status
        assert "[-]etcd failed" in body.text
    else:
        failure = snapshot.failure(need)
        assert failure is not None
        assert failure.status == status


def test_kubelets_401_behind_the_proxy_does_not_end_the_run(serve: Serve, read: Read) -> None:
    api = serve()
    api.fault("/nodes/n/proxy", status=401, message="Unauthorized")
    need = Raw("/api/v1/nodes/n/proxy/stats/summary")
    assert fetch(read(api), need, Raw("/version")).failure(need).why is Why.FORBIDDEN  # type: ignore[union-attr]


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
def test_names_cannot_change_the_path(serve: Serve, read: Read) -> None:
    api = serve()
    fetch(read(api), Get("pods", "../..", "x/../../../secrets?a=b#"), Raw("/version"))
    assert "/api/v1/namespaces/..%2F../pods/" in "".join(r.path for r in api.requests)
    assert all("secrets" not in r.path or "%2F" in r.path for r in api.requests)


# Debug trail.


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
@pytest.mark.parametrize("name", [".", "..", ""])
def test_names_that_no_object_has_are_not_asked_for(serve: Serve, read: Read, name: str) -> None:
    api = serve("healthy")
    needs = [Get("secrets", "healthy", name), *([List("pods", name), Log(name, "a", "c")] if name else [])]
    reader = read(api)
    snapshot = reader.open()
    reader.fetch([*needs, Get("pods", "healthy", "api")], snapshot)
    assert [r.path for r in api.asked()] == ["/api/v1/namespaces/healthy/pods/api"]
    assert all(snapshot.failure(need).why is Why.NOT_FOUND for need in needs)


def test_trail_names_requests_but_no_credentials(serve: Serve, read: Read) -> None:
    api = serve(NS, tls=True, token="s3cret-token")
    lines: list[str] = []
    fetch(read(api, trace=lines.append), Get("pods", NS, "api"), Get("pods", NS, "nope"))
    assert len(lines) == 2
    assert any(" 200 in " in line and line.startswith(f"GET {api.url}/api/v1/") for line in lines)
    assert "s3cret" not in "".join(lines)


@pytest.mark.attack("API server: broken, hostile, slow, another clock")
@pytest.mark.parametrize(
    "page",
    [
        {"metadata": {"continue": "same"}, "items": []},
        {"metadata": {"continue": "same"}, "items": [{"metadata": {"name": "p", "namespace": "a"}}]},
    ],
)
def test_a_list_that_does_not_end_is_given_up(serve: Serve, read: Read, page: dict) -> None:
    api = serve(NS)
    api.fault("/pods", status=200, body=json.dumps({"kind": "PodList", **page}).encode())
    snapshot = fetch(read(api), List("pods", NS), Raw("/version"))
    listing = snapshot.list("pods", NS)
    assert not listing.complete
    assert listing.why.startswith("the API server's list does not end: ")
    assert len(api.requests) < 8
    assert snapshot.get("pods", "a", "p").found == bool(page["items"]), "what came is there"
