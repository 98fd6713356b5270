"""Replaces private keys in a text, whole ones and parts, by the mark. The number of lines stays the same."""

from __future__ import annotations

from kubetriage.redact.secret_names import MARK
from kubetriage.values.patterns import lazy

# PEM, OpenSSH and PGP; SSH2 of RFC 4716 has four dashes and blanks.
_BEGIN_KEY = lazy(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_END_KEY = lazy(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
# A line of a PEM body, perhaps after a log prefix; encrypted keys begin with RFC 1421 headers.
_KEY_BODY = lazy(
    r"(?:.{0,80}[\s\"'+])?(?:[A-Za-z0-9+/]{16,}={0,2}|[A-Za-z0-9+/]{1,64}={1,2})(?:\\[nr]){0,2}[\s\"',+]*\Z"
)
_KEY_HEADER = lazy(r".{0,80}(?:Proc-Type|DEK-Info|Comment|Version): .{0,200}\Z")
_KEY_REST = lazy(r"(?:\\[nr]|[A-Za-z0-9+/=\s:,.-])*")
_KEY_LINES = 500
_BODY_LINE = 60
# A line of a PEM body whose frame is not in sight: 60 to 76 characters of base64 of all kinds, and nothing after them
# but what closes a field.
_BARE_BODY = lazy(
    r"(?<![^\s\"'=:])(?=[^\n]{0,75}[a-z])(?=[^\n]{0,75}[A-Z])(?=[^\n]{0,75}[0-9])"
    r"[A-Za-z0-9+/]{60,76}={0,2}(?=(?:\\[nr]|[\"',\])}\r]){0,6}$)"
)
# The last line of such a body, beside the others.
_SHORT_BODY = lazy(r"(?:.{0,120}[\s\"'=:])?([A-Za-z0-9+/]{4,76}={0,2})(?:\\[nr]|[\"',\])}\s]){0,6}\Z")
_SLASHES = 6
"""So many of them in 76 characters are a path, not chance."""
# The base64 text of an ASN.1 SEQUENCE of more than 255 bytes: a DER key (or certificate) without its frame.
DER = lazy(r"(?<![A-Za-z0-9+/])MI[IGHJK][A-Za-z0-9+/]{60,}={0,2}")


def redact_keys(text: str) -> str:
    """Replace the keys of a text, also those whose beginning or end was cut off."""
    if len(text) < _BODY_LINE and "PRIVATE KEY" not in text:
        return text
    lines = text.split("\n")
    if "PRIVATE KEY" in text:
        _mark_framed(lines)
    _mark_bare(lines)
    return "\n".join(lines)


def _mark_framed(lines: list[str]) -> None:
    """Mark the bodies of keys that have at least one end of their frame."""
    ends_at = _next_end(lines)
    at = 0
    while at < len(lines):
        line = lines[at]
        begin = _BEGIN_KEY.search(line)
        end = _END_KEY.search(line)
        if begin is None:
            if end is not None and line[: end.start()].strip() != MARK and (at == 0 or lines[at - 1] != MARK):
                # The end of a key whose beginning was cut off: its body stands on the lines before.
                above = at - 1
                while above >= 0 and _KEY_BODY.match(lines[above][-400:]):
                    lines[above] = MARK
                    above -= 1
                lines[at] = MARK + line[end.start() :]
            at += 1
            continue
        head, rest = line[: begin.end()] + MARK, line[begin.end() :].removeprefix(MARK)
        ends = list(_END_KEY.finditer(rest))
        if ends:
            lines[at] = head + rest[ends[-1].start() :]
            at += 1
        elif 0 <= ends_at[at] - at <= _KEY_LINES:
            lines[at] = head
            for inside in range(at + 1, ends_at[at]):
                lines[inside] = MARK
            at = ends_at[at]
            last = lines[at]
            end = _END_KEY.search(last)
            if end is not None:
                lines[at] = (MARK if last[: end.start()].strip() else "") + last[end.start() :]
            if not _BEGIN_KEY.search(lines[at]):
                at += 1
        else:
            # Cut off before its end: what looks like its body goes.
            body = _KEY_REST.match(rest)
            lines[at] = head + rest[body.end() if body else 0 :]
            at += 1
            while at < len(lines) and _is_key_line(lines[at]):
                lines[at] = MARK
                at += 1


def _mark_bare(lines: list[str]) -> None:
    """Mark lines that are, after their log prefix, nothing but key material, and the shorter last one below them."""
    below = -2
    public = False
    for at, line in enumerate(lines):
        if len(line) < 4:
            continue
        if "-----" in line:
            # The body of a certificate is no secret.
            public = "BEGIN " in line and "PRIVATE" not in line and "END " not in line
        if public and at - below > 1 and _KEY_BODY.match(line[-400:]):
            continue
        found = None
        # All but what closes the line is one word.
        if len(line) >= _BODY_LINE and " " not in line[-_BODY_LINE:-12] and ":" not in line[-_BODY_LINE:-12]:
            found = _BARE_BODY.search(line, max(0, len(line) - 90))
            if found is not None and found[0].count("/") < _SLASHES:
                lines[at] = line[: found.start()] + MARK + line[found.end() :]
                below = at
                continue
        if below == at - 1 and (short := _SHORT_BODY.match(line[-400:])):
            # A word of prose below a key is no part of it.
            word = short[1]
            if "=" in word or any(c.isdigit() for c in word) or (word.lower() != word and len(word) > 12):
                begin = max(0, len(line) - 400) + short.start(1)
                lines[at] = line[:begin] + MARK + line[begin + len(word) :]


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
