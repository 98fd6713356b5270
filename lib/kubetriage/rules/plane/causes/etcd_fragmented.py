"""Most of etcd's database file is free space inside.

Meaning: the file counts against the quota at its full size, so a fragmented database runs full without being full.

Told by: bytes in use below half of the file size, with more than 100 MiB to win.

Fix: defragment the members one by one, the leader last; a member does not answer while it runs.

Source: etcd-mixin etcdDatabaseHighFragmentationRatio; etcd maintenance guide.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Finding, Fix, Ref, Severity
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.figure_format import metric, names
from kubetriage.rules.plane.thresholds import FRAGMENTED_BYTES
from kubetriage.values.commands import PIPE, kubectl
from kubetriage.values.quantity import format_bytes

CODE = "EtcdFragmented"
LINK = "etcd space"


def check(case: Case) -> Iterator[Finding]:
    """Compare bytes in use with the size of the file."""
    loose = []
    for member in case.members:
        size, in_use, _ = member.database or (0.0, None, None)
        if in_use is not None and size - in_use > FRAGMENTED_BYTES and in_use / size < case.limits.fragmentation:
            loose.append((member, size, in_use))
    if not loose:
        return
    member, size, in_use = max(loose, key=lambda entry: entry[1] - entry[2])
    yield Finding(
        CODE,
        Severity.WARNING,
        Confidence.CONFIRMED,
        Ref("Pod", member.namespace, member.name),
        f"{in_use / size:.0%} of etcd's database file is in use; a defragmentation gives"
        f" {format_bytes(int(size - in_use))} back on {names([m.name for m, _, _ in loose])}.",
        tuple(
            metric("etcd_mvcc_db_total_size_in_use_in_bytes", f"{used:.0f} of {total:.0f}", m.name)
            for m, total, used in loose
        ),
        (),
        (
            Fix(
                "Defragment the members one by one, the leader last: etcdctl defrag against each member's own endpoint."
            ),
        ),
        (kubectl("logs", member.name, PIPE, "grep", "-i", "defrag", namespace=member.namespace),),
        {"link": LINK},
    )
