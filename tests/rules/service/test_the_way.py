"""What a trace shows besides its causes: whose row breaks, what blocks what, and what is left out."""

import pytest

from kubetriage.model import Confidence, Severity
from support.services import (
    NS,
    answer,
    causes,
    cluster,
    container,
    healthy_web,
    ingress,
    ingress_class,
    meta,
    namespace,
    node,
    pod,
    policy,
    problems,
    service,
    slice_of,
    trace,
    workload,
)

TWO_PORTS = ({"name": "http", "port": 80, "targetPort": 8080}, {"name": "metrics", "port": 9100, "targetPort": "none"})


def rows(found):
    """Return state and evidence of each row by its object."""
    return {h["object"]: (h["state"], h["evidence"]) for h in found.extra["hops"]}


def drawn(found):
    """Return the drawn chain."""
    return list(found.lead[0].lines)


def half_broken():
    svc = service(ports=TWO_PORTS)
    pods = [pod("web-1"), pod("web-2", ip="10.0.0.2", node="n2")]
    return cluster(svc, *pods, slice_of(svc, *pods, ports=[{"name": "http", "port": 8080}]), ingress(), ingress_class())


# Ports that the way does not use.


def test_a_broken_port_that_the_ingress_does_not_use_is_not_on_its_way():
    found = trace(half_broken(), "ingress/web")
    assert causes(found) == []
    assert "svc/web:9100" not in rows(found)


def test_a_broken_port_blocks_no_ingress_that_leads_to_another_one():
    found = trace(half_broken())
    assert causes(found) == ["TargetPortNameNotFound"]
    assert rows(found)["ingress/web"][0] == "ok"
    assert rows(found)["svc/web:9100"][0] == "broken"


def test_a_broken_port_is_drawn_beside_the_ways_that_work():
    lines = drawn(trace(half_broken()))
    assert lines[0].startswith("ingress/web → svc/web:80 → 2/2 pods:8080")
    assert lines[1].startswith("svc/web:9100 → 2/2 pods:none")
    assert "row 4" in lines[2]


# Names of Services as addresses.


@pytest.mark.parametrize("words", ["http://web/cart", "web.shop", "http://web.shop:80/", "web.shop.svc:80"])
def test_a_name_that_a_pod_would_use_leads_to_the_service(words):
    got = answer(cluster(*healthy_web()), words)
    assert got.errors == ()
    assert got.diagnoses[0].target.name == "web"


def test_a_host_of_an_ingress_comes_before_a_service_of_that_name():
    got = answer(cluster(*healthy_web(), ingress("edge", host="web.shop"), ingress_class()), "http://web.shop/")
    assert (got.diagnoses[0].target.kind, got.diagnoses[0].target.name) == ("Ingress", "edge")


@pytest.mark.parametrize("words", ["http://web.shop:8080/", "web.shop.svc.cluster.local:8080"])
def test_a_port_that_the_service_does_not_have_is_an_error(words):
    got = answer(cluster(*healthy_web()), words)
    assert got.errors == ("error: svc/web in namespace shop has no port 8080, only 80/TCP",)


def test_a_name_without_a_service_is_no_address():
    assert answer(cluster(*healthy_web()), "http://wob.shop/").diagnoses == ()


# Where the program listens.

SAYS_LOOPBACK = "Server running at http://127.0.0.1:8080/\n"


def heard(log, *containers, target=8080):
    svc = service(ports=[{"port": 80, "targetPort": target}])
    one = pod("web-1", *containers)
    seen = cluster(svc, one, slice_of(svc, one), workload())
    seen._logs[NS, "web-1", "app", False] = log
    return trace(seen)


@pytest.mark.parametrize("target", [8080, "http"])
def test_a_program_on_loopback_is_told_for_a_declared_port_too(target):
    found = heard(SAYS_LOOPBACK, container(("http", 8080)), target=target)
    assert causes(found) == ["TargetPortMismatch"]
    assert "127.0.0.1:8080 only" in found.findings[0].message


def test_a_probe_that_passes_acquits_a_line_about_loopback():
    assert causes(heard(SAYS_LOOPBACK, container(("http", 8080), probe=8080))) == []


def test_a_bare_port_in_the_arguments_does_not_say_on_which_address():
    found = heard(SAYS_LOOPBACK, container(("http", 8080), args=["--port", "8080"]))
    assert causes(found) == ["TargetPortMismatch"]
    outside = heard(SAYS_LOOPBACK, container(("http", 8080), args=["--listen", "0.0.0.0:8080"]))
    assert causes(outside) == []


# Pods.


def test_pods_that_ended_are_told_beside_others_that_run():
    svc = service()
    done = pod("web-1", phase="Succeeded", ready=False)
    other = pod("db-1", labels={"app": "db"}, ip="10.0.0.9")
    found = trace(cluster(svc, done, other, slice_of(svc, ports=None)))
    assert causes(found) == ["NoPods"]
    assert "1 pod with app=web has ended" in found.findings[0].message


def test_one_terminating_pod_is_counted_apart():
    svc, one, two, *_ = healthy_web()
    leaving = pod("web-3", ip="10.0.0.3", deleting=True)
    found = trace(cluster(svc, one, two, leaving, slice_of(svc, one, two, leaving), workload()))
    assert causes(found) == []
    assert rows(found)["pods app=web"] == ("ok", "2/3 pods ready, 1 terminating")


def test_pods_that_should_be_gone_say_what_holds_them():
    svc = service()
    late = pod("web-1", deleting=True, ready=False)
    late["metadata"] |= {
        "deletionTimestamp": "2026-11-24T11:50:00Z",
        "deletionGracePeriodSeconds": 30,
        "finalizers": ["example.com/hold"],
    }
    late["status"]["containerStatuses"][0]["state"] = {
        "terminated": {"exitCode": 0, "finishedAt": "2026-11-24T11:50:00Z"}
    }
    found = trace(cluster(svc, late, slice_of(svc, late), node("n1")))
    first = found.findings[0]
    assert first.cause == "PodsTerminating"
    assert "should have been gone 10m ago" in first.message
    assert "finalizer example.com/hold is still set" in first.message
    assert first.evidence[0].value == "2026-11-24T11:50:00Z"


def test_a_readiness_gate_is_named_in_the_row():
    svc = service()
    gated = pod("web-1", ready=False, readinessGates=[{"conditionType": "example.com/lb"}])
    gated["status"]["conditions"] = [
        {
            "type": "Ready",
            "status": "False",
            "reason": "ReadinessGatesNotReady",
            "message": 'corresponding condition of pod readiness gate "example.com/lb" does not exist.',
        }
    ]
    gated["status"]["containerStatuses"][0]["ready"] = True
    found = trace(cluster(svc, gated, slice_of(svc, gated), node("n1")))
    assert causes(found) == ["PodsNotReady"]
    assert 'readiness gate "example.com/lb" does not exist' in rows(found)["pod/web-1"][1]


def test_a_startup_probe_that_may_still_pass_is_told_by_its_name():
    svc = service()
    slow = container(("http", 8080), startupProbe={"httpGet": {"path": "/", "port": 8080}, "failureThreshold": 100})
    young = pod("web-1", slow, ready=False)
    young["status"]["containerStatuses"][0] |= {
        "started": False,
        "state": {"running": {"startedAt": "2026-11-24T11:59:00Z"}},
    }
    found = trace(cluster(svc, young, slice_of(svc, young), node("n1")))
    assert causes(found) == ["PodsNotReady"]
    assert "has not passed its startup probe" in found.findings[0].message


def test_an_image_that_cannot_be_pulled_again_is_no_crash():
    svc = service()
    shut = pod("web-1", ready=False, restarts=3, waiting="ImagePullBackOff")
    assert causes(trace(cluster(svc, shut, slice_of(svc, shut), node("n1")))) == ["PodsNotReady"]


@pytest.mark.parametrize(
    ("since", "expected"), [("2026-11-20T10:00:00Z", "PodsNotReady"), ("2026-11-24T11:58:00Z", "PodsCrashing")]
)
def test_a_restart_of_long_ago_is_no_crash(since, expected):
    svc = service()
    shut = pod("web-1", ready=False, restarts=1)
    shut["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": since}}
    assert causes(trace(cluster(svc, shut, slice_of(svc, shut), node("n1")))) == [expected]


# Endpoints.


def by_hand(**conditions):
    svc = service(selector={}, ports=[{"name": "http", "port": 80}])
    return [svc, slice_of(svc, pod("web-1"), ports=[{"name": "http", "port": 8080}], **conditions)]


def test_endpoints_written_by_hand_that_are_not_ready_are_told():
    found = trace(cluster(*by_hand(ready=False, serving=False)))
    assert causes(found) == ["NoEndpoints"]
    assert "says of no endpoint that it is ready" in found.findings[0].message
    assert causes(trace(cluster(*by_hand()))) == []


@pytest.mark.parametrize(("nodes", "state"), [(("n1", "n2"), "degraded"), (("n2",), "broken")])
def test_a_local_policy_without_any_node_breaks_the_service(nodes, state):
    svc, *rest = by_hand()
    svc["spec"]["internalTrafficPolicy"] = "Local"
    found = trace(cluster(svc, *rest, *map(node, nodes)))
    assert causes(found) == ["NoLocalEndpoints"]
    assert rows(found)["svc/web"][0] == state


def test_ports_of_one_number_are_told_apart_by_protocol():
    ports = ({"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53})
    svc = service(ports=ports)
    one = pod("web-1", container(("dns", 53, "UDP"), ("dns-tcp", 53)))
    carried = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}]
    found = trace(cluster(svc, one, slice_of(svc, one, ports=carried)))
    assert {"svc/web:53/UDP", "svc/web:53/TCP"} <= set(rows(found))


def test_a_pod_that_no_service_selects_has_no_table():
    got = answer(cluster(pod("lone", labels={"app": "lone"}), *healthy_web()), "pod/lone").diagnoses[0]
    assert got.lead == ()
    assert got.summary == "No Service selects pod/lone, so nothing leads to it."


# NetworkPolicies.


def test_pods_with_the_address_of_their_node_are_not_judged_by_policies():
    svc = service()
    one = pod("web-1", hostNetwork=True)
    found = trace(cluster(svc, one, slice_of(svc, one), policy("deny")))
    assert causes(found) == []
    assert rows(found)["networkpolicies"][0] == "not seen"


def test_a_policy_is_not_denied_where_no_port_resolves():
    svc = service(ports=[{"port": 80, "targetPort": "none"}])
    one = pod("web-1")
    found = trace(cluster(svc, one, slice_of(svc, one, ports=None), policy("deny")))
    assert causes(found) == ["TargetPortNameNotFound"]
    state, evidence = rows(found)["networkpolicies"]
    assert (state, evidence) == ("blocked", "networkpolicy/deny: no pod port to judge by")


def test_a_port_name_of_a_policy_that_no_container_has_is_named():
    named = policy("named", ingress=[{"ports": [{"port": "web"}]}])
    found = trace(cluster(*healthy_web(), named))
    assert causes(found) == ["NetworkPolicyBlocks"]
    assert "no container there has a port named web" in found.findings[0].message


def test_the_evidence_shows_a_range_of_ports():
    found = trace(cluster(*healthy_web(), policy("range", ingress=[{"ports": [{"port": 8081, "endPort": 9000}]}])))
    assert causes(found) == ["NetworkPolicyBlocks"]
    assert found.findings[0].evidence[0].value == "ports 8081-9000/TCP"


@pytest.mark.parametrize(
    ("frontend", "said"), [((), True), ((pod("f", labels={"app": "front"}, ip="10.0.0.7"),), False)]
)
def test_admitted_pods_that_do_not_exist_are_told(frontend, said):
    only = policy("only", ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}]}])
    found = trace(cluster(*healthy_web(), *frontend, only))
    assert causes(found) == ["NetworkPolicyRestricts"]
    assert ("No pod of the namespace has these labels now." in found.findings[0].message) is said
    assert "--client pod/NAME" in found.findings[0].fix[0].text


# The mesh.


def test_the_mesh_has_a_row_of_its_own():
    strict = {
        "kind": "PeerAuthentication",
        "metadata": meta("default"),
        "spec": {"mtls": {"mode": "STRICT"}},
    }
    svc = service()
    meshed = pod("web-1", container(("http", 8080), probe=8080), container(name="istio-proxy"))
    plain = pod("shop", labels={"app": "shop"}, ip="10.0.0.8")
    seen = cluster(svc, meshed, plain, slice_of(svc, meshed), strict, workload())
    assert rows(trace(seen))["peerauthentications"] == ("ok", "mTLS STRICT; no client outside the mesh is known")
    found = trace(seen, client="pod/shop")
    assert causes(found) == ["MeshMTLSMismatch"]
    assert rows(found)["peerauthentications"][0] == "broken"
    assert rows(found)["networkpolicies"][0] == "ok"


# Gateways.


def waiting_edge(listener, *, backend=None, space=NS, class_status=None):
    ear = {"name": "http", "port": 80, "protocol": "HTTP", **listener}
    pending = {"conditions": [{"type": "Programmed", "status": "Unknown", "reason": "Pending", "message": "Waiting"}]}
    leads = {"name": "web", "port": 80} if backend is None else backend
    return [
        *healthy_web(),
        {
            "kind": "Gateway",
            "metadata": meta("edge", space),
            "spec": {
                "gatewayClassName": "istio",
                "listeners": [ear],
            },
            "status": pending,
        },
        {
            "kind": "HTTPRoute",
            "metadata": meta("web"),
            "spec": {"parentRefs": [{"name": "edge", "namespace": space}], "rules": [{"backendRefs": [leads]}]},
        },
        {
            "kind": "GatewayClass",
            "metadata": meta("istio", ""),
            "spec": {"controllerName": "istio.io/g"},
            "status": class_status or {"conditions": [{"type": "Accepted", "status": "Unknown", "reason": "Waiting"}]},
        },
        namespace(NS),
    ]


def test_a_class_that_no_controller_accepted_is_the_broken_row():
    found = trace(cluster(*waiting_edge({})), "httproute/web")
    assert causes(found) == ["GatewayNotProgrammed"]
    assert rows(found)["gatewayclass/istio"][0] == "broken"
    assert rows(found)["gateway/edge"][0] == "blocked"
    assert found.findings[0].object.name == "edge"


def test_with_an_accepted_class_the_gateway_is_the_broken_row():
    accepted = {"conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted"}]}
    found = trace(cluster(*waiting_edge({}, class_status=accepted)), "httproute/web")
    assert rows(found)["gatewayclass/istio"][0] == "ok"
    assert rows(found)["gateway/edge"][0] == "broken"


def test_a_listener_that_selects_namespaces_says_by_which_labels():
    chosen = {"allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "web"}}}}}
    found = trace(cluster(*waiting_edge(chosen)), "httproute/web")
    first = found.findings[0]
    assert first.cause == "RouteNotAccepted"
    assert "listener http takes Routes of namespaces with team=web only" in first.message
    assert first.fix[1].commands == (f"kubectl label namespace {NS} team=web",)


def test_without_a_grant_nobody_looks_for_the_service():
    far = waiting_edge({}, backend={"name": "gone", "namespace": "data", "port": 80})
    found = trace(cluster(*far, namespace("data")), "httproute/web")
    assert causes(found)[:2] == ["ReferenceNotGranted", "BackendServiceNotFound"]
    manifest = found.findings[0].fix[1].text
    assert manifest.startswith("echo '{")
    assert manifest.endswith("}' | kubectl apply --filename=-")


def test_a_missing_backend_without_weight_takes_no_requests():
    objects = waiting_edge({})
    spec = next(o for o in objects if o["kind"] == "HTTPRoute")["spec"]
    spec["rules"][0]["backendRefs"].append({"name": "next", "port": 80, "weight": 0})
    missing = next(
        f for f in problems(trace(cluster(*objects), "httproute/web")) if f.cause == "BackendServiceNotFound"
    )
    assert (missing.severity, missing.confidence) == (Severity.WARNING, Confidence.CONFIRMED)


# Controllers of Ingresses.


@pytest.mark.parametrize(
    ("controller", "name", "address", "severity"),
    [
        ("k8s.io/ingress-nginx", "ingress-nginx", "203.0.113.1", Severity.ERROR),
        ("k8s.io/ingress-nginx", "ingress-nginx", "", Severity.ERROR),
        ("ingress.k8s.aws/alb", "aws-load-balancer-controller", "x.elb.amazonaws.com", Severity.WARNING),
        ("ingress.k8s.aws/alb", "aws-load-balancer-controller", "", Severity.ERROR),
    ],
)
def test_a_controller_without_a_ready_pod_is_told_though_an_address_is_left(controller, name, address, severity):
    down = pod("edge-1", namespace="edge", labels={"app.kubernetes.io/name": name}, ready=False, ip="10.9.0.1")
    seen = [*healthy_web(), ingress(address=address), ingress_class(controller=controller), down]
    (first, *_) = problems(trace(cluster(*seen), "ingress/web"))
    assert (first.cause, first.severity) == ("IngressControllerNotFound", severity)
    assert "kubectl why-crash -n edge edge-1" in first.fix[0].text
    up = pod("edge-2", namespace="edge", labels={"app.kubernetes.io/name": name}, ip="10.9.0.2")
    # A cloud's controller always publishes an address.
    lacking = ["LoadBalancerPending"] if "aws" in controller and not address else []
    assert causes(trace(cluster(*seen, up), "ingress/web")) == lacking


# What was not seen.


def test_a_way_with_dark_rows_is_not_called_ok():
    found = trace(cluster(*healthy_web(), unseen=("networkpolicies",)))
    assert found.header == (("", "no fault seen"),)
    assert rows(found)["networkpolicies"][0] == "not seen"
    assert not rows(found)["networkpolicies"][1].startswith("not seen")
    assert trace(cluster(*healthy_web())).header == (("", "ok"),)


def test_a_controller_whose_class_was_not_seen_is_not_named():
    found = trace(cluster(*waiting_edge({}), unseen=("gatewayclasses",)), "httproute/web")
    first = found.findings[0]
    assert first.message.startswith("gateway/edge has waited 4d for a controller")
    assert first.fix[0].text == "Start the controller that serves gatewayclass/istio"
