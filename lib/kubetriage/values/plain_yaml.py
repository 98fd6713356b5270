"""YAML as kubectl, kubeadm and the clouds' tools write it: text in, the same value as of a YAML parser out, or None.

PyYAML without its compiled part takes 25 ms to be imported and to read a kubeconfig of one cluster, as long as the
request that follows, and a second for one of two hundred. What is read here are block mappings and sequences of plain
and simply quoted strings; for everything else (anchors, flow collections, multi-line and special scalars, tabs) the
answer is None, and the parser is asked. tests/values/test_plain_yaml.py holds both against each other.
"""

from __future__ import annotations

import re

from kubetriage.typed import Any
from kubetriage.values.patterns import lazy

_LINE = lazy(r'( *)((?:- )?)(?:([A-Za-z][\w./-]*|"[\w ./@:-]*"):(?: +(.+?))? *|(?<=- )(\S.*?) *)', re.ASCII)
# Begins with a letter, a slash or as a flag, so it is no number, date or indicator; a colon only inside, never before
# a blank.
_PLAIN = lazy(r"-{0,2}[A-Za-z/](?:[\w./+=@,%~-]|:(?=[\w./+=@-]))*", re.ASCII)
_QUOTED = lazy(r'"[^"\\]*"|\'[^\']*\'')
_FIXED: dict[str, Any] = {"{}": {}, "[]": [], "null": None, "true": True, "false": False}
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
"""What a YAML 1.1 parser takes for a truth value or nothing, whatever its case."""


class _OtherError(Exception):
    """Something that only a whole parser reads."""


def plain_yaml(text: str) -> Any:
    """Return the value of the document, or None where it takes a whole parser (or is empty)."""
    if not text.isascii() or "\t" in text or "\r" in text or (not text.isprintable() and not _prints(text)):
        return None
    lines: list[tuple[int, bool, str | None, str]] = []
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None or " #" in line:
            return None
        indent, dash, key, value, item = found.groups()
        lines.append((len(indent), bool(dash), key.strip('"') if key else None, value or item or ""))
    if not lines:
        return None
    try:
        value, end = _block(lines, 0, lines[0][0])
    except (_OtherError, RecursionError):
        return None
    return value if end == len(lines) else None


def _prints(text: str) -> bool:
    return all(part.isprintable() for part in text.split("\n"))


def _block(lines: list[tuple[int, bool, str | None, str]], at: int, indent: int) -> tuple[Any, int]:
    """Read the mapping or sequence that begins at a line; return it and the line after it."""
    return _sequence(lines, at, indent) if lines[at][1] else _mapping(lines, at, indent)


def _sequence(lines: list[tuple[int, bool, str | None, str]], at: int, indent: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    while at < len(lines) and lines[at][0] == indent and lines[at][1]:
        _, _, key, value = lines[at]
        if key is None:
            items.append(_scalar(value))
            at += 1
        else:
            # "- key: ..." is a mapping that is indented by the dash.
            lines[at] = (indent + 2, False, key, value)
            item, at = _mapping(lines, at, indent + 2)
            items.append(item)
    if at < len(lines) and lines[at][0] > indent:
        raise _OtherError
    return items, at


def _mapping(lines: list[tuple[int, bool, str | None, str]], at: int, indent: int) -> tuple[dict[str, Any], int]:
    made: dict[str, Any] = {}
    while at < len(lines) and lines[at][0] == indent and not lines[at][1]:
        _, _, key, value = lines[at]
        if key is None or key in made or key.lower() in _WORDS:
            raise _OtherError
        at += 1
        if value:
            made[key] = _scalar(value)
        elif at < len(lines) and (lines[at][0] > indent or (lines[at][0] == indent and lines[at][1])):
            made[key], at = _block(lines, at, lines[at][0])
        else:
            made[key] = None
    if at < len(lines) and lines[at][0] > indent:
        raise _OtherError
    return made, at


def _scalar(value: str) -> Any:
    if value in _FIXED:
        fixed = _FIXED[value]
        return type(fixed)() if isinstance(fixed, dict | list) else fixed
    if _QUOTED.fullmatch(value):
        return value[1:-1]
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    raise _OtherError
