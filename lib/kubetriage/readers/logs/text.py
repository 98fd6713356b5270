"""The lines of a log, and the error that was found in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache

from kubetriage.readers.logs.foreign import with_english
from kubetriage.readers.logs.layers import exported_rows, peel_rows
from kubetriage.records import dataclass
from kubetriage.redact import strip_controls
from kubetriage.typed import Literal
from kubetriage.values.fields import Obj
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time

MAX_BYTES = 512 * 1024
"""Only the end of a longer log is read."""
MAX_LINES = 20_000
"""Only so many lines of it."""
MAX_LINE = 16 * 1024
"""Characters to which a line is cut."""
MAX_BLOCK = 60
"""Lines of one error that are kept."""
MAX_SUMMARY = 600
"""Characters of the line that says what went wrong."""

Weight = Literal["fatal", "error", "weak"]
"""``fatal``: the program or its runtime says that it ends because of this; ``error``: logged as an error, or a
stack trace; ``weak``: a line in plain words that tells of a failure."""


@dataclass(frozen=True)
class LastError:
    """The error that a program ended with, in its own words."""

    language: str
    """``java``, ``python``, ``node``, ``go``, ``dotnet``, ``ruby``, ``rust``, ``php``, ``perl``, ``elixir``,
    ``cpp``, ``shell``, ``nginx``; the form of the line for logs without a language: ``json``, ``logfmt``, ``text``."""
    weight: Weight
    summary: str
    """The line that says what went wrong: the end of a chain of causes where there is one."""
    lines: tuple[str, ...]
    """What belongs to it, bounded; the head of the chain first."""
    name: str = ""
    """Class of the exception or code of the error, where the program gives one."""
    time: str = ""
    """RFC 3339 time, where the line carries one with a zone."""
    at: int = 0
    """Number of its first line in the text, from 0."""
    end: int = 0
    """Number of the first line after it."""
    trailing: int = 0
    """How many lines with other matter follow it."""


@dataclass(frozen=True)
class Line:
    """One line without the prefixes that runtimes and ``kubectl logs`` put before it."""

    body: str
    time: str
    """As the prefix or the line itself gives it."""


OWN_TIME = lazy(
    r"[\[\"{(]{0,2}(?:\"?(?:time|ts|timestamp|@timestamp|@t)\"?[=:] ?\"?)?"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)"
)


_CHARACTERS = lazy(r"\[((?:\d{2,3},){7,400}\d{2,3})(?=[\]|])")


# What programs draw before an error in place of a level.
_MARK = lazy(r"\s{0,4}[⨯✖✗✘❌⛔🚫]\ufe0f?\s{1,4}(?=\S)")


def _as_words(body: str) -> str:
    """Write the words that Erlang prints as lists of character codes; leave a mark before an error out."""
    if not body.isascii():
        mark = _MARK.match(body)
        return body[mark.end() :] if mark is not None else body
    if "[" not in body:
        return body
    return _CHARACTERS.sub(_spelled, body)


def _spelled(found: re.Match[str]) -> str:
    codes = [int(code) for code in found[1].split(",")]
    return "[" + "".join(map(chr, codes)) if all(32 <= code < 127 for code in codes) else found[0]


def read_lines(content: str) -> list[Line]:
    """Split the end of a log; lines written in parts (CRI) are joined."""
    content = content[-MAX_BYTES:]
    if "\\u001b" in content:
        content = content.replace("\\u001b", "\x1b")
    rows = (exported_rows(content) or with_english(strip_controls(content)).split("\n"))[-MAX_LINES:]
    if rows and not rows[-1]:
        rows.pop()
    out: list[Line] = []
    part = ""
    for row in peel_rows([raw[:MAX_LINE] for raw in rows]):
        # A layer of JSON may have hidden escapes.
        body = _as_words(strip_controls(row.body))
        if row.partial:
            part = (part + body)[:MAX_LINE]
            continue
        out.append(Line((part + body).rstrip(), row.time))
        part = ""
    if part:
        out.append(Line(part.rstrip(), ""))
    return out


def bodies(content: str) -> tuple[str, ...]:
    """Return the lines of a log as the numbers in :class:`LastError` and :class:`Address` count them."""
    return tuple(line.body for line in read_lines(content))


def read_json(row: str) -> Obj:
    """Return the JSON object on a line; empty when there is none."""
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def with_cause(words: str, cause: str) -> str:
    """Return a message with the cause that its entry gives beside it."""
    if not cause or cause in words:
        return words
    return f"{words}: {cause}" if words else cause


def time_of(line: Line) -> str:
    """Return the time of a line if it has a zone."""
    if line.time:
        return line.time if parse_time(line.time) else ""
    own = OWN_TIME.match(line.body[:80])
    if own is None:
        return ""
    stamp = own[1].replace(",", ".").replace(" UTC", "Z").replace("UTC", "Z")
    stamp = stamp[:10] + "T" + stamp[11:].replace(" ", "")
    return stamp if parse_time(stamp) else ""


def _cut(summary: str) -> str:
    summary = summary.strip()
    return summary if len(summary) <= MAX_SUMMARY else summary[: MAX_SUMMARY - 1] + "…"


def _nothing(_: str) -> LastError | None:
    return None


@dataclass
class Log:
    """The lines of one log and a cursor over them."""

    lines: list[Line]
    nested: Callable[[str], LastError | None] = _nothing
    """Reads the last error of a log that stands in a field or beneath an entry."""

    def body(self, at: int) -> str:
        """Return a line; empty before the first and after the last."""
        return self.lines[at].body if 0 <= at < len(self.lines) else ""

    def block(self, at: int, end: int) -> tuple[str, ...]:
        """Return lines of a block; a long one loses its middle."""
        rows = [self.body(i) for i in range(at, min(end, len(self.lines)))]
        if len(rows) > MAX_BLOCK:
            rows = [*rows[: MAX_BLOCK // 2], "…", *rows[-MAX_BLOCK // 2 :]]
        return tuple(row[:2000] for row in rows)

    def error(
        self,
        at: int,
        end: int,
        language: str,
        weight: Weight,
        summary: str,
        name: str = "",
        lines: tuple[str, ...] = (),
    ) -> LastError:
        """Make the error that stands in the lines from ``at`` up to ``end``; ``lines`` default to those."""
        when = next((t for t in map(time_of, self.lines[at : min(end, at + 3)]) if t), "")
        if not when and at > 0:
            when = time_of(self.lines[at - 1]) if self.lines[at - 1].time else ""
        return LastError(language, weight, _cut(summary), lines or self.block(at, end), name, when, at, end)


FAR = 50
"""Lines of other matter after which a fatal error is no longer taken for the end of the program."""


@lru_cache(maxsize=16)
def last_line(content: str) -> str:
    """Return the last line that says something, or the empty string; hundreds of patterns ask for that of one log."""
    for line in reversed(read_lines(content[-64 * 1024 :])):
        if line.body.strip():
            return line.body.strip()[:MAX_SUMMARY]
    return ""
