"""What may be shown of text that programs and users wrote.

Logs, environments and annotations hold passwords and terminal escapes. :func:`clean` is what everything shown
passes through. It replaces secrets by ``[redacted]`` and keeps what an engineer needs beside them: the user,
host, port and database of a connection string, the name of a variable, the rest of an error message.

Every pattern is bounded, so the time is linear in the text even for one line of a megabyte.
"""

from __future__ import annotations

from kubetriage.redact.controls import strip_controls
from kubetriage.redact.forms import redact_forms
from kubetriage.redact.named_values import redact_pairs, redact_values
from kubetriage.redact.private_keys import redact_keys
from kubetriage.redact.secret_names import MARK, secrecy

__all__ = ["MARK", "clean", "redact", "redact_raw", "secrecy", "strip_controls"]


def redact_raw(text: str) -> str:
    """Return a text without secrets, its control characters kept, unless they break up what gives a secret away."""
    shown = redact(text)
    stripped = strip_controls(shown)
    if stripped == shown:
        return shown
    bare = redact(stripped)
    return shown if bare == stripped else bare


def clean(text: str) -> str:
    """Return what may be shown of a text: no terminal control, no secrets. Idempotent."""
    return redact(strip_controls(text))


def redact(text: str) -> str:
    """Replace secrets in a text by ``[redacted]``: tokens, passwords, cookies, private keys. Idempotent."""
    if len(text) < 4:
        return text
    shown = _redact_once(text)
    # What one rule replaced can bring another one into play; two secrets seldom lie in each other more deeply.
    for _ in range(3):
        if shown == text:
            break
        text, shown = shown, _redact_once(shown)
    return shown


def _redact_once(text: str) -> str:
    return redact_values(redact_pairs(redact_forms(redact_keys(text))))
