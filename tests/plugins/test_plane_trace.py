"""plane-trace on the recorded control planes."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.needs import Body, Failure, List, Log, Raw, Why
from kubetriage.plugins import Request, load
from kubetriage.render.document import document
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import namespace_of
from support.offline import CAPTURES, diagnosis, truths
from support.plane import NOW

FIELDS = (
    "containers", "command", "name", "conditions", "type", "status", "containerStatuses", "restartCount", "lastState",
    "terminated", "renewTime", "holderIdentity", "clientConfig", "service", "rules", "resources", "failurePolicy",
)  # fmt: skip


@pytest.mark.parametrize("truth", truths("plane-trace"), ids=lambda t: t.scenario)
def test_capture_names_its_cause(truth):
    got = diagnosis("plane-trace", capture=truth.scenario)
    assert got.cause in truth.causes
    assert got.healthy == ("Healthy" in truth.causes)


def states(name):
    return {link["link"]: link["state"] for link in diagnosis("plane-trace", capture=name).extra["links"]}


def test_disk_stall_is_drawn_from_disk_to_controllers():
    got = diagnosis("plane-trace", capture="cp-etcd-disk-stall")
    broken = [link["link"] for link in got.extra["links"] if link["state"] == "broken"]
    assert broken == ["etcd disk", "etcd quorum and leader", "API server health", "controller-manager", "scheduler"]
    follows = {link["link"]: link.get("consequenceOf") for link in got.extra["links"]}
    assert follows["etcd disk"] is None
    assert {follows[name] for name in broken[1:]} == {"EtcdSlowDisk"}
    assert got.cause == "EtcdSlowDisk"
    assert all(f.fix == () for f in got.findings[1:])
    drawn = got.lead[0].lines
    assert [line.split(":")[0].strip("✗└▶ ") for line in drawn] == [*broken, "kubelets' contact"]


def test_healthy_plane_is_clean():
    got = diagnosis("plane-trace", capture="cp-healthy")
    assert got.findings == ()
    assert set(states("cp-healthy").values()) == {"ok"}


def test_controllers_down_are_a_cause_of_their_own():
    got = diagnosis("plane-trace", capture="cp-controllers-down")
    assert [f.cause for f in got.findings] == ["ControllersDown", "SchedulerDown"]
    assert not any("consequenceOf" in f.details for f in got.findings)
    assert got.findings[0].details["since"] == "2026-11-23T23:19:32Z"
    assert states("cp-controllers-down")["etcd disk"] == "ok"
    # The disk trouble that is over stays visible to those who arrive late.
    assert any("slow fdatasync" in f["what"] for f in got.extra["timeline"])


def test_timeline_is_in_order():
    for truth in truths("plane-trace"):
        times = [f["time"] for f in diagnosis("plane-trace", capture=truth.scenario).extra["timeline"]]
        assert times == sorted(times)
        assert len(times) > 4 or not (CAPTURES / truth.scenario / "kube-system" / "leases.json").exists()


WEBHOOKS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations", "endpointslices")


class Without:
    """A recording that lacks some needs, as for a user who may not read them."""

    def __init__(self, capture, *hidden):
        self._reader = RecordedReader(CAPTURES / capture)
        self._hidden = hidden

    def open(self):
        full = self._reader.open()
        snapshot = Snapshot(now=full.now, source=full.source)
        for resource in ("nodes", "pods", "leases", "events", *WEBHOOKS):
            if resource not in self._hidden:
                for namespace in ("", "kube-system", "kube-node-lease"):
                    items = [o for o in full.list(resource).items if not namespace or namespace_of(o) == namespace]
                    snapshot.add_list(List(resource, namespace), items)
        self._full = full
        return snapshot

    def fetch(self, needs, snapshot):
        for need in needs:
            denied = any(word in str(need) for word in self._hidden)
            body = self._full.body(need.path, need.sample) if isinstance(need, Raw) else None
            log = self._full.log(need.namespace, need.pod, need.container) if isinstance(need, Log) else None
            if body is not None and not denied:
                snapshot.add_body(need, body)
            elif log is not None and log.seen and not denied:
                snapshot.add_log(need, log.text)
            else:
                snapshot.fail(need, Failure(Why.FORBIDDEN, "forbidden", 403))


def answer_without(capture, *hidden):
    got = collect(load("plane-trace"), Request(), Without(capture, *hidden))[1].diagnoses[0]
    Draft202012Validator(SCHEMA).validate(document([got], NOW))
    return got


SCHEMA = json.loads((CAPTURES.parent.parent / "docs" / "schema" / "diagnosis.json").read_text())


@pytest.mark.parametrize(
    ("capture", "hidden", "cause"),
    [
        ("cp-etcd-disk-stall", (), "EtcdSlowDisk"),
        ("cp-etcd-disk-stall", ("log of",), "EtcdSlowDisk"),
        ("cp-etcd-disk-stall", ("proxy",), "EtcdSlowDisk"),
        ("cp-etcd-disk-stall", ("proxy", "log of"), "EtcdSlowDisk"),
        ("cp-etcd-disk-stall", ("proxy", "log of", "/metrics"), "EtcdQuorumLost"),
        ("cp-etcd-disk-stall", ("pods", "log of", "/metrics"), "EtcdDown"),
        ("cp-etcd-disk-stall", ("pods", "log of", "/metrics", "leases"), "EtcdSlowDisk"),
        ("cp-controllers-down", ("proxy",), "ControllersDown"),
        ("cp-controllers-down", ("proxy", "log of"), "ControllersDown"),
        ("cp-controllers-down", ("pods", "nodes", "events", "proxy", "/metrics", "livez", "readyz"), "ControllersDown"),
        ("cp-healthy", ("log of",), "Unknown"),
        ("cp-healthy", ("proxy",), "Unknown"),
        ("cp-healthy", ("proxy", "log of"), "Unknown"),
        ("cp-healthy", ("livez", "readyz", "nodes"), "Unknown"),
        ("cp-healthy", ("pods", "nodes", "leases", "events", "livez", "readyz", "metrics", "log of"), "Unknown"),
    ],
)
def test_verdict_with_less_access(capture, hidden, cause):
    got = answer_without(capture, *hidden)
    assert got.cause == cause
    if hidden:
        assert got.not_seen


def test_without_any_access_nothing_is_called_well():
    got = answer_without(
        "cp-healthy", "pods", "nodes", "leases", "events", "livez", "readyz", "metrics", "log of", "debug", *WEBHOOKS
    )
    assert {x["state"] for x in got.extra["links"]} == {"not seen"}
    assert "No fault seen in 0 of 10 links" in got.summary


def test_one_sample_is_enough_for_an_answer():
    got = answer_without("cp-etcd-disk-stall", "sample 2")
    assert got.cause == "EtcdSlowDisk"
    assert any("second sample" in gap.what for gap in got.not_seen)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(("nodes", "pods", "leases", "events", "validatingwebhookconfigurations")), _JSON),
    st.text(max_size=200),
)
def test_odd_objects_and_bodies_never_raise(specs, words):
    snapshot = Snapshot(now=NOW)
    for resource, spec in specs.items():
        marks = {"name": "x", "namespace": "kube-system", "labels": {"component": "etcd"}}
        snapshot.add_list(List(resource), [{"metadata": marks, "spec": spec, "status": spec, "webhooks": spec}])
    plugin = load("plane-trace")
    asked = set()
    while fresh := [n for n in plugin.plan(snapshot, Request()) if n not in asked]:
        asked.update(fresh)
        for need in fresh:
            if isinstance(need, Raw):
                snapshot.add_body(need, Body(words))
            elif isinstance(need, Log):
                snapshot.add_log(need, words)
    got = plugin.diagnose(snapshot, Request()).diagnoses[0]
    Draft202012Validator(SCHEMA).validate(document([got], NOW))


def without_lists(tmp_path):
    """Copy the capture of a healthy plane as it would be recorded with etcd stopped: lists hang, logs are on disk."""
    source = CAPTURES / "cp-healthy"
    root = tmp_path / "etcd-down"
    shutil.copytree(source, root, ignore=shutil.ignore_patterns("*.json", "metrics*"))
    for n in (1, 2, 3):
        closed = {"level": "info", "ts": "2026-11-23T23:14:00.000000Z", "caller": "x.go:1", "msg": "closed etcd server"}
        (root / "kube-system" / f"etcd-cp-{n}.etcd.log").write_text(json.dumps(closed) + "\n")
        answer = root / "raw" / "api/v1/namespaces/kube-system/pods" / f"etcd-cp-{n}:238{n}" / "proxy" / "metrics"
        answer.write_text(f"error trying to reach service: dial tcp 10.250.0.1:238{n}: connect: connection refused")
        answer.with_name("metrics.status").write_text("503 0.01")
    (root / "kube-system" / "kube-apiserver.log").write_text(
        "W1123 23:17:40.211866 23104 logging.go:55] [core] grpc: addrConn.createTransport failed to connect to"
        ' {Addr: "127.0.0.1:2379"}. Err: dial tcp 127.0.0.1:2379: connect: connection refused\n'
    )
    for path in ("livez?verbose", "readyz?verbose"):
        file = root / "raw" / path
        file.write_text(file.read_text().replace("[+]etcd ok", "[-]etcd failed: reason withheld"))
        file.with_name(f"{path}.status").write_text("500 2.01")
    return root


def test_a_dead_etcd_is_named_although_no_list_could_be_recorded(tmp_path):
    reader = RecordedReader(without_lists(tmp_path))
    got = collect(load("plane-trace"), Request(), reader)[1].diagnoses[0]
    assert [f.cause for f in got.findings] == ["EtcdDown", "ApiServerUnready"]
    assert got.findings[0].confidence.value == "confirmed"
    sources = [e.at for e in got.findings[0].evidence]
    assert "connection to etcd-cp-1" in sources
    assert "kube-apiserver" in sources
