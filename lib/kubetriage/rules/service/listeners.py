"""Where the programs behind a Service listen, as far as that shows without a command inside the container.

Evidence in falling order: a connection that was tried (``--probe``), Unhealthy events ("connection refused" on
ip:port), and the program's own start-up line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kubetriage import logs
from kubetriage.events import Events
from kubetriage.model import Evidence
from kubetriage.rules.service.case import Backend, Trace
from kubetriage.snapshot import Dial

_REFUSED = re.compile(r"(?:\[[^\]]+\]|[\d.]+):(\d{1,5}):? connect: connection refused")
"""How Go's dialer words it in kubelet probe events (net.OpError), all versions."""


@dataclass(frozen=True)
class Heard:
    """A place where a program says that it listens."""

    host: str
    """``*`` or empty: as far as the line tells, every address of the pod."""
    port: int
    loopback: bool
    """Nothing from outside the pod can connect."""
    pod: str
    container: str
    evidence: Evidence


def listening(trace: Trace, backend: Backend) -> tuple[Heard, ...]:
    """Return where the programs of the selected pods say that they listen, in the logs that were read."""
    found = []
    for pod in backend.pods:
        for container in pod.containers:
            log = trace.snapshot.log(pod.namespace, pod.name, container.name)
            if container.kind in ("app", "sidecar") and log.seen:
                for said in logs.listening(log.text):
                    line = Evidence("log", container.name, said.line)
                    found.append(Heard(said.host, said.port, said.loopback, pod.name, container.name, line))
    return tuple(found)


def refused(trace: Trace, backend: Backend, port: int) -> Evidence | None:
    """Return the proof that nothing listens on a port of the pods; None when there is none."""
    for pod in backend.pods:
        dial = Dial(pod.namespace, pod.name, port)
        failure = trace.snapshot.failure(dial)
        if failure is not None and "refused" in str(failure):
            return Evidence("status", f"port-forward to pod/{pod.name} port {port}", str(failure))
        if trace.snapshot.dialled(dial) is not None:
            return None
        if pod.ready:
            # An old event does not speak for a pod whose probes pass now.
            continue
        events = Events.of(trace.snapshot.events(pod.namespace, pod.uid, pod.name, "Pod"))
        for event in events.select("Unhealthy"):
            match = _REFUSED.search(event.message)
            if match is not None and int(match[1]) == port:
                return event.evidence()
    return None
