"""Readiness gates: nobody's probe is at fault, a controller has not set a condition."""

import pytest

from kubetriage.model import Actor, Severity
from support.objects import advised, at, back_off, crash_causes, crash_findings, pod, running, status, terminated

ELB = "target-health.elbv2.k8s.aws/k8s-shop-api-1a2b3c"


def gated(gate=ELB, condition=None, ready=True, **more):
    conditions = [{"type": gate, "lastTransitionTime": at(-60), **condition}] if condition else []
    return pod(
        statuses=[status(state=running(-900), ready=ready)],
        readinessGates=[{"conditionType": gate}],
        conditions=conditions,
        **more,
    )


def test_a_condition_that_is_missing_leads_to_the_controller():
    (found,) = crash_findings(gated())
    assert found.cause == "ReadinessGateNotReady"
    assert f"{ELB} is missing" in found.message
    assert "AWS Load Balancer Controller" in advised(found)
    assert found.fix[0].actor is Actor.CLUSTER


@pytest.mark.parametrize(
    ("gate", "reason", "word"),
    [
        (ELB, "Target.FailedHealthChecks", "success codes"),
        (ELB, "Target.Timeout", "security groups"),
        ("cloud.google.com/load-balancer-neg-ready", "LoadBalancerNegNotReady", "35.191.0.0/16"),
    ],
)
def test_a_false_condition_is_told_with_its_reason(gate, reason, word):
    (found,) = crash_findings(gated(gate, {"status": "False", "reason": reason, "message": "Health checks failed"}))
    assert reason in found.message
    assert word in advised(found)
    assert found.fix[0].actor is Actor.CLOUD


def test_the_chain_ends_at_the_controllers_own_cause():
    name = "aws-load-balancer-controller-x"
    down = pod(
        name,
        namespace="kube-system",
        statuses=[status(state=back_off(pod=name), last=terminated(1, "Error", -30, -20))],
    )
    (found,) = crash_findings(gated(), down)
    assert found.details["root"]["name"] == name
    assert name in found.message


def test_a_gate_of_no_known_controller_is_named():
    (found,) = crash_findings(gated("traffic.example/open"))
    assert "traffic.example/open is missing" in found.message
    assert "traffic.example" in advised(found)


def test_an_open_gate_and_a_failing_probe_are_none():
    assert crash_causes(gated(condition={"status": "True"})) == [("Unknown", "")]
    assert ("ReadinessGateNotReady", "") not in crash_causes(gated(ready=False))


def test_a_young_pod_gets_a_note():
    (found,) = crash_findings(gated(created=-30))
    assert found.severity is Severity.NOTE
