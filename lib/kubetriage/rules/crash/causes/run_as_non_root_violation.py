"""The pod demands a non-root user, and the image would run as root or cannot prove otherwise.

Meaning: ``runAsNonRoot: true`` makes the kubelet check the user id before it starts the container. It refuses root,
and it refuses a user given by name in the image, because a name proves nothing.

Told by: the kubelet's words in CreateContainerConfigError: ``container has runAsNonRoot and image will run as root``,
``image has non-numeric user``, ``runAsUser breaks non-root policy``. No ConfigMap or Secret is involved.

Fix: set ``runAsUser`` to the number of the image's user in the workload's pod template, or build the image with
``USER 1000`` (a number).

Source: kubelet kuberuntime verifyRunAsNonRoot; core/v1 SecurityContext.runAsNonRoot.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence, Finding
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.start_failures import Start, StartFailure, start_failures
from kubetriage.values.commands import shell
from kubetriage.values.fields import dig
from kubetriage.values.patterns import lazy

CODE = "RunAsNonRootViolation"

_USER = lazy(r"non-numeric user \((?P<user>[^)]{0,253})\)")


def check(case: Case) -> Iterator[Finding]:
    """Say which demand and which user contradict each other."""
    for failure in start_failures(case, Start.NON_ROOT):
        yield _finding(failure)


def _finding(failure: StartFailure) -> Finding:
    case, container = failure.case, failure.container
    user = _USER.search(failure.words)
    where = f"container {container.name} in {case.workload_name}"
    evidence = _asked(failure)
    if user:
        message = (
            f"Container {container.name} demands runAsNonRoot, and its image names user {user['user']} without a "
            "number, so the kubelet cannot see that it is not root."
        )
        words = f"Set runAsUser of {where} to the number of user {user['user']} in {container.image}."
        look = shell("docker", "run", "--rm", "--entrypoint", "id", container.image)
        return failure.finding(CODE, message, case.template_fix(words, commands=(look,)), evidence=evidence)
    if "breaks non-root policy" in failure.words:
        message = f"Container {container.name} demands runAsNonRoot and sets runAsUser 0."
        words = f"Remove runAsUser: 0 from {where}, or set it to another number."
        return failure.finding(CODE, message, case.template_fix(words), evidence=evidence)
    message = f"Container {container.name} demands runAsNonRoot, and image {container.image} runs as root."
    words = (
        f"Set runAsUser of {where} to a user that the program can run as, for example 1000, or build with USER 1000."
    )
    patch = failure.container.patch({"securityContext": {"runAsUser": 1000}})
    return failure.finding(CODE, message, case.template_fix(words, patch), evidence=evidence)


def _asked(failure: StartFailure) -> tuple[Evidence, ...]:
    found = []
    for at, root in (
        (f"{failure.container.spec_path}.securityContext", failure.container.spec),
        ("spec.securityContext", failure.case.pod.raw.get("spec")),
    ):
        for field in ("runAsNonRoot", "runAsUser"):
            value = dig(root, "securityContext", field)
            if value is not None:
                found.append(Evidence("spec", f"{at}.{field}", str(value).lower()))
    return tuple(found)
