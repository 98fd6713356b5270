"""The registry answered with an error of its own, or the download broke.

Meaning: the registry was reached and did not refuse the pull, but could not deliver: a server error, a broken
layer, a format that the runtime no longer reads, or another failure while it fetched and unpacked the image.

Told by: an HTTP status of 500 or more, a web page in place of a manifest, or a manifest of Docker schema 1 in the
pull error (confirmed), or an error of the pull that names neither network, credentials, limits nor a missing image
(possible: the runtime's words are shown as they stand).

Fix: nothing is wrong with the pod. Retry, look at the registry's or the mirror's health, push the image again when
one layer is broken.

Source: RFC 9110 section 15.6; kubelet ErrImagePull.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, pull_failures
from kubetriage.values.commands import shell
from kubetriage.values.patterns import lazy

CODE = "RegistryError"

_CUT = lazy(
    r"context canceled|pull (?:was )?cancel(?:led|ed)|progress timeout|unexpected EOF|short read: expected", re.I
)


def check(case: Case) -> Iterator[Finding]:
    """Name pulls that the registry or the runtime broke."""
    for failure in pull_failures(case, Pull.SERVER, Pull.FORMAT, Pull.OTHER):
        registry = failure.parsed.registry
        if failure.kind is Pull.SERVER:
            yield failure.finding(
                CODE,
                f"{registry} failed to deliver {failure.image}: {failure.error}.",
                [
                    Fix(
                        f"Look at the state of {registry} or of the mirror in front of it; the kubelet keeps trying.",
                        actor=Actor.CLOUD,
                    )
                ],
            )
        elif failure.kind is Pull.FORMAT:
            yield failure.finding(
                CODE,
                f"{failure.image} has a manifest of Docker schema 1, which the runtime no longer reads.",
                [
                    failure.image_fix(
                        f"Build {failure.image} again, or pull and push it with a tool that converts (skopeo copy "
                        f"--format v2s2), and use the result in {case.workload_name}."
                    )
                ],
            )
        elif _CUT.search(failure.error):
            node = case.pod.node or "the node"
            yield failure.finding(
                CODE,
                f"The pull of {failure.image} from {registry} was cut off before it ended: {failure.error}.",
                [
                    Fix(
                        f"Pull it once by hand on {node} and see how long it takes: a slow registry, proxy or "
                        f"disk runs into "
                        "the runtime's progress timeout (containerd image_pull_progress_timeout, 5m) or a "
                        "restart of it.",
                        actor=Actor.NODE,
                        commands=(shell("crictl", "pull", failure.image), shell("journalctl", "-u", "containerd")),
                    ),
                    failure.image_fix(f"Or make {failure.image} smaller, or serve it from a mirror near the nodes."),
                ],
                confidence=Confidence.LIKELY,
            )
        else:
            yield failure.finding(
                CODE,
                f"The pull of {failure.image} from {registry} failed: {failure.error}.",
                [
                    Fix(
                        f"This message is not known here. Pull {failure.image} by hand on "
                        f"{case.pod.node or 'the node'}, "
                        "and read the runtime's log there.",
                        actor=Actor.NODE,
                        commands=(shell("crictl", "pull", failure.image), shell("journalctl", "-u", "containerd")),
                    )
                ],
                confidence=Confidence.POSSIBLE,
            )
