"""The end of a log, from a stream of any length."""

from __future__ import annotations

from collections.abc import Iterator


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
