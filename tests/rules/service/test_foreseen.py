"""Situations of whole clusters whose first cause is easily told wrong."""

import pytest

from kubetriage.model import Confidence, Severity
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
    states,
    trace,
    workload,
)


def selected(other, **own):
    """Return a Service over two pods of deployment/web and one of another Deployment."""
    svc = service(selector={"tier": "front"})
    mine = {"tier": "front", **own}
    pods = [
        pod("web-1", container(("http", 8080), probe=8080), labels=mine, owner=("Deployment", "web")),
        pod("web-2", container(("http", 8080), probe=8080), labels=mine, ip="10.0.0.2", owner=("Deployment", "web")),
        other,
    ]
    return cluster(svc, *pods, slice_of(svc, *pods))


def stranger(*containers, name="worker", **labels):
    return pod(f"{name}-1", *containers, labels={"tier": "front", **labels}, ip="10.0.0.3", owner=("Deployment", name))


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (stranger(container(command=["sleep", "1d"])), ["SelectorTooBroad"]),
        (stranger(container()), []),
        (stranger(container(("http", 8080), probe=8080), app="api"), ["SelectorTooBroad"]),
        (stranger(container(("http", 8080), probe=8080), app="web-canary"), []),
    ],
    ids=["another program without ports", "the same without ports", "named as another", "canary"],
)
def test_programs_of_the_same_image_are_told_apart_by_what_they_run(other, expected):
    found = trace(selected(other, app="web"))
    assert causes(found) == expected
    assert all(f.confidence is Confidence.LIKELY and f.fix for f in found.findings)


@pytest.mark.parametrize(
    ("owner", "how", "expected"),
    [
        ("admin", {"command": ["admin"]}, ["SelectorTooBroad"]),
        ("admin", {"env": [{"name": "MODE", "value": "admin"}]}, ["SelectorTooBroad"]),
        ("admin", {}, []),
        ("web-canary", {"command": ["web", "--new"]}, []),
        ("canary", {"command": ["web", "--new"]}, []),
        ("web-v2", {"command": ["web", "--new"]}, []),
    ],
)
def test_workloads_with_unrelated_names_and_other_commands_are_two_programs(owner, how, expected):
    other = stranger(container(("http", 8080), probe=8080, **how), name=owner)
    assert causes(trace(selected(other))) == expected


def test_two_ingresses_with_the_same_backend_break_nothing_but_one_of_them_is_idle():
    older = ingress("acme", created="2026-11-01T00:00:00Z")
    seen = cluster(*healthy_web(), ingress(), older, ingress_class())
    (found,) = trace(seen, "ingress/web").findings
    assert (found.cause, found.severity) == ("HostPathConflict", Severity.WARNING)
    assert "all lead to the same Service" in found.message
    # Of two on the way to a Service the conflict is told once, at the loser.
    (told,) = trace(seen, "svc/web").findings
    assert told.details["loser"] == {"namespace": NS, "name": "web"}
    assert ("Ingress", "broken") not in states(trace(seen, "svc/web"))


def test_ingresses_of_one_second_are_ordered_by_name():
    twin = ingress("web-2", backend={"service": {"name": "other", "port": {"number": 80}}})
    seen = cluster(*healthy_web(), service("other"), ingress(), twin, ingress_class())
    won = trace(seen, "ingress/web").findings[0]
    assert (won.cause, won.severity, won.details["winner"]["name"]) == ("HostPathConflict", Severity.NOTE, "web")
    assert "is as old and wins by its name" in won.message


def test_a_longer_path_of_another_ingress_is_no_conflict():
    api = ingress("api", path="/api", backend={"service": {"name": "web", "port": {"number": 80}}})
    found = trace(cluster(*healthy_web(), ingress(), api, ingress_class()), "ingress/web")
    assert found.findings == ()


@pytest.mark.parametrize(("name", "expected"), [("db", ["ExternalNameInvalid"]), ("db.", []), ("db.example.com", [])])
def test_search_domains_do_not_apply_to_an_alias(name, expected):
    svc = service(selector={}, kind="ExternalName", externalName=name, ports=())
    assert causes(trace(cluster(svc))) == expected


@pytest.mark.parametrize(("address", "expected"), [("", ["IngressClassNotFound"]), ("203.0.113.1", [])])
def test_an_annotation_that_nothing_answers_to_is_noted(address, expected):
    old = ingress(cls="", address=address, annotations={"kubernetes.io/ingress.class": "traefik"})
    found = trace(cluster(*healthy_web(), old, ingress_class()), "ingress/web")
    assert [f.cause for f in found.findings] == expected
    assert all(f.confidence is Confidence.POSSIBLE for f in found.findings)


def test_a_port_name_that_some_pods_lack_is_replaced_by_the_number_of_all():
    svc = service(ports=[{"name": "http", "port": 80, "targetPort": "http"}])
    pods = [pod("web-1"), pod("web-2", container(("web", 8080), probe=8080), ip="10.0.0.2")]
    found = trace(cluster(svc, *pods, slice_of(svc, *pods, ports=[{"name": "http", "port": 8080}]), workload()))
    assert causes(found)[0] == "TargetPortNameNotFound"
    assert found.findings[0].fix[0].patch == {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}


def test_pods_without_declared_ports_are_judged_by_their_arguments():
    svc = service(ports=[{"port": 80, "targetPort": 80}])
    told = pod("web-1", container(command=["sh", "-c", "exec httpd -f -p 8080"]))
    found = trace(cluster(svc, told, slice_of(svc, told, ports=[{"name": "", "port": 80}]), workload()))
    assert causes(found) == ["TargetPortMismatch"]
    assert found.findings[0].confidence is Confidence.LIKELY
    assert found.findings[0].fix[0].patch == {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}


def test_pods_held_by_a_finalizer_name_it():
    svc = service()
    held = pod("web-1", deleting=True, ready=False)
    held["metadata"]["finalizers"] = ["example.com/hold"]
    found = trace(cluster(svc, held, slice_of(svc, held)))
    assert causes(found) == ["PodsTerminating"]
    assert "example.com/hold" in found.findings[0].fix[0].text


def test_a_missing_certificate_comes_before_a_gateway_that_waits():
    reference = {"group": "", "kind": "Secret", "name": "edge-tls"}
    gateway = {
        "kind": "Gateway",
        "metadata": meta("edge"),
        "spec": {
            "gatewayClassName": "istio",
            "listeners": [{"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [reference]}}],
        },
        "status": {"conditions": [{"type": "Accepted", "status": "Unknown", "reason": "Pending"}]},
    }
    kind = {"kind": "GatewayClass", "metadata": meta("istio", ""), "spec": {"controllerName": "istio.io/gateway"}}
    assert causes(trace(cluster(gateway, kind), "gateway/edge")) == ["TLSSecretNotFound", "GatewayNotProgrammed"]


@pytest.mark.parametrize(("parents", "expected"), [([], ["RouteNotAccepted"]), ([{"name": "edge"}], [])])
def test_a_route_without_a_parent_is_served_by_nobody(parents, expected):
    route = {
        "kind": "HTTPRoute",
        "metadata": meta("web"),
        "spec": {"parentRefs": parents, "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
    }
    found = trace(cluster(*healthy_web(), route), "httproute/web")
    assert [c for c in causes(found) if c == "RouteNotAccepted"] == expected
