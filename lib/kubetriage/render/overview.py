"""Tables about all objects of a scan, fitted to the terminal: columns give way before a name is cut."""

from __future__ import annotations

from kubetriage.model import Table
from kubetriage.render.fold import columns as width_of
from kubetriage.render.fold import cut, cut_middle
from kubetriage.render.table import table
from kubetriage.render.terminal import Terminal

_GAP = 2
_LEAST_NAME = 34
"""A name is not cut below this; then a column gives way."""


def render_table(shown: Table, terminal: Terminal, *, headers: bool = True) -> str:
    """Draw a table under its title; in a pipe every column and cell is whole."""
    columns, rows = [terminal.words.label(c) for c in shown.columns], [list(r) for r in shown.rows]
    title = terminal.words.label(shown.title)
    if terminal.width is not None:
        for name in shown.optional:
            if (
                _width(columns, rows, headers) <= terminal.width
                or _name_room(columns, rows, terminal.width) >= _LEAST_NAME
            ):
                break
            at = columns.index(terminal.words.label(name))
            columns.pop(at)
            rows = [r[:at] + r[at + 1 :] for r in rows]
        room = max(_name_room(columns, rows, terminal.width), _LEAST_NAME)
        rows = [[cut_middle(r[0], room), *r[1:]] for r in rows]
        columns[0] = cut(columns[0], room)
        title = cut(title, terminal.width)
    return terminal.plain("\n".join([title, table(columns, rows, None, headers=headers)]))


def _widths(columns: list[str], rows: list[list[str]]) -> list[int]:
    return [max([width_of(columns[i]), *(width_of(r[i]) for r in rows)]) for i in range(len(columns))]


def _width(columns: list[str], rows: list[list[str]], headers: bool) -> int:
    return sum(_widths(columns if headers else [""] * len(columns), rows)) + _GAP * (len(columns) - 1)


def _name_room(columns: list[str], rows: list[list[str]], width: int) -> int:
    """Return the columns that are left for the first cell."""
    return width - sum(_widths(columns, rows)[1:]) - _GAP * (len(columns) - 1)
