"""The Service does not exist in the namespace.

Meaning: its DNS name does not resolve (NXDOMAIN), and nothing that refers to it works.

Told by: the API server answers NotFound, or the namespace's list does not hold it. A Service of nearly that name,
or of the same name in another namespace, is offered. A Service that may not be read is not seen, never absent.

Fix: use the right name or namespace, or create the Service.

Source: core/v1 Service; DNS names are <service>.<namespace>.svc (kubernetes/dns docs/specification.md).
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Fix
from kubetriage.rules.service.case import Backend, Fault, Trace, fault
from kubetriage.values.fields import name_of, namespace_of
from kubetriage.values.nearest import nearest

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
                f"There is no Service {backend.name} in namespace {backend.namespace}.{hint(backend)}",
                confidence=Confidence.LIKELY if backend.lookup.presumed else Confidence.CONFIRMED,
                evidence=[Evidence("status", f"services/{backend.name}", backend.lookup.why or "not in the list")],
                fix=[Fix(f"Use the right name or namespace, or create Service {backend.name} in {backend.namespace}")],
                verify=(f"{backend.command} get services",),
                short="not found",
            )


def hint(backend: Backend) -> str:
    """Say which Service may be meant; empty when none is near."""
    here = [name_of(s) for s in backend.world.listing("services", backend.namespace).items]
    near = nearest(backend.name, here)
    if near:
        return f" Nearest there: svc/{near}."
    spaces = sorted(
        {
            namespace_of(s)
            for s in backend.world.listing("services").items
            if name_of(s) == backend.name and namespace_of(s) != backend.namespace
        }
    )
    if spaces:
        return f" Namespace {', '.join(spaces[:3])} has one of that name; use {backend.name}.{spaces[0]} for it."
    return f" The namespace has: {', '.join(sorted(here)[:5])}." if here else ""
