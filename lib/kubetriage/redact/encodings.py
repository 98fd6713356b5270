"""Judges what is written in percent, JSON or base64 encoding by what it says: each is decoded once.

Percent encoding within percent encoding is decoded twice. The encoded text stays as it is but for
the stretch whose decoded form holds a secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

from kubetriage.redact.lines import sub_in_lines
from kubetriage.redact.secret_names import MARK
from kubetriage.values.patterns import lazy

_RUN = lazy(r"[^\s\"'<>]+")
_PERCENT = lazy(r"%([0-9A-Fa-f]{2})")
_ESCAPE = lazy(r"\\(?:u00([2-7][0-9A-Fa-f])|/)")
_BASE64 = lazy(r"(?<![A-Za-z0-9+/_=-])([A-Za-z0-9+/_-]{24,})={0,2}")
# What is public in PEM: certificates, requests, public keys.
_PUBLIC = lazy(
    r"-----BEGIN (?![A-Z0-9 ]{0,40}PRIVATE)[A-Z0-9 ]{1,40}-----[A-Za-z0-9+/=\s]*(?:-----END [A-Z0-9 ]{1,40}-----)?"
)
_DECODED_AT_MOST = 16_384
"""Characters of one base64 word that are decoded; a secret shows in its beginning."""
_JUDGED_AT_ONCE = 65_536

Redactor = Callable[[str], str]


def redact_encoded(text: str, redact: Redactor) -> str:
    """Replace the encoded stretches of a text whose decoded form ``redact`` would change."""
    if "%" in text:
        # An address that is the parameter of another one is encoded twice.
        inner = redact if "%25" not in text else lambda plain: _in_percent(redact(plain), redact)
        text = _in_percent(text, inner)
    if "\\/" in text or "\\u00" in text:
        lines = text.split("\n")
        text = "\n".join(_judged(line, _ESCAPE, redact) if "\\" in line else line for line in lines)
    if len(text) >= 24:
        text = _BASE64.sub(lambda m: MARK if _holds_secret(m[1], redact) else m[0], text)
    return text


def _in_percent(text: str, redact: Redactor) -> str:
    words = list(dict.fromkeys(word for word in _RUN.findall(text) if "%" in word and _PERCENT.search(word)))
    plain = [_PERCENT.sub(lambda m: chr(int(m[1], 16)), word) for word in words]
    # One look at all of them together: nearly always, none holds a secret.
    alone = [word for word, said in zip(words, plain, strict=True) if "\n" in said or "---" in said]
    together = "\n".join(said for said in plain if "\n" not in said and "---" not in said)
    if redact(together) == together:
        words = alone
    judged = {word: _judged(word, _PERCENT, redact) for word in words}
    if all(word == shown for word, shown in judged.items()):
        return text
    return sub_in_lines(_RUN, ("%",), lambda m: judged.get(m[0], m[0]), text)


def _judged(text: str, escape: re.Pattern[str], redact: Redactor) -> str:
    """Return a text with the stretch marked that holds the secrets of its decoded form."""
    if len(text) > _JUDGED_AT_ONCE:
        parts = range(0, len(text), _JUDGED_AT_ONCE)
        return "".join(_judged(text[at : at + _JUDGED_AT_ONCE], escape, redact) for at in parts)
    decoded: list[str] = []
    starts: list[int] = []
    at = 0
    for match in escape.finditer(text):
        decoded += [text[at : match.start()], chr(int(match[1], 16)) if match[1] else "/"]
        starts += [*range(at, match.start()), match.start()]
        at = match.end()
    if at == 0:
        return text
    plain = "".join(decoded) + text[at:]
    shown = redact(plain)
    if shown == plain:
        return text
    starts += range(at, len(text) + 1)
    # The secrets stand between what is the same at the beginning and at the end.
    head = _same(plain, shown)
    tail = _same(plain[head:][::-1], shown[head:][::-1])
    return text[: starts[head]] + MARK + text[starts[len(plain) - tail] :]


def _same(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _holds_secret(word: str, redact: Redactor) -> bool:
    word = word[:_DECODED_AT_MOST]
    word = word[: len(word) - len(word) % 4]
    try:
        decoded = base64.b64decode(word, altchars=b"-_" if "-" in word or "_" in word else None, validate=True)
    except ValueError:
        return False
    if not decoded.isascii():
        return False
    text = decoded.decode("ascii")
    if not "".join(text.split()).isprintable():
        return False
    text = _PUBLIC.sub("", text)
    return redact(text) != text
