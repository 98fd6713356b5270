"""Port resolution and endpoint counting as the endpoint slice controller and kube-proxy do them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.rules.service.service_endpoints import (
    count_port,
    declared_ports,
    derived_endpoints,
    find_port,
    legacy_endpoints,
    service_ports,
    slice_endpoints,
)


def container(*ports, name="app", **more):
    declared = [{"name": n, "containerPort": p, "protocol": proto} for n, p, proto in ports]
    return {"name": name, "ports": declared, **more}


def pod(*containers, init=()):
    return {"spec": {"containers": list(containers), "initContainers": list(init)}}


P = ("p", 8080, "TCP")
Q = ("q", 9090, "TCP")

# The rows of TestFindPort (k8s.io/endpointslice utils_test.go): target, protocol, pod, resolved number or None.
FIND_PORT = {
    "valid int, no ports": (93, "TCP", pod(container()), 93),
    "valid int, with ports": (93, "TCP", pod(container(P)), 93),
    "valid str, no ports": ("p", "TCP", pod(container()), None),
    "valid str, one container with ports": ("p", "TCP", pod(container(P)), 8080),
    "valid str, two containers with ports": ("q", "TCP", pod(container(P), container(Q, name="b")), 9090),
    "valid str, two containers with the same port": (
        "q",
        "TCP",
        pod(container(("q", 9090, "TCP")), container(("q", 9191, "TCP"), name="b")),
        9090,
    ),
    "valid str, invalid protocol": ("p", "snmp", pod(container(P)), None),
    "valid str, another protocol": ("p", "TCP", pod(container(("p", 8080, "UDP"))), None),
    "one name under two protocols": ("p", "UDP", pod(container(P, ("p", 5353, "UDP"))), 5353),
    "invalid str": ("zz", "TCP", pod(container(P, Q)), None),
    "valid str, sidecar container": (
        "p",
        "TCP",
        pod(container(), init=[container(P, name="proxy", restartPolicy="Always")]),
        8080,
    ),
    "valid str, plain init container": ("p", "TCP", pod(container(), init=[container(P, name="setup")]), None),
    "container before sidecar": (
        "p",
        "TCP",
        pod(container(P), init=[container(("p", 15001, "TCP"), name="proxy", restartPolicy="Always")]),
        8080,
    ),
    "sidecar beside an init container": (
        "p",
        "TCP",
        pod(
            container(),
            init=[
                container(("p", 1, "TCP"), name="setup"),
                container(("p", 15001, "TCP"), name="proxy", restartPolicy="Always"),
            ],
        ),
        15001,
    ),
}


@pytest.mark.parametrize(("target", "protocol", "raw", "number"), FIND_PORT.values(), ids=FIND_PORT)
def test_find_port(target, protocol, raw, number):
    assert find_port(raw, target, protocol) == number


def test_there_are_the_fourteen_rows():
    assert len(FIND_PORT) == 14


def slice_(*endpoints, ports=({"name": "http", "port": 8080, "protocol": "TCP"},), family="IPv4", name="web-1"):
    return {
        "metadata": {"name": name},
        "addressType": family,
        "ports": list(ports) if ports is not None else None,
        "endpoints": list(endpoints),
    }


def endpoint(address, ready=True, serving=None, terminating=False, uid=""):
    return {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": ready if serving is None else serving, "terminating": terminating},
        "targetRef": {"kind": "Pod", "name": f"pod-{address}", "uid": uid or f"u-{address}"},
    }


HTTP = service_ports({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}]}})[0]


def test_endpoints_without_the_port_are_counted_apart():
    slices = [slice_(endpoint("a"), endpoint("b")), slice_(endpoint("c"), endpoint("d"), endpoint("e"), ports=None)]
    count = count_port(slice_endpoints(slices), HTTP)
    assert (len(count.ready), len(count.without)) == (2, 3)
    assert count.numbers == (8080,)


def test_null_endpoints_and_ports_are_an_empty_slice():
    assert slice_endpoints([{"metadata": {"name": "x"}, "endpoints": None, "ports": None}]) == ()


def test_absent_conditions_mean_ready():
    (found,) = slice_endpoints([slice_({"addresses": ["10.0.0.1"]})])
    assert (found.ready, found.serving, found.terminating) == (True, True, False)


def test_terminating_endpoints_serve_only_while_none_is_ready():
    items = slice_endpoints([slice_(endpoint("a", ready=False, serving=True, terminating=True))])
    count = count_port(items, HTTP)
    assert not count.ready
    assert len(count.fallback) == 1
    assert items[0].takes_traffic


def test_an_endpoint_in_two_slices_counts_once_and_families_count_apart():
    twice = [slice_(endpoint("a", uid="1")), slice_(endpoint("a", uid="1"), name="web-2")]
    assert len(slice_endpoints(twice)) == 1
    both = [slice_(endpoint("a", uid="1")), slice_(endpoint("fd00::1", uid="1"), family="IPv6", name="web-6")]
    assert len(slice_endpoints(both)) == 2


def test_two_generations_resolve_one_name_to_two_numbers():
    old = slice_(endpoint("a"))
    new = slice_(endpoint("b"), ports=[{"name": "http", "port": 9090, "protocol": "TCP"}], name="web-2")
    count = count_port(slice_endpoints([old, new]), HTTP)
    assert len(count.ready) == 2
    assert count.numbers == (8080, 9090)


def test_unnamed_ports_match_by_the_empty_name():
    port = service_ports({"spec": {"ports": [{"port": 80}]}})[0]
    items = slice_endpoints([slice_(endpoint("a"), ports=[{"port": 80, "protocol": "TCP"}])])
    assert len(count_port(items, port).ready) == 1
    assert not count_port(items, HTTP).ready


def test_the_target_defaults_to_the_port():
    assert service_ports({"spec": {"ports": [{"port": 80}]}})[0].target == 80


def test_legacy_endpoints_without_target_are_read():
    raw = {
        "metadata": {"name": "web"},
        "subsets": [
            {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]},
            {"notReadyAddresses": [{"ip": "10.0.0.2", "targetRef": {"name": "p"}}], "ports": [{"port": 80}]},
        ],
    }
    assert [(e.address, e.ready, e.pod) for e in legacy_endpoints(raw)] == [
        ("10.0.0.1", True, ""),
        ("10.0.0.2", False, "p"),
    ]


def test_publish_not_ready_addresses_makes_unready_pods_ready():
    raw = {"metadata": {"name": "p"}, "spec": {}, "status": {"podIP": "10.0.0.1", "phase": "Running"}}
    service = {"spec": {"publishNotReadyAddresses": True, "ports": [{"port": 80}]}}
    assert derived_endpoints(service, [raw])[0].ready
    assert not derived_endpoints({"spec": {"ports": [{"port": 80}]}}, [raw])[0].ready


KEYS = (
    *("spec", "ports", "name", "port", "targetPort", "protocol", "endpoints", "addresses", "conditions", "ready"),
    *("targetRef", "kind", "uid", "containers", "initContainers", "containerPort", "subsets", "ip", "status", "podIP"),
    *("metadata", "addressType", "restartPolicy"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=80)
@given(JSON, JSON)
def test_never_raises_on_odd_objects(one, other):
    raw = one if isinstance(one, dict) else {"spec": one, "endpoints": one, "subsets": one}
    second = other if isinstance(other, dict) else {"spec": other}
    for port in service_ports(second):
        find_port(raw, port.target, port.protocol)
        count_port(slice_endpoints([raw]), port)
    declared_ports(raw)
    legacy_endpoints(raw)
    derived_endpoints(second, [raw])
