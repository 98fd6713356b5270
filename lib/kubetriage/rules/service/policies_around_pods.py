"""The NetworkPolicies around the pods of a Service, for its real hop: the pod's port after translation."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.network_policies import Admission, Peer, admission, isolating, pod_peer
from kubetriage.rules.service.other_policies import other_policies
from kubetriage.values.fields import Obj, name_of


@dataclass(frozen=True)
class PortAdmission:
    """Who may reach one Service port, at one pod that stands for all with the same labels and port."""

    port: eps.ServicePort
    number: int
    pod: Pod
    pods: int
    """How many pods of the Service it stands for."""
    admission: Admission


def policies_of(backend: Backend) -> tuple[Obj, ...]:
    """Return the NetworkPolicies of the Service's namespace that were read."""
    return backend.world.listing("networkpolicies", backend.namespace).items


def admissions(backend: Backend) -> Iterator[PortAdmission]:
    """Sum up the policies for each Service port and each kind of pod behind it."""
    policies = policies_of(backend)
    if not policies:
        return
    for port in backend.ports:
        groups: dict[tuple[tuple[tuple[str, str], ...], int], list[Pod]] = {}
        for pod in backend.pods:
            number = eps.find_port(pod.raw, port.target, port.protocol)
            # What a policy means for a pod with the node's address differs between network plugins.
            if number is not None and not pod.host_network:
                groups.setdefault((tuple(sorted(pod.labels.items())), number), []).append(pod)
        for (_, number), pods in groups.items():
            said = admission(policies, pods[0].raw, number, port.protocol)
            yield PortAdmission(port, number, pods[0], len(pods), said)


def isolated(backend: Backend) -> tuple[str, ...]:
    """Return the names of the policies that isolate any pod of the Service for ingress."""
    policies = policies_of(backend)
    kinds = {tuple(sorted(pod.labels.items())): pod for pod in backend.pods} if policies else {}
    found = (name_of(p) for pod in kinds.values() for p in isolating(policies, pod.raw, "ingress"))
    return tuple(sorted(set(found)))


def others(backend: Backend) -> tuple[str, ...]:
    """Return the policies of other APIs that were seen and may rule what comes in (``CiliumNetworkPolicy/deny``)."""
    return tuple(p.shown for p in other_policies(backend) if p.ingress)


def peer_of(backend: Backend, pod: Pod) -> Peer:
    """Make a policy peer of a pod, with the labels of its namespace as far as they are known."""
    return pod_peer(pod.raw, backend.world.namespace_labels(pod.namespace))
