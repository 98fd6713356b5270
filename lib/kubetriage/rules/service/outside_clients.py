"""Load balancers outside the cluster as clients: no pod, no namespace, no mesh identity, only addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.entrance_controllers import Balancer, balancer
from kubetriage.rules.service.load_balancer_state import LoadBalancerState, addresses_of
from kubetriage.rules.service.policies_around_pods import PortAdmission, admissions
from kubetriage.values.fields import Obj, labels, name_of, text, texts

_TARGET_TYPES = (
    "alb.ingress.kubernetes.io/target-type",
    "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type",
)


@dataclass(frozen=True)
class OutsideClient:
    """One load balancer that connects to the pods of a Service."""

    name: str
    """For people: ``an AWS load balancer (ingress/web)``."""
    balancer: Balancer
    through_nodes: bool
    """It connects to node ports, and the node translates the source address."""
    by_ingress: bool
    """An Ingress asks for it; else the Service's own type."""

    @property
    def where(self) -> str:
        """The addresses that the pods see, in words."""
        if self.through_nodes:
            return "the addresses of the nodes, which translate the source of node port connections"
        return self.balancer.where


@dataclass(frozen=True)
class OutsideCrossing:
    """What the NetworkPolicies on one port say of a client outside the cluster."""

    client: OutsideClient
    admission: PortAdmission
    blocked: bool
    """False: some ipBlock may cover it, which cannot be told."""
    blocks: tuple[str, ...]
    """The ipBlocks that stand in the rules."""


def outside_clients(trace: Trace, backend: Backend) -> tuple[OutsideClient, ...]:
    """Return the load balancers outside the cluster that connect to the pods of a Service."""
    found = []
    for entrance in trace.ingresses:
        known = entrance.known
        if known is None or not known.balancer or backend not in {entrance.backend(p) for p in entrance.paths}:
            continue
        what = balancer(known.balancer)
        marks = {**entrance.ingress.annotations, **labels(backend.service, "metadata", "annotations")}
        if what.name == "gke":
            nodes = "NEG" not in marks.get("cloud.google.com/neg-status", "") and not marks.get("cloud.google.com/neg")
        else:
            nodes = marks.get(_TARGET_TYPES[0], "instance" if what.name == "aws" else "ip") == "instance"
        through = nodes and text(backend.service, "spec", "externalTrafficPolicy") != "Local"
        found.append(OutsideClient(f"{what.words} ({entrance.name})", what, through, True))
    if backend.type == "LoadBalancer" and addresses_of(backend.service):
        marks = labels(backend.service, "metadata", "annotations")
        direct = marks.get(_TARGET_TYPES[1]) == "ip" or "nlb-ip" in marks.values()
        local = text(backend.service, "spec", "externalTrafficPolicy") == "Local"
        inside = LoadBalancerState(backend).has_service_lb
        words = f"what connects to the external address of svc/{backend.name}"
        found.append(OutsideClient(words, balancer("cloud"), not direct and (not local or inside), False))
    return tuple(found)


def outside_crossings(trace: Trace, backend: Backend) -> Iterator[OutsideCrossing]:
    """Judge each load balancer against the policies on each port: only an ipBlock can admit it."""
    clients = outside_clients(trace, backend)
    if not clients:
        return
    for one in admissions(backend):
        if one.admission.everyone or one.admission.nobody:
            continue
        blocks = [e for e in one.admission.entries if text(e, "ipBlock", "cidr")]
        shown = tuple(text(b, "ipBlock", "cidr") for b in blocks)
        for client in clients:
            ranges = () if client.through_nodes else client.balancer.ranges
            blocked = not blocks or (bool(ranges) and not all(any(_covers(b, r) for b in blocks) for r in ranges))
            yield OutsideCrossing(client, one, blocked, shown)


def _covers(entry: Obj, wanted: str) -> bool:
    try:
        network = ipaddress.ip_network(text(entry, "ipBlock", "cidr"), strict=False)
        inner = ipaddress.ip_network(wanted)
        holes = [ipaddress.ip_network(h, strict=False) for h in texts(entry, "ipBlock", "except")]
    except ValueError:
        return False
    same = [h for h in holes if h.version == inner.version]
    return network.version == inner.version and inner.subnet_of(network) and not any(inner.overlaps(h) for h in same)  # type: ignore[arg-type]


def policy_names(crossing: OutsideCrossing) -> tuple[str, ...]:
    """Return the names of the policies that isolate the pods."""
    return tuple(name_of(p) for p in crossing.admission.admission.policies)
