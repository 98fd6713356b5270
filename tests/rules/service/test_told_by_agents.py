"""What the agents around a way say: client proxies, JWT filters, issuers, external-dns, speakers, gateway operators."""

import pytest

from kubetriage.model import Confidence
from kubetriage.needs import Log
from support import traffic as t
from support.services import (
    NS,
    causes,
    cluster,
    container,
    healthy_web,
    ingress,
    ingress_class,
    pod,
    problems,
    service,
    slice_of,
    trace,
)

# The proxies of Istio.

APP = pod("app", container(name="app"), container(name="istio-proxy"), namespace="front", ip="10.0.0.50")
ASKED = (
    '[2026-11-24T11:59:00.123Z] "GET /api HTTP/1.1" {} "-" 0 0 0 - "10.0.0.9" "curl" "id" "{}" "-" - - {} 10.0.0.9:41 -'
)
BARRED = ASKED.format("502 - direct_response -", "web.shop", "10.96.0.1:80") + " block_all\n"
TOKEN = ASKED.format("401 - jwt_authn_access_denied{{{}}} -", "shop.example.com", "10.0.0.1:8080").replace(
    '"-" - -', '"-" inbound|8080|| -'
)
RULES = [{"issuer": "https://idp.example.com"}]
JWT = t.custom("RequestAuthentication", "security.istio.io/v1", "jwt", jwtRules=RULES)


def outlook(*hosts, place="front"):
    return t.custom("Sidecar", "networking.istio.io/v1", "default", place, egress=[{"hosts": list(hosts)}])


def from_front(line, *objects):
    snapshot = cluster(*t.meshed_web(), APP, *objects)
    snapshot.add_log(Log("front", "app", "istio-proxy"), line)
    return trace(snapshot, client="pod/front/app")


def test_the_sidecar_that_hides_a_service_is_named():
    (found,) = problems(from_front(BARRED, outlook("./*", "istio-system/*")))
    assert found.cause == "MeshRouteInvalid"
    assert "Add shop/* to spec.egress[].hosts of sidecar.networking.istio.io/default" in found.fix[0].text


@pytest.mark.parametrize("hosts", [("shop/*",), ("*/*",)])
def test_a_sidecar_that_shows_it_is_not_blamed(hosts):
    (found,) = problems(from_front(BARRED, outlook(*hosts)))
    assert "Add shop/*" not in found.fix[0].text
    assert "exportTo" in found.fix[0].text


def test_what_a_client_asks_of_others_does_not_count():
    assert not problems(from_front(BARRED.replace("web.shop", "api.shop").replace("10.96.0.1", "10.96.0.7")))


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("Jwt_issuer_is_not_configured", "https://idp.example.com"),
        ("Jwt_is_expired", "renew its token"),
        ("Audiences_in_Jwt_are_not_allowed", "audiences of requestauthentication/jwt"),
        ("Jwks_remote_fetch_is_failed", "jwksUri"),
        ("Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt", "signed the token"),
        ("Something_new", "Compare the token"),
    ],
)
def test_a_refused_token_says_what_to_compare(reason, says):
    snapshot = cluster(*t.meshed_web(), JWT)
    snapshot.add_log(Log(NS, "web-1", "istio-proxy"), TOKEN.replace("{{{}}}", f"{{{reason}}}") + "\n")
    (found,) = problems(trace(snapshot))
    assert found.cause == "MeshAuthorizationDenied"
    assert says in found.fix[0].text


def test_a_401_of_the_program_is_no_matter_of_the_filter():
    snapshot = cluster(*t.meshed_web(), JWT)
    snapshot.add_log(Log(NS, "web-1", "istio-proxy"), ASKED.format("401 - via_upstream -", "x", "10.0.0.1:8080") + "\n")
    assert not problems(trace(snapshot))


# cert-manager's issuers.

REFUSED = (
    "Failed to initialize Vault client: while requesting a Vault token using the Kubernetes auth: Code: 403."
    " permission denied"
)


def issued_by(status, message, kind="ClusterIssuer", name="vault"):
    waits = [t.condition("Ready", "False", "DoesNotExist", "Issuing certificate as Secret does not exist")]
    ref = {"name": "vault", "kind": "ClusterIssuer"}
    made = t.custom(
        "Certificate", "cert-manager.io/v1", "web", status={"conditions": waits}, secretName="tls", issuerRef=ref
    )
    said = {"conditions": [t.condition("Ready", status, "VaultError", message)]}
    issuer = t.custom(kind, "cert-manager.io/v1", name, "", status=said)
    tls = [{"hosts": ["shop.example.com"], "secretName": "tls"}]
    snapshot = cluster(*healthy_web(), ingress(tls=tls), ingress_class(), made, issuer)
    return next(f for f in problems(trace(snapshot, "ingress/web")) if f.cause == "TLSSecretNotFound")


def test_an_issuer_that_is_not_ready_is_the_reason():
    found = issued_by("False", REFUSED)
    assert "clusterissuer/vault is not ready" in found.message
    assert "bound_service_account_names" in found.fix[0].text
    assert "Repair clusterissuer/vault" in issued_by("False", "odd words").fix[0].text


def test_an_issuer_that_is_ready_or_another_one_is_not():
    assert "is not ready" not in issued_by("True", "").message
    assert "is not ready" not in issued_by("False", REFUSED, name="other").message


# external-dns.


def named(made, target, *sources):
    writer = pod(
        "external-dns-1",
        container(name="external-dns", args=[f"--source={s}" for s in sources]),
        namespace="dns",
        labels={"app.kubernetes.io/name": "external-dns"},
    )
    return problems(trace(cluster(*healthy_web(), *made, writer), target, symptom="nxdomain"))


def test_a_kind_that_external_dns_does_not_read_is_named():
    made, target = [t.ingress_route(), t.TRAEFIK], "ingressroute/web"
    (found,) = [f for f in named(made, target, "service", "ingress") if f.cause == "IngressRejected"]
    assert "--source=traefik-proxy" in found.fix[0].text
    for sources in (("traefik-proxy",), ("service", "crd"), ()):
        assert "IngressRejected" not in [f.cause for f in named(made, target, *sources)]


# MetalLB.


def announced(*lines, l2=False):
    svc = service(kind="LoadBalancer")
    svc["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.10"}]}}
    svc["metadata"]["annotations"] = {"metallb.io/ip-allocated-from-pool": "edge"}
    adverts = [t.custom("BGPAdvertisement", "metallb.io/v1beta1", "edge", "metallb-system", ipAddressPools=["edge"])]
    if l2:
        adverts.append(t.custom("L2Advertisement", "metallb.io/v1beta1", "edge", "metallb-system"))
    labels = {"app.kubernetes.io/component": "speaker"}
    speaker = pod("speaker-1", container(name="speaker"), namespace="metallb-system", labels=labels, ip="10.1.0.9")
    snapshot = cluster(svc, *healthy_web()[1:], *adverts, speaker)
    snapshot.add_log(Log("metallb-system", "speaker-1", "speaker"), "\n".join(lines) + "\n")
    return trace(snapshot)


DOWN = (
    '{"error":"dial \\"10.1.0.1:179\\": connection refused",'
    '"level":"error","msg":"failed to connect to peer","peer":"10.1.0.1:179"}'
)
UP = '{"level":"info","msg":"BGP session established","peer":"10.1.0.1:179"}'


def test_a_session_that_does_not_come_up_is_named_with_its_peer():
    (found,) = [f for f in problems(announced(UP, DOWN)) if f.cause == "LoadBalancerNotAnnounced"]
    assert "10.1.0.1:179" in found.message
    assert "port 179" in found.fix[0].text


def test_a_session_that_is_up_again_or_another_way_of_announcing_is_fine():
    assert "LoadBalancerNotAnnounced" not in causes(announced(DOWN, UP))
    assert "LoadBalancerNotAnnounced" not in causes(announced(DOWN, l2=True))


# Operators of Gateways.

GROUP = "gateway.networking.k8s.io/v1"
WAITS = {"conditions": [t.condition("Accepted", "Unknown", "Pending", "Waiting for controller")]}
LOST = (
    'time="2026-11-24T08:00:02Z" level=error msg="Required GatewayAPI resources are not found"'
    ' error="customresourcedefinitions.apiextensions.k8s.io \\"tlsroutes.gateway.networking.k8s.io\\" not found"\n'
)


def waiting(log, *, ready=True, operator=True):
    cls = t.custom("GatewayClass", GROUP, "cilium", "", status=WAITS, controllerName="io.cilium/gateway-controller")
    listeners = [{"name": "web", "port": 80, "protocol": "HTTP"}]
    edge = t.custom("Gateway", GROUP, "edge", status=WAITS, gatewayClassName="cilium", listeners=listeners)
    rules = [{"backendRefs": [{"name": "web", "port": 80}]}]
    route = t.custom("HTTPRoute", GROUP, "web", parentRefs=[{"name": "edge"}], rules=rules)
    labels = {"io.cilium/app": "operator"}
    own = pod("cilium-operator-1", container(name="op"), namespace="kube-system", labels=labels, ready=ready)
    snapshot = cluster(*healthy_web(), cls, edge, route, *([own] if operator else []))
    if operator:
        snapshot.add_log(Log("kube-system", "cilium-operator-1", "op"), log)
    (found,) = [f for f in problems(trace(snapshot, "httproute/web")) if f.cause == "GatewayNotProgrammed"]
    return found


def test_a_controller_that_runs_is_not_to_be_started():
    found = waiting(LOST)
    assert "tlsroutes.gateway.networking.k8s.io" in found.message
    assert "Install all CRDs" in found.fix[0].text
    assert "Read the log of pod/cilium-operator-1" in waiting("level=info msg=ok\n").fix[0].text
    assert "Repair pod/cilium-operator-1" in waiting(LOST, ready=False).fix[0].text


def test_a_controller_that_was_not_seen_is():
    assert "Start the controller" in waiting("", operator=False).fix[0].text


# OpenShift's router.


def encrypted(symptom="503", annotation="", **tls):
    svc = service(ports=({"name": "https", "port": 443, "targetPort": 8080},))
    if annotation:
        svc["metadata"]["annotations"] = {annotation: "web-tls"}
    web = pod("web-1")
    route = t.openshift_route(tls={"termination": "reencrypt", **tls})
    snapshot = cluster(svc, web, slice_of(svc, web, ports=({"name": "https", "port": 8080},)), route)
    return problems(trace(snapshot, "route/web", symptom=symptom))


def test_a_route_that_encrypts_anew_without_an_authority_is_a_candidate():
    (found,) = [f for f in encrypted() if f.cause == "BackendConnectionFailed"]
    assert found.confidence is Confidence.POSSIBLE
    assert "destinationCACertificate" in found.fix[0].text
    for others in (
        encrypted(symptom="404"),
        encrypted(destinationCACertificate="-----BEGIN CERTIFICATE-----"),
        encrypted(annotation="service.beta.openshift.io/serving-cert-secret-name"),
        encrypted(termination="edge"),
    ):
        assert "BackendConnectionFailed" not in [f.cause for f in others]
