"""The cluster's DNS has no ready endpoint, or its Service is gone.

Meaning: no name resolves inside the cluster, whatever state the Service itself is in.

Told by: the endpoints of Service kube-dns in kube-system, which every installer keeps under that name whatever
serves it. When that Service or its endpoints are not there to be read, nothing is told.

Fix: that of the CoreDNS pods' own cause, where it was seen; else repair them.

Source: kubernetes cluster/addons/dns; kubelet clusterDNS.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import DNS_LABELS, DNS_NAMESPACE
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.values.commands import kubectl

CODE = "DNSNotReady"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the cluster's DNS Service."""
    dns = trace.dns
    if not dns.lookup.found or not dns.endpoints.read or dns.endpoints.presumed:
        return
    items = dns.endpoints.items
    if any(e.takes_traffic for e in items):
        return
    root = _root(trace)
    why = f" Its pods: {root.message}" if root is not None else ""
    yield fault(
        CODE,
        trace.dns_place,
        f"The cluster's DNS (svc/{dns.name} in {dns.namespace}) has no ready endpoint: names do not resolve.{why}",
        evidence=[
            Evidence("status", f"endpoints of svc/{dns.name}", plural(len(items), "endpoint") + ", 0 ready"),
            *(root.evidence[:2] if root is not None else ()),
        ],
        fix=(root.fix if root is not None else ())
        or (Fix(f"Repair the DNS pods (k8s-app=kube-dns in namespace {dns.namespace}); kubectl why-crash tells why"),),
        verify=(
            kubectl("get", "pods", "-l", "k8s-app=kube-dns", "-o", "wide", namespace=dns.namespace),
            kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={dns.name}", namespace=dns.namespace),
        ),
        short=f"0 of {plural(len(items), 'endpoint')} ready",
    )


def _root(trace: Trace) -> Finding | None:
    """Return what the crash rules say of a DNS pod, where its pods were read."""
    for pod in trace.world.selected(DNS_NAMESPACE, DNS_LABELS):
        if not pod.ready and not pod.finished:
            return next((f for f in trace.world.crash(pod) if f.severity is not Severity.NOTE), None)
    return None
