"""What a run read, written and read again."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cluster.errors import DumpError
from kubetriage.cluster.record import record, redacted
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.needs import Body, Dial, Failure, Get, List, Log, Need, Raw, Why
from kubetriage.plugins import PLUGINS
from kubetriage.records import replace
from kubetriage.render.document import document
from kubetriage.render.sanitize import sanitized
from kubetriage.snapshot import Reader, Snapshot
from kubetriage.values.times import parse_time
from support.live import Read, Serve, ask, comparable
from support.offline import CAPTURES, truth

pytestmark = pytest.mark.attack("records: the same answer, nothing outside the folder")

NOW = parse_time("2026-01-02T03:04:05Z")
assert NOW is not None


PRESUMED = {"ing-tls-missing"}
"""Captures whose cause is an absence: their layout makes it likely, an API server confirms it."""


def questions(*commands: str) -> list[Any]:
    known = [truth(p.parent.name) for p in sorted(CAPTURES.glob("*/truth.json"))]
    return [pytest.param(t.scenario, id=t.scenario) for t in known if t.command in (commands or PLUGINS)]


def answered(scenario: str, reader: Reader) -> tuple[Snapshot, Any]:
    """Return what a reader saw, and the document and errors that the scenario's plugin made of it."""
    snapshot, answer = ask(scenario, reader)
    return snapshot, (document([sanitized(d) for d in answer.diagnoses], snapshot.now), answer.errors)


@pytest.mark.parametrize("scenario", questions())
def test_recording_gives_the_same_answer(scenario: str, serve: Serve, read: Read, tmp_path: Path) -> None:
    live, answer = answered(scenario, read(serve(scenario), interval=0))
    record(live, tmp_path / "dump")
    again, same = answered(scenario, RecordedReader(tmp_path / "dump"))
    assert same == answer
    assert not [f for _, f in again.failures if f.why is Why.NOT_IN_DUMP]


@pytest.mark.parametrize("scenario", questions("why-crash", "svc-trace"))
def test_live_reading_gives_the_answer_of_the_capture(scenario: str, serve: Serve, read: Read) -> None:
    _, live = answered(scenario, read(serve(scenario)))
    _, recorded = answered(scenario, RecordedReader(CAPTURES / scenario))
    assert [i["cause"] for i in live[0]["items"]] == [i["cause"] for i in recorded[0]["items"]]
    if scenario not in PRESUMED:
        assert comparable(live[0]["items"]) == comparable(recorded[0]["items"])
    assert live[1] == recorded[1]


@pytest.mark.parametrize("denied", ["events", "pods/log", "nodes", "pods"])
def test_what_was_denied_stays_denied(serve: Serve, read: Read, tmp_path: Path, denied: str) -> None:
    api = serve("java-npe")
    api.deny(denied)
    live, answer = answered("java-npe", read(api))
    record(live, tmp_path / "dump")
    again, same = answered("java-npe", RecordedReader(tmp_path / "dump"))
    assert same == answer
    assert dict(again.failures) == dict(live.failures)


def snapshot_of_everything() -> tuple[Snapshot, list[Need]]:
    snapshot = Snapshot(NOW)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "p", "uid": "u"}}
    snapshot.add("pods", pod)
    whole = List("services", "a")
    snapshot.add_list(whole, [])
    chosen = List("events", "a", fields="involvedObject.uid=u")
    snapshot.add_list(chosen, [{"apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "a", "name": "e"}}])
    shaped = List("endpoints", shape=lambda o: None)
    snapshot.add_list(shaped, [{"metadata": {"name": "x", "namespace": "a"}}] * 3)
    log, previous = Log("a", "p", "c"), Log("a", "p", "c", previous=True)
    snapshot.add_log(log, "one\ntwo � \r\n")
    snapshot.fail(previous, Failure(Why.NOT_FOUND, "unable to retrieve container logs for x", 200))
    bodies: list[Raw | Dial] = [
        Raw("/livez"),
        Raw("/livez/etcd"),
        Raw("/livez?verbose"),
        Raw("/metrics"),
        Raw("/metrics", 1),
        Raw("/../../etc/passwd"),
        Raw("/a" * 300),
        Raw("/x.status"),
        Dial("a", "p", 8080, "/metrics"),
        Dial("a", "p", 8080, "/metrics", sample=1),
    ]
    for i, need in enumerate(bodies):
        snapshot.add_body(need, Body(f"body {i}\n", 200 + i, i / 7, i / 3))
    gone, denied = Get("configmaps", "a", "gone"), Get("secrets", "a", "hidden")
    snapshot.fail(gone, Failure(Why.NOT_FOUND, 'configmaps "gone" not found', 404))
    snapshot.fail(denied, Failure(Why.FORBIDDEN, "secrets is forbidden", 403))
    late = Raw("/readyz")
    snapshot.fail(late, Failure(Why.TIMEOUT, "too late"))
    return snapshot, [Get("pods", "a", "p"), whole, chosen, shaped, log, previous, *bodies, gone, denied, late]


def test_every_answer_and_every_gap_survives(tmp_path: Path) -> None:
    snapshot, needs = snapshot_of_everything()
    record(snapshot, tmp_path / "dump")
    reader = RecordedReader(tmp_path / "dump")
    again = reader.open()
    assert again.now == NOW
    assert all(again.knows(n) for n in needs)
    assert list(again.unseen(needs)) == list(snapshot.unseen(needs))
    assert dict(again.failures) == dict(snapshot.failures)
    assert dict(again.bodies) == dict(snapshot.bodies)
    assert dict(again.logs) == dict(snapshot.logs)
    assert sorted(map(str, again.objects)) == sorted(map(str, snapshot.objects))
    assert dict(again.lists) == dict(snapshot.lists)
    assert again.list("services", "a").complete
    assert not again.list("events", "a").complete
    assert again.get("endpoints", "a", "y").unseen
    assert again.get("pods", "a", "other").unseen
    assert again.get("services", "a", "other").absent
    assert again.get("configmaps", "a", "gone").absent
    assert again.get("secrets", "a", "hidden").unseen


def test_recording_of_a_recording_is_the_same(tmp_path: Path) -> None:
    snapshot, _ = snapshot_of_everything()
    record(snapshot, tmp_path / "one")
    record(RecordedReader(tmp_path / "one").open(), tmp_path / "two")
    one = {p.relative_to(tmp_path / "one"): p.read_bytes() for p in (tmp_path / "one").rglob("*") if p.is_file()}
    two = {p.relative_to(tmp_path / "two"): p.read_bytes() for p in (tmp_path / "two").rglob("*") if p.is_file()}
    assert one == two


def test_files_stay_in_the_directory_and_are_private(tmp_path: Path) -> None:
    snapshot, _ = snapshot_of_everything()
    evil = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "../../up", "name": "p"}}
    snapshot.add("pods", evil)
    snapshot.add_log(Log("..", "../x", "/etc/passwd"), "x")
    snapshot.add_log(Log("", "a\0b", "c"), "x")
    record(snapshot, tmp_path / "in" / "dump")
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(tmp_path / "in" / "dump")]
    assert outside == []
    for path in (tmp_path / "in" / "dump").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    again = RecordedReader(tmp_path / "in" / "dump").open()
    assert again.get("pods", "../../up", "p").found
    assert again.log("..", "../x", "/etc/passwd").text == "x"


def test_an_empty_folder_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    snapshot, _ = snapshot_of_everything()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    record(snapshot, tmp_path / "open")
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


def test_directory_must_be_new_or_empty(tmp_path: Path) -> None:
    snapshot, _ = snapshot_of_everything()
    (tmp_path / "empty").mkdir()
    record(snapshot, tmp_path / "empty")
    with pytest.raises(DumpError, match="is not empty"):
        record(snapshot, tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(DumpError, match=r"^error: cannot record to "):
        record(snapshot, tmp_path / "file")


PASSWORD = "hunter2-Correct-Horse"


def test_planted_secrets_are_not_recorded(tmp_path: Path) -> None:
    snapshot = Snapshot(NOW)
    snapshot.add(
        "pods",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "namespace": "a",
                "name": "p",
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": f'{{"x": "{PASSWORD}"}}',
                    "example.com/api-token": PASSWORD,
                },
            },
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "env": [{"name": "DB_PASSWORD", "value": PASSWORD}, {"name": "LOG_LEVEL", "value": "debug"}],
                        "args": ["--password", PASSWORD, f"--db-password={PASSWORD}", "--port", "8080"],
                        "livenessProbe": {
                            "httpGet": {"httpHeaders": [{"name": "Authorization", "value": f"Bearer {PASSWORD}"}]}
                        },
                    }
                ]
            },
            "status": {"message": f"cannot connect to postgres://me:{PASSWORD}@db:5432/app"},
        },
    )
    snapshot.add(
        "configmaps",
        {
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {"namespace": "a", "name": "m"},
            "data": {"password": PASSWORD, "app.yaml": f"port: 8080\npassword: {PASSWORD}\n"},
        },
    )
    snapshot.add_log(Log("a", "p", "c"), f"connecting with password={PASSWORD}\nready\n")
    snapshot.add_body(Raw("/api/v1/nodes/n/proxy/configz"), Body(json.dumps({"a": {"token": PASSWORD}})))
    snapshot.fail(Raw("/x"), Failure(Why.FAILED, f"Authorization: Bearer {PASSWORD}"))
    record(snapshot, tmp_path / "dump")
    for path in (tmp_path / "dump").rglob("*"):
        if path.is_file():
            assert PASSWORD not in path.read_text(), path
    again = RecordedReader(tmp_path / "dump").open()
    container = again.get("pods", "a", "p").obj["spec"]["containers"][0]
    assert container["env"][1] == {"name": "LOG_LEVEL", "value": "debug"}
    assert container["args"][3:] == ["--port", "8080"]
    config = again.get("configmaps", "a", "m").obj["data"]
    assert set(config) == {"password", "app.yaml"}
    assert config["app.yaml"].startswith("port: 8080\n")
    assert "ready" in again.log("a", "p", "c").text


@pytest.mark.parametrize("scenario", sorted(p.parent.name for p in CAPTURES.glob("*/truth.json")))
def test_redaction_leaves_ordinary_objects_alone(scenario: str) -> None:
    for resource, obj in RecordedReader(CAPTURES / scenario).open().objects:
        expected = json.loads(json.dumps(obj))
        annotations = expected["metadata"].get("annotations", {})
        annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
        assert redacted(obj) == expected, resource


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / "captured-at").write_text("yesterday"), "not a time"),
        (lambda d: (d / "coverage.json").write_text("{"), "neither JSON nor YAML"),
        (lambda d: (d / "a" / "pods.json").unlink(), "there is no file"),
        (
            lambda d: (d / "coverage.json").write_text(
                json.dumps({"bodies": [{"raw": "/x", "file": "../../../../../../etc/hostname"}]})
            ),
            "there is no file",
        ),
    ],
)
def test_damaged_recordings_are_refused(tmp_path: Path, damage: Any, words: str) -> None:
    snapshot, _ = snapshot_of_everything()
    record(snapshot, tmp_path / "dump")
    damage(tmp_path / "dump")
    with pytest.raises(DumpError, match=words):
        RecordedReader(tmp_path / "dump").open()


def test_presumed_absence_stays_presumed(tmp_path: Path) -> None:
    snapshot = replace(snapshot_of_everything()[0], presumes_absent=True)
    record(snapshot, tmp_path / "dump")
    assert RecordedReader(tmp_path / "dump").open().get("pvcs", "a", "x").presumed
