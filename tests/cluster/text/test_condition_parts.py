"""Conditions that grep cut out of an object's YAML or describe, and who is answered by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.main import main

ROUTE = """kubectl -n web get httproute shop -o yaml | grep -A 30 'conditions:'
    - conditions:
      - lastTransitionTime: "2026-03-01T12:10:44Z"
        message: Route is accepted
        reason: Accepted
        status: "True"
        type: Accepted
      - lastTransitionTime: "2026-03-01T12:10:44Z"
        message: {message}
        reason: RefNotPermitted
        status: "{status}"
        type: ResolvedRefs
      controllerName: gateway.envoyproxy.io/gatewayclass-controller
      parentRef:
        group: gateway.networking.k8s.io
        kind: Gateway
        name: public
        namespace: infra
"""
DESCRIBED = """k describe httproute shop -n web | grep -A 20 Conditions
    Conditions:
      Last Transition Time:  2026-03-01T12:10:44Z
      Message:               No listeners match this parent ref
      Observed Generation:   2
      Reason:                NoMatchingParent
      Status:                False
      Type:                  Accepted
      Last Transition Time:  2026-03-01T12:10:44Z
      Message:               Resolved all the Object references for the Route
      Reason:                ResolvedRefs
      Status:                True
      Type:                  ResolvedRefs
    Controller Name:         istio.io/gateway-controller
    Parent Ref:
      Group:         gateway.networking.k8s.io
      Kind:          Gateway
      Name:          public
      Namespace:     infra
      Section Name:  https
"""
GATEWAY = """kubectl get gateway -n infra public -o yaml | grep -A 40 '^status'
status:
  conditions:
  - message: Resource accepted
    reason: Accepted
    status: "True"
    type: Accepted
  - message: 'Bad TLS certificate for listener'
    reason: Invalid
    status: "False"
    type: Programmed
  listeners:
  - attachedRoutes: 0
    conditions:
    - message: 'invalid certificate reference /Secret/shop-tls. reference not found'
      reason: InvalidCertificateRef
      status: "False"
      type: ResolvedRefs
    name: https
"""
API = """$ kubectl get apiservice {name} -o yaml | grep -A 7 conditions
  conditions:
  - lastTransitionTime: "2026-03-02T07:02:14Z"
    message: '{message}'
    reason: {reason}
    status: "False"
    type: Available
"""
NO_ROUTE = (
    'failing or missing response from https://10.43.112.9:443/apis/{group}/v1beta1: Get "https://10.43.112.9:443": '
    "dial tcp 10.43.112.9:443: connect: no route to host"
)


def ask(command: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """Return the first answer, empty without one, and stderr."""
    file = tmp_path / "part.txt"
    file.write_text(content)
    main(command, ["--from", str(file), "-o", "json"])
    out, err = capsys.readouterr()
    return (json.loads(out)["items"][0] if out.strip() else {}), err


@pytest.mark.parametrize("command", ["svc-trace", "triage"])
@pytest.mark.parametrize(
    "message",
    [
        "Backend ref to Service payments/api not permitted by any ReferenceGrant.",
        'backendRef payments/api not accessible to a HTTPRoute in namespace "web" (missing a ReferenceGrant?)',
    ],
)
def test_a_route_whose_rules_were_not_seen_is_told_by_its_controller(command, message, tmp_path, capsys):
    answer, _ = ask(command, ROUTE.format(message=json.dumps(message), status="False"), tmp_path, capsys)
    assert (answer["cause"], answer["target"]["namespace"]) == ("ReferenceNotGranted", "web")
    assert "service/api in namespace payments" in answer["findings"][0]["message"]


def test_a_reference_without_a_namespace_names_no_target(tmp_path, capsys):
    answer, _ = ask("svc-trace", ROUTE.format(message="not permitted", status="False"), tmp_path, capsys)
    assert answer["cause"] == "ReferenceNotGranted"
    assert "kubectl apply" not in json.dumps(answer["findings"][0]["fix"])


def test_a_route_that_its_controller_takes_is_no_fault(tmp_path, capsys):
    answer, _ = ask("svc-trace", ROUTE.format(message="resolved", status="True"), tmp_path, capsys)
    assert not answer["findings"]
    assert answer["cause"] == "Unknown"


def test_the_describe_of_a_route_behind_grep(tmp_path, capsys):
    answer, _ = ask("svc-trace", DESCRIBED, tmp_path, capsys)
    assert answer["cause"] == "RouteNotAccepted"
    assert "gateway/public listener https" in answer["findings"][0]["message"]


@pytest.mark.parametrize("command", ["svc-trace", "triage"])
def test_a_gateway_tells_the_listener_behind_a_reason_that_only_points_there(command, tmp_path, capsys):
    answer, _ = ask(command, GATEWAY, tmp_path, capsys)
    assert answer["cause"] == "GatewayNotProgrammed"
    assert "listener https" in answer["findings"][0]["message"]
    assert "Secret" in answer["findings"][0]["fix"][0]["text"]


def test_a_condition_of_a_listener_alone_is_no_gateway_that_waits(tmp_path, capsys):
    part = """kubectl get gateway public -n infra -o yaml | grep -B2 -A 2 'status: "False"'
      observedGeneration: 3
      reason: InvalidCertificateRef
      status: "False"
      type: ResolvedRefs
"""
    answer, _ = ask("svc-trace", part, tmp_path, capsys)
    assert "waited" not in answer["findings"][0]["message"]
    assert "InvalidCertificateRef" in answer["findings"][0]["message"]
    assert "gatewayclass" not in json.dumps(answer["findings"][0]["verify"])


@pytest.mark.parametrize("command", ["plane-trace", "triage"])
def test_an_aggregated_api_behind_grep(command, tmp_path, capsys):
    name = "v1beta1.metrics.k8s.io"
    message = NO_ROUTE.format(group="metrics.k8s.io")
    content = API.format(name=name, message=message, reason="FailedDiscoveryCheck")
    answer, _ = ask(command, content, tmp_path, capsys)
    assert answer["cause"] == "APIServiceUnavailable"
    assert "metrics-server" in json.dumps(answer["findings"][0]["fix"])


def test_who_serves_another_api_is_not_guessed(tmp_path, capsys):
    name = "v1beta1.external.metrics.k8s.io"
    message = NO_ROUTE.format(group="external.metrics.k8s.io")
    content = API.format(name=name, message=message, reason="FailedDiscoveryCheck")
    answer, _ = ask("plane-trace", content.partition("\n")[2], tmp_path, capsys)
    assert (answer["cause"], answer["findings"][0]["object"]["name"]) == ("APIServiceUnavailable", name)
    assert "metrics-server" not in json.dumps(answer)


def test_an_api_whose_service_is_missing_names_it(tmp_path, capsys):
    message = 'service/custom-metrics in "monitoring" is not present'
    content = API.format(name="v1beta1.custom.metrics.k8s.io", message=message, reason="ServiceNotFound")
    answer, _ = ask("plane-trace", content, tmp_path, capsys)
    assert "monitoring/custom-metrics" in json.dumps(answer["findings"][0]["fix"])


@pytest.mark.parametrize(("content", "plugin"), [(GATEWAY, "svc-trace"), (API, "plane-trace")])
def test_why_crash_says_which_plugin_answers(content, plugin, tmp_path, capsys):
    content = content.replace("{name}", "v1.x.io").replace("{message}", "x").replace("{reason}", "FailedDiscoveryCheck")
    answer, err = ask("why-crash", content, tmp_path, capsys)
    assert not answer
    assert f"kubectl {plugin} --from" in err


@pytest.mark.parametrize("command", ["svc-trace", "triage"])
@pytest.mark.parametrize(("status", "cause"), [("False", "GatewayNotAccepted"), ("True", "Unknown")])
def test_a_gateway_that_is_refused_is_told_without_programmed(command, status, cause, tmp_path, capsys):
    """One condition of it that is False says enough; one that is True says nothing of the others."""
    file = tmp_path / "cut.txt"
    file.write_text(
        "$ kubectl describe gateway edge -n shop | grep -A12 Conditions:\n"
        "  Conditions:\n"
        "    Last Transition Time:  2026-11-20T08:00:00Z\n"
        "    Message:               Invalid GatewayParameters: nothing of that name\n"
        "    Reason:                InvalidParameters\n"
        f"    Status:                {status}\n"
        "    Type:                  Accepted\n"
    )
    main(command, ["--from", str(file), "-o", "json"])
    assert json.loads(capsys.readouterr().out)["items"][0]["cause"] == cause
