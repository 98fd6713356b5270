"""Every pod behind the Service is being deleted.

Meaning: no ready endpoint is left. kube-proxy still uses terminating pods that pass their readiness probe, for as
long as their grace period lasts; then every request is refused.

Told by: ``metadata.deletionTimestamp`` on all selected pods, and the serving condition of their endpoints. Told
apart from pods that are merely not ready.

Fix: find out who deletes them (scaled down, drained node, deleted workload) and bring up replacements.

Source: KEP-1669 (ProxyTerminatingEndpoints); kubernetes pkg/proxy/topology.go CategorizeEndpoints.
"""

from collections.abc import Iterator

from kubetriage.model import Finding, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.values.fields import text, texts

CODE = "PodsTerminating"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the pods of each Service."""
    for backend in trace.services:
        if not backend.pods or not all(p.deleting for p in backend.pods):
            continue
        serving = [e for e in backend.endpoints.items if e.serving and e.terminating]
        last = "; they still answer until their grace period ends" if serving else ""
        count = len(backend.pods)
        stuck = _stuck(backend)
        subject = (
            f"The only pod behind svc/{backend.name} is"
            if count == 1
            else f"All {count} pods behind svc/{backend.name} are"
        )
        replaced = "it" if count == 1 else "them"
        held = f" {stuck.message}" if stuck is not None else ""
        yield fault(
            CODE,
            backend.pods_place,
            f"{subject} being deleted and nothing replaces {replaced}{last}.{held}",
            severity=Severity.WARNING if serving else Severity.ERROR,
            about=backend.workload(backend.pods[0]),
            evidence=[
                *(
                    p.fact(
                        "status",
                        f"pod/{p.name} metadata.deletionTimestamp",
                        text(p.raw, "metadata", "deletionTimestamp"),
                    )
                    for p in backend.pods[:3]
                ),
                *(stuck.evidence[1:] if stuck is not None else ()),
            ],
            fix=[Fix(_remedy(backend)), *(stuck.fix if stuck is not None else ())],
            verify=(
                backend.kubectl("get", "pods", "-l", backend.selector_text),
                *(stuck.verify if stuck is not None else ()),
            ),
            short=f"{plural(count, 'pod')}, all terminating" + (", still serving" if serving else ""),
        )


def _stuck(backend: Backend) -> Finding | None:
    """Return what the crash rules say of a pod that should have been gone."""
    found = (f for p in backend.pods for f in backend.world.crash(p) if f.cause == "StuckTerminating")
    return next((f for f in found if f.severity is Severity.ERROR), None)


def _remedy(backend: Backend) -> str:
    held = next(((p, names) for p in backend.pods if (names := texts(p.raw, "metadata", "finalizers"))), None)
    if held is not None:
        return (
            f"Let the controller of finalizer {', '.join(held[1])} finish pod/{held[0].name}, and bring up replacements"
        )
    return "Find out who deletes them (a drained node, a deleted workload) and bring up replacements"
