"""What the cluster shows of the node is not what is: nobody writes it.

Meaning: the Ready column is a fossil. Either nothing in the cluster can write (etcd is down, without quorum, or
full), or no node controller runs that would mark a lost node, or this kubelet's status writes are rejected
while its Lease is renewed. A node that shows Ready may be gone.

Told by: the newest renewal of all Leases (nothing renewed for 30s: writes fail), the age of the
controller-manager's Lease, a Lease older than the grace period on a node that is not Unknown, or a Lease
renewed after Ready became Unknown. One read of the controller-manager's Lease through etcd tells etcd down
(hangs) from writes alone failing (equally old) and from a lagging watch cache (fresh). Told apart from lost
nodes, which the node controller has marked. A kubelet whose clock is wrong is recognised by the order of writes
(resourceVersion).

Fix: repair the control plane: kubectl plane-trace names the broken link.

Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go: marking a node Unknown is itself a write by
the controller-manager; with etcd dead or full all nodes stay Ready.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.cluster_contact import MANAGER_LEASE
from kubetriage.rules.node.outage_scope import Cluster, Plane
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.times import format_time, human_duration

CODE = "StatusFrozen"

SETTLE = timedelta(seconds=60)
"""A kubelet that came back patches its status within seconds; Unknown for longer beside a live Lease is stuck."""
PLANE = Fix("Find the broken link of the control plane: kubectl plane-trace.")


def check(case: NodeCase) -> Iterator[Finding]:
    """Tell whether the status of the node is written at all."""
    whole = case.cluster.whole
    if whole.kind == "frozen":
        yield _cluster(case)
    elif case.contact.unmarked:
        yield _unmarked(case)
    elif case.contact.unmoving:
        yield from _unmoving(case)
    elif whole.kind == "controllers":
        yield _unwatched(case)


def manager_evidence(case: NodeCase) -> tuple[Evidence, ...]:
    """Quote the Lease of the controller-manager."""
    return _manager(case.plane)


def _manager(plane: Plane) -> tuple[Evidence, ...]:
    age = plane.manager_age
    if age is None:
        return ()
    where = "Lease kube-system/kube-controller-manager spec.renewTime"
    words = f"renewed {human_duration(age)} ago (renewed every 2s by the leader)"
    return (Evidence("status", where, words, text(plane.manager, "spec", "renewTime")),)


def _cluster(case: NodeCase) -> Finding:
    plane, whole = case.plane, case.cluster.whole
    age = human_duration(plane.renewal_age) if plane.renewal_age is not None else "?"
    tried, quorum = case.quorum_age()
    severity, split = Severity.ERROR, "Reads are answered from memory, writes fail"
    ruled: tuple[RuledOut, ...] = ()
    if tried and quorum is None:
        split = "A read through etcd gives nothing: etcd is down or has no quorum"
        ruled = (RuledOut("EtcdNoSpace", "with a full etcd, reads still work"),)
    elif quorum is not None and quorum <= timedelta(seconds=15):
        split, severity = "A read through etcd is fresh: only this API server's watch cache lags", Severity.WARNING
    elif quorum is not None:
        split = "Reads through etcd work: only writes fail (etcd out of space), or every writer stopped"
    evidence = [
        Evidence("status", "newest of all Leases", f"{plane.newest_holder}, renewed {age} ago", _time(case)),
        *manager_evidence(case),
        *case.contact_evidence(),
    ]
    if tried:
        words = "no answer" if quorum is None else f"renewed {human_duration(quorum)} ago"
        evidence.append(Evidence("status", f"GET {MANAGER_LEASE} (through etcd)", words))
    if whole.basis:
        evidence.append(Evidence("status", "basis", whole.basis))
    return Finding(
        CODE,
        severity,
        whole.confidence,
        case.ref,
        f"No Lease in the whole cluster was renewed for {age}: the status of {case.name} (Ready={case.contact.ready}) "
        f"is frozen and not to be trusted. {split}.",
        evidence=tuple(evidence),
        ruled_out=ruled,
        fix=(PLANE,),
        verify=(
            "kubectl get leases -A --sort-by=.spec.renewTime",
            "kubectl get --raw='/livez?verbose'",
        ),
    )


def _time(case: NodeCase) -> str:
    return format_time(case.plane.newest_renewal) if case.plane.newest_renewal else ""


def _unmarked(case: NodeCase) -> Finding:
    contact, age = case.contact, case.plane.manager_age
    if age is not None and case.cluster.whole.kind == "controllers":
        confidence, why = Confidence.CONFIRMED, f"the controller-manager is silent too, for {human_duration(age)}"
    elif age is not None:
        confidence = Confidence.POSSIBLE
        why = "the controller-manager is alive, so either its clock or the kubelet's is wrong, or its node loop hangs"
    else:
        confidence, why = Confidence.POSSIBLE, "the controller-manager's Lease was not seen"
    return Finding(
        CODE,
        Severity.ERROR,
        confidence,
        case.ref,
        f"The kubelet of {case.name} is silent {case.silence()}, yet Ready still says {contact.ready}: "
        f"nobody marks the node; {why}.",
        evidence=(*case.contact_evidence(), *manager_evidence(case)),
        fix=(PLANE, Fix(f"Treat {case.name} as lost contact: its pods are neither marked unready nor evicted.")),
        verify=(
            case.renewal_command,
            "kubectl -n kube-system get lease kube-controller-manager -o jsonpath='{.spec.renewTime}'",
        ),
    )


def _unmoving(case: NodeCase) -> Iterator[Finding]:
    contact = case.contact
    if contact.changed is None or case.now - contact.changed < SETTLE:
        return
    span = human_duration(case.now - contact.changed)
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        case.ref,
        f"The kubelet of {case.name} renews its Lease again, yet Ready has stayed Unknown for {span}: contact came "
        "back a moment ago, or its status writes are rejected (webhook, conflict, authorization).",
        evidence=case.contact_evidence(),
        ruled_out=(RuledOut("KubeletDown", "the Lease was renewed after the node was marked"),),
        fix=(
            Fix(
                f"Read why the kubelet cannot patch nodes/{case.name}/status: journalctl -u kubelet on the node, and "
                "webhooks that match nodes/status."
            ),
        ),
        verify=(kubectl("get", "node", case.name, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")]}'),),
    )


CLUSTER = Ref("Cluster", "", "control-plane")


def unwatched(cluster: Cluster) -> Finding:
    """Say once for all nodes that are in contact that no node controller watches them."""
    plane = cluster.plane
    age = human_duration(plane.manager_age) if plane.manager_age is not None else "?"
    return Finding(
        CODE,
        Severity.NOTE,
        Confidence.CONFIRMED,
        CLUSTER,
        f"The controller-manager's Lease is {age} old: a node lost now would stay Ready and its pods would not be "
        "evicted. Nodes with a fresh Lease are in contact.",
        evidence=_manager(plane),
        fix=(PLANE,),
        verify=("kubectl -n kube-system get lease kube-controller-manager -o yaml",),
    )


def _unwatched(case: NodeCase) -> Finding:
    age = case.plane.manager_age
    span = human_duration(age) if age is not None else "?"
    return Finding(
        CODE,
        Severity.NOTE,
        Confidence.CONFIRMED,
        case.ref,
        f"{case.name} is in contact, but the controller-manager's Lease is {span} old: a node lost now would stay "
        "Ready and its pods would not be evicted.",
        evidence=(*manager_evidence(case), case.contact.lease_evidence()),
        fix=(PLANE,),
        verify=("kubectl -n kube-system get lease kube-controller-manager -o yaml",),
    )
