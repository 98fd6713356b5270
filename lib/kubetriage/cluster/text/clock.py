"""The one instant against which the ages of a text count."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone

from kubetriage.cluster.text.ages import parse_moment
from kubetriage.cluster.text.found import Finds, Found
from kubetriage.records import dataclass
from kubetriage.typed import Any
from kubetriage.values.fields import number, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time

_TIMES = frozenset(
    {
        *("startTime", "startedAt", "finishedAt", "creationTimestamp", "completionTime", "lastScheduleTime"),
        *("lastHeartbeatTime", "lastTransitionTime", "renewTime", "lastTimestamp", "lastUpdateTime", "time"),
    }
)
_STAMP = lazy(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)")
_SHORT = lazy(r"^(?:<\d{1,3}>)?([A-Z][a-z]{2}) ([ 0-3]\d) (\d\d):(\d\d):(\d\d)\b", re.MULTILINE)
"""What a journal writes by default: neither a year nor a zone."""
_KLOG = lazy(r"^[IWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\b", re.MULTILINE)
"""Header of klog, as all components of Kubernetes write it."""
_MONTHS = {f"{i:02d}": m for i, m in enumerate(calendar.month_abbr) if i}
_TAIL = 16 * 1024
"""Characters at the end of a log in which its newest time is looked for."""


@dataclass(frozen=True)
class Clock:
    """When texts were printed, as far as they tell."""

    now: datetime | None
    """None when no absolute time stands in them."""
    sure: bool
    """False: they were printed at some time after it, and nobody knows when."""


def clock_of(finds: Iterable[Finds]) -> Clock:
    """Return when the texts were printed.

    It is a time that they give for themselves, or that of an object's creation plus its age, which errs to the early
    side by the unit of the age. Without either it is after the newest absolute time.
    """
    known: list[datetime] = []
    aged: list[datetime] = []
    for part in finds:
        if (given := parse_time(part.clock)) is not None:
            return Clock(given, True)
        known += [t for found in part.objects for t in _times(found.obj)]
        known += [t for event in part.events if (t := parse_time(event.at)) is not None]
        aged += [t for found in part.objects for t in _aged(found, part)]
        known += [t for log in part.logs if (t := _newest_stamp(log.text)) is not None]
        known += [t for log in part.node_logs if (t := _newest_stamp(log.text)) is not None]
    newest = max((*known, *aged), default=None)
    # Ages of events without a moment to count from need some clock all the same; those are shown as ages.
    return Clock(newest, bool(aged))


def _times(value: Any) -> Iterator[datetime]:
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Mapping):
            for key, inner in item.items():
                if key in _TIMES and isinstance(inner, str):
                    found = parse_time(inner)
                    if found is not None and found.year > 1970:
                        yield found
                elif isinstance(inner, Mapping | list):
                    pending.append(inner)
        elif isinstance(item, list):
            pending += [v for v in item if isinstance(v, Mapping | list)]


def _aged(found: Found, part: Finds) -> Iterator[datetime]:
    """Add an age to the moment that it counts from, where both are told."""
    created = parse_time(text(found.obj, "metadata", "creationTimestamp"))
    if created is not None and found.age is not None:
        yield created + found.age
    if found.resource != "pods" or not found.described:
        return
    name = text(found.obj, "metadata", "name")
    started = parse_time(text(found.obj, "status", "startTime"))
    statuses = objects(found.obj, "status", "containerStatuses")
    only = statuses[0] if len(statuses) == 1 and number(statuses[0], "restartCount") == 0 else {}
    running = parse_time(text(only, "state", "running", "startedAt")) or parse_time(
        text(only, "state", "terminated", "startedAt")
    )
    for event in part.events:
        if event.name != name or event.age is None or event.count > 1:
            continue
        if event.reason == "Scheduled" and started is not None:
            yield started + event.age
        elif event.reason == "Started" and running is not None:
            yield running + event.age


def _newest_stamp(content: str) -> datetime | None:
    for row in reversed(content[-_TAIL:].split("\n")):
        # The head of a line says when it was written; further times are those that it tells of: a certificate's end.
        if (short := _SHORT.match(row) or _KLOG.match(row)) is not None:
            return _this_year(short)
        if (stamp := _STAMP.search(row)) is not None and (found := parse_time(stamp[0])) is not None:
            return found
    return None


def _this_year(match: re.Match[str]) -> datetime | None:
    """Give a time without a year the last one in which it had passed."""
    today = datetime.now(timezone.utc)
    month = match[1] if match[1].isalpha() else _MONTHS.get(match[1], "")
    for year in (today.year, today.year - 1):
        found = parse_moment(f"{int(match[2])} {month} {year} {match[3]}:{match[4]}:{match[5]} +0000")
        if found is not None and found <= today + timedelta(days=1):
            return found
    return None
