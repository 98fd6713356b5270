"""The load balancer outside the cluster calls the backends unhealthy and sends them nothing.

Meaning: clients get 502 or 503 from the load balancer, although the pods may be ready: its health check asks another
port, path or host than the readiness probe, expects 200, or is stopped by a firewall or NetworkPolicy.

Told by: the annotation ``ingress.kubernetes.io/backends`` of GKE, whose backend names hold the node port
(``k8s-be-30167--x``) or namespace, Service and port of the network endpoint group; and Warning events that speak of
unhealthy targets. Readiness gates of load balancers are told as PodsNotReady. What a load balancer will ask is also
foreseen from the objects, where it takes the readiness probe not over: as a note, as more where the symptom fits or
what answers is known (ingress-nginx behind Azure's load balancer).

Fix: let the health check's path answer 200 without a redirect or login, set it to one that does (BackendConfig,
annotation, readiness probe), and admit the checker's addresses.

Source: cloud.google.com kubernetes-engine docs, ingress health checks; AWS ELB target health reason codes.
"""

import json
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.balancer_checks import Check, foreseen_checks
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.controller_words import event_complaints
from kubetriage.rules.service.entrance_controllers import balancer
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.policies_around_pods import isolated
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping, number, objects, text
from kubetriage.values.patterns import lazy

CODE = "LoadBalancerHealthCheckFailed"

_BACKENDS = "ingress.kubernetes.io/backends"
_NODE_PORT = lazy(r"k8s\d*-be-(\d{4,5})-")
_UNHEALTHY = lazy(r"(?i)unhealthy|failed ?health ?checks?")


def check(trace: Trace) -> Iterator[Fault]:
    """Judge what load balancers say of the backends of each Ingress and Service."""
    for entrance in trace.ingresses:
        yield from _annotated(entrance, trace)
    for asked in foreseen_checks(trace):
        yield _foreseen(trace, asked)
    subjects = [(e.place, e.ref) for e in trace.ingresses]
    subjects += [(b.address_place, b.ref) for b in trace.services if b.type == "LoadBalancer"]
    for place, about in subjects:
        for said in event_complaints(trace.snapshot, about):
            if _UNHEALTHY.search(said.words):
                yield fault(
                    CODE,
                    place,
                    f"{said.who} says of {about.kind.lower()}/{about.name}: {said.words}.",
                    proof="observed",
                    about=about,
                    evidence=[said.evidence],
                    fix=list(_fixes(trace.services, balancer("cloud").where)),
                    verify=(kubectl("describe", about.kind.lower(), about.name, namespace=about.namespace),),
                    short=f"the load balancer calls backends unhealthy: {said.words}",
                )


def _foreseen(trace: Trace, asked: Check) -> Fault:
    """Tell of a health check that is likely, or may be, answered otherwise than the readiness probe."""
    seen = trace.options.symptom in _SYMPTOMS
    return fault(
        CODE,
        asked.place,
        f"{asked.words[0].upper()}{asked.words[1:]}.",
        severity=Severity.ERROR if asked.known and seen else Severity.WARNING if asked.known or seen else Severity.NOTE,
        proof="inferred",
        confidence=Confidence.LIKELY if asked.known else Confidence.POSSIBLE,
        evidence=asked.evidence,
        fix=[Fix(asked.fix, actor=Actor.MANIFEST, commands=asked.commands, yaml=asked.yaml)],
        verify=(asked.look,),
        short=asked.words,
    )


_SYMPTOMS = ("502", "503", "504", "timeout")
"""What clients get from a load balancer without a healthy backend."""


def _annotated(entrance: Entrance, trace: Trace) -> Iterator[Fault]:
    try:
        told = json.loads(entrance.ingress.annotations.get(_BACKENDS, "{}"))
    except ValueError:
        return
    states = {k: str(v) for k, v in told.items()} if isinstance(told, dict) else {}
    bad = {k: v for k, v in states.items() if v.upper() == "UNHEALTHY"}
    if not bad:
        return
    owners = {k: b for k in bad if (b := _owner(trace, k)) is not None}
    concerned = tuple(dict.fromkeys(owners.values()))
    names = ", ".join(f"svc/{b.name}" for b in concerned) or f"backend {next(iter(bad))}"
    all_bad = len(bad) == len(states)
    where = balancer("gke")
    yield fault(
        CODE,
        entrance.place,
        f"The load balancer of {entrance.name} calls {names} unhealthy, so it sends no request there"
        + ("" if all_bad else f"; {len(states) - len(bad)} of its {len(states)} backends are healthy")
        + ". Its health check fails, whatever the readiness probe says.",
        severity=Severity.ERROR if concerned or all_bad else Severity.WARNING,
        proof="observed",
        evidence=[
            Evidence(
                "config", f"{entrance.name} annotation {_BACKENDS}", ", ".join(f"{k}: {v}" for k, v in bad.items())
            ),
            *_probes(concerned),
        ],
        fix=list(_fixes(concerned or trace.services, where.where)),
        verify=(kubectl("describe", "ingress", entrance.ingress.name, namespace=entrance.ingress.namespace),),
        short=f"unhealthy for the load balancer: {names}",
    )


def _owner(trace: Trace, backend_name: str) -> Backend | None:
    """Return the Service that a backend of GKE stands for, by its node port or by the name of its endpoint group."""
    match = _NODE_PORT.match(backend_name)
    for backend in trace.services:
        if match and any(p.node_port == int(match[1]) for p in backend.ports):
            return backend
        # k8s1-UID-NAMESPACE-SERVICE-PORT-HASH, the two names cut where they are long.
        if not match and f"-{backend.namespace[:8]}" in backend_name and f"-{backend.name[:8]}" in backend_name:
            return backend
    return None


def _probes(backends: tuple[Backend, ...]) -> Iterator[Evidence]:
    for backend in backends[:2]:
        for pod in backend.pods[:1]:
            for container in objects(pod.raw, "spec", "containers"):
                probe = mapping(container, "readinessProbe", "httpGet")
                if probe:
                    port = probe.get("port")
                    yield Evidence(
                        "spec", f"pod/{pod.name} readinessProbe", f"GET {text(probe, 'path') or '/'} on {port}"
                    )
                elif container.get("ports"):
                    shown = ", ".join(str(number(p, "containerPort")) for p in objects(container, "ports"))
                    yield Evidence(
                        "spec", f"pod/{pod.name} {text(container, 'name')}", f"no HTTP readinessProbe; ports {shown}"
                    )


def _fixes(backends: tuple[Backend, ...], where: str) -> Iterator[Fix]:
    path = "/"
    for backend in backends[:1]:
        for pod in backend.pods[:1]:
            for container in objects(pod.raw, "spec", "containers"):
                path = text(container, "readinessProbe", "httpGet", "path") or path
    yield Fix(
        f"Let GET {path} answer 200 on the port that the load balancer checks, without a redirect or login. "
        "Or set the health check to a path that does (BackendConfig healthCheck.requestPath on GKE).",
        actor=Actor.MANIFEST,
    )
    blocked = [b for b in backends if isolated(b)]
    if blocked:
        yield Fix(
            f"Admit {where} in networkpolicy/{isolated(blocked[0])[0]} with an ipBlock: health checks come from there",
            actor=Actor.MANIFEST,
        )
    yield Fix(
        f"Admit the health checks in the cloud's firewall or security groups: they come from {where}", actor=Actor.CLOUD
    )
