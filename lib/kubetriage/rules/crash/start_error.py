"""The runtime could not make or start the container, for a reason of its own.

Meaning: the image is there and the references resolve, but the OCI runtime or the kubelet failed before the first
instruction of the program: working directory, devices, cgroups, capabilities, a runtime handler, a lost connection.

Told by: StartError (containerd), ContainerCannotRun (cri-dockerd), RunContainerError, CreateContainerError (CRI-O) or
CreateContainerConfigError with words that no other cause claims; they are shown without the layers around them.

Fix: depends on the words; they come from runc, crun or the kubelet.

Source: kubelet kuberuntime ErrRunContainer, ErrCreateContainer, ErrCreateContainerConfig; containerd and runc.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.fields import text
from kubetriage.model import Finding
from kubetriage.patterns import lazy
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.starts import Start, StartFailure, start_failures

CODE = "StartError"

# runc init: the directory of workingDir cannot be entered.
_DIRECTORY = lazy(r'chdir to cwd \("(?P<path>[^"]*)"\)')
# runc 1.1: the first process died at the memory limit before it became the program.
_MEMORY = lazy(r"OOM-killed \(memory limit too low\?\)")


def check(case: Case) -> Iterator[Finding]:
    """Quote what the runtime says."""
    for failure in start_failures(case, Start.OTHER):
        message, words = _say(failure)
        yield failure.finding(CODE, message, case.template_fix(words))


def _say(failure: StartFailure) -> tuple[str, str]:
    container, where = failure.container, failure.case.workload_name
    directory = _DIRECTORY.search(failure.words)
    if directory:
        own = text(container.spec, "workingDir")
        return (
            f"Container {container.name} cannot enter its working directory {directory['path']}: {failure.words}.",
            f"Correct workingDir of container {container.name} in {where}."
            if own
            else f"Let the container's user enter {directory['path']} in image {container.image}.",
        )
    if _MEMORY.search(failure.words):
        limit = text(container.spec, "resources", "limits", "memory")
        return (
            f"Container {container.name} cannot start within its memory limit{' of ' + limit if limit else ''}.",
            f"Raise resources.limits.memory of container {container.name} in {where}; the runtime needs a few MiB.",
        )
    said = failure.words or container.waiting_reason or "no reason given"
    node = failure.case.pod.node or "the node"
    return (
        f"The runtime cannot start container {container.name}: {said}.",
        f"Act on the runtime's words; if they are about the node, look at {node} (kubectl node-triage {node}).",
    )
