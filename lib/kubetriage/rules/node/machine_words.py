"""A machine's own words: in come journals and kernel logs in any wrapping, out go the lines that name a cause.

Read are the kubelet's log (as a unit's journal, a file, ``kubectl get --raw .../logs``, or inside k3s and its like),
the runtime's, and the kernel's ring buffer. What a line means stands in :data:`KINDS`; what ends it, with the causes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from kubetriage.found import NodeLog
from kubetriage.model import Evidence, NotSeen
from kubetriage.needs import Log
from kubetriage.readers.outer_layers import KLOG, Line, message_of, peeled
from kubetriage.records import dataclass
from kubetriage.rules.node.machine_kinds import KINDS, RUNTIMES
from kubetriage.rules.node.plugin_pods import PluginPod, failing_plugin_pod
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, mapping, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

RECENT = timedelta(hours=1)
"""How far before the end of a log a line still speaks of the present."""
LOGS = "proxy/logs/"
"""Part of the path of a kubelet's log query."""

_ENDED = lazy(
    r"(?:Main process exited|Failed with result|Start request repeated too quickly|Stopped|Stopping|Deactivated)"
)
_KUBELET = (
    "kubelet",
    "k3s",
    "k3s-agent",
    "rke2",
    "rke2-server",
    "rke2-agent",
    "k0s",
    "k0sworker",
    "kubelite",
    "systemd",
)


@dataclass(frozen=True)
class Word:
    """One line that names a cause."""

    kind: str
    about: str
    words: str
    """Without header."""
    at: datetime | None
    source: str
    count: int = 1
    """How many lines of the kind the log holds."""

    def evidence(self) -> Evidence:
        """Quote it."""
        times = f" ({self.count} lines like it)" if self.count > 1 else ""
        return Evidence("log", self.source, self.words + times, format_time(self.at) if self.at else "")


@dataclass(frozen=True)
class MachineWords:
    """What the logs of one machine say."""

    words: tuple[Word, ...] = ()
    """The newest line of each kind, the kinds in the order of :data:`KINDS`."""
    sources: tuple[str, ...] = ()
    lines: int = 0
    understood: int = 0
    head: str = ""
    host: str = ""
    """The machine that the wrappings name."""
    units: frozenset[str] = frozenset()
    last: datetime | None = None
    complaint: Word | None = None
    """The error that it repeats most, of those of no known kind."""
    plugin_pod: PluginPod | None = None
    """The network plugin's pod, where the newest word of it is that it does not run."""

    def of(self, *kinds: str) -> Word | None:
        """Return the first of these kinds that was found."""
        return next((w for k in kinds for w in self.words if w.kind == k), None)

    @property
    def unread(self) -> str:
        """Say how much was understood, where that is nothing; empty otherwise."""
        if not self.lines or self.understood:
            return ""
        return f"0 of {self.lines} lines understood, the first: {self.head[:120]}"


_FORM = lazy(r'time="|\{"|panic: |\S+: |\[|I\d{4}|goroutine ')


def read_words(logs: Iterable[NodeLog], now: datetime) -> MachineWords:
    """Read the logs of one machine; ``now`` completes times without a year."""
    newest: dict[str, Word] = {}
    unknown: dict[str, Word] = {}
    sources, units = [], set()
    total = understood = 0
    head = host = ""
    last: datetime | None = None
    plugin_pod: PluginPod | None = None
    for log in logs:
        lines = list(peeled(log.text, now))
        sources.append(log.source)
        end = max((x.at for x in lines if x.at is not None), default=None)
        last = max((t for t in (last, end) if t is not None), default=None)
        for line in lines:
            total, head = total + 1, head or line.text
            host, known = (
                host or line.host,
                bool(line.unit) or bool(KLOG.match(line.text)) or bool(_FORM.match(line.text)),
            )
            understood += known
            if line.unit:
                units.add(line.unit)
            if end is not None and line.at is not None and end - line.at > RECENT:
                continue
            plugin_pod = failing_plugin_pod(line.text) or plugin_pod
            told = list(_words(line, log.source))
            for word in told:
                before = newest.get(word.kind)
                # A balancer on the machine itself says nothing of the server behind it.
                best = before if before and _LOCAL.match(word.about) and not _LOCAL.match(before.about) else word
                newest[word.kind] = Word(*_fields(best), count=before.count + 1 if before else 1)
            if not told and _ERROR.match(line.text):
                word = _unknown(line, log.source)
                before = unknown.get(word.kind)
                unknown[word.kind] = Word(*_fields(word), count=before.count + 1 if before else 1)
    order = [kind for kind, _ in KINDS]
    found = tuple(sorted(newest.values(), key=lambda w: order.index(w.kind)))
    worst = max((w for w in unknown.values() if w.kind != "follows"), key=lambda w: w.count, default=None)
    return MachineWords(found, tuple(sources), total, understood, head, host, frozenset(units), last, worst, plugin_pod)


# Lines of klog, logrus and zap that their program calls errors; what follows from others is no cause.
_ERROR = lazy(r'[EF]\d{4} |time="[^"]{1,40}" level=(?:error|fatal) |\{"level": ?"(?:error|fatal)"|\S+: error: ')
_FOLLOWS = lazy(
    r"Error syncing pod|back-off|Skipping|skipping|Error getting node|not found|already exists|object has been modified"
    r"|Failed to delete|RemoveContainer|No need to create a mirror pod|Failed creating a mirror pod"
)
_LOCAL = lazy(r"127\.|\[?::1|localhost")
_VARYING = lazy(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+")


def _unknown(line: Line, source: str) -> Word:
    """Return an error of no known kind; its kind is its shape, and what follows from something else is one shape."""
    klog = KLOG.match(line.text)
    said = (line.text[klog.end() :] if klog else message_of(line.text)).strip()[:400]
    shape = "follows" if _FOLLOWS.search(said) else _VARYING.sub("#", said)[:90]
    return Word(shape, "", said, line.at, source if not line.unit else f"{source} [{line.unit}]")


def _fields(word: Word) -> tuple[str, str, str, datetime | None, str]:
    return word.kind, word.about, word.words, word.at, word.source


def _words(line: Line, source: str) -> Iterable[Word]:
    for kind, pattern in KINDS:
        found = pattern.search(line.text)
        if found is None or (kind == "runtime end" and _elsewhere(line, source)):
            continue
        about = next((g for g in found.groups() if g), "")
        klog = KLOG.match(line.text)
        said = (line.text[klog.end() :] if klog else message_of(line.text)).strip()
        if not klog and not pattern.search(said):
            # What matters stands in another field, as error="..." of containerd.
            said = line.text.strip()
        yield Word(
            kind,
            about,
            _part(said, pattern.search(said)),
            line.at,
            source if not line.unit else f"{source} [{line.unit}]",
        )
        return


def _elsewhere(line: Line, source: str) -> bool:
    """Tell whether a panic is of another program than a container runtime, as far as its unit tells."""
    return line.text.startswith("panic: ") and not any(name in f"{source} {line.unit}" for name in RUNTIMES)


def _part(said: str, found: re.Match[str] | None) -> str:
    """Return what is quoted of a long line: its beginning, or what stands around the words that tell."""
    if found is None or found.end() <= _SHOWN:
        return said[:400]
    return f"... {said[max(0, found.end() - _SHOWN + 40) : found.end() + 36]}"


_SHOWN = 296


def word_of(kind: str, said: str, at: datetime | None, source: str) -> Word | None:
    """Return the meaning of one kind in words that stand outside of a machine's log, as in an event."""
    found = next(p for k, p in KINDS if k == kind).search(said)
    if found is None:
        return None
    return Word(kind, next((g for g in found.groups() if g), ""), _part(said, found), at, source)


def unit_logs(snapshot: Snapshot) -> tuple[Log, ...]:
    """Return the logs of units that a recording keeps among those of pods, as ``kube-system/kubelet.log``."""
    return tuple(
        Log("kube-system", pod, unit)
        for unit in (*_KUBELET, "dmesg", "kernel", "containerd")
        for pod in snapshot.logged("kube-system", unit)
    )


def logs_of(snapshot: Snapshot, node: str, *, asked: bool, alone: bool) -> tuple[NodeLog, ...]:
    """Return the logs that are surely of one node.

    A log that names no machine counts where the user asked for this node or where there is only one; one whose lines
    name another host does not.
    """
    found = []
    for log, host in snapshot.derived(_given_logs):
        if log.node:
            if log.node == node:
                found.append(log)
            continue
        same = host and (host == node or host.partition(".")[0] == node.partition(".")[0])
        if same or (not host and (asked or alone)) or (alone and asked):
            found.append(log)
    for need, body in snapshot.bodies:
        path = getattr(need, "path", "")
        if (
            f"/nodes/{node}/{LOGS}" in path
            and body.status == 200
            and body.text.strip()
            and not body.text.lstrip().startswith("<")
        ):
            found.append(NodeLog(node, "the kubelet's log query", body.text))
    return tuple(found)


KERNEL_MONITOR = "kernel-monitor"
"""The source under which node-problem-detector makes events of lines of the kernel's log."""


def kernel_events(snapshot: Snapshot) -> Iterator[NodeLog]:
    """Yield what events hold of the kernel's logs, by node."""
    lines: dict[str, list[str]] = {}
    for event in snapshot.list("events").items:
        about = mapping(event, "involvedObject")
        by = text(event, "source", "component") or text(event, "reportingComponent")
        if by == KERNEL_MONITOR and text(about, "kind") == "Node":
            stamp = text(event, "lastTimestamp") or text(event, "eventTime")
            host = text(about, "name")
            lines.setdefault(host, []).append(
                f"{stamp} {host} kernel: {text(event, 'message')}" if stamp else f"kernel: {text(event, 'message')}"
            )
    yield from (NodeLog(node, f"events of {KERNEL_MONITOR}", "\n".join(rows) + "\n") for node, rows in lines.items())


def some_logs(snapshot: Snapshot) -> bool:
    """Tell whether the own log of any machine was seen."""
    asked = (getattr(need, "path", "") for need, _ in snapshot.bodies)
    return bool(snapshot.derived(_given_logs)) or any(LOGS in path for path in asked)


def _given_logs(snapshot: Snapshot) -> tuple[tuple[NodeLog, str], ...]:
    """Return the logs of machines that were given, each with the host that its lines name where the log does not."""
    units = [NodeLog("", n.container, snapshot.log(n.namespace, n.pod, n.container).text) for n in unit_logs(snapshot)]
    return tuple((log, "" if log.node else _host(log, snapshot)) for log in (*snapshot.node_logs(), *units))


def _host(log: NodeLog, snapshot: Snapshot) -> str:
    return next((x.host for x in peeled(log.text[:20000], snapshot.now) if x.host), "")


def strangers(snapshot: Snapshot, nodes: Mapping[str, Obj]) -> Iterator[NotSeen]:
    """Name the logs that are of no node that was seen: they were not used."""
    short = {name.partition(".")[0] for name in nodes}
    for log in snapshot.node_logs():
        host = "" if log.node else _host(log, snapshot)
        if host and host.partition(".")[0] not in short and len(nodes) > 1:
            yield NotSeen(f"log {log.source}", f"its lines name {host}, which is no node here; name the node to use it")
