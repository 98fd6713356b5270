"""The preStop hook of a container failed; the stop went on without it.

Meaning: the kubelet logs the failure and sends SIGTERM all the same, so whatever the hook should have done (draining,
deregistering) did not happen, and a hook that hangs eats the grace period until SIGKILL.

Told by: a FailedPreStopHook event of the container.

Fix: use a command that exists in the image (or the sleep handler), keep it shorter than
terminationGracePeriodSeconds, and make it succeed.

Source: kubernetes kuberuntime_container.go (executePreStopHook), KEP-3960.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Finding, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.lifecycle_hooks import hook_words
from kubetriage.values.fields import number

CODE = "PreStopHookFailed"


def check(case: Case) -> Iterator[Finding]:
    """Find preStop hooks that failed."""
    for container in case.containers:
        told = case.events.last("FailedPreStopHook", container=container.name)
        if told is None:
            continue
        words = hook_words(container, "preStop")
        grace = number(case.pod.raw, "spec", "terminationGracePeriodSeconds")
        yield Finding(
            CODE,
            Severity.WARNING,
            Confidence.CONFIRMED,
            container.ref,
            f"The preStop hook of {container.name} failed ({words}); the container was stopped without it.",
            (told.evidence(), container.fact("spec", "lifecycle.preStop", words)),
            (),
            (
                case.template_fix(
                    f"Make the preStop hook of container {container.name} in {case.workload_name} succeed within the "
                    f"grace period of {30 if grace is None else grace} s: the command must exist in the image."
                ),
            ),
            (case.kubectl("events", "--for", f"pod/{case.pod.name}", "--types", "Warning"),),
        )
