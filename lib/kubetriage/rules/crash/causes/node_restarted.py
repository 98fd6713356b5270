"""The node or its container runtime restarted, and the container's end was not seen.

Meaning: nothing in the container failed. When the node or the runtime comes back it finds the container gone and
writes exit code 255 with reason Unknown, because it does not know better.

Told by: exit code 255 with reason Unknown (an application's own exit(-1) is 255 with reason Error), a SandboxChanged
event after it, a Rebooted or Starting event of the node, or other containers of the pod that ended at the same
moment in the same way. Told apart from AppError by the reason.

Fix: nothing in the workload; find out why the node restarted if nobody meant it to.

Source: containerd unknownExitCode (internal/cri/server), kubelet Rebooted event (kubelet_node_status.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.needs import Need
from kubetriage.readers.events import NEAR_NODE_EVENT, node_event_need, node_events
from kubetriage.readers.pods import Container
from kubetriage.readers.terminations import Termination
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
from kubetriage.values.times import parse_time

CODE = "NodeRestarted"


def lost(end: Termination) -> bool:
    """Tell whether the runtime lost the exit status."""
    return end.exit_code == 255 and end.reason == "Unknown"


def needs(case: Case) -> Iterator[Need]:
    """Ask for the node's events where the end of an instance can be the node's doing."""
    for container in case.containers:
        end = case.crash(container)
        if end is not None and case.pod.node and (lost(end) or end.exit_code == 137) and end.reason != "OOMKilled":
            yield node_event_need(case.pod.node)
            return


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose end the runtime did not see."""
    for container in case.containers:
        end = case.crash(container)
        if end is None:
            continue
        proof = list(_proof(case, container, end))
        if lost(end) or (end.reason == "ContainerStatusUnknown" and proof):
            yield _finding(case, container, end, proof)


def _proof(case: Case, container: Container, end: Termination) -> Iterator[Evidence]:
    moment = end.finished
    for event in node_events(case.snapshot, case.pod.node).select("Rebooted", "Starting"):
        if moment is not None and event.last is not None and abs(event.last - moment) <= NEAR_NODE_EVENT:
            yield event.evidence()
    for event in case.events.select("SandboxChanged"):
        if moment is None or (event.last is not None and event.last >= moment - timedelta(minutes=1)):
            yield event.evidence()
            break
    node = case.node
    if node.found and moment is not None:
        for condition in objects(node.obj, "status", "conditions"):
            changed = parse_time(condition.get("lastTransitionTime"))
            if changed is not None and text(condition, "type") == "Ready" and abs(changed - moment) <= NEAR_NODE_EVENT:
                status = text(condition, "status")
                yield Evidence("status", f"node/{case.pod.node} Ready", f"{status} since {changed:%H:%M:%S}")
    for other in case.containers:
        twin = other.termination
        if other.name != container.name and twin is not None and lost(twin):
            yield twin.evidence()


def _finding(case: Case, container: Container, end: Termination, proof: list[Evidence]) -> Finding:
    what = "and runs again" if container.running else "and does not run again yet"
    return Finding(
        CODE,
        Severity.NOTE if container.running and container.ready else Severity.ERROR,
        Confidence.CONFIRMED if proof else Confidence.LIKELY,
        container.ref,
        f"{container.name} ended when node {case.pod.node or '?'} or its container runtime restarted, {what}; exit "
        f"code {end.exit_code} only means that no runtime saw the end.",
        (end.evidence(), *proof),
        (RuledOut("AppError", f"reason is {end.reason}, not Error: the code is the runtime's, not the program's"),),
        (
            Fix(
                f"Nothing to change in {case.workload_name}. Find out why node {case.pod.node or '?'} or its runtime "
                "restarted.",
                actor=Actor.NODE,
                commands=(kubectl("node-triage", case.pod.node),) if case.pod.node else (),
            ),
        ),
        (
            kubectl("describe", "node", case.pod.node) if case.pod.node else case.kubectl("get", "nodes"),
            kubectl("get", "events", "-n", "default", "--field-selector", f"involvedObject.name={case.pod.node}"),
        ),
    )
