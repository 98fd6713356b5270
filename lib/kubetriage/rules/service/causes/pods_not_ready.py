"""No pod behind the Service is ready, so it has no endpoint that takes traffic.

Meaning: the selector matches and the pods exist, but every one is Pending, starting, or fails its readiness
probe; clients are refused or get 503 from an ingress controller.

Told by: the Ready condition of every selected pod; why it is False is the verdict of the why-crash rules.
Told apart from pods that crash (PodsCrashing) and from a selector that matches nothing (SelectorMismatch).

Fix: what why-crash says for the pods (probe path or port, image, scheduling).

Source: k8s.io/endpointslice utils.go podToEndpoint: ready = publishNotReadyAddresses or (Ready and not deleted).
"""

from collections.abc import Iterator

from kubetriage.model import Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.dns_words import dns_refusal
from kubetriage.rules.service.hop_faults import Fault
from kubetriage.rules.service.pod_health import pods_fault, share, troubles, unready

CODE = "PodsNotReady"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the pods of each Service."""
    for backend in trace.services:
        groups = troubles(backend)
        if backend.ready_pods or not groups or groups[0].crashing:
            continue
        if (backend.namespace, backend.name) == (trace.dns.namespace, trace.dns.name) and dns_refusal(trace):
            # DNSNotReady says what its pods wait for.
            continue
        severity = Severity.WARNING if backend.publishes_unready else Severity.ERROR
        verb = "is" if len(unready(backend)) == 1 else "are"
        yield pods_fault(CODE, backend, f"{share(len(unready(backend)), backend)} {verb} not ready", groups, severity)
