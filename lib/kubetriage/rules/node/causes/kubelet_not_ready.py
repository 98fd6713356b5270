"""The kubelet is alive and reports another reason for not being ready.

Meaning: the node takes no new pods; its pods are evicted after 300 seconds. The reason is the kubelet's own
text.

Told by: Ready=False from the kubelet with a text that is neither about the runtime, nor its network, nor a
shutdown. 'CSINode is not yet initialized' means that the kubelet cannot read or write its CSINode object (API
server or RBAC); 'missing node capacity' that cadvisor failed.

Fix: follow the text; the kubelet's journal has the details.

Source: pkg/kubelet/nodestatus/setters.go (ReadyCondition), volume/csi/csi_plugin.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.values.commands import kubectl

CODE = "KubeletNotReady"

HINTS = {
    "csi": "it cannot initialise its CSINode object: its way to the API server, or its permissions on CSINodes",
    "capacity": "its own measurement of the machine (cadvisor) failed",
}


def check(case: NodeCase) -> Iterator[Finding]:
    """Match what the other modules of self-reports leave."""
    report = case.reported("csi", "capacity", "other")
    if report is None or len({r.kind for r in case.reports} - {"csi", "capacity", "other"}) > 0:
        return
    hint = HINTS.get(report.kind, "")
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.ref,
        f"The kubelet on {case.name} reports NotReady: {report.words}." + (f" That is: {hint}." if hint else ""),
        evidence=case.contact_evidence(),
        fix=(
            Fix(
                f"Read the kubelet's own log on {case.name}.",
                actor=Actor.NODE,
                commands=case.machine.lines("kubelet log"),
            ),
        ),
        verify=(kubectl("get", "node", case.name, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'),),
    )
