"""Who connects to a Service, and what the NetworkPolicies on both ends say of it."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Ref
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, replace
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.network_policies import Decision, Direction, Peer, Verdict, decide, isolating
from kubetriage.rules.service.policies_around_pods import PortAdmission, admissions, peer_of, policies_of
from kubetriage.values.fields import labels, objects, text

DNS_NAMESPACE = "kube-system"
DNS_LABELS = {"k8s-app": "kube-dns"}
"""Labels that every installer gives the cluster's DNS pods and Service (kubeadm, kops, the clouds, k3s)."""
KUBE_PROXY_LABELS = {"k8s-app": "kube-proxy"}
KUBE_PROXY_SYMPTOMS = ("timeout", "refused", "502", "504")
"""What clients see on a node without kube-proxy."""
_HOST_NETWORK = "policy-group.network.openshift.io/host-network"
"""OpenShift's network plugin counts what comes from nodes as of the namespace with this label."""
_PODS_AT_MOST = 10
"""Pods of a client namespace that are judged one by one."""


@dataclass(frozen=True)
class Crossing:
    """One connection from a client to a pod of the Service, judged at one end."""

    words: str
    """The connection in words (``pod/shop to svc/web``)."""
    direction: Direction
    isolated: Pod
    """The pod whose policies were asked."""
    decision: Decision
    peer: Peer
    """The other end."""
    number: int
    """The pod's port."""
    protocol: str

    @property
    def blocked(self) -> bool:
        """It does not pass, if policies are enforced."""
        return self.decision.verdict is Verdict.BLOCKED

    @property
    def allowed(self) -> bool:
        """It passes."""
        return self.decision.verdict is Verdict.ALLOWED


def clients(trace: Trace) -> tuple[Pod, ...]:
    """Return the pods that the user named with ``--client``, as far as they were read."""
    client = trace.options.client
    if client is None:
        return ()
    if client.kind == "Pod":
        found = trace.snapshot.get("pods", client.namespace, client.name)
        return (Pod(found.obj),) if found.found else ()
    pods = [p for p in trace.world.pods(client.name) if not p.finished]
    return tuple(pods[:_PODS_AT_MOST])


def crossings(trace: Trace, backend: Backend) -> Iterator[Crossing]:
    """Judge every known client against every kind of pod behind the Service, both ends, one port each."""
    sources = [*clients(trace), *trace.entrances]
    seen: set[tuple[object, ...]] = set()
    for source in sources:
        peer = peer_of(backend, source)
        outgoing = trace.world.listing("networkpolicies", source.namespace).items
        for port in backend.ports:
            for pod in backend.pods:
                number = eps.find_port(pod.raw, port.target, port.protocol)
                key = (source.name, port, tuple(sorted(pod.labels.items())), number)
                if number is None or key in seen:
                    continue
                seen.add(key)
                words = f"pod/{source.name} to svc/{backend.name} ({number}/{port.protocol})"
                target = peer_of(backend, pod)
                egress = decide(outgoing, source.raw, "egress", target, number, port.protocol)
                ingress = decide(policies_of(backend), pod.raw, "ingress", peer, number, port.protocol)
                yield Crossing(words, "egress", source, egress, target, number, port.protocol)
                yield Crossing(words, "ingress", pod, ingress, peer, number, port.protocol)


def dns_crossings(trace: Trace) -> Iterator[Crossing]:
    """Judge each client that the user named against the pods of the cluster's DNS: without it no name is found.

    Where a cache on the nodes answers, its address is the node's own, which policies do not treat as a pod's.
    """
    dns = trace.dns
    port = next((p for p in dns.ports if (p.port, p.protocol) == (53, "UDP")), None)
    if port is None or trace.world.selected(DNS_NAMESPACE, {"k8s-app": "node-local-dns"}):
        return
    target, number = _dns_pod(dns), 53
    if target is None:
        return
    if dns.pods:
        number = eps.find_port(dns.pods[0].raw, port.target, port.protocol) or number
    for source in clients(trace):
        if source.host_network or text(source.raw, "spec", "dnsPolicy") in ("None", "Default"):
            continue
        peer = peer_of(dns, target)
        outgoing = trace.world.listing("networkpolicies", source.namespace).items
        words = f"pod/{source.name} to the cluster's DNS, svc/{dns.name} ({number}/UDP)"
        decision = decide(outgoing, source.raw, "egress", peer, number, "UDP")
        if not dns.pods:
            decision = replace(decision, why=decision.why.replace(f"pod/{dns.name}", f"the pods of svc/{dns.name}"))
        yield Crossing(words, "egress", source, decision, peer, number, "UDP")


def _dns_pod(dns: Backend) -> Pod | None:
    """Return a pod of the cluster's DNS, or one with the labels that its Service selects; None where none are known."""
    if dns.pods or not dns.selector:
        return next(iter(dns.pods), None)
    serving = next((e for e in dns.endpoints.items if e.takes_traffic), None)
    if serving is None:
        return None
    metadata = {"name": dns.name, "namespace": dns.namespace, "labels": dns.selector}
    return Pod({"kind": "Pod", "metadata": metadata, "status": {"podIPs": [{"ip": serving.address}]}})


@dataclass(frozen=True)
class HostCrossing:
    """A client with the node's own address against the policies on one port: labels do not admit it."""

    client: Pod
    one: PortAdmission
    addresses: tuple[str, ...]
    """Addresses of the nodes that such clients have, as far as nodes were read."""


def host_crossings(trace: Trace, backend: Backend) -> Iterator[HostCrossing]:
    """Yield the clients on the node's network that no ipBlock admits, one for each port.

    Network plugins see them as the node: a podSelector or namespaceSelector does not match. A node always reaches its
    own pods.
    """
    hosts = [p for p in (*clients(trace), *trace.entrances) if p.host_network]
    for one in admissions(backend) if hosts else ():
        said = one.admission
        labelled = any(_HOST_NETWORK in labels(e, "namespaceSelector", "matchLabels") for e in said.entries)
        if said.everyone or said.nobody or labelled or any(text(e, "ipBlock", "cidr") for e in said.entries):
            # Whether a block covers the address that the plugin sees (a tunnel's, perhaps) is not told.
            continue
        away = [p for p in hosts if any(b.node and b.node != p.node for b in backend.pods)]
        if away:
            # One at the node of the pod gets through, and others of the same workload do not.
            nodes = trace.world.listing("nodes").items
            found = (a for n in nodes for a in objects(n, "status", "addresses") if text(a, "type") == "InternalIP")
            yield HostCrossing(away[0], one, tuple(dict.fromkeys(text(a, "address") for a in found)))


def dns_egress(trace: Trace, backend: Backend) -> Decision | None:
    """Return the decision that keeps a pod of the Service from cluster DNS; None when it passes or is unknown."""
    policies = policies_of(backend)
    for pod in backend.pods[:1]:
        if not isolating(policies, pod.raw, "egress"):
            return None
        peer = Peer("the cluster's DNS", DNS_NAMESPACE, DNS_LABELS, trace.world.namespace_labels(DNS_NAMESPACE))
        said = [decide(policies, pod.raw, "egress", peer, 53, protocol) for protocol in ("UDP", "TCP")]
        if all(d.verdict is Verdict.BLOCKED for d in said):
            return said[0]
    return None


def client_ref(words: str, namespace: str) -> Ref | None:
    """Read ``--client pod/NAME`` or ``--client namespace/NAME``; None when it is neither."""
    kind, _, name = words.partition("/")
    if not name:
        kind, name = "pod", kind
    if kind in ("pod", "pods", "po") and name:
        space, slash, rest = name.partition("/")
        return Ref("Pod", space if slash else namespace, rest if slash else name)
    if kind in ("namespace", "namespaces", "ns") and name:
        return Ref("Namespace", "", name)
    return None
