"""The pure readers of policies, Ingress rules, Gateway hostnames and addresses, row by row."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.rules.service.gateway_objects import grant_yaml, granted, hostnames_meet
from kubetriage.rules.service.ingress_objects import Ingress, best_path, host_matches, path_matches, read_backend
from kubetriage.rules.service.network_policies import Verdict, admission, decide, peer_text, pod_peer, policy_types
from kubetriage.rules.service.routes_to_target import read_address
from support.services import NS, container, ingress, pod, policy

WEB = pod("web-1")
CLIENT = pod("shop-1", labels={"app": "shop", "tier": "front"}, ip="10.0.9.9")
FAR = pod("far-1", namespace="edge", labels={"app": "shop"}, ip="10.7.0.1")
LABELS = {NS: {"kubernetes.io/metadata.name": NS}, "edge": {"kubernetes.io/metadata.name": "edge", "zone": "dmz"}}


def judged(rules, client=CLIENT, port=8080, protocol="TCP", target=WEB, labels=True):
    peer = pod_peer(client, LABELS[client["metadata"]["namespace"]] if labels else None)
    return decide([policy(ingress=rules)], target, "ingress", peer, port, protocol).verdict.value


def pods(**match):
    return {"podSelector": {"matchLabels": match}}


def spaces(**match):
    return {"namespaceSelector": {"matchLabels": match}}


INGRESS_RULES = {
    "no rule": ([], CLIENT, "blocked"),
    "empty rule": ([{}], CLIENT, "allowed"),
    "empty from": ([{"from": []}], CLIENT, "allowed"),
    "pod label": ([{"from": [pods(app="shop")]}], CLIENT, "allowed"),
    "other pod label": ([{"from": [pods(app="x")]}], CLIENT, "blocked"),
    "pod selector is about this namespace": ([{"from": [pods(app="shop")]}], FAR, "blocked"),
    "empty pod selector": ([{"from": [{"podSelector": {}}]}], CLIENT, "allowed"),
    "empty pod selector, other namespace": ([{"from": [{"podSelector": {}}]}], FAR, "blocked"),
    "empty namespace selector": ([{"from": [{"namespaceSelector": {}}]}], FAR, "allowed"),
    "namespace label": ([{"from": [spaces(zone="dmz")]}], FAR, "allowed"),
    "one item is AND": ([{"from": [{**pods(app="x"), **spaces(zone="dmz")}]}], FAR, "blocked"),
    "two items are OR": ([{"from": [pods(app="x"), spaces(zone="dmz")]}], FAR, "allowed"),
    "rules are a union": ([{"from": [pods(app="x")]}, {"from": [pods(app="shop")]}], CLIENT, "allowed"),
    "block elsewhere": ([{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}], CLIENT, "blocked"),
    "block around a pod": ([{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}], CLIENT, "unknown"),
    "hole in the block": (
        [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.9.0/24"]}}]}],
        CLIENT,
        "blocked",
    ),
    "unreadable block": ([{"from": [{"ipBlock": {"cidr": "x"}}]}], CLIENT, "unknown"),
    "port": ([{"ports": [{"port": 8080}]}], CLIENT, "allowed"),
    "other port": ([{"ports": [{"port": 80}]}], CLIENT, "blocked"),
    "range": ([{"ports": [{"port": 8000, "endPort": 8080}]}], CLIENT, "allowed"),
    "below the range": ([{"ports": [{"port": 8081, "endPort": 8090}]}], CLIENT, "blocked"),
    "named port": ([{"ports": [{"port": "http"}]}], CLIENT, "allowed"),
    "named port, other protocol": ([{"ports": [{"port": "http", "protocol": "UDP"}]}], CLIENT, "blocked"),
    "unknown name": ([{"ports": [{"port": "admin"}]}], CLIENT, "blocked"),
    "protocol only": ([{"ports": [{"protocol": "TCP"}]}], CLIENT, "allowed"),
    "other protocol": ([{"ports": [{"protocol": "UDP"}]}], CLIENT, "blocked"),
}


@pytest.mark.parametrize(("rules", "client", "verdict"), INGRESS_RULES.values(), ids=INGRESS_RULES)
def test_ingress_rules(rules, client, verdict):
    assert judged(rules, client) == verdict


def test_namespace_labels_that_were_not_seen_are_unknown_but_for_the_name():
    assert judged([{"from": [spaces(zone="dmz")]}], FAR, labels=False) == "unknown"
    assert judged([{"from": [spaces(**{"kubernetes.io/metadata.name": "edge"})]}], FAR, labels=False) == "allowed"
    assert judged([{"from": [spaces(**{"kubernetes.io/metadata.name": "x"})]}], FAR, labels=False) == "blocked"


def test_pods_on_the_node_network_are_unknown():
    host = pod("web-1", hostNetwork=True)
    assert judged([], target=host) == "unknown"
    assert judged([{"from": [pods(app="shop")]}], pod("x", labels={"app": "shop"}, hostNetwork=True)) == "unknown"


def test_egress_resolves_names_on_the_destination():
    out = policy(policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}])
    near, other = pod_peer(WEB, {}), pod_peer(pod("w", container(("web", 8080))), {})
    assert decide([out], CLIENT, "egress", near, 8080).verdict is Verdict.ALLOWED
    assert decide([out], CLIENT, "egress", other, 8080).verdict is Verdict.BLOCKED


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, ("ingress",)),
        ({"egress": [{}]}, ("ingress", "egress")),
        ({"policyTypes": ["Egress"]}, ("egress",)),
    ],
)
def test_policy_types(spec, types):
    assert policy_types({"spec": spec}) == types


def test_a_blocked_decision_names_the_smallest_rule():
    decision = decide([policy()], WEB, "ingress", pod_peer(FAR, LABELS["edge"]), 8080)
    assert decision.rule == {
        "from": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}},
                "podSelector": {"matchLabels": {"app": "shop"}},
            }
        ],
        "ports": [{"protocol": "TCP", "port": 8080}],
    }


RULES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "from": st.lists(
                st.sampled_from([pods(app="shop"), pods(app="x"), spaces(zone="dmz"), {"namespaceSelector": {}}]),
                max_size=2,
            ),
            "ports": st.lists(st.sampled_from([{"port": 8080}, {"port": 80}, {"port": "http"}]), max_size=2),
        },
    ),
    max_size=3,
)


@settings(max_examples=80)
@given(RULES, RULES)
def test_a_further_policy_never_blocks_what_was_allowed(first, second):
    peer = pod_peer(CLIENT, LABELS[NS])
    one = decide([policy("a", ingress=first)], WEB, "ingress", peer, 8080).verdict
    both = decide([policy("a", ingress=first), policy("b", ingress=second)], WEB, "ingress", peer, 8080).verdict
    assert both is Verdict.ALLOWED or one is not Verdict.ALLOWED


@settings(max_examples=80)
@given(RULES)
def test_whom_nobody_admits_is_blocked_for_every_client(rules):
    policies = [policy(ingress=rules)]
    if admission(policies, WEB, 8080).nobody:
        for client in (CLIENT, FAR):
            peer = pod_peer(client, LABELS[client["metadata"]["namespace"]])
            assert decide(policies, WEB, "ingress", peer, 8080).verdict is Verdict.BLOCKED


def test_peers_in_words():
    assert peer_text(pods(app="web")) == "pods app=web of this namespace"
    assert peer_text({"namespaceSelector": {}}) == "every pod of every namespace"
    assert peer_text({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}) == "10.0.0.0/8 except 10.1.0.0/16"


# Ingress.


@pytest.mark.parametrize(
    ("rule", "host", "match"),
    [
        ("", "a.example.com", True),
        ("a.example.com", "A.example.com.", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", False),
        ("*.example.com", "example.com", False),
    ],
)
def test_ingress_hosts(rule, host, match):
    assert host_matches(rule, host) is match


@pytest.mark.parametrize(
    ("rule", "kind", "path", "match"),
    [
        ("/foo", "Exact", "/foo", True),
        ("/foo", "Exact", "/foo/", False),
        ("/foo", "Exact", "/FOO", False),
        ("/", "Prefix", "/anything", True),
        ("/foo", "Prefix", "/foo/bar", True),
        ("/foo", "Prefix", "/foobar", False),
        ("/foo/", "Prefix", "/foo", True),
        ("/foo/bar", "Prefix", "/foo", False),
    ],
)
def test_ingress_paths(rule, kind, path, match):
    assert path_matches(rule, kind, path) is match


def test_the_longest_path_wins_then_exact_then_the_older():
    prefix = Ingress(ingress("prefix", path="/foo"))
    exact = Ingress(ingress("exact", path="/foo", kind="Exact"))
    longer = Ingress(ingress("longer", path="/foo/bar"))
    newer = Ingress(ingress("newer", path="/foo", created="2026-11-23T00:00:00Z"))
    known = [(i, p) for i in (newer, prefix, exact, longer) for p in i.paths]

    def winner(path):
        best = best_path(known, "shop.example.com", path)
        assert best is not None
        return best[0].name

    assert [winner(p) for p in ("/foo", "/foo/bar/x", "/foo/x")] == ["exact", "longer", "prefix"]
    assert best_path(known, "other.example.com", "/foo") is None


@pytest.mark.parametrize(
    ("raw", "service", "port"),
    [
        ({"service": {"name": "web", "port": {"number": 80}}}, "web", "80"),
        ({"service": {"name": "web", "port": {"name": "http"}}}, "web", "http"),
        ({"serviceName": "web", "servicePort": 80}, "web", "80"),
        ({"serviceName": "web", "servicePort": "http"}, "web", "http"),
        ({"serviceName": "web", "servicePort": "80"}, "web", "80"),
        ({"resource": {"kind": "Bucket", "name": "b"}}, "", ""),
        ({}, "", ""),
    ],
)
def test_backends_of_every_version(raw, service, port):
    backend = read_backend(raw, "x")
    assert (backend.service, backend.port_text) == (service, port)


# Gateway API.


@pytest.mark.parametrize(
    ("listener", "route", "meet"),
    [
        ("", "a.example.com", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "*.b.example.com", True),
        ("a.example.com", "*.example.com", True),
        ("a.example.com", "b.example.com", False),
        ("*.example.com", "*.example.org", False),
    ],
)
def test_hostnames_meet(listener, route, meet):
    assert hostnames_meet(listener, route) is meet


def test_one_grant_must_hold_both_sides():
    def made(kind, space, to):
        return {
            "metadata": {"namespace": "data"},
            "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": space}],
                "to": [{"group": "", "kind": to}],
            },
        }

    question = ("HTTPRoute", NS, "Service", "data", "db")
    assert granted([made("HTTPRoute", NS, "Service")], *question)
    assert not granted([made("HTTPRoute", "other", "Service"), made("HTTPRoute", NS, "Secret")], *question)
    assert "namespace: data" in grant_yaml(*question)


@pytest.mark.parametrize(
    ("words", "host", "path", "port"),
    [
        ("https://shop.example.com/cart?x=1", "shop.example.com", "/cart", None),
        ("shop.example.com:8443/a", "shop.example.com", "/a", 8443),
        ("shop.example.com", "shop.example.com", "/", None),
        ("http://[bad", "", "/", None),
        ("host:port", "", "/", None),
    ],
)
def test_addresses(words, host, path, port):
    read = read_address(words)
    assert (read.host, read.path, read.port) == (host, path, port)


def test_names_of_the_cluster_are_known():
    assert read_address("web.shop.svc:80").in_cluster == ("shop", "web")
    assert read_address("http://web.shop.svc.cluster.local/").in_cluster == ("shop", "web")
    assert read_address("shop.example.com").in_cluster is None
