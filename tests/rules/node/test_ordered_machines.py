"""Machines that were ordered and are no Nodes: Karpenter's claims, Machines, and what an autoscaler's log says."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.needs import List, Log
from support.nodes import node, triage, world


def claim(
    *conditions: tuple[str, str, str, str], kind: str = "NodeClaim", group: str = "karpenter.sh", **status: Any
) -> Any:
    rows = [{"type": t, "status": s, "reason": r, "message": m} for t, s, r, m in conditions]
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": "pool-x", "labels": {"karpenter.sh/nodepool": "pool"}},
        "spec": {"nodeClassRef": {"kind": "EC2NodeClass", "name": "al2023"}},
        "status": {"conditions": rows, **status},
    }


def told(*others: Any, nodes: Any = ()) -> Any:
    snapshot = world(list(nodes), [], pods=[])
    snapshot.source = "dump"
    for other in others:
        snapshot.add_other(other)
    return triage(snapshot)


def said(finding: Any) -> str:
    commands = [str(c) for f in finding.fix for c in f.commands]
    return " ".join([finding.message, *(f.text for f in finding.fix), *commands])


LAUNCHED = ("Launched", "True", "Launched", "")
ICE = "InsufficientCapacityError: all requested instance types were unavailable during launch"


@pytest.mark.parametrize(
    ("order", "cause", "says"),
    [
        (claim(("Launched", "Unknown", "LaunchFailed", ICE)), "MachineNotLaunched", "more zones"),
        (
            claim(("Launched", "Unknown", "LaunchFailed", "VcpuLimitExceeded: You have requested more vCPU capacity")),
            "MachineNotLaunched",
            "Raise the quota",
        ),
        (
            claim(LAUNCHED, ("Registered", "Unknown", "NodeNotFound", "Node not registered with cluster"),
                  providerID="aws:///eu-1a/i-0123456789abcdef0"),
            "MachineNotJoined",
            "aws ec2 get-console-output --instance-id i-0123456789abcdef0",
        ),
        (
            claim(
                LAUNCHED,
                ("Registered", "True", "Registered", ""),
                ("Initialized", "Unknown", "StartupTaintsExist", 'StartupTaint "example.com/x:NoExecute" still exists'),
            ),
            "MachineNotJoined",
            "startup taint",
        ),
        (
            claim(kind="Machine", group="machine.openshift.io", phase="Failed", errorReason="InvalidConfiguration",
                  errorMessage="launching: InvalidAMIID.NotFound: The image id ami-1 does not exist"),
            "MachineNotLaunched",
            "does not exist: subnet, security group or image",
        ),
    ],
)  # fmt: skip
def test_the_first_step_that_is_not_done_names_the_cause(order, cause, says):
    found = told(order).diagnoses[0]
    assert found.cause == cause
    assert says in said(found.findings[0])
    assert "{" not in said(found.findings[0])


def test_a_claim_that_is_done_and_one_of_another_group_are_no_fault():
    done = claim(LAUNCHED, ("Registered", "True", "", ""), ("Initialized", "True", "", ""))
    other = claim(("Launched", "False", "X", ""), group="example.com")
    assert [d.cause for d in told(done, other, nodes=[node("n1")]).diagnoses if not d.healthy] == []


def autoscaler(log: str) -> Any:
    snapshot = world([], [], pods=[])
    snapshot.source = "dump"
    pod = {
        "metadata": {"name": "cluster-autoscaler-1", "namespace": "kube-system", "uid": "a"},
        "spec": {"containers": [{"name": "cluster-autoscaler"}]},
    }
    snapshot.add_list(List("pods"), [pod])
    snapshot.add_log(Log("kube-system", "cluster-autoscaler-1", "cluster-autoscaler"), log)
    return [f for d in triage(snapshot).diagnoses for f in d.findings if f.cause == "MachineNotLaunched"]


REFUSED = (
    "W0512 14:03:20.551120 1 clusterstate.go:286] Disabling scale-up for node group gpu until 14:08:20;"
    " errorClass=OutOfResource; errorCode=placeholder-cannot-be-fulfilled\n"
)


def test_what_an_autoscaler_does_not_know_is_not_called_a_lack_of_capacity():
    (found,) = autoscaler(REFUSED)
    assert "why, this line does not tell" in found.message
    assert "no free machine" not in said(found)


def test_the_clouds_own_words_beside_it_tell():
    (found,) = autoscaler(
        REFUSED + "We currently do not have sufficient g5.xlarge capacity in the zone you requested\n"
    )
    assert "node group gpu: the cloud has no free machine" in found.message


def test_a_quiet_autoscaler_and_a_horizontal_one_are_no_fault():
    assert autoscaler("I0512 14:02:11.118842 1 scale_up.go:291] Final scale-up plan: [{gpu 0->1 (max: 4)}]\n") == []
