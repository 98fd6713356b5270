"""What the crash rules say of the pods behind a Service, summed over the pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from kubetriage.model import Confidence, Evidence, Finding, Fix, Severity
from kubetriage.needs import Need
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.node_contact import carrier
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.headless_peers import deadlock
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.snapshot import Snapshot

PODS_LOOKED_AT = 3
"""Unready pods of one Service whose events and logs are read."""
_WORST_SHOWN = 3
"""Causes that one finding spells out; the rest are counted in ``podCauses``."""


@dataclass(frozen=True)
class Trouble:
    """One cause, and the pods behind the Service that have it."""

    cause: str
    finding: Finding | None
    """What the crash rules say of the first of these pods; None when they cannot tell."""
    pods: tuple[Pod, ...]
    crashing: bool
    """These pods start and end again, rather than never start or never get ready."""


_RECOVERED = timedelta(minutes=10)
"""An instance that runs longer than this has left the crashes before it behind: the kubelet forgets its back-off."""


def crashes(pod: Pod, now: datetime) -> bool:
    """Tell whether a container of an unready pod ran, ended and is started again (or will be)."""
    for container in pod.containers:
        if container.kind == "ephemeral" or (container.ready and container.running):
            continue
        ended = container.termination
        if ended is None or ended.started is None:
            continue
        if container.kind == "init" and ended.exit_code == 0:
            continue
        if container.waiting_reason not in ("", "CrashLoopBackOff", "PodInitializing", "ContainerCreating"):
            # It cannot start again now (image, configuration), whatever ended it before.
            continue
        if container.running_since is not None and now - container.running_since > _RECOVERED:
            continue
        if container.waiting_reason == "CrashLoopBackOff" or container.restarts or ended.exit_code != 0:
            return True
    return False


def unready(backend: Backend) -> tuple[Pod, ...]:
    """Return the selected pods that are not ready and not on their way out."""
    return tuple(p for p in backend.pods if not p.ready and not p.deleting)


def ready_nodes(backends: Iterable[Backend]) -> Counter[str]:
    """Count the ready pods behind Services by the node whose word that is."""
    pods = {pod.uid: pod for backend in backends for pod in backend.ready_pods}
    return Counter(name for pod in pods.values() if (name := carrier(pod)))


def representatives(backend: Backend) -> tuple[Pod, ...]:
    """Return the unready pods that stand for all of them: one of each workload and status, the first few.

    Where every pod is being deleted, that is one of these.
    """
    found: dict[object, Pod] = {}
    for pod in unready(backend) or (backend.pods[:1] if not backend.ready_pods else ()):
        found.setdefault(_signature(backend, pod), pod)
    return tuple(found.values())[:PODS_LOOKED_AT]


def _signature(backend: Backend, pod: Pod) -> object:
    return (backend.workload(pod), pod.status_text(), pod.ready_text())


def crash_needs(snapshot: Snapshot, pod: Pod, *, events: bool = True) -> Iterator[Need]:
    """Ask for what the verdict of the crash rules on a pod rests on, as their own function does."""
    from kubetriage.rules.crash import evaluation

    return evaluation.pod_needs(snapshot, pod, events=events)


def troubles(backend: Backend) -> tuple[Trouble, ...]:
    """Group the unready pods by what the crash rules say, the most frequent cause first.

    Of pods that are alike only one is read in full; its verdict counts for the others, unless theirs is certain.
    """
    alike = {_signature(backend, p): _verdict(backend, p) for p in representatives(backend)}
    found: dict[str, tuple[Finding | None, list[Pod]]] = {}
    for pod in unready(backend):
        verdict = _verdict(backend, pod)
        if verdict is None or verdict.confidence is not Confidence.CONFIRMED:
            verdict = alike.get(_signature(backend, pod), verdict) or verdict
        cause = verdict.cause if verdict else ""
        found.setdefault(cause, (verdict, []))[1].append(pod)
    now = backend.world.now
    groups = [
        Trouble(cause, verdict, tuple(pods), cause != "ReadinessProbeFailed" and any(crashes(p, now) for p in pods))
        for cause, (verdict, pods) in found.items()
    ]
    return tuple(sorted(groups, key=lambda t: -len(t.pods)))


def _verdict(backend: Backend, pod: Pod) -> Finding | None:
    """Return what keeps a pod from being ready; a note counts where nothing is wrong with it so far."""
    found = backend.world.crash(pod)
    return next((f for f in found if f.severity is not Severity.NOTE), next(iter(found), None))


def pods_fault(code: str, backend: Backend, head: str, chosen: Iterable[Trouble], severity: Severity) -> Fault:
    """Make the finding about unready pods: ``head`` says how many, the crash rules say why and what to do."""
    groups = list(chosen)
    lead = groups[0]
    first = lead.pods[0]
    why = lead.finding.message if lead.finding else _status(first)
    evidence: list[Evidence] = []
    for group in groups[:_WORST_SHOWN]:
        pod = group.pods[0]
        evidence.append(pod.fact("status", f"pod/{pod.name} STATUS", f"{pod.status_text()}, {pod.ready_text()} ready"))
        evidence.extend(group.finding.evidence[:3] if group.finding else _conditions(pod))
    workload = backend.workload(first)
    circle = deadlock(backend, lead.cause)
    if circle is not None:
        evidence.extend(circle.evidence)
        why += circle.words
    return fault(
        code,
        backend.pods_place,
        f"{head}: {why}",
        severity=severity,
        about=workload,
        proof="proven",
        confidence=Confidence.CONFIRMED,
        evidence=evidence,
        fix=((circle.fix,) if circle is not None else ()) + (lead.finding.fix if lead.finding else ())
        or (Fix(f"Repair the pods of {workload.kind.lower()}/{workload.name} first; kubectl why-crash tells more"),),
        verify=(
            backend.kubectl("get", "pods", "-l", backend.selector_text),
            *(lead.finding.verify if lead.finding else (backend.kubectl("describe", "pod", first.name),)),
        ),
        short=f"{head}: {_short_cause(lead)}",
        details={"podCauses": {g.cause or "Unknown": len(g.pods) for g in groups}},
    )


def _short_cause(trouble: Trouble) -> str:
    """Say the cause in the words of the row; where the crash rules have no name for it, what the pod's status says."""
    if trouble.cause not in ("", "Unknown", "ReadinessGateNotReady"):
        return trouble.cause
    pod = trouble.pods[0]
    return str(pod.condition("Ready").get("message") or "").rstrip(".") or pod.status_text()


def _status(pod: Pod) -> str:
    condition = pod.condition("Ready")
    words = str(condition.get("message") or condition.get("reason") or "")
    return f"pod {pod.name} is {pod.status_text()}, {pod.ready_text()} ready" + (f" ({words})" if words else "")


def _conditions(pod: Pod) -> list[Evidence]:
    found = []
    for kind in ("PodScheduled", "Ready"):
        condition = pod.condition(kind)
        if condition.get("status") == "False":
            words = ": ".join(str(condition[k]) for k in ("reason", "message") if condition.get(k))
            found.append(pod.fact("status", f"status.conditions[{kind}]", words or "False"))
    return found


def share(part: int, backend: Backend) -> str:
    """Say how many of the pods behind a Service (``2 of 3 pods behind svc/web``)."""
    return f"{part} of {plural(len(backend.pods), 'pod')} behind svc/{backend.name}"
