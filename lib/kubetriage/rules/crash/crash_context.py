"""The circumstances of a crash: its rhythm, its siblings, and what changed before it.

Nothing here is a cause. The lines stand as evidence with the first finding of each container, so that the reader sees
at once whether it is the node, the image, the revision or the configuration, and when the next start is due.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from kubetriage.model import Evidence, Finding, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass, replace
from kubetriage.redact import secrecy
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.config_references import GIVEN_BY_CLUSTER, references
from kubetriage.rules.workloads import owner_needs
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, labels, mapping, name_of, number, objects, text, uid_of
from kubetriage.values.patterns import lazy
from kubetriage.values.selectors import selector_text
from kubetriage.values.times import format_time, human_duration, parse_go_duration, parse_time, precise_duration

LONGEST_BACK_OFF = timedelta(minutes=5)
"""Cap of the kubelet's back-off. Nodes can only shorten it (``crashLoopBackOff.maxContainerRestartPeriod``, alpha in
1.32 and on by default as beta in 1.35)."""
REVISION = "deployment.kubernetes.io/revision"
MOST_OBJECTS = 20
"""ConfigMaps and Secrets of one pod that are looked at for late edits."""
MOST_NAMES = 5
MOST_CHANGES = 6
"""Changes between two revisions that are shown; a rewrite is no clue."""

# kuberuntime_manager.go doBackOff: "back-off 2m40s restarting failed container=C pod=P_NS(UID)".
_BACK_OFF = lazy(r"back-off (\S+) restarting failed container")


def needs(case: Case) -> Iterator[Need]:
    """Ask for the replicas and for the revisions of the workload of a pod that is not well."""
    if not case.pod.is_troubled or case.pod.finished:
        return
    if any(case.crash(c) is not None for c in case.containers):
        for resource, name in _configuration(case):
            yield Get(resource, case.pod.namespace, name)
    known = list(of_the_workload(case))
    yield from known
    if known:
        yield from _node_needs(case)


def of_the_workload(case: Case) -> Iterator[Need]:
    """Ask for the replicas and revisions of a pod that is not well, once all that made it is known."""
    if not case.pod.is_troubled or case.pod.finished:
        return
    if any(not case.snapshot.knows(need) for need in owner_needs(case.snapshot, case.pod.raw)):
        # The selector is that of the topmost controller, which is still to come.
        return
    controller = _selecting(case)
    if controller is None:
        return
    selector = selector_text(controller)
    yield List("pods", case.pod.namespace, selector)
    kind = case.workload.kind
    if kind == "Deployment":
        yield List("replicasets", case.pod.namespace, selector)
    elif kind in ("StatefulSet", "DaemonSet"):
        yield List("controllerrevisions", case.pod.namespace, selector)


def _node_needs(case: Case) -> Iterator[Need]:
    """Ask for the nodes of the replicas where some are well: one zone may be the difference."""
    crashed = next((c for c in case.containers if case.crash(c) is not None), None)
    split = split_of(case, crashed) if crashed is not None else None
    if split is not None and split.well:
        most = MOST_OBJECTS if len(split.same) > 1 else MOST_NAMES
        for name in sorted({p.node for p in (*split.same, *split.well) if p.node})[:most]:
            yield Get("nodes", "", name)


def _selecting(case: Case) -> Obj | None:
    """Return the topmost known controller that selects pods by labels."""
    return next((o for o in reversed(case.owners) if dig(o, "spec", "selector", "matchLabels") is not None), None)


def _succeeded(owner: Obj) -> bool:
    """Tell whether a Job is complete."""
    conditions = objects(owner, "status", "conditions")
    done = any(text(c, "type") == "Complete" and text(c, "status") == "True" for c in conditions)
    return text(owner, "kind") == "Job" and done


def conclude(case: Case, findings: list[Finding]) -> list[Finding]:
    """Add the circumstances to the first finding of each container that crashes or does not get ready."""
    if case.pod.finished and any(_succeeded(owner) for owner in case.owners):
        # A failed try of a Job that has reached its goal with another one is history.
        return [replace(f, severity=Severity.NOTE) for f in findings]
    done: set[str] = set()
    shared: tuple[Evidence, ...] | None = None
    made = []
    for finding in findings:
        container = case.pod.container(finding.object.container)
        if container is None or finding.severity is Severity.NOTE or container.name in done:
            made.append(finding)
            continue
        done.add(container.name)
        more = list(rhythm(case, container))
        if shared is None:
            shared = (*siblings(case, container), *changes(case), *config_edits(case))
            more.extend(shared)
        known = {(e.at, e.value) for e in finding.evidence}
        extra = tuple(e for e in more if (e.at, e.value) not in known)
        made.append(replace(finding, evidence=(*finding.evidence, *extra)))
    return made


def rhythm(case: Case, container: Container) -> Iterator[Evidence]:
    """Say how often, after how long, and when again."""
    end = case.crash(container)
    if end is None:
        return
    words = []
    if container.restarts:
        words.append(f"{container.restarts} restart{'s' if container.restarts > 1 else ''}")
    before = container.last_termination if container.current_termination is not None else None
    if end.lifetime is not None:
        lived = precise_duration(end.lifetime)
        if before is not None and before.lifetime is not None:
            earlier = precise_duration(before.lifetime)
            if abs(before.lifetime - end.lifetime) <= max(timedelta(seconds=2), end.lifetime / 10):
                words.append(f"both visible instances lived {lived}" + (f" and {earlier}" if earlier != lived else ""))
            else:
                words.append(f"the newest instance lived {lived}, the one before {earlier}")
        else:
            words.append(f"the newest instance lived {lived}")
    if before is not None and (before.exit_code, before.reason) != (end.exit_code, end.reason):
        words.append(f"the one before ended otherwise: exit code {before.exit_code}, reason {before.reason}")
    rule = container.restart_rule(end.exit_code)
    if rule is not None:
        words.append(f"restartPolicyRules[{rule[0]}] decides about exit code {end.exit_code}: {rule[1]}")
    if container.kind != "app" and (held := [c.name for c in case.containers if c.waiting_reason == "PodInitializing"]):
        words.append(f"{', '.join(held)} cannot start before it")
    following = next_start(case, container)
    shown = "; ".join(w for w in (", ".join(words), following) if w)
    if shown:
        yield container.fact("status", "restartCount", shown)


def next_start(case: Case, container: Container) -> str:
    """Say when the kubelet starts the container again: finishedAt plus the back-off in its message."""
    end = container.termination
    if end is None or end.finished is None or container.running or case.pod.finished or case.pod.deleting:
        return ""
    told = _BACK_OFF.search(container.waiting_message)
    delay = parse_go_duration(told[1]) if told else None
    if delay is not None:
        due = end.finished + delay
        when = f"next start at {format_time(due)}"
        left = due - case.now
        when += f" (in {human_duration(left)})" if left > timedelta() else " (due)"
        return f"back-off {precise_duration(delay)}, {when}"
    if container.current_termination is not None and container.restart_policy != "Never" and container.restarts:
        latest = end.finished + LONGEST_BACK_OFF
        if latest > case.now:
            return f"next start at {format_time(latest)} at the latest ({_cap_words(case)})"
    return ""


def _cap_words(case: Case) -> str:
    version = re.match(r"v?1\.(\d+)", text(case.node.obj, "status", "nodeInfo", "kubeletVersion"))
    minor = int(version[1]) if version else (case.snapshot.version or (1, 0))[1]
    if minor >= 35:
        return "the back-off is capped at 5m, or at the node's crashLoopBackOff.maxContainerRestartPeriod"
    return "the back-off is capped at 5m"


@dataclass(frozen=True)
class Split:
    """The replicas of a workload, by whether they are in the same trouble."""

    same: tuple[Pod, ...]
    well: tuple[Pod, ...]
    words: str
    """What the two have apart; empty with fewer than two of them."""


def _splits(_: Snapshot) -> dict[tuple[object, ...], Split]:
    """Hold the splits that were made, for the other pods in the same trouble."""
    return {}


def split_of(case: Case, container: Container) -> Split | None:
    """Split the replicas into those in the same trouble and those that are well; None when they were not all seen."""
    controller = _selecting(case)
    if controller is None:
        return None
    if not case.snapshot.list("pods", case.pod.namespace, selector_text(controller)).complete:
        return None
    end = container.termination
    key = (case.workload, container.name, end is not None, end.exit_code if end else None, container.waiting_reason)
    memo = case.snapshot.derived(_splits)
    if key not in memo:
        memo[key] = _split(case, container)
    return memo[key]


def _split(case: Case, container: Container) -> Split:
    mine = container.termination
    same, well = [], []
    for replica in case.replicas:
        if replica.uid == case.pod.uid:
            same.append(replica)
            continue
        if replica.finished or replica.deleting:
            continue
        twin = replica.container(container.name)
        theirs = twin.termination if twin is not None else None
        crashed = theirs is not None and mine is not None and theirs.exit_code == mine.exit_code
        waits = twin is not None and bool(twin.waiting_reason) and twin.waiting_reason == container.waiting_reason
        if replica.ready:
            well.append(replica)
        elif crashed or waits or (mine is None and twin is not None and twin.running and not twin.ready):
            same.append(replica)
    return Split(tuple(same), tuple(well), _compared(case, same, well))


def _compared(case: Case, same: list[Pod], well: list[Pod]) -> str:
    if len(same) + len(well) < 2:
        return ""
    if not well:
        return f"all {len(same)} replicas are in the same state{_places(same)}"
    words = f"{len(same)} of {len(same) + len(well)} replicas are in this state, {len(well)} ready"
    for label, values in (
        ("revision", _revision_of),
        ("node", _node_of),
        ("zone", lambda p: _zone_of(case, p)),
    ):
        bad, good = {values(p) for p in same}, {values(p) for p in well}
        if "" not in bad | good and len(bad) == 1 and bad.isdisjoint(good):
            others = sorted(good)
            shown = ", ".join(others[:MOST_NAMES]) + (", ..." if len(others) > MOST_NAMES else "")
            words += f"; only {label} {next(iter(bad))} (ready: {shown})"
    return words


def siblings(case: Case, container: Container) -> Iterator[Evidence]:
    """Say whether all replicas are in the same trouble, or those of one node, zone or revision."""
    split = split_of(case, container)
    if split is None or not split.words:
        return
    words = split.words
    if any(p.node == case.pod.node for p in split.well):
        words += f"; node {case.pod.node} runs a ready one too, so it is not the node"
    yield Evidence("status", f"pods of {case.workload_name}", words)


def _places(pods: list[Pod]) -> str:
    nodes = {p.node for p in pods if p.node}
    return f" on {len(nodes)} nodes" if len(nodes) > 1 else f" on node {next(iter(nodes))}" if nodes else ""


def _node_of(pod: Pod) -> str:
    return pod.node


def _revision_of(pod: Pod) -> str:
    return pod.labels.get("pod-template-hash") or pod.labels.get("controller-revision-hash", "")


def _zone_of(case: Case, pod: Pod) -> str:
    node = case.snapshot.get("nodes", "", pod.node)
    return labels(node.obj, "metadata", "labels").get("topology.kubernetes.io/zone", "")


def changes(case: Case) -> Iterator[Evidence]:
    """Say what the template of this pod changed against the revision before."""
    pair = _revisions(case)
    if pair is None:
        return
    old_name, old, new_name, new, when = pair
    found = list(template_changes(old, new))
    if not found:
        return
    shown = "; ".join(found[:MOST_CHANGES])
    if len(found) > MOST_CHANGES:
        shown += f"; and {len(found) - MOST_CHANGES} more"
    yield Evidence("config", f"{old_name} -> {new_name}", shown, format_time(when) if when is not None else "")


_Revision = tuple[int, Obj, Obj]
"""Number, ReplicaSet or ControllerRevision, and pod spec of one revision."""


def _older(case: Case) -> tuple[list[_Revision], _Revision] | None:
    """Return the revisions before that of this pod, and its own; None when its own was not seen."""
    top = case.workload
    candidates: list[_Revision] = []
    if top.kind == "Deployment":
        for raw in case.snapshot.list("replicasets", case.pod.namespace).items:
            revision = labels(raw, "metadata", "annotations").get(REVISION, "")
            if _owned_by(raw, top.uid) and revision.isdecimal():
                candidates.append((int(revision), raw, mapping(raw, "spec", "template", "spec")))
        mine = text(case.pod.controller, "uid")
        current = next((c for c in candidates if uid_of(c[1]) == mine), None)
    else:
        for raw in case.snapshot.list("controllerrevisions", case.pod.namespace).items:
            number_of = number(raw, "revision")
            if _owned_by(raw, top.uid) and number_of is not None:
                candidates.append((number_of, raw, mapping(raw, "data", "spec", "template", "spec")))
        label = case.pod.labels.get("controller-revision-hash", "")
        # StatefulSets put the revision's whole name into the label, DaemonSets only its hash.
        current = next((c for c in candidates if label and name_of(c[1]) in (label, f"{top.name}-{label}")), None)
    return ([c for c in candidates if c[0] < current[0]], current) if current is not None else None


def _revisions(case: Case) -> tuple[str, Obj, str, Obj, datetime | None] | None:
    """Return the pod specs of the revision before and of this one, with their names and the time of the change."""
    found = _older(case)
    if found is None or not found[0]:
        return None
    older, current = found
    serving = [c for c in older if (number(c[1], "status", "readyReplicas") or 0) > 0]
    before = max(serving or older, key=lambda c: c[0])
    when = parse_time(dig(current[1], "metadata", "creationTimestamp"))
    return name_of(before[1]), before[2], name_of(current[1]), current[2], when


def older_runs(case: Case) -> str:
    """Name what of an older revision of the workload is seen ready, with another template; empty for nothing."""
    older, current = _older(case) or ([], None)
    for _, raw, spec in sorted(older, key=lambda c: -c[0]):
        if current is None or not any(template_changes(spec, current[2])):
            continue
        if (number(raw, "status", "readyReplicas") or 0) > 0:
            return f"ReplicaSet {name_of(raw)}"
        hashes = (name_of(raw), name_of(raw).removeprefix(f"{case.workload.name}-"))
        ready = next((p for p in case.replicas if p.ready and not p.deleting and _revision_of(p) in hashes), None)
        if ready is not None:
            return f"Pod {ready.name}"
    return ""


def _owned_by(raw: Obj, uid: str) -> bool:
    return any(text(o, "uid") == uid for o in objects(raw, "metadata", "ownerReferences")) and bool(uid)


def template_changes(old: Obj, new: Obj) -> Iterator[str]:
    """Yield the differences of two pod specs that can break a start, in words."""
    for field in ("initContainers", "containers"):
        before = {text(c, "name"): c for c in objects(old, field)}
        after = {text(c, "name"): c for c in objects(new, field)}
        for name in dict.fromkeys([*before, *after]):
            if name not in after:
                yield f"container {name} removed"
            elif name not in before:
                yield f"container {name} added"
            else:
                yield from _container_changes(name, before[name], after[name])
    for field in ("volumes", "serviceAccountName", "nodeSelector", "affinity", "tolerations", "securityContext"):
        if dig(old, field) != dig(new, field):
            yield f"{field} {_short(dig(old, field))} -> {_short(dig(new, field))}"


def _container_changes(name: str, old: Obj, new: Obj) -> Iterator[str]:
    before = {text(e, "name"): e for e in objects(old, "env")}
    after = {text(e, "name"): e for e in objects(new, "env")}
    for variable in dict.fromkeys([*before, *after]):
        if variable not in after:
            yield f"{name}: env {variable} removed"
        elif variable not in before:
            yield f"{name}: env {variable} added"
        elif before[variable] != after[variable]:
            # A literal value may be a secret; its name often tells, its place in a sentence hides it from redaction.
            literal = "value" in before[variable] or "value" in after[variable]
            shown = "changed" if literal and secrecy(variable) else None
            words = shown or f"{_value(before[variable])} -> {_value(after[variable])}"
            yield f"{name}: env {variable} {words}"
    for field in (
        "image",
        "command",
        "args",
        "envFrom",
        "resources",
        "startupProbe",
        "livenessProbe",
        "readinessProbe",
        "lifecycle",
        "ports",
        "volumeMounts",
        "securityContext",
        "workingDir",
        "restartPolicy",
    ):
        if dig(old, field) != dig(new, field):
            yield f"{name}: {field} {_short(dig(old, field))} -> {_short(dig(new, field))}"


def _value(variable: Obj) -> str:
    return _short(variable.get("valueFrom") if "valueFrom" in variable else variable.get("value", ""))


def _short(value: object) -> str:
    if value is None:
        return "<none>"
    words = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return words if len(words) <= 80 else words[:77] + "..."


def edited_after(obj: Obj, moment: datetime) -> tuple[datetime, str] | None:
    """Return when and by whom an object was last edited, if that was after ``moment`` (``managedFields``)."""
    newest: tuple[datetime, str] | None = None
    for entry in objects(obj, "metadata", "managedFields"):
        when = parse_time(entry.get("time"))
        if when is not None and not text(entry, "subresource") and (newest is None or when > newest[0]):
            newest = (when, text(entry, "manager"))
    return newest if newest is not None and newest[0] > moment else None


def _configuration(case: Case) -> list[tuple[str, str]]:
    meant = (r for r in references(case.pod) if r.name not in GIVEN_BY_CLUSTER)
    return list(dict.fromkeys((r.resource, r.name) for r in meant))[:MOST_OBJECTS]


def config_edits(case: Case) -> Iterator[Evidence]:
    """Say which ConfigMaps and Secrets that the pod uses were edited after it was made."""
    created = case.pod.created
    if created is None:
        return
    for resource, name in _configuration(case):
        found = case.snapshot.get(resource, case.pod.namespace, name)
        edit = edited_after(found.obj, created) if found.found else None
        if edit is not None:
            when, manager = edit
            age = human_duration(case.now - when)
            words = f"edited {age} ago by {manager or 'an unknown manager'}, after the pod was created"
            yield Evidence("config", f"{resource}/{name}", words, format_time(when))
