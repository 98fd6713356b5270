"""What tests say about time, so that it holds on a machine that others keep busy, too."""

from __future__ import annotations

from collections.abc import Callable

HANGS = 120.0
"""Seconds that a server is silent in a test which shows that nobody waits for it."""
SOON = 25.0
"""Seconds in which what does not wait for it is done, also on a machine that eight suites share; less than the usual
time limit of a request."""
ENOUGH = 4.0
"""Seconds in which what answers at once has answered, as a time limit for what hangs beside it."""


def least(measure: Callable[[], float], limit: float, tries: int = 6) -> float:
    """Return the first measured value below the limit, else the least.

    What others do on the machine lengthens a time now and then; what is slow by itself is slow every time.
    """
    found = measure()
    while found >= limit and tries > 1:
        found, tries = min(found, measure()), tries - 1
    return found
