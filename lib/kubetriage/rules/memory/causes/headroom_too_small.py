"""The budget closes on paper, with less room than wanted.

Meaning: malloc slack, JNI libraries, symbols and page cache of tmpfs stand in no flag; they must fit into what the
ceilings leave.

Told by: limit less the sum of the ceilings, compared with ``--margin`` (1 % of the limit and at least 16 MiB where
nothing was stated; then it is a note only).

Fix: a slightly smaller heap or a slightly larger limit; ``--margin`` makes the proposals keep the room.

Source: the same sums as BudgetExceedsLimit.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, Severity
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_fixes import proposal_fixes
from kubetriage.rules.memory.case import Case

CODE = "HeadroomTooSmall"


def check(case: Case) -> Iterator[Finding]:
    """Compare the margin with the wanted one."""
    budget = case.budget
    if budget.limit.size is None or budget.margin is None or not budget.solvable:
        return
    if not 0 <= budget.margin < budget.wanted_margin:
        return
    stated = case.wishes.margin.stated
    yield Finding(
        cause=CODE,
        severity=Severity.WARNING if stated else Severity.NOTE,
        confidence=case.budget_confidence,
        object=case.ref,
        message=f"The budget of container {budget.container} closes with {mebibytes(budget.margin)} to spare of "
        f"{exact(budget.limit.size)}; {mebibytes(budget.wanted_margin, up=True)} are wanted.",
        evidence=(
            Evidence("spec", budget.limit.source, exact(budget.limit.size)),
            Evidence("config", "sum of the ceilings", mebibytes(budget.ceiling or 0)),
        ),
        fix=tuple(proposal_fixes(case, "heap", "limit")) if stated else (),
        verify=case.verify_budget,
    )
