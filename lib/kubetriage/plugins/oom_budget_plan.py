"""What ``kubectl oom-budget`` reads, and how its answers are put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from kubetriage.model import Diagnosis, Finding, NotSeen, Ref, Table
from kubetriage.needs import Get, List, Log, Need
from kubetriage.plugins import KILLS_ONLY, Answer, Request, Target
from kubetriage.plugins.answers import list_error, target_error
from kubetriage.plugins.selection import controlled_pods, selected_pods, target_needs
from kubetriage.readers.cgroup_values import nmt_path
from kubetriage.readers.container_logs import ended_log_need
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.crash import evaluation
from kubetriage.rules.incident.folding import folded
from kubetriage.rules.memory import dashboard, memory_usage, pod_answer, scan
from kubetriage.rules.memory.case import Case, container_needs
from kubetriage.rules.memory.fitted_answer import fitted_answer, parse_fit
from kubetriage.rules.memory.native_memory_tracking import parse_nmt
from kubetriage.rules.memory.node_load import node_pods
from kubetriage.rules.memory.oom_kills import evicted_for_memory, handed_over, kill_key, kill_time, oom_killed_at
from kubetriage.rules.memory.overrides import Wishes, wishes_of
from kubetriage.rules.memory.pod_answer import default_container, gaps, working_set
from kubetriage.rules.memory.pod_templates import manifest_pods, template_pod
from kubetriage.rules.node_contact import carrier, contact_gaps, contact_needs
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj
from kubetriage.values.packed import packing
from kubetriage.values.resources import BY_PLURAL

_DETAILED_AT_MOST = 20
"""Pods of a scan whose logs and owners are read; the others are judged by the list."""
_SUMMARIES_AT_MOST = 20
"""Kubelets that are asked for usage where metrics.k8s.io does not answer: each answer holds all pods of its node."""
_ROWS_AT_MOST = 15
"""Rows of the table of a scan; --all shows all."""
_FIT_LIMIT = "error: --fit: limit=SIZE is needed, as nothing here has one"
_KILLED_AT_MOST = 3
"""Killed pods of one workload that get an answer of their own."""
_SINCE = ("was killed since", "were killed since")
"""What is not known of the pods of a silent node."""
_NODE_VIEW_AT_MOST = 3
"""Named pods for which the other pods of their node are listed."""


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Say what to read: the pods, then usage, logs, ConfigMaps, owners and node of those that matter."""
    if request.options.get("plan") or (request.options.get("fit") and request.is_scan):
        return
    yield from target_needs(snapshot, request)
    if request.is_scan:
        yield _listing(snapshot, request)
        yield memory_usage.list_metrics(request.namespace)
        if not request.namespace:
            yield List("nodes", shape=scan.node_memory_only)
        if snapshot.failure(memory_usage.list_metrics(request.namespace)) is not None:
            yield from map(memory_usage.summary, _asked_nodes(snapshot, request)[0])
        yield from contact_needs(snapshot, _carriers(selected_pods(snapshot, request)))
        # What was kept of a pod for the table alone was not killed.
        whole = [p for p in selected_pods(snapshot, request) if scan.SLIM not in p.raw]
        if not request.options.get(KILLS_ONLY):
            yield from _recorded_ends(snapshot, request, whole)
        pods = [p for p in whole if kill_time(p) is not None]
        for pod in sorted(pods, key=kill_key)[:_DETAILED_AT_MOST]:
            for container in scan.containers_of(pod, request.container):
                if oom_killed_at(container) is not None:
                    yield from container_needs(snapshot, container, usage_too=False)
        return
    if any(t.resource != "pods" for t in request.targets):
        yield memory_usage.list_metrics(request.namespace)
    pods = [p for target in request.targets for p in _chosen(snapshot, request, target)]
    for pod in pods:
        yield from _pod_needs(snapshot, request, pod)
    if len(pods) <= _NODE_VIEW_AT_MOST:
        yield from (node_pods(p.node) for p in pods if p.node)


def _recorded_ends(snapshot: Snapshot, request: Request, pods: Iterable[Pod]) -> Iterator[Need]:
    """Ask for the logs of ended instances that a recording has: they cost nothing, and may name memory."""
    for pod in pods:
        for container in scan.containers_of(pod, request.container):
            need = ended_log_need(snapshot, container) if container.termination is not None else None
            if isinstance(need, Log) and snapshot.has_log(need):
                yield need


def _asked_nodes(snapshot: Snapshot, request: Request) -> tuple[list[str], int]:
    """Return the nodes whose kubelets a scan asks for usage, those of killed pods first, and how many there are."""
    rank: dict[str, tuple[bool, str]] = {}
    for pod in selected_pods(snapshot, request):
        if pod.node and not pod.finished:
            killed = kill_time(pod) is not None
            rank[pod.node] = min(rank.get(pod.node, (True, pod.node)), (not killed, pod.node))
    return [name for _, name in sorted(rank.values())][:_SUMMARIES_AT_MOST], len(rank)


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
    ended = [p for p in pods if kill_time(p) is not None or evicted_for_memory(p) or handed_over(p)]
    if ended:
        return sorted(ended, key=kill_key)[:_KILLED_AT_MOST]
    live = [p for p in pods if not p.finished] or pods
    return [max(live, key=lambda p: (working_set(snapshot, p) or 0, p.name))]


def _carriers(pods: Iterable[Pod]) -> Counter[str]:
    """Count pods by the node whose word it is that nothing of them was killed."""
    return Counter(name for pod in pods if (name := carrier(pod)))


def _pod_needs(snapshot: Snapshot, request: Request, pod: Pod) -> Iterator[Need]:
    yield from contact_needs(snapshot, (carrier(pod),))
    for container in scan.containers_of(pod, request.container):
        yield from container_needs(snapshot, container)
    if handed_over(pod) or pod_answer.shared_memory_full(snapshot, pod):
        yield from evaluation.pod_needs(snapshot, pod)


def _listing(snapshot: Snapshot, request: Request) -> List:
    now, judged, slim = snapshot.now, dict[str, bool](), packing(scan.slim)

    def keep(raw: Obj) -> Obj | None:
        return raw if request.show_all or scan.worth_showing(Pod(raw), request.container, now, judged) else slim(raw)

    return List("pods", request.namespace, request.selector, request.field_selector, shape=keep)


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Answer for each pod that the request is about."""
    try:
        wishes = wishes_of(request.options)
    except ValueError as error:
        return Answer(errors=(f"error: {error}",))
    manifests = request.options.get("plan")
    if request.options.get("fit") and not manifests:
        return _diagnose_fit(snapshot, request, wishes)
    if manifests and request.targets:
        return Answer(errors=("error: --plan is about a manifest; leave out TYPE and NAME",))
    if manifests:
        return _diagnose_manifests(snapshot, request, wishes, manifests)
    if request.is_scan:
        return _diagnose_listing(snapshot, request, wishes)
    diagnoses: list[Diagnosis] = []
    errors: list[str] = []
    chosen = [(t, _chosen(snapshot, request, t)) for t in request.targets]
    node_view = sum(len(pods) for _, pods in chosen) <= _NODE_VIEW_AT_MOST
    for target, pods in chosen:
        found = snapshot.get(target.resource, request.namespace, target.name)
        if not found.found:
            errors.append(target_error(snapshot, target, request.namespace))
            continue
        template = None if pods else template_pod(found.obj, BY_PLURAL[target.resource].kind)
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
                diagnosis = replace(
                    diagnosis,
                    tail=(*diagnosis.tail, scan.replicas_table(snapshot, f"{target.resource}/{target.name}", everyone)),
                )
            diagnoses.append(diagnosis)
    if not request.follows:
        return Answer(tuple(diagnoses), tuple(errors))
    named = [p for target in request.targets for p in _own_pods(snapshot, request, target)]
    limited, idle = dashboard.rows(snapshot, named, request.earlier)
    overview, _, _ = _overview(snapshot, request, named, limited, idle)
    return Answer(tuple(diagnoses), tuple(errors), overview=overview[:1], measured=dashboard.samples(limited))


def _diagnose_fit(snapshot: Snapshot, request: Request, wishes: Wishes) -> Answer:
    """Plan the memory of the named containers, or of any process where none is named."""
    try:
        asked = parse_fit(request.options["fit"])
    except ValueError as error:
        return Answer(errors=(f"error: {error}",))
    if request.is_scan:
        return Answer((fitted_answer(asked, wishes, None),)) if asked.limit else Answer(errors=(_FIT_LIMIT,))
    diagnoses, errors = [], []
    for target in request.targets:
        pods = _chosen(snapshot, request, target)
        if not pods:
            errors.append(target_error(snapshot, target, request.namespace))
        for pod in pods[:1]:
            name = request.container or default_container(pod)
            container = pod.container(name)
            if container is None:
                errors.append(f"error: container {name} is not valid for pod {pod.name}")
                continue
            case = Case(container, snapshot, wishes)
            if asked.limit is None and case.limit.size is None:
                errors.append(_FIT_LIMIT)
                continue
            diagnoses.append(fitted_answer(asked, wishes, case))
    return Answer(tuple(diagnoses), tuple(errors))


def _diagnose_pod(
    snapshot: Snapshot, request: Request, wishes: Wishes, pod: Pod, *, node_view: bool = False
) -> Diagnosis:
    subject = request.container or default_container(pod)
    printed = snapshot.body(nmt_path(pod.namespace, pod.name, subject))
    if printed is not None and wishes.nmt is None:
        # Only a HotSpot JVM tracks its memory so.
        wishes = replace(wishes, nmt=parse_nmt(printed.text), runtime=wishes.runtime or "hotspot")
    others = Wishes(margin=wishes.margin)
    cases = [
        Case(c, snapshot, wishes if c.name == subject else others) for c in scan.containers_of(pod, request.container)
    ]
    asked = next((c for c in cases if c.container.name == subject and wishes != others), None)
    crashes: tuple[Finding, ...] = ()
    other_end = handed_over(pod) or pod_answer.shared_memory_full(snapshot, pod)
    if evicted_for_memory(pod) or (other_end and not request.is_scan):
        crashes = tuple(evaluation.diagnose_pod(snapshot, pod))
    elif pod_answer.may_mean_other_memory(cases, scanned=request.is_scan):
        # Words about memory that is not the container's, or a setting of memory that the runtime refuses.
        crashes = tuple(f for f in evaluation.diagnose_pod(snapshot, pod) if pod_answer.speaks_of_other(f))
    nodes = None if request.is_scan and not request.options.get("plan") else node_view
    scanned = request.is_scan and not request.options.get("plan")
    answer = pod_answer.diagnose_pod(snapshot, pod, cases, crashes, asked=asked, node_view=nodes, certain=scanned)
    silent = () if request.is_scan else contact_gaps(snapshot, _carriers((pod,)), *_SINCE)
    return replace(answer, not_seen=(*silent, *gaps(snapshot, pod, cases, _wanted(snapshot, request, pod, cases))))


def _wanted(snapshot: Snapshot, request: Request, pod: Pod, cases: list[Case]) -> Iterator[Need]:
    """Yield what would have been read for the answer about a pod."""
    if request.is_scan:
        yield memory_usage.list_metrics(request.namespace)
        for case in cases:
            if case.kills:
                yield from container_needs(snapshot, case.container, usage_too=False)
        return
    yield from _pod_needs(snapshot, request, pod)
    if pod.node:
        yield node_pods(pod.node)


def _diagnose_listing(snapshot: Snapshot, request: Request, wishes: Wishes) -> Answer:
    listing = snapshot.list("pods", request.namespace, request.selector, request.field_selector)
    if not listing.complete and not listing.items:
        return Answer((), (list_error("pods", listing.why),))
    everyone = list(selected_pods(snapshot, request))
    if request.options.get(KILLS_ONLY):
        # Budgets of healthy pods are no incident, and most of the work.
        everyone = [p for p in everyone if kill_time(Pod(p.raw)) is not None or evicted_for_memory(p)]
    limited, idle = dashboard.rows(snapshot, everyone, request.earlier)
    overview, gaps_of_all, document = _overview(snapshot, request, everyone, limited, idle)
    pods = [p for p in everyone if scan.SLIM not in p.raw]
    ranked: list[tuple[tuple[int, float], Diagnosis]] = []
    alike: dict[Ref, tuple[Ref, ...]] = {}
    among: dict[Ref, int] = {}
    for group in scan.groups(pods) if request.fold and not request.show_all else [[p] for p in pods]:
        pod = group[0]
        diagnosis = _diagnose_pod(snapshot, request, wishes, pod)
        if request.show_all or not diagnosis.healthy:
            ranked.append((scan.rank(pod, diagnosis), diagnosis))
            killed = kill_time(pod) is not None
            among[pod.ref] = len(group)
            alike[pod.ref] = tuple(p.ref for p in group[1:] if not killed or kill_time(p) is not None)
    near = {r.key[:2]: r.pod for r in limited if (r.share or 0) >= dashboard.NEAR_LIMIT and scan.SLIM in r.pod.raw}
    for pod in near.values():
        # Of such a pod only usage and limit are known, so nothing else is said.
        diagnosis = _diagnose_pod(snapshot, request, wishes, pod)
        told = tuple(f for f in diagnosis.findings if f.cause == "NearMemoryLimit")
        if told:
            said = replace(diagnosis, findings=told, summary=told[0].message, tail=(), extra={})
            ranked.append((scan.rank(pod, said), said))
    ranked.sort(key=lambda entry: entry[0])
    checked = len(everyone) + snapshot.dropped(_listing(snapshot, request))
    found = tuple(d for _, d in ranked)
    if request.fold:
        found = folded(found, snapshot, alike, among)
    return Answer(
        found,
        checked=checked,
        not_seen=(*contact_gaps(snapshot, _carriers(everyone), *_SINCE), *gaps_of_all),
        overview=overview,
        measured=dashboard.samples(limited),
        document=document,
    )


def _overview(
    snapshot: Snapshot,
    request: Request,
    everyone: list[Pod],
    limited: list[dashboard.Row],
    idle: list[dashboard.Row],
) -> tuple[tuple[Table, ...], tuple[NotSeen, ...], dict[str, object]]:
    """Make the tables of a scan (containers, the worst first, and nodes), its gaps, and the rows for the document."""
    if not limited and not idle:
        return (), (), {}
    source, gap = dashboard.usage_source([*limited, *idle])
    at_most = len(limited) + len(idle) if request.show_all else _ROWS_AT_MOST
    shown = dashboard.with_budgets(snapshot, limited[:at_most])
    tables = [
        dashboard.container_table(
            [*shown, *limited[at_most:]], idle, source, namespaces=request.all_namespaces, at_most=at_most
        )
    ]
    sums = dashboard.node_sums(snapshot, everyone) if not request.namespace and not request.selector else []
    nodes = dashboard.nodes_table(sums)
    if nodes is not None:
        tables.append(nodes)
    if gap is None and snapshot.failure(memory_usage.list_metrics(request.namespace)) is not None:
        asked, count = _asked_nodes(snapshot, request)
        if count > len(asked):
            why = f"metrics.k8s.io gave no answer, and a scan asks {len(asked)} kubelets"
            gap = NotSeen(f"memory in use on {count - len(asked)} of {count} nodes", why)
    unread = NotSeen("threads, and children killed for memory", "a scan does not read cAdvisor; name the pod for both")
    document: dict[str, object] = {"memory": dashboard.as_json(limited, idle, source, sums)}
    return tuple(tables), (gap, unread) if gap is not None else (unread,), document


def _diagnose_manifests(snapshot: Snapshot, request: Request, wishes: Wishes, documents: Iterable[object]) -> Answer:
    """Answer for every pod template of a manifest; ConfigMaps beside it are used."""
    diagnoses = []
    for kind, pod in manifest_pods(snapshot, documents):
        if request.container and pod.container(request.container) is None:
            continue
        diagnosis = _diagnose_pod(snapshot, request, wishes, pod)
        target = replace(diagnosis.target, kind=kind)
        diagnoses.append(replace(diagnosis, target=target, not_seen=_plan_gaps(snapshot, pod, request)))
    if not diagnoses:
        return Answer(errors=("error: --plan: no object with a pod template" + _container_hint(request),))
    return Answer(tuple(diagnoses))


def _container_hint(request: Request) -> str:
    return f" and a container {request.container}" if request.container else ""


def _plan_gaps(snapshot: Snapshot, pod: Pod, request: Request) -> tuple[NotSeen, ...]:
    gaps = []
    for container in scan.containers_of(pod, request.container):
        for need in container_needs(snapshot, container):
            if isinstance(need, Get) and need.resource == "configmaps" and not snapshot.get(*_key(need)).found:
                gaps.append(NotSeen(f"ConfigMap {need.name}, which fills variables", "not in the manifest"))
    return tuple(dict.fromkeys(gaps))


def _key(need: Get) -> tuple[str, str, str]:
    return need.resource, need.namespace, need.name
