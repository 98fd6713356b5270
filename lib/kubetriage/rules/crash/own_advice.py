"""What a program's last error itself proposes to do: its sentence, where it is concrete and does no harm."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Fix
from kubetriage.readers.logs import bodies, message_of
from kubetriage.redact import clean
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

_LONGEST = 240
_AFTER = 12
"""Lines after the error in which the program may explain."""

# An order or a permission at the beginning of a sentence or of a clause.
_ORDER = lazy(
    r"(?:\A|[;:,!?] (?:or )?|\b(?:please|either|you|hint:?|action:|note:|fix:) )"
    r"(?:please |either |you |then )?(?:(?:must|need to|have to|should|can|may) )?"
    r"(?:set|use|add|run|rename|change|configure|specify|provide|enable|disable|increase|raise|lower|reduce|install"
    r"|migrate|upgrade|update|downgrade|choose|replace|declare|override|fix|adjust|mount|pass|start|make sure|ensure"
    r"|possible solutions?|did you mean|consider \w+ing|convert|export|allow|grant|register|define)\b"
    # "UPGRADE FAILED", "install/upgrade": what was tried, no order.
    r"(?!/|\(|=| (?:failed|failure|error|aborted|is|was|has)\b)",
    re.IGNORECASE,
)
# What has to be, said of a setting, a file or a place; the subject may follow the error that it explains.
_DEMAND = lazy(
    r"(?:\A|[:;,] |\b(?:because|as|since) )(?P<whole>[^:;,\n]{2,120}? (?:must|should|has to|have to|needs? to"
    r"|is required to|is expected to|is supposed to) (?:not )?(?:be|have|match|contain|start|end|point|exist|equal|use"
    r"|include|begin|support|refer|consist|hold)\b[^\n]{2,160})"
)
# Something to hold on to: a flag, a name in quotes, a setting, a variable, a number, a file.
_CONCRETE = lazy(
    r"(?<!\w)-{1,2}[A-Za-z][\w-]{2,}|[`'\"‘][^`'\"’\n]{2,80}[`'\"’]|\b[A-Z][A-Z0-9]*_[A-Z0-9_]{2,}\b"
    r"|\b[a-z][\w-]*(?:[._-][\w-]+)+\b|\b\d+(?:\.\d+)*\b|(?<= )[A-Z][A-Za-z0-9]+"
)
# Advice that sends the reader somewhere else, or asks for a report.
_ELSEWHERE = lazy(
    r"https?://|\bwww\.|for more (?:info|details)|see (?:the )?(?:log|doc|above|below)|refer to|consult|documentation"
    r"|report (?:this|the|it)|file an issue|open an issue|bug report|contact|support team|--help|--verbose|\bverbose\b"
    r"|if you (?:want|wish|need)\b|--debug|debug mode|stack ?trace|RUST_BACKTRACE|try again|retry"
    r"|check (?:the )?logs?|more information",
    re.IGNORECASE,
)
# What may destroy data or fetch and run something: such advice of a log is not passed on.
_HARMFUL = lazy(
    r"\b(?:delet\w+|remov\w+|drop\w*|wip\w+|eras\w+|purg\w+|truncat\w+|destroy\w*|reset\w*|clean\w*|discard\w*|forc\w+"
    r"|overwrit\w+|recreat\w+|reinitiali\w+|reformat\w*|format|skip-?\w*|ignore\w*|insecure\w*|unsafe\w*"
    r"|disable\w* (?:tls|ssl|auth\w*|security|verif\w*)|trust|chmod|chown|rm|dd|mkfs|curl|wget|sh|bash|eval|base64"
    r"|sudo|kubectl|python\d?|perl|nc|ssh|scp|docker)\b",
    re.IGNORECASE,
)
# A line of the program's source in a stack trace.
_CODE = lazy(
    r"(?:raise|throw|return|await|yield|new)\s+(?:new )?[\w.]{1,80}\(|(?:raise|throw|return|await|assert|def|class|if"
    r"|for|while|with|const|let|var|import|from)\b[^.]{0,200}[({=:]"
)
_SENTENCE = lazy(r"(?<=[.!?])\s+(?=[A-Z`'\"])|\n|\\n")


def _sentences(words: LastWords) -> Iterator[str]:
    """Yield the sentences of the last error and of the lines after it."""
    error = words.error
    rows = bodies(words.text)
    at = error.end if error is not None else max(len(rows) - 1, 0)
    told = [error.summary, *error.lines] if error is not None else []
    after = []
    for row in rows[at : at + _AFTER]:
        if len(row) > 2000:
            break
        after.append(message_of(row))
    for sentence in (s.strip() for line in (*told, *after) for s in _SENTENCE.split(line)):
        if 12 <= len(sentence) <= _LONGEST and not (
            _HARMFUL.search(sentence) or _ELSEWHERE.search(sentence) or _CODE.match(sentence)
        ):
            yield sentence


def own_advice(words: LastWords) -> str:
    """Return what the last error of a program proposes, in its own words; empty when it proposes nothing to act on.

    Sentences that may destroy data, weaken security, fetch or run something are left out, and those without anything
    concrete.
    """
    error = words.error
    for sentence in _sentences(words):
        order = _ORDER.search(sentence)
        if order is None or not _CONCRETE.search(sentence, order.end()):
            continue
        whole = " ".join(clean(sentence).split()).rstrip(".")
        # What stands before the order is the error, which the answer has quoted.
        if error is None or sentence not in error.summary or order.start() == 0:
            return whole
        rest = " ".join(clean(sentence[order.start() :]).split()).lstrip(",;:!? ").rstrip(".")
        return rest[:1].upper() + rest[1:]
    return ""


_ASKED = lazy(
    r"(?:set|define|provide|specify|export|declare|via|through|using|with|in)\b[^.\n]{0,60}?\benv(?:ironment)? var\w*"
    r"(?: called| named)?:? ['\"`$]{0,2}(?P<name>[A-Z][A-Z0-9]*_[A-Z0-9_]{1,80})",
    re.IGNORECASE,
)


def asked_variable(words: LastWords) -> str:
    """Return the variable that a program asks for around its last error, and that its container does not declare."""
    for sentence in _sentences(words):
        match = _ASKED.search(sentence)
        if match is not None and match["name"].isupper():
            declared = any(text(e, "name") == match["name"] for e in objects(words.container.spec, "env"))
            return "" if declared else match["name"]
    return ""


def own_demand(words: LastWords) -> str:
    """Return what must hold for the program to start, by its last error: a sentence about something concrete."""
    for sentence in _sentences(words):
        demand = _DEMAND.search(sentence)
        if demand is None or not _CONCRETE.search(sentence):
            continue
        return " ".join(clean(demand["whole"]).split()).strip(" .,;:'\"")
    return ""


def own_advice_fix(words: LastWords) -> tuple[Fix, ...]:
    """Make a fix of the program's own proposal, else of what it demands; nothing where it says neither."""
    said = own_advice(words)
    if said:
        return (Fix(f"Its log proposes: {said}.", actor=Actor.APP),)
    demanded = own_demand(words)
    return (Fix(f"Make true what its log demands: {demanded}.", actor=Actor.APP),) if demanded else ()
