"""Replaces values whose name says that they are secret: assignments, fields, flags, tags, name and value pairs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kubetriage.redact.secret_names import MARK, may_match, secrecy, withheld, words_of
from kubetriage.values.patterns import lazy

_CANDIDATE = lazy(
    r"(?:pass|pwd|psw|pw(?![a-z])|psk|mnemonic|kennwort|sshkey|hmac|dockerc|secret|token|jwt|key|cred|cookie|auth|bearer|sess|sid|sig|csrf|xsrf|otp|pin)"
    r"[\w.$-]{0,48}(?![\w.$-])"
    r"(?P<close>[\"'`\]\\]{0,8})"
    r"(?P<sep>[ \t]{0,8}(?:=>|:=|={1,3}|:)[ \t]{0,8}(?:string\(\d{1,7}\)[ \t]?)?)",
    re.IGNORECASE,
)
# ``--password VALUE`` and its form in an argument list: ``"--password", "VALUE"``.
_FLAG = lazy(r"(?<![\w-])--?([\w.-]{2,64})(\\{0,4}[\"'],[ \t\n]{0,40}|[ \t]{1,4}(?!-))")
# A name and its value as two fields (env of a pod): JSON and Python, then YAML.
_PAIR = lazy(
    r"([\"'](?:name|key|Name|Key)[\"']\s{0,20}:\s{0,20}[\"'])([\w.-]{2,128})([\"']\s{0,20},\s{0,20}"
    r"[\"'](?:value|Value)[\"']\s{0,20}:\s{0,20})"
)
_PAIR_YAML = lazy(
    r"((?:name|key):[ \t]{1,4}[\"']?)([\w.-]{2,128})([\"']?[ \t]{0,20}\n[ \t]{0,80}value:[ \t]{1,4})(?=\S)"
)
_GO_PAIR = lazy(r"(\bName:)([\w.-]{2,128})([ ,]{1,2}Value:)(?=\S)")
LITERALS: Mapping[re.Pattern[str], tuple[str, ...]] = {
    _PAIR: ("value",),
    _PAIR_YAML: ("value:",),
    _GO_PAIR: ("value:",),
    _FLAG: ("-",),
}
"""The patterns of name and value as two words, each with its literals for :func:`may_match`."""
_BLOCK_SCALAR = lazy(r"[|>][+-]?[0-9]?[+-]?[ \t]*\n")
_NAME_TAIL = lazy(r"(?<![\w.$-])[\w.$-]{0,64}\Z|[\w.$-]{64}\Z")
_OPENER = lazy(r"(?:&?[\w.]{0,24}\()?[bBuUrRfF]{0,2}(\\{0,7})([\"'`])")
_FIELD_AHEAD = lazy(r"[ \t][\w.-]{1,64}=")
_STOP = lazy(r"\s|[\"'`](?=[\s,;)\]}>:]|\Z)|[;&](?=[\w.\s$-]{1,64}=|\s|\Z)|,(?=\s|[\"'\w.$-]{1,64}[=:])")


def _value_span(text: str, at: int, line_start: bool, eol: int) -> tuple[int, int]:
    """Return where the value that begins at ``at`` starts and ends, without its quotes."""
    opener = _OPENER.match(text, at)
    if opener is not None and opener.start(2) < eol:
        start = opener.end()
        delimiter = opener[1] + opener[2]
        end = start
        while True:
            end = text.find(delimiter, end, eol)
            if end < 0:
                return start, eol
            # A quote that is escaped deeper than the opening one belongs to the value.
            slashes = 0
            while end - 1 - slashes >= start and text[end - 1 - slashes] == "\\" and slashes < 64:
                slashes += 1
            if slashes % 2 == 0 or opener[1]:
                return start, end
            end += 1
    if text.startswith("[", at) and not text.startswith(MARK, at):
        end = text.find("]", at, at + 4096)
        return at + 1, end if end >= 0 else eol
    stop = _STOP.search(text, at, eol)
    end = stop.start() if stop else eol
    if line_start and stop and not _FIELD_AHEAD.search(text, end, eol) and text[end] in " \t":
        end = eol
    for opening, closing in ("()", "[]", "{}", "<>"):
        # A closing bracket that was not opened in the value belongs to what surrounds it.
        if end > at and text[end - 1] == closing and text.count(opening, at, end) == 0:
            end = at + len(text[at:end].rstrip(")]}>"))
    return at, end


def redact_values(text: str) -> str:
    """Replace what is assigned to a secret name: ``DB_PASSWORD=x``, ``"token": "x"``, ``password: |``."""
    out: list[str] = []
    done = 0
    for match in _CANDIDATE.finditer(text):
        if match.start() < done:
            continue
        close, sep, at = match["close"], match["sep"], match.end()
        tail = _NAME_TAIL.search(text, max(match.start() - 64, done), match.start())
        name_start = tail.start() if tail else match.start()
        name = text[name_start : match.start("close")]
        degree = secrecy(name)
        if degree == 0:
            continue
        if text.startswith("\n", at) or at >= len(text):
            continue
        before = text[max(name_start - 64, 0) : name_start]
        line = before[before.rfind("\n") + 1 :]
        line_start = not line.strip(" \t-\"'+") or line.strip() in ("export", "ENV", "set", "env:")
        if len(line) == 64:
            line_start = False
        eol = text.find("\n", at, at + 16384)
        if eol < 0:
            eol = min(len(text), at + 16384)
        block = _BLOCK_SCALAR.match(text, at)
        if block is not None and ":" in sep:
            start, end = block.end(), _block_end(text, block.end(), len(line) - len(line.lstrip(" ")))
            if end > start and not text.startswith(MARK, start):
                out += [text[done:start], " " * (len(line) - len(line.lstrip(" ")) + 2), MARK, "\n"]
                done = end
            continue
        start, end = _value_span(text, at, line_start and "=" in sep, eol)
        if "=" not in sep and not close and start == at:
            # ``name: value`` outside of data: prose, unless it begins the line or the name is a compound.
            value = text[start:end]
            spaced = sep.strip() != sep
            compound = len(words_of(name)) > 1
            if not spaced and re.match(r"\d{1,5}(?::\d|[)\s,]|\Z)", value):
                continue  # a position in a file
            needs_looks = spaced and not line_start and not compound
        else:
            # The end of a quoted path or URL, with a sentence behind it: Post "https://idp/token": dial tcp: ...
            needs_looks = bool(close) and start == at and text[name_start - 1 : name_start] == "/"
        if withheld(name, text[start:end], needs_looks):
            out += [text[done:start], MARK]
            done = end
    out.append(text[done:])
    return "".join(out)


def _block_end(text: str, at: int, indent: int) -> int:
    """Return where a YAML block scalar ends: at the first line that is not indented deeper than its key."""
    for _ in range(2000):
        eol = text.find("\n", at)
        line = text[at : eol if eol >= 0 else len(text)]
        if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
            return at
        if eol < 0:
            return len(text)
        at = eol + 1
    return at


def redact_pairs(text: str) -> str:
    """Redact values whose name stands in a field, a flag or a tag beside them."""
    for pattern, literals in LITERALS.items():
        if not may_match(literals, text):
            continue
        out: list[str] = []
        done = 0
        for match in pattern.finditer(text):
            name = match[1] if pattern is _FLAG else match[2]
            if match.start() < done or secrecy(name) == 0:
                continue
            at = match.end()
            eol = text.find("\n", at, at + 16384)
            start, end = _value_span(text, at, False, eol if eol >= 0 else min(len(text), at + 16384))
            value = text[start:end]
            if pattern is _FLAG and not text.startswith("--", match.start()) and match[2].lstrip("\\")[:1] not in "\"'":
                continue  # a dash before a word of prose
            if withheld(name, value):
                out += [text[done:start], MARK]
                done = end
        if out:
            out.append(text[done:])
            text = "".join(out)
    return text
