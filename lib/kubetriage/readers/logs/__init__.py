"""What a program said: its last error, the addresses it failed to reach, where it listens, how long it started.

Logs come without a declared format, so each function knows the forms that language runtimes and common logging
libraries write, and leaves everything else alone. Text is data from outside: lines are cut to a bound, every
pattern is linear, nothing raises. Nothing here is redacted; what is shown passes ``redact.clean``.
"""

from __future__ import annotations

from kubetriage.readers.logs.addresses import Address, addresses
from kubetriage.readers.logs.errors import last_error, without_goodbye
from kubetriage.readers.logs.frames import own_frame
from kubetriage.readers.logs.json_entries import message_of
from kubetriage.readers.logs.levels import understood
from kubetriage.readers.logs.startup import Listener, listening, startup_seconds
from kubetriage.readers.logs.text import LastError, bodies, last_line

__all__ = [
    "Address",
    "LastError",
    "Listener",
    "addresses",
    "bodies",
    "last_error",
    "last_line",
    "listening",
    "message_of",
    "own_frame",
    "startup_seconds",
    "understood",
    "without_goodbye",
]
