"""Which words of a network plugin's own pod are known: the rows of ``plugin_agent_errors``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from kubetriage.data import table
from kubetriage.readers.outer_layers import KLOG, peeled
from kubetriage.readers.pods import Pod
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any


def known_words(said: str) -> tuple[Mapping[str, Any], re.Match[str]] | None:
    """Return the row for what a plugin's pod says, with what it names; None where no row knows it."""
    for row in table("plugin_agent_errors")["rows"] if said else ():
        match = _compiled(row["words"]).search(said)
        if match is not None:
            return row, match
    return None


_LONGEST = 2000


def known_line(snapshot: Snapshot, pod: Pod) -> str:
    """Return the newest line of a plugin's pod that a row knows: what it says last is often only that it ends."""
    for container in pod.containers:
        for previous in (False, True):
            log = snapshot.log(pod.namespace, pod.name, container.name, previous)
            lines = list(peeled(log.text, snapshot.now)) if log.seen else []
            for line in reversed(lines[-_LINES:]):
                if len(line.text) <= _LONGEST and known_words(line.text) is not None:
                    klog = KLOG.match(line.text)
                    return (line.text[klog.end() :] if klog else line.text).strip()[:400]
    return ""


_LINES = 300


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
