"""What why-crash reads, step by step, and what it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kubetriage.model import Diagnosis, Finding, NotSeen, Ref, Severity
from kubetriage.needs import Get, List, Log, Need, Raw
from kubetriage.plugins import ANY_KIND, Answer, Request, Target, reads_objects
from kubetriage.plugins.answers import from_error_line, list_error, not_seen, one_of_contact, target_error
from kubetriage.plugins.blocked import blocked_controllers, blocked_needs
from kubetriage.plugins.selection import (
    controlled_pods,
    left_out,
    orphaned_pods,
    pod_lists,
    selected_pods,
)
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules import custom_workloads
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.rules.crash.causes import node_not_ready
from kubetriage.rules.crash.manual_path import manual_path_of_controller, manual_path_of_pod, why_no_pods
from kubetriage.rules.crash.representatives import joined, representatives
from kubetriage.rules.node_contact import Sieve, carrier, contact_gaps, contact_needs, doubt
from kubetriage.rules.shapes import lean_node
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, name_of, namespace_of, text, uid_of
from kubetriage.values.resources import BY_PLURAL, CONTROLLERS
from kubetriage.values.selectors import selector_text
from kubetriage.values.times import format_time

NAME = "why-crash"

EVENTS_PER_POD_AT_MOST = 5
"""With more pods in need of a look in one namespace, its events are read in one list."""

IN_FULL_AT_MOST = 30
"""With more pods to look at, a scan does not compare each with its replicas and its last revision."""


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Say what to read: the pods, then what surrounds those that are not well."""
    yield Raw("/version")
    for target in request.targets:
        if target.resource == ANY_KIND:
            yield from _custom_needs(snapshot, request, target)
            continue
        yield Get(target.resource, request.namespace, target.name)
        if target.resource in CONTROLLERS:
            found = snapshot.get(target.resource, request.namespace, target.name)
            if found.found:
                yield from _controller_needs(snapshot, request, target, found.obj)
            elif left_out(snapshot, found):
                yield List("replicasets", request.namespace)
                yield List("pods", request.namespace)
    if request.is_scan:
        yield _scan(snapshot, request)
        yield from blocked_needs(snapshot, request)
        for resource, controller in blocked_controllers(snapshot, request):
            yield from _controller_needs(snapshot, *_named(request, resource, controller), controller)
    pods = [p for p in selected_pods(snapshot, request) if request.is_scan is False or _wanted(snapshot, request, p)]
    if request.is_scan:
        yield from contact_needs(snapshot, _carriers(snapshot, request))
    if request.is_scan and request.fold:
        pods = [pod for pod, _ in representatives(pods)]
    many = request.is_scan and request.fold and len(pods) > IN_FULL_AT_MOST
    if many:
        every = List("nodes", cached=True, shape=lean_node)
        yield every
        if not snapshot.knows(every) and snapshot.failure(every) is None:
            # One list instead of each node by itself.
            return
    crowd = Counter(p.namespace for p in pods)
    for namespace, count in crowd.items():
        if count > EVENTS_PER_POD_AT_MOST:
            yield List("events", namespace)
    most = request.options.get("max_logs")
    logs: set[Need] = set()
    for pod in pods:
        if not request.is_scan:
            yield from evaluation.recorded_logs(snapshot, pod)
        alone = crowd[pod.namespace] <= EVENTS_PER_POD_AT_MOST
        for need in evaluation.pod_needs(snapshot, pod, events=alone, replicas=not many):
            if isinstance(need, Log) and request.is_scan and most is not None:
                if len(logs) >= most and need not in logs:
                    continue
                logs.add(need)
            yield need


def _scan(snapshot: Snapshot, request: Request) -> List:
    if request.show_all:
        return List("pods", request.namespace, request.selector, request.field_selector)
    keep = Sieve(lambda pod: evaluation.needs_full_look(snapshot, pod))
    return List("pods", request.namespace, request.selector, request.field_selector, shape=keep)


def _controller_needs(snapshot: Snapshot, request: Request, target: Target, obj: Obj) -> Iterator[Need]:
    namespace = request.namespace
    yield from pod_lists(namespace, target.resource, obj)
    case = ControllerCase(obj, BY_PLURAL[target.resource].kind, snapshot)
    for _, member in case.family:
        yield List("events", namespace, fields=f"involvedObject.uid={uid_of(member)}")
    yield from evaluation.controller_needs(case)


def _custom_needs(snapshot: Snapshot, request: Request, target: Target) -> Iterator[Need]:
    yield from custom_workloads.needs(snapshot, request.namespace, target.kind, target.name)
    raw = custom_workloads.find(snapshot, request.namespace, target.kind, target.name)
    if raw is not None:
        case = ControllerCase(raw, text(raw, "kind"), snapshot)
        for _, member in case.family:
            yield List("events", request.namespace, fields=f"involvedObject.uid={uid_of(member)}")
        yield from evaluation.controller_needs(case)


def _named(request: Request, resource: str, obj: Obj) -> tuple[Request, Target]:
    """Turn a controller met in a scan into a request that names it."""
    target = Target(resource, name_of(obj))
    return replace(request, targets=(target,), namespace=namespace_of(obj), all_namespaces=False), target


def _wanted(snapshot: Snapshot, request: Request, pod: Pod) -> bool:
    return request.show_all or _full(snapshot, pod)


def _full(snapshot: Snapshot, pod: Pod) -> bool:
    """Tell whether a pod is looked at in full; a scan asks for each of its pods several times."""
    known = snapshot.derived(_looked)
    if not pod.uid:
        return evaluation.needs_full_look(snapshot, pod)
    if pod.uid not in known:
        known[pod.uid] = evaluation.needs_full_look(snapshot, pod)
    return known[pod.uid]


def _looked(_: Snapshot) -> dict[str, bool]:
    """Hold which pods are looked at in full, by uid."""
    return {}


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Name the cause for each pod and controller that the request is about."""
    diagnoses: list[Diagnosis] = []
    errors: list[str] = []
    if request.is_scan:
        listing = snapshot.list("pods", request.namespace, request.selector, request.field_selector)
        if not listing.complete and not listing.items:
            # Controllers without pods may be known all the same.
            errors.append(list_error("pods", listing.why))
        found, alike = _scanned(snapshot, request)
        for resource, controller in blocked_controllers(snapshot, request):
            told = _diagnose_controller(snapshot, *_named(request, resource, controller), controller)
            found += [d for d in told if d.target.kind != "Pod"]
        silent, unsure = _silent_nodes(snapshot, request, found)
        shown = tuple(d for d in (*silent, *found) if request.show_all or not d.healthy)
        if request.fold:
            from kubetriage.rules.incident.folding import folded

            shown = folded(shown, snapshot, alike)
        checked = 0 if errors else _checked(snapshot, request)
        return Answer(shown, tuple(errors), checked=checked, not_seen=unsure)
    for target in request.targets:
        if target.resource == ANY_KIND:
            raw = custom_workloads.find(snapshot, request.namespace, target.kind, target.name)
            if raw is None:
                errors.append(custom_workloads.missing(snapshot, request.namespace, target.kind, target.name))
            else:
                diagnoses.extend(_diagnose_controller(snapshot, request, target, raw))
            continue
        found_target = snapshot.get(target.resource, request.namespace, target.name)
        if not found_target.found:
            orphans = list(orphaned_pods(snapshot, request.namespace, target))
            if not orphans:
                errors.append(target_error(snapshot, target, request.namespace))
            diagnoses.extend(_diagnose_pod(snapshot, request, pod) for pod in orphans)
        elif target.resource == "pods":
            pod = Pod(found_target.obj)
            if request.container and pod.container(request.container) is None:
                errors.append(_no_container(pod, request.container))
            else:
                diagnoses.append(_diagnose_pod(snapshot, request, pod))
        else:
            below = tuple(controlled_pods(snapshot, request.namespace, found_target.obj))
            if request.container and below and all(p.container(request.container) is None for p in below):
                errors.append(_no_container(below[0], request.container))
            else:
                diagnoses.extend(_diagnose_controller(snapshot, request, target, found_target.obj))
    return Answer(tuple(diagnoses), tuple(errors))


def _scanned(snapshot: Snapshot, request: Request) -> tuple[list[Diagnosis], dict[Ref, tuple[Ref, ...]]]:
    """Diagnose the pods of a scan; with folding a few of each workload and symptom, and say for whom they stand."""
    # Of a cluster the healthy replicas were read only to compare others with them.
    live = snapshot.source == "cluster"
    pods = [p for p in selected_pods(snapshot, request) if not live or _wanted(snapshot, request, p)]
    if not request.fold:
        return [_diagnose_pod(snapshot, request, p) for p in _told(request, pods)], {}
    healthy = [p for p in pods if not _full(snapshot, p)]
    chosen = representatives(p for p in pods if _full(snapshot, p))
    few = len(chosen) <= IN_FULL_AT_MOST
    # Of a dump all pods are known; what the node alone is to blame for is told of the node.
    found = [d for p in _told(request, healthy) if not _node_alone(d := _diagnose_pod(snapshot, request, p))]
    found += [_diagnose_pod(snapshot, request, pod, replicas=few) for pod in _told(request, [p for p, _ in chosen])]
    alike = {pod.ref: tuple(o.ref for o in others) for pod, others in chosen if others}
    from kubetriage.rules.crash.causes import unknown

    return joined(found, alike, (pod for pod, _ in chosen), unknown.CODE)


def _told(request: Request, pods: Sequence[Pod]) -> Iterator[Pod]:
    """Yield pods, and tell how many of them are done."""
    for done, pod in enumerate(pods):
        request.tell("pods diagnosed", done, len(pods))
        yield pod


def _carriers(snapshot: Snapshot, request: Request) -> set[str]:
    """Return the nodes on whose word pods of a scan read ready."""
    return {carrier(p) for p in selected_pods(snapshot, request) if not p.is_troubled} - {""}


def _silent_nodes(
    snapshot: Snapshot, request: Request, found: list[Diagnosis]
) -> tuple[list[Diagnosis], tuple[NotSeen, ...]]:
    """Return the nodes whose pods read ready and may not be, as far as no pod tells of them; and those in doubt."""
    told = {
        Pod(snapshot.get("pods", d.target.namespace, d.target.name).obj).node
        for d in found
        if d.target.kind == "Pod" and any(f.cause == node_not_ready.CODE for f in d.findings)
    }
    silent, unsure = [], {}
    for name in sorted(_carriers(snapshot, request) - told):
        one = doubt(snapshot, name)
        if one is not None and not one.firm:
            unsure[name] = 0
        elif one is not None:
            finding = node_not_ready.of_node(one, Ref("Node", "", name), "its pods read ready whatever became of them")
            silent.append(Diagnosis(NAME, finding.object, finding.message, (finding,)))
            if finding.severity is not Severity.ERROR:
                unsure[name] = 0
    return silent, contact_gaps(snapshot, unsure, "still runs", "still run")


def _node_alone(diagnosis: Diagnosis) -> bool:
    """Tell whether nothing but the pod's node was found."""
    return bool(diagnosis.findings) and all(f.cause == node_not_ready.CODE for f in diagnosis.findings)


def _checked(snapshot: Snapshot, request: Request) -> int:
    """Count the pods of a scan; replicas that were read later to compare with are among the dropped ones."""
    scan = _scan(snapshot, request)
    dropped, pods = snapshot.dropped(scan), selected_pods(snapshot, request)
    return dropped + sum(1 for p in pods if not dropped or (scan.shape is not None and scan.shape(p.raw) is not None))


def _no_container(pod: Pod, name: str) -> str:
    have = ", ".join(c.name for c in pod.containers)
    return f"error: container {name} is not valid for pod {pod.name} (its containers: {have})"


def _diagnose_pod(snapshot: Snapshot, request: Request, pod: Pod, *, replicas: bool = True) -> Diagnosis:
    findings = evaluation.diagnose_pod(snapshot, pod)
    if request.container:
        findings = tuple(f for f in findings if f.object.container in ("", request.container))
    asked = evaluation.pod_needs(snapshot, pod, replicas=replicas)
    gaps = not_seen(snapshot, asked, {pod.uid: f"pod/{pod.name}"}, reads_objects)
    # A node that only may be lost is a warning, and leaves open what its pod does.
    lost = any(f.cause == node_not_ready.CODE and f.severity is Severity.ERROR for f in findings)
    if carrier(pod) and not pod.is_troubled and not lost:
        gaps += contact_gaps(snapshot, {pod.node: 1}, "still runs", "still run")
    now = snapshot.now
    header = (
        ("", pod.status_text()),
        ("ready", pod.ready_text()),
        ("restarts", pod.restarts_text(snapshot.clock)),
        ("age", pod.age_text(now)),
        ("node", pod.node or "<none>"),
    )
    return Diagnosis(
        command=NAME,
        target=pod.ref,
        summary=_summary(pod, findings, sure=not any(g.decides for g in gaps)),
        findings=findings,
        not_seen=gaps,
        header=header,
        manual=manual_path_of_pod(pod, findings),
    )


def _summary(pod: Pod, findings: tuple[Finding, ...], *, sure: bool) -> str:
    if findings:
        return findings[0].message
    if pod.phase == "Succeeded":
        return "The pod finished; every container ended with exit code 0."
    if pod.deletion is not None:
        # What ends within its time is no fault, and what is on its way out is not healthy either.
        return f"The pod is being deleted, and may take until {format_time(pod.deletion)}: {pod.ready_text()} ready."
    said = f"{pod.status_text()}, {pod.ready_text()} ready"
    return f"Healthy: {said}." if sure else f"By its status: {said}."


def _diagnose_controller(snapshot: Snapshot, request: Request, target: Target, obj: Obj) -> Iterator[Diagnosis]:
    custom = target.resource == ANY_KIND
    kind = text(obj, "kind") if custom else BY_PLURAL[target.resource].kind
    pods = custom_workloads.pods(snapshot, obj) if custom else tuple(controlled_pods(snapshot, request.namespace, obj))
    case = ControllerCase(obj, kind, snapshot, pods)
    findings = evaluation.diagnose_controller(case)
    if findings or not pods:
        names = {uid_of(o): f"{k.lower()}/{name_of(o)}" for k, o in case.family}
        asked = (
            _custom_needs(snapshot, request, target) if custom else _controller_needs(snapshot, request, target, obj)
        )
        gaps = not_seen(snapshot, asked, names, reads_objects)
        if custom and not pods and not custom_workloads.states_selector(obj):
            what = f"pods of {kind.lower()}/{name_of(obj)}"
            gaps += (NotSeen(what, "no pod names it as its owner or in a label", decides=True),)
        listing = snapshot.list("pods", request.namespace, selector_text(obj))
        hidden = not pods and (not listing.complete or (listing.presumed and bool(snapshot.forms(obj))))
        if hidden:
            # No pods among what was read does not say that it has none.
            gaps = tuple(replace(gap, decides=True) for gap in gaps)
        ready = dig(obj, "status", "readyReplicas")
        desired = dig(obj, "spec", "replicas")
        yield Diagnosis(
            command=NAME,
            target=case.ref,
            summary=findings[0].message if findings else _hidden(case) if hidden else why_no_pods(kind, obj),
            findings=findings,
            not_seen=gaps,
            header=(("", kind), ("pods", str(len(pods))))
            + ((("ready", f"{ready or 0}/{desired}"),) if isinstance(desired, int) else ()),
            manual=manual_path_of_controller(case, findings),
        )
    told = [
        _diagnose_pod(snapshot, request, pod)
        for pod in pods
        if not request.container or pod.container(request.container) is not None
    ]
    # Of many pods that are ready by their status it is said once whose word that is.
    quiet = len(pods) > 1 and not request.show_all and all(_by_status_alone(d) for d in told)
    yield from (d for d in told if not quiet and (request.show_all or not d.healthy or len(pods) == 1 or d.findings))
    looked = any(evaluation.needs_full_look(snapshot, p) for p in pods)
    if pods and not findings and not looked and len(pods) > 1 and (quiet or all(d.healthy for d in told)):
        gaps = one_of_contact(gap for d in told for gap in d.not_seen)
        said = (
            f"By their status all {len(pods)} pods are ready." if gaps else f"Healthy: all {len(pods)} pods are ready."
        )
        yield Diagnosis(NAME, case.ref, said, not_seen=gaps)


def explains(line: str) -> Diagnosis | None:
    """Answer where a paste holds nothing but an error line about a request that was refused or a manifest."""
    from kubetriage.rules.crash.kubectl_errors import explain

    return from_error_line(NAME, explain(line))


def _by_status_alone(diagnosis: Diagnosis) -> bool:
    """Tell whether all that keeps a pod from being healthy is that its node was not seen."""
    return not diagnosis.findings and all(gap.contact for gap in diagnosis.not_seen)


def _hidden(case: ControllerCase) -> str:
    """Say that nobody knows how the pods of a controller are, and what its own status tells of them."""
    wanted, ready = dig(case.raw, "spec", "replicas"), dig(case.raw, "status", "readyReplicas") or 0
    short = f" {ready} of {wanted} are ready by its status." if isinstance(wanted, int) and wanted > ready else ""
    return f"The pods of {case.kind.lower()}/{case.ref.name} were not seen.{short}"
