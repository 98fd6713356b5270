"""What happens to each pod of a node, and when.

Evictions follow pkg/controller/tainteviction/taint_eviction.go: the timers are in the memory of the running
controller, so they begin anew when another leader takes over. PodDisruptionBudgets play no part: the controller
deletes pods directly, and only the eviction subresource reads budgets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.node.node_taints import OUT_OF_SERVICE, taint
from kubetriage.typed import Literal, get_args
from kubetriage.values.fields import Obj, dig, labels, name_of, number, objects, text, texts, uid_of
from kubetriage.values.selectors import label_selector_matches
from kubetriage.values.times import format_time, parse_go_duration, parse_time, precise_duration, span_of

Fate = Literal["terminating", "overdue", "due", "paused", "never"]

SLACK = timedelta(seconds=10)
"""A deletion this late is overdue: the controller's queue and an API write take seconds."""
MIRROR = "kubernetes.io/config.mirror"
FORCE_DETACH = timedelta(minutes=6)
"""``maxWaitForUnmountDuration`` of the attach-detach controller; it starts when the pod object is gone."""


@dataclass(frozen=True)
class Eviction:
    """What the taint eviction controller does with a pod."""

    kind: Literal["none", "never", "at"]
    at: datetime | None = None
    seconds: int = 0
    """Tolerated time that counts."""
    start: datetime | None = None
    """When the timer that counts began."""
    restarted: bool = False
    """It began with the present leader of the controller-manager, not with the taint."""


def tolerates(toleration: Obj, mark: Obj) -> bool:
    """Tell whether a toleration covers a taint (core/v1 ``ToleratesTaint``; Lt and Gt are of 1.35)."""
    effect, key = text(toleration, "effect"), text(toleration, "key")
    if (effect and effect != text(mark, "effect")) or (key and key != text(mark, "key")):
        return False
    operator, value, wanted = text(toleration, "operator"), text(mark, "value"), text(toleration, "value")
    if operator in ("", "Equal"):
        return value == wanted
    if operator in ("Lt", "Gt"):
        try:
            return int(value) < int(wanted) if operator == "Lt" else int(value) > int(wanted)
        except ValueError:
            return False
    return operator == "Exists"


def evict(
    tolerations: Sequence[Obj], taints: Sequence[Obj], bound: datetime | None, acquired: datetime | None
) -> Eviction:
    """Foretell the deletion of a pod by the NoExecute taints of its node.

    ``bound`` is when the pod was bound to the node and ``acquired`` when the present controller-manager became
    leader: no timer can be older than either. A taint without ``timeAdded`` counts from these.
    """
    marks = [t for t in taints if text(t, "effect") == "NoExecute"]
    if not marks:
        return Eviction("none")
    floor = max((t for t in (bound, acquired) if t), default=None)
    finite: list[tuple[datetime, int, datetime]] = []
    refused: list[tuple[datetime, datetime]] = []
    for mark in marks:
        added = parse_time(mark.get("timeAdded")) or floor
        if added is None:
            continue
        start = max(added, floor) if floor else added
        # The first toleration that covers the taint is the one that is used (GetMatchingTolerations).
        used = next((t for t in tolerations if tolerates(t, mark)), None)
        if used is None:
            refused.append((start, added))
            continue
        seconds = number(used, "tolerationSeconds")
        if seconds is not None:
            finite.append((start, max(seconds, 0), added))
    if refused:
        start, added = min(refused)
        return Eviction("at", start, 0, start, bool(acquired and start == acquired and acquired > added))
    if not finite:
        return Eviction("never")
    start = min(t for t, _, _ in finite)
    # A taint that comes later does not shorten a timer that runs already.
    seconds, added = min((s, a) for t, s, a in finite if t == start)
    at = start + timedelta(seconds=min(seconds, 10**9))
    return Eviction("at", at, seconds, start, bool(acquired and start == acquired and acquired > added))


@dataclass(frozen=True)
class Row:
    """One pod of the node."""

    pod: Pod
    controller: str
    """``StatefulSet/db``, or empty for a bare pod."""
    fate: Fate
    what: str
    """What happens, and who must act."""
    when: str
    at: datetime | None = None
    replaced_by: tuple[str, ...] = ()
    """Pods that the controller made instead."""
    stuck: bool = False
    """Deletion was asked for and its grace period is over, but the object stays."""
    waits_for_node: bool = False
    """Nothing takes its place before this object is gone."""
    eviction: Eviction | None = None

    def cells(self, *, namespaces: bool) -> tuple[str, str, str, str]:
        """Return the cells POD, CONTROLLER, WHAT HAPPENS, WHEN."""
        name = f"{self.pod.namespace}/{self.pod.name}" if namespaces else self.pod.name
        return name, self.controller or "none", self.what, self.when


@dataclass(frozen=True)
class Surroundings:
    """What a timetable depends on beside the pods."""

    node: Obj
    now: datetime
    ready: str
    """Status of the node's Ready condition."""
    silent: bool
    acquired: datetime | None = None
    controllers_down: bool = False
    """The controller-manager's Lease is known to be stale: its timers do not run."""
    pause: str = ""
    """Why the node carries no NoExecute taint although it is not ready."""
    shutting_down: bool = False
    """The kubelet says that it ends its pods for a shutdown of the machine."""
    siblings: Sequence[Obj] = ()
    """Pods of the same namespaces on any node."""
    siblings_seen: bool = True
    jobs: Mapping[str, Obj] | None = None
    """Jobs by uid; None when not seen."""
    claims: Mapping[tuple[str, str], Obj] | None = None
    """PersistentVolumeClaims by namespace and name; None when not seen."""
    attached: frozenset[str] = frozenset()
    """PersistentVolumes attached to this node."""


def is_static(pod: Pod) -> bool:
    """Tell whether the kubelet runs it from a file: the API object is only its mirror."""
    return MIRROR in labels(pod.raw, "metadata", "annotations") or text(pod.controller, "kind") == "Node"


def timetable(pods: Sequence[Pod], around: Surroundings) -> tuple[Row, ...]:
    """Say for each pod that does not simply run on what happens and when, the nearest first."""
    rows = [row for pod in pods if (row := _row(pod, around)) is not None]
    order = get_args(Fate)
    rows.sort(key=lambda r: (order.index(r.fate), r.at.timestamp() if r.at else 0.0, r.pod.namespace, r.pod.name))
    return tuple(rows)


def _row(pod: Pod, around: Surroundings) -> Row | None:
    owner = pod.controller
    kind = text(owner, "kind")
    controller = f"{kind}/{text(owner, 'name')}" if owner else ""
    if pod.deleting:
        return _terminating(pod, kind, controller, around)
    if pod.finished:
        return None
    if around.shutting_down:
        what = f"ended by the kubelet with the shutdown of the node; {_after_shutdown(pod, kind)}"
        return Row(pod, controller, "due", what, "now")
    if is_static(pod):
        return Row(pod, controller, "never", "static pod: the kubelet alone runs and ends it", "never")
    bound = parse_time(pod.condition("PodScheduled").get("lastTransitionTime")) or pod.created
    taints = objects(around.node, "spec", "taints")
    eviction = evict(objects(pod.raw, "spec", "tolerations"), taints, bound, around.acquired)
    if eviction.kind == "none":
        if around.ready == "True":
            return None
        if kind == "DaemonSet":
            return Row(pod, controller, "never", _daemon(), "never", eviction=eviction)
        return Row(pod, controller, "paused", f"not evicted: {around.pause}", "paused", eviction=eviction)
    if eviction.kind == "never" or eviction.at is None:
        why = _daemon() if kind == "DaemonSet" else "tolerates the taints without a time limit: waits for the node"
        return Row(pod, controller, "never", why, "never", eviction=eviction)
    return _evicted_at(pod, kind, controller, eviction, eviction.at, around)


def _after_shutdown(pod: Pod, kind: str) -> str:
    if is_static(pod) or kind == "DaemonSet":
        return "runs again after the boot"
    # Its phase becomes Failed, which a StatefulSet and a Job answer with a new pod.
    return "a new pod starts elsewhere" if kind else "nothing replaces a bare pod"


def _daemon() -> str:
    return "DaemonSet pod: not evicted"


def _evicted_at(pod: Pod, kind: str, controller: str, eviction: Eviction, at: datetime, around: Surroundings) -> Row:
    now = around.now
    consequence = _consequence(pod, kind, around)
    began = (
        f", counted from {_clock(eviction.start)} when the controller-manager restarted" if eviction.restarted else ""
    )
    tolerated = f"after {eviction.seconds}s tolerated{began}" if eviction.seconds else f"not tolerated{began}"
    waits = _waits(pod, kind, around)
    if around.controllers_down:
        text_ = f"eviction paused: no controller-manager runs; a new one counts {eviction.seconds}s anew"
        return Row(pod, controller, "paused", text_, "paused", at, eviction=eviction, waits_for_node=waits)
    if now <= at + SLACK:
        left = at - now
        when = f"{_clock(at)} (in {precise_duration(left)})" if left > timedelta() else f"{_clock(at)} (now)"
        what = f"evicted {tolerated}; {consequence}"
        return Row(pod, controller, "due", what, when, at, eviction=eviction, waits_for_node=waits)
    late = f"{_clock(at)} ({precise_duration(now - at)} overdue)"
    what = f"should be gone ({tolerated}): the eviction controller is down, switched off, or has restarted since"
    return Row(pod, controller, "overdue", what, late, at, eviction=eviction, waits_for_node=waits)


def _clock(moment: datetime | None) -> str:
    return format_time(moment)[11:] if moment else "?"


def _consequence(pod: Pod, kind: str, around: Surroundings) -> str:
    if kind in ("ReplicaSet", "ReplicationController"):
        tail = "; its volume stays attached here" if _single_writer(pod, around) else ""
        return f"a new pod starts elsewhere at once{tail}"
    if kind == "StatefulSet":
        return "no new pod before this object is gone"
    if kind == "Job":
        return "the Job starts a new pod" + (" only after this one ended" if _waits(pod, kind, around) else "")
    if kind == "DaemonSet":
        return "nothing to replace"
    return "its controller decides" if kind else "nothing replaces a bare pod"


def _waits(pod: Pod, kind: str, around: Surroundings) -> bool:
    if kind == "StatefulSet":
        return True
    if kind == "Job":
        job = (around.jobs or {}).get(text(pod.controller, "uid"), {})
        return text(job, "spec", "podReplacementPolicy") == "Failed"
    return False


def _single_writer(pod: Pod, around: Surroundings) -> str:
    """Return a claim of the pod whose volume only one node may use, or empty."""
    for volume in objects(pod.raw, "spec", "volumes"):
        name = text(volume, "persistentVolumeClaim", "claimName")
        claim = (around.claims or {}).get((pod.namespace, name), {})
        modes = texts(claim, "spec", "accessModes") or texts(claim, "status", "accessModes")
        if name and modes and not {"ReadWriteMany", "ReadOnlyMany"} & set(modes):
            return name
    return ""


def _terminating(pod: Pod, kind: str, controller: str, around: Surroundings) -> Row:
    now, end = around.now, pod.deletion
    grace = span_of(max(number(pod.raw, "metadata", "deletionGracePeriodSeconds") or 0, 0))
    asked = end - grace if end else None
    target = pod.condition("DisruptionTarget")
    by = {
        "DeletionByTaintManager": "taint eviction",
        "DeletionByPodGC": "the pod garbage collector",
        "EvictionByEvictionAPI": "the eviction API (a drain)",
        "TerminationByKubelet": "the kubelet",
        "PreemptionByScheduler": "the scheduler (preemption)",
    }.get(text(target, "reason"), "somebody")
    when = f"asked {_clock(asked)}" + (f", {precise_duration(now - asked)} ago" if asked else "")
    replaced = _replacements(pod, asked, around)
    finalizers = texts(pod.raw, "metadata", "finalizers")
    if end is not None and now <= end and not finalizers:
        what = f"ending within its {precise_duration(grace)} grace period, deleted by {by}"
        return Row(pod, controller, "terminating", what, when, asked, replaced)
    if finalizers:
        what = f"stuck: finalizer {', '.join(finalizers)} is left; its owner must remove it"
    elif around.silent:
        what = f"deleted by {by}; only this node's kubelet can confirm"
        if is_static(pod):
            what = "mirror of a static pod: only the kubelet ends it"
    else:
        what = f"deleted by {by}; the kubelet has not confirmed that its containers ended"
    waits = _waits(pod, kind, around)
    what += f"; {_replacement_words(pod, kind, replaced, waits, around)}"
    return Row(pod, controller, "terminating", what, when, asked, replaced, stuck=True, waits_for_node=waits)


def _replacement_words(pod: Pod, kind: str, replaced: tuple[str, ...], waits: bool, around: Surroundings) -> str:
    claim = _single_writer(pod, around)
    volume = ""
    if claim:
        bound = text((around.claims or {}).get((pod.namespace, claim), {}), "spec", "volumeName")
        held = " is still attached here and" if bound in around.attached else ""
        minutes = int(FORCE_DETACH.total_seconds() // 60)
        volume = f" (its volume {claim}{held} attaches elsewhere up to {minutes}m after this object is gone)"
    if kind == "StatefulSet":
        return f"StatefulSet starts no other {pod.name} before that{volume}"
    if kind == "Job":
        if around.jobs is None:
            return "the Job was not seen"
        return "podReplacementPolicy Failed: no new pod before that" if waits else "the Job has replaced it or will"
    if kind == "DaemonSet":
        return "nothing to replace"
    if not kind:
        return "nothing replaces a bare pod"
    if replaced:
        return f"replaced by {', '.join(replaced[:2])}{volume}"
    if not around.siblings_seen:
        return f"replacements were not seen{volume}"
    return f"no replacement was found yet{volume}"


def _replacements(pod: Pod, asked: datetime | None, around: Surroundings) -> tuple[str, ...]:
    """Name the pods that the same controller made since the deletion was asked for, with their state."""
    owner = text(pod.controller, "uid")
    found = []
    for raw in around.siblings:
        other = Pod(raw)
        if other.name == pod.name or other.namespace != pod.namespace or other.deleting or other.finished:
            continue
        born = other.created
        if not owner or text(other.controller, "uid") != owner or born is None:
            continue
        if asked is not None and born >= asked - timedelta(seconds=1):
            state = "Ready" if other.ready else other.phase or "Unknown"
            found.append((born, f"{other.name} ({state}{f' on {other.node}' if other.node else ''})"))
    return tuple(words for _, words in sorted(found))


@dataclass(frozen=True)
class Remediation:
    """Something that will act on this node by itself."""

    what: str
    does: str
    at: datetime | None = None


_MARKS: tuple[tuple[str, str], ...] = (
    ("ToBeDeletedByClusterAutoscaler", "cluster-autoscaler is removing this node"),
    ("DeletionCandidateOfClusterAutoscaler", "cluster-autoscaler may remove this node as unneeded"),
    ("cloud.google.com/impending-node-termination", "the cloud ends this machine soon"),
    ("aws-node-termination-handler/spot-itn", "the cloud takes this spot machine back within 2 minutes"),
    ("aws-node-termination-handler/scheduled-maintenance", "the cloud has announced maintenance of this machine"),
    ("karpenter.sh/disrupted", "Karpenter is replacing this node"),
    ("karpenter.sh/disruption", "Karpenter is replacing this node"),
    ("medik8s.io/remediation", "a medik8s remediation of this node is under way"),
    (OUT_OF_SERVICE, "pods of this node are deleted and volumes detached without its kubelet"),
)
"""Taints by which other controllers announce that they act."""


def remediations(node: Obj, node_checks: Sequence[Obj], machine_checks: Sequence[Obj]) -> tuple[Remediation, ...]:
    """Name what will act on the node, and when.

    ``node_checks`` are NodeHealthChecks (medik8s), ``machine_checks`` MachineHealthChecks (Cluster API, OpenShift):
    those select machines, not nodes, so whether one covers this node stays open.
    """
    found = [
        Remediation(f"taint {key}", words, parse_time(mark.get("timeAdded")))
        for key, words in _MARKS
        if (mark := taint(node, key))
    ]
    for check in node_checks:
        if _selects(dig(check, "spec", "selector"), labels(node, "metadata", "labels")):
            found.extend(_health_check(node, check, "NodeHealthCheck", "remediates this node"))
    for check in machine_checks:
        does = "replaces this node, if it covers its machine and maxUnhealthy allows"
        found.extend(_health_check(node, check, "MachineHealthCheck", does))
    return tuple(found)


def _health_check(node: Obj, check: Obj, kind: str, does: str) -> list[Remediation]:
    terms = objects(check, "spec", "unhealthyConditions") or objects(check, "spec", "checks", "unhealthyNodeConditions")
    found = []
    for term in terms:
        for have in objects(node, "status", "conditions"):
            if text(have, "type") != text(term, "type") or text(have, "status") != text(term, "status"):
                continue
            span = parse_go_duration(text(term, "duration") or text(term, "timeout"))
            seconds = number(term, "timeoutSeconds")
            span = timedelta(seconds=min(seconds, 10**9)) if span is None and seconds is not None else span
            since = parse_time(have.get("lastTransitionTime"))
            at = since + span if since and span is not None else None
            found.append(Remediation(f"{kind} {name_of(check)}", does, at))
    return found


def _selects(selector: object, have: Mapping[str, str]) -> bool:
    parts = [f"{k}={v}" for k, v in labels(selector, "matchLabels").items()]
    for term in objects(selector, "matchExpressions"):
        key, values = text(term, "key"), ",".join(texts(term, "values"))
        written = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(written.get(text(term, "operator"), f"!{key}"))
    return all(label_selector_matches(part, have) for part in parts)


def jobs_by_uid(jobs: Sequence[Obj]) -> dict[str, Obj]:
    """Index Jobs by uid."""
    return {uid_of(job): job for job in jobs}
