"""The targetPort is a number that the pods do not seem to listen on.

Meaning: kube-proxy forwards to that port and the pod refuses the connection, although all pods are ready.

Told by: a number is used as it is, whether or not a container declares it, so an undeclared number proves nothing.
It is likely wrong when every selected pod declares and probes another port; the program's own log line, a failed
connection or a probe on that number make it certain or acquit it. Pods that declare no port prove nothing either
way; then only what the program says or was told counts. A program that says it listens on 127.0.0.1 is told too,
unless a probe reaches it from the node.

Fix: set targetPort to the port that the pods declare and probe.

Source: k8s.io/endpointslice utils.go FindPort; core/v1 Container.ports: "not specifying a port here DOES NOT
prevent that port from being exposed".
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix, Severity
from kubetriage.rules.service import pod_listeners
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.target_ports import target_fix
from kubetriage.values.fields import text

CODE = "TargetPortMismatch"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service port: a number as target, and where the program listens."""
    for backend in trace.services:
        if not backend.selector or backend.headless or not backend.pods:
            continue
        heard = pod_listeners.listening(trace, backend)
        for port in backend.ports:
            answered = {
                t.answered for t in pod_listeners.tried(trace, backend) if t.port == port and "through" in t.what
            }
            if answered == {True}:
                continue
            inside = _inside(trace, backend, port, heard)
            if inside is not None:
                yield _loopback(backend, port, inside)
            elif isinstance(port.target, int):
                yield from _judge(trace, backend, port, port.target, heard)


def _inside(
    trace: Trace, backend: Backend, port: eps.ServicePort, heard: tuple[pod_listeners.Heard, ...]
) -> pod_listeners.Heard | None:
    """Return what shows that the program listens on the pod's loopback address only."""
    numbers = pod_listeners.pod_numbers(backend, port)
    if any(pod_listeners.vouched(p, n) for p in backend.pods for n in numbers):
        return None
    here = [h for h in heard if h.port in numbers]
    # A flag with a bare port does not say on which address.
    outside = [h for h in here if not h.loopback and (h.host or h.evidence.source == "log")]
    loopback = next((h for h in here if h.loopback), None)
    if loopback is not None and not outside:
        return loopback
    refused = pod_listeners.on_loopback(trace, backend, port)
    if refused is not None and numbers:
        return pod_listeners.Heard("127.0.0.1", min(numbers), True, backend.pods[0].name, "", refused.evidence)
    return None


def _judge(
    trace: Trace, backend: Backend, port: eps.ServicePort, target: int, heard: tuple[pod_listeners.Heard, ...]
) -> Iterator[Fault]:
    refused = pod_listeners.refused(trace, backend, port)
    if refused is None and any(h.port == target and not h.loopback for h in heard):
        return
    declared = {p.name: [d for d in eps.declared_ports(p.raw) if d.kind != "init"] for p in backend.pods}
    probed = {p.name: {n for _, _, n in eps.probed_ports(p.raw)} for p in backend.pods}
    if any(d.number == target for ports in declared.values() for d in ports) or any(
        target in ports for ports in probed.values()
    ):
        if refused is not None:
            yield _fault(backend, port, None, refused, Severity.ERROR, observed=True)
        return
    first = backend.pods[0].name
    fitting = [d for d in declared[first] if d.protocol == port.protocol]
    others = {p.target for p in backend.ports if p is not port}
    free = [d for d in fitting if d.number not in others and d.name not in others]
    probed_free = [d for d in free if all(d.number in probed[p.name] for p in backend.pods)]
    everyone = all(
        any(d.number in probed[name] and d.protocol == port.protocol for d in ports) for name, ports in declared.items()
    )
    want = next(iter([*probed_free, *(free if len(free) == 1 else [])]), None)
    spoken = next((h for h in heard if want is not None and h.port == want.number and not h.loopback), None)
    alone = want is not None and all(len(ports) == 1 for ports in declared.values())
    if refused is not None:
        yield _fault(backend, port, want, refused, Severity.ERROR, observed=True)
    elif spoken is not None and alone:
        yield _fault(backend, port, want, spoken.evidence, Severity.ERROR, observed=False)
    elif everyone and probed_free and want is not None:
        probes = [f"{n} {probe}" for n, probe, number in eps.probed_ports(backend.pods[0].raw) if number == want.number]
        line = Evidence("spec", f"pod/{first} {probes[0] if probes else 'probe'} port", str(want.number))
        yield _fault(backend, port, want, line, Severity.ERROR, observed=False)
    elif all(declared.values()):
        # A port of its own that no other Service port uses, on every pod: a suspicion, not a verdict.
        line = Evidence("spec", f"pod/{first} spec.containers[].ports", ", ".join(map(str, declared[first])))
        severity = Severity.WARNING if alone else Severity.NOTE
        yield _fault(backend, port, want, line, severity, observed=False, possible=True)
    elif not any(declared.values()):
        # Nothing is declared, which is legal; what the program says or was told stands in for it.
        said = {h.port: h for h in heard if not h.loopback and h.port not in others}
        if len(said) == 1:
            ((number, told),) = said.items()
            # Of an argument it is not sure that it is the port to listen on; the program's own line says so.
            severity = Severity.WARNING if told.evidence.source == "spec" else Severity.ERROR
            meant = eps.DeclaredPort(told.container, "", port.protocol, number, "app")
            yield _fault(backend, port, meant, told.evidence, severity, observed=False, spoken=True)


def _fault(
    backend: Backend,
    port: eps.ServicePort,
    want: eps.DeclaredPort | None,
    line: Evidence,
    severity: Severity,
    *,
    observed: bool,
    possible: bool = False,
    spoken: bool = False,
) -> Fault:
    pod = backend.pods[0].name
    instead = f"; the pods declare {want}" + ("" if possible or observed else " and answer there") if want else ""
    if spoken and want is not None:
        instead = f"; the program is told to listen on {want.number}, or says so"
    start = "the pods refuse connections there" if observed else "no pod declares it"
    return fault(
        CODE,
        backend.port_place(port),
        f"Port {port.port} of svc/{backend.name} forwards to {port.target}/{port.protocol}: {start}{instead}.",
        severity=severity,
        proof="observed" if observed else "inferred",
        confidence=Confidence.POSSIBLE if possible else None,
        evidence=[
            Evidence("spec", f"service/{backend.name} spec.ports[{port.port}].targetPort", str(port.target)),
            line,
        ],
        fix=[target_fix(backend, port, want) if want else Fix("Set targetPort to where the program listens")],
        verify=(
            backend.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={backend.name}"),
            backend.kubectl("get", "pod", pod, "-o", "jsonpath={.spec.containers[*].ports}"),
        ),
        short=f"targetPort {port.target}: {start}{instead}",
        details={"nearest": str(want.name or want.number)} if want else {},
    )


def _everywhere(backend: Backend) -> str:
    """Return the address of all interfaces in the family of the pods' addresses."""
    six = any(":" in text(p.raw, "status", "podIP") for p in backend.pods)
    return "[::]" if six else "0.0.0.0"  # noqa: S104 - words of a fix, nothing binds to it


def _loopback(backend: Backend, port: eps.ServicePort, heard: pod_listeners.Heard) -> Fault:
    return fault(
        CODE,
        backend.port_place(port),
        f"The program behind svc/{backend.name} listens on {heard.host}:{heard.port} only; the Service connects to the "
        "pod's own address and is refused.",
        proof="inferred" if heard.evidence.source == "spec" else "observed",
        confidence=Confidence.LIKELY,
        evidence=[heard.evidence],
        fix=[Fix(f"Let the program listen on {_everywhere(backend)}:{heard.port} instead of {heard.host}")],
        verify=(backend.kubectl("logs", heard.pod) + (f" -c {heard.container}" if heard.container else ""),),
        short=f"listens on {heard.host}:{heard.port} only",
    )
