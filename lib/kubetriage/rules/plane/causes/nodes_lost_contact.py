"""Kubelets do not reach the API server any more.

Meaning: the nodes are marked Ready=Unknown and, unless nearly all are, their pods are evicted after five minutes. The
pods themselves may well run on.

Told by: Ready=Unknown, which only a living controller-manager writes, or leases older than the grace period where no
controller-manager leads. Nearly all nodes at once, with controllers that can write, means the way from the kubelets to
the API server: load balancer, virtual address, kubelet certificates, or starved heartbeats. A whole zone means the
zone. A few nodes are those nodes' own matter. While nobody can write, statuses are frozen and nothing is concluded.

Fix: mend the way to the API server; for single nodes ask node-triage.

Source: nodelifecycle controller (grace period 50 s from 1.32, 40 s before; unhealthy-zone-threshold 0.55).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.rules.machine import machine_of
from kubetriage.rules.node.outage_scope import zone_of
from kubetriage.rules.plane.case import CLUSTER, Case, Leading, Writes
from kubetriage.rules.plane.figure_format import count, names
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER
from kubetriage.rules.plane.object_states import ready_since, ready_status
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of
from kubetriage.values.times import format_time

CODE = "NodesLostContact"
LINK = "kubelets' contact"


_SEVERAL = 3
"""Nodes that do not fail together by chance; with fewer it may be the kubelets themselves."""


def check(case: Case) -> Iterator[Finding]:
    """Tell the whole cluster, a zone and single nodes apart."""
    lost = case.lost_nodes
    if not lost or case.writes in (Writes.FROZEN, Writes.SLOW):
        return
    total = len(case.nodes)
    machine = machine_of(next(n for n in case.nodes if name_of(n) == lost[0]))
    if len(lost) >= case.limits.nodes_lost * total:
        where = "the way from the kubelets to it is broken" if total >= _SEVERAL else "the kubelets, or the way to it"
        yield _finding(
            case,
            lost,
            Severity.ERROR,
            f"{len(lost)} of {count(total, 'node')} lost contact with the API server, which itself can write: {where}.",
            (
                Fix(
                    "Try from one of them the API server's address that its kubelet uses: load balancer, virtual"
                    " address, firewall, DNS.",
                    actor=Actor.NODE,
                    commands=machine.lines("api server"),
                ),
                Fix(
                    "See in its log whether the API server refuses it, and when its client certificate ends.",
                    actor=Actor.NODE,
                    commands=(
                        *machine.lines("kubelet log", "client certificate"),
                        kubectl("node-triage", lost[0]),
                    ),
                ),
            ),
        )
        return
    zones = _zones(case, set(lost))
    for zone, gone, size in zones:
        yield _finding(
            case,
            gone,
            Severity.ERROR,
            f"Zone {zone} lost contact: {len(gone)} of its {size} nodes, while other zones are in contact.",
            (
                Fix(
                    f"Look at the network and power of zone {zone}; its pods move once its nodes are tainted.",
                    actor=Actor.CLOUD,
                    commands=(
                        kubectl("get", "nodes", "-l", f"topology.kubernetes.io/zone={zone}", "-o", "wide"),
                        kubectl("node-triage", gone[0]),
                    ),
                ),
            ),
        )
    rest = tuple(n for n in lost if not any(n in gone for _, gone, _ in zones))
    if rest:
        yield _finding(
            case,
            rest,
            Severity.NOTE,
            f"{count(len(rest), 'node')} of {total} lost contact ({names(rest)}); the control plane is not the reason.",
            (
                Fix(
                    "Look at these nodes themselves.",
                    actor=Actor.NODE,
                    commands=(kubectl("node-triage", *rest[:3]),),
                ),
            ),
        )


def _zones(case: Case, lost: set[str]) -> list[tuple[str, tuple[str, ...], int]]:
    members: dict[str, list[str]] = defaultdict(list)
    for node in case.nodes:
        members[zone_of(node)].append(name_of(node))
    found = []
    if len(members) > 1:
        for zone, nodes in sorted(members.items()):
            gone = tuple(n for n in nodes if n in lost)
            whole = len(gone) == len(nodes) and len(gone) >= 2
            most = len(gone) > 2 and len(gone) >= case.limits.zone_lost * len(nodes)
            if zone and (whole or most):
                found.append((zone, gone, len(nodes)))
    return found


def _finding(case: Case, lost: tuple[str, ...], severity: Severity, message: str, fixes: tuple[Fix, ...]) -> Finding:
    evidence, starts = [], []
    for node in case.nodes:
        if name_of(node) in lost:
            since = ready_since(node) if ready_status(node) == "Unknown" else None
            lease = case.leases.nodes.get(name_of(node))
            starts += [t for t in (since, lease.renewed if lease else None) if t]
            evidence.append(
                Evidence(
                    "status",
                    f"node {name_of(node)}",
                    f"Ready={ready_status(node)}"
                    + (f", lease renewed {format_time(lease.renewed)}" if lease and lease.renewed else ""),
                    format_time(since) if since else "",
                )
            )
    watched = case.leading(CONTROLLER_MANAGER) in (Leading.YES, Leading.BACK)
    return Finding(
        CODE,
        severity,
        Confidence.CONFIRMED if watched else Confidence.LIKELY,
        Ref("Node", "", lost[0]) if len(lost) == 1 else CLUSTER,
        message,
        tuple(evidence[:5]),
        (),
        fixes,
        ("kubectl get nodes", "kubectl -n kube-node-lease get leases --sort-by=.spec.renewTime"),
        {"link": LINK, "nodes": list(lost), **({"since": format_time(min(starts))} if starts else {})},
    )
