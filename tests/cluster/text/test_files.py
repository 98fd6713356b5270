"""Files that people collect by hand: lists from a file, logs without objects, texts in a folder, forged names."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.main import main
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.cluster.text import Hint
from kubetriage.needs import List, Log
from support.offline import CAPTURES
from support.pasted import PASTES, ask, verdict

_POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "api", "namespace": "shop"},
    "spec": {"containers": [{"name": "app", "image": "shop:1"}]},
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "app",
                "ready": False,
                "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {
                    "terminated": {
                        "exitCode": 1,
                        "reason": "Error",
                        "startedAt": "2026-01-01T00:00:00Z",
                        "finishedAt": "2026-01-01T00:00:01Z",
                    }
                },
            }
        ],
    },
}


def _read(path: Path, **hint: Any) -> tuple[RecordedReader, Any]:
    reader = RecordedReader(path, Hint(**hint))
    return reader, reader.open()


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words[0], list(words[1:]))
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.mark.parametrize("stem", ["app", "app.previous"])
def test_either_log_of_a_waiting_container_is_that_of_the_instance_that_ended(stem: str, tmp_path: Path) -> None:
    (tmp_path / "shop" / "api").mkdir(parents=True)
    (tmp_path / "captured-at").write_text("2026-01-01T00:05:00Z")
    (tmp_path / "shop" / "pods.json").write_text(json.dumps({"items": [_POD]}))
    (tmp_path / "shop" / "api" / f"{stem}.log").write_text("the words\n")
    reader, snapshot = _read(tmp_path)
    for previous in (False, True):
        need = Log("shop", "api", "app", previous)
        reader.fetch([need], snapshot)
        assert snapshot.log("shop", "api", "app", previous).text == "the words\n"


def test_with_both_logs_each_is_taken_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "shop" / "api").mkdir(parents=True)
    (tmp_path / "shop" / "pods.json").write_text(json.dumps({"items": [_POD]}))
    for stem in ("app", "app.previous"):
        (tmp_path / "shop" / "api" / f"{stem}.log").write_text(f"of {stem}\n")
    reader, snapshot = _read(tmp_path)
    reader.fetch([Log("shop", "api", "app"), Log("shop", "api", "app", True)], snapshot)
    assert snapshot.log("shop", "api", "app").text == "of app\n"
    assert snapshot.log("shop", "api", "app", True).text == "of app.previous\n"


def test_the_log_of_a_ready_container_is_not_that_of_the_one_before(tmp_path: Path) -> None:
    pod = json.loads(json.dumps(_POD))
    status = pod["status"]["containerStatuses"][0]
    status.update(ready=True, state={"running": {"startedAt": "2026-01-01T00:00:02Z"}})
    (tmp_path / "shop" / "api").mkdir(parents=True)
    (tmp_path / "shop" / "pods.json").write_text(json.dumps({"items": [pod]}))
    (tmp_path / "shop" / "api" / "app.log").write_text("of the one that runs\n")
    reader, snapshot = _read(tmp_path)
    reader.fetch([Log("shop", "api", "app", True)], snapshot)
    assert not snapshot.log("shop", "api", "app", True).seen


def test_a_tree_of_logs_alone_is_used_for_its_logs(tmp_path: Path) -> None:
    (tmp_path / "shop" / "api").mkdir(parents=True)
    (tmp_path / "shop" / "api" / "app.log").write_text(
        "Traceback (most recent call last):\n  File \"/a.py\", line 1, in <module>\nKeyError: 'X'\n"
    )
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.log").write_text("x\n")
    _, diagnoses = ask("why-crash", tmp_path, "pod/api", "shop")
    assert verdict(diagnoses)[0] == "AppError"


def test_lists_of_a_file_hold_what_they_hold(tmp_path: Path) -> None:
    objects: list[Any] = []
    for file in ("pods", "services", "endpoints", "deployments", "replicasets"):
        path = CAPTURES / "svc-selector-typo" / "svc-selector-typo" / f"{file}.json"
        objects += json.loads(path.read_text())["items"] if path.exists() else []
    file = tmp_path / "all.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    _, diagnoses = ask("svc-trace", file, "svc/web", "svc-selector-typo")
    assert verdict(diagnoses)[0] == "SelectorMismatch"
    _, snapshot = _read(file)
    listing = snapshot.list("pods", "svc-selector-typo")
    assert listing.presumed
    assert listing.why == "from the file, may be incomplete"


def test_all_namespaces_of_a_file_are_scanned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = {**_POD, "metadata": {"name": "web", "namespace": "blog"}}
    file = tmp_path / "pods.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [_POD, other]}))
    code, out, _ = _run(capsys, "why-crash", "--from", str(file), "-o", "json")
    assert code == 0
    assert {i["target"]["namespace"] for i in json.loads(out)["items"]} == {"shop", "blog"}


@pytest.mark.parametrize(("words", "namespace"), [((), "default"), (("-n", "shop"), "shop")])
def test_a_manifest_without_a_namespace_stands_where_the_user_is(
    words: tuple[str, ...], namespace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = {**_POD, "metadata": {"name": "api"}}
    file = tmp_path / "pod.yaml"
    file.write_text(json.dumps(pod))
    _, out, _ = _run(capsys, "why-crash", "api", "--from", str(file), "-o", "json", *words)
    item = json.loads(out)["items"][0]
    assert item["target"]["namespace"] == namespace
    assert "-n  " not in out


def test_texts_of_a_folder_and_of_an_archive_are_read(tmp_path: Path) -> None:
    text = (PASTES / "disk-full-emptydir" / "ticket.txt").read_bytes()
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "ticket.md").write_bytes(text)
    (tmp_path / "one" / "empty.txt").touch()
    (tmp_path / "one" / "picture.txt").write_bytes(b"\0\1\2" * 100)
    archive = tmp_path / "ticket.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("case/ticket.txt")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    for path in (tmp_path / "one", archive):
        assert verdict(ask("why-crash", path, "pod/api", "disk-full-emptydir")[1])[0] == "DiskFull"


def test_names_that_no_api_server_accepts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forged = {**_POD, "metadata": {"name": "x; rm -rf ~", "namespace": "shop"}}
    file = tmp_path / "pods.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [_POD, forged]}))
    code, out, err = _run(capsys, "why-crash", "--from", str(file))
    assert code == 0
    assert "rm -rf" not in out
    assert "no API server accepts such a name" in err


def test_what_is_not_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ticket.md"
    strange = "NAME    BAR   BAZ\nx       1     2\n"
    file.write_text((PASTES / "oom-limit" / "ticket.txt").read_text() + f"\n$ kubectl get widgets\n{strange}")
    _, _, err = _run(capsys, "oom-budget", "--from", str(file))
    assert "looks like kubectl get widgets; not used" in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello, it does not work\n", "looks like a log, or like prose"),
        ("kind: Deployment\n  bad: [\n", "give the output of: kubectl describe pod NAME"),
        ("NAME    BAR   BAZ\nx       1     2\n", "looks like a table of kubectl"),
    ],
)
def test_a_text_that_gives_nothing_says_what_would(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ticket.txt"
    file.write_text(text)
    code, _, err = _run(capsys, "why-crash", "--from", str(file))
    assert code == 1
    assert words in err


def test_a_node_is_sent_to_its_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "node.txt"
    file.write_text(
        "Name:               node-1\nRoles:              <none>\nTaints:             <none>\n"
        "Conditions:\n  Type             Status  LastHeartbeatTime                 LastTransitionTime"
        "                Reason                       Message\n"
        "  ----             ------  -----------------                 ------------------                ------"
        "                       -------\n"
        "  Ready            Unknown Sat, 28 Nov 2026 19:47:36 +0000   Sat, 28 Nov 2026 19:46:22 +0000   "
        "NodeStatusUnknown            Kubelet stopped posting node status.\n"
        "System Info:\n  Kubelet Version:            v1.36.2\n"
    )
    code, _, err = _run(capsys, "why-crash", "--from", str(file))
    assert (code, err) == (1, f"error: this is a node: kubectl node-triage --from {file}\n")
    snapshot, diagnoses = ask("node-triage", file)
    assert snapshot.get("nodes", "", "node-1").found
    assert diagnoses[0].cause != "Healthy"


def test_a_list_that_a_command_printed_whole_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "ticket.txt"
    file.write_text("$ kubectl get pods -n shop\nNo resources found in shop namespace.\n")
    _, snapshot = _read(file)
    listing = snapshot.list("pods", "shop")
    assert (listing.complete, listing.presumed, listing.items) == (True, False, ())
    assert snapshot.knows(List("pods", "shop"))
    assert not snapshot.list("services", "shop").complete
