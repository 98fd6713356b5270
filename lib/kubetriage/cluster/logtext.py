"""The end of a log, from a stream of any length."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise


def last_bytes(pieces: Iterator[bytes], most: int) -> bytes:
    """Return the last ``most`` bytes, from the beginning of a line where that leaves something."""
    kept = bytearray()
    cut = False
    for piece in pieces:
        kept += piece
        if len(kept) > 2 * most:
            del kept[:-most]
            cut = True
    if len(kept) > most:
        del kept[:-most]
        cut = True
    if cut:
        end_of_line = kept.find(b"\n")
        if 0 <= end_of_line < len(kept) - 1:
            del kept[: end_of_line + 1]
    return bytes(kept)


def tail_of(pieces: Iterator[bytes], lines: int, most: int) -> bytes:
    """Return the last ``lines`` lines, at most ``most`` bytes of them, as the live reader gets them."""
    content = last_bytes(pieces, most)
    at = len(content) - (1 if content.endswith(b"\n") else 0)
    for _ in range(lines):
        at = content.rfind(b"\n", 0, at)
        if at < 0:
            return content
    return content[at + 1 :]


_KANA = range(0x3040, 0x3100)
_HANGUL = range(0xAC00, 0xD7A4)
_HAN = range(0x4E00, 0xA000)


def decode_log(content: bytes) -> str:
    """Return the text of a log: UTF-8, or the older encoding of Korea, Japan, China or Western Europe that fits.

    Bytes that fit nothing become U+FFFD.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        shown = content.decode("utf-8", "replace")
    high = sum(byte > 127 for byte in content)
    if shown.count("\ufffd") * 4 < high:
        return shown  # UTF-8 with a few stray bytes, or a character that the tail cut
    pairs = sum(a > 127 and b > 127 for a, b in pairwise(content))
    if pairs * 4 < high:
        return content.decode("cp1252", "replace")  # single accented letters between ASCII ones
    japanese = _decoded(content, "euc_jp")
    if japanese is not None and _share(japanese, _KANA) > 0.2:
        return japanese
    korean = _decoded(content, "cp949")
    if korean is not None and _share(korean, _HANGUL) > 0.9:
        return korean
    chinese = _decoded(content, "gb18030")
    if chinese is not None and _share(chinese, _HAN) > 0.7:
        return chinese
    return shown


def _decoded(content: bytes, encoding: str) -> str | None:
    text = content.decode(encoding, "replace")
    return text if text.count("\ufffd") * 20 < len(text) else None


def _share(text: str, block: range) -> float:
    """Return which share of the letters beyond ASCII stands in a block of Unicode."""
    letters = [ord(c) for c in text if ord(c) > 127 and c.isalpha()]
    return sum(c in block for c in letters) / len(letters) if letters else 0.0
