"""The port is spoken to in another protocol than the program's: TCP for UDP, plain HTTP for TLS, or the reverse.

Meaning: for a named targetPort the port resolves nowhere, so nothing is reachable; for a number the Service
forwards a protocol that the program probably does not speak.

Told by: protocol of ``spec.ports[]`` of the Service against that of the container's ``ports[]`` of the same name or
number. Told apart from a name that no container has at all (TargetPortNameNotFound).

An entrance that speaks TLS (or not) to a port whose passing HTTP probe shows the opposite is told too: the annotation
backend-protocol of ingress-nginx, the termination of an OpenShift Route, the scheme of an IngressRoute. So is one that
speaks plain HTTP to a program that redirects every plain request to HTTPS (Argo CD's server without --insecure): the
browser comes back to the entrance and is sent round again. And a load balancer that ends TLS before ingress-nginx and
sends plain HTTP to its TLS port (400), or to its plain port, which redirects it (a circle again).

Fix: give the Service port the protocol of the container port.

Source: k8s.io/endpointslice utils.go FindPort: name and protocol must both match.
"""

import json
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.access_logs import failures
from kubetriage.rules.service.balancer_tls import EndedTLS, ended_tls
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_entrances import port_of
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.linkerd_policies import PROXY as LINKERD
from kubetriage.rules.service.proxy_faults import proxy_fault
from kubetriage.rules.service.redirecting_programs import Redirecting, redirecting
from kubetriage.rules.service.request_errors import RequestError, plain_to_tls_port, request_errors
from kubetriage.rules.service.spoken_protocols import NGINX_PROTOCOL, Sent, sent_by_custom, sent_by_ingress, spoken
from kubetriage.rules.service.target_ports import named_ports
from kubetriage.rules.service.unspoken_protocols import unspoken
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import labels

CODE = "ProtocolMismatch"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each Service port, and what entrances speak to it."""
    found = [*_tls_sides(trace), *(_ended(e) for i in trace.ingresses if (e := ended_tls(trace, i)) is not None)]
    yield from found
    if not found:
        yield from _told_by_log(trace)
        yield from _asked_in_http2(trace)
        yield from (proxy_fault(trace, CODE, f) for f in failures(trace, "plain-wanted", "other-protocol"))
        yield from (proxy_fault(trace, CODE, f) for f in failures(trace, "closed", "reset") if unspoken(f))
    yield from _undetected(trace)
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


def _tls_sides(trace: Trace) -> Iterator[Fault]:
    """Tell of an entrance that speaks TLS to a program that does not, or plain HTTP to one that speaks TLS."""
    for entrance in trace.ingresses:
        sent = sent_by_ingress(entrance)
        for path in entrance.paths if sent is not None else ():
            backend = entrance.backend(path)
            port = path.backend.find(backend.ports) if backend is not None else None
            if sent is not None and backend is not None and port is not None:
                found = _sides(backend, port, entrance.name, sent, entrance)
                if found is not None:
                    yield found
                    break
    for custom in trace.customs:
        for named, backend in custom.backends:
            port = port_of(named, backend)
            sent = sent_by_custom(custom, port, named.at) if port is not None else None
            found = _sides(backend, port, custom.shown, sent) if port is not None and sent is not None else None
            if found is not None:
                yield found
                break


def _ended(ended: EndedTLS) -> Fault:
    """Tell of TLS that a load balancer ended, at a port of the controller that does not fit what it then sends."""
    entrance, service, port = ended.entrance, ended.service, ended.port
    plain = next((p for p in service.ports if p is not port and str(p.target) != str(port.target)), None)
    if ended.circle:
        words = (
            f"It arrives at the plain port {ended.target} of the controller, which redirects it to HTTPS: the browser "
            "goes round in redirects"
        )
        fixes = [
            Fix(
                f"Leave the redirect to the load balancer, and switch it off in {entrance.name}. Or, where the load "
                "balancer writes X-Forwarded-Proto, set use-forwarded-headers: true in the controller's ConfigMap",
                actor=Actor.MANIFEST,
                commands=(
                    kubectl(
                        "annotate",
                        "ingress",
                        entrance.ingress.name,
                        "nginx.ingress.kubernetes.io/ssl-redirect=false",
                        "nginx.ingress.kubernetes.io/force-ssl-redirect=false",
                        "--overwrite",
                        namespace=entrance.ingress.namespace,
                    ),
                ),
            )
        ]
    else:
        words = f"It sends plain HTTP to the TLS port {ended.target} of the controller, which answers 400"
        target = plain.target if plain is not None else "http"
        patch = {"spec": {"ports": [{"port": port.port, "targetPort": target}]}}
        fixes = [
            Fix(
                f"Send port {port.port} of svc/{service.name} to the controller's plain port",
                patch,
                service.ref,
                Actor.MANIFEST,
            ),
            Fix(
                "Or let the load balancer pass TLS through: take the certificate's annotation off the Service",
                actor=Actor.MANIFEST,
            ),
        ]
    return fault(
        CODE,
        entrance.place,
        f"The load balancer of svc/{service.name} in {service.namespace} ends TLS on port {port.port} itself "
        f"({ended.name}). {words}.",
        proof="inferred",
        about=entrance.ref,
        evidence=ended.evidence,
        fix=fixes,
        verify=(service.kubectl("get", "service", service.name, "-o", "yaml"),),
        short=f"TLS ends at the load balancer, port {port.port} leads to port {ended.target} of the controller",
    )


_DETECTION = "protocol detection timed out"
_OPAQUE = "config.linkerd.io/opaque-ports"


def _undetected(trace: Trace) -> Iterator[Fault]:
    """Tell of connections that Linkerd holds back for ten seconds, since neither side says first what it speaks."""
    for backend in trace.services:
        found = next((hit for pod in backend.pods if (hit := _held_back(trace, backend, pod)) is not None), None)
        if found is None:
            continue
        pod, port, number, line = found
        owner = backend.workload(pod)
        yield fault(
            CODE,
            backend.port_place(port),
            f"Linkerd waits 10 s on each connection to port {number} of svc/{backend.name} for the client to say what "
            "it speaks, and then passes it on as it is: the server speaks first there, or the client is silent for "
            "long.",
            severity=Severity.WARNING,
            proof="observed",
            evidence=[Evidence("log", f"pod/{pod.name} {LINKERD}", line)],
            fix=[
                Fix(
                    f"Mark the port opaque on svc/{backend.name}, and in the pod template of "
                    f"{owner.kind.lower()}/{owner.name}; pods that are made anew take it",
                    actor=Actor.MANIFEST,
                    commands=(
                        backend.kubectl("annotate", "service", backend.name, f"{_OPAQUE}={number}", "--overwrite"),
                    ),
                )
            ],
            verify=(backend.kubectl("logs", pod.name, "-c", LINKERD, "--since=5m"),),
            short=f"Linkerd cannot tell the protocol on port {number}",
        )


def _held_back(trace: Trace, backend: Backend, pod: Pod) -> tuple[Pod, eps.ServicePort, int, str] | None:
    """Return the port of a pod on which its proxy waited in vain, with the newest line that says so."""
    log = trace.snapshot.log(pod.namespace, pod.name, LINKERD)
    lines = [x.strip() for x in log.text.splitlines() if _DETECTION in x] if log.seen else []
    marks = {**labels(backend.service, "metadata", "annotations"), **labels(pod.raw, "metadata", "annotations")}
    for port in backend.ports if lines else ():
        number = eps.find_port(pod.raw, port.target, port.protocol)
        told = f"port={number}}}" in lines[-1] or ("port=" not in lines[-1] and len(backend.ports) == 1)
        if number is not None and told and str(number) not in marks.get(_OPAQUE, "").split(","):
            return pod, port, number, lines[-1]
    return None


def _asked_in_http2(trace: Trace) -> Iterator[Fault]:
    """Tell of a controller that asks in HTTP/2 (gRPC) a program that answers in HTTP/1.1."""
    for error in request_errors(trace, "http1-wanted"):
        marks, hit = error.entrance.ingress.annotations, _backend_of(error)
        if hit is None or marks.get(NGINX_PROTOCOL, "").upper() not in ("GRPC", "GRPCS"):
            continue
        backend, port = hit
        yield fault(
            CODE,
            backend.port_place(port),
            f"{error.entrance.name} asks port {port.port} of svc/{backend.name} in HTTP/2 (gRPC), and the controller's "
            f"log shows {error.row['what']}. Clients get 502.",
            proof="observed",
            evidence=[
                error.evidence,
                Evidence("spec", f"{error.entrance.name} annotation {NGINX_PROTOCOL}", marks[NGINX_PROTOCOL]),
            ],
            fix=[
                Fix(
                    f"Send {error.entrance.name} to the port on which the program serves gRPC, where it has one. Where "
                    f"it is a program of plain HTTP, set {NGINX_PROTOCOL} to HTTP",
                    actor=Actor.MANIFEST,
                    commands=(_annotate(error.entrance, "HTTP"),),
                )
            ],
            verify=(kubectl("logs", error.pod.name, "--tail=200", namespace=error.pod.namespace),),
            short="the controller asks in HTTP/2, the program answers in HTTP/1.1",
        )


def _told_by_log(trace: Trace) -> Iterator[Fault]:
    """Tell of requests that failed because both sides speak another protocol, by the log of the controller."""
    for error in request_errors(trace, "tls-wanted", "plain-wanted", "closed"):
        if error.row["kind"] == "closed" and not plain_to_tls_port(error):
            continue
        sent = sent_by_ingress(error.entrance)
        hit = _backend_of(error)
        plain = error.row["kind"] == "plain-wanted"
        if sent is None or hit is None or sent.tls != plain:
            # It has been changed since, or it is not told what the controller speaks.
            continue
        backend, port = hit
        shown = spoken(backend, port)
        if shown is not None and shown.tls == plain:
            continue
        hint = f"{port.name} {port.app_protocol}".lower()
        spoken_there = (
            "HTTP"
            if plain
            else "GRPC"
            if "grpc" in hint or "h2c" in hint
            else "HTTPS"
            if "https" in hint or port.port in (443, 8443) or port.target in (443, 8443)
            else ""
        )
        value = spoken_there or "HTTPS"
        other = "" if spoken_there else " (a gRPC program without TLS: GRPC)"
        command = _annotate(error.entrance, value)
        yield fault(
            CODE,
            backend.port_place(port),
            f"{error.entrance.name} speaks {'TLS' if sent.tls else 'plain HTTP/1'} to port {port.port} of "
            f"svc/{backend.name}, and the controller's log shows {error.row['what']}. Clients get 502.",
            proof="observed",
            evidence=[error.evidence, Evidence("spec", f"{error.entrance.name} {sent.field}", sent.value)],
            fix=[
                Fix(
                    f"Set {NGINX_PROTOCOL} of {error.entrance.name} to {value}{other}",
                    None,
                    None,
                    Actor.MANIFEST,
                    (command,),
                )
            ],
            verify=(kubectl("logs", error.pod.name, "--tail=200", namespace=error.pod.namespace),),
            short=f"{error.entrance.name} speaks {'TLS' if sent.tls else 'plain HTTP/1'}, the program does not",
        )


def _backend_of(error: RequestError) -> tuple[Backend, eps.ServicePort] | None:
    """Return the Service port whose pods a log line is about."""
    for path in error.entrance.paths:
        backend = error.entrance.backend(path)
        port = path.backend.find(backend.ports) if backend is not None else None
        if backend is None or port is None:
            continue
        numbers = {eps.find_port(p.raw, port.target, port.protocol) for p in backend.pods}
        if error.upstream is None or error.upstream[1] in numbers:
            return backend, port
    return None


def _annotate(entrance: Entrance, value: str) -> str:
    ingress = entrance.ingress
    mark = f"{NGINX_PROTOCOL}={value}"
    return kubectl("annotate", "ingress", ingress.name, mark, "--overwrite", namespace=ingress.namespace)


def _sides(
    backend: Backend,
    port: eps.ServicePort,
    who: str,
    sent: Sent,
    entrance: Entrance | None = None,
) -> Fault | None:
    speaks = spoken(backend, port)
    circle = redirecting(backend)
    if circle is not None:
        # Such a program speaks TLS on the same port, whatever its probe speaks.
        return None if sent.tls else _circle(backend, port, who, sent, circle, entrance)
    if speaks is None or speaks.tls == sent.tls:
        return None
    right = sent.right_tls if speaks.tls else sent.right_plain
    mine, theirs = ("TLS" if tls else "plain HTTP" for tls in (sent.tls, speaks.tls))
    effect = (
        "the program answers 400 (plain HTTP request sent to HTTPS port), or the entrance 502"
        if speaks.tls
        else "the handshake fails, and clients get 502 or 503"
    )
    commands = (_annotate(entrance, right),) if entrance is not None else ()
    return fault(
        CODE,
        backend.port_place(port),
        f"{who} speaks {mine} to port {port.port} of svc/{backend.name}, and the program there speaks {theirs}: "
        f"{effect}.",
        proof="inferred",
        evidence=[Evidence("spec", f"{who} {sent.field}", sent.value), speaks.evidence],
        fix=[
            Fix(
                f"Set {sent.field} of {who} to {right}",
                actor=Actor.MANIFEST,
                commands=commands,
            )
        ],
        verify=(backend.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={backend.name}"),),
        short=f"{who} speaks {mine}, the program {theirs}",
    )


def _circle(
    backend: Backend, port: eps.ServicePort, who: str, sent: Sent, circle: Redirecting, entrance: Entrance | None
) -> Fault:
    row, name = circle.row, circle.config_map
    plain = f"Or let {row['program']} take plain requests: "
    steps = [
        Fix(
            f"Set {sent.field} of {who} to {sent.right_tls}",
            actor=Actor.MANIFEST,
            commands=(_annotate(entrance, sent.right_tls),) if entrance is not None else (),
        )
    ]
    if name:
        value = json.dumps({"data": {row["key"]: "true"}})
        write = (
            backend.kubectl("patch", "configmap", name, "--type=merge", "-p", value)
            if circle.config_map_exists
            else backend.kubectl("create", "configmap", name, f"--from-literal={row['key']}=true")
        )
        owner = backend.workload(backend.ready_pods[0])
        commands = [write]
        if owner.kind != "Pod":
            commands.append(backend.kubectl("rollout", "restart", f"{owner.kind.lower()}/{owner.name}"))
        steps.append(
            Fix(
                f"{plain}{row['key']} in configmap/{name}, then restart it",
                actor=Actor.MANIFEST,
                commands=tuple(commands),
            )
        )
    else:
        steps.append(Fix(f"{plain}add {row['flag']} to its arguments", actor=Actor.MANIFEST))
    doubt = "" if circle.seen else f" Unless configmap/{name} says {row['key']}: true, which was not seen."
    hosts = entrance.ingress.hosts if entrance is not None else ()
    look = [] if circle.seen else [backend.kubectl("get", "configmap", name, "-o", "yaml")]
    look += (shell("curl", "-sSkIL", "--max-redirs", "5", f"https://{host}/") for host in hosts[:1])
    return fault(
        CODE,
        backend.port_place(port),
        f"{who} ends TLS and speaks plain HTTP to port {port.port} of svc/{backend.name}, and {row['program']} answers "
        f"every plain request with {row['status']} to HTTPS: the browser goes round in redirects.{doubt}",
        severity=Severity.ERROR if circle.seen else Severity.WARNING,
        proof="inferred",
        confidence=None if circle.seen else Confidence.POSSIBLE,
        evidence=[Evidence("spec", f"{who} {sent.field}", sent.value), *circle.evidence],
        fix=steps,
        verify=look,
        short=f"{who} speaks plain HTTP, the program redirects it to HTTPS",
        details={"mechanism": "redirect-circle"},
    )


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
        verify=(backend.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={backend.name}"),),
        short=f"Service says {port.protocol}, container {declared.container} says {declared.protocol}",
    )
