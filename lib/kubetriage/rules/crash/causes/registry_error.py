"""The registry answered with an error of its own, or the download broke.

Meaning: the registry was reached and did not refuse the pull, but could not deliver: a server error, a broken
layer, a format that the runtime no longer reads, or another failure while it fetched and unpacked the image.

Told by: an HTTP status of 500 or more, a web page in place of a manifest, or a manifest of Docker schema 1 in the
pull error (confirmed), an error while the node unpacks the layers (likely), or an error of the pull that names neither
network, credentials, limits nor a missing image (possible: the runtime's words are shown as they stand).

Fix: nothing is wrong with the pod. Retry, look at the registry's or the mirror's health, push the image again when
one layer is broken.

Source: RFC 9110 section 15.6; kubelet ErrImagePull.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, PullFailure, pull_failures
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.values.commands import shell
from kubetriage.values.patterns import lazy

CODE = "RegistryError"

_CUT = lazy(
    r"context canceled|pull (?:was )?cancel(?:led|ed)|progress timeout|unexpected EOF|short read: expected", re.I
)


# A user namespace (rootless, userns-remap) has fewer ids than the image's files, or may not give files away.
_IDS = lazy(r"lchown|cannot be mapped to a host ID|not be enough IDs|operation not permitted|permission denied", re.I)
_BROKEN = lazy(r"unexpected EOF|invalid tar|gzip|zstd|checksum|digest|corrupt|short read|unpigz", re.I)


def _unpack(case: Case, failure: PullFailure) -> Finding:
    """Judge layers that came and could not be unpacked: the node's storage, a broken layer, a user namespace."""
    node = case.pod.node or "the node"
    image = failure.image
    if _BROKEN.search(failure.error):
        fixes = [
            Fix(
                f"Remove what {node} has of {image} and pull it again; a broken layer in the registry or a mirror is "
                "to "
                "be pushed anew.",
                actor=Actor.NODE,
                commands=(shell("crictl", "rmi", image), shell("crictl", "pull", image)),
            )
        ]
    elif _IDS.search(failure.error):
        fixes = [
            Fix(
                f"Look at the runtime of {node}: in a user namespace or a nested container (rootless, userns-remap, "
                "LXC) "
                "it may not give files to the image's users. A file system without owners (NFS, overlay on overlay) "
                "or a "
                "security module refuses it, too.",
                actor=Actor.NODE,
                commands=(shell("crictl", "pull", image), shell("journalctl", "-u", "containerd", "--since=-30min")),
            ),
            failure.image_fix(f"Or use a tag of {image} whose files have small user ids; another tag may unpack."),
        ]
    else:
        fixes = [
            Fix(
                f"Pull {image} by hand on {node}, and read the kernel's and the runtime's log there: the snapshotter "
                "or "
                "its file system fails.",
                actor=Actor.NODE,
                commands=(shell("crictl", "pull", image), shell("journalctl", "-u", "containerd", "--since=-30min")),
            )
        ]
    return failure.finding(
        CODE,
        f"{node} got {image} and cannot unpack it: {failure.error}. Registry and credentials are not at fault.",
        fixes,
        confidence=Confidence.LIKELY,
    )


# containerd content/local writer.Commit: what came is not what the manifest names.
_CHANGED = lazy(
    r"failed size validation: (?P<came>\d{1,15}) != (?P<meant>\d{1,15})|unexpected commit (?:digest|size)"
    r"|(?:blob|digest|content)[^\n]{0,60}(?:does not match|mismatch)|failed precondition",
    re.I,
)


def _whole(failure: PullFailure) -> str:
    """Return the runtime's words with what was cut off them for the screen."""
    return "\n".join((failure.error, *(e.value for e in failure.evidence)))[:8192]


def _changed(case: Case, failure: PullFailure) -> Finding:
    """Judge layers that arrived whole for the runtime and are not what the manifest names."""
    node, image, registry = case.pod.node or "the node", failure.image, failure.parsed.registry
    sizes = _CHANGED.search(_whole(failure))
    cut = sizes is not None and sizes["came"] is not None and int(sizes["came"]) < int(sizes["meant"])
    how = (
        f"only {sizes['came']} of {sizes['meant']} bytes of a layer came"
        if sizes is not None and cut
        else "a layer that came is not the one that its manifest names"
    )
    return failure.finding(
        CODE,
        f"{node} cannot use what it got of {image} from {registry}: {how}. Name, tag and credentials are right.",
        [
            Fix(
                f"Look at what stands between {node} and {registry}: a mirror or proxy cache that kept a broken copy "
                "(delete the artifact there), or a proxy or ingress that cuts long answers (its limits of body size, "
                "buffer and time).",
                actor=Actor.CLOUD,
                commands=(
                    shell("crictl", "pull", image),
                    node_command(case, "sh", "-c", "cat /etc/containerd/certs.d/*/hosts.toml"),
                ),
            ),
            failure.image_fix(
                f"If all nodes and a pull from outside fail alike, the layer is broken in {registry}: push {image} "
                "anew under a new tag, and use that."
            ),
        ],
        confidence=Confidence.LIKELY,
    )


def _web_page(case: Case, failure: PullFailure) -> list[Fix]:
    """Lead to whoever answers with a page; what the node kept under the image's name goes, too."""
    node, image = case.pod.node or "the node", failure.image
    return [
        Fix(
            f"Correct the mirror or proxy of the runtime on {node}: its hosts.toml or registries.yaml, and HTTPS_PROXY "
            "of its service. A mirror that was shut down or wants a login answers so for every image.",
            actor=Actor.NODE,
            commands=(
                node_command(
                    case,
                    "sh",
                    "-c",
                    "cat /etc/containerd/certs.d/*/hosts.toml; systemctl cat containerd | grep -i proxy",
                ),
            ),
        ),
        Fix(
            f"Then remove what {node} kept of {image}, and pull it again.",
            actor=Actor.NODE,
            commands=(shell("crictl", "rmi", image), shell("crictl", "pull", image)),
        ),
    ]


def check(case: Case) -> Iterator[Finding]:
    """Name pulls that the registry or the runtime broke."""
    for failure in pull_failures(case, Pull.SERVER, Pull.FORMAT, Pull.UNPACK, Pull.OTHER):
        registry = failure.parsed.registry
        if failure.kind is Pull.SERVER and "text/html" in failure.error:
            yield failure.finding(
                CODE,
                f"{case.pod.node or 'The node'} got a web page (text/html) in place of {failure.image}: a mirror, "
                f"a proxy "
                f"or a login page answers for {registry}.",
                _web_page(case, failure),
            )
        elif failure.kind is Pull.SERVER:
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
        elif failure.kind is Pull.UNPACK:
            yield _unpack(case, failure)
        elif _CHANGED.search(_whole(failure)):
            yield _changed(case, failure)
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
