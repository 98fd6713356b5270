"""Events of Services and Ingresses of which nothing else is there."""

from __future__ import annotations

import json

import pytest

from kubetriage.cli.main import main

ROWS = """LAST SEEN   TYPE      REASON                   OBJECT        MESSAGE
2m          {type}   {reason}   {object}   {message}
"""
CASES = [
    (
        "service/web",
        "SyncLoadBalancerFailed",
        "Error syncing load balancer: failed to ensure load balancer: PublicIPCountLimitReached: Cannot create more "
        "than 20 public IP addresses for this subscription in this region.",
        "LoadBalancerPending",
        "Raise the limit",
    ),
    (
        "service/web",
        "AllocationFailed",
        'Failed to allocate IP for "shop/web": ["192.168.1.50"] is not allowed in config',
        "LoadBalancerPending",
        "192.168.1.50 is in no address pool",
    ),
    (
        "ingress/web",
        "FailedBuildModel",
        "Failed build model due to no certificate found for host: shop.example.com",
        "IngressRejected",
        "shop.example.com",
    ),
]


def ask(command, content, tmp_path, capsys, *more):
    file = tmp_path / "events.txt"
    file.write_text(content)
    code = main(command, [*more, "--from", str(file), "-o", "json"])
    out, err = capsys.readouterr()
    return (json.loads(out)["items"][0] if out.strip() else {}), err, code


@pytest.mark.parametrize("command", ["svc-trace", "triage"])
@pytest.mark.parametrize(("about", "reason", "message", "cause", "act"), CASES)
def test_what_controllers_say_is_enough(command, about, reason, message, cause, act, tmp_path, capsys):
    content = ROWS.format(type="Warning", reason=reason, object=about, message=message)
    answer, _, _ = ask(command, content, tmp_path, capsys)
    first = answer["findings"][0]
    assert first["cause"] == cause
    assert act in first["fix"][0]["text"]
    assert "works inside" not in first["message"]


def test_a_service_that_has_its_address_does_not_wait_for_one(tmp_path, capsys):
    content = ROWS.format(
        type="Normal", reason="EnsuredLoadBalancer", object="service/web", message="Ensured load balancer"
    )
    answer, _, _ = ask("svc-trace", content, tmp_path, capsys)
    assert not answer.get("findings")
    assert not answer.get("healthy")


def test_an_object_that_is_there_is_not_made_anew(tmp_path, capsys):
    table = (
        "NAME   TYPE           CLUSTER-IP    EXTERNAL-IP     PORT(S)        AGE\n"
        "web    LoadBalancer   10.96.1.1     203.0.113.9     80:30344/TCP   5d\n"
    )
    content = (
        table
        + "\n"
        + ROWS.format(
            type="Warning",
            reason="SyncLoadBalancerFailed",
            object="service/web",
            message="Error syncing load balancer: x",
        )
    )
    answer, _, _ = ask("svc-trace", content, tmp_path, capsys, "service/web")
    assert answer["cause"] != "LoadBalancerPending"
