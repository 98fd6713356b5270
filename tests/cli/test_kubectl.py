"""The plugins through a real kubectl, against the fake API server over HTTPS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cluster.recorded import RecordedReader
from kubetriage.render.document import document
from kubetriage.render.sanitize import sanitized
from support.fake_api import FakeApi
from support.live import ask, comparable
from support.offline import CAPTURES, Truth, truths

ROOT = Path(__file__).parents[2]
KUBECTL = shutil.which("kubectl")
pytestmark = [
    pytest.mark.kubectl,
    pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on PATH"),
    pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="the executables run in .venv; make makes it"),
]
ALLOWED = {"GET"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def kubectl(api: FakeApi, home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``kubectl words`` with the plugins on PATH; the one under test is found by its underscore name."""
    assert KUBECTL is not None
    api.kubeconfig(home)
    variables = {
        "HOME": str(home),
        "KUBECONFIG": str(home / "kubeconfig"),
        "PATH": f"{ROOT / 'kubectl-plugins'}{os.pathsep}{os.environ['PATH']}",
        **env,
    }
    return subprocess.run([KUBECTL, *words], env=variables, capture_output=True, text=True, timeout=60, check=False)


def why_crash(api: FakeApi, home: Path, known: Truth, *more: str) -> subprocess.CompletedProcess[str]:
    return kubectl(api, home, "why-crash", known.target, "-n", known.namespace, *more)


def offline(known: Truth) -> Any:
    """What ``--from`` says."""
    snapshot, answer = ask(known.scenario, RecordedReader(CAPTURES / known.scenario))
    return document([sanitized(d) for d in answer.diagnoses], snapshot.now)


def said(known: Truth, run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    shown: dict[str, Any] = json.loads(run.stdout)
    assert shown["items"][0]["cause"] in known.causes
    return shown


def known_truth(scenario: str) -> Truth:
    return next(t for t in truths("why-crash") if t.scenario == scenario)


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[tuple[FakeApi, Truth]]:
    known = known_truth(getattr(request, "param", "java-npe"))
    with FakeApi(CAPTURES / known.scenario, tls=True, token="s3cret-token") as api:
        yield api, known


@pytest.mark.parametrize("served", [t.scenario for t in truths("why-crash")], indirect=True)
def test_answers_as_from_the_recording(served: tuple[FakeApi, Truth], home: Path) -> None:
    api, known = served
    shown = said(known, why_crash(api, home, known, "-o", "json"))
    expected = offline(known)
    assert shown["observedAt"] == expected["observedAt"]
    assert comparable(shown["items"]) == comparable(json.loads(json.dumps(expected["items"])))
    assert {r.method for r in api.requests} == ALLOWED


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("/pods/", {"status": 429, "retry_after": "0", "times": 3}),
    ("/events", {"status": 503, "retry_after": "0", "times": 2}),
    ("/log", {"drop": True, "times": 1}),
    ("", {"compress": True}),
    ("", {"chunked": True}),
    ("", {"delay": 0.2}),
    ("/pods/", {"truncate": 100, "times": 1}),
    ("/events", {"status": 410, "times": 1}),
]


@pytest.mark.parametrize(("pattern", "fault"), FAULTS, ids=lambda f: str(f))
def test_passing_trouble_changes_nothing(
    served: tuple[FakeApi, Truth], home: Path, pattern: str, fault: dict[str, Any]
) -> None:
    api, known = served
    api.fault(pattern, **fault)
    shown = said(known, why_crash(api, home, known, "-o", "json"))
    assert shown["items"] == json.loads(json.dumps(offline(known)["items"]))


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "message": "etcdserver: request timed out"},
        {"status": 403, "message": "events is forbidden"},
        {"delay": 120},
        {"drop": True},
        {"truncate": 50},
        {"body": b"<html>"},
    ],
    ids=str,
)
def test_lasting_trouble_is_a_named_gap(served: tuple[FakeApi, Truth], home: Path, fault: dict[str, Any]) -> None:
    api, known = served
    api.fault("/events", **fault)
    shown = said(known, why_crash(api, home, known, "-o", "json", "--request-timeout", "5s"))
    assert any("event" in gap["what"].lower() for gap in shown["items"][0]["notSeen"])


def test_text_for_people(served: tuple[FakeApi, Truth], home: Path) -> None:
    api, known = served
    run = why_crash(api, home, known)
    assert run.returncode == 0
    assert "AppError" in run.stdout
    assert not run.stderr
    assert "\x1b" not in run.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nope"], 'Error from server (NotFound): pods "nope" not found'),
        (["pod/api", "--token", "expired"], "error: You must be logged in to the server (Unauthorized)"),
        (["api", "--context", "nope"], 'error: context "nope" does not exist'),
        (["api", "--kubeconfig", "/no/such"], "error: stat /no/such: no such file or directory"),
        (
            ["api", "--server", "https://127.0.0.1:1"],
            "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?",
        ),
        (
            ["api", "--certificate-authority", "/etc/ssl/certs/ca-certificates.crt"],
            "Unable to connect to the server: tls: failed to verify certificate: x509: "
            "certificate signed by unknown authority",
        ),
    ],
    ids=lambda p: " ".join(p)[:30],
)
def test_errors_are_kubectls(served: tuple[FakeApi, Truth], home: Path, words: list[str], line: str) -> None:
    api, known = served
    ours = kubectl(api, home, "why-crash", *words, "-n", known.namespace)
    assert (ours.returncode, ours.stdout, ours.stderr) == (1, "", line + "\n")
    theirs = kubectl(api, home, "get", "pods", *(w.removeprefix("pod/") for w in words), "-n", known.namespace)
    assert theirs.returncode == 1
    # Of a refused token kubectl says another thing when it happens during discovery, which we do not do.
    # kubectls built with Go before 1.20 leave out that it was the verification that failed.
    said_by = [w.replace("tls: failed to verify certificate: ", "") for w in (theirs.stderr.splitlines()[-1], line)]
    assert said_by[0].partition(" (")[0] == said_by[1].partition(" (")[0]


def test_debug_trail_holds_no_credentials(served: tuple[FakeApi, Truth], home: Path) -> None:
    api, known = served
    run = why_crash(api, home, known, "-v", "9")
    assert f"GET {api.url}/api/v1/namespaces/{known.namespace}/pods/api 200" in run.stderr
    assert "s3cret-token" not in run.stderr + run.stdout


def test_recording_gives_the_same_answer(served: tuple[FakeApi, Truth], home: Path) -> None:
    api, known = served
    live = said(known, why_crash(api, home, known, "-o", "json", "--record", str(home / "dump")))
    again = said(known, why_crash(api, home, known, "-o", "json", "--from", str(home / "dump")))
    assert again == live


def test_namespace_of_the_context_is_the_default(served: tuple[FakeApi, Truth], home: Path) -> None:
    api, known = served
    assert KUBECTL is not None
    path = api.kubeconfig(home, namespace=known.namespace)
    run = subprocess.run(
        [KUBECTL, "why-crash", "api", "-o", "name"],
        env={"KUBECONFIG": str(path), "PATH": f"{ROOT / 'kubectl-plugins'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "pod/api\n")


SCANS = [
    ("why-crash", "-A"),
    ("why-crash", "-A", "--all", "-o", "wide"),
    ("why-crash", "pod/api", "--explain"),
    ("svc-trace", "-A"),
    ("oom-budget", "-A"),
    ("node-triage", "--probe-kubelet"),
    ("plane-trace", "--interval", "0.2s"),
]


@pytest.mark.parametrize("words", SCANS, ids=" ".join)
def test_nothing_but_get_is_sent(served: tuple[FakeApi, Truth], home: Path, words: tuple[str, ...]) -> None:
    api, known = served
    more = () if "-A" in words or words[0] in ("node-triage", "plane-trace") else ("-n", known.namespace)
    run = kubectl(api, home, *words, *more, "-v", "6")
    assert "Traceback" not in run.stderr
    assert run.returncode == 0, run.stderr
    assert api.requests
    assert {r.method for r in api.requests} == ALLOWED
