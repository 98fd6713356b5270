"""Which pods a request is about, and what to list to find them."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.found import Lookup
from kubetriage.needs import Get, List, Need
from kubetriage.plugins import ANY_KIND, Request, Target
from kubetriage.readers.pods import Pod
from kubetriage.rules import custom_workloads
from kubetriage.rules.workloads import controller_ref, owner_uids
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, uid_of
from kubetriage.values.resources import BY_PLURAL, CONTROLLERS
from kubetriage.values.selectors import field_selector_matches, label_selector_matches, selector_text


def target_needs(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Ask for the named objects, and for the pods of those that are controllers."""
    for target in request.targets:
        if target.resource == ANY_KIND:
            yield from custom_workloads.needs(snapshot, request.namespace, target.kind, target.name)
            continue
        yield Get(target.resource, request.namespace, target.name)
        found = snapshot.get(target.resource, request.namespace, target.name)
        if target.resource in CONTROLLERS and found.found:
            yield from pod_lists(request.namespace, target.resource, found.obj)


def pod_lists(namespace: str, resource: str, controller: Obj) -> Iterator[List]:
    """Ask for the pods of a controller, and for the objects between it and them."""
    if resource == "deployments":
        yield List("replicasets", namespace, selector_text(controller))
    if resource == "cronjobs":
        yield List("jobs", namespace)
        yield List("pods", namespace)
    else:
        yield List("pods", namespace, selector_text(controller))


def selected_pods(snapshot: Snapshot, request: Request) -> Iterator[Pod]:
    """Yield the pods that the request is about, as far as they are known."""
    if request.is_scan:
        for raw in snapshot.list("pods", request.namespace, request.selector, request.field_selector).items:
            pod = Pod(raw)
            if label_selector_matches(request.selector, pod.labels) and field_selector_matches(
                request.field_selector, raw
            ):
                yield pod
        return
    for target in request.targets:
        if target.resource == ANY_KIND:
            custom = custom_workloads.find(snapshot, request.namespace, target.kind, target.name)
            yield from custom_workloads.pods(snapshot, custom) if custom is not None else ()
            continue
        found = snapshot.get(target.resource, request.namespace, target.name)
        if not found.found:
            yield from orphaned_pods(snapshot, request.namespace, target)
            continue
        if target.resource == "pods":
            yield Pod(found.obj)
        else:
            yield from controlled_pods(snapshot, request.namespace, found.obj)


def left_out(snapshot: Snapshot, found: Lookup) -> bool:
    """Tell whether a dump leaves out the whole kind of an object, as cluster-info dump does with Jobs."""
    return snapshot.source != "cluster" and not found.found and (found.presumed or not found.absent)


def orphaned_pods(snapshot: Snapshot, namespace: str, target: Target) -> Iterator[Pod]:
    """Yield the pods that name a controller as their owner which the dump leaves out."""
    if target.resource not in CONTROLLERS or not left_out(
        snapshot, snapshot.get(target.resource, namespace, target.name)
    ):
        return
    kind = BY_PLURAL[target.resource].kind
    for raw in snapshot.list("pods", namespace).items:
        owner = controller_ref(snapshot, raw)
        if owner is not None and (owner.kind, owner.name) == (kind, target.name):
            yield Pod(raw)


def controlled_pods(snapshot: Snapshot, namespace: str, controller: Obj) -> Iterator[Pod]:
    """Yield the known pods below a controller, through any number of owners."""
    uid = uid_of(controller)
    for raw in snapshot.list("pods", namespace).items:
        if uid and uid in owner_uids(snapshot, raw):
            yield Pod(raw)
