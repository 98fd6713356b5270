"""Where the programs behind a Service listen, as far as that shows without a command inside the container.

Evidence in falling order: a connection that was tried (``--probe``), the program's own start-up line, and the
arguments and environment that it was started with.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence
from kubetriage.needs import Dial, Raw
from kubetriage.readers import logs
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.request_errors import request_errors
from kubetriage.rules.service.service_endpoints import ServicePort, find_port, probed_ports
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy

_ARGUMENT = lazy(
    # The usual flags of servers, with an address or a bare port: --port 8080, -p 8080, --listen=:8080,
    # --bind 0.0.0.0:8000, --server.port=8081 (Spring), --http-port 8080.
    r"(?:^|\s)--?(?:p|port|http[-_.]port|listen(?:[-_.]address|[-_.]addr)?|bind|addr(?:ess)?|server\.port)[=\s]+"
    r"(?:(?P<host>\[[0-9a-fA-F:]+\]|[\w.*-]*):)?(?P<port>\d{2,5})(?![\w.:])"
)
_PORT_VARIABLES = ("PORT", "HTTP_PORT", "SERVER_PORT", "LISTEN_PORT")
"""Environment variables that frameworks and platforms take the listening port from."""


@dataclass(frozen=True)
class Heard:
    """A place where a program says that it listens."""

    host: str
    """``*`` or empty: as far as the line tells, every address of the pod."""
    port: int
    loopback: bool
    """Nothing from outside the pod can connect."""
    pod: str
    container: str
    evidence: Evidence


def listening(trace: Trace, backend: Backend) -> tuple[Heard, ...]:
    """Return where the programs of the selected pods say, or are told, to listen; logs as far as they were read."""
    found: list[Heard] = []
    for pod in backend.pods:
        for container in pod.containers:
            log = trace.snapshot.log(pod.namespace, pod.name, container.name)
            if container.kind not in ("app", "sidecar"):
                continue
            found.extend(_configured(pod, container))
            if log.seen:
                for said in logs.listening(log.text):
                    line = Evidence("log", container.name, said.line)
                    found.append(Heard(said.host, said.port, said.loopback, pod.name, container.name, line))
    return tuple(found)


def _configured(pod: Pod, container: Container) -> Iterator[Heard]:
    words = " ".join(texts(container.spec, "command") + texts(container.spec, "args"))
    for match in _ARGUMENT.finditer(words[:4000]):
        host = (match["host"] or "").strip("[]")
        line = container.fact("spec", "args", match[0].strip())
        loopback = host in ("localhost", "::1") or host.startswith("127.")
        yield Heard(host, int(match["port"]), loopback, pod.name, container.name, line)
    for name, value in container.environment().items():
        if name in _PORT_VARIABLES and value.isdigit() and 0 < int(value) < 65536:
            line = container.fact("spec", f"env[{name}]", value)
            yield Heard("", int(value), False, pod.name, container.name, line)


@dataclass(frozen=True)
class Tried:
    """One connection of ``--probe``."""

    what: str
    port: ServicePort
    answered: bool
    said: str
    """The answer or the error, in the server's words."""

    @property
    def refused(self) -> bool:
        """Nothing listens there."""
        return not self.answered and "refused" in self.said

    @property
    def evidence(self) -> Evidence:
        """Quote it."""
        return Evidence("status", self.what, self.said)


def tried(trace: Trace, backend: Backend) -> Iterator[Tried]:
    """Yield the connections that ``--probe`` made, each pod port first, then the same through the Service."""
    snapshot = trace.snapshot
    for port in backend.ports:
        for pod in backend.ready_pods[:1]:
            number = find_port(pod.raw, port.target, port.protocol)
            dial = Dial(pod.namespace, pod.name, number or 0)
            body, failure = snapshot.dialled(dial), snapshot.failure(dial)
            what = f"port-forward to pod/{pod.name} port {number}"
            if body is not None:
                yield Tried(what, port, True, "connected")
            elif failure is not None:
                yield Tried(what, port, False, str(failure))
        path = service_proxy(backend, port)
        body, failure = snapshot.body(path), snapshot.failure(Raw(path))
        what = f"GET through svc/{backend.name}:{port.port}"
        if body is not None:
            # The API server says 503 and why in a Status when it cannot reach the pod; a program may say 503 too.
            unreached = body.status in (502, 503) and ("dial tcp" in body.text or "no endpoints" in body.text)
            yield Tried(what, port, not unreached, f"{body.status} {body.text.strip()[:200]}".strip())
        elif failure is not None:
            # Any HTTP status but those is the program's own answer.
            own = failure.status not in (0, 502, 503)
            yield Tried(what, port, own, f"{failure.status or ''} {failure}".strip())


def service_proxy(backend: Backend, port: ServicePort) -> str:
    """Return the API server's path that sends a GET through a Service port."""
    secure = port.app_protocol == "https" or port.name.startswith("https") or port.port == 443
    name = f"{'https:' if secure else ''}{backend.name}:{port.port}"
    return f"/api/v1/namespaces/{backend.namespace}/services/{name}/proxy/"


def refused(trace: Trace, backend: Backend, port: ServicePort) -> Evidence | None:
    """Return the proof that nothing listens on the pod port of a Service port; None when there is none.

    That is a refused connection of ``--probe``, or one in the log of an ingress controller to a pod that is ready now.
    """
    known = [t for t in tried(trace, backend) if t.port == port]
    failed = next((t for t in known if t.refused), None)
    if failed is not None:
        return failed.evidence
    if any(t.answered for t in known):
        return None
    here = {(text(p.raw, "status", "podIP"), n) for p in backend.ready_pods for n in pod_numbers(backend, port)}
    logged = (e for e in request_errors(trace, "refused") if e.upstream in here)
    return next((e.evidence for e in logged), None)


def pod_numbers(backend: Backend, port: ServicePort) -> frozenset[int]:
    """Return the pod ports that a Service port leads to, over all selected pods."""
    found = (find_port(p.raw, port.target, port.protocol) for p in backend.pods)
    return frozenset(n for n in found if n is not None)


def vouched(pod: Pod, number: int) -> bool:
    """Tell whether a ready pod passes a probe on a port: the kubelet connects to the pod's own address, too."""
    return pod.ready and any(n == number for _, _, n in probed_ports(pod.raw))


def on_loopback(trace: Trace, backend: Backend, port: ServicePort) -> Tried | None:
    """Return the refusal through the Service where the same port answers inside the pod.

    A port-forward connects to the pod's loopback address, the Service to its own address.
    """
    known = [t for t in tried(trace, backend) if t.port == port]
    inside = any(t.answered and t.what.startswith("port-forward") for t in known)
    return next((t for t in known if inside and t.refused), None)


def loopback_only(trace: Trace, backend: Backend, port: ServicePort) -> Heard | None:
    """Return what shows that the program listens where the Service does not connect: on the pod's loopback address.

    Or on IPv4 only, where the pod has addresses of IPv6 alone.
    """
    numbers = pod_numbers(backend, port)
    if any(vouched(p, n) for p in backend.pods for n in numbers):
        return None
    here = [h for h in listening(trace, backend) if h.port in numbers]
    # A flag with a bare port does not say on which address.
    outside = [h for h in here if not h.loopback and (h.host or h.evidence.source == "log")]
    loopback = next((h for h in here if h.loopback), None)
    if loopback is not None and not outside:
        return loopback
    other = next((h for h in here if _other_family(backend, h)), None)
    if other is not None and all(_other_family(backend, h) or h.loopback for h in outside):
        return other
    refused_outside = on_loopback(trace, backend, port)
    if refused_outside is not None and numbers:
        return Heard("127.0.0.1", min(numbers), True, backend.pods[0].name, "", refused_outside.evidence)
    return None


def _other_family(backend: Backend, heard: Heard) -> bool:
    """Tell whether a program names the IPv4 address of all interfaces, and no pod has an address of IPv4."""
    addresses = [text(a, "ip") for p in backend.pods for a in objects(p.raw, "status", "podIPs")]
    addresses += [text(p.raw, "status", "podIP") for p in backend.pods]
    known = [a for a in addresses if a]
    words = heard.evidence.value
    return bool(known) and all(":" in a for a in known) and f"0.0.0.0:{heard.port}" in words and "::" not in words
