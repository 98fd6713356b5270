"""Joins faults to incidents: faults of all plugins go in, the roots come out with what each of them explains.

Two faults are joined only by an object that one of them is about and the other stands on: a pod and its node, a
Service and its pods, a workload and the webhook or controller that it waits for. What only happened at the same time
is "possible" and stays a root of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cached_property

from kubetriage.model import Confidence, Ref
from kubetriage.records import dataclass, field
from kubetriage.rules.incident.folding import Fault
from kubetriage.rules.incident.roots import CAPACITY, IMAGE, NETWORK_PLUGIN, OF_THE_PODS, REGISTRY, bare
from kubetriage.rules.service.ingress_objects import Ingress
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, labels, mapping, name_of, namespace_of, objects, text
from kubetriage.values.resources import BY_KIND

SAME_TIME = timedelta(minutes=2)
"""Faults that began within this time of each other may have to do with each other."""

_OF_CONTACT = frozenset({"AllNodesLost", "ControlPlaneUnreachable", "KubeletUnreachable", "StatusFrozen", "ZoneOutage"})
"""Codes of nodes that follow from a control plane that kubelets cannot write to."""
_CUTS_CONTACT = frozenset(
    {"ApiServerOverloaded", "ApiServerUnready", "EtcdDown", "EtcdNoSpace", "EtcdQuorumLost", "EtcdSlowDisk"}
)
_OF_THE_NODE = frozenset({"StuckTerminating", "UnschedulableTaint", "Unknown", "DependencyUnreachable"})
"""Codes of a pod that its node explains where the node has a fault of its own."""
_TAINT_OF_A_STATE = "node.kubernetes.io/"
"""Beginning of the taints that Kubernetes itself puts on a node that is not ready, or short of something."""
_WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
_DNS = Ref("Service", "kube-system", "kube-dns")

_LAYERS = (
    "ControlPlane",
    "Node",
    "Infrastructure",
    REGISTRY,
    IMAGE,
    "Configuration",
    "Workload",
    "Service",
    "Entrance",
)
_LAYER_OF_KIND = {
    "Cluster": "ControlPlane",
    "Node": "Node",
    "Nodes": "Node",
    NETWORK_PLUGIN: "Node",
    CAPACITY: "Node",
    "Pool": "Node",
    "Together": "Node",
    "Zone": "Node",
    REGISTRY: REGISTRY,
    IMAGE: IMAGE,
    "Secret": "Configuration",
    "ConfigMap": "Configuration",
    "ServiceAccount": "Configuration",
    "PersistentVolumeClaim": "Configuration",
    "ResourceQuota": "Configuration",
    "ValidatingWebhookConfiguration": "Infrastructure",
    "MutatingWebhookConfiguration": "Infrastructure",
    "StorageClass": "Infrastructure",
    "Service": "Service",
    "Ingress": "Entrance",
    "Gateway": "Entrance",
    "HTTPRoute": "Entrance",
}


@dataclass(frozen=True)
class Root:
    """A fault that nothing else explains, with the faults that it explains."""

    fault: Fault
    explains: tuple[Fault, ...] = ()
    entrances: tuple[Ref, ...] = ()
    """Ingresses that lead to a Service which this fault takes down, and have no fault of their own."""
    possible: tuple[Fault, ...] = ()
    """Faults that began at the same time, with no object in common."""

    @property
    def victims(self) -> tuple[Ref, ...]:
        """All objects that fail because of it, its own targets with them."""
        found = [*self.fault.targets, *(t for f in self.explains for t in f.targets), *self.entrances]
        return tuple(dict.fromkeys(found))

    @property
    def layer(self) -> int:
        """How low in the stack the fault is; 0 is the control plane."""
        ref = self.fault.root
        system = ref.namespace.startswith(("kube-", "openshift-"))
        name = "Infrastructure" if system else _LAYER_OF_KIND.get(ref.kind, "Workload")
        return _LAYERS.index(name)

    @property
    def counts(self) -> dict[str, int]:
        """How many objects of each kind fail because of it."""
        found: dict[str, int] = {}
        for ref in (v for v in self.victims if v.kind != "Cluster"):
            found[ref.kind] = found.get(ref.kind, 0) + 1
        return found


def join(faults: Iterable[Fault], snapshot: Snapshot) -> tuple[Root, ...]:
    """Find the roots among the faults, in the order in which to work on them."""
    graph = _Graph(tuple(faults), snapshot)
    roots = [Root(fault, explains, graph.entrances(fault, explains)) for fault, explains in graph.roots()]
    roots = [_with_neighbours(root, roots) for root in roots]
    return tuple(sorted(roots, key=_urgency))


def _urgency(root: Root) -> tuple[int, bool, bool, int, int]:
    """Order the roots: what is only a guess last, the control plane first, then what explains most."""
    finding = root.fault.finding
    guessed = finding.confidence is Confidence.POSSIBLE
    return finding.severity.rank, guessed, root.layer > 0, -len(root.victims), root.layer


def _with_neighbours(root: Root, roots: list[Root]) -> Root:
    """Name the faults of higher layers that began when this one did."""
    began = root.fault.since
    if began is None:
        return root
    near = tuple(
        other.fault
        for other in roots
        if other is not root
        and other.layer > root.layer
        and other.fault.since is not None
        and timedelta() <= other.fault.since - began <= SAME_TIME
    )
    return Root(root.fault, root.explains, root.entrances, near)


@dataclass
class _Graph:
    """Which fault stands on which."""

    faults: tuple[Fault, ...]
    snapshot: Snapshot
    _by_target: dict[Ref, list[Fault]] = field(default_factory=dict)
    _templates: dict[str, list[tuple[dict[str, str], Fault]]] = field(default_factory=dict)
    """Labels of the pod templates of controllers that have a fault, by namespace."""
    _above: dict[int, tuple[Fault, ...]] = field(default_factory=dict)
    _below: dict[int, list[Fault]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for fault in self.faults:
            for ref in dict.fromkeys((*fault.targets, fault.root, *fault.workloads)):
                self._by_target.setdefault(bare(ref), []).append(fault)
            for ref in fault.targets:
                template = labels(self._any(ref), "spec", "template", "metadata", "labels")
                if template:
                    self._templates.setdefault(ref.namespace, []).append((template, fault))
        for fault in self.faults:
            parents = tuple({id(p): p for p in self._parents(fault) if p is not fault}.values())
            self._above[id(fault)] = parents
            for parent in parents:
                self._below.setdefault(id(parent), []).append(fault)

    def roots(self) -> Iterator[tuple[Fault, tuple[Fault, ...]]]:
        """Yield each fault that nothing explains, with all that it explains."""
        for number, fault in enumerate(self.faults):
            below = self._descendants(fault)
            if not self._above[id(fault)] or self._first_of_a_circle(number, below):
                yield fault, below

    def _descendants(self, fault: Fault) -> tuple[Fault, ...]:
        found: dict[int, Fault] = {}
        waiting = list(self._below.get(id(fault), ()))
        while waiting:
            one = waiting.pop(0)
            if id(one) not in found and one is not fault:
                found[id(one)] = one
                waiting += self._below.get(id(one), ())
        return tuple(found.values())

    def _first_of_a_circle(self, number: int, below: tuple[Fault, ...]) -> bool:
        """Tell whether a fault is the first of faults that explain each other and that nothing else explains."""
        fault = self.faults[number]
        reached = {id(f) for f in below}
        if not all(id(p) in reached for p in self._above[id(fault)]):
            return False
        circle = {id(f) for f in below if any(d is fault for d in self._descendants(f))}
        return not any(id(f) in circle for f in self.faults[:number])

    def _parents(self, fault: Fault) -> Iterator[Fault]:
        finding, cause = fault.finding, fault.finding.cause
        root = mapping(finding.details, "root")
        if text(root, "name"):
            yield from self._about(Ref(text(root, "kind"), text(root, "namespace"), text(root, "name")))
        if fault.root.kind in BY_KIND and fault.root not in (*fault.targets, *fault.workloads):
            yield from self._by_target.get(fault.root, ())
        if cause in _OF_THE_NODE:
            yield from self._nodes_of(fault)
        if cause in OF_THE_PODS:
            for target in fault.targets:
                yield from self._pods_of(target)
        if cause == "DNSNotReady":
            yield from self._pods_of(fault.root)
        if cause == "DependencyUnreachable":
            yield from self._dependency(fault)
        if fault.root.kind in _WEBHOOKS and fault.example.kind == "Cluster":
            yield from self._webhook(fault)
        if cause in _OF_CONTACT:
            yield from (f for f in self._of_the_plane if f.finding.cause in _CUTS_CONTACT)
        if cause == "NodesLostContact":
            yield from (f for f in self.faults if f.example.kind == "Node")

    @cached_property
    def _of_the_plane(self) -> tuple[Fault, ...]:
        return tuple(f for f in self.faults if f.example.kind == "Cluster")

    def _webhook(self, fault: Fault) -> Iterator[Fault]:
        """Yield the faults of the pods that serve a webhook."""
        resource = BY_KIND[fault.root.kind]
        for hook in objects(self._object(resource.plural, fault.root), "webhooks"):
            service = mapping(hook, "clientConfig", "service")
            if service:
                yield from self._about(Ref("Service", text(service, "namespace"), text(service, "name")))

    def _about(self, ref: Ref) -> Iterator[Fault]:
        """Yield the faults that an object has itself, or the pods below it."""
        found = self._by_target.get(ref, [])
        yield from found
        if ref.kind == "Service":
            yield from self._pods_of(ref)

    def _nodes_of(self, fault: Fault) -> Iterator[Fault]:
        names = {text(self._object("pods", t), "spec", "nodeName") for t in fault.targets if t.kind == "Pod"}
        if fault.finding.cause == "UnschedulableTaint":
            names |= {
                name_of(node)
                for node in self.snapshot.list("nodes").items
                if any(text(t, "key").startswith(_TAINT_OF_A_STATE) for t in objects(node, "spec", "taints"))
            }
        for name in sorted(names - {""}):
            yield from (f for f in self._by_target.get(Ref("Node", "", name), ()) if f.example.kind == "Node")

    def _pods_of(self, service: Ref) -> Iterator[Fault]:
        selector = labels(self._object("services", service), "spec", "selector")
        if not selector:
            return
        for raw in self.snapshot.list("pods", service.namespace).items:
            own = labels(raw, "metadata", "labels")
            if all(own.get(k) == v for k, v in selector.items()):
                yield from self._by_target.get(Ref("Pod", namespace_of(raw), name_of(raw)), ())
        # A workload whose pods were never made.
        for template, fault in self._templates.get(service.namespace, ()):
            if template.items() >= selector.items():
                yield fault

    def _dependency(self, fault: Fault) -> Iterator[Fault]:
        address = text(fault.finding.details, "address")
        host, _, _ = address.rpartition(":") if ":" in address else (address, "", "")
        if text(fault.finding.details, "failure") == "unresolved":
            yield from (f for f in self._about(_DNS) if f is not fault)
        parts = host.rstrip(".").split(".")
        namespace = parts[1] if len(parts) > 1 else fault.example.namespace
        service = self.snapshot.get("services", namespace, parts[0])
        if not service.found:
            for raw in self.snapshot.list("services").items:
                if host and text(raw, "spec", "clusterIP") == host:
                    yield from self._about(Ref("Service", namespace_of(raw), name_of(raw)))
            return
        yield from self._about(Ref("Service", namespace, parts[0]))

    def entrances(self, fault: Fault, explained: tuple[Fault, ...]) -> tuple[Ref, ...]:
        """Return the Ingresses that lead to a Service among the victims and are no victims already."""
        # An ingress controller reads endpoints and asks no DNS.
        known = {bare(t) for f in (fault, *explained) if f.finding.cause != "DNSNotReady" for t in f.targets}
        services = {(r.namespace, r.name) for r in known if r.kind == "Service"}
        found = []
        for raw in self.snapshot.list("ingresses").items:
            ref = Ref("Ingress", namespace_of(raw), name_of(raw))
            if ref not in known and any((ref.namespace, name) in services for name in services_of(raw)):
                found.append(ref)
        return tuple(found)

    def _object(self, plural: str, ref: Ref) -> Obj:
        return self.snapshot.get(plural, ref.namespace, ref.name).obj

    def _any(self, ref: Ref) -> Obj:
        resource = BY_KIND.get(ref.kind)
        return self._object(resource.plural, ref) if resource is not None else {}


def services_of(ingress: Obj) -> set[str]:
    """Return the names of the Services that an Ingress leads to."""
    return {path.backend.service for path in Ingress(ingress).paths} - {""}
