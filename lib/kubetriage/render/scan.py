"""Scans: one line per object, as ``kubectl get`` lists them, never wider than the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kubetriage.model import Diagnosis, NotSeen, Severity
from kubetriage.render.card import doubts
from kubetriage.render.fold import columns, cut
from kubetriage.render.table import table
from kubetriage.render.terminal import Terminal
from kubetriage.values.patterns import lazy

_GAP = 2
_LEAST_WHY = 16
"""A shorter beginning of a sentence says nothing: the column is left out."""
_NAME_SHARE = 0.45
"""Of the terminal for names; a longer name takes the room of what stands behind it in its row."""


def render_scan(
    diagnoses: Sequence[Diagnosis], terminal: Terminal, *, headers: bool = True, namespaces: bool = False
) -> str:
    """Write one line per diagnosis, the most severe first; in a pipe every cell is whole."""
    if not diagnoses:
        return ""
    shown = sorted(diagnoses, key=_severity)
    # As kubectl get prints several types.
    mixed = len({d.target.kind for d in shown}) > 1
    titles = [
        *(["CONTEXT"] if any(d.context for d in shown) else []),
        *(["NAMESPACE"] if namespaces else []),
        "NAME",
        "CAUSE",
        *(["CONTAINER"] if any(_container(d) for d in shown) else []),
        "WHY",
    ]
    rows = [_row(d, titles, mixed) for d in shown]
    names: list[str] = []
    if terminal.width is not None:
        titles, rows = _narrowed(titles, rows, terminal.width)
        at, most = titles.index("NAME"), int(terminal.width * _NAME_SHARE)
        names = [row[at] for row in rows]
        rows = [[*row[:at], _within(row[at], most), *row[at + 1 :]] for row in rows]
    lines = table(titles, rows, None, headers=headers).splitlines()
    for i, name in enumerate(names):
        row = i + (1 if headers else 0)
        lines[row] = _STANDS_FOR_NAME.sub(name.replace("\\", ""), lines[row])
    if terminal.width is not None:
        lines = [cut_row(line, terminal.width) for line in lines]
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
) -> list[str]:
    """Say below a scan how much was found, how to see more of it, and what was not seen.

    ``kind`` is the plural of what was looked at, ``place`` the ``-n NAMESPACE`` that a call needs.
    """
    found = Counter(d.findings[0].severity.value if d.findings else "healthy" for d in diagnoses)
    counts = [_counted(found[s.value], s.value) for s in Severity if found[s.value]]
    counts += [f"{found['healthy']} healthy"] if found["healthy"] else []
    among = f" in {checked} {kind if checked != 1 else kind.removesuffix('s')}" if checked else ""
    lines = [cut(f"{', '.join(counts)}{among}. Details: kubectl {command} {place}NAME", width)]
    if unseen:
        names = "; ".join(f"{g.what} ({g.why})" for g in unseen)
        lines.append(cut(f"Not seen: {names}", width))
    return lines


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number > 1 else ''}"


def _severity(diagnosis: Diagnosis) -> int:
    if diagnosis.findings:
        return diagnosis.findings[0].severity.rank
    return len(Severity) + (0 if diagnosis.undecided else 1)


def _container(diagnosis: Diagnosis) -> str:
    return diagnosis.findings[0].object.container if diagnosis.findings else ""


def _row(diagnosis: Diagnosis, titles: Sequence[str], mixed: bool) -> list[str]:
    target = diagnosis.target
    head = diagnosis.findings[0] if diagnosis.findings else None
    doubt = doubts(head) if head is not None else ""
    why = head.message if head is not None else diagnosis.summary
    cells = {
        "CONTEXT": diagnosis.context,
        "NAMESPACE": target.namespace,
        "NAME": f"{target.kind.lower()}/{target.name}" if mixed else target.name,
        "CAUSE": diagnosis.cause,
        "CONTAINER": _container(diagnosis),
        "WHY": " ".join((f"{doubt}: " if doubt else "").split() + why.split()),
    }
    return [cells[title] for title in titles]


def _narrowed(titles: list[str], rows: list[list[str]], width: int) -> tuple[list[str], list[list[str]]]:
    """Leave out the container, then the sentence, where names need the room."""
    for left_out in ("CONTAINER", "WHY"):
        sizes = [max(columns(title), *(columns(row[i]) for row in rows)) for i, title in enumerate(titles)]
        sizes[titles.index("NAME")] = min(sizes[titles.index("NAME")], int(width * _NAME_SHARE))
        taken = sum(n for n, title in zip(sizes, titles, strict=True) if title != "WHY") + _GAP * (len(titles) - 1)
        if "WHY" in titles and width - taken >= _LEAST_WHY:
            break
        if left_out in titles:
            at = titles.index(left_out)
            titles, rows = titles[:at] + titles[at + 1 :], [row[:at] + row[at + 1 :] for row in rows]
    return titles, rows


_STANDS_FOR_NAME = lazy("\ue000+")


def _within(name: str, most: int) -> str:
    """Return a name, or in place of one that is too long what keeps its column narrow while the table is drawn."""
    return name if columns(name) <= most else "\ue000" * most


def cut_row(line: str, width: int) -> str:
    """Cut a drawn row at the terminal's width; the blanks between its columns stay."""
    if columns(line) <= width:
        return line
    end = len(line)
    while columns(line[:end]) > width - 1:
        end -= 1
    return f"{line[:end].rstrip()}…"
