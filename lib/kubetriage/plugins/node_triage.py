"""``kubectl node-triage``: why a node is not well, and what happens to its pods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from kubetriage.model import Diagnosis, Finding, Lines, NotSeen, Ref, Section, Severity, Table
from kubetriage.needs import Failure, Get, List, Need, Raw, Why
from kubetriage.plugins import Access, Answer, Option, Plugin, Request
from kubetriage.plugins.answers import target_error
from kubetriage.readers.events import node_event_need, node_event_selector
from kubetriage.rules import node as rules
from kubetriage.rules.node.case import (
    MACHINE_CHECKS,
    MANAGER_LEASE,
    NODE_CHECKS,
    NodeCase,
    cases,
    read_cluster,
    stale_through_etcd,
)
from kubetriage.rules.node.causes import all_nodes_lost, control_plane_unreachable, status_frozen, zone_outage
from kubetriage.rules.node.causes.control_plane_unreachable import Unread
from kubetriage.rules.node.eviction_timetable import Row
from kubetriage.rules.node.kubelet_contact import NODE_LEASES, kubelet_path, kubelet_version
from kubetriage.rules.node.node_commands import commands
from kubetriage.rules.node.outage_scope import Cluster, Cutoffs, zone_of
from kubetriage.rules.shapes import lean_node
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, condition, dig, flag, labels, mapping, objects, text
from kubetriage.values.selectors import field_selector_matches, label_selector_matches
from kubetriage.values.times import format_time, human_duration, parse_time

FIRST_SECONDS = 8.0
"""Time limit of the lists without which nothing can be said; their answer comes from the API server's memory."""
LIST_SECONDS = 5.0
"""Time limit of further cached lists."""
ASIDE_SECONDS = 3.0
"""Time limit of what the verdict can do without: events, health checks, the dial of a kubelet."""
PODS_PER_NODE_AT_MOST = 5
"""With more nodes in trouble their pods are read in one list."""
GROUP_SHOWN = 10
"""So many nodes of one lost zone or cluster are told one by one; ``--all`` shows every one."""
_GROUPED = (all_nodes_lost.CODE, zone_outage.CODE, status_frozen.CODE)


def _cutoffs(request: Request) -> Cutoffs:
    options, default = request.options, Cutoffs()
    return Cutoffs(
        frozen=timedelta(seconds=options.get("frozen_after") or default.frozen.total_seconds()),
        cluster=options.get("cluster_share") or default.cluster,
        together=timedelta(seconds=options.get("together_within") or default.together.total_seconds()),
    )


def _lean_lease(raw: Obj) -> Obj:
    metadata = {k: v for k, v in mapping(raw, "metadata").items() if k in ("name", "namespace", "resourceVersion")}
    return {"metadata": metadata, "spec": mapping(raw, "spec")}


def plan(snapshot: Snapshot, request: Request) -> Iterator[Need]:
    """Say what to read: nodes and Leases, then what surrounds the nodes that are not well."""
    yield Raw("/version", timeout=ASIDE_SECONDS)
    yield List("nodes", cached=True, timeout=FIRST_SECONDS, shape=lean_node)
    yield List("leases", cached=True, timeout=FIRST_SECONDS, shape=_lean_lease)
    if _failed(snapshot, List("leases")):
        for namespace in (NODE_LEASES, "kube-system"):
            yield List("leases", namespace, cached=True, timeout=FIRST_SECONDS, shape=_lean_lease)
    if _failed(snapshot, List("nodes")):
        for target in request.targets:
            yield Get("nodes", "", target.name)
    cluster = read_cluster(snapshot, _cutoffs(request))
    if cluster.whole.kind == "frozen":
        yield Raw(MANAGER_LEASE, timeout=LIST_SECONDS)
        if stale_through_etcd(snapshot, _cutoffs(request).frozen):
            yield Raw(MANAGER_LEASE, sample=1, timeout=LIST_SECONDS)
    found = list(cases(snapshot, _shown(snapshot, request, cluster), cluster))
    yield from _details(snapshot, request, [c for c in found if _troubled(c)])
    if not request.is_scan:
        for case in found:
            if not _troubled(case) and cluster.whole.kind != "frozen":
                # A reboot that it has survived is all that a healthy node has to tell.
                yield node_event_need(case.name, ASIDE_SECONDS)


def _failed(snapshot: Snapshot, need: Need) -> bool:
    failure = snapshot.failure(need)
    return failure is not None and failure.why in (Why.FORBIDDEN, Why.NOT_FOUND)


def _troubled(case: NodeCase) -> bool:
    """Something more than a cordon may be wrong, so its surroundings are worth reading."""
    taints = objects(case.node, "spec", "taints")
    return (
        case.contact.ready != "True"
        or case.contact.silent
        or case.contact.fading
        or any(text(t, "effect") == "NoExecute" for t in taints)
        or _pressed(case)
        or any(f.severity is not Severity.NOTE for f in rules.node_problem.check(case))
    )


def _pressed(case: NodeCase) -> bool:
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure")
    return any(text(condition(case.node, k), "status") == "True" for k in kinds)


def _details(snapshot: Snapshot, request: Request, chosen: Sequence[NodeCase]) -> Iterator[Need]:
    names = [c.name for c in chosen]
    if not names:
        return
    yield from _pod_needs(names)
    yield List("volumeattachments", cached=True, timeout=ASIDE_SECONDS, shape=_on_nodes(names))
    # What is not in a watch cache hangs while nobody can write, and would tell nothing of it.
    frozen = chosen[0].cluster.whole.kind == "frozen"
    if not frozen:
        yield Raw(NODE_CHECKS, timeout=ASIDE_SECONDS)
        for path in dict.fromkeys(p for c in chosen for key, p in MACHINE_CHECKS.items() if key in c.annotations):
            yield Raw(path, timeout=ASIDE_SECONDS)
    for case in chosen:
        if request.options.get("probe_kubelet"):
            yield Raw(kubelet_path(case.name, "healthz"), timeout=ASIDE_SECONDS)
        if _reads_figures(snapshot, request) and _pressed(case):
            yield Raw(kubelet_path(case.name, "configz"), timeout=ASIDE_SECONDS)
            yield Raw(kubelet_path(case.name, "stats/summary"), timeout=ASIDE_SECONDS)
    if all(snapshot.knows(n) for n in _pod_needs(names)):
        yield from _surroundings(chosen)
        for case in () if frozen else chosen[:GROUP_SHOWN]:
            yield node_event_need(case.name, ASIDE_SECONDS)


def _reads_figures(snapshot: Snapshot, request: Request) -> bool:
    """Tell whether to ask for the kubelet's figures: from a cluster they need nodes/proxy, which must be asked for."""
    return bool(request.options.get("probe_kubelet")) or snapshot.source != "cluster"


def _pod_needs(names: Sequence[str]) -> Iterator[List]:
    if len(names) > PODS_PER_NODE_AT_MOST:
        wanted = frozenset(names)
        yield List(
            "pods",
            cached=True,
            timeout=LIST_SECONDS,
            shape=lambda raw: raw if text(raw, "spec", "nodeName") in wanted else None,
        )
        return
    for name in names:
        yield List("pods", fields=f"spec.nodeName={name}", cached=True, timeout=LIST_SECONDS)


def _on_nodes(names: Sequence[str]) -> Any:
    wanted = frozenset(names)
    return lambda raw: raw if text(raw, "spec", "nodeName") in wanted else None


def _surroundings(chosen: Sequence[NodeCase]) -> Iterator[Need]:
    """Ask for what tells how pods are replaced."""
    names = frozenset(c.name for c in chosen)
    replaced, jobs, claims = set(), set(), set()
    for case in chosen:
        for pod in case.pods:
            kind = text(pod.controller, "kind")
            if pod.deleting and kind in ("ReplicaSet", "ReplicationController"):
                replaced.add(pod.namespace)
            if kind == "Job" and not pod.finished:
                jobs.add(pod.namespace)
            if any("persistentVolumeClaim" in v for v in objects(pod.raw, "spec", "volumes")):
                claims.add(pod.namespace)
    for namespace in sorted(replaced):
        yield List("pods", namespace, cached=True, timeout=ASIDE_SECONDS, shape=lambda raw: _lean_sibling(raw, names))
    for namespace in sorted(jobs):
        yield List("jobs", namespace, cached=True, timeout=ASIDE_SECONDS)
    for namespace in sorted(claims):
        yield List("persistentvolumeclaims", namespace, cached=True, timeout=ASIDE_SECONDS)


def _lean_sibling(raw: Obj, nodes: frozenset[str]) -> Obj:
    """Keep of a pod on another node what tells that it replaces one."""
    if text(raw, "spec", "nodeName") in nodes:
        return raw
    kept = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "ownerReferences")
    return {
        "metadata": {k: v for k, v in mapping(raw, "metadata").items() if k in kept},
        "spec": {"nodeName": text(raw, "spec", "nodeName")},
        "status": {"phase": text(raw, "status", "phase"), "conditions": objects(raw, "status", "conditions")},
    }


def _shown(snapshot: Snapshot, request: Request, cluster: Cluster) -> list[str]:
    """Return the nodes that are told one by one, in the order of the list."""
    if not request.is_scan:
        return [t.name for t in request.targets if t.name in cluster.nodes]
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
    for name in chosen:
        case = NodeCase(cluster.nodes[name], cluster, snapshot)
        if cluster.whole.kind != "frozen" and not _troubled(case):
            continue
        scope = case.scope
        if scope.kind in ("frozen", "cluster", "zone"):
            told[scope.kind, scope.label] = told.get((scope.kind, scope.label), 0) + 1
            if told[scope.kind, scope.label] > GROUP_SHOWN:
                continue
        if all(f.severity is Severity.NOTE for f in rules.diagnose_node(case)):
            continue
        kept.append(name)
    return kept


def diagnose(snapshot: Snapshot, request: Request) -> Answer:
    """Say for each node that the request is about why it is not well."""
    listing = snapshot.list("nodes")
    cluster = read_cluster(snapshot, _cutoffs(request))
    if not cluster.nodes and not listing.complete:
        return _unread(snapshot, request)
    missing = [t for t in request.targets if t.name not in cluster.nodes]
    errors = tuple(target_error(snapshot, t, "") for t in missing)
    gaps = list(snapshot.unseen(plan(snapshot, request)))
    found = cases(snapshot, _shown(snapshot, request, cluster), cluster)
    diagnoses = [_diagnosis(case, request, gaps) for case in found]
    if request.is_scan:
        diagnoses.sort(key=lambda d: (d.healthy, d.cause not in _GROUPED))
        if cluster.whole.kind == "controllers":
            diagnoses.append(_unwatched(cluster))
    return Answer(tuple(diagnoses), errors, checked=len(cluster.nodes))


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
                PLUGIN.name,
                ref,
                findings[0].message,
                findings,
                (NotSeen("nodes and their Leases", str(failure)),),
                extra={"witnesses": [], "timetable": [], "scope": _NOWHERE},
            )
        )
    return Answer(tuple(diagnoses))


def _diagnosis(case: NodeCase, request: Request, gaps: Sequence[tuple[Need, str]]) -> Diagnosis:
    findings = rules.diagnose_node(case)
    return Diagnosis(
        command=PLUGIN.name,
        target=case.ref,
        summary=_summary(case, findings),
        findings=findings,
        not_seen=_not_seen(case, request, gaps),
        header=_header(case),
        lead=tuple(_lead(case)),
        tail=tuple(_tail(case)),
        manual=_manual(case, findings),
        extra=_extra(case),
    )


def status_text(node: Obj) -> str:
    """Return the STATUS column as ``kubectl get nodes`` prints it (printNode of kubernetes/pkg/printers)."""
    ready = text(condition(node, "Ready"), "status")
    word = {"True": "Ready", "": "Unknown"}.get(ready, "NotReady")
    return word + (",SchedulingDisabled" if flag(node, "spec", "unschedulable") else "")


def _header(case: NodeCase) -> tuple[tuple[str, str], ...]:
    contact = case.contact
    created = parse_time(dig(case.node, "metadata", "creationTimestamp"))
    lease = "none" if contact.age is None else f"{human_duration(abs(contact.age))} old"
    if contact.age is None and contact.beat.value == "unseen":
        lease = "not seen"
    return (
        ("", status_text(case.node)),
        ("age", human_duration(case.now - created) if created else "<unknown>"),
        ("kubelet", text(case.node, "status", "nodeInfo", "kubeletVersion") or "<none>"),
        ("zone", zone_of(case.node) or "<none>"),
        ("lease", lease),
    )


def _summary(case: NodeCase, findings: tuple[Finding, ...]) -> str:
    if findings:
        return findings[0].message
    contact = case.contact
    age = (
        f"Lease renewed {human_duration(abs(contact.age))} ago" if contact.age is not None else "its Lease was not seen"
    )
    more = ""
    booted = case.events.last("Rebooted")
    if booted is not None and booted.last is not None:
        more += f" It booted again {human_duration(case.now - booted.last)} ago."
    more += _recent_trouble(case) + _closed_to(case)
    if contact.skew is not None:
        side = "ahead of" if contact.skew > timedelta() else "behind"
        more += f" Its clock is about {human_duration(abs(contact.skew))} {side} the API server's."
    head = "Nothing is broken" if more else "Nothing to report"
    return f"{head}: {case.name} is {status_text(case.node)}, {age}.{more}"


_TROUBLE = (
    # Of the kubelet (pkg/kubelet/events, all versions) and of Node Problem Detector's monitors (its config/*.json).
    *("SystemOOM", "EvictionThresholdMet", "FreeDiskSpaceFailed", "ImageGCFailed", "ContainerGCFailed"),
    *("OOMKilling", "TaskHung", "KernelOops", "Ext4Error", "Ext4Warning", "IOError", "MemoryReadError"),
    *("ConntrackFull", "DNSUnreachable", "CperHardwareErrorCorrected", "CperHardwareErrorRecoverable"),
)
_LATELY = timedelta(minutes=15)
_EXPECTED_TAINTS = ("node-role.kubernetes.io/", "node.kubernetes.io/unschedulable")


def _recent_trouble(case: NodeCase) -> str:
    """Tell of the latest trouble that a node which is Ready has had: lost readiness, then the newest event."""
    return "".join((_unready_lately(case), _event_lately(case)))


def _unready_lately(case: NodeCase) -> str:
    event = case.events.last("NodeNotReady")
    if event is None or event.last is None or not timedelta() <= case.now - event.last <= _LATELY:
        return ""
    times = sum(e.count for e in case.events.select("NodeNotReady"))
    often = f", {times} times by the events of the last hour" if times > 1 else ""
    return f" It became NotReady {human_duration(case.now - event.last)} ago{often}, and came back."


def _event_lately(case: NodeCase) -> str:
    event = case.events.last(*_TROUBLE)
    if event is None or event.last is None or not timedelta() <= case.now - event.last <= _LATELY:
        return ""
    return f" {human_duration(case.now - event.last)} ago: {event.reason}: {event.message.rstrip('.')}."


def _closed_to(case: NodeCase) -> str:
    """Name the taints that keep pods away, such as that of a node which its cloud has not initialised."""
    marks = [
        f"{text(t, 'key')}:{text(t, 'effect')}"
        for t in objects(case.node, "spec", "taints")
        if text(t, "effect") in ("NoSchedule", "NoExecute") and not text(t, "key").startswith(_EXPECTED_TAINTS)
    ]
    return f" It takes only pods that tolerate {', '.join(marks)}." if marks else ""


def _unwatched(cluster: Cluster) -> Diagnosis:
    finding = status_frozen.unwatched(cluster)
    extent = {**_NOWHERE, "kind": "controllers", "members": list(cluster.whole.members), "total": cluster.whole.total}
    return Diagnosis(
        PLUGIN.name,
        finding.object,
        finding.message,
        (finding,),
        lead=tuple(_banner(cluster)),
        extra={"witnesses": [], "timetable": [], "scope": extent},
    )


_NOWHERE: dict[str, Any] = {"kind": "none", "label": "", "members": [], "total": 0}


def _banner(cluster: Cluster) -> Iterator[Section]:
    whole, plane = cluster.whole, cluster.plane
    if whole.kind in ("frozen", "controllers") and whole.since is not None:
        who = "nobody in the cluster writes" if whole.kind == "frozen" else "no controller-manager runs"
        doubt = "Ready may be untrue for any node" if whole.kind == "frozen" else "a lost node would stay Ready"
        since = f"{format_time(whole.since)} ({human_duration(plane.now - whole.since)} ago)"
        yield Lines("READY COLUMN NOT UPDATED", (f"Not updated since {since}: {who}; {doubt}.",))


def _lead(case: NodeCase) -> Iterator[Section]:
    yield from _banner(case.cluster)
    scope = case.scope
    if scope.kind in ("zone", "cluster"):
        yield _zones(case)
    elif scope.kind in ("pool", "together"):
        label = scope.label or "fell silent together"
        since = format_time(scope.since) if scope.since else "?"
        rows = ((label, f"{len(scope.members)} of {scope.total}", since, ", ".join(scope.members)),)
        yield Table("SILENT NODES", ("SHARED", "SILENT", "SINCE", "NODES"), rows)


def _zones(case: NodeCase) -> Table:
    by_zone: dict[str, list[str]] = {}
    for name, node in case.cluster.nodes.items():
        by_zone.setdefault(zone_of(node), []).append(name)
    rows = []
    for zone, names in sorted(by_zone.items()):
        silent = [n for n in names if case.cluster.contacts[n].silent]
        since = min((c.since for n in silent if (c := case.cluster.contacts[n]).since), default=None)
        shown = ", ".join(silent[:GROUP_SHOWN]) + (
            f" and {len(silent) - GROUP_SHOWN} more" if len(silent) > GROUP_SHOWN else ""
        )
        rows.append(
            (zone or "<none>", f"{len(silent)} of {len(names)}", format_time(since) if since else "-", shown or "-")
        )
    return Table("SILENT NODES BY ZONE", ("ZONE", "SILENT", "SINCE", "NODES"), tuple(rows))


def _tail(case: NodeCase) -> Iterator[Section]:
    doubtful = case.contact.silent or case.contact.ready != "True"
    origin = " (as the API server's watch cache has it)" if case.snapshot.source == "cluster" else ""
    yield Table(
        f"WITNESSES{origin}",
        ("WITNESS", "SAYS", "AGE", "DETAIL"),
        tuple(w.row() for w in case.witnesses),
        wide=not doubtful,
    )
    rows = tuple(_timetable_rows(case.timetable))
    if rows and (doubtful or any(r.fate != "never" for r in case.timetable)):
        yield Table("WHAT HAPPENS TO ITS PODS", ("POD", "CONTROLLER", "WHAT HAPPENS", "WHEN"), rows)
    acting = case.remediations
    if acting:
        yield Table(
            "WILL ACT ON THIS NODE",
            ("WHAT", "DOES", "WHEN"),
            tuple((r.what, r.does, _acts(r.at, case.now)) for r in acting),
        )
    # Where nobody can write, a silent Lease says nothing of this machine.
    if case.contact.silent and not case.contact.never and case.scope.kind != "frozen":
        yield Table("ON THE NODE ITSELF", ("COMMAND", "DECIDES"), commands(case))


def _acts(at: datetime | None, now: datetime) -> str:
    """Write when something acts; a time that has passed is that of its announcement."""
    if at is None:
        return "-"
    return format_time(at) if at > now else f"announced {format_time(at)}"


def _timetable_rows(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """Yield the cells; pods that never move are told in one row when they are many."""
    still = [r for r in rows if r.fate == "never"]
    for row in rows:
        if row.fate != "never" or len(still) <= 3:
            yield row.cells(namespaces=True)
    if len(still) > 3:
        first = f"{still[0].pod.namespace}/{still[0].pod.name}"
        yield (
            f"{first} and {len(still) - 1} more",
            "DaemonSet, static",
            "belong to this node, are never evicted",
            "never",
        )


def _extra(case: NodeCase) -> dict[str, Any]:
    scope = case.scope
    extent: dict[str, Any] = {
        "kind": scope.kind if scope.kind != "none" or case.cluster.whole.kind != "controllers" else "controllers",
        "label": scope.label,
        "members": list(scope.members),
        "total": scope.total,
    }
    if scope.since is not None:
        extent["since"] = format_time(scope.since)
    return {
        "witnesses": [
            {
                "what": w.what,
                "says": w.says,
                "detail": w.detail,
                **({"ageSeconds": round(w.age.total_seconds(), 1)} if w.age is not None else {}),
                **({"time": format_time(w.moment)} if w.moment else {}),
            }
            for w in case.witnesses
        ],
        "timetable": [
            {
                "pod": {"namespace": r.pod.namespace, "name": r.pod.name},
                "controller": r.controller,
                "fate": r.fate,
                "what": r.what,
                **({"at": format_time(r.at)} if r.at else {}),
                "stuck": r.stuck,
                "replacedBy": list(r.replaced_by),
            }
            for r in case.timetable
        ],
        "scope": extent,
    }


_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")


def _not_seen(case: NodeCase, request: Request, gaps: Sequence[tuple[Need, str]]) -> tuple[NotSeen, ...]:
    lines = [line for need, why in gaps if (line := _gap(case, need, why)) is not None]
    contact = case.contact
    if contact.silent and case.probe is None and not request.options.get("probe_kubelet"):
        lines.append(
            NotSeen(
                "the kubelet's own answer",
                "not asked; --probe-kubelet lets the API server dial it (needs get on nodes/proxy)",
            )
        )
    if (contact.silent or contact.unmoving) and not case.plane.leaders_seen:
        lines.append(
            NotSeen(
                "the controller-manager's Lease in kube-system",
                "none is visible, so whether it works was judged by the nodes' Leases and marks alone",
            )
        )
    told = {k: text(condition(case.node, k), "status") in ("True", "False", "Unknown") for k in _PRESSURES}
    if any(told.values()):
        # The kubelet writes all three or, on nodes of other kinds, none.
        lines += [NotSeen(f"condition {k} of {case.name}", "not in its status") for k, seen in told.items() if not seen]
    return tuple(dict.fromkeys(lines))


def _gap(case: NodeCase, need: Need, why: str) -> NotSeen | None:
    """Say what an unanswered read means for the verdict on this node; None when it does not matter to it."""
    failure = case.snapshot.failure(need)
    if isinstance(need, Raw):
        if failure is not None and failure.why in (Why.NOT_FOUND, Why.NOT_IN_DUMP):
            return None
        if need.path == "/version":
            known = kubelet_version(case.node) is not None
            return (
                None if known else NotSeen("the version of the control plane", f"{why}; a grace period of 50s was used")
            )
        if "/proxy/" in need.path:
            if f"/nodes/{case.name}/" not in need.path or (case.probe is not None and need.path.endswith("healthz")):
                return None
            what = need.path.rpartition("/proxy/")[2]
            return NotSeen(f"{what} of the kubelet on {case.name}", why)
        if need.path == MANAGER_LEASE:
            return NotSeen("the controller-manager's Lease, read through etcd", why)
        return NotSeen("health checks of machine controllers", f"{why}; what will act on the node may be missing")
    if isinstance(need, List):
        if need.resource == "events":
            if need.fields != node_event_selector(case.name):
                return None
            return NotSeen(
                f"events of node {case.name}", f"{why}; a reboot, a shutdown or an OOM before would stand there"
            )
        if need.resource == "pods" and need.fields and need.fields != f"spec.nodeName={case.name}":
            return None
        consequence = {
            "leases": "; contact was judged by the Ready condition alone, which is late",
            "pods": "; what happens to pods is not complete",
            "volumeattachments": "; volumes that hold up replacements were not seen",
            "nodes": "; whether other nodes are silent too was not seen",
        }.get(need.resource, "")
        return NotSeen(str(need), f"{why}{consequence}")
    if isinstance(need, Get) and need.name != case.name:
        return None
    return NotSeen(str(need), why)


def _manual(case: NodeCase, findings: tuple[Finding, ...]) -> tuple[tuple[str, str, str], ...]:
    """Show the path by hand that this answer replaces."""
    contact, head = case.contact, findings[0] if findings else None
    ready = condition(case.node, "Ready")
    said = f"Ready={contact.ready or '<none>'} ({text(ready, 'reason')}: {text(ready, 'message')})"
    lease = contact.lease_evidence().value
    rows = [
        (f"kubectl get node {case.name}", status_text(case.node), "the symptom, or a fossil of better days"),
        (
            f"kubectl describe node {case.name}",
            said,
            "Unknown: the controller lost contact; False: the kubelet's own word",
        ),
        (
            f"kubectl -n {NODE_LEASES} get lease {case.name} -o yaml",
            lease,
            f"the one heartbeat to judge, against {int(contact.grace.total_seconds())}s",
        ),
    ]
    silent = sum(1 for c in case.cluster.contacts.values() if c.silent)
    extent = {"zone": f"zone {case.scope.label}", "cluster": "the whole cluster", "frozen": "nobody writes"}
    rows.append(
        (
            f"kubectl -n {NODE_LEASES} get leases --sort-by=.spec.renewTime",
            f"{silent} of {len(case.cluster.contacts)} nodes silent",
            extent.get(case.scope.kind, "one node" if silent else "all in contact"),
        )
    )
    if case.timetable:
        fates = sorted({r.fate for r in case.timetable})
        rows.append(
            (
                f"kubectl get pods -A -o yaml --field-selector spec.nodeName={case.name}",
                f"{len(case.timetable)} pods: {', '.join(fates)}",
                "taints, tolerationSeconds and owners tell what happens when",
            )
        )
    rows.append(
        (
            f"kubectl get events --field-selector {node_event_selector(case.name)}",
            "; ".join(dict.fromkeys(e.reason for e in case.events.items[-5:])) or "none",
            f"together: {head.cause if head else 'nothing wrong'}",
        )
    )
    return tuple(rows)


PLUGIN = Plugin(
    name="node-triage",
    summary="Tell whether a node or only its contact is lost",
    description=(
        "Says why a node is not well: its kubelet's own word, lost contact with it, or a status that nobody writes any "
        "more; whether it is one node, a zone, a pool or the whole cluster; who speaks for or against the machine "
        "being alive; and what happens to each of its pods, and when. Nodes, Leases and pods are read from the API "
        "server's watch cache (resourceVersion=0), which answers even while etcd is down."
    ),
    usage="[NODE | node/NAME ...]",
    examples=(
        ("Every node that is not well", "kubectl node-triage"),
        ("One node, with all evidence", "kubectl node-triage worker-3 -o wide"),
        ("Let the API server dial the kubelet (needs nodes/proxy)", "kubectl node-triage worker-3 --probe-kubelet"),
        ("The nodes of one zone", "kubectl node-triage -l topology.kubernetes.io/zone=eu-1a --all"),
        ("The manual path that this replaces", "kubectl node-triage worker-3 --explain"),
    ),
    default_resource="nodes",
    resources=("nodes",),
    plan=plan,
    diagnose=diagnose,
    rules=rules.all_rules(),
    options=(
        Option(
            "--probe-kubelet",
            "Let the API server dial the kubelet of nodes in trouble, and read its thresholds and free space.",
        ),
        Option("--deadline", "Answer within this time, with what was seen by then (default 15s).", "duration", 15.0),
        Option("--interval", "Time between two reads that prove that nobody writes (default 3s).", "duration", 3.0),
        Option(
            "--frozen-after",
            "No Lease renewed for this long: writes fail (default 30s).",
            "duration",
            30.0,
        ),
        Option("--cluster-share", "Share of silent nodes that makes a lost cluster (default 0.8).", "number", 0.8),
        Option(
            "--together-within",
            "Last renewals this close have one cause (default 20s).",
            "duration",
            20.0,
        ),
    ),
    access=(
        Access(("",), ("nodes",), ("get", "list"), "the node itself, and the others beside it", required=True),
        Access(("coordination.k8s.io",), ("leases",), ("get", "list"), "heartbeats of nodes and of the control plane"),
        Access(("",), ("pods",), ("get", "list"), "what happens to the pods of the node"),
        Access(("",), ("events",), ("list",), "reboots, shutdowns and out-of-memory kills"),
        Access(("",), ("persistentvolumeclaims",), ("get", "list"), "volumes that hold up a replacement"),
        Access(("batch",), ("jobs",), ("get", "list"), "whether a Job waits for its lost pod"),
        Access(("storage.k8s.io",), ("volumeattachments",), ("get", "list"), "volumes still attached to the node"),
    ),
)
