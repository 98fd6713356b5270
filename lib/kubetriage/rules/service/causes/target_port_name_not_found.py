"""The named targetPort is declared by no container of the selected pods.

Meaning: the pods are listed as endpoints, but without this port: "ready endpoints" exist and nothing is reachable.
When only some pods lack the name (a rollout that renamed it), the others serve.

Told by: the name and protocol of ``spec.ports[].targetPort`` against ``ports[]`` of each pod's containers and
native sidecars, as the endpoint slice controller resolves them; plain init containers do not count. Told apart from
the same name under another protocol (ProtocolMismatch).

Fix: use the name that the container declares, or its number, or name the container's port so.

Source: k8s.io/endpointslice utils.go FindPort and getEndpointPorts: an unresolved port is dropped, the endpoint
stays.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.rules.service.target_ports import NamedPort, common_number, named_ports, target_fix

CODE = "TargetPortNameNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service port with a named target."""
    for named in named_ports(trace):
        if named.other_protocol:
            continue
        backend, port, pods = named.backend, named.port, named.without
        declared = ", ".join(f"{d.container} {d}" for d in named.declared) or "no port"
        near = named.nearest
        lacking = "none of the pods" if named.everywhere else f"{len(pods)} of {plural(len(backend.pods), 'pod')}"
        verb = "has" if named.everywhere else "do not have"
        yield fault(
            CODE,
            backend.port_place(port),
            f"Port {port.port} of svc/{backend.name} leads to the port named {port.target}/{port.protocol}, which "
            f"{lacking} {verb}; {pods[0].name} declares {declared}.",
            severity=Severity.ERROR if named.everywhere else Severity.WARNING,
            evidence=[
                Evidence("spec", f"service/{backend.name} spec.ports[{port.port}].targetPort", str(port.target)),
                Evidence("spec", f"pod/{pods[0].name} spec.containers[].ports", declared),
            ],
            fix=[_fix(named)],
            verify=(backend.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={backend.name}"),),
            short=f"targetPort {port.target} is in {lacking}" if named.everywhere else f"{lacking} lack {port.target}",
            details={"nearest": str(near.name or near.number)} if near else {},
        )


def _fix(named: NamedPort) -> Fix:
    backend, port, near = named.backend, named.port, named.nearest
    if str(port.target).isdigit():
        patch = {"spec": {"ports": [{"port": port.port, "protocol": port.protocol, "targetPort": int(port.target)}]}}
        words = (
            f"Write targetPort of port {port.port} of svc/{backend.name} as a number, without quotes: a quoted "
            f"{port.target} is the name of a port"
        )
        return Fix(words, patch, backend.ref)
    if near is not None and named.everywhere:
        return target_fix(backend, port, near)
    if (number := common_number(named)) is not None:
        # Another name would cut off the pods that have this one.
        patch = {"spec": {"ports": [{"port": port.port, "targetPort": number}]}}
        words = f"Set targetPort of port {port.port} of svc/{backend.name} to {number}, the number in all its pods"
        return Fix(words, patch, backend.ref)
    return Fix(f"Name the container's port {port.target} ({port.protocol}), or set targetPort to its number")
