"""kube-proxy does not run on some nodes, so addresses of Services do not work from there.

Meaning: on such a node connections to cluster addresses and node ports go to endpoints of the past, or nowhere; pods on
other nodes reach the same Service.

Told by: pods of kube-proxy (label k8s-app=kube-proxy) that are not ready, and what the crash rules say of them. Where
no such pod was seen, nothing is told: Cilium, k3s and others do its work elsewhere.

Fix: that of the pod's own cause; clients on that node wait for it.

Source: kube-proxy DaemonSet of kubeadm and the clouds.
"""

from collections.abc import Iterator

from kubetriage.model import Confidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import DNS_NAMESPACE, KUBE_PROXY_LABELS, KUBE_PROXY_SYMPTOMS
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.values.commands import kubectl

CODE = "KubeProxyNotReady"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the pods of kube-proxy, once for a trace with a Service that has an address of its own."""
    backend = next((b for b in trace.services if not b.headless and not b.is_external), None)
    pods = [p for p in trace.world.selected(DNS_NAMESPACE, KUBE_PROXY_LABELS) if not p.finished]
    down = [p for p in pods if not p.ready and not p.deleting]
    if backend is None or not down:
        return
    one = down[0]
    said = next((f for f in trace.world.crash(one) if f.severity is not Severity.NOTE), None)
    nodes = ", ".join(p.node for p in down[:3] if p.node) or "its node"
    share = f"{len(down)} of {plural(len(pods), 'node')}"
    why = f": {said.message.rstrip('.')}" if said is not None else ""
    seen = trace.options.symptom in KUBE_PROXY_SYMPTOMS
    yield fault(
        CODE,
        backend.place,
        f"kube-proxy does not run on {share} ({nodes}){why}. From there svc/{backend.name} is not reached by its "
        "address, or old endpoints are asked.",
        severity=Severity.ERROR if len(down) == len(pods) or seen else Severity.WARNING,
        proof="observed",
        confidence=Confidence.LIKELY,
        about=one.ref,
        evidence=[
            *(p.fact("status", f"pod/{p.name} STATUS", f"{p.status_text()} on {p.node}") for p in down[:2]),
            *(said.evidence[:2] if said is not None else ()),
        ],
        fix=(said.fix if said is not None else ())
        or (Fix(f"Repair pod/{one.name}: its log says what it lacks on node {one.node}"),),
        verify=(kubectl("get", "pods", "-l", "k8s-app=kube-proxy", "-o", "wide", namespace=DNS_NAMESPACE),),
        short=f"kube-proxy does not run on {share}",
    )
