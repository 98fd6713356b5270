"""The outline that ``kubectl describe`` prints: keys, values, and what is indented below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubetriage.records import dataclass, field
from kubetriage.values.patterns import lazy

_KEY = lazy(r"([^\s:][^:]{0,252}?|[^\s:]{1,60}:[^\s:]{1,200}):(?:\s+(\S.*)|\s*)\Z")
NONE = frozenset({"", "<none>", "<unset>", "<nil>", "<unknown>", "n/a", "<invalid>"})
"""What describe prints for a field without a value."""
VERBATIM = frozenset({"Command", "Args"})
"""Keys below which lines stand as they are, whatever they look like."""


@dataclass
class Entry:
    """One line of the outline with all that belongs to it."""

    key: str
    """Empty for a line that is no ``key: value``."""
    value: str
    indent: int
    raw: str
    column: int = 0
    """Where the value begins on its line; 0 without one."""
    more: list[str] = field(default_factory=list)
    """Further lines of the value, which stand in its column."""
    below: list[Entry] = field(default_factory=list)

    def get(self, *keys: str) -> Entry | None:
        """Return the first entry below with one of these keys, whatever the case."""
        wanted = {key.lower() for key in keys}
        return next((e for e in self.below if e.key.lower() in wanted), None)

    def text(self, *keys: str) -> str:
        """Return the value of an entry below; empty for what describe prints in place of none."""
        found = self.get(*keys)
        return "" if found is None or found.value in NONE else found.value

    def values(self) -> list[str]:
        """Return all lines of the value."""
        return [v for v in (self.value, *self.more) if v not in NONE]

    def lines(self) -> Iterator[str]:
        """Yield all lines below as they stand, in order, without their own indentation."""
        for entry in self.below:
            yield entry.raw
            yield from entry.lines()

    def pairs(self, mark: str = "=") -> dict[str, str]:
        """Read ``key=value`` lines (labels), or ``key: value`` ones (annotations)."""
        found: dict[str, str] = {}
        for row in self.values():
            for part in row.split(",") if mark == "=" and ", " not in row and row.count("=") > 1 else [row]:
                key, has, value = part.partition(mark)
                if has:
                    found[key.strip()] = value.strip()
        return found


def outline(rows: Sequence[str]) -> Entry:
    """Read the lines of one describe; its keys stand below the entry that is returned.

    ``rows`` share no indentation. Lines that a mailer wrapped, which are no key and stand left of everything, belong
    to the value before them.
    """
    root = Entry("", "", -1, "")
    path: list[Entry] = [root]
    at, blank = 0, False
    while at < len(rows):
        row = rows[at]
        at += 1
        stripped = row.strip()
        if not stripped:
            blank = True
            continue
        wrapped, blank = not blank, False
        indent = len(row) - len(row.lstrip(" "))
        last = path[-1]
        if last.column and indent >= last.column - 1 and indent > last.indent + 1:
            last.more.append(stripped)
            continue
        match = _KEY.match(stripped)
        # Nothing follows the events of a describe, whatever a message looks like.
        told = len(path) > 2 and path[1].key == "Events"
        if wrapped and indent == 0 and last is not root and (told or _is_rest(stripped, match is not None)):
            # Wrapped on its way; the value goes on.
            last.value = f"{last.value} {stripped}".strip()
            last.raw += f" {stripped}"
            continue
        while path[-1].indent >= indent:
            path.pop()
        entry = Entry("", stripped, indent, stripped)
        if match is not None:
            column = indent + match.start(2) if match[2] else 0
            entry = Entry(match[1], (match[2] or "").strip(), indent, stripped, column)
        path[-1].below.append(entry)
        path.append(entry)
        if entry.key in VERBATIM and not entry.value:
            at = _verbatim(rows, at, entry)
        elif entry.key == "Message":
            at = _message(rows, at, entry)
    return root


def _is_rest(row: str, keyed: bool) -> bool:
    """Tell whether a line at the left is the rest of the one before: keys of describe begin with a capital there."""
    return not row.startswith(("-", "=")) and not (keyed and row[0].isupper())


def _verbatim(rows: Sequence[str], at: int, entry: Entry) -> int:
    """Take the lines that are indented below a key as they are."""
    inner = entry.indent + 2
    while at < len(rows):
        row = rows[at]
        if row.strip() and len(row) - len(row.lstrip(" ")) <= entry.indent:
            break
        if row.strip():
            entry.below.append(Entry("", row[inner:].rstrip(), inner, row[inner:].rstrip()))
        at += 1
    return at


_AFTER_MESSAGE = ("Exit Code:", "Signal:", "Started:", "Finished:")
_LONGEST_MESSAGE = 200


def _message(rows: Sequence[str], at: int, entry: Entry) -> int:
    """Take the further lines of a termination message, which kubectl prints without indentation."""
    for end in range(at, min(len(rows), at + _LONGEST_MESSAGE)):
        stripped = rows[end].strip()
        if stripped.startswith(_AFTER_MESSAGE) and len(rows[end]) - len(rows[end].lstrip(" ")) == entry.indent:
            entry.more += [row.rstrip() for row in rows[at:end] if row.strip()]
            return end
        if stripped.startswith(("Ready:", "Restart Count:", "Last State:", "Name:")):
            break
    return at
