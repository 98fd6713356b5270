"""Events of both shapes, read alike.

The core recorder fills ``count``, ``firstTimestamp`` and ``lastTimestamp``; the events.k8s.io recorder fills
``eventTime`` and ``series`` and leaves the others null. Both stand in one list of a real cluster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from kubetriage.found import Listing
from kubetriage.model import Evidence
from kubetriage.needs import List
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, mapping, number, text, told_uid
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time, parse_time

_CONTAINER_PATH = lazy(r"spec\.(containers|initContainers|ephemeralContainers)\{(.+)\}\Z")
PRINTED_AGE = "printedAge"
"""Key that the reader of pasted text adds at the top of an event: its age as kubectl printed it."""
COMBINED = "(combined from similar events): "
"""Prefix that client-go puts before the message when it folds ten similar events into one."""
NEAR_NODE_EVENT = timedelta(minutes=15)
"""A node event explains the end of a container when it stands this close to it: a boot takes minutes."""


@dataclass(frozen=True)
class Event:
    """One event, folded or not."""

    reason: str
    message: str
    """Without the folding prefix."""
    warning: bool
    container: str
    """From ``involvedObject.fieldPath``; empty when the event is about the whole object."""
    count: int
    """A lower bound: the recorder drops events of a busy source."""
    first: datetime | None
    last: datetime | None
    component: str
    """Reporting component (``kubelet``, ``default-scheduler``)."""
    raw: Obj

    def evidence(self) -> Evidence:
        """Quote the event; of one that was printed with an age the moment is not known, so the age stands for it."""
        age = text(self.raw, PRINTED_AGE)
        counted = [f"x{self.count}"] if self.count > 1 else []
        words = ", ".join([*counted, f"{age} ago"] if age else counted)
        where = f"{self.reason} [{self.container}]" if self.container else self.reason
        time = format_time(self.last) if self.last and not age else ""
        return Evidence("event", where, self.message.strip() + (f" ({words})" if words else ""), time)


def read_event(raw: Obj) -> Event:
    """Read a core/v1 or events.k8s.io/v1 event."""
    about = raw.get("involvedObject") or raw.get("regarding")
    match = _CONTAINER_PATH.match(text(about, "fieldPath"))
    times = [
        parse_time(dig(raw, *path))
        for path in (("lastTimestamp",), ("deprecatedLastTimestamp",), ("series", "lastObservedTime"), ("eventTime",))
    ]
    starts = [
        parse_time(dig(raw, *path)) for path in (("firstTimestamp",), ("deprecatedFirstTimestamp",), ("eventTime",))
    ]
    created = parse_time(dig(raw, "metadata", "creationTimestamp"))
    known = [t for t in times if t]
    count = number(raw, "series", "count") or number(raw, "count") or number(raw, "deprecatedCount") or 1
    message = text(raw, "message") or text(raw, "note")
    return Event(
        reason=text(raw, "reason"),
        message=message.removeprefix(COMBINED),
        warning=text(raw, "type") == "Warning",
        container=match[2] if match else "",
        count=max(count, 1),
        first=next((t for t in starts if t), created),
        last=max(known) if known else created,
        component=text(raw, "reportingComponent")
        or text(raw, "reportingController")
        or text(mapping(raw, "source"), "component"),
        raw=raw,
    )


@dataclass(frozen=True)
class Events:
    """The events of one object, oldest first."""

    items: tuple[Event, ...] = ()
    seen: bool = True
    """False: the events could not be read, so their absence proves nothing."""
    why: str = ""

    @classmethod
    def of(cls, listing: Listing) -> Events:
        """Read a listing of raw events."""
        read = [read_event(raw) for raw in listing.items]
        read.sort(key=lambda e: (e.last is not None, e.last.timestamp() if e.last else 0.0))
        return cls(tuple(read), listing.complete, listing.why)

    def select(self, *reasons: str, container: str | None = None) -> tuple[Event, ...]:
        """Return the events with one of ``reasons`` (all when empty), of one container (None: any), oldest first."""
        return tuple(
            e
            for e in self.items
            if (not reasons or e.reason in reasons) and (container is None or e.container == container)
        )

    def last(self, *reasons: str, container: str | None = None, matching: str = "") -> Event | None:
        """Return the newest event with one of ``reasons`` whose message matches the pattern ``matching``."""
        for event in reversed(self.select(*reasons, container=container)):
            if not matching or re.search(matching, event.message):
                return event
        return None


def event_selector(uid: str, name: str) -> str:
    """Choose the events about an object, as a field selector for people: by uid, by name where no uid is known."""
    return f"involvedObject.uid={uid}" if told_uid(uid) else f"involvedObject.name={name}"


def node_event_selector(node: str) -> str:
    """Choose the events about a node, as a field selector.

    By name: the node controller files them under the node's uid, kubelets under the node's name or without a uid.
    """
    return f"involvedObject.kind=Node,involvedObject.name={node}"


def node_event_need(node: str, timeout: float = 0.0) -> List:
    """Ask for the events about a node; those of cluster-scoped objects stand in the namespace default."""
    return List("events", "default", fields=node_event_selector(node), timeout=timeout)


def events_by_node(snapshot: Snapshot) -> Mapping[str, Sequence[Obj]]:
    """Sort the events about nodes by the node's name: a scan asks for those of each of thousands."""
    found: dict[str, list[Obj]] = {}
    for raw in snapshot.list("events", "default").items:
        about = raw.get("involvedObject") or raw.get("regarding")
        if text(about, "kind") == "Node":
            found.setdefault(text(about, "name"), []).append(raw)
    return found


def node_events(snapshot: Snapshot, node: str, uid: str = "") -> Events:
    """Return the events about a node; with ``uid`` not those of an earlier node of the same name."""
    listing = snapshot.list("events", "default", fields=node_event_selector(node))
    chosen = []
    for raw in snapshot.derived(events_by_node).get(node, ()):
        filed = text(raw.get("involvedObject") or raw.get("regarding"), "uid")
        if not uid or filed in ("", node, uid):
            chosen.append(raw)
    return Events.of(Listing(tuple(chosen), listing.complete, listing.why, listing.presumed))
