"""The kernel killed a process of the container at a memory limit.

Meaning: memory use reached the limit of a cgroup: the container's own, the pod's, or the whole node where no limit
is nearer. With exit code 137 the main process died; with any other code a child was killed and the main process
ended by itself afterwards, or was stopped later in the same instance.

Told by: the reason OOMKilled, which the runtime sets when the kernel reported an OOM kill in the container's cgroup,
at whatever level. Whose limit it was is argued as in oom-budget, which says the same: the kernel's own line, the limit
against what the node has, other pods killed in the same minute; where nothing decides it is "likely". The limit in
force is that of status.resources (a container can be resized in place); exit code 137 without the reason is no proof
(see KilledBySignal). A language runtime that gives up by itself is RuntimeOutOfMemory.

Fix: what the data tells first (a server's cache, workers per CPU of the node, files in a memory-backed volume, a
runtime that does not see its limit), then the limit. 'kubectl oom-budget' adds up what the container may take.

Source: containerd internal/cri/server/events.go (TaskOOM), kubelet memory.oom.group since 1.28, singleProcessOOMKill
(1.32), KEP-1287 (status.resources), KEP-2837 (pod-level resources).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, RuledOut, Severity
from kubetriage.needs import Need
from kubetriage.readers.pods import Container
from kubetriage.readers.terminations import Termination
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text

CODE = "OOMKilled"

_LEVELS = {"container": "container limit", "pod": "pod limit", "node": "node"}
"""Values of ``killedBy`` in this command's JSON contract."""


def needs(case: Case) -> Iterator[Need]:
    """Ask for what explains a kill: the node and its events, variables, and the node's pods where a limit is large."""
    for container in case.containers:
        if any(
            end is not None and end.reason == CODE for end in (container.current_termination, container.termination)
        ):
            from kubetriage.rules.memory.case import kill_needs  # the memory model is not loaded for other crashes

            yield from kill_needs(case.snapshot, container)


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose newest instance saw an OOM kill."""
    for container in case.containers:
        end = container.termination
        if end is None or end.reason != "OOMKilled":
            continue
        counted_as_success = (
            container.kind == "init" and end.exit_code == 0 and container.current_termination is not None
        )
        # A killed child hides even in a pod that succeeded.
        hidden = case.pod.phase == "Succeeded" and container.kind != "ephemeral"
        if case.crash(container) is None and not hidden:
            continue
        yield _finding(case, container, end, counted_as_success or hidden)


def _finding(case: Case, container: Container, end: Termination, harmless: bool) -> Finding:
    from kubetriage.rules.memory.case import Case as MemoryCase
    from kubetriage.rules.memory.oom_kill_report import OomKillReport

    memory = MemoryCase(container, case.snapshot)
    kill = next(k for k in memory.kills if k.end.at == end.at)
    report = OomKillReport(memory, kill)
    evidence = list(report.evidence())
    asked, own = text(container.spec, "resources", "limits", "memory"), container.memory_limit
    if own is None and kill.killed_by == "node":
        evidence.append(container.fact("spec", "resources.limits.memory", "<none>"))
    if own is not None and asked and asked != own[0]:
        evidence.append(container.fact("spec", "resources.limits.memory", f"{asked} (not in force yet)"))
    if end.exit_code != 137:
        evidence.extend(_group_kill(case))
    twin = container.last_termination if container.current_termination is not None else None
    if twin is not None and twin.reason == CODE:
        evidence.append(twin.evidence())
    return Finding(
        CODE,
        Severity.WARNING if harmless else Severity.ERROR,
        kill.confidence,
        container.ref,
        report.message(),
        tuple(evidence),
        (*_main_survived(end), *report.rivals()),
        report.fixes(),
        (
            kubectl("oom-budget", f"pod/{case.pod.name}", namespace=case.pod.namespace),
            kubectl("top", "pod", case.pod.name, "--containers", namespace=case.pod.namespace),
        ),
        {**report.details(), "killedBy": _LEVELS[kill.killed_by]},
    )


def _group_kill(case: Case) -> Iterator[Evidence]:
    """Explain how a child alone can be killed on this node."""
    version = text(case.node.obj, "status", "nodeInfo", "kubeletVersion")
    match = re.match(r"v?1\.(\d+)", version)
    if match is None:
        return
    # Since 1.28 the kubelet sets memory.oom.group on cgroup v2; 1.32 added singleProcessOOMKill to turn it off.
    if int(match[1]) >= 28:
        words = f"{version}: one process alone is killed on cgroup v1 or with singleProcessOOMKill; else all are"
    else:
        words = f"{version}: the kernel kills one process, not the whole container"
    yield Evidence("status", f"node/{case.pod.node} kubeletVersion", words)


def _main_survived(end: Termination) -> Iterator[RuledOut]:
    code = end.exit_code
    if code != 137:
        yield RuledOut(
            "KilledBySignal", f"the main process was not killed: exit code {code} is its own, not 137 (128 + SIGKILL)"
        )
