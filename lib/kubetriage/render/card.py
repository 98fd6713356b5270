"""What every form of an answer shows of one diagnosis, in the order of need: what, proof, fix, check, unknown.

Text, Markdown and HTML draw the same card; how much of it fits is theirs to decide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from kubetriage.model import Confidence, Diagnosis, Evidence, Finding, Fix, Lines, NotSeen, Ref, Severity
from kubetriage.records import dataclass, replace
from kubetriage.render.times import USUAL, Times
from kubetriage.render.words import ENGLISH, Words
from kubetriage.typed import Literal
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping, objects, text, texts
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_KIND

Tone = Literal["error", "warning", "note", "ok", "unknown"]

SIGNS: dict[str, str] = {"error": "✗", "warning": "!", "note": "i", "ok": "✓", "unknown": "?"}
"""Beside the word, never instead of it: the cause and its severity stand in words too."""


@dataclass(frozen=True)
class Proof:
    """One observed fact in kubectl's words."""

    where: str
    """Event reason, field, log or metric."""
    value: str
    when: str
    """Count and age, such as ``x20, 3m ago``; empty where neither is known."""

    def __str__(self) -> str:
        when = f" ({self.when})" if self.when else ""
        return f"{self.where}: {self.value}{when}"


@dataclass(frozen=True)
class Step:
    """One way to mend it: who acts, what to do, and what to paste."""

    actor: str
    text: str
    commands: tuple[str, ...]
    yaml: str


@dataclass(frozen=True)
class Card:
    """One finding of an object with all that belongs to it; without a finding what is known all the same."""

    tone: Tone
    name: str
    """Object as kubectl names it: ``pod/api``."""
    place: str
    """Namespace and, with several clusters, context; empty for what has none."""
    cause: str
    title: str
    """What the cause means in the reader's language; empty in English, where the code says it."""
    doubts: str
    """Severity other than error, and confidence other than confirmed."""
    status: str
    """STATUS and the other columns that kubectl prints, in one line."""
    what: str
    proof: tuple[Proof, ...]
    """The most telling facts first."""
    drawn: tuple[Lines, ...]
    """A plugin's own fields (hop chain, budget bars, fates of pods)."""
    act: str
    """What to do in general, in the reader's language; empty where the steps themselves say it."""
    fix: tuple[Step, ...]
    check: tuple[str, ...]
    unknown: tuple[NotSeen, ...]
    """What was not seen, what could hold a fault first."""
    also: tuple[tuple[Tone, str, str], ...]
    """Further findings: severity, cause with its doubts, message."""
    same: tuple[str, ...]
    """Other objects with the same verdict."""


def card_of(group: Sequence[Diagnosis], now: datetime | None, words: Words = ENGLISH, times: Times = USUAL) -> Card:
    """Make the card of a diagnosis; ``group`` holds those with the same verdict, of which the first is shown."""
    first = group[0]
    head = first.findings[0] if first.findings else None
    target = _subject(first)
    where = [target.namespace, *([f"context {first.context}"] if first.context else [])]
    if head is not None:
        what = words.what(replace(head, message=_aged(head.message, times)), first)
    else:
        what = words.sentence("", _aged(first.summary, times))
    return Card(
        tone=_tone(first),
        name=_name(first),
        place=", ".join(w for w in where if w),
        cause=first.cause,
        title=words.title(first.cause),
        doubts=doubts(head, words) if head is not None else "",
        status=words.ages(_status(first, head, words)),
        what=what,
        proof=tuple(proof_of(head, first, now, times)) if head is not None else (),
        drawn=tuple(s for s in (*first.lead, *first.tail) if isinstance(s, Lines) and s.brief),
        act=words.act(head) if head is not None else "",
        fix=tuple(step_of(fix, head.cause, words, times) for fix in head.fix) if head is not None else (),
        check=head.verify if head is not None else (),
        unknown=tuple(sorted(first.not_seen, key=lambda gap: not gap.decides)),
        also=tuple(
            (f.severity.value, f"{f.cause}{_in_brackets(doubts(f, words))}", words.brief(f)) for f in _others(first)
        ),
        same=(*(_name(d) for d in group[1:]), *_folded(first)),
    )


def doubts(finding: Finding, words: Words = ENGLISH) -> str:
    """Say in words how severe and how sure a finding is; empty for a confirmed error."""
    said = [] if finding.severity is Severity.ERROR else [finding.severity.value]
    if finding.confidence is not Confidence.CONFIRMED:
        said.append(finding.confidence.value)
    return ", ".join(words.label(word) for word in said)


def step_of(fix: Fix, cause: str = "", words: Words = ENGLISH, times: Times = USUAL) -> Step:
    """Return what is printed of a fix of a cause, with the command that applies its patch."""
    patch = patch_command(fix)
    commands = (*fix.commands, *([patch] if patch else ()))
    actor = words.label(fix.actor.value) if fix.actor is not None else ""
    return Step(actor, words.sentence(cause, _aged(fix.text, times)), commands, fix.yaml)


def patch_command(fix: Fix) -> str:
    """Write the kubectl command that applies a fix's patch; empty when it has none."""
    if fix.patch is None or fix.on is None:
        return ""
    patch = json.dumps(fix.patch, separators=(",", ":"))
    # Resources of a pod are changed through its subresource only.
    through = ("--subresource", "resize") if fix.on.kind == "Pod" and '"resources":' in patch else ()
    resource = BY_KIND.get(fix.on.kind)
    # The API server knows no strategic merge of custom resources.
    how = ("--type=merge",) if resource is not None and resource.custom else ()
    words = ("patch", fix.on.kind.lower(), fix.on.name, *how, *through, "--patch", patch)
    return kubectl(*words, namespace=fix.on.namespace)


def proof_of(finding: Finding, diagnosis: Diagnosis, now: datetime | None, times: Times) -> Iterator[Proof]:
    """Yield the facts of a finding in the order in which they convince.

    What the sentence above quotes already, and the arithmetic of the back-off, come last.
    """
    said = _letters(finding.message)

    def repeats(line: Evidence) -> bool:
        return line.at.endswith("restartCount") or _letters(line.value) in said

    for line in sorted(finding.evidence, key=repeats):
        yield _proof(line, finding, diagnosis, now, times)


_COUNT = lazy(r" \((x\d+)\)$")
_CONTAINER = lazy(r"^(?:status|spec)\.(?:\w*[cC]ontainerStatuses|\w*[cC]ontainers)\[([^\]]*)\]\.?")
_CONDITION = lazy(r"(?:status\.)?conditions\[([^\]]*)\]$")
_STATES = {
    "lastState.terminated": "last state",
    "state.terminated": "state",
    "state.waiting": "waiting",
    "status.reason": "reason",
}


def _proof(line: Evidence, finding: Finding, diagnosis: Diagnosis, now: datetime | None, times: Times) -> Proof:
    value, count = line.value, ""
    if line.source == "event" and (match := _COUNT.search(value)):
        value, count = value[: match.start()], match[1]
    age = "" if " ago" in value and line.source != "log" else times.stamp(line.time, now)
    when = ", ".join(w for w in (count, age) if w)
    value = " ".join(value.split())
    return Proof(_where(line, finding, diagnosis), value if line.source == "log" else _aged(value, times), when)


_TIME_WITH_AGE = lazy(r"(?:at )?\d{4}-\d\d-\d\dT[\d:.]+Z \(((?:in [\dydhms]+|[\dydhms]+ ago))\)")


def _aged(words: str, times: Times) -> str:
    """Write an age where a sentence has both a time and its age; the times stand in ``-o wide`` and the documents."""
    return _TIME_WITH_AGE.sub(r"\1", words) if times.ages else words


def _where(line: Evidence, finding: Finding, diagnosis: Diagnosis) -> str:
    own = finding.object.container
    if line.source == "log":
        return "log" if line.at in (own, "") else f"log of {line.at}"
    if line.source == "event":
        return line.at.replace(f" [{own}]", "") if own else line.at
    at = line.at.removeprefix(f"{_name(diagnosis)} ")
    if (match := _CONTAINER.match(at)) is not None:
        field = at[match.end() :] or "container"
        field = _STATES.get(field, field)
        return field if match[1] == own else f"{match[1]} {field}"
    if (match := _CONDITION.match(at)) is not None:
        return f"condition {match[1]}"
    return _STATES.get(at, at)


def _tone(diagnosis: Diagnosis) -> Tone:
    if diagnosis.findings:
        return diagnosis.findings[0].severity.value
    return "unknown" if diagnosis.undecided else "ok"


def _subject(diagnosis: Diagnosis) -> Ref:
    """Return the object that an answer is about: its target, or the one root cause of an incident."""
    roots = objects(diagnosis.extra, "roots")
    if len(roots) != 1:
        return diagnosis.target
    root = mapping(roots[0], "object")
    return Ref(text(root, "kind"), text(root, "namespace"), text(root, "name"))


def _name(diagnosis: Diagnosis) -> str:
    target = _subject(diagnosis)
    return f"{target.kind.lower()}/{target.name}" if target.name else target.kind.lower()


_QUIET = ("age", "LISTS")
_NO_NEWS = (("restarts", "0"), ("", "ok"), ("", "no fault seen"))
"""Columns, and values of columns, that say nothing on the first screen."""


def _folded(diagnosis: Diagnosis) -> Iterator[str]:
    """Name what a folded diagnosis stands for beside its own object: two by name, the rest by number."""
    told = mapping(diagnosis.extra, "fold")
    refs = [ref for key in ("lookedAt", "sameSymptom") for ref in objects(told, key)]
    own = (diagnosis.target.kind, diagnosis.target.namespace, diagnosis.target.name)
    others = [r for r in refs if (text(r, "kind"), text(r, "namespace"), text(r, "name")) != own]
    yield from (f"{text(r, 'kind').lower()}/{text(r, 'name')}" for r in others[:2])
    if others[2:]:
        workloads, places = len(objects(told, "workloads")), len(texts(told, "namespaces"))
        among = f" of {workloads} workloads" if workloads > 1 and diagnosis.target.kind == "Pod" else ""
        where = f" in {places} namespaces" if places > 1 else ""
        yield f"{len(others) - 2} more{among}{where}"


def _status(diagnosis: Diagnosis, head: Finding | None, words: Words) -> str:
    parts = []
    for label, value in diagnosis.header:
        # What the headline says is not said again, and what is not there is not news.
        if value in (diagnosis.cause, "<none>", "") or label in _QUIET or (label, value) in _NO_NEWS:
            continue
        # As in "0/1 ready" and "6 restarts (2m ago)".
        number, _, rest = value.partition(" ")
        if label == "restarts":
            parts.append(f"{words('{n} restarts', n=number)} {rest}".strip())
        else:
            parts.append(f"{number} {label} {rest}".strip() if label == "ready" else f"{label} {value}".strip())
    if head is not None and head.object.container:
        parts.append(words("container {container}", container=head.object.container))
    return ", ".join(parts).replace("node node", "node")


def _others(diagnosis: Diagnosis) -> Iterator[Finding]:
    """Yield the findings behind the first; what follows from it stands in the drawing where there is one."""
    drawn = any(isinstance(s, Lines) and s.brief for s in diagnosis.lead)
    for finding in diagnosis.findings[1:]:
        if not (drawn and "consequenceOf" in finding.details):
            yield finding


def _in_brackets(words: str) -> str:
    return f" ({words})" if words else ""


def _letters(words: str) -> str:
    return re.sub(r"\W+", " ", words).strip().lower()
