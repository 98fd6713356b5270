"""``kubectl oom-budget``: who killed it, and where the memory goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from kubetriage.model import Diagnosis, Finding, NotSeen, Section, Severity, Table, ordered
from kubetriage.needs import Get, List, Need, Raw
from kubetriage.plugins import Access, Answer, Option, Plugin, Request, Target
from kubetriage.plugins.answers import list_error, target_error
from kubetriage.plugins.selection import CONTROLLERS, controlled_pods, selected_pods, target_needs
from kubetriage.readers.pods import Container, Pod
from kubetriage.rules import memory
from kubetriage.rules.crash import evaluation
from kubetriage.rules.memory import budget_report, memory_usage, node_memory
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.case import Case, container_needs, was_oom_kill
from kubetriage.rules.memory.native_memory_tracking import parse_nmt
from kubetriage.rules.memory.overrides import COLLECTORS, KEYS, WhatIfError, Wishes, apply_what_if, parse_margin
from kubetriage.rules.memory.proc_status import parse_status
from kubetriage.rules.memory.runtimes import RUNTIMES
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, mapping, name_of, namespace_of, objects, text
from kubetriage.values.resources import BY_PLURAL
from kubetriage.values.times import human_duration

_DETAILED_AT_MOST = 20
"""Pods of a scan whose logs and owners are read; the others are judged by the list."""
_KILLED_AT_MOST = 3
"""Killed pods of one workload that get an answer of their own."""
_NODE_VIEW_AT_MOST = 3
"""Named pods for which the other pods of their node are listed."""


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Say what to read: the pods, then usage, logs, ConfigMaps, owners and node of those that matter."""
    if request.options.get("plan"):
        return
    yield from target_needs(snapshot, request)
    if request.is_scan:
        yield _scan(snapshot, request)
        yield memory_usage.list_metrics(request.namespace)
        pods = [p for p in selected_pods(snapshot, request) if _kill_time(p) is not None]
        for pod in sorted(pods, key=_kill_key)[:_DETAILED_AT_MOST]:
            for container in _containers(pod, request):
                if _oom_killed(container) is not None:
                    yield from container_needs(snapshot, container, usage_too=False)
        return
    if any(t.resource != "pods" for t in request.targets):
        yield memory_usage.list_metrics(request.namespace)
    pods = [p for target in request.targets for p in _chosen(snapshot, request, target)]
    for pod in pods:
        yield from _pod_needs(snapshot, request, pod)
    if len(pods) <= _NODE_VIEW_AT_MOST:
        yield from (_node_pods(p.node) for p in pods if p.node)


def _own_pods(snapshot: Snapshot, request: Request, target: Target) -> list[Pod]:
    """Return the known pods of a target."""
    found = snapshot.get(target.resource, request.namespace, target.name)
    if not found.found:
        return []
    if target.resource == "pods":
        return [Pod(found.obj)]
    return list(controlled_pods(snapshot, request.namespace, found.obj))


def _chosen(snapshot: Snapshot, request: Request, target: Target) -> list[Pod]:
    """Return the pods of a target that get an answer of their own.

    The pods of a workload share one template, so those that were killed stand for it, else the one that uses most.
    """
    pods = _own_pods(snapshot, request, target)
    if request.show_all or len(pods) < 2:
        return pods
    ended = [p for p in pods if _kill_time(p) is not None or _evicted_for_memory(p) or _handed_over(p)]
    if ended:
        return sorted(ended, key=_kill_key)[:_KILLED_AT_MOST]
    live = [p for p in pods if not p.finished] or pods
    return [max(live, key=lambda p: (_used(snapshot, p) or 0, p.name))]


def _used(snapshot: Snapshot, pod: Pod) -> int | None:
    """Return the working set of a pod's containers together; None when none of them was measured."""
    sizes = [s.size for c in pod.containers if (s := memory_usage.read_usage(snapshot, c).working_set) is not None]
    return sum(sizes) if sizes else None


def _pod_needs(snapshot: Snapshot, request: Request, pod: Pod) -> Iterator[Need]:
    for container in _containers(pod, request):
        yield from container_needs(snapshot, container)
    if _handed_over(pod):
        yield from evaluation.pod_needs(snapshot, pod)


def _node_pods(name: str) -> List:
    return List("pods", fields=f"spec.nodeName={name}")


def _scan(snapshot: Snapshot, request: Request) -> List:
    now = snapshot.now

    def keep(raw: Obj) -> Obj | None:
        return raw if request.show_all or _worth_showing(Pod(raw), request, now) else None

    return List("pods", request.namespace, request.selector, request.field_selector, shape=keep)


def _worth_showing(pod: Pod, request: Request, now: datetime) -> bool:
    """Tell from the pod alone whether a scan has anything to say about it."""
    if _kill_time(pod) is not None or _evicted_for_memory(pod):
        return True
    if pod.finished:
        return False
    alone = Snapshot(now)
    cases = (Case(c, alone) for c in _containers(pod, request) if c.kind in ("app", "sidecar"))
    return any(case.limit.size is None or (case.budget.margin or 0) < 0 for case in cases)


def _oom_killed(container: Container) -> datetime | None:
    """Return when an instance of the container was last OOM-killed."""
    ends = (container.current_termination, container.last_termination)
    times = [e.finished for e in ends if e is not None and was_oom_kill(e)]
    return max((t for t in times if t is not None), default=None)


def _kill_time(pod: Pod) -> datetime | None:
    return max((t for c in pod.containers if (t := _oom_killed(c)) is not None), default=None)


def _kill_key(pod: Pod) -> float:
    moment = _kill_time(pod)
    return -moment.timestamp() if moment is not None else 0.0


def _containers(pod: Pod, request: Request) -> list[Container]:
    """Return the containers in question; an init container that ended well is not one of them."""
    if request.container:
        found = pod.container(request.container)
        return [found] if found is not None else []
    return [
        c
        for c in pod.containers
        if (c.kind in ("app", "sidecar") and c.name)
        or (c.kind == "init" and c.termination is not None and (c.termination.exit_code or _oom_killed(c)))
    ]


def _evicted_for_memory(pod: Pod) -> bool:
    """Tell whether the kubelet evicted the pod for memory (its message outlives the events)."""
    return pod.reason == "Evicted" and "low on resource: memory" in pod.message


def _handed_over(pod: Pod) -> bool:
    """Tell whether something ended with SIGKILL or by the node that is no OOM kill by its status."""
    if pod.phase == "Failed" and pod.reason:
        return True
    return any(_killed_otherwise(c) for c in pod.containers)


def _killed_otherwise(container: Container) -> bool:
    end = container.termination
    return end is not None and end.exit_code == 137 and not was_oom_kill(end)


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Answer for each pod that the request is about."""
    try:
        wishes = _wishes(request)
    except ValueError as error:
        return Answer(errors=(f"error: {error}",))
    manifests = request.options.get("plan")
    if manifests and request.targets:
        return Answer(errors=("error: --plan is about a manifest; leave out TYPE and NAME",))
    if manifests:
        return _diagnose_manifests(snapshot, request, wishes, manifests)
    if request.is_scan:
        return _diagnose_scan(snapshot, request, wishes)
    diagnoses: list[Diagnosis] = []
    errors: list[str] = []
    chosen = [(t, _chosen(snapshot, request, t)) for t in request.targets]
    node_view = sum(len(pods) for _, pods in chosen) <= _NODE_VIEW_AT_MOST
    for target, pods in chosen:
        found = snapshot.get(target.resource, request.namespace, target.name)
        if not found.found:
            errors.append(target_error(snapshot, target, request.namespace))
            continue
        template = None if pods else _template_pod(found.obj, BY_PLURAL[target.resource].kind)
        shown = pods or ([template] if template is not None else [])
        if not shown:
            errors.append(f'error: {target.resource} "{target.name}" has no pods')
        everyone = _own_pods(snapshot, request, target)
        for pod in shown:
            if request.container and pod.container(request.container) is None:
                have = ", ".join(c.name for c in pod.containers)
                errors.append(f"error: container {request.container} is not valid for pod {pod.name} (it has: {have})")
                continue
            diagnosis = _diagnose_pod(snapshot, request, wishes, pod, node_view=node_view)
            if len(everyone) > len(shown) and pod is shown[0]:
                diagnosis = replace(diagnosis, tail=(*diagnosis.tail, _replicas(snapshot, target, everyone)))
            diagnoses.append(diagnosis)
    return Answer(tuple(diagnoses), tuple(errors))


def _replicas(snapshot: Snapshot, target: Target, pods: list[Pod]) -> Table:
    """List all pods of a workload: who was killed when, and who uses how much."""
    rows = []
    for pod in sorted(pods, key=lambda p: (_kill_key(p), -(_used(snapshot, p) or 0), p.name)):
        killed, used = _kill_time(pod), _used(snapshot, pod)
        ago = f"{human_duration(snapshot.now - killed)} ago" if killed is not None else ""
        size = mebibytes(used) if used is not None else "unknown"
        rows.append((pod.name, pod.status_text(), pod.restarts_text(snapshot.now), ago, size, pod.node))
    columns = ("POD", "STATUS", "RESTARTS", "LAST OOM KILL", "WORKING SET", "NODE")
    return Table(f"All pods of {target.resource}/{target.name}", columns, tuple(rows))


def _wishes(request: Request) -> Wishes:
    """Read the plugin's options; raises ValueError in words for the user."""
    options = request.options
    wishes = Wishes(
        runtime=options.get("runtime") or "",
        jdk=options.get("jdk"),
        threads=options.get("threads"),
        classes=options.get("classes"),
        collector=options.get("gc") or "",
    )
    margin = options.get("margin")
    if margin:
        stated = parse_margin(margin)
        if stated is None:
            raise WhatIfError(f'--margin "{margin}": a percentage (5%) or a quantity (64Mi) is needed')
        wishes = replace(wishes, margin=stated)
    if options.get("nmt"):
        nmt = parse_nmt(options["nmt"])
        if nmt is None:
            raise WhatIfError("--nmt: no output of jcmd VM.native_memory summary")
        wishes = replace(wishes, nmt=nmt)
    if options.get("proc"):
        status = parse_status(options["proc"])
        if status is None:
            raise WhatIfError("--proc: no /proc/PID/status")
        wishes = replace(wishes, process=status)
    return apply_what_if(wishes, options.get("what_if") or ())


def _diagnose_pod(
    snapshot: Snapshot, request: Request, wishes: Wishes, pod: Pod, *, node_view: bool = False, shallow: bool = False
) -> Diagnosis:
    subject = request.container or _default_container(pod)
    others = Wishes(margin=wishes.margin)
    cases = [Case(c, snapshot, wishes if c.name == subject else others) for c in _containers(pod, request)]
    if not cases:
        return Diagnosis(PLUGIN.name, pod.ref, "The pod has no containers that run.", header=_header(snapshot, pod))
    findings = _findings(snapshot, pod, cases, request)
    asked = next((c for c in cases if c.container.name == subject and wishes != others), None)
    shown = asked or _shown(cases, findings)
    tail: list[Section] = list(budget_report.sections(shown))
    if len(cases) > 1:
        tail.append(_overview(cases))
    if not shallow:
        order, why = _order(snapshot, pod) if node_view else (None, "asked for single pods only")
        tail.append(budget_report.node_table(shown, order, why, _used(snapshot, pod)))
    return Diagnosis(
        command=PLUGIN.name,
        target=pod.ref,
        summary=findings[0].message if findings else _well(shown, cases),
        findings=findings,
        not_seen=_gaps(snapshot, request, pod, cases),
        header=_header(snapshot, pod),
        tail=tuple(tail),
        manual=_manual(pod, shown, findings),
        extra={"budget": budget_report.as_json(shown)},
    )


def _default_container(pod: Pod) -> str:
    """Return the container that options without ``-c`` are about: kubectl's default container."""
    named = text(pod.raw, "metadata", "annotations", "kubectl.kubernetes.io/default-container")
    if named and pod.container(named) is not None:
        return named
    return next((c.name for c in pod.containers if c.kind == "app"), "")


def _findings(snapshot: Snapshot, pod: Pod, cases: list[Case], request: Request) -> tuple[Finding, ...]:
    found = [f for rule in memory.RULES for case in cases for f in rule.check(case)]
    # .NET's host ends with 137 where its heap cannot be set up; a JVM may have itself killed: no foreign signal.
    own = {f.object.container for f in found if f.cause == "RuntimeOutOfMemory"}
    if _evicted_for_memory(pod) or (_handed_over(pod) and not request.is_scan):
        ours = {rule.CODE for rule in memory.RULES}
        handed = [
            _handed(pod, f)
            for f in evaluation.diagnose_pod(snapshot, pod)
            if f.cause not in ours
            and f.object.container in ("", request.container or f.object.container)
            and not (f.cause == "KilledBySignal" and f.object.container in own)
        ]
        found = [*handed, *found]
    return ordered(found)


def _handed(pod: Pod, finding: Finding) -> Finding:
    if finding.cause == "Evicted" and _evicted_for_memory(pod):
        return replace(finding, details={**finding.details, "killedBy": "eviction"})
    return finding


def _shown(cases: list[Case], findings: tuple[Finding, ...]) -> Case:
    """Choose the container whose budget is shown: that of the first finding, else the tightest."""
    for finding in findings:
        for case in cases:
            if finding.object.container == case.container.name and finding.severity is not Severity.NOTE:
                return case

    def tightness(case: Case) -> tuple[int, float]:
        margin, limit = case.budget.margin, case.budget.limit.size
        if margin is not None and limit:
            return (0, margin / limit)
        return (1 if case.budget.areas else 2, 0.0)

    return min(cases, key=tightness)


def _well(case: Case, cases: Iterable[Case]) -> str:
    """Say that nothing is wrong with the memory; and what is wrong beside it, for why-crash to explain."""
    ended = ((c.container, c.container.termination) for c in cases if not c.container.running)
    crashed, end = next(((c, e) for c, e in ended if e is not None and e.exit_code), (None, None))
    if crashed is not None and end is not None:
        refused = [lint.option for lint in case.budget.lints if lint.kind == "refused"]
        words = f"Not memory: container {crashed.name} ended with exit code {end.exit_code}, reason {end.reason}"
        if refused and crashed.name == case.container.name:
            words += f"; its runtime refuses {' '.join(refused)} and does not start"
        return f"{words} (kubectl why-crash tells why). {_closes(case)}"
    return f"No OOM kill seen. {_closes(case)}"


def _closes(case: Case) -> str:
    budget = case.budget
    name = budget.container
    if budget.margin is not None and budget.ceiling is not None and budget.limit.size:
        return (
            f"The budget of container {name} closes: {mebibytes(budget.ceiling)} of "
            f"{mebibytes(budget.limit.size)}, {mebibytes(budget.margin)} "
            f"({budget.margin / budget.limit.size:.1%}) to spare."
        )
    used = budget.total_observed.size
    seen = f"; it uses {mebibytes(used)}" if used is not None else ""
    limit = f"limit {exact(budget.limit.size)}" if budget.limit.size is not None else "no limit"
    if not budget.areas:
        return (
            f"The runtime of container {name} is not known, so what it may take is unknown "
            f"({limit}{seen}); --runtime tells it."
        )
    known = f"of it {mebibytes(budget.ceiling)} are known" if budget.ceiling else "nothing bounds it but the limit"
    what = f"What container {name} ({budget.runtime}) may take cannot be added up"
    return f"{what}: {known} ({limit}{seen})."


def _overview(cases: Iterable[Case]) -> Table:
    rows = []
    for case in cases:
        budget = case.budget
        margin = "unknown" if budget.margin is None else mebibytes(abs(budget.margin))
        rows.append(
            (
                case.container.name,
                budget.runtime,
                exact(budget.request.size) if budget.request.size is not None else "none",
                exact(budget.limit.size) if budget.limit.size is not None else "none",
                mebibytes(budget.ceiling) if budget.ceiling is not None and budget.solvable else "unknown",
                f"-{margin}" if budget.margin is not None and budget.margin < 0 else margin,
                mebibytes(budget.total_observed.size) if budget.total_observed.size is not None else "unknown",
            )
        )
    columns = ("CONTAINER", "RUNTIME", "REQUEST", "LIMIT", "CEILING", "MARGIN", "OBSERVED")
    return Table("All containers", columns, tuple(rows))


def _order(snapshot: Snapshot, pod: Pod) -> tuple[list[node_memory.Candidate] | None, str]:
    """Return the eviction order of the pod's node, or why it is not known."""
    if not pod.node:
        return None, "the pod is on no node"
    need = _node_pods(pod.node)
    listing = snapshot.list("pods", fields=need.fields)
    if not listing.complete:
        return None, f"the pods of {pod.node} were not seen: {listing.why}"
    working_sets = memory_usage.summary_usage(snapshot, pod.node)
    if not working_sets:
        return None, f"the kubelet of {pod.node} gave no statistics of its pods"
    return node_memory.eviction_order(
        (p for raw in listing.items if (p := Pod(raw)).node == pod.node), working_sets
    ), ""


_USAGE_WORDS = {
    "/apis/metrics.k8s.io": "usage from metrics.k8s.io",
    "/proxy/stats/summary": "usage from the kubelet (stats/summary)",
    "/proxy/metrics/resource": "usage from the kubelet (/metrics/resource)",
    "/proxy/metrics/cadvisor": "cAdvisor's counters (threads; children killed for memory)",
}


def _gaps(snapshot: Snapshot, request: Request, pod: Pod, cases: list[Case]) -> tuple[NotSeen, ...]:
    """Say what was not seen; one usage source is enough, so the others count only when none answered."""
    measured = all(c.usage.working_set is not None for c in cases if c.container.running)
    lines: list[NotSeen] = []
    needs: list[Need] = []
    if not request.is_scan:
        needs += _pod_needs(snapshot, request, pod)
        needs += [_node_pods(pod.node)] if pod.node else []
    else:
        needs.append(memory_usage.list_metrics(request.namespace))
        for case in cases:
            if case.kills:
                needs += container_needs(snapshot, case.container, usage_too=False)
    for need, why in snapshot.unseen(needs):
        what = str(need)
        if isinstance(need, Raw):
            part = next((p for p in _USAGE_WORDS if p in need.path), "")
            what = _USAGE_WORDS.get(part, what)
            if part != "/proxy/metrics/cadvisor" and measured:
                continue
        elif isinstance(need, List) and need.fields == f"spec.nodeName={pod.node}":
            what = f"other pods of {pod.node} (the eviction order)"
        elif isinstance(need, List) and need.fields == f"involvedObject.uid={pod.uid}":
            what = f"events of pod/{pod.name}"
        lines.append(NotSeen(what, why))
    if pod.node and pod.phase != "Pending":
        lines += [gap for case in cases if (gap := _lost_end(case.container)) is not None]
    return tuple(dict.fromkeys(lines))


def _lost_end(container: Container) -> NotSeen | None:
    """Say that an end of a container, which may have been an OOM kill, left no trace in its status."""
    states = (container.running, container.waiting is not None, container.current_termination is not None)
    if not any(states):
        return NotSeen(f"the state of container {container.name} (an OOM kill would show there)", "not in its status")
    last = container.termination
    if container.restarts and (last is None or last.exit_code is None):
        what = f"how container {container.name} ended before (an OOM kill would show there)"
        return NotSeen(what, f"restartCount is {container.restarts}, but lastState holds no exit code")
    return None


def _header(snapshot: Snapshot, pod: Pod) -> tuple[tuple[str, str], ...]:
    if not pod.uid:
        return ()
    return (
        ("", pod.status_text()),
        ("ready", pod.ready_text()),
        ("restarts", pod.restarts_text(snapshot.now)),
        ("age", pod.age_text(snapshot.now)),
        ("node", pod.node or "<none>"),
    )


def _manual(pod: Pod, case: Case, findings: tuple[Finding, ...]) -> tuple[tuple[str, str, str], ...]:
    """Show the path by hand that this answer replaces."""
    if not pod.uid:
        return ()
    where, name, budget = f"kubectl -n {pod.namespace}", case.container.name, case.budget
    kill = case.recent_kill
    status = kill.evidence[0].value if kill is not None else "no OOMKilled in state or lastState"
    used = mebibytes(budget.total_observed.size) if budget.total_observed.size is not None else "not readable"
    flags = " ".join(case.process.argv) or "the image's own command: not visible"
    sums = f"{mebibytes(budget.ceiling)} by flags and defaults" if budget.ceiling is not None else "unknown"
    return (
        (
            f"{where} get pod {pod.name} -o yaml",
            f"{status}; limit {budget.limit.source}",
            "who killed it, at which limit",
        ),
        (f"{where} top pod {pod.name} --containers", f"{name}: {used}", "the working set of this moment, not the peak"),
        (f"{where} exec {pod.name} -c {name} -- cat /proc/1/cmdline", flags, "the flags, by hand"),
        ("documentation of the runtime", sums, "add up every area's default for this version and limit"),
        (
            "together",
            findings[0].message if findings else _well(case, ()),
            findings[0].cause if findings else "Healthy",
        ),
    )


def _diagnose_scan(snapshot: Snapshot, request: Request, wishes: Wishes) -> Answer:
    listing = snapshot.list("pods", request.namespace, request.selector, request.field_selector)
    if not listing.complete and not listing.items:
        return Answer((), (list_error("pods", listing.why),))
    pods = list(selected_pods(snapshot, request))
    ranked: list[tuple[tuple[int, float], Diagnosis]] = []
    for group in [[p] for p in pods] if request.show_all else _groups(pods):
        pod = group[0]
        diagnosis = _alike(_diagnose_pod(snapshot, request, wishes, pod, shallow=True), group)
        if request.show_all or not diagnosis.healthy:
            ranked.append((_rank(pod, diagnosis), diagnosis))
    ranked.sort(key=lambda entry: entry[0])
    checked = len(pods) + snapshot.dropped(_scan(snapshot, request))
    return Answer(tuple(d for _, d in ranked), checked=checked)


def _groups(pods: Iterable[Pod]) -> list[list[Pod]]:
    """Put the pods of one controller together: they share a template, so one of them stands for all.

    The newest kill goes first; pods that ended otherwise do not stand for the others.
    """
    found: dict[str, list[Pod]] = {}
    for pod in pods:
        owner = text(pod.controller, "uid")
        ended = pod.finished and _kill_time(pod) is None
        found.setdefault(owner if owner and not ended else f"{pod.namespace}/{pod.name}", []).append(pod)
    return [sorted(group, key=lambda p: (_kill_key(p), p.name)) for group in found.values()]


def _alike(diagnosis: Diagnosis, group: list[Pod]) -> Diagnosis:
    """Say in the head finding for how many pods of the controller it stands."""
    killed = sum(_kill_time(p) is not None for p in group)
    count = killed or len(group)
    if len(group) < 2 or not diagnosis.findings:
        return diagnosis
    owner = group[0].controller
    head = diagnosis.findings[0]
    words = f" ({count} of {len(group)} pods of {text(owner, 'kind').lower()}/{text(owner, 'name')})"
    changed = replace(head, message=head.message + words)
    return replace(diagnosis, findings=(changed, *diagnosis.findings[1:]), summary=changed.message)


def _rank(pod: Pod, diagnosis: Diagnosis) -> tuple[int, float]:
    """Order a scan: recent OOM kills, then budgets that cannot close by how far, then what is unbounded."""
    causes = [f.cause for f in diagnosis.findings]
    if _kill_time(pod) is not None:
        return (0, _kill_key(pod))
    if _evicted_for_memory(pod):
        return (0, 0.0)
    if "RuntimeOutOfMemory" in causes or "ChildOOMKilled" in causes:
        return (0, 0.0)
    if "HeapExceedsLimit" in causes or "BudgetExceedsLimit" in causes:
        margin = mapping(diagnosis.extra, "budget").get("marginBytes")
        return (1, float(margin) if isinstance(margin, int) else 0.0)
    return (2, 0.0) if "NoMemoryLimit" in causes else (3, 0.0)


def _template_pod(raw: Obj, kind: str) -> Pod | None:
    """Return the pod that a workload's template makes; None for kinds without one."""
    template: Obj = mapping(raw, "spec", "template")
    if kind == "Pod":
        template = raw
    elif kind == "CronJob":
        template = mapping(raw, "spec", "jobTemplate", "spec", "template")
    if not objects(template, "spec", "containers"):
        return None
    owner = {"kind": kind, "name": name_of(raw), "uid": "", "controller": True}
    meta = {
        "name": name_of(raw),
        "namespace": namespace_of(raw) or "default",
        "labels": mapping(template, "metadata", "labels"),
        "annotations": mapping(template, "metadata", "annotations"),
        **({} if kind == "Pod" else {"ownerReferences": [owner]}),
    }
    return Pod({"kind": "Pod", "metadata": meta, "spec": mapping(template, "spec")})


def _diagnose_manifests(snapshot: Snapshot, request: Request, wishes: Wishes, documents: Iterable[object]) -> Answer:
    """Answer for every pod template of a manifest; ConfigMaps beside it are used."""
    found: list[Obj] = []
    for document in documents:
        found += objects(document, "items") if isinstance(dig(document, "items"), list) else [mapping(document)]
    for raw in found:
        if text(raw, "kind") == "ConfigMap":
            placed = {**raw, "metadata": {**mapping(raw, "metadata"), "namespace": namespace_of(raw) or "default"}}
            snapshot.add("configmaps", placed)
    diagnoses = []
    for raw in found:
        pod = _template_pod(raw, text(raw, "kind"))
        if pod is None:
            continue
        if request.container and pod.container(request.container) is None:
            continue
        diagnosis = _diagnose_pod(snapshot, request, wishes, pod)
        target = replace(diagnosis.target, kind=text(raw, "kind"))
        diagnoses.append(replace(diagnosis, target=target, not_seen=_plan_gaps(snapshot, pod, request)))
    if not diagnoses:
        return Answer(errors=("error: --plan: no object with a pod template" + _container_hint(request),))
    return Answer(tuple(diagnoses))


def _container_hint(request: Request) -> str:
    return f" and a container {request.container}" if request.container else ""


def _plan_gaps(snapshot: Snapshot, pod: Pod, request: Request) -> tuple[NotSeen, ...]:
    gaps = []
    for container in _containers(pod, request):
        for need in container_needs(snapshot, container):
            if isinstance(need, Get) and need.resource == "configmaps" and not snapshot.get(*_key(need)).found:
                gaps.append(NotSeen(f"ConfigMap {need.name}, which fills variables", "not in the manifest"))
    return tuple(dict.fromkeys(gaps))


def _key(need: Get) -> tuple[str, str, str]:
    return need.resource, need.namespace, need.name


PLUGIN = Plugin(
    name="oom-budget",
    summary="Say who killed it and where the memory goes",
    description=(
        "Says who killed a container for memory (its own limit, the pod's, the node, an eviction, the runtime itself, "
        "or not memory at all), adds up what its runtime may take (heap, metaspace, direct buffers, code cache, "
        "stacks, collector) against the limit that is in force, and solves for the smallest change that makes it fit. "
        "Knows HotSpot 8 to 25, OpenJ9, GraalVM, Node.js, Go and .NET; says what it assumes and what it cannot see."
    ),
    usage="(POD | TYPE/NAME | TYPE NAME) ...",
    examples=(
        ("Who killed it, and does its budget close", "kubectl oom-budget api-7d9c5b8f6-x2x4q"),
        ("One container of a deployment's pods", "kubectl oom-budget deployment/api -c app"),
        ("Rank the whole cluster: kills, budgets that cannot close, no limits", "kubectl oom-budget -A"),
        ("Ask what would be", "kubectl oom-budget api-7d9c5b8f6-x2x4q --what-if limit=6Gi,threads=400,xmx=4g"),
        ("Check a manifest before anything runs", "kubectl oom-budget -f deployment.yaml --jdk 21 --threads 200"),
        ("Reconcile with native memory tracking", "kubectl oom-budget api-7d9c5b8f6-x2x4q --nmt nmt.txt"),
    ),
    default_resource="pods",
    resources=("pods", *CONTROLLERS),
    plan=plan,
    diagnose=diagnose,
    rules=memory.RULES,
    options=(
        Option(
            "--runtime",
            f"Runtime of the container, where it is not recognised: {', '.join(RUNTIMES)}.",
            "choice",
            choices=RUNTIMES,
            metavar="NAME",
        ),
        Option("--jdk", "Major version of the JDK (8 to 27).", "integer", metavar="MAJOR"),
        Option("--threads", "Number of threads of the process.", "integer", metavar="N"),
        Option("--classes", "Number of loaded classes.", "integer", metavar="N"),
        Option("--gc", "Garbage collector of the JVM.", "choice", choices=COLLECTORS),
        Option("--margin", "Room to keep below the limit: a percentage or a quantity.", "text", metavar="5%|64Mi"),
        Option(
            "--what-if",
            f"Recompute with other values, for example limit=6Gi,threads=400,xmx=4g ({', '.join(KEYS)}).",
            "text",
            metavar="KEY=VALUE,...",
            multiple=True,
        ),
        Option(
            "--plan",
            "Check the pod templates of a manifest; no cluster is asked.",
            "manifest",
            metavar="FILE",
            short="-f",
        ),
        Option(
            "--nmt", "Output of 'jcmd PID VM.native_memory summary' to reconcile (- is stdin).", "file", metavar="FILE"
        ),
        Option("--proc", "A /proc/PID/status to reconcile (- is stdin).", "file", metavar="FILE"),
    ),
    access=(
        Access(("",), ("pods",), ("get", "list"), "the pod itself, and the eviction order of its node", required=True),
        Access(("",), ("pods/log",), ("get",), "the runtime's own words and version"),
        Access(("",), ("events",), ("list",), "whether the node itself ran out of memory"),
        Access(("",), ("configmaps",), ("get",), "options that come from ConfigMaps"),
        Access(("",), ("nodes",), ("get",), "CPUs and memory that the runtime sees without a limit"),
        Access(("",), ("nodes/proxy",), ("get",), "usage, threads and OOM counters from the kubelet"),
        Access(("metrics.k8s.io",), ("pods",), ("get", "list"), "the working set"),
        Access(
            ("apps",), ("deployments", "replicasets", "statefulsets", "daemonsets"), ("get", "list"), "the owner to fix"
        ),
        Access(("batch",), ("jobs", "cronjobs"), ("get", "list"), "the owner to fix"),
    ),
)
