"""The object at the root of a finding: a diagnosis goes in, the reference to what must be mended comes out.

A finding about a pod is rarely about that pod alone: it is about a Secret that does not exist, an image, a registry, a
node, a quota, or the pod's own template. Findings with one code and one root are one fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from kubetriage.model import Diagnosis, Evidence, Finding, Ref, Severity
from kubetriage.readers.events import read_event
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.workloads import controller_ref
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import condition, labels, mapping, name_of, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_KIND
from kubetriage.values.times import parse_time

REGISTRY, IMAGE, NETWORK_PLUGIN, CAPACITY = "Registry", "Image", "NetworkPlugin", "Capacity"
"""Roots that are no objects of the API."""

_ON_THE_NODE = frozenset(
    {"Evicted", "NodeAdmissionRejected", "NodeNotReady", "NodeRestarted", "NodeShutdown", "SandboxCreateFailed"}
)
OF_THE_PODS = frozenset(
    {"NoEndpoints", "NoPods", "PodsCrashing", "PodsNotReady", "PodsTerminating", "SomePodsNotReady"}
)
"""Codes of a Service that follow from its pods."""
_PULLS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName"})
_OF_THE_REGISTRY = frozenset({"ImagePullRateLimited", "RegistryError", "RegistryUnreachable"})


@dataclass(frozen=True)
class Symptom:
    """One diagnosis that has a fault, with the object that the fault is at."""

    diagnosis: Diagnosis
    finding: Finding
    root: Ref
    workload: Ref
    """What the target belongs to: its top controller; the target itself where it has none."""
    times: tuple[datetime, ...] = ()
    """When the fault showed, the oldest first; empty where nothing tells."""

    @property
    def target(self) -> Ref:
        """The object that was diagnosed."""
        return self.diagnosis.target

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two symptoms one fault: the code and the root."""
        return self.finding.cause, self.root.kind, self.root.namespace, self.root.name


def symptom(diagnosis: Diagnosis, snapshot: Snapshot) -> Symptom | None:
    """Return the fault of a diagnosis with its root; None when it has none."""
    finding = next((f for f in diagnosis.findings if f.severity is not Severity.NOTE), None)
    if finding is None:
        return None
    owner = workload_of(diagnosis.target, snapshot)
    root = (
        _shared_by_nodes(diagnosis)
        or _below_the_service(finding, diagnosis.target, snapshot)
        or _root(finding, diagnosis.target, owner, snapshot)
    )
    return Symptom(diagnosis, finding, root, owner, tuple(sorted(_times(diagnosis, finding, snapshot))))


_TELLING = 60
"""Characters of an event's message that tell it from others."""
_STILL_GOOD = lazy(r"conditions\[Ready\]\Z")


def _times(diagnosis: Diagnosis, finding: Finding, snapshot: Snapshot) -> Iterator[datetime]:
    """Yield the times of a fault: what the rule or the outage says, else the proof and the pod's own condition."""
    said = parse_time(text(finding.details, "since")) or parse_time(text(diagnosis.extra, "scope", "since"))
    if said is not None:
        yield said
    for line in finding.evidence:
        moment = parse_time(line.time)
        # A node that is lost may be quoted with the hour at which it became ready.
        good = line.value.startswith("True") and _STILL_GOOD.search(line.at)
        if moment is not None and not good and (said is None or moment >= said):
            yield moment
        if line.source == "event" and diagnosis.target.kind != "Pod":
            yield from _first_seen(line, diagnosis.target.namespace, snapshot)
    if said is None and diagnosis.target.kind == "Pod":
        pod = snapshot.get("pods", diagnosis.target.namespace, diagnosis.target.name).obj
        ready = condition(pod, "Ready")
        moment = parse_time(text(ready, "lastTransitionTime")) if text(ready, "status") == "False" else None
        if moment is not None:
            yield moment


def _first_seen(line: Evidence, namespace: str, snapshot: Snapshot) -> Iterator[datetime]:
    """Yield when the events that a line quotes came first: the line bears the time of the last one."""
    for raw in snapshot.list("events", namespace).items if namespace else ():
        if text(raw, "reason") == line.at and text(raw, "message").strip().startswith(line.value[:_TELLING]):
            first = read_event(raw).first
            if first is not None:
                yield first


def _shared_by_nodes(diagnosis: Diagnosis) -> Ref | None:
    """Return what the silent nodes of one outage have in common: the zone, the pool, or the whole cluster."""
    scope = mapping(diagnosis.extra, "scope")
    kind, label = text(scope, "kind"), text(scope, "label")
    if diagnosis.target.kind != "Node" or kind not in ("zone", "pool", "together", "cluster"):
        return None
    return Ref("Nodes", "", "all") if kind == "cluster" else Ref(kind.capitalize(), "", label) if label else None


def _below_the_service(finding: Finding, target: Ref, snapshot: Snapshot) -> Ref | None:
    """Return what the pods of a Service that are not ready have in common: the node that is lost, or their workload."""
    if target.kind != "Service" or finding.cause not in OF_THE_PODS:
        return None
    selector = labels(snapshot.get("services", target.namespace, target.name).obj, "spec", "selector")
    if not selector:
        return None
    pods = [
        Pod(raw)
        for raw in snapshot.list("pods", target.namespace).items
        if labels(raw, "metadata", "labels").items() >= selector.items()
    ]
    sick = [p for p in pods if not p.ready]
    nodes = {p.node for p in sick}
    if len(nodes) == 1 and (node := nodes.pop()):
        found = snapshot.get("nodes", "", node)
        if found.found and text(condition(found.obj, "Ready"), "status") != "True":
            return Ref("Node", "", node)
    images = {c.image if c.waiting_reason in _PULLS else "" for p in sick for c in p.containers if not c.ready}
    if len(images) == 1 and (image := images.pop()):
        return Ref(IMAGE, "", image)
    tops = {controller_ref(snapshot, p.raw) for p in sick}
    top = tops.pop() if len(tops) == 1 else None
    return bare(top) if top is not None else None


def workload_of(target: Ref, snapshot: Snapshot) -> Ref:
    """Return the top controller of a target, without its uid; the target itself where it has none."""
    resource = BY_KIND.get(target.kind)
    found = snapshot.get(resource.plural, target.namespace, target.name) if resource is not None else None
    if found is None or not found.found or target.kind in ("Node", "Service", "Ingress"):
        return bare(target)
    top = controller_ref(snapshot, found.obj)
    return bare(top) if top is not None else bare(target)


def bare(ref: Ref) -> Ref:
    """Leave out uid and container, so that an object is the same wherever it was named."""
    return Ref(ref.kind, ref.namespace, ref.name)


def _root(finding: Finding, target: Ref, owner: Ref, snapshot: Snapshot) -> Ref:
    if hook := text(finding.details, "webhook"):
        configuration = _configuration(hook, snapshot)
        if configuration is not None:
            return configuration
    if target.kind == "Node" and (plugin := text(finding.details, "plugin")):
        return _plugin(plugin, snapshot)
    for read in (_named_root, _reference, _image, _quota, _claim, _capacity):
        found = read(finding, target)
        if found is not None:
            return found
    on_the_node = finding.cause in _ON_THE_NODE or text(finding.details, "killedBy") == "node"
    if finding.cause == "Evicted" and "limit" in finding.details:
        # It passed a limit of its own; the node is healthy.
        on_the_node = False
    if on_the_node and target.kind == "Pod":
        node = Pod(snapshot.get("pods", target.namespace, target.name).obj).node
        if node:
            return Ref("Node", "", node)
    if target.kind == "Pod":
        return owner
    return workload_of(finding.object, snapshot) if finding.object.kind == "Pod" else bare(finding.object)


def _named_root(finding: Finding, _target: Ref) -> Ref | None:
    """Read ``details.root``: rules that follow a chain of objects name its end."""
    root = mapping(finding.details, "root")
    kind, name = text(root, "kind"), text(root, "name")
    return Ref(kind, text(root, "namespace"), name) if kind and name else None


def _reference(finding: Finding, target: Ref) -> Ref | None:
    reference = mapping(finding.details, "reference")
    kind, name = text(reference, "kind"), text(reference, "name")
    return Ref(kind, target.namespace, name) if kind and name else None


def _image(finding: Finding, _target: Ref) -> Ref | None:
    image = text(finding.details, "image")
    if not image:
        return None
    registry = registry_of(image)
    # Docker Hub refuses a repository that does not exist in the same words.
    refused = finding.cause == "ImagePullUnauthorized" and registry != "docker.io"
    return Ref(REGISTRY, "", registry) if refused or finding.cause in _OF_THE_REGISTRY else Ref(IMAGE, "", image)


def registry_of(image: str) -> str:
    """Return the host that an image reference is pulled from (``docker.io`` where it names none)."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def _quota(finding: Finding, target: Ref) -> Ref | None:
    name = text(finding.details, "quota")
    return Ref("ResourceQuota", target.namespace, name) if name else None


def _configuration(hook: str, snapshot: Snapshot) -> Ref | None:
    """Return the configuration that registers a webhook."""
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for raw in snapshot.list(BY_KIND[kind].plural).items:
            if any(text(one, "name") == hook for one in objects(raw, "webhooks")):
                return Ref(kind, "", name_of(raw))
    return None


def _claim(finding: Finding, target: Ref) -> Ref | None:
    name, wanted = text(finding.details, "claim"), text(finding.details, "storageClass")
    if wanted:
        return Ref("StorageClass", "", wanted)
    return Ref("PersistentVolumeClaim", target.namespace, name) if name else None


def _plugin(name: str, snapshot: Snapshot) -> Ref:
    """Return the DaemonSet of a network plugin, which is named itself or by one of its pods."""
    namespace, _, daemon_set = name.rpartition("/")
    if namespace:
        return Ref("DaemonSet", namespace, daemon_set)
    for raw in snapshot.list("pods").items:
        top = controller_ref(snapshot, raw) if name_of(raw) == name else None
        if top is not None:
            return bare(top)
    return Ref(NETWORK_PLUGIN, "", name)


def _capacity(finding: Finding, _target: Ref) -> Ref | None:
    """Return the resource that all nodes are full of."""
    name = text(finding.details, "capacity")
    return Ref(CAPACITY, "", name) if name else None


def symptoms(diagnoses: tuple[Diagnosis, ...], snapshot: Snapshot) -> tuple[Symptom, ...]:
    """Return the faults of several diagnoses, in their order."""
    return tuple(s for d in diagnoses if (s := symptom(d, snapshot)) is not None)
