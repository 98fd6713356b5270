"""Lets the real kubectl print what people paste, from a capture behind the fake API server.

By hand: ``PYTHONPATH=lib:tests python -m support.printed tests/captures/oom-limit`` prints the ticket.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from kubetriage.values.times import format_time, parse_time
from support.fake_api import FakeApi

KUBECTL = shutil.which("kubectl")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
_ROUTES = ("httproutes", "gateways")


def moved(capture: Path, into: Path, now: datetime) -> Path:
    """Copy a capture with all its times moved so that it was recorded at ``now``: kubectl prints ages."""
    shutil.copytree(capture, into)
    recorded = parse_time((into / "captured-at").read_text().strip())
    assert recorded is not None
    by = timedelta(seconds=int((now - recorded).total_seconds()))

    def later(match: re.Match[str]) -> str:
        found = parse_time(f"{match[1]}Z")
        # kubectl parses a MicroTime only with its six digits.
        return format_time(found + by).replace("Z", f"{match[2] or ''}Z") if found is not None else match[0]

    for file in into.rglob("*"):
        if file.is_file() and file.suffix in (".json", ""):
            try:
                file.write_text(_TIME.sub(later, file.read_text()))
            except UnicodeDecodeError:
                continue
    return into


# The fake server prints no tables, so only what kubectl prints itself is asked for.
def commands(capture: Path, truth: dict[str, Any]) -> list[list[str]]:
    """Return what a colleague would run and paste, after what was asked."""
    namespace = truth.get("namespace") or "default"
    kind, _, name = (truth.get("target") or "").partition("/")
    here = ["-n", namespace]
    if truth["command"] in ("node-triage", "plane-trace"):
        nodes = [["describe", "nodes"]]
        pods = [["describe", "pods", "-A"], ["events", "-A"]]
        return [["version"], *nodes, *pods]
    if truth["command"] == "svc-trace":
        return [
            ["describe", "pods", *here],
            ["describe", "svc", *here],
            ["describe", "ingress", *here],
            ["describe", "networkpolicy", *here],
            ["describe", "endpointslices", *here],
            ["describe", "ingressclass"],
            ["describe", "secrets", *here],
            ["describe", "deployments", *here],
            *([["describe", kind, *here] for kind in _ROUTES if (capture / namespace / f"{kind}.json").exists()]),
            ["events", *here],
        ]
    asked: list[list[str]] = []
    if kind != "pod":
        asked += [["describe", kind, name, *here], ["describe", "rs", *here], ["describe", "pods", *here]]
    else:
        asked.append(["describe", "pod", name, *here])
    for pod, container in _containers(capture, namespace, name if kind == "pod" else ""):
        asked += [
            ["logs", pod, "-c", container, "--tail=400", *here],
            ["logs", pod, "-c", container, "--tail=400", "--previous", *here],
        ]
    return [*asked, ["events", *here]]


def _containers(capture: Path, namespace: str, name: str) -> list[tuple[str, str]]:
    file = capture / namespace / "pods.json"
    pods = json.loads(file.read_text())["items"] if file.exists() else []
    chosen = [p for p in pods if not name or p["metadata"]["name"] == name][:3]
    return [
        (p["metadata"]["name"], c["name"])
        for p in chosen
        for part in ("initContainers", "containers")
        for c in p["spec"].get(part) or []
    ]


def ticket(capture: Path, truth: dict[str, Any], home: Path, kubectl: str = "") -> str:
    """Return a ticket: prompts, commands and what kubectl printed."""
    with FakeApi(moved(capture, home / "moved", datetime.now(timezone.utc))) as api:
        path = api.kubeconfig(home)
        parts = []
        for words in commands(capture, truth):
            run = subprocess.run(
                [kubectl or KUBECTL or "kubectl", *words],
                env={"HOME": str(home), "KUBECONFIG": str(path), "PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            said = run.stdout + run.stderr
            if "the server doesn't have a resource type" not in said:
                parts.append(f"$ kubectl {' '.join(words)}\n{said}")
        return "\n".join(parts)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    known = json.loads((folder / "truth.json").read_text())
    with tempfile.TemporaryDirectory() as place:
        sys.stdout.write(ticket(folder, known, Path(place)))
