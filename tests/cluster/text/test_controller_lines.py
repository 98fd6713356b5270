"""Logs of ingress controllers and mesh proxies: nobody crashed, and they name whom to ask."""

from __future__ import annotations

import pytest

from kubetriage.cli.main import main
from kubetriage.cluster.text.controller_lines import told_by_controllers

NGINX = 'I1129 10:00:01.000000       7 store.go:440] "Ignoring ingress because of error" ingress="shop/web" error="x"'
QUEUE = 'E1129 10:00:01.000000       7 queue.go:130] "requeuing" err="exit status 1" key="shop/web"'
ENDPOINTS = 'W1129 10:00:01.000000       7 controller.go:1207] Service "shop/web" does not have any active Endpoint.'
SECRET = 'W1129 10:00:01.000000       7 controller.go:1489] Error getting SSL certificate "shop/web-tls": not found.'
TRAEFIK = (
    '2026-11-29T10:00:01Z ERR error="service not found" ingress=web namespace=shop providerName=kubernetes '
    "serviceName=webb servicePort=80"
)
ENVOY = (
    '[2026-11-29T10:00:01.000Z] "GET / HTTP/1.1" 503 UF,URX upstream_reset{connection_failure} - "-" 0 195 10 - "-" '
    '"curl" "1" "shop.example.com" "10.244.1.7:8080" outbound|80||web.shop.svc.cluster.local - 10.96.1.1:80 - default'
)


@pytest.mark.parametrize(
    ("line", "whom"),
    [
        (NGINX, "kubectl svc-trace ingress/web -n shop"),
        (QUEUE, "kubectl svc-trace ingress/web -n shop"),
        (ENDPOINTS, "kubectl svc-trace service/web -n shop"),
        (SECRET, "Secret web-tls of namespace shop"),
        (TRAEFIK, "kubectl svc-trace ingress/web -n shop"),
        (ENVOY, "kubectl svc-trace web -n shop"),
    ],
)
@pytest.mark.parametrize("command", ["triage", "why-crash"])
def test_the_object_that_it_is_about_is_named(command, line, whom, tmp_path, capsys):
    file = tmp_path / "controller.txt"
    file.write_text(f"{line}\n{line}\n")
    assert main(command, ["--from", str(file)]) != 0
    assert whom in capsys.readouterr().err


def test_what_a_flag_means_is_said():
    assert "the connection to the pod failed" in told_by_controllers([ENVOY])
    denied = ENVOY.replace("UF,URX upstream_reset{connection_failure}", "- rbac_access_denied_matched_policy[none]")
    assert "AuthorizationPolicy" in told_by_controllers([denied])


@pytest.mark.parametrize(
    "rows",
    [
        [NGINX, "F1129 10:00:02.000000       7 main.go:83] port 80 is already in use"],
        [NGINX, "starting", "our log:"],
        ["I1129 10:00:01.000000       7 controller.go:12] worker started"],
        [],
    ],
    ids=["it ends", "quoted", "another controller", "nothing"],
)
def test_other_logs_are_left_to_others(rows):
    assert not told_by_controllers(rows)
