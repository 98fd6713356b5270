"""A Node object exists, but no kubelet ever posted a status for it.

Meaning: the machine never joined under this name, or the object was made by hand or left behind. Nothing runs
on it.

Told by: reason NodeStatusNeverUpdated (or no Ready condition at all), an absent Lease and empty nodeInfo. Told
apart from a lost node, whose kubelet did post once.

Fix: look at the machine's bootstrap (kubelet running, --hostname-override, bootstrap token, pending CSR, the
API server's address), or delete the Node if there is no such machine.

Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go: 'Kubelet never posted node status.';
nodeStartupGracePeriod 60s.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.kubelet_contact import STARTUP_GRACE, Beat
from kubetriage.rules.node.approvals import approve
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.machine_owner import still_a_machine
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.times import format_time, human_duration

CODE = "NodeNeverReady"


def check(case: NodeCase) -> Iterator[Finding]:
    """Match nodes without any status of a kubelet, after the start-up grace period."""
    contact = case.contact
    if not contact.never:
        return
    age = case.now - contact.created if contact.created else None
    young = age is not None and age < STARTUP_GRACE
    since = f" since it was created {human_duration(age)} ago" if age is not None else ""
    version = text(case.node, "status", "nodeInfo", "kubeletVersion")
    renews = contact.beat in (Beat.FRESH, Beat.LATE)
    message = f"No kubelet ever posted a status for {case.name}{since}: the machine has not joined under this name."
    if renews:
        message = (
            f"A kubelet renews the Lease of {case.name} but never posted its status{since}: its status writes are "
            "rejected, or its registration is not finished."
        )
    created = format_time(contact.created) if contact.created else ""
    yield Finding(
        CODE,
        Severity.NOTE if young else Severity.ERROR,
        Confidence.CONFIRMED if contact.reason == "NodeStatusNeverUpdated" else Confidence.LIKELY,
        case.ref,
        message,
        evidence=(
            *case.contact_evidence(),
            *(r.evidence() for r in case.requests[:3]),
            Evidence("status", "status.nodeInfo.kubeletVersion", version or "<none>", created),
        ),
        ruled_out=(RuledOut("KubeletDown", "the kubelet never posted, so it did not stop"),),
        fix=(
            *approve(case),
            Fix(
                f"On the machine that should be {case.name}: is the kubelet running, does it use this name "
                "(--hostname-override), can it reach the API server, is its CSR approved (kubectl get csr)?",
                actor=Actor.NODE,
                commands=case.machine.lines("kubelet status", "kubelet log"),
            ),
            *still_a_machine(case.node, left_over=False),
            Fix(f"If there is no such machine, remove the object: {kubectl('delete', 'node', case.name)}."),
        ),
        verify=(kubectl("describe", "node", case.name), "kubectl get csr --sort-by=.metadata.creationTimestamp"),
    )
