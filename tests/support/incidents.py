"""Every recorded incident with the question that its truth asks: captures of clusters, and public cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kubetriage.cli.command import build
from kubetriage.cli.options import normalized
from kubetriage.cli.outcome import Outcome
from kubetriage.cli.run import Run
from kubetriage.cli.usage import UsageError
from kubetriage.model import Diagnosis
from kubetriage.plugins import load
from kubetriage.render.sanitize import sanitized
from support.offline import CAPTURES, ROOT

CASES = ROOT / "tests" / "cases"


@dataclass(frozen=True)
class Incident:
    """One folder with a dump and its ``truth.json``."""

    name: str
    """Name of a capture, or family and name of a case."""
    folder: Path

    def asks(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the commands of its truth, each with its arguments."""
        truth = json.loads((self.folder / "truth.json").read_text(encoding="utf-8"))
        for command in truth["command"].split(","):
            args = ["--from", str(self.folder)]
            clusterwide = command in ("node-triage", "plane-trace")
            args += ["-n", truth["namespace"]] if truth.get("namespace") and not clusterwide else []
            target = truth.get("target") if command != "plane-trace" else ""
            yield command, [*args, *([target] if target else []), *truth.get("args", ())]


def incidents() -> list[Incident]:
    """Return all of them: the captures, then the cases."""
    captures = [Incident(p.parent.name, p.parent) for p in sorted(CAPTURES.glob("*/truth.json"))]
    cases = [
        Incident(f"{p.parent.parent.name}/{p.parent.name}", p.parent) for p in sorted(CASES.glob("*/*/truth.json"))
    ]
    return captures + cases


@dataclass(frozen=True)
class Answered:
    """What a plugin says of an incident."""

    incident: Incident
    command: str
    outcome: Outcome
    diagnoses: tuple[Diagnosis, ...]
    """As they are shown: without control characters and secrets."""


@lru_cache(maxsize=1)
def answers() -> tuple[Answered, ...]:
    """Answer every incident, once for all tests of a process."""
    found = []
    for incident in incidents():
        for command, args in incident.asks():
            try:
                outcome = ask(command, args)
            except UsageError:
                # Its target is of a kind that the plugin does not know yet.
                continue
            shown = tuple(sanitized(d) for d in outcome.answer.diagnoses)
            found.append(Answered(incident, command, outcome, shown))
    return tuple(found)


def ask(command: str, args: list[str]) -> Outcome:
    """Let a plugin answer in this process."""
    plugin = load(command)
    parser = build(plugin)
    with parser.make_context(command, normalized(args, parser.params)) as context:
        run = Run(plugin, dict(context.params))
        return run._ask(run._request(), "")
