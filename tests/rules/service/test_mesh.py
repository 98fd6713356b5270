"""Istio's routes, subsets, TLS modes and authorization; Linkerd's inbound policy."""

import pytest

from kubetriage.model import Confidence, Severity
from kubetriage.needs import Log
from support import traffic as t
from support.services import NS, causes, cluster, container, meta, namespace, pod, problems, service, slice_of, trace

MESH = t.meshed_web()


def allow(*rules, action="ALLOW", name="allow", space=NS, **spec):
    """Make an AuthorizationPolicy."""
    body = {"action": action, **({"rules": list(rules)} if rules else {}), **spec}
    return {
        "kind": "AuthorizationPolicy",
        "apiVersion": "security.istio.io/v1",
        "metadata": meta(name, space),
        "spec": body,
    }


def source(**fields):
    """Make a rule with one source."""
    return {"from": [{"source": fields}]}


PRINCIPAL = "cluster.local/ns/front/sa/default"
PLAIN = pod("curl", namespace="front", labels={"app": "curl"}, ip="10.0.9.9")
MESHED = pod(
    "curl", container(), container(name="istio-proxy"), namespace="front", labels={"app": "curl"}, ip="10.0.9.9"
)


@pytest.mark.parametrize(
    ("client", "policies", "expected"),
    [
        (PLAIN, [allow(source(principals=[PRINCIPAL]))], ["MeshAuthorizationDenied"]),
        (MESHED, [allow(source(principals=[PRINCIPAL]))], []),
        (MESHED, [allow(source(principals=["*/sa/other"]))], ["MeshAuthorizationDenied"]),
        (MESHED, [allow(source(principals=["cluster.local/ns/front/*"]))], []),
        (MESHED, [allow(source(namespaces=["front"]))], []),
        (PLAIN, [allow(source(namespaces=["front"]))], ["MeshAuthorizationDenied"]),
        (PLAIN, [allow(source(ipBlocks=["10.0.9.0/24"]))], []),
        (PLAIN, [allow()], ["MeshAuthorizationDenied"]),
        (PLAIN, [allow({})], []),
        (PLAIN, [allow({"to": [{"operation": {"methods": ["GET"]}}]})], []),
        (PLAIN, [allow({"to": [{"operation": {"ports": ["9090"]}}]})], ["MeshAuthorizationDenied"]),
        (PLAIN, [allow({"to": [{"operation": {"ports": ["8080"]}}]})], []),
        (PLAIN, [allow(source(notPrincipals=["*"]), action="DENY")], ["MeshAuthorizationDenied"]),
        (MESHED, [allow(source(notPrincipals=["*"]), action="DENY")], []),
        (PLAIN, [allow(), allow(source(ipBlocks=["10.0.0.0/8"]), name="open")], []),
        (PLAIN, [allow(selector={"matchLabels": {"app": "db"}})], []),
        (PLAIN, [allow(space="elsewhere")], []),
        (PLAIN, [allow(space="istio-system")], ["MeshAuthorizationDenied"]),
        (PLAIN, [allow(action="CUSTOM", provider={"name": "opa"})], []),
    ],
)
def test_authorization_policies_decide_by_what_a_connection_tells(client, policies, expected):
    found = trace(cluster(*MESH, client, namespace(NS), namespace("front"), *policies), client="pod/front/curl")
    assert causes(found) == expected


def test_a_client_without_a_sidecar_is_to_be_brought_into_the_mesh():
    rule = allow(source(principals=[PRINCIPAL]))
    (found,) = problems(trace(cluster(*MESH, PLAIN, rule), client="pod/front/curl", symptom="403"))
    assert found.fix[0].commands == ("kubectl label namespace front istio-injection=enabled",)
    assert found.confidence is Confidence.LIKELY
    strange = allow(source(principals=["cluster.local/ns/other/sa/x"]))
    (found,) = problems(trace(cluster(*MESH, MESHED, strange), client="pod/front/curl"))
    assert f"principals: [{PRINCIPAL}]" in found.fix[0].yaml


def test_without_a_client_what_the_policies_ask_for_is_told():
    rule = allow(source(principals=[PRINCIPAL]))
    (found,) = problems(trace(cluster(*MESH, rule)))
    assert (found.cause, found.severity) == ("MeshAuthorizationDenied", Severity.WARNING)
    snapshot = cluster(*MESH, rule)
    refused = '[2026-11-24T11:59:00Z] "GET / HTTP/1.1" 403 - rbac_access_denied_matched_policy[none] - "-" 0 19'
    snapshot.add_log(Log(NS, "web-1", "istio-proxy"), refused)
    (found,) = problems(trace(snapshot))
    assert (found.severity, found.confidence) == (Severity.ERROR, Confidence.CONFIRMED)
    assert "rbac_access_denied" in found.evidence[0].value


def test_pods_outside_the_mesh_are_not_authorized_by_it():
    svc, one = service(), pod("web-1")
    assert causes(trace(cluster(svc, one, slice_of(svc, one), allow()))) == []


@pytest.mark.parametrize(
    ("mode", "client", "expected"),
    [
        ("deny", "", ["MeshAuthorizationDenied"]),
        ("all-authenticated", "pod/front/curl", ["MeshAuthorizationDenied"]),
        ("all-unauthenticated", "pod/front/curl", []),
        ("all-authenticated", "", []),
    ],
)
def test_linkerds_inbound_policy(mode, client, expected):
    one = pod("web-1", container(("http", 8080), probe=8080), container(name="linkerd-proxy"))
    one["metadata"]["annotations"] = {"config.linkerd.io/default-inbound-policy": mode}
    svc = service()
    assert causes(trace(cluster(svc, one, slice_of(svc, one), PLAIN, namespace("front")), client=client)) == expected


def test_the_log_of_linkerds_proxy_proves_that_its_policy_refuses():
    one = pod("web-1", container(("http", 8080), probe=8080), container(name="linkerd-proxy"))
    one["metadata"]["annotations"] = {"config.linkerd.io/default-inbound-policy": "deny"}
    svc = service()
    snapshot = cluster(svc, one, slice_of(svc, one))
    line = "INFO inbound: Request denied server.name=deny client.ip=1.2.3.4"
    snapshot.add_log(Log(NS, "web-1", "linkerd-proxy"), line)
    (found,) = [f for f in trace(snapshot).findings if f.cause == "MeshAuthorizationDenied"]
    assert found.confidence is Confidence.LIKELY
    assert "not evaluated" not in found.message
    assert found.evidence[0].source == "log"


STRICT = {"kind": "PeerAuthentication", "metadata": meta("default"), "spec": {"mtls": {"mode": "STRICT"}}}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([t.destination_rule({"app": "web"}, tls={"mode": "DISABLE"}), STRICT], ["MeshMTLSMismatch"]),
        ([t.destination_rule({"app": "web"}, tls={"mode": "DISABLE"})], []),
        ([t.destination_rule({"app": "web"}, tls={"mode": "ISTIO_MUTUAL"}), STRICT], []),
        ([STRICT], []),
    ],
)
def test_a_destination_rule_against_the_mode_of_the_pods(objects, expected):
    assert causes(trace(cluster(*MESH, *objects))) == expected


def test_mutual_tls_to_pods_without_a_sidecar():
    svc, one = service(), pod("web-1")
    objects = [svc, one, slice_of(svc, one)]
    assert causes(trace(cluster(*objects, t.destination_rule({}, tls={"mode": "ISTIO_MUTUAL"})))) == [
        "MeshMTLSMismatch"
    ]


def routed(host, *more, gateways=("istio-system/edge",), **how):
    """Return the trace of a VirtualService."""
    route = t.virtual_service(host, gateways, **how)
    return trace(cluster(*t.base(route, t.istio_gateway(), t.istio_proxy()), *more), "virtualservices/web")


ENTRY = t.custom("ServiceEntry", t.ISTIO, "ext", hosts=["api.example.com", "web.other"])


@pytest.mark.parametrize(
    ("host", "more", "expected"),
    [
        ("web", [], []),
        ("web.shop.svc.cluster.local", [], []),
        ("wep", [], ["MeshRouteInvalid"]),
        ("web.shop", [], ["MeshRouteInvalid"]),
        ("web.other", [ENTRY], []),
        ("api.example.com", [ENTRY], []),
        ("api.example.com", [], ["MeshRouteInvalid"]),
        ("db.data.svc.cluster.local", [], ["MeshRouteInvalid"]),
        ("db", [service("db", "data")], ["MeshRouteInvalid"]),
    ],
)
def test_hosts_of_destinations(host, more, expected):
    found = routed(host, *more)
    assert causes(found) == expected
    if host == "wep":
        assert "Write web in" in found.findings[0].fix[0].text
    if host == "db":
        assert "db.data.svc.cluster.local" in found.findings[0].fix[0].text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("istio-system/edge", []),
        ("edge.istio-system.svc.cluster.local", []),
        ("edge", ["GatewayNotFound"]),
        ("istio-system/egde", ["GatewayNotFound"]),
        ("mesh", []),
    ],
)
def test_gateways_are_named_with_their_namespace(written, expected):
    found = routed("web", gateways=(written,))
    assert causes(found) == expected
    if expected:
        assert found.findings[0].fix[0].patch == {"spec": {"gateways": ["istio-system/edge"]}}


def test_the_secret_of_an_istio_gateway_is_looked_for_beside_its_proxies():
    gateway = t.istio_gateway()
    gateway["spec"]["servers"][0]["tls"] = {"mode": "SIMPLE", "credentialName": "shop-tls"}
    objects = t.base(t.virtual_service(), gateway, t.istio_proxy())
    (found,) = problems(trace(cluster(*objects), "virtualservices/web"))
    assert (found.cause, found.object.namespace) == ("TLSSecretNotFound", "istio-system")


def test_a_service_trace_shows_the_rules_that_send_its_requests_elsewhere():
    route = t.virtual_service("web-2")
    route["spec"]["hosts"], route["spec"]["gateways"] = ["web"], ["mesh"]
    assert causes(trace(cluster(*t.base(route)))) == ["MeshRouteInvalid"]


def test_rules_about_requests_are_no_all_clear():
    by_path = allow({"to": [{"operation": {"paths": ["/api/*"]}}]})
    found = trace(cluster(*MESH, by_path))
    assert (found.cause, found.healthy) == ("Unknown", False)
    assert any("AuthorizationPolicy/allow" in gap.why for gap in found.not_seen)
    assert trace(cluster(*MESH, allow({}))).healthy


def test_a_refusal_of_a_client_that_is_not_known_is_told_by_its_address():
    web = pod("web-1", container(8080), container(name="linkerd-proxy"))
    made = service()
    server = t.custom("Server", "policy.linkerd.io/v1beta3", port=8080, podSelector={"matchLabels": {"app": "web"}})
    snapshot = cluster(made, web, slice_of(made, web), server)
    line = "INFO rescue{client.addr=10.8.8.8:41000}: HTTP/1.1 request failed error=unauthorized request on route\n"
    snapshot.add_log(Log(NS, "web-1", "linkerd-proxy"), line)
    found = trace(snapshot)
    assert causes(found) == ["MeshAuthorizationDenied"]
    assert "status.podIP=10.8.8.8" in found.findings[0].fix[0].commands[0]
    near = cluster(made, web, slice_of(made, web), server, pod("curl", namespace="front", ip="10.8.8.8"))
    near.source = "dump"
    near.add_log(Log(NS, "web-1", "linkerd-proxy"), line)
    assert "pod/curl of namespace front" in trace(near).findings[0].message
    quiet = cluster(made, web, slice_of(made, web), server)
    quiet.add_log(Log(NS, "web-1", "linkerd-proxy"), "INFO proxy: connection closed client.addr=10.8.8.8:41000\n")
    assert causes(trace(quiet)) == []
