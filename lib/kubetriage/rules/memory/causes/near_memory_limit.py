"""The container uses nearly all of its memory limit now.

Meaning: at the next peak the kernel reclaims what it can and then kills. Working set counts reclaimable file pages
too, so a share of it may be harmless: anonymous memory (rssBytes) tells how much is not.

Told by: a working set of at least 90 % of the limit in force. With anonymous memory below half of the limit it is a
note: the rest is page cache or files in memory. Where the kubelet gave no rssBytes it is likely.

Fix: find what grows, or raise the limit before the kernel decides; a container that was killed before, or that grows
between two looks of --watch, meets it soon.

Source: cAdvisor setMemoryStats (working set is usage less inactive_file), kernel Documentation/admin-guide/cgroup-v2.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_fixes import human_limit, most_limit
from kubetriage.rules.memory.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.quantity import format_bytes

CODE = "NearMemoryLimit"

_NEAR = 0.9
_ANONYMOUS = 0.5
_ROOM = 1.3
"""A new limit leaves this much above what is in use."""


def check(case: Case) -> Iterator[Finding]:
    """Compare the working set with the limit in force."""
    sample, limit = case.usage.working_set, case.limit.size
    if sample is None or limit is None or sample.size < limit * _NEAR or not case.container.running:
        return
    if case.wishes.limit is not None:
        return
    rss = case.usage.rss
    cache = rss is not None and rss.size < limit * _ANONYMOUS
    words = (
        f"Container {case.container.name} uses {mebibytes(sample.size)} of {exact(limit)} ({sample.size / limit:.0%})"
    )
    if cache and rss is not None:
        words += f", but only {mebibytes(rss.size)} of it are anonymous: the rest is page cache, which is taken back"
    evidence = [Evidence("metric", sample.source, f"working set {mebibytes(sample.size)}")]
    evidence.append(Evidence("spec", case.budget.limit.source, exact(limit)))
    if rss is not None:
        evidence.append(Evidence("metric", rss.source, f"rssBytes {mebibytes(rss.size)}"))
    yield Finding(
        cause=CODE,
        severity=Severity.NOTE if cache else Severity.WARNING,
        confidence=Confidence.CONFIRMED if rss is not None else Confidence.LIKELY,
        object=case.ref,
        message=f"{words}.",
        evidence=tuple(evidence),
        fix=() if cache else tuple(_fixes(case, sample.size)),
        verify=(kubectl("top", "pod", case.pod.name, "--containers", namespace=case.pod.namespace),),
    )


def _fixes(case: Case, used: int) -> Iterator[Fix]:
    larger, most = human_limit(int(used * _ROOM)), most_limit(case)
    words = f"Find what grows in container {case.container.name}"
    if most is not None and larger > most:
        yield case.template_fix(f"{words}: its node has {format_bytes(most)} for all pods, so no limit helps.", None)
        return
    yield case.template_fix(
        f"Raise the memory limit of container {case.container.name} to {exact(larger)} before the next peak, unless it "
        "grows without end.",
        {"resources": {"limits": {"memory": exact(larger)}}},
    )
