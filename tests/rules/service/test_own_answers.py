"""A status that the program itself answered is told apart from one that the proxy in front made."""

from __future__ import annotations

import pytest

from kubetriage.needs import Log
from support.services import cluster, ingress, ingress_class, pod, service, slice_of
from support.services import trace as traced

TARGET = "nginx.ingress.kubernetes.io/rewrite-target"
NGINX = (
    '203.0.113.7 - - [24/Nov/2026:11:59:12 +0000] "GET /v1/users HTTP/1.1" {status} 19 "-" "curl/8" 94 0.003 '
    "[shop-web-80] [] {upstream} 19 0.003 {answered} 5f0f9f1e\n"
)
ENVOY = (
    '[2026-11-24T11:59:12.000Z] "GET /v1/users HTTP/1.1" 404 {flags} {detail} - "-" 0 19 3 2 "-" "curl/8" "id" '
    '"shop.example.com" "{upstream}" outbound|80||web.shop.svc.cluster.local\n'
)
TRAEFIK = (
    '203.0.113.7 - - [24/Nov/2026:11:59:12 +0000] "GET /v1/users HTTP/1.1" 404 19 "-" "-" 7 "web@kubernetes" '
    '"http://10.0.0.1:8080" 2ms\n'
)


def asked(log: str, symptom: str = "404", **marks: str):
    controller = pod(
        "ingress-nginx-controller-x",
        namespace="ingress-nginx",
        labels={"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"},
        ip="10.0.9.9",
    )
    svc, one = service(), pod("web-1", ip="10.0.0.1")
    snapshot = cluster(ingress_class(), ingress(annotations=marks), svc, one, slice_of(svc, one), controller)
    snapshot.add_log(Log("ingress-nginx", controller["metadata"]["name"], "app"), log)
    return traced(snapshot, "ingress/web", symptom=symptom)


@pytest.mark.parametrize(
    "log",
    [
        NGINX.format(status=404, upstream="10.0.0.1:8080", answered=404),
        NGINX.replace(" 19 0.003 {answered}", " 0, 19 0.001, 0.002 502, 404").format(
            status=404, upstream="10.0.0.8:8080, 10.0.0.1:8080"
        ),
        ENVOY.format(flags="-", detail="via_upstream", upstream="10.0.0.1:8080"),
        TRAEFIK,
    ],
    ids=["nginx", "nginx after another", "envoy", "traefik"],
)
def test_the_program_said_it(log: str) -> None:
    found = asked(log * 2)
    assert "reached pod/web-1, which answered 404 itself, 2 times" in found.summary
    assert any("why the program answers 404" in gap.what and "logs web-1" in gap.why for gap in found.not_seen)


@pytest.mark.parametrize(
    "log",
    [
        "",
        NGINX.format(status=404, upstream="-", answered="-"),
        NGINX.format(status=404, upstream="127.0.0.1:8181", answered=404),
        NGINX.format(status=200, upstream="10.0.0.1:8080", answered=200),
        NGINX.format(status=404, upstream="10.0.0.1:8080", answered=502),
        ENVOY.format(flags="NR", detail="route_not_found", upstream="-"),
        ENVOY.format(flags="NR", detail="route_not_found", upstream="10.0.0.1:8080"),
        ENVOY.format(flags="-", detail="direct_response", upstream="-"),
    ],
)
def test_the_proxy_said_it_or_nobody_knows(log: str) -> None:
    assert "itself" not in asked(log).summary


def test_a_target_without_groups_is_what_the_program_is_asked_for() -> None:
    log = NGINX.format(status=404, upstream="10.0.0.1:8080", answered=404)
    assert "asked for it whatever the client asks" in asked(log, **{TARGET: "/"}).summary
    assert "makes of the path" in asked(log, **{TARGET: "/$2"}).summary
    assert "nothing at that path" in asked(log).summary


def test_other_symptoms_are_not_explained_by_it() -> None:
    log = NGINX.format(status=404, upstream="10.0.0.1:8080", answered=404)
    assert "itself" not in asked(log, symptom="timeout").summary
    assert "itself" not in asked(log, symptom="500").summary
