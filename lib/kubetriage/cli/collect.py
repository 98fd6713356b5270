"""Lets a plugin's plan and a reader work together."""

from __future__ import annotations

from kubetriage.plugins import Answer, Plugin, Request
from kubetriage.snapshot import Need, Reader, Snapshot


def collect(
    plugin: Plugin, request: Request, reader: Reader, snapshot: Snapshot | None = None
) -> tuple[Snapshot, Answer]:
    """Read what the plugin's plan asks for, until it asks for nothing new, and diagnose.

    ``snapshot`` is one that the reader has opened already. Raises ClusterError when the reader cannot answer at
    all.
    """
    snapshot = snapshot or reader.open()
    asked: set[Need] = set()
    while fresh := [n for n in dict.fromkeys(plugin.plan(snapshot, request)) if n not in asked]:
        asked.update(fresh)
        reader.fetch([n for n in fresh if not snapshot.knows(n)], snapshot)
    return snapshot, plugin.diagnose(snapshot, request)
