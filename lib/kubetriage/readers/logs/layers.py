"""The outer layers of a log line: what runtimes, journals, collectors and viewers put around a program's words.

One peeler for every reader of logs. It takes off journal and syslog prefixes, CRI and docker's json-file, the stamps
of ``kubectl logs --timestamps``, the names of ``--prefix``, stern and talosctl, the JSON of CloudWatch, Loki and
fluent-bit, and the logfmt that k0s wraps around its components. What is left is the program's own line.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from kubetriage.records import dataclass, replace
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, text
from kubetriage.values.patterns import lazy

MAX_LAYERS = 4
"""Layers of one line that are taken off; a journal of a runtime's log of a collector's line has three."""
_SAMPLE = 200
"""Lines that are looked at to see what all of them begin with."""

_CRI = lazy(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (?:stdout|stderr) ([FP])(?: |\Z)")
"""CRI log format: RFC 3339 time, stream, F(ull) or P(artial)."""
_STAMP = lazy(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) ?")
"""``kubectl logs --timestamps`` writes the time alone, always with nine digits."""
_PREFIX = lazy(r"\[pod/([^\]/]{1,253})/([^\]]{1,63})\] ")
# journalctl's short, short-precise and syslog's RFC 3164; short-iso and RFC 5424's time.
_SHORT = lazy(
    r"(?:<\d{1,3}>)?[A-Z][a-z]{2} [ 0-3]\d \d\d:\d\d:\d\d(?:\.\d{1,6})? ([\w.-]{1,253}) "
    r"([\w./@()-]{1,100}?)(?:\[\d{1,9}\])?: ?"
)
_ISO = lazy(
    r"(?:<\d{1,3}>(?:1 )?)?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)) ([\w.-]{1,253}) "
    r"([\w./@()-]{1,100}?)(?:\[\d{1,9}\])?: ?"
)
_TALOS = lazy(
    r"(\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){2,7}): (?=\S)"
    r"|([a-z][\w.-]{0,252}): (?=\{\"|[IWEF]\d{4} \d\d:|time=\"|\d{4}-\d\d-\d\d[T ]\d\d:)"
)
_K0S = lazy(r"time=\"([^\"]{1,40})\" level=\w{1,10} msg=\"((?:[^\"\\]|\\.){0,16000})\" component=\"?([\w-]{1,60})\"?")
_STERN = lazy(r"([a-z0-9][a-z0-9.-]{2,252}) (?:› )?([a-z0-9][a-z0-9-]{0,62}) (?:[│|›] )?(?=.)")
_INNER = lazy(r"\{|[IWEF]\d{4} \d\d:|\d{4}[-/]\d\d[-/]\d\d")
_WRAPPERS = frozenset(
    (
        *("kubernetes", "stream", "docker", "container_name", "attrs", "labels", "resource"),
        *("_HOSTNAME", "__REALTIME_TIMESTAMP", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER"),
        *("logStream", "logStreamName", "logGroup", "ingestionTime", "eventId", "insertId", "receiveTimestamp"),
    )
)
"""Keys that collectors put beside the line; a program's own JSON has none of them beside ``log`` or ``message``."""
_MESSAGES = ("log", "MESSAGE", "message", "line", "textPayload", "Message")


@dataclass(frozen=True)
class Peeled:
    """A line without its outer layers."""

    body: str
    time: str = ""
    """RFC 3339 time of the innermost layer that has one."""
    partial: bool = False
    """The runtime cut the line here; the next one goes on."""
    host: str = ""
    program: str = ""
    """Identifier in a journal, or the component that k0s names."""
    pod: str = ""
    container: str = ""
    namespace: str = ""


# logcli's default output: a time, the labels of the stream, the line.
_LOGCLI = lazy(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) \{(\w{1,60}=\"[^\"]{0,300}\""
    r"(?:, \w{1,60}=\"[^\"]{0,300}\"){0,40})\}(?: |\Z)"
)
_LABEL = lazy(r"(\w{1,60})=\"([^\"]{0,300})\"")
_OF_POD = ("pod", "pod_name", "kubernetes_pod_name", "k8s_pod_name")
_OF_CONTAINER = ("container", "container_name", "kubernetes_container_name", "k8s_container_name")
_OF_NAMESPACE = ("namespace", "namespace_name", "kubernetes_namespace_name", "k8s_namespace_name")
# A row of an export as CSV: a time with three digits behind a dot, then cells; Python's logging has a comma there.
_CSV = lazy(r"\"?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d{3}Z?\"?,(?=[^\s\d])")


def _labels(words: str) -> tuple[str, str, str]:
    """Return pod, container and namespace by the labels of a stream."""
    told = {m[1]: m[2] for m in _LABEL.finditer(words)}
    pod, container, namespace = (
        next((told[key] for key in keys if told.get(key)), "") for keys in (_OF_POD, _OF_CONTAINER, _OF_NAMESPACE)
    )
    return pod, container, namespace


def peel(row: str) -> Peeled:
    """Take the outer layers off one line that holds no control characters."""
    body, time, partial, host, program, pod, container, namespace = row, "", False, "", "", "", "", ""
    for _ in range(MAX_LAYERS):
        first = body[:1]
        if first == "[" and body.startswith("[pod/") and (prefix := _PREFIX.match(body)) is not None:
            pod, container, body = prefix[1], prefix[2], body[prefix.end() :]
        elif first == '"' and _CSV.match(body) is not None:
            body = _last_cell(body)
        elif first == "{":
            inner = _unwrapped(body)
            if inner is None:
                break
            body, time, host, program = inner.body, inner.time or time, inner.host or host, inner.program or program
            pod, container = inner.pod or pod, inner.container or container
            namespace = inner.namespace or namespace
        elif first.isdigit():
            if (cri := _CRI.match(body)) is not None:
                time, partial, body = cri[1], cri[2] == "P", body[cri.end() :]
            elif (logcli := _LOGCLI.match(body)) is not None:
                time, body = logcli[1], body[logcli.end() :]
                pod, container, namespace = _labels(logcli[2])
            elif _CSV.match(body) is not None:
                body = _last_cell(body)
            elif (stamp := _STAMP.match(body)) is not None:
                time, body = stamp[1], body[stamp.end() :]
            elif (iso := _ISO.match(body)) is not None:
                time, host, program, body = iso[1], iso[2], iso[3], body[iso.end() :]
            elif (talos := _TALOS.match(body)) is not None:
                host, body = talos[1] or talos[2], body[talos.end() :]
            else:
                break
        elif (first.isupper() or first == "<") and (short := (_SHORT.match(body) or _ISO.match(body))) is not None:
            # The time of the short form has neither a year nor a zone.
            names = short.groups()
            host, program, body = names[-2], names[-1], body[short.end() :]
        elif (
            body.startswith('time="')
            and (k0s := _K0S.match(body)) is not None
            and _INNER.match(k0s[2].replace('\\"', '"'))
        ):
            program, body = k0s[3], _unescaped(k0s[2])
        elif first.islower() and (talos := _TALOS.match(body)) is not None:
            host, body = talos[1] or talos[2], body[talos.end() :]
        else:
            break
    return Peeled(body, time, partial, host, program, pod, container, namespace)


def _last_cell(row: str) -> str:
    """Return the last cell of a row of CSV, where exports have the message; a row that is none as it is."""
    try:
        cells = next(csv.reader([row], strict=True))
    except (csv.Error, StopIteration):
        return row.partition(",")[2]
    return cells[-1]


def peel_rows(rows: Sequence[str]) -> list[Peeled]:
    """Take the outer layers off all lines of one log; names that stern puts before each line are known by all."""
    common = _common_names(rows)
    out = []
    for row in rows:
        if common and row.startswith(common):
            match = _STERN.match(row)
            if match is not None:
                inner = peel(row[match.end() :])
                out.append(replace(inner, pod=match[1], container=match[2]))
                continue
        out.append(peel(row))
    return out


def _common_names(rows: Sequence[str]) -> tuple[str, ...]:
    """Return the names of pod and container with which nearly all lines begin; empty when they do not."""
    counts: Counter[str] = Counter()
    seen = 0
    for row in rows[:_SAMPLE]:
        if not row.strip():
            continue
        seen += 1
        match = _STERN.match(row)
        if match is not None and "-" in match[1]:
            counts[f"{match[1]} "] += 1
    return tuple(counts) if seen >= 2 and sum(counts.values()) >= 0.9 * seen and len(counts) <= 20 else ()


def _unescaped(words: str) -> str:
    try:
        return str(json.loads(f'"{words}"'))
    except ValueError:
        return words.replace('\\"', '"').replace("\\\\", "\\")


def _unwrapped(row: str) -> Peeled | None:
    """Return what a collector's or docker's JSON holds; None when the JSON is the program's own."""
    if not any(f'"{key}"' in row for key in _MESSAGES):
        return None
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        return None
    return _from_object(value) if isinstance(value, Mapping) else None


def _from_object(value: Obj) -> Peeled | None:
    key = next((k for k in _MESSAGES if isinstance(value.get(k), str)), "")
    docker = key == "log" and set(value) <= {"log", "stream", "time", "attrs", "logtag"}
    if not key or not (
        docker or _WRAPPERS & set(value) or set(value) <= {"timestamp", "message", "ingestionTime", "line", "ts"}
    ):
        return None
    place = value.get("kubernetes")
    moment = text(value, "time") or text(value, "@timestamp") or text(value, "timestamp")
    return Peeled(
        text(value, key).rstrip("\n"),
        moment,
        host=text(value, "_HOSTNAME"),
        program=text(value, "SYSLOG_IDENTIFIER") or text(value, "_SYSTEMD_UNIT").removesuffix(".service"),
        pod=text(place, "pod_name") or text(place, "pod", "name"),
        container=text(place, "container_name") or text(place, "container", "name"),
        namespace=text(place, "namespace_name") or text(place, "namespace"),
    )


def exported_rows(content: str) -> list[str] | None:
    """Return the lines in one JSON document that a log store exports (CloudWatch, Loki); None when it is none."""
    head = content.lstrip()[:1]
    if head not in ("{", "["):
        return None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    rows: list[str] = []
    items: Any = value
    if isinstance(value, Mapping):
        items = value.get("events") or value.get("results") or value.get("entries")
        result = value.get("data")
        streams = result.get("result") if isinstance(result, Mapping) else None
        for stream in streams if isinstance(streams, list) else ():
            pairs = stream.get("values") if isinstance(stream, Mapping) else None
            rows += [str(p[1]) for p in pairs if isinstance(p, list) and len(p) > 1] if isinstance(pairs, list) else []
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping) and (key := next((k for k in _MESSAGES if isinstance(item.get(k), str)), "")):
            rows += str(item[key]).rstrip("\n").split("\n")
        elif isinstance(item, list):
            rows += [
                str(f["value"])
                for f in item
                if isinstance(f, Mapping) and f.get("field") == "@message" and "value" in f
            ]
    return rows or None


_JOURNAL_JSON = lazy(r"\{.{0,4000}\"(?:__REALTIME_TIMESTAMP|_HOSTNAME|_SYSTEMD_UNIT)\"")
_KERNEL = lazy(
    r"(?:kern: +\w+: )?\[ {0,8}\d{1,9}\.\d{6}\](?:\[[ T]{0,6}\d{1,9}\])? "
    r"|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] "
)
_TALOS_MACHINE = lazy(r"\S{1,45}: (?:kern|user|daemon|syslog): +\w+: \[")


def is_journal_line(row: str) -> bool:
    """Tell whether a line is a machine's own: of a journal, a syslog file, or the kernel's ring buffer."""
    bare = row.lstrip()
    return bool(
        _SHORT.match(bare)
        or _ISO.match(bare)
        or _KERNEL.match(bare)
        or _TALOS_MACHINE.match(bare)
        or (bare[:1] == "{" and _JOURNAL_JSON.match(bare))
    )


def is_etcd_line(body: str) -> bool:
    """Tell whether a program's line is etcd's: its JSON, or the text form of etcd 3.4."""
    if body.startswith("{"):
        return bool(_ETCD_JSON.search(body[:400]))
    return bool(_ETCD_TEXT.match(body))


_ETCD_PARTS = (
    "etcdserver|etcdmain|wal|mvcc|raft|rafthttp|embed|v3rpc|traceutil|membership|snap|backend|auth|lease|schema|fileutil"
    "|cindex|flags|osutil|netutil|httputil|txn|verify|pkg"
)
_ETCD_JSON = lazy(rf"\"caller\":\"(?:{_ETCD_PARTS})[/.]")
_ETCD_TEXT = lazy(rf"(?:\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3,9}} )?[IWECN] \| (?:{_ETCD_PARTS})[:/]")
