"""What the cluster shows of who gives load balancers their addresses: other Services, pods of k3s, pools."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from kubetriage.model import Finding, Severity
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend, World
from kubetriage.rules.service.gateway_objects import GATEWAY_NAME_LABEL
from kubetriage.values.fields import Obj, labels, name_of, namespace_of, objects, text, texts

SERVICE_LB_NAME = "svccontroller.k3s.cattle.io/svcname"
SERVICE_LB_NAMESPACE = "svccontroller.k3s.cattle.io/svcnamespace"
"""Labels of the pods with which k3s and RKE2 serve a Service of type LoadBalancer (servicelb, once klipper-lb)."""
SPEAKERS = {"app.kubernetes.io/component": "speaker"}
"""Label of the pods with which MetalLB announces addresses."""
CILIUM_IPAM = "cilium.io/IPAMRequestSatisfied"
_ENVOY = "gateway.envoyproxy.io"
_OWNER_LABELS = (GATEWAY_NAME_LABEL, "io.cilium.gateway/owning-gateway", "cilium.io/ingress")
_REQUESTED = (
    "lbipam.cilium.io/ips",
    "io.cilium/lb-ipam-ips",
    "metallb.io/loadBalancerIPs",
    "metallb.universe.tf/loadBalancerIPs",
    "kube-vip.io/loadbalancerIPs",
)


def addresses_of(service: Obj) -> tuple[str, ...]:
    """Return the published addresses of a Service of type LoadBalancer."""
    given = objects(service, "status", "loadBalancer", "ingress")
    return tuple(a for a in (text(i, "ip") or text(i, "hostname") for i in given) if a)


def is_owned(service: Obj) -> bool:
    """Tell whether a controller made the Service for a Gateway or Ingress, and writes its endpoints itself."""
    own = labels(service, "metadata", "labels")
    return any(k in own for k in _OWNER_LABELS) or bool(objects(service, "metadata", "ownerReferences"))


def has_cloud_marks(service: Obj) -> bool:
    """Tell whether annotations ask a cloud's controller for something, such as endpoint groups of GKE."""
    marks = labels(service, "metadata", "annotations")
    return any(k.startswith(("cloud.google.com/", "networking.gke.io/", "service.beta.kubernetes.io/")) for k in marks)


def requested_addresses(service: Obj) -> tuple[str, ...]:
    """Return the addresses that a Service asks for, by annotation or ``spec.loadBalancerIP``."""
    marks = labels(service, "metadata", "annotations")
    asked = [a.strip() for k in _REQUESTED for a in marks.get(k, "").split(",")]
    return tuple(dict.fromkeys(a for a in (*asked, text(service, "spec", "loadBalancerIP")) if a))


@dataclass(frozen=True, eq=False)
class LoadBalancerState:
    """Who serves one Service of type LoadBalancer, as far as the cluster shows it."""

    backend: Backend

    @property
    def _world(self) -> World:
        return self.backend.world

    @property
    def wanted(self) -> str:
        """``spec.loadBalancerClass``; empty: the default implementation."""
        return text(self.backend.service, "spec", "loadBalancerClass")

    @cached_property
    def neighbours(self) -> tuple[Obj, ...]:
        """The other Services of type LoadBalancer with the same class, as far as Services were read."""
        return tuple(
            s
            for s in self._world.listing("services").items
            if text(s, "spec", "type") == "LoadBalancer"
            and (namespace_of(s), name_of(s)) != (self.backend.namespace, self.backend.name)
            and text(s, "spec", "loadBalancerClass") == self.wanted
        )

    @property
    def served_neighbours(self) -> tuple[Obj, ...]:
        """Those of them that have an address: somebody serves the class."""
        return tuple(s for s in self.neighbours if addresses_of(s))

    @property
    def all_services_seen(self) -> bool:
        """The Services of all namespaces were read, so that none has an address means something."""
        return self._world.listing("services").complete

    @cached_property
    def proxy_pods(self) -> tuple[Pod, ...]:
        """The pods of servicelb for this Service, in any namespace."""
        found = []
        candidates = {p.uid: p for p in _service_lb_pods(self._world)}
        for pod in self._world.selected("", {"app": f"svclb-{self.backend.name}"}):
            candidates.setdefault(pod.uid, pod)
        for pod in candidates.values():
            space = pod.labels.get(SERVICE_LB_NAMESPACE, self.backend.namespace)
            named = pod.labels.get(SERVICE_LB_NAME) == self.backend.name and space == self.backend.namespace
            if named or (pod.labels.get("app") == f"svclb-{self.backend.name}" and pod.namespace == space):
                found.append(pod)
        return tuple(found)

    @property
    def has_service_lb(self) -> bool:
        """The cluster runs servicelb: it serves some Service of it."""
        return bool(_service_lb_pods(self._world))

    def proxy_trouble(self) -> tuple[Pod, Finding] | None:
        """Return the first pod of servicelb that does not run, with what keeps it."""
        for pod in self.proxy_pods:
            if not pod.ready:
                for found in self._world.crash(pod):
                    if found.severity is not Severity.NOTE:
                        return pod, found
        return None

    def holders(self, pod: Pod) -> Iterator[tuple[int, Pod]]:
        """Yield (host port, pod that runs with it) for each host port that a pod of servicelb wants."""
        wanted = _host_ports(pod)
        for other in self._world.pods(""):
            if other.uid != pod.uid and other.node and not other.finished:
                for port in sorted(wanted & _host_ports(other)):
                    yield port, other

    def pools(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return (KIND/NAME, address ranges) of the pools of MetalLB and Cilium."""
        found = [
            (f"ipaddresspool/{name_of(p)}", tuple(texts(p, "spec", "addresses")))
            for p in self._world.listing("ipaddresspools").items
        ]
        for pool in self._world.listing("ciliumloadbalancerippools").items:
            blocks = (*objects(pool, "spec", "blocks"), *objects(pool, "spec", "cidrs"))
            ranges = tuple(text(b, "cidr") or f"{text(b, 'start')}-{text(b, 'stop')}" for b in blocks)
            found.append((f"ciliumloadbalancerippool/{name_of(pool)}", ranges))
        return tuple(found)

    def holder_of(self, address: str) -> Obj | None:
        """Return the other Service that has an address."""
        for service in self._world.listing("services").items:
            own = (namespace_of(service), name_of(service)) == (self.backend.namespace, self.backend.name)
            if not own and address in addresses_of(service):
                return service
        return None


def _service_lb_pods(world: World) -> tuple[Pod, ...]:
    return world.kept("servicelb pods", lambda: tuple(p for p in world.pods("") if SERVICE_LB_NAME in p.labels))


def _host_ports(pod: Pod) -> set[int]:
    return {
        p["hostPort"]
        for c in objects(pod.raw, "spec", "containers")
        for p in objects(c, "ports")
        if isinstance(p.get("hostPort"), int) and p["hostPort"]
    }


def carriers_of_gateway(world: World, namespace: str, name: str) -> tuple[Backend, ...]:
    """Return the Services of type LoadBalancer that a controller made for a Gateway."""
    found = []
    for raw in world.listing("services", namespace).items:
        own = labels(raw, "metadata", "labels")
        if any(own.get(k) == name for k in _OWNER_LABELS[:2]) and text(raw, "spec", "type") == "LoadBalancer":
            found.append(world.backend(namespace, name_of(raw)))
    if not found:
        # Envoy Gateway keeps them in its own namespace.
        owner = {f"{_ENVOY}/owning-gateway-name": name, f"{_ENVOY}/owning-gateway-namespace": namespace}
        for raw in world.listing("services").items:
            if (
                owner.items() <= labels(raw, "metadata", "labels").items()
                and text(raw, "spec", "type") == "LoadBalancer"
            ):
                found.append(world.backend(namespace_of(raw), name_of(raw)))
    return tuple(found)
