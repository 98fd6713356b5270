"""The kubelet is alive and reports another reason for not being ready.

Meaning: the node takes no new pods; its pods are evicted after 300 seconds. The reason is the kubelet's own
text.

Told by: Ready=False from the kubelet with a text that is neither about the runtime, nor its network, nor a
shutdown. 'CSINode is not yet initialized' means that the kubelet cannot read or write its CSINode object (API
server or RBAC), or asks for an API that an older API server does not serve; 'missing node capacity' that cadvisor
failed.

Fix: follow the text; the kubelet's journal has the details.

Source: pkg/kubelet/nodestatus/setters.go (ReadyCondition), volume/csi/csi_plugin.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.machine import SERVER_ROLES
from kubetriage.rules.node.approvals import approve, requests_sentence
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.missing_network import failing_here
from kubetriage.rules.node.self_report import SelfReport, first_word
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, text
from kubetriage.values.patterns import lazy

CODE = "KubeletNotReady"

HINTS = {
    "csi": "it cannot initialise its CSINode object: its way to the API server, or its permissions on CSINodes",
    "capacity": "its own measurement of the machine (cadvisor) failed",
}


def check(case: NodeCase) -> Iterator[Finding]:
    """Match what the other modules of self-reports leave."""
    if case.untold and failing_here(case) is None:
        yield _of_a_table(case)
        return
    report = case.reported("csi", "capacity", "other")
    others = [r for r in case.reports if not first_word(r.words)]
    if report is None or len({r.kind for r in others} - {"csi", "capacity", "other"}) > 0:
        return
    if report.kind == "csi" and _NOT_SERVED.search(report.words):
        yield _newer(case, report)
        return
    hint = HINTS.get(report.kind, "")
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.ref,
        f"The kubelet on {case.name} reports NotReady: {report.words}."
        + (f" That is: {hint}." if hint else "")
        + requests_sentence(case),
        evidence=(*case.contact_evidence(), *(r.evidence() for r in case.requests[-3:])),
        fix=(
            *approve(case),
            Fix(
                f"Read the kubelet's own log on {case.name}.",
                actor=Actor.NODE,
                commands=case.machine.lines("kubelet log"),
            ),
        ),
        verify=(kubectl("get", "node", case.name, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'),),
    )


def _of_a_table(case: NodeCase) -> Finding:
    """Say what a table shows, and which look decides between the kubelet's own word and a kubelet that is silent."""
    others = [c for c in case.cluster.contacts.values() if c.ready == "False"]
    many = f" {len(others)} of {len(case.cluster.contacts)} nodes are so." if len(others) > 1 else ""
    return Finding(
        "NodeNotReady",
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.ref,
        f"{case.name} is NotReady. {_said_by(case)} for a kubelet that reports a fault and for one that is"
        f" silent; which of them it is was not seen.{many}{requests_sentence(case)}",
        evidence=(*case.contact_evidence(), *(r.evidence() for r in case.requests[-3:])),
        fix=(
            *approve(case),
            Fix(
                "Read the condition Ready and the Lease. Status Unknown, or a Lease older than a minute: contact is"
                " lost, look at the machine and its network. Status False: its message is the kubelet's own reason."
                " Given what the second command prints, this command names the cause.",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("get", "node", case.name, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")]}'),
                    kubectl("describe", "node", case.name),
                    case.renewal_command,
                ),
            ),
            Fix(
                f"On {case.name} itself: whether its kubelet runs, and what it says.",
                actor=Actor.NODE,
                commands=case.machine.lines("kubelet status", "kubelet log"),
            ),
        ),
        verify=(kubectl("get", "node", case.name),),
    )


def _said_by(case: NodeCase) -> str:
    """Name what says NotReady without a reason: the kubelet and the node controller write one event."""
    return "The event NodeNotReady is written" if case.events.select("NodeNotReady") else "The table prints that word"


# apimachinery's StatusReasonNotFound for a path that the API server does not serve at all, all versions.
_NOT_SERVED = lazy(r"could not find the requested resource|no matches for kind")


def _newer(case: NodeCase, report: SelfReport) -> Finding:
    """Report a kubelet that asks for an API which its API server does not serve: it is of a later release."""
    version = text(case.node, "status", "nodeInfo", "kubeletVersion")
    planes = sorted(
        {
            text(n, "status", "nodeInfo", "kubeletVersion")
            for n in case.cluster.nodes.values()
            if any(r in labels(n, "metadata", "labels") for r in SERVER_ROLES) and n is not case.node
        }
    )
    beside = f" The control plane nodes run {', '.join(planes[:3])}." if planes else ""
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        case.ref,
        f"The kubelet on {case.name} reports NotReady: {report.words}. Its release ({version}) asks for an API that the"
        f" API server does not serve.{beside}",
        evidence=case.contact_evidence(),
        ruled_out=(RuledOut("ContainerRuntimeDown", "its runtime was only not asked yet; the CSINode holds it up"),),
        fix=(
            Fix(
                "Compare the versions: a kubelet must not be newer than its API server. Upgrade the control plane"
                " first, or put the kubelet's older release back.",
                actor=Actor.NODE,
                commands=(kubectl("version"), kubectl("get", "nodes", "-o", "wide")),
            ),
            Fix(
                "Until then a kubelet of the API server's minor version starts; a restart alone changes nothing.",
                actor=Actor.NODE,
                commands=case.machine.lines("kubelet log"),
            ),
        ),
        verify=(kubectl("get", "node", case.name, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'),),
    )
