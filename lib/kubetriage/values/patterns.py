"""Regular expressions that are compiled when they are first used.

The readers and rules know several hundred, a run needs few of them, and compiling them all would take longer than
reading the pod.
"""

from __future__ import annotations

import re
from typing import Any, cast


class _Lazy:
    """Stands for a compiled pattern until one of its methods is asked for."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern = pattern
        self.flags = flags

    def __getattr__(self, name: str) -> Any:
        # Called only for what is not there yet; from then on the compiled pattern's own methods answer.
        compiled = re.compile(self.pattern, self.flags)
        for method in ("search", "match", "fullmatch", "finditer", "findall", "sub", "split"):
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def lazy(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return what behaves as ``re.compile(pattern, flags)``; a pattern with a mistake raises at its first use."""
    return cast("re.Pattern[str]", _Lazy(pattern, flags))
