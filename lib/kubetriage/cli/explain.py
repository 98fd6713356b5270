"""``--explain-cause``: the page of a cause, found by its code, a number, or what comes near."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.cli.usage import UsageError
from kubetriage.plugins import PLUGINS, Plugin, codes, load
from kubetriage.render.causes import cause_page, page_as_text, read_page
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

LIST = "list"
"""The value of the flag where none is given."""
_NUMBER = lazy(r"\d{1,3}$")


def explanation(plugin: Plugin, word: str, width: int) -> str:
    """Return what to print for a word: the page of a code, the causes of a number, or all causes.

    Raises UsageError for a word that no plugin knows.
    """
    if word == LIST:
        return "".join(f"{code}: {summary}\n" for code, summary in sorted(_summaries(plugin)))
    if _NUMBER.match(word):
        return _by_number(plugin, word)
    for known in (plugin, *(load(name) for name in PLUGINS if name != plugin.name)):
        rules = [(known.name, r) for r in known.rules if word.lower() in [c.lower() for c in codes(r)]]
        if rules:
            code = next(c for c in codes(rules[0][1]) if c.lower() == word.lower())
            return page_as_text(cause_page(code, rules), width)
    own = sorted(c for r in plugin.rules for c in codes(r))
    near = nearest(word, own) or nearest(word, [c for name in PLUGINS for r in load(name).rules for c in codes(r)])
    hint = f"did you mean {near}?" if near else f"kubectl {plugin.name} --explain-cause lists all"
    raise UsageError(f'no cause "{word}" in {plugin.name}; {hint}')


def _summaries(plugin: Plugin) -> Iterator[tuple[str, str]]:
    for rule in plugin.rules:
        for code in codes(rule):
            yield code, read_page(rule, code)[0]


def _by_number(plugin: Plugin, number: str) -> str:
    """List the causes whose page names an exit code or status; those of this plugin first."""
    word = re.compile(rf"(?<![\d.]){number}(?![\d.]*\d)")
    lines: dict[str, str] = {}
    for known in (plugin, *(load(name) for name in PLUGINS if name != plugin.name)):
        for rule in known.rules:
            if word.search(rule.__doc__ or ""):
                for code in codes(rule):
                    lines.setdefault(code, f"{code} (kubectl {known.name}): {read_page(rule, code)[0]}\n")
    if not lines:
        raise UsageError(f"no cause has the number {number} on its page")
    return f"Causes with {number} on their page:\n\n" + "".join(lines.values())
