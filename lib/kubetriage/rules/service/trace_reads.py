"""What to read for a trace, asked again as more becomes known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from kubetriage.model import Ref
from kubetriage.needs import Dial, Get, List, Log, Need, Raw
from kubetriage.readers.api_discovery import DISCOVERY, served_group, serves, traffic_kinds
from kubetriage.rules.network_plugins import network_plugin
from kubetriage.rules.node_contact import contact_needs
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.access_logs import logs_of, ways
from kubetriage.rules.service.ambient_policies import ambient_needs
from kubetriage.rules.service.attached_policies import attached_needs
from kubetriage.rules.service.case import Options, Trace
from kubetriage.rules.service.certificate_issuance import CHAIN, CONTROLLER, certificate_for, is_issued
from kubetriage.rules.service.client_policies import DNS_LABELS, DNS_NAMESPACE, KUBE_PROXY_LABELS, KUBE_PROXY_SYMPTOMS
from kubetriage.rules.service.cluster_view import WORKLOADS, Backend, World, template_labels
from kubetriage.rules.service.custom_entrances import CustomEntrance, kind_need
from kubetriage.rules.service.entrance_controllers import controller_selector
from kubetriage.rules.service.external_dns import writers
from kubetriage.rules.service.external_names import auth_service, in_cluster_target
from kubetriage.rules.service.gateway_agents import agent_needs
from kubetriage.rules.service.gateway_objects import GATEWAY_NAME_LABEL, GROUP, ROUTE_KINDS
from kubetriage.rules.service.gateway_routes import Entry, Path
from kubetriage.rules.service.headless_peers import governing_service
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.load_balancer_state import (
    SERVICE_LB_NAME,
    SPEAKERS,
    LoadBalancerState,
    addresses_of,
    carriers_of_gateway,
    has_cloud_marks,
)
from kubetriage.rules.service.mesh_authorization import AUTHORIZATION, policies_on
from kubetriage.rules.service.mesh_gateways import MeshGateway, mesh_gateways_of
from kubetriage.rules.service.mesh_policies import in_mesh
from kubetriage.rules.service.named_kinds import MESH_GATEWAYS, ROUTER_PLURALS
from kubetriage.rules.service.other_policies import OTHER_POLICY_APIS
from kubetriage.rules.service.pod_health import PODS_LOOKED_AT, crash_needs, ready_nodes, representatives
from kubetriage.rules.service.pod_listeners import pod_numbers, service_proxy, vouched
from kubetriage.rules.service.proxy_protocol import config_map_of, controllers_of, senders
from kubetriage.rules.service.redirecting_programs import redirecting_needs
from kubetriage.rules.service.selector_edits import selects
from kubetriage.rules.service.tls_secrets import SOON, SecretUse
from kubetriage.rules.shapes import lean_node, without_managed_fields
from kubetriage.rules.workloads import owner_needs
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import objects, text
from kubetriage.values.resources import BY_PLURAL

ISTIO = "networking.istio.io"


def service_needs(world: World, namespace: str, name: str, options: Options) -> Iterator[Need]:
    """Say what to read about one Service that the user asked about, or that something on the way leads to."""
    snapshot = world.snapshot
    yield Get("services", namespace, name)
    backend = Backend(world, namespace, name)
    legacy = snapshot.get("endpoints", namespace, name)
    # What people print shows the endpoints in the old form; they are the same.
    printed = legacy.found and bool(snapshot.forms(legacy.obj))
    if not (printed or (backend.lookup.found and backend.is_external)):
        yield List("endpointslices", namespace, f"{eps.SERVICE_NAME_LABEL}={name}")
    yield List("networkpolicies", namespace)
    if backend.lookup.absent:
        yield List("services", namespace)
        return
    if not backend.lookup.found:
        return
    if backend.is_external:
        target = in_cluster_target(backend.external_name)
        if target is not None:
            yield Get("services", *target)
        return
    if backend.slice_list.complete is False and snapshot.failure(
        List("endpointslices", namespace, f"{eps.SERVICE_NAME_LABEL}={name}")
    ):
        yield Get("endpoints", namespace, name)
    if backend.selector:
        yield from _pod_needs(backend)
    elif backend.slice_list.complete and not backend.endpoints.items:
        yield List("endpointslices", namespace)
    if backend.local_policies:
        yield List("nodes", cached=True, shape=lean_node)
    if backend.type == "LoadBalancer":
        yield from _balancer_needs(backend)
    if backend.type == "LoadBalancer" or has_cloud_marks(backend.service):
        yield List("events", namespace, fields=f"involvedObject.uid={backend.ref.uid}")
    if world.listing("networkpolicies", namespace).items:
        yield Get("namespaces", "", namespace)
    if options.probe:
        yield from probe_needs(backend)


def _balancer_needs(backend: Backend) -> Iterator[Need]:
    """Ask who gives load balancers their addresses: where one is missing, and what announces one of a pool."""
    snapshot = backend.world.snapshot
    if not addresses_of(backend.service):
        yield List("services", shape=without_managed_fields)
        yield List("pods", "", SERVICE_LB_NAME)
        state = LoadBalancerState(backend)
        for pod in state.proxy_pods[:1]:
            if not pod.ready:
                yield from crash_needs(snapshot, pod)
        pools: tuple[str, ...] = ("ipaddresspools", "ciliumloadbalancerippools")
        if serves(snapshot, "ipaddresspools"):
            yield List("pods", "", "app.kubernetes.io/name=metallb")
        yield List("nodes", cached=True, shape=lean_node)
    else:
        pools = ("ipaddresspools", "l2advertisements", "bgpadvertisements")
        pools += ("ciliuml2announcementpolicies", "ciliumbgpclusterconfigs", "ciliumbgppeeringpolicies")
        if not snapshot.body(DISCOVERY.path):
            pools = ()
    for plural in pools:
        if serves(snapshot, plural):
            yield List(plural)
    if addresses_of(backend.service) and backend.world.listing("bgpadvertisements").items:
        yield List("pods", "", ",".join(f"{k}={v}" for k, v in SPEAKERS.items()))
        for pod in backend.world.selected("", SPEAKERS)[:2]:
            yield Log(pod.namespace, pod.name, "speaker")
    if addresses_of(backend.service) and backend.world.listing("l2advertisements").items:
        yield Get("configmaps", DNS_NAMESPACE, "kube-proxy")


def header_needs(trace: Trace) -> Iterator[Need]:
    """Ask whether a controller expects the PROXY header, where the annotation of a balancer before it speaks of it."""
    for pod in controllers_of(trace):
        yield List("services", pod.namespace)
        name = config_map_of(pod)
        if name is not None and any(s.at for s in senders(trace, pod)):
            yield Get("configmaps", *name)


def front_needs(trace: Trace) -> Iterator[Need]:
    """Ask for what stands before the pods of a controller: their Services, their ConfigMap, their log."""
    for pod in controllers_of(trace):
        yield List("services", pod.namespace)
        name = config_map_of(pod)
        if name is not None:
            yield Get("configmaps", *name)
        for container in pod.containers[:1]:
            yield Log(pod.namespace, pod.name, container.name)
    if trace.options.symptom == "nxdomain" and any(way.hosts for way in ways(trace)):
        yield List("pods", "", "app.kubernetes.io/name=external-dns")
        for pod in writers(trace.world):
            yield from (Log(pod.namespace, pod.name, c.name) for c in pod.containers[:1])
    for way in ways(trace):
        for pod, container_name in islice(logs_of(way), _PROXY_LOGS):
            yield Log(pod.namespace, pod.name, container_name)


_PROXY_LOGS = 2
"""Access logs of proxies that are read for one way."""


def gateway_service_needs(entry: Entry) -> Iterator[Need]:
    """Ask for the Service that a controller made for a Gateway without an address."""
    if entry.lookup.found and not entry.gateway.addresses:
        yield List("services", entry.namespace)
        for backend in carriers_of_gateway(entry.world, entry.namespace, entry.name):
            yield from _balancer_needs(backend)


def _pod_needs(backend: Backend) -> Iterator[Need]:
    snapshot, namespace = backend.world.snapshot, backend.namespace
    yield List("pods", namespace, backend.selector_text)
    if not backend.pod_list.complete:
        return
    if not backend.pods:
        yield List("pods", namespace)
        for plural in WORKLOADS:
            yield List(plural, namespace)
        yield List("services", namespace)
        for ref, obj in backend.templates():
            if selects(backend.selector, template_labels(obj)):
                yield List("events", namespace, fields=f"involvedObject.uid={ref.uid}")
                yield from _members(backend, ref)
    yield from redirecting_needs(backend)
    yield from contact_needs(snapshot, ready_nodes((backend,)))
    for pod in representatives(backend):
        yield from crash_needs(snapshot, pod)
    for pod in backend.pods[:PODS_LOOKED_AT]:
        yield from owner_needs(snapshot, pod.raw)
    governing = governing_service(backend) if not backend.ready_pods else None
    if governing is not None:
        yield Get("services", governing.namespace, governing.name)
    yield from listener_needs(backend)


def _members(backend: Backend, ref: Ref) -> Iterator[Need]:
    if ref.kind != "Deployment":
        return
    for raw in backend.world.snapshot.list("replicasets", backend.namespace).items:
        owners = objects(raw, "metadata", "ownerReferences")
        if any(text(o, "uid") == ref.uid for o in owners):
            yield List("events", backend.namespace, fields=f"involvedObject.uid={text(raw, 'metadata', 'uid')}")


def listener_needs(backend: Backend) -> Iterator[Need]:
    """Ask for the log of one ready pod where no probe vouches for the port that the Service leads to."""
    if backend.headless or not backend.ready_pods:
        return
    pod = backend.ready_pods[0]
    if all(vouched(pod, n) for port in backend.ports for n in pod_numbers(backend, port)):
        return
    for container in pod.containers:
        if container.kind in ("app", "sidecar") and container.running:
            yield Log(pod.namespace, pod.name, container.name)


def probe_needs(backend: Backend) -> Iterator[Need]:
    """Ask for the opt-in connections: to one ready pod on each port, and through the Service."""
    for port in backend.ports:
        if port.protocol != "TCP":
            continue
        for pod in backend.ready_pods[:1]:
            number = eps.find_port(pod.raw, port.target, port.protocol)
            if number is not None:
                yield Dial(pod.namespace, pod.name, number)
        if backend.selector and not backend.headless:
            yield Raw(service_proxy(backend, port))


def other_policy_needs(snapshot: Snapshot) -> Iterator[Need]:
    """Ask for the policies of other APIs that the cluster serves."""
    for plural in OTHER_POLICY_APIS:
        if serves(snapshot, plural):
            yield List(plural)


def client_needs(client: Ref | None) -> Iterator[Need]:
    """Ask for the client that the user named, its namespace and its policies."""
    if client is None:
        return
    if client.kind == "Pod":
        yield Get("pods", client.namespace, client.name)
        namespace = client.namespace
    else:
        yield List("pods", client.name)
        namespace = client.name
    yield Get("namespaces", "", namespace)
    yield List("networkpolicies", namespace)


def entrance_needs(world: World, entrance: Entrance, options: Options, *, alone: bool = True) -> Iterator[Need]:
    """Say what to read about one Ingress that is known; with ``alone`` also its backends."""
    ingress = entrance.ingress
    yield List("events", ingress.namespace, fields=f"involvedObject.uid={ingress.ref.uid}")
    yield List("ingressclasses")
    yield List("ingresses", shape=without_managed_fields)
    for use in entrance.secrets:
        yield from secret_needs(use)
    asked = auth_service(entrance)
    if asked is not None:
        yield Get("services", asked[2], asked[3])
        yield List("endpointslices", asked[2], f"{eps.SERVICE_NAME_LABEL}={asked[3]}")
    backends = [b for p in entrance.paths if (b := entrance.backend(p)) is not None]
    if alone:
        for backend in backends:
            yield from service_needs(world, backend.namespace, backend.name, options)
    policies = any(world.listing("networkpolicies", b.namespace).items for b in backends)
    if not ingress.addresses or policies:
        yield List("pods", "", controller_selector())


def secret_needs(use: SecretUse) -> Iterator[Need]:
    """Ask for a TLS Secret; where it is missing or outlived, for those that may be meant, and for its issuance."""
    yield Get("secrets", use.ref.namespace, use.ref.name)
    snapshot, leaf = use.world.snapshot, use.leaf
    troubled = use.lookup.absent or (leaf is not None and leaf.not_after - snapshot.now < SOON)
    if troubled and serves(snapshot, "certificates"):
        yield List("certificates", use.ref.namespace)
        yield List("pods", "", CONTROLLER)
        certificate = certificate_for(use.world, use.ref.namespace, use.ref.name)
        if certificate and not is_issued(certificate):
            for plural in CHAIN:
                yield List(plural, use.ref.namespace)
    if use.lookup.absent:
        yield List("secrets", use.ref.namespace, fields="type=kubernetes.io/tls")
        yield List("secrets", "", fields=f"metadata.name={use.ref.name}")


def route_needs(world: World, path: Path, options: Options, *, alone: bool = True) -> Iterator[Need]:
    """Say what to read about one Route that is known; with ``alone`` also its backends."""
    yield List("events", path.route.namespace, fields=f"involvedObject.uid={path.ref.uid}")
    for _, entry in path.parents:
        yield from gateway_needs(entry)
        if any(x.namespaces_from == "Selector" for x in entry.gateway.listeners):
            yield Get("namespaces", "", path.route.namespace)
    if any(world.listing("networkpolicies", b.namespace).items for b in path.backends):
        yield List("pods", "", GATEWAY_NAME_LABEL)
    for space in dict.fromkeys(b.namespace for b in path.backends):
        if serves(world.snapshot, "backendtlspolicies"):
            yield List("backendtlspolicies", space)
    yield from attached_needs(world, (path.route.namespace, *(entry.namespace for _, entry in path.parents)))
    for ref in path.backends:
        if ref.namespace != path.route.namespace:
            yield List("referencegrants", ref.namespace)
        if alone and ref.is_service:
            yield from service_needs(world, ref.namespace, ref.name, options)


def gateway_needs(entry: Entry) -> Iterator[Need]:
    """Say what to read about one Gateway."""
    yield Get("gateways", entry.namespace, entry.name)
    if entry.lookup.absent:
        yield List("gateways")
    if not entry.lookup.found:
        return
    yield from gateway_service_needs(entry)
    yield List("events", entry.namespace, fields=f"involvedObject.uid={entry.ref.uid}")
    yield Get("gatewayclasses", "", entry.gateway.class_name)
    if entry.class_lookup.absent:
        yield List("gatewayclasses")
    yield from agent_needs(entry)
    for use in entry.secrets:
        yield from secret_needs(use)
        if use.ref.namespace != entry.namespace:
            yield List("referencegrants", use.ref.namespace)


def upward_needs(world: World, namespace: str) -> Iterator[Need]:
    """Ask for the Ingresses and Routes that may lead to the Services of a namespace."""
    yield List("ingresses", namespace)
    yield from custom_list_needs(world.snapshot, namespace)
    if not served_group(world.snapshot, GROUP):
        return
    spaces = [namespace]
    yield List("referencegrants", namespace)
    for grant in world.listing("referencegrants", namespace).items:
        spaces += [text(f, "namespace") for f in objects(grant, "spec", "from") if text(f, "kind").endswith("Route")]
    for space in dict.fromkeys(s for s in spaces if s):
        for plural in routes_served(world.snapshot):
            yield List(plural, space)


def routes_served(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the Route resources of the Gateway API to ask for; of a dump those that every installation has."""
    if snapshot.source != "cluster":
        return ("httproutes", "grpcroutes")
    return tuple(p for p in ROUTE_KINDS if serves(snapshot, p))


def custom_list_needs(snapshot: Snapshot, namespace: str) -> Iterator[Need]:
    """Ask for the objects of custom kinds that may lead to the Services of a namespace (empty: of all)."""
    for plural in ROUTER_PLURALS:
        if not serves(snapshot, plural):
            continue
        if BY_PLURAL[plural].group != ISTIO:
            yield List(plural, namespace)
            continue
        # A VirtualService names Services of any namespace.
        yield List(plural)
        if namespace and snapshot.failure(List(plural)) is not None:
            yield List(plural, namespace)
    for kind in traffic_kinds(snapshot)[0]:
        yield kind_need(kind, namespace)


def custom_needs(world: World, custom: CustomEntrance, options: Options) -> Iterator[Need]:
    """Say what to read about one object of a custom kind that is known."""
    snapshot = world.snapshot
    yield List("events", custom.namespace, fields=f"involvedObject.uid={custom.ref.uid}")
    for _, backend in custom.backends:
        yield from service_needs(world, backend.namespace, backend.name, options)
    for ref in custom.links.services:
        if ref.name and not custom.judged:
            yield Get("services", ref.namespace, ref.name)
        if not ref.name and serves(snapshot, "serviceentries"):
            yield List("serviceentries")
    for _, space, name in custom.includes:
        yield Get("httpproxies", space, name)
    for use in custom.secrets:
        yield from secret_needs(use)
    for _, gateway in mesh_gateways_of(world, custom):
        yield from mesh_gateway_needs(gateway)
    if custom.kind == "VirtualService" and serves(snapshot, "destinationrules"):
        yield List("destinationrules")
    if custom.is_traefik:
        plural = "middlewaretcps" if custom.kind == "IngressRouteTCP" else "middlewares"
        plural += "" if custom.group == "traefik.io" else f".{custom.group}"
        if serves(snapshot, plural):
            yield List(plural, custom.namespace)
    if custom.judged and custom.kind != "VirtualService":
        yield List("pods", "", controller_selector())


def mesh_gateway_needs(gateway: MeshGateway) -> Iterator[Need]:
    """Say what to read about one Istio Gateway."""
    yield Get(MESH_GATEWAYS, gateway.namespace, gateway.name)
    if gateway.lookup.absent:
        yield List(MESH_GATEWAYS)
    if gateway.lookup.found and gateway.selector:
        yield List("pods", "", gateway.selector_text)
        for pod in gateway.pods[:1]:
            yield List("services", pod.namespace)
    for use in gateway.secrets:
        yield from secret_needs(use)


def dns_needs(world: World, options: Options) -> Iterator[Need]:
    """Ask for the endpoints of the cluster's DNS, and for its pods where none is ready.

    With a symptom that fits also for the pods of kube-proxy.
    """
    yield Get("services", DNS_NAMESPACE, "kube-dns")
    yield List("endpointslices", DNS_NAMESPACE, f"{eps.SERVICE_NAME_LABEL}=kube-dns")
    dns = world.backend(DNS_NAMESPACE, "kube-dns")
    known = dns.lookup.found and dns.endpoints.read and not dns.endpoints.presumed
    if known and not any(e.takes_traffic for e in dns.endpoints.items):
        yield from _system_pods(world, DNS_LABELS)
    if options.client is not None:
        # Do its policies let it ask the DNS? A cache on the nodes is asked in its place.
        yield Get("namespaces", "", DNS_NAMESPACE)
        for app in (DNS_LABELS["k8s-app"], "node-local-dns"):
            yield List("pods", DNS_NAMESPACE, f"k8s-app={app}")
    if options.symptom == "nxdomain" or world.snapshot.source != "cluster":
        yield from _system_pods(world, {"k8s-app": "node-local-dns"})
        for pod in world.selected(DNS_NAMESPACE, DNS_LABELS)[:1]:
            yield from (Log(pod.namespace, pod.name, c.name) for c in pod.containers[:1])
        client = options.client
        if client is not None and client.kind == "Pod":
            found = world.snapshot.get("pods", client.namespace, client.name)
            for container in objects(found.obj, "spec", "containers"):
                yield Log(client.namespace, client.name, text(container, "name"))
    if options.symptom in KUBE_PROXY_SYMPTOMS or world.snapshot.source != "cluster":
        yield from _plugin_needs(world)
        yield from _system_pods(world, KUBE_PROXY_LABELS)
        for pod in world.selected(DNS_NAMESPACE, KUBE_PROXY_LABELS)[:1]:
            yield from (Log(pod.namespace, pod.name, c.name) for c in pod.containers[:1])
        if not world.selected(DNS_NAMESPACE, KUBE_PROXY_LABELS):
            yield Get("configmaps", DNS_NAMESPACE, "cilium-config")


def _plugin_needs(world: World) -> Iterator[Need]:
    """Ask for the pods of the network plugin, and for what the verdict on one that is not ready rests on."""
    if world.snapshot.source == "cluster":
        yield List("pods", DNS_NAMESPACE, _PLUGIN_LABELS)
        yield List("pods", "calico-system", "k8s-app=calico-node")
    down = (p for p in world.pods("") if not p.ready and not p.finished and network_plugin(p.name) is not None)
    for pod in list(down)[:1]:
        yield from crash_needs(world.snapshot, pod)


_PLUGIN_LABELS = "k8s-app in (calico-node,canal,cilium,aws-node,flannel,weave-net)"
"""Network plugins of most clusters by the label that their manifests give the pods."""


def _system_pods(world: World, wanted: Mapping[str, str]) -> Iterator[Need]:
    """Ask for pods of the cluster's own, and for what the verdict on the first one that is not ready rests on."""
    yield List("pods", DNS_NAMESPACE, ",".join(f"{k}={v}" for k, v in wanted.items()))
    down = (p for p in world.selected(DNS_NAMESPACE, wanted) if not p.ready and not p.finished)
    for pod in list(down)[:1]:
        yield from crash_needs(world.snapshot, pod)


def mesh_needs(snapshot: Snapshot, backends: Sequence[Backend]) -> Iterator[Need]:
    """Ask for the mesh's policies where a pod on the way is in the mesh."""
    meshed = [(b, p) for b in backends for p in b.pods if in_mesh(p)]
    for plural in ("peerauthentications", AUTHORIZATION, "destinationrules") if meshed else ():
        if serves(snapshot, plural) or plural == "peerauthentications":
            yield List(plural)
    for backend, pod in meshed[:1]:
        if policies_on(backend, pod) and any(c.name == "istio-proxy" for c in pod.containers):
            yield Log(pod.namespace, pod.name, "istio-proxy")
    yield from ambient_needs(backends)


def elsewhere_needs(backends: Iterable[Backend]) -> Iterator[Need]:
    """Ask whether what is missing here stands in another namespace; few users may read that."""
    for backend in backends:
        if backend.lookup.absent:
            yield List("services", "", fields=f"metadata.name={backend.name}")
        elif backend.selector and backend.pod_list.complete and not backend.all_pods:
            yield List("pods", "", backend.selector_text)
