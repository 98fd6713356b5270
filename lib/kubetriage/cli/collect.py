"""Lets a plugin's plan and a reader work together."""

from __future__ import annotations

from kubetriage.model import NotSeen
from kubetriage.needs import Failure, Get, Need, Why
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
    if eager is not None:
        eager.expect(plugin.guesses(request), snapshot)
    while fresh := [n for n in dict.fromkeys(plugin.plan(snapshot, request)) if n not in asked]:
        wanted = pending = [n for n in fresh if not snapshot.knows(n)]
        if eager is not None:
            # What is on its way comes first: with it the plan knows more to ask for, while the rest is read.
            under_way: list[Need] = [n for n in wanted if isinstance(n, Get) and eager.expects(n)]
            eager.expect(wanted, snapshot)
            if under_way and len(under_way) < len(wanted):
                wanted = under_way
                fresh = [n for n in fresh if n in under_way or snapshot.knows(n)]
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


def _dated(answer: Answer, snapshot: Snapshot) -> Answer:
    """Say of an answer from the API server's memory that it is old, why, and who tells more."""
    if not snapshot.stale:
        return answer
    what = "changes since etcd stopped to answer (objects are from the API server's watch cache)"
    gap = NotSeen(what, f"{snapshot.stale}; run: {kubectl('plane-trace')}", decides=True)
    diagnoses = tuple(replace(d, not_seen=(gap, *d.not_seen)) for d in answer.diagnoses)
    return replace(answer, diagnoses=diagnoses, not_seen=(gap, *answer.not_seen))
