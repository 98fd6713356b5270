"""Claims, attachments and mounts that wait for a driver: the chain to its pods and to their cause."""

import pytest

from kubetriage.needs import List
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from support.objects import (
    advised,
    at,
    back_off,
    cluster,
    crash_findings,
    event,
    obj,
    pod,
    running,
    status,
    terminated,
    waiting,
)

CLAIMED = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
CLAIM = obj("PersistentVolumeClaim", "data", spec={"storageClassName": "fast"}, status={"phase": "Pending"})
WAITS = event(
    "ExternalProvisioning", "waiting for a volume to be created by the external provisioner", CLAIM, warning=False
)


def fast(driver="ebs.csi.aws.com"):
    return obj("StorageClass", "fast", provisioner=driver)


def unplaced():
    message = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(node="", phase="Pending", volumes=CLAIMED, conditions=[{**condition, "lastTransitionTime": at(-60)}])


def driver_pod(name, namespace="kube-system", node="node-1", well=False):
    state = {"statuses": [status(state=back_off(pod=name), last=terminated(1, "Error", -30, -20))]}
    if well:
        state = {"statuses": [status(state=running(-900), ready=True)], "ready": True}
    return pod(name, namespace=namespace, node=node, **state)


@pytest.mark.parametrize(
    ("driver", "name", "namespace"),
    [
        ("ebs.csi.aws.com", "ebs-csi-controller-5f6d-abcde", "kube-system"),
        ("rancher.io/local-path", "local-path-provisioner-84db-abcde", "kube-system"),
        ("rook-ceph.rbd.csi.ceph.com", "csi-rbdplugin-provisioner-7c-abcde", "rook-ceph"),
        ("driver.longhorn.io", "longhorn-driver-deployer-abcde", "longhorn-system"),
    ],
)
def test_a_claim_leads_to_its_provisioner(driver, name, namespace):
    (found,) = crash_findings(unplaced(), CLAIM, WAITS, fast(driver), driver_pod(name, namespace))
    assert found.cause == "PersistentVolumeClaimPending"
    assert found.details["root"]["name"] == name
    assert name in found.message
    assert f"{namespace}/{name}" in advised(found)


def test_a_provisioner_that_runs_is_not_blamed():
    (found,) = crash_findings(unplaced(), CLAIM, WAITS, fast(), driver_pod("ebs-csi-controller-x", well=True))
    assert "root" not in found.details
    made = cluster(unplaced(), CLAIM, WAITS, fast())
    assert List("pods", "kube-system") in list(evaluation.pod_needs(made, Pod(unplaced())))


def held(message, reason):
    target = pod(statuses=[status(state=waiting("ContainerCreating"))], phase="Pending", volumes=CLAIMED)
    bound = obj("PersistentVolumeClaim", "data", spec={"volumeName": "pv-1"}, status={"phase": "Bound"})
    return target, event(reason, message), bound


def test_an_attachment_leads_to_the_attacher():
    why = "timed out waiting for external-attacher of ebs.csi.aws.com CSI driver"
    words = f'AttachVolume.Attach failed for volume "pv-1" : {why}'
    (found,) = crash_findings(*held(words, "FailedAttachVolume"), driver_pod("ebs-csi-controller-x"))
    assert found.details["root"]["name"] == "ebs-csi-controller-x"
    assert "attached by itself" in advised(found)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            'MountVolume.MountDevice failed for volume "pv-1" : driver name ebs.csi.aws.com not found in the list of '
            "registered CSI drivers",
            "FailedMount",
        ),
        (
            'AttachVolume.Attach failed for volume "pv-1" : CSINode node-1 does not contain driver ebs.csi.aws.com',
            "FailedAttachVolume",
        ),
    ],
)
def test_a_driver_that_is_not_on_the_node_leads_to_its_pod_there(words, reason):
    here, elsewhere = driver_pod("ebs-csi-node-here"), driver_pod("ebs-csi-node-else", node="node-2")
    (found,) = crash_findings(*held(words, reason), elsewhere, here)
    assert found.details["root"]["name"] == "ebs-csi-node-here"
    (found,) = crash_findings(*held(words, reason), elsewhere)
    assert "root" not in found.details
