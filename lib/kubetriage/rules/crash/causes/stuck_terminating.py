"""The pod is being deleted and does not go away.

Meaning: ``deletionTimestamp`` is the end of the grace period, not its begin. Past it, something still holds the pod:
a finalizer whose controller has not finished, a node that nobody hears from, a container that the runtime cannot
kill, or a volume that cannot be unmounted. Before it, a long grace period is simply running.

Told by: ``metadata.deletionTimestamp``, ``deletionGracePeriodSeconds`` and ``finalizers``, the node's condition Ready,
the containers' states and the kubelet's ``FailedKillPod`` and ``ExceededGracePeriod`` events.

Fix: let the finalizer's controller finish, repair the node, or (when the node is surely off) delete the pod by force:
a forced deletion of a StatefulSet's pod may leave two of them running.

Source: core/v1 ObjectMeta.deletionTimestamp; kubelet pod_workers.go; KEP-2268 (taint out-of-service).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.readers.events import Event
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import condition, dig, number, text, texts
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time, human_duration, span_of

CODE = "StuckTerminating"

SLACK = timedelta(seconds=30)
"""Unmounting and the last status updates take this long on a healthy node."""
LONG_GRACE = timedelta(seconds=120)
"""A grace period that somebody will take for a hang."""


def check(case: Case) -> Iterator[Finding]:
    """Name what holds the pod."""
    pod = case.pod
    deadline = pod.deletion
    if deadline is None:
        return
    late = case.now - deadline
    grace = span_of(max(number(pod.raw, "metadata", "deletionGracePeriodSeconds") or 0, 0))
    if late > SLACK:
        yield _finding(case, late, grace)
    elif late <= timedelta() and grace >= LONG_GRACE and -late < grace - SLACK:
        yield Finding(
            CODE,
            Severity.WARNING,
            Confidence.CONFIRMED,
            pod.ref,
            f"The pod is being deleted and has a grace period of {human_duration(grace)}; it ends by "
            f"{format_time(deadline)}, in {human_duration(-late)}.",
            _asked(case),
            fix=(
                case.template_fix(
                    f"Wait, or end it now: {case.kubectl('delete', 'pod', pod.name, '--grace-period=1')}; "
                    "a process that handles SIGTERM ends earlier. terminationGracePeriodSeconds stands in "
                    f"{case.workload_name}."
                ),
            ),
            verify=(case.kubectl("get", "pod", pod.name),),
        )


def _asked(case: Case) -> tuple[Evidence, ...]:
    meta = "metadata.deletionTimestamp"
    grace = number(case.pod.raw, "metadata", "deletionGracePeriodSeconds")
    value = f"{text(case.pod.raw, 'metadata', 'deletionTimestamp')} (end of the grace period of {grace} s)"
    return (case.pod.fact("spec", meta, value),)


def _finding(case: Case, late: timedelta, grace: timedelta) -> Finding:
    pod = case.pod
    why, fix, evidence, confidence = _holder(case)
    return Finding(
        CODE,
        Severity.ERROR,
        confidence,
        pod.ref,
        f"The pod should have been gone {human_duration(late)} ago (deleted with a grace period of "
        f"{human_duration(grace)}): {why}",
        (*_asked(case), *evidence),
        fix=(fix,),
        verify=(case.kubectl("get", "pod", pod.name, "-o", "jsonpath={.metadata.finalizers}"),),
        details={"holder": why},
    )


def _holder(case: Case) -> tuple[str, Fix, tuple[Evidence, ...], Confidence]:
    pod = case.pod
    running = [c.name for c in case.containers if c.running]
    finalizers = texts(pod.raw, "metadata", "finalizers")
    force = kubectl("delete", "pod", pod.name, "--force", "--grace-period=0", namespace=pod.namespace)
    dead = _dead_node(case)
    if dead and not pod.finished:
        words, evidence = dead
        stateful = text(pod.controller, "kind") == "StatefulSet"
        caution = " It belongs to a StatefulSet: two may run if the node is alive." if stateful else ""
        taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
        fix = Fix(
            f"Repair node {pod.node}. If it is surely off, declare it so by taint, or force the deletion.{caution}",
            actor=Actor.NODE,
            commands=(kubectl("node-triage", pod.node), kubectl("taint", "node", pod.node, taint), force),
        )
        return words, fix, evidence, Confidence.CONFIRMED
    if finalizers and (not running or pod.finished):
        shown = ", ".join(finalizers)
        fix = Fix(
            f"See why the controller behind {finalizers[0]} does not finish; as a last resort remove the finalizer.",
            actor=Actor.CLUSTER,
            commands=(
                kubectl(
                    *("patch", "pod", pod.name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'),
                    namespace=pod.namespace,
                ),
            ),
        )
        evidence = (pod.fact("spec", "metadata.finalizers", shown),)
        return f"finalizer {shown} is still set.", fix, evidence, Confidence.CONFIRMED
    failure = case.events.last("FailedKillPod", "ExceededGracePeriod", "FailedPreStopHook")
    network = _NETWORK.search(failure.message) if failure is not None else None
    if network is not None and failure is not None:
        return _of_the_network(case, failure, network)
    if running:
        told = (failure.evidence(),) if failure else ()
        why = f"container {', '.join(running)} still runs."
        if failure is not None and failure.reason == "FailedKillPod":
            why = f"the runtime cannot end container {', '.join(running)}."
        fix = Fix(
            f"Look at {pod.node or 'the node'}: a process in uninterruptible sleep (a hung mount) or a runtime that "
            f"does not answer. Then force the deletion.",
            actor=Actor.NODE,
            commands=(*((kubectl("node-triage", pod.node),) if pod.node else ()), force),
        )
        states = tuple(c.fact("status", "state", "running") for c in case.containers if c.running)
        return why, fix, (*told, *states), Confidence.CONFIRMED if failure else Confidence.LIKELY
    volumes = case.events.last("FailedUnMount", "FailedUnmapDevice", "FailedMount")
    if volumes is not None and "nmount" in volumes.message:
        fix = Fix(
            f"Free the volume on {pod.node}: a process holds it, or its storage server does not answer.",
            actor=Actor.NODE,
        )
        return "a volume cannot be unmounted.", fix, (volumes.evidence(),), Confidence.CONFIRMED
    fix = Fix(
        f"Look at the kubelet of {pod.node or 'the node'}, which has not confirmed the end; or force it.",
        actor=Actor.NODE,
        commands=(force,),
    )
    return (
        f"the kubelet of {pod.node} has not confirmed that it ended."
        if pod.node
        else "nothing that is visible holds it.",
        fix,
        (),
        Confidence.POSSIBLE,
    )


# CNI DEL: the plugin cannot take the pod's network down.
_NETWORK = lazy(
    r"KillPodSandbox[^\n]{0,400}plugin type=\\{0,3}\"(?P<plugin>[\w.-]{1,60})\\{0,3}\"[^\n]{0,80}"
    r"\(del(?:ete)?\): (?P<why>[^\n\"]{1,300})",
    re.IGNORECASE,
)
_LOGIN = lazy(r"[Uu]nauthorized|certificate has expired|token (?:is |has )?expired")


def _of_the_network(
    case: Case, failure: Event, said: re.Match[str]
) -> tuple[str, Fix, tuple[Evidence, ...], Confidence]:
    """Name the network plugin that does not let the sandbox go, and what it lacks."""
    plugin, why, node = said["plugin"], said["why"].strip(" .\\'"), case.pod.node or "its node"
    agent = {"calico": "calico-node", "cilium-cni": "cilium", "aws-cni": "aws-node", "flannel": "kube-flannel"}.get(
        plugin, plugin
    )
    pods = kubectl("get", "pods", "-A", "-o", "wide", "--field-selector", f"spec.nodeName={node}")
    words = (
        f"Restart the pod of {agent} on {node}: it writes the kubeconfig by which {plugin} logs in, and the token in "
        f"that "
        "one is no longer valid. The kubelet then ends the pod by itself; forcing the deletion would leave its address "
        "and interface behind."
        if _LOGIN.search(why)
        else f"Repair the network plugin {plugin} on {node} ({agent}): the kubelet tries again and ends the pod by "
        "itself then; forcing the deletion would leave its address and interface behind."
    )
    return (
        f"network plugin {plugin} cannot take its network down: {why}.",
        Fix(words, actor=Actor.NODE, commands=(pods,)),
        (failure.evidence(),),
        Confidence.CONFIRMED,
    )


def _dead_node(case: Case) -> tuple[str, tuple[Evidence, ...]] | None:
    pod, found = case.pod, case.node
    if not pod.node:
        return None
    at = f"node/{pod.node} status.conditions[Ready]"
    if found.absent and not found.presumed:
        return f"its node {pod.node} does not exist any more.", (Evidence("status", f"node/{pod.node}", "not found"),)
    ready = condition(found.obj, "Ready")
    if dig(ready, "status") in ("Unknown", "False"):
        said = f"{text(ready, 'status')}: {text(ready, 'reason')}"
        evidence = (Evidence("status", at, said, text(ready, "lastTransitionTime")),)
        if text(ready, "status") == "False":
            why = (text(ready, "message") or text(ready, "reason")).rstrip(".")
            return f"its node {pod.node} is not ready, so its kubelet cannot end it: {why}.", evidence
        return f"its node {pod.node} does not answer, so no kubelet can confirm the end.", evidence
    return None
