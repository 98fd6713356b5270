"""The kernel killed a process of the container because memory ran out at a limit or on the node.

Meaning: reclaim failed at a memory limit, and the kernel killed. The details' ``killedBy`` says whose limit it was:
the container's, the pod's, or the node's own memory.

Told by: ``state`` or ``lastState.terminated.reason`` OOMKilled, never by exit code 137 alone (a probe, a deletion or
an eviction ends with 137 too, then with reason Error). Exit code 137 means that PID 1 itself was killed; with 0, 143
or another code only a child of it was, at some time in that instance. runc's "container init was OOM-killed" tells of
a kill before the program started. No limit on container and pod, a SystemOOM event, or the kernel's "Out of memory:
Killed process" (without "cgroup") at that moment mean the node; so does a limit that the node cannot hand out beside
the requests of its other pods while its limits pass what it has. Where nothing decides it is "likely", and the other
reading stands under what is not ruled out. The budget says which area of memory can pass the limit. Where it closes,
the kill refutes it: then candidates follow, each with the command that tells it from the others (a limit that the
runtime does not see, workers per CPU of the node, a table allocated at the start, files in a memory-backed volume).

Fix: what is out of proportion first (direct memory without a cap, a worker count), then the limit, the heap last;
each asked of the budget again before it is printed. A kill by the node is not cured by a limit: raise the request.

Source: containerd sets the reason from the cgroup's oom_kill counter; kubelet ``kuberuntime_container_linux.go``
(memory limit of the cgroup, memory.oom.group) and ``oom_watcher_linux.go`` (SystemOOM).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Finding, Severity
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.oom_kill_report import OomKillReport
from kubetriage.rules.memory.oom_kills import Kill
from kubetriage.values.commands import kubectl

CODE = "OOMKilled"

_STABLE_AFTER = timedelta(days=1)


def check(case: Case) -> Iterator[Finding]:
    """Report the newest OOM kill of the container."""
    kill = case.recent_kill
    if kill is None:
        return
    report = OomKillReport(case, kill)
    yield Finding(
        cause=CODE,
        severity=_severity(case, kill),
        confidence=kill.confidence,
        object=case.ref,
        message=report.message(),
        evidence=tuple(report.evidence()),
        ruled_out=tuple(report.ruled_out()),
        fix=report.fixes(),
        verify=(kubectl("get", "pod", case.pod.name, namespace=case.pod.namespace),),
        details=report.details(),
    )


def _severity(case: Case, kill: Kill) -> Severity:
    ended = kill.end.finished
    if case.container.running and case.container.ready and ended is not None and case.now - ended > _STABLE_AFTER:
        return Severity.WARNING
    return Severity.ERROR
