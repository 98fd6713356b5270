"""The kernel killed a process of the container at a memory limit.

Meaning: memory use reached the limit of a cgroup: the container's own, the pod's, or the whole node where no limit
is nearer. With exit code 137 the main process died; with any other code a child was killed and the main process
ended by itself afterwards, or was stopped later in the same instance.

Told by: the reason OOMKilled, which the runtime sets when the kernel reported an OOM kill in the container's cgroup.
The limit in force is that of status.resources (a container can be resized in place); exit code 137 without the
reason is no proof (see KilledBySignal). A language runtime that gives up by itself is RuntimeOutOfMemory.

Fix: find out what the memory is for ('kubectl oom-budget' adds it up), then lower it or raise the limit. A pod-level
limit is shared by all containers of the pod; without any limit the node's memory is the limit.

Source: containerd internal/cri/server/events.go (TaskOOM), kubelet memory.oom.group since 1.28, singleProcessOOMKill
(1.32), KEP-1287 (status.resources), KEP-2837 (pod-level resources).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.pods import Container
from kubetriage.readers.terminations import Termination
from kubetriage.rules.crash.case import Case
from kubetriage.values.fields import text
from kubetriage.values.quantity import format_bytes, format_mebibytes, parse_bytes

CODE = "OOMKilled"


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
    own = container.memory_limit
    shared = text(case.pod.raw, "spec", "resources", "limits", "memory")
    own_bytes, pod_bytes = parse_bytes(own[0]) if own else None, parse_bytes(shared)
    by_pod = pod_bytes is not None and (own_bytes is None or pod_bytes <= own_bytes)
    evidence = [end.evidence()]
    fixes: list[Fix] = []
    if by_pod:
        where, killed_by = f"the pod's memory limit {shared}, which all its containers share", "pod limit"
        evidence.append(case.pod.fact("spec", "spec.resources.limits.memory", shared))
    elif own is not None:
        where, killed_by = f"its memory limit {own[0]}", "container limit"
        evidence.append(own[1])
    else:
        where, killed_by = "the node's memory (the container has no memory limit)", "node"
        evidence.append(container.fact("spec", "resources.limits.memory", "<none>"))
    asked = text(container.spec, "resources", "limits", "memory")
    if own is not None and asked and asked != own[0]:
        evidence.append(container.fact("spec", "resources.limits.memory", f"{asked} (not in force yet)"))
    if end.exit_code != 137:
        evidence.extend(_group_kill(case))
    twin = container.last_termination if container.current_termination is not None else None
    if twin is not None and twin.reason == CODE:
        evidence.append(twin.evidence())
    limit = pod_bytes if by_pod else own_bytes
    if limit is not None and limit > 0:
        larger = format_mebibytes(limit * 2)
        spec = (
            {"resources": {"limits": {"memory": larger}}}
            if by_pod
            else container.patch({"resources": {"limits": {"memory": larger}}})
        )
        whose = "the pod" if by_pod else f"container {container.name}"
        fixes.append(
            case.template_fix(
                f"Lower the memory use of {container.name}, or raise {whose}'s memory limit in "
                f"{case.workload_name} above {format_bytes(limit)} (to {larger} while you measure); "
                f"'kubectl oom-budget pod/{case.pod.name}' adds up what it needs.",
                spec,
            )
        )
    else:
        fixes.append(
            Fix(
                f"Set a memory request and limit for container {container.name} in {case.workload_name} that match "
                f"what it uses, so that it neither starves the node nor is the first to be killed."
            )
        )
    message, confidence, ruled_out = _words(container, end, where)
    return Finding(
        CODE,
        Severity.WARNING if harmless else Severity.ERROR,
        confidence,
        container.ref,
        message,
        tuple(evidence),
        ruled_out,
        tuple(fixes),
        (
            f"kubectl oom-budget -n {case.pod.namespace} pod/{case.pod.name}",
            case.kubectl(f"top pod {case.pod.name} --containers"),
        ),
        {"killedBy": killed_by},
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


def _words(container: Container, end: Termination, where: str) -> tuple[str, Confidence, tuple[RuledOut, ...]]:
    name, code = container.name, end.exit_code
    if code == 137:
        return f"The kernel killed {name} at {where}.", Confidence.CONFIRMED, ()
    main_survived = RuledOut(
        "KilledBySignal", f"the main process was not killed: exit code {code} is its own, not 137 (128 + SIGKILL)"
    )
    if code == 0:
        after = (
            "the init container counts as succeeded all the same"
            if container.kind == "init"
            else "and the main process then ended by itself with exit code 0"
        )
        return (
            f"The kernel killed a child process of {name} at {where}; {after}.",
            Confidence.CONFIRMED,
            (main_survived,),
        )
    if code == 143:
        return (
            f"A process of {name} was killed at {where}, but the container itself ended by SIGTERM: it was stopped "
            "later in the same instance.",
            Confidence.CONFIRMED,
            (main_survived,),
        )
    return (
        f"The kernel killed a child process of {name} at {where}; the main process then ended with exit code {code}.",
        Confidence.CONFIRMED,
        (main_survived,),
    )
