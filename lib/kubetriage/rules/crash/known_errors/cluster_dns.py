"""CoreDNS that ends because of the node's resolver file: a loop, or no server in it."""

from __future__ import annotations

from kubetriage.rules.crash.acts import node, on_node, operator, place, restart
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy


def _dns_loop(words: LastWords, _: Said) -> Advice:
    case = words.case
    return Advice(
        "CoreDNS found that its queries come back to itself: it forwards to /etc/resolv.conf, and "
        "that names a local stub "
        "(127.0.0.53 of systemd-resolved, dnsmasq)",
        (
            node(
                f"Set resolvConf of the kubelet on {place(words)} to "
                "/run/systemd/resolve/resolv.conf, restart the kubelet, then "
                "the CoreDNS pods.",
                on_node(words, "grep", "-rn", "resolvConf", "/var/lib/kubelet/config.yaml"),
                *restart(words),
            ),
            operator(
                "Or name the upstream servers in the Corefile: forward . 10.0.0.2 in place of "
                "forward . /etc/resolv.conf. "
                "Removing the loop plugin hides it only.",
                kubectl("edit", "configmap", "coredns", namespace=case.pod.namespace),
            ),
        ),
    )


def _no_servers(words: LastWords, _: Said) -> Advice:
    case = words.case
    policy = text(case.pod.raw, "spec", "dnsPolicy")
    of = f"the resolver file of {place(words)}, which it gets by dnsPolicy Default," if policy == "Default" else "it"
    return Advice(
        f"CoreDNS forwards to /etc/resolv.conf, and {of} names no server",
        (
            node(
                f"Name a DNS server in /etc/resolv.conf of {place(words)}, or point resolvConf of its kubelet at a "
                "file "
                "that has one. Then restart the CoreDNS pods: the file is copied when a pod starts.",
                on_node(words, "grep", "-n", "nameserver", "/etc/resolv.conf"),
                *restart(words),
            ),
            operator(
                "Without any server outside (air-gapped): remove the lines forward and loop from the Corefile, or name "
                "the server there (forward . 10.0.0.2).",
                kubectl("edit", "configmap", "coredns", namespace=case.pod.namespace),
            ),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row("dns-loop", lazy(r"plugin/loop: (?:Seen|Loop)"), _dns_loop, beside=True),
    Row(
        "dns-no-servers",
        lazy(r"plugin/forward: no nameservers found|no nameservers found in"),
        _no_servers,
        beside=True,
    ),
)
