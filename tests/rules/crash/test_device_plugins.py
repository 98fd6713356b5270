"""Devices that no node reports: the chain to the plugin's pods and to their cause."""

import pytest

from kubetriage.needs import List
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from support.objects import (
    advised,
    at,
    back_off,
    cluster,
    container,
    crash_findings,
    obj,
    pod,
    running,
    status,
    terminated,
)


def waits(resource="nvidia.com/gpu"):
    message = f"0/2 nodes are available: 2 Insufficient {resource}. preemption: 0/2 nodes are available."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    asked = container(resources={"requests": {resource: "1"}, "limits": {resource: "1"}})
    return pod(containers=[asked], node="", phase="Pending", conditions=[{**condition, "lastTransitionTime": at(-60)}])


def plugin(name, namespace="kube-system", node="gpu-1", well=False):
    state = {"statuses": [status(state=back_off(pod=name), last=terminated(1, "Error", -30, -20))]}
    if well:
        state = {"statuses": [status(state=running(-900), ready=True)], "ready": True}
    return pod(name, namespace=namespace, node=node, **state)


def node(name="gpu-1", **allocatable):
    return obj("Node", name, spec={}, status={"allocatable": {"cpu": "8", "pods": "110", **allocatable}})


@pytest.mark.parametrize(
    ("resource", "name", "namespace"),
    [
        ("nvidia.com/gpu", "nvidia-device-plugin-daemonset-vwxgt", "gpu-operator"),
        ("amd.com/gpu", "amdgpu-dp-ds-abcde", "kube-system"),
        ("gpu.intel.com/i915", "intel-gpu-plugin-abcde", "kube-system"),
        ("devices.kubevirt.io/kvm", "virt-handler-abcde", "kubevirt"),
    ],
)
def test_leads_to_the_plugin_that_does_not_work(resource, name, namespace):
    (found,) = crash_findings(waits(resource), plugin(name, namespace), node())
    assert found.cause == "UnschedulableResources"
    assert found.details["root"]["name"] == name
    assert name in found.message
    assert f"{namespace}/{name}" in advised(found)


def test_a_plugin_that_runs_and_a_device_that_is_taken_are_none():
    (found,) = crash_findings(waits(), plugin("nvidia-device-plugin-x", well=True), node())
    assert "root" not in found.details
    (found,) = crash_findings(waits(), plugin("nvidia-device-plugin-x"), node(**{"nvidia.com/gpu": "1"}))
    assert "root" not in found.details


def test_reads_the_plugins_pods():
    made = cluster(waits(), node())
    assert List("pods", "gpu-operator") in list(evaluation.pod_needs(made, Pod(waits())))


def test_a_pod_that_the_kubelet_refused_for_a_device():
    message = (
        "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. Requested: 1, Available: 0"
    )
    target = pod(phase="Failed", node="gpu-1", more_status={"reason": "UnexpectedAdmissionError", "message": message})
    (found,) = crash_findings(target, plugin("nvidia-device-plugin-x"), plugin("nvidia-device-plugin-y", node="gpu-2"))
    assert found.details["root"]["name"] == "nvidia-device-plugin-x"
    assert "Then delete the Failed pod" in advised(found)
    (found,) = crash_findings(target, plugin("nvidia-device-plugin-y", node="gpu-2"))
    assert "root" not in found.details
