"""A client whose egress policies do not admit the cluster's DNS finds no name, whatever else it may reach."""

from __future__ import annotations

import pytest

from support.services import cluster, container, namespace, pod, policy, service, slice_of
from support.services import trace as traced

SHOP = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
SYSTEM = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
DNS_PORT = [{"protocol": "UDP", "port": 53}]


def egress(*rules):
    return policy("egress", {"matchLabels": {"app": "ui"}}, "front", policyTypes=["Egress"], egress=list(rules))


def asked(*objects, dns_pod=True, **own):
    svc, web = service(), pod("web-1", ip="10.0.0.1")
    dns = service("kube-dns", namespace="kube-system", selector={"k8s-app": "kube-dns"})
    dns["spec"]["ports"] = [{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53}]
    labels = {"k8s-app": "kube-dns"}
    core = pod("coredns-1", container(53), namespace="kube-system", labels=labels, ip="10.0.1.1")
    listed = slice_of(dns, core, ports=({"name": "dns", "port": 53, "protocol": "UDP"},))
    client = pod("ui-1", namespace="front", labels={"app": "ui"}, ip="10.0.9.1", **own)
    spaces = [namespace(n) for n in ("shop", "front", "kube-system")]
    seen = cluster(svc, web, slice_of(svc, web), dns, listed, *([core] if dns_pod else []), client, *spaces, *objects)
    return traced(seen, client="pod/front/ui-1", symptom="nxdomain")


def shut(found):
    return [f for f in found.findings if f.cause == "NetworkPolicyBlocks" and "cluster's DNS" in f.message]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([{"to": [SHOP]}], True),
        ([], True),
        ([{"to": [SHOP]}, {"to": [SYSTEM], "ports": [{"protocol": "TCP", "port": 53}]}], True),
        ([{"to": [SHOP]}, {"to": [SYSTEM], "ports": DNS_PORT}], False),
        ([{"to": [SHOP]}, {"ports": DNS_PORT}], False),
        ([{}], False),
    ],
    ids=[
        "match",
        "variant: nothing",
        "variant: TCP only",
        "look-alike: admitted",
        "look-alike: to all",
        "look-alike: open",
    ],
)
def test_egress_without_dns_is_named(rules, expected):
    found = asked(egress(*rules))
    assert bool(shut(found)) == expected
    if expected:
        assert "finds no Service by name" in shut(found)[0].message


def test_a_client_that_does_not_ask_the_clusters_dns_from_its_own_network_is_left_alone():
    assert not shut(asked(egress({"to": [SHOP]}), hostNetwork=True))
    assert not shut(asked(egress({"to": [SHOP]}), dnsPolicy="Default"))
    assert not shut(asked())


def test_a_cache_on_the_nodes_answers_in_its_place():
    cache = pod("node-local-dns-x", namespace="kube-system", labels={"k8s-app": "node-local-dns"}, ip="10.1.1.1")
    assert not shut(asked(egress({"to": [SHOP]}), cache))
