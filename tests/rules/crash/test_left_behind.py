"""Pods that keep an old template, and refusals of the API server's built-in plugins."""
# ruff: noqa: E501

import pytest

from kubetriage.rules.crash.case import ControllerCase
from kubetriage.rules.crash.evaluation import diagnose_controller
from support.objects import advised, cluster, container, crash_findings, event, obj, pod, status, waiting

IMAGE = "registry.k8s.io/nginx-slim:foo"


def stateful(
    update="web-new",
    policy="OrderedReady",
    strategy="RollingUpdate",
    partition=0,
    image="registry.k8s.io/nginx-slim:0.24",
):
    return obj(
        "StatefulSet",
        "web",
        spec={
            "replicas": 3,
            "podManagementPolicy": policy,
            "selector": {"matchLabels": {"app": "web"}},
            "updateStrategy": {"type": strategy, "rollingUpdate": {"partition": partition}},
            "template": {"spec": {"containers": [{"name": "app", "image": image}]}},
        },
        status={"updateRevision": update},
    )


def first(owner, revision="web-old", name="web-2"):
    raw = pod(
        name,
        owner=owner,
        labels={"app": "web", "controller-revision-hash": revision},
        phase="Pending",
        containers=[container(image=IMAGE)],
        statuses=[
            status(
                "app",
                waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {IMAGE}: not found'),
            )
        ],
    )
    return crash_findings(raw, owner)[0]


def test_a_pod_of_an_old_revision_is_deleted_first():
    found = first(stateful())
    assert found.fix[0].commands == ("kubectl -n shop delete pod web-2",)
    assert "another template by now (revision web-new; this pod is of web-old)" in found.fix[0].text


@pytest.mark.parametrize(
    "owner",
    [stateful(update="web-old"), stateful(policy="Parallel"), stateful(partition=3), stateful(update="")],
)
def test_a_pod_that_its_controller_replaces_or_that_is_current(owner):
    assert "another template" not in advised(first(owner))


def test_on_delete_is_named():
    assert "OnDelete" in first(stateful(strategy="OnDelete", policy="Parallel")).fix[0].text


# Built-in admission plugins.


def refused(words, *objects, annotations=None, **template):
    made = obj(
        "ReplicaSet",
        "api-1",
        spec={"replicas": 1, "template": {"spec": {"containers": [container()], **template}}},
        status={"replicas": 0},
    )
    place = obj("Namespace", "shop", namespace="")
    place["metadata"]["annotations"] = annotations or {}
    said = event("FailedCreate", f'Error creating: pods "api-1-x" is forbidden: {words}', about=made)
    return made, place, said


@pytest.mark.parametrize(
    ("words", "template", "annotations", "says"),
    [
        (
            "pod node label selector conflicts with its namespace node label selector",
            {"nodeSelector": {"env": "prod"}},
            {"scheduler.alpha.kubernetes.io/node-selector": "env=test"},
            ("nodeSelector (env=prod)", "env=test", "edit namespace shop"),
        ),
        (
            "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist",
            {"tolerations": [{"key": "gpu"}]},
            {},
            ("(gpu)", "tolerationsWhitelist"),
        ),
        (
            "the integer value of priority (0) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name",
            {"priority": 0, "priorityClassName": "high"},
            {},
            ("PriorityClass high is 1000", "Remove the field priority"),
        ),
        (
            "image policy webhook backend denied one or more images: not signed",
            {},
            {},
            ("not signed", "ImagePolicyWebhook"),
        ),
        (
            "unable to validate against any pod security policy: [spec.containers[0].hostPort: Invalid value: 80: Host port 80 is not allowed to be used. Allowed ports: []]",
            {},
            {},
            ("PodSecurityPolicy that ServiceAccount default", "Host port 80", "can-i use podsecuritypolicies"),
        ),
    ],
)
def test_a_built_in_plugin_is_read(words, template, annotations, says):
    made, place, said = refused(words, annotations=annotations, **template)
    (found,) = diagnose_controller(ControllerCase(made, "ReplicaSet", cluster(made, place, said)))
    text = f"{found.message}\n{advised(found)}"
    assert found.cause == "AdmissionDenied"
    for word in says:
        assert word in text
    assert "no rule that is known" not in text
