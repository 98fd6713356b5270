"""etcd's database comes near its quota.

Meaning: at the quota etcd raises an alarm and refuses every write of the cluster.

Told by: `etcd_mvcc_db_total_size_in_bytes` against `etcd_server_quota_backend_bytes` (2 GiB unless set), 80 % to
warn and 95 % critical. Space that a defragmentation would give back is shown.

Fix: defragment if much of it is free, else delete what fills it or raise --quota-backend-bytes (8 GiB at most).

Source: etcd-mixin etcdDatabaseQuotaLowSpace; storage/quota.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, Ref, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.etcd_quota import used
from kubetriage.rules.plane.etcd_remedies import etcdctl
from kubetriage.rules.plane.figure_format import metric
from kubetriage.rules.plane.thresholds import DEFAULT_QUOTA_BYTES, LARGEST_QUOTA_BYTES
from kubetriage.values.quantity import format_bytes

CODE = "EtcdNearQuota"
LINK = "etcd space"


def check(case: Case) -> Iterator[Finding]:
    """Judge the fullest member."""
    full = [(ratio, m) for m in case.members if (ratio := used(m)) is not None and ratio >= case.limits.quota_warn]
    if not full:
        return
    ratio, member = max(full, key=lambda pair: pair[0])
    size, in_use, limit = member.database or (0.0, None, None)
    quota = limit or DEFAULT_QUOTA_BYTES
    critical = ratio >= case.limits.quota_alert
    free = f"; a defragmentation gives {format_bytes(int(size - in_use))} back" if in_use is not None else ""
    yield Finding(
        CODE,
        Severity.ERROR if critical else Severity.WARNING,
        Confidence.CONFIRMED,
        Ref("Pod", member.namespace, member.name) if len(full) == 1 else CLUSTER,
        f"etcd's database takes {ratio:.0%} of its quota ({format_bytes(int(size))} of"
        f" {format_bytes(int(quota))}){free}."
        " At the quota every write is refused.",
        (metric("etcd_mvcc_db_total_size_in_bytes", f"{size:.0f} of {quota:.0f}", member.name),),
        (),
        (
            Fix(
                "Defragment the members one by one, the leader last: each answers nothing while it runs.",
                actor=Actor.CLUSTER,
                commands=(*etcdctl(case, "etcd status"), *etcdctl(case, "etcd defrag")),
            ),
            Fix(
                "Delete what fills it (events, completed jobs, stale custom resources), or raise --quota-backend-bytes"
                f" (now {format_bytes(int(quota))}, at most {format_bytes(LARGEST_QUOTA_BYTES)}).",
                actor=Actor.CLUSTER,
            ),
        ),
        ("kubectl get --raw /metrics | grep -E '^apiserver_(resource_objects|storage_objects)' | sort -k2 -g | tail",),
        {"link": LINK},
    )
