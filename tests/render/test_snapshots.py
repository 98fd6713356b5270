"""Rendered answers, reviewed by people: ``make snapshots`` writes them anew, the diff is read before it is kept."""

import os
from pathlib import Path

import pytest

from kubetriage.render.sanitize import sanitized
from kubetriage.render.terminal import Terminal
from kubetriage.render.text import render_text
from support.offline import CAPTURES, run, truth

SNAPSHOTS = Path(__file__).parent / "snapshots"
SCENARIOS = sorted(p.parent.name for p in CAPTURES.glob("*/truth.json"))
FORMS = [(name, "", {}) for name in SCENARIOS]
FORMS += [
    ("liveness-slow-start", ".wide", {"wide": True}),
    ("cp-etcd-disk-stall", ".wide", {"wide": True}),
    ("jvm-xmx-over-limit", ".wide", {"wide": True}),
    ("py-refused", ".explain", {"explain": True}),
]


def answered(capture):
    """Return what a capture's plugin says, as it is shown, and when."""
    expected = truth(capture)
    target = [expected.target] if expected.target and expected.command != "plane-trace" else []
    snapshot, got = run(expected.command, *target, capture=capture)
    return [sanitized(d) for d in got.diagnoses], snapshot.now


def reviewed(file, text):
    """Compare a text with the reviewed one, or write it where that is asked for."""
    if os.environ.get("KUBETRIAGE_WRITE_SNAPSHOTS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize(("capture", "form", "options"), FORMS, ids=[c + f for c, f, _ in FORMS])
def test_answers_look_as_reviewed(capture, form, options):
    diagnoses, now = answered(capture)
    reviewed(SNAPSHOTS / f"{capture}{form}.txt", render_text(diagnoses, Terminal(width=80), now=now, **options) + "\n")


def test_no_snapshot_is_left_over():
    known = {f"{name}{form}.txt" for name, form, _ in FORMS}
    assert {p.name for p in SNAPSHOTS.glob("*.txt")} == known
