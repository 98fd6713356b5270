"""The option --node-log: in come the texts that the user gave, into the snapshot they go."""

from __future__ import annotations

from kubetriage.plugins import Option, Request
from kubetriage.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from kubetriage.snapshot import Snapshot

SOURCE = "--node-log"

OPTION = Option(
    "--node-log",
    "Read a log of the machine (journalctl, dmesg, a kubelet's log) from this file; may be given several times, - for "
    "stdin. Causes in the machine's own words stand before guesses from outside.",
    "file",
    metavar="FILE",
    multiple=True,
)


def take(snapshot: Snapshot, request: Request) -> None:
    """Add the given logs once."""
    known = {log.text for log in snapshot.node_logs() if log.source == SOURCE}
    name = request.targets[0].name if len(request.targets) == 1 else ""
    for content in request.options.get("node_log") or ():
        if content not in known:
            snapshot.add_node_log(name, SOURCE, content)
