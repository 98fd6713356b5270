"""svc-trace on objects of any shape, on connections that were tried, and on users who may read little."""

import copy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubetriage.needs import Body, Dial, Failure, Raw, Why
from kubetriage.values.resources import BY_KIND
from support.services import (
    NS,
    answer,
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

TARGETS = ("svc/web", "ingress/web", "pod/web-1", "https://shop.example.com/")
BASE = [
    *healthy_web(),
    ingress(tls=[{"hosts": ["shop.example.com"], "secretName": "t"}]),
    ingress_class(),
    policy(ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": 8080}]}]),
    {
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": NS},
        "spec": {"gatewayClassName": "x", "listeners": [{"name": "a", "port": 1, "protocol": "HTTP"}]},
        "status": {"conditions": [{"type": "Programmed", "status": "True"}]},
    },
    {
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": NS},
        "spec": {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
    },
]
ODD = st.sampled_from(
    [None, "", "x", 0, -1, 1.5, True, [], [None], [[]], {}, {"": None}, [{"name": 1}], "💥", "a" * 300]
)


def spots(value, path=()):
    """Yield the path of everything inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from spots(inner, (*path, key))


PLACES = [
    (number, path)
    for number, obj in enumerate(BASE)
    for path in spots(obj)
    if path not in (("kind",), ("metadata",), ("metadata", "name"), ("metadata", "namespace"))
]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=4), st.sampled_from(TARGETS))
def test_odd_values_anywhere_never_raise(changes, target):
    objects = copy.deepcopy(BASE)
    for (number, path), value in changes:
        spot = objects[number]
        try:
            for step in path[:-1]:
                spot = spot[step]
            spot[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    snapshot = cluster(*(o for o in objects if o["kind"] in BY_KIND))
    answer(snapshot, target)
    answer(snapshot, client="pod/web-1")


def undecided():
    svc = service(ports=[{"port": 80, "targetPort": 9000}])
    return cluster(svc, p := pod("web-1", container(9000)), slice_of(svc, p, ports=[{"port": 9000}]))


PROXY = Raw(f"/api/v1/namespaces/{NS}/services/web:80/proxy/")
INSIDE = Dial(NS, "web-1", 9000)


def test_a_refused_connection_proves_the_wrong_port():
    snapshot = undecided()
    snapshot.fail(INSIDE, Failure(Why.FAILED, "connect to 127.0.0.1:9000: connection refused"))
    found = trace(snapshot, probe=True)
    assert causes(found) == ["TargetPortMismatch"]
    assert problems(found)[0].confidence.value == "confirmed"
    assert any("failed" in line for s in found.tail for line in s.lines)


def test_a_port_that_answers_inside_the_pod_only_is_on_loopback():
    snapshot = undecided()
    snapshot.add_body(INSIDE, Body(""))
    snapshot.add_body(PROXY, Body("dial tcp 10.0.0.1:9000: connect: connection refused", 503))
    (first, *_) = problems(trace(snapshot, probe=True))
    assert (first.cause, first.confidence.value) == ("TargetPortMismatch", "likely")
    assert "127.0.0.1" in first.message


def test_an_answer_through_the_service_acquits_an_undeclared_port():
    svc = service(ports=[{"port": 80, "targetPort": 9000}])
    quiet = pod("web-1", container(("metrics", 8080), probe=8080))
    snapshot = cluster(svc, quiet, slice_of(svc, quiet, ports=[{"port": 9000}]))
    assert causes(trace(snapshot)) == ["TargetPortMismatch"]
    snapshot.add_body(Raw(f"/api/v1/namespaces/{NS}/services/web:80/proxy/"), Body("hello"))
    assert causes(trace(snapshot, probe=True)) == []


def test_nothing_is_connected_to_unless_asked():
    from kubetriage.plugins import Request, load
    from support.offline import target

    plugin = load("svc-trace")
    snapshot = undecided()
    for probe in (False, True):
        request = Request((target("svc/web"),), NS, options={"client": "", "symptom": "", "probe": probe})
        needs = list(plugin.plan(snapshot, request))
        assert (INSIDE in needs) is probe
        assert (PROXY in needs) is probe


def test_a_user_who_may_read_only_the_service_is_told_what_is_dark():
    dark = ("pods", "endpointslices", "endpoints", "networkpolicies", "ingresses", "events", "deployments")
    found = trace(cluster(*healthy_web(), unseen=dark))
    assert causes(found) == []
    assert {h["state"] for h in found.extra["hops"]} <= {"ok", "not seen"}
    assert {"pods", "networkpolicies"} <= {gap.what.split()[0] for gap in found.not_seen}
    got = answer(cluster(*healthy_web(), unseen=("services",)), "svc/web")
    assert "forbidden" in got.errors[0]
