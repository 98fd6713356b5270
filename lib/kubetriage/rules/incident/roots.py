"""The object at the root of a finding: a diagnosis goes in, the reference to what must be mended comes out.

A finding about a pod is rarely about that pod alone: it is about a Secret that does not exist, an image, a registry, a
node, a quota, or the pod's own template. Findings with one code and one root are one fault.
"""

from __future__ import annotations

from kubetriage.model import Diagnosis, Finding, Ref, Severity
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.workloads import controller_ref
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import condition, labels, mapping, text
from kubetriage.values.resources import BY_KIND

REGISTRY, IMAGE, NETWORK_PLUGIN = "Registry", "Image", "NetworkPlugin"
"""Roots that are no objects of the API."""

_ON_THE_NODE = frozenset(
    {"Evicted", "NodeAdmissionRejected", "NodeNotReady", "NodeRestarted", "NodeShutdown", "SandboxCreateFailed"}
)
OF_THE_PODS = frozenset({"NoEndpoints", "PodsCrashing", "PodsNotReady", "PodsTerminating", "SomePodsNotReady"})
"""Codes of a Service that follow from its pods."""
_OF_THE_REGISTRY = frozenset({"ImagePullRateLimited", "RegistryError", "RegistryUnreachable"})


@dataclass(frozen=True)
class Symptom:
    """One diagnosis that has a fault, with the object that the fault is at."""

    diagnosis: Diagnosis
    finding: Finding
    root: Ref
    workload: Ref
    """What the target belongs to: its top controller; the target itself where it has none."""

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
    return Symptom(diagnosis, finding, root, owner)


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
    for read in (_named_root, _reference, _image, _quota, _claim, _plugin):
        found = read(finding, target)
        if found is not None:
            return found
    on_the_node = finding.cause in _ON_THE_NODE or text(finding.details, "killedBy") == "node"
    if on_the_node and target.kind == "Pod":
        node = Pod(snapshot.get("pods", target.namespace, target.name).obj).node
        if node:
            return Ref("Node", "", node)
    if target.kind == "Pod" or finding.object.kind == "Pod":
        return owner
    return bare(finding.object)


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
    return Ref(REGISTRY, "", registry_of(image)) if finding.cause in _OF_THE_REGISTRY else Ref(IMAGE, "", image)


def registry_of(image: str) -> str:
    """Return the host that an image reference is pulled from (``docker.io`` where it names none)."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def _quota(finding: Finding, target: Ref) -> Ref | None:
    name = text(finding.details, "quota")
    return Ref("ResourceQuota", target.namespace, name) if name else None


def _claim(finding: Finding, target: Ref) -> Ref | None:
    name = text(finding.details, "claim")
    return Ref("PersistentVolumeClaim", target.namespace, name) if name else None


def _plugin(finding: Finding, target: Ref) -> Ref | None:
    """Return the network plugin that several nodes wait for."""
    name = text(finding.details, "plugin")
    return Ref(NETWORK_PLUGIN, "", name) if name and target.kind == "Node" else None


def symptoms(diagnoses: tuple[Diagnosis, ...], snapshot: Snapshot) -> tuple[Symptom, ...]:
    """Return the faults of several diagnoses, in their order."""
    return tuple(s for d in diagnoses if (s := symptom(d, snapshot)) is not None)
