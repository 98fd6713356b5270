"""The mesh accepts only mutual TLS at these pods, and a client on the way has no mesh proxy.

Meaning: the client's plain connection is reset; an ingress controller outside the mesh answers 502 or 503.

Told by: the Istio PeerAuthentication in force for the pods (workload before namespace before mesh, a port's own mode
first) is STRICT, while the client or ingress controller pod carries no istio-proxy and is not in ambient mode, or a
load balancer outside the cluster connects to the pods. Also a DestinationRule that gives clients another TLS mode than
the pods take.

Fix: inject the client, or set the mode of that port to PERMISSIVE.

Source: Istio security.istio.io PeerAuthentication (mode UNSET inherits, default PERMISSIVE; portLevelMtls goes by
the workload's port).
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.access_logs import SIDECAR, addresses_of
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import clients
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.mesh_destinations import rules_for
from kubetriage.rules.service.mesh_policies import in_mesh, mode_in_force
from kubetriage.rules.service.outside_clients import outside_clients
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, name_of, namespace_of, text
from kubetriage.values.patterns import lazy

CODE = "MeshMTLSMismatch"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge every client on the way against the policy in force, and the rules of the mesh for the Service."""
    for backend in trace.services:
        pods = [p for p in backend.pods if in_mesh(p)]
        yield from _by_rule(backend, pods)
        plain = [_pod_client(p) for p in (*clients(trace), *trace.entrances) if not in_mesh(p)]
        plain += [_Plain(c.name, Evidence("spec", "client", c.name), None) for c in outside_clients(trace, backend)]
        if pods and not plain:
            yield from _logged(trace, backend, pods)
        if not pods or not plain:
            continue
        for port in backend.ports:
            number = eps.find_port(pods[0].raw, port.target, port.protocol)
            policy, mode = mode_in_force(backend, pods[0], number)
            if mode == "STRICT":
                yield _strict(backend, plain[0], policy)
                break


def _logged(trace: Trace, backend: Backend, pods: list[Pod]) -> Iterator[Fault]:
    """Tell of a client that is not known otherwise, and that the proxy refused since it came without mutual TLS."""
    for pod in pods:
        log = trace.snapshot.log(pod.namespace, pod.name, SIDECAR)
        lines = [x for x in log.text.splitlines() if _NO_CHAIN in x] if log.seen else []
        number = next((eps.find_port(pod.raw, p.target, p.protocol) for p in backend.ports), None)
        policy, mode = mode_in_force(backend, pod, number)
        if lines and mode == "STRICT":
            line = lines[-1].strip()[:400]
            proof = Evidence("log", f"pod/{pod.name} {SIDECAR}", line)
            ends = _ENDS.findall(line)
            address = ends[-1] if ends else ""
            known = next((p for p in trace.world.pods("") if address and address in addresses_of(p)), None)
            shown = (
                f"pod/{known.name} in namespace {known.namespace}" if known is not None else f"a client at {address}"
            )
            plain = _Plain(shown if address else "a client in its proxy's log", proof, known, logged=True)
            yield _strict(backend, plain, policy)
            return


_ENDS = lazy(r"(\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\]):\d{1,5}")
_NO_CHAIN = "filter_chain_not_found"
"""Envoy's word for a connection that no listener takes, here one without mutual TLS."""


@dataclass(frozen=True)
class _Plain:
    """A client outside the mesh."""

    name: str
    proof: Evidence
    pod: Pod | None
    """None: a load balancer outside the cluster, or a client that is not known."""
    logged: bool = False
    """The proxy's own log shows it."""


def _pod_client(pod: Pod) -> _Plain:
    proof = Evidence("spec", f"pod/{pod.name} spec.containers", "no istio-proxy")
    return _Plain(f"pod/{pod.name} in namespace {pod.namespace}", proof, pod)


def _strict(backend: Backend, plain: _Plain, policy: Obj) -> Fault:
    where = f"{namespace_of(policy)}/{name_of(policy)}"
    if plain.logged and plain.pod is None:
        fix = Fix(
            "Find the client by its address (kubectl get pods -A -o wide), and inject the proxy into it. Or "
            f"set the mode of that port to PERMISSIVE in peerauthentication {where}",
            actor=Actor.MANIFEST,
        )
    elif plain.pod is not None:
        fix = Fix(
            f"Inject the proxy into pod/{plain.pod.name}'s workload, or set the mode of that port to PERMISSIVE in "
            f"peerauthentication {where}",
            actor=Actor.MANIFEST,
        )
    else:
        fix = Fix(
            f"Let the load balancer reach an ingress gateway of the mesh instead of svc/{backend.name}: it can never "
            f"have a mesh identity. Or set the mode of that port to PERMISSIVE in peerauthentication {where}",
            actor=Actor.MANIFEST,
        )
    return fault(
        CODE,
        backend.mesh_place,
        f"PeerAuthentication {where} is STRICT for the pods of svc/{backend.name}, but {plain.name} is outside the "
        "mesh: its connections are reset.",
        proof="observed" if plain.logged else "inferred",
        confidence=Confidence.LIKELY,
        evidence=[Evidence("spec", f"peerauthentication {where} mtls.mode", "STRICT"), plain.proof],
        fix=[fix],
        verify=(kubectl("get", "peerauthentication", name_of(policy), "-o", "yaml", namespace=namespace_of(policy)),),
        short=f"mTLS STRICT ({where}), {plain.name} is outside the mesh",
    )


def _by_rule(backend: Backend, meshed: list[Pod]) -> Iterator[Fault]:
    """Judge the TLS mode that a DestinationRule gives the sidecars of clients."""
    if not backend.pods:
        return
    for rule in rules_for(backend):
        mode = text(rule, "spec", "trafficPolicy", "tls", "mode")
        shown = f"destinationrule/{name_of(rule)} in {namespace_of(rule)}"
        why = ""
        if mode in ("ISTIO_MUTUAL", "MUTUAL") and not meshed:
            why = f"its pods have no sidecar, and clients are told to use mutual TLS ({mode})"
            right = "Remove trafficPolicy.tls, or inject the proxy into the pods"
        elif mode in ("DISABLE", "SIMPLE") and meshed:
            port = backend.ports[0] if backend.ports else None
            number = eps.find_port(meshed[0].raw, port.target, port.protocol) if port is not None else None
            policy, wanted = mode_in_force(backend, meshed[0], number)
            if wanted == "STRICT":
                where = f"{namespace_of(policy)}/{name_of(policy)}"
                why = f"PeerAuthentication {where} is STRICT, and clients are told to send without mutual TLS ({mode})"
                right = "Remove trafficPolicy.tls, so that the mesh chooses mutual TLS by itself"
        if why:
            yield fault(
                CODE,
                backend.mesh_place,
                f"{shown} does not fit svc/{backend.name}: {why}. Clients in the mesh get 503.",
                proof="proven",
                evidence=[Evidence("spec", f"{shown} spec.trafficPolicy.tls.mode", mode)],
                fix=[Fix(f"{right} ({shown})", actor=Actor.MANIFEST)],
                verify=(kubectl("get", "destinationrule", name_of(rule), "-o", "yaml", namespace=namespace_of(rule)),),
                short=f"{shown}: tls mode {mode}",
            )
