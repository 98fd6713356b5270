"""Where the programs behind a Service listen, as far as that shows without a command inside the container.

Evidence in falling order: a connection that was tried (``--probe``), Unhealthy events ("connection refused" on
ip:port), and the program's own start-up line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kubetriage.events import Events
from kubetriage.model import Evidence
from kubetriage.rules.service.case import Backend, Trace
from kubetriage.snapshot import Dial

_HOST = r"(?:\[(?P<six>[0-9a-fA-F:]+)\]|(?P<four>\d{1,3}(?:\.\d{1,3}){3})|(?P<name>localhost|\*|::1|::)?)"
_LISTENS = re.compile(
    # Servers say where they listen with one of a few verbs and then an address: "listening on 127.0.0.1:3000"
    # (Go, Node), "Uvicorn running on http://127.0.0.1:8000", "Listening at: http://0.0.0.0:8000" (gunicorn),
    # "Server started on port 8081", "Tomcat started on port 8080", "Running on http://127.0.0.1:5000" (Flask),
    # "Listening on http://0.0.0.0:9292" (Puma), "Local: http://localhost:5173/" (Vite). All since 2015 or older.
    r"(?:\b(?:listening|listens|started|running|serving|served|bound|ready)\b[^\n]{0,40}?"
    r"\b(?:on|at|to)\b:?\s+(?:the\s+)?|\bLocal:\s+)"
    r"(?:port:?\s*\(?s?\)?:?\s*(?P<port>\d{1,5})\b|(?:[a-z]+://)?" + _HOST + r":(?P<at>\d{1,5})\b)",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"(?:\[[^\]]+\]|[\d.]+):(\d{1,5}):? connect: connection refused")
"""How Go's dialer words it in kubelet probe events (net.OpError), all versions."""


@dataclass(frozen=True)
class Heard:
    """A place where a program says that it listens."""

    host: str
    """Empty: every address of the pod."""
    port: int
    pod: str
    container: str
    evidence: Evidence

    @property
    def loopback(self) -> bool:
        """Nothing from outside the pod can connect."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def heard_in(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield (host, port, line) for each line that says where a server listens; client lines are not among them."""
    for line in text.splitlines():
        match = _LISTENS.search(line[:2000])
        if match is None:
            continue
        port = int(match["port"] or match["at"])
        host = match["six"] or match["four"] or match["name"] or ""
        if 0 < port < 65536:
            yield "" if host in ("0.0.0.0", "::", "*") else host, port, line.strip()  # noqa: S104


def listening(trace: Trace, backend: Backend) -> tuple[Heard, ...]:
    """Return where the programs of the selected pods say that they listen, in the logs that were read."""
    found = []
    for pod in backend.pods:
        for container in pod.containers:
            log = trace.snapshot.log(pod.namespace, pod.name, container.name)
            if container.kind not in ("app", "sidecar") or not log.seen:
                continue
            for host, port, line in heard_in(log.text):
                found.append(Heard(host, port, pod.name, container.name, Evidence("log", container.name, line)))
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
