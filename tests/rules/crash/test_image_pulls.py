# ruff: noqa: E501  (the runtimes' words stand on one line)
"""Why an image is not there: containerd, CRI-O and docker words, from the status and from events."""

import pytest

from kubetriage.model import Confidence, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.image_pulls import Pull, classify, parse_image
from support.objects import cluster, container, crash_causes, crash_findings, event, obj, pod, status, waiting
from support.offline import diagnosis

IMAGE = "registry.example/team/api:1.4"


def stuck(message, reason="ImagePullBackOff", image=IMAGE, **more):
    return pod(
        containers=[container(image=image)], statuses=[status(state=waiting(reason, message))], phase="Pending", **more
    )


def back_off(error, image=IMAGE):
    return f'Back-off pulling image "{image}": ErrImagePull: {error}'


def containerd(error, image=IMAGE):
    return f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {error}'


ERRORS = [
    # containerd
    (Pull.ABSENT, f"rpc error: code = NotFound desc = {containerd(f'{IMAGE}: not found')}"),
    (Pull.DENIED, containerd("pulling from host registry.example failed with status code [manifests 1.4]: 401 Unauthorized")),
    (Pull.DENIED, containerd("failed to authorize: failed to fetch oauth token: unexpected status: 403 Forbidden")),
    (
        Pull.EITHER,
        containerd(
            "pull access denied, repository does not exist or may require authorization: server message: "
            "insufficient_scope: authorization failed"
        ),
    ),
    (Pull.RATE, containerd("unexpected status from HEAD request to https://x/v2/a: 429 Too Many Requests")),
    (
        Pull.NETWORK,
        containerd('failed to do request: Head "https://x/v2/a": dial tcp: lookup x on 10.0.0.10:53: server misbehaving'),
    ),
    (Pull.NETWORK, containerd('failed to do request: Head "https://x/v2/a": dial tcp 10.1.2.3:443: i/o timeout')),
    (
        Pull.NETWORK,
        containerd('failed to authorize: failed to fetch anonymous token: Get "https://a/token": dial tcp 1.2.3.4:443: connect: connection refused'),
    ),
    (
        Pull.TLS,
        containerd('failed to do request: Head "https://x/": tls: failed to verify certificate: x509: certificate signed by unknown authority'),
    ),
    (Pull.TLS, containerd('failed to do request: Head "https://x/": http: server gave HTTP response to HTTPS client')),
    (Pull.SERVER, containerd("unexpected status from HEAD request to https://x/v2/a: 503 Service Unavailable")),
    (Pull.SERVER, containerd("pulling from host x failed with status code [manifests v1]: 500 Internal Server Error")),
    (Pull.PLATFORM, f'failed to pull and unpack image "{IMAGE}": no match for platform in manifest: not found'),
    (Pull.SPACE, f'failed to pull and unpack image "{IMAGE}": failed to extract layer sha256:0: write /x: no space left on device'),
    # CRI-O
    (Pull.ABSENT, "initializing source docker://registry.example/team/api:1.4: reading manifest 1.4 in registry.example/team/api: manifest unknown"),
    (Pull.EITHER, "initializing source docker://team/api:1.4: reading manifest 1.4 in docker.io/team/api: requested access to the resource is denied"),
    (Pull.DENIED, "initializing source docker://registry.example/team/api:1.4: unable to retrieve auth token: invalid username/password: unauthorized: authentication required"),
    (Pull.NETWORK, 'pinging container registry registry.example: Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host'),
    (Pull.PLATFORM, 'choosing an image from manifest list docker://a: no image found in manifest list for architecture arm64, variant "v8", OS linux'),
    (Pull.PLATFORM, 'choosing image instance: no image found in image index for architecture "arm64", variant "v8", OS "linux"'),
    (Pull.RATE, "reading manifest latest in docker.io/library/x: toomanyrequests: You have reached your pull rate limit."),
    (Pull.SERVER, "received unexpected HTTP status: 502 Bad Gateway"),
    # docker (cri-dockerd)
    (Pull.ABSENT, "rpc error: code = Unknown desc = Error response from daemon: manifest for team/api:1.4 not found: manifest unknown: manifest unknown"),
    (Pull.EITHER, "Error response from daemon: pull access denied for team/api, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"),
    (Pull.DENIED, "Error response from daemon: Get https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/a/manifests/1: no basic auth credentials"),
    (Pull.NETWORK, "Error response from daemon: Get https://registry-1.docker.io/v2/: net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)"),
    (Pull.PLATFORM, "Error response from daemon: no matching manifest for linux/arm64/v8 in the manifest list entries"),
    # Registries' own words
    (Pull.DENIED, "denied: Your authorization token has expired. Reauthenticate and try again."),
    (Pull.ABSENT, "name unknown: The repository with name 'api' does not exist in the registry with id '123'"),
    (Pull.EITHER, 'denied: Permission "artifactregistry.repositories.downloadArtifacts" denied on resource "projects/p" (or it may not exist)'),
    (
        Pull.EITHER,
        containerd("failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=repository: 403 Forbidden"),
    ),
    (Pull.EITHER, "unauthorized: access to the requested resource is not authorized"),
    (Pull.RATE, "pull QPS exceeded"),
    (Pull.SIGNATURE, "Source image rejected: A signature was required, but no signature exists"),
    (Pull.OTHER, "failed size validation: 123 != 456: failed precondition"),
    (Pull.UNSEEN, ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "error"), ERRORS)
def test_pull_errors_of_every_runtime(kind, error):
    assert classify(error, IMAGE) is kind


def test_words_in_the_image_name_do_not_decide():
    image = "registry.example/denied-429/x509-not-found:1.4"
    assert classify(containerd("unexpected status: 500 Internal Server Error", image), image) is Pull.SERVER


@pytest.mark.parametrize(
    ("reference", "registry", "repository", "version"),
    [
        ("nginx", "docker.io", "library/nginx", "latest"),
        ("team/api:1", "docker.io", "team/api", "1"),
        ("localhost:5000/api", "localhost:5000", "api", "latest"),
        ("ghcr.io/a/b:1@sha256:00", "ghcr.io", "a/b", "sha256:00"),
    ],
)
def test_image_references(reference, registry, repository, version):
    image = parse_image(reference)
    assert (image.registry, image.repository, image.version) == (registry, repository, version)


CODES = {
    Pull.ABSENT: "ImageNotFound",
    Pull.DENIED: "ImagePullUnauthorized",
    Pull.EITHER: "ImagePullUnauthorized",
    Pull.RATE: "ImagePullRateLimited",
    Pull.NETWORK: "RegistryUnreachable",
    Pull.TLS: "RegistryUnreachable",
    Pull.SERVER: "RegistryError",
    Pull.OTHER: "RegistryError",
    Pull.SIGNATURE: "ImageSignatureInvalid",
    Pull.PLATFORM: "WrongArchitecture",
    Pull.SPACE: "DiskFull",
}


@pytest.mark.parametrize(("kind", "error"), [e for e in ERRORS if e[0] in CODES])
def test_the_cause_is_the_same_from_status_and_event(kind, error):
    expected = [(CODES[kind], "app")]
    assert crash_causes(stuck(back_off(error))) == expected
    assert crash_causes(stuck(error, reason="ErrImagePull")) == expected
    # Kubelets up to 1.31 or so keep the cause in the event only.
    old = stuck(f'Back-off pulling image "{IMAGE}"')
    said = event("Failed", f'Failed to pull image "{IMAGE}": {error}', container="app")
    assert crash_causes(old, said) == expected


def test_an_unseen_reason_is_no_guess():
    codes = {c for c, _ in crash_causes(stuck(f'Back-off pulling image "{IMAGE}"'), denied=["events"])}
    assert not codes & set(CODES.values())


def test_the_event_of_another_image_says_nothing():
    old = event(
        "Failed", f'Failed to pull image "registry.example/old:1": {containerd("x: not found")}', container="app"
    )
    codes = {c for c, _ in crash_causes(stuck(f'Back-off pulling image "{IMAGE}"'), old)}
    assert "ImageNotFound" not in codes


def test_a_running_container_with_an_old_pull_failure_is_no_finding():
    fine = pod(statuses=[status(state={"running": {"startedAt": "2026-11-24T11:00:00Z"}}, ready=True)], ready=True)
    said = event("Failed", f'Failed to pull image "{IMAGE}": {containerd("x: not found")}', container="app")
    assert crash_causes(fine, said) == []


@pytest.mark.parametrize(
    "scenario", ["img-not-found", "img-unauthorized", "img-ratelimit", "img-registry-dns", "img-invalid"]
)
def test_recorded_pulls_without_events(scenario):
    found = diagnosis("why-crash", "pod/api", capture=scenario)
    assert found.findings[0].confidence is Confidence.CONFIRMED
    assert found.findings[0].object.container == "app"


def test_existing_versions_are_offered():
    other = pod(
        "web",
        containers=[container(image="registry.example/team/api:1.3")],
        statuses=[status(imageID="sha256:1", ready=True)],
        ready=True,
    )
    (found,) = crash_findings(stuck(back_off(containerd(f"{IMAGE}: not found"))), other)
    assert "registry.example/team/api:1.3" in found.message
    assert "registry.example/team/api:1.3" in found.fix[0].text


def test_docker_hub_library_has_no_private_images():
    error = containerd("pull access denied, repository does not exist or may require authorization", "ngnix:1")
    (found,) = crash_findings(stuck(back_off(error, "ngnix:1"), image="ngnix:1"))
    assert (found.cause, found.confidence) == ("ImageNotFound", Confidence.LIKELY)


EITHER = back_off(containerd("pull access denied, repository does not exist or may require authorization"))


def test_denied_or_missing_says_both():
    (found,) = crash_findings(stuck(EITHER))
    assert (found.cause, found.confidence) == ("ImagePullUnauthorized", Confidence.LIKELY)
    assert "does not exist" in found.message


def test_a_sibling_that_pulled_proves_the_repository():
    other = pod("web", containers=[container(image="registry.example/team/api:1.3")], statuses=[status(imageID="x")])
    (found,) = crash_findings(stuck(EITHER), other)
    assert found.confidence is Confidence.CONFIRMED
    assert [r.cause for r in found.ruled_out] == ["ImageNotFound"]


def test_the_service_account_got_its_secret_after_the_pod():
    account = obj("ServiceAccount", "default", imagePullSecrets=[{"name": "login"}])
    (found,) = crash_findings(stuck(back_off(containerd("401 Unauthorized"))), account)
    assert "login" in found.fix[0].text
    assert "Recreate" in found.fix[0].text


def test_logins_of_ecr_expire():
    image = "1.dkr.ecr.eu-west-1.amazonaws.com/api:1"
    (found,) = crash_findings(stuck(back_off("denied: Your authorization token has expired.", image), image=image))
    assert found.cause == "ImagePullUnauthorized"
    assert "12 hours" in found.fix[0].text


class TestPullSecrets:
    refused = staticmethod(
        lambda: stuck(back_off(containerd("401 Unauthorized")), imagePullSecrets=[{"name": "regcred"}])
    )

    def test_missing(self):
        login = obj("Secret", "regcreds", type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": ""})
        (found,) = crash_findings(self.refused(), login)
        assert (found.cause, found.confidence) == ("ImagePullSecretNotFound", Confidence.CONFIRMED)
        assert "regcreds" in found.fix[0].text

    def test_in_another_namespace(self):
        login = obj(
            "Secret",
            "regcred",
            namespace="infra",
            type="kubernetes.io/dockerconfigjson",
            data={".dockerconfigjson": ""},
        )
        (found,) = crash_findings(self.refused(), login)
        assert found.cause == "ImagePullSecretNotFound"
        assert "infra" in found.message

    def test_of_the_wrong_type(self):
        (found,) = crash_findings(self.refused(), obj("Secret", "regcred", type="Opaque", data={"password": ""}))
        assert found.cause == "ImagePullSecretNotFound"
        assert "Opaque" in found.message

    def test_there_and_usable(self):
        login = obj("Secret", "regcred", type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": ""})
        assert crash_causes(self.refused(), login) == [("ImagePullUnauthorized", "app")]

    def test_denied_secrets_are_not_missing(self):
        assert crash_causes(self.refused(), denied=["secrets"]) == [("ImagePullUnauthorized", "app")]

    def test_missing_but_pulled_anyway(self):
        fine = pod(
            statuses=[status(state={"running": {"startedAt": "2026-11-24T11:00:00Z"}}, ready=True)],
            ready=True,
            imagePullSecrets=[{"name": "regcred"}],
        )
        assert crash_causes(fine) == []

    def test_asks_for_the_secret_only_when_the_pull_was_refused(self):
        def asked(target):
            made = cluster(target)
            return {getattr(n, "resource", "") for n in evaluation.pod_needs(made, Pod(target))}

        assert "secrets" in asked(self.refused())
        assert "secrets" not in asked(stuck(back_off(containerd("x: not found")), imagePullSecrets=[{"name": "r"}]))


def test_never_pull_absent_and_denied():
    message = f'Container image "{IMAGE}" is not present with pull policy of Never'
    target = stuck(message, reason="ErrImageNeverPull")
    absent = crash_findings(target, obj("Node", "node-1", status={"images": []}))[0]
    held = crash_findings(target, obj("Node", "node-1", status={"images": [{"names": [IMAGE]}]}))[0]
    assert absent.cause == held.cause == "ImageNeverPull"
    assert absent.confidence is Confidence.CONFIRMED
    assert held.confidence is Confidence.LIKELY
    assert "credentials" in held.message


@pytest.mark.parametrize(
    ("image", "good"),
    [
        ("acme/Web:Latest!!", "acme/web:Latest"),
        ("https://registry.example/api:1", "registry.example/api:1"),
        ("registry.example/api:${TAG}", ""),
    ],
)
def test_invalid_names(image, good):
    message = (
        f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": invalid reference format'
    )
    (found,) = crash_findings(stuck(message, reason="InvalidImageName", image=image))
    assert found.cause == "InvalidImageName"
    assert f"for example to {good}" in found.fix[0].text if good else "for example" not in found.fix[0].text


def test_short_names_of_cri_o():
    message = (
        'rpc error: code = Unknown desc = short-name "api:1" did not resolve to an alias and no unqualified-search '
        'registries are defined in "/etc/containers/registries.conf"'
    )
    assert crash_causes(stuck(message, reason="ImageInspectError", image="api:1"))[0] == ("InvalidImageName", "app")


def test_cri_errors_by_reason():
    rejected = f"image pull failed for {IMAGE} because the signature validation failed"
    gone = f"image pull failed for {IMAGE} because the registry is unavailable."
    assert crash_causes(stuck(rejected, reason="SignatureValidationFailed")) == [("ImageSignatureInvalid", "app")]
    assert crash_causes(stuck(gone, reason="RegistryUnavailable")) == [("RegistryUnreachable", "app")]


def test_a_debug_container_does_not_break_the_pod():
    target = pod(
        statuses=[status(state={"running": {"startedAt": "2026-11-24T11:00:00Z"}}, ready=True)],
        ready=True,
        ephemeralContainers=[{"name": "debug", "image": IMAGE}],
        more_status={
            "ephemeralContainerStatuses": [
                status("debug", waiting("ImagePullBackOff", back_off(containerd(f"{IMAGE}: not found"))))
            ]
        },
    )
    (found,) = crash_findings(target)
    assert (found.cause, found.severity) == ("ImageNotFound", Severity.WARNING)
    # Such a container can neither be changed nor taken away.
    assert "another debug container" in found.fix[0].text


@pytest.mark.parametrize(
    ("error", "word", "fix"),
    [
        ("x509: certificate signed by unknown authority", "does not trust", "CA certificate"),
        ("x509: certificate has expired or is not yet valid: current time", "does not trust", "Renew"),
        ("x509: certificate is valid for a.example, not registry.example", "does not trust", "host name"),
        ("http: server gave HTTP response to HTTPS client", "plain HTTP", "insecure"),
        ("dial tcp: lookup registry.example on 10.0.0.10:53: no such host", "resolve registry.example", "DNS"),
        ("dial tcp: lookup auth.example: no such host", "which serves registry.example", "auth.example"),
        ("dial tcp 10.1.2.3:443: connect: connection refused", "10.1.2.3:443: connection refused", "10.1.2.3:443"),
        ("context deadline exceeded", "no answer", "proxy"),
    ],
)
def test_what_keeps_the_node_from_the_registry(error, word, fix):
    words = containerd(f'failed to do request: Head "https://registry.example/v2/": {error}')
    (found,) = crash_findings(stuck(back_off(words)))
    assert found.cause == "RegistryUnreachable"
    assert word in found.message
    assert fix in found.fix[0].text


def test_a_repository_that_does_not_exist():
    (found,) = crash_findings(stuck(back_off("name unknown: repository name not known to registry")))
    assert "has no repository team/api" in found.message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            'failed to pull and unpack image "r.example/a:1": failed to resolve reference "r.example/a:1": failed to do request: Head "https://r.example/v2/a/manifests/1": Proxy Authentication Required',
            Pull.NETWORK,
        ),
        (
            'failed to pull and unpack image "r.example/a:1": failed to unpack image on snapshotter overlayfs: unexpected media type text/html for sha256:0a: not found',
            Pull.SERVER,
        ),
        (
            'failed to pull and unpack image "r.example/a:1": failed to convert manifest: schema 1 image manifests are no longer supported: application/vnd.docker.distribution.manifest.v1+prettyjws not implemented: not implemented',
            Pull.FORMAT,
        ),
        ("unexpected media type application/vnd.oci.image.index.v1+json for sha256:0a: not found", Pull.ABSENT),
    ],
)
def test_what_stands_between_the_node_and_a_good_manifest(error, kind):
    assert classify(error, "r.example/a:1") is kind


def test_a_proxy_that_wants_a_login_is_not_the_registry_refusing():
    error = containerd('failed to do request: Head "https://registry.example/v2/a": Proxy Authentication Required')
    (found,) = crash_findings(stuck(back_off(error)))
    assert found.cause == "RegistryUnreachable"
    assert "proxy" in found.message
    assert "NO_PROXY" in found.fix[0].text


REFUSED = back_off(containerd("unexpected status from HEAD request to https://registry.example/v2/a: 401 Unauthorized"))


@pytest.mark.parametrize(
    ("names", "cause"), [("regcred", "ImagePullSecretNotFound"), ("other", "ImagePullUnauthorized")]
)
def test_the_kubelets_warning_stands_in_for_secrets_that_may_not_be_read(names, cause):
    said = event(
        "FailedToRetrieveImagePullSecret",
        f"Unable to retrieve some image pull secrets ({names}); attempting to pull the image may not succeed.",
    )
    target = stuck(REFUSED, imagePullSecrets=[{"name": "regcred"}])
    found = crash_findings(target, said, denied=("secrets",))[0]
    assert found.cause == cause
    if cause == "ImagePullSecretNotFound":
        assert found.confidence is Confidence.LIKELY


def test_a_certificate_error_is_told_without_the_request():
    error = containerd(
        'failed to do request: Head "https://registry.example/v2/a": tls: failed to verify certificate: x509: certificate signed by unknown authority'
    )
    (found,) = crash_findings(stuck(back_off(error)))
    assert found.message.endswith("registry.example: x509: certificate signed by unknown authority.")


@pytest.mark.parametrize(
    ("registry", "word"), [("acme.azurecr.io", "attach-acr"), ("us-docker.pkg.dev", "artifactregistry.reader")]
)
def test_registries_that_know_the_node(registry, word):
    image = f"{registry}/p/api:1"
    error = f'failed to resolve reference "{image}": unexpected status: 403 Forbidden'
    (found,) = crash_findings(stuck(back_off(error, image), image=image))
    assert word in found.fix[0].text
