"""Where to look next when the last words of a program name no known cause: the three looks that decide most."""

from __future__ import annotations

from datetime import timedelta

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.crash.apart import apart
from kubetriage.rules.crash.crash_context import changes, config_edits, older_runs
from kubetriage.rules.crash.node_commands import in_copy
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.commands import kubectl

_AT_START = timedelta(seconds=10)
"""An end within this time is about what a program reads at its start: arguments, environment, files."""
_ROLLED_BACK = ("Deployment", "StatefulSet", "DaemonSet")


def rollback(words: LastWords) -> tuple[str, ...]:
    """Return the command that goes back to the revision before, where a pod of an older revision is seen ready.

    A revision that nobody saw run may be as broken, and its ReplicaSet may be older than the data.
    """
    return _rollout(words, "undo") if older_runs(words.case) else ()


def history(words: LastWords) -> tuple[str, ...]:
    """Return the look at the revisions of a workload; nothing for workloads without revisions."""
    return _rollout(words, "history")


def _rollout(words: LastWords, verb: str) -> tuple[str, ...]:
    top = words.case.workload
    if top.kind not in _ROLLED_BACK:
        return ()
    return (kubectl("rollout", verb, f"{top.kind.lower()}/{top.name}", namespace=words.case.pod.namespace),)


def next_looks(words: LastWords) -> tuple[Fix, ...]:
    """Return three next looks for this state, the most telling first, each with its command."""
    return tuple(_looks(words)[:3])


def changed_looks(words: LastWords) -> tuple[Fix, ...]:
    """Return the looks at what changed before the crash: the newest revision, an edited object."""
    case, pod = words.case, words.case.pod
    looks: list[Fix] = []
    changed = next(iter(changes(case)), None)
    edited = next(iter(config_edits(case)), None)
    if changed is not None:
        ran = older_runs(case)
        act = f"{ran} of an older revision is ready: go back" if ran else "see which of it the program does not take"
        looks.append(
            Fix(
                f"The newest revision changed {_brief(changed)}: {act}.",
                actor=Actor.MANIFEST,
                commands=rollback(words) or history(words),
            )
        )
    if edited is not None:
        looks.append(
            Fix(
                f"{edited.at} was {_brief(edited)}: compare it with what ran before.",
                actor=Actor.MANIFEST,
                commands=(kubectl("get", edited.at, "-o", "yaml", namespace=pod.namespace),),
            )
        )
    return tuple(looks)


def _looks(words: LastWords) -> list[Fix]:
    container, pod = words.container, words.case.pod
    looks = [*changed_looks(words), *apart(words)]
    debug = Fix(
        f"Start a copy of the pod with a shell in place of {container.name}'s command, and run the "
        "command there by hand.",
        actor=Actor.APP,
        commands=(in_copy(pod, container.name, "sh"),),
    )
    previous = ("--previous",) if container.log_is_previous else ()
    logs = Fix(
        "Read more of the log than its last error: what it did right before."
        if words.text
        else "Look for a log that it writes to a file: its logging settings, or a volume.",
        actor=Actor.APP,
        commands=(kubectl("logs", pod.name, "-c", container.name, *previous, "--tail=200", namespace=pod.namespace),),
    )
    environment = Fix(
        "Compare its arguments and environment with an instance that works (another namespace, the release before).",
        actor=Actor.MANIFEST,
        commands=(kubectl("set", "env", f"pod/{pod.name}", "-c", container.name, "--list", namespace=pod.namespace),),
    )
    life = words.end.lifetime
    early = life is None or life <= _AT_START
    return [*looks, *((debug, environment, logs) if early and not words.text else (debug, logs, environment))]


def _brief(evidence: Evidence) -> str:
    words = evidence.value
    return words if len(words) <= 160 else words[:157] + "..."
