"""A child process of the container was killed for memory while PID 1 lives on.

Meaning: a worker died (gunicorn, php-fpm, a forked job) and its parent went on, so no status, restart or event shows
it; requests fail or hang instead.

Told by: cAdvisor's ``container_oom_events_total`` above zero for a container whose statuses record no OOM kill
(confirmed). Without that counter: the parent's own words that a child died of signal 9, likely where the cgroup's
peak has touched the limit, else possible; without a limit the node's memory is the limit, so the words count just so.
A parent that ends by itself after that (a build, a task) leaves exit code 1 and no OOMKilled: likely by its words.
The kernel kills single processes only with cgroup v1, with ``singleProcessOOMKill``, or under kubelets before 1.28.

Fix: fewer workers, or a limit that holds all of them; look at the parent's log for the worker that vanished.

Source: cAdvisor ``container_oom_events_total``; kubelet memory.oom.group since 1.28, ``singleProcessOOMKill`` 1.32.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.memory import killed_children
from kubetriage.rules.memory.case import Case

CODE = killed_children.CODE


def check(case: Case) -> Iterator[Finding]:
    """Report OOM events that no status tells of, or what a parent says of its children."""
    yield from killed_children.killed_children(case)
