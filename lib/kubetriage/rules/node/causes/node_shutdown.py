"""The node is being shut down, or the cloud says that it is powered off.

Meaning: somebody, the cloud or an autoscaler stopped the machine. During a graceful shutdown the kubelet ends
its pods by priority; once the machine is off nobody confirms deletions, so StatefulSet pods stay Terminating.

Told by: Ready=False 'node is shutting down', the taint node.cloudprovider.kubernetes.io/shutdown, or, for a
silent node, the kubelet's event Shutdown or pods ended 'in response to imminent node shutdown' just before
contact was lost.

Fix: if it was meant, wait or delete the Node; if not, start the machine. Where the machine is proven to be off,
the out-of-service taint frees pods and volumes.

Source: pkg/kubelet/nodeshutdown/nodeshutdown_manager_linux.go; cloud-provider controllers/nodelifecycle;
KEP-2268 (non-graceful node shutdown).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.failover import fencing, keep_hands_off
from kubetriage.rules.node.machine_owner import owners
from kubetriage.rules.node.node_taints import SHUTDOWN_TAINT, taint
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import condition, text

CODE = "NodeShutdown"

BEFORE = timedelta(minutes=10)
"""A shutdown begun this long before the last renewal belongs to the loss."""


def check(case: NodeCase) -> Iterator[Finding]:
    """Match a shutdown that is reported, told by the cloud, or seen to begin before contact was lost."""
    report, mark = case.reported("shutdown"), taint(case.node, SHUTDOWN_TAINT)
    if case.contact.silent and case.scope.kind in ("zone", "cluster", "frozen"):
        return
    begun = _begun(case) if case.contact.lost else None
    if report is not None:
        confidence, how = Confidence.CONFIRMED, "its kubelet says so and is ending the pods"
    elif mark:
        confidence, how = Confidence.CONFIRMED, "the cloud says that the machine is powered off"
    elif begun is not None:
        confidence, how = Confidence.LIKELY, "the kubelet saw a shutdown begin just before contact was lost"
    elif case.contact.lost and (gone := _taken(case)) is not None:
        yield _removed(case, *gone)
        return
    else:
        return
    evidence = [*case.contact_evidence()]
    if mark:
        evidence.append(Evidence("spec", f"spec.taints[{SHUTDOWN_TAINT}]", "NoSchedule", text(mark, "timeAdded")))
    if begun is not None:
        evidence.append(begun)
    span = f", silent {case.silence()}" if case.contact.lost else ""
    yield Finding(
        CODE,
        Severity.ERROR,
        confidence,
        case.ref,
        f"{case.name} was shut down{span}: {how}."
        if case.contact.lost
        else f"{case.name} is shutting down{span}: {how}.",
        evidence=tuple(evidence),
        ruled_out=(RuledOut("KubeletDown", "the whole machine stops, not the kubelet alone"),),
        fix=(
            Fix(
                f"If nobody meant it, start {case.name} again; if it is to go, {kubectl('delete', 'node', case.name)}."
            ),
            *fencing(case),
            *((keep_hands_off(case),) if case.contact.lost and case.proven_dead is None else ()),
        ),
        verify=(kubectl("get", "node", case.name, "-o", "jsonpath={.spec.taints}"),),
    )


_TAKEN = {
    "SpotInterrupted": "the cloud takes this spot machine back",
    "TerminatingOnInterruption": "Karpenter ends the node, because the cloud takes its machine",
    "SpotInterruption": "the cloud takes this spot machine back",
    "PreemptScheduled": "the cloud takes this spot machine back",
    "TerminateScheduled": "the cloud ends this machine",
    "InstanceTerminating": "the cloud ends this machine",
    "InstanceStopping": "the cloud stops this machine",
    "DeletingNode": "the cloud knows the machine no more, so the node is deleted",
    "DisruptionTerminating": "Karpenter ends the node",
    "ScaleDown": "cluster-autoscaler removes the node",
}
"""Events of controllers that end a machine (Karpenter, termination handlers, cloud controllers, autoscaler)."""


def _taken(case: NodeCase) -> tuple[str, Evidence] | None:
    """Return what says that somebody ends the machine on purpose, near the loss."""
    since = case.contact.since
    event = case.events.last(*_TAKEN)
    if event is not None and event.last is not None and since and event.last >= since - BEFORE:
        return _TAKEN[event.reason], event.evidence()
    for kind in ("PreemptScheduled", "TerminateScheduled"):
        if text(found := condition(case.node, kind), "status") == "True":
            return _TAKEN[kind], Evidence("status", f"condition {kind}", text(found, "message") or "True")
    mark = next((r for r in case.remediations if r.what.removeprefix("taint ") in _ENDS), None)
    return (mark.does, Evidence("spec", mark.what, mark.does)) if mark is not None else None


_ENDS = (
    "ToBeDeletedByClusterAutoscaler",
    "cloud.google.com/impending-node-termination",
    "aws-node-termination-handler/spot-itn",
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
)


def _removed(case: NodeCase, how: str, evidence: Evidence) -> Finding:
    """Tell of a machine that is taken away on purpose: there is nothing to repair on it."""
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        case.ref,
        f"{case.name} is being taken away, silent {case.silence()}: {how}.",
        evidence=(evidence, *case.contact_evidence()),
        ruled_out=(RuledOut("KubeletDown", "the whole machine ends, not the kubelet alone"),),
        fix=(
            Fix(
                "Nothing is to be repaired on it: its pods start elsewhere, and its Node goes away. See that the"
                " replacement comes; a Node that stays after its machine is gone may be deleted.",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("get", "nodes", "-o", "wide", "--sort-by=.metadata.creationTimestamp"),
                    *(c for owner in owners(case.node) for c in owner.look),
                    kubectl("get", "pods", "-A", "--field-selector=status.phase=Pending"),
                ),
            ),
            *fencing(case),
        ),
        verify=(kubectl("get", "node", case.name),),
    )


def _begun(case: NodeCase) -> Evidence | None:
    since = case.contact.since
    event = case.events.last("Shutdown")
    if since and event is not None and event.last is not None and abs(since - event.last) <= BEFORE:
        started = case.events.last("Starting")
        if started is None or started.last is None or started.last <= event.last:
            return event.evidence()
    for pod in case.pods:
        # pkg/kubelet/nodeshutdown: reason Terminated since 1.24; the message outlives the events.
        if pod.reason in ("Terminated", "NodeShutdown") and "node shutdown" in pod.message and since and pod.finished:
            return Evidence("status", f"pod {pod.namespace}/{pod.name} status.message", pod.message)
    return None
