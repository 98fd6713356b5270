"""The pod had to make room for a pod of higher priority.

Meaning: there was no room for a more important pod, and this one was chosen. Its controller makes another, which
waits until there is room.

Told by: the condition DisruptionTarget with reason PreemptionByScheduler, the ``Preempted`` event, or
``status.reason`` Preempting where the kubelet itself made room for a critical pod.

Fix: give the workload a PriorityClass that fits its importance, add nodes, or lower the requests of both.

Source: scheduler plugin DefaultPreemption; kubelet pkg/kubelet/preemption.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.fields import name_of, namespace_of, number, text, uid_of
from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.patterns import lazy
from kubetriage.rules.crash.case import Case

CODE = "Preempted"

# preemption.go: "by pod UID on node N" since 1.28 or so, "by NAMESPACE/NAME on node N" before.
_BY = lazy(r"by (?:pod )?(?P<who>\S+) on node (?P<node>\S+)")


def check(case: Case) -> Iterator[Finding]:
    """Name the pod that took the place, as far as it is known."""
    pod = case.pod
    target = pod.condition("DisruptionTarget")
    by_scheduler = text(target, "reason") == "PreemptionByScheduler" and text(target, "status") == "True"
    if not (pod.reason == "Preempting" or by_scheduler) or not (pod.finished or pod.deleting):
        return
    event = case.events.last("Preempted")
    evidence = []
    if by_scheduler:
        said = f"PreemptionByScheduler: {text(target, 'message')}"
        at = "status.conditions[DisruptionTarget]"
        evidence.append(Evidence("status", at, said, text(target, "lastTransitionTime")))
    if pod.reason == "Preempting":
        evidence.append(pod.fact("status", "status.reason", f"Preempting: {pod.message}"))
    who = ""
    if event is not None:
        evidence.append(event.evidence())
        match = _BY.search(event.message)
        who = _name(case, match["who"]) if match else ""
    own = text(pod.raw, "spec", "priorityClassName") or "none"
    priority = number(pod.raw, "spec", "priority") or 0
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        f"The pod was ended to make room for {who or 'a pod of higher priority'} on {pod.node or 'its node'}; its own "
        f"priority is {priority}.",
        (*evidence, pod.fact("spec", "spec.priorityClassName", f"{own} ({priority})")),
        fix=(
            case.template_fix(
                f"Set priorityClassName in {case.workload_name} to what it is worth, or add nodes; it was {own}."
            ),
        ),
        verify=("kubectl get priorityclass",),
    )


def _name(case: Case, who: str) -> str:
    """Return NAMESPACE/NAME of a uid where the pod is known, else the text itself."""
    for raw in case.snapshot.list("pods").items:
        if uid_of(raw) == who:
            return f"pod {namespace_of(raw)}/{name_of(raw)}"
    return f"pod {who}"
