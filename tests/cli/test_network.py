"""A network in trouble ends in an answer or in one clear line, within the time limit."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.clock import HANGS, SOON
from support.fake_api import FakeApi
from support.offline import CAPTURES, ROOT

pytestmark = pytest.mark.attack("API server: broken, hostile, slow, another clock")

Done = tuple["subprocess.CompletedProcess[str]", float]
"""What a run said, and its wall time in seconds."""


def run(kubeconfig: Path, *words: str, limit: float = HANGS, **env: str) -> Done:
    executable = ROOT / "kubectl-plugins" / "kubectl-why_crash"
    environment = {"PATH": os.environ["PATH"], "HOME": str(kubeconfig.parent), "KUBECONFIG": str(kubeconfig), **env}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, executable, "api", "-n", "java-npe", "--request-timeout", f"{limit:g}s", *words],
        env=environment, capture_output=True, text=True, timeout=HANGS, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done, time.monotonic() - began


def is_one_line(done: subprocess.CompletedProcess[str], took: float, words: str) -> None:
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert re.search(words, done.stderr), done.stderr
    assert took < SOON


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"drop": True}, "Unable to connect to the server: (EOF|read tcp)"),
    ({"delay": HANGS}, "Client.Timeout exceeded while awaiting headers"),
    ({"drip": 0.5}, "Client.Timeout exceeded"),
    ({"truncate": 20}, "unexpected EOF"),
    ({"body": b"<html>proxy login</html>"}, "^error: the answer is not JSON"),
    ({"body": b"\x1b[2J{" * 3, "chunked": True}, "^error: the answer is not JSON"),
    ({"body": b"{" * 100_000}, "^error: the answer is not JSON"),
    ({"body": b"[" * 100_000}, "^error: the answer cannot be read"),
    ({"status": 503, "message": "overloaded"}, r"^Error from server \(ServiceUnavailable\): overloaded"),
    ({"status": 503, "retry_after": "3600"}, r"^Error from server \(ServiceUnavailable\)"),
    ({"status": 429, "retry_after": "3600"}, r"^Error from server \(TooManyRequests\)"),
    ({"status": 500, "body": b"\xff\xfe"}, r"^Error from server \(InternalError\)"),
    (
        {"status": 502, "body": b"<html>Bad Gateway</html>"},
        r"^Error from server \(InternalError\): HTTP status 502, an",
    ),
    ({"status": 401}, "You must be logged in to the server"),
    ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}, "body": b"{}"}, "."),
    (
        {"headers": {"Content-Encoding": "gzip"}, "body": b"no gzip"},
        "^(error|Unable to connect to the server): the body of the answer cannot be decompressed",
    ),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=lambda f: str(f)[:40])
def test_a_server_in_trouble_is_one_line(tmp_path: Path, fault: dict[str, Any], words: str) -> None:
    with FakeApi(CAPTURES / "java-npe") as api:
        api.fault("", **fault)
        # What answers gets all the time that it needs to.
        hangs = "delay" in fault or "drip" in fault
        is_one_line(*run(api.kubeconfig(tmp_path), limit=2 if hangs else HANGS), words)


@pytest.mark.parametrize(
    ("certificate", "words"),
    [("expired", "x509: certificate has expired"), ("other", "x509: certificate is not valid")],
)
def test_a_wrong_certificate_is_one_line(tmp_path: Path, certificate: str, words: str) -> None:
    with FakeApi(CAPTURES / "java-npe", tls=True, certificate=certificate) as api:
        is_one_line(*run(api.kubeconfig(tmp_path)), words)


def test_a_server_without_tls_is_one_line(tmp_path: Path) -> None:
    with FakeApi(CAPTURES / "java-npe") as api:
        path = api.kubeconfig(tmp_path)
        path.write_text(path.read_text().replace("http://", "https://"))
        is_one_line(*run(path), "server gave HTTP response to HTTPS client")


@pytest.fixture
def silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_port_that_says_nothing_is_one_line(tmp_path: Path, silent: int, scheme: str) -> None:
    with FakeApi() as api:
        path = api.kubeconfig(tmp_path)
    is_one_line(*run(path, "--server", f"{scheme}://127.0.0.1:{silent}", limit=2), "Client.Timeout|i/o timeout")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 7", "exit|code 7|failed"),
        (f"sleep {HANGS:g}", "did not answer within 2s"),
        ("echo no json", "."),
        ("echo '{}'", "."),
        ("yes", "."),
    ],
)
def test_a_credential_plugin_in_trouble_is_one_line(tmp_path: Path, script: str, words: str) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\n{script}\n")
    plugin.chmod(0o755)
    with FakeApi(CAPTURES / "java-npe", tls=True, token="t0ken") as api:
        path = api.kubeconfig(tmp_path)
        content = yaml.safe_load(path.read_text())
        content["users"][0]["user"] = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": str(plugin),
                "interactiveMode": "Never",
            }
        }
        path.write_text(yaml.safe_dump(content))
        done, took = run(path, limit=2)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert re.search(words, done.stderr), done.stderr
    assert took < SOON


@pytest.mark.parametrize("year", [1999, 2024, 2038, 2099])
def test_a_wrong_clock_still_gives_the_answer(tmp_path: Path, year: int) -> None:
    with FakeApi(CAPTURES / "java-npe", clock=datetime(year, 1, 1, tzinfo=timezone.utc)) as api:
        done, _ = run(api.kubeconfig(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "AppError" in done.stdout


def test_a_dead_proxy_is_one_line(tmp_path: Path) -> None:
    with FakeApi() as api:
        path = api.kubeconfig(tmp_path)
    done, took = run(path, "--server", "https://cluster.invalid:6443", HTTPS_PROXY="http://127.0.0.1:1")
    is_one_line(done, took, "proxyconnect tcp")
