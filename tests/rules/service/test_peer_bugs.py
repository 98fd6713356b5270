"""What other tools get wrong about Services, in twelve groups; svc-trace gets it right."""

import pytest

from kubetriage.model import Severity
from kubetriage.rules.service.network_policies import Peer, Verdict, decide
from support.services import (
    NS,
    answer,
    causes,
    cluster,
    container,
    healthy_web,
    ingress,
    ingress_class,
    namespace,
    pod,
    policy,
    problems,
    service,
    slice_of,
    states,
    trace,
    workload,
)

# 1. An unnamed Service port matches an Ingress backend without a name: "" == "".


@pytest.mark.parametrize("number", [8081, 8080, 0])
def test_1_an_unnamed_service_port_does_not_match_a_wrong_number(number):
    found = trace(
        cluster(
            *healthy_web(), ingress(backend={"service": {"name": "web", "port": {"number": number}}}), ingress_class()
        ),
        "ingress/web",
    )
    assert causes(found)[0] == "BackendPortNotFound"


# 2. Every named targetPort or named Ingress port is called a mismatch.


def test_2_named_ports_are_followed():
    named = [{"name": "http", "port": 80, "targetPort": "http"}]
    by_name = ingress(backend={"service": {"name": "web", "port": {"name": "http"}}})
    found = trace(cluster(*healthy_web(ports=named), by_name, ingress_class()), "ingress/web")
    assert causes(found) == []


# 3. A numeric targetPort that no container declares is called an error while the program listens on it.


def test_3_an_undeclared_number_proves_nothing():
    svc = service(ports=[{"port": 80, "targetPort": 9000}])
    bare = pod("web-1", container(), ip="10.0.0.1")
    found = trace(cluster(svc, bare, slice_of(svc, bare, ports=[{"name": "", "port": 9000}]), workload()))
    assert found.findings == ()


# 4. An empty slice is explained by a wrong targetPort, which never empties it.


def test_4_an_empty_slice_is_not_blamed_on_the_port():
    svc = service(selector={"app": "wbe"}, ports=[{"port": 80, "targetPort": "nope"}])
    found = trace(cluster(svc, pod("web-1"), slice_of(svc, ports=None), workload()))
    assert causes(found)[0] == "SelectorMismatch"
    assert "TargetPortNameNotFound" not in causes(found)


# 5. A missing selector selects all pods, or is to be "fixed".


def test_5_a_service_without_selector_is_served_by_hand():
    svc = service(selector={}, ports=[{"name": "http", "port": 80}])
    by_hand = slice_of(svc, pod("ext", ip="10.1.2.3"), ports=[{"name": "http", "port": 8080}])
    found = trace(cluster(svc, by_hand, pod("other", labels={"app": "db"})))
    assert causes(found) == []
    assert "SelectorTooBroad" not in [f.cause for f in found.findings]


# 6. Endpoints that are all not ready count as endpoints.


def test_6_endpoints_that_are_not_ready_serve_nobody():
    svc = service()
    down = pod("web-1", ready=False)
    found = trace(cluster(svc, down, slice_of(svc, down), workload()))
    assert causes(found)[0] == "PodsNotReady"
    assert ("Service", "blocked") in states(found)


# 7. Any error of the API means "does not exist".


@pytest.mark.parametrize("resource", ["services", "secrets", "ingressclasses", "pods", "endpointslices"])
def test_7_forbidden_is_not_absent(resource):
    tls = [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]
    objects = [*healthy_web(), ingress(tls=tls), ingress_class()]
    secret = {
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "shop-tls", "namespace": NS, "uid": "s"},
        "data": {"tls.crt": "", "tls.key": ""},
    }
    found = trace(cluster(*objects, secret, unseen=(resource,)), "ingress/web")
    assert causes(found) == []
    assert "not seen" in dict(states(found)).values() or any(s == "not seen" for _, s in states(found))


# 8. An Ingress without class is an error although there is a default; a legacy annotation must name an object.


def test_8_the_default_class_and_the_legacy_annotation_are_enough():
    defaulted = ingress(cls="")
    assert causes(trace(cluster(*healthy_web(), defaulted, ingress_class(default=True)), "ingress/web")) == []
    legacy = ingress(cls="", annotations={"kubernetes.io/ingress.class": "my-nginx"}, address="")
    assert causes(trace(cluster(*healthy_web(), legacy, ingress_class()), "ingress/web")) == []
    google = ingress(cls="gce")
    assert causes(trace(cluster(*healthy_web(), google), "ingress/web")) == []


# 9. Default-deny is reported as "allows traffic to all pods"; matchExpressions are ignored.


def test_9_default_deny_blocks():
    found = trace(cluster(*healthy_web(), policy()))
    assert causes(found)[0] == "NetworkPolicyBlocks"
    assert problems(found)[0].confidence.value == "likely"


def test_9_match_expressions_count():
    other = {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}
    assert causes(trace(cluster(*healthy_web(), policy(selector=other)))) == []


# 10. The namespace selector of a listener is compared with the labels of the route.


def gateway(**namespaces):
    return {
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "infra", "uid": "g", "creationTimestamp": "2026-11-20T12:00:00Z"},
        "spec": {
            "gatewayClassName": "istio",
            "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": namespaces}}
            ],
        },
        "status": {"conditions": [{"type": t, "status": "True"} for t in ("Accepted", "Programmed")]},
    }


def route(**labels):
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": NS, "uid": "r", "labels": labels},
        "spec": {
            "parentRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "infra"}
            ],
            "rules": [{"backendRefs": [{"group": "", "kind": "Service", "name": "web", "port": 80}]}],
        },
        "status": {
            "parents": [
                {
                    "parentRef": {"name": "edge", "namespace": "infra"},
                    "conditions": [{"type": "Accepted", "status": "True"}],
                }
            ]
        },
    }


GATEWAY_CLASS = {"kind": "GatewayClass", "metadata": {"name": "istio", "uid": "c"}, "spec": {"controllerName": "i"}}
SELECTOR = {"from": "Selector", "selector": {"matchLabels": {"edge": "yes"}}}


def test_10_the_selector_is_about_the_namespace():
    allowed = [*healthy_web(), gateway(**SELECTOR), GATEWAY_CLASS, namespace(NS, edge="yes")]
    assert causes(trace(cluster(*allowed, route()), "httproute/web")) == []
    refused = [*healthy_web(), gateway(**SELECTOR), GATEWAY_CLASS, namespace(NS)]
    assert causes(trace(cluster(*refused, route(edge="yes")), "httproute/web")) == ["RouteNotAccepted"]


def test_10_a_missing_gateway_is_found_on_defaulted_objects():
    assert causes(trace(cluster(*healthy_web(), route()), "httproute/web"))[0] == "GatewayNotFound"


# 11. An ipBlock is matched against the pods of the policy's own namespace.


def test_11_an_external_block_is_legitimate():
    block = {"ipBlock": {"cidr": "203.0.113.0/24"}}
    found = trace(cluster(*healthy_web(), policy(ingress=[{"from": [block], "ports": [{"port": 8080}]}])))
    assert causes(found) == ["NetworkPolicyRestricts"]
    assert problems(found)[0].severity is Severity.WARNING
    assert "203.0.113.0/24" in problems(found)[0].message


# 12. Fields that may be absent are dereferenced.


def test_12_absent_fields_do_no_harm():
    no_protocol = policy(ingress=[{"ports": [{"port": 8080}]}])
    client = Peer("pod/x", NS, {"app": "x"}, {})
    assert decide([no_protocol], pod("web-1"), "ingress", client, 8080).verdict is Verdict.ALLOWED
    no_http = ingress()
    no_http["spec"]["rules"] = [{"host": "shop.example.com"}]
    assert answer(cluster(*healthy_web(), no_http, ingress_class()), "ingress/web").errors == ()
    svc = service(selector={}, ports=[{"port": 80}])
    anonymous = slice_of(svc, pod("x"), ports=[{"port": 80}])
    del anonymous["endpoints"][0]["targetRef"]
    assert causes(trace(cluster(svc, anonymous))) == []
