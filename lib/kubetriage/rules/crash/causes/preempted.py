"""The pod had to make room for a pod of higher priority.

Meaning: there was no room for a more important pod, and this one was chosen. Its controller makes another, which
waits until there is room.

Told by: the condition DisruptionTarget with reason PreemptionByScheduler, the ``Preempted`` event, or
``status.reason`` Preempting where the kubelet itself made room for a critical pod. Of a pod that finds no room, the
``Preempted`` event of a predecessor under the same controller.

Fix: give the workload a PriorityClass that fits its importance, add nodes, or lower the requests of both.

Source: scheduler plugin DefaultPreemption; kubelet pkg/kubelet/preemption.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.needs import List, Need
from kubetriage.readers.events import Events
from kubetriage.rules.crash import scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.scheduling import Block
from kubetriage.values.fields import name_of, namespace_of, number, text, uid_of
from kubetriage.values.patterns import lazy

CODE = "Preempted"

# preemption.go: "by pod UID on node N" since 1.28 or so, "by NAMESPACE/NAME on node N" before.
_BY = lazy(r"by (?:pod )?(?P<who>\S+) on node (?P<node>\S+)")


def needs(case: Case) -> Iterator[Need]:
    """Ask for preemptions in the namespace when a controller's pod finds no room: its predecessor may have lost it."""
    if case.pod.controller and scheduling.unscheduled(case, Block.RESOURCES) is not None:
        yield List("events", case.pod.namespace, fields="reason=Preempted")


def check(case: Case) -> Iterator[Finding]:
    """Name the pod that took the place, as far as it is known."""
    yield from _of_predecessor(case)
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


def _of_predecessor(case: Case) -> Iterator[Finding]:
    """Say that a pod without a node replaces one that was preempted: a note on why the room is gone."""
    owner = text(case.pod.controller, "name")
    if not owner or scheduling.unscheduled(case, Block.RESOURCES) is None:
        return
    listing = case.snapshot.list("events", case.pod.namespace, fields="reason=Preempted")
    for event in reversed(Events.of(listing).select("Preempted")):
        name = text(event.raw.get("involvedObject") or event.raw.get("regarding"), "name")
        match = _BY.search(event.message)
        if match is None or not name.startswith(f"{owner}-"):
            continue
        yield Finding(
            CODE,
            Severity.WARNING,
            Confidence.LIKELY,
            case.pod.ref,
            f"It replaces {name}, which had to make room on {match['node']} for {_name(case, match['who'])}.",
            (event.evidence(),),
            fix=(
                case.template_fix(
                    f"Set priorityClassName in {case.workload_name} to what it is worth, or add nodes for both."
                ),
            ),
            verify=(case.kubectl("get", "events", "--field-selector", "reason=Preempted"),),
        )
        return


def _name(case: Case, who: str) -> str:
    """Return NAMESPACE/NAME of a uid where the pod is known, else the text itself."""
    for raw in case.snapshot.list("pods").items:
        if uid_of(raw) == who:
            return f"pod {namespace_of(raw)}/{name_of(raw)}"
    return f"pod {who}"
