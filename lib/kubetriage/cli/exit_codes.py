"""The exit codes of every plugin and what they mean."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Exit codes."""

    ANSWERED = 0
    ERROR = 1
    FOUND = 3
    UNDECIDED = 4
    INTERRUPTED = 130
    BROKEN_PIPE = 141


EXIT_MEANINGS = {
    Exit.ANSWERED: "The question was answered, whatever the answer.",
    # kubectl has only this code for errors.
    Exit.ERROR: "No answer to all or part of it: usage, connection, not found, forbidden.",
    Exit.FOUND: "With --exit-code or --wait: something with severity error was found.",
    Exit.UNDECIDED: "With --exit-code: none was found, but something that could hold a fault was not seen. "
    "With --wait: not ready in time.",
    Exit.INTERRUPTED: "Interrupted; what was read until then is answered.",
    Exit.BROKEN_PIPE: "Output pipe closed.",
}
