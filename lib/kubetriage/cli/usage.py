"""What a user got wrong in a command line, and how a line is printed."""

from __future__ import annotations

import sys


class UsageError(Exception):
    """A command line that means nothing; the words are kubectl's, without its ``error:`` before them."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Hold the message, and the line below it."""
        super().__init__(message)
        self.message = message
        self.hint = hint


def echo(words: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print words at once, to stdout or stderr."""
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{words}\n" if nl else words)
    stream.flush()
