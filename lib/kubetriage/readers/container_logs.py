"""The log of a container's newest ended instance: snapshot and container in, text out, whichever file holds it."""

from __future__ import annotations

from kubetriage.found import LogText
from kubetriage.needs import Log
from kubetriage.readers.pods import Container
from kubetriage.records import replace
from kubetriage.snapshot import Snapshot


def ended_log_need(snapshot: Snapshot, container: Container) -> Log:
    """Return the need of the newest ended instance's log (of the running one when none ended).

    While a container waits, its plain log and its previous one are the same; people save it with ``--previous``.
    """
    pod = container.pod
    plain = Log(pod.namespace, pod.name, container.name, container.log_is_previous)
    saved = replace(plain, previous=True)
    if not container.running and snapshot.has_log(saved) and not snapshot.has_log(plain):
        return saved
    return plain


def ended_log(snapshot: Snapshot, container: Container) -> LogText:
    """Return the log of the newest ended instance (of the running one when none ended)."""
    need = ended_log_need(snapshot, container)
    return snapshot.log(need.namespace, need.pod, need.container, need.previous)
