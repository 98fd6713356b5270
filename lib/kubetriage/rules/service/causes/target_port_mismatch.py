"""The targetPort is a number that the pods do not seem to listen on.

Meaning: kube-proxy forwards to that port and the pod refuses the connection, although all pods are ready.

Told by: a number is used as it is, whether or not a container declares it, so an undeclared number proves nothing.
It is likely wrong when every selected pod declares and probes another port; the program's own log line, a failed
connection or a probe on that number make it certain or acquit it. Pods that declare no port prove nothing either
way; then only what the program says or was told counts. A program that says it listens on 127.0.0.1 is told too,
unless a probe reaches it from the node; so is one that listens on 0.0.0.0 where the pods have addresses of IPv6 alone.

Fix: set targetPort to the port that the pods declare and probe.

Source: k8s.io/endpointslice utils.go FindPort; core/v1 Container.ports: "not specifying a port here DOES NOT
prevent that port from being exposed".
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
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
        if backend.headless and trace.options.symptom in ("refused", "timeout"):
            yield from _untranslated(trace, backend)
        if not backend.selector or backend.headless or not backend.pods:
            continue
        heard = pod_listeners.listening(trace, backend)
        for port in backend.ports:
            answered = {
                t.answered for t in pod_listeners.tried(trace, backend) if t.port == port and "through" in t.what
            }
            if answered == {True}:
                continue
            inside = pod_listeners.loopback_only(trace, backend, port)
            if inside is not None:
                yield _loopback(trace, backend, port, inside)
            elif isinstance(port.target, int):
                yield from _judge(trace, backend, port, port.target, heard)


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
        fix=[target_fix(backend, port, want)] if want else _looks(backend, port),
        verify=(
            backend.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={backend.name}"),
            backend.kubectl("get", "pod", pod, "-o", "jsonpath={.spec.containers[*].ports}"),
        ),
        short=f"targetPort {port.target}: {start}{instead}",
        details={"nearest": str(want.name or want.number)} if want else {},
    )


def _untranslated(trace: Trace, backend: Backend) -> Iterator[Fault]:
    """Tell of a headless Service with a port of its own: clients reach the pods themselves, where only theirs is."""
    for port in backend.ports:
        numbers = pod_listeners.pod_numbers(backend, port)
        if len(numbers) != 1 or port.port in numbers or trace.target.kind not in ("Service", "Pod"):
            continue
        (number,) = numbers
        patch = {"spec": {"ports": [{"port": number, "protocol": port.protocol, "targetPort": port.target}]}}
        yield fault(
            CODE,
            backend.port_place(port),
            f"svc/{backend.name} is headless (clusterIP: None), so its name leads to the pods themselves and nothing "
            f"translates port {port.port}: the pods listen on {number}. Clients that connect to {port.port} are "
            "refused.",
            proof="inferred",
            confidence=Confidence.LIKELY,
            evidence=[
                Evidence("spec", f"service/{backend.name} spec.clusterIP", "None"),
                Evidence("spec", f"service/{backend.name} spec.ports[{port.port}].targetPort", str(port.target)),
            ],
            fix=[
                Fix(f"Let clients connect to port {number}, and give the Service that number too", patch, backend.ref),
                Fix(
                    f"Or make a second Service with the same selector and a cluster IP, which translates {port.port} "
                    f"to {number}: spec.clusterIP of svc/{backend.name} cannot be changed",
                    actor=Actor.MANIFEST,
                ),
            ],
            verify=(backend.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={backend.name}"),),
            short=f"headless: port {port.port} is not translated to {number}",
        )


def _looks(backend: Backend, port: eps.ServicePort) -> list[Fix]:
    """Say how to find where the program listens, and what follows from each answer."""
    pod = backend.pods[0].name
    return [
        Fix(
            "See where the program listens: its first lines, or the sockets in state 0A (port in hex; 0100007F is "
            f"127.0.0.1). On 127.0.0.1 or localhost: let it listen on {_everywhere(backend)}:{port.target}. On another "
            f"port: set targetPort of svc/{backend.name} to that",
            actor=Actor.APP,
            commands=(
                backend.kubectl("logs", pod, "--limit-bytes=4000"),
                backend.kubectl("exec", pod, "--", "cat", "/proc/net/tcp", "/proc/net/tcp6"),
            ),
        )
    ]


def _everywhere(backend: Backend) -> str:
    """Return the address of all interfaces in the family of the pods' addresses."""
    six = any(":" in text(p.raw, "status", "podIP") for p in backend.pods)
    return "[::]" if six else "0.0.0.0"  # noqa: S104 - words of a fix, nothing binds to it


def _loopback(trace: Trace, backend: Backend, port: eps.ServicePort, heard: pod_listeners.Heard) -> Fault:
    tried = pod_listeners.refused(trace, backend, port)
    refused = tried if tried != heard.evidence else None
    host = heard.host if heard.loopback else "0.0.0.0"  # noqa: S104 - words, nothing binds to it
    why = (
        "the Service connects to the pod's own address and is refused"
        if heard.loopback
        else "which is IPv4, and the pods have addresses of IPv6 alone, so connections are refused"
    )
    only = " only; " if heard.loopback else ", "
    return fault(
        CODE,
        backend.port_place(port),
        f"The program behind svc/{backend.name} listens on {host}:{heard.port}{only}{why}.",
        proof="inferred" if heard.evidence.source == "spec" and refused is None else "observed",
        confidence=Confidence.LIKELY if refused is None else Confidence.CONFIRMED,
        evidence=[heard.evidence, *([refused] if refused is not None else [])],
        fix=[
            Fix(
                f"Let the program listen on {_everywhere(backend)}:{heard.port} instead of {host} (its option or "
                "variable for the host: --host, --bind, HOST)",
                actor=Actor.APP,
            )
        ],
        verify=(backend.kubectl("logs", heard.pod) + (f" -c {heard.container}" if heard.container else ""),),
        short=f"listens on {host}:{heard.port}" + (" only" if heard.loopback else ", pods have IPv6 only"),
    )
