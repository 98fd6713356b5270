"""The cluster's DNS has no ready endpoint, or its Service is gone.

Meaning: no name resolves inside the cluster, whatever state the Service itself is in.

Told by: the endpoints of Service kube-dns in kube-system, which every installer keeps under that name whatever
serves it. When that Service or its endpoints are not there to be read, nothing is told.

Fix: repair the CoreDNS pods.

Source: kubernetes cluster/addons/dns; kubelet clusterDNS.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault, plural

CODE = "DNSNotReady"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the cluster's DNS Service."""
    dns = trace.dns
    if not dns.lookup.found or not dns.endpoints.read or dns.endpoints.presumed:
        return
    items = dns.endpoints.items
    if any(e.takes_traffic for e in items):
        return
    yield fault(
        CODE,
        trace.dns_place,
        f"The cluster's DNS (svc/{dns.name} in {dns.namespace}) has no ready endpoint: names do not resolve.",
        evidence=[Evidence("status", f"endpoints of svc/{dns.name}", plural(len(items), "endpoint") + ", 0 ready")],
        fix=[Fix(f"Repair the DNS pods (k8s-app=kube-dns in namespace {dns.namespace}); kubectl why-crash tells why")],
        verify=(
            f"kubectl -n {dns.namespace} get pods -l k8s-app=kube-dns -o wide",
            f"kubectl -n {dns.namespace} get endpointslices -l kubernetes.io/service-name={dns.name}",
        ),
        short=f"0 of {plural(len(items), 'endpoint')} ready",
    )
