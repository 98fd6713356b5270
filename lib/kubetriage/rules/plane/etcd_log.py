"""etcd's own words: in comes the text of a log in any wrapping, out goes what it says of disk, leader, space and end.

Read are zap as JSON lines (the default since 3.4) and as tab-separated console text, and the text log of 3.4 and
before (capnslog). In the journal of k3s or RKE2 etcd's lines stand between those of other components.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from kubetriage.readers.outer_layers import Line, peeled
from kubetriage.records import dataclass, field
from kubetriage.typed import Any
from kubetriage.values.fields import mapping, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_go_duration


@dataclass(frozen=True)
class Slow:
    """Something that took long."""

    at: datetime
    seconds: float


@dataclass(frozen=True)
class Stranger:
    """A member whose cluster has another id: one of the two was restored, reset or begun anew."""

    at: datetime
    peer: str
    """Its member id."""
    theirs: str
    """Id of its cluster; empty when not told."""
    mine: str
    """Id of this member's cluster; empty when not told."""
    words: str


@dataclass(frozen=True)
class EtcdLog:
    """What the end of a member's log says."""

    first: datetime | None = None
    last: datetime | None = None
    slow_fsyncs: tuple[Slow, ...] = ()
    """``slow fdatasync``: longer than 1 s."""
    late_heartbeats: tuple[datetime, ...] = ()
    elected: tuple[datetime, ...] = ()
    lost: tuple[datetime, ...] = ()
    leaderless: tuple[datetime, ...] = ()
    """Elections started and reads dropped for want of a leader."""
    refused_peers: tuple[tuple[datetime, str, str], ...] = ()
    """Time, peer id and error of failed probes of other members that did not come back after them."""
    alarms: tuple[tuple[datetime, str, bool], ...] = ()
    """Time, alarm and whether it was raised (True) or disarmed."""
    no_space: tuple[datetime, ...] = ()
    """Requests that failed because the database is full."""
    slow_applies: tuple[Slow, ...] = ()
    clock_drift: tuple[tuple[datetime, str], ...] = ()
    round_trips: tuple[Slow, ...] = ()
    """To other members, as a prober's warning tells them."""
    corrupt: tuple[tuple[datetime, str], ...] = ()
    """Checks that found the members' data to differ, and the alarm that follows, newest last."""
    closed: datetime | None = None
    """The member was stopped."""
    signalled: datetime | None = None
    """Somebody else stopped it: it received a signal."""
    learner: datetime | None = None
    """It, or a member that it leads, is a learner that is not promoted."""
    strangers: tuple[Stranger, ...] = ()
    """Members of another cluster that it talks with, the newest line of each."""
    fatal: tuple[tuple[datetime | None, str], ...] = ()
    """Words with which it ended itself (levels panic and fatal)."""
    quotes: dict[str, str] = field(default_factory=dict)
    """The newest line of each kind, in etcd's own words."""
    lines: int = 0
    understood: int = 0
    """How many of the lines are etcd's in a form that is known."""
    head: str = ""
    """The first line."""
    head_unit: str = ""
    """The unit whose journal this is, where the first line names it."""

    @property
    def unread(self) -> str:
        """Say how much of the log was understood, where that is nothing; empty otherwise."""
        if self.understood:
            return ""
        return f"0 of {self.lines} lines understood, the first: {self.head[:120]}" if self.lines else "the log is empty"


@dataclass(frozen=True)
class _Entry:
    at: datetime | None
    level: str
    message: str
    fields: Mapping[str, Any]
    line: str


# capnslog (etcd 3.4 and before): time, severity letter, package, message.
_TEXT = lazy(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ ([A-Z]) \| ([\w/-]+): (.*)")
_LETTERS = {"C": "fatal", "E": "error", "W": "warn", "I": "info", "N": "info", "D": "debug"}
# raft's own logger in text: "raft2021/01/25 06:42:36 INFO: ...".
_RAFT_TEXT = lazy(r"raft\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\w+): (.*)")
# A Go program that ends by a panic: its words stand outside of every logger.
_PANIC = lazy(r"(?:panic|fatal error): (.+)")


def _console(line: Line) -> _Entry | None:
    """Read zap's console encoder: time, level, caller, message and fields as JSON, separated by tabs."""
    parts = line.text.split("\t")
    if len(parts) < 3 or line.at is None:
        return None
    named = next((i for i, p in enumerate(parts) if p in _LEVELS), None)
    if named is None or len(parts) <= named + 1:
        return None
    at_message = named + 2 if len(parts) > named + 2 and ".go:" in parts[named + 1] else named + 1
    fields: Mapping[str, Any] = {}
    if parts[-1].startswith("{"):
        try:
            fields = mapping(json.loads(parts[-1]))
        except (ValueError, RecursionError):
            fields = {}
    return _Entry(line.at, parts[named].lower(), parts[at_message], fields, line.text)


_LEVELS = frozenset(w for x in ("debug", "info", "warn", "error", "panic", "fatal", "dpanic") for w in (x, x.upper()))
# A JSON line whose end was cut off still shows its level and message.
_CUT = lazy(r'\{"level": ?"(\w+)".{0,400}?"msg": ?"((?:[^"\\]|\\.){1,300})')


def _entry(line: Line) -> _Entry | None:
    if line.text.startswith("{"):
        try:
            fields = mapping(json.loads(line.text))
        except (ValueError, RecursionError):
            found = _CUT.match(line.text)
            return _Entry(line.at, found[1], found[2], {}, line.text) if found else None
        message = text(fields, "msg")
        return _Entry(line.at, text(fields, "level"), message, fields, line.text) if message else None
    if found := _TEXT.match(line.text):
        return _Entry(line.at, _LETTERS.get(found[1], "info"), found[3], {}, line.text)
    if found := _RAFT_TEXT.match(line.text):
        return _Entry(line.at, found[1].lower(), found[2], {}, line.text)
    return _console(line)


# raft.go of etcd's raft library prints "raft.node: ID elected leader ID at term N" (etcd 3.4 to 3.6).
_ELECTED = lazy(r"raft\.node: \w+ (?:elected|changed) leader ")
_LOST = lazy(r"raft\.node: \w+ lost leader \w+ at term \d+")
# raft.go: an election begins, or a read index request is dropped because there is no leader (etcd 3.4 to 3.6).
_LEADERLESS = lazy(r"is starting a new election at term|no leader at term \d+|/health false; no leader")
# What a member says at lower levels before it ends for good (etcdserver/server.go, rafthttp).
_FINAL = lazy(r"has been permanently removed from the cluster|local member has been removed from the cluster")
# etcdserver/server.go and api/v3rpc/rpctypes: a member that was added as a learner and is not promoted (3.4 to 3.6).
_LEARNER = lazy(r"rejecting promote learner|rpc not supported for learner|learner is not ready")
# etcdserver/errors.go and api/v3rpc/rpctypes ("failed to apply request" quotes the first, clients the second), and
# etcdhttp/health.go (etcd 3.4 to 3.6).
_FULL = lazy(r"etcdserver: no space|database space exceeded|/health false due to an alarm.*NOSPACE")
# wal.go: "slow fdatasync" (zap), "sync duration of 7.45s, expected less than 1s" (text).
_SYNC = lazy(r"sync duration of ([\w.\u00b5]+), expected less than")
# etcdserver/util.go: "apply request took too long" (zap), 'read-only range request "..." took too long (1.2s)' (text).
_LONG = lazy(r"took too long \(([\w.\u00b5]+)\)")
_HEARTBEAT = lazy(r"failed to send out heartbeat on time")
# rafthttp/probing_status.go (text): "health check for peer ID could not connect: dial tcp ...".
_PEER = lazy(r"health check for peer (\w+) could not connect: (.*)")
# rafthttp/peer_status.go: "peer became active" with a field, in the text log "peer ID became active".
_BACK = lazy(r"peer (?:(\w+) )?became active")
_ALARM = lazy(r"alarm (\w+) raised|alarm raised")
# osutil/interrupt_unix.go, all versions.
_SIGNAL = lazy(r"received (\w+)(?: signal)?[;,] shutting down")


# Where a line of zap is from: packages of etcd's server, not of its client in the API server or in k3s.
_SERVER = lazy(
    r'"caller": ?"(?:etcdserver|wal|rafthttp|mvcc|embed|backend|osutil|etcdmain|snap|raft|txn|v3rpc|membership)'
)


def read_log(content: str, now: datetime, *, server_only: bool = False) -> EtcdLog:
    """Read a log; ``now`` completes times without a year.

    ``server_only`` is for journals in which many programs write: only lines that are surely of an etcd member count.
    """
    lines = peeled(content, now)
    if server_only:
        lines = (x for x in lines if _SERVER.search(x.text) or _TEXT.match(x.text) or _FULL_JOURNAL.search(x.text))
    return _fold(lines)


def _fold(lines: Iterator[Line]) -> EtcdLog:
    slow: list[Slow] = []
    applies: list[Slow] = []
    moments: dict[str, list[datetime]] = {k: [] for k in ("heartbeat", "elected", "lost", "leaderless", "space")}
    refused: list[tuple[datetime, str, str]] = []
    strangers: dict[str, Stranger] = {}
    alarms: list[tuple[datetime, str, bool]] = []
    drift: list[tuple[datetime, str]] = []
    trips: list[Slow] = []
    corrupt: list[tuple[datetime, str]] = []
    fatal: list[tuple[datetime | None, str]] = []
    quotes: dict[str, str] = {}
    first = last = closed = signalled = learner = None
    total = understood = 0
    head = unit = ""
    for line in lines:
        total, head, unit = total + 1, head or line.text, unit or line.unit
        entry = _entry(line)
        if entry is None:
            if (ended := _PANIC.match(line.text)) is not None:
                fatal.append((line.at or last, ended[1][:300]))
            continue
        understood += 1
        words = text(entry.fields, "error")
        if entry.level in ("panic", "fatal", "dpanic") or _FINAL.search(f"{entry.message}: {words}"):
            fatal.append((entry.at, f"{entry.message}: {words}"[:400] if words else entry.message[:400]))
        at = entry.at
        if at is None:
            continue
        first, last = first or at, at
        kind = _moment(entry)
        if (stall := _duration(entry, "slow fdatasync", _SYNC, at, 1.0)) is not None:
            slow.append(stall)
            kind = "fsync"
        elif (late := _duration(entry, "apply request took too long", _LONG, at, 0.1)) is not None:
            applies.append(late)
        elif _STRANGER.search(entry.line):
            other = _stranger(entry, at)
            strangers[other.peer] = other
            kind = "stranger"
        elif (peer := _peer(entry)) is not None:
            refused.append((at, *peer))
            kind = "peer"
        elif (back := _BACK.match(entry.message)) is not None:
            known = back[1] or text(entry.fields, "peer-id")
            refused = [r for r in refused if r[1] != known]
        elif entry.message == "alarm disarmed" or (named := _ALARM.search(entry.message)):
            disarmed = entry.message == "alarm disarmed"
            alarm = text(entry.fields, "alarm") or ("" if disarmed or named is None else named[1] or "")
            alarms.append((at, alarm, not disarmed))
            kind = "alarm"
        elif entry.message == "prober found high clock drift":
            drift.append((at, text(entry.fields, "clock-drift")))
            kind = "drift"
        elif _SIGNAL.search(entry.message):
            signalled, kind = at, "signal"
        elif entry.message in ("closing etcd server", "closed etcd server"):
            closed, kind = at, "closed"
        elif entry.message == "starting etcd server" or entry.message.startswith("starting server... [version"):
            closed = signalled = None
        elif kind:
            moments[kind].append(at)
        if _FULL.search(entry.line):
            moments["space"].append(at)
            kind = kind or "space"
        if (trip := parse_go_duration(text(entry.fields, "rtt"))) is not None:
            trips.append(Slow(at, trip.total_seconds()))
        if _CORRUPT.search(entry.line):
            words = text(entry.fields, "error")
            corrupt.append((at, f"{entry.message}: {words}" if words else entry.message))
        if _LEARNER.search(entry.line):
            learner, kind = at, kind or "learner"
        if kind:
            quotes[kind] = f"{entry.message}: {words}" if kind == "learner" and words else entry.message
    return EtcdLog(
        first,
        last,
        tuple(slow),
        tuple(moments["heartbeat"]),
        tuple(moments["elected"]),
        tuple(moments["lost"]),
        tuple(moments["leaderless"]),
        tuple(refused),
        tuple(alarms),
        tuple(moments["space"]),
        tuple(applies),
        tuple(drift),
        tuple(trips),
        tuple(corrupt),
        closed,
        signalled,
        learner,
        tuple(strangers.values()),
        tuple(fatal),
        quotes,
        total,
        understood,
        head,
        unit,
    )


_FULL_JOURNAL = lazy(r"\Apanic: (?:tocommit|freepages|page \d+ already freed|assertion failed: page)")


def _duration(entry: _Entry, message: str, pattern: re.Pattern[str], at: datetime, least: float) -> Slow | None:
    """Read how long something took, from zap's field or from the words of the text log."""
    found = None if entry.message == message else pattern.search(entry.message)
    if entry.message != message and found is None:
        return None
    took = parse_go_duration(found[1] if found else text(entry.fields, "took"))
    return Slow(at, took.total_seconds() if took else least)


# etcdserver/corrupt.go and the alarm CORRUPT, 3.4 to 3.6.
_CORRUPT = lazy(
    r"hash doesn't match|found (?:data inconsistency|different hash|hash mismatch)"
    r"|failed (?:compact |periodic )?hash check"
    r"|checkInitialHashKV failed|\"alarm\": ?\"CORRUPT\"|alarm CORRUPT raised|etcdserver: corrupt cluster"
)
# rafthttp (stream.go, http.go), all versions: "request sent was ignored by remote peer due to cluster ID mismatch",
# "request cluster ID mismatch (got A want B)" (text), 'failed to find remote peer in cluster', "rejected stream".
_STRANGER = lazy(r"cluster ID mismatch")
_GOT = lazy(r"cluster ID mismatch \(got (\w+) want (\w+)\)|remote\[(\w+)\]=(\w+), local=(\w+)")


def _stranger(entry: _Entry, at: datetime) -> Stranger:
    found = _GOT.search(entry.message)
    read = entry.fields
    peer = text(read, "remote-peer-id") or text(read, "remote-peer-name") or (found[3] if found and found[3] else "")
    theirs = text(read, "remote-peer-cluster-id") or ((found[1] or found[4]) if found else "")
    mine = text(read, "local-member-cluster-id") or ((found[2] or found[5]) if found else "")
    return Stranger(at, peer, theirs, mine, entry.message)


def _peer(entry: _Entry) -> tuple[str, str] | None:
    """Read the id of a member that did not answer a probe, and the error."""
    if entry.message == "prober detected unhealthy status":
        return text(entry.fields, "remote-peer-id"), text(entry.fields, "error")
    found = _PEER.match(entry.message)
    return (found[1], found[2]) if found else None


def _moment(entry: _Entry) -> str:
    """Name the kind of a line of which only the time matters; empty for others."""
    for kind, pattern in (
        ("heartbeat", _HEARTBEAT),
        ("elected", _ELECTED),
        ("lost", _LOST),
        ("leaderless", _LEADERLESS),
    ):
        if pattern.search(entry.message):
            return kind
    return ""
