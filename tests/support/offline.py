"""Runs plugins on the bundled captures, through the same loop and reader as ``--from``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Diagnosis
from kubetriage.plugins import ANY_KIND, Answer, Request, Target, load
from kubetriage.snapshot import Snapshot
from kubetriage.values.resources import find_resource

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests" / "captures"


@dataclass(frozen=True)
class Truth:
    """What a right answer names (``truth.json``)."""

    scenario: str
    command: str
    target: str
    namespace: str
    container: str
    causes: tuple[str, ...]
    """The expected cause and the others that are also right."""
    detail: Any


def truth(scenario: str) -> Truth:
    """Read the right answer of a capture."""
    raw = json.loads((CAPTURES / scenario / "truth.json").read_text())
    return Truth(
        scenario,
        raw["command"],
        raw.get("target") or "",
        raw.get("namespace") or "",
        raw.get("container") or "",
        (raw["cause"], *raw.get("accept", ())),
        raw.get("detail"),
    )


def truths(command: str) -> list[Truth]:
    """Return the right answers of all captures of one command."""
    found = (truth(p.parent.name) for p in sorted(CAPTURES.glob("*/truth.json")))
    return [t for t in found if t.command == command]


def target(words: str) -> Target:
    """Read TYPE/NAME; a kind without a table entry is a custom one."""
    kind, _, name = words.partition("/")
    resource = find_resource(kind)
    return Target(resource.plural, name) if resource is not None else Target(ANY_KIND, name, kind)


def run(command: str, *targets: str, capture: str, **request: Any) -> tuple[Snapshot, Answer]:
    """Let a plugin answer on a capture; keyword arguments are fields of the Request."""
    request.setdefault("namespace", truth(capture).namespace or "default")
    plugin = load(command)
    defaults = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    options = {**defaults, **request.pop("options", {})}
    asked = Request(targets=tuple(target(t) for t in targets), options=options, **request)
    return collect(plugin, asked, RecordedReader(CAPTURES / capture))


def answer(command: str, *targets: str, capture: str, **request: Any) -> Answer:
    """Let a plugin answer on a capture."""
    return run(command, *targets, capture=capture, **request)[1]


def diagnosis(command: str, *targets: str, capture: str, **request: Any) -> Diagnosis:
    """Return the first diagnosis of an answer without errors."""
    got = answer(command, *targets, capture=capture, **request)
    assert not got.errors, got.errors
    return got.diagnoses[0]
