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
# C0 without newline, DEL, C1. Then what Unicode calls Default_Ignorable_Code_Point (soft hyphen, joiners, bidi marks,
# fillers, variation selectors, tags), the rest of category Cf (Arabic number signs, interlinear marks, hieroglyph and
# music controls), and private use.
_INVISIBLE = lazy(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff]+"
)
# No script puts more than four marks on one letter; a stack of them runs over the lines around it.
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_STACKED = lazy(f"([{_MARKS}]{{4}})[{_MARKS}]+")
_SURROGATES = lazy("[\ud800-\udfff]")


def strip_controls(text: str) -> str:
    """Remove terminal escapes, control characters, bidirectional overrides and invisible characters.

    Newlines stay, a lone carriage return becomes one, a tab becomes a space, lone surrogates become U+FFFD.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", " ")
    if "\r" in text:
        return _stripped(text)
    # Nothing of this goes beyond its line, and most lines of a log have nothing of it.
    lines = text.split("\n")
    odd = [at for at, line in enumerate(lines) if not (line.isascii() and line.isprintable())]
    for at, line in zip(odd, _stripped("\n".join([lines[at] for at in odd])).split("\n"), strict=True) if odd else ():
        lines[at] = line
    return "\n".join(lines)


def _stripped(text: str) -> str:
    text = _ESCAPES.sub("", text).replace("\r", "\n").replace("\u2028", " ").replace("\u2029", " ")
    return _SURROGATES.sub("\ufffd", _STACKED.sub(r"\1", _INVISIBLE.sub("", text)))
