"""Services, Ingresses and Gateway objects of which nothing but events is there: what these tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubetriage.cluster.text.found import FoundEvent, Raw
from kubetriage.found import Form
from kubetriage.values.patterns import lazy

RESOURCES: Mapping[str, str] = {
    "Service": "services",
    "Ingress": "ingresses",
    "Gateway": "gateways",
    "HTTPRoute": "httproutes",
}
FORM = Form("its events", shows=("metadata.name",))
FORM_OF_BALANCED = Form("its events", shows=("metadata.name", "spec.type", "status.loadBalancer"))
# service-controller (SyncLoadBalancerFailed), AWS Load Balancer Controller, MetalLB, kube-vip and klipper: events that
# only a Service of type LoadBalancer gets.
_BALANCED = lazy(
    r"(?i)\b(?:sync|ensur\w{1,4}|delet\w{1,4}|updat\w{1,4})LoadBalancer|load ?balancer|^AllocationFailed"
    r"|^IPAllocated|^nodeAssigned"
    r"|Failed to allocate IP|FailedDeployModel|FailedBuildModel"
)
_DONE = lazy(r"^(?:EnsuredLoadBalancer|UpdatedLoadBalancer|IPAllocated|nodeAssigned|SuccessfullyReconciled)\b")


def entry_of(event: FoundEvent) -> str:
    """Return the resource of what an event is about, where it is a way into the cluster; empty for others."""
    return RESOURCES.get(event.kind, "") if event.name else ""


def is_balanced(resource: str, events: Iterable[FoundEvent]) -> bool:
    """Tell whether the events of a Service are those of one that asks for a load balancer and has none yet."""
    if resource != "services":
        return False
    words = [f"{e.reason}: {e.message}" for e in events]
    return any(map(_BALANCED.search, words)) and not any(map(_DONE.match, words))


def balanced() -> Raw:
    """Return what is known of a Service that waits for its load balancer."""
    return {"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}}
