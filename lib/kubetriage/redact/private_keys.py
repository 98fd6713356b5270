"""Replaces private keys in a text, whole ones and parts, by the mark; the lines around them stay."""

from __future__ import annotations

import re

from kubetriage.redact.secret_names import MARK
from kubetriage.values.patterns import lazy

_BEGIN_KEY = lazy(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END_KEY = lazy(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# A line of a PEM body, perhaps after a log prefix; encrypted keys begin with RFC 1421 headers.
_KEY_BODY = lazy(
    r"(?:.{0,80}[\s\"'+])?(?:[A-Za-z0-9+/]{16,}={0,2}|[A-Za-z0-9+/]{1,64}={1,2})(?:\\[nr]){0,2}[\s\"',+]*\Z"
)
_KEY_HEADER = lazy(r".{0,80}(?:Proc-Type|DEK-Info|Comment|Version): .{0,200}\Z")
_KEY_REST = lazy(r"(?:\\[nr]|[A-Za-z0-9+/=\s:,.-])*")
_KEY_LINES = 500
_BODY_LINE = 60
# A line of a PEM body whose frame is not in sight: 60 to 76 characters of base64 of all kinds, and nothing after them.
_BARE_BODY = lazy(
    r"(?<![^\s\"'])(?=[^\n]{0,75}[a-z])(?=[^\n]{0,75}[A-Z])(?=[^\n]{0,75}[0-9])"
    r"[A-Za-z0-9+/]{60,76}={0,2}(?=[\"',]{0,2}$)",
    re.M,
)
# The base64 text of an ASN.1 SEQUENCE of more than 255 bytes: a DER key (or certificate) without its frame.
DER = lazy(r"(?<![A-Za-z0-9+/])MI[IGHJK][A-Za-z0-9+/]{60,}={0,2}")


def redact_keys(text: str) -> str:
    """Replace the keys of a text, also those whose beginning or end was cut off."""
    if "PRIVATE KEY" not in text:
        return _BARE_BODY.sub(MARK, text) if len(text) >= _BODY_LINE else text
    lines = text.split("\n")
    ends_at = _next_end(lines)
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        begin = _BEGIN_KEY.search(line)
        end = _END_KEY.search(line)
        if begin is None:
            if end is not None and not line[: end.start()].endswith(MARK):
                # The end of a key whose beginning was cut off: its body stands on the lines before.
                while kept and _KEY_BODY.match(kept[-1][-400:]):
                    kept.pop()
                line = MARK + line[end.start() :]
            kept.append(line)
            at += 1
            continue
        head, rest = line[: begin.end()] + MARK, line[begin.end() :].removeprefix(MARK)
        ends = list(_END_KEY.finditer(rest))
        if ends:
            kept.append(head + rest[ends[-1].start() :])
            at += 1
        elif 0 <= ends_at[at] - at <= _KEY_LINES:
            at = ends_at[at]
            end = _END_KEY.search(lines[at])
            tail = lines[at][end.start() :] if end else ""
            if _BEGIN_KEY.search(tail):
                lines[at] = head + tail
            else:
                kept.append(head + tail)
                at += 1
        else:
            # Cut off before its end: what looks like its body goes.
            body = _KEY_REST.match(rest)
            kept.append(head + rest[body.end() if body else 0 :])
            at += 1
            while at < len(lines) and _is_key_line(lines[at]):
                at += 1
    return _BARE_BODY.sub(MARK, "\n".join(kept))


def _next_end(lines: list[str]) -> list[int]:
    """Return for each line the next line that ends a private key before another one begins, or -1."""
    found = [-1] * len(lines)
    known = -1
    for at in range(len(lines) - 1, -1, -1):
        found[at] = known
        if "PRIVATE KEY" in lines[at]:
            if _END_KEY.search(lines[at]):
                known = at
            elif _BEGIN_KEY.search(lines[at]):
                known = -1
    return found


def _is_key_line(line: str) -> bool:
    if "PRIVATE KEY" in line:
        return False
    return bool(_KEY_BODY.match(line[-400:]) or _KEY_HEADER.match(line[:300]))
