"""All of an answer, as ``-o wide`` shows it, and the kubectl steps that ``--explain`` adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from kubetriage.model import Diagnosis, Evidence, Finding, Lines, Section, Table
from kubetriage.render.card import SIGNS, card_of, doubts, step_of
from kubetriage.render.fold import columns, cut, wrapped
from kubetriage.render.pieces import INDENT, MARK, PIPE_WIDTH, beside, headline, is_brief, labelled, painted, translated
from kubetriage.render.table import table
from kubetriage.render.terminal import Terminal
from kubetriage.render.times import Times


def wide(group: Sequence[Diagnosis], terminal: Terminal, now: datetime | None, headers: bool) -> Iterator[str]:
    """Write everything that is known of equal diagnoses."""
    first, card, words = group[0], card_of(group, now, terminal.words, terminal.times), terminal.words
    yield from headline(card, terminal)
    for section in first.lead:
        yield from _section(section, terminal, headers)
    if not first.findings:
        yield ""
        yield from labelled([(words.label("WHAT"), words.sentence("", first.summary))], (), terminal)
    for i, finding in enumerate(first.findings):
        yield ""
        if len(first.findings) > 1:
            doubt = f" ({said})" if (said := doubts(finding, words)) else ""
            own = finding.object.container
            where = f"  {words('container {container}', container=own)}" if own else ""
            where += f"  {title}" if (title := words.title(finding.cause)) and i else ""
            sign = SIGNS[finding.severity.value]
            yield terminal.paint(f"{sign} {i + 1}. {finding.cause}{doubt}", finding.severity.value) + where
        alike = next((j for j, f in enumerate(first.findings[:i], 1) if f.fix and f.fix == finding.fix), 0)
        yield from _whole(finding, first, alike, terminal, now)
    for section in first.tail:
        yield from _section(section, terminal, headers)
    rest = [("SAME" if i == 0 else "", name) for i, name in enumerate(card.same)]
    rest += [("UNKNOWN" if i == 0 else "", f"{g.what}: {g.why}") for i, g in enumerate(card.unknown)]
    if rest:
        yield ""
        yield from labelled(translated(rest, words), (), terminal)


def _whole(finding: Finding, of: Diagnosis, alike: int, terminal: Terminal, now: datetime | None) -> Iterator[str]:
    """Write all of a finding; ``alike`` is the number of an earlier one with the same fix, or 0."""
    width, words, times = terminal.width or PIPE_WIDTH, terminal.words, terminal.times
    rows: list[tuple[str, str]] = [("WHAT", words.what(finding, of))]
    code: list[str] = []
    rows += [("PROOF" if i == 0 else "", _evidence(line, times, now)) for i, line in enumerate(finding.evidence)]
    rows += [("NOT" if i == 0 else "", f"{rival.cause}: {rival.why}") for i, rival in enumerate(finding.ruled_out)]
    if alike:
        rows.append(("FIX", words("as for {n}", n=alike)))
    act = "" if alike else words.act(finding)
    if act:
        rows.append(("FIX", act))
    for i, fix in enumerate(finding.fix if not alike else ()):
        step = step_of(fix, finding.cause, words, times)
        number = f"{i + 1}. " if len(finding.fix) > 1 else ""
        actor = f"{step.actor}: " if step.actor else ""
        rows.append(("FIX" if i == 0 and not act else "", f"{number}{actor}{step.text}"))
        for line in (*(beside(c, width) for c in step.commands), *(INDENT + y for y in step.yaml.splitlines())):
            code.append(line)
            rows.append(("", f"{MARK}{len(code) - 1}"))
    for i, command in enumerate(dict.fromkeys(finding.verify)):
        label = "CHECK" if i == 0 else ""
        code.append(beside(command, width))
        rows.append((label, f"{MARK}{len(code) - 1}"))
    yield from labelled(translated(rows, words), code, terminal)


def _evidence(line: Evidence, times: Times, now: datetime | None) -> str:
    when = f"   {times.stamp(line.time, now, wide=True)}" if line.time else ""
    # A field path says by itself whether it is of the spec or of the status.
    where = line.at if line.source in ("status", "spec") and "." in line.at else f"{line.source} {line.at}"
    return f"{where}: {line.value}{when}"


def _section(section: Section, terminal: Terminal, headers: bool) -> Iterator[str]:
    if is_brief(section):
        return
    yield ""
    if section.title:
        yield terminal.paint(terminal.words.label(section.title), "bold")
    if isinstance(section, Lines):
        for line in section.lines:
            too_long = terminal.width is not None and columns(line) > terminal.width
            start = line[: len(line) - len(line.lstrip())]
            shown = wrapped(line, terminal.width, start + "  ", start) if too_long else line
            yield painted(shown, terminal)
    elif isinstance(section, Table):
        titles = [terminal.words.label(title) for title in section.columns]
        yield table(titles, section.rows, terminal.width, _flexible(section), headers)


def _flexible(section: Table) -> tuple[int, ...]:
    """Let the columns that hold sentences wrap: those with a cell of more than 24 characters, or the last one."""
    wide = [i for i in range(len(section.columns)) if any(len(row[i]) > 24 for row in section.rows)]
    return tuple(wide) or (len(section.columns) - 1,)


_LONGEST_VALUE = 400
"""Characters of what a command shows by hand."""


def by_hand(diagnosis: Diagnosis, terminal: Terminal) -> Iterator[str]:
    """Write the commands that show the same, what they show, and what that means."""
    if not diagnosis.manual:
        return
    width, words = terminal.width or PIPE_WIDTH, terminal.words
    yield ""
    yield terminal.paint(words("By hand"), "bold")
    for command, shows, means in diagnosis.manual:
        yield f"  {command}"
        yield wrapped(cut(shows, _LONGEST_VALUE), width, "      ", f"    {words('shows')} ")
        yield wrapped(means, width, "      ", f"    {words('means')} ")
