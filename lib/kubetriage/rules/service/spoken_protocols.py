"""Whether the program behind a Service port speaks TLS, by its probes and log, and whether the entrance does to it."""

from __future__ import annotations

from kubetriage.model import Evidence
from kubetriage.readers.logs import listening
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_entrances import CustomEntrance
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.service_endpoints import ServicePort, find_port
from kubetriage.values.fields import dig, labels, mapping, number, objects, text
from kubetriage.values.patterns import lazy

NGINX_PROTOCOL = "nginx.ingress.kubernetes.io/backend-protocol"
_PASSTHROUGH = "nginx.ingress.kubernetes.io/ssl-passthrough"


@dataclass(frozen=True)
class Spoken:
    """What a program speaks on a port."""

    tls: bool
    evidence: Evidence


def spoken(backend: Backend, port: ServicePort) -> Spoken | None:
    """Return what a ready pod speaks on the port that a Service port leads to: its passing HTTP probe shows it."""
    for pod in backend.ready_pods[:1]:
        target = find_port(pod.raw, port.target, port.protocol)
        for container in objects(pod.raw, "spec", "containers"):
            for kind in ("readinessProbe", "livenessProbe"):
                probe = mapping(container, kind, "httpGet")
                if probe and target is not None and _probe_port(container, probe.get("port")) == target:
                    scheme = text(probe, "scheme") or "HTTP"
                    at = f"pod/{pod.name} {text(container, 'name')} {kind}"
                    return Spoken(
                        scheme.upper() == "HTTPS", Evidence("spec", at, f"{scheme} on port {target}, passing")
                    )
        if target is not None:
            return _by_log(backend, pod, target)
    return None


_GOT_TLS = lazy(r"(?:bad request|Bad request version|invalid (?:method|character)|malformed)[^\n]{0,80}\\x16\\x03[\\x]")
_GOT_PLAIN = lazy(
    r"TLS handshake error from \S+ (?:tls: )?(?:first record does not look like a TLS handshake)"
    r"|TLS handshake error from \S+ client sent an HTTP request to an HTTPS server"
    r"|client sent plain HTTP request to HTTPS port"
)


def _by_log(backend: Backend, pod: Pod, target: int) -> Spoken | None:
    """Return what a program says that it speaks on a port, or what it was surprised to read."""
    for container in pod.containers:
        log = backend.world.snapshot.log(pod.namespace, pod.name, container.name)
        if not log.seen or container.kind not in ("app", "sidecar"):
            continue
        at = f"pod/{pod.name} {container.name}"
        for line in reversed(log.text.splitlines()[-_LINES:]):
            for tls, pattern in ((True, _GOT_PLAIN), (False, _GOT_TLS)):
                if len(line) < 2000 and pattern.search(line):
                    return Spoken(tls, Evidence("log", at, line.strip()))
        for said in listening(log.text):
            scheme = "https" if "https://" in said.line else "http" if "http://" in said.line else ""
            if said.port == target and scheme and not said.loopback:
                return Spoken(scheme == "https", Evidence("log", at, said.line))
    return None


_LINES = 500


def _probe_port(container: object, port: object) -> int | None:
    if isinstance(port, int):
        return port
    named = (p for p in objects(container, "ports") if text(p, "name") == port)
    return next((number(p, "containerPort") for p in named), None)


@dataclass(frozen=True)
class Sent:
    """What an entrance speaks to its backends."""

    tls: bool
    field: str
    """Where it is set."""
    value: str
    right_tls: str
    """What to write there for a program that speaks TLS."""
    right_plain: str


def sent_by_ingress(entrance: Entrance) -> Sent | None:
    """Return what ingress-nginx speaks to the backends of an Ingress; None for other controllers."""
    known = entrance.known
    if known is None or known.controller != "k8s.io/ingress-nginx":
        return None
    marks = entrance.ingress.annotations
    if marks.get(_PASSTHROUGH) == "true":
        return None
    value = marks.get(NGINX_PROTOCOL, "HTTP")
    if value.upper() not in ("HTTP", "HTTPS"):
        return None
    field = f"annotation {NGINX_PROTOCOL}"
    return Sent(value.upper() == "HTTPS", field, marks.get(NGINX_PROTOCOL, "<none>"), "HTTPS", "HTTP")


def sent_by_custom(custom: CustomEntrance, service_port: ServicePort, at: str) -> Sent | None:
    """Return what OpenShift's router or Traefik speaks to a backend; None where it is not told."""
    if custom.kind == "Route":
        termination = text(custom.raw, "spec", "tls", "termination")
        tls = termination in ("passthrough", "reencrypt")
        return Sent(tls, "spec.tls.termination", termination or "<none>", "reencrypt or passthrough", "edge")
    if custom.is_traefik and custom.kind == "IngressRoute":
        entry = dig(custom.raw, *_steps(at))
        scheme = text(entry, "scheme")
        auto = service_port.port == 443 or service_port.name.startswith("https")
        return Sent(scheme == "https" or (not scheme and auto), f"{at}.scheme", scheme or "<none>", "https", "http")
    if custom.kind == "HTTPProxy":
        entry = dig(custom.raw, *_steps(at))
        protocol = text(entry, "protocol")
        service = custom.world.lookup("services", custom.namespace, text(entry, "name")).obj
        marks = labels(service, "metadata", "annotations")
        if protocol in ("h2", "h2c") or any(k.startswith("projectcontour.io/upstream-protocol") for k in marks):
            return None
        return Sent(protocol == "tls", f"{at}.protocol", protocol or "<none>", "tls", "http/1.1")
    return None


def _steps(at: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in at.replace("]", "").split("."):
        name, *indexes = part.split("[")
        steps += [name, *(int(i) for i in indexes)]
    return steps
