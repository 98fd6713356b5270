"""Whatever the flags, nothing but GET leaves the program; what is huge is read in bounded memory and time."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubetriage.plugins import PLUGINS, load
from support.fake_api import FakeApi
from support.offline import CAPTURES, ROOT, Truth, truths

OUTPUT = [(), ("-o", "wide"), ("-o", "json"), ("-o", "yaml"), ("-o", "name")]
MORE = [(), ("--explain",), ("-v", "9"), ("--exit-code",), ("--no-headers", "--color", "always")]
SCOPE = [("-A",), ("-A", "--all"), ("-l", "app"), ("--field-selector", "metadata.name=x"), ("-n", "kube-system")]
VALUES = {"flag": (), "integer": ("3",), "number": ("0.5",), "duration": ("0.2s",), "text": ("x",)}


def run(api: FakeApi, home: Path, plugin: str, *words: str) -> subprocess.CompletedProcess[str]:
    api.kubeconfig(home)
    executable = ROOT / "kubectl-plugins" / f"kubectl-{plugin.replace('-', '_')}"
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(home / "kubeconfig")}
    return subprocess.run(
        [sys.executable, executable, *words], env=env, capture_output=True, text=True, timeout=120, check=False
    )


def question_of(plugin: str) -> Truth:
    """Return a recorded question; triage is asked what why-crash is."""
    return truths("why-crash" if plugin == "triage" else plugin)[0]


def questions(plugin: str) -> Iterator[tuple[str, ...]]:
    """Yield the plugin's own question with every output and every flag of its own, and its scans."""
    known = question_of(plugin)
    loaded = load(plugin)
    target = (known.target, "-n", known.namespace) if loaded.takes_targets and known.target else ()
    if plugin == "plane-trace":
        target = ("--interval", "0.1s")
    for output, more in zip(OUTPUT, MORE, strict=True):
        yield (*target, *output, *more)
    yield (*target, "--record", "DIR")
    yield (*target, "--as", "jane", "--as-group", "a", "--as-uid", "7")
    numbers: list[str] = []
    for option in loaded.options:
        value = (option.choices[0],) if option.choices else VALUES.get(option.kind)
        if option.kind in ("integer", "number", "duration") and value is not None:
            # Thresholds and times judge what was read; they are given all at once.
            numbers += [option.flag, *value]
        elif value is not None:
            yield (*target, option.flag, *value)
    yield (*target, *numbers)
    if loaded.takes_targets:
        for scope, output in zip(SCOPE, itertools.cycle(OUTPUT), strict=False):
            yield (*scope, *output)
    yield ("--contexts", "*", *target)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_nothing_but_get_is_sent_whatever_the_flags(plugin: str, tmp_path: Path) -> None:
    with FakeApi(CAPTURES / question_of(plugin).scenario) as api:
        for number, words in enumerate(questions(plugin)):
            asked = len(api.requests)
            done = run(api, tmp_path, plugin, *(str(tmp_path / f"d{number}") if w == "DIR" else w for w in words))
            assert "Traceback" not in done.stderr, words
            assert "internal error" not in done.stderr, words
            assert done.returncode in (0, 1, 3), (words, done.stderr)
            if done.returncode == 1:
                assert done.stderr.strip(), words
            elif "--alerts" not in words:
                # Alert rules follow from the thresholds alone.
                assert len(api.requests) > asked, words
        sent = {(r.method, "upgrade" if r.header("Upgrade") else "") for r in api.requests}
        # The opt-in port-forward is a GET, too, that is upgraded.
        assert {method for method, _ in sent} == {"GET"}
        assert not any(r.header("Content-Length") for r in api.requests)


# What is huge.


reads_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory there")


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(CAPTURES / "java-npe") as made:
        yield made


def peak_of(api: FakeApi, home: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], float, float]:
    """Run why-crash; return what it said, its peak memory in MiB and its wall time in seconds."""
    code = (
        "import sys; from kubetriage.cli.main import main; code = main('why-crash', sys.argv[1:]);"
        "print(open('/proc/self/status').read(), file=sys.stderr); sys.exit(code)"
    )
    path = api.kubeconfig(home, namespace="java-npe")
    env = {"PATH": os.environ["PATH"], "KUBECONFIG": str(path), "PYTHONPATH": str(ROOT / "lib")}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    took = time.monotonic() - began
    high = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    assert high is not None, done.stderr
    return done, int(high[1]) / 1024, took


LOGS = {
    "without newlines": b"x" * 65536,
    "of short lines": b"x\n" * 32768,
    "of invalid UTF-8": b"\xff\xfe\x80" * 20000 + b"\n",
    "of terminal control": b"\x1b]8;;a\x07\x1b[2J\x00" * 5000,
}


@reads_proc
@pytest.mark.parametrize("kind", LOGS)
def test_a_log_of_a_gibibyte_is_not_held(api: FakeApi, tmp_path: Path, kind: str) -> None:
    piece = LOGS[kind]
    total = (1024 if kind == "without newlines" else 128) * 1024 * 1024
    api.endless_log = lambda: itertools.repeat(piece, total // len(piece))
    done, peak, _ = peak_of(api, tmp_path, "api", "--request-timeout", "120s")
    assert done.returncode == 0, done.stderr
    assert peak < 150
    assert api.asked("/log$")
    assert "\x1b" not in done.stdout


@reads_proc
def test_a_hundred_thousand_events_of_one_pod(api: FakeApi, tmp_path: Path) -> None:
    pod = api.store["pods"]["java-npe", "api"]["metadata"]
    about = {"kind": "Pod", "namespace": "java-npe", "name": "api", "uid": pod["uid"]}
    items = [
        {
            "metadata": {"name": f"api.{number:x}", "namespace": "java-npe", "uid": f"e{number}"},
            "involvedObject": about,
            "reason": "BackOff",
            "message": "Back-off restarting failed container",
            "type": "Warning",
            "count": 1,
            "lastTimestamp": "2026-11-23T22:00:00Z",
        }
        for number in range(100_000)
    ]
    api.fault("/events", body=json.dumps({"kind": "EventList", "apiVersion": "v1", "items": items}).encode())
    done, peak, took = peak_of(api, tmp_path, "api", "--request-timeout", "120s")
    assert done.returncode == 0, done.stderr
    assert "AppError" in done.stdout
    assert peak < 600
    assert took < 60


@reads_proc
def test_an_annotation_of_a_mebibyte(api: FakeApi, tmp_path: Path) -> None:
    api.store["pods"]["java-npe", "api"]["metadata"]["annotations"] = {"a": "password=x " * 100_000}
    done, peak, took = peak_of(api, tmp_path, "api")
    assert "AppError" in done.stdout
    assert peak < 150
    assert took < 30
