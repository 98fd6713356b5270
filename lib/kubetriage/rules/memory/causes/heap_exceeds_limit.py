"""The heap alone may grow past the container's memory limit.

Meaning: the runtime does not collect hard before its heap is at its maximum, and the kernel kills before that.

Told by: the ceiling of the main area (``-Xmx``, V8's old generation, .NET's hard limit) above the limit in force.

Fix: the largest heap that fits under this limit with everything beside it, or the smallest limit for this heap.

Source: HotSpot ergonomics (JDK 8 to 25, measured), V8 heap limits, .NET GCHeapHardLimit.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, Severity
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_fixes import closing_fixes
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.runtime_advice import oversized_heap_fixes

CODE = "HeapExceedsLimit"


def check(case: Case) -> Iterator[Finding]:
    """Compare the main area with the limit."""
    budget, heap = case.budget, case.budget.heap
    limit = budget.limit.size
    if heap is None or limit is None or heap.ceiling.size is None or heap.ceiling.size <= limit:
        return
    evidence = [
        Evidence("config", heap.name, f"{mebibytes(heap.ceiling.size)}: {heap.ceiling.source}"),
        Evidence("spec", budget.limit.source, exact(limit)),
    ]
    initial = case.touched_at_start
    if initial is not None and initial[0] > limit:
        evidence.append(
            Evidence("config", "AlwaysPreTouch", f"{mebibytes(initial[0])} are touched at start: {initial[1]}")
        )
    yield Finding(
        cause=CODE,
        severity=Severity.WARNING,
        confidence=case.budget_confidence,
        object=case.ref,
        message=f"The {heap.name} of container {budget.container} may grow to {mebibytes(heap.ceiling.size)}, "
        f"more than its whole memory limit of {exact(limit)}.",
        evidence=tuple(evidence),
        fix=closing_fixes(case) or oversized_heap_fixes(case),
        verify=case.verify_budget,
    )
