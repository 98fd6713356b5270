"""What belongs to the objects that a user of triage named: pods, Services, Ingresses and nodes."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Diagnosis
from kubetriage.plugins import ANY_KIND, Plugin, Request, Target
from kubetriage.plugins.selection import selected_pods
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.incident.joining import services_of
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, labels, mapping, name_of, text
from kubetriage.values.resources import CONTROLLERS

_STEPS, _ROOTS_AT_MOST = 3, 5
"""How far, and to how many pods, the way from a pod to what it waits for is followed."""
PODS_AT_MOST = 50
"""Pods behind a named Service or Ingress that are looked at."""
_WITH_PODS = ("pods", ANY_KIND, *CONTROLLERS)


def targets_of(snapshot: Snapshot, request: Request, plugin: Plugin) -> Iterator[Target]:
    """Yield what a plugin is asked about the named objects."""
    found: dict[Target, None] = {}
    for target in request.targets:
        known = target.resource in plugin.resources or (target.resource == ANY_KIND and plugin.name == "why-crash")
        if known and (plugin.name != "svc-trace" or target.resource != "pods"):
            found[target] = None
        elif plugin.default_resource == "pods":
            pods = list(pods_of(snapshot, replace(request, targets=(target,))))
            found.update((Target("pods", pod.name), None) for pod in pods[:PODS_AT_MOST])
    if plugin.name == "svc-trace":
        found.update(dict.fromkeys(_ways(snapshot, request)))
    if plugin.name == "why-crash" and found:
        found.update(dict.fromkeys(_below(snapshot, replace(request, targets=tuple(found)), plugin)))
    yield from found


def _below(snapshot: Snapshot, request: Request, plugin: Plugin) -> Iterator[Target]:
    """Yield the pods that the named ones wait for, as far as findings name them: the root may be among those."""
    seen = {t.name for t in request.targets}
    for _ in range(_STEPS):
        answer = plugin.diagnose(snapshot, request)
        ends = [mapping(f.details, "root") for d in answer.diagnoses for f in d.findings]
        names = {text(e, "name"): None for e in ends if text(e, "kind") == "Pod" and _is_here(e, request)}
        fresh = [Target("pods", name) for name in names if name and name not in seen][:_ROOTS_AT_MOST]
        if not fresh:
            return
        yield from fresh
        seen |= {t.name for t in fresh}
        request = replace(request, targets=tuple(fresh))


def _is_here(end: Obj, request: Request) -> bool:
    return text(end, "namespace") in ("", request.namespace)


def _ways(snapshot: Snapshot, request: Request) -> Iterator[Target]:
    """Yield the Services of the named pods and workloads, and the Ingresses that lead to them or to named Services."""
    own = replace(request, targets=tuple(t for t in request.targets if t.resource in _WITH_PODS))
    pods = list(pods_of(snapshot, own))
    services = {t.name for t in request.targets if t.resource == "services"}
    for raw in snapshot.list("services", request.namespace).items if pods else ():
        selector = labels(raw, "spec", "selector")
        if selector and any(p.labels.items() >= selector.items() for p in pods):
            services.add(name_of(raw))
            yield Target("services", name_of(raw))
    for raw in snapshot.list("ingresses", request.namespace).items if services else ():
        if services & services_of(raw):
            yield Target("ingresses", name_of(raw))


def pods_of(snapshot: Snapshot, request: Request) -> Iterator[Pod]:
    """Yield the pods of the named objects: their own, and those behind named Services and Ingresses."""
    own = tuple(t for t in request.targets if t.resource in _WITH_PODS)
    found = {p.uid: p for p in selected_pods(snapshot, replace(request, targets=own))} if own else {}
    services = {t.name for t in request.targets if t.resource == "services"}
    for target in request.targets:
        if target.resource == "ingresses":
            services |= services_of(snapshot.get("ingresses", request.namespace, target.name).obj)
    for name in services:
        selector = labels(snapshot.get("services", request.namespace, name).obj, "spec", "selector")
        for raw in snapshot.list("pods", request.namespace).items if selector else ():
            if labels(raw, "metadata", "labels").items() >= selector.items():
                pod = Pod(raw)
                found[pod.uid] = pod
    yield from found.values()


def nodes_of(snapshot: Snapshot, request: Request) -> set[str]:
    """Return the nodes that carry something of what was asked about."""
    named = {t.name for t in request.targets if t.resource == "nodes"}
    pods = pods_of(snapshot, request) if request.targets else selected_pods(snapshot, request)
    return named | {p.node for p in pods if p.node}


def in_scope(diagnoses: tuple[Diagnosis, ...], snapshot: Snapshot, request: Request) -> tuple[Diagnosis, ...]:
    """Leave out nodes that carry nothing of what was asked about; a pod without a node may wait for any of them."""
    # A text that shows nodes and no pod at all is about the nodes.
    if request.all_namespaces or not (request.targets or snapshot.list("pods").items or snapshot.source == "cluster"):
        return diagnoses
    used = nodes_of(snapshot, request)
    pods = pods_of(snapshot, request) if request.targets else selected_pods(snapshot, request)
    waiting = any(not p.node for p in pods)
    return tuple(d for d in diagnoses if d.target.kind != "Node" or d.target.name in used or waiting)
