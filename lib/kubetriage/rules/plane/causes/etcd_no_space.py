"""etcd's database is full, so etcd refuses every write.

Meaning: reads and deletes of plain objects still work, and /livez and /readyz stay green; every create, update and
lease renewal fails, so the status of nodes freezes and controllers lose their leases. Deleting a pod fails too, even
with a grace period of 0, because it begins with a write.

Told by: a raised NOSPACE alarm in etcd's metrics or log, or "database space exceeded" in the last minute. Where etcd
cannot be seen: the API server's writes to etcd fail while its reads do not, and no lease of the cluster is renewed.
A dry run is no proof: it succeeds.

Fix: compact, defragment each member (the leader last), raise --quota-backend-bytes (8 GiB at most) if the data is
wanted, disarm the alarm, then find out what filled it.

Source: etcdserver/apply (quota applier), etcdserver/api/etcdhttp/health.go; etcd maintenance guide (space quota).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.api_server import lease_writes
from kubetriage.rules.plane.case import CLUSTER, Case, Writes
from kubetriage.rules.plane.etcd_members import Member, recent
from kubetriage.rules.plane.etcd_quota import used
from kubetriage.rules.plane.etcd_remedies import etcdctl
from kubetriage.rules.plane.figure_format import count, metric
from kubetriage.rules.plane.thresholds import DEFAULT_QUOTA_BYTES, LARGEST_QUOTA_BYTES, RECENT_LOG
from kubetriage.values.quantity import format_bytes
from kubetriage.values.times import format_time

CODE = "EtcdNoSpace"
LINK = "etcd space"


def check(case: Case) -> Iterator[Finding]:
    """Look for the alarm, then for what it does."""
    evidence = [e for m in case.members for e in _alarm(m, case)]
    evidence += [Evidence("log", r.source, r.words, format_time(r.at)) for r in case.lately("full", RECENT_LOG)[-1:]]
    since = min((e.time for e in evidence if e.time), default="")
    if evidence:
        yield _finding(case, Confidence.CONFIRMED, evidence, since)
    elif over := [m for m in case.members if _over(m)] if not lease_writes(case.api) else []:
        yield _finding(case, Confidence.LIKELY, [_size(m) for m in over], "")
    elif case.writes is Writes.FROZEN or (case.traffic and case.traffic.lease_write_errors):
        # The alarm is raised when the next write would pass the quota, a little before the file reaches it.
        full = [m for m in case.members if (ratio := used(m)) is not None and ratio >= case.limits.quota_alert]
        if full:
            yield _finding(case, Confidence.LIKELY, [_size(m) for m in full], "")
        else:
            yield from _from_outside(case)


def _over(member: Member) -> bool:
    """Tell whether the file has reached a quota that was seen: the next write is refused (storage/quota.go)."""
    return member.database is not None and bool(member.database[2]) and (used(member) or 0.0) >= 1.0


def _alarm(member: Member, case: Case) -> Iterator[Evidence]:
    # etcd 3.6; earlier versions have no such metric.
    if member.window and (member.window.latest.value("etcd_debugging_server_alarms", alarm_type="NOSPACE") or 0) > 0:
        yield metric("etcd_debugging_server_alarms", 'alarm_type="NOSPACE" 1', member.name)
    if member.log is None:
        return
    alarms = [(at, raised) for at, kind, raised in member.log.alarms if kind == "NOSPACE"]
    ratio = used(member)
    # An alarm that the log does not take back counts unless the database has visibly shrunk and writes flow.
    if alarms and alarms[-1][1] and not (case.writes is Writes.FLOWING and ratio is not None and ratio < 0.9):
        yield Evidence("log", member.name, "alarm raised: NOSPACE", format_time(alarms[-1][0]))
    elif late := recent(member.log.no_space, case.now, RECENT_LOG):
        words = member.log.quotes.get("space", "")
        yield Evidence("log", member.name, f"{words} (no space), {count(len(late), 'time')}", format_time(late[-1]))


def _size(member: Member) -> Evidence:
    size, _, quota = member.database or (0.0, None, None)
    return metric(
        "etcd_mvcc_db_total_size_in_bytes",
        f"{format_bytes(int(size))} of a quota of {format_bytes(int(quota or DEFAULT_QUOTA_BYTES))}",
        member.name,
    )


def _from_outside(case: Case) -> Iterator[Finding]:
    traffic = case.traffic
    if traffic is None or not traffic.write_errors or traffic.read_errors or case.etcd_check_fails:
        return
    evidence = [
        metric("etcd_request_errors_total", f"writes failed {traffic.write_errors:.0f} times, reads never"),
        *_storage_size(case),
    ]
    yield _finding(case, Confidence.LIKELY, evidence, "")


def _storage_size(case: Case) -> Iterator[Evidence]:
    size = case.api.latest.value("apiserver_storage_size_bytes") if case.api else None
    if size:
        yield metric("apiserver_storage_size_bytes", format_bytes(int(size)))


def _finding(case: Case, confidence: Confidence, evidence: list[Evidence], since: str) -> Finding:
    sizes = [_size(m) for m in case.members if m.database]
    details: dict[str, object] = {"link": LINK}
    last = case.leases.newest
    if since:
        details["since"] = since
    elif last is not None and last.renewed is not None:
        details["since"] = format_time(last.renewed)
    return Finding(
        CODE,
        Severity.ERROR,
        confidence,
        CLUSTER,
        "etcd's database is full (NOSPACE): every write of the cluster fails while reads, /livez and /readyz stay ok.",
        tuple(evidence + sizes)[:8],
        (RuledOut("ApiServerUnready", "its own health checks pass"),) if case.livez.ok else (),
        (
            Fix(
                "Compact to the present revision and defragment, one member at a time and the leader last.",
                actor=Actor.CLUSTER,
                commands=(*etcdctl(case, "etcd status"), *etcdctl(case, "etcd compact"), *etcdctl(case, "etcd defrag")),
            ),
            Fix(
                "If the data is wanted, raise --quota-backend-bytes (at most"
                f" {format_bytes(LARGEST_QUOTA_BYTES)}) on all members.",
                actor=Actor.CLUSTER,
            ),
            Fix(
                "Then disarm the alarm: writes stay refused until then.",
                actor=Actor.CLUSTER,
                commands=(*etcdctl(case, "etcd disarm"), *etcdctl(case, "etcd alarm")),
            ),
            Fix("Find what filled it: the largest values of apiserver_resource_objects, events first."),
        ),
        ("kubectl get --raw /metrics | grep -E '^apiserver_(resource_objects|storage_objects)' | sort -k2 -g | tail",),
        details,
    )
