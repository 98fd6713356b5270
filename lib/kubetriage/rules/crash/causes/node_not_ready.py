"""The pod's node is not ready or gone, so what the pod's status says is old.

Meaning: nobody reports about the pod. Its containers may run or not; the status shown is the last that the kubelet
wrote. The control plane marks the pod unready and, after a while, deletes it; a replacement runs elsewhere.

Told by: the condition Ready of the pod's node: Unknown (the kubelet stopped reporting) or False (the kubelet says
itself that it cannot run pods), or a node object that does not exist any more. For the 40 to 50 s before the node is
marked, the Lease of a pod that reads ready: three renewals missed are a warning. A table of nodes alone does not tell
which of both NotReady stands for; node-triage then says so.

Fix: repair the node; ``kubectl node-triage NODE`` tells what is wrong there.

Source: node lifecycle controller; core/v1 NodeCondition; event NodeNotReady.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.readers.kubelet_contact import NODE_LEASES
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.rules.node_contact import Doubt, carrier, doubt
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import condition, text
from kubetriage.values.times import human_duration, parse_time

CODE = "NodeNotReady"

_MARKING = timedelta(minutes=1)
"""A pod that was read just before it was marked still reads ready."""


def check(case: Case) -> Iterator[Finding]:
    """Say how the node is, and since when the pod's status is old."""
    pod = case.pod
    if not pod.node or pod.finished:
        return
    found = case.node
    if found.absent:
        # A dump without any node list is not a cluster without nodes.
        yield from _by_event(case) if found.presumed else (_gone(case),)
        return
    if found.unseen:
        yield from _by_event(case)
        return
    ready = condition(found.obj, "Ready")
    state = text(ready, "status")
    if not found.found or not ready:
        return
    if state == "True":
        yield from _late(case)
        return
    since = parse_time(ready.get("lastTransitionTime"))
    for_long = f" for {human_duration(case.now - since)}" if since else ""
    frozen, told = state == "Unknown", text(ready, "message") or text(ready, "reason")
    event = case.events.last("NodeNotReady")
    evidence = [
        Evidence(
            "status",
            f"node/{pod.node} status.conditions[Ready]",
            f"{state}: {text(ready, 'reason')}: {text(ready, 'message')}",
            text(ready, "lastTransitionTime"),
        )
    ]
    if frozen:
        evidence.append(
            Evidence("status", f"node/{pod.node} Ready.lastHeartbeatTime", text(ready, "lastHeartbeatTime") or "<none>")
        )
    if event is not None:
        evidence.append(event.evidence())
    message = (
        f"The control plane has counted node {pod.node} as lost{for_long}: its kubelet does not report, so the pod's "
        "status is older than that."
        if frozen
        else f"Node {pod.node} {'has not been' if for_long else 'is not'} ready{for_long}{f': {told}' if told else ''}."
    )
    # A kubelet that says False still works for its pods; a crash of the pod's own remains to be told.
    own_crash = any(case.crash(c) is not None for c in case.containers)
    yield Finding(
        CODE,
        Severity.ERROR if frozen or not own_crash else Severity.WARNING,
        Confidence.CONFIRMED,
        pod.ref,
        message,
        tuple(evidence),
        fix=(
            Fix(
                f"Repair node {pod.node}: node-triage shows its fault.",
                actor=Actor.NODE,
                commands=(kubectl("node-triage", pod.node),),
            ),
        ),
        verify=(kubectl("describe", "node", pod.node),),
    )


def _late(case: Case) -> Iterator[Finding]:
    """Warn of a kubelet that is silent while the pod and its node still read ready."""
    pod = case.pod
    one = doubt(case.snapshot, carrier(pod)) if carrier(pod) and not pod.is_troubled else None
    if one is not None and not one.marked and one.firm:
        yield of_node(one, pod.ref, "the pod reads ready whatever became of it")


def of_node(one: Doubt, about: Ref, reads: str) -> Finding:
    """Make the finding of a node whose pods read ready; ``reads`` says that their word is worth nothing."""
    renewed = kubectl("get", "lease", one.node, "-o", "jsonpath={.spec.renewTime}", namespace=NODE_LEASES)
    said = f"{one.words[0].upper()}{one.words[1:]}, so {reads}."
    return Finding(
        CODE,
        Severity.ERROR if one.marked else Severity.WARNING,
        Confidence.CONFIRMED if one.marked else Confidence.POSSIBLE,
        about,
        f"{said} {one.then}".rstrip(),
        one.evidence,
        fix=(
            Fix(
                f"See whether node {one.node} is alive, and repair it: node-triage shows its fault.",
                actor=Actor.NODE,
                commands=(one.command,),
            ),
        ),
        verify=(*(() if one.marked else (renewed,)), kubectl("get", "node", one.node)),
    )


def _by_event(case: Case) -> Iterator[Finding]:
    """Judge a node that was not seen by the event that the control plane writes about each of its pods."""
    pod, event = case.pod, case.events.last("NodeNotReady")
    if event is None:
        return
    if _back(pod, event.last, case.now):
        return
    later = case.events.last("Started", "Pulled", "Created", "Unhealthy", "BackOff")
    if later is not None and later.last and event.last and later.last > event.last:
        return
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        pod.ref,
        f"Node {pod.node} was not ready when the control plane last wrote about this pod, so its status may be "
        f"old: the "
        "kubelet did not report.",
        (event.evidence(),),
        fix=(
            Fix(
                f"See whether node {pod.node} is ready again, and repair it if not: node-triage shows its "
                f"fault. After five "
                "minutes the pod is evicted and made anew elsewhere; a StatefulSet waits until the old one is "
                "surely gone.",
                actor=Actor.NODE,
                commands=(kubectl("get", "node", pod.node, "-o", "wide"), kubectl("node-triage", pod.node)),
            ),
        ),
        verify=(kubectl("describe", "node", pod.node),),
    )


def _back(pod: Pod, marked: datetime | None, now: datetime) -> bool:
    """Tell whether a pod reads ready after it was marked: only its kubelet writes that, so it is back."""
    since = parse_time(pod.condition("Ready").get("lastTransitionTime"))
    return pod.ready and marked is not None and ((since is not None and since >= marked) or now - marked > _MARKING)


def _never_was(case: Case) -> Finding | None:
    """Judge a pod that no scheduler placed: its spec names the node itself, and there is none of that name."""
    pod = case.pod
    if any(c.status for c in case.containers) or text(pod.condition("PodScheduled"), "status"):
        return None
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        f"The pod names node {pod.node} itself (spec.nodeName), and that node does not exist: no kubelet starts it, "
        "and no scheduler looks for another node.",
        (pod.fact("spec", "spec.nodeName", pod.node), Evidence("status", f"node/{pod.node}", "not found")),
        fix=(
            case.template_fix(
                f"Remove nodeName from {case.workload_name}, or name a node that exists; nodeSelector "
                "kubernetes.io/hostname keeps a pod to a node by way of the scheduler. Delete the pod: it cannot move.",
                commands=(
                    kubectl("get", "nodes"),
                    kubectl("delete", "pod", pod.name, namespace=pod.namespace),
                ),
            ),
        ),
        verify=(kubectl("get", "pod", pod.name, "-o", "wide", namespace=pod.namespace),),
    )


def _gone(case: Case) -> Finding:
    never = _never_was(case)
    if never is not None:
        return never
    pod = case.pod
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        f"Node {pod.node} does not exist any more; the pod's status is what its kubelet wrote last."
        if any(c.status for c in case.containers)
        else f"Node {pod.node} does not exist, so no kubelet starts the pod.",
        (pod.fact("spec", "spec.nodeName", pod.node), Evidence("status", f"node/{pod.node}", "not found")),
        fix=(
            Fix(
                "The pod is removed by itself within minutes; force it only if its node is surely gone.",
                actor=Actor.CLUSTER,
                commands=(kubectl("delete", "pod", pod.name, "--force", namespace=pod.namespace),),
            ),
        ),
        verify=(kubectl("get", "node", pod.node),),
    )
