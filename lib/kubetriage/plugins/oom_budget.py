"""``kubectl oom-budget``: who killed it, and where the memory goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from kubetriage.model import Diagnosis, Finding, NotSeen, Ref, Table
from kubetriage.needs import Get, List, Need
from kubetriage.plugins import Access, Answer, Option, Plugin, Request, Target
from kubetriage.plugins.answers import list_error, target_error
from kubetriage.plugins.selection import controlled_pods, selected_pods, target_needs
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import replace
from kubetriage.rules import memory
from kubetriage.rules.crash import evaluation
from kubetriage.rules.incident.folding import folded
from kubetriage.rules.memory import dashboard, memory_usage, pod_answer
from kubetriage.rules.memory.budget import mebibytes
from kubetriage.rules.memory.case import Case, container_needs
from kubetriage.rules.memory.fitted_answer import fitted_answer, parse_fit
from kubetriage.rules.memory.native_memory_tracking import parse_nmt
from kubetriage.rules.memory.node_load import node_pods
from kubetriage.rules.memory.oom_kills import evicted_for_memory, handed_over, kill_key, kill_time, oom_killed_at
from kubetriage.rules.memory.overrides import COLLECTORS, KEYS, WhatIfError, Wishes, apply_what_if, parse_margin
from kubetriage.rules.memory.pod_answer import default_container, gaps, working_set
from kubetriage.rules.memory.pod_templates import manifest_pods, template_pod
from kubetriage.rules.memory.proc_status import parse_status
from kubetriage.rules.memory.runtime_detection import RUNTIMES
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, mapping, objects, text
from kubetriage.values.resources import BY_PLURAL, CONTROLLERS
from kubetriage.values.times import human_duration

_DETAILED_AT_MOST = 20
"""Pods of a scan whose logs and owners are read; the others are judged by the list."""
_SUMMARIES_AT_MOST = 50
"""Kubelets that are asked for usage where metrics.k8s.io does not answer."""
_ROWS_AT_MOST = 15
"""Rows of the table of a scan; --all shows all."""
_SLIM = "kubetriage.slim"
"""Key of a pod of a scan of which only what the table shows was kept."""
_FIT_LIMIT = "error: --fit: limit=SIZE is needed, as nothing here has one"
_KILLED_AT_MOST = 3
"""Killed pods of one workload that get an answer of their own."""
_NODE_VIEW_AT_MOST = 3
"""Named pods for which the other pods of their node are listed."""


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Say what to read: the pods, then usage, logs, ConfigMaps, owners and node of those that matter."""
    if request.options.get("plan") or (request.options.get("fit") and request.is_scan):
        return
    yield from target_needs(snapshot, request)
    if request.is_scan:
        yield _scan(snapshot, request)
        yield memory_usage.list_metrics(request.namespace)
        if not request.namespace:
            yield List("nodes", shape=_node_memory)
        if snapshot.failure(memory_usage.list_metrics(request.namespace)) is not None:
            nodes = sorted({p.node for p in selected_pods(snapshot, request) if p.node and not p.finished})
            yield from (memory_usage.summary(node) for node in nodes[:_SUMMARIES_AT_MOST])
        pods = [p for p in selected_pods(snapshot, request) if kill_time(p) is not None]
        for pod in sorted(pods, key=kill_key)[:_DETAILED_AT_MOST]:
            for container in _containers(pod, request):
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


def _pod_needs(snapshot: Snapshot, request: Request, pod: Pod) -> Iterator[Need]:
    for container in _containers(pod, request):
        yield from container_needs(snapshot, container)
    if handed_over(pod):
        yield from evaluation.pod_needs(snapshot, pod)


def _scan(snapshot: Snapshot, request: Request) -> List:
    now = snapshot.now

    def keep(raw: Obj) -> Obj | None:
        return raw if request.show_all or _worth_showing(Pod(raw), request, now) else _slim(raw)

    return List("pods", request.namespace, request.selector, request.field_selector, shape=keep)


def _slim(raw: Obj) -> Obj | None:
    """Keep of a pod what the table of a scan shows; nothing of one that has ended."""
    if text(raw, "status", "phase") in ("Succeeded", "Failed"):
        return None
    spec, status = mapping(raw, "spec"), mapping(raw, "status")
    parts = ("name", "image", "resources", "restartPolicy")
    states = ("name", "state", "lastState", "resources", "ready", "restartCount")
    meta = ("name", "namespace", "uid", "labels", "ownerReferences")
    slim: dict[str, object] = {k: spec[k] for k in ("nodeName", "resources", "overhead") if k in spec}
    for kind in ("containers", "initContainers"):
        if kind in spec:
            slim[kind] = [{k: c[k] for k in parts if k in c} for c in objects(spec, kind)]
    shown: dict[str, object] = {k: status[k] for k in ("phase", "resources", "qosClass") if k in status}
    shown["containerStatuses"] = [{k: c[k] for k in states if k in c} for c in objects(status, "containerStatuses")]
    return {
        "metadata": {k: v for k, v in mapping(raw, "metadata").items() if k in meta},
        "spec": slim,
        "status": shown,
        _SLIM: True,
    }


def _node_memory(raw: Obj) -> Obj:
    """Keep of a node what its sums need."""
    status = {k: mapping(raw, "status", k) for k in ("capacity", "allocatable")}
    return {"metadata": {k: v for k, v in mapping(raw, "metadata").items() if k in ("name", "uid")}, "status": status}


def _worth_showing(pod: Pod, request: Request, now: datetime) -> bool:
    """Tell from the pod alone whether a scan has anything to say about it."""
    if kill_time(pod) is not None or evicted_for_memory(pod):
        return True
    if pod.finished:
        return False
    alone = Snapshot(now)
    cases = (Case(c, alone) for c in _containers(pod, request) if c.kind in ("app", "sidecar"))
    return any(case.limit.size is None or (case.budget.margin or 0) < 0 for case in cases)


def _containers(pod: Pod, request: Request) -> list[Container]:
    """Return the containers in question; an init container that ended well is not one of them."""
    if request.container:
        found = pod.container(request.container)
        return [found] if found is not None else []
    return [
        c
        for c in pod.containers
        if (c.kind in ("app", "sidecar") and c.name)
        or (c.kind == "init" and c.termination is not None and (c.termination.exit_code or oom_killed_at(c)))
    ]


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Answer for each pod that the request is about."""
    try:
        wishes = _wishes(request)
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
                diagnosis = replace(diagnosis, tail=(*diagnosis.tail, _replicas(snapshot, target, everyone)))
            diagnoses.append(diagnosis)
    return Answer(tuple(diagnoses), tuple(errors))


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


def _replicas(snapshot: Snapshot, target: Target, pods: list[Pod]) -> Table:
    """List all pods of a workload: who was killed when, and who uses how much."""
    rows = []
    for pod in sorted(pods, key=lambda p: (kill_key(p), -(working_set(snapshot, p) or 0), p.name)):
        killed, used = kill_time(pod), working_set(snapshot, pod)
        ago = f"{human_duration(snapshot.now - killed)} ago" if killed is not None else ""
        size = mebibytes(used) if used is not None else "unknown"
        rows.append((pod.name, pod.status_text(), pod.restarts_text(snapshot.clock), ago, size, pod.node))
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
    snapshot: Snapshot, request: Request, wishes: Wishes, pod: Pod, *, node_view: bool = False
) -> Diagnosis:
    subject = request.container or default_container(pod)
    others = Wishes(margin=wishes.margin)
    cases = [Case(c, snapshot, wishes if c.name == subject else others) for c in _containers(pod, request)]
    asked = next((c for c in cases if c.container.name == subject and wishes != others), None)
    crashes: tuple[Finding, ...] = ()
    if evicted_for_memory(pod) or (handed_over(pod) and not request.is_scan):
        crashes = tuple(evaluation.diagnose_pod(snapshot, pod))
    nodes = None if request.is_scan and not request.options.get("plan") else node_view
    scanned = request.is_scan and not request.options.get("plan")
    answer = pod_answer.diagnose_pod(snapshot, pod, cases, crashes, asked=asked, node_view=nodes, certain=scanned)
    return replace(answer, not_seen=gaps(snapshot, pod, cases, _wanted(snapshot, request, pod, cases)))


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


def _diagnose_scan(snapshot: Snapshot, request: Request, wishes: Wishes) -> Answer:
    listing = snapshot.list("pods", request.namespace, request.selector, request.field_selector)
    if not listing.complete and not listing.items:
        return Answer((), (list_error("pods", listing.why),))
    everyone = list(selected_pods(snapshot, request))
    limited, idle = dashboard.rows(snapshot, everyone, request.earlier)
    overview, gaps_of_all = _overview(snapshot, request, limited, idle)
    pods = [p for p in everyone if _SLIM not in p.raw]
    ranked: list[tuple[tuple[int, float], Diagnosis]] = []
    alike: dict[Ref, tuple[Ref, ...]] = {}
    among: dict[Ref, int] = {}
    for group in _groups(pods) if request.fold and not request.show_all else [[p] for p in pods]:
        pod = group[0]
        diagnosis = _diagnose_pod(snapshot, request, wishes, pod)
        if request.show_all or not diagnosis.healthy:
            ranked.append((_rank(pod, diagnosis), diagnosis))
            killed = kill_time(pod) is not None
            among[pod.ref] = len(group)
            alike[pod.ref] = tuple(p.ref for p in group[1:] if not killed or kill_time(p) is not None)
    near = {r.key[:2]: r.pod for r in limited if (r.share or 0) >= dashboard.NEAR_LIMIT and _SLIM in r.pod.raw}
    for pod in near.values():
        # Of such a pod only usage and limit are known, so nothing else is said.
        diagnosis = _diagnose_pod(snapshot, request, wishes, pod)
        told = tuple(f for f in diagnosis.findings if f.cause == "NearMemoryLimit")
        if told:
            said = replace(diagnosis, findings=told, summary=told[0].message, tail=(), extra={})
            ranked.append((_rank(pod, said), said))
    ranked.sort(key=lambda entry: entry[0])
    checked = len(everyone) + snapshot.dropped(_scan(snapshot, request))
    found = tuple(d for _, d in ranked)
    if request.fold:
        found = folded(found, snapshot, alike, among)
    return Answer(found, checked=checked, not_seen=gaps_of_all, overview=overview, measured=dashboard.samples(limited))


def _overview(
    snapshot: Snapshot, request: Request, limited: list[dashboard.Row], idle: list[dashboard.Row]
) -> tuple[tuple[Table, ...], tuple[NotSeen, ...]]:
    """Make the tables of a scan: containers, the worst first, and nodes."""
    if not limited and not idle:
        return (), ()
    source, gap = dashboard.usage_source([*limited, *idle])
    at_most = len(limited) + len(idle) if request.show_all else _ROWS_AT_MOST
    shown = dashboard.with_budgets(snapshot, limited[:at_most])
    tables = [
        dashboard.container_table(
            [*shown, *limited[at_most:]], idle, source, namespaces=request.all_namespaces, at_most=at_most
        )
    ]
    nodes = dashboard.nodes_table(snapshot) if not request.namespace and not request.selector else None
    if nodes is not None:
        tables.append(nodes)
    unread = NotSeen("threads, and children killed for memory", "a scan does not read cAdvisor; name the pod for both")
    return tuple(tables), (gap, unread) if gap is not None else (unread,)


def _groups(pods: Iterable[Pod]) -> list[list[Pod]]:
    """Put the pods of one controller together: they share a template, so one of them stands for all.

    The newest kill goes first; pods that ended otherwise do not stand for the others.
    """
    found: dict[str, list[Pod]] = {}
    for pod in pods:
        owner = text(pod.controller, "uid")
        ended = pod.finished and kill_time(pod) is None
        found.setdefault(owner if owner and not ended else f"{pod.namespace}/{pod.name}", []).append(pod)
    return [sorted(group, key=lambda p: (kill_key(p), p.name)) for group in found.values()]


def _rank(pod: Pod, diagnosis: Diagnosis) -> tuple[int, float]:
    """Order a scan: recent OOM kills, then budgets that cannot close by how far, then what is unbounded."""
    causes = [f.cause for f in diagnosis.findings]
    if kill_time(pod) is not None:
        return (0, kill_key(pod))
    if evicted_for_memory(pod):
        return (0, 0.0)
    if "RuntimeOutOfMemory" in causes or "ChildOOMKilled" in causes:
        return (0, 0.0)
    if "HeapExceedsLimit" in causes or "BudgetExceedsLimit" in causes:
        margin = mapping(diagnosis.extra, "budget").get("marginBytes")
        return (1, float(margin) if isinstance(margin, int) else 0.0)
    return (2, 0.0) if "NoMemoryLimit" in causes else (3, 0.0)


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
        "Explain who killed a container for memory (its own limit, the pod's, the node, an eviction, the runtime "
        "itself, or not memory at all). Add up what its runtime may take (heap, metaspace, direct buffers, code cache, "
        "stacks, collector) against the limit that is in force, and find the smallest change that makes it fit. "
        "It knows HotSpot 8 to 25, OpenJ9, GraalVM, Node.js, Go and .NET; it names what it assumes and what it cannot "
        "see."
    ),
    usage="(POD | TYPE/NAME | TYPE NAME) ...",
    examples=(
        ("Who killed it, and does its budget close", "kubectl oom-budget api-7d9c5b8f6-x2x4q"),
        ("One container of a deployment's pods", "kubectl oom-budget deployment/api -c app"),
        ("Rank the whole cluster: kills, budgets that cannot close, no limits", "kubectl oom-budget -A"),
        ("Ask what would be", "kubectl oom-budget api-7d9c5b8f6-x2x4q --what-if limit=6Gi,threads=400,xmx=4g"),
        ("Check a manifest before anything runs", "kubectl oom-budget -f deployment.yaml --jdk 21 --threads 200"),
        ("Plan heap, metaspace, direct memory, stacks for a limit", "kubectl oom-budget --fit limit=4Gi,threads=200"),
        ("Watch what is used of every limit, the worst first", "kubectl oom-budget -A --watch"),
        ("Reconcile with native memory tracking", "kubectl oom-budget api-7d9c5b8f6-x2x4q --nmt nmt.txt"),
    ),
    default_resource="pods",
    resources=("pods", *CONTROLLERS),
    plan=plan,
    diagnose=diagnose,
    known_rules=lambda: memory.RULES,
    watches=("pods",),
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
            "--fit",
            "Plan all settings of a process for a limit, with a reason for each: limit=4Gi,threads=200.",
            "text",
            metavar="KEY=VALUE,...",
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
