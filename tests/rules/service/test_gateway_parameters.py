"""A Gateway whose class, listener or certificate its controller refuses: which object it is, and who makes it."""

import pytest

from support import traffic as t
from support.services import causes, cluster, container, healthy_web, ingress, pod, problems, trace

GROUP = "gateway.networking.k8s.io/v1"
ISSUER = {"cert-manager.io/cluster-issuer": "letsencrypt"}


def gateway_class(status="True", reason="Accepted", message="", **spec):
    said = {"conditions": [t.condition("Accepted", status, reason, message)]}
    return t.custom("GatewayClass", GROUP, "edge", "", status=said, controllerName="example.com/edge", **spec)


def gateway(*conditions, listener=(), notes=None, tls=None):
    status = {"conditions": list(conditions), "listeners": [{"name": "web", "conditions": list(listener)}]}
    entry = {"name": "web", "port": 443, "protocol": "HTTPS", "hostname": "shop.example.com"}
    made = t.custom(
        "Gateway", GROUP, "edge", status=status, gatewayClassName="edge", listeners=[{**entry, **(tls or {})}]
    )
    made["metadata"]["annotations"] = notes or {}
    return made


ROUTE = t.custom(
    "HTTPRoute",
    GROUP,
    "web",
    status={"parents": []},
    parentRefs=[{"name": "edge"}],
    hostnames=["shop.example.com"],
    rules=[{"backendRefs": [{"name": "web", "port": 80}]}],
)
WAITS = (t.condition("Accepted", "Unknown", "Pending", ""), t.condition("Programmed", "Unknown", "Pending", ""))
PARAMETERS = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "own", "namespace": "eg"}


def ask(*objects):
    return trace(cluster(*healthy_web(), ROUTE, *objects), "httproute/web")


def test_the_object_of_the_parameters_is_named_and_nobody_is_to_be_started():
    lost = gateway_class("False", "InvalidParameters", "failed to find envoyproxy eg/own", parametersRef=PARAMETERS)
    found = ask(lost, gateway(*WAITS))
    assert causes(found) == ["GatewayNotAccepted"]
    assert "Create EnvoyProxy own in namespace eg" in problems(found)[0].fix[0].text


def test_parameters_that_exist_are_to_be_corrected():
    bad = gateway_class("False", "InvalidParameters", "spec.replicas: must be positive", parametersRef=PARAMETERS)
    fix = problems(ask(bad, gateway(*WAITS)))[0].fix[0]
    assert "Correct EnvoyProxy own" in fix.text
    assert "Create" not in fix.text


def test_a_class_without_a_verdict_still_waits_for_its_controller():
    waits = gateway_class("Unknown", "Pending")
    assert causes(ask(waits, gateway(*WAITS))) == ["GatewayNotProgrammed"]


REFUSED = (t.condition("Accepted", "False", "ListenersNotValid", "Gateway has no valid listeners"),)
NO_SECRET = (t.condition("ResolvedRefs", "False", "InvalidCertificateRef", "secret does not exist"),)
TLS = {"tls": {"mode": "Terminate", "certificateRefs": [{"name": "web-tls"}]}}


def manager(*args):
    own = container(9402, name="cert-manager-controller", args=list(args))
    labels = {"app.kubernetes.io/name": "cert-manager", "app.kubernetes.io/component": "controller"}
    return pod("cert-manager-1", own, namespace="cert-manager", labels=labels, ip="10.9.0.9")


def certified(*objects, notes=None):
    made = gateway(*REFUSED, listener=NO_SECRET, tls=TLS, notes=ISSUER if notes is None else notes)
    return ask(gateway_class(), made, *objects)


def test_cert_manager_that_does_not_look_at_gateways_is_told_to():
    found = certified(manager("--v=2"))
    assert causes(found)[0] == "TLSSecretNotFound"
    assert "GatewayNotAccepted" not in causes(found)
    assert "--enable-gateway-api" in problems(found)[0].fix[0].text
    assert "create secret tls" not in problems(found)[0].fix[0].text


def test_with_the_option_or_a_file_its_log_decides():
    for args in (("--enable-gateway-api",), ("--config=/var/config.yaml",)):
        found = problems(certified(manager(*args)))[0]
        assert "runs without" not in found.message
        assert "Read what cert-manager says" in found.fix[0].text


def test_without_an_annotation_the_secret_is_to_be_made():
    assert "create secret tls" in problems(certified(manager("--v=2"), notes={}))[0].fix[0].text


def test_an_annotated_ingress_is_for_cert_manager_too():
    made = ingress(tls=[{"hosts": ["shop.example.com"], "secretName": "web-tls"}], annotations=ISSUER)
    found = trace(cluster(*healthy_web(), made, manager("--v=2")), "ingress/web")
    (secret,) = [f for f in problems(found) if f.cause == "TLSSecretNotFound"]
    assert "Read what cert-manager says of ingress/web" in secret.fix[0].text


def test_a_listener_that_says_nothing_leaves_the_gateways_own_words():
    assert causes(ask(gateway_class(), gateway(*REFUSED)))[0] == "GatewayNotAccepted"


# Certificates of other namespaces, by what the listener says of them.

NOT_PERMITTED = (
    t.condition("Programmed", "False", "Invalid", "Invalid CertificateRef"),
    t.condition("ResolvedRefs", "False", "RefNotPermitted", "CertificateRef is not permitted"),
)
TAKEN = (t.condition("Accepted", "True", "Accepted", "Gateway successfully scheduled"),)


def foreign(*places):
    refs = [{"kind": "Secret", "name": "web-tls", "namespace": place} for place in places]
    return {"tls": {"mode": "Terminate", "certificateRefs": refs}}


def unseen_grants(made):
    return trace(cluster(*healthy_web(), gateway_class(), made, unseen=("referencegrants", "secrets")), "gateway/edge")


def test_a_listener_that_may_not_use_a_secret_asks_for_the_grant_though_grants_were_not_seen():
    found = unseen_grants(gateway(*TAKEN, listener=NOT_PERMITTED, tls=foreign("tooling")))
    assert causes(found)[0] == "ReferenceNotGranted"
    fault = problems(found)[0]
    assert "namespace: tooling" in fault.fix[1].text
    assert "RefNotPermitted" in fault.evidence[1].value
    assert "waited" not in " ".join(f.message for f in found.findings)


def test_of_two_foreign_certificates_the_listener_does_not_say_which():
    found = unseen_grants(gateway(*TAKEN, listener=NOT_PERMITTED, tls=foreign("tooling", "vault")))
    assert causes(found)[0] == "GatewayNotProgrammed"
    assert "ReferenceGrant" in problems(found)[0].fix[0].text


def test_an_own_certificate_needs_no_grant():
    found = unseen_grants(gateway(*TAKEN, listener=NO_SECRET, tls=TLS))
    assert "ReferenceNotGranted" not in causes(found)


# A Route whose Gateway was not seen.


def lone_route(*conditions):
    parent = {"controllerName": "example.com/edge", "parentRef": {"name": "edge"}, "conditions": list(conditions)}
    route = t.custom(
        "HTTPRoute",
        GROUP,
        "web",
        status={"parents": [parent]},
        parentRefs=[{"name": "edge"}],
        hostnames=["shop.example.com"],
        rules=[{"backendRefs": [{"name": "web", "port": 80}]}],
    )
    return trace(cluster(*healthy_web(), route, unseen=("gateways", "gatewayclasses")), "httproute/web")


@pytest.mark.parametrize(
    ("reason", "cause", "told"),
    [
        ("NoMatchingListenerHostname", "RouteHostnameMismatch", "Compare shop.example.com with the hostname"),
        ("NotAllowedByListeners", "RouteNotAccepted", "Let allowedRoutes of a listener"),
        ("NoMatchingParent", "RouteNotAccepted", "sectionName and port"),
    ],
)
def test_what_the_controller_says_of_a_route_counts_without_its_gateway(reason, cause, told):
    found = lone_route(t.condition("Accepted", "False", reason, "words"))
    assert causes(found)[0] == cause
    assert told in problems(found)[0].fix[0].text


def test_a_route_that_was_accepted_is_no_fault_without_its_gateway():
    assert not {"RouteNotAccepted", "RouteHostnameMismatch"} & set(
        causes(lone_route(t.condition("Accepted", "True", "Accepted", "")))
    )
