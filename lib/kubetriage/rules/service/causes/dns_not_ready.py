"""The cluster's DNS has no ready endpoint, or its Service is gone.

Meaning: no name resolves inside the cluster, whatever state the Service itself is in.

Told by: the endpoints of Service kube-dns in kube-system, which every installer keeps under that name whatever
serves it. When that Service or its endpoints are not there to be read, nothing is told. Also by the log of its pods,
where they may not read EndpointSlices, and by the pods of NodeLocal DNSCache on the nodes.

Fix: that of the CoreDNS pods' own cause, where it was seen; else repair them.

Source: kubernetes cluster/addons/dns; kubelet clusterDNS.
"""

import json
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import DNS_LABELS, DNS_NAMESPACE, clients
from kubetriage.rules.service.dns_words import dns_refusal
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.values.commands import kubectl

CODE = "DNSNotReady"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the cluster's DNS Service, what its pods say, and the caches on the nodes."""
    yield from _refused(trace)
    yield from _caches(trace)
    dns = trace.dns
    if not dns.lookup.found or not dns.endpoints.read or dns.endpoints.presumed:
        return
    items = dns.endpoints.items
    if any(e.takes_traffic for e in items) or dns_refusal(trace) is not None:
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


def _refused(trace: Trace) -> Iterator[Fault]:
    """Tell of DNS pods that may not read what they make names of."""
    said = dns_refusal(trace)
    if said is None:
        return
    match, pod, container = said.match, said.pod, said.container
    rule = {"apiGroups": [match["group"]], "resources": [match["resource"]], "verbs": ["list", "watch"]}
    patch = json.dumps([{"op": "add", "path": "/rules/-", "value": rule}])
    what = f"{match['resource']}.{match['group']}".rstrip(".")
    own = next((b for b in trace.services if (b.namespace, b.name) == (trace.dns.namespace, trace.dns.name)), None)
    yield fault(
        CODE,
        own.pods_place if own is not None else trace.dns_place,
        f"The cluster's DNS may not read {what}, so it has no names of Services: its ClusterRole is older than "
        "its image.",
        proof="observed",
        about=pod.ref,
        evidence=[Evidence("log", f"pod/{pod.name} {container}", match.string.strip())],
        fix=(
            Fix(
                f"Let clusterrole/system:coredns list and watch {what}, then restart the DNS pods",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("patch", "clusterrole", "system:coredns", "--type=json", "-p", patch),
                    kubectl("rollout", "restart", "deployment/coredns", namespace=pod.namespace),
                ),
            ),
        ),
        verify=(kubectl("logs", pod.name, "--tail=20", namespace=pod.namespace),),
        short=f"the DNS pods may not read {what}",
    )


CACHE_LABELS = {"k8s-app": "node-local-dns"}
"""Labels of NodeLocal DNSCache, which pods ask first where it is installed."""


def _caches(trace: Trace) -> Iterator[Fault]:
    """Tell of a node whose DNS cache does not run: pods there ask it, and nobody answers."""
    down = [p for p in trace.world.selected(DNS_NAMESPACE, CACHE_LABELS) if not p.ready and not p.deleting]
    own = {p.node for p in clients(trace) if p.node}
    near = [p for p in down if not own or p.node in own]
    if not near:
        return
    pod = near[0]
    said = next((f for f in trace.world.crash(pod) if f.severity is not Severity.NOTE), None)
    why = f": {said.message.rstrip('.')}" if said is not None else ""
    seen = trace.options.symptom in ("nxdomain", "timeout")
    yield fault(
        CODE,
        trace.dns_place,
        f"The DNS cache of node {pod.node} (pod/{pod.name}) does not run{why}. Pods on that node that ask it resolve "
        "no names.",
        severity=Severity.ERROR if seen or own else Severity.WARNING,
        proof="observed",
        confidence=Confidence.LIKELY,
        about=pod.ref,
        evidence=[
            pod.fact("status", f"pod/{pod.name} STATUS", f"{pod.status_text()}, {pod.ready_text()} ready"),
            *(said.evidence[:2] if said is not None else ()),
        ],
        fix=(said.fix if said is not None else ())
        or (Fix(f"Repair pod/{pod.name}: its log says why it does not run", actor=Actor.CLUSTER),),
        verify=(kubectl("get", "pods", "-l", "k8s-app=node-local-dns", "-o", "wide", namespace=DNS_NAMESPACE),),
        short=f"the DNS cache of node {pod.node} does not run",
    )
