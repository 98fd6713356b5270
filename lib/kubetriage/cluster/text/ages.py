"""Ages and absolute times as kubectl prints them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time, parse_time

_AGE = lazy(r"(?:(\d{1,6})y)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9})s)?\Z")
_PART_SECONDS = (365 * 86400, 86400, 3600, 60, 1)
# "5m (x20 over 4m)", "3s (x12 over 2m)"; older: "x20 over 4m".
_REPEATED = lazy(r"(\S+) \(x(\d{1,9}) over ([^)\s]{1,20})\)\Z")
_RFC1123 = lazy(r"(?:\w{3}, )?(\d{1,2}) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4}|[A-Z]{3,4})\Z")
_GO_TIME = lazy(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d{4})(?: \w+)?(?: m=\S+)?\Z")
_DATE = lazy(r"(?:\w{3} )?(\w{3}) {1,2}(\d{1,2}) (?:(\d\d):(\d\d):(\d\d) (?:([AP]M) )?)(UTC|GMT|Z) (\d{4})\Z")
_MONTHS = {
    m: i for i, m in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}


def parse_age(value: str) -> timedelta | None:
    """Parse kubectl's ``HumanDuration`` (``2d3h``, ``84s``); None for ``<unknown>`` and whatever else.

    ``<invalid>``, which a clock that runs behind gives, is an age of nothing.
    """
    if value == "<invalid>":
        return timedelta()
    match = _AGE.match(value) if value and len(value) <= 24 else None
    if match is None or not any(match.groups()):
        return None
    seconds = sum(int(part) * unit for part, unit in zip(match.groups(), _PART_SECONDS, strict=True) if part)
    return timedelta(seconds=min(seconds, 100 * 365 * 86400))


def granularity(value: str) -> timedelta:
    """Return by how much a printed age may be too small: one of its last unit."""
    seconds = {"y": 365 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
    return timedelta(seconds=next((seconds[letter] for letter in reversed(value) if letter in seconds), 1))


def parse_event_age(value: str) -> tuple[timedelta | None, int, timedelta | None]:
    """Parse the Age of an event: how long ago last, how often, how long ago first."""
    match = _REPEATED.match(value)
    if match is None:
        age = parse_age(value)
        return age, 1, age
    return parse_age(match[1]), int(match[2]), parse_age(match[3])


def parse_moment(value: str) -> datetime | None:
    """Parse an absolute time as describe prints it (RFC 1123 with zone), as Go prints one, or RFC 3339."""
    value = value.strip()
    if not value or len(value) > 64:
        return None
    found = parse_time(value)
    if found is not None:
        return found
    match = _RFC1123.match(value)
    if match is not None:
        return _made(int(match[3]), _MONTHS.get(match[2], 0), int(match[1]), match.group(4, 5, 6), match[7])
    match = _GO_TIME.match(value)
    if match is not None:
        return parse_time(f"{match[1]}T{match[2]}{match[3]}")
    match = _DATE.match(value)
    if match is not None and not (match[6] and int(match[3]) > 12):
        hour = int(match[3]) % 12 + (12 if match[6] == "PM" else 0) if match[6] else int(match[3])
        return _made(int(match[8]), _MONTHS.get(match[1], 0), int(match[2]), (hour, match[4], match[5]), "UTC")
    return None


def _made(year: int, month: int, day: int, clock: tuple[object, ...], zone: str) -> datetime | None:
    """Make a time; a zone with a name other than UTC is not known, so its time is taken for UTC's."""
    hour, minute, second = (int(str(part)) for part in clock)
    offset = timedelta()
    if zone[:1] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])) * (-1 if zone[0] == "-" else 1)
    try:
        made = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc) - offset
    except (ValueError, OverflowError):
        return None
    return made if made.year > 1970 else None


def api_time(value: str) -> str:
    """Return a printed absolute time as the API writes it; empty when it is none."""
    found = parse_moment(value)
    return format_time(found) if found is not None else ""
