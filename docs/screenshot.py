"""Draws an answer as it stands in a terminal: coloured text in, an SVG for light and for dark pages out."""

from __future__ import annotations

import re
from itertools import groupby
from xml.sax.saxutils import escape

from kubetriage.render.fold import columns as width_of

_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_WIDTH, _HEIGHT = 8.4, 18
"""Points of one character."""
_COLORS = {
    "light": {"back": "#ffffff", "text": "#24292f", "31": "#cf222e", "32": "#1a7f37", "34": "#0550ae", "35": "#8250df",
              "36": "#1b7c83", "38;5;166": "#bc4c00", "bar": "#eaeef2"},
    "dark": {"back": "#0d1117", "text": "#e6edf3", "31": "#ff7b72", "32": "#3fb950", "34": "#79c0ff", "35": "#d2a8ff",
             "36": "#39c5cf", "38;5;166": "#ffa657", "bar": "#21262d"},
}  # fmt: skip


def svg(command: str, answer: str, theme: str, columns: int = 80) -> str:
    """Draw a command and its answer; ``theme`` is light or dark."""
    colors = _COLORS[theme]
    lines = [f"\x1b[1m$ {command}\x1b[0m", *answer.rstrip("\n").splitlines()]
    rows = "".join(_row(line, number, colors) for number, line in enumerate(lines))
    width, height = round(columns * _WIDTH + 32), len(lines) * _HEIGHT + 52
    dots = "".join(f'<circle cx="{18 + 16 * i}" cy="14" r="5" fill="{colors["bar"]}"/>' for i in range(3))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(command, {chr(34): "&quot;"})}">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="{colors["back"]}" stroke="{colors["bar"]}"/>\n{dots}\n'
        '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="14" '
        f'fill="{colors["text"]}" xml:space="preserve">\n{rows}</g>\n</svg>\n'
    )


def _row(line: str, number: int, colors: dict[str, str]) -> str:
    spans, style, at = [], "", 0
    column = 0
    for match in [*_SGR.finditer(line), None]:
        words = line[at : match.start() if match else len(line)]
        # Wide characters stand in spans of their own: a length that is given spreads all characters of a span.
        for alike in ("".join(run) for _, run in groupby(words, width_of)):
            if alike.strip():
                start = len(alike) - len(alike.lstrip())
                # Blanks would be folded into one.
                shown = alike.strip().replace(" ", "\u00a0")
                place = f'x="{16 + (column + start) * _WIDTH:.1f}" textLength="{width_of(shown) * _WIDTH:.1f}"'
                spans.append(f"<tspan {place}{_style(style, colors)}>{escape(shown)}</tspan>")
            column += width_of(alike)
        if match:
            style = "" if match[1] in ("", "0") else f"{style};{match[1]}"
            at = match.end()
    return f'<text y="{44 + number * _HEIGHT}">{"".join(spans)}</text>\n' if spans else ""


def _style(codes: str, colors: dict[str, str]) -> str:
    found = next((c for name, c in colors.items() if name[:1].isdigit() and f";{name};" in f"{codes};"), "")
    parts = codes.split(";")
    return (
        (f' fill="{found}"' if found else "")
        + (' font-weight="bold"' if "1" in parts else "")
        + (' opacity="0.6"' if parts[-1:] == ["2"] else "")
    )
