"""Puts several views of one object together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kubetriage.cluster.text.found import Raw
from kubetriage.typed import Any


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Raw:
    """Return two views of one object as one; where both tell a field, ``over`` is right.

    Members of lists that have names are one where their names are.
    """
    made: Raw = dict(base)
    for key, value in over.items():
        old = made.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            made[key] = dict(value) if key in ("state", "lastState") and set(value) != set(old) else merged(old, value)
        elif isinstance(value, list) and isinstance(old, list) and old and value and _named(old) and _named(value):
            made[key] = _merged_lists(old, value)
        elif value not in ({}, [], "") or key not in made:
            made[key] = value
    return made


def _named(rows: Iterable[Any]) -> bool:
    return all(isinstance(row, Mapping) and isinstance(row.get("name"), str) for row in rows)


def _merged_lists(base: Sequence[Raw], over: Sequence[Raw]) -> list[Raw]:
    ours = {row["name"]: row for row in over}
    out = [merged(row, ours.pop(row["name"])) if row["name"] in ours else dict(row) for row in base]
    return out + [dict(row) for row in ours.values()]
