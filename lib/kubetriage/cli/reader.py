"""How the reader wants an answer: width, colour, language and times, from the flags, the environment and stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime

from kubetriage.render.terminal import Terminal, carries_drawings, wants_color
from kubetriage.render.times import USUAL, Times
from kubetriage.render.words import ENGLISH, Words, language_of
from kubetriage.typed import Any

_LOCALES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set counts, as for every program."""


def terminal_of(values: Mapping[str, Any]) -> Terminal:
    """Return the place that an invocation writes text to."""
    on_terminal, width = sys.stdout.isatty(), None
    if on_terminal:
        from shutil import get_terminal_size

        width = get_terminal_size().columns
    encoding = sys.stdout.encoding or "ascii"
    words = words_for(values["lang"], os.environ, encoding)
    how = values["timestamps"]
    return Terminal(
        width,
        wants_color(values["color"], os.environ, on_terminal),
        carries_drawings(encoding, os.environ),
        words,
        Times(how, datetime.astimezone) if how else USUAL,
        "ascii" if words is ENGLISH else encoding,
    )


def words_for(asked: str | None, environ: Mapping[str, str], encoding: str) -> Words:
    """Return the words of the language that was asked for, else of the locale; English where that has no catalogue."""
    language = asked or language_of(next((environ[name] for name in _LOCALES if environ.get(name)), ""))
    if language == ENGLISH.language:
        return ENGLISH
    from kubetriage.render.catalog import words_of

    if asked:
        return words_of(asked)
    try:
        words = words_of(language)
        words.label("WHAT").encode(encoding)
    except (LookupError, UnicodeError):
        return ENGLISH
    return words
