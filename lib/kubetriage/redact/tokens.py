"""Replaces tokens that show by their form: the prefixes that issuers publish, and long random words behind one.

The forms are a dated table (``data/secret_shapes.json``). Each row names literals of which every match holds one, so
a text costs a search of those, and only the patterns that can match are compiled.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kubetriage.data import table
from kubetriage.redact.lines import sub_in_lines
from kubetriage.redact.secret_names import MARK
from kubetriage.values.patterns import lazy

# Where a token may begin: not inside a word, but behind a percent-encoded or escaped character.
_EDGE = r"(?:(?<![A-Za-z0-9_-])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
# A short word, a joint and 30 characters in which nobody sees words: no issuer is known, the form is enough.
_RANDOM = lazy(r"(?<![A-Za-z0-9_./+-])[a-z]{2,12}\d?[_-](?:[a-z]{2,8}_)?([A-Za-z0-9]{30,256})(?![A-Za-z0-9_./+-])")
_WORD = lazy(r"[A-Z]?[a-z]{4,}")
_DIGITS_OF_CHANCE = 4
"""Of 30 characters drawn from 62, five are digits."""


# A stretch in which a token can lie. Most of a log is shorter words, and looking for two hundred literals in what is
# left costs a fifth of looking for them in all of it.
_STRETCH = lazy(r"[\w.~:/+=|$%@&?!\\-]{14,}")
_SHORT = 4096
_ESCAPED = lazy(r"%[0-9A-Fa-f]{2}|\\[nrt]")


@lru_cache(maxsize=1)
def _rows() -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return the literals and the pattern of each row."""
    return tuple(
        (tuple(row["has"]), row["pattern"] if row.get("anywhere") else _EDGE + f"(?:{row['pattern']})")
        for row in table("secret_shapes")["tokens"]
    )


@lru_cache(maxsize=1)
def in_stretches() -> tuple[bool, ...]:
    """Tell for each row whether all of a match, and what must stand before it, lies in one stretch."""
    return tuple(
        "(?<=" not in row["pattern"]
        and "[^" not in row["pattern"]
        and (not row.get("anywhere") or row["pattern"].startswith("(?<!"))
        for row in table("secret_shapes")["tokens"]
    )


@lru_cache(maxsize=1)
def _literals() -> tuple[str, ...]:
    return tuple(dict.fromkeys(literal for literals, _ in _rows() for literal in literals))


@lru_cache(maxsize=128)
def _form(row: int) -> re.Pattern[str]:
    """Return a pattern for stretches, in which what stands before a token is simpler to tell."""
    known = table("secret_shapes")["tokens"][row]
    return re.compile(known["pattern"] if known.get("anywhere") else f"(?<![A-Za-z0-9_-])(?:{known['pattern']})")


@lru_cache(maxsize=128)
def _pattern(row: int) -> re.Pattern[str]:
    return re.compile(_rows()[row][1])


def redact_tokens(text: str) -> str:
    """Replace the tokens of a text."""
    if len(text) < _SHORT and not any(map(text.__contains__, _literals())):
        # Most short texts hold no literal at all, which one pass without a loop of our own tells.
        rows = []
        stretches = text
    else:
        rows = list(zip(_rows(), in_stretches(), strict=True))
        stretches = _ESCAPED.sub("\n", "\n".join(dict.fromkeys(_STRETCH.findall(text))))
    for at, ((literals, _), inside) in enumerate(rows):
        where = stretches if inside else text
        if any(literal in where for literal in literals) and (not inside or _form(at).search(where)):
            text = sub_in_lines(_pattern(at), tuple(literal.lower() for literal in literals), MARK, text)
    if _RANDOM.search(stretches):
        text = _RANDOM.sub(lambda m: MARK if _is_random(m[1]) else m[0], text)
    return text


def _is_random(word: str) -> bool:
    """Tell whether letters of both cases and digits are mixed as chance mixes them."""
    if word.isupper() or word.islower() or sum(c.isdigit() for c in word[:30]) < _DIGITS_OF_CHANCE:
        return False
    # Names of classes and tests have capitals and numbers, too, but between words.
    return sum(len(m[0]) for m in _WORD.finditer(word)) * 2 < len(word)
