"""Folds and cuts sentences to columns of a terminal; wide characters count as two."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.values.patterns import lazy

ELLIPSIS = "…"
_SENTENCE_END = lazy(r"(?<=[.!?])(?<!^\d\.) (?=[A-Z\"'(\uac00-\ud7a3])")
"""Not behind the number of a step; a sentence begins with a capital letter or a Korean syllable."""


ONE_EACH = "│┃─└├┌┐┘┤┬┴┼█▓▒░▏▚▞▤▥▲▶◀●○╳╱╲✓✗•…‥×–—→←↑↓≤≥·≈\ue000"
"""Characters beyond ASCII of our own drawings and sentences, each one column wide."""
_WITHOUT_THESE = str.maketrans("", "", ONE_EACH)


def columns(words: str) -> int:
    """Return how many columns ``words`` take on a terminal."""
    rest = words if words.isascii() else words.translate(_WITHOUT_THESE)
    if rest.isascii() and rest.isprintable():
        return len(words)
    from wcwidth import wcswidth

    return max(int(wcswidth(words)), 0)


def wrapped(words: str, width: int | None, indent: str = "", first: str | None = None) -> str:
    """Wrap a sentence to the terminal, with ``first`` before the first line and ``indent`` before the others.

    A word that is too long stays whole, so that it can be selected: the terminal breaks it.
    """
    start = indent if first is None else first
    if width is None:
        return start + " ".join(words.split("\n"))
    lines, line, used = [], start, columns(start)
    empty = True
    for word in words.split():
        size = columns(word)
        if not empty and used + 1 + size > width:
            lines.append(line)
            line, used, empty = indent, columns(indent), True
        line, used = (line + word, used + size) if empty else (f"{line} {word}", used + 1 + size)
        empty = False
    return "\n".join([*lines, line])


def cut(words: str, width: int) -> str:
    """Cut the end of a line off where it is longer than ``width``, and say so with an ellipsis."""
    words = " ".join(words.split())
    if columns(words) <= width:
        return words
    return f"{_beginning(words, width - 1).rstrip()}{ELLIPSIS}"


def cut_middle(words: str, width: int) -> str:
    """Cut the middle of a message out where it is too long: errors begin with what failed and end with why."""
    words = " ".join(words.split())
    if columns(words) <= width:
        return words
    head = _beginning(words, (width - 1) * 2 // 5)
    tail = _beginning(words[::-1], width - 1 - columns(head))[::-1]
    return f"{head.rstrip()}{ELLIPSIS}{tail.lstrip()}"


def sentences(words: str, width: int, rows: int) -> str:
    """Keep the whole sentences that fit into ``rows``; of a first one that does not, its beginning."""
    if len(wrapped(words, width).splitlines()) <= rows:
        return words
    kept = ""
    for sentence in _SENTENCE_END.split(" ".join(words.split())):
        longer = f"{kept} {sentence}".strip()
        if len(wrapped(f"{longer} {ELLIPSIS}", width).splitlines()) > rows:
            break
        kept = longer
    if kept:
        return f"{kept} {ELLIPSIS}"
    lines = wrapped(words, width).splitlines()[:rows]
    last = lines[-1] if columns(lines[-1]) < width else _beginning(lines[-1], width - 1)
    return "\n".join([*lines[:-1], f"{last.rstrip()}{ELLIPSIS}"])


def first_sentences(words: str, most: int = 3) -> Iterator[tuple[str, str]]:
    """Yield the first sentence and the rest, the first two and the rest, and so on."""
    parts = _SENTENCE_END.split(" ".join(words.split()), maxsplit=most)
    for n in range(1, min(len(parts), most) + 1):
        yield " ".join(parts[:n]), " ".join(parts[n:])


def split_at(words: str, width: int) -> tuple[str, str]:
    """Part a line at a column of the terminal."""
    if words[:width].isascii():
        return words[:width], words[width:]
    head = _beginning(words, width)
    return head, words[len(head) :]


def _beginning(words: str, width: int) -> str:
    end = min(len(words), max(width, 0))
    while end and columns(words[:end]) > width:
        end -= 1
    return words[:end]
