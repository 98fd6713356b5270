"""Asks plugins about pasted texts, as ``--from FILE`` does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.cluster.text import Hint
from kubetriage.model import Diagnosis
from kubetriage.plugins import Request, load
from kubetriage.snapshot import Snapshot
from support.offline import ROOT, target

PASTES = ROOT / "tests" / "pastes"


@dataclass(frozen=True)
class Ticket:
    """A pasted text with the right answer."""

    name: str
    command: str
    target: str
    namespace: str
    container: str
    causes: tuple[str, ...]
    file: Path


def tickets(file: str) -> list[Ticket]:
    """Return the pastes that have a text of this name."""
    found = []
    for folder in sorted(p.parent for p in PASTES.glob(f"*/{file}")):
        raw = json.loads((folder / "truth.json").read_text())
        causes = (raw["cause"], *(raw.get("accept") or ()))
        namespace, container = raw.get("namespace") or "default", raw.get("container") or ""
        found.append(Ticket(folder.name, raw["command"], raw["target"], namespace, container, causes, folder / file))
    return found


def ask(command: str, file: Path, target_words: str = "", namespace: str = "") -> tuple[Snapshot, list[Diagnosis]]:
    """Let a plugin answer from a text."""
    plugin = load(command)
    named = (target(target_words),) if target_words else ()
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    hint = Hint(namespace, tuple((t.resource, t.name) for t in named))
    request = Request(
        targets=named if plugin.takes_targets else (),
        namespace=namespace,
        all_namespaces=not namespace,
        options=options,
    )
    snapshot, answer = collect(plugin, request, RecordedReader(file, hint))
    return snapshot, list(answer.diagnoses)


def verdict(diagnoses: list[Diagnosis]) -> tuple[str, str]:
    """Return cause and container of the answer, the troubled object first."""
    chosen = next((d for d in diagnoses if not d.healthy), diagnoses[0])
    return chosen.cause, chosen.findings[0].object.container if chosen.findings else ""
