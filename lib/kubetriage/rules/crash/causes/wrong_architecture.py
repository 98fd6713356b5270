"""The image, or the program in it, is built for another processor than the node has.

Meaning: the kernel cannot run the program (``exec format error``), or the registry has no image for the node's
platform. Often an image built on an arm64 laptop runs on amd64 nodes, or the other way round.

Told by: ``exec format error`` in the runtime's words or as the last line of the log (exit code 1 or 255), or ``no
match for platform in manifest`` and its relatives in the pull error; the node's architecture is shown beside it. A
script gives the same error when its interpreter is built for another processor, and when it has no ``#!`` line; one
that comes from a ConfigMap or Secret is CommandNotExecutable.

Fix: build the image for the nodes' platform (docker buildx build --platform linux/amd64,linux/arm64), or choose nodes
by the label kubernetes.io/arch.

Source: execve(2) ENOEXEC; OCI image index platform matching; node.status.nodeInfo.architecture.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, PullFailure, pull_failures
from kubetriage.rules.crash.start_failures import Start, start_failures
from kubetriage.values.fields import name_of, text

CODE = "WrongArchitecture"


def check(case: Case) -> Iterator[Finding]:
    """Name programs and images of another platform."""
    platform = _platform(case)
    evidence = (Evidence("status", f"node/{case.pod.node} nodeInfo", platform),) if platform else ()
    node = f"{case.pod.node} ({platform})" if platform else case.pod.node or "the node"
    build = platform or "the nodes' platform"
    for pull in pull_failures(case, Pull.PLATFORM):
        yield pull.finding(
            CODE,
            f"{pull.image} has no variant for {node}.",
            _fixes(case, pull, build),
            evidence=evidence,
        )
    for failure in start_failures(case, Start.FORMAT):
        if failure.configuration_volume:
            continue
        program, words = failure.program or "its program", _words(case, failure.container.image, build)
        culprit, otherwise = "it is built for another processor", ""
        if failure.is_script:
            culprit = "its interpreter is built for another processor, or it has no #! line"
            otherwise = f" If the image is built for that, begin {program} with #!/bin/sh (or its interpreter)."
        yield failure.finding(
            CODE,
            f"{node[:1].upper() if not case.pod.node else node[:1]}{node[1:]} cannot run {program} of container "
            f"{failure.container.name} (exec format error): {culprit}.",
            case.template_fix(words + otherwise),
            evidence=evidence,
            # An empty or damaged file gives the same error; the image's own platform is not visible here.
            confidence=Confidence.LIKELY,
        )


def _fixes(case: Case, pull: PullFailure, build: str) -> list[Fix]:
    """Keep the pod to nodes of another operating system where there are some: nobody builds an image for Windows."""
    build_it = pull.image_fix(_words(case, pull.image, build))
    own = text(case.node.obj, "status", "nodeInfo", "operatingSystem") or "linux"
    others = {
        text(n, "status", "nodeInfo", "operatingSystem") or "linux" for n in case.snapshot.list("nodes").items
    } - {own}
    wanted = "linux" if own == "windows" else "windows"
    if wanted not in others and own != "windows":
        return [build_it]
    keep = case.template_fix(
        f"Keep {case.workload_name} to {wanted} nodes: {case.pod.node} runs {own}, and the pod asks for no operating "
        "system.",
        {"nodeSelector": {"kubernetes.io/os": wanted}},
    )
    return [keep, build_it] if own == "windows" else [build_it, keep]


def _words(case: Case, image: str, platform: str) -> str:
    build = f"Build {image} for {platform} (docker buildx build --platform ...)"
    return f"{build}, or move {case.workload_name} to nodes that it fits."


def _platform(case: Case) -> str:
    info = case.node.obj
    if not name_of(info):
        return ""
    system = text(info, "status", "nodeInfo", "operatingSystem") or "linux"
    architecture = text(info, "status", "nodeInfo", "architecture")
    return f"{system}/{architecture}" if architecture else ""
