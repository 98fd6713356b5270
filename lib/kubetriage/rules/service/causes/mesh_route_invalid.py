"""A VirtualService names a host, port or gateway host that does not exist, so its route leads nowhere.

Meaning: the proxy answers 503 (no cluster, no healthy upstream) for that route, or 404 where the Gateway does not take
the host at all.

Told by: each destination's host, read as Istio does (a name without a dot is of the VirtualService's own namespace, a
name with a dot is taken as it is), against Services and ServiceEntries; its port against the Service's ports; and the
hosts of the VirtualService against the hosts of the Gateway's servers. Where these agree, by the proxy's own words in
its access log (NR, NC). A Gateway that does not exist is told as
GatewayNotFound, a subset as MeshSubsetNotFound.

Fix: write the full name NAME.NAMESPACE.svc.cluster.local, a port of the Service, or add the host to the Gateway.

Source: Istio VirtualService Destination.host and port, Gateway Server.hosts; analyzers IST0101 (ReferencedResource
NotFound) and IST0132 (VirtualServiceHostNotFoundInGateway).
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.access_logs import failures
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_entrances import CustomEntrance, port_of
from kubetriage.rules.service.custom_objects import ServiceRef
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.mesh_gateways import mesh_gateways_of
from kubetriage.rules.service.proxy_faults import proxy_fault
from kubetriage.rules.service.selector_edits import selects
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, name_of, namespace_of, number, texts
from kubetriage.values.nearest import nearest

CODE = "MeshRouteInvalid"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the destinations and hosts of each VirtualService."""
    found = []
    for custom in trace.customs:
        if custom.kind == "VirtualService":
            found += [*_destinations(trace, custom), *_hosts(trace, custom), *_closed_ports(trace, custom)]
    yield from found
    if not found:
        yield from (proxy_fault(trace, CODE, f) for f in failures(trace, "no-route", "no-cluster", "outside"))


def _closed_ports(trace: Trace, custom: CustomEntrance) -> Iterator[Fault]:
    """Tell of a Gateway none of whose ports the Service before its proxies has."""
    for _, gateway in mesh_gateways_of(trace.world, custom):
        pods, listing = gateway.pods, trace.world.listing("services")
        numbers = [n for s in gateway.servers if (n := number(s, "port", "number"))]
        fronts = [
            trace.world.backend(namespace_of(s), name_of(s))
            for s in listing.items
            if pods and namespace_of(s) == pods[0].namespace and selects(labels(s, "spec", "selector"), pods[0].labels)
        ]
        open_ports = {n for b in fronts for p in b.ports for n in (p.port, p.target)}
        if not fronts or not numbers or not listing.complete or any(n in open_ports for n in numbers):
            continue
        front = fronts[0]
        have = ", ".join(str(p.port) for p in front.ports)
        yield fault(
            CODE,
            gateway.place,
            f"{gateway.shown} opens port {', '.join(map(str, numbers))} in its proxies, and svc/{front.name} of "
            f"{front.namespace} before them has only {have}: nothing outside reaches it.",
            about=gateway.ref,
            evidence=[
                Evidence("spec", f"{gateway.shown} spec.servers[].port.number", ", ".join(map(str, numbers))),
                Evidence("spec", f"service/{front.name} spec.ports", have),
            ],
            fix=[
                Fix(
                    f"Write a port of svc/{front.name} ({have}) in spec.servers[].port.number of {gateway.shown}. Or "
                    f"add port {numbers[0]} to svc/{front.name}",
                    actor=Actor.MANIFEST,
                )
            ],
            verify=(front.kubectl("get", "service", front.name, "-o", "wide"),),
            short=f"svc/{front.name} has no port {', '.join(map(str, numbers))}",
        )


def _destinations(trace: Trace, custom: CustomEntrance) -> Iterator[Fault]:
    seen = set()
    for ref in custom.links.services:
        if (ref.host, ref.port) in seen:
            continue
        seen.add((ref.host, ref.port))
        backend = trace.world.backend(ref.namespace, ref.name) if ref.name else None
        if _is_entry(trace, ref.host):
            continue
        if backend is None:
            yield from _foreign(trace, custom, ref)
        elif backend.lookup.absent:
            yield _no_host(custom, ref, backend)
        elif ref.port is None and len(backend.ports) > 1:
            have = ", ".join(map(str, backend.ports))
            words = f"sends to {ref.host} without a port, and svc/{backend.name} has several: {have}"
            yield _fault(custom, ref, words, f"Name one of the ports in {ref.at}.port.number", Severity.WARNING)
        elif ref.port is not None and backend.ports and port_of(ref, backend) is None:
            have = ", ".join(map(str, backend.ports))
            right = backend.ports[0].port if len(backend.ports) == 1 else have
            words = f"sends to port {ref.port} of svc/{backend.name}, which has only {have}"
            yield _fault(custom, ref, words, f"Set {ref.at}.port.number of {custom.shown} to {right}", Severity.ERROR)


def _is_entry(trace: Trace, host: str) -> bool:
    """Tell whether a ServiceEntry brings the host into the mesh."""
    for entry in trace.world.listing("serviceentries").items:
        for known in texts(entry, "spec", "hosts"):
            if known == host or (known.startswith("*.") and host.endswith(known[1:])):
                return True
    return False


def _foreign(trace: Trace, custom: CustomEntrance, ref: ServiceRef) -> Iterator[Fault]:
    """Judge a host outside the cluster's domain: NAME.NAMESPACE is a frequent slip."""
    name, _, space = ref.host.partition(".")
    if name and space and "." not in space:
        full = f"{name}.{space}.svc.cluster.local"
        words = f"sends to {ref.host}, which Istio takes as a name of its own, not as a Service"
        yield _fault(custom, ref, words, f"Write {full} in {ref.at}.host of {custom.shown}", Severity.ERROR)
    elif not trace.world.listing("serviceentries").complete:
        return
    elif trace.world.snapshot.source == "cluster":
        words = f"sends to {ref.host}, for which no ServiceEntry exists"
        fix = f"Create a ServiceEntry for {ref.host}, or correct {ref.at}.host"
        yield _fault(custom, ref, words, fix, Severity.WARNING, Confidence.LIKELY)


def _no_host(custom: CustomEntrance, ref: ServiceRef, backend: Backend) -> Fault:
    here = [name_of(s) for s in backend.world.listing("services", backend.namespace).items]
    near = nearest(backend.name, here)
    known = backend.world.listing("services").items
    elsewhere = sorted({namespace_of(s) for s in known if name_of(s) == backend.name} - {backend.namespace})
    means = f" A name without a dot means namespace {backend.namespace}." if "." not in ref.host else ""
    fix = f"Create Service {backend.name} in namespace {backend.namespace}, or name another host in {ref.at}.host"
    if near:
        means += f" Nearest there: svc/{near}."
        fix = f"Write {near} in {ref.at}.host of {custom.shown}"
    elif elsewhere:
        full = f"{backend.name}.{elsewhere[0]}.svc.cluster.local"
        means += f" Namespace {', '.join(elsewhere[:3])} has one of that name."
        fix = f"Write {full} in {ref.at}.host of {custom.shown}"
    words = f"sends to host {ref.host}, and there is no Service {backend.name} in namespace {backend.namespace}"
    severity = Severity.ERROR if ref.weight else Severity.WARNING
    weak = Confidence.LIKELY if backend.lookup.presumed and not here else Confidence.CONFIRMED
    return _fault(custom, ref, words, fix, severity, weak, means)


def _hosts(trace: Trace, custom: CustomEntrance) -> Iterator[Fault]:
    for written, gateway in mesh_gateways_of(trace.world, custom):
        if not gateway.lookup.found:
            continue
        lost = [h for h in custom.all_links.hosts if not gateway.serves(h, custom.namespace)]
        if lost and len(lost) == len(custom.all_links.hosts):
            taken = ", ".join(h for s in gateway.servers for h in texts(s, "hosts")) or "<none>"
            yield fault(
                CODE,
                custom.place,
                f"{custom.shown} is for {', '.join(lost[:3])}, and no server of gateway {written} takes that host; it "
                f"takes {taken}. Requests get 404.",
                evidence=[
                    Evidence("spec", f"{custom.shown} spec.hosts", ", ".join(custom.all_links.hosts)),
                    Evidence("spec", f"{gateway.shown} spec.servers[].hosts", taken),
                ],
                fix=[
                    Fix(
                        f"Add {lost[0]} to spec.servers[].hosts of {gateway.shown} in {gateway.namespace}, or correct "
                        f"spec.hosts of {custom.shown}",
                        actor=Actor.MANIFEST,
                    )
                ],
                verify=(kubectl("get", custom.typed, custom.name, "-o", "yaml", namespace=custom.namespace),),
                short=f"gateway {written} does not take {lost[0]}, only {taken}",
            )


def _fault(
    custom: CustomEntrance,
    ref: ServiceRef,
    words: str,
    fix: str,
    severity: Severity,
    confidence: Confidence = Confidence.CONFIRMED,
    tail: str = "",
) -> Fault:
    return fault(
        CODE,
        custom.place,
        f"{custom.shown} {words}.{tail}",
        severity=severity,
        confidence=confidence,
        proof="inferred" if confidence is Confidence.LIKELY else "proven",
        evidence=[
            Evidence(
                "spec", f"{custom.shown} {ref.at}", ref.host + (f" port {ref.port}" if ref.port is not None else "")
            )
        ],
        fix=[Fix(fix, actor=Actor.MANIFEST)],
        verify=(kubectl("get", custom.typed, custom.name, "-o", "yaml", namespace=custom.namespace),),
        short=words,
    )
