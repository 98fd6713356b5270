"""Words of another language, from its gettext catalogue ``locale/LANGUAGE/LC_MESSAGES/kubetriage.mo``.

Contexts of the catalogue: ``label`` for headings; ``title``, ``what`` and ``act`` by cause code; a cause code itself
for the sentences of :mod:`sentences`; none for the phrases of the renderer. What a catalogue lacks stays English.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

from kubetriage.model import Confidence, Diagnosis, Finding
from kubetriage.render.fold import first_sentences
from kubetriage.render.sentences import SENTENCES
from kubetriage.render.words import ENGLISH, Words
from kubetriage.values.patterns import lazy

LOCALES = Path(__file__).resolve().parent.parent / "locale"
DOMAIN = "kubetriage"
_AGE = lazy(r"\b(\d[\dydhms]*) ago\b")


def languages() -> list[str]:
    """Return the languages that there is a catalogue for, English included."""
    return sorted(["en", *(p.parent.parent.name for p in LOCALES.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))])


def words_of(language: str) -> Words:
    """Return the words of a language; raises LookupError where there is no catalogue for it."""
    return ENGLISH if language == ENGLISH.language else Translated(language)


class Translated(Words):
    """The words of a catalogue."""

    def __init__(self, language: str) -> None:
        """Read the catalogue; raises LookupError where there is none."""
        if language not in languages():
            raise LookupError(language)
        self.language = language
        self._catalog = gettext.translation(DOMAIN, str(LOCALES), [language])

    def __call__(self, phrase: str, /, **values: object) -> str:
        """Return the phrase in the language, with its values."""
        found = self._catalog.gettext(phrase)
        return found.format(**values) if values else found

    def many(self, n: int, one: str, several: str, **values: object) -> str:
        """Return the phrase for a number of things in the language."""
        return self._catalog.ngettext(one, several, n).format(n=n, **values)

    def label(self, word: str) -> str:
        """Return a heading; one with a name or a number in it is a sentence without a code."""
        found = self._catalog.pgettext("label", word)
        return found if found != word else self.sentence("", word)

    def ages(self, words: str) -> str:
        """Return words with their ages in the language."""
        return _AGE.sub(lambda m: self("{age} ago", age=m[1]), words)

    def title(self, code: str) -> str:
        """Return the title of a cause; empty where the catalogue has none."""
        return self._by_code("title", code)

    def what(self, finding: Finding, of: Diagnosis) -> str:
        """Return the message in the language, or what its cause means in general and the message in English."""
        known = self.sentence(finding.cause, finding.message)
        if known != finding.message:
            return known
        ref = finding.object
        name = f"{ref.kind.lower()}/{ref.name}" if ref.name else of.target.kind.lower()
        general = self._by_code("what", finding.cause).format(
            object=name, container=ref.container or name, namespace=ref.namespace or of.target.namespace
        )
        if general and finding.confidence is not Confidence.CONFIRMED:
            general = f"{self.label(finding.confidence.value)}: {general}"
        return f"{general} {finding.message}".strip()

    def brief(self, finding: Finding) -> str:
        """Return the message in the language, or the title of its cause and the message in English."""
        known = self.sentence(finding.cause, finding.message)
        title = self.title(finding.cause)
        return known if known != finding.message or not title else f"{title}: {finding.message}"

    def act(self, finding: Finding) -> str:
        """Return what to do for the cause in general, unless the first fix is a sentence of the catalogue."""
        if not finding.fix or self.sentence(finding.cause, finding.fix[0].text) != finding.fix[0].text:
            return ""
        return self._by_code("act", finding.cause)

    def sentence(self, code: str, text: str) -> str:
        """Return a text in the language, up to the first sentence that the catalogue does not know."""
        known = [(c, template) for c in dict.fromkeys((code, "")) for template in SENTENCES.get(c, ())]
        for first, rest in first_sentences(text):
            fitting = [
                (of, template, values) for of, template in known if (values := matched(template, first)) is not None
            ]
            if fitting:
                # The one that takes least of the text for its places says most of it.
                of, template, values = min(fitting, key=lambda fit: sum(map(len, fit[2].values())))
                found = self._catalog.pgettext(of or "label", template)
                shown = {name: self.ages(value) for name, value in values.items()}
                return f"{found.format(**shown)} {self.sentence(code, rest)}".rstrip() if found != template else text
        return text

    def _by_code(self, context: str, code: str) -> str:
        found = self._catalog.pgettext(context, code)
        return found if found != code else ""


def matched(template: str, text: str) -> dict[str, str] | None:
    """Return what stands at the places of a template; None where the text is not of that form.

    Each place takes as little as it can, the last one what is left; no place is empty.
    """
    parts = list(_parts(template))
    values: dict[str, str] = {}
    at = 0
    for i, (literal, name) in enumerate(parts):
        if not text.startswith(literal, at):
            return None
        at += len(literal)
        if not name:
            continue
        following = parts[i + 1][0] if i + 1 < len(parts) else ""
        last = i + 1 == len(parts) or (i + 2 == len(parts) and not parts[i + 1][1])
        end = len(text) - len(following) if last else text.find(following, at + 1)
        if end <= at:
            return None
        values[name] = text[at:end]
        at = end
    return values if at == len(text) else None


def _parts(template: str) -> Iterator[tuple[str, str]]:
    for literal, name, _, _ in Formatter().parse(template):
        yield literal, name or ""
