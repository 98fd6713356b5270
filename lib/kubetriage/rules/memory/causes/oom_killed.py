"""The kernel killed a process of the container because memory ran out at a limit or on the node.

Meaning: reclaim failed at a memory limit, and the kernel killed. The details' ``killedBy`` says whose limit it was:
the container's, the pod's, or the node's own memory.

Told by: ``state`` or ``lastState.terminated.reason`` OOMKilled, never by exit code 137 alone (a probe, a deletion or
an eviction ends with 137 too, then with reason Error). Exit code 137 means that PID 1 itself was killed; with 0, 143
or another code only a child of it was, at some time in that instance. runc's "container init was OOM-killed" tells of
a kill before the program started. No limit on container and pod, a SystemOOM event, or the kernel's "Out of memory:
Killed process" (without "cgroup") at that moment mean the node. The budget says which area of memory can pass the
limit.

Fix: make the budget close: a smaller heap or smaller caps under this limit, or the smallest limit for these flags. A
kill by the node is not cured by a limit: raise the request so that the node is not overcommitted.

Source: containerd sets the reason from the cgroup's oom_kill counter; kubelet ``kuberuntime_container_linux.go``
(memory limit of the cgroup, memory.oom.group) and ``oom_watcher_linux.go`` (SystemOOM).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.memory.budget import Budget, exact, mebibytes
from kubetriage.rules.memory.budget_fixes import closing_fixes
from kubetriage.rules.memory.case import AT_LIMIT, Case, sample_before
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.oom_kills import Kill
from kubetriage.values.times import format_time, human_duration, precise_duration

CODE = "OOMKilled"

_LAST_STATES = "{.status.containerStatuses[*].lastState}"
_STABLE_AFTER = timedelta(days=1)
_AT_START = timedelta(seconds=10)
_LEAST_LIMIT = 16 * MIB
"""runc needs about 6 MiB to start a process; room for a small program beside it."""


def check(case: Case) -> Iterator[Finding]:
    """Report the newest OOM kill of the container."""
    kill = case.recent_kill
    if kill is None:
        return
    evidence = list(kill.evidence)
    limit = case.budget.limit if case.wishes.limit is None else None
    if limit is not None and limit.size is not None:
        evidence.append(Evidence("status" if "status." in limit.source else "spec", limit.source, exact(limit.size)))
    evidence += _memory_at_death(case, kill)
    blamed = case.budget.blamed
    if blamed is not None and kill.killed_by != "node":
        evidence.append(
            Evidence("config", blamed.name, f"may take {mebibytes(blamed.counted)}: {blamed.ceiling.source}")
        )
    yield Finding(
        cause=CODE,
        severity=_severity(case, kill),
        confidence=kill.confidence,
        object=case.ref,
        message=_message(case, kill),
        evidence=tuple(evidence),
        ruled_out=tuple(_ruled_out(kill)),
        fix=tuple(_fixes(case, kill)),
        verify=(f"kubectl -n {case.pod.namespace} get pod {case.pod.name} -o jsonpath='{_LAST_STATES}'",),
        details={"killedBy": kill.killed_by},
    )


def _severity(case: Case, kill: Kill) -> Severity:
    ended = kill.end.finished
    if case.container.running and case.container.ready and ended is not None and case.now - ended > _STABLE_AFTER:
        return Severity.WARNING
    return Severity.ERROR


def _message(case: Case, kill: Kill) -> str:
    name, limit = case.container.name, case.budget.limit
    who = {
        "container": f"at its own memory limit of {exact(limit.size or 0)}",
        "pod": f"at the pod's memory limit of {exact(limit.size or 0)}",
        "node": "because the node ran out of memory",
    }[kill.killed_by]
    if limit.level == "what-if":
        who = {"container": "at its own memory limit", "pod": "at the pod's memory limit"}.get(kill.killed_by, who)
    if kill.main_process:
        words = f"The kernel killed container {name} {who}"
    else:
        code = "unknown" if kill.end.exit_code is None else kill.end.exit_code
        words = f"The kernel killed a child process of container {name} {who}; PID 1 ended later with exit code {code}"
    life = kill.end.lifetime
    if kill.before_start:
        return words + " before its program started: the runtime itself needs a few MiB to start it."
    if kill.main_process and life is not None and life <= _AT_START:
        words += f", {precise_duration(life)} after its start" if life else ", at once after its start"
    words += f" ({kill.because})" if kill.killed_by == "node" else _at_fault(case.budget)
    return words + "."


def _at_fault(budget: Budget) -> str:
    """Name the area that can pass the limit, or else what the areas add up to."""
    blamed, heap = budget.blamed, budget.heap
    if blamed is not None:
        return f"; {blamed.name} alone may take {mebibytes(blamed.counted)}"
    if budget.ceiling is None or budget.margin is None or budget.margin >= 0:
        return ""
    words = f"; its memory areas together may take {mebibytes(budget.ceiling)}"
    if heap is not None and heap.ceiling.size:
        words += f", {mebibytes(heap.ceiling.size)} of it {heap.name}"
    if budget.unbounded:
        words += f"; no flag caps {' and '.join(budget.unbounded)}"
    return words


def _memory_at_death(case: Case, kill: Kill) -> Iterator[Evidence]:
    if kill.resident_at_death is not None and kill.event is not None:
        at = format_time(kill.event.last) if kill.event.last else ""
        value = f"{mebibytes(kill.resident_at_death)} resident (anon-rss + shmem-rss) when the kernel killed it"
        yield Evidence("event", kill.event.reason, value, at)
    peak, limit = case.usage.peak, case.limit.size
    if peak is not None and limit is not None and kill.killed_by != "node" and peak.size >= limit * AT_LIMIT:
        value = f"{mebibytes(peak.size)} at the peak, page cache included: it met the limit"
        yield Evidence("metric", peak.source, value)
    before = sample_before(case, kill.end.finished)
    if before is not None:
        size, gap = before
        sample = case.usage.working_set
        source = sample.source if sample is not None else ""
        value = f"{mebibytes(size)} working set {human_duration(gap)} before the kill; what came after was not sampled"
        yield Evidence("metric", source, value)


def _ruled_out(kill: Kill) -> Iterator[RuledOut]:
    recorded = (
        "runc's words tell of an OOM kill" if kill.before_start else "the recorded reason is OOMKilled, not Error"
    )
    yield RuledOut("KilledBySignal", f"{recorded} ({kill.because})")


def _sizes_fix(case: Case) -> Fix:
    """Advise where areas are too large together and no flag of a runtime closes the budget (memory-backed volumes)."""
    largest = max(case.budget.areas, key=lambda a: a.counted)
    words = (
        f"Lower {largest.name} ({mebibytes(largest.counted)}, {largest.ceiling.source}), or raise the memory limit of "
        f"container {case.container.name} above {mebibytes(case.budget.ceiling or 0)} and what the program needs."
    )
    return case.template_fix(words, None)


def _fixes(case: Case, kill: Kill) -> Iterator[Fix]:
    if kill.killed_by == "node":
        request = case.budget.request.size
        has = f"now {exact(request)}" if request else "now none"
        yield case.template_fix(
            f"Set the memory request of container {case.container.name} to what it really uses ({has}) and give it a "
            "limit, so that the scheduler does not overcommit the node.",
            None,
        )
        return
    over = case.budget.margin is not None and case.budget.margin < 0
    limit = case.budget.limit.size
    if kill.before_start:
        resources: dict[str, object] = {"resources": {"limits": {"memory": f"{_LEAST_LIMIT // MIB}Mi"}}}
        known = not over and (limit is None or limit < _LEAST_LIMIT)
        if known:
            words = f"Raise the memory limit of container {case.container.name} to {mebibytes(_LEAST_LIMIT)} or more."
            yield case.template_fix(words, resources)
            return
    if over:
        closing = tuple(closing_fixes(case))
        yield from closing or (_sizes_fix(case),)
        return
    words = "Find out what it needs before choosing a limit: "
    if case.budget.model is None:
        words += "its runtime is not known, so its own options (--runtime says which) or its peak under load must tell."
    elif case.budget.margin is None:
        open_areas = [a.name for a in case.budget.areas if a.ceiling.size is None]
        words += (
            f"nothing seen here bounds or tells the size of {', '.join(open_areas) or 'its areas'}; measure its peak."
        )
    else:
        words += "by its flags it fits, so the rest (native memory, page cache of tmpfs, child processes) took it."
    if limit is not None and kill.confidence is not Confidence.POSSIBLE:
        words += f" Until then a limit above {exact(limit)} only postpones the next kill if it leaks."
    yield case.template_fix(words, None)
