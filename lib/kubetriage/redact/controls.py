"""Takes terminal control and invisible characters out of text that programs and users wrote."""

from __future__ import annotations

from kubetriage.values.patterns import lazy

# ECMA-48 control sequences, 7-bit (ESC) and 8-bit (C1) forms: CSI; OSC, DCS, SOS, PM and APC strings, which end
# with BEL or ST (an unterminated one ends with its line, so that it cannot hide the rest); other escapes.
_ESCAPES = lazy(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x1b\x07\x9c\n]*(?:\x1b\\|[\x07\x9c])?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 without newline, DEL, C1; soft hyphen; Arabic letter mark; Mongolian vowel separator; zero-width and bidi
# marks, embeddings, overrides and isolates; invisible operators; BOM; interlinear marks; tag characters.
_INVISIBLE = lazy(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]+"
)
_SURROGATES = lazy("[\ud800-\udfff]")


def strip_controls(text: str) -> str:
    """Remove terminal escapes, control characters, bidirectional overrides and invisible characters.

    Newlines stay, a lone carriage return becomes one, a tab becomes a space, lone surrogates become U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", " ")
    text = _ESCAPES.sub("", text).replace("\r", "\n").replace("\u2028", " ").replace("\u2029", " ")
    return _SURROGATES.sub("\ufffd", _INVISIBLE.sub("", text))
