"""Something is wrong with the pod, and what was seen does not say what.

Meaning: the evidence that would decide is missing: events have expired or may not be read, the log is gone or denied,
or the kubelet has reported nothing. This is said instead of a guess.

Told by: a pod that is not well although no cause was found. The gaps are listed, and what the status does say; the
scheduler's own words, a pull that goes on or the newest warning are quoted.

Fix: close the gap that is named (a permission, a time window), or look again while it happens.

Source: kubernetes core/v1 PodStatus; the kubelet invents exit code 137 for ContainerStatusUnknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.readers.pods import Container, Pod
from kubetriage.readers.terminations import Termination
from kubetriage.rules.crash.case import Case, ControllerCase
from kubetriage.rules.crash.cron_schedules import told_by_schedule
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, flag, mapping, name_of, number, objects, text
from kubetriage.values.times import human_duration, parse_time

CODE = "Unknown"

UNDER_WAY = (
    "StartupProbeFailed",
    "ReadinessProbeFailed",
    "InitContainerWaiting",
    "ReadinessGateNotReady",
    "JobBlockedBySidecar",
)
"""Notes of these say that the pod is on its way: nothing is left to explain."""
SETTLING = timedelta(seconds=60)
"""A pod younger than this, or one that changed this recently, may simply still be starting."""


def conclude(case: Case, findings: list[Finding]) -> list[Finding]:
    """Add Unknown where a pod is not well and nothing explains it."""
    if not case.pod.is_troubled or any(f.severity is not Severity.NOTE or f.cause in UNDER_WAY for f in findings):
        return findings
    # After the grace period the kubelet still takes a moment to clean up.
    if case.pod.deleting and case.pod.deletion is not None and case.now <= case.pod.deletion + SETTLING:
        return findings
    made = list(_lost(case)) or list(_ended(case)) or [_unexplained(case)]
    return [*made, *findings]


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Say that pods are wanted and none is there; asked only where no other rule has an explanation."""
    if case.kind == "CronJob":
        yield from told_by_schedule(case, CODE)
    wanted, have = _counts(case)
    age = case.now - case.created if case.created is not None else None
    if case.pods or not wanted or have >= wanted or (age is not None and age <= SETTLING):
        return
    pods = case.snapshot.list("pods", case.ref.namespace)
    gaps = [f"events of {k.lower()}/{name_of(o)} could not be read" for k, o in case.family if not _told(case, k, o)]
    if not pods.complete:
        gaps.insert(0, f"its pods could not be listed ({pods.why})")
    below = case.snapshot.list("replicasets", case.ref.namespace)
    if case.kind == "Deployment" and not below.complete:
        gaps.append(f"its ReplicaSets, whose events would tell, could not be listed ({below.why})")
    said = "; ".join(gaps) or "no event or condition shows the reason"
    evidence = [Evidence("status", "status", f"{have} of {wanted} pods")]
    for condition in objects(case.raw, "status", "conditions"):
        words = f"{text(condition, 'status')}: {text(condition, 'reason')} {text(condition, 'message')}".strip()
        at = f"status.conditions[{text(condition, 'type')}]"
        evidence.append(Evidence("status", at, words, text(condition, "lastTransitionTime")))
    paused = " It is paused." if flag(case.raw, "spec", "paused") else ""
    where = f"{case.kind.lower()} {case.ref.name}"
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.POSSIBLE,
        case.ref,
        f"{case.kind} {case.ref.name} wants {wanted} pod{'s' if wanted != 1 else ''} and has {have}: {said}.{paused}",
        tuple(evidence),
        fix=(
            Fix(
                "Let it go on."
                if paused
                else "Grant the missing access, or run it again while a pod is being created.",
                actor=Actor.MANIFEST if paused else Actor.CLUSTER,
                commands=(
                    kubectl(
                        *(("rollout", "resume", *where.split()) if paused else ("describe", *where.split())),
                        namespace=case.ref.namespace,
                    ),
                ),
            ),
        ),
        verify=(kubectl("describe", *where.split(), namespace=case.ref.namespace),),
    )


def _counts(case: ControllerCase) -> tuple[int, int]:
    """Return how many pods are wanted to be ready and how many are; 0 wanted for Jobs, which end."""
    if case.kind in ("Deployment", "ReplicaSet", "StatefulSet"):
        replicas = number(case.raw, "spec", "replicas")
        return (1 if replicas is None else replicas), number(case.raw, "status", "readyReplicas") or 0
    if case.kind == "DaemonSet":
        status = mapping(case.raw, "status")
        return number(status, "desiredNumberScheduled") or 0, number(status, "numberReady") or 0
    return 0, 0


def _told(case: ControllerCase, kind: str, obj: Obj) -> bool:
    return case.events_of(kind, obj).seen


def _lost(case: Case) -> Iterator[Finding]:
    for container in case.containers:
        end = case.crash(container)
        if end is not None and end.reason == "ContainerStatusUnknown":
            yield Finding(
                CODE,
                Severity.ERROR,
                Confidence.POSSIBLE,
                container.ref,
                f"The kubelet lost container {container.name}: exit code {end.exit_code} is made up, not a signal or "
                "an OOM kill. The node was probably restarted or drained while the pod ended.",
                (end.evidence(), *([Evidence("status", end.at, end.message)] if end.message else [])),
                (),
                (
                    Fix(
                        f"Look at what happened to node {case.pod.node or '?'} then; a controller replaces the pod.",
                        actor=Actor.NODE,
                        commands=(kubectl("node-triage", case.pod.node),) if case.pod.node else (),
                    ),
                ),
                (kubectl("describe", "node", case.pod.node),) if case.pod.node else (),
            )


def _gaps(case: Case, container: Container | None) -> list[str]:
    gaps = []
    if not case.events.seen:
        gaps.append(f"events could not be read ({case.events.why})")
    elif not case.events.items:
        pod = case.pod
        presumed = case.snapshot.events(pod.namespace, pod.uid, pod.name, "Pod").presumed
        gaps.append("its events were not given" if presumed else "no events are left")
    if container is not None and container.termination is not None:
        log = case.log(container)
        if not log.seen:
            gaps.append(f"the log of {container.name} was not seen ({log.why})")
        elif not log.text.strip():
            gaps.append(f"the log of {container.name} is empty")
    return gaps


def _ended(case: Case) -> Iterator[Finding]:
    for container in case.containers:
        end = case.crash(container)
        if end is None or (container.running and case.outlived(container)):
            continue
        gaps = "; ".join(_gaps(case, container)) or "status, events and log do not say why"
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.POSSIBLE,
            container.ref,
            f"{container.name} {_how(end)}, and the cause was not seen: {gaps}.",
            (end.evidence(), *([Evidence("status", end.at, end.message)] if end.message else [])),
            (),
            (
                Fix(
                    "Grant the missing access, or run it again right after the next crash. The log of the ended "
                    "instance and its events name the cause.",
                    actor=Actor.CLUSTER,
                    commands=(
                        kubectl(
                            "logs", case.pod.name, "-c", container.name, "--previous", namespace=case.pod.namespace
                        ),
                    ),
                ),
            ),
            (case.log_command(container), case.kubectl("events", "--for", f"pod/{case.pod.name}")),
        )


def _how(end: Termination) -> str:
    """Say how an instance ended; a table does not print it."""
    if end.untold:
        return "ended"
    return f"ended with exit code {end.exit_code} ({end.reason or 'no reason'})"


def _unexplained(case: Case) -> Finding:
    pod = case.pod
    evidence = [pod.fact("status", "status.phase", f"{pod.phase or '<none>'} {pod.reason} {pod.message}".strip())]
    bad = [c for c in objects(pod.raw, "status", "conditions") if text(c, "status") == "False"]
    for condition in bad:
        words = f"False: {text(condition, 'reason')} {text(condition, 'message')}".strip()
        evidence.append(pod.fact("status", f"status.conditions[{text(condition, 'type')}]", words))
    waits = [c for c in case.containers if c.waiting is not None]
    for container in waits:
        words = f"{container.waiting_reason} {container.waiting_message}".strip()
        evidence.append(container.fact("status", "state.waiting", words or "<none>"))
    age = case.now - pod.created if pod.created is not None else None
    young = age is not None and age <= SETTLING
    fix = Fix("Look again in a minute.")
    if not young:
        watch = kubectl("get", "events", "--watch", namespace=pod.namespace)
        fix = Fix("Grant the missing access, or run it again while it happens.", actor=Actor.CLUSTER, commands=(watch,))
    hint = None if young else _hint(case)
    gaps = "; ".join(_gaps(case, None))
    if young and age is not None:
        words = f"The pod is {pod.status_text()} and only {human_duration(age)} old; nothing has failed so far."
    elif hint is not None:
        words, fix, told = hint
        words += f" Not seen: {gaps}." if gaps and not case.events.seen else ""
        evidence += told
    else:
        words = f"The pod is {pod.status_text()}, and what was seen does not say why"
        words += f": {gaps}." if gaps else "."
    return Finding(
        CODE,
        Severity.NOTE if young else Severity.ERROR,
        Confidence.POSSIBLE,
        pod.ref,
        words,
        tuple(evidence),
        (),
        (fix,),
        (case.kubectl("describe", "pod", pod.name), case.kubectl("events", "--for", f"pod/{pod.name}")),
    )


_Hint = tuple[str, Fix, list[Evidence]]


def _hint(case: Case) -> _Hint | None:
    """Say how far the pod has come, and quote whoever spoke last: less than a cause, more than nothing."""
    if not case.pod.node and case.snapshot.covers(case.pod.raw, "spec.nodeName"):
        return _unplaced(case)
    told = _pulling(case) or _warned(case)
    # Without a node in the data nobody knows whether one was chosen.
    return told or (_unacknowledged(case) if case.pod.node else None)


def _unplaced(case: Case) -> _Hint | None:
    pod = case.pod
    condition = pod.condition("PodScheduled")
    said = text(condition, "message")
    if said:
        return (
            f"The pod is {pod.status_text()}; the scheduler says: {said.rstrip('.')}.",
            _by_scheduler(case),
            [],
        )
    event = case.events.last("FailedScheduling")
    if event is not None:
        words = f"The pod is {pod.status_text()}; the scheduler says: {event.message.rstrip('.')}."
        return words, _by_scheduler(case), [event.evidence()]
    name = text(pod.raw, "spec", "schedulerName") or "default-scheduler"
    if _scheduled_since(case, name):
        return (
            f"Scheduler {name} has placed other pods since this one was made, so something holds it back before the "
            "scheduler's queue; its spec and conditions do not say what.",
            _by_scheduler(case),
            [pod.fact("spec", "spec.schedulerName", name)],
        )
    return (
        f"No scheduler has taken up the pod; it waits for the one named {name}.",
        Fix(
            f"See that scheduler {name} runs and renews its lease"
            + ("." if name == "default-scheduler" else f", or drop schedulerName from {case.workload_name}."),
            actor=Actor.CLUSTER,
            commands=(
                kubectl("get", "leases,pods", namespace="kube-system"),
                *((kubectl("plane-trace"),) if name == "default-scheduler" else ()),
            ),
        ),
        [pod.fact("spec", "spec.schedulerName", name)],
    )


def _scheduled_since(case: Case, name: str) -> bool:
    """Tell whether the pod's own scheduler placed a pod after this one was made."""
    created = case.pod.created
    for raw in case.snapshot.list("pods").items if created is not None else ():
        other = Pod(raw)
        when = parse_time(other.condition("PodScheduled").get("lastTransitionTime"))
        own = (text(raw, "spec", "schedulerName") or "default-scheduler") == name
        if own and other.node and created is not None and when is not None and when > created:
            return True
    return False


def _by_scheduler(case: Case) -> Fix:
    return Fix(
        "This message of the scheduler is not known here: compare what the pod asks for with the nodes.",
        actor=Actor.MANIFEST,
        commands=(
            kubectl("describe", "pod", case.pod.name, namespace=case.pod.namespace),
            kubectl("describe", "nodes"),
        ),
    )


def _pulling(case: Case) -> _Hint | None:
    begun = case.events.last("Pulling")
    done = case.events.last("Pulled", "Failed", "BackOff", "Created")
    if begun is None or begun.last is None or (done is not None and done.last and done.last >= begun.last):
        return None
    image = begun.message.partition('"')[2].partition('"')[0] or "the image"
    return (
        f"{case.pod.node} has been pulling {image} for {human_duration(case.now - begun.last)}; nothing failed so far.",
        Fix(
            f"Wait, or find what is slow: the size of {image}, the registry, or the network and disk of the node.",
            actor=Actor.NODE,
        ),
        [begun.evidence()],
    )


def _warned(case: Case) -> _Hint | None:
    # What the scheduler said before it found a node is over.
    event = next((e for e in reversed(case.events.items) if e.warning and e.reason != "FailedScheduling"), None)
    if event is None:
        return None
    said = " ".join(event.message.split()).rstrip(".")
    return (
        f"The pod is {case.pod.status_text()}; the newest warning about it is {event.reason}: {said}.",
        Fix(
            "The warning is of no kind that is known here. Look at whoever wrote it (its component), and "
            "again while it "
            "happens.",
            actor=Actor.CLUSTER,
            commands=(kubectl("describe", "pod", case.pod.name, namespace=case.pod.namespace),),
        ),
        [event.evidence()],
    )


def _unacknowledged(case: Case) -> _Hint | None:
    """Tell a pod that its kubelet has not taken up: that would have set startTime at once."""
    pod = case.pod
    if pod.finished or text(pod.raw, "status", "startTime") or any(c.status for c in case.containers):
        return None
    return (
        f"The pod was assigned to {pod.node}, and the kubelet there has not taken it up.",
        Fix(f"Look at the kubelet of {pod.node}.", actor=Actor.NODE, commands=(kubectl("node-triage", pod.node),)),
        [pod.fact("status", "status.startTime", "<none>")],
    )
