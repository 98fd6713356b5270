"""Policies around pods of Istio's ambient mode, and the cluster's DNS asked about itself."""

from kubetriage.model import Confidence, Severity
from kubetriage.needs import Log
from support.services import (
    causes,
    cluster,
    container,
    healthy_web,
    namespace,
    pod,
    policy,
    problems,
    service,
    slice_of,
    states,
    trace,
)

AMBIENT = {"istio.io/dataplane-mode": "ambient"}
CLIENT = pod("curl", container(name="curl"), namespace="clients", labels={"app": "curl"}, ip="10.0.0.50")
ZTUNNEL = pod("ztunnel-x", container(name="istio-proxy"), namespace="istio-system", labels={"app": "ztunnel"})
LINE = (
    '2026-11-24T11:58:10Z\terror\taccess\tconnection complete\tsrc.addr=10.0.0.50:41234 src.workload="curl"'
    ' dst.addr=10.0.0.1:15008 dst.workload="web-1" error="connection timed out, maybe a NetworkPolicy is blocking'
    ' HBONE port 15008: deadline has elapsed"\n'
)
FROM = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "clients"}}}]


def world(*ports, mode=AMBIENT, theirs=AMBIENT, rules=None, extra=()):
    admits = [{"from": FROM, "ports": [{"protocol": "TCP", "port": p} for p in ports]}] if rules is None else rules
    return cluster(
        namespace("shop", **mode),
        namespace("clients", **theirs),
        *healthy_web(),
        policy("web", {"matchLabels": {"app": "web"}}, ingress=admits),
        CLIENT,
        ZTUNNEL,
        *extra,
    )


def client(snapshot):
    return trace(snapshot, client="pod/clients/curl")


def test_a_policy_without_the_port_of_the_mesh_is_named_with_the_port_added():
    (found, *_) = problems(client(world(8080)))
    assert (found.cause, found.severity) == ("NetworkPolicyBlocks", Severity.ERROR)
    assert "15008" in found.message
    ((rule),) = found.fix[0].patch["spec"]["ingress"]
    assert [p["port"] for p in rule["ports"]] == [8080, 15008]
    assert rule["from"] == FROM


def test_what_ztunnel_says_makes_it_certain():
    snapshot = world(8080)
    snapshot.add_log(Log("istio-system", "ztunnel-x", "istio-proxy"), LINE)
    (found, *_) = problems(client(snapshot))
    assert found.confidence is Confidence.CONFIRMED
    assert any("HBONE" in e.value for e in found.evidence)


def test_nobody_was_named_so_it_is_a_warning():
    (found, *_) = problems(trace(world(8080)))
    assert (found.cause, found.severity) == ("NetworkPolicyBlocks", Severity.WARNING)


def test_the_clients_own_egress_counts_too():
    own = policy(
        "out",
        {"matchLabels": {"app": "curl"}},
        "clients",
        policyTypes=["Egress"],
        egress=[{"to": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": 8080}]}],
    )
    (found, *_) = problems(client(world(8080, 15008, extra=(own,))))
    assert found.cause == "NetworkPolicyBlocks"
    assert "networkpolicy/out (egress)" in found.message


def test_look_alikes_are_left_alone():
    sidecar = {"istio-injection": "enabled"}
    for snapshot in (
        world(8080, 15008),
        world(8080, mode=sidecar),
        world(8080, theirs={}),
        world(rules=[{"from": FROM}]),
    ):
        assert "NetworkPolicyBlocks" not in causes(client(snapshot))


REFUSED = (
    "[ERROR] plugin/kubernetes: Failed to watch *v1.EndpointSlice: endpointslices.discovery.k8s.io is forbidden: User"
    ' "system:serviceaccount:kube-system:coredns" cannot list resource "endpointslices" in API group'
    ' "discovery.k8s.io" at the cluster scope\n'
)


def dns(log):
    svc = service("kube-dns", "kube-system", {"k8s-app": "kube-dns"}, ({"port": 53, "targetPort": 53},))
    own = pod(
        "coredns-1",
        container(("dns", 53), name="coredns", probe=8181),
        namespace="kube-system",
        labels={"k8s-app": "kube-dns"},
        ready=False,
    )
    snapshot = cluster(svc, own, slice_of(svc, own, ports=({"port": 53},)))
    snapshot.add_log(Log("kube-system", "coredns-1", "coredns"), log)
    return trace(snapshot, "svc/kube-dns", namespace="kube-system")


def test_dns_that_may_not_read_says_so_before_its_probe():
    found = dns(REFUSED)
    assert causes(found) == ["DNSNotReady"]
    assert "endpointslices" in problems(found)[0].fix[0].text
    assert [s for hop, s in states(found) if hop == "Pod"] == ["broken"]


def test_dns_that_says_nothing_is_not_ready():
    assert causes(dns("[INFO] plugin/ready: Still waiting\n"))[0] == "PodsNotReady"
