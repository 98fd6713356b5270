"""No answer gets greener, and none names another cause for sure, because something could not be read.

Every plugin scans every capture and looks at its target, with each resource that it asked for lost alone, and all, in
each way in which a read can fail; on the captures of its own faults each two as well, every n-th where they are many.
Of the other captures every fourth is scanned, with refusals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.errors import ClusterError
from kubetriage.model import Diagnosis, Severity
from kubetriage.plugins import PLUGINS, Answer, Request, Target, load
from kubetriage.records import replace
from kubetriage.values.resources import BY_PLURAL
from support.faults import FAULTS, FaultyReader, resource_of
from support.offline import CAPTURES, target, truth

FOREIGN = 4
"""Every so many captures of other plugins' faults is scanned too."""
SCENARIOS = sorted(path.parent.name for path in CAPTURES.glob("*/truth.json"))
PAIRS_AT_MOST = 40
"""Of each plugin, form and capture; 403 stands for every way to fail, which a single loss tries one by one."""
EVIDENCE = {"/livez", "/readyz"}
"""A health check that fails is not a read that failed: it is the very thing that is looked for."""


@dataclass
class Seen:
    """What an answer says, and what was asked for it."""

    answer: Answer | None
    asked: dict[str, None] = field(default_factory=dict)

    @property
    def silent(self) -> bool:
        """It ended in an error, which nobody takes for an all-clear."""
        return self.answer is None or bool(self.answer.errors)

    @property
    def diagnoses(self) -> tuple[Diagnosis, ...]:
        return self.answer.diagnoses if self.answer else ()

    def faults(self, least: str = "possible") -> dict[tuple[str, str], set[str]]:
        """Return the causes that it names by the object that has them."""
        ranks = ("possible", "likely", "confirmed")
        found: dict[tuple[str, str], set[str]] = {}
        for d in self.diagnoses:
            for f in d.findings:
                if f.severity is not Severity.NOTE and ranks.index(f.confidence.value) >= ranks.index(least):
                    found.setdefault((d.target.kind, d.target.name), set()).add(f.cause)
        return found

    @property
    def undecided(self) -> bool:
        gaps = (*(self.answer.not_seen if self.answer else ()), *(g for d in self.diagnoses for g in d.not_seen))
        return any(gap.decides for gap in gaps)


def ask(command: str, scenario: str, named: Target | None, lost: tuple[str, ...], fault: str) -> Seen:
    plugin = load(command)
    asked: dict[str, None] = {}

    def plan(snapshot, request):
        for need in plugin.plan(snapshot, request):
            asked[resource_of(need)] = None
            yield need

    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    request = Request(
        targets=(named,) if named else (), namespace=truth(scenario).namespace or "default", options=options
    )
    try:
        answer = collect(replace(plugin, plan=plan), request, FaultyReader(CAPTURES / scenario, lost, fault))[1]
    except ClusterError:
        return Seen(None, asked)
    return Seen(answer, asked)


def losses(asked: list[str], own: bool) -> list[tuple[tuple[str, ...], str]]:
    """Return what is lost in one run after the other, and how; on a foreign capture only by 403."""
    faults = tuple(FAULTS) if own else ("403",)
    pairs = list(combinations(asked, 2)) if own else []
    return [
        *(((resource,), fault) for resource in asked for fault in faults if is_a_fault(resource, fault)),
        *((pair, "403") for pair in pairs[:: -(-len(pairs) // PAIRS_AT_MOST) or 1]),
        *((tuple(asked), fault) for fault in faults),
    ]


def is_a_fault(resource: str, fault: str) -> bool:
    """Tell whether a failure hides something; a kind that nobody installed is not there."""
    known = BY_PLURAL.get(resource)
    return not (fault == "404" and known is not None and known.custom)


def flaws(command: str, whole: Seen, part: Seen, lost: tuple[str, ...]) -> list[str]:
    """Say in what an answer with less to see is wrong, measured by the one that saw everything."""
    if part.silent:
        return []
    known, told = whole.faults(), part.faults()
    found = []
    missing = set(known) - set(told)
    if missing and not part.undecided:
        found.append(f"says nothing of {sorted(missing)}, which has {[sorted(known[m]) for m in sorted(missing)]}")
    for d in part.diagnoses:
        if d.healthy and known.get((d.target.kind, d.target.name)):
            found.append(f"calls {d.target.name} healthy")
    # triage names the lowest cause that it sees: without the node, what the node broke.
    if command != "triage" and not set(lost) & EVIDENCE:
        for place, causes in part.faults("confirmed").items():
            # A Gateway of which no Route was read says for itself what is else told of its Routes.
            routes = set().union(*known.values()) if place[0] == "Gateway" and place not in known else set()
            others = causes - known.get(place, set()) - routes
            # A cause that is named as unknown is no other one; a second fault beside the known ones was hidden by them.
            if others - {"Unknown"} and not causes & known.get(place, set()):
                found.append(f"is sure of {sorted(others)} for {place}, which has {sorted(known.get(place, ()))}")
    return found


@pytest.mark.slow
@pytest.mark.attack("reads that are lost, by capture and plugin")
@pytest.mark.parametrize("command", PLUGINS)
def test_what_cannot_be_read_makes_no_answer_greener(
    command: str, record_property: Callable[[str, object], None]
) -> None:
    wrong: dict[str, int] = {}
    tried = 0
    for number, scenario in enumerate(SCENARIOS):
        right = truth(scenario)
        if right.command != command and number % FOREIGN:
            continue
        forms: list[Target | None] = [None]
        if right.command == command and right.target and load(command).takes_targets:
            forms.append(target(right.target))
        for named in forms:
            whole = ask(command, scenario, named, (), "403")
            if whole.silent:
                continue
            for lost, fault in losses(sorted(whole.asked), right.command == command):
                tried += 1
                for flaw in flaws(command, whole, ask(command, scenario, named, lost, fault), lost):
                    wrong[f"{scenario} {'named' if named else 'scan'} {'+'.join(lost)} {fault}: {flaw}"] = 1
    record_property("tried", tried)
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(sorted(wrong)[:40])
    assert tried > 100
