"""The language of an answer: English as it stands in the code, or a catalogue's words for it.

Rules and plugins write English only. What is drawn of their words is looked up here: labels and headings as they are,
titles and first sentences of a cause by its code. Codes, fields, commands and what a program said are never translated.
"""

from __future__ import annotations

from kubetriage.model import Diagnosis, Finding


class Words:
    """English: everything stays as the code has it."""

    language = "en"

    def __call__(self, phrase: str, /, **values: object) -> str:
        """Return a phrase of the renderer with its values."""
        return phrase.format(**values) if values else phrase

    def many(self, n: int, one: str, several: str, **values: object) -> str:
        """Return the phrase for a number of things."""
        return (one if n == 1 else several).format(n=n, **values)

    def label(self, word: str) -> str:
        """Return a heading, a column's title, a severity or an actor."""
        return word

    def ages(self, words: str) -> str:
        """Return words with their ages (``2m ago``)."""
        return words

    def title(self, code: str) -> str:
        """Return the title of a cause; empty in English, where the code says it."""
        del code
        return ""

    def what(self, finding: Finding, of: Diagnosis) -> str:
        """Return what happened."""
        del of
        return finding.message

    def brief(self, finding: Finding) -> str:
        """Return what happened for a place of one line."""
        return finding.message

    def act(self, finding: Finding) -> str:
        """Return what to do for a cause in general; empty where the fixes themselves say it."""
        del finding
        return ""

    def sentence(self, code: str, text: str) -> str:
        """Return a text whose first sentences may be ones that the catalogue knows for a code."""
        del code
        return text


ENGLISH = Words()


def language_of(locale: str) -> str:
    """Return the language of a locale (``ko_KR.UTF-8``): ``ko``; English for C, POSIX and the empty one."""
    word = locale.replace("@", ".").replace("_", ".").partition(".")[0].lower()
    return "en" if word in ("", "c", "posix") else word
