"""A running pod was to get other requests or limits in place, and its kubelet does not give them.

Meaning: the containers go on with the resources that they had. A resize that is infeasible never comes on this node; a
deferred one comes when the node has room; one that failed is tried again.

Told by: the conditions PodResizePending (Infeasible, Deferred) and PodResizeInProgress (Error) that the kubelet sets;
what is asked (spec) and what is in force (status.resources) stand beside each other.

Fix: ask for what the node has, or move the pod: its workload's template must carry the new size, since a new pod gets
the template's. For a deferred resize, room on the node. A few combinations are never resized in place: static pods,
exclusive CPUs or NUMA memory under a static policy, Windows, swap.

Source: KEP-1287; kubelet pkg/kubelet/allocation and kuberuntime (1.33 to 1.36).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping, text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import format_bytes, format_mebibytes
from kubetriage.values.times import human_duration, parse_time

CODE = "PodResizePending"

# What the kubelet never resizes in place, whatever room there is.
_NEVER = lazy(
    r"static (?:CPU|pod|policy)|CPU [Mm]anager|Memory [Mm]anager|[Ss]wap|[Ww]indows|not supported|feature gate"
)


# kuberuntime doPodResizeAction, 1.34 and later: the kernel would kill at once what uses more than its new limit.
_BELOW_USE = lazy(r"memory limit \((\d{1,19})\) below current usage \((\d{1,19})\)")
_ROOM, _STEP = 1.25, 2**27
"""A limit at the very use leaves no room; limits are asked for in steps of 128Mi."""


def check(case: Case) -> Iterator[Finding]:
    """Report a resize that waits or fails."""
    pod = case.pod
    pending, running = pod.condition("PodResizePending"), pod.condition("PodResizeInProgress")
    if text(pending, "status") == "True":
        reason = text(pending, "reason")
        yield _finding(case, "PodResizePending", reason, text(pending, "message"), text(pending, "lastTransitionTime"))
    elif text(running, "status") == "True" and text(running, "reason") == "Error":
        yield _finding(
            case, "PodResizeInProgress", "Error", text(running, "message"), text(running, "lastTransitionTime")
        )


def _changes(case: Case) -> list[tuple[str, Evidence]]:
    """Return what each container asks for and has, where the two differ."""
    found = []
    for container in case.containers:
        asked, given = mapping(container.spec, "resources"), mapping(container.status, "resources")
        for field in ("requests", "limits"):
            for name, amount in mapping(asked, field).items():
                has = mapping(given, field).get(name)
                if has is not None and str(has) != str(amount):
                    words = f"{container.name} {field}.{name} {has} -> {amount}"
                    found.append((words, container.fact("spec", f"resources.{field}.{name}", f"{amount}, has {has}")))
    return found


def _finding(case: Case, condition: str, reason: str, said: str, since: str) -> Finding:
    pod = case.pod
    changes = _changes(case)
    asked = f" ({'; '.join(words for words, _ in changes[:3])})" if changes else ""
    began = parse_time(since)
    age = f" for {human_duration(case.now - began)}" if began is not None else ""
    what = {
        "Infeasible": f"The resize of {pod.name}{asked} never happens on node {pod.node}: {said or 'no reason given'}",
        "Deferred": f"The resize of {pod.name}{asked} has waited{age} for room on node {pod.node}: {said}",
    }.get(reason, f"The resize of {pod.name}{asked} fails{age}: {said or reason}")
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.CONFIRMED,
        pod.ref,
        f"{what.rstrip('. ')}. Its containers go on with what they had.",
        (
            Evidence("status", f"status.conditions[{condition}]", f"{reason}: {said}".rstrip(": "), since),
            *(line for _, line in changes[:4]),
        ),
        fix=_fixes(case, reason, said),
        verify=(
            kubectl("get", "pod", pod.name, "-o", "jsonpath={.status.conditions}", namespace=pod.namespace),
            kubectl("describe", "node", pod.node),
        ),
    )


def _fixes(case: Case, reason: str, said: str) -> tuple[Fix, ...]:
    pod = case.pod
    delete = kubectl("delete", "pod", pod.name, namespace=pod.namespace)
    move = case.template_fix(
        f"Put the new size into the template of {case.workload_name}, and let its pod be made anew where it fits: a "
        f"new "
        "pod gets the template's size."
        if case.workload.kind != "Pod"
        else "Or make the pod anew with the new size, where it fits: its requests decide about the node.",
        commands=() if case.workload.kind == "Pod" else (delete,),
    )
    below = _BELOW_USE.search(said)
    if below is not None:
        # A new pod with that limit would be killed as soon as it needs as much again.
        wanted = format_mebibytes(-(-int(int(below[2]) * _ROOM) // _STEP) * _STEP)
        keep = Fix(
            f"Keep the memory limit above what it uses ({format_bytes(int(below[2]))}): ask for {wanted} or more, in "
            f"{case.workload_name}, too.",
            actor=Actor.MANIFEST,
            commands=(kubectl("edit", "pod", pod.name, "--subresource=resize", namespace=pod.namespace),),
        )
        less = Fix(
            "If the smaller limit is meant, let the program need less first: a smaller cache, heap or maxmemory. Memory"
            " that it does not give back only goes with a restart.",
            actor=Actor.APP,
        )
        return (keep, less)
    if reason == "Deferred":
        room = Fix(
            f"Make room on node {pod.node}: move other pods from it. The kubelet then resizes by itself, higher "
            f"priority "
            "first.",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "pods", "-A", "--field-selector", f"spec.nodeName={pod.node}", "-o", "wide"),),
        )
        return (room, move)
    if reason == "Infeasible" and not _NEVER.search(said):
        less = Fix(
            f"Ask for no more than node {pod.node} has.",
            actor=Actor.MANIFEST,
            commands=(kubectl("edit", "pod", pod.name, "--subresource=resize", namespace=pod.namespace),),
        )
        return (less, move)
    return (move,)
