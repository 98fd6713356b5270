"""What stands around a line of a log: in comes a line as a file, a journal or a tool gives it, out goes the program's.

One line of etcd reaches people in a dozen forms: as ``kubectl logs`` prints it, with ``--timestamps`` or
``--prefix``, as the runtime's file holds it (CRI, Docker's json-file), as the journal writes it (short, short-iso,
json), as ``talosctl`` writes it, and inside the logrus line of a k3s, RKE2 or k0s process. All of them are peeled here,
so that no reader of a program's words has to know them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from kubetriage.records import dataclass, replace
from kubetriage.values.fields import Obj, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time

TALOSCTL = "talosctl"
"""The unit of lines that talosctl printed of a service whose name they do not tell."""
MAX_BYTES = 4 * 1024 * 1024
"""Only the end of a longer log is read."""
MAX_LINES = 40_000
MAX_LINE = 16 * 1024
"""Characters to which a line is cut."""


@dataclass(frozen=True)
class Line:
    """One line as the program wrote it, and what its wrapping told."""

    text: str
    at: datetime | None = None
    """From the wrapping or from the program's own header; None when neither carries a time of day."""
    host: str = ""
    """The machine, where the wrapping names it."""
    unit: str = ""
    """The unit, process or component that wrote it (``k3s``, ``kubelet``, ``kernel``, ``etcd``)."""
    local: datetime | None = None
    """The time of a wrapping that names no zone, read as UTC; it shows the zone where the line has another time."""
    zoned: bool = False
    """``at`` was written with its zone."""


_MONTHS = {
    m: i for i, m in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
# kubectl logs --prefix
_PREFIX = lazy(r"\[pod/([^\]/]{1,253})/([^\]]{1,63})\] ")
# CRI (kubelet's files and crictl), and kubectl logs --timestamps, which writes the time alone.
_CRI = lazy(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (?:stdout|stderr) ([FP]) ?")
_STAMP = lazy(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) ?")
# systemd's journal: -o short (also short-precise), short-iso, short-full, and dmesg-like short-monotonic.
_SHORT = lazy(
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.\d{1,9})? "
    r"(\S{1,253}) ([^\s\[:]{1,64})(?:\[\d{1,9}\])?: "
)
_ISO = lazy(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)) (\S{1,253}) "
    r"([^\s\[:]{1,64})(?:\[\d{1,9}\])?: "
)
_FULL = lazy(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d{1,9})? [A-Z]{1,5} (\S{1,253}) "
    r"([^\s\[:]{1,64})(?:\[\d{1,9}\])?: "
)
# talosctl logs and talosctl dmesg put the node's address before each line.
_TALOS = lazy(
    r"(\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]{3,39}): (?=\S)"
    r"|([a-z][\w.-]{0,252}): (?=\{\"|[IWEF]\d{4} \d\d:|time=\"|\d{4}-\d\d-\d\d[T ]\d\d:)"
)
_TALOS_KERNEL = lazy(r"(?:kern|user|daemon|syslog): +\w+: \[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z)\]: ")
# dmesg: seconds since boot, or with -T the time of day (of the machine's own zone).
_DMESG = lazy(r"(?:<\d{1,3}>)?\[ {0,6}\d{1,9}\.\d{3,6}\] ")
_DMESG_T = lazy(r"\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\] ")
# logrus, as k3s, RKE2, k0s, containerd and CRI-O write it.
_LOGRUS = lazy(r'time="([^"]{10,40})" level=(\w{4,7}) msg=("(?:[^"\\]|\\.){0,16384}"|\S{0,4096})(.{0,4096})\Z')
_COMPONENT = lazy(r'\bcomponent="?([\w.-]{1,64})')
# klog: severity, month and day, time; all components of Kubernetes.
KLOG = lazy(r"[IWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)(?:\.\d{1,9})? +\d{1,9} ([\w./-]{1,128}):\d{1,6}\] ?")
_INNER = lazy(r'\t?(?:\{"|[IWEF]\d{4} \d\d:|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [A-Z] \| |time=")')


def _near(now: datetime, month: int, day: int, hour: int, minute: int, second: int) -> datetime | None:
    """Complete a time without a year: the latest one that is not more than a day ahead of ``now``."""
    for year in (now.year, now.year - 1):
        try:
            at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=now.tzinfo or timezone.utc)
        except ValueError:
            continue
        if at - now < timedelta(days=1):
            return at
    return None


def _json(row: str) -> Obj:
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _stamp(words: str) -> datetime | None:
    if re.search(r"[+-]\d{4}\Z", words):
        words = f"{words[:-2]}:{words[-2:]}"
    if re.match(r"\d{4}-\d\d-\d\d \d\d:", words):
        words = words.replace(" ", "T", 1)
    if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.,]+", words):
        words += "Z"
    return parse_time(words.replace(",", "."))


def _journal_json(row: str) -> Line | None:
    entry = _json(row)
    message = entry.get("MESSAGE")
    if isinstance(message, list):  # systemd writes bytes that are no text as numbers
        message = bytes(b for b in message if isinstance(b, int) and 0 <= b < 256).decode("utf-8", "replace")
    if not isinstance(message, str):
        return None
    micros = text(entry, "__REALTIME_TIMESTAMP")
    at = None
    if micros.isdecimal() and len(micros) <= 17:
        at = datetime.fromtimestamp(int(micros) / 1e6, timezone.utc)
    unit = text(entry, "SYSLOG_IDENTIFIER") or text(entry, "_SYSTEMD_UNIT").removesuffix(".service")
    return Line(message, at, text(entry, "_HOSTNAME"), unit, zoned=True)


def _once(line: Line, now: datetime) -> Line | None:
    """Take one layer off; None when there is none."""
    row = line.text
    if row.startswith("[pod/") and (found := _PREFIX.match(row)):
        return replace(line, text=row[found.end() :], unit=line.unit or found[2])
    if row.startswith('{"'):
        if row.startswith('{"log":'):
            entry = _json(row)
            if isinstance(entry.get("log"), str):
                return replace(
                    line, text=text(entry, "log").rstrip("\n"), at=parse_time(text(entry, "time")) or line.at
                )
        if '"MESSAGE"' in row and (inner := _journal_json(row)) is not None:
            return inner
        return None
    first = row[:1]
    if first.isdigit():
        if found := _CRI.match(row):
            return replace(line, text=row[found.end() :], at=parse_time(found[1]) or line.at)
        if found := _STAMP.match(row):
            return replace(line, text=row[found.end() :], at=parse_time(found[1]) or line.at)
        if found := _ISO.match(row):
            return Line(row[found.end() :], _stamp(found[1]), found[2], found[3], zoned=True)
    if found := _SHORT.match(row):
        at = _near(now, _MONTHS[found[1]], *(int(found[i]) for i in (2, 3, 4, 5)))
        return Line(row[found.end() :], at, found[6], found[7], at)
    if found := _FULL.match(row):
        return Line(row[found.end() :], (at := _stamp(found[1])), found[2], found[3], at)
    if found := _TALOS.match(row):
        return replace(
            line, text=row[found.end() :], host=line.host or found[1] or found[2], unit=line.unit or TALOSCTL
        )
    if found := _TALOS_KERNEL.match(row):
        return replace(line, text=row[found.end() :], at=parse_time(found[1]) or line.at, unit="kernel")
    if found := _DMESG.match(row):
        return replace(line, text=row[found.end() :], unit="kernel")
    if (found := _DMESG_T.match(row)) and found[1] in _MONTHS:
        words = f"{found[6]}-{_MONTHS[found[1]]:02d}-{int(found[2]):02d}T{found[3]}:{found[4]}:{found[5]}Z"
        return replace(line, text=row[found.end() :], at=parse_time(words) or line.at, unit="kernel")
    return _logrus(line)


def _logrus(line: Line) -> Line | None:
    """Unwrap the message of a logrus line that carries another program's line."""
    if not line.text.startswith("time="):
        return None
    found = _LOGRUS.match(line.text)
    if found is None:
        return None
    component = _COMPONENT.search(found[4])
    message = found[3]
    if message.startswith('"'):
        try:
            message = json.loads(message, strict=False)
        except ValueError:
            message = message[1:-1].replace('\\"', '"').replace("\\t", "\t")
    if component is None and not _INNER.match(message):
        return None
    unit = component[1] if component else line.unit
    return replace(line, text=message.strip(), at=line.at or _stamp(found[1]), unit=unit)


def peel(row: str, now: datetime) -> Line:
    """Take every layer off one line; ``now`` completes times without a year."""
    line = Line(row[:MAX_LINE].rstrip("\r\n"))
    for _ in range(4):
        inner = _once(line, now)
        if inner is None:
            break
        line = inner
    at, zoned = _own_time(line.text, now)
    # A wrapping that names the zone is worth more than a header that does not.
    return line if at is None or (line.at is not None and not zoned) else replace(line, at=at, zoned=zoned)


def _own_time(row: str, now: datetime) -> tuple[datetime | None, bool]:
    """Return the time in the program's own header (klog's, logrus's or zap's), and whether it names its zone."""
    if klog := KLOG.match(row):
        return _near(now, *(int(klog[i]) for i in (1, 2, 3, 4, 5))), False
    stamp = _OWN.match(row) if not row.startswith("{") else _OWN_JSON.search(row[:400])
    if stamp is None:
        return None, False
    return _stamp(stamp[1]), bool(re.search(r"(?:Z|[+-]\d\d:?\d\d)\Z", stamp[1]))


_OWN = lazy(r'(?:time=")?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)(?=["\s])')
_OWN_JSON = lazy(r'"(?:ts|time|timestamp)": ?"([^"]{10,40})"')


def peeled(content: str, now: datetime) -> Iterator[Line]:
    """Yield the lines of a log that say something, peeled; of a very long log only the end.

    Times without a zone are moved to UTC where any line of the log shows how far its machine's zone is from it.
    """
    rows = [peel(row, now) for row in re.split(r"\r?\n|\r", content[-MAX_BYTES:])[-MAX_LINES:] if row.strip()]
    offset = _zone(rows, now)
    for line in rows:
        yield line if line.zoned or line.at is None or not offset else replace(line, at=line.at - offset)


_QUARTER = timedelta(minutes=15)


def _zone(rows: list[Line], now: datetime) -> timedelta:
    """Return how far the zone of a log's machine is from UTC: by a line with two times, or by times in the future."""
    for line in rows:
        if line.zoned and line.local is not None and line.at is not None:
            return round((line.local - line.at) / _QUARTER) * _QUARTER
    newest = max((line.at for line in rows if line.at is not None and not line.zoned), default=now)
    return -((now - newest) // _QUARTER) * _QUARTER if newest - now > timedelta(minutes=1) else timedelta()


def message_of(row: str) -> str:
    """Return the message of a logrus line, else the line itself."""
    found = _LOGRUS.match(row) if row.startswith("time=") else None
    if found is None:
        return row
    quoted = len(found[3]) > 1 and found[3].startswith('"')
    return found[3][1:-1].replace('\\"', '"') if quoted else found[3]
