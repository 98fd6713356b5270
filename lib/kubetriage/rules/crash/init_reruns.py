"""An init container that had done its work and ran again in the same pod: why, and what ends it."""

from __future__ import annotations

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.readers.events import NEAR_NODE_EVENT, node_events
from kubetriage.readers.pods import Container
from kubetriage.records import dataclass, replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy
from kubetriage.values.times import human_duration

# What a step says that finds its own work done: of a copy, a directory, a rule, a link, a mount, a user.
LEFT_OVER = lazy(
    r"file exists|text file busy|chain already exists|already exists|is not empty|already mounted"
    r"|device or resource busy"
    r"|RTNETLINK answers: File exists|EEXIST",
    2,
)


@dataclass(frozen=True)
class Rerun:
    """A second run of an init container."""

    running: tuple[str, ...]
    """Containers that run all the while and do not need it."""
    since: str
    """How long they have been running, as kubectl writes it; empty when they do not run."""
    fresh_sandbox: bool
    """The pod got a new sandbox, or its node restarted: everything of it ran again."""
    evidence: tuple[Evidence, ...]


def rerun_of(case: Case, container: Container) -> Rerun | None:
    """Return the second run of an init container; None when its main containers never started before its failure."""
    end = container.termination
    if end is None or end.started is None or container.kind != "init":
        return None
    mains = [c for c in case.containers if c.kind in ("app", "sidecar")]
    running = [c for c in mains if c.running_since is not None and c.running_since < end.started and c.kind == "app"]
    ended = [
        c
        for c in mains
        if c.kind == "app" and c.termination is not None and c.termination.started is not None
        and c.termination.started < end.started
    ]  # fmt: skip
    if not running and not ended:
        return None
    evidence = [
        c.fact("status", "state.running.startedAt", f"running since {c.running_since:%Y-%m-%d %H:%M:%S}")
        for c in running[:2]
    ]
    evidence += [c.termination.evidence() for c in ended[:1] if c.termination is not None and not running]
    events = list(case.events.select("SandboxChanged"))
    events += [
        e
        for e in node_events(case.snapshot, case.pod.node).select("Rebooted")
        if e.last is not None and abs(e.last - end.started) <= NEAR_NODE_EVENT
    ]
    oldest = min((c.running_since for c in running if c.running_since is not None), default=None)
    return Rerun(
        tuple(c.name for c in mains if c.running),
        human_duration(case.now - oldest) if oldest is not None else "",
        bool(events) or not running,
        (*evidence, *(e.evidence() for e in events[:1])),
    )


def rerun_words(_: Case, container: Container, rerun: Rerun) -> str:
    """Say in one clause that an init container ran again, and what that means for the pod."""
    if rerun.running:
        names = ", ".join(rerun.running)
        return (
            f"Init container {container.name} had done its work and ran again; {names} run since "
            f"{rerun.since} and need "
            "nothing more of it"
        )
    return (
        f"Init container {container.name} had done its work and ran again in a new sandbox (node or "
        "runtime restart); it "
        "finds what its first run left"
    )


def rerun_fixes(case: Case, container: Container, rerun: Rerun) -> tuple[Fix, ...]:
    """Return what ends it: a new pod now, whatever removes ended containers, and steps that can be repeated."""
    pod, node = case.pod, case.pod.node or "its node"
    bare = case.workload.kind == "Pod"
    anew = Fix(
        f"Recreate pod {pod.name}: a new pod starts in a clean sandbox and with empty emptyDirs."
        + (" Nothing makes a bare pod again: keep its manifest." if bare else ""),
        actor=Actor.MANIFEST,
        commands=(kubectl("delete", "pod", pod.name, namespace=pod.namespace),),
    )
    if rerun.fresh_sandbox:
        cause = Fix(
            f"See why node {node} or its runtime restarted; init containers run again after that.",
            actor=Actor.NODE,
            commands=(
                node_command(case, "sh", "-c", "uptime; journalctl -u kubelet -u containerd --since -2h | tail -50"),
            ),
        )
    else:
        cause = Fix(
            f"Something on node {node} removes ended containers, so the kubelet runs init containers "
            "again: stop the prune "
            "(docker system prune, crictl rm) in cron jobs and clean-up agents.",
            actor=Actor.NODE,
            commands=(node_command(case, "sh", "-c", "grep -rsE 'prune|crictl rm' /etc/cron* /var/spool/cron"),),
        )
    repeat = replace(
        case.template_fix(
            f"Make the steps of {container.name} repeatable: cp -f to a temporary name and mv, mkdir "
            "-p, ln -sfn, delete a "
            "chain before it is made."
        ),
        actor=Actor.MANIFEST,
    )
    return (anew, cause, repeat)
