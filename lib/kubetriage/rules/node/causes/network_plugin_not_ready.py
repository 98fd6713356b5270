"""The kubelet is alive and says that the node has no working pod network.

Meaning: no pod that needs the pod network can start here; pods with hostNetwork can. New nodes show this until
the CNI's DaemonSet has installed its configuration.

Told by: Ready=False with 'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady
...'. The words after it come from the runtime. Told apart from NetworkUnavailable, which the cloud's route
controller or the CNI writes.

Fix: look at the CNI's pod on this node and its configuration in /etc/cni/net.d.

Source: pkg/kubelet/kubelet.go (updateRuntimeUp), containerd and CRI-O status of the CRI.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.network_plugins import network_plugin
from kubetriage.rules.node.agent_errors import agent_fix
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.missing_network import Missing, failing_here, missing_network
from kubetriage.values.commands import Command, kubectl, shell
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import human_duration

CODE = "NetworkPluginNotReady"

YOUNG = timedelta(minutes=2)
"""Pulling the images of a network plugin takes about so long."""


def check(case: NodeCase) -> Iterator[Finding]:
    """Match a runtime without a network, and say what keeps the network plugin away."""
    if case.untold:
        yield from _beside_a_table(case)
        return
    report = case.reported("network")
    if report is None or case.reported("runtime-down") is not None:
        return
    missing = missing_network(case)
    age = case.now - case.contact.created if case.contact.created else None
    young = age is not None and age < YOUNG
    joined = f" It joined {human_duration(age)} ago: a new node waits for its CNI's pod." if age and young else ""
    yield Finding(
        CODE,
        Severity.WARNING if young else Severity.ERROR,
        Confidence.LIKELY if report.words.startswith("network state unknown") else Confidence.CONFIRMED,
        case.ref,
        (
            f"The kubelet on {case.name} reports NotReady: {report.words.rstrip('.')}.{joined} {_why(missing, case)}"
        ).rstrip(),
        evidence=(*case.contact_evidence(), *missing.evidence()),
        ruled_out=(RuledOut("ContainerRuntimeDown", "the runtime answers and reports this itself"),),
        fix=tuple(_fixes(missing, case)),
        verify=(
            kubectl("get", "pods", "-A", "--field-selector", f"spec.nodeName={case.name}", "-o", "wide"),
            kubectl("get", "node", case.name, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'),
        ),
        details={"reason": missing.reason, **({"plugin": missing.plugin} if missing.plugin else {})},
    )


def _beside_a_table(case: NodeCase) -> Iterator[Finding]:
    """Match a node of which only a table says that it is not ready, beside the plugin's pod that fails on it."""
    missing = failing_here(case)
    if missing is None:
        return
    # Plugins that give out addresses themselves (Calico, Cilium) work without a range of the node.
    doubt = " Flannel and kubenet wait for it; Calico and Cilium mostly do not." if missing.pod is None else ""
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.POSSIBLE if doubt else Confidence.LIKELY,
        case.ref,
        f"{case.name} is NotReady, for which the table gives no reason. {_why(missing, case)}{doubt} Without its plugin"
        " a node has no network for pods.",
        evidence=(*case.contact_evidence(), *missing.evidence()),
        fix=tuple(_fixes(missing, case)),
        verify=(
            kubectl("get", "node", case.name, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")]}'),
            kubectl("get", "pods", "-A", "--field-selector", f"spec.nodeName={case.name}", "-o", "wide"),
        ),
        details={"reason": missing.reason, **({"plugin": missing.plugin} if missing.plugin else {})},
    )


_SERVICE = lazy(r"dial tcp (\d{1,3}(?:\.\d{1,3}){3}):443: ")


def _proxy_down(missing: Missing, case: NodeCase) -> Pod | None:
    """Return kube-proxy's pod here where it does not run: network plugins reach the API server through its rules."""
    if missing.reason != "failing":
        return None
    mine = [p for p in case.pods if p.name.startswith("kube-proxy") and p.namespace == "kube-system"]
    return next((p for p in mine if not p.ready), None)


def _proxy_words(pod: Pod, missing: Missing) -> str:
    address = _SERVICE.search(missing.says)
    over = f" at {address[1]}, the address of Service kubernetes" if address else " through Service kubernetes"
    return (
        f" kube-proxy does not run here either: {pod.name} is {pod.status_text()}. Without it the plugin's pod cannot"
        f" reach the API server{over}."
    )


def _proxy_fix(pod: Pod) -> Fix:
    waits = pod.status_text() in ("ImagePullBackOff", "ErrImagePull")
    image = next((c.image for c in pod.containers if c.image), "")
    text_of = (
        f"Bring up {pod.name} first: its image {image} cannot be pulled. Let DaemonSet kube-proxy name an image that"
        " exists for this version and region (on EKS the add-on's version)."
        if waits and image
        else f"Bring up {pod.name} first: the network plugin's pod follows by itself."
    )
    return Fix(
        text_of,
        actor=Actor.CLUSTER,
        commands=(
            kubectl("why-crash", pod.name, namespace=pod.namespace),
            kubectl(
                "get",
                "daemonset",
                "kube-proxy",
                "-o",
                "jsonpath={.spec.template.spec.containers[0].image}",
                namespace=pod.namespace,
            ),
        ),
    )


def _why(missing: Missing, case: NodeCase) -> str:
    """Say in a sentence what keeps the network plugin away."""
    pod = missing.pod
    others = case.cluster.not_ready
    all_of_them = f" {others} of {len(case.cluster.contacts)} nodes are so." if others > 1 else ""
    said = f" Its log says: {missing.says.rstrip('.')[:240]}." if missing.says else ""
    if missing.told is not None:
        said = f" {missing.told.reason}: {' '.join(missing.told.message.split()).rstrip('.')[:400]}."
    if missing.reason == "range":
        told = "the controller-manager says CIDRNotAvailable" if missing.event else "its network plugin waits for one"
        have, size = _ranges(case)
        # A table shows no ranges.
        count = f" {have} of {size} nodes have one." if not case.untold else ""
        return f"The Node has no podCIDR: {told}.{count}{said}"
    if missing.reason == "none":
        return f"No network plugin is installed: {missing.looked}.{all_of_them}"
    if missing.reason == "refused":
        who = f"webhook {missing.webhook} fails and rejects them" if missing.webhook else "the API server refuses them"
        return f"DaemonSet {missing.plugin} cannot create its pods: {who}.{all_of_them}"
    if missing.reason == "pending" and pod is not None:
        return f"Its pod {pod.namespace}/{pod.name} is not scheduled.{said}"
    if missing.reason == "failing" and pod is not None:
        proxy = _proxy_down(missing, case)
        beside = _proxy_words(proxy, missing) if proxy is not None else ""
        return f"DaemonSet pod {pod.namespace}/{pod.name} here is {pod.status_text()}.{beside}{said}"
    if missing.reason == "not here":
        return f"{missing.plugin} is installed and has no pod on this node."
    if missing.reason == "config" and pod is not None:
        return f"Its pod {pod.namespace}/{pod.name} runs, so its configuration or binaries are missing on the node."
    return "Which network plugin the cluster has was not seen."


def _ranges(case: NodeCase) -> tuple[int, int]:
    """Return how many nodes have a range of pod addresses, of how many."""
    nodes = case.cluster.nodes.values()
    return sum(bool(text(n, "spec", "podCIDR")) for n in nodes), len(nodes)


def _range_fixes(missing: Missing, case: NodeCase) -> Iterator[Fix]:
    """Say who gives a node its range, and why none came."""
    have, _ = _ranges(case)
    unseen = case.untold and missing.event is None
    show = kubectl("get", "nodes", "-o", "custom-columns=NAME:.metadata.name,CIDR:.spec.podCIDR")
    if missing.event is not None or have:
        yield Fix(
            "The cluster's range (--cluster-cidr) has no block of --node-cidr-mask-size left, unless the"
            " controller-manager is down. Delete Nodes of machines that are gone: each holds a block. Else widen the"
            " range in the controller-manager's manifest, and the network plugin's with it. Ranges that are given out"
            " do not change.",
            actor=Actor.CLUSTER,
            commands=(
                show,
                kubectl("logs", "-l", "component=kube-controller-manager", "--tail=50", namespace="kube-system"),
            ),
        )
    elif unseen:
        yield Fix(
            "See which nodes have one. If none: give the controller-manager --allocate-node-cidrs=true and"
            " --cluster-cidr (kubeadm: networking.podSubnet), the range that the network plugin has. If all others:"
            " that range has no block left; delete Nodes of machines that are gone, or widen it.",
            actor=Actor.CLUSTER,
            commands=(
                show,
                kubectl("get", "events", "-A", "--field-selector", "reason=CIDRNotAvailable"),
                kubectl("logs", "-l", "component=kube-controller-manager", "--tail=50", namespace="kube-system"),
            ),
        )
    else:
        yield Fix(
            "No node has one, so nobody gives them out: --allocate-node-cidrs and --cluster-cidr are missing from the"
            " controller-manager (kubeadm: networking.podSubnet). Give it the range that the network plugin has.",
            actor=Actor.CLUSTER,
            commands=(
                show,
                kubectl(
                    "get", "pods", "-l", "component=kube-controller-manager", "-o", "yaml", namespace="kube-system"
                ),
            ),
        )


def _fixes(missing: Missing, case: NodeCase) -> Iterator[Fix]:
    if missing.reason == "range":
        yield from _range_fixes(missing, case)
        return
    if not missing.reason and case.machine.name == "k3s":
        yield Fix(
            "k3s runs flannel in its own process, so no pod shows it. See in its journal why flannel does not start:"
            " a kernel module of the backend (wireguard, vxlan), --flannel-iface, or flannel-backend: none without"
            " another plugin.",
            actor=Actor.NODE,
            commands=(
                shell("ssh", case.machine.address, f"sudo journalctl -u {case.machine.kubelet_unit} | grep -i flannel"),
                *case.machine.lines("kubelet restart"),
            ),
        )
    pod, files = missing.pod, case.machine.lines("network plugin")
    if missing.reason == "none":
        cidr = text(case.node, "spec", "podCIDR")
        agree = (
            f" Its pod range must be the cluster's ({cidr} on this node)."
            if cidr
            else " Its pod range must be the cluster's."
        )
        rows = [network_plugin(n) for n in ("kube-flannel-ds", "cilium")]
        commands = tuple(Command(row["install"]) for row in rows if row and row["install"])
        yield Fix(
            f"Install one network plugin (flannel, Cilium, Calico, or your distribution's add-on).{agree}",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "daemonsets", "-A"), *commands),
        )
        return
    if missing.reason == "refused":
        where, _, name = missing.plugin.partition("/")
        again = kubectl("rollout", "restart", f"daemonset/{name}", namespace=where)
        kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
        find = kubectl("get", kinds, "-o", "custom-columns=KIND:.kind,NAME:.metadata.name,WEBHOOKS:.webhooks[*].name")
        if missing.webhook:
            yield Fix(
                f"Open the webhook first: set failurePolicy Ignore of {missing.webhook}, or delete its configuration"
                " after"
                " saving it. Its own pods cannot start before the nodes have a network.",
                actor=Actor.CLUSTER,
                commands=(
                    find,
                    kubectl("get", "mutatingwebhookconfiguration", "NAME", "-o", "yaml"),
                    kubectl("delete", "mutatingwebhookconfiguration", "NAME"),
                    again,
                ),
            )
        else:
            yield Fix(
                f"Remove what refuses the pods of {missing.plugin} (quota, admission policy, Pod Security).",
                actor=Actor.CLUSTER,
                commands=(kubectl("describe", "daemonset", name, namespace=where), again),
            )
        return
    if (proxy := _proxy_down(missing, case)) is not None:
        yield _proxy_fix(proxy)
    if missing.reason in ("pending", "failing") and pod is not None:
        known = agent_fix(case, missing)
        if known is not None:
            yield known
            return
        yield Fix(
            f"Bring up pod {pod.namespace}/{pod.name}: why-crash tells why it does not run.",
            actor=Actor.CLUSTER,
            commands=(
                kubectl("why-crash", pod.name, namespace=pod.namespace),
                kubectl("logs", pod.name, "--all-containers", "--tail=50", namespace=pod.namespace),
            ),
        )
    elif missing.reason == "not here":
        where, _, name = missing.plugin.partition("/")
        yield Fix(
            f"See why {missing.plugin} has no pod here: its nodeSelector, affinity and tolerations against this node.",
            actor=Actor.CLUSTER,
            commands=(kubectl("describe", "daemonset", name or where, namespace=where if name else "kube-system"),),
        )
    else:
        yield Fix(
            "See which network plugin the cluster has.",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "daemonsets", "-A"),),
        )
    yield Fix(
        "On the node: is there a configuration, and the binary that it names? Restart the runtime only if both are"
        " there.",
        actor=Actor.NODE,
        commands=files,
    )
