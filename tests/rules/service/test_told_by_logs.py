"""What programs, proxies and kube-proxy say in their logs of the way: protocols, clients without TLS, rules."""

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
    pod,
    service,
    slice_of,
    trace,
)

PLAIN_LINE = "2026/11/24 11:00:00 Listening on http://0.0.0.0:8080\n"
TLS_LINE = "2026/11/24 11:00:00 Listening on https://0.0.0.0:8080\n"
GOT_TLS = "2026/11/24 11:50:00 [error] bad request: \\x16\\x03\\x01\\x02\\x00\n"
GOT_PLAIN = (
    "2026/11/24 11:50:00 http: TLS handshake error from 10.9.0.1:5: client sent an HTTP request to an HTTPS server\n"
)
CALLS = "2026/11/24 11:00:00 calling https://api.example.com:8080 for tokens\n"


def _web(*more, log="", ports=({"port": 80, "targetPort": 8080},), name="app", marks=None):
    svc, made = service(ports=ports), pod("web-1", container(("http", 8080)), *more)
    made["metadata"]["annotations"] = marks or {}
    snapshot_objects = [svc, made, slice_of(svc, made)]
    return snapshot_objects, (Log(NS, "web-1", name), log)


@pytest.mark.parametrize(
    ("termination", "log", "expected"),
    [
        ("passthrough", PLAIN_LINE, ["ProtocolMismatch"]),
        ("reencrypt", GOT_TLS, ["ProtocolMismatch"]),
        ("edge", GOT_PLAIN, ["ProtocolMismatch"]),
        ("edge", TLS_LINE, ["ProtocolMismatch"]),
        ("edge", PLAIN_LINE, []),
        ("passthrough", TLS_LINE, []),
        ("edge", CALLS, []),
    ],
)
def test_a_program_says_what_it_speaks(termination, log, expected):
    objects, said = _web(log=log)
    snapshot = cluster(*objects, t.openshift_route(tls={"termination": termination}))
    snapshot.add_log(*said)
    assert causes(trace(snapshot, "route/web")) == expected


STRICT = t.custom("PeerAuthentication", "security.istio.io/v1", "all", "istio-system", mtls={"mode": "STRICT"})
LOOSE = t.custom("PeerAuthentication", "security.istio.io/v1", "all", "istio-system", mtls={"mode": "PERMISSIVE"})
LOST = (
    '[2026-11-24T11:58:00.100Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" "-" "-" "-" - - '
    "10.0.0.1:8080 10.0.9.9:43210 - -\n"
)


@pytest.mark.parametrize(
    ("rule", "log", "expected"),
    [
        (STRICT, LOST, ["MeshMTLSMismatch"]),
        (STRICT, "", []),
        (LOOSE, LOST, []),
    ],
)
def test_a_client_without_mutual_tls_shows_in_the_proxys_log(rule, log, expected):
    objects, said = _web({"name": "istio-proxy", "image": "p:1"}, log=log, name="istio-proxy")
    client = pod("shop-1", container(80), labels={"app": "shop"}, ip="10.0.9.9")
    snapshot = cluster(*objects, rule, client)
    snapshot.add_log(*said)
    found = trace(snapshot)
    assert causes(found) == expected
    assert not expected or "pod/shop-1 in namespace shop" in found.findings[0].message


HELD = (
    "[ 12.3s]  INFO ThreadId(01) inbound:server{port=8080}: linkerd_detect: Continuing after timeout: "
    "linkerd_proxy_http::version::Version protocol detection timed out after 10s\n"
)


@pytest.mark.parametrize(
    ("log", "marks", "expected"),
    [
        (HELD, {}, ["ProtocolMismatch"]),
        (HELD.replace("{port=8080}", ""), {}, ["ProtocolMismatch"]),
        (HELD.replace("8080", "4191"), {}, []),
        (HELD, {"config.linkerd.io/opaque-ports": "8080"}, []),
    ],
    ids=["match", "variant: no port", "look-alike: another port", "look-alike: marked since"],
)
def test_linkerd_cannot_tell_what_a_silent_client_speaks(log, marks, expected):
    objects, said = _web({"name": "linkerd-proxy", "image": "p:1"}, log=log, name="linkerd-proxy", marks=marks)
    snapshot = cluster(*objects)
    snapshot.add_log(*said)
    found = trace(snapshot)
    assert causes(found) == expected
    assert not expected or "opaque-ports=8080" in found.findings[0].fix[0].commands[0]


RESTORE = (
    'E1124 11:58:00.1 1 proxier.go:1546] "Failed to execute iptables-restore" err="exit status 2: Couldn\'t load match '
    "`comment':No such file or directory\"\n"
)
IPVS = 'E1124 11:58:00.1 1 proxier.go:1] "Failed to sync ipvs rules" err="module ip_vs_rr not found in directory"\n'
BUSY = 'W1124 11:58:00.1 1 proxier.go:9] "Sync failed" retryingTime="30s"\n'


@pytest.mark.parametrize(
    ("log", "says"),
    [(RESTORE * 3, "xt_comment"), (IPVS * 2, "ip_vs_rr"), (RESTORE, ""), (BUSY * 3, "")],
    ids=["match", "variant: ipvs", "look-alike: once", "look-alike: without a word of rules"],
)
def test_a_kube_proxy_that_cannot_write_its_rules(log, says):
    proxy = pod("kube-proxy-1", container(1), namespace="kube-system", labels={"k8s-app": "kube-proxy"})
    snapshot = cluster(*healthy_web(), proxy)
    snapshot.add_log(Log("kube-system", "kube-proxy-1", "app"), log)
    found = trace(snapshot, symptom="timeout")
    assert causes(found) == (["KubeProxyNotReady"] if says else [])
    assert not says or says in found.findings[0].fix[0].text


FRAME = (
    "2026/11/24 11:50:15 [error] 27#27: *51 upstream sent too large http2 frame: 4740180 while reading response header "
    'from upstream, client: 10.0.0.5, server: shop.example.com, request: "POST /a.B/C HTTP/2.0", upstream: '
    '"grpc://10.0.0.1:8080", host: "shop.example.com"\n'
)
PROTOCOL = "nginx.ingress.kubernetes.io/backend-protocol"


@pytest.mark.parametrize(("value", "expected"), [("GRPC", ["ProtocolMismatch"]), ("HTTP", [])])
def test_a_program_that_answers_in_http1_where_it_is_asked_in_http2(value, expected):
    controller = t.controller("ingress-nginx", "/nginx-ingress-controller")
    made = ingress(annotations={PROTOCOL: value})
    snapshot = cluster(*healthy_web(), made, ingress_class(), controller)
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), FRAME)
    assert causes(trace(snapshot, "ingress/web")) == expected


POINTS = ("--entryPoints.web.address=:8000/tcp", "--entryPoints.websecure.address=:8443/tcp")


@pytest.mark.parametrize(
    ("args", "spec", "expected"),
    [
        (POINTS, {"entryPoints": ["websecure"]}, ["IngressRejected"]),
        (POINTS, {"entryPoints": ["websecure"], "tls": {}}, []),
        (POINTS, {"entryPoints": ["web", "websecure"]}, []),
        ((*POINTS, "--entrypoints.websecure.http.tls"), {"entryPoints": ["websecure"]}, []),
    ],
    ids=["match", "look-alike: tls is there, empty", "look-alike: plain too", "look-alike: TLS for all of it"],
)
def test_an_ingress_route_of_an_https_entry_point_needs_tls(args, spec, expected):
    route = {"kind": "Rule", "match": "Host(`shop.example.com`)", "services": [{"name": "web", "port": 80}]}
    made = t.custom("IngressRoute", "traefik.io/v1alpha1", routes=[route], **spec)
    found = trace(cluster(*healthy_web(), made, t.controller("traefik", *args)), "ingressroute/web")
    assert causes(found) == expected
    assert not expected or '{"tls": {}}' in found.findings[0].fix[0].commands[0]


def _gateway(port, *ports):
    proxy = t.istio_proxy()
    front = service("edge", "istio-system", proxy["metadata"]["labels"], ports=ports)
    gateway = t.istio_gateway()
    gateway["spec"]["servers"][0]["port"]["number"] = port
    return [t.virtual_service(), gateway, proxy, front, slice_of(front, proxy)]


@pytest.mark.parametrize(
    ("port", "expected"), [(8081, ["MeshRouteInvalid"]), (80, []), (8080, [])], ids=["closed", "port", "target port"]
)
def test_a_gateway_opens_a_port_that_its_service_has(port, expected):
    found = trace(cluster(*t.base(*_gateway(port, {"port": 80, "targetPort": 8080}))), "virtualservice/web")
    assert causes(found) == expected
    assert not expected or "has only 80" in found.findings[0].message


def _pooled(address, mode, strict, *, advertised="L2Advertisement"):
    svc = service(kind="LoadBalancer")
    svc["status"] = {"loadBalancer": {"ingress": [{"ip": address}]}}
    web = pod()
    config = f"ipvs:\n  strictARP: {strict}\nmode: {mode}\n"
    return cluster(
        svc,
        web,
        slice_of(svc, web),
        t.custom("IPAddressPool", "metallb.io/v1beta1", "lan", "metallb", addresses=["192.0.2.10-192.0.2.20"]),
        t.custom(advertised, "metallb.io/v1beta1", "lan", "metallb"),
        {"kind": "ConfigMap", "metadata": meta("kube-proxy", "kube-system"), "data": {"config.conf": config}},
    )


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (("192.0.2.12", '"ipvs"', "false"), ["LoadBalancerNotAnnounced"]),
        (("192.0.2.12", "ipvs", "true"), []),
        (("192.0.2.12", '"iptables"', "false"), []),
        (("198.51.100.1", "ipvs", "false"), []),
    ],
    ids=["match", "look-alike: strict", "look-alike: another mode", "look-alike: an address of no pool"],
)
def test_ipvs_answers_for_an_address_of_metallb_on_every_node(how, expected):
    found = trace(_pooled(*how))
    assert causes(found) == expected
    assert all(f.severity is Severity.WARNING for f in found.findings[:1])


def test_ipvs_is_no_matter_of_bgp():
    assert causes(trace(_pooled("192.0.2.12", "ipvs", "false", advertised="BGPAdvertisement"))) == []


@pytest.mark.parametrize(("cls", "says"), [("nginx", "class nginx, which nobody serves"), ("traefik", "")])
def test_the_solver_of_a_challenge_needs_a_class_that_is_served(cls, says):
    cert = t.custom(
        "Certificate",
        "cert-manager.io/v1",
        status={"conditions": [t.condition("Ready", "False", "DoesNotExist", "no Secret yet")]},
        secretName="web-tls",
        issuerRef={"kind": "ClusterIssuer", "name": "le"},
    )
    chain = []
    for kind, group, name in (
        ("CertificateRequest", "cert-manager.io/v1", "web-1"),
        ("Order", "acme.cert-manager.io/v1", "web-1-2"),
        ("Challenge", "acme.cert-manager.io/v1", "web-1-2-3"),
    ):
        made = t.custom(kind, group, name, status={"state": "pending"})
        if kind == "Challenge":
            made["spec"] = {"solver": {"http01": {"ingress": {"class": cls}}}}
            made["status"]["reason"] = "wrong status code '404', expected '200'"
        chain.append(made)
    other = {"kind": "Secret", "type": "Opaque", "metadata": meta("other"), "data": {}}
    asked = ingress(cls="traefik", tls=[{"hosts": ["shop.example.com"], "secretName": "web-tls"}])
    served = ingress_class("traefik", controller="traefik.io/ingress-controller")
    found = trace(cluster(*healthy_web(), asked, served, other, cert, *chain), "ingress/web")
    head = next(f for f in found.findings if f.cause == "TLSSecretNotFound")
    assert (says in head.fix[0].text) if says else "nobody serves" not in head.fix[0].text


def test_two_protocols_need_two_load_balancers():
    svc = service(kind="LoadBalancer", ports=({"port": 53, "targetPort": 8080},))
    web = pod()
    words = "Error syncing load balancer: failed to ensure load balancer: mixed protocol is not supported"
    found = trace(
        cluster(svc, web, slice_of(svc, web), t.event(svc, "SyncLoadBalancerFailed", words, who="service-controller"))
    )
    assert causes(found) == ["LoadBalancerPending"]
    assert "two Services" in found.findings[0].fix[0].text


LOST_SESSION = '2026-11-24T11:50:01Z {"code":1,"message":"Session ID unknown"}\n'
LOST_HUB = "No Connection with that ID: Status code '404'\n"
LOGIN = "2026-11-24T11:50:01Z session 17 of user 4 ended\n"
STICKY = {"nginx.ingress.kubernetes.io/affinity": "cookie"}


@pytest.mark.parametrize(
    ("log", "marks", "cls", "says"),
    [
        (LOST_SESSION, {}, "nginx", "nginx.ingress.kubernetes.io/affinity=cookie"),
        (LOST_HUB, {}, "traefik", "service.sticky.cookie=true"),
        (LOST_SESSION, STICKY, "nginx", ""),
        (LOGIN, {}, "nginx", ""),
    ],
    ids=["match", "variant: other words, other controller", "look-alike: kept", "look-alike: no lost session"],
)
def test_a_session_needs_the_pod_that_knows_it(log, marks, cls, says):
    of = {"nginx": "k8s.io/ingress-nginx", "traefik": "traefik.io/ingress-controller"}[cls]
    snapshot = cluster(*healthy_web(), ingress(cls=cls, annotations=marks), ingress_class(cls, controller=of))
    snapshot.add_log(Log(NS, "web-2", "app"), log)
    found = trace(snapshot, "ingress/web")
    assert causes(found) == (["SessionNotKept"] if says else [])
    assert not says or says in found.findings[0].fix[0].commands[0]


def test_one_pod_knows_all_sessions_and_an_address_keeps_a_client():
    svc, web = service(), pod("web-1")
    snapshot = cluster(svc, web, slice_of(svc, web))
    snapshot.add_log(Log(NS, "web-1", "app"), LOST_SESSION)
    assert causes(trace(snapshot)) == []
    for affinity, expected in (("None", ["SessionNotKept"]), ("ClientIP", [])):
        snapshot = cluster(*healthy_web(sessionAffinity=affinity))
        snapshot.add_log(Log(NS, "web-1", "app"), LOST_SESSION)
        assert causes(trace(snapshot)) == expected


LEFT = (
    '10.0.0.5 - - [24/Nov/2026:11:50:10 +0000] "POST /report HTTP/1.1" {} 0 "-" "curl/8" 90 {} [shop-web-80] [] '
    "10.0.0.1:8080 0 59.997 - 4f5d6e\n"
)


@pytest.mark.parametrize(
    ("status", "took", "expected"),
    [("499", "59.998", ["ProxyLimitExceeded"]), ("499", "0.210", []), ("200", "59.998", [])],
    ids=["waited", "look-alike: left at once", "look-alike: answered"],
)
def test_a_client_that_waited_and_left_shows_in_the_access_log_of_nginx(status, took, expected):
    controller = t.controller("ingress-nginx", "/nginx-ingress-controller")
    snapshot = cluster(*healthy_web(), ingress(), ingress_class(), controller)
    snapshot.add_log(Log("edge", "ingress-nginx-1", "app"), LEFT.format(status, took) * 3)
    found = trace(snapshot, "ingress/web")
    assert causes(found) == expected
    assert not expected or "load balancer" in " ".join(f.text for f in found.findings[0].fix)


@pytest.mark.parametrize(("exported", "told"), [(".", True), ("shop,istio-system", False), ("*", False), ("", False)])
def test_a_service_that_is_not_exported_to_the_gateway_has_no_cluster(exported, told):
    line = (
        '[2026-11-24T11:50:00.100Z] "GET /cart HTTP/1.1" 503 NC cluster_not_found - "-" 0 95 3 - "10.9.8.7" "curl" '
        '"3a" "shop.example.com" "-" - - 10.0.9.1:80 10.9.8.7:59375 - -\n'
    )
    route, gateway = t.virtual_service(), t.istio_proxy()
    route["spec"]["hosts"] = ["shop.example.com"]
    objects = t.base(route, t.istio_gateway(), gateway)
    for made in objects:
        if made["kind"] == "Service" and exported:
            made["metadata"]["annotations"] = {"networking.istio.io/exportTo": exported}
    snapshot = cluster(*objects)
    place = gateway["metadata"]
    snapshot.add_log(Log(place["namespace"], place["name"], gateway["spec"]["containers"][0]["name"]), line)
    found = trace(snapshot, "virtualservice/web")
    assert causes(found) == ["MeshRouteInvalid"]
    assert ("exportTo" in found.findings[0].fix[0].text) is told


# Names and networks.


def _dns(*pods, address="10.96.0.10"):
    svc = service("kube-dns", "kube-system", {"k8s-app": "kube-dns"}, clusterIP=address)
    return [svc, *pods, slice_of(svc, *pods)]


CORE = pod("coredns-1", container(53), namespace="kube-system", labels={"k8s-app": "kube-dns"}, ip="10.0.8.1")
LOOKED = "dial tcp: lookup web.shop.svc.cluster.local on {}:53: read udp: i/o timeout\n"


@pytest.mark.parametrize(
    ("spec", "log", "says"),
    [
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirst"}, "", "ClusterFirstWithHostNet"),
        ({"dnsPolicy": "Default"}, "", "dnsPolicy: ClusterFirst in"),
        ({"dnsPolicy": "ClusterFirst"}, LOOKED.format("10.43.0.10"), "clusterDNS: [10.96.0.10]"),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, "", ""),
        ({"dnsPolicy": "ClusterFirst"}, LOOKED.format("10.96.0.10"), ""),
        ({"dnsPolicy": "ClusterFirst"}, LOOKED.format("169.254.20.10"), ""),
        ({"dnsPolicy": "ClusterFirst"}, LOOKED.format("10.43.0.10").replace("web.shop", "db.shop"), ""),
    ],
    ids=["host network", "variant: Default", "variant: kubelet", "right", "asked", "cache of the node", "another name"],
)
def test_a_client_that_asks_another_dns_finds_no_service(spec, log, says):
    client = pod("shop-1", container(80), labels={"app": "shop"}, ip="10.0.9.9", **spec)
    snapshot = cluster(*healthy_web(), *_dns(CORE), client)
    snapshot.add_log(Log(NS, "shop-1", "app"), log)
    found = trace(snapshot, client="pod/shop-1")
    assert causes(found) == (["ClusterDNSNotAsked"] if says else [])
    assert not says or says in found.findings[0].fix[0].text


FORBIDDEN = (
    'failed to list *v1.EndpointSlice: endpointslices.discovery.k8s.io is forbidden: User "system:serviceaccount:'
    'kube-system:coredns" cannot list resource "endpointslices" in API group "discovery.k8s.io" at the cluster scope\n'
)


@pytest.mark.parametrize(
    ("log", "expected"),
    [(FORBIDDEN, ["DNSNotReady"]), (FORBIDDEN.replace("endpointslices", "services"), ["DNSNotReady"]), ("ready\n", [])],
)
def test_dns_pods_that_may_not_read_have_no_names(log, expected):
    snapshot = cluster(*healthy_web(), *_dns(CORE))
    snapshot.add_log(Log("kube-system", "coredns-1", "app"), log)
    found = trace(snapshot, symptom="nxdomain")
    assert causes(found) == expected
    assert not expected or "clusterrole system:coredns" in found.findings[0].fix[0].commands[0]


@pytest.mark.parametrize(
    ("ready", "node", "expected"),
    [(False, "n1", ["DNSNotReady"]), (True, "n1", []), (False, "n9", [])],
    ids=["match", "look-alike: ready", "look-alike: a node without the client"],
)
def test_the_cache_of_the_clients_node_must_run(ready, node, expected):
    cache = pod(
        "node-local-dns-1",
        container(53),
        namespace="kube-system",
        labels={"k8s-app": "node-local-dns"},
        ready=ready,
        node=node,
        ip="10.0.8.2",
    )
    client = pod("shop-1", container(80), labels={"app": "shop"}, ip="10.0.9.9", node="n1")
    found = trace(cluster(*healthy_web(), *_dns(CORE), cache, client), client="pod/shop-1", symptom="nxdomain")
    assert causes(found) == expected


@pytest.mark.parametrize(
    ("name", "space", "node", "ready", "expected"),
    [
        ("calico-node-abcde", "kube-system", "n2", False, ["NetworkPluginNotReady"]),
        ("aws-node-abcde", "kube-system", "n1", False, ["NetworkPluginNotReady"]),
        ("calico-node-abcde", "kube-system", "n2", True, []),
        ("calico-node-abcde", "kube-system", "n9", False, []),
        ("calico-node-web-1", "shop", "n2", False, []),
    ],
    ids=["match", "variant: another plugin", "ready", "another node", "another namespace"],
)
def test_the_network_plugin_must_run_where_the_pods_are(name, space, node, ready, expected):
    plugin = pod(name, container(9099), namespace=space, labels={"k8s-app": "x"}, node=node, ready=ready, ip="10.0.8.3")
    found = trace(cluster(*healthy_web(), plugin))
    assert causes(found) == expected


def test_calico_without_sessions_needs_its_port():
    plugin = pod("calico-node-1", container(9099), namespace="kube-system", labels={}, node="n2", ready=False)
    words = "Readiness probe failed: calico/node is not ready: BIRD is not ready: BGP not established with 10.0.0.11"
    found = trace(cluster(*healthy_web(), plugin, t.event(plugin, "Unhealthy", words, who="kubelet")))
    assert causes(found) == ["NetworkPluginNotReady"]
    assert "TCP 179" in found.findings[0].fix[0].text
