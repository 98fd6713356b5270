"""Which object a describe is about, and the object that its text makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kubetriage.cluster.documents import accepted_name
from kubetriage.cluster.text import condition_parts, keyed, machines, pods, services, workloads
from kubetriage.cluster.text.event_rows import described_events
from kubetriage.cluster.text.flat import indented, is_flat
from kubetriage.cluster.text.found import Finds, Found, Raw
from kubetriage.cluster.text.outline import NONE, Entry, outline
from kubetriage.found import Form
from kubetriage.values.resources import BY_KIND, BY_PLURAL, Resource, resource_of_kind

_SIGNATURES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Node", ("System Info",)),
    ("Node", ("Roles", "Taints")),
    ("Node", ("Non-terminated Pods",)),
    ("Deployment", ("StrategyType",)),
    ("Deployment", ("NewReplicaSet",)),
    ("CronJob", ("Schedule", "Concurrency Policy")),
    ("DaemonSet", ("Desired Number of Nodes Scheduled",)),
    ("Job", ("Pods Statuses",)),
    ("Job", ("Parallelism", "Completions")),
    ("StatefulSet", ("Pods Status", "Update Strategy")),
    ("StatefulSet", ("Pods Status", "Volume Claims")),
    ("ReplicaSet", ("Pods Status", "Replicas")),
    ("Pod", ("QoS Class",)),
    ("Pod", ("Containers", "Status")),
    ("Pod", ("Containers", "Node")),
    ("Pod", ("Init Containers",)),
    ("EndpointSlice", ("AddressType",)),
    ("Endpoints", ("Subsets",)),
    ("Service", ("Session Affinity",)),
    ("Service", ("Selector", "Type")),
    ("Service", ("TargetPort",)),
    ("Ingress", ("Rules", "Default backend")),
    ("Ingress", ("Rules", "Ingress Class")),
    ("PersistentVolume", ("Reclaim Policy", "Claim")),
    ("PersistentVolumeClaim", ("Access Modes", "StorageClass")),
    ("PersistentVolumeClaim", ("StorageClass", "Volume")),
    ("StorageClass", ("Provisioner",)),
    ("ServiceAccount", ("Mountable secrets",)),
    ("ServiceAccount", ("Image pull secrets",)),
    ("Pod", ("Controlled By", "Containers")),
    ("Pod", ("Containers",)),
)
"""Keys at the left by which the kind is known, the more special first."""
_OF_A_CONTAINER = frozenset(
    {"state", "last state", "restart count", "limits", "requests", "liveness", "readiness", "startup", "container id"}
)
_OF_RESOURCES = frozenset({"limits", "requests"})
_OF_STATUS = frozenset({"state", "last state", "restart count", "container id"})
_PHASES = ("Failed", "Pending", "Running", "Succeeded")
_OF_A_POD = frozenset(
    {"containers", "init containers", "volumes", "qos class", "tolerations", "node-selectors", "conditions"}
)

_HIDDEN: Mapping[str, tuple[str, ...]] = {
    "Pod": pods.HIDDEN,
    "Service": services.SERVICE_HIDDEN,
    "Ingress": services.INGRESS_HIDDEN,
    "EndpointSlice": services.SLICE_HIDDEN,
    "NetworkPolicy": services.POLICY_HIDDEN,
    "Node": machines.HIDDEN,
    **dict.fromkeys(workloads._VERSIONS, workloads.HIDDEN),
}
_KEYS_OF_FIELDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Pod": (
        ("Service Account", "spec.serviceAccountName"),
        ("Node-Selectors", "spec.nodeSelector"),
        ("Tolerations", "spec.tolerations"),
        ("Volumes", "spec.volumes"),
        ("Conditions", "status.conditions"),
        ("Containers", "spec.containers"),
        ("Node", "spec.nodeName"),
        ("Labels", "metadata.labels"),
        ("Annotations", "metadata.annotations"),
    ),
    "Ingress": (("Ingress Class", "spec.ingressClassName"), ("Annotations", "metadata.annotations")),
    "Service": (
        ("Selector", "spec.selector"),
        ("Internal Traffic Policy", "spec.internalTrafficPolicy"),
        ("IP Families", "spec.ipFamilies"),
        ("Annotations", "metadata.annotations"),
    ),
    "Node": (("Taints", "spec.taints"), ("Conditions", "status.conditions"), ("Annotations", "metadata.annotations")),
    "Job": (
        ("Backoff Limit", "spec.backoffLimit"),
        ("Active Deadline Seconds", "spec.activeDeadlineSeconds"),
        ("Suspend", "spec.suspend"),
    ),
}
"""Keys that some versions of kubectl print and others do not, or that a cut text lacks, with the field each shows."""


def read_describe(
    rows: Sequence[str], asked: Sequence[str], namespace: str, finds: Finds, line: int, named: str = ""
) -> bool:
    """Put the object of one describe into ``finds``; return False when its kind is not known.

    ``asked`` are the resources of the command above, ``namespace`` is its, and ``named`` the one object that it names.
    """
    if is_flat(rows):
        rows = indented(rows)
    root = outline(rows)
    resource = _resource(root, asked, rows)
    if resource is None:
        if (other := _other(root, namespace)) is not None:
            finds.others.append(other)
            _take_events(root, other["kind"], other["metadata"].get("namespace", ""), finds)
            return True
        return _read_fragment(root, asked, namespace, finds, line, named)
    kind = resource.kind
    name = root.text("Name")
    where = (root.text("Namespace") or namespace) if resource.namespaced else ""
    obj = _make(kind, root, rows, finds, where, resource)
    made = workloads.metadata(root)
    inner = obj.pop("metadata", {})
    obj["metadata"] = {**inner, **{k: v for k, v in made.items() if v}}
    if where:
        obj["metadata"]["namespace"] = where
    elif not resource.namespaced:
        obj["metadata"].pop("namespace", None)
    if not name:
        obj["metadata"].pop("name", None)
    finds.objects.append(Found(resource.plural, obj, _form(resource, root), line, described=True))
    _beside(kind, root, obj, finds, where, line)
    _take_events(root, kind, where, finds)
    return True


def _take_events(root: Entry, kind: str, namespace: str, finds: Finds) -> None:
    """Take the events at the end of a describe."""
    events, name = root.get("Events"), root.text("Name")
    if events is not None and name:
        if events.value in ("<none>", "") or events.below:
            finds.whole_events.append((kind, namespace, name))
        finds.events += described_events(events.lines(), kind, namespace, name)


def _other(root: Entry, namespace: str) -> Raw | None:
    """Make an object of a kind that no table knows, of the generic form with its group; None for anything else."""
    kind, version, name = root.text("Kind"), root.text("API Version", "ApiVersion"), root.text("Name")
    if not (kind and name and "." in version.partition("/")[0] and "/" in version):
        return None
    made = keyed.custom(root, kind, version)
    inner = made.pop("metadata", {})
    told = {k: v for k, v in workloads.metadata(root).items() if v}
    place = root.text("Namespace")
    # A kind of the whole cluster prints the key without a value.
    where = {"namespace": place or namespace} if place not in ("", "<none>") or root.get("Namespace") is None else {}
    made["metadata"] = {**inner, **told, **where, "name": name}
    if not where or not where["namespace"]:
        made["metadata"].pop("namespace", None)
    return made if accepted_name(made) else None


def _form(resource: Resource, root: Entry) -> Form:
    missing = [field for key, field in _KEYS_OF_FIELDS.get(resource.kind, ()) if root.get(key) is None]
    if resource.kind == "Service":
        # Nothing is printed for a field without a value here.
        missing = [m for m in missing if m in ("spec.selector", "metadata.annotations")]
    elif resource.kind == "Job":
        missing = [m for m in missing if m != "spec.activeDeadlineSeconds"]
    return Form(
        f"kubectl describe {resource.kind.lower()}", hides=(*_HIDDEN.get(resource.kind, ("metadata.uid",)), *missing)
    )


def _resource(root: Entry, asked: Sequence[str], rows: Sequence[str]) -> Resource | None:
    known = {e.key.lower() for e in root.below}
    plain = [r for r in asked if r in BY_PLURAL]
    kind, version = root.text("Kind"), root.text("API Version", "ApiVersion")
    if kind and "." in version.partition("/")[0]:
        # Several groups have a Gateway, a Service or a Certificate.
        return resource_of_kind(version.rpartition("/")[0], kind)
    if kind in BY_KIND and root.get("API Version", "ApiVersion") is not None:
        return BY_KIND[kind]
    if root.text("Name"):
        for found, keys in _SIGNATURES:
            if all(key.lower() in known for key in keys):
                if len(plain) == 1 and len(asked) == 1 and BY_PLURAL[plain[0]].kind != found:
                    return BY_PLURAL[plain[0]]
                return BY_KIND[found]
        if len(plain) == 1 and len(asked) == 1:
            return BY_PLURAL[plain[0]]
        return BY_KIND.get(_by_look(root, rows, known))
    return None


def _by_look(root: Entry, rows: Sequence[str], known: set[str]) -> str:
    """Tell the kinds whose describe has no key of its own."""
    stripped = {row.strip() for row in rows[:400]}
    spec = root.get("Spec")
    if spec is not None and spec.get("PodSelector") is not None:
        return "NetworkPolicy"
    if any(row.split()[:3] == ["Resource", "Used", "Hard"] for row in rows[:40] if row):
        return "ResourceQuota"
    if any(row.split()[:4] == ["Type", "Resource", "Min", "Max"] for row in rows[:40] if row):
        return "LimitRange"
    if "====" in stripped and "Data" in stripped:
        return "Secret" if "type" in known else "ConfigMap"
    if "controller" in known:
        return "IngressClass"
    if "status" in known and "namespace" not in known and root.text("Status") in ("Active", "Terminating"):
        return "Namespace"
    return ""


_MAKERS: Mapping[str, Callable[[Entry], Raw]] = {
    "Pod": pods.pod,
    "Service": services.service,
    "Endpoints": services.endpoints,
    "EndpointSlice": services.endpoint_slice,
    "NetworkPolicy": services.network_policy,
    "Node": machines.node,
    "ResourceQuota": machines.quota,
    "LimitRange": machines.limit_range,
    "ServiceAccount": machines.service_account,
    "Secret": keyed.secret,
}


def _make(kind: str, root: Entry, rows: Sequence[str], finds: Finds, namespace: str, resource: Resource) -> Raw:
    if kind in _MAKERS:
        return _MAKERS[kind](root)
    if kind in workloads._VERSIONS:
        return workloads.workload(root, kind)
    if kind in ("PersistentVolumeClaim", "PersistentVolume", "StorageClass"):
        return machines.storage(root, kind)
    if kind == "Ingress":
        return services.ingress(root, finds, namespace)
    if kind == "ConfigMap":
        return keyed.config_map(rows)
    if kind == "IngressClass":
        return {"apiVersion": resource.api_version, "kind": kind, "spec": {"controller": root.text("Controller")}}
    if kind == "Namespace":
        return {"apiVersion": "v1", "kind": kind, "status": {"phase": root.text("Status")}}
    return keyed.custom(root, kind, root.text("API Version", "ApiVersion") or resource.api_version)


def _beside(kind: str, root: Entry, obj: Raw, finds: Finds, namespace: str, line: int) -> None:
    """Take what a describe tells of other objects."""
    name = root.text("Name")
    if kind == "Node":
        machines.beside_node(root, name, finds, line)
    elif kind == "PersistentVolumeClaim":
        _users(root, name, finds, namespace, line)
    elif kind == "Deployment":
        for replica_set, there, wanted in workloads.new_sets(root):
            owner = {"kind": kind, "name": name, "controller": True}
            made: Raw = {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
            made["metadata"] = {"name": replica_set, "namespace": namespace, "ownerReferences": [owner]}
            made["spec"], made["status"] = {"replicas": wanted}, {"replicas": there}
            shows = ("metadata.name", "metadata.ownerReferences", "spec.replicas", "status.replicas")
            finds.objects.append(Found("replicasets", made, Form("kubectl describe deployment", shows=shows), line))
    elif kind == "Service" and obj["spec"].get("type") != "ExternalName":
        rows = services.service_endpoints(root)
        # Older kubectls read the old Endpoints here, which nobody writes for slices made by hand.
        old = root.get("Internal Traffic Policy") is None
        none = any(e.key == "Endpoints" and e.value == "<none>" for e in root.below)
        by_hand = old and none and not obj["spec"].get("selector")
        if rows and not by_hand:
            made = services.endpoints_of(rows)
            made["metadata"] = {"name": name, "namespace": namespace}
            shown = ("subsets.addresses", "subsets.ports") if all(whole for _, _, whole in rows) else ("subsets.ports",)
            form = Form("kubectl describe service", shows=("metadata.name", *shown))
            finds.objects.append(Found("endpoints", made, form, line))


def _read_conditions(root: Entry, resource: Resource, name: str, finds: Finds, line: int) -> str:
    """Take the conditions of a node whose describe was cut to them; return its kind, empty for anything else."""
    if resource.kind != "Node" or not name or root.get("Conditions") is None:
        return ""
    seen = ["metadata.name", "status.conditions", *(["spec.taints"] if root.get("Taints") is not None else [])]
    made = {**machines.node(root), "metadata": {"name": name}}
    finds.objects.append(Found("nodes", made, Form("a part of kubectl describe node", shows=tuple(seen)), line))
    return resource.kind


def _users(root: Entry, claim: str, finds: Finds, namespace: str, line: int) -> None:
    """Take the pods that a claim's describe names as its users; one that was looked at itself shows more."""
    users = root.get("Used By", "Mounted By")
    form = Form("kubectl describe persistentvolumeclaim", shows=("metadata.name",))
    for user in users.values() if users is not None else ():
        if user in NONE or not user:
            continue
        made: Raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": user, "namespace": namespace}}
        volume = {"name": claim, "persistentVolumeClaim": {"claimName": claim}}
        made["spec"] = {"volumes": [volume]}
        if root.text("Status") == "Pending":
            made["status"] = {"phase": "Pending"}
        finds.objects.append(Found("pods", made, form, line))


def _read_fragment(root: Entry, asked: Sequence[str], namespace: str, finds: Finds, line: int, named: str) -> bool:
    """Take a part of the describe of a pod or a node, cut from its context."""
    known = {e.key.lower() for e in root.below}
    name = root.text("Name") or named
    kind = ""
    other = BY_PLURAL.get(asked[0]) if len(asked) == 1 and asked[0] != "pods" else None
    if other is not None:
        kind = _read_conditions(root, other, name, finds, line)
        if not kind and other.kind != "Node":
            told = condition_parts.About(tuple(asked), name, namespace)
            kind = other.kind if condition_parts.read_described(root, told, finds, line) else ""
    elif known & _OF_A_CONTAINER and not known & {"containers", "init containers"}:
        holder = Entry("Containers", "", 0, "", below=[Entry("", "", 1, "", below=list(root.below))])
        holder.below[0].key = "CONTAINER"
        inner = Entry("", "", -1, "", below=[holder])
        obj, kind = pods.pod(inner), "Pod"
        shows: tuple[str, ...] = tuple(
            field
            for field, keys in (("spec.containers.resources", _OF_RESOURCES), ("status.containerStatuses", _OF_STATUS))
            if known & keys
        )
    elif known & _OF_A_POD or (root.text("Status") in _PHASES and "reason" in known):
        obj, kind = pods.pod(root), "Pod"
        shows = tuple(
            f
            for k, f in (
                ("containers", "spec.containers"),
                ("volumes", "spec.volumes"),
                ("conditions", "status.conditions"),
            )
            if k in known
        )
        shows += ("status.containerStatuses",) if "containers" in known else ()
        shows += ("status.phase", "status.reason", "status.message") if "status" in known else ()
    events = root.get("Events")
    if kind == "Pod":
        obj["metadata"] = {
            **obj.get("metadata", {}),
            **({"namespace": namespace} if namespace else {}),
            **({"name": name} if name else {}),
        }
        finds.objects.append(
            Found("pods", obj, Form("a part of kubectl describe pod", shows=shows), line, described=True)
        )
    if events is not None:
        about = kind or (BY_PLURAL[asked[0]].kind if len(asked) == 1 and asked[0] in BY_PLURAL else "")
        finds.events += described_events(events.lines(), about, namespace, name)
    return bool(kind) or bool(events is not None and events.below)
