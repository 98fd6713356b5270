"""A child process of the container was killed for memory while PID 1 lives on.

Meaning: a worker died (gunicorn, php-fpm, a forked job) and its parent went on, so no status, restart or event shows
it; requests fail or hang instead.

Told by: cAdvisor's ``container_oom_events_total`` above zero for a container whose statuses record no OOM kill. Only
possible where the kernel kills single processes: cgroup v1, ``singleProcessOOMKill``, or kubelets before 1.28.

Fix: fewer workers, or a limit that holds all of them; look at the parent's log for the worker that vanished.

Source: cAdvisor ``container_oom_events_total``; kubelet memory.oom.group since 1.28, ``singleProcessOOMKill`` 1.32.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.memory.case import Case

CODE = "ChildOOMKilled"
TITLE = "a child was killed for memory, PID 1 lives"


def check(case: Case) -> Iterator[Finding]:
    """Report OOM events that no status tells of."""
    events = case.usage.oom_events
    if events is None or events[0] <= 0 or case.kills or not case.container.running:
        return
    count, source = events
    times = "once" if count == 1 else f"{count} times"
    # The counter belongs to the container's cgroup, so it counts this instance only; an earlier one had its own.
    yield Finding(
        cause=CODE,
        severity=Severity.ERROR,
        confidence=Confidence.CONFIRMED,
        object=case.ref,
        message=f"The kernel killed a child process of container {case.container.name} {times} for memory; "
        "PID 1 survived, so nothing was restarted.",
        evidence=(
            Evidence("metric", source, str(count)),
            case.container.fact("status", "restartCount", case.container.restarts),
        ),
        ruled_out=(RuledOut("OOMKilled", "no instance of the container ended with reason OOMKilled"),),
        fix=(
            Fix(
                "Let all processes of the container fit its limit: fewer workers or a larger limit. The log of PID 1 "
                "tells which worker vanished."
            ),
        ),
        verify=(f"kubectl -n {case.pod.namespace} logs {case.pod.name} -c {case.container.name} --tail=200",),
        details={"killedBy": case.kill_level},
    )
