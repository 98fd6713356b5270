"""Every pod behind the Service crashes, so no request can be answered.

Meaning: the Service, its selector and its ports may be right; there is no running program behind them. Repair the
pods first, everything above this row follows.

Told by: the selected pods are not ready and their containers ended and were started again; why they end is the
verdict of the why-crash rules. Told apart from pods that run but do not get ready (PodsNotReady).

Fix: what why-crash says for the pods.

Source: EndpointSlice conditions follow the pod's Ready condition (k8s.io/endpointslice utils.go podToEndpoint).
"""

from collections.abc import Iterator

from kubetriage.model import Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault
from kubetriage.rules.service.pod_health import pods_fault, share, troubles, unready

CODE = "PodsCrashing"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the pods of each Service."""
    for backend in trace.services:
        groups = troubles(backend)
        if backend.ready_pods or not groups:
            continue
        crashing = [g for g in groups if g.crashing]
        if not crashing or (len(groups) > 1 and not groups[0].crashing):
            continue
        severity = Severity.WARNING if backend.publishes_unready else Severity.ERROR
        ordered = crashing + [g for g in groups if not g.crashing]
        verb = "crashes" if len(unready(backend)) == 1 else "crash"
        yield pods_fault(CODE, backend, f"{share(len(unready(backend)), backend)} {verb}", ordered, severity)
