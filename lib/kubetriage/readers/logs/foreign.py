"""Error messages in other languages than English: what they say, beside their own words."""

from __future__ import annotations

import re
from functools import lru_cache

from kubetriage.data import table


@lru_cache(maxsize=1)
def _messages() -> dict[str, str]:
    """Return what each known message says, by its words in lower case, the longest first."""
    rows = sorted(table("foreign_errors")["strerror"], key=lambda row: -len(row["words"]))
    return {row["words"].lower(): row["means"] for row in rows}


@lru_cache(maxsize=1)
def _words() -> re.Pattern[str]:
    groups = table("foreign_errors")["word"]
    words = sorted({word for row in groups for word in row["words"]}, key=len, reverse=True)
    latin = "|".join(re.escape(w) for w in words if w[0].isascii() or w[0] in "éÉ")
    other = "|".join(re.escape(w) for w in words if not (w[0].isascii() or w[0] in "éÉ"))
    return re.compile(rf"\b(?:{latin})\b|{other}", re.IGNORECASE)


def with_english(text: str) -> str:
    """Return text with the English of known messages in brackets behind them; text without such as it is."""
    low = text.lower()
    present = [words for words in _messages() if words in low]
    if not present:
        return text
    pattern = re.compile("|".join(map(re.escape, present)), re.IGNORECASE)
    return pattern.sub(lambda m: f"{m[0]} [{_messages()[m[0].lower()]}]", text)


def tells_of_failure(row: str) -> bool:
    """Tell whether a line has a word that means error or failure in another language."""
    return _words().search(row[:1000]) is not None
