"""Nothing bounds the container's memory but the node.

Meaning: a leak in it takes the memory of its neighbours, the node's eviction or OOM killer chooses the victim, and a
runtime that sizes itself by its limit sizes itself by the node.

Told by: no ``limits.memory`` on the container (status and spec) and none on the pod.

Fix: a limit from the budget, or from the observed peak where the runtime is not known.

Source: kubelet ``getMemoryLimit``; LimitRange defaults would stand in the spec, so none applied.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_fixes import proposal_fixes
from kubetriage.rules.memory.case import Case
from kubetriage.values.fields import text

CODE = "NoMemoryLimit"


def check(case: Case) -> Iterator[Finding]:
    """Report a container that runs without a limit."""
    if case.limit.size is not None or case.container.kind not in ("app", "sidecar") or not case.container.spec:
        return
    if case.pod.finished or not case.snapshot.covers(case.pod.raw, "spec.containers.resources"):
        return
    heap = case.budget.heap
    words = f"Container {case.container.name} has no memory limit, on itself or on the pod"
    if heap is not None and heap.ceiling.size is not None:
        words += f"; its {heap.name} may grow to {mebibytes(heap.ceiling.size)}"
    planned = not text(case.pod.raw, "metadata", "uid")
    yield Finding(
        cause=CODE,
        severity=Severity.WARNING,
        # A LimitRange may add a default when the pod is created.
        confidence=Confidence.LIKELY if planned else Confidence.CONFIRMED,
        object=case.ref,
        message=words + ".",
        evidence=tuple(_evidence(case)),
        fix=tuple(_fixes(case)),
        verify=case.verify_budget,
    )


def _evidence(case: Case) -> Iterator[Evidence]:
    yield case.container.fact("spec", "resources.limits.memory", "<none>")
    request = case.budget.request
    if request.size is not None:
        yield Evidence("spec", request.source, exact(request.size))
    observed = case.budget.total_observed
    if observed.size is not None:
        yield Evidence("metric", observed.source, mebibytes(observed.size))


def _fixes(case: Case) -> Iterator[Fix]:
    fixes = tuple(proposal_fixes(case, "limit"))
    if fixes:
        yield from fixes
        return
    yield case.template_fix(
        f"Give container {case.container.name} a memory limit above its peak under load, and a request near it.", None
    )
