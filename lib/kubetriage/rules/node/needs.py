"""What to read of the surroundings of nodes in trouble: in come their cases, out go needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kubetriage.model import Severity
from kubetriage.needs import List, Need, Raw
from kubetriage.readers.events import node_event_need
from kubetriage.rules.node.case import MACHINE_CHECKS, NODE_CHECKS, NodeCase
from kubetriage.rules.node.causes import (
    node_problem,
)
from kubetriage.rules.node.drain import BUDGETS, namespaces_to_read
from kubetriage.rules.node.kubelet_probe import kubelet_path
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
PODS_PER_NODE_AT_MOST = 5
"""With more nodes in trouble their pods are read in one list."""


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
    )


def _pressed(case: NodeCase) -> bool:
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure")
    conditions = objects(case.node, "status", "conditions")
    return any(text(c, "status") == "True" and text(c, "type") in kinds for c in conditions)


def detail_needs(snapshot: Snapshot, chosen: Sequence[NodeCase], *, probe: bool) -> Iterator[Need]:
    """Ask for what surrounds the chosen nodes; ``probe`` lets the API server dial their kubelets."""
    names = [c.name for c in chosen]
    if not names:
        return
    yield from _pod_needs(names)
    yield List("volumeattachments", cached=True, timeout=ASIDE_SECONDS, shape=_on_nodes(names))
    # What is not in a watch cache hangs while nobody can write, and would tell nothing of it.
    frozen = chosen[0].cluster.whole.kind == "frozen"
    if not frozen:
        yield Raw(NODE_CHECKS, timeout=ASIDE_SECONDS)
        for path in dict.fromkeys(p for c in chosen for key, p in MACHINE_CHECKS.items() if key in c.annotations):
            yield Raw(path, timeout=ASIDE_SECONDS)
    yield from _reasons(snapshot, chosen, frozen=frozen)
    for case in chosen:
        if probe:
            yield Raw(kubelet_path(case.name, "healthz"), timeout=ASIDE_SECONDS)
            yield Raw(kubelet_path(case.name, LOG_QUERY), timeout=ASIDE_SECONDS)
        # From a cluster the kubelet's figures need nodes/proxy, which must be asked for.
        if (probe or snapshot.source != "cluster") and _pressed(case):
            yield Raw(kubelet_path(case.name, "configz"), timeout=ASIDE_SECONDS)
            yield Raw(kubelet_path(case.name, "stats/summary"), timeout=ASIDE_SECONDS)
    if any(c.drains for c in chosen):
        yield BUDGETS
    if all(snapshot.knows(n) for n in _pod_needs(names)):
        yield from _surroundings(chosen)
        drained = [p for c in chosen if c.drains for p in c.pods]
        for namespace in namespaces_to_read(drained, snapshot.list(BUDGETS.resource).items):
            yield List("pods", namespace, cached=True, timeout=ASIDE_SECONDS)
        for case in () if frozen else chosen[:GROUP_SHOWN]:
            yield node_event_need(case.name, ASIDE_SECONDS)


def _reasons(snapshot: Snapshot, chosen: Sequence[NodeCase], *, frozen: bool) -> Iterator[Need]:
    """Ask for what explains the states at hand: CSRs, the network plugin, controllers that owe something, agents."""
    if any(c.contact.silent or c.contact.never for c in chosen) and not frozen:
        yield REQUESTS
    cut = [c for c in chosen if c.reported("network") or _unrouted(c)]
    if cut and not frozen:
        yield from network_needs()
        for case in cut[:GROUP_SHOWN]:
            yield from log_needs(case)
    for case in chosen[:GROUP_SHOWN]:
        if case.contact.ready == "True":
            yield from controller_needs(case.node, snapshot)
        yield from node_problem.agent_needs(case)


def _unrouted(case: NodeCase) -> bool:
    return text(condition(case.node, "NetworkUnavailable"), "status") == "True"


def _pod_needs(names: Sequence[str]) -> Iterator[List]:
    if len(names) > PODS_PER_NODE_AT_MOST:
        wanted = frozenset(names)
        yield List(
            "pods",
            cached=True,
            timeout=LIST_SECONDS,
            shape=lambda raw: raw if text(raw, "spec", "nodeName") in wanted else None,
        )
        return
    for name in names:
        yield List("pods", fields=f"spec.nodeName={name}", cached=True, timeout=LIST_SECONDS)


def _on_nodes(names: Sequence[str]) -> Any:
    wanted = frozenset(names)
    return lambda raw: raw if text(raw, "spec", "nodeName") in wanted else None


def _surroundings(chosen: Sequence[NodeCase]) -> Iterator[Need]:
    """Ask for what tells how pods are replaced."""
    names = frozenset(c.name for c in chosen)
    replaced, jobs, claims = set(), set(), set()
    for case in chosen:
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
