"""An Ingress or Route names a port that the backend Service does not have.

Meaning: the controller finds no endpoint for that backend: 503, or 500 at a Gateway.

Told by: name or number of the backend's port against ``spec.ports`` of the Service. The number is the Service's
port, not the targetPort; ingress-nginx also takes the targetPort, other controllers do not, which is a warning.
An unnamed Service port matches no backend that gives a name, and none by its missing name.

Fix: use the Service's port number or name in the backend.

Source: networking.k8s.io/v1 ServiceBackendPort; Gateway API BackendObjectReference.port.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.records import replace
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_entrances import CustomEntrance, port_of
from kubetriage.rules.service.custom_objects import ServiceRef
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.ingress_objects import IngressPath
from kubetriage.values.commands import kubectl

CODE = "BackendPortNotFound"

_MAPPINGS = ("Mapping", "TCPMapping")
_SERVICE_PORTS = (*_MAPPINGS, "VirtualServer", "VirtualServerRoute", "ApisixRoute", "TCPIngress", "RouteGroup")
"""Kinds that are not judged otherwise, and name the port of a Service."""


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the backends of each Ingress and Route."""
    for entrance in trace.ingresses:
        seen = set()
        for path in entrance.paths:
            backend = entrance.backend(path)
            key = (path.backend.service, path.backend.port_text)
            if backend is None or not backend.lookup.found or key in seen:
                continue
            seen.add(key)
            if path.backend.find(backend.ports) is None and (backend.ports or not backend.is_external):
                yield _ingress_fault(entrance, path, backend)
    for custom in trace.customs:
        for named, backend in custom.backends:
            if custom.judged and custom.kind != "VirtualService" and _lacks(named, backend):
                yield _custom_fault(custom, named, backend)
            elif custom.kind in _SERVICE_PORTS and _lacks(named, backend):
                yield replace(_custom_fault(custom, named, backend), confidence=Confidence.LIKELY)
    for route in trace.routes:
        for ref in route.backends:
            if not ref.is_service or ref.port is None:
                continue
            backend = trace.world.backend(ref.namespace, ref.name)
            if backend.lookup.found and not any(p.port == ref.port for p in backend.ports) and backend.ports:
                have = _have(backend)
                yield fault(
                    CODE,
                    route.place,
                    f"{route.shown} sends to port {ref.port} of svc/{backend.name}, which has only {have}.",
                    evidence=[
                        Evidence("spec", f"{route.shown} {ref.at}.port", str(ref.port)),
                        Evidence("spec", f"service/{backend.name} spec.ports", have),
                    ],
                    fix=[Fix(f"Set {ref.at}.port of {route.shown} to {backend.ports[0].port}")],
                    verify=(backend.kubectl("get", "service", backend.name),),
                    short=f"svc/{backend.name} has no port {ref.port}, only {have}",
                )


def _lacks(named: ServiceRef, backend: Backend) -> bool:
    known = backend.lookup.found and not backend.is_external and bool(backend.ports)
    # Endpoints that were not seen may have the pod port that an OpenShift Route means.
    seen = not named.pod_port or backend.endpoints.read
    return known and seen and named.port is not None and port_of(named, backend) is None


def _custom_fault(custom: CustomEntrance, named: ServiceRef, backend: Backend) -> Fault:
    have = _have(backend)
    right = next((p for p in backend.ports if p.target == named.port), None)
    right = right or (backend.ports[0] if len(backend.ports) == 1 else None)
    field, means = f"{named.at}.port", "the Service's port"
    wanted = str(right.port) if right is not None else ""
    if custom.kind == "Route":
        field, means = "spec.port.targetPort", "the name of a Service port, or the number of a pod port"
        wanted = (right.name or str(right.target)) if right is not None else ""
    if custom.kind in _MAPPINGS and right is not None:
        field, means = named.at, "a Service with its port"
        wanted = f"{backend.name}.{backend.namespace}:{right.port}"
    return fault(
        CODE,
        custom.place,
        f"{custom.shown} sends to port {named.port} of svc/{backend.name}, which has only {have}. {field} names "
        f"{means}.",
        evidence=[
            Evidence("spec", f"{custom.shown} {field}", str(named.port)),
            Evidence("spec", f"service/{backend.name} spec.ports", have),
        ],
        fix=[Fix(f"Set {field} of {custom.shown} to {wanted or have}", actor=Actor.MANIFEST)],
        verify=(kubectl("get", "service", backend.name, namespace=backend.namespace),),
        short=f"svc/{backend.name} has no port {named.port}, only {have}",
    )


def _have(backend: Backend) -> str:
    return ", ".join(str(p) for p in backend.ports) or "no port"


def _ingress_fault(entrance: Entrance, path: IngressPath, backend: Backend) -> Fault:
    ref = path.backend
    wanted = ref.port_text or "<none>"
    have = _have(backend)
    target = next((p for p in backend.ports if str(p.target) == wanted), None)
    nginx = entrance.controller == "k8s.io/ingress-nginx"
    tolerated = target is not None and nginx and isinstance(target.target, str)
    tail = ""
    if target is not None:
        tail = f" {wanted} is the targetPort; an Ingress names the Service's port, {target.port}."
        if tolerated:
            tail += " ingress-nginx tolerates the name, other controllers do not."
    right = target or (backend.ports[0] if len(backend.ports) == 1 else None)
    how = f"name: {right.name}" if right is not None and ref.port_name and right.name else ""
    how = how or (f"number: {right.port}" if right is not None else "")
    return fault(
        CODE,
        entrance.place,
        f"{entrance.name} sends {path.host or '*'}{path.path} to port {wanted} of svc/{backend.name}, which has only "
        f"{have}.{tail}",
        severity=Severity.WARNING if tolerated else Severity.ERROR,
        evidence=[
            Evidence("spec", f"{entrance.name} {ref.at}.service.port", wanted),
            Evidence("spec", f"service/{backend.name} spec.ports", have),
        ],
        fix=[Fix(f"Set {ref.at}.service.port of {entrance.name} to {how or have}")],
        verify=(
            entrance.kubectl("describe", "ingress", entrance.ingress.name),
            backend.kubectl("get", "service", backend.name),
        ),
        short=f"svc/{backend.name} has no port {wanted}, only {have}",
    )
