"""Single requests that a controller ends or cannot pass on, by its own error log."""

import pytest

from kubetriage.model import Severity
from kubetriage.needs import Log
from support import traffic as t
from support.services import (
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

NGINX = t.controller("ingress-nginx", "--configmap=$(POD_NAMESPACE)/edge-config", namespace="edge")
MARK = "nginx.ingress.kubernetes.io/"


def _line(words, host="shop.example.com", upstream=""):
    tail = f', upstream: "{upstream}"' if upstream else ""
    return (
        f"2026/11/24 11:40:19 [error] 1302#1302: *2317884 {words}, client: 10.9.8.7, server: {host}, "
        f'request: "PUT /a/b HTTP/1.1"{tail}, host: "{host}"\n'
    )


def _asked(line, marks=(), config=(), objects=(), cls="nginx", controller="k8s.io/ingress-nginx", **options):
    runs = NGINX if controller.startswith("k8s.io") else t.controller("nginx-ingress", namespace="edge")
    made = ingress(annotations=dict(marks), cls=cls)
    data = {"kind": "ConfigMap", "metadata": meta("edge-config", "edge"), "data": dict(config)}
    kind = ingress_class(cls, controller=controller)
    snapshot = cluster(*(objects or healthy_web()), made, kind, runs, data)
    snapshot.add_log(Log("edge", runs["metadata"]["name"], "app"), line)
    return trace(snapshot, "ingress/web", **options)


def _commands(found):
    return " ".join(c for x in found.findings[:1] for f in x.fix for c in f.commands)


BODY = "client intended to send too large body: 45301421 bytes"


@pytest.mark.parametrize(
    ("line", "marks", "config", "says"),
    [
        (_line(BODY), {}, {}, f"{MARK}proxy-body-size=64m"),
        (_line(BODY), {f"{MARK}proxy-body-size": "8m"}, {}, "proxy-body-size=64m"),
        (_line(BODY), {}, {"proxy-body-size": "20m"}, "proxy-body-size=64m"),
        (_line(BODY), {f"{MARK}proxy-body-size": "100m"}, {}, ""),
        (_line(BODY), {}, {"proxy-body-size": "0"}, ""),
        (_line(BODY, host="other.example.com"), {}, {}, ""),
        (_line("upstream sent too big header while reading response header from upstream"), {}, {},
         "proxy-buffer-size=16k"),
        (_line("upstream sent too big header while reading response header from upstream"),
         {f"{MARK}proxy-buffer-size": "16k"}, {}, "proxy-buffer-size=32k"),
        (_line("upstream timed out (110: Operation timed out) while reading response header from upstream"), {}, {},
         "proxy-read-timeout=300"),
        (_line('limiting requests, excess: 5.2 by zone "shop_web"'), {f"{MARK}limit-rps": "5"}, {},
         "edit ingress web"),
        (_line("client sent too long header line: \"Cookie: x\" while reading client request headers"), {}, {},
         "edit configmap edge-config"),
    ],
    ids=["body", "by annotation", "by ConfigMap", "raised since", "off since", "another host", "headers",
         "headers again", "slow", "rate", "request headers"],
)  # fmt: skip
def test_a_limit_of_the_controller_is_told_with_the_annotation_that_raises_it(line, marks, config, says):
    found = _asked(line, marks, config)
    assert causes(found) == (["ProxyLimitExceeded"] if says else [])
    if says:
        assert says in _commands(found)
        assert found.findings[0].severity is Severity.WARNING


def test_the_symptom_makes_it_the_cause():
    assert _asked(_line(BODY), symptom="413").findings[0].severity is Severity.ERROR


def test_another_product_has_its_own_annotation():
    found = _asked(_line(BODY), cls="plus", controller="nginx.org/ingress-controller")
    assert "nginx.org/client-max-body-size=64m" in _commands(found)


FORBIDDEN = _line("access forbidden by rule")


@pytest.mark.parametrize(
    ("ranges", "objects", "expected", "says"),
    [
        ("198.51.100.0/24", (), ["ClientAddressDenied"], "use-forwarded-headers"),
        ("10.0.0.0/8", (), [], ""),
        ("", (), [], ""),
    ],
    ids=["match", "look-alike: admitted since", "look-alike: no range"],
)
def test_a_refused_address_of_the_cluster_is_not_the_clients(ranges, objects, expected, says):
    found = _asked(FORBIDDEN, {f"{MARK}whitelist-source-range": ranges} if ranges else {}, objects=objects)
    assert causes(found) == expected
    assert all(says in " ".join(f.text for f in x.fix) for x in found.findings[:1] if expected)


def test_a_public_address_is_added_where_it_is_wanted():
    found = _asked(FORBIDDEN.replace("10.9.8.7", "203.0.113.77").replace("203.0.113.", "8.8.8."),
                   {f"{MARK}allowlist-source-range": "198.51.100.0/24"})  # fmt: skip
    assert "allowlist-source-range=198.51.100.0/24,8.8.8.77/32" in _commands(found)


AUTH = f"{MARK}auth-url"


def _proxy(ready=True):
    made = service("oauth2-proxy", "auth", selector={"app": "oauth2-proxy"}, ports=[{"port": 4180, "targetPort": 4180}])
    behind = pod("oauth2-proxy-1", namespace="auth", labels={"app": "oauth2-proxy"}, ready=ready, ip="10.3.3.3")
    return [*healthy_web(), made, behind, slice_of(made, behind, ports=({"name": "", "port": 4180},))]


@pytest.mark.parametrize(
    ("url", "objects", "line", "says"),
    [
        ("http://oauth2-proxy.auth.svc.cluster.local:4180/oauth2/auth", _proxy(), "", ""),
        ("http://oauth2-proxy.auth.svc.cluster.local/oauth2/auth", _proxy(), "", "has no port 80; it has 4180"),
        ("http://oauth2.auth.svc.cluster.local:4180/x", _proxy(), "", "does not exist in namespace auth"),
        ("http://oauth2-proxy.auth.svc.cluster.local:4180/x", _proxy(ready=False), "", "no ready endpoint"),
        ("https://login.example.com/x", (), "", ""),
        ("https://login.example.com/x", (),
         _line("auth request unexpected status: 404 while sending to client"), "answers 404"),
    ],
    ids=["in order", "port", "no Service", "variant: not ready", "look-alike: outside", "variant: the log"],
)  # fmt: skip
def test_the_service_that_authenticates_is_looked_at(url, objects, line, says):
    found = _asked(line, {AUTH: url}, objects=objects)
    assert causes(found) == (["ExternalAuthFailed"] if says else [])
    assert not says or says in found.findings[0].message


NO_HEADER = "upstream sent no valid HTTP/1.0 header while reading response header from upstream"
HANDSHAKE = "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking"


def _unprobed():
    made, behind = service(), pod("web-1", container(("http", 8080)), ip="10.0.0.1")
    return [made, behind, slice_of(made, behind)]


def test_a_passing_plain_probe_says_that_the_program_speaks_plain_http():
    assert causes(_asked(_line(NO_HEADER, upstream="http://10.0.0.1:8080/a"))) == []


@pytest.mark.parametrize(
    ("line", "marks", "expected", "says"),
    [
        (NO_HEADER, {}, ["ProtocolMismatch"], "backend-protocol=HTTPS"),
        (NO_HEADER, {f"{MARK}backend-protocol": "HTTPS"}, [], ""),
        (HANDSHAKE, {f"{MARK}backend-protocol": "HTTPS"}, ["ProtocolMismatch"], "backend-protocol=HTTP "),
        (HANDSHAKE, {}, [], ""),
    ],
    ids=["TLS", "changed since", "variant: plain", "look-alike: changed since"],
)
def test_what_the_program_speaks_is_told_by_the_failed_request(line, marks, expected, says):
    found = _asked(_line(line, upstream="http://10.0.0.1:8080/a"), marks, objects=_unprobed())
    assert causes(found) == expected
    assert says in _commands(found)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.0.0.1:8080", ["TargetPortMismatch"]), ("10.0.0.77:8080", []), ("10.0.0.1:9999", [])],
    ids=["match", "look-alike: a pod that is gone", "look-alike: another port"],
)
def test_a_refused_connection_to_a_ready_pod_shows_that_nothing_listens(address, expected):
    line = _line("connect() failed (111: Connection refused) while connecting to upstream",
                 upstream=f"http://{address}/a")  # fmt: skip
    assert causes(_asked(line, objects=_unprobed())) == expected
