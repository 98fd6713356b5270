"""kube-proxy does not run on some nodes, so addresses of Services do not work from there.

Meaning: on such a node connections to cluster addresses and node ports go to endpoints of the past, or nowhere; pods on
other nodes reach the same Service.

Told by: pods of kube-proxy (label k8s-app=kube-proxy) that are not ready, and what the crash rules say of them. Where
no such pod was seen, nothing is told (Cilium, k3s and others do its work elsewhere), unless all pods of kube-system
were read and Cilium's own configuration says that it does not.

Fix: that of the pod's own cause; clients on that node wait for it.

Source: kube-proxy DaemonSet of kubeadm and the clouds.
"""

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Ref, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import DNS_NAMESPACE, KUBE_PROXY_LABELS, KUBE_PROXY_SYMPTOMS
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import labels, text
from kubetriage.values.patterns import lazy

CODE = "KubeProxyNotReady"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the pods of kube-proxy, once for a trace with a Service that has an address of its own."""
    backend = next((b for b in trace.services if not b.headless and not b.is_external), None)
    pods = [p for p in trace.world.selected(DNS_NAMESPACE, KUBE_PROXY_LABELS) if not p.finished]
    down = [p for p in pods if not p.ready and not p.deleting]
    if backend is not None and not pods:
        yield from _nobody(trace, backend)
    if backend is not None and not down:
        yield from _cannot_write(trace, backend, pods)
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


_FAILS = lazy(
    r"(?:Failed to (?:execute|ensure|sync|save|restore)|Error (?:executing|syncing|setting)|can'?t set up|Unable to)"
    r"[^\n]{0,80}(?P<what>iptables|ip6tables|ipvs|ipset|nftables|\bnft\b|conntrack|chain|rules)",
    re.IGNORECASE,
)
_MODULE = lazy(
    r"Couldn't load (?:match|target) `(?P<module>[\w-]+)'"
    r"|(?P<ipvs>ip_vs\w{0,20}|nf_conntrack\w{0,20})[^\n]{0,40}not found"
)


def _cannot_write(trace: Trace, backend: Backend, pods: list[Pod]) -> Iterator[Fault]:
    """Tell of a kube-proxy that runs, and whose newest lines say that it cannot write its rules."""
    for pod in pods:
        for container in pod.containers[:1]:
            log = trace.snapshot.log(pod.namespace, pod.name, container.name)
            lines = log.text.splitlines()[-_LINES:] if log.seen else []
            bad = [line for line in lines if len(line) < 2000 and _FAILS.search(line)]
            if len(bad) < _OFTEN:
                continue
            match = _FAILS.search(bad[-1])
            what = match["what"] if match is not None else ""
            module = _MODULE.search(bad[-1])
            name = _name(module) if module is not None else ""
            fix = (
                f"Load the kernel module {name} on node {pod.node} (modprobe, and /etc/modules-load.d for the next "
                "start), then restart the pod. Where the kernel has none, take another mode of kube-proxy or another "
                "kernel"
                if name
                else f"Act on the line: what of the kernel or of iptables kube-proxy lacks on node {pod.node} (a "
                "module, another version of iptables, a lock, other rules in its way), then restart the pod"
            )
            yield fault(
                CODE,
                backend.place,
                f"kube-proxy on node {pod.node} runs and cannot write its rules ({what}), by its own log: Services "
                f"that changed since, svc/{backend.name} perhaps among them, are not reached from there.",
                proof="observed",
                confidence=Confidence.LIKELY,
                about=pod.ref,
                evidence=[Evidence("log", f"pod/{pod.name} {container.name}", bad[-1].strip())],
                fix=[
                    Fix(
                        fix,
                        actor=Actor.NODE,
                        commands=(kubectl("delete", "pod", pod.name, namespace=pod.namespace),),
                    )
                ],
                verify=(kubectl("logs", pod.name, "--tail=50", namespace=pod.namespace),),
                short=f"kube-proxy on {pod.node} cannot write its rules",
            )
            return


def _name(module: re.Match[str]) -> str:
    return module["ipvs"] or f"xt_{module['module']}"


_LINES = 50
_OFTEN = 2
"""One line alone may be of a start, or of a lock that somebody else held."""

_NOT_REPLACED = ("false", "disabled")
_BUILT_IN = ("+k3s", "+rke2")
"""Distributions whose node agent does kube-proxy's work itself, by their version."""


def _nobody(trace: Trace, backend: Backend) -> Iterator[Fault]:
    """Tell of a cluster without kube-proxy where Cilium was not told to do its work."""
    found = trace.snapshot.get("configmaps", DNS_NAMESPACE, "cilium-config")
    data = labels(found.obj, "data")
    value = data.get("kube-proxy-replacement", "")
    pods = trace.world.listing("pods", DNS_NAMESPACE)
    if value.lower() not in _NOT_REPLACED or not pods.complete:
        return
    nodes = trace.world.listing("nodes").items
    versions = [text(n, "status", "nodeInfo", "kubeletVersion") for n in nodes]
    if not versions:
        return
    own = [Pod(p) for p in pods.items]
    if any(b in v for v in versions for b in _BUILT_IN) or any("kube-proxy" in p.name for p in own):
        return
    if not any(p.labels.get("k8s-app") == "cilium" for p in own):
        return
    yield fault(
        CODE,
        backend.place,
        f"No kube-proxy runs in this cluster, and Cilium was told not to replace it (kube-proxy-replacement: {value}): "
        f"nothing makes the address of svc/{backend.name}, or any other Service's, lead to pods.",
        proof="inferred",
        confidence=Confidence.LIKELY,
        about=Ref("ConfigMap", DNS_NAMESPACE, "cilium-config"),
        evidence=[
            Evidence("config", "configmap/cilium-config kube-proxy-replacement", value),
            Evidence("status", f"pods of kube-proxy in {DNS_NAMESPACE}", "<none>"),
        ],
        fix=[
            Fix(
                "Let Cilium replace kube-proxy; it must then reach the API server by its own address. Restart its pods "
                "after it",
                actor=Actor.CLUSTER,
                commands=(
                    shell(
                        *("helm", "upgrade", "cilium", "cilium/cilium", "-n", DNS_NAMESPACE, "--reuse-values"),
                        *("--set", "kubeProxyReplacement=true", "--set", "k8sServiceHost=API-SERVER-HOST"),
                        *("--set", "k8sServicePort=6443"),
                    ),
                    kubectl("rollout", "restart", "daemonset/cilium", namespace=DNS_NAMESPACE),
                ),
            ),
            Fix(
                "Or bring kube-proxy back (kubeadm, on a control plane node)",
                actor=Actor.CLUSTER,
                commands=(shell("kubeadm", "init", "phase", "addon", "kube-proxy"),),
            ),
        ],
        verify=(kubectl("exec", "ds/cilium", "--", "cilium-dbg", "status", namespace=DNS_NAMESPACE),),
        short="no kube-proxy runs, and Cilium does not replace it",
    )
