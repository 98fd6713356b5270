"""Replaces the values of Secrets that a program printed, as YAML or as JSON."""

from __future__ import annotations

from kubetriage.redact.secret_names import MARK
from kubetriage.values.patterns import lazy

_KIND = lazy(r"(?m)^([^\n]{0,120}?)kind:[ ]{1,4}[\"']?Secret[\"']?[ \r]{0,4}$")
_DATA = lazy(r"(.{0,120}?)(?:stringData|data):[ \r]{0,4}\Z")
_ENTRY = lazy(r"([ ]{1,80}[\"']?[\w.-]{1,253}[\"']?:[ ]{1,4})(\S.{0,100000})\Z")
_JSON_KIND = lazy(r"\\{0,4}\"kind\\{0,4}\"\s{0,8}:\s{0,8}\\{0,4}\"Secret(?:List)?\\{0,4}\"")
_JSON_DATA = lazy(r"\\{0,4}\"(?:stringData|data)\\{0,4}\"\s{0,8}:\s{0,8}\{([^{}]{1,65536})\}")
_JSON_ENTRY = lazy(r"(\"\s{0,8}:\s{0,8}\\{0,4}\")([^\"\\]{1,65536})(?=\\{0,4}\")")
# As Go prints an object: &Secret{...,Data:map[string][]byte{a: [104 117],},StringData:map[string]string{a: b,},}
_GO_DATA = lazy(
    r"(\b(?:Data:map\[string\]\[\](?:byte|uint8)|StringData:map\[string\]string)\{)([^{}\n]{1,65536})(?=\})"
)
_LINES = 300
"""Lines of one document that are looked at on either side of its kind."""


def redact_manifests(text: str) -> str:
    """Replace what stands under ``data`` and ``stringData`` of each Secret in a text."""
    if "Secret" not in text:
        return text
    if "Secret{" in text:
        text = _GO_DATA.sub(rf"\1{MARK}", text)
    if "data" not in text and "stringData" not in text:
        return text
    if _JSON_KIND.search(text):
        text = _JSON_DATA.sub(lambda m: _JSON_ENTRY.sub(rf"\1{MARK}", m[0]), text)
    if not _KIND.search(text):
        return text
    lines = text.split("\n")
    inside = 0
    for at, line in enumerate(lines):
        if "Secret" in line and _KIND.match(line):
            inside = max(inside, at - _LINES)
            begin = at
            while begin > inside and not lines[begin - 1].rstrip().endswith("---"):
                begin -= 1
            end = at
            while end + 1 < len(lines) and end - at < _LINES and not lines[end + 1].rstrip().endswith("---"):
                end += 1
            _mark_data(lines, begin, end)
            inside = end
    return "\n".join(lines)


def _mark_data(lines: list[str], begin: int, end: int) -> None:
    under = -1
    for at in range(begin, end + 1):
        line = lines[at]
        if _DATA.match(line):
            under = len(line) - len(line.lstrip())
            continue
        if under < 0:
            continue
        entry = _ENTRY.match(line)
        if len(line) - len(line.lstrip()) <= under and line.strip():
            under = -1
        elif entry is not None and not entry[2].startswith((MARK, "|", ">")):
            lines[at] = entry[1] + MARK
        elif entry is None and line.strip() and line.strip() != MARK:
            lines[at] = line[: len(line) - len(line.lstrip())] + MARK
