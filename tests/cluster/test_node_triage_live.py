"""node-triage over HTTP: on the recorded clusters, in a dying one, with little access, and on a large one."""

import time
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.record import record
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Diagnosis
from kubetriage.plugins import Answer, Request, Target, load
from support.clock import ENOUGH, HANGS, SOON
from support.fake_api import FakeApi
from support.live import Read, Serve
from support.nodes import LEADERS, leader, lease, lost, node, pod
from support.objects import NOW
from support.offline import Truth, answer, truths

PLUGIN = load("node-triage")
HEALTHZ = "/api/v1/nodes/n1/proxy/healthz"


def ask(reader: Any, *names: str, **options: Any) -> Answer:
    request = Request(tuple(Target("nodes", n) for n in names), options=options)
    return collect(PLUGIN, request, reader)[1]


def fill(api: FakeApi, *objects: dict[str, Any]) -> FakeApi:
    kinds = {"renewTime": "Lease", "containers": "Pod"}
    for obj in objects:
        kind = obj.get("kind") or next(k for field, k in kinds.items() if field in obj["spec"])
        api.add({**obj, "kind": kind})
    return api


def seen(diagnosis: Diagnosis) -> list[tuple[str, str, str]]:
    return [(f.cause, f.confidence.value, f.message) for f in diagnosis.findings]


@pytest.mark.parametrize("expected", truths("node-triage"), ids=lambda t: t.scenario)
def test_a_live_cluster_gets_the_answer_of_its_recording(expected: Truth, serve: Serve, read: Read) -> None:
    live = ask(read(serve(expected.scenario)), expected.target.partition("/")[2], probe_kubelet=True)
    recorded = answer("node-triage", expected.target, capture=expected.scenario)
    assert [seen(d) for d in live.diagnoses] == [seen(d) for d in recorded.diagnoses]
    assert live.diagnoses[0].extra["timetable"] == recorded.diagnoses[0].extra["timetable"]


@pytest.fixture
def lost_node(serve: Serve) -> FakeApi:
    """A cluster in which n1 is lost and four nodes are well."""
    others = [n for i in range(4) for n in (node(f"w{i}"), lease(f"w{i}", -5))]
    return fill(serve(clock=NOW), lost(since=-152), lease("n1", -152, rv=10), *LEADERS, pod(), *others)


def test_hung_reads_end_with_the_deadline_and_leave_the_verdict(lost_node: FakeApi, read: Read) -> None:
    lost_node.fault(r"/events|/pods|/volumeattachments|/version|healthchecks", delay=HANGS)
    begun = time.monotonic()
    got = ask(read(lost_node, deadline=ENOUGH), "n1").diagnoses[0]
    assert time.monotonic() - begun < SOON
    assert got.cause == "KubeletUnreachable"
    whats = [n.what for n in got.not_seen]
    assert any(w.startswith("pods") for w in whats)
    assert "volumeattachments" in whats


def test_hung_nodes_are_the_control_planes_fault(lost_node: FakeApi, read: Read) -> None:
    lost_node.fault(r"/nodes\?|/leases", delay=HANGS)
    got = ask(read(lost_node, deadline=ENOUGH), "n1")
    assert got.diagnoses[0].cause == "ControlPlaneUnreachable"


def dying(serve: Serve, age: float) -> FakeApi:
    """A cluster whose Leases are all ``age`` seconds old and whose nodes all say Ready."""
    names = [f"n{i}" for i in range(1, 4)]
    leases = [leader(renewed=age), leader("kube-scheduler", renewed=age), *(lease(n, age) for n in names)]
    return fill(serve(clock=NOW), *(node(n) for n in names), *leases)


def test_without_etcd_the_watch_cache_tells_that_all_is_frozen(serve: Serve, read: Read) -> None:
    api = dying(serve, -298)
    # Whatever is not answered from the watch cache hangs, and so do events, which have none.
    api.fault(r"^(?!.*resourceVersion=0)(?!/version)|/events", delay=HANGS)
    begun = time.monotonic()
    got = ask(read(api, deadline=ENOUGH))
    assert time.monotonic() - begun < SOON
    assert [d.cause for d in got.diagnoses] == ["StatusFrozen"] * 3
    assert "etcd is down or has no quorum" in got.diagnoses[0].summary
    assert not api.asked("/events")


def test_without_space_reads_work_and_writes_do_not(serve: Serve, read: Read) -> None:
    api = dying(serve, -90)
    got = ask(read(api, interval=0.1))
    assert len(api.asked("leases/kube-controller-manager")) == 2
    assert {d.cause for d in got.diagnoses} == {"StatusFrozen"}
    assert "only writes fail" in got.diagnoses[0].summary


def test_fresh_leases_are_silent(serve: Serve, read: Read) -> None:
    got = ask(read(dying(serve, -1)))
    assert got.diagnoses == ()
    assert got.checked == 3


@pytest.mark.parametrize(
    "denied", [["events"], ["pods"], ["leases"], ["volumeattachments"], ["events", "pods", "leases"]]
)
def test_denied_reads_are_named_and_make_no_other_cause(denied: list[str], lost_node: FakeApi, read: Read) -> None:
    lost_node.deny(*denied)
    got = ask(read(lost_node), "n1").diagnoses[0]
    assert got.cause == "KubeletUnreachable"
    for resource in set(denied) - {"nodes/proxy"}:
        assert any(resource in n.what and "forbidden" in n.why for n in got.not_seen), (resource, got.not_seen)


def test_a_denied_list_of_nodes_leaves_the_named_one(lost_node: FakeApi, read: Read) -> None:
    lost_node.fault(r"^/api/v1/nodes\?", status=403, reason="Forbidden", message='nodes is forbidden: User "jo"')
    got = ask(read(lost_node), "n1").diagnoses[0]
    assert got.cause == "KubeletUnreachable"
    assert any(n.what == "nodes" for n in got.not_seen)


def test_the_kubelet_is_dialled_only_on_demand(lost_node: FakeApi, read: Read) -> None:
    words = b'{"kind": "Status", "message": "error trying to reach service: dial tcp 10.0.0.1:10250: i/o timeout"}'
    lost_node.fault("proxy/healthz", status=503, body=words)
    assert ask(read(lost_node), "n1").diagnoses[0].cause == "KubeletUnreachable"
    assert not lost_node.asked("/proxy/")
    got = ask(read(lost_node), "n1", probe_kubelet=True).diagnoses[0]
    # The probe asks for the kubelet's own log, too.
    assert {r.path for r in lost_node.asked("/proxy/")} == {HEALTHZ, "/api/v1/nodes/n1/proxy/logs/"}
    assert "packets vanish" in got.summary


def test_a_dial_that_does_not_come_back_is_a_dial_into_the_void(
    lost_node: FakeApi, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubetriage.plugins.node_triage_plan.ASIDE_SECONDS", 0.5)
    lost_node.fault("proxy/healthz", delay=HANGS)
    got = ask(read(lost_node), "n1", probe_kubelet=True).diagnoses[0]
    assert ("kubelet port (via API server)", "silent") in [(w["what"], w["says"]) for w in got.extra["witnesses"]]


def test_a_slow_api_server_makes_its_dial_tell_nothing(
    lost_node: FakeApi, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubetriage.plugins.node_triage_plan.ASIDE_SECONDS", 0.5)
    lost_node.fault("proxy/healthz|/volumeattachments", delay=HANGS)
    got = ask(read(lost_node), "n1", probe_kubelet=True).diagnoses[0]
    assert "kubelet port (via API server)" not in [w["what"] for w in got.extra["witnesses"]]
    assert any(n.what == "healthz of the kubelet on n1" for n in got.not_seen)


def test_a_denied_dial_is_said_to_be_denied(lost_node: FakeApi, read: Read) -> None:
    lost_node.deny("nodes/proxy")
    got = ask(read(lost_node), "n1", probe_kubelet=True).diagnoses[0]
    assert got.cause == "KubeletUnreachable"
    assert any(w["detail"] == "not allowed to ask (nodes/proxy)" for w in got.extra["witnesses"])


def test_healthy_nodes_cost_no_requests(serve: Serve, read: Read) -> None:
    names = [f"n{i}" for i in range(300)]
    api = fill(serve(clock=NOW), *(node(n) for n in names), *(lease(n, -5) for n in names), *LEADERS)
    assert ask(read(api)).diagnoses == ()
    assert len(api.asked()) == 3
    assert {r.method for r in api.requests} == {"GET"}


def test_lists_come_from_the_watch_cache(lost_node: FakeApi, read: Read) -> None:
    ask(read(lost_node), "n1")
    lists = lost_node.asked("/(nodes|leases|pods)$")
    assert len(lists) >= 3
    assert all(r.query.get("resourceVersion") == "0" for r in lists)


def test_of_many_lost_nodes_the_pods_of_those_that_are_told_are_read(serve: Serve, read: Read) -> None:
    names = [f"n{i}" for i in range(40)]
    api = fill(
        serve(clock=NOW), *(lost(n) for n in names), *(lease(n, -90, rv=1) for n in names), *LEADERS, pod("a", "n0")
    )
    got = ask(read(api))
    assert {d.cause for d in got.diagnoses} == {"AllNodesLost"}
    told = {d.target.name for d in got.diagnoses}
    assert len(told) == 10
    assert {r.query.get("fieldSelector") for r in api.asked("/pods$")} == {f"spec.nodeName={name}" for name in told}


def test_a_recorded_run_gives_the_same_answer(lost_node: FakeApi, read: Read, tmp_path: Path) -> None:
    request = Request((Target("nodes", "n1"),), options={})
    lost_node.deny("volumeattachments")
    snapshot, live = collect(PLUGIN, request, read(lost_node))
    record(snapshot, tmp_path / "dump")
    _, recorded = collect(PLUGIN, request, RecordedReader(tmp_path / "dump"))
    assert [seen(d) for d in recorded.diagnoses] == [seen(d) for d in live.diagnoses]
    assert recorded.diagnoses[0].extra == live.diagnoses[0].extra
    assert recorded.diagnoses[0].not_seen == live.diagnoses[0].not_seen
