"""What a pod on the way wrote last: the lines of its logs, the newest first."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.readers.pods import Pod
from kubetriage.snapshot import Snapshot


def newest_lines(snapshot: Snapshot, pod: Pod) -> Iterator[tuple[str, str]]:
    """Yield each line of a pod with its container, one container after another; nothing of a log that was not seen."""
    for container in pod.containers:
        for line in lines_of(snapshot, pod, container.name):
            yield container.name, line


def lines_of(snapshot: Snapshot, pod: Pod, container: str) -> Iterator[str]:
    """Yield the lines of one container."""
    log = snapshot.log(pod.namespace, pod.name, container)
    yield from reversed(log.text.splitlines() if log.seen else ())
