"""Which existing name was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 253
"""Longest object name that the API accepts; longer text is not compared letter by letter."""


def edit_distance(one: str, other: str) -> int:
    """Return the optimal string alignment distance: inserted, deleted, changed and swapped neighbouring letters."""
    if one == other:
        return 0
    if not one or not other or max(len(one), len(other)) > _LONGEST:
        return max(len(one), len(other))
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]


def nearest(wanted: str, candidates: Iterable[str]) -> str:
    """Return the candidate that ``wanted`` is most probably a slip of, or empty.

    A slip is a difference in case or separators, at most a third of the letters, or one whole added or missing
    part (``db-credentials`` for ``app-db-credentials``).
    """
    best: tuple[int, str] | None = None
    for candidate in candidates:
        if candidate == wanted or not candidate:
            continue
        distance = edit_distance(_folded(wanted), _folded(candidate))
        close = distance <= max(1, min(len(wanted), len(candidate)) // 3) and distance < len(wanted)
        if not close and _contains(wanted, candidate):
            close, distance = True, distance + 100
        if close and (best is None or (distance, candidate) < best):
            best = (distance, candidate)
    return best[1] if best else ""


def _folded(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _contains(one: str, other: str) -> bool:
    """Tell whether all parts of the shorter name stand in the longer, in a row."""
    first, second = sorted((_folded(one).split("-"), _folded(other).split("-")), key=len)
    if len("".join(first)) < 3:
        return False
    return any(second[i : i + len(first)] == first for i in range(len(second) - len(first) + 1))
