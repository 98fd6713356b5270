"""The Service does not exist in the namespace.

Meaning: its DNS name does not resolve (NXDOMAIN), and nothing that refers to it works.

Told by: the API server answers NotFound, or the namespace's list does not hold it. A Service of nearly that name,
or of the same name in another namespace, is offered. A Service that may not be read is not seen, never absent.

Fix: use the right name or namespace, or create the Service.

Source: core/v1 Service; DNS names are <service>.<namespace>.svc (kubernetes/dns docs/specification.md).
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.services_alike import meant_service

CODE = "ServiceNotFound"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the Service that the user named."""
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
                verify=(f"{backend.command} get services",),
                short="not found",
            )
