"""Dumps of every layout."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubetriage.cluster.documents import parse_documents
from kubetriage.cluster.errors import DumpError
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.cluster.unpack import unpack
from kubetriage.needs import Get, List, Log, Need, Raw, Why
from kubetriage.snapshot import Snapshot
from kubetriage.values.times import format_time, parse_time
from support.clock import least
from support.offline import CAPTURES

NS = "java-npe"
CAPTURE = CAPTURES / NS
POD = json.loads((CAPTURE / NS / "pods.json").read_text())["items"][0]
LOG = (CAPTURE / NS / "api" / "app.log").read_text()
PREVIOUS = (CAPTURE / NS / "api" / "app.previous.log").read_text()


def read(path: Path, *needs: Need) -> Snapshot:
    reader = RecordedReader(path)
    snapshot = reader.open()
    reader.fetch(needs, snapshot)
    return snapshot


def put(root: Path, files: dict[str, Any]) -> Path:
    """Write files; what is no text becomes JSON or (by name) YAML."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str):
            content = yaml.safe_dump(content) if name.endswith((".yaml", ".yml")) else json.dumps(content)
        file.write_text(content)
    return root


def items(plural: str, namespace: str = NS) -> list[dict[str, Any]]:
    file = CAPTURE / namespace / f"{plural}.json" if namespace else CAPTURE / f"{plural}.json"
    found: list[dict[str, Any]] = json.loads(file.read_text())["items"]
    return found


def typed(kind: str, plural: str, namespace: str = NS) -> dict[str, Any]:
    """A list as the API has it: the items say not what they are."""
    bare = [{k: v for k, v in i.items() if k not in ("kind", "apiVersion")} for i in items(plural, namespace)]
    return {"kind": kind, "apiVersion": "v1", "metadata": {}, "items": bare}


# The captures' layout.


def test_a_printed_error_is_a_failure_in_the_servers_words() -> None:
    need = Raw("/api/v1/nodes/node-1/proxy/healthz")
    snapshot = read(CAPTURES / "node-kubelet-stopped", need)
    failure = snapshot.failure(need)
    assert snapshot.body(need.path) is None
    assert failure is not None
    assert (failure.why, failure.status) == (Why.FAILED, 503)
    assert failure.message == "error trying to reach service: dial tcp 10.250.0.1:10250: connect: connection refused"


def test_bodies_of_a_capture() -> None:
    health, first, second = Raw("/api/v1/nodes/node-1/proxy/healthz"), Raw("/metrics"), Raw("/metrics", 1)
    assert read(CAPTURES / "node-healthy", health).body(health.path).text == "ok"  # type: ignore[union-attr]
    snapshot = read(CAPTURES / "cp-healthy", first, second, Raw("/nope"))
    one, two = snapshot.body("/metrics"), snapshot.body("/metrics", 1)
    assert one is not None
    assert two is not None
    assert one.text != two.text
    assert two.at == 12.0
    assert snapshot.failure(Raw("/nope")).why is Why.NOT_IN_DUMP  # type: ignore[union-attr]


def test_silence_of_a_capture_is_presumed_absence() -> None:
    needs = [Get("secrets", NS, "x"), List("services", NS), Log(NS, "api", "nope")]
    snapshot = read(CAPTURE, *needs)
    assert snapshot.get("secrets", NS, "x").presumed
    assert snapshot.list("services", NS).presumed
    assert not snapshot.log(NS, "api", "nope").seen
    assert [n for n, _ in snapshot.unseen(needs)] == [needs[2]]


def test_logs_end_as_the_live_reader_reads_them(tmp_path: Path) -> None:
    lines = [f"line {i}" for i in range(1000)]
    put(tmp_path, {"captured-at": "2026-01-01T00:00:00Z", "a/p/c.log": "\n".join(lines) + "\n"})
    assert read(tmp_path, Log("a", "p", "c", tail_lines=3)).log("a", "p", "c").text == "line 997\nline 998\nline 999\n"
    assert read(tmp_path, Log("a", "p", "c", limit_bytes=20)).log("a", "p", "c").text == "line 998\nline 999\n"


# kubectl cluster-info dump.


@pytest.fixture
def cluster_info(tmp_path: Path) -> Path:
    def logs(content: str) -> str:
        mark = f"logs for container app of pod {NS}/api ===="
        return f"==== START {mark}\n{content}\n==== END {mark}\n"

    return put(
        tmp_path / "dump",
        {
            "nodes.json": typed("NodeList", "nodes", ""),
            f"{NS}/pods.json": typed("PodList", "pods"),
            f"{NS}/events.json": typed("EventList", "events"),
            f"{NS}/replication-controllers.json": {
                "kind": "ReplicationControllerList",
                "apiVersion": "v1",
                "items": [],
            },
            f"{NS}/services.json": {"kind": "ServiceList", "apiVersion": "v1", "metadata": {}, "items": None},
            f"{NS}/api/logs.txt": logs(LOG) + logs("other").replace("container app", "container side"),
        },
    )


def test_an_object_of_a_capture_is_of_the_kind_that_it_says(tmp_path: Path) -> None:
    def one(group: str, kind: str, name: str) -> dict[str, Any]:
        return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": "a"}}

    (tmp_path / "a").mkdir()
    (tmp_path / "captured-at").write_text("2026-03-10T12:00:00Z")
    files = {
        "gateways": [
            one("gateway.networking.k8s.io/v1", "Gateway", "g"),
            one("networking.istio.io/v1", "Gateway", "i"),
        ],
        "authorizationpolicies": [one("policy.linkerd.io/v1alpha1", "AuthorizationPolicy", "l")],
        "svc": [one("v1", "Service", "s")],
    }
    for name, items in files.items():
        (tmp_path / "a" / f"{name}.json").write_text(json.dumps({"kind": "List", "items": items}))
    snapshot = read(tmp_path)
    assert [o["metadata"]["name"] for o in snapshot.list("gateways", "a").items] == ["g"]
    assert not snapshot.list("authorizationpolicies", "a").items
    assert snapshot.get("services", "a", "s").found
    assert {o["metadata"]["name"] for o in snapshot.others} == {"l"}


def test_cluster_info_dump(cluster_info: Path) -> None:
    needs: list[Need] = [
        Get("pods", NS, "api"),
        List("events", NS),
        List("services", NS),
        List("replicationcontrollers", NS),
        List("nodes"),
        Log(NS, "api", "app"),
        Log(NS, "api", "side"),
    ]
    snapshot = read(cluster_info, *needs, Get("configmaps", NS, "x"), List("pods"))
    assert list(snapshot.unseen(needs)) == []
    pod = snapshot.get("pods", NS, "api").obj
    assert (pod["kind"], pod["apiVersion"]) == ("Pod", "v1")
    assert pod["status"] == POD["status"]
    assert snapshot.get("pods", NS, "other").absent
    assert not snapshot.get("pods", NS, "other").presumed
    assert snapshot.log(NS, "api", "app").text == LOG + "\n"
    assert snapshot.log(NS, "api", "side").text == "other\n"
    assert snapshot.get("configmaps", NS, "x").unseen
    assert not snapshot.list("pods").complete
    times = [parse_time(e["lastTimestamp"]) for e in items("events")]
    assert snapshot.now >= max(t for t in times if t is not None)


@pytest.mark.attack("archives, files, devices, bombs")
def test_damaged_file_of_a_dump_is_not_seen_rather_than_absent(cluster_info: Path) -> None:
    file = cluster_info / NS / "pods.json"
    file.write_bytes(file.read_bytes()[:-20])
    snapshot = read(cluster_info, Get("pods", NS, "api"), List("pods", NS))
    assert snapshot.get("pods", NS, "api").unseen
    assert "pods.json: neither JSON nor YAML" in snapshot.list("pods", NS).why
    assert snapshot.list("events", NS).items


def test_cluster_info_dump_in_yaml(tmp_path: Path) -> None:
    put(tmp_path, {f"{NS}/pods.yaml": typed("PodList", "pods"), f"{NS}/events.yaml": typed("EventList", "events")})
    snapshot = read(tmp_path)
    assert snapshot.list("pods", NS).complete
    assert snapshot.get("pods", NS, "api").obj["status"] == POD["status"]


# OpenShift must-gather.


@pytest.fixture
def must_gather(tmp_path: Path) -> Path:
    image = "registry-example-com-must-gather-sha256-abc"
    inside = f"{image}/namespaces/{NS}"
    timed = "".join(f"2026-11-23T22:16:31.{i:09}Z {line}\n" for i, line in enumerate(PREVIOUS.splitlines()))
    return put(
        tmp_path / "must-gather.local.123",
        {
            "timestamp": "2026-11-23 22:10:00.1 +0000 UTC m=+0.1\n2026-11-23 22:20:05.123456789 +0000 UTC m=+600.1\n",
            f"{image}/version": "4.20",
            f"{image}/event-filter.html": "<html>",
            f"{image}/cluster-scoped-resources/core/nodes/node-1.yaml": items("nodes", "")[0],
            f"{inside}/{NS}.yaml": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}},
            f"{inside}/core/pods.yaml": typed("PodList", "pods"),
            f"{inside}/core/events.yaml": typed("EventList", "events"),
            f"{inside}/core/configmaps.yaml": {"apiVersion": "v1", "kind": "ConfigMapList", "items": []},
            f"{inside}/core/secrets.yaml": {
                "apiVersion": "v1",
                "kind": "SecretList",
                "items": [{"metadata": {"name": "s", "namespace": NS}, "data": {"p": "aHVudGVyMg=="}}],
            },
            f"{inside}/apps/deployments.yaml": {"apiVersion": "apps/v1", "kind": "DeploymentList", "items": []},
            f"{inside}/pods/api/api.yaml": POD,
            f"{inside}/pods/api/app/app/logs/current.log": timed.replace("Starting", "Current"),
            f"{inside}/pods/api/app/app/logs/previous.log": timed,
            f"{inside}/pods/api/app/app/logs/previous.insecure.log": "",
        },
    )


def test_must_gather(must_gather: Path) -> None:
    needs: list[Need] = [
        Get("pods", NS, "api"),
        List("events", NS),
        List("configmaps", NS),
        List("deployments", NS),
        Get("nodes", "", "node-1"),
        Log(NS, "api", "app"),
        Log(NS, "api", "app", previous=True),
    ]
    snapshot = read(must_gather, *needs)
    assert list(snapshot.unseen(needs)) == []
    assert snapshot.log(NS, "api", "app", previous=True).text == PREVIOUS
    assert "Current" in snapshot.log(NS, "api", "app").text
    assert snapshot.get("configmaps", NS, "gone").absent
    assert snapshot.get("secrets", NS, "s").obj["data"] == {"p": ""}
    assert format_time(snapshot.now) == "2026-11-23T22:20:05Z"
    assert snapshot.get("nodes", "", "node-2").unseen, "nothing says that all nodes were inspected"


# troubleshoot.sh support bundle.


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    inside = "cluster-resources"
    return put(
        tmp_path / "support-bundle-2026-11-23T22_16_40",
        {
            "version.yaml": {"apiVersion": "troubleshoot.sh/v1beta2", "kind": "SupportBundle", "spec": {}},
            "analysis.json": [{"name": "x", "severity": "warn"}],
            "cluster-info/cluster_version.json": {"info": {"gitVersion": "v1.34.2"}, "string": "v1.34.2"},
            f"{inside}/nodes.json": typed("NodeList", "nodes", ""),
            f"{inside}/pods/{NS}.json": typed("PodList", "pods"),
            f"{inside}/events/{NS}.json": [
                {k: v for k, v in e.items() if k not in ("kind", "apiVersion")} for e in items("events")
            ],
            f"{inside}/pvcs/{NS}.json": {"kind": "PersistentVolumeClaimList", "apiVersion": "v1", "items": []},
            f"{inside}/pods-errors.json": {"secret-place": 'pods is forbidden: User "x" cannot list resource "pods"'},
            f"{inside}/storage-classes-errors.json": ["forbidden"],
            f"{inside}/pods/logs/{NS}/api/app.log": LOG,
            f"{inside}/pods/logs/{NS}/api/app-previous.log": PREVIOUS,
            "my-logs/api/other.log": "from the logs collector\n",
        },
    )


def check_bundle(snapshot: Snapshot) -> None:
    assert snapshot.list("pods", NS).complete
    assert snapshot.list("events", NS).complete
    assert {e["kind"] for e in snapshot.list("events", NS).items} == {"Event"}
    assert snapshot.get("persistentvolumeclaims", NS, "x").absent
    assert snapshot.list("nodes").complete
    assert snapshot.version == (1, 34)
    assert snapshot.log(NS, "api", "app").text == LOG
    assert snapshot.log(NS, "api", "app", previous=True).text == PREVIOUS
    assert snapshot.log(NS, "api", "other").text == "from the logs collector\n"
    denied = snapshot.list("pods", "secret-place")
    assert not denied.complete
    assert "forbidden" in denied.why
    assert not snapshot.list("storageclasses").complete


BUNDLE_LOGS = (Log(NS, "api", "app"), Log(NS, "api", "app", previous=True), Log(NS, "api", "other"))


def test_support_bundle(bundle: Path) -> None:
    check_bundle(read(bundle, *BUNDLE_LOGS))


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:xz"])
def test_archived_support_bundle(bundle: Path, tmp_path: Path, mode: str) -> None:
    archive = tmp_path / "bundle.tar"
    with tarfile.open(archive, mode) as tar:
        tar.add(bundle, bundle.name)
    check_bundle(read(archive, *BUNDLE_LOGS))


def test_zipped_support_bundle(bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for file in bundle.rglob("*"):
            out.write(file, file.relative_to(bundle.parent))
    check_bundle(read(archive, *BUNDLE_LOGS))


@pytest.mark.attack("archives, files, devices, bombs")
@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.9])
def test_archive_that_was_cut_off_or_damaged(bundle: Path, tmp_path: Path, mode: str, part: float) -> None:
    archive = tmp_path / "bundle.tar"
    with tarfile.open(archive, mode) as tar:
        tar.add(bundle, bundle.name)
    whole = archive.read_bytes()
    at = max(int(len(whole) * part), 12)
    for content in (whole[:at], whole[:at] + b"damaged" + whole[at + 7 :]):
        archive.write_bytes(content)
        with pytest.raises(DumpError) as caught:
            RecordedReader(archive).open()
        assert "\n" not in str(caught.value)


@pytest.mark.attack("archives, files, devices, bombs")
def test_zip_with_a_password(tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("pods.json", "{}")
    content = bytearray(archive.read_bytes())
    # Bit 0 of the general purpose flags, in the local header and in the directory: encrypted.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(DumpError, match="the archive cannot be read"):
        RecordedReader(archive).open()


def test_archived_capture(tmp_path: Path) -> None:
    archive = tmp_path / "c.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(CAPTURE, "x/y")
    snapshot = read(archive, Log(NS, "api", "app", previous=True))
    assert snapshot.presumes_absent
    assert format_time(snapshot.now) == (CAPTURE / "captured-at").read_text().strip()
    assert snapshot.log(NS, "api", "app", previous=True).text == PREVIOUS


# Files and trees of objects.


@pytest.mark.parametrize(
    "write",
    [
        lambda objects: json.dumps(objects[0]) + "\n" + json.dumps({"kind": "List", "items": objects[1:]}),
        lambda objects: json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        lambda objects: yaml.safe_dump_all(objects),
        lambda objects: "---\n# nothing\n---\n" + yaml.safe_dump({"kind": "List", "items": objects}) + "---\n",
        lambda objects: "﻿" + json.dumps(objects),
    ],
    ids=["json stream", "list", "yaml stream", "yaml list", "array"],
)
def test_single_file(tmp_path: Path, write: Callable[[list[dict[str, Any]]], str]) -> None:
    file = tmp_path / "objects"
    file.write_text(write([POD, *items("events")]))
    snapshot = read(file)
    assert snapshot.get("pods", NS, "api").obj == POD
    assert len(snapshot.list("events", NS).items) == len(items("events"))
    assert snapshot.list("events", NS).presumed
    assert not snapshot.list("services", NS).complete
    assert snapshot.get("pods", NS, "other").unseen
    assert snapshot.now.year == 2026


def test_tree_of_files(tmp_path: Path) -> None:
    put(tmp_path, {"deep/er/pod.yaml": POD, "x.yml": items("events")[0], "README.md": "no", "values.yaml": {"a": 1}})
    snapshot = read(tmp_path)
    assert snapshot.get("pods", NS, "api").found
    assert len(snapshot.list("events").items) == 1
    assert snapshot.list("pods", NS).presumed


def test_words_of_yaml_stay_what_kubernetes_means(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: on\n  namespace: no\n"
        "  creationTimestamp: 2026-01-01T00:00:00Z\ndata: {a: yes, b: 2026-01-01, c: 1_000, d: true}\n"
    )
    config = read(file).get("configmaps", "no", "on").obj
    assert config["data"] == {"a": "yes", "b": "2026-01-01", "c": 1000, "d": True}
    assert config["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"


def test_clock_of_files_without_times_is_theirs(tmp_path: Path) -> None:
    file = put(tmp_path, {"a.json": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}}) / "a.json"
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert read(file).now.timestamp() == 1_700_000_000


def test_secrets_of_a_file_lose_their_values(tmp_path: Path) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "a"},
        "stringData": {"p": "hunter2"},
    }
    file = put(tmp_path, {"s.yaml": secret}) / "s.yaml"
    assert read(file).get("secrets", "a", "s").obj["data"] == {"p": ""}


# Hostile dumps.


def laughs() -> Iterator[Any]:
    yield "billion laughs", "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    yield "cycle", "&a [*a]"
    yield "cyclic map", "&a {x: *a}"
    yield "deep json", "[" * 100_000 + "]" * 100_000
    yield "deep yaml", "- " * 5_000 + "x"
    yield "deep flow", "{a: " * 5_000
    yield "no objects", "hello: world"
    yield "broken", "{"
    yield "large broken", '{"a": "' + "x" * 2_000_000
    yield "nothing", ""
    yield "python", "!!python/object/apply:os.system ['touch /tmp/owned']"
    yield "binary", "\0\1\2"


@pytest.mark.attack("archives, files, devices, bombs")
@pytest.mark.parametrize("content", [pytest.param(c, id=n) for n, c in laughs()])
def test_hostile_files_end_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(content)
    for path in (file, tmp_path):
        with pytest.raises(DumpError) as caught:
            RecordedReader(path).open()
        assert str(caught.value).startswith("error: ")
        assert "\n" not in str(caught.value)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="does not exist"):
        RecordedReader(tmp_path / "nope").open()


@pytest.mark.attack("archives, files, devices, bombs")
def test_one_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    put(tmp_path, {"a/pods.json": "{", "b/pod.yaml": POD})
    assert read(tmp_path).get("pods", NS, "api").found


@pytest.mark.attack("archives, files, devices, bombs")
def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", {"pod.json": POD, "c.log": "secret\n"})
    inside = put(tmp_path / "dump", {"captured-at": "2026-01-01T00:00:00Z", "a/p/real.log": "yes\n"})
    (inside / "a" / "pods.json").symlink_to(outside / "pod.json")
    (inside / "a" / "p" / "c.log").symlink_to(outside / "c.log")
    (inside / "a" / "p" / "alias.log").symlink_to("real.log")
    (inside / "b").symlink_to(outside)
    snapshot = read(inside, Log("a", "p", "c"), Log("a", "p", "alias"))
    assert not list(snapshot.objects)
    assert not snapshot.log("a", "p", "c").seen
    assert snapshot.log("a", "p", "alias").text == "yes\n"


@pytest.mark.attack("archives, files, devices, bombs")
def test_archives_write_nowhere_else(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as tar:

        def add(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, link
            tar.addfile(member, io.BytesIO(content))

        add("d/pod.json", json.dumps(POD).encode())
        add("../escaped.json", b"{}")
        add("/tmp/absolute-escaped.json", b"{}")
        add("d/up", kind=tarfile.SYMTYPE, link="../../..")
        add("d/up/through-link.json", b"{}")
        add("d/passwd.log", kind=tarfile.SYMTYPE, link="/etc/passwd")
        add("d/hard.log", kind=tarfile.LNKTYPE, link="../../etc/passwd")
        add("d/fifo.json", kind=tarfile.FIFOTYPE)
        add("d/device.json", kind=tarfile.CHRTYPE)
        add("d/good.log", b"good\n")
        add("d/alias.log", kind=tarfile.SYMTYPE, link="good.log")
    before = set(tmp_path.parent.rglob("*escaped*"))
    reader = RecordedReader(archive)
    snapshot = reader.open()
    assert snapshot.get("pods", NS, "api").found
    assert set(tmp_path.parent.rglob("*escaped*")) == before
    assert not Path("/tmp/absolute-escaped.json").exists()
    contents = [p.read_bytes() for p in reader._logs.files.values()]
    assert sorted(contents) == [b"good\n", b"good\n"]


@pytest.mark.attack("archives, files, devices, bombs")
def test_archive_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubetriage.cluster.unpack.MAX_TOTAL", 1_000_000)
    archive = tmp_path / "bomb.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("a.json")
        member.size = 5_000_000
        tar.addfile(member, io.BytesIO(b"0" * 5_000_000))
    with pytest.raises(DumpError, match="unpacks to more than"):
        RecordedReader(archive).open()


@pytest.mark.attack("archives, files, devices, bombs")
def test_broken_archive(bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "b.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(bundle, "b")
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(DumpError, match="the archive cannot be read"):
        RecordedReader(archive).open()


# What recordings of a hanging cluster hold.

LIVEZ = Raw("/livez?verbose")


@pytest.mark.parametrize(
    ("status", "why", "words"),
    [
        ("000 10.002", Why.TIMEOUT, "no answer within 10 s"),
        ("000 0.001", Why.FAILED, "no answer: the connection failed"),
        ("403 0.01", Why.FORBIDDEN, "livez is forbidden"),
    ],
)
def test_a_read_without_an_answer_is_a_failure(tmp_path: Path, status: str, why: Why, words: str) -> None:
    body = json.dumps({"kind": "Status", "message": "livez is forbidden"}) if status.startswith("403") else ""
    files = {"captured-at": "2026-11-23T22:00:00Z", "raw/livez?verbose": body, "raw/livez?verbose.status": status}
    snapshot = read(put(tmp_path, files), LIVEZ)
    failure = snapshot.failure(LIVEZ)
    assert snapshot.body(LIVEZ.path) is None
    assert failure is not None
    assert (failure.why, failure.message) == (why, words)


def test_the_lists_may_be_older_than_the_clock_by_what_the_reads_took(tmp_path: Path) -> None:
    proxy = "raw/api/v1/nodes/n1/proxy/healthz"
    dialled = "Error from server (ServiceUnavailable): error trying to reach service: dial tcp 10.0.0.1:10250: "
    files = {"captured-at": "2026-11-23T22:00:00Z", "raw/livez": "ok", "raw/livez.status": "200 2.5"}
    assert read(put(tmp_path / "a", files)).lag.total_seconds() == 2.5
    refused = {**files, proxy: "", f"{proxy}.error": f"{dialled}connect: connection refused"}
    assert read(put(tmp_path / "b", refused)).lag.total_seconds() == 2.5
    vanished = {**files, proxy: "", f"{proxy}.error": f"{dialled}i/o timeout"}
    assert read(put(tmp_path / "c", vanished)).lag.total_seconds() == 32.5
    assert read(put(tmp_path / "d", {**files, "raw/livez.2": "ok"})).lag.total_seconds() == 14.5


def test_a_recording_offers_the_logs_that_nobody_listed(tmp_path: Path) -> None:
    files = {"captured-at": "2026-11-23T22:00:00Z", "kube-system/etcd-cp-1.etcd.log": "{}\n"}
    assert read(put(tmp_path, files)).logged("kube-system", "etcd") == ("etcd-cp-1",)


@pytest.mark.attack("archives, files, devices, bombs")
def test_a_pipe_that_nobody_writes_into_ends_in_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DumpError, match="a pipe that nobody writes into"):
        RecordedReader(tmp_path / "pipe").open()


@pytest.mark.attack("archives, files, devices, bombs")
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "/dev/null", "/proc/self/mem"])
def test_a_device_is_no_dump(path):
    with pytest.raises(DumpError, match=r"neither a file nor a pipe|input/output error|holds no objects"):
        RecordedReader(Path(path)).open()


@pytest.mark.attack("archives, files, devices, bombs")
def test_times_of_day_are_text_and_linear(tmp_path):
    (document,) = parse_documents(b"a: 22:30\nb: 1:30.5\nc: 0x1F\nd: 017\ne: 1e3\nf: -4\ng: .5\nh: 12\n", "x")
    assert document == {"a": "22:30", "b": "1:30.5", "c": 31, "d": 15, "e": 1000.0, "f": -4, "g": 0.5, "h": 12}

    def seconds(size: int) -> float:
        begun = time.process_time()
        parse_documents(b"x: " + b"1:" * size + b"1\n", "x")
        return time.process_time() - begun

    # To the base of sixty it was the square: 16 times.
    assert least(lambda: seconds(100_000) / max(seconds(25_000), 0.005), 9) < 9


def _archive(path: Path, names: Iterable[str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


@pytest.mark.attack("archives, files, devices, bombs")
def test_a_file_where_a_folder_is_needed_is_told_without_our_folder(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="needs a folder") as told:
        unpack(_archive(tmp_path / "dump.tgz", ["a", "a/b"]), tmp_path / "out")
    assert "out" not in str(told.value)


@pytest.mark.attack("archives, files, devices, bombs")
def test_files_without_end_that_hold_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubetriage.cluster.unpack.MAX_EMPTY", 10)
    with pytest.raises(DumpError, match="more than 10 empty files"):
        unpack(_archive(tmp_path / "dump.tgz", (f"f{i}" for i in range(20))), tmp_path / "out")
