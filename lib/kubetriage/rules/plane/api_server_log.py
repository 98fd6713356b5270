"""The log of the API server: what it says of etcd and of webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubetriage.needs import Log
from kubetriage.readers.prometheus import text_lines
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, name_of, namespace_of, objects, text
from kubetriage.values.patterns import lazy

# klog's header: severity, month and day, time; the year is that of the reader (klog/v2, all versions).
_KLOG = lazy(r"[IWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)")
# grpc-go addrConn.createTransport: 'Err: connection error: desc = "... dial tcp ADDRESS: connect: connection refused"'.
_REFUSED = lazy(r"createTransport failed to connect to .*dial tcp (\S+): connect: connection refused")
# etcd api/v3rpc/rpctypes/error.go, quoted by the API server in many sentences of its own.
_FULL = lazy(r"etcdserver: mvcc: database space exceeded")
# apiserver/pkg/admission/plugin/webhook dispatchers: "Failed calling webhook, failing closed NAME: ...".
_WEBHOOK = lazy(r"[Ff]ailed calling webhook, failing closed ([^:\s]+)")


@dataclass(frozen=True)
class Remark:
    """One line of the log that matters."""

    at: datetime
    kind: str
    """``refused`` (etcd's address), ``full`` or ``webhook`` (its name)."""
    about: str
    words: str


PLAIN = Log("kube-system", "kube-apiserver", "kube-apiserver")
"""The log of the process under the component's plain name, as a recording may hold it."""


def log_needs(pods: tuple[Obj, ...]) -> tuple[Log, ...]:
    """Return the needs of the logs of the API server's pods."""
    found = []
    for pod in pods:
        names = [text(c, "name") for c in objects(pod, "spec", "containers")]
        container = "kube-apiserver" if "kube-apiserver" in names else (names or ["kube-apiserver"])[0]
        found.append(Log(namespace_of(pod), name_of(pod), container))
    return tuple(found)


def read_remarks(snapshot: Snapshot, pods: tuple[Obj, ...]) -> tuple[Remark, ...]:
    """Read the logs that were seen, oldest first."""
    remarks: list[Remark] = []
    for need in (*log_needs(pods), PLAIN):
        log = snapshot.log(need.namespace, need.pod, need.container)
        if log.seen:
            remarks += _remarks(log.text, snapshot.now)
    return tuple(sorted(remarks, key=lambda r: r.at))


def _remarks(content: str, now: datetime) -> Iterator[Remark]:
    for line in text_lines(content):
        refused, full, webhook = _REFUSED.search(line), _FULL.search(line), _WEBHOOK.search(line)
        if not (refused or full or webhook):
            continue
        at = _time(line, now)
        if at is None:
            continue
        if refused:
            yield Remark(at, "refused", refused[1], f"dial tcp {refused[1]}: connect: connection refused")
        elif full:
            yield Remark(at, "full", "", full[0])
        elif webhook:
            yield Remark(at, "webhook", webhook[1], webhook[0])


def _time(line: str, now: datetime) -> datetime | None:
    match = _KLOG.search(line)
    if match is None:
        return None
    month, day, hour, minute, second = (int(part) for part in match.groups())
    for year in (now.year, now.year - 1):
        try:
            at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=now.tzinfo)
        except ValueError:
            continue
        # A line of December read in January lies in the year before.
        if at - now < timedelta(days=1):
            return at
    return None
