"""What a server of the table may have filled a limit with: a killed container in, candidates out."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.memory import node_memory
from kubetriage.rules.memory.budget_fixes import larger_limit, raise_fix
from kubetriage.rules.memory.candidate import Candidate
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.oom_kills import Kill
from kubetriage.rules.memory.program_fixes import program_fix
from kubetriage.rules.memory.program_memory import Program
from kubetriage.values.quantity import format_bytes

_NEARLY_ALL = 0.75
"""A cache of this share of the limit leaves too little for what stands beside it."""


def program_candidates(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find a server that read a log back, whose setting takes the limit, or whose memory follows its load."""
    program, limit = case.program, case.limit.size
    if program is None or limit is None:
        return
    line = program.replayed(case.log)
    if line and kill.main_process:
        clause = f"{program.name} was reading its write-ahead log back into memory"
        more = "A start needs more than it used before, so it meets the limit again each time."
        yield Candidate(
            "replay at start",
            clause,
            more,
            told=True,
            fixes=tuple(_replay_fixes(case, program, limit)),
            evidence=(Evidence("log", case.container.name, line),),
        )
        return
    forking = program.forking(case.log)
    if forking:
        larger = larger_limit(case, 2 * limit)
        raised = (raise_fix(case, larger, ", which holds what is written while it saves."),) if larger else ()
        yield Candidate(
            "forked save",
            f"{program.name} was saving in a forked child, and what is written meanwhile is held twice",
            "",
            told=True,
            fixes=(*raised, program_fix(case), Fix(str(program.row["fork_advice"]), actor=Actor.APP)),
            evidence=(Evidence("log", case.container.name, forking),),
        )
        return
    if limit < program.least:
        yield from _below_the_least(case, program, limit)
        return
    area = next((a for a in case.budget.areas if a.name == program.area), None)
    size = area.ceiling.size if area is not None and case.budget.model is not None else None
    if size is None or area is None:
        yield from _uncapped(case, program, limit)
        return
    yield from _capped(case, program, limit, size, area.ceiling.source)


def _below_the_least(case: Case, program: Program, limit: int) -> Iterator[Candidate]:
    """Tell of a server that does not start with its defaults in so little."""
    larger = larger_limit(case, max(program.least, 2 * limit))
    clause = f"{program.name} needs about {format_bytes(program.least)} to start with its defaults"
    more = ""
    if "LimitRange" in case.limit.source:
        more = "The container sets no limit of its own: this is the default of a LimitRange."
    fixes = (raise_fix(case, larger, "."),) if larger is not None else ()
    yield Candidate("limit too small", clause, more, told=True, fixes=fixes)


def _replay_fixes(case: Case, program: Program, limit: int) -> Iterator[Fix]:
    larger = larger_limit(case, 2 * limit)
    if larger is not None:
        yield raise_fix(case, larger, " so that a start can finish; lower it again by what it uses then.")
    ceiling = "replay" in program.setting
    if ceiling:
        yield program_fix(case)
    if program.advice or program.grows:
        words = f"Then look at what it holds: {program.grows}." if program.grows else "Then look at what it holds."
        yield Fix(f"{words} {program.advice}".strip(), actor=Actor.APP)
    yield Fix(
        "Deleting its write-ahead log lets it start, and loses what is only there: the last resort.",
        actor=Actor.APP,
    )


def _uncapped(case: Case, program: Program, limit: int) -> Iterator[Candidate]:
    """Tell of a server that nothing here caps."""
    if program.at_start or not (program.grows or "unbounded" in program.row or program.advice):
        return
    bound = program.grows or str(program.row.get("unbounded") or program.beside)
    larger = larger_limit(case, 2 * limit)
    raised = [raise_fix(case, larger, ".")] if larger is not None else []
    fixes: list[Fix]
    if program.limit_first:
        fixes = [raise_fix(case, larger, f". {program.advice}".rstrip())] if larger is not None else []
        fixes = fixes or ([Fix(program.advice, actor=Actor.MANIFEST)] if program.advice else [])
    else:
        fixes = [*raised, program_fix(case)] if program.keeps else [program_fix(case), *raised]
    clause = bound if program.row.get("kind_only") else f"{program.name}: {bound}"
    yield Candidate("program memory", clause, "", told=False, fixes=tuple(fixes))


def _capped(case: Case, program: Program, limit: int, size: int, source: str) -> Iterator[Candidate]:
    """Compare what a server's setting allows with the limit."""
    told = program.told
    by_log = told is not None and told.kind == "measured"
    seen = "by its own log" if by_log else f"by {source}"
    evidence: tuple[Evidence, ...] = ()
    if told is not None:
        where = case.container.name if by_log else program.area
        evidence = (Evidence("log" if by_log else "spec", where, told.line or told.source),)
    clause = f"{program.name}'s {program.area} may take {format_bytes(size)} {seen}"
    if size > limit:
        node = node_memory.node_memory(case.node.obj)
        more = ""
        if by_log and size > limit * 2:
            of = f" ({format_bytes(node)})" if node else ""
            more = f"It is sized by the memory of the node{of} and not by the limit."
        fixes = _capping_fixes(case, program, size)
        yield Candidate("program memory", clause, more, told=True, fixes=fixes, evidence=evidence)
    elif size >= limit * _NEARLY_ALL:
        beside = program.beside or "the rest comes on top"
        more = f"{beside[0].upper()}{beside[1:]}."
        fixes = _capping_fixes(case, program, size)
        yield Candidate("program memory", clause, more, told=True, fixes=fixes, evidence=evidence)
    elif program.blind and told is None:
        more = f"{program.blind[0].upper()}{program.blind[1:]}."
        clause = f"{program.name} may not see the limit and size its {program.area} by the node"
        yield Candidate("limit not seen", clause, more, told=False, fixes=(program_fix(case),))
    elif program.beside:
        clause = f"beside {format_bytes(size)} of {program.area}, {program.beside}"
        look = Fix(f"Look at {program.name} from inside: {program.check}.", actor=Actor.APP)
        yield Candidate("program memory", clause, "", told=False, fixes=(look,))


def _capping_fixes(case: Case, program: Program, size: int) -> tuple[Fix, ...]:
    """Cap the setting; raise the limit first where a smaller cap would lose data that it holds today."""
    capped = program_fix(case)
    if not program.keeps or case.limit.size is None or size > 2 * case.limit.size:
        return (capped,)
    larger = larger_limit(case, int(size / float(program.row["share"])))
    if larger is None:
        return (capped,)
    return (raise_fix(case, larger, f", above what {program.setting} allows: nothing that it holds is lost."), capped)
