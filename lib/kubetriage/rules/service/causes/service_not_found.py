"""The Service does not exist in the namespace.

Meaning: its DNS name does not resolve (NXDOMAIN), and nothing that refers to it works.

Told by: the API server answers NotFound, or the namespace's list does not hold it. A Service of nearly that name,
or of the same name in another namespace, is offered. A Service that may not be read is not seen, never absent.

Fix: use the right name or namespace, or create the Service.

Source: core/v1 Service; DNS names are <service>.<namespace>.svc (kubernetes/dns docs/specification.md).
"""

import json
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.services_alike import meant_service
from kubetriage.values.fields import text

CODE = "ServiceNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the Service that the user named, and the one that gives the pods of a StatefulSet their names."""
    yield from _governing(trace)
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
