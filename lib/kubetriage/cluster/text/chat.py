"""Takes off what a chat puts before a line: the time and the name of who wrote it."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.cluster.text.commands import read_command
from kubetriage.cluster.text.lines import Line
from kubetriage.cluster.text.tables import is_header
from kubetriage.records import replace
from kubetriage.values.patterns import lazy

# "[10:41 AM] Ann: ", "10:41 <ann> ", "[27.11.26, 10:41:02] Ann Lee: ", "<ann> ", "Ann: "
_MARK = lazy(
    r"\s{0,4}(?:\[?[\d/., :-]{3,24}(?: ?[AaPp]\.?[Mm]\.?)?\]?,? {1,3})?"
    r"(?:<[@+]?[^<>\s]{1,40}>|[^\W\d][\w.'-]{0,30}(?: [\w.'-]{1,30}){0,2}:) {1,2}(?=\S)"
)
_SURE = lazy(
    r"\s{0,4}(?:\[?[\d/., :-]{3,24} ?[AaPp]\.?[Mm]\.?\]?,? {1,3}[^\W\d]"
    r"|\[?[\d/., :-]{0,24}\]? ?<[@+]?[^<>\s]{1,40}> )"
)
"""Marks that no program writes before a line of its log: a time of twelve hours, a name in angle brackets."""
_RUN = 3
"""So many lines in a row, each with a sure mark, were all sent one by one."""


def without_marks(lines: Sequence[Line]) -> list[Line]:
    """Return the lines of a text without the marks of a chat.

    A mark goes where a command or the head of a table follows it, for nothing else has both, and from lines in a row
    that all have one.
    """
    out, at = list(lines), 0
    while at < len(out):
        end = at
        while end < len(out) and _SURE.match(out[end].text):
            end += 1
        if end - at >= _RUN:
            out[at:end] = [replace(line, text=_cut(line.text)) for line in out[at:end]]
        elif (at < len(out) and ":" in out[at].text[:80]) or ">" in out[at].text[:80]:
            rest = _cut(out[at].text)
            if rest != out[at].text and (is_header(rest) or read_command(rest) is not None):
                out[at] = replace(out[at], text=rest)
        at = max(end if end - at >= _RUN else at, at + 1)
    return out


def _cut(row: str) -> str:
    match = _MARK.match(row)
    return row[match.end() :] if match is not None else row
