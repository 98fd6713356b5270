"""Pieces of which answers for people are made: the headline, labelled rows, drawings and commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubetriage.model import Lines, Section
from kubetriage.render.card import SIGNS, Card
from kubetriage.render.fold import columns, split_at, wrapped
from kubetriage.render.table import LABEL, fields
from kubetriage.render.terminal import Terminal
from kubetriage.render.words import Words
from kubetriage.values.patterns import lazy

PIPE_WIDTH = 100
"""A diagnosis is prose: it wraps where nobody says how wide the place is."""
INDENT = "  "
"""Before a command: it begins a line of its own, so that a triple click selects it and nothing else."""


def translated(rows: Sequence[tuple[str, str]], words: Words) -> list[tuple[str, str]]:
    """Return rows with their labels in the reader's language."""
    return [(words.label(label) if label else "", text) for label, text in rows]


def beside(command: str, width: int) -> str:
    """Put a command into the column of the texts where it fits there, else at the beginning of the line."""
    return " " * LABEL + command if LABEL + columns(command) <= width else INDENT + command


MARK = "\ue000"
"""Stands for a line that is not folded while the table is drawn; no name of the API has it."""


def labelled(rows: Sequence[tuple[str, str]], code: Sequence[str], terminal: Terminal) -> Iterator[str]:
    """Draw the diagnosis table of two columns; lines of code take the whole width."""
    label = ""
    for line in fields(rows, terminal.width or PIPE_WIDTH).splitlines():
        head, text = split_at(line, LABEL)
        label = head.strip()
        if text.startswith(MARK):
            whole = code[int(text[len(MARK) :])]
            if label and not whole.startswith(" " * LABEL):
                yield terminal.paint(label, "bold")
                label = ""
            shown = whole[LABEL:] if label else whole
            shown = painted(shown, terminal)
            yield (terminal.paint(label, "bold") + " " * (LABEL - columns(label)) + shown) if label else shown
        else:
            yield (terminal.paint(label, "bold") + line[len(label) :]) if label else line


def headline(card: Card, terminal: Terminal) -> Iterator[str]:
    """Write object, cause and confidence, the namespace at the right; below them what kubectl get shows."""
    width = terminal.width or PIPE_WIDTH
    doubt = f" ({card.doubts})" if card.doubts else ""
    sign, cause = SIGNS[card.tone], f"{card.cause}{doubt}"
    if card.title and columns(f"{sign} {card.name}  {cause}  {card.title}  {card.place}") <= width:
        cause = f"{cause}  {card.title}"
        titled = ""
    else:
        titled = card.title
    left = f"{sign} {card.name}  {cause}"
    shown = f"{terminal.paint(sign, card.tone)} {terminal.paint(card.name, 'bold')}  {terminal.paint(cause, card.tone)}"
    gap = width - columns(left) - columns(card.place)
    if card.place and gap >= 2:
        yield shown + " " * gap + card.place
        status = ", ".join(w for w in (titled, card.status) if w)
    else:
        yield shown
        status = ", ".join(w for w in (titled, card.place, card.status) if w)
    if status:
        yield wrapped(status, width, "  ", "  ")


def is_brief(section: Section) -> bool:
    """Tell whether a section is for the first screen only."""
    return isinstance(section, Lines) and section.brief


_PAINTED = lazy(r"(✗|\bbroken\b)|(✓)|(\bdegraded\b)|(█+)|(▓+)|(▒+)|(░+)")
_STYLES = ("error", "ok", "warning", "area1", "area2", "area3", "area4")


def painted(line: str, terminal: Terminal) -> str:
    """Colour the marks, state words and bars of a drawing."""
    if not terminal.color:
        return line
    return _PAINTED.sub(lambda m: terminal.paint(m[0], _STYLES[(m.lastindex or 1) - 1]), line)
