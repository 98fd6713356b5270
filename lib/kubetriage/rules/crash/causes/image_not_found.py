"""The registry has no such image: the tag, the digest or the repository does not exist.

Meaning: the registry answered and said that it does not have what the pod asks for. Nothing is wrong with the
network or the credentials; waiting does not help until somebody pushes the image or corrects the name.

Told by: the pull error in ``state.waiting.message`` or in the ``Failed`` event (``not found``, ``manifest
unknown``, ``name unknown``). Told apart from a missing platform ("no match for platform in manifest: not found"),
which is WrongArchitecture, and from registries that hide private repositories behind "denied", which is
ImagePullUnauthorized unless the repository can only be public (``docker.io/library``).

Fix: correct the image in the workload's pod template. Tags of the same repository that other pods run or that the
node holds are named, because they exist for certain. Where the publisher moved or withdrew the image
(data/moved_images.json), its new place; an image of a volume is corrected in the volume.

Source: OCI distribution specification, error codes MANIFEST_UNKNOWN and NAME_UNKNOWN; kubelet
pkg/kubelet/images; containerd core/remotes; CRI-O containers/image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, RuledOut
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, PullFailure, pull_failures
from kubetriage.rules.crash.moved_images import Move, moved, moved_evidence, moved_fixes, moved_message, publish
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

CODE = "ImageNotFound"

# OCI NAME_UNKNOWN; ECR, Artifact Registry and GitLab say it in words.
_NO_REPOSITORY = lazy(r"name[ _]unknown|repository (?:with name |\")?\S+ (?:does not exist|not found)", re.I)


def check(case: Case) -> Iterator[Finding]:
    """Name images that do not exist."""
    for failure in pull_failures(case, Pull.ABSENT, Pull.EITHER):
        move = moved(failure.parsed)
        if move is not None:
            yield _moved(failure, move)
        elif failure.kind is Pull.ABSENT:
            yield _absent(failure)
        elif failure.is_official:
            yield _unofficial(failure)


def _absent(failure: PullFailure) -> Finding:
    parsed = failure.parsed
    known = failure.known_versions
    good = nearest(failure.image, known) or (known[0] if len(known) == 1 else "")
    message = f"{parsed.registry} has no image {failure.image}."
    if _NO_REPOSITORY.search(failure.error):
        message = f"{parsed.registry} has no repository {parsed.repository}."
    evidence = []
    if known:
        message += f" Of the same repository exists {', '.join(known[:3])}."
        evidence = [Evidence("status", "images of the node and of other pods", name) for name in known[:3]]
    volume = failure.volume
    if volume:
        message += f" It is the image of volume {volume}, not of container {failure.container.name}."
        at = f"volumes[{volume}].image.reference"
        words = f"Correct {at} in {failure.case.workload_name}, {publish(failure)[0]}."
        return failure.finding(CODE, message, [failure.image_fix(words)], evidence=evidence)
    words = (
        f"Set the image of container {failure.container.name} in {failure.case.workload_name} to {good}, "
        f"{publish(failure)[0]}."
        if good
        else f"Give container {failure.container.name} in {failure.case.workload_name} a tag or digest that exists at "
        f"{parsed.path}, {publish(failure)[0]}."
    )
    return failure.finding(CODE, message, [failure.image_fix(words, good)], evidence=evidence)


def _moved(failure: PullFailure, move: Move) -> Finding:
    """Say that the publisher took the image away: no correction of the name as it stands helps."""
    evidence = [moved_evidence(move)]
    return failure.finding(CODE, moved_message(failure, move), moved_fixes(failure, move), evidence=evidence)


def _unofficial(failure: PullFailure) -> Finding:
    name = failure.parsed.repository.removeprefix("library/")
    return failure.finding(
        CODE,
        f"Docker Hub has no official image {name}; its library has no private images, so the name is misspelt or "
        "lacks its registry or owner.",
        [
            failure.image_fix(
                f"Write the full name of {failure.image} (REGISTRY/OWNER/{name}) in {failure.case.workload_name}."
            )
        ],
        confidence=Confidence.LIKELY,
        ruled_out=[
            RuledOut("ImagePullUnauthorized", "every repository of docker.io/library can be pulled without login")
        ],
    )
