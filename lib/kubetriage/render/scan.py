"""Scans: one line per object, as ``kubectl get`` lists them, never wider than the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from kubetriage.model import Diagnosis, NotSeen, Severity
from kubetriage.render.card import doubts
from kubetriage.render.fold import columns, cut
from kubetriage.render.table import table
from kubetriage.render.terminal import Terminal
from kubetriage.render.words import ENGLISH, Words
from kubetriage.values.fields import mapping, number, objects, text
from kubetriage.values.times import human_duration, parse_time

_GAP = 2
_WHY = 24
"""Columns for the sentence, at least: a shorter beginning says nothing."""
_LEAST = {"CONTEXT": 10, "NAMESPACE": 12, "NAME": 16, "CAUSE": 16}
"""Columns are not made narrower than this; the cells themselves are always whole."""


def render_scan(
    diagnoses: Sequence[Diagnosis],
    terminal: Terminal,
    *,
    headers: bool = True,
    namespaces: bool = False,
    now: datetime | None = None,
) -> str:
    """Write one line per diagnosis, the most severe first; in a pipe every cell is whole.

    ``now`` tells how long a fault of several objects lasts.
    """
    if not diagnoses:
        return ""
    shown = sorted(diagnoses, key=_severity)
    # As kubectl get prints several types.
    mixed = len({_name(d)[0] for d in shown}) > 1
    titles = [
        *(["CONTEXT"] if any(d.context for d in shown) else []),
        *(["NAMESPACE"] if namespaces else []),
        "NAME",
        "CAUSE",
        *(["CONTAINER"] if any(_container(d) for d in shown) else []),
        "WHY",
    ]
    rows = [_row(d, titles, mixed, now, terminal.words) for d in shown]
    if terminal.width is None:
        shown_titles = [terminal.words.label(title) for title in titles]
        lines = table(shown_titles, rows, None, headers=headers).splitlines()
    else:
        lines = _fitted(titles, rows, terminal, headers)
    if terminal.color:
        offset = 1 if headers else 0
        for i, diagnosis in enumerate(shown):
            style = diagnosis.findings[0].severity.value if diagnosis.findings else "ok"
            code = diagnosis.cause
            before, found, after = lines[i + offset].partition(f" {code}")
            lines[i + offset] = f"{before} {terminal.paint(code, style)}{after}" if found else before
    return terminal.plain("\n".join(lines))


def scan_note(
    command: str,
    diagnoses: Sequence[Diagnosis],
    checked: int,
    kind: str,
    place: str,
    unseen: Sequence[NotSeen],
    width: int,
    words: Words = ENGLISH,
) -> list[str]:
    """Say below a scan how much was found, how to see more of it, and what was not seen.

    ``kind`` is the plural of what was looked at, ``place`` the ``-n NAMESPACE`` that a call needs.
    """
    found = Counter(d.findings[0].severity.value if d.findings else "healthy" for d in diagnoses)
    counts = (
        (found["error"], words.many(found["error"], "{n} error", "{n} errors")),
        (found["warning"], words.many(found["warning"], "{n} warning", "{n} warnings")),
        (found["note"], words.many(found["note"], "{n} note", "{n} notes")),
        (found["healthy"], words("{n} healthy", n=found["healthy"])),
    )
    said = ", ".join(phrase for n, phrase in counts if n)
    call = f"kubectl {command} {place}NAME"
    if checked:
        among = f"{checked} {kind if checked != 1 else kind.removesuffix('s')}"
        lines = [
            cut(words("{counts} in {objects}. Details: {command}", counts=said, objects=among, command=call), width)
        ]
    else:
        lines = [cut(words("{counts}. Details: {command}", counts=said, command=call), width)]
    if unseen:
        lines.append(cut(words("Not seen: {gaps}", gaps=gap_words(unseen)), width))
    return lines


_REASONS = ("forbidden", "timed out", "not in the dump", "interrupted")


def gap_words(unseen: Sequence[NotSeen]) -> str:
    """Name what was not seen, each with the reason in a word or two."""
    return ", ".join(f"{gap.what} ({_reason(gap.why)})" for gap in unseen)


def _reason(why: str) -> str:
    known = next((word for word in _REASONS if word in why.lower()), "")
    if known or len(why) <= _REASON_LENGTH:
        return known or why
    return "timed out" if "timeout" in why.lower() else cut(why, _REASON_LENGTH)


_REASON_LENGTH = 60


def _severity(diagnosis: Diagnosis) -> int:
    if diagnosis.findings:
        return diagnosis.findings[0].severity.rank
    return len(Severity) + (0 if diagnosis.undecided else 1)


def _container(diagnosis: Diagnosis) -> str:
    return diagnosis.findings[0].object.container if diagnosis.findings else ""


def _name(diagnosis: Diagnosis) -> tuple[str, str]:
    """Return kind and name of a row: the workload where all objects of one fault belong to it."""
    workloads = objects(diagnosis.extra, "fold", "workloads")
    if len(workloads) == 1:
        return text(workloads[0], "kind"), text(workloads[0], "name")
    return diagnosis.target.kind, diagnosis.target.name


def _count(diagnosis: Diagnosis, now: datetime | None) -> str:
    """Say for how many objects a row stands, and how long the oldest proof goes back."""
    told = mapping(diagnosis.extra, "fold")
    count = number(told, "count") or 1
    kind = diagnosis.target.kind.lower()
    workloads = len(objects(told, "workloads"))
    wanted = number(told, "of")
    if count <= 1 and not wanted:
        return ""
    many = f"{count} of {wanted}" if wanted and workloads == 1 else str(count)
    kinds = f"{kind}es" if kind.endswith("s") else f"{kind}s"
    among = f" of {workloads} workloads" if workloads > 1 and kind == "pod" else ""
    began = parse_time(text(told, "since"))
    age = f", {human_duration(now - began)}" if now is not None and began is not None and began <= now else ""
    return f"({many} {kinds}{among}{age}) "


def _row(diagnosis: Diagnosis, titles: Sequence[str], mixed: bool, now: datetime | None, words: Words) -> list[str]:
    target = diagnosis.target
    kind, name = _name(diagnosis)
    head = diagnosis.findings[0] if diagnosis.findings else None
    doubt = doubts(head, words) if head is not None else ""
    why = words.brief(head) if head is not None else words.sentence("", diagnosis.summary)
    many = _count(diagnosis, now)
    cells = {
        "CONTEXT": diagnosis.context,
        "NAMESPACE": target.namespace,
        "NAME": f"{kind.lower()}/{name}" if mixed else name,
        "CAUSE": diagnosis.cause,
        "CONTAINER": _container(diagnosis),
        "WHY": " ".join((many + (f"{doubt}: " if doubt else "") + why).split()),
    }
    return [cells[title] for title in titles]


def _fitted(titles: list[str], rows: list[list[str]], terminal: Terminal, headers: bool) -> list[str]:
    """Draw the rows on a terminal: the container gives way first, then long names pass their column, then the sentence.

    A cell that is longer than its column is whole all the same: what stands behind it in its row moves on.
    """
    width = terminal.width or 0
    for left_out in ("", "CONTAINER", "WHY"):
        if left_out in titles:
            at = titles.index(left_out)
            titles, rows = titles[:at] + titles[at + 1 :], [row[:at] + row[at + 1 :] for row in rows]
        sizes = [
            max(columns(terminal.words.label(title)), *(columns(row[i]) for row in rows))
            for i, title in enumerate(titles)
        ]
        room = width - _GAP * (len(titles) - 1)
        if "WHY" in titles:
            sizes.pop()
            room -= _WHY
        if sum(sizes) <= room:
            break
        if "CONTAINER" not in titles and _shrink(sizes, titles, room):
            break
    shown = [[terminal.words.label(title) for title in titles], *rows] if headers else rows
    return [_cut_row(_in_columns(row, sizes), width) for row in shown]


def _shrink(sizes: list[int], titles: Sequence[str], room: int) -> bool:
    """Narrow the widest columns until they fit; tell whether they do."""
    least = [_LEAST.get(title, 0) for title in titles]
    while sum(sizes) > room:
        widest = max(range(len(sizes)), key=lambda i: sizes[i] - least[i])
        if sizes[widest] <= least[widest]:
            return False
        sizes[widest] -= 1
    return True


def _in_columns(row: Sequence[str], sizes: Sequence[int]) -> str:
    line, start = "", 0
    for i, cell in enumerate(row):
        line += " " * max(start - columns(line), _GAP if i else 0) + cell
        start += (sizes[i] if i < len(sizes) else 0) + _GAP
    return line.rstrip()


def _cut_row(line: str, width: int) -> str:
    """Cut a drawn row at the terminal's width; the blanks between its columns stay."""
    if columns(line) <= width:
        return line
    end = len(line)
    while columns(line[:end]) > width - 1:
        end -= 1
    return f"{line[:end].rstrip()}…"
