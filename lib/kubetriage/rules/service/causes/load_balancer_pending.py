"""The Service of type LoadBalancer has no external address.

Meaning: it works inside the cluster (and on its node ports); nothing outside reaches it by a load balancer.

Told by: an empty ``status.loadBalancer.ingress``, for how long, and what the service controller says: its failure
event, or no event at all, which means that nothing in the cluster serves this class of load balancers.

Fix: repair what the event names (quota, subnet, mixed protocols), install a load balancer controller, or set the
class that the installed one serves.

Source: core/v1 ServiceStatus; cloud-provider service controller events (EnsuringLoadBalancer,
SyncLoadBalancerFailed).
"""

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Evidence, Fix, Severity
from kubetriage.readers.events import Events
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, age_of, fault
from kubetriage.values.fields import objects, text
from kubetriage.values.times import human_duration

CODE = "LoadBalancerPending"

_USUAL = timedelta(minutes=5)
"""Cloud load balancers are there within this time; younger ones are only suspect."""
_FRESH = timedelta(seconds=45)
_FAILED = ("SyncLoadBalancerFailed", "CreatingLoadBalancerFailed", "UpdateLoadBalancerFailed", "AllocationFailed")
"""Failure reasons of cloud-provider's service controller and of MetalLB."""
_BEGUN = ("EnsuringLoadBalancer", "EnsuredLoadBalancer")


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service of type LoadBalancer."""
    for backend in trace.services:
        if backend.type == "LoadBalancer" and not objects(backend.service, "status", "loadBalancer", "ingress"):
            yield _pending(trace, backend)


def _pending(trace: Trace, backend: Backend) -> Fault:
    service = backend.service
    events = Events.of(trace.snapshot.events(backend.namespace, backend.ref.uid, backend.name, "Service"))
    age = age_of(service, trace.now)
    waited = human_duration(age) if age is not None else "an unknown time"
    failed = events.last(*_FAILED)
    condition = next(
        (
            c
            for c in objects(service, "status", "conditions")
            if text(c, "type") == "LoadBalancerPortsError" and text(c, "status") == "True"
        ),
        None,
    )
    evidence = [Evidence("status", f"service/{backend.name} status.loadBalancer.ingress", "<none>")]
    wanted = text(service, "spec", "loadBalancerClass")
    if failed is not None:
        why = failed.message.strip().rstrip(".")
        evidence.append(failed.evidence())
    elif condition is not None:
        why = text(condition, "message") or text(condition, "reason")
        evidence.append(Evidence("status", "status.conditions[LoadBalancerPortsError]", why))
    elif events.select(*_BEGUN):
        why = "its controller has begun and not finished"
        evidence.append(events.select(*_BEGUN)[-1].evidence())
    else:
        served = f"class {wanted}" if wanted else "load balancers without a class"
        why = f"no controller has taken it up; nothing seems to serve {served} in this cluster"
    young = age is None or age < _USUAL
    proven = failed is not None or condition is not None
    fresh = age is not None and age < _FRESH and not proven
    inside = "It works inside the cluster."
    return fault(
        CODE,
        backend.address_place,
        f"svc/{backend.name} has waited {waited} for an external address: {why}. {inside}",
        severity=Severity.NOTE if fresh else Severity.WARNING if young and not proven else Severity.ERROR,
        proof="observed" if proven else "inferred",
        confidence=Confidence.CONFIRMED if proven else Confidence.LIKELY,
        evidence=evidence,
        fix=[Fix(_fix(proven or bool(events.select(*_BEGUN)), why))],
        verify=(
            f"{backend.command} describe service {backend.name}",
            f"{backend.command} get service {backend.name} -w",
        ),
        short=f"no external address for {waited}: {why}",
    )


def _fix(known: bool, why: str) -> str:
    if known:
        return f"Repair what the load balancer's controller names: {why}"
    return "Install a load balancer controller, or use type NodePort or an Ingress"
