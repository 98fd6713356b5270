"""Peers of a StatefulSet that find one another by the names of a headless Service, which exist only for ready pods."""

from __future__ import annotations

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import plural
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import controller_of, number, text

_WAITING = frozenset(
    (
        "",
        "Unknown",
        "AppError",
        "DependencyUnreachable",
        "LivenessKillsSlowStart",
        "LivenessProbeFailed",
        "ReadinessProbeFailed",
        "StartupProbeFailed",
    )
)
"""Verdicts on a pod that may be waiting for its peers; an image that is not there is no such."""


@dataclass(frozen=True)
class Deadlock:
    """What is known of the circle."""

    words: str
    fix: Fix
    evidence: tuple[Evidence, ...]


def governing_service(backend: Backend) -> Backend | None:
    """Return the Service that gives the pods of a StatefulSet their names; None where the pods are of no such."""
    for pod in backend.pods[:1]:
        owner = controller_of(pod.raw)
        if text(owner, "kind") == "StatefulSet":
            found = backend.world.lookup("statefulsets", backend.namespace, text(owner, "name"))
            name = text(found.obj, "spec", "serviceName") or text(pod.raw, "spec", "subdomain")
            return backend.world.backend(backend.namespace, name) if name else None
    return None


def deadlock(backend: Backend, cause: str) -> Deadlock | None:
    """Tell whether the peers may wait for one another: none is ready, and only ready ones have a name."""
    began = any(c.running or c.restarts for p in backend.pods for c in p.containers)
    if cause not in _WAITING or backend.ready_pods or not began:
        return None
    governing = governing_service(backend)
    if governing is None:
        return None
    owner = text(controller_of(backend.pods[0].raw), "name")
    found = backend.world.lookup("statefulsets", backend.namespace, owner)
    replicas = number(found.obj, "spec", "replicas")
    if (replicas if replicas is not None else len(backend.pods)) < 2:
        return None
    spec = Evidence("spec", f"statefulset/{owner} spec.serviceName", governing.name)
    if governing.lookup.absent:
        words = (
            f" statefulset/{owner} names svc/{governing.name} in serviceName, which does not exist, so the pods have "
            "no DNS names of their own: peers that look one another up wait for ever."
        )
        yaml = (
            f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {governing.name}\n  namespace: {governing.namespace}\n"
            "spec:\n  clusterIP: None\n  publishNotReadyAddresses: true\n  selector:\n"
            + "".join(f"    {k}: {v}\n" for k, v in sorted(backend.selector.items()))
        )
        fix = Fix(f"Create the headless Service {governing.name}", actor=Actor.MANIFEST, yaml=yaml)
        return Deadlock(words, fix, (spec,))
    if not governing.lookup.found or not governing.headless or governing.publishes_unready:
        return None
    words = (
        f" The {plural(len(backend.pods), 'pod')} of statefulset/{owner} find one another by the DNS names of headless "
        f"svc/{governing.name}, which exist only for ready pods: if they wait for their peers, they wait for ever."
    )
    fix = Fix(
        f"If the pods wait for one another, set publishNotReadyAddresses: true on svc/{governing.name}, so that DNS "
        "resolves the peers before they are ready. Clients should then use another Service, which has ready pods only",
        {"spec": {"publishNotReadyAddresses": True}},
        governing.ref,
        Actor.MANIFEST,
        (kubectl("logs", backend.pods[0].name, "--tail=100", namespace=backend.namespace),),
    )
    proof = Evidence("spec", f"service/{governing.name} spec.publishNotReadyAddresses", "false")
    return Deadlock(words, fix, (spec, proof))
