"""What a port speaks that nothing tells the proxy: by its name and number, where each request was closed."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Fix
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.access_logs import Failure
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.service_endpoints import ServicePort, declared_ports, find_port
from kubetriage.values.commands import kubectl

_TLS_PORTS = ("443", "8443", "9443")


def _ports_meant(failure: Failure) -> Iterator[tuple[Backend, Pod, ServicePort, int]]:
    """Yield the Service ports that the request may have gone to: by the pod's port, else the only port there is."""
    hit, backends = failure.target, failure.way.backends
    if hit is None and len(backends) == 1 and backends[0].ready_pods and len(backends[0].ports) == 1:
        hit = backends[0], backends[0].ready_pods[0]
    for port in hit[0].ports if hit is not None else ():
        number = find_port(hit[1].raw, port.target, port.protocol) if hit is not None else None
        if hit is not None and number is not None and failure.port in ("", str(number)):
            yield *hit, port, number


def unspoken(failure: Failure) -> str:
    """Return the protocol that a port hints at where each request was closed and the Service does not tell it.

    A proxy that speaks HTTP/1.1 to a program of gRPC, or plain HTTP to one of TLS, gets a closed connection.
    """
    if failure.passed or failure.row["kind"] not in ("closed", "reset"):
        return ""
    for _, pod, port, number in _ports_meant(failure):
        if port.app_protocol:
            continue
        declared = " ".join(d.name for d in declared_ports(pod.raw) if d.number == number)
        hint = f"{port.name} {port.target} {declared}".lower()
        istio = failure.meshed and port.name.partition("-")[0] in ("grpc", "http2", "https", "tls")
        if any(w in hint for w in ("grpc", "h2c")) and not istio and failure.way.ref.kind != "GRPCRoute":
            return "kubernetes.io/h2c"
        if ("https" in hint or str(number) in _TLS_PORTS) and not istio:
            return "https"
    return ""


_NAME = "app.kubernetes.io/name"
_HAPROXY_TLS = {
    "kubernetes-ingress": "haproxy.org/server-ssl=true",
    "haproxy-ingress": "haproxy-ingress.github.io/secure-backends=true",
}
"""By the label of the controller's pods: the annotation that makes HAProxy speak TLS to a Service."""


def speak(failure: Failure, guess: str) -> Iterator[Fix]:
    """Say how the entrance learns what the port speaks."""
    found = next(_ports_meant(failure), None)
    if found is None:
        return
    backend, _, port, _ = found
    mark = next((m for label, m in _HAPROXY_TLS.items() if failure.proxy.labels.get(_NAME) == label), "")
    if mark and guess == "https":
        yield Fix(
            f"The port looks like TLS, and HAProxy speaks plain HTTP to it. Annotate svc/{backend.name} with {mark}",
            actor=Actor.MANIFEST,
            commands=(backend.kubectl("annotate", "service", backend.name, mark, "--overwrite"),),
        )
        return
    patch = {"spec": {"ports": [{"port": port.port, "appProtocol": guess}]}}
    what = "gRPC without TLS (HTTP/2)" if guess.endswith("h2c") else "TLS"
    other = ", or use a GRPCRoute" if guess.endswith("h2c") else "; Gateways need a BackendTLSPolicy too"
    yield Fix(
        f"The port looks like {what}, and the proxy was told nothing, so it speaks plain HTTP/1.1. Set appProtocol "
        f"{guess} on port {port.port} of svc/{backend.name}{other}",
        patch,
        backend.ref,
        Actor.MANIFEST,
    )
    yield look_at_log(failure, "Where the program speaks plain HTTP/1.1 there, read why it ends the connections")


def look_at_log(failure: Failure, words: str) -> Fix:
    """Point to the log of the program that the proxy connected to."""
    hit = failure.target
    command = (
        (kubectl("logs", hit[1].name, "--all-containers", "--tail=200", "--timestamps", namespace=hit[1].namespace),)
        if hit is not None
        else ()
    )
    return Fix(words, actor=Actor.APP, commands=command)
