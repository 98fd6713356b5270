"""What node-triage reads, step by step, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from kubetriage.model import Diagnosis, Finding, NotSeen, Ref, Severity
from kubetriage.needs import Failure, Get, List, Need, Raw, Why
from kubetriage.plugins import Answer, Request, machine_logs
from kubetriage.plugins.answers import from_error_line, target_error
from kubetriage.readers.events import node_event_need, read_event
from kubetriage.readers.kubelet_contact import NODE_LEASES, Beat, grace_period
from kubetriage.records import replace
from kubetriage.rules.incident.folding import folded
from kubetriage.rules.incident.roots import bare
from kubetriage.rules.node.autoscaler_words import autoscaler_findings, autoscaler_logs
from kubetriage.rules.node.case import NodeCase, cases
from kubetriage.rules.node.causes import (
    all_nodes_lost,
    control_plane_unreachable,
    failover_too_slow,
    status_frozen,
    zone_outage,
)
from kubetriage.rules.node.causes.control_plane_unreachable import Unread
from kubetriage.rules.node.cluster_contact import MANAGER_LEASE, read_cluster, stale_through_etcd
from kubetriage.rules.node.diagnose import diagnose_node, words_alone
from kubetriage.rules.node.failover_audit import audit, lean_pod, lines, parse_wanted, table
from kubetriage.rules.node.gaps import not_seen
from kubetriage.rules.node.losses_alike import losses_alike, told_apart
from kubetriage.rules.node.machine_words import kernel_events, read_words, some_logs, strangers, unit_logs
from kubetriage.rules.node.needs import (
    ASIDE_SECONDS,
    FIRST_SECONDS,
    LIST_SECONDS,
    detail_needs,
    lacked_memory,
    shows_trouble,
    troubled,
)
from kubetriage.rules.node.ordered_machines import order_findings
from kubetriage.rules.node.outage_scope import Cluster, Cutoffs
from kubetriage.rules.node.sections import GROUP_SHOWN, NOWHERE, banner, document_keys, lead_sections, tail_sections
from kubetriage.rules.node.signing_requests import REQUESTS
from kubetriage.rules.node.stage import HOOKS
from kubetriage.rules.node.summary import header, manual_path, summary
from kubetriage.rules.shapes import lean_lease, lean_node
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import labels, mapping, text, texts
from kubetriage.values.selectors import field_selector_matches, label_selector_matches

NAME = "node-triage"

_GROUPED = (all_nodes_lost.CODE, zone_outage.CODE, status_frozen.CODE)


def _cutoffs(request: Request) -> Cutoffs:
    options, default = request.options, Cutoffs()
    return Cutoffs(
        frozen=timedelta(seconds=options.get("frozen_after") or default.frozen.total_seconds()),
        cluster=options.get("cluster_share") or default.cluster,
        together=timedelta(seconds=options.get("together_within") or default.together.total_seconds()),
    )


def _probes(request: Request) -> bool:
    return bool(request.options.get("probe_kubelet"))


def _drains(request: Request) -> bool:
    return bool(request.options.get("drain"))


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Say what to read: nodes and Leases, then what surrounds the nodes that are not well."""
    machine_logs.take(snapshot, request)
    yield Raw("/version", timeout=ASIDE_SECONDS)
    if request.options.get("tolerations"):
        yield List("pods", cached=True, shape=lean_pod)
        return
    yield List("nodes", cached=True, timeout=FIRST_SECONDS, shape=lean_node)
    yield from unit_logs(snapshot)
    yield from autoscaler_logs(snapshot)
    yield List("leases", cached=True, timeout=FIRST_SECONDS, shape=lean_lease)
    if _denied(snapshot, List("leases")):
        for namespace in (NODE_LEASES, "kube-system"):
            yield List("leases", namespace, cached=True, timeout=FIRST_SECONDS, shape=lean_lease)
    if _denied(snapshot, List("nodes")):
        for target in request.targets:
            yield Get("nodes", "", target.name)
    cluster = read_cluster(snapshot, _cutoffs(request))
    if cluster.whole.kind == "frozen":
        yield Raw(MANAGER_LEASE, timeout=LIST_SECONDS)
        if stale_through_etcd(snapshot, _cutoffs(request).frozen):
            yield Raw(MANAGER_LEASE, sample=1, timeout=LIST_SECONDS)
    found = list(
        cases(
            snapshot, _shown(snapshot, request, cluster), cluster, asked=bool(request.targets), drain=_drains(request)
        )
    )
    if some_logs(snapshot) and any(c.words.of("webhook") for c in found):
        yield from HOOKS
    chosen = _troubled(snapshot, request, found)
    # What a dial to its kubelet says tells one node apart from another, so all that are dialled are looked at.
    told = told_apart(chosen, _cutoffs(request).together) if _folds(request) and not _probes(request) else chosen
    yield from detail_needs(snapshot, chosen, told, probe=_probes(request))
    if not request.is_scan:
        for case in found:
            if not troubled(case) and cluster.whole.kind != "frozen":
                # A reboot that it has survived is all that a healthy node has to tell.
                yield node_event_need(case.name, ASIDE_SECONDS)
                yield REQUESTS


def _denied(snapshot: Snapshot, need: Need) -> bool:
    """Tell whether a read was refused or is not served."""
    failure = snapshot.failure(need)
    return failure is not None and failure.why in (Why.FORBIDDEN, Why.NOT_FOUND)


def _shown(snapshot: Snapshot, request: Request, cluster: Cluster) -> list[str]:
    """Return the nodes that are told one by one, in the order of the list."""
    if not request.is_scan:
        return [t.name for t in request.targets if t.name in cluster.nodes]
    chosen = list(cluster.nodes)
    if request.selector or request.field_selector:
        chosen = [
            name
            for name, node in cluster.nodes.items()
            if label_selector_matches(request.selector, labels(node, "metadata", "labels"))
            and field_selector_matches(request.field_selector, node)
        ]
    if request.show_all:
        return chosen
    told: dict[tuple[str, str], int] = {}
    kept = []
    drain, heard = _drains(request), some_logs(snapshot)
    shows = _showing(snapshot, cluster, drain=drain)
    for name in chosen:
        quiet = cluster.whole.kind != "frozen" and name not in shows
        if quiet and not heard:
            continue
        case = NodeCase(cluster.nodes[name], cluster, snapshot, drain=drain)
        if quiet and not case.words.words:
            continue
        scope = case.scope
        if scope.kind in ("frozen", "cluster", "zone"):
            told[scope.kind, scope.label] = told.get((scope.kind, scope.label), 0) + 1
            if told[scope.kind, scope.label] > GROUP_SHOWN:
                continue
        # A node that is not ready has more than a note to tell, and a whole zone of them is judged only once.
        if (
            case.contact.ready == "True"
            and not case.drains
            and not lacked_memory(case)
            and all(f.severity is Severity.NOTE for f in diagnose_node(case))
        ):
            continue
        kept.append(name)
    return kept


def _showing(snapshot: Snapshot, cluster: Cluster, *, drain: bool) -> frozenset[str]:
    """Return the nodes that show trouble; that follows from the node and its contact."""
    known = snapshot.derived_of(_in_trouble, "nodes", "leases")
    key = (id(cluster.contacts), drain)
    if key not in known:
        every = (NodeCase(node, cluster, snapshot, drain=drain) for node in cluster.nodes.values())
        known[key] = frozenset(c.name for c in every if shows_trouble(c))
    return known[key]


def _troubled(snapshot: Snapshot, request: Request, found: Sequence[NodeCase]) -> list[NodeCase]:
    """Return the cases whose surroundings are worth reading."""
    if not request.is_scan or not found:
        return [c for c in found if troubled(c)]
    shows = _showing(snapshot, found[0].cluster, drain=_drains(request))
    return [c for c in found if c.name in shows or c.words.words]


def _folds(request: Request) -> bool:
    """Tell whether nodes of one answer are told as one."""
    return request.is_scan and request.fold and not request.show_all


def _in_trouble(_: Snapshot) -> dict[tuple[int, bool], frozenset[str]]:
    """Hold the nodes that show trouble, by the contacts that live as long."""
    return {}


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Say for each node that the request is about why it is not well."""
    if request.options.get("tolerations"):
        return _audit(snapshot, request)
    listing = snapshot.list("nodes")
    cluster = read_cluster(snapshot, _cutoffs(request))
    if not cluster.nodes and (told := _by_logs(snapshot, request)) is not None:
        return told
    machines = _machines(snapshot, request)
    if not cluster.nodes and not listing.complete:
        return Answer(machines, checked=len(machines)) if machines else _unread(snapshot, request)
    missing = [t for t in request.targets if t.name not in cluster.nodes]
    lone = (*_unregistered(snapshot, request, cluster), *machines)
    errors = tuple(target_error(snapshot, t, "") for t in missing if t.name not in {d.target.name for d in lone})
    gaps = list(snapshot.unseen(plan(snapshot, request)))
    shown = _shown(snapshot, request, cluster)
    found = list(cases(snapshot, shown, cluster, asked=bool(request.targets), drain=_drains(request)))
    alike: dict[Ref, tuple[Ref, ...]] = {}
    groups: dict[Ref, int] = {}
    if _folds(request):
        for number, (some, others) in enumerate(losses_alike(found, _cutoffs(request).together)):
            alike[some[0].ref] = tuple(bare(c.ref) for c in others)
            groups.update((c.ref, number) for c in some)
        hidden = {ref.name for refs in alike.values() for ref in refs}
        found = [c for c in found if c.name not in hidden]
    diagnoses = [_diagnosis(case, request, gaps) for case in found]
    if request.is_scan and not request.show_all and not _drains(request):
        # A cordon alone is no news; what holds its drain up is.
        diagnoses = [d for d in diagnoses if any(f.severity is not Severity.NOTE for f in d.findings)]
    if request.is_scan:
        diagnoses.sort(key=lambda d: (d.healthy, d.cause not in _GROUPED))
        if cluster.whole.kind == "controllers":
            diagnoses.append(_unwatched(cluster))
        if request.fold:
            diagnoses = list(folded(diagnoses, snapshot, {**_untold(diagnoses), **alike}, groups=groups))
    whole = (*strangers(snapshot, cluster.nodes), *(_unseen_contacts(cluster) if request.is_scan else ()))
    return Answer((*lone, *diagnoses), errors, checked=len(cluster.nodes) + len(lone), not_seen=whole)


def _machines(snapshot: Snapshot, request: Request) -> tuple[Diagnosis, ...]:
    """Judge machines that were ordered and are no Nodes yet, as far as a recording tells of them."""
    asked = {t.name for t in request.targets}
    by_object: dict[Ref, list[Finding]] = {}
    for finding in (*order_findings(snapshot), *autoscaler_findings(snapshot)):
        if not asked or finding.object.name in asked:
            by_object.setdefault(finding.object, []).append(finding)
    return tuple(_from_words(ref, tuple(found), ()) for ref, found in by_object.items())


def _unregistered(snapshot: Snapshot, request: Request, cluster: Cluster) -> tuple[Diagnosis, ...]:
    """Judge machines of which there is a log and no Node: they never joined, or their Node was deleted."""
    if not snapshot.list("nodes").complete:
        return ()
    asked = {t.name for t in request.targets}
    names = {log.node for log in snapshot.node_logs() if log.node} - set(cluster.nodes)
    found = []
    for name in sorted(names & asked if asked else names)[:5]:
        words = read_words((log for log in snapshot.node_logs() if log.node == name), snapshot.now)
        findings = words_alone(Ref("Node", "", name), words, tuple(cluster.nodes.values()))
        if findings:
            findings = tuple(_with_deletion(f, snapshot, name) for f in findings)
            why = f"no Node of the name {name} in the list: it never joined, or it was deleted"
            gap = NotSeen("the Node and its Lease", why, decides=True)
            found.append(_from_words(findings[0].object, findings, (gap,)))
    return tuple(found)


def _with_deletion(finding: Finding, snapshot: Snapshot, name: str) -> Finding:
    """Add who deleted a Node, where an event tells it."""
    if finding.cause != "NodeDeleted":
        return finding
    told = [
        e
        for e in map(read_event, snapshot.list("events").items)
        if e.reason in ("DeletingNode", "RemovingNode") and text(e.raw, "involvedObject", "name") == name
    ]
    if not told:
        return finding
    words = next((e for e in told if e.reason == "DeletingNode"), told[-1])
    said = f"{finding.message} {words.component or 'A controller'} says: {words.message.rstrip('.')}."
    return replace(finding, message=said, evidence=(*finding.evidence, words.evidence()))


def _from_words(ref: Ref, findings: tuple[Finding, ...], gaps: tuple[NotSeen, ...]) -> Diagnosis:
    extra = {"witnesses": [], "timetable": [], "scope": NOWHERE}
    return Diagnosis(NAME, ref, findings[0].message, findings, gaps, extra=extra)


def _untold(diagnoses: Sequence[Diagnosis]) -> dict[Ref, tuple[Ref, ...]]:
    """Return the nodes of a lost zone or cluster that are not told one by one, by the first one that is."""
    told = {d.target.name for d in diagnoses}
    untold: dict[tuple[str, str], tuple[Ref, tuple[Ref, ...]]] = {}
    for diagnosis in diagnoses:
        scope = mapping(diagnosis.extra, "scope")
        if text(scope, "kind") in ("frozen", "cluster", "zone") and diagnosis.cause in _GROUPED:
            members = tuple(Ref("Node", "", name) for name in texts(scope, "members") if name not in told)
            untold.setdefault((text(scope, "kind"), text(scope, "label")), (diagnosis.target, members))
    return {first: members for first, members in untold.values() if members}


def _unseen_contacts(cluster: Cluster) -> Iterator[NotSeen]:
    """Say of how many nodes the contact was not seen: without a Lease, Ready=True proves nothing of now."""
    blind = [c for c in cluster.contacts.values() if c.beat is Beat.UNSEEN and c.ready == "True"]
    if blind:
        many = f"Leases of {len(blind)} of {len(cluster.contacts)} nodes"
        yield NotSeen(many, f"{blind[0].why or 'not read'}; whether they are in contact now", decides=True)


def _audit(snapshot: Snapshot, request: Request) -> Answer:
    """Say who would wait how long for a replacement, before any node is lost."""
    wanted, odd = parse_wanted(request.options.get("critical") or ())
    if odd:
        return Answer((), (f'error: invalid argument "{odd}" for "--critical" flag: it must be SELECTOR=DURATION',))
    listing = snapshot.list("pods")
    grace = grace_period(snapshot.version)
    workloads = audit(listing.items, snapshot.now)
    findings = tuple(failover_too_slow.check(workloads, wanted, grace))
    slow = sum((w.seconds or 0) >= 300 for w in workloads if not w.stays)
    lonely = sum(w.kind == "Pod" for w in workloads)
    said = (
        f"{slow} of {sum(not w.stays for w in workloads)} workloads wait 300s or more for a new pod after their node is"
        f" marked, {lonely} have no controller. A node is marked {int(grace.total_seconds())}s after its last renewal."
    )
    gaps = () if listing.complete else (NotSeen("pods of all namespaces", listing.why, decides=True),)
    extra = {"witnesses": [], "timetable": [], "scope": NOWHERE}
    ref = Ref("Cluster", "", "failover")
    return Answer(
        (
            Diagnosis(
                NAME,
                ref,
                said,
                findings,
                gaps,
                tail=(lines(workloads, grace), table(workloads, grace)),
                extra=extra,
            ),
        )
    )


def _by_logs(snapshot: Snapshot, request: Request) -> Answer | None:
    """Answer from a machine's own logs where no Node was seen: the API server is down, or there is only the log.

    Events in which an agent quotes the kernel stand for such a log.
    """
    logs = snapshot.node_logs() or tuple(kernel_events(snapshot))[:1]
    if not logs:
        return None
    words = read_words(logs, snapshot.now)
    ref = Ref("Node", "", request.targets[0].name if request.targets else words.host or "machine")
    findings = words_alone(ref, words)
    gaps = [NotSeen("the Node and its Lease", "no cluster was read; judged by the machine's log alone", decides=True)]
    if words.unread:
        gaps.append(NotSeen(f"log {', '.join(words.sources)}", words.unread, decides=True))
    said = findings[0].message if findings else f"No fault seen in {words.lines} lines of the log of {ref.name}."
    extra = {"witnesses": [], "timetable": [], "scope": NOWHERE}
    return Answer((Diagnosis(NAME, ref, said, findings, tuple(gaps), extra=extra),), checked=1)


def _unread(snapshot: Snapshot, request: Request) -> Answer:
    failure = snapshot.failure(List("nodes")) or Failure(Why.NOT_IN_DUMP, "the dump holds no nodes")
    if failure.why not in (Why.TIMEOUT, Why.FAILED):
        if request.targets:
            return Answer((), tuple(target_error(snapshot, t, "") for t in request.targets))
        prefix = "Error from server (Forbidden): " if failure.why is Why.FORBIDDEN else "error: "
        return Answer((), (f"{prefix}{failure}",))
    diagnoses = []
    for ref in [Ref("Node", "", t.name) for t in request.targets] or [Ref("Cluster", "", "cluster")]:
        findings = tuple(control_plane_unreachable.check(Unread(ref, failure)))
        diagnoses.append(
            Diagnosis(
                NAME,
                ref,
                findings[0].message,
                findings,
                (NotSeen("nodes and their Leases", str(failure)),),
                extra={"witnesses": [], "timetable": [], "scope": NOWHERE},
            )
        )
    return Answer(tuple(diagnoses))


def _diagnosis(case: NodeCase, request: Request, gaps: Sequence[tuple[Need, str]]) -> Diagnosis:
    findings = diagnose_node(case)
    return Diagnosis(
        command=NAME,
        target=case.ref,
        summary=summary(case, findings),
        findings=findings,
        not_seen=not_seen(case, gaps, probed=_probes(request)),
        header=header(case),
        lead=tuple(lead_sections(case)),
        tail=tuple(tail_sections(case)),
        manual=manual_path(case, findings),
        extra=document_keys(case),
    )


def _unwatched(cluster: Cluster) -> Diagnosis:
    finding = status_frozen.unwatched(cluster)
    extent = {**NOWHERE, "kind": "controllers", "members": list(cluster.whole.members), "total": cluster.whole.total}
    return Diagnosis(
        NAME,
        finding.object,
        finding.message,
        (finding,),
        lead=tuple(banner(cluster)),
        extra={"witnesses": [], "timetable": [], "scope": extent},
    )


def explains(line: str) -> Diagnosis | None:
    """Answer where a paste holds nothing but an error line of kubectl about its way to a kubelet, or of kubeadm."""
    from kubetriage.rules import kubeadm_errors
    from kubetriage.rules.node.kubectl_errors import explain

    return from_error_line(NAME, kubeadm_errors.explain(line, "node") or explain(line))
