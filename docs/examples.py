"""An answer of each cause that a bundled recording has, for the page of the cause."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Diagnosis, Finding
from kubetriage.plugins import Request, Target, load
from kubetriage.render.card import step_of
from kubetriage.render.sanitize import sanitized
from kubetriage.render.terminal import Terminal
from kubetriage.render.text import render_text
from kubetriage.values.resources import find_resource

TESTS = Path(__file__).resolve().parent.parent / "tests"
_WIDTH = 100


def examples() -> dict[str, str]:
    """Return a section with an answer by code; the recordings of the project go before reported incidents."""
    found: dict[str, str] = {}
    for file in (*sorted(TESTS.glob("captures/*/truth.json")), *sorted(TESTS.glob("cases/*/*/truth.json"))):
        truth = json.loads(file.read_text(encoding="utf-8"))
        if truth["cause"] in found or truth.get("args"):
            continue
        for command in truth["command"].split(","):
            section = _section(command, truth, file.parent)
            if section:
                found.setdefault(truth["cause"], section)
                break
    return found


def _section(command: str, truth: dict[str, str], folder: Path) -> str:
    """Write the answer; empty where the cause is not the first that it names."""
    plugin = load(command)
    clusterwide = command in ("node-triage", "plane-trace")
    kind, _, name = truth.get("target", "").partition("/")
    resource = find_resource(kind)
    if plugin.takes_targets and (resource is None or resource.plural not in plugin.resources):
        return ""
    targets = (Target(resource.plural, name),) if resource is not None and plugin.takes_targets else ()
    namespace = "" if clusterwide else truth.get("namespace") or "default"
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    request = Request(targets, namespace=namespace or "default", options=options)
    snapshot, answer = collect(plugin, request, RecordedReader(folder))
    shown = [sanitized(d) for d in answer.diagnoses]
    if answer.errors or not shown or not shown[0].findings or shown[0].cause != truth["cause"]:
        return ""
    typed = ["kubectl", command, *([truth["target"]] if targets else []), *(["-n", namespace] if namespace else [])]
    text = render_text(shown[:1], Terminal(_WIDTH), now=snapshot.clock)
    where = "A recorded cluster" if "captures" in folder.parts else "An incident that others reported"
    source = truth.get("source", "")
    where += f" ({source})" if source and "captures" not in folder.parts else ""
    return (
        f"**An answer.** {where}:\n\n{_fenced(f'$ {shlex.join(typed)}{chr(10)}{text}', 'console')}{_commands(shown[0])}"
    )


def _commands(diagnosis: Diagnosis) -> str:
    """Write the commands and manifests of its fixes whole."""
    head: Finding = diagnosis.findings[0]
    parts = []
    for fix in head.fix:
        step = step_of(fix)
        who = f"{step.actor}: " if step.actor else ""
        block = "".join(_fenced("\n".join(lines), language) for lines, language in _blocks(step.commands, step.yaml))
        if block:
            parts.append(f"{who}{step.text}\n\n{block}")
    return f"\n**The fix as commands.**\n\n{chr(10).join(parts)}" if parts else ""


def _blocks(commands: tuple[str, ...], yaml: str) -> list[tuple[list[str], str]]:
    blocks = [(list(commands), "sh")] if commands else []
    return [*blocks, (yaml.splitlines(), "yaml")] if yaml else blocks


def _fenced(text: str, language: str) -> str:
    fence = "````" if "```" in text else "```"
    return f"{fence}{language}\n{text}\n{fence}\n"
