"""Machines that do not get in: without a Node, held up by a webhook, of a newer release, or with words nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.needs import Failure, List, Why
from support.nodes import LEADERS, lease, lost, node, taint, triage, world

OTHERS = [node(f"w{i}") for i in range(3)]
BEATS = [lease(f"w{i}", -5) for i in range(3)]


def journal(row: str, host: str = "n1", unit: str = "kubelet[812]") -> str:
    return f"Nov 24 11:59:01 {host} {unit}: {row}\n"


def klog(words: str, level: str = "E") -> str:
    return journal(f"{level}1124 11:59:01.123456     812 file.go:1] {words}")


def told(log: str, raw: dict[str, Any] | None = None, hooks: tuple[Any, ...] = ()) -> Any:
    snapshot = world([raw or lost(since=-152), *OTHERS], [lease("n1", -152, rv=10), *BEATS, *LEADERS], pods=[])
    snapshot.add_list(List("validatingwebhookconfigurations"), list(hooks))
    snapshot.add_node_log("n1", "journal", log)
    return triage(snapshot, "n1").diagnoses[0]


def words(finding: Any) -> str:
    commands = [str(c) for f in finding.fix for c in f.commands]
    return " ".join([finding.message, *(f.text for f in finding.fix), *commands])


def test_a_machine_with_a_log_and_no_node_is_judged_by_its_log() -> None:
    snapshot = world(OTHERS, [*BEATS, *LEADERS], pods=[])
    snapshot.add_node_log("new", "journal", klog('"Unable to register node with API server" err="Unauthorized"'))
    asked = triage(snapshot, "new")
    assert not asked.errors
    assert asked.diagnoses[0].cause == "KubeletUnauthorized"
    assert "never joined" in asked.diagnoses[0].not_seen[0].why
    assert [d.target.name for d in triage(snapshot).diagnoses] == ["new"]


def test_a_node_that_is_not_there_and_has_no_log_is_not_found() -> None:
    assert triage(world(OTHERS, [*BEATS, *LEADERS], pods=[]), "new").errors


HOOK = {"metadata": {"name": "guard"}, "webhooks": [{"name": "other.io"}, {"name": "check.guard.io"}]}
CALL = 'failed calling webhook \\"check.guard.io\\": failed to call webhook: Post \\"https://guard.guard.svc:443/v\\": '


@pytest.mark.parametrize(
    "row",
    [
        f'"Failed to update lease" err="Internal error occurred: {CALL}context deadline exceeded"',
        f'"Unable to register node with API server" err="Internal error occurred: {CALL}connection refused" node="n1"',
        f'"Error updating node status, will retry" err="error patching node status: {CALL}no endpoints available"',
    ],
)
def test_a_webhook_that_a_lease_must_pass_is_named_with_its_configuration(row: str) -> None:
    finding = told(klog(row), hooks=(HOOK,)).findings[0]
    assert finding.cause == "WebhookBlocking"
    assert "service guard/guard" in words(finding)
    assert "patch validatingwebhookconfiguration guard" in words(finding)
    assert "/webhooks/1/failurePolicy" in words(finding)


def test_a_webhook_that_says_no_to_a_node_is_given_exceptions() -> None:
    row = '"Unable to register node" err="admission webhook \\"check.guard.io\\" denied the request: no owner label"'
    finding = told(klog(row), hooks=(HOOK,)).findings[0]
    assert finding.cause == "WebhookBlocking"
    assert "system:nodes" in words(finding)
    assert "failurePolicy" not in words(finding)


def test_a_webhook_that_stops_a_pod_stops_no_kubelet() -> None:
    row = f'"Error syncing pod" err="Internal error occurred: {CALL}timeout" pod="a/b"'
    assert "WebhookBlocking" not in [f.cause for f in told(klog(row)).findings]


def test_a_kubelet_that_ends_for_a_reason_of_its_own_is_quoted() -> None:
    found = told(klog('"command failed" err="failed to run Kubelet: could not detect clock speed from output"'))
    assert [f.cause for f in found.findings] == ["KubeletErrors"]
    assert "could not detect clock speed" in words(found.findings[0])
    assert "Do not force-delete" in words(found.findings[0])


@pytest.mark.parametrize("row", ["volume stats failed for vol-7f: bad magic", "sandbox 3fa9c11e: odd state 17"])
def test_an_error_that_a_log_repeats_is_told_beside_a_lost_contact(row: str) -> None:
    finding = told(klog(row) * 3 + klog('"Error syncing pod, skipping"') * 9).findings[0]
    assert finding.cause == "KubeletUnreachable"
    assert f"Its own log repeats: {row}" in finding.message


def test_what_follows_from_something_else_is_not_told() -> None:
    finding = told(klog('"Error syncing pod, skipping" err="back-off 5m0s"') * 9).findings[0]
    assert "Its own log" not in finding.message


NEWER = (
    "[container runtime status check may not have completed yet, failed to initialize CSINode: error updating CSINode"
    " annotation: timed out; caused by: the server could not find the requested resource]"
)


def test_a_kubelet_newer_than_its_api_server_is_no_runtime_that_is_down() -> None:
    found = triage(world([node("n1", ready=("False", "KubeletNotReady", NEWER)), *OTHERS], [lease("n1", -5)]), "n1")
    finding = found.diagnoses[0].findings[0]
    assert finding.cause == "KubeletNotReady"
    assert "must not be newer than its API server" in words(finding)
    assert "restart containerd" not in words(finding)


def test_a_runtime_that_was_never_asked_is_still_down_by_itself() -> None:
    first = "container runtime status check may not have completed yet"
    found = triage(world([node("n1", ready=("False", "KubeletNotReady", first)), *OTHERS], [lease("n1", -5)]), "n1")
    assert found.diagnoses[0].cause == "ContainerRuntimeDown"


def test_the_placeholder_of_kops_is_no_dead_machine() -> None:
    row = '"Failed to update lease" err="Put \\"https://api.internal.x/\\": dial tcp 203.0.113.123:443: i/o timeout"'
    assert "dns-controller" in words(told(klog(row)).findings[0])


def test_an_edge_node_is_led_to_its_own_agent() -> None:
    raw = lost(since=-152)
    raw["status"]["nodeInfo"]["kubeletVersion"] = "v1.28.6-kubeedge-v1.17.0"
    row = klog("Init websocket connection failed websocket connect failed, error: x509: certificate has expired")
    finding = told(row.replace("kubelet[", "edgecore["), raw).findings[0]
    assert finding.cause == "ApiServerCertificateInvalid"
    assert "rollout restart deployment/cloudcore" in words(finding)
    plain = told("", raw).findings[0]
    assert "journalctl -u edgecore" in words(plain)


def test_a_controller_that_was_not_looked_for_is_not_installed() -> None:
    raw = node("n1", taints=[taint("karpenter.sh/unregistered", "NoExecute", -900)])
    snapshot = world(
        [raw, *OTHERS], [lease("n1", -5), *BEATS, *LEADERS], failures={List("pods"): Failure(Why.FORBIDDEN)}
    )
    finding = triage(snapshot, "n1").diagnoses[0].findings[0]
    assert finding.cause == "NodeUninitialized"
    assert "Install Karpenter" not in words(finding)
    assert "describe nodeclaims" in words(finding)


def test_kernel_parameters_that_a_kubelet_wants_are_set_by_name() -> None:
    row = (
        '"Failed to start ContainerManager" err="[invalid kernel flag: vm/overcommit_memory, expected value: 1, actual'
        ' value: 0, invalid kernel flag: kernel/panic, expected value: 10, actual value: 0]"'
    )
    finding = told(klog(row)).findings[0]
    assert finding.cause == "KubeletConfigInvalid"
    assert "sysctl -w vm.overcommit_memory=1 kernel.panic=10" in words(finding)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("exec: executable aws-iam-authenticator not found", "Install aws-iam-authenticator"),
        ("exec: executable /usr/bin/ecr failed with exit code 254", "by hand"),
    ],
)
def test_a_kubelet_without_its_credential_plugin_cannot_log_in(error: str, says: str) -> None:
    finding = told(klog(f'"Failed to update lease" err="Put \\"https://x/\\": getting credentials: {error}"')).findings[
        0
    ]
    assert finding.cause == "KubeletUnauthorized"
    assert says in words(finding)


def test_a_busy_api_server_is_no_kubelet_that_is_down() -> None:
    row = '"Failed to update lease" err="the server has received too many requests and has asked us to try again later"'
    finding = told(klog(row)).findings[0]
    assert finding.cause == "ApiServerOverloaded"
    assert "plane-trace" in words(finding)


CNI = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message: cni plugin"


@pytest.mark.parametrize(
    ("row", "heard"),
    [
        ("flannel exited: failed to create interface flannel-wg: operation not supported", True),
        ("disk quota of the printer is odd", False),
    ],
)
def test_a_network_plugin_inside_the_agent_is_heard_in_its_journal(row: str, heard: bool) -> None:
    raw = node("n1", ready=("False", "KubeletNotReady", CNI))
    raw["status"]["nodeInfo"]["kubeletVersion"] = "v1.30.4+k3s1"
    snapshot = world([raw, *OTHERS], [lease("n1", -5), *BEATS], failures={List("pods"): Failure(Why.FORBIDDEN)})
    snapshot.add_node_log("n1", "journal", journal(f'time="2026-11-24T11:59:01Z" level=error msg="{row}"', unit="k3s"))
    finding = triage(snapshot, "n1").diagnoses[0].findings[0]
    assert finding.cause == "NetworkPluginNotReady"
    assert (row in finding.message) is heard
    assert "grep -i flannel" in words(finding)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.", "failed (Xid 79)"),
        ("NVRM: Xid (PCI:0000:3b:00): 48, pid=1, Double Bit ECC Error", "memory of a GPU"),
    ],
)
def test_a_gpu_that_failed_is_told_by_its_number(row: str, says: str) -> None:
    finding = told(journal(row, unit="kernel")).findings[0]
    assert finding.cause == "HardwareError"
    assert says in words(finding)


def test_an_error_of_a_program_on_a_gpu_is_no_hardware() -> None:
    row = "NVRM: Xid (PCI:0000:3b:00): 31, pid=1, MMU Fault"
    assert "HardwareError" not in [f.cause for f in told(journal(row, unit="kernel")).findings]


@pytest.mark.parametrize(
    ("row", "about"),
    [
        ('"Failed to connect to proxy" error="dial tcp 10.5.5.5:6443: connect: no route to host"', "10.5.5.5:6443"),
        ("failed to get CA certs: Get https://10.5.5.5:6443/cacerts: context deadline exceeded", "10.5.5.5:6443"),
    ],
)
def test_an_agent_of_k3s_that_does_not_reach_its_server(row: str, about: str) -> None:
    finding = told(journal(f'time="2026-11-24T11:59:01Z" level=error msg={row}', unit="k3s")).findings[0]
    assert finding.cause == "ApiServerUnreachable"
    assert about in finding.message


def test_the_address_behind_the_agents_own_balancer_is_kept() -> None:
    far = 'level=error msg="Failed to connect to proxy" error="dial tcp 10.5.5.5:6443: connect: no route to host"'
    near = "level=error msg=failed to get CA certs: Get https://127.0.0.1:6444/cacerts: context deadline exceeded"
    log = "".join(journal(f'time="2026-11-24T11:59:01Z" {row}', unit="k3s") for row in (far, near))
    assert "10.5.5.5:6443" in told(log).findings[0].message
