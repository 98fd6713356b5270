"""A Service of type LoadBalancer, or an Ingress whose controller always publishes one, has no external address.

Meaning: a Service works inside the cluster and on its node ports; nothing outside reaches it by a load balancer. An
Ingress of a cloud's load balancer is not served at all.

Told by: an empty ``status.loadBalancer.ingress``, for how long, and what the cluster shows of the reason, in this
order: the controller's newest Warning; a condition of the Service (Cilium's address management, mixed protocols); the
pods with which k3s serves it and what keeps them; the address pools of MetalLB and Cilium; other Services of the same
class that have an address. That nobody serves the class is said only where the Services of all namespaces were read.
The Service that a controller made for a Gateway is judged for the Gateway.

Fix: repair what the event or condition names, free the host port, give the pool an address, or install a load
balancer controller where none serves the class.

Source: core/v1 ServiceStatus; cloud-provider service controller events; cilium.io/IPAMRequestSatisfied reasons no_pool,
out_of_ips, already_allocated, pool_selector_mismatch; k3s servicelb labels.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.readers.events import Events
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend, Place
from kubetriage.rules.service.controller_words import Complaint, condition_complaints, event_complaints, log_trouble
from kubetriage.rules.service.entrance_controllers import balancer, class_server
from kubetriage.rules.service.hop_faults import Fault, age_of, fault
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.known_remedies import fixes_for, unknown_fix
from kubetriage.rules.service.load_balancer_state import (
    CILIUM_IPAM,
    LoadBalancerState,
    addresses_of,
    carriers_of_gateway,
    requested_addresses,
)
from kubetriage.typed import Any
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import condition, labels, name_of, namespace_of, text
from kubetriage.values.times import human_duration

CODE = "LoadBalancerPending"

_USUAL = timedelta(minutes=5)
"""Cloud load balancers are there within this time; younger ones are only suspect."""
_FRESH = timedelta(seconds=45)
_BEGUN = ("EnsuringLoadBalancer", "EnsuredLoadBalancer")


@dataclass(frozen=True)
class _Reason:
    """Why there is no address yet."""

    why: str
    fix: tuple[Fix, ...]
    evidence: tuple[Evidence, ...] = ()
    proven: bool = True
    fallback: bool = False
    """Nothing was found but the absence of everything."""


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service of type LoadBalancer, those of Gateways, and each Ingress of a cloud's load balancer."""
    for backend in trace.services:
        if backend.type == "LoadBalancer" and not addresses_of(backend.service):
            yield _pending(trace, backend, backend.address_place)
    for entry in trace.gateways:
        for carrier in carriers_of_gateway(trace.world, entry.namespace, entry.name):
            if carrier not in trace.services and not addresses_of(carrier.service):
                yield _pending(trace, carrier, entry.place)
    for entrance in trace.ingresses:
        known = entrance.known
        if known is None or not known.address_always or entrance.ingress.addresses:
            continue
        said = event_complaints(trace.snapshot, entrance.ref)
        age = age_of(entrance.ingress.raw, trace.now)
        if said or (age is not None and age <= _USUAL):
            continue
        logged = log_trouble(trace.snapshot, entrance.controller_pods)
        if logged is not None:
            yield _told_by_log(trace, entrance, logged, human_duration(age) if age is not None else "an unknown time")
        elif age is not None:
            what = balancer(known.balancer).words
            yield fault(
                CODE,
                entrance.address_place,
                f"{entrance.name} has waited {human_duration(age)} for an address, which its controller publishes "
                f"within minutes: {what} was not built, and no event says why.",
                proof="inferred",
                evidence=[Evidence("status", f"{entrance.name} status.loadBalancer.ingress", "<none>")],
                fix=[
                    Fix(
                        f"Read the log of the controller of class {entrance.ingress.any_class or '<none>'}; its role "
                        "may lack a permission of the cloud, or it watches another namespace",
                        actor=Actor.CLUSTER,
                    )
                ],
                verify=(kubectl("describe", "ingress", entrance.ingress.name, namespace=entrance.ingress.namespace),),
                short=f"no address for {human_duration(age)}; its controller always publishes one",
            )


def _told_by_log(trace: Trace, entrance: Entrance, logged: Complaint, waited: str) -> Fault:
    """Tell of an Ingress without an address by what its controller logs of the whole load balancer."""
    return fault(
        CODE,
        entrance.address_place,
        f"{entrance.name} has waited {waited} for an address, and its controller cannot build the load balancer: "
        f"{logged.words}.",
        proof="observed",
        confidence=Confidence.LIKELY,
        evidence=[Evidence("status", f"{entrance.name} status.loadBalancer.ingress", "<none>"), logged.evidence],
        fix=fixes_for(trace, logged, entrance.ref, entrance.ingress.raw, entrance.controller_pods),
        verify=(kubectl("describe", "ingress", entrance.ingress.name, namespace=entrance.ingress.namespace),),
        short=f"no address for {waited}: {logged.words}",
    )


def _pending(trace: Trace, backend: Backend, place: Place) -> Fault:
    age = age_of(backend.service, trace.now)
    waited = human_duration(age) if age is not None else "an unknown time"
    found = _reason(trace, backend)
    young = age is None or age < _USUAL
    fresh = age is not None and age < _FRESH and not found.proven
    seen = backend.world.snapshot.covers(backend.service, "spec.selector")
    inside = "" if place.hop == "Gateway" or not seen else " It works inside the cluster."
    return fault(
        CODE,
        place,
        f"svc/{backend.name} has waited {waited} for an external address: {found.why}.{inside}",
        severity=Severity.NOTE if fresh else Severity.WARNING if young and not found.proven else Severity.ERROR,
        proof="observed" if found.proven else "inferred",
        confidence=Confidence.CONFIRMED
        if found.proven
        else Confidence.POSSIBLE
        if found.fallback and not LoadBalancerState(backend).all_services_seen
        else Confidence.LIKELY,
        about=backend.ref,
        evidence=[
            Evidence("status", f"service/{backend.name} status.loadBalancer.ingress", "<none>"),
            *found.evidence,
        ],
        fix=found.fix,
        verify=(
            kubectl("describe", "service", backend.name, namespace=backend.namespace),
            kubectl("get", "service", backend.name, namespace=backend.namespace),
        ),
        short=f"no external address for {waited}: {found.why}",
    )


def _reason(trace: Trace, backend: Backend) -> _Reason:
    """Return the best known reason, the surest first."""
    state = LoadBalancerState(backend)
    reasons = (_told(trace, backend), _cilium(state), _conditions(trace, backend), _service_lb(state), _pools(state))
    found = next((r for r in reasons if r is not None), None)
    return found or _unserved(trace, state)


def _told(trace: Trace, backend: Backend) -> _Reason | None:
    said = event_complaints(trace.snapshot, backend.ref)
    if not said:
        return None
    why = said[0].told or said[0].reason
    known = fixes_for(trace, said[0], backend.ref, backend.service)
    fixes = known or (unknown_fix(said[0], backend.ref, backend.service, Actor.CLOUD),)
    return _Reason(why, fixes, tuple(c.evidence for c in said[:2]))


def _cilium(state: LoadBalancerState) -> _Reason | None:
    backend = state.backend
    found = condition(backend.service, CILIUM_IPAM)
    if text(found, "status") != "False":
        return None
    reason, message = text(found, "reason"), text(found, "message").strip().rstrip(".")
    asked = requested_addresses(backend.service)
    pools = state.pools()
    proof = Evidence("status", f"status.conditions[{CILIUM_IPAM}]", f"False, {reason}: {message}")
    shown = ", ".join(f"{name} ({', '.join(ranges)})" for name, ranges in pools[:3])
    have = f"; the pools are {shown}" if shown else ""
    why = f"Cilium's address management says {reason}: {message}{have}"
    if reason == "already_allocated" and asked:
        holder = state.holder_of(asked[0])
        name = f"svc/{name_of(holder)} in {namespace_of(holder)}" if holder is not None else "another Service"
        fix = Fix(
            f"{asked[0]} is in use by {name}. Let svc/{backend.name} ask for another address, or share it with the "
            "annotation lbipam.cilium.io/sharing-key on both",
            actor=Actor.MANIFEST,
        )
    elif reason == "pool_selector_mismatch":
        fix = Fix(
            f"Label svc/{backend.name} so that spec.serviceSelector of the CiliumLoadBalancerIPPool matches it. "
            "Or widen the selector",
            actor=Actor.CLUSTER,
        )
    elif reason == "out_of_ips":
        fix = Fix("Add a block of free addresses to the CiliumLoadBalancerIPPool", actor=Actor.CLUSTER)
    else:
        block = f"{asked[0]}/32" if asked and ":" not in asked[0] else "CIDR-OF-FREE-ADDRESSES"
        wanted = f" that holds {asked[0]}" if asked else ""
        fix = Fix(
            f"Create a CiliumLoadBalancerIPPool{wanted}, with addresses that the network routes to the nodes",
            actor=Actor.CLUSTER,
            yaml="apiVersion: cilium.io/v2\nkind: CiliumLoadBalancerIPPool\nmetadata:\n"
            f"  name: {backend.name}\nspec:\n  blocks:\n  - cidr: {block}\n",
        )
    return _Reason(why, (fix,), (proof,))


def _conditions(trace: Trace, backend: Backend) -> _Reason | None:
    said = condition_complaints(backend.service)
    if not said:
        return None
    why = said[0].told or said[0].reason
    fixes = fixes_for(trace, said[0], backend.ref, backend.service)
    return _Reason(
        why, fixes or (unknown_fix(said[0], backend.ref, backend.service, Actor.CLOUD),), (said[0].evidence,)
    )


def _service_lb(state: LoadBalancerState) -> _Reason | None:
    """Judge the pods with which k3s serves the Service: they bind its ports on the nodes."""
    trouble = state.proxy_trouble()
    if trouble is None:
        return None
    pod, found = trouble
    held = [(port, other) for port, other in state.holders(pod)]
    ports = ", ".join(str(p) for p in dict.fromkeys(port for port, _ in held))
    why = f"servicelb's pod {pod.name} does not run ({found.cause}): {found.message.rstrip('.')}"
    evidence = [pod.fact("status", f"pod/{pod.name} STATUS", pod.status_text()), *found.evidence[:1]]
    if found.cause != "UnschedulableHostPort" or not held:
        return _Reason(why, found.fix or (Fix(f"Repair pod/{pod.name}", actor=Actor.CLUSTER),), tuple(evidence))
    port, other = held[0]
    for_service = other.labels.get("svccontroller.k3s.cattle.io/svcname", "")
    holder = f"pod/{other.name} in {other.namespace}" + (f", which serves svc/{for_service}" if for_service else "")
    why = f"servicelb's pod {pod.name} cannot be scheduled: host port {ports} of the node is held by {holder}"
    evidence.append(Evidence("spec", f"pod/{other.name} hostPort", f"{port} on {other.node}"))
    ingress = f", or publish it by an Ingress through {for_service}" if for_service == "traefik" else ""
    bundled = (
        "Or, if the bundled traefik is not needed, disable it (k3s server --disable traefik). "
        "Every Ingress that it serves then ends"
        if for_service == "traefik"
        else f"Or free host port {port}: {holder} holds it"
    )
    number = next((p.port for p in state.backend.ports if p.port == port), port)
    fixes = (
        Fix(
            f"Give port {number} of svc/{state.backend.name} another number that no other Service of type LoadBalancer "
            f"has{ingress}",
            actor=Actor.MANIFEST,
        ),
        Fix(bundled, actor=Actor.CLUSTER),
    )
    return _Reason(why, fixes, tuple(evidence))


def _pools(state: LoadBalancerState) -> _Reason | None:
    """Tell of MetalLB without a pool; before 0.14 it says nothing of it."""
    listing = state.backend.world.listing("ipaddresspools")
    world = state.backend.world
    runs = world.selected("", {"app.kubernetes.io/name": "metallb"}) or world.selected("", {"app": "metallb"})
    if not runs or listing.items or not listing.complete:
        return None
    yaml = (
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata:\n  name: default\n"
        "  namespace: metallb-system\nspec:\n  addresses:\n  - CIDR-OF-FREE-ADDRESSES\n---\n"
        "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata:\n  name: default\n"
        "  namespace: metallb-system\nspec:\n  ipAddressPools: [default]\n"
    )
    fix = Fix(
        "Create an IPAddressPool with free addresses of the nodes' network, and advertise it",
        None,
        None,
        Actor.CLUSTER,
        (),
        yaml,
    )
    return _Reason(
        "MetalLB runs and has no IPAddressPool",
        (fix,),
        (Evidence("status", "ipaddresspools", "<none>"),),
        proven=not listing.presumed,
    )


def _unserved(trace: Trace, state: LoadBalancerState) -> _Reason:
    """Say what other Services of the class show, where nothing speaks of this one."""
    backend = state.backend
    events = Events.of(trace.snapshot.events(backend.namespace, backend.ref.uid, backend.name, "Service"))
    begun = events.select(*_BEGUN)
    if begun:
        why = "its controller has begun and not finished"
        fix = Fix("Read the log of the cloud controller manager for this Service", actor=Actor.CLUSTER)
        return _Reason(why, (fix,), (begun[-1].evidence(),), proven=False)
    class_words = f"class {state.wanted}" if state.wanted else "load balancers without a class"
    served = state.served_neighbours
    if served:
        other = served[0]
        shown = f"svc/{name_of(other)} in {namespace_of(other)} has {addresses_of(other)[0]}"
        why = f"{class_words} is served here ({shown}), and its controller has said nothing of this Service"
        if not state.wanted:
            why = f"{class_words} are served here ({shown}), and their controller has said nothing of this Service"
        fix = Fix(
            "Read the log of the controller that serves the other one: it may be out of addresses or of quota",
            actor=Actor.CLUSTER,
        )
        return _Reason(why, (fix,), (Evidence("status", f"service/{name_of(other)} status", shown),), proven=False)
    if state.wanted:
        server = class_server(state.wanted)
        by = f", which {server} serves" if server else ""
        why = f"no controller has taken up class {state.wanted}{by}, and no other Service of the class has an address"
        fix = Fix(
            f"Start {server or f'the controller of class {state.wanted}'}, or make the Service anew without the class: "
            "loadBalancerClass cannot be changed",
            actor=Actor.CLUSTER,
        )
        return _Reason(why, (fix,), (Evidence("spec", "spec.loadBalancerClass", state.wanted),), False, True)
    seen = ", and no other Service has an address" if state.all_services_seen else ""
    why = f"no controller has taken it up{seen}; nothing that was seen serves {class_words} in this cluster"
    local = _local_cluster(backend)
    if local is not None:
        row, proof = local
        values = {"service": backend.name, "namespace": backend.namespace, "port": str(backend.ports[0].port)}
        words = tuple(shell(*(w.format(**values) for w in c.split())) for c in row["commands"])
        fix = Fix(str(row["fix"]), actor=Actor.CLUSTER, commands=words)
        return _Reason(f"no controller has taken it up{seen}; this is {row['name']}", (fix,), (proof,), proven=False)
    fix = Fix(
        "Install a load balancer controller (the cloud's controller manager; on own machines MetalLB, kube-vip or "
        "Cilium's LB IPAM), or use type NodePort or an Ingress",
        actor=Actor.CLUSTER,
    )
    return _Reason(why, (fix,), (), proven=False, fallback=True)


def _local_cluster(backend: Backend) -> tuple[Mapping[str, Any], Evidence] | None:
    """Return the row of the cluster on somebody's machine that the nodes are of, with what shows it."""
    for node in backend.world.listing("nodes").items[:1]:
        provider, marks = text(node, "spec", "providerID"), labels(node, "metadata", "labels")
        for row in table("load_balancers")["localClusters"] if backend.ports else ():
            if "provider" in row and provider.startswith(row["provider"]):
                return row, Evidence("spec", f"node/{name_of(node)} spec.providerID", provider)
            if row.get("label") in marks:
                return row, Evidence("status", f"node/{name_of(node)} labels", str(row["label"]))
    return None
