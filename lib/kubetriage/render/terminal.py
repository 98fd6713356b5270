"""What the output may use, and how its reader wants it: width, colour, characters, language and times."""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.records import dataclass
from kubetriage.render.times import USUAL, Times
from kubetriage.render.words import ENGLISH, Words
from kubetriage.typed import Literal

ColorWhen = Literal["auto", "always", "never"]

_ASCII = str.maketrans(
    {
        "█": "#", "▓": "=", "▒": "-", "░": ".", "▏": "|", "│": "|", "┃": "|", "─": "-", "└": "`", "├": "|",
        "┌": "+", "┐": "+", "┘": "+", "┤": "|", "┬": "+", "┴": "+", "┼": "+", "→": ">", "←": "<", "↑": "^", "↓": "v",
        "▲": "^", "▼": "v", "✓": "+", "✗": "x", "•": "*", "…": ".", "×": "x", "–": "-", "—": "-", "≤": "<", "≥": ">",
        "▚": "%", "▞": "&", "▤": "@", "▥": "$",
        "▶": ">", "◀": "<", "●": "*", "○": "o", "‥": ".", "≈": "~", "µ": "u", "·": ".", "╳": "x", "╱": "/", "╲": "\\",
    }
)  # fmt: skip
"""One character for one, so that drawings keep their shape."""

_SGR = {
    "error": "31;1",
    # Plain yellow cannot be read on white: a dark orange can on both.
    "warning": "38;5;166;1",
    "unknown": "38;5;166;1",
    "note": "36",
    "ok": "32",
    "dim": "2",
    "bold": "1",
    # Parts of a bar: told apart by their shade as well.
    "area1": "34",
    "area2": "36",
    "area3": "35",
    "area4": "38;5;166",
}


@dataclass(frozen=True)
class Terminal:
    """The place that text is written to."""

    width: int | None = None
    """Columns of a terminal; None when the output is not one: nothing is wrapped then."""
    color: bool = False
    unicode: bool = True
    """The output's encoding can carry box-drawing characters."""
    words: Words = ENGLISH
    times: Times = USUAL
    encoding: str = "ascii"
    """What the output can carry where it has no box-drawing characters."""

    def paint(self, words: str, style: str) -> str:
        """Colour ``words`` where colour is on; colour never carries meaning alone."""
        return f"\x1b[{_SGR[style]}m{words}\x1b[0m" if self.color and words else words

    def plain(self, words: str) -> str:
        """Replace what the output's encoding cannot carry."""
        if self.unicode:
            return words
        return words.translate(_ASCII).encode(self.encoding, "replace").decode(self.encoding)


def carries_drawings(encoding: str | None, environ: Mapping[str, str]) -> bool:
    """Tell whether the output takes more than ASCII.

    The locale is asked as well as the stream: Python turns the encoding of the C locale into UTF-8 by itself (PEP 538
    and 540), but who sets it has a terminal, a font or a reader in mind that has no box-drawing characters.
    """
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    if locale in ("C", "POSIX"):
        return False
    return (encoding or "ascii").lower().replace("-", "").startswith("utf")


def wants_color(when: ColorWhen, environ: Mapping[str, str], is_terminal: bool) -> bool:
    """Decide on colour: the flag, then NO_COLOR (no-color.org), then FORCE_COLOR, then the terminal."""
    if when != "auto":
        return when == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR") or environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return is_terminal and environ.get("TERM", "") != "dumb"
