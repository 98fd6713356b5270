"""The manual page of a cause, from the docstring of its rule."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from types import ModuleType

from kubetriage.render.fold import wrapped
from kubetriage.values.patterns import lazy

LABELS = ("Meaning", "Told by", "Fix", "Source")
"""The labelled paragraphs that the docstring of every rule has."""

_HEADINGS = {"Meaning": "What it means", "Told by": "How it is detected", "Fix": "How to fix it", "Source": "Source"}
_PROGRAMS = ("chmod", "etcd", "kubectl", "malloc")
"""Names that stay as they are at the beginning of a sentence."""
_LABEL = lazy(rf"^({'|'.join(LABELS)}):\s*", re.MULTILINE)


def read_page(rule: ModuleType, code: str) -> tuple[str, dict[str, str]]:
    """Return what a cause means in one line, and the labelled paragraphs of its rule's docstring.

    The line is the docstring's first, or that of the code in ``CODES`` where a rule finds several. Raises ValueError
    when a paragraph is missing.
    """
    doc = inspect.cleandoc(rule.__doc__ or "")
    parts = _LABEL.split(doc)
    paragraphs = {label: body.strip() for label, body in zip(parts[1::2], parts[2::2], strict=True)}
    missing = [label for label in LABELS if not paragraphs.get(label)]
    if missing:
        raise ValueError(f"{rule.__name__}: the docstring lacks {', '.join(missing)}")
    titles: Mapping[str, str] = getattr(rule, "CODES", {})
    return f"{titles[code]}." if code in titles else parts[0].strip(), paragraphs


def cause_page(code: str, rules: Sequence[tuple[str, ModuleType]]) -> str:
    """Write the page of one cause code as Markdown; ``rules`` are (plugin name, rule) pairs that find it."""
    lines = [f"# {code}", ""]
    for name, rule in rules:
        summary, paragraphs = read_page(rule, code)
        if len(rules) > 1:
            lines += [f"## In kubectl {name}", ""]
        lines += [summary, ""]
        for label in LABELS:
            body = _paragraph(paragraphs[label])
            lines += [f"**{_HEADINGS[label]}.** {body if label == 'Source' else _sentence(body)}", ""]
    names = " and ".join(f"`kubectl {name}`" for name in dict.fromkeys(name for name, _ in rules))
    lines.append(f"Found by {names}.")
    return "\n".join(lines) + "\n"


_CODE_MARK = lazy(r"`([^`]*)`")


def page_as_text(page: str, width: int) -> str:
    """Turn a page into text for a terminal: no marks, folded to its width, with the labels on lines of their own."""
    lines: list[str] = []
    for line in page.splitlines():
        plain = _CODE_MARK.sub(r"\1", line).lstrip("# ")
        label = re.match(r"\*\*(.+?)\.\*\* (.*)", plain)
        if label is not None:
            lines += [label[1], wrapped(label[2], width, "  ", "  ")]
        elif plain.startswith(("- ", "* ")):
            lines.append(wrapped(plain, width, "    ", "  "))
        else:
            lines.append(wrapped(plain, width) if plain else "")
    return "\n".join(lines) + "\n"


def _sentence(body: str) -> str:
    """Begin with a capital letter, unless the first word is a name."""
    word = re.match(r"[a-z]+(?=[ ,])", body)
    return body if word is None or word[0] in _PROGRAMS else body[0].upper() + body[1:]


def _paragraph(body: str) -> str:
    """Join the lines of a docstring paragraph; a line that begins a list item keeps its own line."""
    joined: list[str] = []
    for line in body.splitlines():
        stripped = line.strip()
        if joined and stripped and not stripped.startswith(("- ", "* ")) and joined[-1]:
            joined[-1] += f" {stripped}"
        else:
            joined.append(stripped)
    return re.sub(r"``(.+?)``", r"`\1`", "\n".join(joined))
