"""What controllers say themselves: events, conditions, words of status, log lines."""

import pytest

from kubetriage.model import Actor, Confidence, Severity
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
    policy,
    problems,
    service,
    slice_of,
    trace,
)
from support.traffic import event

ALB = ingress_class("alb", controller="ingress.k8s.aws/alb")
LBC = t.controller("aws-load-balancer-controller", namespace="kube-system")


ALB_INGRESS = ingress(cls="alb", address="")
SUBNETS = (
    "Failed build model due to couldn't auto-discover subnets: subnets count less than minimal required count: 1 < 2"
)
REFUSED = event(ALB_INGRESS, "FailedBuildModel", SUBNETS)
DONE = event(
    ALB_INGRESS, "SuccessfullyReconciled", "Successfully reconciled", kind="Normal", last="2026-11-24T11:55:00Z"
)
EARLIER = event(ALB_INGRESS, "SuccessfullyReconciled", "ok", kind="Normal", last="2026-11-24T11:40:00Z")
BEGUN = event(ALB_INGRESS, "Sync", "Scheduled for sync", kind="Normal", last="2026-11-24T11:55:00Z")
OTHERS = event(ALB_INGRESS, "Applied", "ok", kind="Normal", who="argocd", last="2026-11-24T11:55:00Z")
CONFLICT = event(ALB_INGRESS, "FailedUpdate", "the object has been modified; please apply your changes to the latest")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([REFUSED], ["IngressRejected"]),
        ([REFUSED, EARLIER], ["IngressRejected"]),
        ([REFUSED, BEGUN], ["IngressRejected"]),
        ([REFUSED, OTHERS], ["IngressRejected"]),
        ([REFUSED, DONE], ["LoadBalancerPending"]),
        ([CONFLICT], ["LoadBalancerPending"]),
        ([], ["LoadBalancerPending"]),
    ],
    ids=["refused", "after a success", "a beginning is none", "another component", "superseded", "conflict", "silent"],
)
def test_the_newest_warning_counts_while_no_success_follows(events, expected):
    found = trace(cluster(*healthy_web(), ALB_INGRESS, ALB, LBC, *events), "ingress/web")
    assert causes(found) == expected
    assert "is healthy" not in found.summary


def test_known_words_say_what_ends_it_and_who_does():
    (found,) = problems(trace(cluster(*healthy_web(), ALB_INGRESS, ALB, LBC, REFUSED), "ingress/web"))
    assert found.confidence is Confidence.CONFIRMED
    assert "kubernetes.io/role/elb" in found.fix[0].text
    assert found.fix[0].actor is Actor.CLOUD
    assert any("subnets count less" in e.value for e in found.evidence)


def test_a_load_balancer_service_with_an_address_is_refused_too():
    svc = service(kind="LoadBalancer")
    svc["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    said = event(svc, "FailedDeployModel", "Failed deploy model due to TooManyTargets: 1 > 0", who="service")
    found = trace(cluster(svc, *healthy_web()[1:], said))
    assert causes(found) == ["IngressRejected"]
    assert "older version" in found.findings[0].message


def test_gke_wants_a_service_type_and_the_command_annotates_it():
    made = ingress(cls="", address="")
    words = 'Translation failed: invalid ingress spec: service "shop/web" is type "ClusterIP", expected "NodePort" or '
    said = event(made, "Translate", words + '"LoadBalancer"', who="loadbalancer-controller")
    (found,) = problems(trace(cluster(*healthy_web(), made, said), "ingress/web"))
    assert found.cause == "IngressRejected"
    assert found.fix[0].commands == ("kubectl -n shop annotate service web 'cloud.google.com/neg={\"ingress\": true}'",)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"conditions": [t.condition("Valid", "True")]}, []),
        ({"conditions": [t.condition("Valid", "False", "Bad", "no such plugin")]}, ["IngressRejected"]),
        ({"conditions": [t.condition("ConfigError", "True", "Bad", "x")]}, ["IngressRejected"]),
        ({"conditions": [t.condition("ConfigError", "False")]}, []),
        ({"conditions": [t.condition("Progressing", "False")]}, []),
        ({"state": "Valid"}, []),
        (
            {"state": "Rejected", "reason": "Rejected", "message": "host is taken by another resource"},
            ["IngressRejected"],
        ),
        (
            {"currentStatus": "orphaned", "description": "this HTTPProxy is not part of a delegation chain"},
            ["IngressRejected"],
        ),
    ],
)
def test_conditions_and_words_of_status(status, expected):
    made = t.custom("VirtualServer", "k8s.nginx.org/v1", status=status, host="a.b", upstreams=[{
        "name": "w", "service": "web", "port": 80}])  # fmt: skip
    found = trace(cluster(*healthy_web(), made))
    assert causes(found) == expected
    assert not found.healthy
    assert "NotEvaluated" in {f.cause for f in found.findings}


def logged(line, made=None):
    """Return the trace of an Ingress whose controller wrote one line."""
    controller = t.controller("ingress-nginx", namespace="edge")
    snapshot = cluster(*healthy_web(), made or ingress(), ingress_class(), controller)
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), line)
    return trace(snapshot, "ingress/web")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('E1124 11:59:00.0 store.go:406] ignoring ingress shop/web: annotation "x" is risky', ["IngressRejected"]),
        (
            'time="2026-11-24" level=error msg="no middleware" ingress=web namespace=shop',
            ["IngressRejected"],
        ),
        ('{"level":"error","msg":"failed","ingress":"shop/web"}', ["IngressRejected"]),
        ("I1124 11:59:00.0 store.go:406] Found valid IngressClass ingress shop/web", []),
        ("E1124 11:59:00.0 store.go:406] ignoring ingress shop/web-2: bad", []),
        ("E1124 11:59:00.0 store.go:406] ignoring ingress workshop/web: bad", []),
        ('W1124 11:59:00.0 controller.go:1] Service "shop/web" does not have any active Endpoint.', []),
        ("E1124 11:58:00.0 x] ignoring ingress shop/web: bad\nI1124 11:59:00.0 y] updated ingress shop/web", []),
    ],
)
def test_the_newest_line_of_the_controllers_log_about_the_object(line, expected):
    found = logged(line)
    assert causes(found) == expected
    if expected:
        assert found.findings[0].severity is Severity.WARNING
        assert found.findings[0].confidence is Confidence.LIKELY


# Load balancers that call backends unhealthy.


def gke(states, **svc):
    """Return the trace of an Ingress of GKE with these states of its backends."""
    made = ingress(cls="gce", annotations={"ingress.kubernetes.io/backends": states})
    objects = healthy_web(kind="NodePort", ports=[{"port": 80, "targetPort": 8080, "nodePort": 30167}], **svc)
    return trace(cluster(*objects, made), "ingress/web")


def test_an_unhealthy_backend_is_found_by_its_node_port():
    (found,) = problems(gke('{"k8s-be-30167--abc":"UNHEALTHY","k8s-be-31000--abc":"HEALTHY"}'))
    assert (found.cause, found.severity) == ("LoadBalancerHealthCheckFailed", Severity.ERROR)
    assert "svc/web" in found.message
    assert "35.191.0.0/16" in " ".join(f.text for f in found.fix)


def test_an_endpoint_group_is_found_by_its_name():
    (found,) = problems(gke('{"k8s1-f4e1-shop-web-80-a1b2":"UNHEALTHY"}'))
    assert found.cause == "LoadBalancerHealthCheckFailed"


@pytest.mark.parametrize(
    "states", ['{"k8s-be-30167--abc":"HEALTHY"}', '{"k8s-be-30167--abc":"Unknown"}', "", "[1]", "{x"]
)
def test_healthy_unknown_and_unreadable_states_say_nothing(states):
    assert causes(gke(states)) == []


def test_health_checks_that_a_policy_drops_are_named():
    made = ingress(cls="gce", annotations={"ingress.kubernetes.io/backends": '{"k8s-be-30167--a":"UNHEALTHY"}'})
    rule = policy(ingress=[{"from": [{"podSelector": {}}]}])
    objects = healthy_web(kind="NodePort", ports=[{"port": 80, "targetPort": 8080, "nodePort": 30167}])
    found = trace(cluster(*objects, made, rule), "ingress/web")
    assert set(causes(found)) == {"LoadBalancerHealthCheckFailed", "NetworkPolicyBlocks"}


# Entrances that are not judged, and policies of other APIs.


def test_a_policy_of_another_api_that_selects_the_pods_is_no_all_clear():
    rule = t.custom("CiliumNetworkPolicy", "cilium.io/v2", "lock", endpointSelector={"matchLabels": {"k8s:app": "web"}},
                    ingress=[{"fromEndpoints": [{"matchLabels": {"role": "front"}}]}])  # fmt: skip
    found = trace(cluster(*healthy_web(), rule))
    assert (found.cause, found.healthy) == ("NetworkPolicyRestricts", False)
    assert "role=front" in found.findings[0].message


@pytest.mark.parametrize(
    "other",
    [
        t.custom(
            "CiliumNetworkPolicy", "cilium.io/v2", "x", endpointSelector={"matchLabels": {"app": "db"}}, ingress=[{}]
        ),
        t.custom("NetworkPolicy", "crd.projectcalico.org/v1", "x", selector="app == 'db'", ingress=[]),
        t.custom("CiliumNetworkPolicy", "cilium.io/v2", "x", endpointSelector={}, egress=[{}]),
    ],
)
def test_a_policy_about_other_pods_or_what_goes_out_is_left_out(other):
    found = trace(cluster(*healthy_web(), other))
    assert (found.cause, found.healthy) == ("Healthy", True)


def test_an_object_that_names_another_service_is_not_on_the_way():
    made = t.custom("Mapping", "getambassador.io/v2", hostname="x", service="db:80")
    assert trace(cluster(*healthy_web(), made)).healthy
    monitor = t.custom("ServiceMonitor", "monitoring.coreos.com/v1", endpoints=[{"port": "web"}], service="web")
    assert trace(cluster(*healthy_web(), monitor)).healthy


def test_a_pod_with_the_name_label_of_no_controller_is_not_asked_for_its_log():
    other = pod("app-1", namespace="edge", labels={"app.kubernetes.io/name": "shop"})
    assert causes(trace(cluster(*healthy_web(), ingress(), ingress_class(), other), "ingress/web")) == []
    assert NS == "shop"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--watch-namespace=blog"], ["IngressControllerNotFound"]),
        (["--watch-namespace=blog,shop"], []),
        (["--watch-namespace=$(POD_NAMESPACE)"], ["IngressControllerNotFound"]),
        (["--controller-class=k8s.io/internal-nginx"], ["IngressControllerNotFound"]),
        (["--controller-class=k8s.io/ingress-nginx"], []),
        ([], []),
    ],
)
def test_a_controller_that_was_told_to_serve_others_serves_nothing_here(args, expected):
    runs = t.controller("ingress-nginx", *args, namespace="edge")
    found = trace(cluster(*healthy_web(), ingress(address=""), ingress_class(), runs), "ingress/web")
    assert causes(found) == expected


@pytest.mark.parametrize(
    ("name", "controller", "word", "expected"),
    [
        ("traefik", "traefik.io/ingress-controller", "--providers.kubernetesIngress.ingressClass=edge", True),
        ("traefik", "traefik.io/ingress-controller", "--providers.kubernetesingress.ingressclass=nginx", False),
        ("traefik", "traefik.io/ingress-controller", "--providers.kubernetesingress=true", False),
        ("kubernetes-ingress", "haproxy.org/ingress-controller/haproxy", "--ingress.class=haproxy-public", True),
        ("kubernetes-ingress", "haproxy.org/ingress-controller/haproxy", "--ingress.class=haproxy", False),
        ("kong", "ingress-controllers.konghq.com/kong", "--ingress-class=kong-internal", True),
        ("kong", "ingress-controllers.konghq.com/kong", "--ingress-class=nginx", False),
    ],
)
def test_a_controller_that_was_told_another_class_name_passes_the_ingress_over(name, controller, word, expected):
    runs = t.controller(name, word, namespace="edge")
    made = ingress_class(controller=controller)
    found = trace(cluster(*healthy_web(), ingress(address=""), made, runs), "ingress/web")
    assert ("IngressControllerNotFound" in causes(found)) is expected


@pytest.mark.parametrize(
    ("scheme", "annotation", "expected"),
    [
        ("HTTPS", "", ["ProtocolMismatch"]),
        ("HTTPS", "HTTPS", []),
        ("HTTP", "HTTPS", ["ProtocolMismatch"]),
        ("HTTP", "", []),
        ("HTTP", "GRPC", []),
    ],
)
def test_what_the_entrance_speaks_against_what_the_passing_probe_speaks(scheme, annotation, expected):
    probe = {"httpGet": {"path": "/", "port": 8080, "scheme": scheme}}
    pods = [pod("web-1", {**container(("http", 8080)), "readinessProbe": probe})]
    svc = service()
    marks = {"nginx.ingress.kubernetes.io/backend-protocol": annotation} if annotation else {}
    objects = [svc, *pods, slice_of(svc, *pods), ingress(annotations=marks), ingress_class()]
    assert causes(trace(cluster(*objects), "ingress/web", symptom="400")) == expected


CLASSED = "--providers.kubernetesingress.ingressclass"


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("traefik", ["--providers.kubernetesingress"], []),
        (
            "traefik",
            ["--providers.kubernetesingress", "--providers.kubernetesingress.ingressclass=edge"],
            ["IngressClassNotSet"],
        ),
        ("ingress-nginx", ["--watch-ingress-without-class=true"], []),
        ("ingress-nginx", ["--watch-ingress-without-class=false"], ["IngressClassNotSet"]),
        ("ingress-nginx", [], ["IngressClassNotSet"]),
    ],
)
def test_controllers_that_serve_ingresses_without_a_class(name, args, expected):
    runs = t.controller(name, *args, namespace="edge")
    seen = cluster(*healthy_web(), ingress(cls="", address=""), ingress_class("edge"), runs)
    assert causes(trace(seen, "ingress/web")) == expected


def proxies(child="shop", **status):
    """Return a root HTTPProxy that includes another one, which leads to svc/web."""
    body = {"virtualhost": {"fqdn": "a.b"}, "includes": [{"name": child, "namespace": NS}]}
    root = t.custom("HTTPProxy", "projectcontour.io/v1", "root", "edge", status=status, **body)
    part = t.custom("HTTPProxy", "projectcontour.io/v1", "shop", routes=[{"services": [{"name": "web", "port": 80}]}])
    return [root, part]


def test_an_included_proxy_stands_on_the_way_with_its_root():
    refused = {"conditions": [t.condition("Valid", "False", "ErrorPresent", "fqdn a.b is used twice")]}
    assert causes(trace(cluster(*healthy_web(), *proxies()))) == []
    assert causes(trace(cluster(*healthy_web(), *proxies(**refused)))) == ["IngressRejected"]
    found = trace(cluster(*healthy_web(), *proxies()), "httpproxy/root", namespace="edge")
    assert ("Service", "ok") in [(h["hop"], h["state"]) for h in found.extra["hops"]]


def test_an_include_that_is_not_there():
    (found,) = problems(trace(cluster(*healthy_web(), *proxies("gone")), "httpproxy/root", namespace="edge"))
    assert (found.cause, found.severity) == ("IngressRejected", Severity.ERROR)


def test_an_event_about_a_gateway_or_a_service_with_a_clouds_marks():
    layered = t.layer_four("TCPRoute", "TCP")
    said = event(layered[1], "SYNC", "failed to translate Gateway: quota exceeded", who="sc-gateway-controller")
    assert causes(trace(cluster(*t.base(*layered), said), "gateway/edge")) == ["IngressRejected"]
    svc, *rest = healthy_web()
    svc["metadata"]["annotations"] = {"cloud.google.com/neg": '{"ingress": true}'}
    said = event(svc, "SyncNetworkEndpointGroupFailed", "Failed to sync NEG: subnet not found", who="neg-controller")
    assert causes(trace(cluster(svc, *rest, said))) == ["IngressRejected"]


def test_a_silent_controller_that_always_publishes_an_address_is_at_fault():
    marked = ingress(cls="", address="", annotations={"kubernetes.io/ingress.class": "azure/application-gateway"})
    runs = pod("agic-1", namespace="kube-system", labels={"app": "ingress-appgw"})
    (found,) = problems(trace(cluster(*healthy_web(), marked, runs), "ingress/web"))
    assert (found.cause, found.confidence) == ("LoadBalancerPending", Confidence.LIKELY)
    young = ingress(cls="alb", address="", created="2026-11-24T11:58:00Z")
    assert causes(trace(cluster(*healthy_web(), young, ALB, LBC), "ingress/web")) == []


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (t.custom("APIRule", "gateway.kyma-project.io/v2", service={"name": "web", "port": 80}), "NotEvaluated"),
        (t.custom("ServiceIntentions", "consul.hashicorp.com/v1alpha1", destination={"name": "web"}), "NotEvaluated"),
        (t.custom("Server", "policy.linkerd.io/v1beta3", podSelector={"matchLabels": {"app": "web"}}), "NotEvaluated"),
        (t.custom("Server", "policy.linkerd.io/v1beta3", podSelector={"matchLabels": {"app": "db"}}), "Healthy"),
        (t.custom("Rollout", "argoproj.io/v1alpha1", strategy={"canary": {"stableService": "web"}}), "Healthy"),
        (t.custom("APIRule", "gateway.kyma-project.io/v2", service={"name": "db", "port": 80}), "Healthy"),
    ],
)
def test_what_other_kinds_a_dump_holds(made, expected):
    assert trace(cluster(*healthy_web(), made)).cause == expected


def test_source_ranges_are_named_where_packets_are_dropped():
    svc = service(kind="LoadBalancer", loadBalancerSourceRanges=["198.51.100.0/24"])
    svc["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    found = trace(cluster(svc, *healthy_web()[1:]), symptom="timeout")
    assert any("198.51.100.0/24" in gap.what for gap in found.not_seen)
    assert causes(found) == ["ClientAddressDenied"]
    assert causes(trace(cluster(svc, *healthy_web()[1:]))) == []
    open_to_all = {**svc, "spec": {**svc["spec"], "loadBalancerSourceRanges": ["0.0.0.0/0"]}}
    assert causes(trace(cluster(open_to_all, *healthy_web()[1:]), symptom="timeout")) == []


SHAPES = {
    'ingresses is forbidden: User "system:serviceaccount:edge:ctl" cannot list resource "ingresses" in': (
        "ServiceAccount ctl of edge",
        Actor.CLUSTER,
    ),
    'upstream policy "limit-a" not found': ("Create the policy limit-a", Actor.MANIFEST),
    "dial tcp: lookup api.example.net: no such host": ("way from its pods", Actor.CLUSTER),
    "Unauthorized: token expired": ("credentials of the controller", Actor.CLOUD),
    "duplicate listener on 443": ("Two objects want the same", Actor.MANIFEST),
    "spec.http[0].match is malformed": ("holds a value", Actor.MANIFEST),
    "gave up": ("own words", Actor.MANIFEST),
}


@pytest.mark.parametrize(("words", "expected"), SHAPES.items(), ids=[v[0] for v in SHAPES.values()])
def test_words_that_are_not_known_are_read_by_their_shape(words, expected):
    virtual = t.custom("VirtualServer", "k8s.nginx.org/v1", host="shop.example.com")
    said = event(virtual, "Rejected", words)
    found = trace(cluster(*healthy_web(), virtual, said), "virtualserver/web").findings[0]
    assert found.cause == "IngressRejected"
    assert expected[0] in found.fix[0].text
    assert found.fix[0].actor is expected[1]
    assert words not in found.fix[0].text


def test_a_console_line_with_fields_tells_its_error():
    route = t.custom("ApisixRoute", "apisix.apache.org/v2", http=[{"backends": [{"serviceName": "web"}]}])
    runs = t.controller("ingress-controller", namespace="edge")
    kind = ingress_class("apisix", controller="apisix.apache.org/apisix-ingress-controller")
    snapshot = cluster(*healthy_web(), route, runs, kind)
    line = (
        "2026-11-24T11:03:09.970Z\tERROR\tcontroller-runtime\tcontroller.go:316\tReconciler error\t"
        '{"ApisixRoute": {"name":"web","namespace":"shop"}, "error": "no default ingress class found"}\n'
    )
    snapshot.add_log(Log("edge", runs["metadata"]["name"], "app"), line)
    found = trace(snapshot, "apisixroute/web").findings[0]
    assert found.cause == "IngressRejected"
    assert found.message.endswith("apisixroute/web: no default ingress class found.")
    assert "--type=merge" in found.fix[0].commands[0]


def ksvc(reason, message, since="2026-11-24T10:00:00Z"):
    """Make a Service of Knative that is not ready."""
    said = {**t.condition("Ready", "Unknown", reason, message), "lastTransitionTime": since}
    return t.custom("Service", "serving.knative.dev/v1", "hello", status={"conditions": [said]})


def test_a_service_of_knative_waits_for_its_layer():
    waits = ("Uninitialized", "Waiting for load balancer to be ready")
    gateway = pod("gw-1", container(8080), namespace="kourier-system", ready=False)
    found = trace(cluster(ksvc(*waits), gateway), "ksvc/hello").findings[0]
    assert found.cause == "IngressRejected"
    assert "pod/gw-1 of kourier-system" in found.fix[0].text
    assert found.verify[0] == f"kubectl -n {NS} describe service.serving.knative.dev hello"
    young = trace(cluster(ksvc(*waits, since="2026-11-24T11:59:00Z")), "ksvc/hello").findings[0]
    assert young.cause == "NotEvaluated"


def test_a_class_that_nobody_serves_is_told_with_one_that_runs():
    other = ingress_class("mine", controller="example.com/none")
    runs = t.controller("kong", namespace="edge")
    kong = ingress_class("kong", controller="ingress-controllers.konghq.com/kong")
    found = trace(cluster(*healthy_web(), ingress(cls="mine", address=""), other, kong, runs), "ingress/web")
    assert causes(found) == ["IngressControllerNotFound"]
    assert found.findings[0].fix[0].patch == {"spec": {"ingressClassName": "kong"}}


def test_contour_is_given_the_delegation_that_it_asks_for():
    errors = [{"message": 'Spec.VirtualHost.TLS Secret "certs/wild" certificate delegation not permitted'}]
    found = trace(cluster(*healthy_web(), t.http_proxy("False", errors)), "httpproxy/web").findings[0]
    assert found.cause == "IngressRejected"
    assert "metadata: {name: wild, namespace: certs}" in found.fix[0].yaml
    assert f"targetNamespaces: [{NS}]" in found.fix[0].yaml


# What Traefik and clouds say, and of which object.

TRAEFIK = t.controller("traefik", "--entrypoints.web.address=:8000/tcp", image="traefik:v3.2.0", namespace="edge")
ROUTER = t.ingress_route()
RULE = (
    '2026-11-24T11:50:03Z ERR error="error while adding rule Host: unexpected number of parameters; got 2, expected one'
    ' of [1]" entryPointName=web routerName={}@kubernetescrd\n'
)


def traefik_says(router):
    snapshot = cluster(*healthy_web(), ROUTER, TRAEFIK)
    snapshot.add_log(Log("edge", "traefik-1", "app"), RULE.format(router))
    return trace(snapshot, "ingressroute/web")


def test_a_router_that_traefik_cannot_build_is_told_by_its_name():
    (found,) = problems(traefik_says(f"{NS}-web-6f97418635c7e18853da"))
    assert (found.cause, found.severity) == ("IngressRejected", Severity.ERROR)
    assert "Host(`a`) || Host(`b`)" in found.fix[0].text


@pytest.mark.parametrize(
    "router", [f"{NS}-website-6f97", "other-web-6f97", f"{NS}2-web-6f97", f"{NS}-web-api-6f97418635c7e18853da"]
)
def test_the_router_of_another_object_says_nothing_of_this_one(router):
    assert not problems(traefik_says(router))


AZURE = (
    "Error syncing load balancer: failed to ensure load balancer: PUT https://management.azure.com/x\n"
    "--------------------------------------------------------------------------------\nRESPONSE 400: 400 Bad Request\n"
    "ERROR CODE: Odd\n--------------------------------------------------------------------------------\n"
    '{{\n  "error": {{\n'
    '    "code": "Odd",\n    "message": "{}",\n    "details": []\n  }}\n}}'
)


def balanced(message, **spec):
    svc = service(kind="LoadBalancer", **spec)
    svc["metadata"]["annotations"] = {"example.com/lb-profile": "gold-2"}
    said = event(svc, "SyncLoadBalancerFailed", AZURE.format(message), who="service-controller")
    return problems(trace(cluster(svc, *healthy_web()[1:], said)))[0]


def test_an_answer_of_a_cloud_is_cut_to_its_code_and_message():
    found = balanced("The thing is odd.")
    assert "Odd, The thing is odd" in found.message
    assert "{" not in found.message
    assert "----" not in found.message


def test_the_field_whose_value_the_words_name_is_named():
    found = balanced("Address 10.1.0.40 is not accepted, it is invalid.", loadBalancerIP="10.1.0.40")
    assert "spec.loadBalancerIP (10.1.0.40)" in found.fix[0].text
    assert "example.com/lb-profile (gold-2)" in balanced("No profile gold-2 here, unsupported.").fix[0].text
    assert "clusterIP" not in balanced("Address 10.96.0.1 is invalid.").fix[0].text
    assert "spec.loadBalancerIP" not in balanced("Address 10.1.0.4 is invalid.", loadBalancerIP="10.1.0.40").fix[0].text


def test_an_address_outside_of_the_subnet_names_both():
    words = "Private static IP address 10.1.0.40 does not belong to the range of subnet prefix 10.224.0.0/16."
    fix = balanced(words, loadBalancerIP="10.1.0.40").fix[0].text
    assert "10.224.0.0/16" in fix
    assert "azure-load-balancer-internal-subnet" in fix


def test_a_subnet_without_addresses_is_no_fault_of_the_manifest():
    fix = balanced("InvalidSubnet: Not enough IP space available in subnet-0abc1234. ELB requires at least 8.").fix[0]
    assert fix.actor is Actor.CLOUD
    assert "subnet-0abc1234" in fix.text
    assert "  " not in balanced("SubnetIsFull: it is full").fix[0].text


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        (f"{NS}-web-shop-example-com-@kubernetes", ["IngressRejected"]),
        (f"{NS}-web-shop-example-com-api@kubernetes", ["IngressRejected"]),
        (f"{NS}-web-other-example-com@kubernetes", []),
        (f"{NS}-web-2-shop-example-com@kubernetes", []),
    ],
)
def test_the_router_of_an_ingress_is_known_by_its_host(router, expected):
    controller = t.controller("traefik", "--providers.kubernetesingress", image="traefik:v3.2.0", namespace="edge")
    cls = ingress_class("traefik", controller="traefik.io/ingress-controller")
    snapshot = cluster(*healthy_web(), ingress(cls="traefik"), cls, controller)
    snapshot.add_log(Log("edge", "traefik-1", "app"), RULE.format("X").replace("X@kubernetescrd", router))
    assert causes(trace(snapshot, "ingress/web")) == expected
