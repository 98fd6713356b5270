"""Volumes that no node reaches: the node is elsewhere, is shut, or no node has the key at all."""

import pytest

from kubetriage.needs import List
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from support.objects import advised, at, cluster, crash_findings, obj, pod

KEY = "csi.hetzner.cloud/location"
CLAIMED = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
BOUND = obj("PersistentVolumeClaim", "data", spec={"volumeName": "pv-1"}, status={"phase": "Bound"})


def waits(why="3 node(s) had volume node affinity conflict"):
    message = f"0/3 nodes are available: {why}. preemption: 0/3 nodes are available."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(node="", phase="Pending", volumes=CLAIMED, conditions=[{**condition, "lastTransitionTime": at(-60)}])


def volume(key=KEY, value="hel1", driver="csi.hetzner.cloud"):
    rule = {"key": key, "operator": "In", "values": [value]}
    spec = {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}}}
    return obj("PersistentVolume", "pv-1", spec={**spec, "csi": {"driver": driver}})


def node(name="n1", labels=(), **spec):
    return obj("Node", name, metadata={"labels": dict(labels)}, spec=spec, status={"allocatable": {"pods": "110"}})


def test_a_key_that_no_node_has_is_the_drivers_to_set():
    (found,) = crash_findings(waits(), volume(), BOUND, node("n1"), node("n2", {"zone": "hel1"}))
    assert f"No node has the label {KEY}" in found.message
    assert "node plugin of CSI driver csi.hetzner.cloud" in advised(found)
    assert f"kubectl label node NODE {KEY}=hel1" in advised(found)
    assert "Bring an open node" not in advised(found)


def test_a_driver_that_is_registered_reports_other_keys():
    drivers = [{"name": "csi.hetzner.cloud", "topologyKeys": ["other/zone"]}]
    csi = obj("CSINode", "n1", spec={"drivers": drivers})
    (found,) = crash_findings(waits(), volume(), BOUND, node("n1"), csi)
    assert "other/zone" in advised(found)
    assert List("csinodes") in list(evaluation.pod_needs(cluster(waits(), volume(), BOUND, node("n1")), Pod(waits())))


def test_a_value_that_no_node_has_needs_a_node_there():
    (found,) = crash_findings(waits(), volume(), BOUND, node("n1", {KEY: "fsn1"}))
    assert "which is at csi.hetzner.cloud/location=hel1" in found.message
    assert "Bring an open node to where the volume is" in advised(found)
    assert "kubectl label node" not in advised(found)


def test_a_node_that_is_there_and_shut_is_opened():
    there = node("n1", {KEY: "hel1"}, unschedulable=True)
    (found,) = crash_findings(waits(), volume(), BOUND, there, node("n2", {KEY: "fsn1"}))
    assert "n1 is there and takes no pods" in found.message
    assert "kubectl uncordon n1" in advised(found)


def test_a_local_volume_needs_its_own_node():
    local = volume("kubernetes.io/hostname", "n9", driver="")
    (found,) = crash_findings(waits(), local, BOUND, node("n1", {"kubernetes.io/hostname": "n1"}))
    assert "volume lies on node n9 alone" in advised(found)


def test_two_words_for_one_reason_are_counted_together():
    why = "7 node(s) had no available volume zone, 12 node(s) had volume node affinity conflict, 12 Insufficient cpu"
    (found,) = crash_findings(waits(why), volume(), BOUND, node("n1", {KEY: "fsn1"}))
    assert "cannot be reached from 19 of 3 nodes" in found.message
    assert "volume zone" not in found.message.partition("The other nodes")[2]
    assert "Insufficient cpu" in found.message


@pytest.mark.parametrize("denied", [("nodes",), ("persistentvolumes",)])
def test_without_nodes_or_volumes_nothing_is_called_missing(denied):
    (found,) = crash_findings(waits(), volume(), BOUND, node("n1"), denied=denied)
    assert "No node has the label" not in found.message
