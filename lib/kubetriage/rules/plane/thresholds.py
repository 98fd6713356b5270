"""Every threshold of the control plane's rules, each with where it comes from and the flag that changes it.

Monitoring rules look at ten minutes or more; one run looks at two samples some seconds apart. So each latency
has two bands: a target that storage should meet, and the level at which the published alerts fire.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.records import dataclass, field, fields
from kubetriage.typed import Any, Literal

Unit = Literal["duration", "number", "integer"]


@dataclass(frozen=True)
class Limit:
    """What a threshold means."""

    unit: Unit
    """``duration``: seconds; ``number``: a ratio from 0 to 1; ``integer``: a count."""
    help: str
    source: str
    """Where the default comes from."""


def _limit(default: float, unit: Unit, help_text: str, source: str) -> Any:
    return field(default=default, metadata={"limit": Limit(unit, help_text, source)})


@dataclass(frozen=True)
class Limits:
    """The thresholds of one run."""

    fsync_target: float = _limit(
        0.010,
        "duration",
        "mean WAL fsync above this is slower than etcd wants",
        "etcd FAQ; OpenShift performance guide",
    )
    fsync_disruptive: float = _limit(
        0.100, "duration", "mean WAL fsync above this delays heartbeats", "etcd's default heartbeat interval of 100 ms"
    )
    fsync_alert: float = _limit(
        0.5, "duration", "mean WAL fsync above this is broken", "etcd-mixin etcdHighFsyncDurations"
    )
    commit_target: float = _limit(0.025, "duration", "mean backend commit above this is slow", "etcd FAQ")
    commit_alert: float = _limit(
        0.25, "duration", "mean backend commit above this is broken", "etcd-mixin etcdHighCommitDurations"
    )
    etcd_request: float = _limit(
        0.15, "duration", "mean etcd request of the API server above this is slow", "etcd-mixin etcdGRPCRequestsSlow"
    )
    peer_round_trip: float = _limit(
        0.15, "duration", "mean round trip between members above this is slow", "etcd-mixin etcdMemberCommunicationSlow"
    )
    leader_changes: int = _limit(
        4, "integer", "leader changes in 15 minutes that are flapping", "etcd-mixin etcdHighNumberOfLeaderChanges"
    )
    quota_warn: float = _limit(0.80, "number", "database size against quota: near", "etcd-diagnosis")
    quota_alert: float = _limit(
        0.95, "number", "database size against quota: critical", "etcd-mixin etcdDatabaseQuotaLowSpace"
    )
    fragmentation: float = _limit(
        0.50,
        "number",
        "share of the database in use below which it is fragmented",
        "etcd-mixin etcdDatabaseHighFragmentationRatio",
    )
    writes_frozen: float = _limit(
        30.0,
        "duration",
        "age of the newest lease of the cluster that means that nobody can write",
        "three missed renewals of 10 s by every kubelet",
    )
    controller_stale: float = _limit(
        15.0,
        "duration",
        "age of a leader lease that means that nobody leads",
        "leaseDurationSeconds of leader election",
    )
    identity_stale: float = _limit(
        30.0, "duration", "age of an API server's identity lease that means that it is stuck", "renewed every 10 s"
    )
    nodes_lost: float = _limit(
        0.80,
        "number",
        "share of nodes without contact that makes it the control plane's fault",
        "nodes do not fail together",
    )
    zone_lost: float = _limit(
        0.55,
        "number",
        "share of a zone's nodes without contact that makes it a zone outage",
        "unhealthy-zone-threshold of the node lifecycle controller",
    )
    webhook_slow: float = _limit(
        1.0, "duration", "mean call of an admission webhook above this is slow", "API latency SLO of 1 s for one object"
    )
    webhook_errors: int = _limit(
        1, "integer", "failed webhook calls in the window that matter", "any failed call rejects a request"
    )
    certificate_warn: float = _limit(
        7 * 86400.0,
        "duration",
        "remaining life of a client certificate: near",
        "kubernetes-mixin KubeClientCertificateExpiration",
    )
    certificate_alert: float = _limit(
        86400.0,
        "duration",
        "remaining life of a client certificate: critical",
        "kubernetes-mixin KubeClientCertificateExpiration",
    )

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Limits:
        """Take the thresholds that the user changed; a value of another type is ignored."""
        chosen = {key: options[key] for key, _, _ in LIMITS if isinstance(options.get(key), int | float)}
        return cls(**chosen)


LIMITS: tuple[tuple[str, float, Limit], ...] = tuple((f.name, f.default, f.metadata["limit"]) for f in fields(Limits))  # type: ignore[misc]
"""Name, default and meaning of each threshold."""

FRAGMENTED_BYTES = 100 * 2**20
"""Less is not worth a defragmentation (etcd-mixin etcdDatabaseHighFragmentationRatio asks for as much in use)."""
DEFAULT_QUOTA_BYTES = 2 * 2**30
"""etcd's quota where none is set (storage/quota.go)."""
LARGEST_QUOTA_BYTES = 8 * 2**30
"""etcd's suggested maximum (storage/quota.go)."""
FEW_SAMPLES = 100
"""Below this a 99th percentile is a single observation; counts are shown instead."""
CLOCK_SKEW = 5.0
"""Seconds by which a renewal may lie in the future before the writer's clock is called ahead."""
SILENT_LOG = 20.0
"""Seconds without a line after which a member whose clients hang does not run: while it does, it logs an election or a
retried read every second or two (v3_server.go, raft.go)."""
STALLED = 1.0
"""Seconds of a mean etcd request from which on lease renewals, which have 10 s for several tries, are at risk."""
RECENT_LOG = 60.0
"""Seconds for which a log line speaks of the present."""


def written(value: float, limit: Limit) -> str:
    """Write a threshold in the unit that its flag takes."""
    if limit.unit != "duration":
        return f"{value:g}"
    if value < 1:
        return f"{value * 1000:g}ms"
    return f"{value / 3600:g}h" if value >= 3600 else f"{value:g}s"
