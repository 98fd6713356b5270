"""Paths and annotations that the Ingress's own controller does not read, and TLS that it was not told to pass on."""

import pytest

from kubetriage.model import Severity
from kubetriage.needs import Log
from support import traffic as t
from support.services import causes, cluster, healthy_web, ingress, ingress_class, trace

NGINX = "nginx.ingress.kubernetes.io/"
ROUTER = "traefik.ingress.kubernetes.io/router."
POINTS = ("--entryPoints.web.address=:8000/tcp", "--entryPoints.websecure.address=:8443/tcp")
TRAEFIK = "traefik.io/ingress-controller"


def _nginx(*args):
    pod = t.controller("ingress-nginx", "/nginx-ingress-controller", *args)
    pod["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "edge", "uid": "u", "controller": True}
    ]
    return pod


def _asked(made, controller, *more, log="", **options):
    name = made["spec"].get("ingressClassName", "nginx")
    of = {"nginx": "k8s.io/ingress-nginx", "traefik": TRAEFIK}.get(name, name)
    snapshot = cluster(*healthy_web(), made, ingress_class(name, controller=of), controller, *more)
    if log:
        snapshot.add_log(Log("edge", controller["metadata"]["name"], "app"), log)
    return trace(snapshot, "ingress/web", **options)


@pytest.mark.parametrize(
    ("path", "kind", "marks", "expected", "says"),
    [
        ("/api(/|$)(.*)", "Prefix", {}, ["IngressRejected"], "use-regex"),
        ("/*", "ImplementationSpecific", {}, ["IngressRejected"], "Write / with pathType Prefix"),
        ("/api/*", "Prefix", {}, ["IngressRejected"], "Write /api with pathType Prefix"),
        ("/api(/|$)(.*)", "ImplementationSpecific", {f"{NGINX}use-regex": "true"}, [], ""),
        ("/api(/|$)(.*)", "ImplementationSpecific", {f"{NGINX}rewrite-target": "/$2"}, [], ""),
        ("/api/v1.2", "Prefix", {}, [], ""),
    ],
)
def test_an_expression_is_taken_letter_for_letter_without_a_word_for_it(path, kind, marks, expected, says):
    found = _asked(ingress(path=path, kind=kind, annotations=marks), _nginx())
    assert causes(found) == expected
    assert not says or says in found.findings[0].fix[0].text


def test_one_ingress_with_expressions_makes_all_paths_of_the_host_so():
    other = ingress("other", path="/x", annotations={f"{NGINX}use-regex": "true"})
    assert causes(_asked(ingress(path="/a(.*)"), _nginx(), other)) == []


def test_annotations_of_another_controller_do_nothing():
    made = ingress(cls="traefik", path="/api", annotations={f"{NGINX}rewrite-target": "/"})
    found = _asked(made, t.controller("traefik", *POINTS))
    assert causes(found) == ["IngressRejected"]
    assert found.findings[0].severity is Severity.WARNING
    assert "stripPrefix" in found.findings[0].fix[0].text
    assert "does not read it" in found.findings[0].message


@pytest.mark.parametrize(
    ("args", "mark"),
    [
        ((*POINTS, "--providers.kubernetesingressnginx"), {f"{NGINX}rewrite-target": "/"}),
        (POINTS, {f"{NGINX}backend-protocol": "HTTP"}),
        (POINTS, {f"{NGINX}proxy-body-size": "8m"}),
        (POINTS, {f"{NGINX}rewrite-target": "/"}),
        (POINTS, {f"{NGINX}backend-protocol": "HTTPS", "traefik.ingress.kubernetes.io/service.serversscheme": "https"}),
    ],
    ids=["told to read them", "the default value", "nothing that turns the way", "to itself", "said again"],
)
def test_annotations_that_are_read_or_harmless_say_nothing(args, mark):
    assert causes(_asked(ingress(cls="traefik", annotations=mark), t.controller("traefik", *args))) == []


@pytest.mark.parametrize(
    ("args", "marks", "tls", "says"),
    [
        (POINTS, {"entrypoints": "websecure"}, None, "router.tls"),
        (POINTS, {"entrypoints": "https"}, None, "web, websecure"),
        (POINTS, {"entrypoints": "websecure", "tls": "true"}, None, ""),
        (POINTS, {"entrypoints": "websecure", "tls.certresolver": "le"}, None, ""),
        (POINTS, {"entrypoints": "web,websecure"}, None, ""),
        ((*POINTS, "--entryPoints.websecure.http.tls=true"), {"entrypoints": "websecure"}, None, ""),
        ((), {"entrypoints": "websecure"}, None, ""),
    ],
)
def test_a_router_of_an_https_entry_point_needs_tls(args, marks, tls, says):
    made = ingress(cls="traefik", tls=tls, annotations={f"{ROUTER}{k}": v for k, v in marks.items()})
    found = _asked(made, t.controller("traefik", *args))
    assert causes(found) == (["IngressRejected"] if says else [])
    assert not says or says in found.findings[0].fix[0].text


OPEN_FILE = (
    '2026-11-24T08:00:01Z ERR The ACME resolve is skipped from the resolvers list error="unable to get ACME account: '
    'permissions 660 for /data/acme.json are too open, please use 600" resolver=le\n'
)
SERVER = (
    '2026-11-24T08:00:01Z ERR The ACME resolver is skipped from the resolvers list error="cannot get ACME client" '
    "resolver=le\n"
)
RESOLVER = "--certificatesresolvers.le.acme.storage=/data/acme.json"


@pytest.mark.parametrize(
    ("args", "log", "says"),
    [
        ((*POINTS, RESOLVER), OPEN_FILE, "chmod 600 /data/acme.json"),
        ((*POINTS, RESOLVER), SERVER, "Repair what the line says"),
        ((*POINTS, RESOLVER.replace(".le.", ".other.")), "", "Name a resolver"),
        ((*POINTS, RESOLVER), OPEN_FILE.replace("resolver=le", "resolver=xx").replace("le ", ""), ""),
        ((*POINTS, RESOLVER), "", ""),
    ],
    ids=["file mode", "variant: another reason", "variant: no such resolver", "look-alike: another one", "no log"],
)
def test_a_resolver_that_traefik_left_out_gives_no_certificate(args, log, says):
    marks = {f"{ROUTER}tls": "true", f"{ROUTER}tls.certresolver": "le"}
    found = _asked(ingress(cls="traefik", annotations=marks), t.controller("traefik", *args), log=log)
    assert causes(found) == (["IngressRejected"] if says else [])
    fix = found.findings[0].fix[0] if says else None
    assert fix is None or says in " ".join((fix.text, *fix.commands))


@pytest.mark.parametrize(
    ("args", "value", "expected"),
    [
        ((), "true", ["IngressRejected"]),
        (("--enable-ssl-passthrough=false",), "true", ["IngressRejected"]),
        (("--enable-ssl-passthrough",), "true", []),
        ((), "false", []),
    ],
)
def test_passthrough_needs_a_flag_of_the_controller(args, value, expected):
    found = _asked(ingress(annotations={f"{NGINX}ssl-passthrough": value}), _nginx(*args))
    assert causes(found) == expected
    if expected:
        assert "daemonset edge" in found.findings[0].fix[0].commands[0]
