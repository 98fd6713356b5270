"""The image is not a valid image reference, so nothing was asked for.

Meaning: the kubelet (or the runtime's short-name rules) could not read the image name. No registry was contacted.

Told by: ``state.waiting.reason`` InvalidImageName, or CRI-O's refusal to guess the registry of a short name.

Fix: correct the reference: ``[REGISTRY[:PORT]/]PATH[:TAG][@DIGEST]`` with a lower-case path, no spaces and no scheme.

Source: distribution/reference grammar; kubelet images ErrInvalidImageName; containers-registries.conf short names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, Severity
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, PullFailure, brief, pull_failures
from kubetriage.values.commands import shell
from kubetriage.values.fields import labels
from kubetriage.values.patterns import lazy

CODE = "InvalidImageName"

# containers/image shortnames (CRI-O); appears as ImageInspectError or ErrImagePull.
_SHORT_NAME = lazy(r"short-name .* did not resolve|short name mode is enforcing", re.S)
_REASON = lazy(r"invalid reference format(?:: (?P<why>.+))?", re.S)
# distribution/reference: path components are lower case; the tag follows the last colon.
_TAG = lazy(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


def check(case: Case) -> Iterator[Finding]:
    """Name image references that cannot be read."""
    for failure in pull_failures(case, Pull.NAME):
        if not failure.image.strip():
            yield _unresolved(case, failure)
            continue
        told = _REASON.search(failure.container.waiting_message)
        why = (told and told["why"]) or guess(failure.image)
        good = corrected(failure.image)
        words = f"Correct the image of container {failure.container.name} in {case.workload_name}"
        words += f", for example to {good}." if good else ": [REGISTRY[:PORT]/]PATH[:TAG][@DIGEST], path in lower case."
        yield failure.finding(
            CODE, f'The image "{failure.image}" is not a valid reference: {why}.', [failure.image_fix(words)]
        )
    for container in case.containers:
        if container.waiting_reason in ("ImageInspectError", "ErrImagePull", "ImagePullBackOff"):
            words = _said(case, container)
            if _SHORT_NAME.search(words):
                yield _short(case, container, words)


# OpenShift image triggers: apps.openshift.io, and the annotation of Deployments and other kinds.
_TRIGGERS = "image.openshift.io/triggers"


def _unresolved(case: Case, failure: PullFailure) -> Finding:
    """Judge an image that is blank: OpenShift puts a blank there until an image trigger fills it in."""
    name = failure.container.name
    notes = [labels(o, "metadata", "annotations").get(_TRIGGERS, "") for o in case.owners]
    stream = next((m["tag"] for note in notes if (m := _STREAM.search(note))), "")
    if not stream:
        words = f"Write the image of container {name} in {case.workload_name}: its values or template left it empty."
        return failure.finding(
            CODE,
            f"The image of container {name} is empty.",
            [failure.image_fix(words)],
            confidence=Confidence.CONFIRMED,
        )
    tag = stream.partition(":")[0]
    return failure.finding(
        CODE,
        f"The image of container {name} is still blank: the image trigger of {case.workload_name} waits for "
        f"ImageStreamTag {stream}, which has no image yet.",
        [
            Fix(
                f"Give ImageStreamTag {stream} an image: see why its build did not push, or import it. The "
                f"trigger then "
                "fills the image in and starts a rollout.",
                actor=Actor.MANIFEST,
                commands=(
                    shell("oc", "-n", case.pod.namespace, "get", "imagestream,builds"),
                    shell("oc", "-n", case.pod.namespace, "describe", "imagestream", tag),
                ),
            )
        ],
    )


_STREAM = lazy(r'"kind":\s{0,3}"ImageStreamTag",\s{0,3}"name":\s{0,3}"(?P<tag>[^"]{1,300})"')


def _said(case: Case, container: Container) -> str:
    event = case.events.last("Failed", "InspectFailed", container=container.name, matching=_SHORT_NAME.pattern)
    return container.waiting_message + (f" {event.message}" if event else "")


def _short(case: Case, container: Container, words: str) -> Finding:
    pod = case.pod
    return Finding(
        CODE,
        Severity.ERROR if container.kind != "ephemeral" else Severity.WARNING,
        Confidence.CONFIRMED,
        container.ref,
        f"The runtime does not guess the registry of the short image name {container.image}.",
        (container.fact("status", "state.waiting", f"{container.waiting_reason}: {brief(words)}"),),
        fix=(
            case.template_fix(
                f"Write the image with its registry in {case.workload_name}: docker.io/{container.image}"
            ),
        ),
        verify=(case.kubectl("describe", "pod", pod.name),),
    )


def guess(image: str) -> str:
    """Say what is wrong with a reference when the kubelet does not."""
    if image != image.strip() or " " in image:
        return "it contains a space"
    if "://" in image:
        return "it begins with a scheme"
    if "${" in image or "{{" in image or "$(" in image:
        return "it holds a variable that was not replaced"
    if not image:
        return "it is empty"
    if image.rpartition(":")[0].lower() != image.rpartition(":")[0]:
        return "the path must be in lower case"
    return "it does not match [REGISTRY[:PORT]/]PATH[:TAG][@DIGEST]"


def corrected(image: str) -> str:
    """Return the reference without its obvious slips, or empty when it cannot be told."""
    plain = image.strip().split("://")[-1]
    if any(mark in plain for mark in ("${", "$(", "{{")):
        return ""
    path, colon, tag = plain.rpartition(":")
    if not colon or "/" in tag:
        path, tag = plain, ""
    tag = re.sub(r"[^A-Za-z0-9_.-]", "", tag)
    path = path.lower()
    if not re.fullmatch(r"[a-z0-9]+(?:[._/:-]+[a-z0-9]+)*", path) or (tag and not _TAG.match(tag)):
        return ""
    good = f"{path}:{tag}" if tag else path
    return good if good != image else ""
