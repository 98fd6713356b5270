"""Tells on a terminal how far a long read is; says nothing in a pipe."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from kubetriage.typed import TextIO

QUIET_SECONDS = 1.0
"""A run that ends sooner shows no progress."""
_EVERY_SECONDS = 0.1
_BAR = 24


class Progress:
    """One line on stderr that is redrawn in place and removed at the end."""

    def __init__(self, stream: TextIO, on_terminal: bool) -> None:
        """Show on ``stream`` when it is a terminal."""
        self._stream = stream
        self._on_terminal = on_terminal
        self._begun = time.monotonic()
        self._drawn = 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> Progress:
        """Begin to count the quiet time."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the line."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def tell(self, what: str, come: int, total: int | None) -> None:
        """Say that ``come`` of ``total`` (None: not known) objects of a kind have come; called from any thread."""
        now = time.monotonic()
        with self._lock:
            late = now - self._begun >= QUIET_SECONDS and now - self._drawn >= _EVERY_SECONDS
            if not self._on_terminal or not late:
                return
            self._drawn = now
            if total is not None:
                filled = min(_BAR * come // max(total, 1), _BAR)
                line = f"[{'#' * filled}{'.' * (_BAR - filled)}] {come} of {total} {what}"
            else:
                line = f"{come} {what} ..."
            self._stream.write(f"\r\x1b[K{line}")
            self._stream.flush()
