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

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.component_log import Remark
from kubetriage.rules.plane.etcd_disk import measured, slowness
from kubetriage.rules.plane.etcd_from_outside import Answer, from_outside, slow_read
from kubetriage.rules.plane.etcd_members import COMMIT, FSYNC, Member
from kubetriage.rules.plane.figure_format import count, distribution, metric, names, span
from kubetriage.rules.plane.peer_round_trip import slowest_round_trip
from kubetriage.rules.plane.thresholds import RECENT_LOG, STALLED
from kubetriage.values.commands import PIPE, kubectl, shell
from kubetriage.values.fields import text
from kubetriage.values.times import format_time

CODE = "EtcdSlowDisk"
LINK = "etcd disk"
_MOST_EVIDENCE = 9


def check(case: Case) -> Iterator[Finding]:
    """Judge each member's fsyncs, the SQL statements of kine, or the API server's etcd requests."""
    slow = [m for m in case.members if slowness(m, case)]
    statements = case.lately("slow sql", _STATEMENTS)
    if slow:
        yield _finding(slow, case)
    elif (rows := [*statements, *case.lately("database locked", _STATEMENTS)]) and (len(rows) > 1 or _harms(case)):
        yield _kine(rows, case)
    elif from_outside(case).answer is Answer.SLOWLY and not measured(case):
        yield _from_outside(case)


_STATEMENTS = 600.0
"""Seconds for which slow SQL statements speak of the present."""


def _harms(case: Case) -> bool:
    """Tell whether somebody already failed for want of the datastore."""
    return bool(case.lately("election lost", _STATEMENTS) or case.lately("renewal failed", _STATEMENTS))


def _kine(statements: list[Remark], case: Case) -> Finding:
    """Report the SQL datastore of k3s (kine), which stands where etcd would."""
    longest = max(statements, key=lambda r: r.seconds)
    lost = case.lately("election lost", _STATEMENTS)
    locked = case.lately("database locked", _STATEMENTS)
    failed = case.lately("compaction failed", _STATEMENTS)
    evidence = [
        Evidence(
            "log",
            longest.source,
            f"{longest.words} ({count(len(statements), 'statement')} like it)",
            format_time(longest.at),
        )
    ]
    for remarks in (locked, failed, case.lately("renewal failed", _STATEMENTS), lost):
        evidence += [Evidence("log", r.source, r.words, format_time(r.at)) for r in remarks[-1:]]
    machine = case.machine
    data = machine.path("etcd_data")
    unit = machine.kubelet_unit
    end = (
        f" The controller-manager lost its lease (leaderelection lost), and with it the whole {unit} process exits."
        if lost
        else ""
    )
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED if len(statements) > 1 else Confidence.LIKELY,
        CLUSTER,
        (
            f"The datastore is slow: kine (SQL, no etcd) took {span(longest.seconds)} for one statement,"
            f" {count(len(statements), 'slow statement')} were logged.{end}"
            if longest.seconds
            else f"The SQL datastore (kine or dqlite, no etcd) is locked: {longest.words[:120]}.{end}"
        ),
        tuple(evidence[:8]),
        (RuledOut("network", "the requests that time out go to the machine's own address"),)
        if any("127.0.0.1" in r.words or "[::1]" in r.words for r in case.lately("renewal failed", _STATEMENTS))
        else (),
        (
            Fix(
                "Find what slows the datastore: the disk's latency and pressure, and the size of the database."
                if not locked
                else "Something else holds the database: a backup, a second process, or a disk that is too slow.",
                actor=Actor.NODE,
                commands=(
                    *machine.lines("disk latency"),
                    shell("ssh", machine.address, "cat /proc/pressure/io /proc/pressure/cpu"),
                    shell("ssh", machine.address, f"sudo ls -lh {data}"),
                ),
            ),
            Fix(
                f"With sqlite: move {data} to an SSD or NVMe, or change to embedded etcd (cluster-init) or a faster"
                " external database. With MySQL or PostgreSQL: look at that server's load and its table kine.",
                actor=Actor.NODE,
            ),
            Fix("A database of gigabytes needs compaction and VACUUM while the service is stopped.", actor=Actor.NODE),
        ),
        (shell("ssh", machine.address, f"sudo journalctl -u {unit} --since -10min | grep -c 'Slow SQL'"),),
        {"link": LINK, "since": format_time(min(r.at for r in statements))},
    )


def _slow_network(case: Case) -> bool:
    return (slowest_round_trip(case) or 0.0) >= case.limits.peer_round_trip


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
        longest = max((f.seconds for m in slow if m.log for f in m.log.slow_fsyncs), default=1.0)
        took = f"an fdatasync took {span(longest)} on {which}, says etcd's log"
    effect = ", so every write of the cluster waits for it" if decisive else "; a majority is still fast enough"
    details: dict[str, object] = {"link": LINK, "members": [m.name for m in slow]}
    details.update(since)
    pods = [Ref("Pod", m.namespace, m.name) for m in slow if m.namespace]
    return Finding(
        CODE,
        # A disk a little below target explains nothing beside a network that every write waits for.
        Severity.ERROR if decisive else Severity.NOTE if not broken and _slow_network(case) else Severity.WARNING,
        Confidence.CONFIRMED,
        pods[0] if len(pods) == 1 else CLUSTER,
        f"etcd's disk is slow: {took}{effect}.",
        tuple(evidence[:_MOST_EVIDENCE]),
        (RuledOut("EtcdQuorumLost", "every member that was read sees a leader"),)
        if all(m.has_leader for m in slow)
        else (),
        _fixes(slow, case),
        tuple(
            kubectl("logs", m.name, "--since=5m", PIPE, "grep", "-c", "slow fdatasync", namespace=m.namespace)
            for m in slow[:3]
            if m.namespace
        ),
        details,
    )


def _evidence(member: Member, case: Case) -> Iterator[Evidence]:
    if member.fsync is not None and member.fsync.mean is not None:
        yield metric(FSYNC, distribution(member.fsync, case.limits.fsync_alert), member.name)
    if member.window is not None and member.window.second is None and (seen := member.window.first.histogram(FSYNC)):
        longer, bound = seen.longer_than(case.limits.fsync_alert)
        words = f"{longer:.0f} of {seen.count:.0f} since its start longer than {span(bound)}; one sample only"
        yield metric(FSYNC, words, member.name)
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
        longest = max(member.log.slow_applies, key=lambda s: s.seconds)
        times = count(len(member.log.slow_applies), "time")
        yield Evidence(
            "log",
            member.name,
            f"apply request took too long, {times}, longest {span(longest.seconds)}",
            format_time(longest.at),
        )
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


def _fixes(slow: list[Member], case: Case) -> tuple[Fix, ...]:
    hosts = names(list(dict.fromkeys(text(m.pod, "spec", "nodeName") or m.name for m in slow)))
    machine = case.machine
    data = machine.path("etcd_data") or "etcd's data directory"
    fio = (
        f"fio --name=wal --rw=write --ioengine=sync --fdatasync=1 --size=22m --bs=2300 --directory={data}"
        if machine.row["tools"] == "systemd"
        else ""
    )
    # In k3s and its like etcd is no process of its own.
    alone = bool(machine.path("manifests")) and machine.row["tools"] == "systemd"
    return (
        Fix(
            f"Find what else writes to the disk of {data} on {hosts}: backup, image pulls, logs, a noisy neighbour.",
            actor=Actor.NODE,
            commands=(
                *machine.lines("disk latency"),
                *((shell("ssh", machine.address, f"sudo {fio}"),) if fio else ()),
            ),
        ),
        Fix(
            f"Give {data} a dedicated SSD or NVMe volume (at least 50 sequential IOPS, 500 under load) and"
            " etcd a node of its own.",
            actor=Actor.NODE,
        ),
        *(
            (
                Fix(
                    "For relief now, put etcd before others at the disk on each of these hosts.",
                    actor=Actor.NODE,
                    commands=(shell("ssh", machine.address, "sudo ionice -c2 -n0 -p $(pgrep -x etcd)"),),
                ),
            )
            if alone
            else ()
        ),
    )


def _from_outside(case: Case) -> Finding:
    """Judge by the API server's requests to etcd, which cannot tell the disk from the network or the CPU."""
    outside, traffic = from_outside(case), case.traffic
    mean = traffic.mean if traffic else None
    took = slow_read(case)
    waits = (
        f"the API server waits {span(mean)} for a request (alert at {span(case.limits.etcd_request)})"
        if mean
        else f"a read through it took {span(took)}"
        if took
        else f"its check of etcd fails after {span(max(case.livez.seconds, case.readyz.seconds))}"
    )
    stalled = case.etcd_check_fails or (mean >= STALLED if mean is not None else bool(took))
    other = "CPU of its machine" if len(case.members) == 1 else "network between its members"
    measurable = bool(case.members) and not case.forward and not any(m.window for m in case.members)
    return Finding(
        CODE,
        Severity.ERROR if stalled else Severity.WARNING,
        Confidence.POSSIBLE,
        CLUSTER,
        f"etcd answers slowly: {waits}. Its disk is the usual cause, the {other} the next; etcd's metrics were not"
        " read.",
        outside.evidence,
        (RuledOut("EtcdDown", "requests to it are finished, only late"),),
        (
            *(
                (Fix("Read etcd's metrics: they tell disk from network.", commands=("kubectl plane-trace --etcd",)),)
                if measurable
                else ()
            ),
            Fix(
                "The provider runs this etcd: give its support the latency and the time.",
                actor=Actor.CLOUD,
            )
            if case.machine.managed
            else Fix(
                "Look at the disk, CPU and network of etcd's machines; its log decides (slow fdatasync, took too"
                " long).",
                actor=Actor.NODE,
                commands=(*case.servers.disks(), *case.servers.logs())
                if case.servers
                else (*case.machine.lines("disk latency"), *case.machine.lines("container log")),
            ),
        ),
        ("kubectl get --raw /metrics | grep etcd_request_duration_seconds_sum",),
        {"link": LINK},
    )
