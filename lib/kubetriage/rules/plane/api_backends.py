"""The pods that serve an aggregated API: in comes the APIService, out go their own words and what these ask for."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.needs import Get, List, Log, Need
from kubetriage.readers.outer_layers import peeled
from kubetriage.readers.pods import Pod
from kubetriage.rules.machine import Machine
from kubetriage.rules.plane.component_log import said
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import Obj, mapping, name_of, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

_SHOWN = 2
"""Pods behind one service whose log is read."""


def service_of(api: Obj) -> tuple[str, str]:
    """Return namespace and name of the service that serves an aggregated API; empty where the API server does."""
    service = mapping(api, "spec", "service")
    return text(service, "namespace"), text(service, "name")


def backend_needs(api: Obj, snapshot: Snapshot) -> Iterator[Need]:
    """Say what tells why the pods behind an aggregated API do not serve it."""
    namespace, name = service_of(api)
    if not name:
        return
    yield List("endpointslices", namespace, cached=True, timeout=5.0)
    for pod in _named(namespace, name, snapshot):
        yield Get("pods", namespace, pod)
    yield from _logs(namespace, name, snapshot)


def _named(namespace: str, service: str, snapshot: Snapshot) -> list[str]:
    """Return the names of the pods behind a service, ready or not."""
    slices = snapshot.list("endpointslices", namespace).items
    mine = [s for s in slices if text(s, "metadata", "labels", "kubernetes.io/service-name") == service]
    if not mine and snapshot.source != "cluster" and not snapshot.list("endpointslices", namespace).complete:
        # A text shows pods without the slices that would name them; these are named after the service as a rule.
        pods = map(name_of, snapshot.list("pods", namespace).items)
        return sorted(pod for pod in pods if pod.startswith(f"{service}-"))[:_SHOWN]
    ends = [e for s in mine for e in objects(s, "endpoints") if text(e, "targetRef", "kind") == "Pod"]
    return sorted({text(e, "targetRef", "name") for e in ends})[:_SHOWN]


def _logs(namespace: str, service: str, snapshot: Snapshot) -> list[Log]:
    found = []
    for name in _named(namespace, service, snapshot):
        pod = snapshot.get("pods", namespace, name).obj
        if pod is not None:
            found += [Log(namespace, name, c.name) for c in Pod(pod).containers[:1]]
    # A recording may hold the log of a pod and no slice that names it.
    found += [Log(namespace, pod, service) for pod in snapshot.logged(namespace, service)]
    return list(dict.fromkeys(found))[:_SHOWN]


_WRONG = lazy(r"\A[EF]\d{4} |level=(?:error|fatal)|\"level\":\"(?:error|fatal)\"|panic:|err=|[Ee]rror:|[Ff]ailed to")


def backend_words(api: Obj, snapshot: Snapshot) -> Evidence | None:
    """Return the newest error in the logs of the pods behind an aggregated API; one that is understood goes first."""
    namespace, name = service_of(api)
    told = plain = None
    for need in _logs(namespace, name, snapshot) if name else ():
        log = snapshot.log(need.namespace, need.pod, need.container)
        for line in peeled(log.text, snapshot.now) if log.seen else ():
            if not _WRONG.search(line.text):
                continue
            quote = Evidence(
                "log", f"{namespace}/{need.pod}", said(line.text), format_time(line.at) if line.at is not None else ""
            )
            plain = quote
            if any(pattern.search(line.text) for pattern, _ in _ENDS):
                told = quote
    return told or plain


_ENDS = (
    (lazy(r"cannot validate certificate for \S+ because it doesn't contain any IP SANs"), "serving"),
    (lazy(r":10250.{0,200}x509: certificate signed by unknown authority"), "serving"),
    (lazy(r"lookup \S+(?: on \S+)?: (?:no such host|server misbehaving)"), "names"),
    (lazy(r":10250.{0,200}(?:i/o timeout|no route to host|connection refused|deadline exceeded)"), "kubelets"),
    (lazy(r"(?:nodes/(?:metrics|stats|proxy)|10250).{0,200}(?:\b403\b|[Ff]orbidden)"), "rights"),
    (lazy(r":10250.{0,200}(?:\b401\b|Unauthorized)"), "tokens"),
    (
        lazy(
            r"(?:10\.\d+\.\d+\.1|kubernetes\.default[\w.]{0,20}|\]?:443).{0,80}(?:i/o timeout|no route to host|refused)"
        ),
        "server",
    ),
)
# What ends each, for whoever scrapes kubelets: metrics-server first (its FAQ and known issues).


def backend_fix(words: str, namespace: str, service: str, machine: Machine) -> Fix | None:
    """Return the fix that the words of a pod behind an aggregated API ask for; None when they fit none."""
    kind = next((kind for pattern, kind in _ENDS if pattern.search(words)), "")
    deployment = f"deployment/{service}"
    config = machine.path("kubelet_config") or "the kubelet's configuration"
    if kind == "serving":
        return Fix(
            "The kubelets' serving certificates are self-signed. Set serverTLSBootstrap: true in"
            f" {config}, restart the kubelets, approve their requests. Only in a test cluster: --kubelet-insecure-tls.",
            actor=Actor.NODE,
            commands=(kubectl("get", "csr"), kubectl("edit", deployment, namespace=namespace)),
        )
    if kind == "names":
        return Fix(
            "It looks nodes up by a name that the cluster's DNS does not have: let it use their addresses,"
            " --kubelet-preferred-address-types=InternalIP.",
            actor=Actor.MANIFEST,
            commands=(kubectl("edit", deployment, namespace=namespace), kubectl("get", "nodes", "-o", "wide")),
        )
    if kind == "kubelets":
        return Fix(
            "Open port 10250 of the nodes for it: firewall or security group from the pod network, a network policy,"
            " or the pod network between nodes.",
            actor=Actor.CLOUD,
            commands=(
                kubectl("get", "pods", "-o", "wide", namespace=namespace),
                kubectl("get", "networkpolicies", namespace=namespace),
            ),
        )
    if kind == "rights":
        return Fix(
            "Give its ServiceAccount the right to get nodes/metrics (ClusterRole of its release), then restart it.",
            actor=Actor.CLUSTER,
            commands=(
                kubectl("auth", "can-i", "get", "nodes/metrics", f"--as=system:serviceaccount:{namespace}:{service}"),
            ),
        )
    if kind == "tokens":
        return Fix(
            f"Let kubelets accept tokens: authentication.webhook.enabled: true in {config}; then restart them.",
            actor=Actor.NODE,
            commands=machine.lines("kubelet restart"),
        )
    if kind == "server":
        return Fix(
            "Its pod does not reach the API server's service address: mend kube-proxy or the network plugin on its node"
            " first.",
            actor=Actor.NODE,
            commands=(
                kubectl("get", "pods", "-o", "wide", namespace="kube-system"),
                shell("kubectl", "get", "endpointslices", "-n", "default", "-o", "wide"),
            ),
        )
    return None
