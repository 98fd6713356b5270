"""The messages of a text that holds no object: what kubectl or Helm said when it failed."""

from __future__ import annotations

from kubetriage.cluster.text.chat import without_marks
from kubetriage.cluster.text.lines import read_lines
from kubetriage.redact import redact

MOST = 400
"""Lines that are looked at; whoever pastes an error pastes little more."""


def messages(content: str) -> tuple[str, ...]:
    """Return the lines of a text, then its paragraphs as one line each: a terminal wraps a long message."""
    rows = [line.text.strip() for line in without_marks(read_lines(redact(content)))[:MOST]]
    paragraphs: list[str] = []
    part: list[str] = []
    for row in [*rows, ""]:
        if row:
            part.append(row)
        elif part:
            paragraphs.append(" ".join(part))
            part = []
    # What a webhook objects to stands below its sentence, with blank lines between.
    for at in range(len(paragraphs) - 2, -1, -1):
        if paragraphs[at].endswith((":", "following policies")):
            paragraphs[at] = f"{paragraphs[at]} {paragraphs[at + 1]}"
    return tuple(dict.fromkeys((*filter(None, rows), *paragraphs)))
