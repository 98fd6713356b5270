"""Claims of devices (dynamic resource allocation) that are missing, or that have no device."""

import pytest

from kubetriage.model import Confidence
from kubetriage.needs import Get, List
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from support.objects import advised, at, cluster, crash_causes, crash_findings, event, obj, pod

BY_NAME = [{"name": "gpu", "resourceClaimName": "gpu-claim"}]
BY_TEMPLATE = [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]


def waits(claims, why="", **more):
    given = []
    if why:
        message = f"0/3 nodes are available: {why}. preemption: 0/3 nodes are available."
        given = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
        given[0]["lastTransitionTime"] = at(-60)
    return pod(node="", phase="Pending", resourceClaims=claims, conditions=given, **more)


def claim(name="gpu-claim", class_name="gpu.example", **status):
    requests = [{"name": "gpu", "exactly": {"deviceClassName": class_name}}]
    return obj("ResourceClaim", name, spec={"devices": {"requests": requests}}, status=status)


def test_a_claim_that_does_not_exist_needs_no_word_of_the_scheduler():
    (found,) = crash_findings(waits(BY_NAME))
    assert (found.cause, found.confidence) == ("ResourceClaimNotFound", Confidence.CONFIRMED)
    assert "gpu-claim" in found.message
    assert "name: gpu-claim" in found.fix[0].yaml


@pytest.mark.parametrize(
    ("claims", "name", "kind"),
    [
        (BY_TEMPLATE, "gpu", "ResourceClaimTemplate"),
        ([{"name": "gpu", "source": {"resourceClaimName": "old"}}], "old", "ResourceClaim"),
        ([{"name": "gpu", "source": {"resourceClaimTemplateName": "old"}}], "old", "ResourceClaimTemplate"),
    ],
)
def test_templates_and_the_older_form(claims, name, kind):
    (found,) = crash_findings(waits(claims))
    assert found.details["reference"] == {"kind": kind, "name": name}


def test_the_nearest_claim_is_offered():
    (found,) = crash_findings(waits([{"name": "gpu", "resourceClaimName": "gpu-clam"}]), claim())
    assert "gpu-claim exists" in found.message


def test_a_template_of_that_name_is_another_field():
    (found,) = crash_findings(waits(BY_NAME), obj("ResourceClaimTemplate", "gpu-claim"))
    assert "resourceClaimTemplateName" in found.message


def test_words_of_the_scheduler_tell_where_the_claims_may_not_be_read():
    said = 'resourceclaim.resource.k8s.io "gpu-claim" not found'
    (found,) = crash_findings(waits(BY_NAME), event("FailedScheduling", said), denied=["resourceclaims"])
    assert found.cause == "ResourceClaimNotFound"


def test_a_claim_that_may_not_be_read_is_not_missing():
    assert crash_causes(waits(BY_NAME), denied=["resourceclaims"]) == [("Unknown", "")]


@pytest.mark.parametrize(
    "why",
    [
        "3 cannot allocate all claims",
        "1 resourceclaim not available on the node",
        "device class gpu.example does not exist",
    ],
)
def test_a_claim_without_a_device(why):
    (found,) = crash_findings(waits(BY_NAME, why), claim())
    assert found.cause == "ResourceClaimPending"
    assert "gpu.example" in advised(found)
    assert "resourceslices" in advised(found)


def test_a_template_of_which_no_claim_was_made():
    (found,) = crash_findings(waits(BY_TEMPLATE), obj("ResourceClaimTemplate", "gpu"))
    assert found.cause == "ResourceClaimPending"
    assert "kube-controller-manager" in advised(found)


def test_a_missing_class_is_named():
    (found,) = crash_findings(waits(BY_NAME, "3 cannot allocate all claims"), claim())
    assert "DeviceClass gpu.example does not exist" in found.message
    (found,) = crash_findings(
        waits(BY_NAME, "3 cannot allocate all claims"), claim(), obj("DeviceClass", "gpu.example")
    )
    assert "does not exist" not in found.message


def test_an_allocated_claim_leaves_the_scheduler_its_own_reason():
    held = claim(allocation={"devices": {"results": []}})
    assert crash_causes(waits(BY_NAME, "3 Insufficient cpu"), held) == [("UnschedulableResources", "")]
    # CPU is what keeps the pod away, whatever its claim waits for.
    assert crash_causes(waits(BY_NAME, "3 Insufficient cpu"), claim()) == [("UnschedulableResources", "")]


def test_asks_for_claims_only_of_pods_that_have_some():
    asked = list(evaluation.pod_needs(cluster(waits(BY_NAME)), Pod(waits(BY_NAME))))
    assert Get("resourceclaims", "shop", "gpu-claim") in asked
    assert List("resourceclaims", "shop") in asked
    plain = waits([])
    assert not [
        n
        for n in evaluation.pod_needs(cluster(plain), Pod(plain))
        if getattr(n, "resource", "").startswith("resourcec")
    ]


def test_a_scheduler_that_placed_other_pods_since_is_not_blamed():
    lonely = pod(node="", phase="Pending", created=-600)
    placed = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(-60)}
    assert "No scheduler" in crash_findings(lonely)[0].message
    assert "No scheduler" not in crash_findings(lonely, pod("web", conditions=[placed]))[0].message
