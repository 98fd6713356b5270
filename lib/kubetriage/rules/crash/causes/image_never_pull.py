"""The image is not on the node and imagePullPolicy Never forbids to fetch it.

Meaning: the pod runs only where somebody put the image before. Newer kubelets say the same when the image is there
but this pod has no credentials that were proven to read it.

Told by: ``state.waiting.reason`` ErrImageNeverPull. When the node lists the image among those that it holds, the
credentials are the reason (KubeletEnsureSecretPulledImages).

Fix: set imagePullPolicy IfNotPresent, load the image onto the node, or give the pod the pull secret that the image
was pulled with.

Source: kubelet images ErrImageNeverPull; KEP-2535 (beta in 1.35).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, PullFailure, parse_image, pull_failures
from kubetriage.values.fields import objects, texts

CODE = "ImageNeverPull"


def check(case: Case) -> Iterator[Finding]:
    """Name images that were to be there already."""
    for failure in pull_failures(case, Pull.NEVER):
        yield _denied(failure) if _held(failure) else _absent(failure)


def _held(failure: PullFailure) -> str:
    """Return the name under which the node lists the image; it lists the largest fifty only."""
    for held in objects(failure.case.node.obj, "status", "images"):
        for name in texts(held, "names"):
            if parse_image(name) == failure.parsed:
                return name
    return ""


def _absent(failure: PullFailure) -> Finding:
    container = failure.container
    node = container.pod.node or "the node"
    return failure.finding(
        CODE,
        f"{failure.image} is not on {node}, and container {container.name} has imagePullPolicy Never.",
        [
            failure.case.template_fix(
                f"Set imagePullPolicy to IfNotPresent in {failure.case.workload_name}, or load the image onto {node}.",
                container.patch({"imagePullPolicy": "IfNotPresent"}),
            )
        ],
        evidence=[container.fact("spec", "imagePullPolicy", container.spec.get("imagePullPolicy", "<none>"))],
    )


def _denied(failure: PullFailure) -> Finding:
    node = failure.container.pod.node
    return failure.finding(
        CODE,
        f"{failure.image} is on {node}, but this pod has no credentials that were proven to read it, and "
        "imagePullPolicy Never forbids to ask the registry.",
        [
            failure.case.template_fix(
                f"Name the pull secret that the image was pulled with in imagePullSecrets of "
                f"{failure.case.workload_name}, or set imagePullPolicy to IfNotPresent."
            )
        ],
        confidence=Confidence.LIKELY,
        evidence=[Evidence("status", f"node/{node} status.images", _held(failure))],
    )
