"""Containers that the runtime does not make in time: large volumes, or the node."""

import pytest

from kubetriage.model import Confidence
from kubetriage.needs import Get
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from support.objects import advised, cluster, container, crash_findings, obj, pod, status, waiting

RESERVED = "context deadline exceeded: error reserving ctr name k8s_app_api_shop_u_0 for id 0a: name is reserved"
VOLUMES = [{"name": "data", "persistentVolumeClaim": {"claimName": "big"}}]
MOUNTS = [{"name": "data", "mountPath": "/data"}]
CLAIM = obj("PersistentVolumeClaim", "big", status={"phase": "Bound", "capacity": {"storage": "1700Gi"}})


def slow(words=RESERVED, mounts=MOUNTS, security=None):
    top = obj("ReplicaSet", "api-1")
    target = pod(
        containers=[container(volumeMounts=mounts)],
        statuses=[status(state=waiting("CreateContainerError", words))],
        phase="Pending",
        owner=top,
        volumes=VOLUMES,
        **({"securityContext": security} if security else {}),
    )
    return target, top


@pytest.mark.parametrize(
    "words",
    [
        RESERVED,
        'failed to reserve container name "app_api_shop_u_0": name "app_api_shop_u_0" is reserved for "0a"',
        "context deadline exceeded",
        'failed to apply OCI options: relabel "/var/lib/kubelet/pods/u/volumes/x" failed: context canceled',
    ],
)
def test_names_the_large_volume_and_how_to_skip_the_walk(words):
    (found,) = crash_findings(*slow(words, security={"fsGroup": 1000}), CLAIM)
    assert (found.cause, found.confidence) == ("StartError", Confidence.LIKELY)
    assert "volume data (claim big, 1700Gi)" in found.message
    made = found.fix[0].patch["spec"]["template"]["spec"]["securityContext"]
    assert made == {"fsGroupChangePolicy": "OnRootMismatch", "seLinuxChangePolicy": "MountOption"}
    assert "No restart of the runtime" in found.fix[0].text


def test_what_is_set_already_is_not_advised():
    (found,) = crash_findings(*slow(security={"fsGroup": 1, "fsGroupChangePolicy": "OnRootMismatch"}), CLAIM)
    assert "OnRootMismatch" not in advised(found)
    (found,) = crash_findings(*slow(), CLAIM)
    assert "fsGroupChangePolicy" not in advised(found)


def test_without_a_volume_it_is_the_node():
    (found,) = crash_findings(*slow(mounts=[]))
    assert "disk or the load of node-1" in found.message
    assert "fsGroup" not in advised(found)


def test_cri_o_has_an_annotation_of_its_own():
    assert "TrySkipVolumeSELinuxLabel" in advised(crash_findings(*slow(), CLAIM)[0])
    other = slow('failed to reserve container name "a": name "a" is reserved for "0a"')
    assert "TrySkipVolumeSELinuxLabel" not in advised(crash_findings(*other, CLAIM)[0])


def test_asks_for_the_claim_whose_size_tells():
    target, top = slow()
    asked = list(evaluation.pod_needs(cluster(target, top), Pod(target)))
    assert Get("persistentvolumeclaims", "shop", "big") in asked


def test_a_field_that_the_cluster_does_not_know_is_not_patched():
    (found,) = crash_findings(*slow(security={"fsGroup": 1000}), CLAIM, version="v1.28.3")
    made = found.fix[0].patch["spec"]["template"]["spec"]["securityContext"]
    assert made == {"fsGroupChangePolicy": "OnRootMismatch"}
