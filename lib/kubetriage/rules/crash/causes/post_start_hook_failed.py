"""The postStart hook of a container failed, so the kubelet killed the container.

Meaning: the program itself may be fine. Kubernetes kills a container whose postStart hook fails, whatever the
program does, and starts it again under the restart policy.

Told by: FailedPostStartHook and Killing events, or state waiting with reason PostStartHookError, whose message is
the only place that holds the hook's output (the events leave it out because it may hold secrets). A hook that still
runs keeps the container in ContainerCreating although its Started event exists.

Fix: make the hook succeed on every start (it runs at the same time as the program, which may not be up yet), or move
the work into an init container or into the program.

Source: kubernetes kuberuntime_container.go (startContainer), lifecycle/handlers.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Killer, attribute
from kubetriage.rules.crash.lifecycle_hooks import hook_words
from kubetriage.values.fields import dig, texts
from kubetriage.values.patterns import lazy
from kubetriage.values.times import human_duration

CODE = "PostStartHookFailed"

# runc and crun, when what a hook is to run is not in the image.
_NO_PROGRAM = lazy(
    r'exec: \\?"(?P<program>[^"\\\s]{1,200})\\?": (?:stat [^:\n]{1,200}: no such file|executable file not found'
    r"|no such file or directory)"
)


def check(case: Case) -> Iterator[Finding]:
    """Find containers killed for their postStart hook, and hooks that do not return."""
    for container in case.containers:
        end = case.crash(container)
        verdict = attribute(case, container) if end is not None else None
        if verdict is not None and verdict.killer is Killer.POST_START:
            yield _failed(case, container, verdict.confidence, verdict.evidence)
        elif container.waiting_reason == "PostStartHookError":
            shown = container.fact("status", "state.waiting", container.waiting_message or "PostStartHookError")
            yield _failed(case, container, Confidence.CONFIRMED, (shown,))
        elif _hangs(case, container):
            yield _hanging(case, container)


def _failed(case: Case, container: Container, confidence: Confidence, seen: tuple[Evidence, ...]) -> Finding:
    words = hook_words(container, "postStart")
    told = case.events.last("FailedPostStartHook", container=container.name)
    evidence = list(seen)
    if told is not None:
        evidence.insert(0, told.evidence())
    if container.waiting_reason == "PostStartHookError" and container.waiting_message:
        evidence.append(container.fact("status", "state.waiting.message", container.waiting_message))
    evidence.append(container.fact("spec", "lifecycle.postStart", words))
    by_hand = texts(container.spec, "lifecycle", "postStart", "exec", "command")
    run = case.kubectl("exec", case.pod.name, "-c", container.name, "--", *by_hand)
    fixes = [
        case.template_fix(
            f"Make the postStart hook of container {container.name} in {case.workload_name} succeed; its output is in "
            "no log and no event, so try it while the container runs.",
            commands=(run,) if words.startswith("exec ") else (),
        )
    ]
    missing = _NO_PROGRAM.search(f"{told.message if told else ''} {container.waiting_message}")
    why = ""
    if missing is not None:
        program = missing["program"]
        why = f": image {container.image} has no {program}"
        fixes = [
            case.template_fix(
                f"Let the hook run a program that {container.image} has (a distroless or scratch image has no "
                f"shell), or "
                f"move the work into an init container with its own image, in {case.workload_name}."
            ),
        ]
    return Finding(
        CODE,
        Severity.ERROR,
        confidence,
        container.ref,
        f"The kubelet {'probably ' if confidence is Confidence.POSSIBLE else ''}killed {container.name} because its "
        f"postStart hook failed ({words}){why}.",
        tuple(dict.fromkeys(evidence)),
        (),
        tuple(fixes),
        (
            case.kubectl("events", "--for", f"pod/{case.pod.name}"),
            case.kubectl("describe", "pod", case.pod.name),
        ),
    )


def _hangs(case: Case, container: Container) -> bool:
    if dig(container.spec, "lifecycle", "postStart") is None or container.waiting_reason != "ContainerCreating":
        return False
    started = case.events.last("Started", container=container.name)
    # syncPod waits for the hook, so the status stays as it was before the start.
    return started is not None and not any(
        e.last and started.last and e.last > started.last for e in case.events.select("Killing", "Failed")
    )


def _hanging(case: Case, container: Container) -> Finding:
    words = hook_words(container, "postStart")
    started = case.events.last("Started", container=container.name)
    since = human_duration(case.now - started.last) if started and started.last else "some time"
    evidence = [container.fact("status", "state.waiting.reason", "ContainerCreating")]
    if started is not None:
        evidence.append(started.evidence())
    evidence.append(container.fact("spec", "lifecycle.postStart", words))
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        container.ref,
        f"{container.name} was started {since} ago, but its postStart hook ({words}) has not returned; the kubelet "
        "waits for it.",
        tuple(evidence),
        (),
        (
            case.template_fix(
                f"Give the postStart hook of container {container.name} in {case.workload_name} a time limit."
            ),
        ),
        (case.kubectl("describe", "pod", case.pod.name),),
    )
