"""The Services that a pod asks for by name and does not find, as its own log says in whatever words."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Evidence
from kubetriage.needs import Log, Need
from kubetriage.readers.logs import addresses
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend, World
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

_LOGS = 12
"""Pods of a recording whose logs a scan reads for this: a pasted text holds fewer, and a dump may hold thousands."""
_LAST = 50
"""Lines of a log that speak of the present."""
_ANSWERED = lazy(r"no such host|NXDOMAIN|ENOTFOUND|Name or service not known|host not found|UnknownHost|not resolve")
"""The DNS answered that there is no such name; other words may mean that it did not answer."""


_OF_MACHINES = frozenset({"localhost", "metadata", "instance-data"})
"""Names that machines and clouds answer to; no Service is meant by them."""


@dataclass(frozen=True, eq=False)
class Lost:
    """A name that a pod asks for and that leads nowhere."""

    pod: Pod
    backend: Backend
    asked: str
    """The name in the program's words."""
    evidence: Evidence
    lately: bool
    """It stands among the last lines of the log; a program may also have given up on it long ago."""

    @property
    def surely_absent(self) -> bool:
        """The Services of its namespace were seen, and it is not among them."""
        return self.backend.lookup.absent


def lost_names(world: World, pod: Pod) -> Iterator[Lost]:
    """Yield the Services that a pod does not find, each once; nothing of a log that was not read."""
    told = set()
    for container in pod.containers:
        log = world.snapshot.log(pod.namespace, pod.name, container.name)
        for address in addresses(log.text) if log.seen else ():
            if address.kind != "unresolved" or not _ANSWERED.search(address.line):
                continue
            meant = _service_of(world, pod, address.host)
            if meant is None or meant in told:
                continue
            told.add(meant)
            backend = world.backend(*meant)
            at = f"pod/{pod.name} {container.name}"
            if not backend.lookup.found:
                told_last = log.text.count("\n") - address.at <= _LAST
                yield Lost(pod, backend, address.host, Evidence("log", at, address.line.strip()), told_last)


def _service_of(world: World, pod: Pod, host: str) -> tuple[str, str] | None:
    """Return (namespace, name) of the Service that a name stands for; None for a name of elsewhere, or of a pod."""
    parts = host.rstrip(".").split(".")
    if len(parts) >= 3 and parts[2] == "svc":
        return parts[1], parts[0]
    own = parts[0] in (pod.name, text(pod.raw, "spec", "hostname")) or parts[0] in _OF_MACHINES
    space = parts[1] if len(parts) == 2 else pod.namespace if len(parts) == 1 and not own else ""
    listing = world.listing("services", space) if space else None
    # A short name may be one of outside; where the Services of its namespace are known it is judged by them.
    return (space, parts[0]) if listing is not None and listing.complete and listing.items else None


def askers(world: World, namespace: str) -> Iterator[Pod]:
    """Yield the pods of a recording with logs in which a Service is asked for in vain."""
    for pod in _logged(world, namespace):
        if any(lost.surely_absent for lost in lost_names(world, pod)):
            yield pod


def asker_needs(world: World, namespace: str) -> Iterator[Need]:
    """Ask for the logs that a recording holds of its pods; a live scan reads none for this."""
    for pod in _logged(world, namespace):
        yield from (n for n in log_needs(pod) if world.snapshot.has_log(n))


def _logged(world: World, namespace: str) -> list[Pod]:
    """Return pods with logs; those of kube-system are judged as parts of the cluster, not as its clients."""
    if world.snapshot.source == "cluster":
        return []
    known = (p for p in world.pods(namespace) if p.namespace != "kube-system")
    return [p for p in known if any(world.snapshot.has_log(n) for n in log_needs(p))][:_LOGS]


def log_needs(pod: Pod) -> Iterator[Log]:
    """Return the logs of a pod's programs."""
    return (Log(pod.namespace, pod.name, c.name) for c in pod.containers if c.kind != "init")
