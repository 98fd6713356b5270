"""Diagnoses as one HTML file that needs nothing else: for a browser, a phone, a printer, a mail.

No script and nothing from elsewhere; the page's own policy forbids both. All that comes from the cluster is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape

from kubetriage.model import Diagnosis, Finding, Lines, Section, Table
from kubetriage.render.card import SIGNS, Step, card_of, doubts, step_of
from kubetriage.render.svg import cascade, hop_chain, memory_bars, timeline
from kubetriage.render.text import groups
from kubetriage.typed import Any
from kubetriage.values.times import format_time

_EVENTS_SHOWN = 25

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --dim: #5a6470; --line: #d0d7de; --code: #f3f5f7;
  --bad: #b3261e; --warn: #9a4b00; --good: #1a7f37; --note: #0b62a4;
  --a0: #3b6fb6; --a1: #2a9d8f; --a2: #b5651d; --a3: #7b5ea7; --a4: #c2556b; --a5: #6b7f2a;
  --a6: #5b8fa8; --a7: #8a6d3b; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e8eaed; --dim: #9aa4af; --line: #3a4148;
  --code: #20252a; --bad: #ff8a80; --warn: #ffb86b; --good: #6fd58a; --note: #7cc0ff;
  --a0: #7aa7e8; --a1: #5fd0c0; --a2: #e3a05f; --a3: #b69ae0; --a4: #ee8fa2; --a5: #b4c75f;
  --a6: #93c4dc; --a7: #cfb07a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
article { border-top: 3px solid var(--line); margin: 0 0 2rem; padding: 0.5rem 0; }
article.error { border-color: var(--bad); } article.warning, article.unknown { border-color: var(--warn); }
article.note { border-color: var(--note); } article.ok { border-color: var(--good); }
h1 { font-size: 1.25rem; margin: 0.25rem 0; } h2 { font-size: 1rem; margin: 1.25rem 0 0.25rem; }
.error h1 b { color: var(--bad); } .warning h1 b, .unknown h1 b { color: var(--warn); }
.note h1 b { color: var(--note); } .ok h1 b { color: var(--good); }
.status, footer { color: var(--dim); font-size: 0.9rem; }
.what { font-size: 1.1rem; margin: 0.5rem 0; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 6px; padding: 0.6rem; overflow-x: auto;
  font: 13px/1.45 ui-monospace, monospace; margin: 0.4rem 0; user-select: all; }
code { font: 0.9em ui-monospace, monospace; }
ul, ol { padding-left: 1.3rem; margin: 0.25rem 0; }
table { border-collapse: collapse; font-size: 0.85rem; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); padding: 0.2rem 0.6rem 0.2rem 0; }
summary { cursor: pointer; color: var(--dim); margin-top: 1rem; }
svg { width: 100%; max-width: 30rem; height: auto; display: block; margin: 0.4rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .small { font-size: 10px; fill: var(--dim); } svg .name { font-weight: 600; }
svg .sign { font-weight: 700; fill: var(--paper); }
svg .way { stroke: var(--line); stroke-width: 2; fill: none; }
svg .limit { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 3 2; }
svg .bad { fill: var(--bad); } svg .warn { fill: var(--warn); } svg .good { fill: var(--good); }
svg .dim { fill: var(--dim); } svg .dot { fill: var(--note); } svg .plain { fill: var(--dim); }
svg .area0 { fill: var(--a0); } svg .area1 { fill: var(--a1); } svg .area2 { fill: var(--a2); }
svg .area3 { fill: var(--a3); } svg .area4 { fill: var(--a4); } svg .area5 { fill: var(--a5); }
svg .area6 { fill: var(--a6); } svg .area7 { fill: var(--a7); }
@media print { body { max-width: none; padding: 0; font-size: 11pt; } article { break-inside: avoid-page; }
  pre { white-space: pre-wrap; } details > * { display: block; } summary { display: none; } }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_html(diagnoses: Sequence[Diagnosis], now: datetime, version: str, notes: Sequence[str] = ()) -> str:
    """Write the whole page, the notes below the diagnoses."""
    body = "\n".join(line for group in groups(diagnoses) for line in _article(group, now))
    body += "".join(f"\n<p>{escape(note)}</p>" for note in notes)
    title = "; ".join(f"{d.target.name or d.target.kind}: {d.cause}" for d in diagnoses[:3])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{body}\n<footer>kubetriage {escape(version)}, {format_time(now)}, read-only</footer>\n</body>\n</html>"
    )


def _article(group: Sequence[Diagnosis], now: datetime) -> Iterator[str]:
    card, first = card_of(group, now), group[0]
    doubt = f" ({card.doubts})" if card.doubts else ""
    yield f'<article class="{card.tone}">'
    yield f"<h1>{SIGNS[card.tone]} {escape(card.name)} <b>{escape(card.cause)}{doubt}</b></h1>"
    where = ", ".join(w for w in (card.place, card.status) if w)
    yield f'<p class="status">{escape(where)}</p>' if where else ""
    yield f'<p class="what">{escape(card.what)}</p>'
    if card.same:
        yield f"<p>The same: {escape(', '.join(card.same))}</p>"
    yield from _drawings(first)
    for i, step in enumerate(card.fix):
        yield from _step(f"Fix {i + 1}" if len(card.fix) > 1 else "Fix", step)
    if card.check:
        yield "<h2>Check</h2>"
        yield from (f"<pre>{escape(command)}</pre>" for command in card.check)
    if card.proof:
        yield "<h2>Proof</h2><ul>"
        for proof in card.proof:
            when = f' <span class="status">({escape(proof.when)})</span>' if proof.when else ""
            yield f"<li>{escape(proof.where)}: <code>{escape(proof.value)}</code>{when}</li>"
        yield "</ul>"
    for finding in first.findings[1:]:
        yield from _further(finding)
    if card.unknown:
        yield "<h2>Unknown</h2><ul>"
        yield from (f"<li>{escape(gap.what)}: {escape(gap.why)}</li>" for gap in card.unknown)
        yield "</ul>"
    events = _events(first)
    if len(events) > 1:
        yield f"<h2>Timeline</h2>{timeline(events[-_EVENTS_SHOWN:])}"
    yield from _details(first)
    yield "</article>"


def _step(title: str, step: Step) -> Iterator[str]:
    actor = f' <span class="status">{escape(step.actor)}</span>' if step.actor else ""
    yield f"<h2>{title}{actor}</h2><p>{escape(step.text)}</p>"
    yield from (f"<pre>{escape(command)}</pre>" for command in step.commands)
    if step.yaml:
        yield f"<pre>{escape(step.yaml.rstrip())}</pre>"


def _further(finding: Finding) -> Iterator[str]:
    doubt = f" ({doubts(finding)})" if doubts(finding) else ""
    yield f"<h2>Also: {escape(finding.cause)}{doubt}</h2><p>{escape(finding.message)}</p>"
    for fix in finding.fix:
        step = step_of(fix)
        yield f"<p>{escape(step.text)}</p>"
        yield from (f"<pre>{escape(command)}</pre>" for command in step.commands)


def _drawings(diagnosis: Diagnosis) -> Iterator[str]:
    """Draw what the document's own keys hold, and the fields of the first screen that have no drawing."""
    extra: Mapping[str, Any] = diagnosis.extra
    drawn = []
    if extra.get("hops"):
        drawn.append(("Path", hop_chain(extra["hops"])))
    if extra.get("links"):
        drawn.append(("Chain", cascade(extra["links"])))
    if extra.get("budget"):
        drawn.append(("Memory", memory_bars(extra["budget"])))
    for title, picture in drawn:
        if picture:
            yield f"<h2>{title}</h2>{picture}"
    titles = {title for title, _ in drawn}
    for section in (*diagnosis.lead, *diagnosis.tail):
        if isinstance(section, Lines) and section.brief and section.title not in titles:
            yield f"<h2>{escape(section.title)}</h2><ul>"
            yield from (f"<li>{escape(line)}</li>" for line in section.lines)
            yield "</ul>"


def _events(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return what happened when: the plugin's own timeline, else the evidence that has a time."""
    own = diagnosis.extra.get("timeline")
    if own:
        return [(str(event["time"]), str(event["what"])) for event in own]
    dated = {(e.time, f"{e.at}: {e.value}") for f in diagnosis.findings for e in f.evidence if e.time}
    return sorted(dated)


def _details(diagnosis: Diagnosis) -> Iterator[str]:
    parts = [*_evidence(diagnosis.findings)]
    for section in (*diagnosis.lead, *diagnosis.tail):
        parts += _section(section)
    if parts:
        yield "<details><summary>Details</summary>"
        yield from parts
        yield "</details>"


def _evidence(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        if finding.evidence or finding.ruled_out:
            yield f"<h2>Evidence for {escape(finding.cause)}</h2><ul>"
            for line in finding.evidence:
                when = f' <span class="status">{escape(line.time)}</span>' if line.time else ""
                yield f"<li>{line.source} {escape(line.at)}: <code>{escape(line.value)}</code>{when}</li>"
            for rival in finding.ruled_out:
                yield f"<li>ruled out: {escape(rival.cause)}: {escape(rival.why)}</li>"
            yield "</ul>"


def _section(section: Section) -> Iterator[str]:
    if isinstance(section, Table):
        yield f"<h2>{escape(section.title)}</h2><table><tr>"
        yield "".join(f"<th>{escape(title)}</th>" for title in section.columns) + "</tr>"
        for row in section.rows:
            yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        yield "</table>"
    elif isinstance(section, Lines) and not section.brief:
        inner = "\n".join(section.lines)
        yield f"<h2>{escape(section.title)}</h2><pre>{escape(inner)}</pre>"
