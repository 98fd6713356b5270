"""The container declares the port under another protocol than the Service.

Meaning: for a named targetPort the port resolves nowhere, so nothing is reachable; for a number the Service
forwards a protocol that the program probably does not speak.

Told by: protocol of ``spec.ports[]`` of the Service against that of the container's ``ports[]`` of the same name or
number. Told apart from a name that no container has at all (TargetPortNameNotFound).

Fix: give the Service port the protocol of the container port.

Source: k8s.io/endpointslice utils.go FindPort: name and protocol must both match.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix, Severity
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.target_ports import named_ports

CODE = "ProtocolMismatch"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service port."""
    for named in named_ports(trace):
        if named.other_protocol:
            severity = Severity.ERROR if named.everywhere else Severity.WARNING
            yield _fault(named.backend, named.port, named.other_protocol[0], severity, named=True)
    for backend in trace.services:
        for port in backend.ports:
            if not isinstance(port.target, int) or not backend.pods or backend.headless:
                continue
            declared = [d for p in backend.pods for d in eps.declared_ports(p.raw) if d.number == port.target]
            covered = any(d.protocol == port.protocol for d in declared)
            # One number under both protocols needs two Service ports; the other one may be this Service's, too.
            others = {(p.target, p.protocol) for p in backend.ports if p is not port}
            if declared and not covered and (port.target, declared[0].protocol) not in others:
                yield _fault(backend, port, declared[0], Severity.WARNING, named=False)


def _fault(
    backend: Backend, port: eps.ServicePort, declared: eps.DeclaredPort, severity: Severity, *, named: bool
) -> Fault:
    patch = {"spec": {"ports": [{"port": port.port, "protocol": declared.protocol}]}}
    return fault(
        CODE,
        backend.port_place(port),
        f"Port {port.port} of svc/{backend.name} is {port.protocol}, but container {declared.container} declares "
        f"{port.target} as {declared.protocol}.",
        severity=severity,
        proof="proven" if named else "inferred",
        evidence=[
            Evidence("spec", f"service/{backend.name} spec.ports[{port.port}].protocol", port.protocol),
            Evidence("spec", f"spec.containers[{declared.container}].ports", str(declared)),
        ],
        fix=(Fix(f"Make port {port.port} of svc/{backend.name} {declared.protocol}", patch, backend.ref),),
        verify=(f"{backend.command} get endpointslices -l kubernetes.io/service-name={backend.name}",),
        short=f"Service says {port.protocol}, container {declared.container} says {declared.protocol}",
    )
