"""Diagnoses as Markdown for a ticket, a pull request or a chat: the answer first, everything else folded away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from kubetriage.model import Diagnosis, Finding, Lines, Section, Table
from kubetriage.render.card import SIGNS, Card, Step, card_of, doubts, step_of
from kubetriage.render.text import groups
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time


def render_markdown(diagnoses: Sequence[Diagnosis], now: datetime, version: str, notes: Sequence[str] = ()) -> str:
    """Write each diagnosis as a section, then the notes; ``version`` and ``now`` stand in the last line."""
    lines: list[str] = []
    for group in groups(diagnoses):
        lines += [*_answer(group, now), ""]
    for note in notes:
        lines += [prose(note), ""]
    lines.append(f"kubetriage {version}, {format_time(now)}, read-only")
    return "\n".join(lines)


def _answer(group: Sequence[Diagnosis], now: datetime) -> Iterator[str]:
    card = card_of(group, now)
    doubt = f" ({card.doubts})" if card.doubts else ""
    yield f"### {SIGNS[card.tone]} {prose(card.name)}: {card.cause}{doubt}"
    yield ""
    place = f"namespace {card.place}" if group[0].target.namespace else card.place
    if where := ", ".join(w for w in (place, card.status) if w):
        yield prose(where)
        yield ""
    yield prose(card.what)
    if card.same:
        yield ""
        yield f"The same: {', '.join(code(name) for name in card.same)}"
    yield from _drawings(card)
    for i, step in enumerate(card.fix):
        yield ""
        number = f" {i + 1}" if len(card.fix) > 1 else ""
        yield from _step(f"Fix{number}", step)
    if card.check:
        yield ""
        yield "**Check**"
        yield from fenced(card.check, "sh")
    if card.proof:
        yield ""
        yield "**Proof**"
        yield ""
        for proof in card.proof[:3]:
            when = f" ({proof.when})" if proof.when else ""
            yield f"- {prose(proof.where)}: {code(proof.value)}{when}"
    deciding = [gap for gap in card.unknown if gap.decides]
    if deciding:
        yield ""
        yield "**Unknown**"
        yield ""
        for gap in deciding:
            yield f"- {prose(gap.what)}: {prose(gap.why)}"
    details = list(_details(group[0]))
    if details:
        yield ""
        yield "<details><summary>Details</summary>"
        yield from details
        yield ""
        yield "</details>"


def _step(title: str, step: Step) -> Iterator[str]:
    actor = f" ({step.actor})" if step.actor else ""
    yield f"**{title}**{actor}: {prose(step.text)}"
    if step.commands:
        yield from fenced(step.commands, "sh")
    if step.yaml:
        yield from fenced(step.yaml.splitlines(), "yaml")


def _drawings(card: Card) -> Iterator[str]:
    for drawing in card.drawn:
        yield ""
        yield f"**{drawing.title}**"
        yield from fenced(drawing.lines, "")


def _details(diagnosis: Diagnosis) -> Iterator[str]:
    for i, finding in enumerate(diagnosis.findings):
        yield from _finding(finding, further=i > 0)
    for section in (*diagnosis.lead, *diagnosis.tail):
        yield from _section(section)
    if diagnosis.not_seen:
        yield ""
        yield "**Not seen**"
        yield ""
        for gap in diagnosis.not_seen:
            yield f"- {prose(gap.what)}: {prose(gap.why)}"


def _finding(finding: Finding, *, further: bool) -> Iterator[str]:
    if further:
        doubt = f" ({doubts(finding)})" if doubts(finding) else ""
        yield ""
        yield f"**{finding.cause}**{doubt}: {prose(finding.message)}"
        for fix in finding.fix:
            yield ""
            yield from _step("Fix", step_of(fix))
    if finding.evidence:
        yield ""
        for line in finding.evidence:
            when = f" {line.time}" if line.time else ""
            yield f"- {line.source} {code(line.at)}: {code(line.value)}{when}"
    if finding.ruled_out:
        yield ""
        for rival in finding.ruled_out:
            yield f"- ruled out: {rival.cause}: {prose(rival.why)}"


def _section(section: Section) -> Iterator[str]:
    if isinstance(section, Table):
        yield ""
        if section.title:
            yield f"**{prose(section.title)}**"
            yield ""
        yield f"| {' | '.join(section.columns)} |"
        yield f"|{' --- |' * len(section.columns)}"
        for row in section.rows:
            yield f"| {' | '.join(prose(cell) for cell in row)} |"
    elif isinstance(section, Lines) and not section.brief:
        yield ""
        yield f"**{prose(section.title)}**"
        yield from fenced(section.lines, "")


_MARKUP = lazy(r"([\\`*\[\]<>|~#]|(?<!\w)_|_(?!\w))")


def prose(words: str) -> str:
    """Write words of a cluster so that none of them is markup; they stand in one line."""
    escaped = _MARKUP.sub(r"\\\1", " ".join(words.split()).replace("&", "&amp;"))
    # Nobody is to be notified by a name in a log line.
    return escaped.replace("@", "&#64;")


def code(words: str) -> str:
    """Write a value as code, whatever backticks it holds."""
    words = " ".join(words.split()) or " "
    ticks = "`" * (max((len(run) for run in re.findall("`+", words)), default=0) + 1)
    gap = " " if words.startswith("`") or words.endswith("`") else ""
    return f"{ticks}{gap}{words}{gap}{ticks}"


def fenced(lines: Sequence[str], language: str) -> Iterator[str]:
    """Write lines as a block of code that nothing in them can end."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield ""
    yield f"{fence}{language}"
    yield from lines
    yield fence
