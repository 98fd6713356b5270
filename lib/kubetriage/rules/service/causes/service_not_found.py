"""The Service does not exist in the namespace.

Meaning: its DNS name does not resolve (NXDOMAIN), and nothing that refers to it works.

Told by: the API server answers NotFound, or the namespace's list does not hold it. A Service of nearly that name,
or of the same name in another namespace, is offered. A Service that may not be read is not seen, never absent. Of a pod
that was asked about also by its own log: a name of the cluster that the DNS does not know.

Fix: use the right name or namespace, or create the Service.

Source: core/v1 Service; DNS names are <service>.<namespace>.svc (kubernetes/dns docs/specification.md).
"""

import json
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.asked_names import lost_names
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Place
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.services_alike import meant_service
from kubetriage.values.fields import text

CODE = "ServiceNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the Service that the user named, and the one that gives the pods of a StatefulSet their names."""
    yield from _governing(trace)
    yield from _asked(trace)
    if trace.target.kind != "Service":
        return
    for backend in trace.backends:
        if backend.lookup.absent:
            yield fault(
                CODE,
                backend.place,
                f"There is no Service {backend.name} in namespace {backend.namespace}.{meant_service(backend)}",
                confidence=Confidence.LIKELY if backend.lookup.presumed else Confidence.CONFIRMED,
                evidence=[Evidence("status", f"services/{backend.name}", backend.lookup.why or "not in the list")],
                fix=[Fix(f"Use the right name or namespace, or create Service {backend.name} in {backend.namespace}")],
                verify=(backend.kubectl("get", "services"),),
                short="not found",
            )


def _asked(trace: Trace) -> Iterator[Fault]:
    """Tell of Services that the pod of the trace asks for by a name that does not exist."""
    known = trace.world.pods(trace.target.namespace) if trace.target.kind == "Pod" else ()
    for pod in (p for p in known if p.name == trace.target.name):
        for lost in lost_names(trace.world, pod):
            backend = lost.backend
            where, sure = f"namespace {backend.namespace}", lost.surely_absent
            told = (
                f"there is no Service {backend.name} in {where}.{meant_service(backend)}"
                if sure
                else f"that name does not resolve: {where} has no Service {backend.name}, or it is headless and none "
                "of its pods is ready. Which, was not seen."
            )
            yield fault(
                CODE,
                Place("Service", backend.ref),
                f"pod/{pod.name} asks for {lost.asked}, and {told}",
                severity=Severity.ERROR if lost.lately else Severity.WARNING,
                proof="observed" if sure else "inferred",
                evidence=[
                    lost.evidence,
                    *([Evidence("status", f"services/{backend.name}", backend.lookup.why or "not in the list")] * sure),
                ],
                fix=[
                    Fix(
                        f"Correct the name in the configuration of {pod.name} (arguments, environment, ConfigMap), or "
                        f"create Service {backend.name} in {backend.namespace}",
                        actor=Actor.MANIFEST,
                        commands=(backend.kubectl("get", "services,endpointslices"),),
                    )
                ],
                verify=(backend.kubectl("get", "services"),),
                short=f"{lost.asked} does not resolve",
            )


def _governing(trace: Trace) -> Iterator[Fault]:
    """Tell of pods whose own names belong to a Service that does not exist (spec.serviceName of their StatefulSet)."""
    for backend in trace.services:
        if not backend.headless or not backend.pods:
            continue
        pod = backend.pods[0]
        subdomain, host = text(pod.raw, "spec", "subdomain"), text(pod.raw, "spec", "hostname") or pod.name
        if not subdomain or subdomain == backend.name:
            continue
        governing = trace.world.lookup("services", backend.namespace, subdomain)
        if not governing.absent:
            continue
        asked = trace.options.symptom == "nxdomain"
        yield fault(
            CODE,
            backend.place,
            f"The pods behind svc/{backend.name} take their names from Service {subdomain}, which does not exist, so "
            f"{host}.{subdomain} and {host}.{backend.name} do not resolve. svc/{backend.name} itself does.",
            severity=Severity.ERROR if asked else Severity.WARNING,
            confidence=Confidence.LIKELY if governing.presumed else Confidence.CONFIRMED,
            evidence=[
                Evidence("spec", f"pod/{pod.name} spec.subdomain", subdomain),
                Evidence("status", f"services/{subdomain}", governing.why or "not in the list"),
            ],
            fix=[
                Fix(
                    f"Create the headless Service {subdomain} with the selector and ports of svc/{backend.name}: "
                    "spec.serviceName of a StatefulSet cannot be changed",
                    actor=Actor.MANIFEST,
                    yaml="apiVersion: v1\nkind: Service\n"
                    f"metadata: {{name: {subdomain}, namespace: {backend.namespace}}}\n"
                    f"spec:\n  clusterIP: None\n  selector: {json.dumps(dict(backend.selector))}\n  ports:\n"
                    + "".join(f"  - {{name: {p.name or 'port'}, port: {p.port}}}\n" for p in backend.ports),
                ),
            ],
            verify=(backend.kubectl("get", "services"),),
            short=f"the pods' names belong to Service {subdomain}, which does not exist",
        )
