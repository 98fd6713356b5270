"""The program exists but may not be run.

Meaning: the file has no execute permission for the container's user, is a directory, lies on a volume mounted
noexec, or is a script of a ConfigMap or Secret without a ``#!`` line.

Told by: ``permission denied`` or ``is a directory`` after ``exec`` in the runtime's words, or exit code 126 together
with the shell's own last line. Words like "permission denied" elsewhere in a log are another cause.

Fix: chmod +x in the image (COPY --chmod=755), or run the script through its interpreter. For files of a ConfigMap or
Secret volume set defaultMode 0755.

Source: execve(2) EACCES; POSIX shell exit status 126; runc init_linux.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Finding
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import security
from kubetriage.rules.crash.denied_in_image import SCC
from kubetriage.rules.crash.start_failures import Start, StartFailure, start_failures
from kubetriage.values.fields import labels, mapping, texts

CODE = "CommandNotExecutable"


def check(case: Case) -> Iterator[Finding]:
    """Name programs that cannot be run as they are."""
    for failure in start_failures(case, Start.NOT_EXECUTABLE, Start.FORMAT):
        if failure.kind is Start.FORMAT:
            # Text has no architecture: the kernel misses its first line. What lies in the image may be anything.
            volume = failure.configuration_volume
            if volume:
                yield failure.finding(
                    CODE,
                    f"The kernel cannot run {failure.program} of container {failure.container.name}: a script needs a "
                    "first line that names its interpreter.",
                    case.template_fix(
                        f"Begin {failure.program} in volume {volume} with #!/bin/sh (or its interpreter), without a "
                        "blank or an empty line before it."
                    ),
                    confidence=Confidence.LIKELY,
                )
            continue
        message, words = _say(failure)
        yield failure.finding(CODE, message, case.template_fix(words))


def _say(failure: StartFailure) -> tuple[str, str]:
    name, image = failure.container.name, failure.container.image
    program = failure.program or "its program"
    if not failure.words:
        return (
            f"Container {name} ended with 126, which a shell returns for a command that it may not run.",
            f"Check the permissions of every command in {failure.command or 'the entrypoint'} in {image}.",
        )
    if "operation not permitted" in failure.words.lower():
        return _capabilities(failure, program)
    if "is a directory" in failure.words.lower():
        return (
            f"Container {name} cannot start: {program} is a directory.",
            f"Name the program itself in command of container {name} in {failure.case.workload_name}.",
        )
    volume = failure.configuration_volume
    if volume:
        return (
            f"Container {name} may not run {program}: files of volume {volume} have no execute permission.",
            f"Set defaultMode: 0755 for volume {volume} in {failure.case.workload_name}, or run it with sh {program}.",
        )
    return (
        f"Container {name} may not run {program}: permission denied.",
        f"Make {program} executable for the container's user in image {image} (chmod +x, COPY --chmod=755), or run "
        f"it through its interpreter.{_other_user(failure)}",
    )


def _capabilities(failure: StartFailure, program: str) -> tuple[str, str]:
    """Judge EPERM of execve: the file has capabilities that the container may not get, or an agent forbids it."""
    context = failure.container
    dropped = texts(mapping({"c": security(context, "capabilities")[0]}, "c"), "drop")
    held = f" (capabilities.drop {', '.join(dropped)})" if dropped else ""
    if security(context, "allowPrivilegeEscalation")[0] is False:
        held += " (allowPrivilegeEscalation false)"
    return (
        f"Container {context.name} may not run {program}: operation not permitted. Its file has capabilities of its "
        "own "
        f"(setcap) that the container does not get{held}, or a security agent of the node refuses it.",
        f"Give {failure.case.workload_name} back the capability that the file wants (often NET_BIND_SERVICE, with "
        f"allowPrivilegeEscalation true), or take it off the file in image {context.image} (setcap -r). Where "
        "nothing is "
        "dropped, see the security agent of the node.",
    )


def _other_user(failure: StartFailure) -> str:
    """Say that the user is not the image's, where the pod or OpenShift sets another."""
    scc = labels(failure.case.pod.raw, "metadata", "annotations").get(SCC, "")
    user, _ = security(failure.container, "runAsUser")
    if scc:
        return (
            f" OpenShift ({scc}) runs it with a user id of the namespace: the file must be open to group 0, or the "
            "ServiceAccount needs anyuid."
        )
    return f" runAsUser {user} is not the image's own user." if user is not None else ""
