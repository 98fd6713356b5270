"""Answers of captures as they are shown, compared with files that people reviewed."""

import os
from datetime import datetime
from pathlib import Path

from kubetriage.model import Diagnosis
from kubetriage.render.sanitize import sanitized
from support.offline import CAPTURES, ROOT, run, truth

SNAPSHOTS = ROOT / "tests" / "render" / "snapshots"
SCENARIOS = sorted(p.parent.name for p in CAPTURES.glob("*/truth.json"))


def answered(capture: str) -> tuple[list[Diagnosis], datetime]:
    """Return what a capture's plugin says, as it is shown, and when it was captured."""
    expected = truth(capture)
    target = [expected.target] if expected.target and expected.command != "plane-trace" else []
    snapshot, got = run(expected.command, *target, capture=capture)
    return [sanitized(d) for d in got.diagnoses], snapshot.now


def compare(file: Path, text: str) -> None:
    """Compare a text with the reviewed one, or write it where ``KUBETRIAGE_WRITE_SNAPSHOTS`` asks for that."""
    if os.environ.get("KUBETRIAGE_WRITE_SNAPSHOTS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), f"{file.name} is not as reviewed; make snapshots, read the diff"
