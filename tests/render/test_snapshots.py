"""Rendered answers, reviewed by people: ``make snapshots`` writes them anew, the diff is read before it is kept."""

import pytest

from kubetriage.render.catalog import languages, words_of
from kubetriage.render.html import render_html
from kubetriage.render.markdown import render_markdown
from kubetriage.render.terminal import Terminal
from kubetriage.render.text import render_text
from support.incident_score import page
from support.offline import ROOT
from support.reviewed import SCENARIOS, SNAPSHOTS, answered, compare

FORMS = [(name, "", {}) for name in SCENARIOS]
FORMS += [
    ("liveness-slow-start", ".wide", {"wide": True}),
    ("cp-etcd-disk-stall", ".wide", {"wide": True}),
    ("jvm-xmx-over-limit", ".wide", {"wide": True}),
    ("py-refused", ".explain", {"explain": True}),
]
PAGES = (
    "liveness-slow-start",
    "jvm-xmx-over-limit",
    "svc-selector-typo",
    "node-kubelet-stopped-6m",
    "cp-etcd-disk-stall",
)
"""One capture per plugin."""
WALKTHROUGHS = (
    *("java-npe", "liveness-slow-start", "liveness-kill-137", "jvm-xmx-over-limit", "jvm-ok", "node-runtime-down"),
    *("node-kubelet-stopped-6m", "cp-etcd-disk-stall", "cp-controllers-down"),
    *("svc-selector-typo", "svc-targetport-number", "ing-tls-missing"),
)
"""The answers of docs/walkthroughs."""
TRANSLATED = [language for language in languages() if language != "en"]


@pytest.mark.parametrize(("capture", "form", "options"), FORMS, ids=[c + f for c, f, _ in FORMS])
def test_answers_look_as_reviewed(capture, form, options):
    diagnoses, now = answered(capture)
    compare(SNAPSHOTS / f"{capture}{form}.txt", render_text(diagnoses, Terminal(width=80), now=now, **options) + "\n")


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize("capture", WALKTHROUGHS)
def test_walkthroughs_look_as_reviewed(capture, language):
    diagnoses, now = answered(capture)
    text = render_text(diagnoses, Terminal(80, words=words_of(language)), now=now)
    compare(SNAPSHOTS / f"{capture}.{language}.txt", text + "\n")


@pytest.mark.parametrize("capture", SCENARIOS)
def test_markdown_looks_as_reviewed(capture):
    compare(SNAPSHOTS / f"{capture}.md", render_markdown(*answered(capture), "0") + "\n")


@pytest.mark.parametrize("capture", PAGES)
def test_pages_look_as_reviewed(capture):
    compare(SNAPSHOTS / f"{capture}.html", render_html(*answered(capture), "0") + "\n")


def test_no_snapshot_is_left_over():
    known = {f"{name}{form}.txt" for name, form, _ in FORMS} | {f"{name}.md" for name in SCENARIOS}
    known |= {f"{name}.{language}.txt" for name in WALKTHROUGHS for language in TRANSLATED}
    assert {p.name for p in SNAPSHOTS.iterdir()} == known | {f"{name}.html" for name in PAGES}


def test_incidents_with_a_known_root_look_as_reviewed():
    compare(ROOT / "docs" / "incidents.md", page())
