"""Health checks that a load balancer asks on its own, policies attached to a Route, meshes with sidecars."""

import pytest

from kubetriage.model import Severity
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
    machines,
    meta,
    pod,
    policy,
    service,
    slice_of,
    trace,
)

GATEWAY = "gateway.networking.k8s.io/v1"


def _web(path="/healthz"):
    probe = {"httpGet": {"path": path, "port": 8080}}
    made = pod("web-1", {**container(("http", 8080)), **({"readinessProbe": probe} if path else {})})
    svc = service()
    return [svc, made, slice_of(svc, made)]


def _alb(**marks):
    return ingress(cls="alb", annotations={f"alb.ingress.kubernetes.io/{k}": v for k, v in marks.items()})


ALB = ingress_class("alb", controller="ingress.k8s.aws/alb")


@pytest.mark.parametrize(
    ("objects", "symptom", "severity"),
    [
        ([*_web(), _alb(), ALB], "", Severity.NOTE),
        ([*_web(), _alb(), ALB], "503", Severity.WARNING),
        ([*_web("/"), _alb(), ALB], "503", None),
        ([*_web(), _alb(**{"healthcheck-path": "/healthz"}), ALB], "503", None),
        ([*_web(), ingress(), ingress_class()], "503", None),
    ],
    ids=["note", "symptom", "look-alike: same path", "look-alike: told", "look-alike: a proxy of the cluster"],
)
def test_a_target_group_asks_its_own_path(objects, symptom, severity):
    found = trace(cluster(*objects), "ingress/web", symptom=symptom)
    said = [f for f in found.findings if f.cause == "LoadBalancerHealthCheckFailed"]
    assert [f.severity for f in said] == ([severity] if severity else [])
    if said:
        assert "healthcheck-path: /healthz" in said[0].fix[0].text


def _gke(checked=False):
    good = [t.condition(k, "True") for k in ("Accepted", "Programmed")]
    parent = {"parentRef": {"name": "edge"}, "controllerName": "networking.gke.io/gateway"}
    made = [
        t.custom(
            "GatewayClass", GATEWAY, "gke", "", {"conditions": good[:1]}, controllerName="networking.gke.io/gateway"
        ),
        t.custom(
            "Gateway",
            GATEWAY,
            "edge",
            status={"conditions": good, "addresses": [{"value": "192.0.2.9"}]},
            gatewayClassName="gke",
            listeners=[{"name": "http", "port": 80, "protocol": "HTTP"}],
        ),
        t.custom(
            "HTTPRoute",
            GATEWAY,
            status={
                "parents": [{**parent, "conditions": [t.condition(k, "True") for k in ("Accepted", "ResolvedRefs")]}]
            },
            parentRefs=[{"name": "edge"}],
            rules=[{"backendRefs": [{"name": "web", "port": 80}]}],
        ),
    ]
    ref = {"group": "", "kind": "Service", "name": "web"}
    return [*made, *([t.custom("HealthCheckPolicy", "networking.gke.io/v1", targetRef=ref)] if checked else [])]


@pytest.mark.parametrize(("checked", "expected"), [(False, ["LoadBalancerHealthCheckFailed"]), (True, [])])
def test_a_gateway_of_gke_does_not_take_the_readiness_probe_over(checked, expected):
    found = trace(cluster(*_web(), *_gke(checked)), "httproute/web", symptom="503")
    assert causes(found) == expected
    if expected:
        assert "requestPath: /healthz" in (found.findings[0].fix[0].yaml or "")


def _azure(provider="azure:///subscriptions/x", spoken="http", host="shop.example.com", **marks):
    labels = {"app.kubernetes.io/name": "ingress-nginx"}
    proxy = t.controller("ingress-nginx", "/nginx-ingress-controller")
    front = service(
        "edge",
        "edge",
        labels,
        ports=({"name": "http", "port": 80, "targetPort": 80, "appProtocol": spoken},),
        kind="LoadBalancer",
    )
    front["metadata"]["annotations"] = marks
    front["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
    node = {**machines()[0], "spec": {"providerID": provider}}
    return cluster(*healthy_web(), ingress(host=host), ingress_class(), proxy, front, slice_of(front, proxy), node)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, ["LoadBalancerHealthCheckFailed"]),
        ({"spoken": "https"}, ["LoadBalancerHealthCheckFailed"]),
        ({"provider": "aws:///x"}, []),
        ({"spoken": ""}, []),
        ({"host": ""}, []),
        ({"service.beta.kubernetes.io/azure-load-balancer-health-probe-request-path": "/healthz"}, []),
    ],
    ids=["match", "variant: https", "another cloud", "probed by TCP", "GET / is served", "told"],
)
def test_azure_probes_the_root_of_ingress_nginx(how, expected):
    found = trace(_azure(**how), "ingress/web")
    assert causes(found) == expected
    if expected:
        assert "request-path=/healthz" in found.findings[0].fix[0].commands[0]


def _secured(status, reason, kind="SecurityPolicy", target="web"):
    ref = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": target}
    said = t.condition("Accepted", status, reason, "OIDC: secret shop/oidc does not exist.")
    ancestor = {"ancestorRef": {"kind": "Gateway", "name": "edge"}, "conditions": [said]}
    return t.custom(kind, "gateway.envoyproxy.io/v1alpha1", "login", status={"ancestors": [ancestor]}, targetRefs=[ref])


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (_secured("False", "Invalid"), ["IngressRejected"]),
        (_secured("False", "Invalid", "BackendTrafficPolicy"), ["IngressRejected"]),
        (_secured("True", "Accepted"), []),
        (_secured("False", "Invalid", target="other"), []),
    ],
    ids=["match", "variant: another kind", "look-alike: accepted", "look-alike: of another Route"],
)
def test_a_policy_on_the_way_that_is_not_accepted_breaks_it(made, expected):
    found = trace(cluster(*_web("/"), *_gke(), made), "httproute/web")
    assert causes(found) == expected
    if expected:
        assert "get 500" in found.findings[0].message


# Meshes with sidecars.


def _meshed(name, proxy, *containers, **marks):
    made = pod(name, container(("http", 8080)), {"name": proxy, "image": "x:1"}, *containers, ip="10.0.0.1")
    made["metadata"]["annotations"] = marks
    return made


def _intentions(*sources, destination="web"):
    listed = [{"name": n, "action": a} for n, a in sources]
    return t.custom(
        "ServiceIntentions", "consul.hashicorp.com/v1alpha1", destination={"name": destination}, sources=listed
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (_intentions(("front", "allow"), ("*", "deny")), ["MeshAuthorizationDenied"]),
        (_intentions(("shop", "deny"), ("*", "allow")), ["MeshAuthorizationDenied"]),
        (_intentions(("shop", "allow"), ("*", "deny")), []),
        (_intentions(("*", "deny"), destination="db"), []),
    ],
    ids=["match", "variant: by name", "look-alike: by name before all", "look-alike: another destination"],
)
def test_an_intention_of_consul_decides_for_a_client(made, expected):
    web = _meshed("web-1", "consul-dataplane")
    client = pod("shop-1", container(80), {"name": "consul-dataplane"}, labels={"app": "shop"}, ip="10.0.9.9")
    client["metadata"]["annotations"] = {"consul.hashicorp.com/connect-service": "shop"}
    svc = service()
    found = trace(cluster(svc, web, slice_of(svc, web), client, made), client="pod/shop-1")
    assert causes(found) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"GET / HTTP/1.1" 403 - rbac_access_denied_matched_policy[none] - "-" 0 19 0\n', ["MeshAuthorizationDenied"]),
        ('"GET / HTTP/1.1" 403 - via_upstream - "-" 0 19 0\n', []),
    ],
)
def test_the_log_of_consuls_proxy_tells_of_an_intention_that_was_not_seen(line, expected):
    web, svc = _meshed("web-1", "consul-dataplane"), service()
    snapshot = cluster(svc, web, slice_of(svc, web))
    snapshot.add_log(Log(NS, "web-1", "consul-dataplane"), line)
    assert causes(trace(snapshot)) == expected


MESH = t.custom("Mesh", "kuma.io/v1alpha1", "default", "", mtls={"enabledBackend": "ca-1"})
PLAIN = t.custom("Mesh", "kuma.io/v1alpha1", "default", "")
PERMISSION = t.custom("MeshTrafficPermission", "kuma.io/v1alpha1", "all", "kuma-system")
REFUSED = "[2026-11-24 11:58:01.100][35][debug][rbac] enforced denied, matched policy none\n"


@pytest.mark.parametrize(
    ("objects", "log", "expected"),
    [
        ((MESH,), "", ["MeshAuthorizationDenied"]),
        ((MESH, PERMISSION), REFUSED, ["MeshAuthorizationDenied"]),
        ((MESH, PERMISSION), "", []),
        ((), REFUSED, ["MeshAuthorizationDenied"]),
        ((PLAIN,), REFUSED, []),
        ((), "", []),
    ],
    ids=[
        "nobody is admitted",
        "variant: the log says so",
        "look-alike: admitted",
        "variant: nothing but the log",
        "look-alike: no mutual TLS",
        "look-alike: nothing was seen",
    ],
)
def test_kuma_admits_nobody_without_a_permission(objects, log, expected):
    web, svc = _meshed("web-1", "kuma-sidecar"), service()
    snapshot = cluster(svc, web, slice_of(svc, web), *objects)
    if log:
        snapshot.add_log(Log(NS, "web-1", "kuma-sidecar"), log)
    assert causes(trace(snapshot)) == expected


# Cilium.

CLASS = ingress_class("cilium", controller="cilium.io/ingress-controller")


def _cilium_policy(*rules):
    chosen = {"endpointSelector": {"matchLabels": {"app": "web"}}}
    return t.custom("CiliumNetworkPolicy", "cilium.io/v2", "lock", ingress=list(rules), **chosen)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (_cilium_policy({"fromEndpoints": [{}]}), ["NetworkPolicyBlocks"]),
        (policy(ingress=[{"from": [{"podSelector": {}}, {"namespaceSelector": {}}]}]), ["NetworkPolicyBlocks"]),
        (_cilium_policy({"fromEntities": ["ingress"]}), []),
        (_cilium_policy({"fromEntities": ["all"]}), []),
    ],
)
def test_cilium_enters_with_an_identity_that_only_an_entity_names(rule, expected):
    found = trace(cluster(*healthy_web(), ingress(cls="cilium"), CLASS, rule), "ingress/web")
    assert [c for c in causes(found) if c != "NetworkPolicyRestricts"] == expected
    if expected:
        said = next(f for f in found.findings if f.cause == "NetworkPolicyBlocks")
        assert "fromEntities: [ingress]" in (said.fix[0].yaml or "")


def _agent(**labels):
    return pod("cilium-1", container(4244), namespace="kube-system", labels={"k8s-app": "cilium", **labels})


@pytest.mark.parametrize(
    ("value", "version", "proxy", "expected"),
    [
        ("false", "v1.30.1", False, ["KubeProxyNotReady"]),
        ("disabled", "v1.30.1", False, ["KubeProxyNotReady"]),
        ("true", "v1.30.1", False, []),
        ("false", "v1.30.1+k3s1", False, []),
        ("false", "v1.30.1", True, []),
    ],
)
def test_somebody_must_do_the_work_of_kube_proxy(value, version, proxy, expected):
    config = {"kind": "ConfigMap", "metadata": meta("cilium-config", "kube-system"), "data": {}}
    config["data"] = {"kube-proxy-replacement": value}
    nodes = [{**n, "status": {"nodeInfo": {"kubeletVersion": version}}} for n in machines()]
    own = (
        [pod("kube-proxy-1", container(1), namespace="kube-system", labels={"k8s-app": "kube-proxy"})] if proxy else []
    )
    snapshot = cluster(*healthy_web(), config, _agent(), *nodes, *own)
    assert causes(trace(snapshot, symptom="timeout")) == expected


# The Gateway API.

EDGE = "traefik.io/gateway-controller"


def _routed(controller, *, resolved=("True", "ResolvedRefs", ""), judged=True):
    good = [t.condition(k, "True", k) for k in ("Accepted", "Programmed")]
    wait = [t.condition(k, "Unknown", "Pending", "Waiting for controller") for k in ("Accepted", "Programmed")]
    parent = {"parentRef": {"name": "edge"}, "controllerName": controller}
    said = [t.condition("Accepted", "True", "Accepted"), t.condition("ResolvedRefs", *resolved)]
    return [
        t.custom(
            "GatewayClass",
            GATEWAY,
            "edge",
            "",
            {"conditions": (good if judged else wait)[:1]},
            controllerName=controller,
        ),
        t.custom(
            "Gateway",
            GATEWAY,
            "edge",
            status={"conditions": good if judged else wait, "addresses": [{"value": "192.0.2.9"}] if judged else []},
            gatewayClassName="edge",
            listeners=[{"name": "http", "port": 80, "protocol": "HTTP"}],
        ),
        t.custom(
            "HTTPRoute",
            GATEWAY,
            status={"parents": [{**parent, "conditions": said}] if judged else []},
            parentRefs=[{"name": "edge"}],
            rules=[{"backendRefs": [{"name": "web", "port": 80}]}],
        ),
    ]


DISABLED = "resource shop/ext of type Backend is not supported since Backend is disabled in Envoy Gateway configuration"


@pytest.mark.parametrize(
    ("resolved", "expected", "says"),
    [
        (("False", "UnsupportedValue", DISABLED), ["RouteNotAccepted"], "enableBackend"),
        (("False", "InvalidKind", "kind Bucket is not known"), ["RouteNotAccepted"], ""),
        (("True", "ResolvedRefs", ""), [], ""),
    ],
    ids=["match", "variant: another kind", "look-alike: resolved"],
)
def test_a_reference_that_the_controller_cannot_use_breaks_the_route(resolved, expected, says):
    found = trace(cluster(*_web("/"), *_routed("gateway.envoyproxy.io/x", resolved=resolved)), "httproute/web")
    assert causes(found) == expected
    assert not says or says in found.findings[0].fix[0].text


@pytest.mark.parametrize(
    ("controller", "args", "told"),
    [
        (EDGE, ("--providers.kubernetesingress",), True),
        (EDGE, ("--providers.kubernetesgateway",), False),
        ("example.com/gateway", ("--providers.kubernetesingress",), False),
    ],
)
def test_a_controller_that_does_not_look_at_the_gateway_api(controller, args, told):
    objects = [*_web("/"), *_routed(controller, judged=False), t.controller("traefik", *args)]
    found = trace(cluster(*objects), "httproute/web")
    assert causes(found)[0] == "GatewayNotProgrammed"
    assert ("providers.kubernetesgateway" in found.findings[0].fix[0].text) is told


@pytest.mark.parametrize(("label", "told"), [("cluster-local", True), ("", False)])
def test_a_private_service_of_knative_says_so(label, told):
    made = t.custom("Service", "serving.knative.dev/v1", "hello", status={"conditions": [t.condition("Ready", "True")]})
    made["metadata"]["labels"] = {"networking.knative.dev/visibility": label} if label else {}
    found = trace(cluster(made), "ksvc/hello")
    assert ("cluster-local" in found.findings[0].message) is told
    assert bool(found.findings[0].fix) is told


def test_a_quoted_number_is_the_name_of_a_port():
    svc = service(ports=({"port": 80, "targetPort": "8080"},))
    web = pod("web-1", container(8080))
    found = trace(cluster(svc, web, slice_of(svc, web, ports=())))
    assert causes(found)[0] == "TargetPortNameNotFound"
    assert "without quotes" in found.findings[0].fix[0].text
    assert found.findings[0].fix[0].patch["spec"]["ports"][0]["targetPort"] == 8080


# Local traffic.


@pytest.mark.parametrize(
    ("spec", "severity"),
    [({"loadBalancerIPs": True}, Severity.WARNING), ({"externalIPs": True}, Severity.NOTE), (None, Severity.NOTE)],
    ids=["announced from any node", "look-alike: other addresses", "look-alike: no policy"],
)
def test_cilium_announces_from_nodes_without_pods(spec, severity):
    svc = service(kind="LoadBalancer", externalTrafficPolicy="Local")
    said = t.condition("cilium.io/IPAMRequestSatisfied", "True", "satisfied")
    svc["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}, "conditions": [said]}
    web = pod(node="n1")
    rules = [t.custom("CiliumL2AnnouncementPolicy", "cilium.io/v2alpha1", "l2", "", **spec)] if spec else []
    bgp = [] if spec else [t.custom("CiliumBGPClusterConfig", "cilium.io/v2", "bgp", "")]
    found = trace(cluster(svc, web, slice_of(svc, web), *machines(), *rules, *bgp))
    local = next(f for f in found.findings if f.cause == "NoLocalEndpoints")
    assert local.severity is severity
