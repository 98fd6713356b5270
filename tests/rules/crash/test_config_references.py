"""References that do not resolve: all at once, with the nearest existing name or key."""

import pytest

from kubetriage.model import Confidence, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from support.objects import at, cluster, container, crash_causes, crash_findings, event, obj, pod, status, waiting
from support.offline import diagnosis


def secret(name, *keys, **more):
    return obj("Secret", name, type="Opaque", data=dict.fromkeys(keys, ""), **more)


def config(name, *keys, **more):
    return obj("ConfigMap", name, data=dict.fromkeys(keys, ""), **more)


def env(name, kind, target, key, **more):
    return {"name": name, "valueFrom": {f"{kind}KeyRef": {"name": target, "key": key, **more}}}


def config_error(message, *, spec=None, **more):
    return pod(
        containers=[container(**(spec or {}))],
        statuses=[status(state=waiting("CreateContainerConfigError", message))],
        phase="Pending",
        **more,
    )


def creating(*volumes, mounts=None, **more):
    names = mounts if mounts is not None else [v["name"] for v in volumes]
    spec = {"volumeMounts": [{"name": n, "mountPath": f"/mnt/{n}"} for n in names], **more.pop("spec", {})}
    return pod(
        containers=[container(**spec)],
        statuses=[status(state=waiting("ContainerCreating"))],
        phase="Pending",
        volumes=list(volumes),
        conditions=[{"type": "PodReadyToStartContainers", "status": "False"}],
        **more,
    )


MISSING = [
    ('configmap "app-config" not found', {"envFrom": [{"configMapRef": {"name": "app-config"}}]}, "ConfigMapNotFound"),
    ('configmap "app-config" not found', {"env": [env("A", "configMap", "app-config", "a")]}, "ConfigMapNotFound"),
    ('secret "login" not found', {"envFrom": [{"secretRef": {"name": "login"}}]}, "SecretNotFound"),
    ('secret "login" not found', {"env": [env("P", "secret", "login", "password")]}, "SecretNotFound"),
]


@pytest.mark.parametrize(("message", "spec", "cause"), MISSING)
@pytest.mark.parametrize("denied", [(), ("configmaps", "secrets"), ("events",)])
def test_the_kubelets_words_are_enough(message, spec, cause, denied):
    (found,) = crash_findings(config_error(message, spec=spec), denied=denied)
    assert (found.cause, found.object.container, found.confidence) == (cause, "app", Confidence.CONFIRMED)


@pytest.mark.parametrize(
    ("message", "spec", "cause"),
    [
        (
            "couldn't find key passwd in Secret shop/db",
            {"env": [env("P", "secret", "db", "passwd")]},
            "SecretKeyNotFound",
        ),
        (
            "couldn't find key levle in ConfigMap shop/db",
            {"env": [env("L", "configMap", "db", "levle")]},
            "ConfigMapKeyNotFound",
        ),
    ],
)
@pytest.mark.parametrize("denied", [(), ("configmaps", "secrets")])
def test_missing_keys(message, spec, cause, denied):
    (found,) = crash_findings(
        config_error(message, spec=spec), secret("db", "password", "username"), config("db", "level"), denied=denied
    )
    assert (found.cause, found.confidence) == (cause, Confidence.CONFIRMED)
    near = found.details["reference"].get("nearest")
    assert near == (None if denied else "password" if "Secret" in cause else "level")


def test_the_nearest_secret_and_its_keys_are_named_with_a_patch():
    target = config_error(
        'secret "db-credential" not found',
        spec={"env": [env("P", "secret", "db-credential", "password")]},
        owner=obj("ReplicaSet", "api-1"),
    )
    owner = obj("ReplicaSet", "api-1")
    (found,) = crash_findings(target, owner, secret("db-credentials", "password"), secret("web-tls", "tls.crt"))
    assert "db-credentials exists and has key password" in found.message
    patch = found.fix[0].patch["spec"]["template"]["spec"]["containers"][0]
    assert patch["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "db-credentials"


def test_another_name_with_the_wanted_keys_is_near_too():
    target = config_error('secret "database" not found', spec={"env": [env("P", "secret", "database", "password")]})
    (found,) = crash_findings(target, secret("pg-login", "password", "username"), secret("web-tls", "tls.crt"))
    assert found.details["reference"]["nearest"] == "pg-login"


def test_the_same_name_in_another_namespace():
    target = config_error('secret "login" not found', spec={"envFrom": [{"secretRef": {"name": "login"}}]})
    (found,) = crash_findings(target, secret("login", "password", namespace="infra"))
    assert "namespace infra" in found.message


def test_all_broken_references_at_once_the_kubelets_first():
    spec = {
        "env": [
            env("A", "configMap", "settings", "mode"),
            env("P", "secret", "db", "password"),
            env("U", "secret", "db", "usr"),
        ],
        "envFrom": [{"configMapRef": {"name": "extra"}}, {"secretRef": {"name": "maybe", "optional": True}}],
    }
    found = crash_findings(
        config_error('configmap "extra" not found', spec=spec), config("settings", "level"), secret("db", "password")
    )
    told = [(f.cause, f.details["reference"]["name"], f.details["reference"].get("key", "")) for f in found]
    assert told[0] == ("ConfigMapNotFound", "extra", "")
    assert set(told[1:]) == {("ConfigMapKeyNotFound", "settings", "mode"), ("SecretKeyNotFound", "db", "usr")}
    assert {f.severity for f in found} == {Severity.ERROR}


def test_optional_references_are_no_cause():
    spec = {
        "env": [env("A", "configMap", "none", "a", optional=True)],
        "envFrom": [{"secretRef": {"name": "x", "optional": True}}],
    }
    causes = {c for c, _ in crash_causes(config_error("", spec=spec))}
    assert not causes & {"ConfigMapNotFound", "SecretNotFound"}


def test_one_finding_for_many_uses():
    spec = {"env": [env("A", "configMap", "settings", "a"), env("B", "configMap", "settings", "b")]}
    (found,) = crash_findings(config_error('configmap "settings" not found', spec=spec))
    assert "env A" in found.message
    assert "env B" in found.message


def test_an_object_that_is_there_by_now_is_no_cause():
    spec = {"envFrom": [{"configMapRef": {"name": "late"}}]}
    causes = {c for c, _ in crash_causes(config_error('configmap "late" not found', spec=spec), config("late", "a"))}
    assert "ConfigMapNotFound" not in causes


def mount_failure(volume, why, last=-20):
    return event("FailedMount", f'MountVolume.SetUp failed for volume "{volume}" : {why}', last=last)


VOLUMES = [
    ({"name": "c", "configMap": {"name": "nginx"}}, 'configmap "nginx" not found', "ConfigMapNotFound"),
    ({"name": "c", "secret": {"secretName": "tls"}}, 'secret "tls" not found', "SecretNotFound"),
    (
        {"name": "c", "projected": {"sources": [{"secret": {"name": "tls"}}]}},
        'secret "tls" not found',
        "SecretNotFound",
    ),
    (
        {"name": "c", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "creds"}}},
        'kubernetes.io/csi: mounter.SetUpAt fetching NodePublishSecretRef shop/creds failed: secrets "creds" not found',
        "SecretNotFound",
    ),
]


@pytest.mark.parametrize(("volume", "why", "cause"), VOLUMES)
@pytest.mark.parametrize("denied", [(), ("configmaps", "secrets")])
def test_volumes(volume, why, cause, denied):
    (found,) = crash_findings(creating(volume), mount_failure("c", why), denied=denied)
    assert (found.cause, found.object.container, found.confidence) == (cause, "", Confidence.CONFIRMED)


@pytest.mark.parametrize(("volume", "why", "cause"), VOLUMES)
def test_volumes_with_events_gone_are_looked_up(volume, why, cause):
    (found,) = crash_findings(creating(volume))
    assert (found.cause, found.confidence) == (cause, Confidence.LIKELY)


def test_a_missing_item_of_a_volume():
    volume = {"name": "c", "configMap": {"name": "nginx", "items": [{"key": "site.cnf", "path": "site.conf"}]}}
    why = "configmap references non-existent config key: site.cnf"
    (found,) = crash_findings(creating(volume), mount_failure("c", why), config("nginx", "site.conf"))
    assert (found.cause, found.details["reference"]["nearest"]) == ("ConfigMapKeyNotFound", "site.conf")


def test_volumes_and_environment_together():
    volume = {"name": "c", "configMap": {"name": "nginx"}}
    target = creating(volume, spec={"env": [env("P", "secret", "login", "password")]})
    found = crash_findings(target, mount_failure("c", 'configmap "nginx" not found'))
    assert [(f.cause, f.object.container, f.severity) for f in found] == [
        ("ConfigMapNotFound", "", Severity.ERROR),
        ("SecretNotFound", "app", Severity.WARNING),
    ]


def test_an_unmounted_volume_is_not_set_up():
    volume = {"name": "c", "configMap": {"name": "nginx"}}
    assert "ConfigMapNotFound" not in {c for c, _ in crash_causes(creating(volume, mounts=[]))}


def test_a_mount_failure_from_before_the_start_is_over():
    volume = {"name": "c", "configMap": {"name": "nginx"}}
    target = pod(
        containers=[container(volumeMounts=[{"name": "c", "mountPath": "/c"}])],
        statuses=[status(state={"running": {"startedAt": at(-60)}}, ready=True)],
        ready=True,
        volumes=[volume],
    )
    assert crash_causes(target, mount_failure("c", 'configmap "nginx" not found', last=-70)) == []


def test_a_healthy_pod_is_not_looked_up():
    spec = {"env": [env("P", "secret", "login", "password")]}
    target = pod(
        containers=[container(**spec)],
        statuses=[status(state={"running": {"startedAt": at(-60)}}, ready=True)],
        ready=True,
    )
    asked = {getattr(n, "resource", "") for n in evaluation.pod_needs(cluster(target), Pod(target))}
    assert "secrets" not in asked


def test_what_a_controller_gives_every_namespace_is_not_asked_for():
    volume = {"name": "api", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}
    target = creating(volume)
    names = {getattr(n, "name", "") for n in evaluation.pod_needs(cluster(target), Pod(target))}
    assert "kube-root-ca.crt" not in names


def test_recorded_near_miss():
    found = diagnosis("why-crash", "pod/api", capture="secret-missing-env").findings[0]
    assert found.details["reference"] == {"kind": "Secret", "name": "db-credential", "nearest": "db-credentials"}
