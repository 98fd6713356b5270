"""Every pod behind the Service is being deleted.

Meaning: no ready endpoint is left. kube-proxy still uses terminating pods that pass their readiness probe, for as
long as their grace period lasts; then every request is refused.

Told by: ``metadata.deletionTimestamp`` on all selected pods, and the serving condition of their endpoints. Told
apart from pods that are merely not ready.

Fix: find out who deletes them (scaled down, drained node, deleted workload) and bring up replacements.

Source: KEP-1669 (ProxyTerminatingEndpoints); kubernetes pkg/proxy/topology.go CategorizeEndpoints.
"""

from collections.abc import Iterator

from kubetriage.fields import texts
from kubetriage.model import Fix, Severity
from kubetriage.rules.service.case import Backend, Fault, Trace, fault, plural

CODE = "PodsTerminating"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the pods of each Service."""
    for backend in trace.services:
        if not backend.pods or not all(p.deleting for p in backend.pods):
            continue
        serving = [e for e in backend.endpoints.items if e.serving and e.terminating]
        last = "; they still answer until their grace period ends" if serving else ""
        count = plural(len(backend.pods), "pod")
        yield fault(
            CODE,
            backend.pods_place,
            f"All {count} behind svc/{backend.name} are being deleted and nothing replaces them{last}.",
            severity=Severity.WARNING if serving else Severity.ERROR,
            about=backend.workload(backend.pods[0]),
            evidence=[
                p.fact("status", f"pod/{p.name} metadata.deletionTimestamp", p.deletion or "set")
                for p in backend.pods[:3]
            ],
            fix=[Fix(_remedy(backend))],
            verify=(f"{backend.command} get pods -l {backend.selector_text}",),
            short=f"all {count} terminating" + (", still serving" if serving else ""),
        )


def _remedy(backend: Backend) -> str:
    held = next(((p, names) for p in backend.pods if (names := texts(p.raw, "metadata", "finalizers"))), None)
    if held is not None:
        return (
            f"Let the controller of finalizer {', '.join(held[1])} finish pod/{held[0].name}, and bring up replacements"
        )
    return "Find out who deletes them (a drained node, a deleted workload) and bring up replacements"
