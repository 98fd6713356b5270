"""Advice for a program that ended because it got no more memory: its case and its line in, fixes out, for both plugins.

Some programs compare what they need with the limit and give up; others ask the system for more than it gives at once.
At its limit a container is killed and nothing is refused, so a refusal is a request beyond all memory, or an rlimit.
"""

from __future__ import annotations

from kubetriage.model import Actor, Fix
from kubetriage.rules.last_memory_words import REFUSED
from kubetriage.rules.memory.budget import exact
from kubetriage.rules.memory.budget_fixes import larger_limit, raise_fix
from kubetriage.rules.memory.case import Case
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import format_bytes

_ASKED = lazy(
    r"(?i)(?:needed|allocat\w{1,6}|at least|size|requires?)[^\n\d]{0,40}(\d+(?:\.\d+)?) ?"
    r"(bytes|[kmgt]i?b|megabytes|gigabytes)?\b"
)
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
_OWN_LIMIT = lazy(r"(?i)\blimit\b|\bmaximum\b|at least|\brequire|\bphysical\b|exhausted|\bused\)|\bavailable\b")
"""The program compared what it needs with what it may use."""


def asked(line: str) -> int | None:
    """Return the bytes that a line says were asked for; None where it names no number."""
    match = _ASKED.search(line)
    if match is None:
        return None
    power = _POWERS.get((match[2] or "b").lower()[0], 0)
    size = int(float(match[1]) * 1024**power)
    return size if 2**20 <= size < 2**50 else None


def refused_fixes(case: Case, line: str) -> tuple[Fix, ...]:
    """Return what helps: a limit that holds what is asked for, a smaller request, or a look at what refuses it."""
    size, limit = asked(line), case.limit.size
    own = bool(_OWN_LIMIT.search(line))
    if limit is None and own and size is not None:
        return (_on_larger_node(case, size), Fix(REFUSED, actor=Actor.NODE))
    if limit is None:
        return (Fix(REFUSED, actor=Actor.NODE),)
    if not own and (size is None or size < limit):
        larger = larger_limit(case, 2 * limit)
        words = " if it had nearly filled it when it ended (its metrics tell)."
        raised = (raise_fix(case, larger, words),) if larger is not None else ()
        return (*raised, Fix(REFUSED, actor=Actor.NODE))
    larger = larger_limit(case, max(2 * limit if own else limit, (size or 0) * 5 // 4))
    wants = f": it asks for {format_bytes(size)}, the limit is {exact(limit)}" if size and size >= limit else ""
    less = "et it ask for less: smaller batches, fewer threads, a smaller cache"
    if larger is None:
        return (Fix(f"L{less}{wants}. Its node holds no larger limit.", actor=Actor.APP),)
    return (raise_fix(case, larger, f"{wants}. Or l{less}."),)


def _on_larger_node(case: Case, size: int) -> Fix:
    """Ask for what a container without a limit wants, so that the scheduler finds it a node that has it."""
    wanted = f"{-(-size * 9 // 8 // 2**20)}Mi"
    return case.template_fix(
        f"{case.container.name} has no limit, so its node is too small for it: request {wanted} of memory, so that it "
        "comes to a node that has as much free.",
        case.container.patch({"resources": {"requests": {"memory": wanted}}}),
    )
