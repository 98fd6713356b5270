"""docs/style.md, checked in every message and fix of all captures and cases."""

import re
from collections.abc import Iterator

import pytest

from support.incidents import answers

LONGEST = 25
"""Words of a sentence, without what it quotes."""
AVOIDED = {
    r"\bwell\b": "healthy, or say since when",
    r"\bwrong\b": "say what is unhealthy or differs",
    r"\bown word": "reports",
    r"\btells? (?:of|why|which|how|it|that|whether|more|nothing)\b": "shows, names, reports",
    r"\bsays (?:which|why|how|so|what)\b": "shows, names",
    r"\bthese words\b": "this message",
    r"\bwords of\b": "message of",
    r"\blives\b(?! in)": "is up, runs",
    r"\bgets by\b": "needs less",
    r"\bhand(?:s|ed)? out\b": "the API's or registry's own error",
    r"\bnobody\b": "no client, no controller, nothing",
    r"\brepair what\b": "fix",
    r"\bvery likely\b": "likely, as the confidence has it",
    r"\bin order\b(?! to| of)": "healthy",
    r"\bspoke\b": "logged",
    r"\bfails? of\b": "fails with",
    r"\ba third more\b": "a number",
    r"\bfossil\b": "trace",
}
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|\([^()]*\)|\{.*\}|\[[^\]]*\]")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(?<=[\w)]:)\s+(?=\S)")


def unquoted(text: str) -> str:
    """Take out what a program or the API said, and asides in brackets, however deep."""
    while (shorter := _QUOTED.sub(" ", text)) != text:
        text = shorter
    return text


def texts() -> Iterator[tuple[str, str, str]]:
    """Yield incident and cause, what kind of text it is, and the text without the cluster's own words."""
    for answered in answers():
        for diagnosis in answered.diagnoses:
            for finding in diagnosis.findings:
                told = sorted((e.value for e in finding.evidence if len(e.value) > 20), key=len, reverse=True)
                for kind, text in [("message", finding.message), *[("fix", fix.text) for fix in finding.fix]]:
                    own = text
                    for value in told:
                        own = own.replace(value, '""').replace(value.rstrip("."), '""')
                    yield f"{answered.incident.name} {finding.cause}", kind, own


def test_no_word_to_avoid():
    found = set()
    for where, kind, text in texts():
        plain = unquoted(text)
        for pattern, better in AVOIDED.items():
            if (match := re.search(pattern, plain, re.IGNORECASE)) is not None:
                found.add(f"{where} {kind}: {match[0]!r} (better: {better}): {text[:160]}")
    assert not found, "\n".join(sorted(found))


def test_no_sentence_is_longer_than_a_breath():
    found = set()
    for where, kind, text in texts():
        for sentence in _SENTENCE.split(unquoted(text)):
            count = len(sentence.split())
            if count > LONGEST:
                found.add(f"{where} {kind}: {count} words: {sentence[:200]}")
    assert not found, "\n".join(sorted(found))


@pytest.mark.parametrize("words", ["It lives in /etc.", 'The log says "all is well".', "in order to start"])
def test_what_programs_say_and_other_meanings_are_no_matter(words):
    plain = unquoted(words)
    assert not any(re.search(pattern, plain, re.IGNORECASE) for pattern in AVOIDED)
