"""Lets a plugin's plan and a reader work together."""

from __future__ import annotations

from kubetriage.needs import Failure, Need, Why
from kubetriage.plugins import Answer, Plugin, Request
from kubetriage.snapshot import Reader, Snapshot


def collect(
    plugin: Plugin, request: Request, reader: Reader, snapshot: Snapshot | None = None
) -> tuple[Snapshot, Answer]:
    """Read what the plugin's plan asks for, until it asks for nothing new, and diagnose.

    ``snapshot`` is one that the reader has opened already. When the user interrupts, the diagnosis is made of what
    was read. Raises ClusterError when the reader cannot answer at all.
    """
    snapshot = snapshot or reader.open()
    asked: set[Need] = set()
    while fresh := [n for n in dict.fromkeys(plugin.plan(snapshot, request)) if n not in asked]:
        asked.update(fresh)
        try:
            reader.fetch([n for n in fresh if not snapshot.knows(n)], snapshot)
        except KeyboardInterrupt:
            snapshot.interrupted = True
            for need in fresh:
                if not snapshot.knows(need):
                    snapshot.fail(need, Failure(Why.TIMEOUT, "interrupted"))
            break
    return snapshot, plugin.diagnose(snapshot, request)
