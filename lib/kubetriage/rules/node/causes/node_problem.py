"""A condition that is not the kubelet's own reports a problem; its type is the code.

Meaning: an agent on the node (Node Problem Detector, a cloud's monitoring agent, a CNI) found what the kubelet does
not look for, and says so in a condition of the node.

Told by: the condition's status under its polarity. Types that end in Ready, Healthy, IsVoter or Up are good
when True (EKS node monitoring agent, k3s); types that name a trouble are bad when True (Node Problem Detector);
where a type tells neither, the condition is printed and not judged.

Fix: follow the agent's reason and message; drain the node when kernel or disk are damaged.

Source: node-problem-detector config/*.json; AWS EKS node monitoring agent; kubernetes/node-problem-detector
docs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.kubelet_contact import KUBELET_CONDITIONS, condition_evidence
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import human_duration, parse_time

CODES = {
    "KernelDeadlock": "The node's kernel is deadlocked: tasks hang and do not come back",
    "ReadonlyFilesystem": "A file system of the node turned read-only, as the kernel does after disk errors",
    "XfsShutdown": "An XFS file system of the node shut itself down after an error",
    "CperHardwareErrorFatal": "The node's firmware reports a fatal hardware error",
    "CorruptDockerOverlay2": "Docker's image store on the node (overlay2) is corrupt",
    "DiskBadBlock": "A disk of the node has bad blocks",
    "FrequentKubeletRestart": "The kubelet of the node restarts again and again",
    "FrequentContainerdRestart": "containerd of the node restarts again and again",
    "FrequentDockerRestart": "Docker of the node restarts again and again",
    "FrequentUnregisterNetDevice": "The node's kernel cannot let go of network devices of ended pods",
    "KubeletUnhealthy": "The node's own health checker finds that the kubelet does not answer",
    "ContainerRuntimeUnhealthy": "The node's own health checker finds that the container runtime does not answer",
    "NTPProblem": "The node's clock is not kept right by its time service",
    "NetworkUnavailable": "The network of the node's pods is not set up, says its route controller or network plugin",
}
"""Types of Node Problem Detector's own configuration and of the API, and what each says; agents add others."""

_GOOD = lazy(r"(?<!Not)(Ready|Healthy|IsVoter|Up)\Z")
# Words by which agents name a trouble: Node Problem Detector's config/*.json, AKS, GKE and OpenShift agents.
_BAD = lazy(
    r"NotReady|Un(healthy|available|reachable|registered?|responsive)|Deadlock|Problem|Pressure|Read-?[Oo]nly|Frequent"
    r"|Shutdown|Error|Fatal|Bad|Corrupt|Fail|Down\Z|Lost|Offline|Degraded|Expired|Full\Z|Hung|OOM|Oom|Leak|Throttl"
    r"|Missing|Broken|Panic|Crash|Scheduled\Z|Exhaust"
)


def polarity(kind: str) -> bool | None:
    """Return the status (True or False) that is good for this type; None when the type does not tell."""
    if _BAD.search(kind):
        return False
    return True if _GOOD.search(kind) else None


def code(kind: str) -> str:
    """Write a condition's type as a cause code: ``example.com/disk-slow`` is DiskSlow.

    The API takes any words for the type of a node's condition.
    """
    words = re.findall(r"[A-Za-z0-9]+", kind.rpartition("/")[2])
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return joined if joined[:1].isalpha() else f"Condition{joined}"


def check(case: NodeCase) -> Iterator[Finding]:
    """Yield a finding for each bad condition, and a note for each that cannot be judged."""
    for found in objects(case.node, "status", "conditions"):
        kind, status = text(found, "type"), text(found, "status")
        if not kind or kind in KUBELET_CONDITIONS or status not in ("True", "False"):
            continue
        good = polarity(kind)
        if good is None:
            if status == "True":
                yield _finding(case, found, Severity.NOTE, Confidence.POSSIBLE, " Whether that is bad is not known.")
        elif (status == "True") is not good:
            severity = Severity.WARNING if case.contact.ready == "True" else Severity.ERROR
            yield _finding(case, found, severity, Confidence.CONFIRMED, "")


def _finding(case: NodeCase, found: Obj, severity: Severity, confidence: Confidence, more: str) -> Finding:
    kind, reason = text(found, "type"), text(found, "reason")
    beat, since = parse_time(found.get("lastHeartbeatTime")), parse_time(found.get("lastTransitionTime"))
    span = f" for {human_duration(case.now - since)}" if since and since <= case.now else ""
    evidence = [condition_evidence(found)]
    if beat is not None:
        ago = f"stamped {human_duration(case.now - beat)} ago"
        evidence.append(Evidence("status", f"status.conditions[{kind}].lastHeartbeatTime", ago))
    words = text(found, "message") or "no message"
    return Finding(
        code(kind),
        severity,
        confidence,
        case.ref,
        f"{case.name} has {kind}={text(found, 'status')}{span} ({reason}: {words}).{more}",
        evidence=tuple(evidence),
        fix=(
            Fix(
                f"Bring back the pod routes of {case.name}: look at the cloud's route controller (its log, its "
                "quota of routes) or at the network plugin that writes this condition."
            )
            if kind == "NetworkUnavailable"
            else Fix(
                f"Follow the agent's reason: sudo dmesg -T on {case.name} ({case.address}), and kubectl get events "
                f"--field-selector involvedObject.kind=Node,involvedObject.name={case.name}. If kernel or disk are "
                f"damaged: kubectl drain {case.name} --ignore-daemonsets --delete-emptydir-data, then replace it."
            ),
        )
        if severity is not Severity.NOTE
        else (),
        verify=(f"kubectl get node {case.name} -o jsonpath='{{.status.conditions[?(@.type==\"{kind}\")]}}'",),
    )
