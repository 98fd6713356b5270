"""An Ingress or Route leads to a Service that does not exist.

Meaning: requests for that host and path get 503 (ingress controllers) or 500 (Gateways), whatever runs behind.

Told by: the backend's Service name against the Services of its namespace; an Ingress can only use Services of its
own namespace. A Service of nearly that name, or of that name elsewhere, is offered. Not told when Services may not
be read.

Fix: name the right Service in the backend, or create it in the Ingress's namespace.

Source: networking.k8s.io/v1 IngressServiceBackend.name; Gateway API ResolvedRefs reason BackendNotFound.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend, Place
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.gateway_routes import Path, controller_says
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.services_alike import meant_service, namesake_spaces
from kubetriage.values.fields import name_of, text
from kubetriage.values.nearest import nearest

CODE = "BackendServiceNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the backends of each Ingress and Route."""
    for entrance in trace.ingresses:
        seen = set()
        for path in entrance.paths:
            backend = entrance.backend(path)
            if backend is None or not backend.lookup.absent or backend.name in seen:
                continue
            seen.add(backend.name)
            served = f"{path.host or '*'}{path.path}" if path.kind != "Default" else "the default backend"
            yield _fault(backend, entrance.place, entrance.name, f"{path.backend.at}.service.name", f"sends {served}")
    for custom in trace.customs:
        yield from _custom(custom)
    for route in trace.routes:
        for ref in route.backends:
            if not ref.is_service:
                continue
            backend = trace.world.backend(ref.namespace, ref.name)
            if not backend.lookup.absent:
                if backend.lookup.unseen:
                    yield from _controllers_word(route, backend)
                continue
            # A weight of 0 takes no requests: a backend that is prepared, or taken out.
            severity = Severity.ERROR if ref.weight else Severity.WARNING
            yield _fault(backend, route.place, route.shown, f"{ref.at}.name", "sends", severity)


def _custom(custom: CustomEntrance) -> Iterator[Fault]:
    """Judge the Services of a custom kind; a VirtualService names hosts, which MeshRouteInvalid judges."""
    if not custom.judged or custom.kind == "VirtualService":
        return
    seen = set()
    for ref, backend in custom.backends:
        if backend.lookup.absent and backend.name not in seen:
            seen.add(backend.name)
            severity = Severity.ERROR if ref.weight else Severity.WARNING
            yield _fault(backend, custom.place, custom.shown, f"{ref.at}.name", "sends", severity)


def _fault(
    backend: Backend, place: Place, who: str, field: str, sends: str, severity: Severity = Severity.ERROR
) -> Fault:
    """Say that the Service which ``field`` of an Ingress or Route names is not there."""
    here = [name_of(s) for s in backend.world.listing("services", backend.namespace).items]
    near = nearest(backend.name, here)
    missing = f"Create Service {backend.name} in namespace {backend.namespace}, or name another backend"
    spaces = [] if near else namesake_spaces(backend)
    fixes = [Fix(f"Set {field} of {who} to {near}" if near else missing, actor=Actor.MANIFEST)]
    if spaces:
        fixes = list(_across(backend, who, spaces[0]))
    return fault(
        CODE,
        place,
        f"{who} {sends} to svc/{backend.name}, which does not exist in namespace {backend.namespace}."
        f"{meant_service(backend, by_dns=False)}",
        severity=severity,
        confidence=Confidence.LIKELY if backend.lookup.presumed and not here else Confidence.CONFIRMED,
        evidence=[
            Evidence("spec", f"{who} {field}", backend.name),
            Evidence("status", f"services in {backend.namespace}", ", ".join(sorted(here)[:6]) or "<none>"),
        ],
        fix=fixes,
        verify=(backend.kubectl("get", "services"),),
        short=f"backend svc/{backend.name} does not exist" + (f"; nearest: svc/{near}" if near else ""),
        details={"nearest": near} if near else {},
    )


def _across(backend: Backend, who: str, space: str) -> Iterator[Fix]:
    """Say how a Service of another namespace is reached: the objects that name it cannot name a namespace."""
    kind = who.partition("/")[0]
    if kind in ("httproute", "grpcroute", "tlsroute", "tcproute", "udproute"):
        yield Fix(
            f"Set namespace: {space} in that backendRef of {who}, and create a ReferenceGrant in namespace {space}",
            actor=Actor.MANIFEST,
        )
        return
    yield Fix(
        f"Move {who} to namespace {space}, where svc/{backend.name} is: it can use Services of its own namespace only. "
        "Its TLS Secrets have to go with it",
        actor=Actor.MANIFEST,
    )
    target = f"{backend.name}.{space}.svc.cluster.local"
    ports = next((b.ports for b in (backend.world.backend(space, backend.name),) if b.lookup.found and b.ports), ())
    lines = "".join(f"  - port: {p.port}\n" + (f"    name: {p.name}\n" if p.name else "") for p in ports)
    yield Fix(
        f"Or create an ExternalName Service {backend.name} in namespace {backend.namespace} that leads to {target}. "
        "Some controllers refuse ExternalName backends",
        actor=Actor.MANIFEST,
        yaml=f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {backend.name}\n  namespace: {backend.namespace}\n"
        f"spec:\n  type: ExternalName\n  externalName: {target}\n" + (f"  ports:\n{lines}" if lines else ""),
    )


def _controllers_word(route: Path, backend: Backend) -> Iterator[Fault]:
    """Take the controller's word where Services may not be read."""
    for parent, _ in route.parents:
        said = controller_says(route.route.parent_status(parent), "ResolvedRefs")
        if text(said, "status") == "False" and text(said, "reason") == "BackendNotFound":
            message = text(said, "message") or "a backend was not found"
            yield fault(
                CODE,
                route.place,
                f"The controller cannot find a backend of {route.shown}: {message}.",
                evidence=[Evidence("status", f"{route.shown} status.parents[{parent.name}] ResolvedRefs", message)],
                fix=[Fix(f"Name existing Services in the backendRefs of {route.shown}")],
                verify=(backend.kubectl("get", "services"),),
                short=f"the controller says BackendNotFound: {message}",
            )
            return
