"""What may be shown of text that programs and users wrote.

Logs, environments and annotations hold passwords and terminal escapes. :func:`clean` is what everything shown
passes through. It replaces secrets by ``[redacted]`` and keeps what an engineer needs beside them: the user,
host, port and database of a connection string, the name of a variable, the rest of an error message.

The number of lines stays the same. Every pattern is bounded, so the time is linear in the text even for one line of a
megabyte.
"""

from __future__ import annotations

from functools import lru_cache

from kubetriage.redact.controls import strip_controls
from kubetriage.redact.encodings import redact_encoded
from kubetriage.redact.forms import redact_forms
from kubetriage.redact.manifests import redact_manifests
from kubetriage.redact.named_values import redact_pairs, redact_values
from kubetriage.redact.private_keys import redact_keys
from kubetriage.redact.secret_names import MARK, secrecy

__all__ = ["MARK", "clean", "redact", "redact_raw", "redact_words", "secrecy", "strip_controls"]


def redact_raw(text: str) -> str:
    """Return a text without secrets, its control characters kept, unless they break up what gives a secret away."""
    stripped = strip_controls(text)
    if stripped == text.replace("\r\n", "\n").replace("\t", " ").replace("\r", "\n"):
        # Nothing is hidden that the screen would not show: where that holds no secret, this holds none.
        bare = redact(stripped)
        return text if bare == stripped else bare if stripped == text else _redact_both(text)
    return _redact_both(text)


def _redact_both(text: str) -> str:
    """Redact a text, and what is left of it without its control characters."""
    shown = redact(text)
    stripped = strip_controls(shown)
    if stripped == shown:
        return shown
    bare = redact(stripped)
    return shown if bare == stripped else bare


@lru_cache(maxsize=64)
def redact_words(text: str) -> str:
    """Return a message of a container's status as rules may see it: as :func:`redact_raw`, remembered."""
    return redact_raw(text)


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
        text, shown = shown, _redact_near(text, shown)
    return shown


_NEAR = 12
"""Lines around a change that are looked at again."""
_SHORT = 40
"""Lines of a text that is looked at as a whole."""


def _redact_near(before: str, text: str) -> str:
    """Redact the lines of a text around those that differ from what it was before."""
    old, lines = before.split("\n"), text.split("\n")
    if len(lines) < _SHORT or len(old) != len(lines):
        return _redact_once(text)
    begin = end = -1
    for at in [i for i, line in enumerate(lines) if line != old[i]] + [len(lines) + 2 * _NEAR]:
        if begin < 0 or at - _NEAR > end:
            if end >= 0:
                part = _redact_once("\n".join(lines[begin:end])).split("\n")
                lines[begin:end] = part
            begin = max(at - _NEAR, 0)
        end = min(at + _NEAR + 1, len(lines))
    return "\n".join(lines)


def _redact_once(text: str) -> str:
    return redact_encoded(_redact_plain(text), _redact_plain)


def _redact_plain(text: str) -> str:
    return redact_values(redact_pairs(redact_forms(redact_manifests(redact_keys(text)))))
