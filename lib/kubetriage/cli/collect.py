"""Lets a plugin's plan and a reader work together."""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.model import NotSeen
from kubetriage.needs import Failure, Need, Raw, Why
from kubetriage.plugins import Answer, Plugin, Request
from kubetriage.plugins.answers import scan_gaps
from kubetriage.plugins.owners import owned
from kubetriage.records import replace
from kubetriage.snapshot import Eager, Reader, Snapshot
from kubetriage.values.commands import kubectl


def collect(
    plugin: Plugin, request: Request, reader: Reader, snapshot: Snapshot | None = None
) -> tuple[Snapshot, Answer]:
    """Read what the plugin's plan asks for, until it asks for nothing new, and diagnose.

    ``snapshot`` is one that the reader has opened already. When the user interrupts, the diagnosis is made of what
    was read. The answer to a scan of many objects sums up what was not seen.
    Raises ClusterError when the reader cannot answer at all.
    """
    snapshot = snapshot or reader.open()
    asked: dict[Need, None] = {}
    eager = reader if isinstance(reader, Eager) and not request.is_scan else None
    while True:
        if eager is not None:
            eager.expect(plugin.guesses(request, snapshot), snapshot)
        fresh = [n for n in dict.fromkeys(plugin.plan(snapshot, request)) if n not in asked]
        if not fresh:
            break
        wanted = pending = [n for n in fresh if not snapshot.knows(n)]
        if eager is not None:
            begun = {n: wave for n in wanted if (wave := eager.begun(n, snapshot)) is not None}
            eager.expect(wanted, snapshot)
            first = _first(wanted, begun)
            # What comes first: with it the plan knows more to ask for, while the rest is on its way.
            fresh = [n for n in fresh if n in first or snapshot.knows(n)]
            wanted = first
        asked.update(dict.fromkeys(fresh))
        try:
            reader.fetch(wanted, snapshot)
        except KeyboardInterrupt:
            snapshot.interrupted = True
            for need in pending:
                if not snapshot.knows(need):
                    snapshot.fail(need, Failure(Why.TIMEOUT, "interrupted"))
            break
    answer = plugin.diagnose(snapshot, request)
    answer = replace(answer, diagnoses=tuple(owned(d, snapshot) for d in answer.diagnoses))
    if request.is_scan and plugin.takes_targets:
        gaps = scan_gaps(snapshot, asked, plugin.decides)
        answer = replace(answer, not_seen=tuple(dict.fromkeys((*answer.not_seen, *gaps))))
    return snapshot, _dated(answer, snapshot)


def _first(wanted: list[Need], begun: Mapping[Need, int]) -> list[Need]:
    """Choose what to wait for: what began earliest, and what is worth little patience when nothing else is left."""
    others = [n for n in wanted if not (isinstance(n, Raw) and n.patience)]
    under_way = [begun[n] for n in others if n in begun]
    if under_way:
        return [n for n in others if begun.get(n) == min(under_way)]
    return others or wanted


def _dated(answer: Answer, snapshot: Snapshot) -> Answer:
    """Say of an answer from the API server's memory that it is old, why, and who tells more."""
    if not snapshot.stale:
        return answer
    what = "changes since etcd stopped to answer (objects are from the API server's watch cache)"
    gap = NotSeen(what, f"{snapshot.stale}; run: {kubectl('plane-trace')}", decides=True)
    diagnoses = tuple(replace(d, not_seen=(gap, *d.not_seen)) for d in answer.diagnoses)
    return replace(answer, diagnoses=diagnoses, not_seen=(gap, *answer.not_seen))
