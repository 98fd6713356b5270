"""Ctrl-C during a long read ends it with what was read until then."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.clock import HANGS
from support.fake_api import FakeApi
from support.kubeconfig import kubeconfig
from support.offline import CAPTURES, ROOT


def interrupted(config: Path, until: Callable[[], bool], *words: str) -> tuple[int, str, str]:
    """Run why-crash, interrupt it when ``until`` holds, and return exit code, stdout and stderr."""
    executable = ROOT / "kubectl-plugins" / "kubectl-why_crash"
    env = {"PATH": os.environ["PATH"], "HOME": str(config.parent), "KUBECONFIG": str(config)}
    with subprocess.Popen(
        [sys.executable, executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        deadline = time.monotonic() + HANGS / 2
        while not until():
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        # What was answered is on its way, on a busy machine a while.
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HANGS / 2)
    assert "Traceback" not in err
    return process.returncode, out, err


def copies(api: FakeApi, namespace: str, count: int) -> None:
    """Add copies of a capture's pod, so that the list has more than one page."""
    pod: dict[str, Any] = api.store["pods"][namespace, "api"]
    for number in range(count):
        made = copy.deepcopy(pod)
        made["metadata"].update(name=f"copy-{number:04}", uid=f"uid-{number}")
        api.add(made)


def test_a_scan_shows_the_pages_that_came(tmp_path: Path) -> None:
    with FakeApi(CAPTURES / "oom-limit") as api:
        copies(api, "oom-limit", 700)
        api.fault("continue=", delay=HANGS)
        code, out, err = interrupted(api.kubeconfig(tmp_path), lambda: len(api.asked("/pods$")) > 1, "-A")
    assert code == 130
    assert "OOMKilled" in out
    assert "Not seen: pods (interrupted)" in err
    assert err.endswith("interrupted: this is what was read until then\n")


def test_an_interrupted_scan_does_not_call_all_well(tmp_path: Path) -> None:
    with FakeApi(CAPTURES / "healthy") as api:
        api.fault("/events", delay=HANGS)
        code, out, _ = interrupted(api.kubeconfig(tmp_path), lambda: bool(api.asked("/pods$")), "-A")
    assert code == 130
    assert out == "No problem was seen before the interruption; what was not read is not known.\n"


def test_reads_that_were_answered_count(tmp_path: Path) -> None:
    with FakeApi(CAPTURES / "oom-limit") as api:
        api.fault("/events|/log", delay=HANGS)
        asked = lambda: bool(api.asked("/events")) and all(r.status for r in api.asked("/pods/api$"))  # noqa: E731
        code, out, err = interrupted(api.kubeconfig(tmp_path), asked, "api", "-n", "oom-limit", "-o", "json")
    assert code == 130
    item = json.loads(out)["items"][0]
    assert item["cause"] == "OOMKilled"
    assert {"what": "events of pod/api", "why": "interrupted", "decides": True} in item["notSeen"]
    assert err == "interrupted: this is what was read until then\n"


def test_nothing_read_is_not_nothing_wrong(tmp_path: Path) -> None:
    with FakeApi(CAPTURES / "healthy") as api:
        api.fault("/pods", delay=HANGS)
        code, out, err = interrupted(api.kubeconfig(tmp_path), lambda: bool(api.asked("/pods")), "-A")
    assert (code, out) == (130, "")
    assert err == "error: pods: interrupted\n"


def test_a_fleet_shows_the_clusters_that_answered(tmp_path: Path) -> None:
    with FakeApi(CAPTURES / "oom-limit") as one, FakeApi(CAPTURES / "healthy") as two:
        two.fault("", delay=HANGS)
        first = json.loads(kubeconfig(tmp_path / "a", one.url, context="prod-a").read_text())
        second = json.loads(kubeconfig(tmp_path / "b", two.url, context="prod-b").read_text())
        for section in ("clusters", "users", "contexts"):
            first[section] += second[section]
        config = tmp_path / "kubeconfig"
        config.write_text(json.dumps(first))
        words = ("-A", "--contexts", "prod-*", "-o", "json")
        code, out, err = interrupted(config, lambda: bool(one.asked("/log") and two.asked()), *words)
    assert code == 130
    assert [(i["context"], i["cause"]) for i in json.loads(out)["items"]] == [("prod-a", "OOMKilled")]
    assert err == "context prod-b: interrupted\n"
