"""What the kubelet's line of its way to the API server means: in comes the line, out goes what ends it."""

from __future__ import annotations

from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.word_findings import Meaning, Stage, on_machine
from kubetriage.values.patterns import lazy

_REASONS: tuple[tuple[str, str], ...] = (
    ("connection refused", "The machine at that address answers, but nothing listens on the port"),
    ("no route to host", "No machine answers at that address"),
    ("network is unreachable", "{name} has no route to that address"),
    ("no such host", "The name of the API server does not resolve on {name}"),
    ("i/o timeout", "Packets to that address are dropped: a firewall, a security group, or a dead machine"),
)


_ASKED = lazy(r"lookup \S{1,253} on ((?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:.]{2,45}\]):\d+: no such host")


def _unresolved(stage: Stage, word: Word, host: str) -> Meaning:
    """Say which name server does not know the API server's name, and who should."""
    asked = _ASKED.search(word.words)
    server = asked[1].strip("[]") if asked else ""
    who = f"Name server {server}" if server else "The machine's name server"
    dig = f"getent hosts {host}; cat /etc/resolv.conf" + (f"; dig +short {host} @{server}" if server else "")
    if host.endswith(".eks.amazonaws.com"):
        fix = (
            f"{who} does not know {host}. A private endpoint has its name only at the VPC's own resolver: set"
            " enableDnsSupport and enableDnsHostnames of the VPC, and let the DHCP options hand out"
            " AmazonProvidedDNS, or let your name server forward this name there. Else the cluster is gone."
        )
    elif host.endswith((".azmk8s.io", ".gke.goog", ".googleapis.com")):
        fix = (
            f"{who} does not know {host}. A private cluster's name stands in a private DNS zone: link that zone to the"
            " network of this node, or let your name server forward this name to the cloud's resolver. Else the cluster"
            " is gone."
        )
    else:
        fix = (
            f"{who} does not know {host}: give it that record again, give {{name}} a name server that has it, or put"
            " the name into its /etc/hosts."
        )
    return Meaning(
        "ApiServerUnreachable",
        f"The kubelet of {{name}} runs and cannot find the API server: {host} does not resolve on its machine.",
        fix,
        commands=on_machine(stage, dig) or stage.machine.lines("api server"),
        rules_out=("KubeletDown", "the kubelet runs and tries"),
    )


_KOPS_PLACEHOLDER = "203.0.113.123"
"""What kOps gives the API's names before a control plane node writes its own (kops docs, pre-created DNS records)."""


def api_server_meaning(stage: Stage, word: Word) -> Meaning | None:
    """Say what stands between a kubelet and its API server."""
    host = word.about.rpartition(":")[0].strip("[]") or word.about
    looping = stage.words.of("static pod")
    if stage.words.of("sandbox image") is not None and "refused" in word.words:
        return None
    if looping is not None and looping.about in ("kube-apiserver", "etcd") and "refused" in word.words:
        return None
    reason = next((said for key, said in _REASONS if key in word.words), "")
    known = stage.addresses.get(host, "")
    local = host in ("127.0.0.1", "::1", "localhost")
    if host == _KOPS_PLACEHOLDER:
        whose = (
            f"{host} is the placeholder that kOps writes into DNS at first: dns-controller or kops-controller has not"
            " put the control plane's address there. Look at its log and its rights on the DNS zone."
        )
    elif (given := stage.words.of("server address")) is not None and given.about.rpartition(":")[0] != host:
        old = given.about.rpartition(":")[0]
        product = "rke2" if stage.machine.name == "rke2" else "k3s"
        whose = (
            f"The agent was given {old}, and the server told it to use {host} instead: the server takes an address for"
            f" its own that this machine does not reach (NAT, a second interface). On the server set node-ip: {old} and"
            f" advertise-address: {old} in /etc/rancher/{product}/config.yaml, restart it, then restart this agent."
        )
    elif local and stage.machine.name in ("k3s", "rke2"):
        port = "9345 and 6443" if stage.machine.name == "rke2" else "6443"
        whose = (
            f"{host} is the agent's own balancer. See which servers it dials ({stage.machine.kubelet_unit}'s journal,"
            f" server: in config.yaml), and the way to their port {port}."
        )
    elif local:
        whose = f"{host} is a local balancer or the API server of {{name}} itself: look at it first."
    elif "no such host" in word.words:
        return _unresolved(stage, word, host)
    elif known:
        whose = f"It is the address of node {known}: look there, and let kubelets use more than one API server."
    elif stage.addresses:
        whose = f"No node has {host}: it is a virtual address or load balancer, or an address that changed."
    else:
        whose = "It is a control plane machine, a virtual address, or a load balancer."
    only = (
        f" {stage.total - stage.silent} other nodes are in contact, so look at this node's way first."
        if stage.total > stage.silent > 0 and stage.silent == 1
        else f" {stage.silent} of {stage.total} nodes are silent, so look at the address first, not at this node."
        if stage.silent > 1
        else ""
    )
    file = stage.machine.path("kubeconfig")
    probe = on_machine(stage, f"sudo grep server: {file}; curl -km5 https://{word.about}/livez; ip route get {host}")
    return Meaning(
        "ApiServerUnreachable",
        f"The kubelet of {{name}} runs and does not reach the API server at {{about}}. {reason}."
        if reason
        else "The kubelet of {name} runs and does not reach the API server at {about}.",
        f"{whose}{only}",
        commands=probe or stage.machine.lines("api server"),
        rules_out=("KubeletDown", "the kubelet runs and tries"),
    )
