"""Taints that a controller takes off: the chain to its pods, and no advice to tolerate them."""

import pytest

from kubetriage.data import table
from kubetriage.model import Actor
from kubetriage.needs import List
from kubetriage.readers.pods import Pod
from kubetriage.readers.taint_controllers import controller_of_taint
from kubetriage.rules.crash import evaluation
from support.objects import advised, back_off, cluster, crash_findings, obj, pod, running, status, terminated
from support.objects import at as time

CLOUD = "node.cloudprovider.kubernetes.io/uninitialized"
CILIUM = "node.cilium.io/agent-not-ready"


def waits(why="3 node(s) had untolerated taint(s)"):
    message = f"0/3 nodes are available: {why}. preemption: 0/3 nodes are available."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(node="", phase="Pending", conditions=[{**condition, "lastTransitionTime": time(-60)}])


def nodes(*taints, names=("n1", "n2", "n3")):
    given = [{"key": key, "effect": "NoSchedule"} for key in taints]
    return [obj("Node", n, spec={"taints": given}, status={"allocatable": {"cpu": "4", "pods": "110"}}) for n in names]


def controller(name, node="n1", labels=None, **more):
    state = {"statuses": [status(state=back_off(pod=name), last=terminated(1, "Error", -30, -20), restarts=9)]}
    if more.pop("well", False):
        state = {"statuses": [status(state=running(-900), ready=True)], "ready": True}
    return pod(name, namespace="kube-system", node=node, labels=labels or {"app": name}, **state, **more)


@pytest.mark.parametrize(
    ("taint", "owner"),
    [
        (CLOUD, controller("openstack-cloud-controller-manager-8tq4z")),
        (CLOUD, controller("ccm-0", labels={"app": "hcloud-cloud-controller-manager"})),
        (CILIUM, controller("cilium-x7k2p", labels={"k8s-app": "cilium"})),
        ("ebs.csi.aws.com/agent-not-ready", controller("ebs-csi-node-abcde")),
        ("node.kubernetes.io/network-unavailable", controller("calico-node-abcde")),
        ("karpenter.sh/unregistered", controller("karpenter-5f6d-abcde")),
        ("disk.csi.azure.com/agent-not-ready", controller("csi-azuredisk-node-abcde")),
    ],
)
def test_leads_to_the_cause_of_the_controllers_pod(taint, owner):
    (found,) = crash_findings(waits(), owner, *nodes(taint))
    assert found.cause == "UnschedulableTaint"
    root = found.details["root"]
    assert (root["kind"], root["name"], root["cause"]) == ("Pod", owner["metadata"]["name"], "AppError")
    assert owner["metadata"]["name"] in found.message.split(". ")[0]
    assert "tolerations" not in advised(found)
    assert "kubectl taint" not in advised(found)


def test_reads_the_controllers_pods_and_what_tells_why_they_fail():
    owner = controller("openstack-cloud-controller-manager-8tq4z")
    made = cluster(waits(), owner, *nodes(CLOUD))
    asked = list(evaluation.pod_needs(made, Pod(waits())))
    assert List("pods", "kube-system") in asked
    assert List("events", "kube-system", fields=f"involvedObject.uid={owner['metadata']['uid']}") in asked


def test_an_agent_counts_on_the_nodes_that_wait_for_it():
    there, elsewhere = controller("cilium-aaaaa", "n1"), controller("cilium-bbbbb", "n9")
    (found,) = crash_findings(waits(), elsewhere, there, *nodes(CILIUM))
    assert found.details["root"]["name"] == "cilium-aaaaa"


def test_a_controller_that_runs_is_asked_by_its_log():
    owner = controller("openstack-cloud-controller-manager-8tq4z", well=True)
    (found,) = crash_findings(waits(), owner, *nodes(CLOUD))
    assert "root" not in found.details
    assert "kubectl -n kube-system logs openstack-cloud-controller-manager-8tq4z" in advised(found)
    assert found.fix[0].actor is Actor.CLUSTER


def test_a_controller_without_pods_is_missing_only_where_that_was_read():
    (found,) = crash_findings(waits(), *nodes(CLOUD))
    assert "No pod of it runs in namespace kube-system" in found.message
    (found,) = crash_findings(waits(), *nodes(CLOUD), denied=["pods"])
    assert "Its pods were not seen" in found.message


def test_a_taint_by_the_schedulers_words_alone():
    (found,) = crash_findings(waits("3 node(s) had untolerated taint {" + CLOUD + ": true}"), denied=["nodes"])
    assert "cloud controller manager" in found.message
    assert "tolerations" not in advised(found)


@pytest.mark.parametrize("taint", ["dedicated", "nvidia.com/gpu", "kubernetes.azure.com/scalesetpriority"])
def test_nodes_that_are_reserved_are_tolerated(taint):
    (found,) = crash_findings(waits(), controller("cilium-aaaaa"), *nodes(taint))
    assert "Tolerate" in advised(found)
    assert controller_of_taint(taint) is None


def test_a_second_taint_of_the_owner_decides_when_no_node_is_freed():
    (found,) = crash_findings(waits(), controller("cilium-aaaaa"), *nodes("dedicated", CILIUM))
    assert "root" not in found.details


@pytest.mark.parametrize(
    ("taint", "word"),
    [
        ("node.kubernetes.io/out-of-service", "declared the node dead"),
        ("ToBeDeletedByClusterAutoscaler", "being removed"),
        ("karpenter.sh/disrupted", "NodeClaims"),
    ],
)
def test_nodes_that_go_away_are_not_waited_for(taint, word):
    (found,) = crash_findings(waits(), *nodes(taint))
    assert word in advised(found)
    assert "tolerations" not in advised(found)


def test_the_controller_itself_has_to_tolerate_its_taint():
    own = waits()
    own["metadata"].update(name="openstack-cloud-controller-manager-x", namespace="kube-system")
    (found,) = crash_findings(own, *nodes(CLOUD))
    assert f"Tolerate {CLOUD}" in advised(found)
    assert "Do not tolerate" not in advised(found)


def test_a_chain_ends_at_a_controller_that_does_not_tolerate_its_own_taint():
    own = waits()
    own["metadata"].update(name="openstack-cloud-controller-manager-x", namespace="kube-system", uid="uid-ccm")
    (found,) = crash_findings(waits(), own, *nodes(CLOUD))
    assert found.details["root"]["name"] == "openstack-cloud-controller-manager-x"
    assert f"Tolerate {CLOUD}:NoSchedule in pod/openstack-cloud-controller-manager-x" in advised(found)


def test_one_table_tells_both_plugins_of_a_new_nodes_taint():
    new = [row for row in table("taints")["rows"] if row.get("missing")]
    assert new
    assert all(row["word"] and row["removes"] for row in new)
    assert controller_of_taint("block.csi.example.com/agent-not-ready").missing == (
        "what block.csi.example.com serves on the node"
    )
    assert controller_of_taint("node.cloudprovider.kubernetes.io/shutdown").missing == ""
    assert controller_of_taint("example.com/dedicated") is None
