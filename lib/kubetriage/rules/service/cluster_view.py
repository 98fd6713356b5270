"""What was read of the cluster around a Service: its pods, slices and endpoints, each list indexed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from kubetriage.found import Listing, Lookup, State
from kubetriage.model import Finding, Ref
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, replace
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.selector_edits import selects
from kubetriage.rules.workloads import controller_ref
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any, Literal, TypeVar, cast, overload
from kubetriage.values.commands import Command, kubectl
from kubetriage.values.fields import Obj, flag, labels, name_of, objects, text, uid_of
from kubetriage.values.resources import BY_PLURAL

T = TypeVar("T")

HopName = Literal["Pod", "Service", "NetworkPolicy", "Ingress", "Route", "Gateway", "DNS"]

WORKLOADS = ("deployments", "statefulsets", "daemonsets", "replicasets", "jobs")
"""Kinds with a pod template that a Service may be meant for."""


@dataclass(frozen=True)
class Place:
    """One row of the hop table: a hop and the object that is judged there."""

    hop: HopName
    ref: Ref
    part: str = ""
    """What of the object, for example a port; tells rows of one object apart."""


class World:
    """Indexes over a snapshot, so that a scan of many Services reads each list once."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Index nothing yet."""
        self.snapshot = snapshot
        self._slices: dict[str, dict[str, list[Obj]]] = {}
        self._crash: dict[str, tuple[Finding, ...]] = {}
        self._backends: dict[tuple[str, str], Backend] = {}
        self._lists: dict[tuple[str, str], Listing] = {}
        self._kept: dict[object, Any] = {}

    def forget(self) -> None:
        """Let go of what was indexed: Services know their world, which knows them, and so stay till the end else."""
        for index in (self._slices, self._crash, self._backends, self._lists, self._kept):
            index.clear()

    @property
    def now(self) -> datetime:
        """The clock of the observation."""
        return self.snapshot.now

    def kept(self, key: object, make: Callable[[], T]) -> T:
        """Return what ``make`` returns, made once for each key: an index that many Services of a scan share."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast("T", self._kept[key])

    def listing(self, resource: str, namespace: str = "") -> Listing:
        """List what is known; the answer is remembered."""
        key = (resource, namespace)
        if key not in self._lists:
            self._lists[key] = self.snapshot.list(resource, namespace)
        return self._lists[key]

    def pods(self, namespace: str) -> Sequence[Pod]:
        """Return all pods of a namespace that are known, or (empty) of all."""
        return self.snapshot.derived_of(_PodIndex, "pods").pods(namespace)

    def unlabelled(self, namespace: str) -> bool:
        """Tell whether a text printed pods of a namespace without their labels."""
        return self.snapshot.source != "cluster" and self.kept(
            ("unlabelled", namespace),
            lambda: any(not self.snapshot.covers(p.raw, "metadata.labels") for p in self.pods(namespace)),
        )

    def selected(self, namespace: str, selector: Mapping[str, str]) -> tuple[Pod, ...]:
        """Return the pods of a namespace that a Service selector selects, as far as they are known."""
        if not selector:
            return ()
        index = self.snapshot.derived_of(_PodIndex, "pods")
        pods, postings = index.pods(namespace), index.postings(namespace)
        fewest = min((postings.get(pair, []) for pair in selector.items()), key=len)
        return tuple(p for p in (pods[at] for at in fewest) if selects(selector, p.labels))

    def slices(self, namespace: str, service: str) -> tuple[Obj, ...]:
        """Return the slices of one Service."""
        if namespace not in self._slices:
            found: dict[str, list[Obj]] = {}
            for raw in self.listing("endpointslices", namespace).items:
                owner = labels(raw, "metadata", "labels").get(eps.SERVICE_NAME_LABEL, "")
                found.setdefault(owner, []).append(raw)
            self._slices[namespace] = found
        return tuple(self._slices[namespace].get(service, ()))

    def crash(self, pod: Pod) -> tuple[Finding, ...]:
        """Return the verdict of the crash rules on one pod."""
        key = pod.uid or f"{pod.namespace}/{pod.name}"
        if key not in self._crash:
            # Most Services are well, and do not need what is known of pods that are not.
            from kubetriage.rules.crash import evaluation

            self._crash[key] = evaluation.diagnose_pod(self.snapshot, pod)
        return self._crash[key]

    def backend(self, namespace: str, name: str) -> Backend:
        """Return the view of one Service."""
        key = (namespace, name)
        if key not in self._backends:
            self._backends[key] = Backend(self, namespace, name)
        return self._backends[key]

    def drop(self, backend: Backend) -> None:
        """Let go of the view of a Service and of its pods; who asks again has it made anew."""
        self._backends.pop((backend.namespace, backend.name), None)

    def namespace_labels(self, namespace: str) -> dict[str, str] | None:
        """Return the labels of a namespace; None when it was not seen."""
        found = self.snapshot.get("namespaces", "", namespace)
        return labels(found.obj, "metadata", "labels") if found.found else None

    def lookup(self, resource: str, namespace: str, name: str) -> Lookup:
        """Look an object up; a whole list without it proves its absence too."""
        found = self.snapshot.get(resource, namespace, name)
        if found.unseen:
            listing = self.listing(resource, namespace)
            if listing.complete:
                return Lookup(State.ABSENT, presumed=listing.presumed)
        return found


_SPACES = 8
"""Namespaces whose pods are held read; a scan comes by one after another, and 50,000 pods that were read are 40 MB."""


class _PodIndex:
    """The pods of a snapshot by namespace and by label; one for all worlds that are made until more pods come."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._all = _Pods(snapshot.list("pods").items)
        self._pods: dict[str, tuple[Pod, ...]] = {}
        self._postings: dict[str, dict[tuple[str, str], list[int]]] = {}

    def pods(self, namespace: str) -> Sequence[Pod]:
        if not namespace:
            return self._all
        if namespace not in self._pods:
            if len(self._pods) >= _SPACES:
                self._pods.clear()
            self._pods[namespace] = tuple(map(Pod, self._snapshot.list("pods", namespace).items))
        return self._pods[namespace]

    def postings(self, namespace: str) -> Mapping[tuple[str, str], list[int]]:
        """Say which pods of a namespace (empty: of all) have a label."""
        if namespace not in self._postings:
            if len(self._postings) >= _SPACES:
                self._postings.clear()
            found: dict[tuple[str, str], list[int]] = {}
            for at, pod in enumerate(self.pods(namespace)):
                for pair in pod.labels.items():
                    found.setdefault(pair, []).append(at)
            self._postings[namespace] = found
        return self._postings[namespace]


class _Pods(Sequence[Pod]):
    """Pods that are read when somebody looks at them."""

    def __init__(self, items: tuple[Obj, ...]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, at: int) -> Pod: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Pod]: ...
    def __getitem__(self, at: int | slice) -> Pod | Sequence[Pod]:
        return tuple(map(Pod, self._items[at])) if isinstance(at, slice) else Pod(self._items[at])

    def __iter__(self) -> Iterator[Pod]:
        return map(Pod, self._items)


@dataclass(frozen=True)
class EndpointView:
    """The endpoints of one Service, and how well they are known."""

    items: tuple[eps.Endpoint, ...]
    source: Literal["slices", "endpoints", "pods", "none"]
    """``endpoints`` is the legacy object, ``pods`` what the controller would make of the pods that were read."""
    slices: int = 0
    presumed: bool = False
    why: str = ""
    """Why the slices were not seen."""

    @property
    def read(self) -> bool:
        """The cluster's own list was read, so an absent endpoint is absent."""
        return self.source in ("slices", "endpoints")


@dataclass(frozen=True, eq=False)
class Backend:
    """One Service with its pods and endpoints."""

    world: World
    namespace: str
    name: str

    @cached_property
    def lookup(self) -> Lookup:
        """The Service object."""
        return self.world.lookup("services", self.namespace, self.name)

    @property
    def service(self) -> Obj:
        """The Service, or an empty object."""
        return self.lookup.obj

    @property
    def ref(self) -> Ref:
        """Reference to the Service."""
        return Ref("Service", self.namespace, self.name, uid_of(self.service))

    @property
    def type(self) -> str:
        """``spec.type``."""
        return text(self.service, "spec", "type") or "ClusterIP"

    @property
    def external_name(self) -> str:
        """Target of an ExternalName Service; empty for the other types."""
        return text(self.service, "spec", "externalName") if self.type == "ExternalName" else ""

    @property
    def is_external(self) -> bool:
        """The Service is only a DNS alias."""
        return self.type == "ExternalName"

    @property
    def headless(self) -> bool:
        """``clusterIP: None``: clients reach the pods directly, on a port of their choice."""
        return text(self.service, "spec", "clusterIP") == "None"

    @property
    def local_policies(self) -> tuple[str, ...]:
        """The traffic policies that are Local and matter for its type."""
        found = []
        if text(self.service, "spec", "internalTrafficPolicy") == "Local" and not self.headless:
            found.append("internalTrafficPolicy")
        outside = self.type in ("NodePort", "LoadBalancer") or bool(objects(self.service, "spec", "externalIPs"))
        if text(self.service, "spec", "externalTrafficPolicy") == "Local" and outside:
            found.append("externalTrafficPolicy")
        return tuple(found)

    @property
    def publishes_unready(self) -> bool:
        """Pods that are not ready are published as ready."""
        return flag(self.service, "spec", "publishNotReadyAddresses") is True

    @cached_property
    def ports(self) -> tuple[eps.ServicePort, ...]:
        """The Service ports."""
        return eps.service_ports(self.service)

    def port_numbered(self, number: int | None) -> eps.ServicePort | None:
        """Return the Service port with a number."""
        return next((p for p in self.ports if p.port == number), None)

    @cached_property
    def selector(self) -> dict[str, str]:
        """``spec.selector``; empty when the endpoints are managed by hand."""
        return {} if self.is_external else labels(self.service, "spec", "selector")

    @property
    def selector_text(self) -> str:
        """The selector as a label selector of the API."""
        return ",".join(f"{k}={v}" for k, v in sorted(self.selector.items()))

    @cached_property
    def pod_list(self) -> Listing:
        """How well the selected pods are known."""
        whole = self.world.listing("pods", self.namespace)
        if whole.complete and self.selector and self.world.unlabelled(self.namespace):
            # Whom a selector selects, a table without labels does not tell.
            return replace(whole, complete=False, why="the pods' labels were not printed")
        return whole if whole.complete else self.world.snapshot.list("pods", self.namespace, self.selector_text)

    @cached_property
    def all_pods(self) -> tuple[Pod, ...]:
        """Every selected pod, ended ones too."""
        return self.world.selected(self.namespace, self.selector)

    @property
    def namespaces_elsewhere(self) -> list[str]:
        """Other namespaces with pods that the selector would fit, as far as they were read."""
        found = (p.namespace for p in self.world.selected("", self.selector))
        return sorted({n for n in found if n != self.namespace})

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The selected pods that could serve: not ended."""
        return tuple(p for p in self.all_pods if not p.finished)

    @cached_property
    def ready_pods(self) -> tuple[Pod, ...]:
        """The selected pods that are ready and not being deleted."""
        return tuple(p for p in self.pods if p.ready and not p.deleting)

    @cached_property
    def slice_list(self) -> Listing:
        """How well the slices are known."""
        whole = self.world.listing("endpointslices", self.namespace)
        label = f"{eps.SERVICE_NAME_LABEL}={self.name}"
        return whole if whole.complete else self.world.snapshot.list("endpointslices", self.namespace, label)

    @cached_property
    def endpoints(self) -> EndpointView:
        """The endpoints, from the best source that was read."""
        listing = self.slice_list
        slices = self.world.slices(self.namespace, self.name)
        if slices or (listing.complete and not listing.presumed):
            return EndpointView(eps.slice_endpoints(slices), "slices", len(slices))
        legacy = self.world.snapshot.get("endpoints", self.namespace, self.name)
        if legacy.found:
            return EndpointView(eps.legacy_endpoints(legacy.obj), "endpoints", why=listing.why)
        if listing.complete:
            return EndpointView((), "slices", 0, presumed=True)
        if self.pod_list.complete and self.selector:
            derived = eps.derived_endpoints(self.service, (p.raw for p in self.pods))
            return EndpointView(derived, "pods", why=listing.why)
        return EndpointView((), "none", why=listing.why)

    @cached_property
    def counts(self) -> tuple[eps.PortCount, ...]:
        """What serves each Service port."""
        return tuple(
            eps.count_port(self.endpoints.items, p, ports_matter=not self.headless or not self.selector)
            for p in self.ports
        )

    def workload(self, pod: Pod) -> Ref:
        """Return the top controller of a pod as far as it is known, else the pod."""
        return controller_ref(self.world.snapshot, pod.raw) or pod.ref

    @property
    def pods_place(self) -> Place:
        """The row of the pods."""
        return Place("Pod", self.ref, "pods")

    @property
    def place(self) -> Place:
        """The row of the Service and its selector."""
        return Place("Service", self.ref)

    @property
    def policy_place(self) -> Place:
        """The row of the NetworkPolicies around the pods."""
        return Place("NetworkPolicy", self.ref, "policies")

    @property
    def mesh_place(self) -> Place:
        """The row of the mesh's policies around the pods."""
        return Place("NetworkPolicy", self.ref, "mesh")

    @property
    def authorization_place(self) -> Place:
        """The row of the mesh's authorization policies around the pods."""
        return Place("NetworkPolicy", self.ref, "authorization")

    @property
    def address_place(self) -> Place:
        """The row of the Service's external address."""
        return Place("Service", self.ref, "address")

    def port_place(self, port: eps.ServicePort) -> Place:
        """Return the row of one Service port."""
        return Place("Service", self.ref, f"{port.port}/{port.protocol}")

    def port_shown(self, port: eps.ServicePort) -> str:
        """Write a port's number, and its protocol where two ports have the number."""
        twice = sum(p.port == port.port for p in self.ports) > 1
        return f"{port.port}/{port.protocol}" if twice else str(port.port)

    def kubectl(self, *words: str) -> Command:
        """Write a kubectl command in the namespace."""
        return kubectl(*words, namespace=self.namespace)

    def templates(self) -> tuple[tuple[Ref, Obj], ...]:
        """Return the workloads of the namespace that were read, top controllers only."""
        found = []
        for plural in WORKLOADS:
            for raw in self.world.listing(plural, self.namespace).items:
                if not objects(raw, "metadata", "ownerReferences"):
                    kind = BY_PLURAL[plural].kind
                    found.append((Ref(kind, self.namespace, name_of(raw), uid_of(raw)), raw))
        return tuple(found)


def template_labels(workload: Obj) -> dict[str, str]:
    """Return the labels that the pods of a workload get."""
    return labels(workload, "spec", "template", "metadata", "labels")
