"""Findings from what proxies say of requests that they answered themselves, with the looks that decide."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.access_logs import Failure
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.rules.service.mesh_refusals import closed_outlook, refused_token
from kubetriage.rules.service.unspoken_protocols import look_at_log, speak, unspoken
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, labels, name_of, namespace_of, objects, text

_OFTEN = 3


def proxy_fault(trace: Trace, code: str, failure: Failure) -> Fault:
    """Make the finding of one kind of failed requests; the cause decides which kinds are its own."""
    way, asked = failure.way, trace.options.symptom
    status, hit = str(failure.row["status"]), failure.target
    port = f" port {failure.port}" if failure.port else ""
    to = f": pod/{hit[1].name}{port}" if hit is not None else ""
    told = f" ({failure.request.code})" if failure.request.code != "-" and len(failure.request.code) < 12 else ""
    of = f"; {failure.passed} passed" if failure.passed else "; none passed"
    evidence = [failure.evidence]
    if hit is not None:
        evidence.append(Evidence("status", f"pod/{hit[1].name} STATUS", hit[1].status_text()))
    sure = failure.last and not failure.passed and failure.count >= _OFTEN
    return fault(
        code,
        way.place,
        f"The proxy in front of {way.shown}, pod/{failure.proxy.name}, reports {failure.row['what']}{told}{to}. Its "
        f"log shows {plural(failure.count, 'such request')}{of}; clients get {status}.",
        severity=Severity.ERROR if sure or (asked and asked == status) else Severity.WARNING,
        proof="observed",
        confidence=Confidence.LIKELY,
        about=way.ref,
        evidence=evidence,
        fix=list(_fixes(trace, failure)),
        verify=(
            kubectl(
                "logs", failure.proxy.name, "-c", failure.container, "--tail=200", namespace=failure.proxy.namespace
            ),
        ),
        short=f"{failure.request.code if told else status}: {failure.row['what']}",
        details={"status": status, "requests": failure.count},
    )


def _fixes(trace: Trace, failure: Failure) -> Iterator[Fix]:
    kind = str(failure.row["kind"])
    guess = unspoken(failure)
    if guess:
        yield from speak(failure, guess)
    elif kind in ("refused", "unreached", "reset"):
        yield from _no_connection(failure, kind)
    elif kind == "closed":
        yield from _closed(failure)
    elif kind == "ejected":
        yield from _ejected(failure)
    elif kind == "certificate":
        yield from _certificate(failure)
    elif kind in ("plain-wanted", "other-protocol"):
        yield from _protocol(failure, kind)
    elif kind in ("slow", "overflow", "rate", "client-gone"):
        yield from _limits(failure, kind)
    elif kind == "token":
        yield refused_token(trace, failure)
    elif kind == "outside":
        yield closed_outlook(trace, failure)
    else:
        yield from _routes(failure, kind)


def _no_connection(failure: Failure, kind: str) -> Iterator[Fix]:
    hit = failure.target
    inbound = failure.request.target.startswith("inbound|")
    port = f"port {failure.port}" if failure.port else "the port of the pod that the Service leads to"
    if kind == "refused":
        yield look_at_log(
            failure,
            f"See whether the program listens on {port}, and on all addresses: one that binds 127.0.0.1 only "
            "passes a probe of its own and refuses the proxy"
            if not inbound
            else f"The proxy is in the pod, so it is the program that refuses: let it listen on {port} on all "
            "addresses, or correct the targetPort of the Service",
        )
    if kind == "refused" and hit is not None and not inbound:
        yield Fix(
            "Where it does, the program was just starting or ending: compare the time of the line with its restarts, "
            "and give it a readiness probe on that port",
            actor=Actor.MANIFEST,
            commands=(kubectl("get", "pod", hit[1].name, "-o", "wide", namespace=hit[1].namespace),),
        )
    if kind != "refused" and hit is not None and not inbound:
        yield Fix(
            "Ask the pod from the proxy. No answer: a NetworkPolicy, a firewall between the nodes, or the pod network. "
            "An answer: the program was restarting, or was too busy to accept",
            actor=Actor.CLUSTER,
            commands=(
                kubectl("get", "networkpolicies", namespace=hit[1].namespace),
                kubectl("get", "pod", hit[1].name, "-o", "wide", namespace=hit[1].namespace),
            ),
        )
    if not inbound and (kind == "reset" or failure.meshed):
        yield Fix(
            "In a mesh the pod's own proxy resets a caller that speaks plain where mTLS is STRICT. Compare the "
            "PeerAuthentication of the pod with the DestinationRule of the caller",
            actor=Actor.MANIFEST,
            commands=(kubectl("get", "peerauthentications,destinationrules", "-A"),),
        )


_IDLE = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: {name}-idle
  namespace: {namespace}
spec:
  host: {name}.{namespace}.svc.cluster.local
  trafficPolicy:
    connectionPool:
      http:
        idleTimeout: 5s
"""


def _closed(failure: Failure) -> Iterator[Fix]:
    yield look_at_log(
        failure,
        "Read the log of the program at the time of the line: a worker that crashes or is killed ends its connections "
        "so",
    )
    backend = failure.target[0] if failure.target is not None else next(iter(failure.way.backends), None)
    rules = _rules_of(backend) if backend is not None else ()
    words = (
        "Where it says nothing, the program ends idle connections that the proxy still uses: raise its keep-alive "
        "timeout (Node.js has 5 s, Gunicorn 2 s) above the proxy's"
    )
    if backend is not None and failure.meshed:
        if rules:
            yield Fix(
                f"{words}, or set trafficPolicy.connectionPool.http.idleTimeout below it in "
                f"destinationrule/{name_of(rules[0])}",
                actor=Actor.MANIFEST,
                commands=(kubectl("edit", "destinationrule", name_of(rules[0]), namespace=namespace_of(rules[0])),),
            )
        else:
            yield Fix(
                f"{words}, or let the proxy end them first with a DestinationRule (idleTimeout below the program's)",
                actor=Actor.MANIFEST,
                yaml=_IDLE.format(name=backend.name, namespace=backend.namespace),
            )
    else:
        yield Fix(words, actor=Actor.APP)
    yield Fix(
        "Where the lines fall into rollouts, let old pods serve on for some seconds: a preStop sleep, and a program "
        "that ends open requests before it stops",
        actor=Actor.MANIFEST,
    )


def _rules_of(backend: Backend) -> tuple[Obj, ...]:
    """Return the DestinationRules for a Service, as far as they were read."""
    hosts = (f"{backend.name}.{backend.namespace}.svc.cluster.local", f"{backend.name}.{backend.namespace}.svc")
    return tuple(
        r
        for r in backend.world.listing("destinationrules").items
        if text(r, "spec", "host") in hosts
        or (text(r, "spec", "host") == backend.name and namespace_of(r) == backend.namespace)
    )


def _ejected(failure: Failure) -> Iterator[Fix]:
    for backend in failure.way.backends:
        ready = sum(e.takes_traffic for e in backend.endpoints.items)
        for rule in _rules_of(backend):
            if text(rule, "spec", "trafficPolicy", "outlierDetection") or "outlierDetection" in str(rule.get("spec")):
                yield Fix(
                    f"destinationrule/{name_of(rule)} ejects endpoints that answer 5xx (outlierDetection). Repair what "
                    "they answer, or set maxEjectionPercent below 100 so that some stay",
                    actor=Actor.MANIFEST,
                    commands=(kubectl("edit", "destinationrule", name_of(rule), namespace=namespace_of(rule)),),
                )
        if ready:
            yield Fix(
                f"svc/{backend.name} has {plural(ready, 'ready endpoint')}, so the proxy does not use them: ejected "
                "for errors, its health check fails, or it has not been told of them. Compare its own list",
                actor=Actor.CLUSTER,
                commands=(
                    backend.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={backend.name}"),
                    *_own_list(failure),
                ),
            )
        else:
            yield Fix(f"Bring a pod of svc/{backend.name} to ready: it has no endpoint", actor=Actor.APP)


def _own_list(failure: Failure) -> tuple[str, ...]:
    if not failure.meshed:
        return ()
    pod = failure.proxy
    return (
        kubectl(
            "exec",
            pod.name,
            "-c",
            failure.container,
            "--",
            "pilot-agent",
            "request",
            "GET",
            "clusters",
            namespace=pod.namespace,
        ),
    )


def _certificate(failure: Failure) -> Iterator[Fix]:
    said = failure.request.detail or failure.request.code
    if failure.meshed:
        yield Fix(
            "Both sides need certificates of one root, and the DestinationRule the right subjectAltNames and "
            "credentialName. A proxy that keeps an old root needs a restart of its pod after the root was changed",
            actor=Actor.MANIFEST,
            commands=(kubectl("get", "destinationrules", "-A", "-o", "yaml"),),
        )
    else:
        yield Fix(
            f"Let the proxy trust the certificate of the program, which it refuses: {said}. Name its authority (a "
            "BackendTLSPolicy, or for Traefik a ServersTransport with rootCAsSecrets and serverName)",
            actor=Actor.MANIFEST,
        )
        for backend in failure.way.backends[:1]:
            mark = f"traefik.ingress.kubernetes.io/service.serverstransport={backend.namespace}-NAME@kubernetescrd"
            yield Fix(
                f"For Traefik name that ServersTransport in an annotation of svc/{backend.name}: {mark}. "
                "insecureSkipVerify there is only for a certificate that the program signs itself",
                actor=Actor.MANIFEST,
            )


def _protocol(failure: Failure, kind: str) -> Iterator[Fix]:
    port = f"port {failure.port}" if failure.port else "the port of the pod that the Service leads to"
    backend = failure.target[0] if failure.target is not None else next(iter(failure.way.backends), None)
    rules = _rules_of(backend) if backend is not None else ()
    if kind == "other-protocol":
        yield Fix(
            f"Say what the program speaks on {port}: appProtocol of the Service port (kubernetes.io/h2c or grpc "
            "for HTTP/2, http for HTTP/1.1, https for TLS), in Istio also the beginning of the port's name",
            actor=Actor.MANIFEST,
        )
        return
    if rules:
        rule = rules[0]
        yield Fix(
            f"The program speaks plain HTTP on {port}: take trafficPolicy.tls out of destinationrule/"
            f"{name_of(rule)}, or set its mode to DISABLE for a pod without a proxy",
            actor=Actor.MANIFEST,
            commands=(kubectl("edit", "destinationrule", name_of(rule), namespace=namespace_of(rule)),),
        )
    else:
        yield Fix(
            f"The program speaks plain HTTP on {port}, and the proxy speaks TLS to it: name the Service port http "
            "(not https), and take TLS settings for it out of the route, the DestinationRule or the annotations",
            actor=Actor.MANIFEST,
            commands=(kubectl("get", "destinationrules", "-A"),) if failure.meshed else (),
        )


_ROUTE_TIMEOUT = "haproxy.router.openshift.io/timeout=120s"


def _limits(failure: Failure, kind: str) -> Iterator[Fix]:
    way = failure.way
    if kind in ("slow", "client-gone"):
        yield look_at_log(
            failure,
            "Find out why the program answers that late: its own log, CPU throttling, its database. Answer long work "
            "at once and do it in the background",
        )
    if kind == "client-gone":
        yield Fix(
            "Where such an answer may take that long, raise the timeout of the client, or of the load balancer before "
            "the proxy",
            actor=Actor.CLOUD,
        )
    elif kind == "slow":
        where = {
            "VirtualService": "spec.http[].timeout",
            "HTTPRoute": "spec.rules[].timeouts.request",
            "HTTPProxy": "spec.routes[].timeoutPolicy.response",
            "Route": "the annotation haproxy.router.openshift.io/timeout (30s where it is not set)",
            "Mapping": "spec.timeout_ms",
        }.get(way.ref.kind, "the timeout of the proxy for it")
        yield Fix(
            f"Or, where such an answer may take that long, raise {where} of {way.shown}",
            actor=Actor.MANIFEST,
            commands=(
                kubectl("annotate", "route", way.ref.name, _ROUTE_TIMEOUT, "--overwrite", namespace=way.ref.namespace)
                if way.ref.kind == "Route"
                else kubectl("edit", way.ref.kind.lower(), way.ref.name, namespace=way.ref.namespace),
            ),
        )
    elif kind == "overflow":
        rules = [r for b in way.backends for r in _rules_of(b)]
        at = f"connectionPool of destinationrule/{name_of(rules[0])}" if rules else "the limits of the proxy for it"
        yield Fix(
            f"Raise {at} (connections, pending requests, maxconn), or run more pods",
            actor=Actor.MANIFEST,
            commands=(kubectl("edit", "destinationrule", name_of(rules[0]), namespace=namespace_of(rules[0])),)
            if rules
            else (),
        )
    else:
        yield Fix(
            f"Raise or remove the rate limit for {way.shown}, where these requests are wanted", actor=Actor.MANIFEST
        )


def _routes(failure: Failure, kind: str) -> Iterator[Fix]:
    way, asked = failure.way, failure.request
    edit = (kubectl("get", way.ref.kind.lower(), way.ref.name, "-o", "yaml", namespace=way.ref.namespace),)
    if kind == "no-cluster":
        yield from _exported(failure)
        yield Fix(
            f"Correct the destination in {way.shown}: a Service, port or subset that the proxy was not told of. A "
            "subset needs a DestinationRule for the same host",
            actor=Actor.MANIFEST,
            commands=edit,
        )
    elif kind == "denied":
        yield Fix(
            "Read the log of the authorization service: it refused, or the proxy could not reach it",
            actor=Actor.APP,
        )
    elif way.ref.kind == "Mapping":
        yield Fix(
            f"Emissary serves {way.shown} only where a Host takes its hostname and a Listener opens the port: compare "
            "its hostname, prefix and labels with hostname and mappingSelector of the Hosts",
            actor=Actor.MANIFEST,
            commands=(kubectl("get", "hosts.getambassador.io,listeners.getambassador.io", "-A", "-o", "wide"),),
        )
    else:
        path = asked.asked.partition(" ")[2]
        yield Fix(
            f"Let a rule of {way.shown} match the request: host {asked.host or 'as asked'}"
            + (f", path {path}" if path else "")
            + f".{_matches_of(failure)} Compare hosts, the match of each rule, and the port of the Gateway's server",
            actor=Actor.MANIFEST,
            commands=edit,
        )


_EXPORT = "networking.istio.io/exportTo"


def _exported(failure: Failure) -> Iterator[Fix]:
    """Tell of a Service that the gateway's namespace is not told of."""
    for backend in failure.way.backends:
        value = labels(backend.service, "metadata", "annotations").get(_EXPORT, "")
        spaces = [v.strip() for v in value.split(",")]
        if value and "*" not in spaces and failure.proxy.namespace not in spaces:
            yield Fix(
                f"svc/{backend.name} is exported to {value} only ({_EXPORT}), and the proxy runs in namespace "
                f"{failure.proxy.namespace}: export it there too, or remove the annotation",
                actor=Actor.MANIFEST,
                commands=(backend.kubectl("annotate", "service", backend.name, f"{_EXPORT}-"),),
            )


def _matches_of(failure: Failure) -> str:
    """Say which paths the rules of a VirtualService take, where each has a match."""
    raw = failure.way.raw
    rules = objects(raw, "spec", "http")
    if failure.way.ref.kind != "VirtualService" or not rules or any(not objects(r, "match") for r in rules):
        return ""
    found = [
        f"{how} {value}"
        for rule in rules
        for match in objects(rule, "match")
        for how, value in labels(match, "uri").items()
    ]
    return f" Its rules take only {', '.join(dict.fromkeys(found[:5]))}." if found else ""
