"""Fixes of servers that are no JVM: the case of a container in, the setting that caps its memory out."""

from __future__ import annotations

from kubetriage.model import Actor, Fix
from kubetriage.rules.memory.budget import exact
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.program_memory import Program


def program_fix(case: Case, *, at_start: bool = False) -> Fix:
    """Set what caps a server's memory to the share of the limit that leaves room for the rest.

    With ``at_start`` it is about the table that the limit of open files sizes.
    """
    program, limit = case.program, case.limit.size
    assert program is not None
    if limit is None:
        return Fix(f"Give {program.name} a limit, and cap it with {program.setting}.", actor=Actor.MANIFEST)
    size = program.wanted(limit)
    if program.at_start and (at_start or "sizes" not in program.row):
        words = (
            str(program.row.get("start_fix", ""))
            or program.advice
            or f"Lower the limit of open files of container {case.container.name} ({program.setting})."
        )
        return Fix(words, actor=Actor.MANIFEST)
    own = str(program.row.get("fix", "")).format(mib=size // MIB)
    if own:
        return case.template_fix(own, _patch(program, size))
    words = f"Cap {program.setting} of container {case.container.name}: {program.option(size)}"
    words += f" fits {exact(limit)}" + (f", as {program.beside}." if program.beside else ".")
    if program.advice:
        words += f" {program.advice}"
    if program.blind and (program.told is None or program.told.kind == "measured"):
        words += f" {program.blind[0].upper()}{program.blind[1:]}."
    return case.template_fix(words, _patch(program, size))


def _patch(program: Program, size: int) -> dict[str, object] | None:
    if program.env is None:
        return None
    name, form = program.env
    return {"env": [{"name": name, "value": form.format(mib=size // MIB)}]}
