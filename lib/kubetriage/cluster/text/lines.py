"""The lines of a pasted text, without what mail, chat and Markdown put around them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from kubetriage.records import dataclass
from kubetriage.redact import strip_controls
from kubetriage.values.patterns import lazy

MAX_TEXT = 16 * 1024 * 1024
"""Characters of one text that are read."""
MAX_LINES = 400_000
MAX_LINE = 32 * 1024
"""Characters to which a line is cut."""
_QUOTED_RUN = 4
"""So many lines in a row that begin with ``>`` are a quotation; npm writes two."""
_NUMBERED_RUN = 4
"""So many lines in a row with numbers that count up are numbered."""

_ENTITY = lazy(r"&(?:lt|gt|amp|quot|apos|nbsp|#\d{1,6}|#x[0-9a-fA-F]{1,5});")
_SPACES = str.maketrans(
    dict.fromkeys("\xa0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u202f\u205f\u3000", " ")
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff")
)
_QUOTE = lazy(r" {0,3}(?:> ?)+")
_FENCE = lazy(r" {0,12}(?:```+|~~~+)[^`]{0,200}\Z")
_HTML_MARK = lazy(r" {0,12}</?(?:pre|code|details|summary|blockquote|p|br|div)\b[^>]{0,200}>", re.IGNORECASE)
_NUMBER = lazy(r" {0,8}(\d{1,6})(?:[:.|)\t]| {1,2}(?=\S)| {2}|\Z)(?:[ |]|\Z)?")


@dataclass(frozen=True)
class Line:
    """One line of the text."""

    number: int
    """From 1, as an editor shows it."""
    text: str
    """Without trailing blanks."""
    fence: bool = False
    """The line only begins or ends a block of code; ``text`` is empty."""


def read_lines(content: str) -> list[Line]:
    """Split a text into lines and take the wrapping off; numbers stay those of the text."""
    content = content[:MAX_TEXT].removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    # Tabs part the columns of what was copied from a table or written by zap; they must not become one blank.
    content = "\t".join(map(strip_controls, content.split("\t"))).translate(_SPACES)
    if "&" in content and _ENTITY.search(content):
        content = html.unescape(content).translate(_SPACES)
    rows = [row[:MAX_LINE].rstrip() for row in content.split("\n")[:MAX_LINES]]
    rows = _unquoted(rows)
    marked = [
        (bool(_FENCE.match(row)) if "`" in row or "~" in row else bool("<" in row and _alone(row))) for row in rows
    ]
    rows = ["" if mark else row for row, mark in zip(rows, marked, strict=True)]
    rows = _unnumbered(rows)
    return [Line(at, row, mark) for at, (row, mark) in enumerate(zip(rows, marked, strict=True), 1)]


def _alone(row: str) -> bool:
    """Tell whether a line holds nothing but a tag of HTML, or a tag with the heading of a folded part."""
    match = _HTML_MARK.match(row)
    return match is not None and not _HTML_MARK.sub("", row[match.end() :]).strip()


def _unquoted(rows: list[str]) -> list[str]:
    """Take the marks of a quotation off where several lines in a row bear them."""
    out, at = list(rows), 0
    while at < len(rows):
        end = at
        while end < len(rows) and rows[end].lstrip(" ").startswith(">"):
            end += 1
        if end - at >= _QUOTED_RUN:
            out[at:end] = [_QUOTE.sub("", row, count=1) for row in rows[at:end]]
        at = max(end, at + 1)
    return out


def _unnumbered(rows: list[str]) -> list[str]:
    """Take line numbers off where several lines in a row count up by one."""
    out, at = list(rows), 0
    while at < len(rows):
        match = _NUMBER.match(rows[at])
        if match is None or not rows[at]:
            at += 1
            continue
        end, number = at, int(match[1])
        while end < len(rows) and (found := _NUMBER.match(rows[end])) is not None and int(found[1]) == number:
            end, number = end + 1, number + 1
        if end - at >= _NUMBERED_RUN:
            out[at:end] = _without_numbers(rows[at:end])
        at = max(end, at + 1)
    return out


def _without_numbers(rows: Sequence[str]) -> list[str]:
    """Cut all lines behind their numbers at one column, so that the indentation stays."""
    ends = []
    for row in rows:
        match = _NUMBER.match(row)
        assert match is not None
        # What stands behind the number and its mark is the line's own indentation but for one blank.
        bare = re.match(r" *\d+[:.|)]?", row)
        assert bare is not None
        ends.append(bare.end())
    gap = 1 if all(not row[end:] or row[end] in " \t|" for row, end in zip(rows, ends, strict=True)) else 0
    return [row[end + gap :] for row, end in zip(rows, ends, strict=True)]


def dedent(rows: Sequence[str]) -> list[str]:
    """Return lines with tabs as blanks and without the indentation that all of them share."""
    spread = [row.expandtabs(8) for row in rows]
    indents = [len(row) - len(row.lstrip(" ")) for row in spread if row.strip()]
    least = min(indents, default=0)
    return [row[least:] for row in spread]
