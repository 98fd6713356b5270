"""The mesh accepts only mutual TLS at these pods, and a client on the way has no mesh proxy.

Meaning: the client's plain connection is reset; an ingress controller outside the mesh answers 502 or 503.

Told by: the Istio PeerAuthentication in force for the pods (workload before namespace before mesh, a port's own mode
first) is STRICT, while the client or ingress controller pod carries no istio-proxy and is not in ambient mode.

Fix: inject the client, or set the mode of that port to PERMISSIVE.

Source: Istio security.istio.io PeerAuthentication (mode UNSET inherits, default PERMISSIVE; portLevelMtls goes by
the workload's port).
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import clients
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.mesh_policies import in_mesh, mode_in_force
from kubetriage.values.fields import name_of, namespace_of

CODE = "MeshMTLSMismatch"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge every client on the way against the policy in force."""
    for backend in trace.services:
        pods = [p for p in backend.pods if in_mesh(p)]
        plain = [p for p in (*clients(trace), *trace.entrances) if not in_mesh(p)]
        if not pods or not plain:
            continue
        for port in backend.ports:
            number = eps.find_port(pods[0].raw, port.target, port.protocol)
            policy, mode = mode_in_force(backend, pods[0], number)
            if mode == "STRICT":
                where = f"{namespace_of(policy)}/{name_of(policy)}"
                yield fault(
                    CODE,
                    backend.mesh_place,
                    f"PeerAuthentication {where} is STRICT for the pods of svc/{backend.name}, but pod/{plain[0].name} "
                    f"in namespace {plain[0].namespace} is outside the mesh: its connections are reset.",
                    proof="inferred",
                    confidence=Confidence.LIKELY,
                    evidence=[
                        Evidence("spec", f"peerauthentication {where} mtls.mode", mode),
                        Evidence("spec", f"pod/{plain[0].name} spec.containers", "no istio-proxy"),
                    ],
                    fix=[
                        Fix(
                            f"Inject the proxy into pod/{plain[0].name}'s workload, or set the mode of that port to "
                            f"PERMISSIVE in peerauthentication {where}"
                        )
                    ],
                    verify=(f"kubectl -n {namespace_of(policy)} get peerauthentication {name_of(policy)} -o yaml",),
                    short=f"mTLS STRICT ({where}), pod/{plain[0].name} is outside the mesh",
                )
                break
