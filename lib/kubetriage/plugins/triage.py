"""``kubectl triage``: one incident, one line; the five plans over one snapshot, their findings joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from kubetriage.model import Diagnosis, Finding, NotSeen, Ref, Section, Severity, Table
from kubetriage.needs import Dial, List, Need, Raw
from kubetriage.plugins import ANY_KIND, EXPLAINING, KILLS_ONLY, Access, Answer, Option, Plugin, Request, Target, load
from kubetriage.plugins.answers import scan_gaps, target_error
from kubetriage.plugins.owners import LABEL, owned
from kubetriage.plugins.plane_trace_plan import no_answer_at
from kubetriage.plugins.selection import target_needs
from kubetriage.plugins.triage_scope import in_scope, nodes_of, pods_of, targets_of
from kubetriage.records import replace
from kubetriage.rules import custom_workloads
from kubetriage.rules.incident.alerts import Alert, read_alerts
from kubetriage.rules.incident.folding import fold, unfolded
from kubetriage.rules.incident.joining import Root, join
from kubetriage.rules.incident.report import COLUMNS, age, counted, detail_command, document, explained, name_of, row
from kubetriage.rules.incident.roots import bare, symptoms
from kubetriage.rules.service.gateway_objects import ROUTE_KINDS
from kubetriage.rules.shapes import lean_node, without_managed_fields
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.resources import BY_KIND, BY_PLURAL, CONTROLLERS

PARTS = ("plane-trace", "node-triage", "why-crash", "svc-trace", "oom-budget")
"""The plugins whose plans and findings are joined, the lowest layer first."""
_NO_OPTIONS: Mapping[str, Any] = {}


@cache
def _part(name: str) -> Plugin:
    return load(name)


def _requests(snapshot: Snapshot, request: Request) -> Iterator[tuple[Plugin, Request]]:
    """Yield each plugin with what it is asked: the whole scope, or what belongs to the named objects."""
    for name in PARTS:
        plugin = _part(name)
        own = replace(
            request,
            targets=(),
            # The others read one list for all objects and have an answer of its own for each.
            fold=name == "why-crash",
            options={o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
            | {KILLS_ONLY: True},
        )
        if not plugin.takes_targets or name == "node-triage":
            yield plugin, replace(own, namespace="", all_namespaces=True, selector="", field_selector="")
        elif not request.targets:
            yield plugin, own
        elif targets := tuple(targets_of(snapshot, request, plugin)):
            yield plugin, replace(own, targets=targets)


def _asked(request: Request) -> tuple[Request, ...]:
    """Return the questions of a run: the user's own, or one for each object that an alert names."""
    content = request.options.get("alert")
    if content is None:
        return (request,)
    try:
        alerts = read_alerts(content)
    except ValueError:
        return ()
    found: list[Request] = []
    for alert in alerts:
        asked = _of_alert(request, alert)
        if asked not in found:
            found.append(asked)
    return tuple(found)


def _of_alert(request: Request, alert: Alert) -> Request:
    own = replace(request, options=_NO_OPTIONS, namespace=alert.namespace, all_namespaces=not alert.namespace)
    resource = BY_KIND.get(alert.kind)
    if resource is None or resource.plural not in PLUGIN.resources:
        return own
    return replace(own, targets=(Target(resource.plural, alert.object),), all_namespaces=False)


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Say what to read: what the five plugins need, each thing once and only one sample of metrics."""
    for asked in _asked(request):
        if asked.targets:
            yield from target_needs(snapshot, asked)
        if asked.targets and asked.namespace:
            yield List("services", asked.namespace)
            yield List("ingresses", asked.namespace)
        for plugin, part in _requests(snapshot, asked):
            for need in _planned(snapshot, plugin, part):
                if not (isinstance(need, Raw | Dial) and need.sample):
                    yield _whole(need)


def _planned(snapshot: Snapshot, plugin: Plugin, asked: Request) -> tuple[Need, ...]:
    """Return a plugin's plan; as long as nothing new was read, or could not be read, it is not made again."""
    known = snapshot.derived(_plans)
    key = (plugin.name, asked.namespace, asked.all_namespaces, asked.selector, asked.field_selector, asked.targets)
    if key not in known:
        known[key] = tuple(plugin.plan(snapshot, asked))
    return known[key]


def _plans(_: Snapshot) -> dict[tuple[object, ...], tuple[Need, ...]]:
    """Hold the plans that were made of what was read so far."""
    return {}


def _whole(need: Need) -> Need:
    """Read a list for all plugins: each shapes for itself what it keeps, and the first would decide for all."""
    if not isinstance(need, List):
        return need
    return replace(need, shape=lean_node if need.resource == "nodes" else without_managed_fields)


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Join what the plugins find to roots, in the order in which to work on them."""
    content = request.options.get("alert")
    if content is not None:
        try:
            read_alerts(content)
        except ValueError as error:
            return Answer(errors=(f"error: --alert: {error}",))
    answers = [_answer(snapshot, asked) for asked in _asked(request)]
    return Answer(
        tuple(d for a in answers for d in a.diagnoses),
        tuple(dict.fromkeys(e for a in answers for e in a.errors)),
    )


def _answer(snapshot: Snapshot, request: Request) -> Answer:
    for target in request.targets:
        if target.resource == ANY_KIND:
            if custom_workloads.find(snapshot, request.namespace, target.kind, target.name) is None:
                return Answer(errors=(custom_workloads.missing(snapshot, request.namespace, target.kind, target.name),))
        elif not snapshot.get(target.resource, _place(target, request), target.name).found:
            return Answer(errors=(target_error(snapshot, target, request.namespace),))
    diagnoses: list[Diagnosis] = []
    gaps: dict[NotSeen, None] = {}
    checked: dict[str, int] = {}
    for plugin, asked in _requests(snapshot, request):
        answer = plugin.diagnose(snapshot, asked)
        diagnoses += [
            d
            for d in answer.diagnoses
            if (plugin.name != "oom-budget" or _new_kill(d, diagnoses)) and not _known_node(d, plugin, diagnoses)
        ]
        if asked.is_scan and plugin.takes_targets:
            gaps.update(dict.fromkeys(scan_gaps(snapshot, _planned(snapshot, plugin, asked), plugin.decides)))
        unseen = tuple(dict.fromkeys((*answer.not_seen, *(g for d in answer.diagnoses for g in d.not_seen))))
        quiet = plugin.name == "plane-trace" and not any(d.findings for d in answer.diagnoses)
        gaps.update(dict.fromkeys(_in_short(unseen) if quiet else unseen))
        gaps.update(dict.fromkeys(NotSeen(f"{plugin.name}: {e}", "no answer", decides=True) for e in answer.errors))
        checked[plugin.name] = answer.checked or len(answer.diagnoses)
    if request.targets:
        checked["why-crash"] = len(list(pods_of(snapshot, request)))
    if not request.all_namespaces:
        checked["node-triage"] = len(nodes_of(snapshot, request))
    known = [owned(_at_the_dns(d), snapshot) for d in unfolded(diagnoses)]
    scope = in_scope(tuple(known), snapshot, request)
    roots = join(fold(symptoms(scope, snapshot)), snapshot)
    return Answer((_diagnosis(snapshot, request, roots, tuple(gaps), checked),))


def _in_short(unseen: tuple[NotSeen, ...]) -> tuple[NotSeen, ...]:
    """Sum up what was not seen of a control plane without a fault."""
    if len(unseen) < 3:
        return unseen
    whys = list(dict.fromkeys(gap.why for gap in unseen))
    what = f"{len(unseen)} facts of the control plane ({kubectl('plane-trace')} names them)"
    return (NotSeen(what, whys[-1] if len(whys) < 3 else "not read", any(gap.decides for gap in unseen)),)


def _new_kill(diagnosis: Diagnosis, known: list[Diagnosis]) -> bool:
    """Tell whether oom-budget found a kill that why-crash did not; budgets that are only tight are no incident."""
    killed = any(f.severity is Severity.ERROR for f in diagnosis.findings)
    return killed and all(d.target != diagnosis.target or not d.findings for d in known)


def _known_node(diagnosis: Diagnosis, plugin: Plugin, known: list[Diagnosis]) -> bool:
    """Tell whether why-crash found a silent node of which node-triage tells more."""
    if plugin.name != "why-crash" or diagnosis.target.kind != "Node":
        return False
    return any(bare(d.target) == bare(diagnosis.target) and d.findings for d in known)


def _at_the_dns(diagnosis: Diagnosis) -> Diagnosis:
    """Name the DNS itself where a Service is healthy but for names that do not resolve."""
    if diagnosis.cause != "DNSNotReady":
        return diagnosis
    return replace(diagnosis, target=bare(diagnosis.findings[0].object))


def _place(target: Target, request: Request) -> str:
    return request.namespace if BY_PLURAL[target.resource].namespaced else ""


def _diagnosis(
    snapshot: Snapshot,
    request: Request,
    roots: tuple[Root, ...],
    gaps: tuple[NotSeen, ...],
    checked: dict[str, int],
) -> Diagnosis:
    findings = tuple(_finding(root, i == 0, snapshot) for i, root in enumerate(roots))
    header: tuple[tuple[str, str], ...] = (("", "no problem found"),) if not roots else ()
    if len(roots) == 1:
        header = tuple(h for h in roots[0].fault.symptoms[0].diagnosis.header if h[0] == LABEL)
    lead: tuple[Section, ...] = ()
    if len(roots) > 1:
        lead = (Table("Root causes", COLUMNS, tuple(row(i + 1, r, snapshot.now) for i, r in enumerate(roots))),)
    return Diagnosis(
        command=PLUGIN.name,
        target=_target(snapshot, request),
        summary=findings[0].message if findings else _healthy(checked),
        findings=findings,
        not_seen=gaps,
        header=header,
        lead=lead,
        extra={"roots": document(roots)},
    )


def _target(snapshot: Snapshot, request: Request) -> Ref:
    if len(request.targets) == 1:
        target = request.targets[0]
        if target.resource == ANY_KIND:
            custom = custom_workloads.find(snapshot, request.namespace, target.kind, target.name)
            return Ref(text(custom, "kind"), request.namespace, target.name)
        return Ref(BY_PLURAL[target.resource].kind, _place(target, request), target.name)
    return Ref("Cluster", "", "all-namespaces") if request.all_namespaces else Ref("Namespace", "", request.namespace)


def _healthy(checked: dict[str, int]) -> str:
    looked = {"pod": checked.get("why-crash", 0), "service": checked.get("svc-trace", 0)}
    looked["node"] = checked.get("node-triage", 0)
    return f"No problem found in {counted({k: n for k, n in looked.items() if n}) or 'the control plane'}."


def _finding(root: Root, first: bool, snapshot: Snapshot) -> Finding:
    """Return the finding of a root with what it explains, and with the command for the detail.

    Of all but the first there is a line on the screen: the object and what it explains stand at its beginning.
    """
    fault, finding = root.fault, root.fault.finding
    more, since = explained(root), age(fault.since, snapshot.now)
    if first:
        said = finding.message
        if more:
            said = f"{said} It explains {more}{f', since {since}' if since else ''}."
        if root.possible:
            near = ", ".join(dict.fromkeys(f"{name_of(f.root)} {f.finding.cause}" for f in root.possible[:3]))
            said = f"{said} At the same time, possibly related: {near}."
    else:
        about = ", ".join(part for part in (name_of(fault.root), more, f"since {since}" if since else "") if part)
        said = f"{about}: {finding.message}"
    detail = str(detail_command(fault, fault.symptoms[0].diagnosis.command))
    return replace(finding, message=said, verify=(detail, *finding.verify))


def _no_answer(error: str, server: str) -> Diagnosis:
    return no_answer_at(error, server, PLUGIN.name)


def _explains(line: str) -> Diagnosis | None:
    for name in EXPLAINING:
        explains = load(name).explains
        told = explains(line) if explains is not None else None
        if told is not None:
            return replace(told, command=PLUGIN.name)
    return None


def _access() -> tuple[Access, ...]:
    seen: dict[tuple[tuple[str, ...], tuple[str, ...]], Access] = {}
    for name in PARTS:
        for access in _part(name).access:
            seen.setdefault((access.groups, access.resources), access)
    return tuple(seen.values())


PLUGIN = Plugin(
    name="triage",
    summary="Join the findings of an incident to root causes",
    description=(
        "Look at pods, Services, Ingresses, nodes and the control plane in one run and join what is found: one line "
        "for each root cause, with the objects that it explains, since when, who must act, the first act, and the "
        "command for the detail. Faults are joined only by an object that they have in common."
    ),
    usage="(TYPE/NAME | TYPE NAME)",
    examples=(
        ("The root causes in the current namespace", "kubectl triage"),
        ("In the whole cluster", "kubectl triage -A"),
        ("One application with its pods, Services, Ingresses and nodes", "kubectl triage deploy/shop"),
        ("What an alert is about", "amtool alert -o json | kubectl triage --alert -"),
        ("From a dump of a colleague", "kubectl triage -A --from ./dump"),
    ),
    default_resource="pods",
    resources=("pods", *CONTROLLERS, "services", "ingresses", "nodes", *ROUTE_KINDS, "gateways"),
    plan=plan,
    diagnose=diagnose,
    waits=True,
    accepts_any_kind=True,
    no_answer=_no_answer,
    explains=_explains,
    options=(
        Option(
            "--alert",
            "Answer about the objects that alerts name: the body of Alertmanager's webhook, or amtool alert -o json "
            "(- for stdin).",
            "file",
            metavar="FILE",
        ),
    ),
    access=_access(),
)
