"""Gives the first line of a part its indentation back: who marks text with a mouse begins behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kubetriage.cluster.text.flat import CONTAINER_KEYS, STATE_KEYS
from kubetriage.values.patterns import lazy

_KEY = lazy(r"([A-Za-z][\w /().-]{0,80}?):(?:\s|\Z)")


def described(rows: Sequence[str]) -> list[str]:
    """Return the lines of a part of a describe with the first one below its container again."""
    return _moved(rows, _level_of_key)


def documented(rows: Sequence[str]) -> list[str]:
    """Return the lines of a part of YAML with the first one beside those that it belongs to."""
    return _moved(rows, _level_of_yaml)


def _moved(rows: Sequence[str], level_of: Callable[[str, Sequence[str]], int]) -> list[str]:
    at = next((i for i, row in enumerate(rows) if row.strip()), -1)
    rest = [row for row in rows[at + 1 :] if row.strip()]
    if at < 0 or not rest or _indent(rows[at]) or not min(map(_indent, rest)):
        return list(rows)
    level = level_of(rows[at], rest)
    return [*rows[:at], " " * level + rows[at], *rows[at + 1 :]] if level else list(rows)


def _level_of_key(first: str, rest: Sequence[str]) -> int:
    key = _key(first)
    for keys in (CONTAINER_KEYS, STATE_KEYS):
        if key in keys:
            return next((_indent(row) for row in rest if _key(row) in keys), 0)
    return 0


def _level_of_yaml(first: str, rest: Sequence[str]) -> int:
    least, following = min(map(_indent, rest)), _indent(rest[0])
    if first.startswith("- "):
        return following - 2 if following == least and following >= 2 and not rest[0].lstrip().startswith("- ") else 0
    if first.rstrip().endswith(":"):
        # What stands below it is deeper; something less deep is beside it.
        return least if following > least else 0
    return following if following == least else 0


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" "))


def _key(row: str) -> str:
    match = _KEY.match(row.strip())
    return match[1].lower() if match is not None else ""
