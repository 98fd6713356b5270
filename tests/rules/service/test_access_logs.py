"""What proxies say in their access logs of requests that they answered themselves."""

import pytest

from kubetriage.model import Severity
from kubetriage.needs import Log
from support import traffic as t
from support.services import causes, cluster, container, healthy_web, ingress, ingress_class, pod, service, slice_of
from support.services import trace as traced

CLUSTER = "outbound|80||web.shop.svc.cluster.local"


def envoy(flags, detail="-", code=503, host="shop.example.com", upstream="10.0.0.1:8080", target=CLUSTER, at="11:50"):
    """Write one line of Istio's access log."""
    to = f'"{upstream}"' if upstream else '"-"'
    return (
        f'[2026-11-24T{at}:00.100Z] "GET /cart?id=7 HTTP/1.1" {code} {flags} {detail} - "-" 0 95 3 - "10.9.8.7" "curl" '
        f'"3a7cbcc1" "{host}" {to} {target} 10.0.9.1:37132 10.0.9.1:80 10.9.8.7:59375 - -\n'
    )


def asked(log, *objects, target="virtualservice/web", **options):
    """Trace a VirtualService whose gateway has this access log."""
    route = t.virtual_service()
    route["spec"]["hosts"] = ["shop.example.com"]
    gateway = t.istio_proxy()
    name, space = gateway["metadata"]["name"], gateway["metadata"]["namespace"]
    snapshot = cluster(*t.base(route, t.istio_gateway(), gateway, *objects))
    snapshot.add_log(Log(space, name, gateway["spec"]["containers"][0]["name"]), log)
    return traced(snapshot, target, **options)


@pytest.mark.parametrize(
    ("log", "cause", "says"),
    [
        (
            envoy("UC", "upstream_reset_before_response_started{connection_termination}"),
            "BackendConnectionFailed",
            "idle",
        ),
        (envoy("UF", "x{delayed_connect_error:_111}"), "BackendConnectionFailed", "listens on port 8080"),
        (envoy("UF,URX", "upstream_reset{connection_timeout}"), "BackendConnectionFailed", "NetworkPolicy"),
        (envoy("UF", "upstream_reset{connection_reset_by_peer}"), "BackendConnectionFailed", "STRICT"),
        (envoy("UF", "x{CERTIFICATE_VERIFY_FAILED}"), "BackendConnectionFailed", "certificates of one root"),
        (envoy("UH", "no_healthy_upstream", upstream=""), "BackendConnectionFailed", "ready endpoint"),
        (envoy("UF", "x{TLS_error:_268435703:WRONG_VERSION_NUMBER}"), "ProtocolMismatch", "plain HTTP"),
        (envoy("UPE", "protocol_error", 502), "ProtocolMismatch", "appProtocol"),
        (envoy("UT", "response_timeout", 504), "ProxyLimitExceeded", "spec.http[].timeout"),
        (envoy("UO", "overflow"), "ProxyLimitExceeded", "connections"),
        (envoy("DC", "downstream_remote_disconnect", 0), "ProxyLimitExceeded", "client"),
        (envoy("NR", "route_not_found", 404, upstream="", target="-"), "MeshRouteInvalid", "/cart"),
        (envoy("NC", "cluster_not_found", upstream=""), "MeshRouteInvalid", "subset"),
        (envoy("UAEX", "ext_authz_denied", 403), "ExternalAuthFailed", "authorization service"),
    ],
)
def test_the_flag_of_a_failed_request_names_the_cause(log, cause, says):
    found = asked(log)
    assert causes(found) == [cause]
    head = found.findings[0]
    assert head.severity is Severity.WARNING
    assert says in " ".join(f.text for f in head.fix)


@pytest.mark.parametrize(
    "log",
    [
        envoy("-", "via_upstream", 200),
        envoy("-", "via_upstream", 500),
        envoy("UC", host="other.example.com", upstream="10.0.5.5:80", target="outbound|80||db.shop.svc.cluster.local"),
        envoy("NR", "route_not_found", 404, host="other.example.com", upstream="", target="-"),
        "info Envoy proxy is ready\n",
        '{"response_flags": 7, "response_code": "503"}\n',
        "{broken response_flags\n",
    ],
)
def test_requests_that_passed_or_went_elsewhere_are_no_fault(log):
    assert causes(asked(log)) == []


def test_a_refusal_from_before_the_pods_were_ready_is_over():
    assert causes(asked(envoy("UF", "x{delayed_connect_error:_111}", at="11:00").replace("2026", "2020"))) == []


def test_failures_alone_are_an_error_and_some_among_many_a_warning():
    failing = envoy("UC") * 3
    assert asked(failing).findings[0].severity is Severity.ERROR
    some = asked(failing + envoy("-", "via_upstream", 200))
    assert some.findings[0].severity is Severity.WARNING
    assert "1 passed" in some.findings[0].message
    assert asked(envoy("UC"), symptom="503").findings[0].severity is Severity.ERROR


def test_structured_access_logs_are_read_too():
    line = (
        '{"start_time":"2026-11-24T12:00:00.1Z","method":"GET","x-envoy-origin-path":"/cart","response_code":"503",'
        '"response_flags":"UF","response_code_details":"upstream_reset{remote connection failure}",'
        '"upstream_transport_failure_reason":"TLS_error:|268435703:WRONG_VERSION_NUMBER",'
        '":authority":"shop.example.com","upstream_host":"10.0.0.1:8080","upstream_cluster":"httproute/shop/web/rule/0"}\n'
    )
    assert causes(asked(line)) == ["ProtocolMismatch"]


def test_a_destination_rule_is_named_where_it_decides():
    rule = t.destination_rule({}, outlierDetection={"consecutive5xxErrors": 1})
    found = asked(envoy("UH", "no_healthy_upstream", upstream=""), rule)
    assert "ejects endpoints" in found.findings[0].fix[0].text


def test_the_sidecar_of_a_pod_tells_of_its_own_program():
    web = pod("web-1", container(8080), container(name="istio-proxy"))
    made = service(ports=[{"port": 80, "targetPort": 8080}])
    snapshot = cluster(made, web, slice_of(made, web))
    line = envoy("UF", "x{delayed_connect_error:_111}", target="inbound|8080||", host="web:80")
    snapshot.add_log(Log("shop", "web-1", "istio-proxy"), line)
    found = traced(snapshot)
    assert causes(found) == ["BackendConnectionFailed"]
    assert "the program that refuses" in found.findings[0].fix[0].text


HAPROXY = t.controller("kubernetes-ingress", namespace="edge")


def haproxy(state, code=503, server="SRV_1", backend="shop_svc_web_http", times="0/0/-1/-1/5001"):
    """Write one line of HAProxy's log in the form httplog."""
    return (
        f"<134>Jul 24 11:50:00 localhost haproxy[25]: 10.9.8.7:40112 [24/Nov/2026:11:50:00] http {backend}/{server} "
        f'{times} {code} 217 - - {state} 2/2/0/0/0 0/0 "GET /cart HTTP/1.1"\n'
    )


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (haproxy("SC--"), ["BackendConnectionFailed"]),
        (haproxy("SC--", server="<NOSRV>"), ["BackendConnectionFailed"]),
        (haproxy("sC--"), ["BackendConnectionFailed"]),
        (haproxy("SH--", 502), ["BackendConnectionFailed"]),
        (haproxy("sH--", 504), ["ProxyLimitExceeded"]),
        (haproxy("sQ--"), ["ProxyLimitExceeded"]),
        (haproxy("PH--", 502), ["ProtocolMismatch"]),
        (haproxy("----", 200, times="0/0/1/5/6"), []),
        (haproxy("SC--", backend="shop_svc_web-admin_http"), []),
        (haproxy("SC--", backend="other_svc_web_http"), []),
    ],
)
def test_the_state_at_disconnection_names_the_cause(log, expected):
    kind = ingress_class("haproxy", controller="haproxy.org/ingress-controller")
    snapshot = cluster(*healthy_web(), ingress(cls="haproxy"), kind, HAPROXY)
    snapshot.add_log(Log("edge", HAPROXY["metadata"]["name"], "app"), log)
    assert causes(traced(snapshot, "ingress/web")) == expected


TRAEFIK = t.controller("traefik", namespace="edge")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("dial tcp 10.0.0.1:8080: connect: connection refused", ["BackendConnectionFailed"]),
        ("dial tcp 10.0.0.1:8080: i/o timeout", ["BackendConnectionFailed"]),
        ("x509: cannot validate certificate for 10.0.0.1 because it has no IP SANs", ["BackendConnectionFailed"]),
        ("net/http: timeout awaiting response headers", []),
        ("dial tcp 10.0.5.5:8080: connect: connection refused", []),
    ],
)
def test_what_traefik_says_of_a_pod_counts_for_its_entrances(words, expected):
    kind = ingress_class("traefik", controller="traefik.io/ingress-controller")
    snapshot = cluster(*healthy_web(), ingress(cls="traefik"), kind, TRAEFIK)
    line = f'time="2026-11-24T12:00:00Z" level=debug msg="\'502 Bad Gateway\' caused by: {words}"\n'
    snapshot.add_log(Log("edge", TRAEFIK["metadata"]["name"], "app"), line)
    assert causes(traced(snapshot, "ingress/web")) == expected


def test_the_paths_that_the_rules_take_stand_beside_the_path_that_none_took():
    route = t.virtual_service()
    route["spec"]["http"][0]["match"] = [{"uri": {"prefix": "/api/"}}]
    gateway = t.istio_proxy()
    snapshot = cluster(*t.base(route, t.istio_gateway(), gateway))
    line = envoy("NR", "route_not_found", 404, upstream="", target="-")
    snapshot.add_log(Log(gateway["metadata"]["namespace"], gateway["metadata"]["name"], "istio-proxy"), line)
    found = traced(snapshot, "virtualservice/web")
    assert "take only prefix /api/" in found.findings[0].fix[0].text


def test_the_router_of_openshift_tells_of_its_routes():
    router = pod("router-1", container(80, name="router"), container(name="logs"), namespace="openshift-ingress")
    router["metadata"]["labels"] = {"ingresscontroller.operator.openshift.io/deployment-ingresscontroller": "default"}
    snapshot = cluster(*healthy_web(), t.openshift_route(), router)
    line = haproxy("sHNN", 504, backend="be_http:shop:web", server="pod:web-1:web:http:10.0.0.1:8080")
    snapshot.add_log(Log("openshift-ingress", "router-1", "logs"), line)
    found = traced(snapshot, "route/web")
    assert causes(found) == ["ProxyLimitExceeded"]
    assert "haproxy.router.openshift.io/timeout=120s" in found.findings[0].fix[1].commands[0]


def test_the_log_of_traefik_3_is_read_too():
    kind = ingress_class("traefik", controller="traefik.io/ingress-controller")
    snapshot = cluster(*healthy_web(), ingress(cls="traefik"), kind, TRAEFIK)
    line = (
        '2026-11-24T11:50:00Z DBG proxy.go:121 > 502 Bad Gateway error="dial tcp 10.0.0.1:8080: connection refused"\n'
    )
    snapshot.add_log(Log("edge", TRAEFIK["metadata"]["name"], "app"), line)
    found = traced(snapshot, "ingress/web")
    assert causes(found) == ["BackendConnectionFailed"]
    assert "listens on port 8080" in found.findings[0].fix[0].text


@pytest.mark.parametrize(
    ("port", "more", "expected"),
    [
        ({"name": "grpc"}, "", "ProtocolMismatch"),
        ({"name": "grpc"}, envoy("-", "via_upstream", 200), "BackendConnectionFailed"),
        ({"name": "grpc", "appProtocol": "kubernetes.io/h2c"}, "", "BackendConnectionFailed"),
        ({"name": "http"}, "", "BackendConnectionFailed"),
    ],
    ids=["nothing says it", "look-alike: others pass", "look-alike: it is told", "look-alike: another name"],
)
def test_a_port_that_hints_at_its_protocol_is_to_tell_it(port, more, expected):
    made = service(ports=({"port": 80, "targetPort": 8080, **port},))
    web = pod("web-1", container(8080))
    mapping = t.custom("Mapping", "getambassador.io/v3alpha1", hostname="shop.example.com", service="web.shop:80")
    runs = t.controller("emissary-ingress", namespace="edge")
    snapshot = cluster(made, web, slice_of(made, web), mapping, runs)
    line = envoy("UC", "upstream_reset", target="-") + more.replace(CLUSTER, "-")
    snapshot.add_log(Log("edge", runs["metadata"]["name"], "app"), line)
    found = traced(snapshot, "mapping/web")
    assert causes(found)[0] == expected
    if expected == "ProtocolMismatch":
        assert found.findings[0].fix[0].patch == {"spec": {"ports": [{"port": 80, "appProtocol": "kubernetes.io/h2c"}]}}


DNS = pod("external-dns-1", container(name="external-dns"), namespace="dns", ip="10.3.0.1")
DNS["metadata"]["labels"] = {"app.kubernetes.io/name": "external-dns"}
DNS["spec"]["containers"][0]["args"] = ["--source=ingress", "--txt-owner-id=prod"]
OWNER = (
    'time="2026-11-24T11:58:00Z" level=debug msg="Skipping endpoint HOST 300 IN A 203.0.113.1 [] because owner id does '
    'not match, found: \\"\\", required: \\"prod\\""\n'
)


@pytest.mark.parametrize(
    ("log", "args", "symptom", "says"),
    [
        (OWNER.replace("HOST", "shop.example.com"), [], "nxdomain", "owner prod"),
        ("", ["--domain-filter=example.org"], "nxdomain", "--domain-filter"),
        ("", ["--domain-filter", "example.com"], "nxdomain", ""),
        (OWNER.replace("HOST", "myshop.example.com"), [], "nxdomain", ""),
        (OWNER.replace("HOST", "shop.example.com"), [], "503", ""),
    ],
    ids=["its log", "its arguments", "look-alike: a domain", "look-alike: a host", "look-alike: it resolves"],
)
def test_the_program_that_writes_records_says_why_there_is_none(log, args, symptom, says):
    one = {**DNS, "spec": {**DNS["spec"], "containers": [{**DNS["spec"]["containers"][0]}]}}
    one["spec"]["containers"][0]["args"] = [*DNS["spec"]["containers"][0]["args"], *args]
    snapshot = cluster(*healthy_web(), ingress(), ingress_class(), t.controller("ingress-nginx", namespace="edge"), one)
    snapshot.add_log(Log("dns", "external-dns-1", "external-dns"), log)
    found = traced(snapshot, "ingress/web", symptom=symptom)
    assert causes(found) == (["IngressRejected"] if says else [])
    assert not says or says in found.findings[0].fix[0].text


def test_haproxy_is_told_to_speak_tls_to_the_only_port_that_looks_so():
    made = service(ports=({"port": 443, "targetPort": 8443, "name": "https"},))
    web = pod("web-1", container(8443))
    kind = ingress_class("haproxy", controller="haproxy.org/ingress-controller")
    to = {"service": {"name": "web", "port": {"number": 443}}}
    entry = slice_of(made, web, ports=({"name": "https", "port": 8443},))
    snapshot = cluster(made, web, entry, ingress(cls="haproxy", backend=to), kind, HAPROXY)
    snapshot.add_log(
        Log("edge", HAPROXY["metadata"]["name"], "app"), haproxy("SH--", 502, backend="shop_svc_web_https")
    )
    found = traced(snapshot, "ingress/web")
    assert causes(found) == ["ProtocolMismatch"]
    assert "haproxy.org/server-ssl=true" in found.findings[0].fix[0].commands[0]
