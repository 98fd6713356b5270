"""A pull secret that the pod names does not exist or holds no registry login, and the pull was refused.

Meaning: the kubelet went to the registry without the credentials that the pod was meant to have. It only warns
about a missing pull secret and tries without, so the refusal of the registry hides the real cause.

Told by: a refused pull together with a name in ``spec.imagePullSecrets`` that has no Secret, or one of another type
than kubernetes.io/dockerconfigjson or dockercfg; the kubelet says so in ``FailedToRetrieveImagePullSecret``. A
missing pull secret whose image was pulled anyway is no cause.

Fix: create the Secret under that name in the pod's namespace (Secrets are not shared between namespaces), or correct
the name in the pod template or ServiceAccount.

Source: kubelet kubelet_pods.go getPullSecretsForPod, credentialprovider/secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubetriage.model import Confidence, Evidence, Finding
from kubetriage.needs import Get, List, Need
from kubetriage.readers.events import Event
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, PullFailure, pull_failures
from kubetriage.rules.crash.pull_secrets import PULL_SECRET_KEYS, pull_secret_names
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping, name_of, namespace_of, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

CODE = "ImagePullSecretNotFound"

_REFUSED = (Pull.DENIED, Pull.EITHER)


def needs(case: Case) -> Iterable[Need]:
    """Ask for the pull secrets, and for their neighbours once one is missing."""
    if not any(pull_failures(case, *_REFUSED)):
        return
    namespace = case.pod.namespace
    for name in pull_secret_names(case.pod):
        yield Get("secrets", namespace, name)
        if case.snapshot.get("secrets", namespace, name).absent:
            yield List("secrets", namespace)


def check(case: Case) -> Iterator[Finding]:
    """Name pull secrets that give no credentials."""
    for failure in pull_failures(case, *_REFUSED):
        for name in pull_secret_names(case.pod):
            found = case.snapshot.get("secrets", case.pod.namespace, name)
            if found.absent or (not found.found and _warned(case, name)):
                yield _missing(failure, name, looked_up=found.absent and not found.presumed)
            elif found.found and not _usable(found.obj):
                yield _unusable(failure, name, text(found.obj, "type"))


# kubelet kubelet_pods.go getPullSecretsForPod, 1.26 and newer.
_RETRIEVE = lazy(r"image pull secrets \((?P<names>[^)]{0,2000})\)")


def _warned(case: Case, name: str) -> Event | None:
    """Return the kubelet's warning that it could not read this pull secret."""
    for event in reversed(case.events.select("FailedToRetrieveImagePullSecret")):
        told = _RETRIEVE.search(event.message)
        if told is None or name in (n.strip() for n in told["names"].split(",")):
            return event
    return None


def _usable(secret: object) -> bool:
    key = PULL_SECRET_KEYS.get(text(secret, "type"))
    return key is not None and key in mapping(secret, "data")


def _missing(failure: PullFailure, name: str, *, looked_up: bool) -> Finding:
    case, namespace = failure.case, failure.container.pod.namespace
    warned = _warned(case, name)
    logins = [s for s in case.snapshot.list("secrets").items if text(s, "type") in PULL_SECRET_KEYS]
    here = [name_of(s) for s in logins if namespace_of(s) == namespace]
    close = nearest(name, here) or (here[0] if len(here) == 1 else "")
    message = (
        f"Pull secret {name} does not exist in namespace {namespace}, and {failure.parsed.registry} refused the pull."
    )
    elsewhere = [namespace_of(s) for s in logins if name_of(s) == name and namespace_of(s) != namespace]
    if close:
        message += f" {close} exists."
    if elsewhere:
        message += f" A Secret of this name exists in namespace {elsewhere[0]}; pods cannot use it from there."
    words = (
        f"Name {close} instead of {name} in imagePullSecrets of {case.workload_name}."
        if close
        else f"Create Secret {name} ({_create(namespace, name, failure.parsed.registry)} ...)."
    )
    made = failure.finding(
        CODE,
        message,
        [case.template_fix(words, {"imagePullSecrets": [{"name": close}]} if close else None)],
        confidence=Confidence.CONFIRMED if looked_up else Confidence.LIKELY,
        evidence=[Evidence("spec", "spec.imagePullSecrets", name), *([warned.evidence()] if warned else [])],
        verify=[kubectl("get", "secret", name, namespace=namespace)],
    )
    return replace(made, details={**made.details, "reference": {"kind": "Secret", "name": name}})


def _create(namespace: str, name: str, registry: str) -> str:
    server = f"--docker-server={registry}"
    return kubectl("create", "secret", "docker-registry", name, server, namespace=namespace)


def _unusable(failure: PullFailure, name: str, kind: str) -> Finding:
    namespace = failure.container.pod.namespace
    key = PULL_SECRET_KEYS.get(kind)
    what = f"has no key {key}" if key else f"is of type {kind or 'Opaque'}, not kubernetes.io/dockerconfigjson"
    return failure.finding(
        CODE,
        f"Pull secret {name} {what}, so the kubelet takes no login from it, and {failure.parsed.registry} refused "
        "the pull.",
        [
            failure.case.template_fix(
                f"Recreate it: {kubectl('delete', 'secret', name, namespace=namespace)}; "
                f"{_create(namespace, name, failure.parsed.registry)} ..."
            )
        ],
        evidence=[Evidence("config", f"secret/{name}", f"type {kind or '<none>'}")],
        verify=[kubectl("get", "secret", name, "-o", "jsonpath={.type}", namespace=namespace)],
    )
