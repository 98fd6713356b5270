"""The proxy cannot connect to a ready pod, has none that it may use, or the program closes without an answer.

Meaning: pods are ready by their probes, which come from their own node, and the Service has endpoints; clients get 504
(never answered) or 502 (closed).

Told by: lines of the error log of the controller's pods that name a host of the Ingress and the address of a pod that
is ready now; response flags in Envoy's access log (UF, UH, UC, UR), HAProxy's termination states (SC, sC, SH), and
Traefik's words. Why is told only in part: the candidates are named with the look that decides. What another rule proves
(a policy, a refused port, another protocol) is left to it.

Fix: by the look. Never answered: a policy, a firewall between nodes, or the pod network. Closed: the program ends the
connection (a crash of a worker, an idle timeout that is shorter than the controller's, a rollout).

Source: nginx error log (upstream timed out while connecting, upstream prematurely closed connection); Envoy's
response flags; HAProxy's session state at disconnection.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.access_logs import Failure, addresses_of, failures
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.rules.service.pod_listeners import loopback_only, pod_numbers
from kubetriage.rules.service.proxy_faults import proxy_fault
from kubetriage.rules.service.request_errors import RequestError, plain_to_tls_port, request_errors
from kubetriage.rules.service.unspoken_protocols import unspoken
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, mapping, text

CODE = "BackendConnectionFailed"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the failed connections to pods that are ready now."""
    for error in request_errors(trace, "unreached", "closed"):
        pod = _target(error)
        if pod is not None and not (error.row["kind"] == "closed" and plain_to_tls_port(error)):
            yield _fault(trace, error, pod)
    for error in request_errors(trace, "tls-name", "tls-trust", "no-live", "no-name"):
        yield _without_pod(trace, error)
    for failure in failures(trace, "refused", "unreached", "reset", "closed", "ejected", "certificate"):
        if not unspoken(failure) and not _on_loopback(trace, failure):
            yield proxy_fault(trace, CODE, failure)
    yield from _gone(trace)
    yield from _untrusted(trace)


_SERVING = ("service.beta.openshift.io/serving-cert-secret-name", "service.alpha.openshift.io/serving-cert-secret-name")


def _untrusted(trace: Trace) -> Iterator[Fault]:
    """Tell of a re-encrypting Route that names no authority, where clients get what its router answers then."""
    for custom in trace.customs if trace.options.symptom in ("502", "503", "tls") else ():
        tls = mapping(custom.raw, "spec", "tls")
        behind = [b for _, b in custom.backends if b.lookup.found]
        own = any(k in labels(b.service, "metadata", "annotations") for b in behind for k in _SERVING)
        if custom.kind != "Route" or text(tls, "termination") != "reencrypt" or own or not behind:
            continue
        if text(tls, "destinationCACertificate"):
            continue
        name = behind[0].name
        yield fault(
            CODE,
            custom.place,
            f"{custom.shown} encrypts anew to svc/{name} and names no authority (destinationCACertificate), and the "
            "Service has no certificate of the cluster's own. The router answers 503 where the program's certificate "
            "is of an authority that it does not know.",
            severity=Severity.WARNING,
            proof="inferred",
            confidence=Confidence.POSSIBLE,
            about=custom.ref,
            evidence=[
                Evidence("spec", f"{custom.shown} spec.tls.destinationCACertificate", "<none>"),
                Evidence("spec", f"service/{name} annotation {_SERVING[0]}", "<none>"),
            ],
            fix=[
                Fix(
                    f"Write the authority of the program's certificate in spec.tls.destinationCACertificate of "
                    f"{custom.shown}. Or let the cluster make the certificate (annotation {_SERVING[0]} on svc/{name}, "
                    "and the program uses that Secret): routers trust it. Where the program speaks plain HTTP, "
                    "termination is edge",
                    actor=Actor.MANIFEST,
                )
            ],
            verify=(custom.kubectl("get", "route", custom.name, "-o", "yaml"),),
            short="re-encrypts without destinationCACertificate",
        )


def _on_loopback(trace: Trace, failure: Failure) -> bool:
    """Tell whether the target port is what is wrong: the program listens on the pod's loopback address."""
    if failure.row["kind"] != "refused" or failure.target is None:
        return False
    backend = failure.target[0]
    return any(
        str(n) == failure.port and loopback_only(trace, backend, port) is not None
        for port in backend.ports
        for n in pod_numbers(backend, port)
    )


def _gone(trace: Trace) -> Iterator[Fault]:
    """Tell of requests that went to pods which are no more: they ended while proxies still sent to them."""
    for error in request_errors(trace, "refused", "unreached", "closed"):
        address = error.upstream[0] if error.upstream is not None else ""
        entrance = error.entrance
        found = (entrance.backend(p) for p in entrance.paths)
        behind = [b for b in dict.fromkeys(found) if b is not None and b.lookup.found and b.selector]
        ready = [p for b in behind for p in b.ready_pods]
        known = all(b.pod_list.complete for b in behind)
        if not address or not ready or not known or any(address in addresses_of(p) for b in behind for p in b.pods):
            continue
        if any(address == text(b.service, "spec", "clusterIP") for b in behind):
            continue
        yield fault(
            CODE,
            entrance.place,
            f"The controller of {entrance.name} sent requests to {address}, which no pod of "
            f"svc/{behind[0].name} has now: the pod ended while it was still sent to. Its log shows "
            f"{plural(error.count, 'such request')}; clients get {error.row['status']}.",
            severity=Severity.ERROR
            if trace.options.symptom and trace.options.symptom in str(error.row["status"])
            else Severity.WARNING
            if error.count >= _OFTEN
            else Severity.NOTE,
            proof="observed",
            confidence=Confidence.LIKELY,
            about=entrance.ref,
            evidence=[error.evidence, *_stops(ready[0])],
            fix=list(_drained(behind[0], ready[0])),
            verify=(kubectl("logs", error.pod.name, "--since=10m", namespace=error.pod.namespace),),
            short=f"requests went to {address}, a pod that is gone",
        )


_OFTEN = 3
"""Fewer requests to a pod that is gone are a trace of the past."""


def _stops(pod: Pod) -> Iterator[Evidence]:
    for container in pod.containers[:1]:
        has = "preStop" in mapping(container.spec, "lifecycle")
        yield container.fact("spec", "lifecycle.preStop", "set" if has else "<none>")


def _drained(backend: Backend, pod: Pod) -> Iterator[Fix]:
    owner = backend.workload(pod)
    shown = f"{owner.kind.lower()}/{owner.name}"
    main = pod.containers[0] if pod.containers else None
    if main is None or "preStop" not in mapping(main.spec, "lifecycle"):
        yield Fix(
            f"Let a pod of {shown} that is deleted serve on until the proxies know it (a rollout, a scale-down, a "
            "drained node): a preStop sleep, and terminationGracePeriodSeconds above it",
            actor=Actor.MANIFEST,
            yaml=f"# the container {main.name if main else 'of the program'} in the pod template of {shown}\n"
            'lifecycle:\n  preStop:\n    exec: {command: ["sleep", "15"]}\n',
        )
    yield Fix(
        "Let the program finish open requests on SIGTERM before it closes its port. Where pods end at other times, "
        "find out why (crash, eviction, a node that was lost)",
        actor=Actor.APP,
        commands=(backend.kubectl("get", "events", "--sort-by=.lastTimestamp"),),
    )


def _target(error: RequestError) -> Pod | None:
    address = error.upstream[0] if error.upstream is not None else ""
    for path in error.entrance.paths:
        backend = error.entrance.backend(path)
        for pod in backend.ready_pods if backend is not None and backend.lookup.found else ():
            if address and text(pod.raw, "status", "podIP") == address:
                return pod
    return None


def _fault(trace: Trace, error: RequestError, pod: Pod) -> Fault:
    entrance, asked = error.entrance, trace.options.symptom
    status = str(error.row["status"])
    port = error.upstream[1] if error.upstream is not None else 0
    nodes = "the same node" if pod.node == error.pod.node else f"node {error.pod.node} to node {pod.node}"
    return fault(
        CODE,
        entrance.place,
        f"The controller of {entrance.name} gets {error.row['what']}: pod/{pod.name} port {port}, from "
        f"{nodes}. Its log shows {plural(error.count, 'such request')}; clients get {status}.",
        severity=Severity.ERROR if asked and asked in status else Severity.WARNING,
        proof="observed",
        confidence=Confidence.LIKELY,
        about=entrance.ref,
        evidence=[error.evidence, Evidence("status", f"pod/{pod.name} node", pod.node or "<none>")],
        fix=list(_unreached(error, pod, port) if error.row["kind"] == "unreached" else _closed(error, pod, port)),
        verify=(kubectl("logs", error.pod.name, "--tail=200", namespace=error.pod.namespace),),
        short=f"{error.row['what']}: pod/{pod.name}",
    )


def _without_pod(trace: Trace, error: RequestError) -> Fault:
    """Tell of requests that failed before a pod of the cluster was the matter: TLS to an outside name, no upstream."""
    entrance, asked = error.entrance, trace.options.symptom
    status = str(error.row["status"])
    return fault(
        CODE,
        entrance.place,
        f"The controller of {entrance.name} reports {error.row['what']}. Its log shows "
        f"{plural(error.count, 'such request')}; clients get {status}.",
        severity=Severity.ERROR if asked and asked in status else Severity.WARNING,
        proof="observed",
        confidence=Confidence.LIKELY,
        about=entrance.ref,
        evidence=[error.evidence],
        fix=list(_fixes_without_pod(error)),
        verify=(kubectl("logs", error.pod.name, "--tail=200", namespace=error.pod.namespace),),
        short=str(error.row["what"]),
    )


_SNI = ("proxy-ssl-server-name", "proxy-ssl-name", "upstream-vhost")


def _fixes_without_pod(error: RequestError) -> Iterator[Fix]:
    entrance, ingress, kind = error.entrance, error.entrance.ingress, error.row["kind"]
    backends = [b for p in entrance.paths if (b := entrance.backend(p)) is not None and b.lookup.found]
    outside = next((b for b in backends if b.is_external), None)
    if kind == "tls-name" and outside is not None:
        name = outside.external_name
        marks = [f"nginx.ingress.kubernetes.io/{k}={v}" for k, v in zip(_SNI, ("on", name, name), strict=True)]
        yield Fix(
            "The other side chooses its certificate by name, and the controller sends none, or the Ingress's host. "
            f"Send {name} as SNI and Host",
            actor=Actor.MANIFEST,
            commands=(
                kubectl("annotate", "ingress", ingress.name, *marks, "--overwrite", namespace=ingress.namespace),
            ),
        )
    elif kind in ("tls-name", "tls-trust"):
        yield Fix(
            "See which certificate and TLS versions the program has. Where it wants a client certificate or a name, "
            "set proxy-ssl-secret, proxy-ssl-name and proxy-ssl-server-name of the Ingress to them",
            actor=Actor.MANIFEST,
            commands=(kubectl("get", "ingress", ingress.name, "-o", "yaml", namespace=ingress.namespace),),
        )
    elif kind == "no-name":
        yield Fix(
            "Correct the name (externalName of the Service, a URL in an annotation), or the DNS that the controller's "
            "pod asks",
            actor=Actor.MANIFEST,
            commands=(kubectl("exec", error.pod.name, "--", "cat", "/etc/resolv.conf", namespace=error.pod.namespace),),
        )
    else:
        yield Fix(
            "Read the lines just before in the same log: they say why each pod failed (refused, timed out, closed). "
            "The pods are ready now, so look at their restarts and logs at that time",
            actor=Actor.APP,
            commands=tuple(
                kubectl("logs", p.name, "--tail=200", "--timestamps", namespace=p.namespace)
                for b in backends[:1]
                for p in b.ready_pods[:1]
            ),
        )


def _unreached(error: RequestError, pod: Pod, port: int) -> Iterator[Fix]:
    space, name = error.pod.namespace, error.pod.name
    address = error.upstream[0] if error.upstream is not None else ""
    yield Fix(
        "Connect from the controller's pod itself. No answer: a policy of the network plugin, a firewall between the "
        "nodes (VXLAN 8472 or 4789/UDP, Geneve, IP in IP), or the pod network of one node. An answer: the program is "
        "at times too busy to accept",
        actor=Actor.CLUSTER,
        commands=(
            kubectl("exec", name, "--", "curl", "-sv", "-m", "5", f"http://{address}:{port}/", namespace=space),
            kubectl("get", "networkpolicies", namespace=pod.namespace),
        ),
    )
    if pod.node and error.pod.node and pod.node != error.pod.node:
        yield Fix(
            f"Where only pods on node {pod.node} do not answer, repair the network plugin there: read the log of its "
            "pod on that node",
            actor=Actor.NODE,
            commands=(
                kubectl(
                    "get",
                    "pods",
                    "-o",
                    "wide",
                    "--field-selector",
                    f"spec.nodeName={pod.node}",
                    namespace="kube-system",
                ),
            ),
        )


def _closed(error: RequestError, pod: Pod, port: int) -> Iterator[Fix]:
    if error.every:
        yield Fix(
            f"No request passed in this log. See first whether the program speaks TLS, or no HTTP, on port {port}",
            actor=Actor.MANIFEST,
            commands=(
                kubectl(
                    "exec",
                    error.pod.name,
                    "--",
                    *("curl", "-skv", "-m", "5", f"https://{text(pod.raw, 'status', 'podIP')}:{port}/"),
                    namespace=error.pod.namespace,
                ),
            ),
        )
    yield Fix(
        f"Read the log of pod/{pod.name} at the time of the line: a worker that crashes or is killed ends its "
        "connections so",
        actor=Actor.APP,
        commands=(kubectl("logs", pod.name, "--tail=200", "--timestamps", namespace=pod.namespace),),
    )
    yield Fix(
        "Where it says nothing, the program closes idle connections that the controller still uses: raise its "
        "keep-alive timeout above 60 s (upstream-keepalive-timeout of ingress-nginx)",
        actor=Actor.APP,
    )
    yield Fix(
        "Where the lines fall into rollouts, let old pods serve on for some seconds: a preStop sleep, and a program "
        "that ends open requests before it stops",
        actor=Actor.MANIFEST,
    )
