"""Programs that listen where the Service does not connect, requests to pods that are gone, and idle WebSockets."""

import pytest

from kubetriage.model import Severity
from kubetriage.needs import Log
from kubetriage.readers import logs
from support import traffic as t
from support.services import (
    NS,
    causes,
    cluster,
    container,
    healthy_web,
    ingress,
    ingress_class,
    meta,
    pod,
    service,
    slice_of,
    trace,
)

VITE = "  VITE v5.2.0  ready in 431 ms\n\n  ➜  Local:   http://localhost:8080/\n  ➜  Network: use --host to expose\n"
REFUSED = (
    "2026/11/24 11:50:15 [error] 27#27: *51 connect() failed (111: Connection refused) while connecting to upstream, "
    'client: 10.0.0.5, server: shop.example.com, request: "GET / HTTP/1.1", upstream: "http://{}:8080/", host: '
    '"shop.example.com"\n'
)
UPGRADED = REFUSED.replace(
    "connect() failed (111: Connection refused) while connecting to upstream",
    "upstream timed out (110: Operation timed out) while proxying upgraded connection",
)


def _asked(log, *, said="", address="10.0.0.1", marks=None, symptom="", lifecycle=None):
    more = {"lifecycle": lifecycle} if lifecycle else {}
    web = pod("web-1", container(("http", 8080), **more), ip=address)
    svc = service()
    controller = t.controller("ingress-nginx", "/nginx-ingress-controller")
    made = ingress(annotations=marks or {})
    snapshot = cluster(svc, web, slice_of(svc, web), made, ingress_class(), controller)
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), log)
    snapshot.add_log(Log(NS, "web-1", "app"), said)
    return trace(snapshot, "ingress/web", symptom=symptom)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (VITE, [("localhost", 8080)]),
        ("  - Local:        http://localhost:8080\n", []),
        ("Local: http://localhost:8080\nOn Your Network: http://10.0.0.1:8080\n", []),
    ],
    ids=["Vite says that it serves no other", "look-alike: Next.js", "look-alike: another address"],
)
def test_local_is_all_only_where_the_program_says_so(content, expected):
    assert [(x.host, x.port) for x in logs.listening(content)] == expected


def test_a_refused_port_and_a_program_on_loopback_are_one_cause():
    found = _asked(REFUSED.format("10.0.0.1"), said=VITE)
    assert causes(found) == ["TargetPortMismatch"]
    assert "0.0.0.0:8080" in found.findings[0].fix[0].text
    assert [e.source for e in found.findings[0].evidence] == ["log", "log"]


def test_a_refused_port_of_a_silent_program_gets_the_look_that_decides():
    found = _asked(REFUSED.format("10.0.0.1"))
    assert causes(found) == ["TargetPortMismatch"]
    assert "0100007F" in found.findings[0].fix[0].text
    assert "/proc/net/tcp" in " ".join(found.findings[0].fix[0].commands)


UVICORN = "INFO:     Uvicorn running on http://{}:8080 (Press CTRL+C to quit)\n"


@pytest.mark.parametrize(
    ("host", "address", "expected"),
    [
        ("0.0.0.0", "fd00::10", ["TargetPortMismatch"]),
        ("[::]", "fd00::10", []),
        ("0.0.0.0", "10.0.0.1", []),
    ],
)
def test_a_program_on_ipv4_is_not_reached_at_an_ipv6_address(host, address, expected):
    assert causes(_asked("", said=UVICORN.format(host), address=address)) == expected


@pytest.mark.parametrize(
    ("address", "lifecycle", "expected", "says"),
    [
        ("10.0.0.77", None, ["BackendConnectionFailed"], "preStop"),
        ("10.0.0.77", {"preStop": {"exec": {"command": ["sleep", "5"]}}}, ["BackendConnectionFailed"], "SIGTERM"),
        ("10.0.0.1", None, ["TargetPortMismatch"], ""),
    ],
    ids=["a pod that is gone", "variant: it waits already", "look-alike: a pod of today"],
)
def test_requests_to_pods_that_are_gone(address, lifecycle, expected, says):
    found = _asked(REFUSED.format(address) * 3, lifecycle=lifecycle)
    assert causes(found) == expected
    assert says in found.findings[0].fix[0].text


@pytest.mark.parametrize(
    ("marks", "says"),
    [
        ({}, "proxy-read-timeout: 3600"),
        ({"nginx.ingress.kubernetes.io/proxy-read-timeout": "3600"}, "proxy-read-timeout: 7200"),
    ],
)
def test_an_idle_websocket_is_ended_by_the_time_to_read(marks, says):
    found = _asked(UPGRADED.format("10.0.0.1"), marks=marks, symptom="reset")
    assert causes(found) == ["ProxyLimitExceeded"]
    assert found.findings[0].severity is Severity.ERROR
    assert says in found.findings[0].fix[0].text


def _headless(port, target=8080):
    svc = service(clusterIP="None", ports=({"port": port, "targetPort": target},))
    web = pod("web-1", container(("http", 8080)))
    return cluster(svc, web, slice_of(svc, web))


@pytest.mark.parametrize(
    ("port", "symptom", "expected"),
    [(80, "refused", ["TargetPortMismatch"]), (80, "", []), (8080, "refused", [])],
)
def test_nothing_translates_the_port_of_a_headless_service(port, symptom, expected):
    found = trace(_headless(port), symptom=symptom)
    assert causes(found) == expected


@pytest.mark.parametrize(("spec", "told"), [({"publishNotReadyAddresses": True}, True), ({}, False)])
def test_a_service_that_publishes_pods_that_are_not_ready_is_told(spec, told):
    svc = service(**spec)
    pods = [pod("web-1"), pod("web-2", ready=False, ip="10.0.0.2")]
    found = trace(cluster(svc, *pods, slice_of(svc, *pods)))
    assert causes(found) == ["SomePodsNotReady"]
    assert found.findings[0].message.startswith("svc/web has publishNotReadyAddresses") is told


@pytest.mark.parametrize(
    ("spec", "marks", "says"),
    [
        ({}, {"minikube.k8s.io/name": "minikube"}, "minikube tunnel"),
        ({"providerID": "kind://docker/kind/kind-control-plane"}, {}, "cloud-provider-kind"),
        ({"providerID": "metal://x"}, {}, "MetalLB"),
    ],
)
def test_a_cluster_on_a_machine_of_ones_own_has_its_own_way_to_an_address(spec, marks, says):
    node = {"kind": "Node", "apiVersion": "v1", "metadata": meta("n1", "", labels=marks), "spec": spec}
    svc = service(kind="LoadBalancer")
    web = pod()
    found = trace(cluster(svc, web, slice_of(svc, web), node))
    fix = next(f for f in found.findings if f.cause == "LoadBalancerPending").fix[0]
    assert says in " ".join((fix.text, *fix.commands))


@pytest.mark.parametrize(("symptom", "healthy"), [("502", False), ("timeout", False), ("", True)])
def test_what_a_client_sees_and_nothing_explains_is_no_all_clear(symptom, healthy):
    found = trace(cluster(*healthy_web()), symptom=symptom)
    assert found.healthy is healthy


def _router(node, *, routed=True):
    marks = {"ingresscontroller.operator.openshift.io/deployment-ingresscontroller": "default"} if routed else {}
    return pod(
        "router-1",
        container(80),
        namespace="openshift-ingress",
        labels=marks,
        node=node,
        ip="10.9.9.9",
        hostNetwork=True,
    )


ROUTERS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-ingress"}}}
HOSTS = {"namespaceSelector": {"matchLabels": {"policy-group.network.openshift.io/host-network": ""}}}


@pytest.mark.parametrize(("peer", "expected"), [(ROUTERS, "NetworkPolicyBlocks"), (HOSTS, "NetworkPolicyRestricts")])
def test_a_router_on_the_network_of_its_node_is_no_pod_of_its_namespace(peer, expected):
    rule = {
        "kind": "NetworkPolicy",
        "metadata": meta("routers"),
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [peer]}]},
    }
    found = trace(cluster(*healthy_web(), t.openshift_route(), _router("n9"), rule), "route/web")
    assert causes(found)[0] == expected
    if expected == "NetworkPolicyBlocks":
        assert "policy-group.network.openshift.io/host-network" in str(found.findings[0].fix[0].patch)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("ingress-nginx-controller-POD", {}, ["ProxyLimitExceeded"]),
        ("ingress-nginx-controller-1", {"app": "other"}, []),
        ("web-of-ingress-nginx-1", {}, []),
    ],
    ids=["a log or a row shows no labels", "look-alike: labels of something else", "look-alike: another name"],
)
def test_a_controller_that_is_known_by_its_name_only(name, labels, expected):
    controller = pod(name, container(80), namespace="edge", labels=labels, ip="10.9.0.1")
    snapshot = cluster(*healthy_web(), ingress(), ingress_class(), controller)
    snapshot.add_log(Log("edge", name, "app"), UPGRADED.format("10.0.0.1"))
    assert causes(trace(snapshot, "ingress/web")) == expected
