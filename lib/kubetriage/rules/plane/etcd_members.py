"""etcd as it shows itself: members, their metrics and their logs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from math import isfinite

from kubetriage.needs import Dial, Log, Raw
from kubetriage.readers.prometheus import Histogram, Metrics, Window, text_lines
from kubetriage.records import dataclass
from kubetriage.rules.plane.etcd_log import EtcdLog, read_log
from kubetriage.snapshot import Snapshot
from kubetriage.values.addresses import is_loopback
from kubetriage.values.fields import Obj, labels, name_of, namespace_of, objects, text, texts
from kubetriage.values.patterns import lazy

ROUND_TRIP = "etcd_network_peer_round_trip_time_seconds"

KEEP = (
    "etcd_server_",
    "etcd_disk_wal_fsync_duration_seconds",
    "etcd_disk_backend_commit_duration_seconds",
    "etcd_mvcc_db_total_size",
    "etcd_debugging_server_alarms",
    "etcd_network_active_peers",
    ROUND_TRIP,
    "process_start_time_seconds",
)
"""Beginnings of the metric lines that the rules read."""

FSYNC = "etcd_disk_wal_fsync_duration_seconds"
COMMIT = "etcd_disk_backend_commit_duration_seconds"

_KUBEADM_METRICS_PORT = 2381


@dataclass(frozen=True)
class Address:
    """Where a member serves its metrics."""

    port: int
    tls: bool
    routable: bool
    """False: bound to loopback. The API server's proxy dials the pod's address and refuses loopback, so only a
    port-forward, which dials inside the pod's network, gets there."""


def is_etcd(pod: Obj) -> bool:
    """Tell whether a pod is an etcd member: kubeadm and RKE2 label ``component``, kops and OpenShift ``k8s-app``."""
    marks = labels(pod, "metadata", "labels")
    if marks.get("component") == "etcd" or marks.get("k8s-app") == "etcd":
        return True
    if not marks and name_of(pod).startswith("etcd-"):
        # A table of kubectl shows no labels; a static pod is called after its node.
        node, owners = text(pod, "spec", "nodeName"), objects(pod, "metadata", "ownerReferences")
        return name_of(pod) == f"etcd-{node}" or any(text(o, "kind") == "Node" for o in owners)
    return marks.get("k8s-app", "").startswith("etcd-manager") and "events" not in marks["k8s-app"]


def etcd_container(pod: Obj) -> Obj:
    """Return the container that runs etcd."""
    containers = objects(pod, "spec", "containers")
    named = [c for c in containers if text(c, "name") == "etcd"]
    return (named or containers or [{}])[0]


def flags(container: Obj) -> dict[str, str]:
    """Return the long flags of a container's command line, and etcd's ``ETCD_*`` variables under the flags' names."""
    found: dict[str, str] = {}
    for variable in objects(container, "env"):
        name = text(variable, "name")
        if name.startswith("ETCD_"):
            found[name[5:].lower().replace("_", "-")] = text(variable, "value")
    words = [*texts(container, "command"), *texts(container, "args")]
    for i, word in enumerate(words):
        if word.startswith("--"):
            key, separator, value = word[2:].partition("=")
            if not separator and i + 1 < len(words) and not words[i + 1].startswith("--"):
                value = words[i + 1]
            found[key] = value
    return found


def metrics_address(pod: Obj) -> Address | None:
    """Return where a member serves metrics without a client certificate; None when no such listener is set."""
    urls = flags(etcd_container(pod)).get("listen-metrics-urls", "")
    best: Address | None = None
    for url in urls.split(","):
        # scheme://host:port, host may be a bracketed IPv6 address (etcd accepts nothing else here).
        match = re.match(r"(https?)://(\[[^\]]+\]|[^:/]+):(\d{1,5})/?\Z", url.strip())
        if match:
            address = Address(int(match[3]), match[1] == "https", not is_loopback(match[2].strip("[]")))
            if best is None or (address.routable and not best.routable):
                best = address
    return best


def metrics_need(pod: Obj, sample: int, forward: bool) -> Raw | Dial | None:
    """Return how to read a member's metrics; None when its listener cannot be reached this way.

    ``forward`` allows a port-forward for members that listen on loopback only.
    """
    address = metrics_address(pod)
    where, name = namespace_of(pod), name_of(pod)
    if address is not None and address.routable:
        scheme = "https:" if address.tls else ""
        path = f"/api/v1/namespaces/{where}/pods/{scheme}{name}:{address.port}/proxy/metrics"
        return Raw(path, sample, keep=KEEP, timeout=8.0)
    if not forward:
        return None
    port, tls = (address.port, address.tls) if address else (_KUBEADM_METRICS_PORT, False)
    return Dial(where, name, port, "/metrics", tls, sample, keep=KEEP, timeout=8.0)


def log_need(pod: Obj, *, previous: bool = False) -> Log:
    """Return the need of a member's log."""
    return Log(namespace_of(pod), name_of(pod), text(etcd_container(pod), "name"), previous)


_TOLD = 20
"""How many of the newest round trips in a log speak of the present."""


@dataclass(frozen=True)
class Member:
    """One etcd member."""

    name: str
    namespace: str
    pod: Obj
    address: Address | None
    window: Window | None
    """None: its metrics were not read."""
    seconds: float
    """How long the answer of its metrics took."""
    refused: str
    """The error of the connection to it when nothing listens there, in the API server's words."""
    error: str
    """The answer that came instead of metrics, the one above included; empty for none."""
    log: EtcdLog | None
    """None: not seen, or seen and not understood (:attr:`unread`)."""
    previous: EtcdLog | None = None
    """The log of the instance before the one that runs."""
    unread: str = ""
    """Why a log that was given told nothing: how many of its lines were understood, and the first one."""

    @property
    def has_leader(self) -> bool | None:
        """Whether the member sees a leader; None when its metrics were not read."""
        value = self.window.latest.value("etcd_server_has_leader") if self.window else None
        return None if value is None else value > 0

    @property
    def is_leader(self) -> bool:
        """Whether it leads."""
        return bool(self.window and (self.window.latest.value("etcd_server_is_leader") or 0) > 0)

    @property
    def fsync(self) -> Histogram | None:
        """WAL fsyncs between the two samples."""
        return self.window.histogram(FSYNC) if self.window else None

    @property
    def commit(self) -> Histogram | None:
        """Backend commits between the two samples."""
        return self.window.histogram(COMMIT) if self.window else None

    @property
    def round_trip(self) -> float | None:
        """Mean round trip to the other members in seconds, between the samples or by its log; None when not seen."""
        trips = self.window.histogram(ROUND_TRIP) if self.window else None
        if trips is not None and trips.mean is not None:
            return trips.mean
        told = [t.seconds for t in self.log.round_trips[-_TOLD:]] if self.log else []
        return sum(told) / len(told) if told else None

    @property
    def database(self) -> tuple[float, float | None, float | None] | None:
        """Size, bytes in use and quota of the database; None when not seen."""
        if self.window is None:
            return None
        latest = self.window.latest
        size = latest.value("etcd_mvcc_db_total_size_in_bytes")
        if size is None or not isfinite(size):
            return None
        in_use = latest.value("etcd_mvcc_db_total_size_in_use_in_bytes")
        quota = latest.value("etcd_server_quota_backend_bytes")
        return size, _finite(in_use), _finite(quota)

    @property
    def leader_changes(self) -> float | None:
        """Leader changes between the two samples."""
        return self.window.increase("etcd_server_leader_changes_seen_total") if self.window else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


# net.Dialer errors that mean "nothing listens there" (Linux errno texts of Go's syscall package).
_REFUSED = lazy(r"connection refused|no route to host|connection reset by peer")


def read_members(pods: Iterable[Obj], snapshot: Snapshot, forward: bool) -> tuple[Member, ...]:
    """Read all members, by name."""
    return tuple(_member(pod, snapshot, forward) for pod in sorted(pods, key=name_of))


def journal_member(name: str, log: EtcdLog) -> Member:
    """Return a member of which only its words in a journal were seen."""
    return Member(name, "", {"metadata": {"name": name}}, None, None, 0.0, "", "", log)


def _member(pod: Obj, snapshot: Snapshot, forward: bool) -> Member:
    window, seconds, refused, error = None, 0.0, "", ""
    need, again = metrics_need(pod, 0, forward), metrics_need(pod, 1, forward)
    if need is not None and again is not None:
        bodies = [
            snapshot.dialled(n) if isinstance(n, Dial) else snapshot.body(n.path, n.sample) for n in (need, again)
        ]
        read = [Metrics.read(text_lines(b.text), KEEP) if b and b.status < 400 else Metrics() for b in bodies]
        if read[0] or read[1]:
            both = bool(read[0] and read[1])
            between = bodies[1].at - bodies[0].at if both and bodies[0] and bodies[1] else 0.0
            window = Window(read[0] or read[1], read[1] if both else None, between)
            seconds = max(b.seconds for b in bodies if b)
        else:
            words = [b.text for b in bodies if b] + [str(f) for n in (need, again) if (f := snapshot.failure(n))]
            refused = next((w.strip()[:300] for w in words if _REFUSED.search(w)), "")
            error = next((f"HTTP {b.status} {b.text.strip()[:300]}".strip() for b in bodies if b), "")
    wanted = log_need(pod)
    log = snapshot.log(wanted.namespace, wanted.pod, wanted.container)
    before = snapshot.log(wanted.namespace, wanted.pod, wanted.container, previous=True)
    read_now = read_log(log.text, snapshot.now) if log.seen else None
    read_before = read_log(before.text, snapshot.now) if before.seen else None
    unread = read_now.unread if read_now else ""
    return Member(
        name_of(pod),
        namespace_of(pod),
        pod,
        metrics_address(pod),
        window,
        seconds,
        refused,
        error,
        read_now if read_now and read_now.understood else None,
        read_before if read_before and read_before.understood else None,
        unread,
    )


def recent(times: Iterable[datetime], now: datetime, seconds: float) -> list[datetime]:
    """Return the times at most ``seconds`` before ``now``."""
    return [t for t in times if now - t <= timedelta(seconds=seconds)]
