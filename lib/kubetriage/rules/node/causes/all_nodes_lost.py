"""The kubelets of (nearly) all nodes lost contact while the control plane works.

Meaning: one common cause sits between the kubelets and the API server: the load balancer or its address,
certificates, a firewall, or heartbeats starved by flow control. The machines and what runs on them are probably
fine. When no node is ready the node controller stops evicting and takes its NoExecute taints back.

Told by: the Leases of at least 80% of the nodes are older than the grace period while the controller-manager
still writes (its Lease, or marks that it set later than the last renewal). Told apart from StatusFrozen, where
nobody writes.

Fix: repair the kubelets' way to the API server; leave nodes and pods alone.

Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go (zone states, master disruption mode).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.node.approvals import approve, requests_sentence
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.failover import keep_hands_off
from kubetriage.values.commands import kubectl
from kubetriage.values.times import format_time, human_duration

CODE = "AllNodesLost"


def check(case: NodeCase) -> Iterator[Finding]:
    """Name the whole cluster as the extent of the loss."""
    scope = case.scope
    if scope.kind != "cluster":
        return
    contact = case.contact
    evidence = [*case.contact_evidence()]
    evidence += [r.evidence() for r in case.requests[-3:]]
    if scope.basis:
        evidence.append(Evidence("status", "basis", scope.basis))
    since = f" since {format_time(scope.since)}" if scope.since else ""
    ago = f" ({human_duration(case.now - scope.since)})" if scope.since else ""
    yield Finding(
        CODE,
        Severity.ERROR,
        scope.confidence,
        case.ref,
        f"{len(scope.members)} of {scope.total} nodes lost contact{since}{ago} while the control plane writes:"
        + (
            f" their client certificates are the likely reason.{requests_sentence(case)}"
            if case.requests
            else " what they share failed: the way to the API server, or their client certificates."
        ),
        evidence=tuple(evidence),
        ruled_out=(RuledOut("StatusFrozen", "the controller-manager marked the nodes after their last renewal"),)
        if contact.lost
        else (),
        fix=(
            *approve(case),
            *(
                ()
                if case.requests
                else (
                    Fix(
                        "Check what all kubelets share: the API server's address or load balancer, the end of their"
                        " client certificates, firewall rules, and rejects of priority level node-high.",
                        actor=Actor.CLUSTER,
                        commands=(
                            kubectl("get", "csr"),
                            kubectl("plane-trace"),
                            *case.machine.lines("api server", "client certificate"),
                        ),
                    ),
                )
            ),
            keep_hands_off(case),
        ),
        verify=("kubectl -n kube-node-lease get leases --sort-by=.spec.renewTime", "kubectl get nodes"),
    )
