"""Errors in log entries written as JSON objects."""

from __future__ import annotations

from kubetriage.readers.logs.levels import LEVEL_KEYS, MONGO_LEVELS, weight_of_level
from kubetriage.readers.logs.text import MAX_LINE, LastError, Log, Weight, read_json, with_cause
from kubetriage.records import replace
from kubetriage.values.fields import Obj, dig, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time

# Names of fields in JSON log lines, by the libraries and platforms that write them.
_MESSAGE_KEYS = (
    "msg", "message", "@m", "RenderedMessage", "@mt", "MessageTemplate", "Message", "event", "textPayload",
    "short_message", "State.Message", "MESSAGE", "log", "body", "@message",
)  # fmt: skip
_STACK_KEYS = (
    "stack_trace", "stacktrace", "stack", "exc_info", "@x", "exception", "Exception", "error.stack_trace", "traceback",
    "trace", "exc_text", "stackTrace", "errorVerbose",
)  # fmt: skip


def read_json_error(log: Log, at: int, body: str) -> LastError | None:
    """Read a JSON log line of level error or worse (zap, slog, pino, bunyan, logrus, ECS, GCP, Serilog, Python)."""
    if '"' not in body:
        return None
    entry = read_json(body)
    if not entry:
        return None
    levels = (
        *(entry.get(k) for k in LEVEL_KEYS if k != "s"),
        dig(entry, "log", "level"),
        MONGO_LEVELS.get(text(entry, "s")),
    )
    level = next((v for v in levels if v not in (None, "", {})), None)
    weight = weight_of_level(level)
    if "PRIORITY" in entry and level == entry["PRIORITY"]:
        weight = _SYSLOG.get(str(level), "")
    words = _first_text(entry, *_MESSAGE_KEYS)
    cause, name, stack = _json_cause(entry)
    if not weight:
        return _wrapped(log, at, words) or _routine_with_error(log, at, entry, words, cause, name)
    path = text(entry, "attr", "path") if isinstance(entry.get("attr"), dict) else ""
    if path and path not in f"{words} {cause}":
        words = f"{words} {path}"  # MongoDB names the file beside its message
    language = "json"
    if "\n" in stack:
        inner = log.nested(stack)
        if inner is not None and inner.weight != "weak" and (inner.name or inner.language != "text"):
            language = inner.language
            # An own code (ECONNREFUSED) says more than a bare "Error".
            name = name if name and inner.name in ("", "Error") else inner.name or name
            if not cause or cause not in inner.summary:
                cause = inner.summary
    if isinstance(level, (int, float)):
        language = "node" if language == "json" else language
    if words.lstrip().startswith(("Traceback", "Exception in thread")) or "\n" in words:
        inner = log.nested(words)
        if inner is not None:
            words, name, language = inner.summary, inner.name or name, inner.language
    summary = with_cause(words, cause) or body
    rows = [with_cause(words, cause), *stack.split("\n")[:20]] if stack else [body[:2000]]
    found = log.error(at, at + 1, language, weight, summary, name, tuple(r[:2000] for r in rows if r))
    stamp = _first_text(entry, "ts", "time", "timestamp", "@timestamp", "@t", "Timestamp", "asctime")
    return replace(found, time=stamp) if not found.time and parse_time(stamp) else found


# Levels of syslog, which journald keeps as PRIORITY.
_SYSLOG: dict[str, Weight] = {"0": "fatal", "1": "fatal", "2": "fatal", "3": "error"}
# How PostgreSQL goes on after the line with the error.
_EXPLAINS = lazy(r"\b(?:DETAIL|HINT|CONTEXT):  ?")


def _wrapped(log: Log, at: int, words: str) -> LastError | None:
    """Read an error in the message of an entry without a level, or of one that only passes on another's output."""
    if not words:
        return None
    inner = log.nested(words)
    if inner is None or inner.weight == "weak":
        return None
    end = at + 1
    summary, rows = inner.summary, [*inner.lines]
    while end < len(log.lines) and end - at < 6:
        more = _first_text(read_json(log.body(end)), *_MESSAGE_KEYS)
        explains = _EXPLAINS.search(more)
        if explains is None:
            break
        rows.append(more)
        summary = f"{summary.rstrip('.')}. {more[explains.start() :]}"
        end += 1
    return log.error(at, end, inner.language, inner.weight, summary, inner.name, tuple(r[:2000] for r in rows))


def _routine_with_error(log: Log, at: int, entry: Obj, words: str, cause: str, name: str) -> LastError | None:
    """Read an entry of level info (MongoDB) that carries the words of an error beside its message."""
    if not cause or not _first_text(
        entry, "attr.error.errmsg", "attr.error", "attr.reason", "err.message", "error.message"
    ):
        return None
    return log.error(at, at + 1, "json", "weak", with_cause(words, cause), name)


def _json_cause(entry: Obj) -> tuple[str, str, str]:
    """Return the error that an entry carries beside its message: its words, its class or code, its stack trace."""
    cause, name, stack = "", "", _first_text(entry, *_STACK_KEYS)
    for key in ("err", "error", "exception", "Exception", "thrown", "cause", "reason"):
        value = entry.get(key)
        if isinstance(value, str) and "\n" not in value and value:
            cause = cause or value
        elif isinstance(value, dict):
            cause = cause or _first_text(value, "message", "msg", "exception_message", "Message", "detail")
            name = name or _first_text(value, "code", "type", "name", "class", "exception_class", "ClassName")
            stack = stack or _first_text(
                value, "stack", "stack_trace", "stacktrace", "StackTraceString", "extendedStackTrace"
            )
    inner = dig(entry, "attr", "message")
    if isinstance(inner, dict):
        # WiredTiger's own entry, which MongoDB wraps.
        cause = cause or with_cause(_first_text(inner, "msg"), _first_text(inner, "error_str"))
    cause = cause or _first_text(
        entry,
        "attr.error",
        "attr.error.errmsg",
        "attr.reason",
        "error.message",
        "exception.message",
        "err.message",
        "errorMessage",
    )
    return cause, name or _first_text(entry, "error.type", "exception.type", "error.code", "code", "errorType"), stack


def _first_text(entry: Obj, *keys: str) -> str:
    for key in keys:
        value = entry.get(key)
        if value is None and "." in key:
            value = dig(entry, *key.split("."))
        if isinstance(value, str) and value:
            return value[:MAX_LINE]
    return ""


def message_of(row: str) -> str:
    """Return the words of a log line that is a JSON object; any other line as it stands."""
    if not (row.startswith("{") and row.endswith("}")):
        return row
    return _first_text(read_json(row), *_MESSAGE_KEYS) or row
