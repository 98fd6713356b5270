"""The request is far below the limit, so the node may be overcommitted and this pod goes first.

Meaning: the scheduler reserves the request only. Under memory pressure the kubelet evicts pods above their request
first, and the kernel's OOM score falls with the request.

Told by: limit at least twice the request and 128 MiB above it; a working set above the request makes it a warning,
otherwise it is a note.

Fix: raise the request to what it really uses.

Source: kubelet ``eviction/helpers.go`` rankMemoryPressure, ``qos/policy.go`` GetContainerOOMScoreAdjust.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.rules.memory import node_memory
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB

CODE = "OvercommitRisk"

_RATIO = 2
_GAP = 128 * MIB


def check(case: Case) -> Iterator[Finding]:
    """Compare request, limit and usage."""
    limit, request = case.budget.limit.size, case.budget.request.size or 0
    if limit is None or case.container.kind not in ("app", "sidecar") or case.pod.finished:
        return
    if limit < _RATIO * request or limit - request < _GAP:
        return
    used = case.budget.total_observed
    above = used.size is not None and used.size > request
    evidence = [
        Evidence("spec", case.budget.request.source, exact(request) if request else "<none>"),
        Evidence("spec", case.budget.limit.source, exact(limit)),
    ]
    asked = exact(request) if request else "no memory"
    words = f"Container {case.container.name} requests {asked} but may use {exact(limit)}"
    if used.size is not None:
        evidence.append(Evidence("metric", used.source, mebibytes(used.size)))
    if above and used.size is not None:
        words += f"; it uses {mebibytes(used.size)} now, so memory pressure on the node evicts it first"
    wanted = used.size if used.size is not None else case.budget.expected
    spec: dict[str, object] | None = None
    does = "uses" if used.size is not None else "is expected to use"
    advice = f"Raise the memory request of container {case.container.name} to what it {does}"
    if wanted is not None and request < wanted <= limit:
        size = f"{-(-wanted // MIB)}Mi"
        spec = {"resources": {"requests": {"memory": size}}}
        advice += f": {size}"
        capacity = node_memory.node_memory(case.node.obj)
        before = node_memory.oom_score_adj(case.container, capacity)
        after = node_memory.oom_score_adj(case.container, capacity, wanted)
        if before is not None and after is not None and before != after:
            advice += f" (oom_score_adj about {before} becomes about {after})"
    yield Finding(
        cause=CODE,
        severity=Severity.WARNING if above else Severity.NOTE,
        confidence=Confidence.CONFIRMED if above else Confidence.LIKELY,
        object=case.ref,
        message=words + ".",
        evidence=tuple(evidence),
        fix=(case.template_fix(advice + ".", spec),),
        verify=case.verify_budget,
    )
