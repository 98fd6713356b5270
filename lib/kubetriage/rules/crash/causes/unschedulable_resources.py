"""No node has enough of a resource left for the pod's request.

Meaning: the scheduler counts requests, not use: a node is full when the requests of its pods reach what it can
allocate. The pod stays Pending until requests shrink, pods leave, or a node comes.

Told by: ``Insufficient RESOURCE``, ``Too many pods``, ``exceed max volume count``, words about a ResourceClaim or
``no nodes available to schedule pods`` in the condition PodScheduled or the ``FailedScheduling`` event; the nodes'
allocatable amounts and the pods on them tell whether any node could ever hold the request.

Fix: lower the request in the workload's pod template to what the containers use, add nodes, or free some.

Source: scheduler plugins NodeResourcesFit, NodeVolumeLimits, DynamicResources.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from kubetriage.model import Actor, Evidence, Finding, Fix
from kubetriage.needs import List, Need
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, replace
from kubetriage.rules.crash import device_plugins, scheduling
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.device_plugins import lacking, plugin_name
from kubetriage.rules.crash.resource_requests import BYTES, amount_text, pod_request
from kubetriage.rules.crash.root_causes import Root, repair
from kubetriage.rules.crash.scheduling import Block, Unscheduled
from kubetriage.rules.node_pods import pods_on
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, dig, labels, mapping, name_of
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_quantity

CODE = "UnschedulableResources"

_INSUFFICIENT = lazy(r"Insufficient (?P<resource>[^\s,.]+(?:\.[^\s,.]+)*)")
CANDIDATES = 5
"""Nodes whose pods are read to tell what is free; more would cost a list for each."""


@dataclass(frozen=True)
class Room:
    """What one node has of a resource."""

    node: str
    allocatable: Fraction
    free: Fraction | None
    """None: the pods on it were not seen."""
    at_most: bool
    """The pods of some namespaces may be missing, so less may be free."""


def needs(case: Case) -> Iterator[Need]:
    """Ask for the nodes, and for the pods on the few that could hold the request."""
    yield from scheduling.needs(case)
    found = scheduling.unscheduled(case, Block.RESOURCES)
    resource = _resource(found)
    if found is None or not resource:
        return
    if "/" in resource:
        yield from device_plugins.needs(resource)
    wanted = pod_request(case.pod, resource)
    for node in _candidates(found, resource):
        if _allocatable(node, resource) >= wanted:
            yield List("pods", fields=f"spec.nodeName={name_of(node)}")


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the pods of the plugin whose device no node has."""
    found = scheduling.unscheduled(case, Block.RESOURCES)
    resource = _resource(found)
    if found is not None and "/" in resource:
        yield from device_plugins.plugin_pods(case, resource)


def check(case: Case) -> Iterator[Finding]:
    """Compare the request with the nodes."""
    found = scheduling.unscheduled(case, Block.RESOURCES)
    if found is None:
        return
    resource = _resource(found)
    if found.head.words == scheduling.NO_NODES:
        yield found.finding(
            CODE,
            "The cluster has no nodes at all, so there is none for the pod.",
            (
                Fix(
                    "Add nodes, or see why the autoscaler or the node group has started none.",
                    actor=Actor.CLUSTER,
                    commands=(kubectl("get", "nodes"),),
                ),
            ),
            verify=("kubectl get nodes",),
        )
        return
    if not resource:
        fix = f"Use fewer volumes or devices in {case.workload_name}, or add nodes."
        yield found.finding(
            CODE,
            f"No node takes the pod: {found.head}.",
            (case.template_fix(fix),),
        )
        return
    wanted = pod_request(case.pod, resource)
    root = device_plugins.plugin_root(case, resource) if "/" in resource and _lacking(found, resource) else None
    if root is not None:
        yield _by_plugin(found, resource, root)
        return
    rooms = [_room(found, node, resource) for node in _candidates(found, resource)]
    made = found.finding(
        CODE,
        _message(found, resource, wanted, rooms),
        (case.template_fix(_words(case, resource, wanted, rooms)),),
        tuple(_evidence(case, resource, rooms)),
        verify=("kubectl describe nodes", "kubectl top nodes"),
    )
    if any(room.allocatable >= wanted for room in rooms):
        # The nodes are full for everybody; a pod that is too large for every node is at fault itself.
        selector = labels(case.pod.raw, "spec", "nodeSelector")
        where = f" of nodes {','.join(f'{k}={v}' for k, v in sorted(selector.items()))}" if selector else ""
        made = replace(made, details={**made.details, "capacity": f"{resource}{where}"})
    yield made


def _lacking(found: Unscheduled, resource: str) -> bool:
    """Tell whether no node that was seen reports the device at all."""
    return bool(found.nodes.items) and not any(_allocatable(n, resource) for n in found.nodes.items)


def _by_plugin(found: Unscheduled, resource: str, root: Root) -> Finding:
    """Name the plugin that reports the device, and its own cause."""
    fix = repair(root, f"The kubelet then reports {resource}, and the pod is scheduled by itself.")
    name = device_plugins.plugin_name(resource)
    message = f"No node reports {resource}, because {name} does not work: {root.words}"
    made = found.finding(CODE, message, (fix,), root.evidence, verify=("kubectl describe nodes",))
    return replace(made, details={**made.details, "root": root.details})


def _resource(found: Unscheduled | None) -> str:
    if found is None:
        return ""
    if "Too many pods" in found.head.words:
        return "pods"
    match = _INSUFFICIENT.search(found.head.words)
    return match["resource"] if match else ""


def _allocatable(node: Obj, resource: str) -> Fraction:
    return parse_quantity(dig(node, "status", "allocatable", resource)) or Fraction(0)


def _candidates(found: Unscheduled, resource: str) -> list[Obj]:
    """Return the largest nodes that nothing else keeps the pod from."""
    pod = found.case.pod
    chooses = scheduling.node_choice(pod)
    usable = [n for n in found.nodes.items if chooses(n) and not scheduling.untolerated(pod, n)]
    chosen = usable or list(found.nodes.items)
    return sorted(chosen, key=lambda n: (-_allocatable(n, resource), name_of(n)))[:CANDIDATES]


def _room(found: Unscheduled, node: Obj, resource: str) -> Room:
    name, total = name_of(node), _allocatable(node, resource)
    listing = found.case.snapshot.list("pods", fields=f"spec.nodeName={name}")
    if not listing.complete:
        return Room(name, total, None, True)
    used = sum((pod_request(p, resource) for p in pods_on(found.case.snapshot, name)), Fraction(0))
    return Room(name, total, total - used, listing.presumed)


def _message(found: Unscheduled, resource: str, wanted: Fraction, rooms: list[Room]) -> str:
    several = found.total > 1
    count = f"{found.head.nodes} of {found.total} nodes" if several else "the only node"
    one = not several or found.head.nodes == 1
    lacks = f"{count} {'lacks' if one else 'lack'}"
    if resource == "pods":
        largest = max((r.allocatable for r in rooms), default=None)
        limit = f" (at most {int(largest)} pods a node)" if largest else ""
        hold = "holds as many as it may" if one else "hold as many as they may"
        return f"No node takes another pod: {count} {hold}{limit}."
    if not wanted and not found.case.snapshot.covers(found.case.pod.raw, "spec.containers.resources"):
        return f"{lacks[:1].upper() + lacks[1:]} {resource} for the pod; what it requests was not seen."
    if not wanted:
        return (
            f"{lacks[:1].upper() + lacks[1:]} {resource} for the pod, though its containers request none: its "
            "RuntimeClass's overhead counts, and a node whose pods request more than it has takes no other."
        )
    asks = f"The pod requests {amount_text(resource, wanted)}" + ("" if resource == "cpu" else f" of {resource}")
    if not rooms:
        return f"{asks}, and {lacks} it."
    biggest = max(rooms, key=lambda r: r.allocatable)
    if not biggest.allocatable:
        return f"{asks}, and no node has any."
    if biggest.allocatable < wanted:
        have = amount_text(resource, biggest.allocatable)
        return f"{asks}; the largest node, {biggest.node}, has {have} in all, so it can never be scheduled there."
    seen = [r for r in rooms if r.free is not None]
    if not seen:
        return f"{asks}; {lacks} it, though {biggest.node} has {amount_text(resource, biggest.allocatable)} in all."
    best = max(seen, key=lambda r: r.free or Fraction(0))
    free = max(best.free or Fraction(0), Fraction(0))
    if free >= wanted:
        # Not all pods were seen, or one has left since.
        return f"{asks}; the scheduler found {count} without room for it, though {best.node} now seems to have some."
    bound = "at most " if best.at_most else ""
    return f"{asks}; the most that is free is {bound}{amount_text(resource, free)} on {best.node}."


def _words(case: Case, resource: str, wanted: Fraction, rooms: list[Room]) -> str:
    if resource == "pods":
        return "Add nodes, remove pods, or raise maxPods of the kubelets."
    if "/" in resource and (others := _of_the_same_kind(case, resource)):
        shown = ", ".join(f"{name} ({amount_text(name, most)} on {where})" for name, (most, where) in others[:3])
        return (
            f"Ask for what the nodes have in {case.workload_name}: {shown}. Or have the device plugin offer "
            f"{resource}: "
            "MIG profiles and time slices change these names."
        )
    if "/" in resource and not any(r.allocatable for r in rooms) and (known := lacking(resource)):
        return known
    if "/" in resource and rooms and not any(r.allocatable for r in rooms):
        return (
            f"Add a node with {resource}, or check that its device plugin runs where the device is; else drop it "
            f"from {case.workload_name}."
        )
    if "/" in resource and not rooms:
        return (
            f"See which nodes report {resource} (kubectl describe nodes, Allocatable). If none does, "
            f"{plugin_name(resource)} or its "
            f"driver does not run where the device is; if all are taken, end a pod that holds one or add a node."
        )
    if not wanted and resource != "pods":
        lower = (
            ""
            if case.snapshot.covers(case.pod.raw, "spec.containers.resources")
            else f", or lower requests.{resource} in {case.workload_name}"
        )
        return f"Free {resource} on the nodes, or add one{lower}; kubectl describe nodes shows what takes it."
    room = max((r.free if r.free is not None else r.allocatable for r in rooms), default=None)
    if room is None or room <= 0 or room >= wanted:
        return f"Lower requests.{resource} in {case.workload_name}, or add a node with room for it."
    return (
        f"Lower requests.{resource} in {case.workload_name} from {amount_text(resource, wanted)} to at most "
        f"{_below(resource, room)}, or add a node with room for it."
    )


def _of_the_same_kind(case: Case, resource: str) -> list[tuple[str, tuple[Fraction, str]]]:
    """Return the other devices of the same vendor that nodes have, where none has the one that is asked for.

    Each with the most that one node has, and that node.
    """
    domain = resource.partition("/")[0]
    have: dict[str, tuple[Fraction, str]] = {}
    for node in case.snapshot.list("nodes").items:
        for name in mapping(node, "status", "allocatable"):
            amount = _allocatable(node, name) if name.partition("/")[0] == domain else Fraction(0)
            if amount > have.get(name, (Fraction(0), ""))[0]:
                have[name] = (amount, name_of(node))
    return [] if resource in have else sorted(have.items())


def _below(resource: str, room: Fraction) -> str:
    """Write an amount that surely fits: bytes are rounded down to MiB."""
    return f"{int(room) // 2**20}Mi" if resource in BYTES else amount_text(resource, room)


def _evidence(case: Case, resource: str, rooms: list[Room]) -> Iterator[Evidence]:
    if resource != "pods":
        for container in case.containers:
            asked = dig(container.spec, "resources", "requests", resource)
            if asked is not None:
                yield container.fact("spec", f"resources.requests.{resource}", asked)
    for room in rooms:
        free = ""
        if room.free is not None:
            bound = "at most " if room.at_most else ""
            free = f", free {bound}{amount_text(resource, max(room.free, Fraction(0)))}"
        value = f"allocatable {amount_text(resource, room.allocatable)}{free}"
        yield Evidence("status", f"node/{room.node} {resource}", value)
