"""Levels of log lines: by name, by number, in the forms of log libraries, of klog and of logfmt."""

from __future__ import annotations

from kubetriage.readers.logs.text import Weight, read_json, read_lines
from kubetriage.typed import Any, Literal
from kubetriage.values.patterns import lazy

_FATAL_LEVELS = frozenset(
    ("fatal", "ftl", "fata", "critical", "crit", "panic", "emerg", "emergency", "alert", "dpanic")
)
_ERROR_LEVELS = frozenset(("error", "err", "erro", "severe", "eror"))
_OTHER_LEVELS = frozenset(
    (
        "warn",
        "warning",
        "wrn",
        "info",
        "inf",
        "information",
        "notice",
        "debug",
        "dbg",
        "trace",
        "verbose",
        "log",
        "hint",
    )
)


MONGO_LEVELS = {"F": "fatal", "E": "error"}
"""Severities of MongoDB's structured log (field ``s``)."""


def weight_of_level(level: Any) -> Weight | Literal[""]:
    """Read a level by name or by number (bunyan and pino: 50 error, 60 fatal)."""
    if isinstance(level, (int, float)) and not isinstance(level, bool):
        return "fatal" if level >= 60 else "error" if level >= 50 else ""
    name = str(level).strip().lower() if isinstance(level, str) else ""
    if name in _FATAL_LEVELS:
        return "fatal"
    return "error" if name in _ERROR_LEVELS else ""


# The level of a text line stands near its beginning: after a time, a process, a thread or a logger, in upper case,
# in brackets, or first with a colon (logback, log4j, java.util.logging, Python logging, gunicorn, uvicorn, zap
# console, zerolog, logrus on a terminal, Serilog, tracing, env_logger, Ruby Logger, PostgreSQL, MySQL, Envoy).
LEVEL = lazy(
    r"(?:\A|[\s\[|:<(.,-])\[?"
    r"(FATAL|CRITICAL|CRIT|EMERG|ALERT|PANIC|SEVERE|ERROR|ERR|FTL|FATA|ERRO|WARNING|WARN|WRN|INFO|INF|NOTICE"
    r"|DEBUG|DBG|TRACE|LOG)"
    r"(?:\[\d{1,6}\])?(?=[\s\]|:>),]|-|\Z|/\w)(?:/[\w-]{1,60})?\]?[:|]?"
)
LOWER_LEVEL = lazy(
    r"(?:\A|[\s\]])(?:\[(?:\w{1,20}:)?(fatal|critical|crit|emerg|alert|panic|error|err|warning|warn|info|notice"
    r"|debug|trace)\]:?"
    r"|(?<![^\s\]])(fatal|critical|crit|error|fail|warn|info|dbug|trce):(?=[ \[A-Z]|\Z)"
    # Between tabs: Istio, and zap's console form in small letters.
    r"|(?<=\t)(fatal|panic|error|warn|info|debug)(?=\t)"
    # ClickHouse.
    r"|<(Fatal|Critical|Error|Warning|Notice|Information|Debug|Trace)>)"
)
KLOG = lazy(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d{1,6}\s{1,8}\d{1,10} ([\w./-]{1,100}:\d{1,6})\] ?")
LOG_LINE = lazy(
    r"[\[({\"]{0,2}(?:\d{4}[-/]\d\d[-/]\d\d|\d\d:\d\d:\d\d|[IWEF]\d{4} |time=|ts=|level=|INFO|WARN|DEBUG|ERROR)"
)
LOGFMT_LEVEL = lazy(r"(?:\A|\s)(?:level|lvl|severity|@level)=\"?([A-Za-z]{3,11})\"?(?=\s|\Z)")


def level_of(row: str) -> str:
    """Return ``fatal``, ``error``, ``other`` or nothing: the level of a text line."""
    head = row[:200]
    klog = KLOG.match(head)
    if klog is not None:
        return {"F": "fatal", "E": "error"}.get(klog[1], "other")
    logfmt = LOGFMT_LEVEL.search(head)
    found = logfmt[1] if logfmt else None
    if found is None:
        match = LEVEL.search(head)
        lower = LOWER_LEVEL.search(head)
        if match is not None and (lower is None or match.start() <= lower.start()):
            found = match[1]
        elif lower is not None:
            found = (lower[1] or lower[2] or lower[3] or lower[4]).replace("fail", "error")
    if found is None:
        return ""
    return weight_of_level(found) or ("other" if found.lower() in _OTHER_LEVELS or found in ("dbug", "trce") else "")


def understood(content: str) -> bool:
    """Tell whether a log has lines whose level was read, so that the absence of errors in it means something."""
    for line in read_lines(content[-64 * 1024 :]):
        row = line.body
        if level_of(row):
            return True
        if row.startswith("{") and any(key in read_json(row) for key in LEVEL_KEYS):
            return True
    return False


# Names of the field that holds the level in JSON log lines, by the libraries and platforms that write them: zap, slog,
# pino, bunyan, logrus, ECS, GCP, Serilog, structlog, python-json-logger, log4j, journald, syslog, MongoDB.
LEVEL_KEYS = (
    "level", "severity", "log.level", "lvl", "@l", "Level", "levelname", "@level", "LogLevel", "loglevel", "PRIORITY",
    "level_name", "levelName", "severity_text", "SeverityText", "severityText", "log_level", "logLevel", "s",
)  # fmt: skip
