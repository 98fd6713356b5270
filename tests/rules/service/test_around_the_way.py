"""What stands beside the way: annotations, managed certificates, kube-proxy, the names of pods, failed connections."""

import pytest

from kubetriage.model import Severity
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
    service,
    slice_of,
    trace,
)

MIDDLEWARES = "traefik.ingress.kubernetes.io/router.middlewares"
TRAEFIK = ingress_class("traefik", controller="traefik.io/ingress-controller")
REDIRECT = t.custom("Middleware", "traefik.io/v1alpha1", "redirect", NS, redirectScheme={"scheme": "https"})


@pytest.mark.parametrize(
    ("value", "expected", "says"),
    [
        ("shop-redirect@kubernetescrd", [], ""),
        ("redirect@kubernetescrd", ["IngressRejected"], "Write shop-redirect@kubernetescrd"),
        ("shop-login@kubernetescrd", ["IngressRejected"], "Write edge-login@kubernetescrd"),
        ("shop-gone@kubernetescrd", ["IngressRejected"], "Create the Middleware"),
        ("auth@file", [], ""),
        ("shop-redirect", ["IngressRejected"], "Write shop-redirect@kubernetescrd"),
    ],
    ids=[
        "right",
        "without its namespace",
        "of another namespace",
        "missing",
        "another provider",
        "without its provider",
    ],
)
def test_the_name_of_a_middleware_holds_its_namespace(value, expected, says):
    made = ingress(cls="traefik", annotations={MIDDLEWARES: value})
    login = t.custom("Middleware", "traefik.io/v1alpha1", "login", "edge")
    found = trace(cluster(*healthy_web(), made, TRAEFIK, t.TRAEFIK, REDIRECT, login), "ingress/web")
    assert causes(found) == expected
    assert not says or says in found.findings[0].fix[0].text


CANARY = "nginx.ingress.kubernetes.io/canary"


def test_a_canary_needs_an_ingress_that_is_none():
    alone = [*healthy_web(), ingress(annotations={CANARY: "true"}), ingress_class()]
    assert causes(trace(cluster(*alone), "ingress/web")) == ["IngressRejected"]
    assert "HostPathConflict" not in causes(trace(cluster(*alone, ingress(name="main")), "ingress/web"))
    assert "IngressRejected" not in causes(trace(cluster(*alone, ingress(name="main")), "ingress/web"))
    other = ingress(name="main", host="other.example.com")
    assert causes(trace(cluster(*alone, other), "ingress/web")) == ["IngressRejected"]


MANAGED = "networking.gke.io/managed-certificates"


def _certificate(state, domain="Active"):
    status = {"certificateStatus": state, "domainStatus": [{"domain": "shop.example.com", "status": domain}]}
    return t.custom("ManagedCertificate", "networking.gke.io/v1", "cert", NS, status, domains=["shop.example.com"])


@pytest.mark.parametrize(
    ("certificate", "named", "expected", "severity"),
    [
        (_certificate("Active"), "cert", [], None),
        (_certificate("Provisioning", "FailedNotVisible"), "cert", ["TLSCertificateNotIssued"], Severity.ERROR),
        (_certificate("Provisioning", "Provisioning"), "cert", ["TLSCertificateNotIssued"], Severity.WARNING),
        (_certificate("Active"), "certs", ["TLSCertificateNotIssued"], Severity.ERROR),
    ],
    ids=["issued", "match", "variant: it begins", "variant: another name"],
)
def test_a_managed_certificate_that_is_not_active_serves_no_https(certificate, named, expected, severity):
    marks = {MANAGED: named, "kubernetes.io/ingress.class": "gce"}
    made = ingress(cls="", annotations=marks)
    found = trace(cluster(*healthy_web(), made, certificate), "ingress/web")
    assert causes(found) == expected
    assert severity is None or found.findings[0].severity is severity


def _proxy(name, node, ready):
    return pod(name, container(name="kube-proxy"), namespace="kube-system", labels={"k8s-app": "kube-proxy"},
               ready=ready, node=node, ip="192.0.2.1")  # fmt: skip


def test_nodes_without_kube_proxy_are_named():
    down, up = _proxy("kube-proxy-a", "n1", False), _proxy("kube-proxy-b", "n2", True)
    found = trace(cluster(*healthy_web(), down, up))
    assert (causes(found), found.findings[0].severity) == (["KubeProxyNotReady"], Severity.WARNING)
    assert "1 of 2 nodes (n1)" in found.findings[0].message
    assert trace(cluster(*healthy_web(), down, up), symptom="timeout").findings[0].severity is Severity.ERROR
    assert causes(trace(cluster(*healthy_web(), up))) == []


def test_the_pods_of_a_stateful_set_take_their_names_from_its_service():
    made = service(clusterIP="None")
    behind = pod("web-0", container(("http", 8080), probe=8080))
    behind["spec"] |= {"hostname": "web-0", "subdomain": "web-peers"}
    found = trace(cluster(made, behind, slice_of(made, behind)), symptom="nxdomain")
    assert causes(found) == ["ServiceNotFound"]
    assert "name: web-peers" in found.findings[0].fix[0].yaml
    peers = service("web-peers", clusterIP="None")
    assert causes(trace(cluster(made, peers, behind, slice_of(made, behind)), symptom="nxdomain")) == []
    behind["spec"]["subdomain"] = "web"
    assert causes(trace(cluster(made, behind, slice_of(made, behind)), symptom="nxdomain")) == []


def test_an_address_is_no_external_name():
    made = service(kind="ExternalName", externalName="10.20.30.40", ports=[{"port": 5432}], selector={})
    fix = trace(cluster(made)).findings[0].fix[0]
    assert "addresses: ['10.20.30.40']" in fix.yaml
    assert "port: 5432" in fix.yaml


NGINX = t.controller("ingress-nginx", "--configmap=$(POD_NAMESPACE)/edge-config", namespace="edge")
NEVER = "upstream timed out (110: Operation timed out) while connecting to upstream"
CLOSED = "upstream prematurely closed connection while reading response header from upstream"


@pytest.mark.parametrize(
    ("words", "address", "symptom", "expected", "says"),
    [
        (NEVER, "10.0.0.2:8080", "504", ["BackendConnectionFailed"], "firewall between the nodes"),
        (CLOSED, "10.0.0.1:8080", "502", ["BackendConnectionFailed"], "keep-alive"),
        (NEVER, "10.0.0.77:8080", "504", ["BackendConnectionFailed"], "preStop"),
        (NEVER, "10.0.0.77:8080", "", [], ""),
        ("upstream timed out (110: Operation timed out) while reading response header", "10.0.0.1:8080", "504",
         ["ProxyLimitExceeded"], "proxy-read-timeout"),
    ],
    ids=["never answered", "variant: closed", "variant: a gone pod", "look-alike: of the past", "look-alike: slow"],
)  # fmt: skip
def test_a_connection_that_fails_is_told_with_the_looks_that_decide(words, address, symptom, expected, says):
    line = (
        f"2026/11/24 11:40:19 [error] 1#1: *2 {words}, client: 10.9.8.7, server: shop.example.com, "
        f'request: "GET /a HTTP/1.1", upstream: "http://{address}/a", host: "shop.example.com"\n'
    )
    data = {"kind": "ConfigMap", "metadata": meta("edge-config", "edge"), "data": {}}
    snapshot = cluster(*healthy_web(), ingress(), ingress_class(), NGINX, data)
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), line)
    found = trace(snapshot, "ingress/web", symptom=symptom)
    assert causes(found) == expected
    assert all(f.severity is Severity.ERROR for f in found.findings[:1]) or not symptom
    assert not says or says in " ".join(f.text for f in found.findings[0].fix)


PASSED = (
    '10.9.8.7 - - [24/Nov/2026:11:40:19 +0000] "GET /a HTTP/1.1" 200 16 "-" "curl" 1 0.1 [shop-web-443] [] '
    "10.0.0.1:443 16 0.1 200 ab\n"
)


@pytest.mark.parametrize(
    ("port", "more", "expected"),
    [
        (443, "", ["ProtocolMismatch"]),
        (443, PASSED, ["BackendConnectionFailed"]),
        (5601, "", ["BackendConnectionFailed"]),
    ],
    ids=["plain to a TLS port", "look-alike: others pass", "variant: another port"],
)
def test_a_tls_port_that_is_spoken_to_in_plain_ends_connections(port, more, expected):
    made = service(ports=({"port": port, "targetPort": port},))
    one = pod("web-1", container(port))
    line = (
        f"2026/11/24 11:40:19 [error] 1#1: *2 {CLOSED}, client: 10.9.8.7, server: shop.example.com, "
        f'request: "GET /a HTTP/1.1", upstream: "http://10.0.0.1:{port}/a", host: "shop.example.com"\n'
    )
    to = {"service": {"name": "web", "port": {"number": port}}}
    entry = slice_of(made, one, ports=({"name": "", "port": port},))
    snapshot = cluster(made, one, entry, ingress(backend=to), ingress_class(), NGINX)
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), line + more)
    found = trace(snapshot, "ingress/web")
    assert causes(found) == expected
    every = "No request passed" in found.findings[0].fix[0].text
    assert every is (port == 5601)


def test_addresses_of_a_family_that_the_service_lacks_serve_nothing():
    made = service(selector={}, ipFamilies=["IPv6"], clusterIP="fd00::1")
    by_hand = slice_of(made, pod("db-1"))
    found = trace(cluster(made, by_hand))
    assert causes(found) == ["NoEndpoints"]
    assert "IPv4" in found.findings[0].message
    made["spec"]["ipFamilies"] = ["IPv6", "IPv4"]
    assert causes(trace(cluster(made, by_hand))) == []


def test_a_timeout_through_local_policy_asks_for_the_port_of_the_health_check():
    made = service(kind="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31234)
    made["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}
    one = pod("web-1", container(8080))
    objects = [made, one, slice_of(made, one), node("n1"), node("n2")]
    found = trace(cluster(*objects), symptom="timeout")
    assert causes(found) == ["NoLocalEndpoints"]
    assert "31234" in found.findings[0].fix[0].text
    assert causes(trace(cluster(*objects))) == []


@pytest.mark.parametrize(
    ("words", "upstream", "says"),
    [
        ("SSL_do_handshake() failed (SSL: alert internal error) while SSL handshaking to upstream", "https://20.6.1.1:443/",
         "proxy-ssl-server-name=on"),
        ("no live upstreams while connecting to upstream", "http://upstream_balancer/", "logs web-"),
        ("api.example.net could not be resolved (3: Host not found)", "", "resolv.conf"),
    ],
    ids=["a name in TLS", "every pod failed", "a name"],
)  # fmt: skip
def test_requests_that_fail_before_a_pod_is_the_matter(words, upstream, says):
    to = f', upstream: "{upstream}"' if upstream else ""
    line = (
        f"2026/11/24 11:40:19 [error] 1#1: *2 {words}, client: 10.9.8.7, server: shop.example.com, "
        f'request: "GET /a HTTP/1.1"{to}, host: "shop.example.com"\n'
    )
    ports = [{"port": 80}]
    outside = service(kind="ExternalName", externalName="api.example.net", ports=ports, selector={})
    objects = [outside] if upstream.startswith("https") else healthy_web()
    snapshot = cluster(*objects, ingress(), ingress_class(), NGINX)
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), line)
    found = trace(snapshot, "ingress/web")
    assert causes(found) == ["BackendConnectionFailed"]
    assert says in " ".join(c for f in found.findings[0].fix for c in f.commands)


FRONT = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "front"}}}
FROM_FRONT = policy("front-only", ingress=[{"from": [FRONT]}])
FROM_NODES = policy("nodes", ingress=[{"from": [{"ipBlock": {"cidr": "10.1.0.0/24"}}]}])
ON_NODE = pod("probe", container(), namespace="front", ip="10.1.0.2", node="n2")
ON_NODE["spec"] |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}


@pytest.mark.parametrize(
    ("client", "rules", "expected"),
    [
        (ON_NODE, FROM_FRONT, ["NetworkPolicyBlocks", "NetworkPolicyRestricts"]),
        ({**ON_NODE, "spec": {**ON_NODE["spec"], "nodeName": "n1"}}, FROM_FRONT, ["NetworkPolicyRestricts"]),
        ({**ON_NODE, "spec": {**ON_NODE["spec"], "hostNetwork": False}}, FROM_FRONT, []),
        (ON_NODE, FROM_NODES, ["NetworkPolicyRestricts"]),
    ],
    ids=["another node", "look-alike: its own node", "look-alike: a pod's address", "variant: an ipBlock"],
)
def test_labels_do_not_admit_a_client_on_the_network_of_its_node(client, rules, expected):
    made, web = service(), pod("web-1", container(8080))
    objects = [made, web, slice_of(made, web), rules, client, node("n1"), node("n2"), namespace("front"), namespace(NS)]
    found = trace(cluster(*objects), client="pod/front/probe")
    assert causes(found) == expected


def test_a_mapping_names_the_port_of_a_service():
    mapping = t.custom("Mapping", "getambassador.io/v3alpha1", prefix="/", service="web.shop:8080")
    found = trace(cluster(*healthy_web(), mapping), "mapping/web")
    assert causes(found)[0] == "BackendPortNotFound"
    assert "web.shop:80" in found.findings[0].fix[0].text


def test_the_log_of_a_cloud_controller_tells_why_no_load_balancer_is_built():
    runs = pod("agic-1", container(), namespace="kube-system", labels={"app": "ingress-appgw"})
    kind = ingress_class("agw", controller="azure/application-gateway")
    snapshot = cluster(*healthy_web(), ingress(cls="agw", address=""), kind, runs)
    line = (
        'E1124 11:05:03.268470       1 controller.go:141] Failure sending request: Code="AuthorizationFailed" '
        "Message=\"The client does not have authorization to perform action 'Microsoft.Network/x/write' over scope "
        "'/subscriptions/1'\"\n"
    )
    snapshot.add_log(Log("kube-system", "agic-1", "app"), line)
    found = trace(snapshot, "ingress/web")
    assert causes(found) == ["LoadBalancerPending"]
    assert "Microsoft.Network/x/write" in found.findings[0].fix[0].text


def test_the_cause_of_the_dns_pods_is_told_where_they_were_read():
    dns = service("kube-dns", "kube-system", selector={"k8s-app": "kube-dns"}, ports=[{"name": "dns", "port": 53}])
    down = pod("coredns-1", container(), namespace="kube-system", labels={"k8s-app": "kube-dns"}, ready=False)
    found = trace(cluster(*healthy_web(), dns, down, slice_of(dns, down, ports=[{"name": "dns", "port": 53}])))
    assert causes(found) == ["DNSNotReady"]
    assert "Its pods: " in found.findings[0].message


FRONT_LABELS = {"app.kubernetes.io/name": "ingress-nginx"}
AWS = "service.beta.kubernetes.io/aws-load-balancer-"
ENDS = {f"{AWS}ssl-cert": "arn:aws:acm:x", f"{AWS}ssl-ports": "443"}


@pytest.mark.parametrize(
    ("marks", "target", "tls", "config", "says"),
    [
        ({**ENDS, f"{AWS}backend-protocol": "http"}, 443, False, {}, "TLS port 443"),
        ({**ENDS, f"{AWS}backend-protocol": "ssl"}, 443, False, {}, ""),
        ({**ENDS, f"{AWS}backend-protocol": "tcp"}, 80, True, {}, "round in redirects"),
        ({**ENDS, f"{AWS}backend-protocol": "tcp"}, 80, False, {}, ""),
        ({**ENDS, f"{AWS}backend-protocol": "http"}, 80, True, {"use-forwarded-headers": "true"}, ""),
        ({**ENDS, f"{AWS}ssl-ports": "8443", f"{AWS}backend-protocol": "http"}, 443, False, {}, ""),
        ({}, 443, True, {}, ""),
    ],
    ids=["plain to TLS", "TLS to TLS", "a circle", "no redirect", "told by a header", "another port", "passed through"],
)
def test_tls_that_the_load_balancer_ended_fits_the_port_of_the_controller(marks, target, tls, config, says):
    runs = t.controller("ingress-nginx", "--configmap=$(POD_NAMESPACE)/edge-config", namespace="edge")
    front = service("front", "edge", FRONT_LABELS, [{"port": 80}, {"port": 443, "targetPort": target}], "LoadBalancer")
    front["metadata"]["annotations"] = marks
    front["status"] = {"loadBalancer": {"ingress": [{"hostname": "lb.example.net"}]}}
    data = {"kind": "ConfigMap", "metadata": meta("edge-config", "edge"), "data": {"a": "b", **config}}
    made = ingress(tls=[{"hosts": ["shop.example.com"]}] if tls else None)
    found = trace(cluster(*healthy_web(), made, ingress_class(), runs, front, data), "ingress/web")
    assert ("ProtocolMismatch" in causes(found)) is bool(says)
    assert says in found.findings[0].message if says else True


@pytest.mark.parametrize("items", [0, 1], ids=["an empty slice", "variant: the endpoint without a port"])
def test_a_port_name_that_no_pod_has_is_told_before_the_empty_slice(items):
    made = service(ports=[{"port": 80, "targetPort": "http"}])
    web = pod("web-1", container(("web", 8080)))
    assert causes(trace(cluster(made, web, slice_of(made, *[web][:items], ports=()))))[0] == "TargetPortNameNotFound"


def test_a_policy_for_the_clients_names_those_that_are_known():
    closed = policy("closed")
    runs = t.controller("ingress-nginx", namespace="edge")
    spaces = [namespace("edge"), namespace(NS)]
    found = trace(cluster(*healthy_web(), closed, ingress(), ingress_class(), runs, *spaces), "ingress/web")
    assert causes(found) == ["NetworkPolicyBlocks"]
    assert "kubernetes.io/metadata.name: edge" in found.findings[0].fix[0].yaml
    assert "{podSelector: {}}" in trace(cluster(*healthy_web(), closed)).findings[0].fix[0].yaml


@pytest.mark.parametrize(
    ("value", "host"),
    [("https://db.example.net/v1", "db.example.net"), ("db.example.net:5432", "db.example.net"), ("db_$.net", "")],
)
def test_a_url_is_no_external_name(value, host):
    made = service(kind="ExternalName", externalName=value, ports=[{"port": 80}], selector={})
    fix = trace(cluster(made)).findings[0].fix[0]
    assert fix.patch == ({"spec": {"externalName": host}} if host else None)
