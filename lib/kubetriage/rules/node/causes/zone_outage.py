"""All or most nodes of one zone lost contact; other zones are fine.

Meaning: the zone has a common failure: power, network, or the cloud's. Pods there may still run and only be cut
off. The node controller taints the lost nodes one after the other (one in 10 seconds), so evictions come in
turn.

Told by: in one zone (region and zone label, as the node controller joins them) all nodes and at least two, or
more than two and at least 55%, have Leases older than the grace period; other zones have not.

Fix: look at the zone with the provider; give what runs there room in other zones; do not force-delete.

Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go ComputeZoneState and ReducedQPSFunc;
component-helpers/node/topology.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.failover import fencing, keep_hands_off
from kubetriage.values.times import format_time, human_duration

CODE = "ZoneOutage"


def check(case: NodeCase) -> Iterator[Finding]:
    """Name the zone as the extent of the loss."""
    scope = case.scope
    if scope.kind != "zone":
        return
    since = f" since {format_time(scope.since)} ({human_duration(case.now - scope.since)})" if scope.since else ""
    others = case.cluster.silent - len(scope.members)
    shown = ", ".join(scope.members[:8]) + (" and others" if len(scope.members) > 8 else "")
    yield Finding(
        CODE,
        Severity.ERROR,
        scope.confidence,
        case.ref,
        f"Zone {scope.label} lost contact: {len(scope.members)} of its {scope.total} nodes are silent{since}, "
        f"{others} outside of it.",
        evidence=(
            Evidence("status", f"zone {scope.label}", f"silent: {shown}"),
            *case.contact_evidence(),
        ),
        ruled_out=(
            RuledOut("KubeletDown", f"{len(scope.members)} kubelets of one zone do not stop together by themselves"),
            RuledOut("AllNodesLost", "nodes of other zones renew their Leases"),
        ),
        fix=(
            Fix(f"Check zone {scope.label} with the provider: status page, network between the zones, power."),
            *fencing(case),
            *(() if case.proven_dead else (keep_hands_off(case),)),
        ),
        verify=(
            "kubectl get nodes -L topology.kubernetes.io/zone",
            "kubectl -n kube-node-lease get leases --sort-by=.spec.renewTime",
        ),
    )
