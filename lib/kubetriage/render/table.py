"""Tables as kubectl prints them: no rules, blanks between columns, wrapped only on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubetriage.render.fold import columns as natural_width
from kubetriage.render.fold import wrapped

LABEL = 9
"""Columns before the text of a diagnosis table: the longest label and the gap."""
_GAP = 2
"""Blanks between columns of tabulate's plain format."""
_NARROWEST = 12
"""A wrapped column is not made narrower than this, even when the line then passes the terminal's width."""
_LONGEST_WORD = 28
"""Longer words are broken rather than given the room of the other columns."""
_JOINTS = "-/.,:=@_"
"""Behind one of these a word that is too long is broken."""
_SHORTEST_PIECE = 4
"""Fewer characters than this do not stand alone at the end of a line."""


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None = None,
    flexible: Sequence[int] = (),
    headers: bool = True,
) -> str:
    """Draw a table.

    ``flexible`` are the indexes of the columns that wrap when ``width`` (columns of the terminal, None for no
    limit) is too small; all the others keep their natural width.
    """
    import tabulate as tabulate_module

    def natural(words: str) -> int:
        return max((natural_width(line) for line in words.splitlines()), default=0)

    shown = [[" ".join(cell.split("\n")) if width is None else cell for cell in row] for row in rows]
    if width is not None and rows:
        wide = [
            max([natural(columns[i]) if headers else 0, *(natural(row[i]) for row in shown)])
            for i in range(len(columns))
        ]
        room = width - _GAP * (len(columns) - 1) - sum(w for i, w in enumerate(wide) if i not in flexible)
        longest = [
            max([natural(columns[i]) if headers else 0, *(natural(word) for row in shown for word in row[i].split())])
            for i in range(len(columns))
        ]
        limits = _share(wide, longest, room, flexible)
        shown = [[_folded(cell, limit) for cell, limit in zip(row, limits, strict=True)] for row in shown]
    # Headers would otherwise get two more blanks than their column needs.
    tabulate_module.MIN_PADDING = 0
    drawn = tabulate_module.tabulate(
        shown,
        headers=list(columns) if headers else (),
        tablefmt="plain",
        disable_numparse=True,
    )
    return "\n".join(line.rstrip() for line in drawn.splitlines())


def fields(rows: Sequence[tuple[str, str]], width: int) -> str:
    """Draw a table of labels and texts; a text folds to its column, and the labels always take the same room."""
    drawn: list[str] = []
    for label, text in rows:
        head = label
        for line in wrapped(text, max(width - LABEL, _NARROWEST)).splitlines() or [""]:
            drawn.append((head + " " * (LABEL - natural_width(head)) + line).rstrip())
            head = ""
    return "\n".join(drawn)


def _folded(cell: str, width: int | None) -> str:
    """Fold a cell to its column; a word that is too long breaks where names and paths have their joints."""
    if width is None:
        return cell
    return "\n".join(wrapped(" ".join(_pieces(line, width)), width) for line in cell.splitlines())


def _pieces(line: str, width: int) -> Iterator[str]:
    """Yield the words of a line, none wider than a column."""
    for word in line.split():
        while natural_width(word) > width:
            fits = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or natural_width(word[:n]) <= width)
            joint = max(word.rfind(mark, 0, fits) for mark in _JOINTS) + 1
            end = joint if joint >= _SHORTEST_PIECE else fits
            yield word[:end]
            word = word[end:]
        yield word


def _share(natural: list[int], words: list[int], room: int, flexible: Sequence[int]) -> list[int | None]:
    """Divide ``room`` between the flexible columns.

    Each gets the width of its longest word first, so that times and names stay whole; what is left goes where the
    text is longest.
    """
    limits: list[int | None] = [None] * len(natural)
    least = {i: min(max(words[i], _NARROWEST), natural[i], _LONGEST_WORD) for i in flexible}
    left = room - sum(least.values())
    while left < 0 and max(least.values()) > _NARROWEST:
        least[max(least, key=lambda i: least[i])] -= 1
        left += 1
    wanting = {i: natural[i] - least[i] for i in flexible}
    while left > 0 and any(wanting.values()):
        most = max(wanting, key=lambda i: wanting[i] / least[i])
        least[most] += 1
        wanting[most] -= 1
        left -= 1
    for i in flexible:
        limits[i] = least[i]
    return limits
