"""svc-trace on the custom kinds, each working and broken, through a real kubectl and an API server that serves them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import traffic as t
from support.fake_api import FakeApi
from support.services import NOW, NS, healthy_web, ingress, ingress_class, pod

ROOT = Path(__file__).parents[2]
KUBECTL = shutil.which("kubectl")
real = [
    pytest.mark.kubectl,
    pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on PATH"),
    pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="the executables run in .venv; make makes it"),
]
Object = dict[str, Any]
SVC = "svc/web"


def svc_trace(api: FakeApi, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    assert KUBECTL is not None
    api.kubeconfig(home)
    env = {
        "HOME": str(home),
        "KUBECONFIG": str(home / "kubeconfig"),
        "PATH": f"{ROOT / 'kubectl-plugins'}{os.pathsep}{os.environ['PATH']}",
    }
    command = [KUBECTL, "svc-trace", "-n", NS, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


BROKEN_MESH_HOST = [t.virtual_service("web.other"), t.istio_gateway(), t.istio_proxy()]
CASES: dict[str, tuple[list[Object], str, str]] = {
    "OpenShift Route": ([t.openshift_route()], "route/web", "Healthy"),
    "OpenShift Route, by name of the port": (
        [t.openshift_route(port={"targetPort": 8080})],
        "routes.route.openshift.io/web",
        "Healthy",
    ),
    "OpenShift Route whose host is taken": (
        [t.openshift_route(admitted="False", reason="HostAlreadyClaimed", message="route first already exposes it")],
        "route/web",
        "RouteNotAccepted",
    ),
    "OpenShift Route to a port that is not there": (
        [t.openshift_route(port={"targetPort": "metrics"})],
        SVC,
        "BackendPortNotFound",
    ),
    "OpenShift Route with another Service that is not there": (
        [t.openshift_route(alternateBackends=[{"kind": "Service", "name": "web-2", "weight": 10}])],
        "route/web",
        "BackendServiceNotFound",
    ),
    "OpenShift Route that passes TLS through to plain HTTP": (
        [t.openshift_route(tls={"termination": "passthrough"})],
        "route/web",
        "ProtocolMismatch",
    ),
    "Istio": ([t.virtual_service(), t.istio_gateway(), t.istio_proxy()], "virtualservice/web", "Healthy"),
    "Istio Gateway": ([t.virtual_service(), t.istio_gateway("edge", NS), t.istio_proxy()], "gateway/edge", "Healthy"),
    "Istio Gateway in another namespace": (
        [t.virtual_service(gateways=("edge",)), t.istio_gateway(), t.istio_proxy()],
        "vs/web",
        "GatewayNotFound",
    ),
    "Istio host that the Gateway does not take": (
        [t.virtual_service(), t.istio_gateway(hosts=("blog.example.com",)), t.istio_proxy()],
        SVC,
        "MeshRouteInvalid",
    ),
    "Istio destination as NAME.NAMESPACE": (BROKEN_MESH_HOST, "virtualservice/web", "MeshRouteInvalid"),
    "Istio destination port": (
        [t.virtual_service(port=8080), t.istio_gateway(), t.istio_proxy()],
        SVC,
        "MeshRouteInvalid",
    ),
    "Istio subset": (
        [t.virtual_service(subset="v1"), t.istio_gateway(), t.istio_proxy(), t.destination_rule({"app": "web"})],
        SVC,
        "Healthy",
    ),
    "Istio subset without pods": (
        [t.virtual_service(subset="v1"), t.istio_gateway(), t.istio_proxy(), t.destination_rule({"version": "v1"})],
        SVC,
        "MeshSubsetNotFound",
    ),
    "Istio subset that nobody defines": (
        [t.virtual_service(subset="v2"), t.istio_gateway(), t.istio_proxy(), t.destination_rule({"app": "web"})],
        "virtualservice/web",
        "MeshSubsetNotFound",
    ),
    "Traefik": ([t.ingress_route(), t.TRAEFIK], "ingressroute/web", "Healthy"),
    "Traefik with a Middleware": (
        [
            t.ingress_route(middlewares=[{"name": "strip"}]),
            t.custom("Middleware", "traefik.io/v1alpha1", "strip", stripPrefix={"prefixes": ["/a"]}),
            t.TRAEFIK,
        ],
        SVC,
        "Healthy",
    ),
    "Traefik without its Middleware": (
        [
            t.ingress_route(middlewares=[{"name": "stirp"}]),
            t.custom("Middleware", "traefik.io/v1alpha1", "strip", stripPrefix={"prefixes": ["/a"]}),
            t.TRAEFIK,
        ],
        SVC,
        "IngressRejected",
    ),
    "Traefik's old group under version 3": (
        [t.ingress_route(group="traefik.containo.us"), t.TRAEFIK],
        "ingressroute/web",
        "IngressRejected",
    ),
    "Traefik TCP": ([t.ingress_route("IngressRouteTCP"), t.TRAEFIK], "ingressroutetcp/web", "Healthy"),
    "Traefik TCP to another port": (
        [t.ingress_route("IngressRouteTCP", port=5432), t.TRAEFIK],
        "ingressroutetcp/web",
        "BackendPortNotFound",
    ),
    "Traefik UDP": ([t.ingress_route("IngressRouteUDP"), t.TRAEFIK], SVC, "Healthy"),
    "Traefik UDP to another port": (
        [t.ingress_route("IngressRouteUDP", port="dns"), t.TRAEFIK],
        "ingressrouteudp/web",
        "BackendPortNotFound",
    ),
    "Contour": ([t.http_proxy(), t.controller("contour")], "httpproxy/web", "Healthy"),
    "Contour, invalid": (
        [
            t.http_proxy(
                "False",
                [{"type": "TLSError", "reason": "SecretNotValid", "message": "Spec.VirtualHost.TLS Secret not found"}],
            )
        ],
        SVC,
        "IngressRejected",
    ),
    "Contour with another class": (
        [t.http_proxy(cls="internal"), t.controller("contour", "serve", "--ingress-class-name=contour")],
        "httpproxy/web",
        "IngressClassNotSet",
    ),
    "TLSRoute": (t.layer_four("TLSRoute", "TLS", hostnames=["db.example.com"]), "tlsroute/web", "Healthy"),
    "TLSRoute on an HTTP listener": (t.layer_four("TLSRoute", "HTTP"), "tlsroute/web", "RouteNotAccepted"),
    "TCPRoute": (t.layer_four("TCPRoute", "TCP"), SVC, "Healthy"),
    "TCPRoute to another port": (t.layer_four("TCPRoute", "TCP", 5432), "tcproute/web", "BackendPortNotFound"),
    "UDPRoute": (t.layer_four("UDPRoute", "UDP"), "udproute/web", "Healthy"),
    "UDPRoute on a TCP listener": (t.layer_four("UDPRoute", "TCP"), "udproute/web", "RouteNotAccepted"),
    "BackendTLSPolicy": ([*t.layer_four("TCPRoute", "TCP"), t.backend_tls_policy()], SVC, "Healthy"),
    "BackendTLSPolicy without its certificate authority": (
        [*t.layer_four("TCPRoute", "TCP"), t.backend_tls_policy("False")],
        SVC,
        "IngressRejected",
    ),
}


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
@pytest.mark.kubectl
@pytest.mark.skipif(KUBECTL is None or not (ROOT / ".venv").exists(), reason="needs kubectl and .venv")
def test_each_kind_working_and_broken(case: str, tmp_path: Path) -> None:
    objects, target, cause = CASES[case]
    with FakeApi(clock=NOW) as api:
        api.add(*t.base(*objects))
        run = svc_trace(api, tmp_path, target, "-o", "json")
    assert run.returncode == 0, run.stderr
    (item,) = json.loads(run.stdout)["items"]
    assert (item["cause"], item["healthy"]) == (cause, cause == "Healthy"), item["summary"]
    assert {r.method for r in api.requests} == {"GET"}


OTHERS = {
    "Kong": ("TCPIngress", "tcpingresses", "configuration.konghq.com", {"rules": [{"port": 9000, "backend": {
        "serviceName": "web", "servicePort": 80}}]}),
    "APISIX": ("ApisixRoute", "apisixroutes", "apisix.apache.org", {"http": [{"name": "a", "match": {
        "hosts": ["shop.example.com"]}, "backends": [{"serviceName": "web", "servicePort": 80}]}]}),
    "Knative": ("DomainMapping", "domainmappings", "serving.knative.dev", {"ref": {
        "kind": "Service", "name": "web"}, "services": [{"name": "web", "port": 80}]}),
    "an unknown one": ("EdgeRoute", "edgeroutes", "acme.example.com", {"host": "shop.example.com", "upstreams": [{
        "name": "web", "port": 80}]}),
    "one that names an address": ("Mapping", "mappings", "getambassador.io", {
        "hostname": "shop.example.com", "prefix": "/", "service": "http://web.shop:80"}),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS, ids=list(OTHERS))
@pytest.mark.kubectl
@pytest.mark.skipif(KUBECTL is None or not (ROOT / ".venv").exists(), reason="needs kubectl and .venv")
def test_any_other_kind_is_shown_and_not_called_healthy(name: str, tmp_path: Path) -> None:
    kind, plural, group, spec = OTHERS[name]
    made = t.custom(kind, f"{group}/v1", status={"conditions": [t.condition("Programmed", "True")]}, **spec)
    refused = {**made, "status": {"conditions": [t.condition("Programmed", "False", "Invalid", "no such plugin")]}}
    with FakeApi(clock=NOW) as api:
        api.define(kind, plural, group)
        api.add(*t.base(made))
        for target in (SVC, f"{kind.lower()}/web", f"{plural}.{group}/web"):
            run = svc_trace(api, tmp_path, target, "-o", "json")
            (item,) = json.loads(run.stdout)["items"]
            assert (item["cause"], item["healthy"]) == ("NotEvaluated", False), (target, item["summary"])
            assert any(f"{kind}/web" in gap["why"] or f"{kind}/web" in gap["what"] for gap in item["notSeen"])
        shown = svc_trace(api, tmp_path, SVC)
        assert f"not evaluated: {kind}/web" in shown.stdout
        assert "is healthy" not in shown.stdout
        api.add(refused)
        (item,) = json.loads(svc_trace(api, tmp_path, SVC, "-o", "json").stdout)["items"]
        assert item["cause"] == "IngressRejected"


def test_an_unknown_kind_is_refused_in_our_words(tmp_path: Path) -> None:
    with FakeApi(clock=NOW) as api:
        api.add(*t.base())
        run = svc_trace(api, tmp_path, "gizmo/web")
    assert run.returncode == 1
    assert run.stderr.strip() == 'error: the cluster serves no kind "gizmo" that svc-trace could read'


def test_an_object_of_a_served_kind_that_is_not_there(tmp_path: Path) -> None:
    with FakeApi(clock=NOW) as api:
        api.define("Gizmo", "gizmos", "acme.example.com")
        run = svc_trace(api, tmp_path, "gizmo/web")
    assert run.stderr.strip() == 'Error from server (NotFound): gizmos.acme.example.com "web" not found'


@pytest.mark.parametrize("aggregated", [True, False], ids=["APIGroupDiscoveryList", "APIGroupList"])
def test_two_hundred_custom_kinds_cost_no_more_than_two_requests(tmp_path: Path, aggregated: bool) -> None:
    def requests(kinds: int) -> int:
        with FakeApi(clock=NOW) as api:
            api.aggregated = aggregated
            for i in range(kinds):
                word = ("Widget", "Route", "Gateway", "Proxy", "Policy")[i % 5]
                api.define(f"{word}{i}", f"{word.lower()}{i}s", f"group{i % 40}.example.com")
            api.add(*t.base(ingress(), ingress_class(), pod("ingress-1", namespace="edge")))
            run = svc_trace(api, tmp_path, "ingress/web", "-o", "json")
            assert json.loads(run.stdout)["items"][0]["target"]["name"] == "web"
            return len(api.requests)

    assert requests(200) <= requests(0) + 2


def test_a_url_is_looked_for_among_the_hosts_of_every_kind(tmp_path: Path) -> None:
    with FakeApi(clock=NOW) as api:
        api.add(*healthy_web(), t.openshift_route())
        run = svc_trace(api, tmp_path, "https://shop.example.com/cart", "-o", "json")
        missed = svc_trace(api, tmp_path, "https://blog.example.com/")
    assert json.loads(run.stdout)["items"][0]["target"]["kind"] == "Route"
    assert "shop.example.com" in missed.stderr


pytestmark = real
