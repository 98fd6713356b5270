"""Some pods behind the Service are not ready; the others carry the load.

Meaning: requests are answered, by fewer pods than intended. During a rollout this passes by itself; if it stays,
it is the beginning of an outage.

Told by: the Ready condition of the selected pods, the why-crash verdict of those that are not ready.

Fix: what why-crash says for the pods that are not ready.

Source: k8s.io/endpointslice utils.go podToEndpoint.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix, Severity
from kubetriage.records import replace
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault
from kubetriage.rules.service.pod_health import pods_fault, share, troubles, unready

CODE = "SomePodsNotReady"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the pods of each Service."""
    for backend in trace.services:
        groups = troubles(backend)
        if not backend.ready_pods or not groups:
            continue
        verb = "is" if len(unready(backend)) == 1 else "are"
        head = f"{share(len(unready(backend)), backend)} {verb} not ready"
        found = pods_fault(CODE, backend, head, groups, Severity.WARNING)
        yield _published(backend, found) if backend.publishes_unready and not backend.headless else found


def _published(backend: Backend, found: Fault) -> Fault:
    """Add that the Service sends requests to pods that are not ready, too."""
    patch = {"spec": {"publishNotReadyAddresses": False}}
    return replace(
        found,
        message=f"svc/{backend.name} has publishNotReadyAddresses, so requests go to pods that are not ready, too, and "
        f"fail there. {found.message}",
        evidence=(
            Evidence("spec", f"service/{backend.name} spec.publishNotReadyAddresses", "true"),
            *found.evidence,
        ),
        fix=(
            Fix(f"Let svc/{backend.name} send to ready pods only", patch, backend.ref, Actor.MANIFEST),
            *found.fix,
        ),
    )
