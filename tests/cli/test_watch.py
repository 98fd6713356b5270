"""``--watch`` through the executables, against an API server whose objects change and that fails in every way."""

from __future__ import annotations

import copy
import json
import os
import pty
import queue
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.watch import Changes, fitting
from kubetriage.cluster.watch import lists_to_follow
from kubetriage.model import Confidence, Diagnosis, Finding, Ref, Severity
from kubetriage.needs import Get, List
from support.fake_api import FakeApi
from support.offline import CAPTURES, ROOT

PATIENCE = 90.0


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(CAPTURES / "oom-limit") as made:
        yield made


def well(api: FakeApi) -> dict[str, Any]:
    """Return the crashing pod as it would be if it ran."""
    pod = copy.deepcopy(api.store["pods"]["oom-limit", "api"])
    for condition in pod["status"]["conditions"]:
        condition["status"] = "True"
    for status in pod["status"]["containerStatuses"]:
        status.update(ready=True, started=True, restartCount=0, lastState={})
        status["state"] = {"running": {"startedAt": "2026-11-01T00:00:00Z"}}
    pod["status"]["phase"] = "Running"
    return pod


class Watching:
    """A plugin under ``--watch`` in a pipe."""

    def __init__(self, home: Path, *words: str, executable: list[str] | None = None, plugin: str = "why_crash") -> None:
        command = executable or [sys.executable, str(ROOT / "kubectl-plugins" / f"kubectl-{plugin}")]
        path = f"{ROOT / 'kubectl-plugins'}{os.pathsep}{os.environ['PATH']}"
        self.run = subprocess.Popen(
            [*command, *words],
            env={"PATH": path, "HOME": str(home), "KUBECONFIG": str(home / "kubeconfig")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.err: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._pumps = [
            threading.Thread(target=self._pump, args=(stream, lines), daemon=True)
            for stream, lines in ((self.run.stdout, self.out), (self.run.stderr, self.err))
        ]
        for pump in self._pumps:
            pump.start()

    @staticmethod
    def _pump(stream: Any, lines: queue.SimpleQueue[str]) -> None:
        with stream:
            for line in stream:
                lines.put(line.rstrip("\n"))

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        self.run.kill()
        self.run.wait()
        for pump in self._pumps:
            pump.join()

    def interrupt(self) -> int:
        self.run.send_signal(signal.SIGINT)
        code = self.run.wait(PATIENCE)
        for pump in self._pumps:
            pump.join()
        return code


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def watches(api: FakeApi) -> list[Any]:
    return [r for r in api.asked() if r.query.get("watch")]


def test_a_pipe_gets_one_line_per_changed_verdict(api: FakeApi, tmp_path: Path) -> None:
    api.kubeconfig(tmp_path, namespace="oom-limit")
    with Watching(tmp_path, "api", "--watch") as run:
        assert re.fullmatch(r"\d{4}-\S+Z pod/api OOMKilled \S.*", run.out.get(timeout=PATIENCE))
        until(lambda: {"pods", "events"} <= {r.path.rpartition("/")[2] for r in watches(api)})
        broken = copy.deepcopy(api.store["pods"]["oom-limit", "api"])
        broken["metadata"].setdefault("annotations", {})["touched"] = "yes"
        api.put(broken)
        time.sleep(1.5)
        assert run.out.empty(), "an unchanged verdict is no news"
        api.put(well(api))
        assert " pod/api Healthy " in run.out.get(timeout=PATIENCE)
        api.put(well(api), deleted=True)
        assert run.out.get(timeout=PATIENCE).endswith("pod/api - is no longer there")
        assert 'pods "api" not found' in run.out.get(timeout=PATIENCE)
        api.put(broken)
        assert " pod/api OOMKilled " in run.out.get(timeout=PATIENCE)
        assert run.interrupt() == 130
        assert run.err.empty()
    assert {r.method for r in api.requests} == {"GET"}
    for request in watches(api):
        assert request.query["allowWatchBookmarks"] == "true"
        assert int(request.query["resourceVersion"]) >= 1000


def too_old(api: FakeApi) -> None:
    api.compact()
    api.break_watches()


def refused(api: FakeApi) -> None:
    api.fault("watch=1", status=410, times=2)
    api.break_watches()


def expired_on_the_list(api: FakeApi) -> None:
    api.fault("limit=1&?", status=504, times=2)
    too_old(api)


def garbage(api: FakeApi) -> None:
    api.fault("watch=1", body=b'{"type": \n[[[\n', times=3)
    api.break_watches()


def silent_proxy(api: FakeApi) -> None:
    api.fault("watch=1", body=b"", times=8)
    api.break_watches()


TROUBLES = [too_old, refused, expired_on_the_list, garbage, silent_proxy, FakeApi.break_watches]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: t.__name__)
def test_passing_trouble_loses_no_change(api: FakeApi, tmp_path: Path, trouble: Callable[[FakeApi], None]) -> None:
    api.kubeconfig(tmp_path, namespace="oom-limit")
    with Watching(tmp_path, "api", "--watch") as run:
        assert " OOMKilled " in run.out.get(timeout=PATIENCE)
        until(lambda: len(watches(api)) >= 2)
        trouble(api)
        api.put(well(api))
        assert " Healthy " in run.out.get(timeout=PATIENCE)
        assert run.interrupt() == 130
        assert "Traceback" not in "".join(iter(lambda: "" if run.err.empty() else run.err.get(), ""))


def test_a_restart_of_the_api_server_is_one_line_when_lost_and_one_when_back(tmp_path: Path) -> None:
    with FakeApi(CAPTURES / "oom-limit") as first:
        first.kubeconfig(tmp_path, namespace="oom-limit")
        run = Watching(tmp_path, "api", "--watch")
        assert " OOMKilled " in run.out.get(timeout=PATIENCE)
        until(lambda: len(watches(first)) >= 2)
    with run:
        assert "lost contact with the API server" in run.err.get(timeout=PATIENCE)
        time.sleep(1)
        with FakeApi(CAPTURES / "oom-limit", port=first.port) as second:
            second.put(well(second))
            assert "answers again" in run.err.get(timeout=PATIENCE)
            assert " Healthy " in run.out.get(timeout=PATIENCE)
            assert run.interrupt() == 130
        assert run.err.empty()


def test_what_may_not_be_watched_is_looked_at_now_and_then(api: FakeApi, tmp_path: Path) -> None:
    api.kubeconfig(tmp_path, namespace="oom-limit")
    api.fault("events.*watch=1", status=403)
    with Watching(tmp_path, "api", "--watch") as run:
        assert " OOMKilled " in run.out.get(timeout=PATIENCE)
        told = [run.err.get(timeout=PATIENCE)]
        api.put(well(api))
        assert " Healthy " in run.out.get(timeout=PATIENCE)
        while not run.err.empty():
            told.append(run.err.get())
        # Each list that may not be watched is named once.
        assert all("may not be watched" in line for line in told)
        assert len(set(told)) == len(told)


def test_svc_trace_follows_the_service_its_endpoints_and_pods(tmp_path: Path) -> None:
    with FakeApi(CAPTURES / "svc-selector-typo") as api:
        api.kubeconfig(tmp_path, namespace="svc-selector-typo")
        with Watching(tmp_path, "web", "--watch", plugin="svc_trace") as run:
            assert " service/web SelectorMismatch " in run.out.get(timeout=PATIENCE)
            until(lambda: {"services", "endpointslices"} <= {r.path.rpartition("/")[2] for r in watches(api)})
            pods = [o for (where, _), o in api.store["pods"].items() if where == "svc-selector-typo"]
            service = copy.deepcopy(api.store["services"]["svc-selector-typo", "web"])
            service["spec"]["selector"] = {
                k: v for k, v in pods[0]["metadata"]["labels"].items() if k != "pod-template-hash"
            }
            api.put(service)
            assert " service/web " in run.out.get(timeout=PATIENCE)
            assert run.interrupt() == 130


def test_nothing_to_follow_is_kubectls_error(api: FakeApi, tmp_path: Path) -> None:
    api.kubeconfig(tmp_path, namespace="oom-limit")
    with Watching(tmp_path, "nope", "--watch") as run:
        assert run.run.wait(PATIENCE) == 1
        assert run.err.get(timeout=PATIENCE) == 'Error from server (NotFound): pods "nope" not found'
        assert run.err.empty()


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["--from", "tests/captures/oom-limit"], "--from"),
        (["--record", "/nonexistent/x"], "--record"),
        (["--contexts", "*"], "--contexts"),
        (["-o", "json"], "-o json"),
        (["-o", "yaml"], "-o yaml"),
        (["-o", "name"], "-o name"),
    ],
)
def test_what_makes_no_sense_together_is_one_line(tmp_path: Path, words: list[str], flag: str) -> None:
    with Watching(tmp_path, "api", "-w", *words) as run:
        assert run.run.wait(PATIENCE) == 1
        assert run.err.get(timeout=PATIENCE) == f"error: --watch cannot be used with {flag}"


@pytest.mark.parametrize("plugin", ["node_triage", "plane_trace"])
def test_other_plugins_have_no_watch(tmp_path: Path, plugin: str) -> None:
    with Watching(tmp_path, "--watch", plugin=plugin) as run:
        assert run.run.wait(PATIENCE) == 1
        assert run.err.get(timeout=PATIENCE) == "error: unknown flag: --watch"


def test_a_terminal_is_redrawn_in_place(api: FakeApi, tmp_path: Path) -> None:
    api.kubeconfig(tmp_path, namespace="oom-limit")
    leader, follower = pty.openpty()
    executable = ROOT / "kubectl-plugins" / "kubectl-why_crash"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "kubeconfig"),
           "TERM": "xterm", "LINES": "12", "COLUMNS": "80"}  # fmt: skip
    run = subprocess.Popen(
        [sys.executable, str(executable), "api", "-w"], env=env, stdout=follower, stderr=follower, stdin=follower
    )
    os.close(follower)
    seen = b""
    readable = select.poll()  # unlike select() it takes descriptors of any number
    readable.register(leader, select.POLLIN)

    def read(words: bytes) -> bool:
        nonlocal seen
        if readable.poll(100):
            seen += os.read(leader, 65536)
        return words in seen

    try:
        until(lambda: read(b"OOMKilled"))
        until(lambda: len(watches(api)) >= 2)
        api.put(well(api))
        until(lambda: read(b"Healthy"))
    finally:
        run.send_signal(signal.SIGINT)
        assert run.wait(PATIENCE) == 130
        os.close(leader)
    drawings = seen.decode().split("\x1b[H\x1b[2J")
    assert len(drawings) >= 3
    assert "OOMKilled" in drawings[1]
    assert "OOMKilled" not in drawings[-1]
    assert all(d.count("\n") <= 12 for d in drawings)


@pytest.mark.kubectl
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl on PATH")
@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="the executables run in .venv; make makes it")
def test_through_kubectl(tmp_path: Path) -> None:
    with FakeApi(CAPTURES / "oom-limit", tls=True, token="s3cret-token") as api:
        api.kubeconfig(tmp_path)
        with Watching(tmp_path, "why-crash", "api", "-n", "oom-limit", "-w", executable=["kubectl"]) as run:
            assert " pod/api OOMKilled " in run.out.get(timeout=PATIENCE)
            until(lambda: len(watches(api)) >= 2)
            api.put(well(api))
            assert " pod/api Healthy " in run.out.get(timeout=PATIENCE)
            assert run.interrupt() == 130
        assert {r.method for r in api.requests} == {"GET"}


# Parts.


def diagnosis(*causes: str, summary: str = "s", name: str = "a") -> Diagnosis:
    ref = Ref("Pod", "x", name)
    return Diagnosis(
        "why-crash", ref, summary, tuple(Finding(c, Severity.ERROR, Confidence.LIKELY, ref, "m") for c in causes)
    )


def test_only_another_verdict_is_a_change() -> None:
    changes = Changes()
    assert changes.lines("T", [diagnosis("A", summary="one\ntwo")], ()) == ["T pod/a A one two"]
    assert changes.lines("T", [diagnosis("A", summary="3s ago")], ()) == []
    assert changes.lines("T", [diagnosis("A", "B")], ("e",)) == ["T pod/a A s", "T - - e"]
    assert changes.lines("T", [diagnosis("A", "B"), diagnosis(name="b")], ("e",)) == ["T pod/b Healthy s"]
    assert changes.lines("T", [diagnosis(name="b")], ()) == ["T pod/a - is no longer there"]


def test_a_drawing_fits_the_terminal_however_its_lines_wrap() -> None:
    size = os.terminal_size((10, 6))
    assert fitting(["a", "\x1b[31m" + "b" * 10 + "\x1b[0m", "c"], size) == ["a", "\x1b[31m" + "b" * 10 + "\x1b[0m", "c"]
    long = ["a", "b" * 21, "c", "d"]
    assert fitting(long, size) == ["a", "b" * 21, "... 2 more lines than the terminal has"]
    assert fitting(["\u6f22" * 31, "b"], size) == ["... 2 more lines than the terminal has"]
    assert fitting([], size) == []


def test_few_lists_are_followed() -> None:
    named = [Get("pods", "x", f"p{i}") for i in range(4)]
    assert lists_to_follow([*named, Get("nodes", "", "n")], ("pods",)) == [
        List("pods", "x", fields=f"metadata.name=p{i}") for i in range(4)
    ]
    assert lists_to_follow([*named, Get("pods", "x", "p4")], ("pods",)) == [List("pods", "x")]
    assert lists_to_follow([*named, List("pods", "x")], ("pods",)) == [List("pods", "x")]
    assert lists_to_follow([List("pods", "x"), List("pods", "y", labels="a=b"), List("pods")], ("pods",)) == [
        List("pods")
    ]
    shaped = lists_to_follow([List("pods", shape=lambda o: o)], ("pods",))
    assert shaped[0].shape is None


def test_a_watch_event_is_json_on_one_line() -> None:
    with FakeApi() as api:
        import urllib.request

        url = f"{api.url}/api/v1/pods?watch=1&timeoutSeconds=0.1&allowWatchBookmarks=true"
        with urllib.request.urlopen(url) as stream:
            assert json.loads(stream.readline())["type"] == "BOOKMARK"


NAPPING = """
import signal, threading, time
from kubetriage.cli import watch
from kubetriage.cluster.watch import Follower

def interrupt():
    time.sleep(0.5)
    # Another thread takes the signal, so that it does not wake the main thread's wait.
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

follower = Follower.__new__(Follower)
follower._changed = threading.Event()
for wait in (lambda: follower.wait(80), lambda: watch._pause(80)):
    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    try:
        wait()
    except KeyboardInterrupt:
        pass
    print(time.monotonic() - began < 25)
"""


def test_ctrl_c_that_does_not_wake_the_wait_is_seen_soon() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    ran = subprocess.run([sys.executable, "-c", NAPPING], env=env, capture_output=True, text=True, timeout=120)
    assert ran.stdout.split() == ["True", "True"], ran.stderr
