"""The areas of the process together may take more than the container's memory limit.

Meaning: no single area is too large, but if each used what its flag or default allows, the kernel would kill. It
often runs for weeks, until a load peak fills two areas at once.

Told by: the sum of the ceilings (heap, metaspace, direct buffers, code cache, stacks, the collector's structures,
memory-backed volumes) above the limit in force; an area without any cap counts with what is expected of it.

Fix: one of three: the largest heap for this limit, the smallest limit for these flags, or caps on the smaller areas.

Source: HotSpot defaults of JDK 8 to 25 and the collectors' native structures, measured with native memory tracking.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.rules.memory import unit_slips
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_fixes import closing_fixes
from kubetriage.rules.memory.case import Case

CODE = "BudgetExceedsLimit"

LEAST_PROCESS = 2 * 1024**2
"""Bytes: less does not hold runc's first process, whatever the program; such a limit is a slip in the unit."""


def check(case: Case) -> Iterator[Finding]:
    """Compare the sum of the ceilings with the limit."""
    budget, limit = case.budget, case.budget.limit.size
    heap = budget.heap
    if limit is not None and limit < LEAST_PROCESS and not case.wishes.limit:
        yield _slip(case, limit)
        return
    if limit is None or budget.ceiling is None or budget.margin is None or budget.margin >= 0:
        return
    if heap is not None and heap.ceiling.size is not None and heap.ceiling.size > limit:
        return  # HeapExceedsLimit says it better
    expected = budget.expected
    fits = ""
    if expected is not None:
        fits = f" What is expected of it, {mebibytes(expected)}, " + (
            "fits." if expected <= limit else "does not fit either."
        )
    largest = sorted((a for a in budget.areas if a.counted), key=lambda a: -a.counted)[:4]
    yield Finding(
        cause=CODE,
        severity=Severity.WARNING,
        confidence=case.budget_confidence,
        object=case.ref,
        message=f"Container {budget.container} may take {mebibytes(budget.ceiling)}, "
        f"{mebibytes(-budget.margin, up=True)} more than its memory limit of {exact(limit)}.{fits}",
        evidence=(
            Evidence("spec", budget.limit.source, exact(limit)),
            *(Evidence("config", a.name, f"{mebibytes(a.counted)}: {a.ceiling.source}") for a in largest),
        ),
        fix=closing_fixes(case),
        verify=case.verify_budget,
    )


def _slip(case: Case, limit: int) -> Finding:
    """Report a limit that no process fits in; ``m`` behind a number means thousandths of a byte."""
    slip = unit_slips.slip(case)
    told = case.container.memory_limit
    words = slip.written if slip is not None else told[0] if told is not None else exact(limit)
    message = f"The memory limit {words} of container {case.container.name} is too small for any process"
    message += f"; {slip.clause}." if slip is not None else "."
    fix = unit_slips.fix(case, slip) if slip is not None else None
    return Finding(
        cause=CODE,
        severity=Severity.ERROR,
        confidence=Confidence.CONFIRMED,
        object=case.ref,
        message=message,
        evidence=(Evidence("spec", case.budget.limit.source, words),),
        fix=(fix or case.template_fix("Set the limit to what the program needs, with unit Mi or Gi.", None),),
        verify=case.verify_budget,
    )
