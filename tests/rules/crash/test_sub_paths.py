"""Mounts with a subPath that names no key, and the kubelet's events before conclusions."""

import pytest

from kubetriage.model import Confidence, Severity
from kubetriage.needs import Get
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from support.objects import back_off, cluster, container, crash_findings, event, obj, pod, status, terminated, waiting

CONF = obj("ConfigMap", "conf", data={"app.yaml": "a: b"})


def crashing(sub="app.yml", volume=None, mount="/etc/app.yml"):
    top = obj("ReplicaSet", "api-1")
    target = pod(
        containers=[container(volumeMounts=[{"name": "c", "mountPath": mount, "subPath": sub}])],
        statuses=[status(state=back_off(), last=terminated(1, "Error", -40, -39))],
        volumes=[{"name": "c", **(volume or {"configMap": {"name": "conf"}})}],
        owner=top,
    )
    return target, top


@pytest.mark.parametrize(
    "log",
    [
        "cat: read error: Is a directory\n",
        "IsADirectoryError: [Errno 21] Is a directory: '/etc/app.yml'\n",
        "open /etc/app.yml: EISDIR: illegal operation on a directory, read\n",
        "java.io.FileNotFoundException: /etc/app.yml (Is a directory)\n",
    ],
)
def test_a_key_that_the_mount_names_and_the_object_lacks(log):
    found = crash_findings(*crashing(), CONF, previous={"app": log})[0]
    assert (found.cause, found.confidence) == ("ConfigMapKeyNotFound", Confidence.CONFIRMED)
    assert "no key app.yml" in found.message
    mounts = found.fix[0].patch["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert mounts == [{"name": "c", "mountPath": "/etc/app.yml", "subPath": "app.yaml"}]


def test_without_a_word_of_the_program_it_only_warns():
    found = crash_findings(*crashing(), CONF, previous={"app": "KeyError: 'x'\n"})
    assert found[0].cause == "AppError"
    (warned,) = [f for f in found if f.cause == "ConfigMapKeyNotFound"]
    assert warned.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("sub", "volume"),
    [
        ("app.yaml", None),
        ("etc/app.yml", {"configMap": {"name": "conf", "items": [{"key": "app.yaml", "path": "etc/app.yml"}]}}),
        ("etc", {"configMap": {"name": "conf", "items": [{"key": "app.yaml", "path": "etc/app.yml"}]}}),
        ("data", {"persistentVolumeClaim": {"claimName": "data"}}),
    ],
)
def test_a_sub_path_that_is_there_is_none(sub, volume):
    found = crash_findings(*crashing(sub, volume), CONF, previous={"app": "Is a directory\n"})
    assert "ConfigMapKeyNotFound" not in [f.cause for f in found]


def test_keys_of_secrets_and_projected_volumes():
    secret = obj("Secret", "tls", data={"tls.crt": ""})
    found = crash_findings(
        *crashing("cert.pem", {"secret": {"secretName": "tls"}}), secret, previous={"app": "Is a directory\n"}
    )
    assert found[0].cause == "SecretKeyNotFound"
    both = {"projected": {"sources": [{"configMap": {"name": "conf"}}, {"secret": {"name": "tls"}}]}}
    found = crash_findings(*crashing("tls.crt", both), CONF, secret, previous={"app": "Is a directory\n"})
    assert "KeyNotFound" not in found[0].cause


def test_an_object_that_was_not_read_lacks_nothing():
    found = crash_findings(*crashing(), CONF, previous={"app": "Is a directory\n"}, denied=["configmaps"])
    assert "ConfigMapKeyNotFound" not in [f.cause for f in found]


def test_asks_for_the_objects_behind_sub_paths():
    target, top = crashing()
    assert Get("configmaps", "shop", "conf") in list(evaluation.pod_needs(cluster(target, top), Pod(target)))


def waits(message, reason="FailedMount"):
    target = pod(
        containers=[container(volumeMounts=[{"name": "c", "mountPath": "/c"}])],
        statuses=[status(state=waiting("ContainerCreating"))],
        volumes=[{"name": "c", "configMap": {"name": "gone"}}, {"name": "data", "nfs": {"server": "s", "path": "/x"}}],
        phase="Pending",
    )
    return crash_findings(target, event(reason, message))


def test_what_the_kubelet_says_stands_before_what_a_look_up_concludes():
    found = waits('MountVolume.SetUp failed for volume "data" : mount.nfs: access denied by server')
    assert found[0].cause == "VolumeMountError"
    assert found[0].severity is Severity.ERROR
    # What it names itself is the cause, whatever else it said before.
    found = waits('MountVolume.SetUp failed for volume "c" : configmap "gone" not found')
    assert found[0].cause == "ConfigMapNotFound"
