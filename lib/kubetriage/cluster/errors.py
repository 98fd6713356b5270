"""Errors that end a run, in kubectl's words."""

from __future__ import annotations


class ClusterError(Exception):
    """Nothing can be answered; ``str()`` is the whole line for stderr, as kubectl would print it."""


class DumpError(ClusterError):
    """A dump cannot be read."""

    def __init__(self, message: str) -> None:
        """Put kubectl's prefix of local errors before the message."""
        super().__init__(f"error: {message}")
