"""Tables about one node: in comes its case, out go sections and keys of the JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from kubetriage.model import Lines, Section, Table
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.eviction_timetable import Row
from kubetriage.rules.node.node_commands import commands
from kubetriage.rules.node.outage_scope import Cluster, zone_of
from kubetriage.typed import Any
from kubetriage.values.times import format_time, human_duration

GROUP_SHOWN = 10
"""So many nodes of one lost zone or cluster are told one by one; ``--all`` shows every one."""
NOWHERE: dict[str, Any] = {"kind": "none", "label": "", "members": [], "total": 0}


def banner(cluster: Cluster) -> Iterator[Section]:
    """Yield a warning where the Ready column is not written any more."""
    whole, plane = cluster.whole, cluster.plane
    if whole.kind in ("frozen", "controllers") and whole.since is not None:
        who = "nobody in the cluster writes" if whole.kind == "frozen" else "no controller-manager runs"
        doubt = "Ready may be untrue for any node" if whole.kind == "frozen" else "a lost node would stay Ready"
        since = f"{format_time(whole.since)} ({human_duration(plane.now - whole.since)} ago)"
        yield Lines("READY COLUMN NOT UPDATED", (f"Not updated since {since}: {who}; {doubt}.",))
        ago = human_duration(plane.now - whole.since)
        yield Lines("Stale", (f"READY column not updated for {ago}: {who}",), brief=True)


def lead_sections(case: NodeCase) -> Iterator[Section]:
    """Yield the sections before the diagnosis: how far the silence reaches."""
    yield from banner(case.cluster)
    scope = case.scope
    if scope.kind in ("zone", "cluster"):
        zones = _zones(case)
        yield zones
        silent = (f"{count} silent in zone {zone}: {nodes}" for zone, count, _, nodes in zones.rows if nodes != "-")
        yield Lines("Zones", tuple(silent), brief=True)
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


def tail_sections(case: NodeCase) -> Iterator[Section]:
    """Yield the sections after it: witnesses, the fate of the pods, who will act, what to look at on the node."""
    doubtful = case.contact.silent or case.contact.ready != "True"
    origin = " (as the API server's watch cache has it)" if case.snapshot.source == "cluster" else ""
    yield Table(
        f"WITNESSES{origin}",
        ("WITNESS", "SAYS", "AGE", "DETAIL"),
        tuple(w.row() for w in case.witnesses),
    )
    rows = tuple(_timetable_rows(case.timetable))
    if rows and (doubtful or any(r.fate != "never" for r in case.timetable)):
        yield Lines("Pods", tuple(_fates(case.timetable, case.now)), brief=True)
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


_FATES = {
    "terminating": "deleted",
    "overdue": "should be evicted by now",
    "due": "to be evicted",
    "paused": "not evicted",
    "never": "stay on the node",
}


def _fates(rows: Sequence[Row], now: datetime) -> Iterator[str]:
    """Yield one line per thing that happens to pods of the node: how many, since or until when, and their names."""
    groups: dict[tuple[str, bool], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.fate, row.stuck), []).append(row)
    for (fate, stuck), members in groups.items():
        names = ", ".join(f"{r.pod.namespace}/{r.pod.name}" for r in members)
        words = "stuck Terminating" if stuck else _FATES[fate]
        times = [r.at for r in members if r.at is not None]
        when = ""
        if times and min(times) > now:
            when = f", first in {human_duration(min(times) - now)}"
        elif times:
            when = f" for {human_duration(now - min(times))}" if stuck else f" {human_duration(now - min(times))} ago"
        yield f"{len(members)} {words}{when}: {names}"
    waiting = [f"{r.pod.namespace}/{r.pod.name}" for r in rows if r.waits_for_node]
    if waiting:
        yield f"no replacement before that: {', '.join(waiting)}"


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


def document_keys(case: NodeCase) -> dict[str, Any]:
    """Return the further keys of the JSON document."""
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
