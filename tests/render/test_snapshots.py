"""Rendered answers, reviewed by people: ``make snapshots`` writes them anew, the diff is read before it is kept."""

import os
from pathlib import Path

import pytest

from kubetriage.render.sanitize import sanitized
from kubetriage.render.terminal import Terminal
from kubetriage.render.text import render_text
from support.offline import run, truth

SNAPSHOTS = Path(__file__).parent / "snapshots"
CASES = [
    ("oom-limit", {}),
    ("secret-missing-env", {}),
    ("liveness-slow-start", {"wide": True}),
    ("py-refused", {"explain": True}),
    ("job-backoff", {}),
    ("recovered", {}),
    ("healthy", {}),
    ("jvm-xmx-over-limit", {}),
    ("jvm-ok", {}),
    ("svc-selector-typo", {}),
    ("ing-tls-san", {}),
    ("np-allow-ok", {}),
    ("node-kubelet-stopped-6m", {}),
    ("node-zone-outage", {}),
    ("cp-etcd-disk-stall", {}),
    ("cp-healthy", {}),
]


@pytest.mark.parametrize(("capture", "options"), CASES, ids=[c for c, _ in CASES])
def test_answers_look_as_reviewed(capture, options):
    expected = truth(capture)
    target = [expected.target] if expected.target and expected.command != "plane-trace" else []
    snapshot, got = run(expected.command, *target, capture=capture)
    text = render_text([sanitized(d) for d in got.diagnoses], Terminal(width=80), now=snapshot.now, **options) + "\n"
    file = SNAPSHOTS / f"{capture}.txt"
    if os.environ.get("KUBETRIAGE_WRITE_SNAPSHOTS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
