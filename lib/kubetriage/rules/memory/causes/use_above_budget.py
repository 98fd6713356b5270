"""The container uses more than flags and defaults allow its runtime together.

Meaning: the budget misses something, and its "closes" is not to be trusted: native libraries, malloc slack, child
processes, a flag that stands where nobody sees it, or a runtime that does not see its limit.

Told by: anonymous memory (rssBytes) above the sum of the ceilings. Working set is not compared: it holds page cache.

Fix: native memory tracking (--nmt) and the process's status (--proc) tell what of it is the runtime's own.

Source: the same sums as BudgetExceedsLimit.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.memory.budget import mebibytes
from kubetriage.rules.memory.case import Case
from kubetriage.values.commands import kubectl

CODE = "UseAboveBudget"
_STATUS = ("cat", "/proc/1/status")


def check(case: Case) -> Iterator[Finding]:
    """Compare anonymous memory with the sum of the ceilings."""
    rss, ceiling, budget = case.usage.rss, case.budget.ceiling, case.budget
    if rss is None or ceiling is None or not budget.solvable or rss.size <= ceiling or case.wishes.what_if:
        return
    name, pod = case.container.name, case.pod
    yield Finding(
        cause=CODE,
        severity=Severity.NOTE,
        confidence=Confidence.CONFIRMED,
        object=case.ref,
        message=f"Container {name} holds {mebibytes(rss.size)} of anonymous memory, more than the "
        f"{mebibytes(ceiling)} that its flags and defaults allow: the budget misses something.",
        evidence=(
            Evidence("metric", rss.source, f"rssBytes {mebibytes(rss.size)}"),
            Evidence("config", "sum of the ceilings", mebibytes(ceiling)),
        ),
        fix=(
            Fix(
                "Read the status of its process, and give it to --proc: Threads and RssAnon tell whether it is this "
                "process or a child.",
                actor=Actor.APP,
                commands=(
                    kubectl("exec", pod.name, "-c", name, "--", "cat", "/proc/1/status", namespace=pod.namespace),
                ),
            ),
        ),
        verify=(kubectl("oom-budget", pod.name, "-c", name, namespace=pod.namespace),),
    )
