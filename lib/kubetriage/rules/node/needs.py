"""What to read of the surroundings of nodes in trouble: in come their cases, out go needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kubetriage.model import Severity
from kubetriage.needs import Get, List, Need, Raw
from kubetriage.readers.events import events_by_node, node_event_need
from kubetriage.rules.node.case import MACHINE_CHECKS, NODE_CHECKS, NodeCase
from kubetriage.rules.node.causes import (
    node_problem,
)
from kubetriage.rules.node.drain import BUDGETS, namespaces_to_read
from kubetriage.rules.node.kubelet_probe import kubelet_path
from kubetriage.rules.node.losses_alike import ENDED, ended_with_node
from kubetriage.rules.node.missing_network import log_needs, network_needs
from kubetriage.rules.node.sections import GROUP_SHOWN
from kubetriage.rules.node.signing_requests import REQUESTS
from kubetriage.rules.node.waiting_taints import controller_needs, waiting_taints
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, condition, mapping, objects, text

FIRST_SECONDS = 8.0
"""Time limit of the lists without which nothing can be said; their answer comes from the API server's memory."""
LIST_SECONDS = 5.0
"""Time limit of further cached lists."""
ASIDE_SECONDS = 3.0
"""Time limit of what the verdict can do without: events, health checks, the dial of a kubelet."""
PODS_PER_NODE_AT_MOST = 30
"""With more nodes to tell of, their pods are read in one list: the API server has an index of pods by node, and a node
has a hundred pods where a cluster has a hundred thousand."""
HOLDERS_AT_MOST = 50
"""Holders of elections that are looked up one by one."""


LOG_QUERY = "logs/?query=kubelet&tailLines=400"
"""The kubelet's log query (1.27 and later, off by default); a GET that runs journalctl on the node."""


def troubled(case: NodeCase) -> bool:
    """Something more than a cordon may be wrong, so its surroundings are worth reading."""
    return shows_trouble(case) or bool(case.words.words)


def shows_trouble(case: NodeCase) -> bool:
    """Tell whether the node itself shows trouble, whatever its machine's own logs say."""
    taints = objects(case.node, "spec", "taints")
    return (
        case.contact.ready != "True"
        or case.contact.silent
        or case.contact.fading
        or any(text(t, "effect") == "NoExecute" for t in taints)
        or _pressed(case)
        or any(f.severity is not Severity.NOTE for f in node_problem.check(case))
        or bool(waiting_taints(case.node))
        or "machineconfiguration.openshift.io/reason" in case.annotations
        or case.drains
        or lacked_memory(case)
    )


def lacked_memory(case: NodeCase) -> bool:
    """Tell whether events that were read already, of a text or for other reasons, tell of kills on the machine."""
    known = case.snapshot.derived(events_by_node).get(case.name, ())
    return any(text(raw, "reason") == "SystemOOM" for raw in known)


def _pressed(case: NodeCase) -> bool:
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure")
    conditions = objects(case.node, "status", "conditions")
    return any(text(c, "status") == "True" and text(c, "type") in kinds for c in conditions)


def detail_needs(
    snapshot: Snapshot, chosen: Sequence[NodeCase], told: Sequence[NodeCase], *, probe: bool
) -> Iterator[Need]:
    """Ask for what surrounds the chosen nodes; ``probe`` lets the API server dial their kubelets.

    ``told`` are those of them that stand for all: what they show, the others show, and it is told of them.
    """
    names = [c.name for c in chosen]
    if not names:
        return
    pods = list(_pod_needs(chosen, told))
    yield from pods
    yield List("volumeattachments", cached=True, timeout=ASIDE_SECONDS, shape=_on_nodes(frozenset(names)))
    # What is not in a watch cache hangs while nobody can write, and would tell nothing of it.
    frozen = told[0].cluster.whole.kind == "frozen"
    if not frozen:
        yield Raw(NODE_CHECKS, timeout=ASIDE_SECONDS)
        for path in dict.fromkeys(p for c in told for key, p in MACHINE_CHECKS.items() if key in c.annotations):
            yield Raw(path, timeout=ASIDE_SECONDS)
    yield from _reasons(snapshot, told, frozen=frozen)
    for case in told:
        if probe:
            yield Raw(kubelet_path(case.name, "healthz"), timeout=ASIDE_SECONDS)
            yield Raw(kubelet_path(case.name, LOG_QUERY), timeout=ASIDE_SECONDS)
        # From a cluster the kubelet's figures need nodes/proxy, which must be asked for.
        if (probe or snapshot.source != "cluster") and _pressed(case):
            yield Raw(kubelet_path(case.name, "configz"), timeout=ASIDE_SECONDS)
            yield Raw(kubelet_path(case.name, "stats/summary"), timeout=ASIDE_SECONDS)
    if any(c.drains for c in told):
        yield BUDGETS
    if all(snapshot.knows(n) for n in pods):
        yield from _surroundings(told, frozenset(names))
        drained = [p for c in told if c.drains for p in c.pods]
        for namespace in namespaces_to_read(drained, snapshot.list(BUDGETS.resource).items):
            yield List("pods", namespace, cached=True, timeout=ASIDE_SECONDS)
        for case in () if frozen else told[:GROUP_SHOWN]:
            yield node_event_need(case.name, ASIDE_SECONDS)


def _reasons(snapshot: Snapshot, told: Sequence[NodeCase], *, frozen: bool) -> Iterator[Need]:
    """Ask for what explains the states at hand: CSRs, the network plugin, controllers that owe something, agents."""
    if any(c.contact.silent or c.contact.never for c in told) and not frozen:
        yield REQUESTS
    cut = [c for c in told if c.reported("network") or c.untold or _unrouted(c)]
    if cut and not frozen:
        yield from network_needs()
        for case in cut[:GROUP_SHOWN]:
            yield from log_needs(case)
    for case in told[:GROUP_SHOWN]:
        if case.contact.ready == "True":
            yield from controller_needs(case.node, snapshot)
        yield from node_problem.agent_needs(case)


def _unrouted(case: NodeCase) -> bool:
    return text(condition(case.node, "NetworkUnavailable"), "status") == "True"


def _pod_needs(chosen: Sequence[NodeCase], told: Sequence[NodeCase]) -> Iterator[List | Get]:
    """Ask for the pods of the nodes that are told, and for what could show that another one is not like them."""
    wanted = frozenset(c.name for c in chosen)
    cluster = chosen[0].cluster
    holders = {n: where for n, where in cluster.holders.items() if n not in cluster.nodes}
    if len(told) > PODS_PER_NODE_AT_MOST or (len(told) < len(chosen) and len(holders) > HOLDERS_AT_MOST):
        yield List("pods", cached=True, timeout=LIST_SECONDS, shape=_on_nodes(wanted))
        return
    for case in told:
        yield List("pods", fields=f"spec.nodeName={case.name}", cached=True, timeout=LIST_SECONDS)
    if len(told) < len(chosen):
        ended = _on_nodes(wanted)
        yield List(
            "pods",
            fields=ENDED,
            cached=True,
            timeout=LIST_SECONDS,
            shape=lambda raw: ended(raw) if ended_with_node(raw) else None,
        )
        for name, namespace in holders.items():
            yield Get("pods", namespace, name)


def _on_nodes(names: frozenset[str]) -> Callable[[Obj], Obj | None]:
    return lambda raw: raw if text(raw, "spec", "nodeName") in names else None


def _surroundings(told: Sequence[NodeCase], names: frozenset[str]) -> Iterator[Need]:
    """Ask for what tells how pods are replaced."""
    replaced, jobs, claims = set(), set(), set()
    for case in told:
        for pod in case.pods:
            kind = text(pod.controller, "kind")
            if pod.deleting and kind in ("ReplicaSet", "ReplicationController"):
                replaced.add(pod.namespace)
            if kind == "Job" and not pod.finished:
                jobs.add(pod.namespace)
            if any("persistentVolumeClaim" in v for v in objects(pod.raw, "spec", "volumes")):
                claims.add(pod.namespace)
    for namespace in sorted(replaced):
        yield List("pods", namespace, cached=True, timeout=ASIDE_SECONDS, shape=lambda raw: _lean_sibling(raw, names))
    for namespace in sorted(jobs):
        yield List("jobs", namespace, cached=True, timeout=ASIDE_SECONDS)
    for namespace in sorted(claims):
        yield List("persistentvolumeclaims", namespace, cached=True, timeout=ASIDE_SECONDS)


def _lean_sibling(raw: Obj, nodes: frozenset[str]) -> Obj:
    """Keep of a pod on another node what tells that it replaces one."""
    if text(raw, "spec", "nodeName") in nodes:
        return raw
    kept = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "ownerReferences")
    return {
        "metadata": {k: v for k, v in mapping(raw, "metadata").items() if k in kept},
        "spec": {"nodeName": text(raw, "spec", "nodeName")},
        "status": {"phase": text(raw, "status", "phase"), "conditions": objects(raw, "status", "conditions")},
    }
