"""Reads the simple YAML that ``kubectl config`` writes, twenty times as fast as a whole YAML reader starts.

:func:`parse_plain` knows block mappings and block sequences of plain words and simple quoted strings, and gives up on
everything else: what it returns is what a YAML 1.1 reader returns, or None.
"""

from __future__ import annotations

import re
from typing import Any

# A line: blanks, perhaps the dash of a sequence, perhaps a key, perhaps a value. Whatever begins with a letter or a
# slash and holds no blank is a string, but for the words below; a value that begins with a digit or a sign may be a
# number or a date, so it is left to the real reader.
_LINE = re.compile(
    r"( *)(- )?(?:([A-Za-z][A-Za-z0-9_.-]*):(?: |\Z))?"
    r"(?:((?:[A-Za-z/]|--[a-z])[A-Za-z0-9/+=_.@:%,~-]*)|\"([^\"\\]*)\"|'([^']*)'|(\{\}|\[\]))? *\Z"
)
_NOT_STRINGS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_VALUES: dict[str, Any] = {"true": True, "false": False, "null": None}


class _NotPlainError(Exception):
    """The document is more than plain."""


_Token = tuple[int, bool, str | None, Any, bool]
"""Column, after a dash, key, value, has a value."""


def parse_plain(source: str) -> dict[str, Any] | None:
    """Return the mapping that a YAML document holds; None when it has to be read by a whole YAML reader."""
    if not source.isascii() or "\t" in source:
        return None
    try:
        rows = source.removeprefix("---\n").split("\n")
        lines = [_token(row) for row in rows if row.strip(" ") and not row.startswith("#")]
        if not lines or lines[0][0] or lines[0][1]:
            return None
        document, end = _block(lines, 0, 0)
    except (_NotPlainError, RecursionError):
        return None
    return document if end == len(lines) and isinstance(document, dict) else None


def _token(line: str) -> _Token:
    match = _LINE.match(line)
    if match is None:
        raise _NotPlainError
    blanks, dash, key, word, double, single, empty = match.groups()
    if key is not None and key.lower() in _NOT_STRINGS:
        raise _NotPlainError
    value: Any = double if double is not None else single
    if word is not None:
        if word.endswith(":") or (word.lower() in _NOT_STRINGS and word not in _VALUES):
            raise _NotPlainError
        value = _VALUES.get(word, word)
    elif empty is not None:
        value = {} if empty == "{}" else []
    elif value is not None and not value.isprintable():
        raise _NotPlainError
    has_value = not (word is None and double is None and single is None and empty is None)
    if key is None and not (dash and has_value):
        raise _NotPlainError
    return len(blanks), dash is not None, key, value, has_value


def _block(lines: list[_Token], at: int, column: int) -> tuple[Any, int]:
    """Read the mapping or sequence that begins at a line and a column; return it and the line after it."""
    if lines[at][1]:
        members: list[Any] = []
        while at < len(lines) and lines[at][0] == column and lines[at][1]:
            _, _, key, value, has_value = lines[at]
            if key is None:
                members.append(value)
                at += 1
            else:
                lines[at] = (column + 2, False, key, value, has_value)
                value, at = _block(lines, at, column + 2)
                members.append(value)
        return members, _ended(lines, at, column)
    found: dict[str, Any] = {}
    while at < len(lines) and lines[at][0] == column and not lines[at][1]:
        _, _, key, value, has_value = lines[at]
        at += 1
        if key is None:
            raise _NotPlainError
        if not has_value and at < len(lines):
            below, dash = lines[at][0], lines[at][1]
            # The dashes of a sequence may stand below its key.
            if below > column or (dash and below == column):
                value, at = _block(lines, at, below)
        found[key] = value
    return found, _ended(lines, at, column)


def _ended(lines: list[_Token], at: int, column: int) -> int:
    if at < len(lines) and lines[at][0] > column:
        raise _NotPlainError
    return at
