"""Times of the API and the durations that kubectl and the kubelet print."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from kubetriage.values.patterns import lazy

_RFC3339 = lazy(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-])(\d\d):?(\d\d))\Z")
_HTTP_DATE = lazy(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONGEST = 64
"""Characters of a time, with more digits of a second than anybody writes."""
_LAST_YEAR = 5000
"""Later moments are taken for this year, so that spans can be added to any that is known."""
_LONGEST_SPAN = timedelta(days=1000 * 365)
"""Longer than any setting of a cluster; with it no sum of a moment and a span leaves the calendar."""
_GO_DURATION_PART = lazy(r"(?<![\d.])(\d{1,19}(?:\.\d{0,19})?|\.\d{1,19})(ns|us|µs|μs|ms|s|m|h)")
_GO_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_time(value: object) -> datetime | None:
    """Parse an RFC 3339 time (``metav1.Time`` or ``MicroTime``).

    Returns None for anything else and for the zero time of Go and of runc (year 1 and 1970-01-01T00:00:00Z),
    which Kubernetes writes where it has no time.
    """
    return _parse_time(value) if isinstance(value, str) and len(value) <= _LONGEST else None


# The same few times are asked for again and again by the rules about one cluster.
@lru_cache(maxsize=4096)
def _parse_time(value: str) -> datetime | None:
    match = _RFC3339.match(value)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    micro = int((match[7] or "0").ljust(6, "0")[:6])
    offset = timedelta()
    if match[9]:
        offset = timedelta(hours=int(match[10]), minutes=int(match[11])) * (-1 if match[9] == "-" else 1)
    try:
        # Second 60 is legal in RFC 3339 (leap second); Go normalises it, so do we.
        moment = datetime(year, month, day, hour, minute, min(second, 59), micro, timezone.utc) - offset
    except (ValueError, OverflowError):
        return None
    if moment.year > _LAST_YEAR:
        return moment.replace(year=_LAST_YEAR, day=min(moment.day, 28))
    if moment.year <= 1 or moment == datetime(1970, 1, 1, tzinfo=timezone.utc):
        return None
    return moment


def format_time(moment: datetime) -> str:
    """Write a time as the API does, in UTC with whole seconds."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_http_date(value: str) -> datetime | None:
    """Parse a time as HTTP headers have it (``Sun, 06 Nov 1994 08:49:37 GMT``); None when it is not one."""
    match = _HTTP_DATE.fullmatch(value.strip())
    if match is None or match[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(match[i]) for i in (1, 3, 4, 5, 6))
    try:
        return datetime(year, _MONTHS.index(match[2]) + 1, day, hour, minute, min(second, 59), tzinfo=timezone.utc)
    except ValueError:
        return None


def parse_go_duration(value: str) -> timedelta | None:
    """Parse Go's ``time.Duration`` text (``2m40s``, ``1.5h``, ``300ms``); None when it is not one."""
    if value == "0":
        return timedelta()
    seconds, end = 0.0, 0
    for part in _GO_DURATION_PART.finditer(value):
        if part.start() != end:
            return None
        seconds += float(part[1]) * _GO_UNIT_SECONDS[part[2]]
        end = part.end()
    if end == 0 or end != len(value):
        return None
    return span_of(seconds)


def span_of(seconds: float) -> timedelta:
    """Return a span of so many seconds, at most a thousand years either way: what a spec says is anybody's number."""
    most = _LONGEST_SPAN.total_seconds()
    return timedelta(seconds=max(-most, min(seconds, most)))


def human_duration(span: timedelta) -> str:
    """Write an age as kubectl does (``duration.HumanDuration`` of apimachinery): ``3d4h``, ``17m``, ``95s``."""
    seconds = int(span.total_seconds())
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        rest = seconds % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = seconds // 3600
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        rest = hours % 24
        return f"{days}d{rest}h" if rest else f"{days}d"
    if days < 730:
        return f"{days}d"
    years = days // 365
    if days < 8 * 365:
        rest = days % 365
        return f"{years}y{rest}d" if rest else f"{years}y"
    return f"{years}y"


def precise_duration(span: timedelta) -> str:
    """Write a span to the second (``2m40s``, ``1h0m5s``), for arithmetic that a user checks; ``-`` if negative."""
    seconds = round(span.total_seconds())
    if seconds < 0:
        return "-" + precise_duration(-span)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
