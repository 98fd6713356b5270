"""Services that a pod asks for in vain, by its own log in any program's words; and controllers that may not read."""

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
    trace,
)

ASKS = (
    '2026-11-24T11:59:00Z ERR error="Unable to reach the origin service: dial tcp: lookup {0} on 10.96.0.10:53: no such'
    ' host" originService=http://{0}:80\n'
)
NGINX = '2026/11/24 11:59:00 [emerg] 1#1: host not found in upstream "{0}" in /etc/nginx/conf.d/default.conf:4\n'
NODE = "Error: getaddrinfo ENOTFOUND {0}\n    at GetAddrInfoReqWrap.onlookup (node:dns:107:26)\n"
TUNNEL = pod("tunnel", container(name="app"), labels={"app": "tunnel"}, ip="10.0.0.60")


@pytest.mark.parametrize("line", [ASKS, NGINX, NODE])
@pytest.mark.parametrize("name", ["webb.shop.svc.cluster.local", "webb.shop.svc", "webb.shop"])
def test_a_service_that_does_not_exist_is_named_with_the_one_that_is_meant(line, name):
    snapshot = cluster(*healthy_web(), TUNNEL)
    snapshot.add_log(Log(NS, "tunnel", "app"), line.format(name))
    (found,) = [f for f in trace(snapshot, "pod/tunnel").findings if f.cause == "ServiceNotFound"]
    assert found.confidence is Confidence.CONFIRMED
    assert "no Service webb in namespace shop" in found.message
    assert "Nearest there: svc/web" in found.message


@pytest.mark.parametrize(
    "line",
    [
        ASKS.format("web.shop.svc.cluster.local"),  # it exists now
        ASKS.format("api.example.com"),
        ASKS.format("metadata"),  # a cloud's, and the pod's own
        ASKS.format("tunnel"),
        ASKS.format("db-0.db.shop.svc.cluster.local"),  # a pod's own name
        "lookup webb.shop.svc on 10.96.0.10:53: server misbehaving\n",
        "lookup webb.shop.svc on 10.96.0.10:53: read udp 10.0.0.60:4->10.96.0.10:53: i/o timeout\n",
    ],
)
def test_other_names_and_a_dns_that_does_not_answer_are_no_missing_service(line):
    snapshot = cluster(*healthy_web(), TUNNEL)
    snapshot.add_log(Log(NS, "tunnel", "app"), line)
    assert "ServiceNotFound" not in causes(trace(snapshot, "pod/tunnel"))


def test_without_the_services_it_stays_a_likelihood():
    snapshot = cluster(TUNNEL, unseen=("services",))
    snapshot.add_log(Log(NS, "tunnel", "app"), ASKS.format("webb.shop.svc.cluster.local"))
    (found,) = problems(trace(snapshot, "pod/tunnel"))
    assert found.confidence is Confidence.LIKELY
    assert "Which, was not seen" in found.message


# Controllers that may not read.

FORBIDDEN = (
    'E1124 11:59:00.913363 1 reflector.go:158] "Unhandled Error" err="failed to list *v1.EndpointSlice: {0} is'
    ' forbidden: User \\"system:serviceaccount:edge:traefik\\" cannot list resource \\"{0}\\" in API group \\"{1}\\" at'
    ' the cluster scope"\n'
)


def by_controller(line):
    runs = t.controller("traefik", namespace="edge")
    kind = ingress_class("nginx", controller="traefik.io/ingress-controller")
    snapshot = cluster(*healthy_web(), ingress(), runs, kind)
    snapshot.add_log(Log("edge", runs["metadata"]["name"], "app"), line)
    return trace(snapshot, "ingress/web")


def test_a_controller_that_may_not_list_endpoints_is_named_with_the_right():
    found = by_controller(FORBIDDEN.format("endpointslices", "discovery.k8s.io"))
    (fault,) = [f for f in found.findings if f.cause == "ControllerForbidden"]
    said = " ".join(map(str, fault.fix[0].commands))
    assert "--resource=endpointslices.discovery.k8s.io" in said
    assert "--serviceaccount=edge:traefik" in said


def test_events_alone_and_another_pods_refusal_do_not_stop_a_controller():
    assert "ControllerForbidden" not in causes(by_controller(FORBIDDEN.format("events", "")))
    assert "ControllerForbidden" not in causes(by_controller("configuration loaded\n"))
