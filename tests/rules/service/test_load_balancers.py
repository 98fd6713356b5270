"""Addresses of load balancers: who gives them, who announces them, and load balancers as clients of the pods."""

import pytest

from kubetriage.model import Confidence, Severity
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
    meta,
    namespace,
    node,
    pod,
    policy,
    problems,
    service,
    slice_of,
    trace,
)
from support.traffic import event


def balanced(name="web", address="", conditions=(), annotations=None, space=NS, **spec):
    """Make a Service of type LoadBalancer."""
    made = service(name, space, kind="LoadBalancer", **spec)
    made["metadata"]["annotations"] = annotations or {}
    made["status"] = {"loadBalancer": {"ingress": [{"ip": address}] if address else []}, "conditions": list(conditions)}
    return made


def first(*objects, target="svc/web"):
    """Return the first problem of a Service of type LoadBalancer with healthy pods behind it."""
    return problems(trace(cluster(*objects, *healthy_web()[1:]), target))[0]


IPAM = "cilium.io/IPAMRequestSatisfied"


@pytest.mark.parametrize(
    ("reason", "others", "words"),
    [
        ("no_pool", [], "Create a CiliumLoadBalancerIPPool that holds 192.0.2.10"),
        ("out_of_ips", [], "Add a block of free addresses"),
        ("already_allocated", [balanced("db", "192.0.2.10", space="data")], "svc/db in data"),
        ("pool_selector_mismatch", [], "spec.serviceSelector"),
    ],
)
def test_the_condition_of_ciliums_address_management_is_the_reason(reason, others, words):
    said = [t.condition(IPAM, "False", reason, "no address")]
    found = first(balanced(conditions=said, annotations={"lbipam.cilium.io/ips": "192.0.2.10"}), *others)
    assert (found.cause, found.confidence) == ("LoadBalancerPending", Confidence.CONFIRMED)
    assert words in found.fix[0].text
    assert "no controller" not in found.message


def svclb(name, port, *, ready, on="n1", space="kube-system", cause=""):
    """Make a pod of servicelb for a Service."""
    made = pod(
        f"svclb-{name}-x",
        {**container(port), "ports": [{"containerPort": port, "hostPort": port, "protocol": "TCP"}]},
        namespace=space,
        labels={"svccontroller.k3s.cattle.io/svcname": name, "svccontroller.k3s.cattle.io/svcnamespace": NS},
        ready=ready,
        node=on if ready else "",
        phase="Running" if ready else "Pending",
        ip="10.42.0.9" if ready else "",
    )
    if not ready:
        made["status"]["containerStatuses"] = []
        words = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
        made["status"]["conditions"] = [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": cause or words}
        ]
    return made


def test_the_pod_of_servicelb_that_finds_its_host_port_taken_is_the_reason():
    holder = svclb("traefik", 80, ready=True)
    found = first(balanced(), svclb("web", 80, ready=False), holder, node("n1"))
    assert found.cause == "LoadBalancerPending"
    assert "host port 80 of the node is held by pod/svclb-traefik-x" in found.message
    assert "another number" in found.fix[0].text
    assert "--disable traefik" in found.fix[1].text


def test_a_pod_of_servicelb_that_waits_for_another_reason_is_told_with_that():
    words = "0/1 nodes are available: 1 node(s) had untolerated taint {x: y}."
    found = first(balanced(), svclb("web", 80, ready=False, cause=words), node("n1"))
    assert found.cause == "LoadBalancerPending"
    assert "UnschedulableTaint" in found.message


def test_where_another_service_has_an_address_somebody_serves_the_class():
    found = first(balanced(), balanced("edge", "203.0.113.1", space="edge"))
    assert "are served here (svc/edge in edge has 203.0.113.1)" in found.message
    assert "Install" not in found.fix[0].text


def test_where_nobody_has_one_a_controller_is_missing():
    found = first(balanced())
    assert "nothing that was seen serves load balancers without a class" in found.message
    assert (found.confidence, found.fix[0].text[:7]) == (Confidence.LIKELY, "Install")


def test_without_the_services_of_other_namespaces_it_is_only_possible():
    seen = cluster(balanced(), *healthy_web()[1:], unseen=("services",))
    seen.add("services", balanced())
    (found, *_) = problems(trace(seen))
    assert (found.cause, found.confidence) == ("LoadBalancerPending", Confidence.POSSIBLE)


def test_a_class_of_its_own_names_who_serves_it():
    found = first(balanced(loadBalancerClass="service.k8s.aws/nlb"), balanced("edge", "203.0.113.1", space="edge"))
    assert "the AWS Load Balancer Controller" in found.message + found.fix[0].text


def test_metallb_without_a_pool():
    speaker = pod("speaker-1", namespace="metallb-system", labels={"app.kubernetes.io/name": "metallb"})
    found = first(balanced(), speaker)
    assert "no IPAddressPool" in found.message
    assert "kind: IPAddressPool" in found.fix[0].yaml


def test_an_event_comes_before_all_else():
    svc = balanced()
    said = event(
        svc, "AllocationFailed", 'Failed to allocate IP for "shop/web": no available IPs', who="metallb-controller"
    )
    found = first(svc, said, balanced("edge", "203.0.113.1", space="edge"))
    assert "no available IPs" in found.message
    assert found.confidence is Confidence.CONFIRMED


# Announced or not.

POOLED = {"metallb.io/ip-allocated-from-pool": "main"}


def pool(name="main", **own):
    """Make an IPAddressPool of MetalLB."""
    made = t.custom("IPAddressPool", "metallb.io/v1beta1", name, "metallb-system", addresses=["192.0.2.0/24"])
    made["metadata"]["labels"] = own
    return made


def advert(**spec):
    """Make an L2Advertisement of MetalLB."""
    return t.custom("L2Advertisement", "metallb.io/v1beta1", "l2", "metallb-system", **spec)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], ["LoadBalancerNotAnnounced"]),
        ([advert()], []),
        ([advert(ipAddressPools=["main"])], []),
        ([advert(ipAddressPools=["other"])], ["LoadBalancerNotAnnounced"]),
        ([advert(ipAddressPoolSelectors=[{"matchLabels": {"zone": "a"}}])], []),
        ([advert(ipAddressPoolSelectors=[{"matchLabels": {"zone": "b"}}])], ["LoadBalancerNotAnnounced"]),
        ([t.custom("BGPAdvertisement", "metallb.io/v1beta1", "bgp", "metallb-system")], []),
    ],
)
def test_metallb_announces_a_pool_by_an_advertisement_only(more, expected):
    seen = cluster(balanced(address="192.0.2.7", annotations=POOLED), *healthy_web()[1:], pool(zone="a"), *more)
    assert causes(trace(seen)) == expected


def test_nodes_that_are_excluded_announce_nothing():
    label = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
    lone = {"kind": "Node", "metadata": meta("n1", "", labels=label)}
    objects = [balanced(address="192.0.2.7", annotations=POOLED), *healthy_web()[1:], pool(), advert()]
    (found,) = problems(trace(cluster(*objects, lone)))
    assert found.cause == "LoadBalancerNotAnnounced"
    assert found.fix[0].commands[0].startswith("kubectl label node n1 node.kubernetes.io/exclude")
    assert causes(trace(cluster(*objects, lone, node("n2")))) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], ["LoadBalancerNotAnnounced"]),
        ([t.custom("CiliumL2AnnouncementPolicy", "cilium.io/v2alpha1", "l2", "", loadBalancerIPs=True)], []),
        (
            [t.custom("CiliumL2AnnouncementPolicy", "cilium.io/v2alpha1", "l2", "", externalIPs=True)],
            ["LoadBalancerNotAnnounced"],
        ),
        ([t.custom("CiliumBGPClusterConfig", "cilium.io/v2", "bgp", "")], []),
    ],
)
def test_cilium_announces_by_a_policy_or_by_bgp(more, expected):
    satisfied = [t.condition(IPAM, "True", "satisfied")]
    seen = cluster(balanced(address="192.0.2.7", conditions=satisfied), *healthy_web()[1:], *more)
    assert causes(trace(seen)) == expected


def test_an_address_of_a_cloud_is_the_clouds_to_announce():
    assert causes(trace(cluster(balanced(address="203.0.113.7"), *healthy_web()[1:]))) == []


# Load balancers as clients.

ONLY_EDGE = [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]}]


def alb(*rules, cls="alb", controller="ingress.k8s.aws/alb", **marks):
    """Return the trace of an Ingress of a cloud's load balancer with these ingress rules around the pods."""
    made = ingress(cls=cls, annotations=marks)
    objects = [*healthy_web(), made, ingress_class(cls, controller=controller), namespace(NS), namespace("kube-system")]
    lbc = t.controller("aws-load-balancer-controller", namespace="kube-system")
    return trace(cluster(*objects, lbc, policy(ingress=list(rules))), "ingress/web")


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (ONLY_EDGE, ["NetworkPolicyBlocks"]),
        ([{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}], []),
        ([{}], []),
        ([{"from": [{"ipBlock": {"cidr": "10.0.0.0/16"}}]}], ["NetworkPolicyRestricts"]),
    ],
)
def test_only_an_ip_block_admits_a_load_balancer_outside_the_cluster(rules, expected):
    found = alb(*rules)
    assert causes(found) == expected
    if "NetworkPolicyBlocks" in expected:
        assert "ipBlock" in found.findings[0].fix[0].yaml
        assert found.findings[0].fix[0].patch is None


@pytest.mark.parametrize(
    ("cidrs", "expected"),
    [
        (("35.191.0.0/16", "130.211.0.0/22"), []),
        (("35.191.0.0/16",), ["NetworkPolicyBlocks"]),
        (("10.0.0.0/8",), ["NetworkPolicyBlocks"]),
    ],
)
def test_the_documented_ranges_of_a_platform_are_compared(cidrs, expected):
    rules = [{"from": [{"ipBlock": {"cidr": c}} for c in cidrs]}]
    neg = {"cloud.google.com/neg": '{"ingress": true}'}
    found = alb(*rules, cls="gce", controller="k8s.io/ingress-gce", **neg)
    blocked = [c for c in causes(found) if c == "NetworkPolicyBlocks"]
    assert blocked == expected
    if expected:
        added = found.findings[0].fix[0].patch["spec"]["ingress"][-1]
        assert [e["ipBlock"]["cidr"] for e in added["from"]] == ["35.191.0.0/16", "130.211.0.0/22"]
        assert added["ports"] == [{"protocol": "TCP", "port": 8080}]


def test_a_load_balancer_has_no_identity_in_the_mesh():
    strict = {"kind": "PeerAuthentication", "metadata": meta("default"), "spec": {"mtls": {"mode": "STRICT"}}}
    objects = [*t.meshed_web(), ingress(cls="alb"), ingress_class("alb", controller="ingress.k8s.aws/alb"), strict]
    assert causes(trace(cluster(*objects), "ingress/web")) == ["MeshMTLSMismatch"]
    open_port = {**strict, "spec": {"mtls": {"mode": "PERMISSIVE"}}}
    assert causes(trace(cluster(*objects[:-1], open_port), "ingress/web")) == []


# The PROXY protocol.


def fronted(annotation, config, *, log="", args=("--configmap=$(POD_NAMESPACE)/cfg",), name="ingress-nginx"):
    """Return the trace of an Ingress behind a load balancer and a controller."""
    controller = t.controller(name, *args, namespace="edge")
    front = service("front", "edge", {"app.kubernetes.io/name": name}, kind="LoadBalancer")
    front["metadata"]["annotations"] = annotation
    config_map = {"kind": "ConfigMap", "metadata": meta("cfg", "edge"), "data": config}
    known = {"traefik": "traefik.io/ingress-controller"}.get(name, "k8s.io/ingress-nginx")
    snapshot = cluster(*healthy_web(), ingress(), ingress_class(controller=known), controller, front, config_map)
    snapshot.add_log(Log("edge", f"{name}-1", "app"), log)
    return trace(snapshot, "ingress/web", symptom="400")


HETZNER = {"load-balancer.hetzner.cloud/uses-proxyprotocol": "true"}
NLB = {"service.beta.kubernetes.io/aws-load-balancer-target-group-attributes": "proxy_protocol_v2.enabled=true,x=y"}
BROKEN = '2026/11/24 [error] 33#33: *1 broken header: "GET / HTTP/1.1" while reading PROXY protocol, client: 10.0.0.9'


@pytest.mark.parametrize(
    ("annotation", "config", "log", "expected"),
    [
        (HETZNER, {}, "", ["ProxyProtocolMismatch"]),
        (NLB, {"use-proxy-protocol": "false"}, "", ["ProxyProtocolMismatch"]),
        (HETZNER, {"use-proxy-protocol": "true"}, "", []),
        ({}, {}, "", []),
        ({}, {"use-proxy-protocol": "true"}, BROKEN, ["ProxyProtocolMismatch"]),
        ({}, {"use-proxy-protocol": "true"}, "", []),
        (
            {**HETZNER, "load-balancer.hetzner.cloud/uses-proxyprotocol": "false"},
            {"use-proxy-protocol": "true"},
            "",
            ["ProxyProtocolMismatch"],
        ),
    ],
    ids=["one-sided", "nlb", "both", "neither", "header missing", "an unknown cloud may send it", "switched off"],
)
def test_the_proxy_protocol_on_one_side_only(annotation, config, log, expected):
    found = fronted(annotation, config, log=log)
    assert causes(found) == expected
    if expected:
        assert "Found for it: ProxyProtocolMismatch." in found.tail[0].lines
        assert "patch configmap cfg" in found.findings[0].fix[0].commands[0]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--entryPoints.web.address=:80"], ["ProxyProtocolMismatch"]),
        (["--entryPoints.web.proxyProtocol.trustedIPs=10.0.0.0/8"], []),
    ],
)
def test_traefik_expects_it_by_its_arguments(args, expected):
    assert causes(fronted(HETZNER, {}, args=args, name="traefik")) == expected


# Endpoints that a person wrote.


def by_hand(mirrored):
    """Return the trace of a Service whose hand-made endpoints have an unnamed port."""
    svc = service(selector={}, ports=[{"name": "https", "port": 443}])
    made = slice_of(svc, pod("x"), ports=[{"name": "", "port": 443}], name="web-m1")
    subsets = [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 443, "protocol": "TCP"}]}]
    written = {"kind": "Endpoints", "metadata": meta("web"), "subsets": subsets}
    if mirrored:
        made["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = (
            "endpointslicemirroring-controller.k8s.io"
        )
    return trace(cluster(svc, made, *([written] if mirrored else []))).findings[0]


def test_a_mirrored_slice_leads_to_the_endpoints_object():
    found = by_hand(mirrored=True)
    assert found.cause == "NoEndpoints"
    assert "endpoints/web" in found.fix[0].text
    assert found.fix[0].patch == {
        "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]}]
    }


def test_a_slice_that_a_person_wrote_is_corrected_itself():
    found = by_hand(mirrored=False)
    assert "endpointslice/web-m1" in found.fix[0].text
    assert found.fix[0].patch is None


def test_a_selectorless_service_of_a_gateway_is_its_controllers():
    svc = balanced("web", "203.0.113.7", selector={})
    assert causes(trace(cluster(svc))) == ["NoEndpoints"]
    svc["metadata"]["labels"] = {"io.cilium.gateway/owning-gateway": "edge"}
    assert causes(trace(cluster(svc))) == []


# Peers of a headless Service.


def peers(**how):
    """Return the first problem of a StatefulSet whose pods never got ready."""
    svc = service(clusterIP="None", **how.pop("svc", {}))
    pods = [pod(f"web-{i}", ready=False, ip=f"10.0.0.{i}", owner=("StatefulSet", "web"), **how) for i in range(3)]
    owner = {"kind": "StatefulSet", "metadata": meta("web"), "spec": {"replicas": 3, "serviceName": "web"}}
    return problems(trace(cluster(svc, *pods, slice_of(svc, *pods), owner, node("n1")), symptom="nxdomain"))[0]


def test_peers_that_need_one_anothers_names_get_the_patch():
    found = peers()
    assert found.cause == "PodsNotReady"
    assert found.fix[0].patch == {"spec": {"publishNotReadyAddresses": True}}


def test_published_peers_and_pods_without_an_image_get_none():
    published = peers(svc={"publishNotReadyAddresses": True})
    assert all(f.patch != {"spec": {"publishNotReadyAddresses": True}} for f in published.fix)
    missing = peers(waiting="ImagePullBackOff")
    assert all(f.patch is None for f in missing.fix)


def test_severity_of_a_young_service_without_address_is_mild():
    young = balanced()
    young["metadata"]["creationTimestamp"] = "2026-11-24T11:58:00Z"
    assert first(young).severity is Severity.WARNING


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        ([{"matchLabels": {"edge": "yes"}}], ["LoadBalancerNotAnnounced"]),
        ([{"matchLabels": {"zone": "a"}}], []),
        ([], []),
    ],
    ids=["no such node", "look-alike: one node", "look-alike: every node"],
)
def test_an_advertisement_for_nodes_that_do_not_exist_announces_nothing(selectors, expected):
    made = service(kind="LoadBalancer")
    made["metadata"]["annotations"] = {"metallb.io/ip-allocated-from-pool": "lan"}
    made["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
    web = pod("web-1", container(8080))
    advert = t.custom("L2Advertisement", "metallb.io/v1beta1", "lan", "metallb", nodeSelectors=selectors)
    machine = node("n1")
    machine["metadata"]["labels"] = {"zone": "a"}
    found = trace(cluster(made, web, slice_of(made, web), advert, machine))
    assert causes(found) == expected
    assert not expected or "edge=yes" in found.findings[0].fix[0].text


@pytest.mark.parametrize("excluded", [True, False], ids=["excluded", "look-alike: back again"])
def test_a_success_after_no_node_was_available_counts_only_with_a_node(excluded):
    made = service(kind="LoadBalancer")
    made["metadata"]["annotations"] = {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}
    made["status"] = {"loadBalancer": {"ingress": [{"hostname": "lb.example.net"}]}}
    web = pod("web-1", container(8080))
    machine = node("n1")
    machine["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    machine["metadata"]["labels"] = {"node.kubernetes.io/exclude-from-external-load-balancers": ""} if excluded else {}
    none = event(
        made, "UnAvailableLoadBalancer", "There are no available nodes for LoadBalancer", who="service-controller"
    )
    done = event(
        made, "EnsuredLoadBalancer", "ok", kind="Normal", who="service-controller", last="2026-11-24T11:55:00Z"
    )
    found = trace(cluster(made, web, slice_of(made, web), machine, none, done))
    assert causes(found) == (["IngressRejected"] if excluded else [])
    assert not excluded or found.findings[0].fix[0].commands[0].endswith("external-load-balancers-")
