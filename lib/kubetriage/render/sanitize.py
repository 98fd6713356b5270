"""Text from a cluster is untrusted: control characters and secrets are taken out once, here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

from kubetriage.records import fields, is_record, replace
from kubetriage.redact import clean
from kubetriage.typed import Any, TypeVar, cast
from kubetriage.values.commands import is_plain

T = TypeVar("T")

_COMMANDS = {"verify", "commands"}
"""Fields that hold lines for a shell."""
LEFT_OUT = "# left out: a name in this command is not one that an API server accepts"
"""Stands in place of a line that would do something else than it says."""


def sanitized(value: T) -> T:
    """Return ``value`` with every string in it cleaned, through dataclasses, tuples, lists and mappings."""
    return cast("T", _sanitized(value))


def _cleaned(value: str) -> str:
    return _short(value) if len(value) <= _SHORT else clean(value)


_SHORT = 256
"""Characters of what is remembered: the words of an answer recur, and names of one outage in each of its rows."""
_short = lru_cache(maxsize=8192)(clean)


def _sanitized(value: Any) -> Any:
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return _cleaned(value)
    if isinstance(value, Mapping):
        return {_cleaned(k) if isinstance(k, str) else k: _sanitized(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_sanitized(v) for v in value)
    if is_record(value) and not isinstance(value, type):
        cleaned = {f.name: _sanitized(getattr(value, f.name)) for f in fields(value)}
        for name in _COMMANDS & cleaned.keys():
            cleaned[name] = tuple(line if is_plain(line) else LEFT_OUT for line in cleaned[name])
        if manual := cleaned.get("manual"):
            # Some rows of the manual path name a place to look, not a command.
            cleaned["manual"] = tuple((_harmless(row[0]), *row[1:]) for row in manual)
        return replace(value, **cleaned)
    return value


def _harmless(line: str) -> str:
    return line if not line.startswith("kubectl ") or is_plain(line) else LEFT_OUT
