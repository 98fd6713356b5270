"""Where a container's memory goes, and who killed it.

A rule is a module with ``CODE``, a docstring that is its manual page, and ``check(case)``.
"""

from __future__ import annotations

from types import ModuleType

from kubetriage.rules.memory.causes import (
    budget_exceeds_limit,
    child_oom_killed,
    headroom_too_small,
    heap_exceeds_limit,
    near_memory_limit,
    no_memory_limit,
    oom_killed,
    overcommit_risk,
    runtime_out_of_memory,
    use_above_budget,
)

RULES: tuple[ModuleType, ...] = (
    # What happened goes before what may happen.
    oom_killed,
    runtime_out_of_memory,
    child_oom_killed,
    # What is in use now.
    near_memory_limit,
    # Why the budget does not close, the worst first.
    heap_exceeds_limit,
    budget_exceeds_limit,
    headroom_too_small,
    use_above_budget,
    # Who else suffers.
    no_memory_limit,
    overcommit_risk,
)


def all_rules() -> tuple[ModuleType, ...]:
    """Return every rule module once, in the order of the documentation."""
    return RULES
