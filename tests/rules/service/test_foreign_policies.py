"""Policies of Cilium, Calico, the policy API and Linkerd: the common forms are judged, any other is said to be open."""

import pytest

from kubetriage.rules.service.calico_selectors import calico_matches
from support import traffic as t
from support.services import (
    NS,
    causes,
    cluster,
    container,
    healthy_web,
    namespace,
    pod,
    policy,
    service,
    slice_of,
    trace,
)

CLIENT = pod("shop-1", container(("http", 8080)), labels={"app": "shop"}, ip="10.0.9.9")
FAR = pod("far-1", container(("http", 8080)), namespace="far", labels={"app": "shop"}, ip="10.0.9.8")
SPACES = (namespace("shop"), namespace("far", team="a"))


def _judge(*rules, client=CLIENT, asked="pod/shop-1"):
    return trace(cluster(*healthy_web(), *SPACES, client, *rules), client=asked)


def _cilium(*ingress, kind="CiliumNetworkPolicy", **spec):
    place = NS if kind == "CiliumNetworkPolicy" else ""
    chosen = {"endpointSelector": {"matchLabels": {"app": "web"}}}
    return t.custom(kind, "cilium.io/v2", "lock", place, **{**chosen, "ingress": list(ingress), **spec})


def _from(**labels):
    return {"fromEndpoints": [{"matchLabels": labels}]}


PORTS = {"toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}]}
OTHER_PORTS = {"toPorts": [{"ports": [{"port": "9090", "protocol": "TCP"}]}]}
HTTP_RULES = {"toPorts": [{"ports": [{"port": "8080"}], "rules": {"http": [{"method": "GET"}]}}]}
BLOCKED, OPEN, DARK = ["NetworkPolicyBlocks"], [], "NotEvaluated"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (_cilium({**_from(app="front"), **PORTS}), BLOCKED),
        (_cilium({**_from(app="shop"), **PORTS}), OPEN),
        (_cilium({**_from(**{"k8s:app": "shop"}), **PORTS}), OPEN),
        (_cilium({**_from(app="shop"), **OTHER_PORTS}), BLOCKED),
        (_cilium({"fromEndpoints": [{}]}), OPEN),
        (_cilium({}), BLOCKED),
        (_cilium(PORTS), OPEN),
        (_cilium({"fromEntities": ["cluster"]}), OPEN),
        (_cilium({"fromEntities": ["world"]}), BLOCKED),
        (_cilium(_from(app="shop"), ingressDeny=[_from(app="shop")]), BLOCKED),
        (_cilium({**_from(app="shop"), **HTTP_RULES}), DARK),
        (_cilium(_from(app="front"), enableDefaultDeny={"ingress": False}), OPEN),
        (_cilium(_from(app="front"), endpointSelector={"matchLabels": {"app": "db"}}), OPEN),
        (_cilium(_from(app="front"), kind="CiliumClusterwideNetworkPolicy"), BLOCKED),
    ],
)
def test_cilium_admits_what_a_rule_names(rule, expected):
    found = _judge(rule)
    assert (found.cause if expected == DARK else causes(found)) == expected


def test_a_rule_of_cilium_without_a_namespace_means_its_own():
    rule = _cilium(_from(app="shop"))
    assert causes(_judge(rule, client=FAR, asked="pod/far/far-1")) == BLOCKED
    spaced = _cilium(_from(**{"app": "shop", "k8s:io.kubernetes.pod.namespace": "far"}))
    assert causes(_judge(spaced, client=FAR, asked="pod/far/far-1")) == OPEN


def test_cilium_adds_what_a_network_policy_admits():
    plain = policy("plain", {"matchLabels": {"app": "web"}}, ingress=[{"from": [{"podSelector": {}}]}])
    assert causes(_judge(_cilium(_from(app="front")), plain)) == OPEN


def _calico(*ingress, selector="app == 'web'", kind="NetworkPolicy", **spec):
    place = NS if kind == "NetworkPolicy" else ""
    return t.custom(kind, "crd.projectcalico.org/v1", "lock", place, selector=selector, ingress=list(ingress), **spec)


def _allow(selector="app == 'shop'", **more):
    return {"action": "Allow", "protocol": "TCP", "source": {"selector": selector}, **more}


EXCEPT = "projectcalico.org/namespace not in {'kube-system', 'calico-system'}"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (_calico(selector=EXCEPT, kind="GlobalNetworkPolicy", types=["Ingress"]), BLOCKED),
        (_calico(selector="projectcalico.org/namespace in {'kube-system'}", kind="GlobalNetworkPolicy"), OPEN),
        (_calico(_allow()), OPEN),
        (_calico(_allow("app == 'front'")), BLOCKED),
        (_calico(_allow(destination={"ports": [8080]})), OPEN),
        (_calico(_allow(destination={"ports": ["9000:9100"]})), BLOCKED),
        (_calico(_allow(protocol="UDP")), BLOCKED),
        (_calico({"action": "Log"}, {"action": "Deny", "source": {"selector": "all()"}}, _allow()), BLOCKED),
        (_calico({"action": "Pass"}), DARK),
        (_calico(_allow("app == 'front'"), tier="security"), DARK),
        (_calico(selector="app ~ 'web'"), DARK),
        (_calico(types=["Egress"], egress=[]), OPEN),
    ],
)
def test_calico_walks_its_rules_in_order(rule, expected):
    found = _judge(rule)
    assert (found.cause if expected == DARK else causes(found)) == expected


def test_calico_asks_a_network_policy_before_a_default_deny_without_an_order():
    deny = _calico(selector="all()", kind="GlobalNetworkPolicy", types=["Ingress"])
    plain = policy("plain", {"matchLabels": {"app": "web"}}, ingress=[{"from": [{"podSelector": {}}]}])
    assert causes(_judge(deny, plain)) == OPEN


def _admin(action, order=10, kind="AdminNetworkPolicy", name="admin", **rule):
    made = {"action": action, "from": [{"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]}
    spec = {"priority": order, "subject": {"namespaces": {}}, "ingress": [{**made, **rule}]}
    return t.custom(kind, "policy.networking.k8s.io/v1alpha1", name, "", **spec)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([_admin("Deny")], BLOCKED),
        ([_admin("Allow")], OPEN),
        ([_admin("Deny", ports=[{"portNumber": {"port": 9090, "protocol": "TCP"}}])], OPEN),
        ([_admin("Deny", order=20), _admin("Allow", name="first")], OPEN),
        ([_admin("Deny", kind="BaselineAdminNetworkPolicy")], BLOCKED),
        (
            [
                _admin("Deny", kind="BaselineAdminNetworkPolicy"),
                policy("plain", {"matchLabels": {"app": "web"}}, ingress=[{"from": [{"podSelector": {}}]}]),
            ],
            OPEN,
        ),
    ],
    ids=["deny", "allow", "look-alike: port", "priority", "baseline", "look-alike: a policy before the baseline"],
)
def test_the_policy_api_decides_by_priority(rules, expected):
    assert causes(_judge(*rules)) == expected


def test_without_a_client_what_is_admitted_is_said():
    found = trace(cluster(*healthy_web(), _cilium({**_from(app="front"), **PORTS})))
    assert causes(found) == ["NetworkPolicyRestricts"]
    assert "app=front" in found.findings[0].message
    found = trace(cluster(*healthy_web(), _cilium({})))
    assert causes(found) == ["NetworkPolicyBlocks"]
    found = trace(cluster(*healthy_web(), _cilium({**_from(app="front"), **OTHER_PORTS})))
    assert causes(found) == ["NetworkPolicyBlocks"]


def test_the_fix_admits_the_client_in_the_terms_of_the_product():
    text = _judge(_cilium({**_from(app="front"), **PORTS})).findings[0].fix[0].yaml
    assert '"app": "shop", "k8s:io.kubernetes.pod.namespace": "shop"' in text
    assert "kind: CiliumNetworkPolicy" in text
    denied = _judge(_admin("Deny")).findings[0].fix[0]
    assert "Except pod/shop-1 from the Deny rule" in denied.text
    assert denied.commands == ("kubectl edit adminnetworkpolicy admin",)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("all()", True),
        ("a == 'x'", True),
        ("a != 'x'", False),
        ("has(a) && !has(b)", True),
        ("a in {'x','y'} || b == 'z'", True),
        ("(a == 'y' || a == 'x') && has(a)", True),
        ("a not in {'x'}", False),
        ("a starts with 'x'", True),
        ("a ends with 'y'", False),
        ('a contains "x"', True),
        ("a", None),
        ("a == x", None),
        ("a == 'x' b", None),
        ("((", None),
        ("!" * 500 + "has(a)", None),
    ],
)
def test_selectors_of_calico(selector, expected):
    assert calico_matches(selector, {"a": "x"}) is expected


# Linkerd.

PROXY = container(name="linkerd-proxy")
POLICY = "policy.linkerd.io/v1alpha1"
SERVER = t.custom("Server", "policy.linkerd.io/v1beta3", "web-http", NS, podSelector={"matchLabels": {"app": "web"}},
                  port="http")  # fmt: skip


def _authorized(kind="MeshTLSAuthentication", name="clients", target="web-http"):
    refs = [{"group": "policy.linkerd.io", "kind": kind, "name": name}]
    aim = {"group": "policy.linkerd.io", "kind": "Server", "name": target}
    return t.custom("AuthorizationPolicy", POLICY, "web-authz", NS, targetRef=aim, requiredAuthenticationRefs=refs)


def _identities(*names):
    return t.custom("MeshTLSAuthentication", POLICY, "clients", NS, identities=list(names))


NETWORK = t.custom("NetworkAuthentication", POLICY, "clients", NS, networks=[{"cidr": "10.0.9.0/24"}])
MESHED = pod("shop-1", container(("http", 8080)), PROXY, labels={"app": "shop"}, ip="10.0.9.9")


@pytest.mark.parametrize(
    ("client", "rules", "expected"),
    [
        (MESHED, [SERVER], ["MeshAuthorizationDenied"]),
        (CLIENT, [SERVER, _authorized(), _identities("*")], ["MeshAuthorizationDenied"]),
        (MESHED, [SERVER, _authorized(), _identities("*")], []),
        (MESHED, [SERVER, _authorized(), _identities("*.shop.serviceaccount.identity.linkerd.cluster.local")], []),
        (MESHED, [SERVER, _authorized(), _identities("x.far.serviceaccount.identity.linkerd.cluster.local")],
         ["MeshAuthorizationDenied"]),
        (CLIENT, [SERVER, _authorized("NetworkAuthentication"), NETWORK], []),
        (MESHED, [SERVER, _authorized(target="other"), _identities("*")], ["MeshAuthorizationDenied"]),
        (MESHED, [{**SERVER, "spec": {**SERVER["spec"], "port": 9090}}], []),
    ],
    ids=["nobody", "no proxy", "any identity", "by namespace", "another identity", "by network", "another Server",
         "look-alike: another port"],
)  # fmt: skip
def test_a_server_of_linkerd_admits_what_a_policy_names(client, rules, expected):
    made, behind = service(), pod("web-1", container(("http", 8080), probe=8080), PROXY)
    snapshot = cluster(made, behind, slice_of(made, behind), client, *rules)
    snapshot.source = "dump"
    found = trace(snapshot, client="pod/shop-1")
    assert causes(found) == expected


def test_an_authentication_that_was_not_handed_over_decides_nothing():
    made, behind = service(), pod("web-1", container(("http", 8080), probe=8080), PROXY)
    snapshot = cluster(made, behind, slice_of(made, behind), MESHED, SERVER, _authorized())
    snapshot.source = "dump"
    assert trace(snapshot, client="pod/shop-1").cause == "NotEvaluated"
