"""Regular expressions that are compiled when a text may match them.

The readers and rules know several hundred, a run needs few of them, and compiling them all would take longer than
reading the pod.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from kubetriage.typed import Any, cast

_Find = Callable[[str, int], "re.Pattern[str] | None"]
_stored: list[_Find] = []
"""Where patterns are that need not be compiled; the release archive has one such place."""

_METHODS = ("search", "match", "fullmatch", "finditer", "findall", "sub", "split")


class Lazy:
    """Stands for a compiled pattern until a text comes that may match it."""

    def __init__(self, pattern: str, flags: int) -> None:
        """Hold the source of the pattern; nothing is compiled."""
        self.pattern = pattern
        self.flags = flags

    # Who gives limits asks again and again within one text: a look at the whole of it each time would be quadratic.

    def search(self, text: str, *limits: int) -> re.Match[str] | None:
        """Search as a compiled pattern does."""
        return None if not limits and self._cannot_match(text) else self._compiled().search(text, *limits)

    def match(self, text: str, *limits: int) -> re.Match[str] | None:
        """Match as a compiled pattern does."""
        return None if not limits and self._cannot_match(text) else self._compiled().match(text, *limits)

    def fullmatch(self, text: str, *limits: int) -> re.Match[str] | None:
        """Match the whole text as a compiled pattern does."""
        return None if not limits and self._cannot_match(text) else self._compiled().fullmatch(text, *limits)

    def sub(self, new: Any, text: str, count: int = 0) -> str:
        """Replace as a compiled pattern does."""
        return text if self._cannot_match(text) else self._compiled().sub(new, text, count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled(), name)

    def _cannot_match(self, text: str) -> bool:
        wanted = _literals().get(self.pattern)
        return wanted is not None and not may_match(wanted, text)

    def _compiled(self) -> re.Pattern[str]:
        compiled = compiled_pattern(self.pattern, self.flags)
        for method in _METHODS:
            # From now on the compiled pattern's own methods answer.
            setattr(self, method, getattr(compiled, method))
        return compiled


def use(find: _Find) -> None:
    """Ask ``find`` for a pattern with its flags before compiling it; it returns None for one that it does not know."""
    _stored.append(find)


def compiled_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return what ``re.compile`` returns, from where it is stored if it is."""
    for find in _stored:
        if (known := find(pattern, flags)) is not None:
            return known
    return re.compile(pattern, flags)


@lru_cache(maxsize=1)
def _literals() -> dict[str, tuple[str, ...]]:
    from kubetriage.values.pattern_literals import LITERALS

    return LITERALS


def may_match(literals: tuple[str, ...], text: str) -> bool:
    """Tell whether a text can match a pattern whose every match holds one of the lower-case ``literals``.

    Most texts hold none of them, and compiling the patterns would take a run longer than its reads do.
    """
    lowered = folded(text)
    return any(map(lowered.__contains__, literals))


@lru_cache(maxsize=64)
def folded(text: str) -> str:
    """Return the text in lower case; many patterns ask for the same one after another."""
    lowered = text.lower()
    if not lowered.isascii():
        # The letters beyond ASCII that a pattern takes for one of ASCII whatever the case.
        lowered = lowered.replace("\u017f", "s").replace("\u0131", "i").replace("i\u0307", "i").replace("\u212a", "k")
    return lowered


def lazy(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return what behaves as ``re.compile(pattern, flags)``; a pattern with a mistake raises at its first use."""
    return cast("re.Pattern[str]", Lazy(pattern, flags))
