"""Drawings of an answer as inline SVG: hops, the cascade of a control plane, memory bars, a timeline.

They are 360 units wide, so that their letters are readable on a phone; colours come from classes of the page's style.
Everything that comes from the cluster is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from kubetriage.render.fold import columns, cut
from kubetriage.typed import Any

WIDTH = 360
_ROW = 34
_LETTERS = 52
"""Of the small letters in a row."""
_TONES = {"broken": "bad", "frozen": "bad", "degraded": "warn", "ok": "good", "blocked": "dim", "not seen": "dim"}
_SIGNS = {"bad": "✗", "warn": "!", "good": "✓", "dim": "·"}


def _drawing(height: int, label: str, parts: Iterable[str]) -> str:
    inner = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{inner}</svg>'
    )


def _text(x: float, y: float, words: str, style: str = "", letters: int = _LETTERS, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    shown = cut(words, letters)
    whole = f"<title>{escape(words)}</title>" if shown != words else ""
    return f'<text x="{x}" y="{y}" class="{style}"{anchor}>{escape(shown)}{whole}</text>'


def _mark(x: float, y: float, tone: str) -> str:
    return (
        f'<circle cx="{x}" cy="{y}" r="8" class="{tone}"/>'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle" class="sign">{_SIGNS[tone]}</text>'
    )


def hop_chain(hops: Sequence[Mapping[str, Any]]) -> str:
    """Draw the hops from the entrance down to the pods; the rows count from the pods."""
    shown = list(reversed(hops))

    def parts() -> Iterator[str]:
        if len(shown) > 1:
            yield f'<line x1="12" y1="17" x2="12" y2="{_ROW * (len(shown) - 1) + 17}" class="way"/>'
        for i, hop in enumerate(shown):
            y = i * _ROW + 17
            state = str(hop["state"])
            yield _mark(12, y, _TONES.get(state, "dim"))
            yield _text(28, y - 2, f"{hop['object']}: {state}", "name", 44)
            yield _text(28, y + 11, str(hop["evidence"]), "small")

    words = "; ".join(f"{h['object']} {h['state']}" for h in shown)
    return _drawing(_ROW * len(shown), f"Hops: {words}", parts())


def cascade(links: Sequence[Mapping[str, Any]]) -> str:
    """Draw each broken link with what follows from it below, then what is ok or was not seen."""
    rows: list[tuple[int, Mapping[str, Any]]] = []
    own = [link for link in links if link.get("cause") and not link.get("consequenceOf")]
    for cause in dict.fromkeys(str(link["cause"]) for link in own):
        rows += [(0, link) for link in own if link["cause"] == cause]
        rows += [(1, link) for link in links if link.get("consequenceOf") == cause]
    placed = [id(link) for _, link in rows]
    rows += [(0, link) for link in links if id(link) not in placed]

    def parts() -> Iterator[str]:
        above = 17
        for i, (depth, _) in enumerate(rows):
            y = i * _ROW + 17
            if depth:
                yield f'<path d="M12 {above} V{y} H36" class="way"/>'
            else:
                above = y
        for i, (depth, link) in enumerate(rows):
            x, y = 12 + 24 * depth, i * _ROW + 17
            state = str(link["state"])
            yield _mark(x, y, _TONES.get(state, "dim"))
            yield _text(x + 16, y - 2, f"{link['link']}: {state}", "name", 42)
            yield _text(x + 16, y + 11, str(link["evidence"]), "small", _LETTERS - 4 * depth)

    words = "; ".join(f"{link['link']} {link['state']}" for _, link in rows)
    return _drawing(_ROW * len(rows), f"Links: {words}", parts())


_AREAS = 8
"""Classes of colours for the areas of a bar; they repeat behind the last."""


def memory_bars(budget: Mapping[str, Any]) -> str:
    """Draw limit, use, what is expected and the worst case to one scale; empty where there is nothing to compare."""
    areas = budget["areas"]
    names = [str(area["area"]) for area in areas]
    bars: list[tuple[str, list[tuple[str, int]]]] = []
    for label, key in (("limit", "limitBytes"), ("used", "observedBytes")):
        if budget.get(key):
            bars.append((label, [("", int(budget[key]))]))
    for label, key in (("expected", "expectedBytes"), ("worst case", "ceilingBytes")):
        sizes = [(str(area["area"]), _counted(area, key)) for area in areas]
        if any(size for _, size in sizes) and (key != "ceilingBytes" or budget.get("ceilingBytes")):
            bars.append((label, sizes))
    if len(bars) < 2:
        return ""
    scale = max(sum(size for _, size in sizes) for _, sizes in bars) or 1
    limit = budget.get("limitBytes")

    def parts() -> Iterator[str]:
        for i, (label, sizes) in enumerate(bars):
            y = i * _ROW
            yield _text(0, y + 12, label, "name")
            yield _text(WIDTH, y + 12, _mebibytes(sum(size for _, size in sizes)), "small", end=True)
            x = 0.0
            for name, size in sizes:
                wide = size / scale * WIDTH
                style = f"area{names.index(name) % _AREAS}" if name else "plain"
                said = f"<title>{escape(name)} {_mebibytes(size)}</title>" if name else ""
                yield f'<rect x="{x:.1f}" y="{y + 16}" width="{wide:.1f}" height="12" class="{style}">{said}</rect>'
                x += wide
            if limit:
                at = int(limit) / scale * WIDTH
                yield f'<line x1="{at:.1f}" y1="{y + 14}" x2="{at:.1f}" y2="{y + 30}" class="limit"/>'
        x, y = 0, _ROW * len(bars) + 14
        for i, name in enumerate(names):
            wide = 16 + 6 * columns(name) + 8
            if x + wide > WIDTH:
                x, y = 0, y + 16
            yield f'<rect x="{x}" y="{y - 8}" width="9" height="9" class="area{i % _AREAS}"/>'
            yield _text(x + 13, y, name, "small")
            x += wide

    rows, used = 1, 0
    for name in names:
        wide = 16 + 6 * columns(name) + 8
        rows, used = (rows + 1, wide) if used + wide > WIDTH else (rows, used + wide)
    words = "; ".join(f"{label} {_mebibytes(sum(size for _, size in sizes))}" for label, sizes in bars)
    return _drawing(_ROW * len(bars) + 6 + 16 * rows, f"Memory: {words}", parts())


def _counted(area: Mapping[str, Any], key: str) -> int:
    """Return the size of an area; one that nothing bounds counts with what is expected of it."""
    size = area[key] if area[key] is not None or not area["unbounded"] else area["expectedBytes"]
    return int(size or 0)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def timeline(events: Sequence[tuple[str, str]]) -> str:
    """Draw what happened when, the oldest first; times are RFC 3339, and days are named where they change."""

    def parts() -> Iterator[str]:
        yield f'<line x1="76" y1="8" x2="76" y2="{22 * len(events) - 8}" class="way"/>'
        day = ""
        for i, (time, what) in enumerate(events):
            y = 22 * i + 14
            shown = time[11:19] if time[:10] == day else f"{time[5:10]} {time[11:16]}"
            day = time[:10]
            yield _text(68, y, shown, "small", end=True)
            yield f'<circle cx="76" cy="{y - 4}" r="4" class="dot"/>'
            yield _text(86, y, what, "small", 44)

    words = "; ".join(f"{time} {what}" for time, what in events)
    return _drawing(22 * len(events), f"Timeline: {words}", parts())
