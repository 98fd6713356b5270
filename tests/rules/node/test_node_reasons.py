"""What explains a node's state beyond the node itself: CSRs, network plugins, controllers, agents, image collection."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from kubetriage.found import Listing
from kubetriage.needs import List, Log
from kubetriage.plugins import Request, load
from kubetriage.readers.events import Events
from kubetriage.rules.machine import machine_of
from kubetriage.rules.node.image_garbage import collected
from kubetriage.snapshot import Snapshot
from support.nodes import LEADERS, LOST, condition, lease, lost, node, pod, taint, triage, world
from support.objects import at

OTHERS = [node(f"w{i}") for i in range(4)]
BEATS = [lease(f"w{i}", -5) for i in range(4)]
CNI = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not"
    " initialized"
)
OLD_CNI = "runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni config uninitialized"


def beside(raw: dict[str, Any], renewed: float | None = -6, **rest: Any) -> Snapshot:
    own = [] if renewed is None else [lease("n1", renewed, rv=10 if renewed < -60 else None)]
    return world([raw, *OTHERS], [*own, *BEATS, *LEADERS], **rest)


def first(snapshot: Snapshot) -> Any:
    return triage(snapshot, "n1").diagnoses[0].findings[0]


def text_of(finding: Any) -> str:
    return " ".join([finding.message, *(f.text for f in finding.fix), *(c for f in finding.fix for c in f.commands)])


# CSRs


def request(name: str, user: str, signer: str = "kubernetes.io/kube-apiserver-client-kubelet", **status: Any) -> Any:
    spec = {"signerName": signer, "username": user, "request": ""}
    return {"metadata": {"name": name, "creationTimestamp": at(-100)}, "spec": spec, "status": status}


def with_requests(*requests: Any) -> Snapshot:
    snapshot = beside(lost(since=-152), -152)
    snapshot.add_list(List("certificatesigningrequests"), requests)
    return snapshot


@pytest.mark.parametrize(
    "user",
    [
        "system:serviceaccount:openshift-machine-config-operator:node-bootstrapper",
        "system:bootstrap:abcdef",
        "system:node:n1",
    ],
)
def test_a_pending_request_of_a_silent_node_is_to_be_approved(user):
    got = first(with_requests(request("csr-1", user)))
    assert "kubectl certificate approve csr-1" in text_of(got)
    assert any("csr-1" in e.at for e in got.evidence)


def test_requests_of_another_node_and_for_serving_certificates_are_no_reason():
    other = request("csr-1", "system:node:w1")
    serving = request("csr-2", "system:node:n1", "kubernetes.io/kubelet-serving")
    assert "csr" not in text_of(first(with_requests(other, serving))).replace("get csr", "")


def test_denied_and_unissued_requests_have_their_own_advice():
    denied = request("csr-1", "system:node:n1", conditions=[{"type": "Denied", "status": "True"}])
    assert "denied" in text_of(first(with_requests(denied)))
    stuck = request("csr-2", "system:node:n1", conditions=[{"type": "Approved", "status": "True"}])
    assert "signer" in text_of(first(with_requests(stuck)))


def test_a_ready_node_without_serving_certificate_is_told():
    snapshot = beside(node())
    pending = request("csr-9", "system:node:n1", "kubernetes.io/kubelet-serving")
    snapshot.add_list(List("certificatesigningrequests"), [pending])
    got = first(snapshot)
    assert (got.cause, got.severity.value) == ("ServingCertificatePending", "warning")
    assert "kubectl certificate approve csr-9" in text_of(got)


@pytest.mark.parametrize(
    ("user", "status"),
    [("system:node:w1", {}), ("system:node:n1", {"certificate": "LS0t", "conditions": [{"type": "Approved"}]})],
)
def test_issued_requests_and_those_of_others_are_none(user, status):
    snapshot = beside(node())
    seen = request("csr-9", user, "kubernetes.io/kubelet-serving", **status)
    snapshot.add_list(List("certificatesigningrequests"), [seen])
    assert not triage(snapshot, "n1").diagnoses[0].findings


def test_the_subject_of_a_request_names_its_node():
    inner = base64.b64encode(b"\x30\x12system:nodes\x0c\x0esystem:node:n1")
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + inner + b"\n-----END CERTIFICATE REQUEST-----\n"
    raw = request("csr-1", "system:bootstrap:abcdef")
    raw["spec"]["request"] = base64.b64encode(pem).decode()
    assert any("for n1" in e.value for e in first(with_requests(raw)).evidence)


# Network plugins


def unready(message: str) -> Any:
    return node(ready=("False", "KubeletNotReady", message), changed=-600)


CRIO = "no CNI configuration file in /etc/kubernetes/cni/net.d/. Has your network provider started?"


@pytest.mark.parametrize("message", [CNI, OLD_CNI, CRIO])
def test_no_network_plugin_at_all_is_to_be_installed(message):
    snapshot = beside(unready(message))
    snapshot.add_list(List("daemonsets"), [])
    got = first(snapshot)
    assert got.cause == "NetworkPluginNotReady"
    assert "No network plugin is installed" in got.message
    assert "Install one network plugin" in got.fix[0].text


def failed_create(name: str, message: str) -> Any:
    about = {"kind": "DaemonSet", "name": name, "namespace": "kube-system"}
    meta = {"name": f"{name}.1", "namespace": "kube-system"}
    return {"metadata": meta, "involvedObject": about, "reason": "FailedCreate", "message": message, "type": "Warning",
            "count": 9, "firstTimestamp": at(-900), "lastTimestamp": at(-30)}  # fmt: skip


def test_a_daemon_set_that_may_not_create_its_pods_names_the_webhook():
    words = 'Error creating: Internal error occurred: failed calling webhook "m.acme.io": no endpoints available'
    got = first(beside(unready(CNI), events=[failed_create("calico-node", words)]))
    assert "DaemonSet kube-system/calico-node cannot create its pods: webhook m.acme.io" in got.message
    assert "failurePolicy Ignore of m.acme.io" in got.fix[0].text
    quota = first(beside(unready(CNI), events=[failed_create("aws-node", "Error creating: exceeded quota")]))
    assert "the API server refuses them" in quota.message


def test_another_daemon_set_that_may_not_create_pods_is_no_network_plugin():
    got = first(beside(unready(CNI), events=[failed_create("log-agent", "Error creating: exceeded quota")]))
    assert "log-agent" not in got.message


def test_a_plugins_pod_that_runs_leaves_the_files_of_the_node():
    agent = pod("cilium-abcde", "n1", owner=("DaemonSet", "cilium"), namespace="kube-system")
    agent["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    got = first(beside(unready(CNI), pods=[agent]))
    assert "configuration or binaries are missing" in got.message
    assert "/opt/cni/bin" in text_of(got)


# Taints that a controller must remove

UNINITIALIZED = taint("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule", -600, "true")


def waiting(log: str = "", *, with_pod: bool = True) -> Snapshot:
    manager = pod("acme-cloud-controller-manager-x", "w1", owner=("DaemonSet", "ccm"), namespace="kube-system")
    manager["spec"]["containers"] = [{"name": "c"}]
    snapshot = beside(node(taints=[UNINITIALIZED]), pods=[manager] if with_pod else [])
    if log:
        snapshot.add_log(Log("kube-system", "acme-cloud-controller-manager-x", "c"), log)
    return snapshot


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (
            "E0415 07:22:07.787597 1 n.go:215] error syncing 'n1': Authentication failed, requeuing",
            "Mend the credentials",
        ),
        ("E0415 07:22:07.787597 1 n.go:215] n1: UnauthorizedOperation: You are not authorized", "Give "),
        ("E0415 07:22:07.787597 1 n.go:215] n1: instance not found", "Let the Node's name be the instance's name"),
        ("E0415 07:22:07.787597 1 n.go:215] n1: dial tcp 10.0.0.1:443: i/o timeout", "Open the way"),
    ],
)
def test_the_controllers_own_words_choose_the_fix(words, fix):
    got = first(waiting(words))
    assert got.cause == "NodeUninitialized"
    assert got.fix[0].text.startswith(fix)
    assert words.split("] ")[1] in got.message


def test_without_a_controller_it_is_to_be_installed():
    assert "Install" in first(waiting(with_pod=False)).fix[0].text


def test_nobody_is_told_to_take_the_taint_off():
    assert "kubectl taint" not in text_of(first(waiting()))


@pytest.mark.parametrize(
    "key", ["node.cilium.io/agent-not-ready", "karpenter.sh/unregistered", "ebs.csi.aws.com/agent-not-ready"]
)
def test_taints_of_other_controllers(key):
    got = first(beside(node(taints=[taint(key, "NoExecute", -600)])))
    assert (got.cause, got.details["taint"]) == ("NodeUninitialized", key)


def test_a_node_that_just_joined_and_a_role_are_no_trouble():
    young = first(beside(node(taints=[{**UNINITIALIZED, "timeAdded": at(-20)}])))
    assert young.severity.value == "note"
    role = taint("node-role.kubernetes.io/control-plane", "NoSchedule")
    assert not triage(beside(node(taints=[role])), "n1").diagnoses[0].findings


# Agents against the kubelet's own word

ALARM = condition(
    "ContainerRuntimeUnhealthy", "True", "ContainerdUnhealthy", "containerd was found unhealthy", beat=-20
)


def test_an_alarm_that_a_ready_kubelet_contradicts_is_about_the_agent():
    detector = pod("node-problem-detector-x", owner=("DaemonSet", "npd"), namespace="kube-system")
    snapshot = beside(node(conditions=[ALARM]), pods=[detector])
    got = first(snapshot)
    assert got.confidence.value == "possible"
    assert "kubectl drain" not in text_of(got)
    assert "Mend the agent" in got.fix[0].text


def test_without_a_fresh_lease_the_alarm_stands():
    alarmed = triage(beside(lost(since=-152, conditions=[ALARM]), -152), "n1").diagnoses[0].findings
    stands = next(f for f in alarmed if f.cause == "ContainerRuntimeUnhealthy")
    assert "Mend the agent" not in text_of(stands)


def test_a_heartbeat_ahead_of_the_clock_is_now():
    ahead = condition("KernelDeadlock", "True", "DockerHung", "task hung", beat=30)
    shown = [e.value for e in first(beside(node(conditions=[ahead]))).evidence]
    assert "stamped just now" in shown


# Image collection


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("failed to garbage collect required amount of images. Wanted to free 15152714547 bytes, but freed 0 bytes", 0),
        (
            "Failed to garbage collect required amount of images. Attempted to free 9000 bytes, but only found 8000"
            " bytes eligible to free.",
            8000,
        ),
        ("something else", None),
    ],
)
def test_both_wordings_of_image_collection(words, found):
    raw = {"reason": "FreeDiskSpaceFailed", "message": words, "lastTimestamp": at(-60), "metadata": {"name": "e"}}
    got = collected(Events.of(Listing((raw,), True)))
    assert (got.found if got else None) == found


def test_images_are_told_only_where_they_fill_the_disk():
    pressed = node(
        conditions=[condition("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure")]
    )
    about = {"kind": "Node", "name": "n1"}
    words = "Wanted to free 15152714547 bytes, but freed 0 bytes"
    raw = {"metadata": {"name": "n1.1", "namespace": "default"}, "involvedObject": about, "reason": "ImageGCFailed",
           "message": words, "type": "Warning", "firstTimestamp": at(-60), "lastTimestamp": at(-60)}  # fmt: skip
    got = first(beside(pressed, events=[raw]))
    assert "unused images are not what fills the disk" in got.message


# Silence, machines, sight


def test_silence_without_a_lease_is_counted_from_the_last_posted_status():
    old = lost(since=-152)
    for c in old["status"]["conditions"]:
        c["lastHeartbeatTime"] = at(-37 * 86400)
    got = first(beside(old, None))
    assert "37d" in got.message


def test_machines_of_an_autoscaler_may_be_gone():
    gone = lost(since=-152, labels={"karpenter.sh/nodepool": "spot"}, providerID="aws:///eu-west-1a/i-0abc")
    words = text_of(first(beside(gone, -152)))
    assert "kubectl get nodeclaims" in words
    assert "aws ec2 describe-instances --instance-ids i-0abc" in words


@pytest.mark.parametrize(
    ("info", "labels", "name", "line"),
    [
        ({"osImage": "Talos (v1.9.0)"}, {}, "talos", "talosctl -n 10.0.0.1 logs kubelet"),
        ({"osImage": "Bottlerocket OS 1.20"}, {}, "bottlerocket", "sheltie journalctl -u kubelet"),
        ({"kubeletVersion": "v1.31.1+k3s1"}, {}, "k3s", "journalctl -u k3s-agent"),
        (
            {"kubeletVersion": "v1.31.1+k3s1"},
            {"node-role.kubernetes.io/control-plane": ""},
            "k3s",
            "journalctl -u k3s ",
        ),
        ({"kubeletVersion": "v1.31.1+rke2r1"}, {}, "rke2", "journalctl -u rke2-agent"),
        ({"kubeletVersion": "v1.31.1+k0s"}, {}, "k0s", "journalctl -u k0sworker"),
        ({"operatingSystem": "windows"}, {}, "windows", "Get-Content"),
        ({}, {"node.openshift.io/os_id": "rhcos"}, "openshift", "oc adm node-logs n1 -u kubelet"),
        ({"kubeletVersion": "v1.31.1-eks-a1b2c3"}, {}, "eks", "journalctl -u kubelet"),
        ({}, {"kubernetes.azure.com/cluster": "x"}, "aks", "journalctl -u kubelet"),
        ({}, {"microk8s.io/cluster": "true"}, "microk8s", "snap.microk8s.daemon-kubelite"),
        ({"osImage": "Debian GNU/Linux 12"}, {}, "", "journalctl -u kubelet"),
    ],
)
def test_commands_are_those_of_the_distribution(info, labels, name, line):
    raw = node(labels=labels)
    raw["status"]["nodeInfo"] |= info
    machine = machine_of(raw)
    assert machine.name == name
    assert any(line in command for command in machine.lines("kubelet log"))


def test_every_distribution_has_every_task():
    from kubetriage.data import table

    content = table("distributions")
    tasks = set(content["tools"]["systemd"])
    for name, tools in content["tools"].items():
        assert tasks <= set(tools), name
    for row in content["distributions"]:
        assert row["tools"] in content["tools"]
        assert {"kubelet", "kubeconfig", "client_certificate", "etcd_data", "certificates"} <= set(row)


def test_commands_of_another_system_stand_nowhere_in_the_answer_about_talos():
    raw = node(ready=("False", "KubeletNotReady", "container runtime is down"), changed=-600)
    raw["status"]["nodeInfo"]["osImage"] = "Talos (v1.9.0)"
    snapshot = beside(raw)
    told = json.dumps(triage(snapshot, "n1").diagnoses[0], default=lambda o: getattr(o, "__dict__", str(o)))
    assert "talosctl" in told
    assert "systemctl" not in told
    assert "sudo" not in told


def test_a_scan_without_leases_is_no_all_clear():
    snapshot = world([node("n1"), *OTHERS], [])
    dump = Snapshot(snapshot.now, source="dump")
    dump.add_list(List("nodes"), snapshot.list("nodes").items)
    answer = load("node-triage").diagnose(dump, Request())
    assert any(gap.decides and "Leases of 5 of 5 nodes" in gap.what for gap in answer.not_seen)
    named = triage(dump, "n1").diagnoses[0]
    assert (named.cause, named.healthy) == ("Unknown", False)


def test_a_lost_node_stays_a_finding_without_leases():
    dump = Snapshot(beside(node()).now, source="dump")
    dump.add_list(List("nodes"), [node("n1", LOST, changed=-300), *OTHERS])
    assert triage(dump, "n1").diagnoses[0].cause == "KubeletUnreachable"


ROUTES = condition("NetworkUnavailable", "True", "NoRouteCreated", "RouteController failed to create a route", beat=-20)


def test_the_condition_of_a_taint_speaks_before_the_taint():
    closed = taint("node.kubernetes.io/network-unavailable", "NoSchedule", -600)
    got = first(beside(node(taints=[closed], conditions=[ROUTES])))
    assert (got.cause, got.severity.value) == ("NetworkUnavailable", "error")
    assert first(beside(node(conditions=[ROUTES]))).severity.value == "warning"


def test_announced_work_of_the_cloud_is_no_damage():
    freeze = condition("VMEventScheduled", "True", "VMEventScheduled", "Freeze Scheduled: 12:05", beat=-20)
    got = first(beside(node(conditions=[freeze])))
    assert "The cloud announces work" in got.fix[0].text


def test_a_machine_that_is_silent_for_hours_may_not_exist():
    old = lost(since=-7200, providerID="aws:///eu-west-1a/i-0abc")
    assert "still exists" in first(beside(old, -7200)).fix[0].text
    young = lost(since=-152, providerID="aws:///eu-west-1a/i-0abc")
    assert "still exists" not in first(beside(young, -152)).fix[0].text


def test_an_alarm_that_nobody_stamps_any_more_may_be_left_over():
    old = condition("KernelDeadlock", "True", "DockerHung", "task hung", beat=-86400)
    got = first(beside(node(conditions=[old])))
    assert (got.severity.value, got.confidence.value) == ("note", "possible")
    assert "left over from an agent that is gone" in got.message
    stamped = condition("KernelDeadlock", "True", "DockerHung", "task hung", beat=-60)
    assert first(beside(node(conditions=[stamped]))).severity.value == "warning"
