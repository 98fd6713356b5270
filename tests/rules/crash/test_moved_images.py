"""Images that their publishers moved or withdrew, and images of volumes."""

import pytest

from kubetriage.model import Actor
from kubetriage.rules.crash.image_pulls import parse_image
from kubetriage.rules.crash.moved_images import moved
from support.objects import advised, container, crash_findings, event, obj, pod, status, waiting

GONE = "manifest unknown"


def pulling(image, error=f"rpc error: code = NotFound desc = {GONE}", owner=None, **more):
    return pod(
        containers=[container(image=image, **more.pop("spec", {}))],
        statuses=[status(state=waiting("ImagePullBackOff", f'Back-off pulling image "{image}": {error}'))],
        phase="Pending",
        owner=owner,
        **more,
    )


@pytest.mark.parametrize(
    ("image", "there"),
    [
        ("docker.io/bitnami/postgresql-repmgr:17.6.0", "docker.io/bitnamilegacy/postgresql-repmgr:17.6.0"),
        ("bitnami/kubectl:latest", "docker.io/bitnamilegacy/kubectl:latest"),
        ("k8s.gcr.io/pause:3.5", "registry.k8s.io/pause:3.5"),
        ("k8s.gcr.io/ingress-nginx/controller:v1.1.0", "registry.k8s.io/ingress-nginx/controller:v1.1.0"),
        ("gcr.io/google_containers/etcd:3.3.10", "registry.k8s.io/etcd:3.3.10"),
        ("gcr.io/kubebuilder/kube-rbac-proxy:v0.8.0", "quay.io/brancz/kube-rbac-proxy:v0.8.0"),
        ("openjdk:21-jre", "eclipse-temurin:21-jre"),
    ],
)
def test_names_the_new_place(image, there):
    (found,) = crash_findings(pulling(image))
    assert found.cause == "ImageNotFound"
    assert there in advised(found)
    assert "push" not in advised(found)


@pytest.mark.parametrize(
    "image", ["docker.io/acme/bitnami:1", "bitnamilegacy/redis:7", "registry.k8s.io/pause:3.9", "quay.io/bitnami/x:1"]
)
def test_leaves_others_where_they_are(image):
    assert moved(parse_image(image)) is None


def test_an_image_without_a_new_place_needs_another():
    (found,) = crash_findings(pulling("minio/minio:RELEASE.2025-12-01"))
    assert "Use another image" in advised(found)


def test_a_moved_image_that_the_registry_hides_is_no_matter_of_credentials():
    error = "pull access denied for bitnami/redis, repository does not exist or may require 'docker login'"
    (found,) = crash_findings(pulling("bitnami/redis:7.0", error))
    assert found.cause == "ImagePullUnauthorized" or "bitnamilegacy" in advised(found)


def test_a_registry_that_was_shut_down_is_not_waited_for():
    error = "dial tcp: lookup registry.opensource.zalan.do: no such host"
    (found,) = crash_findings(pulling("registry.opensource.zalan.do/acid/spilo-15:3.0-p1", error))
    assert "ghcr.io/zalando/spilo-15:3.0-p1" in advised(found)


def test_a_chart_gets_its_values():
    owner = obj("StatefulSet", "pg", metadata={"labels": {"helm.sh/chart": "postgresql-16.0.0"}})
    owner["metadata"]["annotations"] = {"meta.helm.sh/release-name": "pg"}
    (found,) = crash_findings(pulling("docker.io/bitnami/postgresql:17", owner=owner), owner)
    assert found.fix[0].patch is None
    assert "repository: bitnamilegacy/postgresql" in found.fix[0].yaml
    assert "allowInsecureImages: true" in found.fix[0].yaml
    assert "Helm release pg" in found.fix[0].text


def test_a_foreign_repository_is_nobodys_to_push_to():
    (found,) = crash_findings(pulling("docker.io/grafana/agent:v9.9.9"))
    assert "push" not in advised(found)
    (found,) = crash_findings(pulling("registry.example/team/api:9.9"))
    assert "push it to registry.example" in advised(found)


MODEL = [{"name": "m", "image": {"reference": "localhost:5000/acme/model:v1"}}]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", 'failed to pull and unpack image "localhost:5000/acme/model:v1": not found'),
        ("ImagePullBackOff", 'Back-off pulling image "localhost:5000/acme/model:v1": not found'),
        ("ErrImagePull", 'reading manifest v1 in "localhost:5000/acme/model:v1": manifest unknown'),
    ],
)
def test_the_image_of_a_volume_is_told_from_the_containers(reason, message):
    target = pod(
        containers=[container(image="busybox:1.36")],
        statuses=[status(state=waiting(reason, message))],
        phase="Pending",
        volumes=MODEL,
    )
    (found,) = crash_findings(target)
    assert found.cause == "ImageNotFound"
    assert "volumes[m].image.reference" in advised(found)
    assert "no image busybox" not in found.message


def test_the_containers_own_image_stays_its_own():
    target = pulling(
        "busybox:9", 'failed to pull and unpack image "docker.io/library/busybox:9": not found', volumes=MODEL
    )
    (found,) = crash_findings(target)
    assert "busybox:9" in found.message
    assert "volumes[m]" not in advised(found)


def test_a_rate_limit_without_a_login():
    target = pulling("nginx:1.27", "toomanyrequests: You have reached your unauthenticated pull rate limit")
    found = crash_findings(target, event("Failed", "x"))[0]
    assert found.cause == "ImagePullRateLimited"
    assert "kubectl -n shop create secret docker-registry registry-login" in advised(found)
    assert found.fix[1].actor is Actor.NODE
