"""Replaces values whose name says that they are secret: assignments, fields, flags, tags, name and value pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kubetriage.redact.secret_names import MARK, is_harmless, is_prose, is_stand_in, secrecy, withheld, words_of
from kubetriage.redact.spoken_names import is_no_value
from kubetriage.values.patterns import lazy, may_match

# Names in lower case.
_CANDIDATE = lazy(
    r"(?:pass|pwd|psw|pw(?![a-z])|psk|mnemonic|kennwort|sshkey|hmac|dockerc|secret|token|jwt|key|cred|cookie|auth|bearer"
    r"|sess|sid|sig|csrf|xsrf|otp|pin|pat(?![a-z])|sas(?![a-z])|seed|unseal|community|pepper|salt)"
    r"[\w.$-]{0,48}(?![\w.$-])"
    r"(?P<close>[\"'`\]\\]{0,8})"
    r"(?P<sep>[ \t\u00a0\u2007\u202f\u3000]{0,8}(?:=>|:=|={1,3}|:)[ \t\u00a0\u2007\u202f\u3000]{0,8}"
    r"(?:string\(\d{1,7}\)[ \t]?)?)",
)
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
# ``--password VALUE`` and its form in an argument list: ``"--password", "VALUE"``.
_FLAG = lazy(r"-(?<![\w-]-)-?(\w[\w.-]{1,63})(\\{0,4}[\"'],[ \t\n]{0,40}|[ \t]{1,4}(?!-))")
# A name and its value as two fields (env of a pod): JSON and Python, then YAML.
_PAIR = lazy(
    r"([\"'](?:name|key|Name|Key)[\"']\s{0,20}:\s{0,20}[\"'])([\w.-]{2,128})([\"']\s{0,20},\s{0,20}"
    r"[\"'](?:value|Value)[\"']\s{0,20}:\s{0,20})"
)
_PAIR_YAML = lazy(
    r"((?:name|key):[ \t]{1,4}[\"']?)([\w.-]{2,128})([\"']?[ \t]{0,20}\n[ \t]{0,80}value:[ \t]{1,4})(?=\S)"
)
_GO_PAIR = lazy(r"(\bName:)([\w.-]{2,128})([ ,]{1,2}Value:)(?=\S)")
_PAIR_TURNED = lazy(
    r"([\"'](?:value|Value)[\"']\s{0,20}:\s{0,20}[\"'])((?:[^\"'\\\n]|\\.){1,4096})"
    r"(?=[\"']\s{0,20},\s{0,20}[\"'](?:name|key|Name|Key)[\"']\s{0,20}:\s{0,20}[\"']([\w.-]{2,128})[\"'])"
)
_PAIR_YAML_TURNED = lazy(
    r"(\bvalue:[ \t]{1,4}[\"']?)([^\s\"'][^\"'\n]{0,4095}?)"
    r"(?=[\"']?[ \t\r]{0,20}\n[ \t]{0,80}(?:name|key):[ \t]{1,4}[\"']?([\w.-]{2,128})[\"']?[ \t\r]{0,20}(?:\n|\Z))"
)
LITERALS: Mapping[re.Pattern[str], tuple[str, ...]] = {
    _PAIR: ("value",),
    _PAIR_YAML: ("value:",),
    _GO_PAIR: ("value:",),
    _FLAG: ("-",),
}
"""The patterns of name and value as two words, each with its literals for :func:`may_match`."""
_BLOCK_SCALAR = lazy(r"[|>][+-]?[0-9]?[+-]?[ \t]*\n")
# {"password": {"value": "x"}}, also where the value is not the first member.
_INNER = lazy(
    r"\{(?:\s{0,8}[\"'](?!(?:value|data|plain|secret|raw)[\"'])\w{1,40}[\"']\s{0,8}:\s{0,8}(?:\"[^\"\n]{0,200}\"|[\w.]{1,20})\s{0,8},){0,4}"
    r"\s{0,8}[\"'](?:value|data|plain|secret|raw)[\"']\s{0,8}:\s{0,8}(?=[\"'\w])",
    re.IGNORECASE,
)
_OBJECT = lazy(r"\{\s{0,8}[\"'][\w.-]{1,64}[\"']\s{0,8}:")
_INNER_BELOW = lazy(
    r"\r?\n([ ]{1,80})(?:value|data|plain|secret|raw):[ ]{1,8}([\"']?)(?=[^\s|>&*])([^\n\r\"']{1,4096})"
)
_TRIPLE = lazy(r"(?:\"\"\"|\'\'\')[ \t]{0,8}\r?\n")
_JSON_BELOW = lazy(r"\s{1,200}\"([^\"\n]{1,4096})\"")
_ITEM = lazy(r"\r?\n([ ]{0,80})-[ ]{1,8}(?=\S)([^\n\r]{1,4096})")
_ITEMS_AT_MOST = 200
_ABOUT_OBJECT = lazy(r"[\"'`]? (?:not found|is forbidden|does not exist|already exists|is missing|of type)\b")
_JUDGED = 16_384
"""Characters of a value that are looked at; what is longer goes as a whole."""
_NAME_TAIL = lazy(r"(?<![\w.$-])[\w.$-]{0,64}\Z|[\w.$-]{64}\Z")
_OPENER = lazy(r"(?:&?[\w.]{0,24}\()?[bBuUrRfF]{0,2}(\\{0,7})([\"'`])")
_FIELD_AHEAD = lazy(r"[ \t][\w.-]{1,64}=")
_STOP = lazy(r"\s|[\"'`](?=[\s,;)\]}>:]|\Z)|[;&](?=[\w.\s$-]{1,64}=|\s|\Z)|,(?=\s|[\"'\w.$-]{1,64}[=:])")


def _value_span(text: str, at: int, line_start: bool, eol: int) -> tuple[int, int]:
    """Return where the value that begins at ``at`` starts and ends, without its quotes."""
    if text.startswith(('"""', "'''"), at):
        last = text.find(text[at : at + 3], at + 3, eol)
        return at + 3, last if last >= 0 else eol
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
    line_end = -1
    # A pattern that minds the case is found many times faster than one that does not.
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = text.translate(_LOWER)
    for match in _CANDIDATE.finditer(lowered):
        if match.start() < done:
            continue
        at = match.end()
        tail = _NAME_TAIL.search(text, max(match.start() - 64, done), match.start())
        name_start = tail.start() if tail else match.start()
        name = text[name_start : match.start("close")]
        if at >= len(text) or secrecy(name) == 0:
            continue
        if line_end < at:
            line_end = text.find("\n", at)
            line_end = line_end if line_end >= 0 else len(text)
        for start, end, mark in _assigned(text, match, name, name_start, min(line_end, at + _JUDGED)):
            if end == at + _JUDGED < line_end:
                end = _long_end(text, start, end, line_end)
            out += [text[done:start], mark]
            done = end
    out.append(text[done:])
    return "".join(out)


def _assigned(text: str, match: re.Match[str], name: str, name_start: int, eol: int) -> Iterator[tuple[int, int, str]]:
    """Yield where the values of one secret name stand, and what takes their place."""
    close, sep, at = match["close"], match["sep"], match.end()
    before = text[max(name_start - 64, 0) : name_start]
    line = before[before.rfind("\n") + 1 :]
    indent = len(line) - len(line.lstrip(" "))
    if text.startswith(("\n", "\r\n"), at):
        if ":" in sep:
            yield from _below(text, at, close, indent)
        return
    line_start = (not line.strip(" \t-\"'+") or line.strip() in ("export", "ENV", "set", "env:")) and len(line) < 64
    block = _BLOCK_SCALAR.match(text, at)
    if block is not None and ":" in sep:
        start, end = block.end(), _block_end(text, block.end(), indent)
        if end > start and not text[start:end].lstrip(" ").startswith(MARK):
            # As many lines as before: whoever reads on counts them.
            row = " " * (indent + 2) + MARK + "\n"
            yield start, end, (row * text.count("\n", start, end) or row).rstrip("\n" if text[end - 1] != "\n" else "")
        return
    triple = _TRIPLE.match(text, at)
    if triple is not None:
        start, end = triple.end(), text.find(text[at : at + 3], triple.end(), triple.end() + _JUDGED)
        if end > start and not text.startswith(MARK, start):
            yield start, end, (MARK + "\n") * text.count("\n", start, end) or MARK
        return
    inner = _INNER.match(text, at, eol)
    if inner is None and _OBJECT.match(text, at, eol):
        return  # each member is judged by its own name
    if inner is not None:
        start, end = _value_span(text, inner.end(), False, eol)
        if not text.startswith(MARK, start):
            yield start, end, MARK
        return
    start, end = _value_span(text, at, line_start and "=" in sep, eol)
    value, after = text[start:end], text[end : min(eol, end + 200)]
    if ":" in sep and is_no_value(text, name_start, close, sep, text[at:end], after):
        return
    bare = not close and start == at
    needs_looks = False
    if bare and "=" not in sep:
        # ``name: value`` outside of data: prose, unless it begins the line or the name is a compound.
        spaced = sep.strip() != sep
        if not spaced and re.match(r"\d{1,5}(?::\d|[)\s,]|\Z)", value):
            return  # a position in a file
        if spaced and is_prose(value, after):
            return
        needs_looks = spaced and not line_start and len(words_of(name)) == 1
    elif start == at:
        # The end of a quoted path or URL, with a sentence behind it: Post "https://idp/token": dial tcp: ...
        needs_looks = bool(close) and text[name_start - 1 : name_start] == "/"
    elif _ABOUT_OBJECT.match(text, end, eol) and ":" in sep and words_of(name)[-1] in ("secret", "secrets"):
        return  # secret: "db-credentials" not found
    if len(value) >= _JUDGED or withheld(name, value, needs_looks, "=" in sep and name.isupper()):
        yield start, end, MARK + "\n" * value.count("\n")


def _below(text: str, at: int, close: str, indent: int) -> Iterator[tuple[int, int, str]]:
    """Yield the values that stand on the lines below a name: of a YAML list, of pretty JSON."""
    if close:
        value = _JSON_BELOW.match(text, at)
        if value is not None and not value[1].startswith(MARK):
            yield value.start(1), value.end(1), MARK
        return
    inner = _INNER_BELOW.match(text, at)
    if inner is not None and len(inner[1]) > indent:
        if not inner[3].startswith(MARK) and not is_harmless(inner[3]):
            yield inner.start(3), inner.end(3), MARK
        return
    item = _ITEM.match(text, at)
    for _ in range(_ITEMS_AT_MOST):
        if item is None or len(item[1]) < indent:
            return
        word = item[2].strip("\"'")
        if not word.startswith(MARK) and ": " not in word and not is_harmless(word):
            yield item.start(2), item.end(2), MARK
        item = _ITEM.match(text, item.end())


def _long_end(text: str, start: int, end: int, line_end: int) -> int:
    """Return where a value ends that is longer than what is judged of it."""
    quote = text[start - 1 : start]
    if quote in ('"', "'", "`"):
        closing = text.find(quote, end, line_end)
        return closing if closing >= 0 else line_end
    stop = _STOP.search(text, end, line_end)
    return stop.start() if stop else line_end


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
    if "alue" in text:
        text = _PAIR_TURNED.sub(lambda m: m[1] + MARK if withheld(m[3], m[2]) else m[0], text)
        text = _PAIR_YAML_TURNED.sub(lambda m: m[1] + MARK if withheld(m[3], m[2].rstrip()) else m[0], text)
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
            if pattern is _FLAG and is_stand_in(name, value):
                continue
            if withheld(name, value):
                out += [text[done:start], MARK + "\n" * value.count("\n")]
                done = end
        if out:
            out.append(text[done:])
            text = "".join(out)
    return text
