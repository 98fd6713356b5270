"""The client asks another DNS server than the cluster's, which does not know names of Services.

Meaning: ``NAME.NAMESPACE.svc`` does not resolve for this client (no such host, or a timeout), while it does for others.

Told by: for ``--client`` its dnsPolicy: a pod on the network of its node with ClusterFirst gets the node's own
resolv.conf, and so does any pod with Default. Its own log, where it names the server that it asked: an address that is
neither that of the cluster's DNS Service nor a link-local one (NodeLocal DNSCache) is what its kubelet was told.

Fix: dnsPolicy ClusterFirstWithHostNet for pods with hostNetwork, ClusterFirst for others; the address of the DNS
Service in clusterDNS of the kubelet's configuration.

Source: Kubernetes DNS for Services and Pods, pod's DNS policy; KubeletConfiguration clusterDNS.
"""

import ipaddress
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import clients
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.workloads import controller_ref
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy

CODE = "ClusterDNSNotAsked"

_ASKED = lazy(r"lookup (\S{1,253}) on (\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:]{2,39}\]):53: ")
_LONGEST = 2000


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the clients that the user named, where a Service is on the way."""
    if not trace.services:
        return
    for pod in clients(trace):
        asked = _asked(trace, pod)
        policy = text(pod.raw, "spec", "dnsPolicy") or "ClusterFirst"
        right = "ClusterFirstWithHostNet" if pod.host_network else "ClusterFirst"
        own = texts(pod.raw, "spec", "dnsConfig", "nameservers")
        # Off the node's network ClusterFirstWithHostNet is ClusterFirst.
        if policy not in ("None", right, "ClusterFirstWithHostNet") and not own:
            yield _by_policy(trace, pod, policy, right, asked)
            return
        if asked is not None and policy == right:
            yield _by_kubelet(trace, pod, *asked)
            return


def _asked(trace: Trace, pod: Pod) -> tuple[str, Evidence] | None:
    """Return the server that a client's lookup of a Service's name failed at, where it is not the cluster's."""
    known = {text(trace.dns.service, "spec", "clusterIP"), *texts(trace.dns.service, "spec", "clusterIPs")} - {""}
    names = {b.name for b in trace.services}
    for container in pod.containers:
        log = trace.snapshot.log(pod.namespace, pod.name, container.name)
        for line in reversed(log.text.splitlines() if log.seen and known else ()):
            match = _ASKED.search(line) if len(line) < _LONGEST else None
            if match is None or match[1].split(".")[0] not in names:
                continue
            server = match[2].strip("[]")
            if server in known or ipaddress.ip_address(server).is_link_local:
                return None
            return server, Evidence("log", f"pod/{pod.name} {container.name}", line.strip())
    return None


def _by_policy(trace: Trace, pod: Pod, policy: str, right: str, asked: tuple[str, Evidence] | None) -> Fault:
    owner = controller_ref(trace.snapshot, pod.raw)
    shown = f"{owner.kind.lower()}/{owner.name}" if owner is not None else f"pod/{pod.name}"
    patch = {"spec": {"template": {"spec": {"dnsPolicy": right}}}}
    why = "is on the network of its node with dnsPolicy" if pod.host_network else "has dnsPolicy"
    seen = asked is not None or trace.options.symptom == "nxdomain"
    return fault(
        CODE,
        trace.dns_place,
        f"pod/{pod.name} {why} {policy}, so it asks the DNS servers of its node, and these do not know the names of "
        "Services.",
        severity=Severity.ERROR if seen else Severity.WARNING,
        proof="observed" if asked is not None else "inferred",
        confidence=Confidence.LIKELY,
        about=pod.ref,
        evidence=[
            pod.fact("spec", f"pod/{pod.name} spec.dnsPolicy", policy),
            pod.fact("spec", f"pod/{pod.name} spec.hostNetwork", str(pod.host_network).lower()),
            *((asked[1],) if asked is not None else ()),
        ],
        fix=[
            Fix(
                f"Set dnsPolicy: {right} in the pod template of {shown}",
                patch if owner is not None else None,
                owner,
                Actor.MANIFEST,
            )
        ],
        verify=(kubectl("exec", pod.name, "--", "cat", "/etc/resolv.conf", namespace=pod.namespace),),
        short=f"pod/{pod.name} asks the DNS servers of its node",
    )


def _by_kubelet(trace: Trace, pod: Pod, server: str, line: Evidence) -> Fault:
    right = text(trace.dns.service, "spec", "clusterIP")
    nodes = [a for n in trace.world.listing("nodes").items for a in objects(n, "status", "addresses")]
    of_node = any(text(a, "address") == server for a in nodes)
    return fault(
        CODE,
        trace.dns_place,
        f"pod/{pod.name} asks {server} for the names of Services, and the cluster's DNS is svc/{trace.dns.name} at "
        f"{right}: the kubelet of node {pod.node} was told another address" + (", that of a node." if of_node else "."),
        proof="observed",
        confidence=Confidence.LIKELY,
        about=pod.ref,
        evidence=[line, Evidence("spec", f"service/{trace.dns.name} spec.clusterIP", right)],
        fix=[
            Fix(
                f"Set clusterDNS: [{right}] in the kubelet's configuration of node {pod.node} (and of each node like "
                "it; kubeadm: /var/lib/kubelet/config.yaml), restart the kubelet, then make the pods anew",
                actor=Actor.NODE,
                commands=(kubectl("exec", pod.name, "--", "cat", "/etc/resolv.conf", namespace=pod.namespace),),
            )
        ],
        verify=(kubectl("get", "service", trace.dns.name, namespace=trace.dns.namespace),),
        short=f"pod/{pod.name} asks {server}, not the cluster's DNS at {right}",
    )
