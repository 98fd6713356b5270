"""The DestinationRules of Istio for a Service: which subsets they define, and which pods each takes."""

from __future__ import annotations

from kubetriage.readers.pods import Pod
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_objects import mesh_host
from kubetriage.rules.service.selector_edits import selects
from kubetriage.values.fields import Obj, labels, namespace_of, objects, text

DESTINATION_RULES = "destinationrules"


def rules_for(backend: Backend) -> tuple[Obj, ...]:
    """Return the DestinationRules whose host is a Service, as far as they were read."""
    found = []
    for rule in backend.world.listing(DESTINATION_RULES).items:
        host = text(rule, "spec", "host")
        if mesh_host(host, namespace_of(rule)) == (backend.namespace, backend.name) or _wild(host, backend):
            found.append(rule)
    return tuple(found)


def _wild(host: str, backend: Backend) -> bool:
    return host.startswith("*.") and f"{backend.name}.{backend.namespace}.svc.cluster.local".endswith(host[1:])


def subsets_of(backend: Backend) -> dict[str, dict[str, str]]:
    """Return the labels of each subset that the DestinationRules of a Service define."""
    return {
        text(s, "name"): labels(s, "labels")
        for rule in rules_for(backend)
        for s in objects(rule, "spec", "subsets")
        if text(s, "name")
    }


def pods_of_subset(backend: Backend, wanted: dict[str, str]) -> tuple[Pod, ...]:
    """Return the pods of a Service that a subset takes; one without labels takes all."""
    return tuple(p for p in backend.pods if not wanted or selects(wanted, p.labels))
