"""etcd's disk takes too long to make writes durable.

Meaning: every write of the cluster waits for an fsync of etcd's write-ahead log on a majority of members. When it
takes longer than a heartbeat (100 ms), followers call elections; when it takes seconds, writes of the API server
time out, its etcd check fails, and the controller-manager and the scheduler lose their leases.

Told by: the mean of `etcd_disk_wal_fsync_duration_seconds` and `etcd_disk_backend_commit_duration_seconds` between
two samples (10 ms and 25 ms are the targets; 500 ms and 250 ms fire the published alerts), or "slow fdatasync" in
the last minute of a member's log where metrics cannot be read. A 99th percentile is given as its bucket only: an
interpolated one overstates up to twofold. Told apart from a lost quorum by has_leader, which is read first: without
a leader nothing commits and the histograms stay green.

Fix: give etcd a disk of its own (local SSD or NVMe, provisioned IOPS), move other writers off it, raise etcd's io
priority (`ionice -c2 -n0`), and look for a backup, an antivirus or a noisy neighbour on the same volume.

Source: etcd FAQ and tuning guide, etcd-mixin etcdHighFsyncDurations and etcdHighCommitDurations, storage/wal/wal.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.etcd_disk import STALLED, slowness
from kubetriage.rules.plane.etcd_members import COMMIT, FSYNC, Member
from kubetriage.rules.plane.figure_format import count, distribution, metric, names, span
from kubetriage.rules.plane.thresholds import RECENT_LOG
from kubetriage.values.fields import text
from kubetriage.values.times import format_time

CODE = "EtcdSlowDisk"
LINK = "etcd disk"
_MOST_EVIDENCE = 9


def check(case: Case) -> Iterator[Finding]:
    """Judge each member's fsyncs, or the API server's etcd requests where no member was seen."""
    slow = [m for m in case.members if slowness(m, case)]
    if slow:
        yield _finding(slow, case)
    elif not any(m.window or m.log for m in case.members):
        yield from _from_outside(case)


def _finding(slow: list[Member], case: Case) -> Finding:
    broken = [m for m in slow if slowness(m, case) == 2]
    decisive = any(m.is_leader for m in broken) or len(broken) * 2 > len(case.members)
    evidence = [e for m in slow for e in _evidence(m, case)]
    since = _since(slow)
    means = [m.fsync.mean for m in slow if m.fsync and m.fsync.mean is not None]
    which = f"{len(slow)} of {count(len(case.members), 'member')}"
    if means:
        took = f"an fsync takes {span(max(means))} on {which} (target {span(case.limits.fsync_target)})"
    elif any(m.fsync is not None for m in slow):
        took = (
            f"no fsync finished in {slow[0].window.seconds:.0f} s on {which} while writes wait"
            if slow[0].window
            else ""
        )
    else:
        took = f"fsyncs take longer than 1 s on {which}, says etcd's log"
    effect = ", so every write of the cluster waits for it" if decisive else "; a majority is still fast enough"
    details: dict[str, object] = {"link": LINK, "members": [m.name for m in slow]}
    details.update(since)
    pods = [Ref("Pod", m.namespace, m.name) for m in slow]
    return Finding(
        CODE,
        Severity.ERROR if decisive else Severity.WARNING,
        Confidence.CONFIRMED,
        pods[0] if len(pods) == 1 else CLUSTER,
        f"etcd's disk is slow: {took}{effect}.",
        tuple(evidence[:_MOST_EVIDENCE]),
        (RuledOut("EtcdQuorumLost", "every member that was read sees a leader"),)
        if all(m.has_leader for m in slow)
        else (),
        _fixes(slow),
        tuple(f"kubectl -n {m.namespace} logs {m.name} --since=5m | grep -c 'slow fdatasync'" for m in slow[:3]),
        details,
    )


def _evidence(member: Member, case: Case) -> Iterator[Evidence]:
    if member.fsync is not None and member.fsync.mean is not None:
        yield metric(FSYNC, distribution(member.fsync, case.limits.fsync_alert), member.name)
    if member.commit is not None and member.commit.mean is not None:
        yield metric(COMMIT, distribution(member.commit, case.limits.commit_alert), member.name)
    failed = member.window.increase("etcd_server_proposals_failed_total") if member.window else None
    if failed:
        yield metric("etcd_server_proposals_failed_total", f"grew by {failed:.0f}", member.name)
    slow = member.log.slow_fsyncs if member.log else ()
    if slow:
        longest = max(slow, key=lambda s: s.seconds)
        times = count(len(slow), "time")
        yield Evidence(
            "log", member.name, f"slow fdatasync, {times}, longest {span(longest.seconds)}", format_time(slow[-1].at)
        )
    if member.log and member.log.slow_applies:
        yield Evidence("log", member.name, f"apply request took too long, {count(member.log.slow_applies, 'time')}")
    late = member.log.late_heartbeats if member.log else ()
    if late:
        yield Evidence(
            "log",
            member.name,
            f"{member.log.quotes.get('heartbeat', '')} ({count(len(late), 'time')})" if member.log else "",
            format_time(late[-1]),
        )


def _since(slow: list[Member]) -> dict[str, str]:
    """Return the first slow fsync that a log holds; one at the very beginning of a log has predecessors."""
    starts, cut = [], False
    for member in slow:
        if member.log and member.log.slow_fsyncs and member.log.first:
            starts.append(member.log.slow_fsyncs[0].at)
            cut = cut or (starts[-1] - member.log.first).total_seconds() <= RECENT_LOG
    return {"sinceAtLatest" if cut else "since": format_time(min(starts))} if starts else {}


def _fixes(slow: list[Member]) -> tuple[Fix, ...]:
    hosts = names(list(dict.fromkeys(text(m.pod, "spec", "nodeName") or m.name for m in slow)))
    return (
        Fix(
            f"Find what else writes to the disk of etcd's data directory on {hosts} (backup, image pulls, logs, a noisy"
            " neighbour): run iostat -x 1 and pidstat -d 1 there."
        ),
        Fix(
            "Give etcd a dedicated SSD or NVMe volume (at least 50 sequential IOPS, 500 under load) and a"
            " node of its own."
        ),
        Fix("For relief now: ionice -c2 -n0 -p $(pgrep -x etcd) on each of these hosts."),
    )


def _from_outside(case: Case) -> Iterator[Finding]:
    """Judge by the API server's requests to etcd, which cannot tell the disk from the network or the CPU."""
    traffic = case.traffic
    if traffic is None or traffic.mean is None or traffic.mean < case.limits.etcd_request or traffic.requests < 10:
        return
    yield Finding(
        CODE,
        Severity.ERROR if traffic.mean >= STALLED else Severity.WARNING,
        Confidence.POSSIBLE,
        CLUSTER,
        f"etcd answers slowly: the API server waits {span(traffic.mean)} for a request"
        f" (alert at {span(case.limits.etcd_request)}). Its disk is the usual cause; etcd itself could not be seen.",
        (
            metric("etcd_request_duration_seconds", f"mean {span(traffic.mean)} over {traffic.requests:.0f} requests"),
            metric("etcd_request_errors_total", f"{traffic.errors:.0f} in the same time"),
        ),
        (),
        (Fix("Look at etcd's disk, network and CPU, or ask the provider of a managed control plane to do so."),),
        ("kubectl get --raw /metrics | grep etcd_request_duration_seconds_sum",),
        {"link": LINK},
    )
