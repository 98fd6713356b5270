"""What a program said: its last error, the addresses it failed to reach, where it listens, how long it started.

Logs come without a declared format, so each function knows the forms that language runtimes and common logging
libraries write, and leaves everything else alone. Text is data from outside: lines are cut to a bound, every
pattern is linear, nothing raises. Nothing here is redacted; what is shown passes ``redact.clean``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from kubetriage.fields import Obj, dig, text
from kubetriage.patterns import lazy
from kubetriage.redact import strip_controls
from kubetriage.times import parse_time

MAX_BYTES = 512 * 1024
"""Only the end of a longer log is read."""
MAX_LINES = 20_000
_MAX_LINE = 16 * 1024
_MAX_BLOCK = 60
_MAX_SUMMARY = 600

Weight = Literal["fatal", "error", "weak"]
"""``fatal``: the program or its runtime says that it ends because of this; ``error``: logged as an error, or a
stack trace; ``weak``: a line in plain words that tells of a failure."""


@dataclass(frozen=True)
class LastError:
    """The error that a program ended with, in its own words."""

    language: str
    """``java``, ``python``, ``node``, ``go``, ``dotnet``, ``ruby``, ``rust``, ``php``, ``perl``, ``elixir``,
    ``cpp``, ``shell``, ``nginx``; the form of the line for logs without a language: ``json``, ``logfmt``, ``text``."""
    weight: Weight
    summary: str
    """The line that says what went wrong: the end of a chain of causes where there is one."""
    lines: tuple[str, ...]
    """What belongs to it, bounded; the head of the chain first."""
    name: str = ""
    """Class of the exception or code of the error, where the program gives one."""
    time: str = ""
    """RFC 3339 time, where the line carries one with a zone."""
    at: int = 0
    """Number of its first line in the text, from 0."""
    end: int = 0
    """Number of the first line after it."""
    trailing: int = 0
    """How many lines with other matter follow it."""


@dataclass(frozen=True)
class Address:
    """An address that a program could not use."""

    host: str
    """Name or IP address without brackets; empty when the line names none."""
    port: int | None
    kind: Literal["refused", "timeout", "unresolved", "reset", "unreachable", "unauthorized", "failed"]
    """``failed``: only that it failed is said, not why."""
    line: str
    """The line that says so."""
    at: int
    """Number of that line in the text, from 0; the last one where several say so."""
    times: tuple[int, ...] = ()
    """Numbers of all lines that say so, bounded to the last fifty."""


@dataclass(frozen=True)
class Listener:
    """An address that a program says it listens on."""

    host: str
    """``*`` for all interfaces, empty when the line names only a port."""
    port: int
    line: str

    @property
    def loopback(self) -> bool:
        """Only processes of the same pod can connect."""
        return self.host == "localhost" or self.host == "::1" or self.host.startswith("127.")


@dataclass(frozen=True)
class _Line:
    """One line without the prefixes that runtimes and ``kubectl logs`` put before it."""

    body: str
    time: str
    """As the prefix or the line itself gives it."""


# -- Lines ------------------------------------------------------------------------------------------------------

# CRI log format: RFC 3339 time, stream, F(ull) or P(artial); kubectl --timestamps writes the time alone.
_CRI = lazy(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (?:(?:stdout|stderr) ([FP])(?: |\Z))")
_STAMP = lazy(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) ?")
_PREFIX = lazy(r"\[pod/[^\]/]{1,253}/[^\]]{1,63}\] ")  # kubectl logs --prefix
_OWN_TIME = lazy(
    r"[\[\"{(]{0,2}(?:\"?(?:time|ts|timestamp|@timestamp|@t)\"?[=:] ?\"?)?"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)"
)


def _lines(content: str) -> list[_Line]:
    """Split the end of a log; lines written in parts (CRI) are joined."""
    content = content[-MAX_BYTES:]
    if "\\u001b" in content:
        content = content.replace("\\u001b", "\x1b")
    rows = strip_controls(content).split("\n")[-MAX_LINES:]
    if rows and not rows[-1]:
        rows.pop()
    out: list[_Line] = []
    part = ""
    for raw in rows:
        row, stamp = raw[:_MAX_LINE], ""
        if row.startswith("[pod/"):
            row = _PREFIX.sub("", row, count=1)
        cri = _CRI.match(row)
        if cri is not None:
            stamp, row = cri[1], row[cri.end() :]
            if cri[2] == "P":
                part = (part + row)[:_MAX_LINE]
                continue
        elif (stamped := _STAMP.match(row)) is not None:
            stamp, row = stamped[1], row[stamped.end() :]
        elif row.startswith('{"log":'):  # Docker's json-file driver
            wrapped = _json(row)
            if isinstance(wrapped.get("log"), str):
                stamp, row = text(wrapped, "time"), strip_controls(text(wrapped, "log").rstrip("\n"))
        if part:
            row, part = part + row, ""
        out.append(_Line(row.rstrip(), stamp))
    if part:
        out.append(_Line(part.rstrip(), ""))
    return out


def bodies(content: str) -> tuple[str, ...]:
    """Return the lines of a log as the numbers in :class:`LastError` and :class:`Address` count them."""
    return tuple(line.body for line in _lines(content))


def _json(row: str) -> Obj:
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _time_of(line: _Line) -> str:
    """Return the time of a line if it has a zone."""
    if line.time:
        return line.time if parse_time(line.time) else ""
    own = _OWN_TIME.match(line.body[:80])
    if own is None:
        return ""
    stamp = own[1].replace(",", ".").replace(" UTC", "Z").replace("UTC", "Z")
    stamp = stamp[:10] + "T" + stamp[11:].replace(" ", "")
    return stamp if parse_time(stamp) else ""


# -- Levels -----------------------------------------------------------------------------------------------------

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


_MONGO_LEVELS = {"F": "fatal", "E": "error"}
"""Severities of MongoDB's structured log (field ``s``)."""


def _weight_of_level(level: Any) -> Weight | Literal[""]:
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
_LEVEL = lazy(
    r"(?:\A|[\s\[|:<(.,-])\[?"
    r"(FATAL|CRITICAL|CRIT|EMERG|ALERT|PANIC|SEVERE|ERROR|ERR|FTL|FATA|ERRO|WARNING|WARN|WRN|INFO|INF|NOTICE"
    r"|DEBUG|DBG|TRACE|LOG)"
    r"(?:\[\d{1,6}\])?(?=[\s\]|:>),]|-|\Z|/\w)(?:/[\w-]{1,60})?\]?[:|]?"
)
_LOWER_LEVEL = lazy(
    r"(?:\A|[\s\]])(?:\[(?:\w{1,20}:)?(fatal|critical|crit|emerg|alert|panic|error|err|warning|warn|info|notice"
    r"|debug|trace)\]:?"
    r"|(?<![^\s\]])(fatal|critical|crit|error|fail|warn|info|dbug|trce):(?=[ \[A-Z]|\Z))"
)
_KLOG = lazy(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d{1,6}\s{1,8}\d{1,10} ([\w./-]{1,100}:\d{1,6})\] ?")
# What may follow the level before the message: process, thread, logger, source position.
_AFTER_LEVEL = lazy(
    r"\s*(?:\d{1,7}\s+---\s+)?(?:\[[^\]]{0,120}\]\s*){0,4}(?:\([\w #:.-]{1,60}\)\s)?"
    r"(?:[A-Za-z_$][\w.$/<>-]{0,120}(?:\s*\[\d{1,6}\])?\s*(?:: | - |:(?=\s)))?"
    r"(?:[\w./-]{1,100}\.(?:go|rs|py|c|cc|cpp|js|ts):\d{1,6}:?\s)?[\s:|>)\]-]*"
)
_LOG_LINE = lazy(
    r"[\[({\"]{0,2}(?:\d{4}[-/]\d\d[-/]\d\d|\d\d:\d\d:\d\d|[IWEF]\d{4} |time=|ts=|level=|INFO|WARN|DEBUG|ERROR)"
)
_LOGFMT_LEVEL = lazy(r"(?:\A|\s)(?:level|lvl|severity|@level)=\"?([A-Za-z]{3,11})\"?(?=\s|\Z)")
_LOGFMT_FIELD = lazy(r"(?<!\S)([\w.@-]{1,64})=(\"(?:[^\"\\]|\\.){0,8192}\"?|\S{0,8192})")

# Wrappers that only repeat that a child failed; the child's own words are the error.
_WRAPPER = lazy(
    r"npm (?:ERR!|error)|npm (?:notice|warn|WARN)\b"
    r"|error Command failed|ELIFECYCLE|exit status \d+$|exited? with (?:code|status) \d+|make(?:\[\d+\])?: \*\*\* "
    r"|Node\.js v\d|BEGIN failed--|Compilation failed in require|note: run with `RUST_BACKTRACE"
    r"|bundler: failed to load command"
    r"|command terminated with|\(node:\d+\) \[DEP|Process exited|Backing off|non-zero (?:code|exit|status)"
    r"|Use `node --trace|Some errors have detailed explanations|A listener indicated an asynchronous",
)
_SHUTDOWN = lazy(
    r"shut(?:ting)?[ -]?down|stopping|stopped|exiting|terminat(?:ing|ed)|aborting|closing|closed|bye\b"
    r"|giving up|will exit|"
    r"graceful|worker failed to boot|destroy(?:ing|ed)",
    re.IGNORECASE,
)
# An error that only reports the end: a supervisor about its child, a program about its own start, a pointer to other
# output. The error before it says why.
_HOLLOW = lazy(
    r"exit(?:ed|s|ing)?(?: \w+){0,4} (?:code|status)[ :=]{1,2}\d+|did not exit normally|exited unexpectedly\Z"
    r"|(?:fail(?:ed|ure)|unable|could not|couldn't|cannot) to (?:start|boot|initiali[sz]e|launch|run|execute)\b[^:]*\Z"
    r"|initiali[sz]ation (?:failed|aborted)\b[^:]*\Z|(?:start-?up|boot) (?:failed|aborted)\b[^:]*\Z|\bBOOT FAILED\b"
    r"|terminated (?:unexpectedly|abnormally)|application run failed\Z"
    r"|\berror(?:\(s\)|s)? found in\b|\bunable to open logs\Z|could not read from remote repository"
    r"|\A(?:\([\w-]{1,40}\) )?(?:please )?(?:see|check|refer to|run|try|use|for more)\b"
    r".*(?:log|option|help|details|information|command)"
    r"|\A\W*(?:(?:a |an )?(?:fatal|critical|unrecoverable|unhandled|unexpected) )?(?:error|exception|failure)"
    r"(?: occurred)?\W*\Z|\A\W*\w+:\Z|\A\W*\Z",
    re.IGNORECASE,
)
# What programs append to the reason for which they end.
_ANY_URL = lazy(r"\bhttps?://\S+")
_GOODBYE = lazy(
    r"[\s,;:.(-]{1,3}(?:exiting|aborting|giving up|quitting|shutting down|terminating|stopping|bye)\b.{0,30}\Z",
    re.IGNORECASE,
)
# Words of failure in plain text, in the order of how often programs use them. Zero counts do not match.
_WEAK = lazy(
    r"\b(?:errors?|exception|failed|failure|fatal|cannot|can't|can not|could not|couldn't|unable to|denied|refused"
    r"|not found|no such|invalid|missing|abort(?:ed|ing)?|unrecognized|unknown (?:option|flag|command|argument)"
    r"|unexpected|does not exist|doesn't exist|is required|you (?:must|need to)|must be|forbidden|unauthorized"
    r"|not (?:set|defined|provided|specified|recogni[sz]ed|configured|supported|permitted|allowed)"
    r"|already (?:in use|running|exists|locked)|timed? ?out|undefined|no space left|expired|corrupt(?:ed)?|mismatch"
    r"|does not match|unsupported|illegal|bad|unreachable|exceeded|assertion"
    r"|segmentation fault|core dumped)\b",
    re.IGNORECASE,
)
_NOT_WEAK = lazy(
    r"\b(?:no|0|zero|without) (?:errors?|failures?|warnings?)\b|\berrors?[=:] ?(?:0|nil|null|none|false)\b"
    r"|\bfailed[=:] ?0\b"
    r"|\b0 failed\b|\berror[_ -]?(?:log|handler|page|reporting)s?\b",
    re.IGNORECASE,
)

# -- Stack traces -----------------------------------------------------------------------------------------------

_FRAME = lazy(
    r"\s+at (?=\S)|\s+\.\.\. \d+ (?:more|common frames omitted)|\s*--- End of |\s+#\d+ |\s+- locked |\s+\w+, called at "
)
_JAVA_FRAME = lazy(
    r"\s+at (?:[\w.$@/-]{1,200}/{1,2})?[\w$.<>-]{1,300}\((?:[\w$.-]{1,200}\.(?:java|kt|scala|groovy"
    r"|clj)(?::\d{1,7})?|Native Method|Unknown Source|<generated>)\)"
)
_NODE_FRAME = lazy(
    r"\s+at (?:.{0,300}\()?(?:file://|node:|/|[A-Za-z]:\\|internal/|<anonymous>|webpack|eval at).{0,400}"
)
_CLASS = r"(?:[A-Za-z_$][\w$]{0,80}\.){1,12}[A-Za-z_$][\w$]{0,120}"
_JAVA_HEAD = lazy(
    rf"(?:Exception in thread \"[^\"]{{0,120}}\" |Caused by: |Suppressed: |Wrapped by: )?({_CLASS})(?:: (.*))?\Z"
)
_JAVA_ANYWHERE = lazy(
    r"(?<![\w.$])((?:[a-z_][\w$]{0,60}\.){1,12}[A-Z][\w$]{0,120}(?:Exception|Error|Throwable|Failure))(?:: (.*))?\Z"
)
_CAUSED_BY = lazy(r"(\s*)(?:Caused by|Wrapped by): (.*)")
_DOTNET_INNER = lazy(r"\s*--->\s*(?:\(Inner Exception #\d+\) )?(.*)")
_DOTNET_HEAD = lazy(
    r"(?:Unhandled [Ee]xception[.:]\s*)?((?:[A-Z]\w{0,60}\.){1,10}[A-Z]\w{0,120}(?:Exception"
    r"|Error))(?: \([0-9A-Fa-fx, ]{1,40}\)){0,2}(?:: (.*))?\Z"
)
_ERROR_HEAD = lazy(
    r"(?:Uncaught )?((?:[A-Z][\w$]{0,60}(?:Error|Exception|Failure|Rejection|Warning)|Error"
    r"|Exception))(?: \[([A-Z][A-Z0-9_]{2,60})\])?(?:: (.*))?\Z"
)
_NODE_CAUSE = lazy(r"\s*\[?cause\]?: (.*)")
# A field of an object that Node prints after the frames, and what closes it.
_NODE_FIELD = lazy(r"\s+(?:['\"]?[\w$ -]{1,60}['\"]?|\[[\w ()]{1,60}\]): |\s*[\]})]{1,3},?\Z|\s+['\"\[{]")
_PY_EXCEPTION = lazy(r"((?:[A-Za-z_]\w{0,80}\.){0,8}[A-Za-z_]\w{0,80})(?:: (.*))?\Z")
_PY_CHAIN = lazy(r"(?:During handling of the above exception|The above exception was the direct cause)")
# pydantic, marshmallow: the fields follow on lines of their own.
_PY_LIST = lazy(r"\d+ validation errors? for ")
_RUBY_HEAD = lazy(r"(?:\S{1,400}:\d{1,7}:in [`'](?:.{0,200})': )(.{0,4000}?)(?: \(([A-Z][\w:]{0,120})\))?\Z")
_RUBY_ABORT = lazy(r"(?:rails|rake) aborted!\Z")
_RUST_PANIC = lazy(r"thread '[^']{0,80}' (?:\(\d+\) )?panicked at (?:'(.{0,4000})', )?(\S{1,400}?:\d+:\d+)?(:?)\s*\Z")
_GO_PANIC = lazy(r"(?:panic: |fatal error: |runtime: out of memory|unexpected fault address|SIG[A-Z]{3,6}: )")
_PHP = lazy(r"(?:\[[^\]]{1,60}\] )?(?:PHP )?(Fatal error|Parse error|Catchable fatal error|Core error): {1,4}(.*)")
_PERL = lazy(
    r".{1,2000} at \S{1,300} line \d{1,7}(?:, <\w{1,20}> (?:line|chunk) \d{1,9})?\.\Z|Can't locate \S+ in @INC"
)
_ELIXIR = lazy(r"\*\* \((\w[\w.]{0,100})\) (.*)")
# POSIX shells, busybox and coreutils: NAME: [line] N: WHAT: REASON (strerror).
_SHELL = lazy(
    r"(?:-?(?:ba|da|a|k|z)?sh|[\w./-]{1,100}\.sh|/\S{1,200}|[a-z][\w.-]{0,40}): (?:line )?(?:\d{1,6}: )?.{0,2000}?"
    r"(?:: |^)(?:not found|command not found|No such file or directory|Permission denied|Read-only file system"
    r"|Is a directory|Not a directory|Operation not permitted|No space left on device|bad substitution|unbound variable"
    r"|parameter not set|parameter null or not set|syntax error.{0,200}|Syntax error.{0,200}|Text file busy"
    r"|Exec format error"
    r"|cannot execute.{0,100}|unexpected operator|numeric argument required|Device or resource busy|File exists"
    r"|Connection refused)\Z"
)
_SPRING = lazy(r"APPLICATION FAILED TO START\Z")
_JVM_FATAL = lazy(
    r"Error: (?:Could not find or load main class|Unable to (?:access|initialize)|LinkageError"
    r"|Main method not found|A JNI error)"
    r"|Error occurred during initialization of (?:VM|boot layer)|Unrecognized VM option"
    r"|Error: Could not create the Java Virtual"
    r"|# A fatal error has been detected by the Java Runtime|Terminating due to java\.lang\.OutOfMemoryError"
    r"|# There is insufficient memory for the Java Runtime"
    r"|Exception: java\.lang\.\w+ thrown from the UncaughtExceptionHandler"
    r"|Invalid (?:maximum|initial) heap size|Conflicting collector|Unsupported major\.minor"
)
_NODE_FATAL = lazy(
    r"FATAL ERROR: |\[UnhandledPromiseRejection: |\(node:\d+\) UnhandledPromiseRejectionWarning: |#\s+Fatal error in "
)
_CPP_THROWN = lazy(r"terminate called after throwing an instance of '([^']{1,200})'")
_NGINX = lazy(r"(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d |nginx: )\[(emerg|alert|crit|error)\] (?:\d+#\d+: )?(?:\*\d+ )?(.*)")
# The help that flag, cobra, argparse, clap and picocli print with an error about their arguments.
_USAGE = lazy(r"(?:usage|Usage)(?: of [^:]{1,200})?:(?:\s|\Z)")
_NPM = lazy(r"npm (?:ERR!|error) ?(.*)")
# What npm says of itself around the words that matter; where a script failed, the script's own words matter.
_NPM_ROUTINE = lazy(
    r"(?:code|errno|syscall|path|dest|command|location|workspace|signal|enoent This is|To see a list|npm run|This is"
    r"|A complete log|Additional logging|\S*/_logs/|Your cache folder|previous versions of npm)\b|\Z"
)
_NPM_SCRIPT = lazy(r"Lifecycle script|ELIFECYCLE|command failed|Exit status|Failed at the|code \d+\Z")
# Collision (Laravel): class, message and place each in a paragraph; Symfony's console: "In File.php line 3:".
_CONSOLE_CLASS = lazy(r"\s{2,4}([A-Z]\w*(?:\\\w+)+|[A-Z]\w*(?:Exception|Error))\s*\Z")
_CONSOLE_FILE = lazy(r"(?:In|at) \S{1,200}\.php line \d{1,7}:\Z")
_BANNER = lazy(r"([*#!])\1{2,}\s+(\S.{0,200}?)\s+\1{3,}\Z")
_RECOVERED = lazy(r"goroutine \d{1,10} \[[^\]]{1,60}\]:\Z")
# A shell's ${NAME:?words}: SCRIPT: line N: NAME: words.
_SHELL_VARIABLE = lazy(r"\S{1,200}: (?:line )?\d{1,6}: [A-Za-z_]\w{1,80}: \S")
# strerror with its number first (APR, as in Apache httpd), curl with its exit code.
_NUMBERED = lazy(r"\(\d{1,3}\)[A-Z][a-z]|curl: \(\d{1,2}\) ")
# Redis: PID:role time level; "#" is a warning or worse, and there is no other.
_REDIS = lazy(r"\d{1,7}:[A-Z] \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} ([.*#-]) (.*)")
_GO_LOG = lazy(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d{6})? (?:[\w./-]{1,100}\.go:\d+: )?(.*)")


def _cut(summary: str) -> str:
    summary = summary.strip()
    return summary if len(summary) <= _MAX_SUMMARY else summary[: _MAX_SUMMARY - 1] + "…"


@dataclass
class _Log:
    """The lines of one log and a cursor over them."""

    lines: list[_Line]

    def body(self, at: int) -> str:
        return self.lines[at].body if 0 <= at < len(self.lines) else ""

    def block(self, at: int, end: int) -> tuple[str, ...]:
        """Return lines of a block; a long one loses its middle."""
        rows = [self.body(i) for i in range(at, min(end, len(self.lines)))]
        if len(rows) > _MAX_BLOCK:
            rows = [*rows[: _MAX_BLOCK // 2], "…", *rows[-_MAX_BLOCK // 2 :]]
        return tuple(row[:2000] for row in rows)

    def error(
        self,
        at: int,
        end: int,
        language: str,
        weight: Weight,
        summary: str,
        name: str = "",
        lines: tuple[str, ...] = (),
    ) -> LastError:
        when = next((t for t in map(_time_of, self.lines[at : min(end, at + 3)]) if t), "")
        if not when and at > 0:
            when = _time_of(self.lines[at - 1]) if self.lines[at - 1].time else ""
        return LastError(language, weight, _cut(summary), lines or self.block(at, end), name, when, at, end)


def _errors(log: _Log) -> Iterator[LastError]:
    """Yield all errors of a log in order."""
    at = 0
    total = len(log.lines)
    while at < total:
        if log.body(at)[:5] in ("usage", "Usage") and _USAGE.match(log.body(at)):
            at = _after_usage(log, at)
            continue
        found = _error_at(log, at)
        if found is None:
            at += 1
            continue
        yield found
        at = max(found.end, at + 1)


def _after_usage(log: _Log, at: int) -> int:
    """Return the line after a command's help, whose words are no errors."""
    end = at + 1
    while end < len(log.lines) and (not (row := log.body(end)).strip() or row[0] in " \t-" or row.endswith(":")):
        end += 1
    return end


# One of these stands in every line with which an error can begin. Nearly all lines of a log have none, and looking
# for plain words costs a twentieth of what the patterns do.
_ERROR_KEYS = (
    "err", "exception", "fail", "fatal", "panic", "traceback",
    "terminate", "abort", "cannot", "can't", "can not", "could",
    "unable", "denied", "refused", "not ", "n't", "no such", "invalid", "missing", "unrecogni", "unknown",
    "unexpected", "required", "must be", "forbidden", "unauthorized", "timed", "timeout", "undefined", "space left",
    "expired", "in use", "corrupt", "mismatch", "unsupported", "illegal", "bad", "unreachable", "exceeded",
    "assertion", "crit", "emerg", "alert", "severe", "ftl", "fata", "runtime: out", "sig", "insufficient",
    "conflicting", "terminating", "unhandled", "caused by", "throwable", "fault", "death", "interrupt", ":in ",
    "core dumped", "no route", "unreach", "misbehaving", "reset", "hang up", "broken", "resol", "** (",
    "sh: ", " line ", "goroutine ", "already ", "\\", "you ",
    "read-only", "directory", "busy", "exists", "substitution", "unbound", "argument", "operator",
)  # fmt: skip


def _may_begin(body: str) -> bool:
    if body[0] in "EF{" and (body[0] == "{" or body[1:2].isdigit()):
        return True  # JSON, klog
    low = body[:_MAX_LINE].lower()
    return any(key in low for key in _ERROR_KEYS)


def _error_at(log: _Log, at: int) -> LastError | None:
    body = log.body(at)
    if not body or not _may_begin(body):
        return None
    if body.startswith("{"):
        found = _json_error(log, at, body)
        if found is not None or body.endswith("}"):
            return found
    if "Traceback (most recent call last)" in body:
        return _python(log, at)
    for read in (
        _npm, _go, _recovered, _spring, _rust, _php, _console, _runtime, _ruby, _stack, _elixir, _nginx, _banner,
        _leveled, _plain,
    ):  # fmt: skip
        found = read(log, at, body)
        if found is not None:
            return found
    return None


def _python(log: _Log, at: int) -> LastError | None:
    """Read a traceback and those chained to it."""
    prefix = log.body(at).find("Traceback")
    margin = log.body(at)[:prefix] if log.body(at)[:prefix].strip(" |+-") == "" else ""
    kept: list[str] = []
    last: tuple[str, str, str] | None = None
    end = at
    position = at
    for _ in range(12):
        # Down to the first line that is not indented: the exception.
        row = position + 1
        skipped = 0
        while row < len(log.lines):
            body = log.body(row)
            shown = body[len(margin) :] if body.startswith(margin) else body
            if not shown or shown[0] in " |" or shown.startswith(("^", "+")):
                row += 1
            elif _LOG_LINE.match(shown) and skipped < 20:
                row, skipped = row + 1, skipped + 1  # another thread wrote between
            else:
                break
            if row - position > 2000:
                break
        if row >= len(log.lines):
            break
        body = log.body(row)
        shown = body[len(margin) :] if body.startswith(margin) else body
        match = _PY_EXCEPTION.match(shown)
        name = match[1] if match else ""
        summary = shown
        end = row + 1
        # A message may go on over more lines (psycopg, pydantic); it ends with an empty line or another log line.
        more = end
        while more < len(log.lines) and more - end < 12:
            extra = log.body(more)
            if (
                not extra.strip()
                or _LOG_LINE.match(extra)
                or extra.startswith(("Traceback", "{"))
                or _PY_CHAIN.match(extra)
            ):
                break
            more += 1
        details = [log.body(i).strip() for i in range(end, more)]
        own = [log.body(i).startswith(" ") for i in range(end, more)]
        if match and not match[2] and details and all(own):
            summary = f"{name}: {details[0]}"
        elif details and (shown.rstrip().endswith((":", "failed")) or (match and _PY_LIST.match(match[2] or ""))):
            summary = " ".join([shown, *details[:3]])
        end = more
        kept += [log.body(i) for i in range(max(position, row - 12), end)]
        last = (name, summary, shown)
        probe = end
        while probe < len(log.lines) and not log.body(probe).strip(" |") and probe - end < 3:
            probe += 1
        if not _PY_CHAIN.search(log.body(probe)):
            break
        probe += 1
        while probe < len(log.lines) and "Traceback" not in log.body(probe) and probe - end < 8:
            probe += 1
        if "Traceback" not in log.body(probe):
            break
        position = probe
    if last is None:
        return log.error(at, at + 1, "python", "error", log.body(at))
    rows = tuple(r[:2000] for r in kept)
    logged = bool(log.body(at)[:prefix].strip(" |+-")) or (at > 0 and bool(_level_of(log.body(at - 1))))
    return log.error(
        at, end, "python", "error" if logged else "fatal", last[1], last[0].rpartition(".")[2], rows[-_MAX_BLOCK:]
    )


def _go(log: _Log, at: int, body: str) -> LastError | None:
    """Read a panic or a fatal error of the Go runtime with the first goroutine."""
    if not _GO_PANIC.match(body):
        return None
    end = at + 1
    head = [body]
    # The value of a panic may have several lines; a recovered panic is followed by the next one.
    while end < len(log.lines) and end - at < 30:
        row = log.body(end)
        if row.startswith("goroutine ") or not row.strip():
            break
        if _LOG_LINE.match(row):
            break
        head.append(row)
        end += 1
    summary = body
    for row in head[1:]:
        if row.strip().startswith("panic: "):
            summary = row.strip()
    signal = next((row for row in head if row.startswith("[signal ")), "")
    stack: list[str] = []
    probe = end
    while probe < len(log.lines) and probe - end < 6 and not log.body(probe).startswith("goroutine "):
        probe += 1
    is_go = log.body(probe).startswith("goroutine ")
    if is_go:
        while probe < len(log.lines) and log.body(probe).strip() and len(stack) < 14:
            stack.append(log.body(probe))
            probe += 1
        end = probe
        # The other goroutines and registers belong to the same death.
        while end < len(log.lines) and not _LOG_LINE.match(log.body(end)) and not log.body(end).startswith("{"):
            end += 1
    if body.startswith("fatal error: ") and not is_go and not signal:
        return None  # compilers and other programs say so too: plain words
    if body.startswith("SIG") and not is_go:
        return None
    name = "panic" if "panic: " in summary else summary.partition(":")[0]
    lines = tuple(row[:2000] for row in (*head[:12], *stack))
    return log.error(at, end, "go", "fatal", summary.removesuffix(" [recovered]"), name, lines)


def _recovered(log: _Log, at: int, body: str) -> LastError | None:
    """Read a panic that the program caught and logged (net/http, gin): the goroutine's trace follows the line."""
    if not _RECOVERED.match(log.body(at + 1)) or body.startswith(("panic: ", "fatal error: ")):
        return None
    end = at + 2
    while end < len(log.lines) and (row := log.body(end)) and not _LOG_LINE.match(row) and row[0] != "{":
        end += 1
    go = _GO_LOG.match(body)
    return log.error(at, end, "go", "error", go[1] if go else body, "panic")


def _npm(log: _Log, at: int, body: str) -> LastError | None:
    """Read npm's own error; where it only tells that a script failed, the script said why."""
    if not body.startswith("npm ") or _NPM.match(body) is None:
        return None
    end = at
    rows: list[str] = []
    while (match := _NPM.match(log.body(end))) is not None:
        rows.append(match[1].strip())
        end += 1
    told = [row for row in rows if not _NPM_ROUTINE.match(row)]
    if not told or any(_NPM_SCRIPT.match(row) for row in rows):
        return None
    summary = next((row for row in told if row.startswith("Error: ")), told[0])
    code = next((row.removeprefix("code ") for row in rows if row.startswith("code ")), "")
    return log.error(at, end, "node", "error", summary.removeprefix(f"{code.lower()} "), code)


def _console(log: _Log, at: int, body: str) -> LastError | None:
    """Read an exception as PHP's console applications print it; the last of a chain counts."""
    name = _CONSOLE_CLASS.match(body)
    if name is None and not _CONSOLE_FILE.match(body.strip()):
        return None
    rows, end = _paragraph(log, at + 1)
    if not rows:
        return None
    if name is not None:
        if not re.match(r"\s+at \S+:\d+\Z", log.body(end + 1)):
            return None
        end += 2
        # The source around that place, the frames.
        while end < len(log.lines) and (not log.body(end) or re.match(r"\s", log.body(end))):
            end += 1
        return log.error(at, end, "php", "fatal", " ".join(rows), name[1])
    while end + 1 < len(log.lines) and _CONSOLE_FILE.match(log.body(end + 1).strip()):
        rows, end = _paragraph(log, end + 2)
    return log.error(at, end, "php", "fatal", " ".join(rows))


def _paragraph(log: _Log, at: int) -> tuple[list[str], int]:
    """Return the next indented lines between empty ones, and the line after them."""
    while at < len(log.lines) and not log.body(at).strip():
        at += 1
    rows: list[str] = []
    while log.body(at).strip() and log.body(at).startswith(" ") and len(rows) < 12:
        rows.append(log.body(at).strip())
        at += 1
    return rows, at


def _banner(log: _Log, at: int, body: str) -> LastError | None:
    """Read an error with a headline of its own (Redis): the lines beneath say what is wrong."""
    match = _BANNER.match(body)
    if match is None or not re.search(r"error|fail|fatal", match[2], re.IGNORECASE):
        return None
    end = at + 1
    while end < len(log.lines) and end - at < 6 and log.body(end).strip() and not _LOG_LINE.match(log.body(end)):
        end += 1
    rows = [log.body(i).strip() for i in range(at + 1, end)]
    return log.error(at, end, "text", "fatal", " ".join([f"{match[2]}:", *rows])) if rows else None


def _continued(log: _Log, summary: str, end: int) -> tuple[str, int]:
    """Add the line that a message ending in a colon announces, and return it with the line after that."""
    if not summary.rstrip().endswith(":"):
        return summary, end
    row = end
    while row < len(log.lines) and row - end < 3 and not log.body(row).strip():
        row += 1
    more = log.body(row)
    if not more.strip() or _LOG_LINE.match(more) or _FRAME.match(more) or more.startswith("{"):
        return summary, end
    return f"{summary.rstrip()} {more.strip()}", row + 1


def _spring(log: _Log, at: int, body: str) -> LastError | None:
    """Read the banner of Spring Boot's FailureAnalyzers."""
    if not _SPRING.match(body.strip(" *")):
        return None
    sections: dict[str, list[str]] = {"": []}
    current = ""
    end = at + 1
    while end < len(log.lines) and end - at < 60:
        row = log.body(end).strip()
        if row in ("Description:", "Action:", "Reason:"):
            current = row[:-1]
        elif row and set(row) != {"*"}:
            if _LOG_LINE.match(row):
                break
            sections.setdefault(current, []).append(row)
        end += 1
    words = sections.get("Description") or sections[""]
    if not words:
        return None
    lines = (*words, *sections.get("Reason", []), *(f"Action: {row}" for row in sections.get("Action", [])))
    return log.error(at, end, "java", "fatal", " ".join(words[:3]), "ApplicationFailedToStart", lines[:20])


def _rust(log: _Log, at: int, body: str) -> LastError | None:
    """Read a Rust panic (both formats) or an error that ``main`` returned, with anyhow's and eyre's causes."""
    if body.startswith("thread '") and (match := _RUST_PANIC.match(body)) is not None:
        end = at + 1
        summary = match[1] or ""
        if not summary:
            rows = []
            while (
                end < len(log.lines) and end - at < 12 and not log.body(end).startswith(("note:", "stack backtrace:"))
            ):
                if _LOG_LINE.match(log.body(end)):
                    break
                rows.append(log.body(end))
                end += 1
            summary = " ".join(r.strip() for r in rows if r.strip())
        while end < len(log.lines) and (
            log.body(end).startswith(("note:", "stack backtrace:", "   ")) or re.match(r"\s*\d+: ", log.body(end))
        ):
            end += 1
        return log.error(at, end, "rust", "fatal", summary or body, "panic")
    if body.startswith("Error:"):
        row = at + 1
        while row < len(log.lines) and not log.body(row).strip() and row - at < 3:
            row += 1
        numbered = body.strip() == "Error:"
        if not numbered:
            if log.body(row).strip() != "Caused by:":
                return None
            row += 1
        causes: list[str] = []
        while row < len(log.lines) and len(causes) < 20 and (match := re.match(r"\s{2,}(?:\d+: )?(.*)", log.body(row))):
            if match[1].startswith("at ") or not match[1]:
                return None
            causes.append(match[1])
            row += 1
        if causes:
            top = [] if numbered else [body]
            return log.error(at, row, "rust", "fatal", ": ".join([*top, *causes]), "Error")
    return None


def _php(log: _Log, at: int, body: str) -> LastError | None:
    """Read a fatal error of PHP; the last ``Next`` of a chain counts."""
    match = _PHP.match(body) if "error: " in body else None
    if match is None:
        return None
    summary = match[2]
    end = at + 1
    if "Uncaught" in summary:
        while end < len(log.lines) and end - at < 80:
            row = log.body(end)
            if row.startswith("Next "):
                summary = row.removeprefix("Next ")
            end += 1
            if re.match(r"\s*thrown in ", row):
                break
            if not re.match(r"(?:PHP )?(?:\s*#\d|\s*Stack trace:|Next |\s+|\Z|PHP Stack)", row):
                end -= 1
                break
    summary = summary.removeprefix("Uncaught ").removeprefix("PHP ")
    name = re.match(r"([A-Za-z_\\][\w\\]{0,160}): ", summary)
    return log.error(at, end, "php", "fatal", summary, name[1] if name else match[1])


def _runtime(log: _Log, at: int, body: str) -> LastError | None:
    """Read the last words of a virtual machine: the JVM's launcher and crash report, V8, unhandled rejections."""
    if _JVM_FATAL.match(body):
        end = at + 1
        summary = body
        if body.startswith("#"):
            while end < len(log.lines) and log.body(end).startswith("#"):
                end += 1
            rows = [row for i in range(at, end) if (row := log.body(i).strip("# "))]
            frame = rows.index("Problematic frame:") if "Problematic frame:" in rows else len(rows)
            summary = " ".join([*rows[:2], *rows[frame : frame + 2]])
        else:
            while (
                end < len(log.lines)
                and end - at < 6
                and log.body(end)
                .lstrip()
                .startswith(
                    (
                        "Caused by: ",
                        "Error:",
                        "Initial heap",
                        "java.lang",
                        "Could not",
                        "Too small",
                        "at ",
                        "Invalid",
                    )
                )
            ):
                end += 1
            rows = [log.body(i) for i in range(at, end)]
            cause = next((r for r in reversed(rows) if r.startswith("Caused by: ")), "")
            if body.startswith("Error occurred during initialization") and end > at + 1:
                summary = f"{body}: {rows[1]}"
            elif cause:
                summary = f"{body} ({cause.removeprefix('Caused by: ')})"
            elif end == at + 2 and _head(rows[1]):
                summary = f"{body}: {rows[1].strip()}"
        name = re.search(r"java\.lang\.\w+", summary)
        return log.error(at, end, "java", "fatal", summary, name[0] if name else "")
    thrown = _CPP_THROWN.match(body)
    if thrown is not None:
        what = log.body(at + 1).strip()
        told = what.removeprefix("what():").strip() if what.startswith("what():") else ""
        return log.error(
            at, at + 2 if told else at + 1, "cpp", "fatal", f"{thrown[1]}: {told}" if told else body, thrown[1]
        )
    if _NODE_FATAL.match(body):
        end = at + 1
        while end < len(log.lines) and not _LOG_LINE.match(log.body(end)) and end - at < 80:
            end += 1
        summary = re.sub(r"\A\(node:\d+\) UnhandledPromiseRejectionWarning: ", "", body)
        reason = re.search(r"rejected with the reason \"(.{1,2000}?)\"\.?\]", summary)
        summary = reason[1] if reason else summary
        head = _ERROR_HEAD.match(summary)
        return log.error(at, end, "node", "fatal", summary, head[2] or head[1] if head else "", log.block(at, at + 10))
    return None


def _ruby(log: _Log, at: int, body: str) -> LastError | None:
    """Read an uncaught Ruby exception; causes follow the exception that they caused."""
    if _RUBY_ABORT.match(body):
        head = re.match(r"([A-Z][\w:]{0,160}):(?: |\Z)", log.body(at + 1))
        # Rails puts an empty message, or the class once more, before words of several lines.
        bare = head is not None and log.body(at + 1).replace(f"({head[1]})", "").strip() == f"{head[1]}:"
        summary, end = _continued(log, f"{head[1]}:" if head and bare else log.body(at + 1) or body, at + 2)
        return log.error(at, end, "ruby", "fatal", summary, head[1] if head else "")
    if ":in " not in body:
        return None
    match = _RUBY_HEAD.match(body)
    if match is None or not (match[2] or log.body(at + 1).lstrip().startswith("from ")):
        return None
    summary, name = match[1], match[2] or ""
    end = at + 1
    while end < len(log.lines) and end - at < 400:
        row = log.body(end)
        if re.match(r"\s+(?:from |\d+: from |\.\.\. )", row):
            end += 1
            continue
        cause = _RUBY_HEAD.match(row)
        if cause is None or not cause[2]:
            break
        summary, name = cause[1], cause[2]
        end += 1
    words = f"{summary} ({name})" if name else summary
    return log.error(at, end, "ruby", "fatal", words, name)


def _stack(log: _Log, at: int, body: str) -> LastError | None:
    """Read a stack trace of the JVM, .NET or Node from its head, through its causes, to its last frame."""
    # A head has its frames (or causes) within the next lines; a message may have several lines.
    if body.startswith((" at ", "  at ")) and not body.strip().startswith("at "):
        return None
    near = next(
        (
            i
            for i in range(at + 1, min(at + 12, len(log.lines)))
            if _FRAME.match(log.body(i)) or _CAUSED_BY.match(log.body(i)) or _DOTNET_INNER.match(log.body(i))
        ),
        None,
    )
    head = _head(body)
    if near is None:
        return None
    if head is None:
        # A log line whose exception begins on the next line.
        level = _level_of(body)
        if level in ("fatal", "error") and not _FRAME.match(log.body(at + 1)) and _head(log.body(at + 1)):
            beneath = _stack(log, at + 1, log.body(at + 1))
            if beneath is not None:
                weight: Weight = "fatal" if "fatal" in (level, beneath.weight) else "error"
                return replace(beneath, at=at, weight=weight, lines=(body[:2000], *beneath.lines)[:_MAX_BLOCK])
        if near == at + 1 and not _FRAME.match(body) and _level_of(body) in ("fatal", "error"):
            head = ("", body)
        else:
            return None
    elif near > at + 1 and any(_head(log.body(i)) for i in range(at + 1, near)):
        return None
    name, summary = head
    language = ""
    causes: list[tuple[str, str, int]] = []
    end = at + 1
    loose = 0
    braces = 0
    while end < len(log.lines) and end - at < 3000:
        row = log.body(end)
        caused = _CAUSED_BY.match(row)
        inner = _DOTNET_INNER.match(row) if "--->" in row else None
        node_cause = _NODE_CAUSE.match(row) if "cause" in row[:40] else None
        if _FRAME.match(row):
            if not language:
                language = (
                    "java"
                    if _JAVA_FRAME.match(row)
                    else "node"
                    if _NODE_FRAME.match(row)
                    else "dotnet"
                    if "(" in row
                    else ""
                )
            loose = 0
            if row.endswith("{") or row.endswith("["):
                braces += 1
        elif caused is not None:
            if not caused[1]:
                causes.append((*(_head(caused[2]) or ("", caused[2])), end))
            loose = 0
        elif inner is not None:
            causes.append((*(_head(inner[1]) or ("", inner[1])), end))
            loose = 0
        elif node_cause is not None and braces:
            causes.append((*(_head(node_cause[1].rstrip(" {")) or ("", node_cause[1])), end))
        elif braces and _NODE_FIELD.match(row):
            if row.rstrip().endswith(("{", "[")):
                braces += 1
            elif re.match(r"\s*[\]}]", row):
                braces -= 1
        elif re.match(r"\s+Suppressed: ", row):
            loose = 0
        elif (
            row.strip()
            and not _LOG_LINE.match(row)
            and loose < 10
            and (
                end < near
                or any(_FRAME.match(log.body(i)) for i in range(end + 1, min(end + 11 - loose, len(log.lines))))
            )
            and not (loose == 0 and end > near and _head(row) and not causes_follow(log, end))
        ):
            loose += 1  # further lines of a message
        elif (
            _LOG_LINE.match(row)
            and any(_FRAME.match(log.body(i)) for i in range(end + 1, min(end + 3, len(log.lines))))
            and loose < 10
            and not _head(row)
        ):
            loose += 1  # another thread wrote between
        else:
            break
        end += 1
    root_name, root, root_at = causes[-1] if causes else (name, summary, at)
    root = _continued(log, root, root_at + 1)[0]
    if " ---> " in root:
        # .NET Framework writes the whole chain on one line.
        inner_most = root.rpartition(" ---> ")[2].strip()
        root_name, root = _head(inner_most) or ("", inner_most)
    if not language:
        language = "java" if _CLASS_ONLY.match(root_name) else "node"
    if language == "node" and not causes:
        code = next((m[1] for m in (re.match(r"\s+code: '(\w+)'", log.body(i)) for i in range(at, end)) if m), "")
        root_name = code or root_name
    uncaught = bool(
        re.match(r"Exception in thread|Unhandled [Ee]xception|Uncaught ", body)
        or _level_of(body) == "fatal"
        or any("Application run failed" in log.body(i) for i in range(max(at - 2, 0), at + 1))
        or (
            language == "node"
            and (log.body(end).startswith("Node.js v") or log.body(end + 1).startswith("Node.js v") or _thrown(log, at))
        )
    )
    first = at
    if language == "node" and _thrown(log, at):
        first = max(at - 6, 0)
    lines = log.block(at, end)
    if causes and len(lines) > 24:
        shown = [at, *(position for _, _, position in causes)]
        lines = tuple(log.body(p)[:2000] for position in shown for p in range(position, min(position + 3, end)))
    found = log.error(at, end, language, "fatal" if uncaught else "error", root, root_name, lines[:_MAX_BLOCK])
    return replace(found, at=first) if first != at else found


_CLASS_ONLY = lazy(rf"{_CLASS}\Z")


def causes_follow(log: _Log, at: int) -> bool:
    """Tell whether the line is part of the message of a cause just named."""
    return bool(_CAUSED_BY.match(log.body(at - 1)) or _DOTNET_INNER.match(log.body(at - 1)))


def _thrown(log: _Log, at: int) -> bool:
    """Tell whether Node printed the source line of an uncaught exception above it."""
    rows = [log.body(i) for i in range(max(at - 6, 0), at)]
    return any(re.match(r"(?:node:|/|file://|[A-Za-z]:\\).{1,300}:\d+\Z", row) for row in rows) and any(
        "^" in r for r in rows
    )


def _head(row: str) -> tuple[str, str] | None:
    """Return the class and the words of a line that begins an exception."""
    row = row.strip()
    if not row or len(row) > 8000:
        return None
    for pattern in (_JAVA_HEAD, _DOTNET_HEAD):
        match = pattern.match(row)
        if match is not None and (row.startswith(("Exception in", "Caused by", "Unhandled")) or _exceptional(match[1])):
            return match[1], match[1] + (f": {match[2]}" if match[2] else "")
    match = _ERROR_HEAD.match(row)
    if match is not None:
        return match[2] or match[1], row.removeprefix("Uncaught ")
    match = _JAVA_ANYWHERE.search(row)
    if match is not None:
        return match[1], match[1] + (f": {match[2]}" if match[2] else "")
    return None


def _exceptional(name: str) -> bool:
    parts = name.rpartition(".")[2].split("$")
    return any(
        re.search(r"(?:Exception|Error|Throwable|Failure|Fault|Death|Interrupt|Panic)\Z", part) for part in parts
    )


def _elixir(log: _Log, at: int, body: str) -> LastError | None:
    match = _ELIXIR.match(body.strip())
    if match is None:
        return None
    end = at + 1
    while end < len(log.lines) and re.match(r"\s{2,}", log.body(end)) and end - at < 60:
        end += 1
    return log.error(at, end, "elixir", "error", f"{match[1]}: {match[2]}", match[1])


def _nginx(log: _Log, at: int, body: str) -> LastError | None:
    match = _NGINX.match(body)
    if match is None:
        return None
    return log.error(at, at + 1, "nginx", "fatal" if match[1] in ("emerg", "alert") else "error", match[2], match[1])


def _level_of(row: str) -> str:
    """Return ``fatal``, ``error``, ``other`` or nothing: the level of a text line."""
    head = row[:200]
    klog = _KLOG.match(head)
    if klog is not None:
        return {"F": "fatal", "E": "error"}.get(klog[1], "other")
    logfmt = _LOGFMT_LEVEL.search(head)
    found = logfmt[1] if logfmt else None
    if found is None:
        match = _LEVEL.search(head)
        lower = _LOWER_LEVEL.search(head)
        if match is not None and (lower is None or match.start() <= lower.start()):
            found = match[1]
        elif lower is not None:
            found = (lower[1] or lower[2]).replace("fail", "error")
    if found is None:
        return ""
    return _weight_of_level(found) or ("other" if found.lower() in _OTHER_LEVELS or found in ("dbug", "trce") else "")


def _leveled(log: _Log, at: int, body: str) -> LastError | None:
    """Read a line that carries a level: a log library's text form, klog, or logfmt."""
    level = _level_of(body)
    if level not in ("fatal", "error"):
        return None
    weight: Weight = "fatal" if level == "fatal" else "error"
    logfmt = _LOGFMT_LEVEL.search(body[:400])
    if logfmt is not None:
        fields = {m[1]: _unquote(m[2]) for m in _LOGFMT_FIELD.finditer(body)}
        words = fields.get("msg") or fields.get("message") or ""
        cause = fields.get("err") or fields.get("error") or fields.get("cause") or ""
        summary = _joined(words, cause) or body
        return log.error(at, at + 1, "logfmt", weight, summary)
    klog = _KLOG.match(body)
    if klog is not None:
        words = body[klog.end() :]
        quoted = re.match(r"\"((?:[^\"\\]|\\.){0,4000})\"(.*)", words)
        if quoted is not None:
            fields = {m[1]: _unquote(m[2]) for m in _LOGFMT_FIELD.finditer(quoted[2])}
            words = _joined(quoted[1], fields.get("err") or fields.get("error") or "")
        return log.error(at, at + 1, "go", weight, words or body, "klog")
    summary = body
    upper, lower = _LEVEL.search(body[:200]), _LOWER_LEVEL.search(body[:200])
    mark = upper if upper is not None and (lower is None or upper.start() <= lower.start()) else lower
    if mark is lower and lower is not None and lower[2] and re.search(r"[a-z]\Z", body[: lower.start()]):
        mark = None  # a sentence: "config parse error: ..."
    end = at + 1
    if mark is not None:
        rest = body[mark.end() :]
        after = _AFTER_LEVEL.match(rest)
        message = rest[after.end() :] if after else rest
        if not message.strip() or re.fullmatch(r"[\w.`]+\[\d+\]", message.strip()):
            # Microsoft.Extensions.Logging writes the message on the next, indented line.
            rows = []
            while end < len(log.lines) and re.match(r"\s{2,}\S", log.body(end)) and end - at < 40:
                rows.append(log.body(end).strip())
                end += 1
            inner = last_error("\n".join(rows)) if rows and any(_head(r) for r in rows) else None
            if inner is not None:
                return log.error(at, end, "dotnet", weight, inner.summary, inner.name)
            message = rows[0] if rows else body
        summary = message if len(message.strip()) > 2 else body
        summary, end = _continued(log, summary, end)
    # PostgreSQL and others explain on the following lines.
    while end < len(log.lines) and end - at < 6 and re.search(r"\b(?:DETAIL|HINT|CONTEXT):  ", log.body(end)[:120]):
        end += 1
    head = _head(summary)
    return log.error(at, end, _language_of(summary), weight, summary, head[0] if head else "")


def _language_of(summary: str) -> str:
    head = _head(summary)
    if head is not None and _CLASS_ONLY.match(head[0]) and head[0][0].islower():
        return "java"
    return "text"


def _unquote(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value if value.endswith('"') and len(value) > 1 else value + '"'))
        except ValueError:
            return value.strip('"')
    return value


def _joined(words: str, cause: str) -> str:
    if not cause or cause in words:
        return words
    return f"{words}: {cause}" if words else cause


def _json_error(log: _Log, at: int, body: str) -> LastError | None:
    """Read a JSON log line of level error or worse (zap, slog, pino, bunyan, logrus, ECS, GCP, Serilog, Python)."""
    if '"' not in body:
        return None
    entry = _json(body)
    if not entry:
        return None
    level = next(
        (
            v
            for v in (
                *(
                    entry.get(k)
                    for k in (
                        "level",
                        "severity",
                        "log.level",
                        "lvl",
                        "@l",
                        "Level",
                        "levelname",
                        "@level",
                        "LogLevel",
                        "loglevel",
                    )
                ),
                dig(entry, "log", "level"),
                _MONGO_LEVELS.get(text(entry, "s")),
            )
            if v not in (None, "", {})
        ),
        None,
    )
    weight = _weight_of_level(level)
    if not weight:
        return None
    words = _first_text(
        entry,
        "msg",
        "message",
        "@m",
        "RenderedMessage",
        "@mt",
        "MessageTemplate",
        "Message",
        "event",
        "textPayload",
        "short_message",
        "State.Message",
    )
    name = ""
    cause = ""
    stack = _first_text(
        entry,
        "stack_trace",
        "stacktrace",
        "stack",
        "exc_info",
        "@x",
        "exception",
        "Exception",
        "error.stack_trace",
        "traceback",
        "trace",
        "exc_text",
    )
    for key in ("err", "error", "exception", "Exception", "cause", "reason"):
        value = entry.get(key)
        if isinstance(value, str) and "\n" not in value and value:
            cause = cause or value
        elif isinstance(value, dict):
            cause = cause or _first_text(value, "message", "msg", "exception_message", "Message", "detail")
            name = name or _first_text(value, "code", "type", "name", "class", "exception_class", "ClassName")
            stack = stack or _first_text(value, "stack", "stack_trace", "stacktrace", "StackTraceString")
    cause = cause or _first_text(
        entry, "attr.error", "attr.error.errmsg", "error.message", "exception.message", "err.message", "errorMessage"
    )
    name = name or _first_text(entry, "error.type", "exception.type", "error.code", "code", "errorType")
    language = "json"
    if "\n" in stack:
        inner = last_error(stack)
        if inner is not None and inner.weight != "weak" and (inner.name or inner.language != "text"):
            language = inner.language
            # An own code (ECONNREFUSED) says more than a bare "Error".
            name = name if name and inner.name in ("", "Error") else inner.name or name
            if not cause or cause not in inner.summary:
                cause = inner.summary
    if isinstance(level, (int, float)):
        language = "node" if language == "json" else language
    if words.lstrip().startswith(("Traceback", "Exception in thread")) or "\n" in words:
        inner = last_error(words)
        if inner is not None:
            words, name, language = inner.summary, inner.name or name, inner.language
    summary = _joined(words, cause) or body
    rows = [_joined(words, cause), *stack.split("\n")[:20]] if stack else [body[:2000]]
    found = log.error(at, at + 1, language, weight, summary, name, tuple(r[:2000] for r in rows if r))
    stamp = _first_text(entry, "ts", "time", "timestamp", "@timestamp", "@t", "Timestamp", "asctime")
    return replace(found, time=stamp) if not found.time and parse_time(stamp) else found


def _first_text(entry: Obj, *keys: str) -> str:
    for key in keys:
        value = entry.get(key)
        if value is None and "." in key:
            value = dig(entry, *key.split("."))
        if isinstance(value, str) and value:
            return value[:_MAX_LINE]
    return ""


def _goes_on(row: str) -> bool:
    """Tell whether a line can belong to the message of the line before it."""
    return bool(row.strip()) and not _LOG_LINE.match(row) and not row.startswith("{") and not _may_begin(row.strip())


def _plain(log: _Log, at: int, body: str) -> LastError | None:
    """Read plain words: shells, Perl, an exception without frames, or any line that tells of a failure."""
    if _level_of(body) == "other":
        return None
    go, redis = _GO_LOG.match(body), _REDIS.match(body)
    words = go[1] if go else redis[2] if redis else body
    if _WRAPPER.search(words[:400]) or (redis and redis[1] != "#"):
        return None
    if _SHELL.match(words[:2500]):
        name = words.rpartition(": ")[2]
        return log.error(at, at + 1, "shell", "error", words, name)
    if _SHELL_VARIABLE.match(words) or _NUMBERED.match(words):
        return log.error(at, at + 1, "shell", "error", words)
    if " line " in words and _PERL.match(words[:3000]):
        return log.error(at, at + 1, "perl", "error", words)
    head = _head(words) if not words.startswith(" ") else None
    if head is not None:
        # An exception whose frames are missing may have a message of several lines.
        end = at + 1
        while end < len(log.lines) and end - at < 8 and _goes_on(log.body(end)):
            end += 1
        return log.error(at, end, _language_of(words), "error", words, head[0])
    language = "go" if go else "text"
    if re.match(r"(?:[\w./-]{1,60}: )?(?:fatal|FATAL|Fatal|panic|PANIC)\b(?!\()", words):
        return log.error(at, at + 1, language, "fatal", words)
    if re.match(r"(?:[\w./-]{1,60}: )?(?:error|ERROR|Error)\b[:\s]", words):
        words, end = _continued(log, words, at + 1)
        return log.error(at, end, language, "error", words)
    probe = _ANY_URL.sub("", words[:1000])
    failed = _WEAK.search(probe) or _kind(probe) in ("refused", "unresolved", "timeout", "unreachable", "reset")
    if failed and not _NOT_WEAK.search(probe) and not _FRAME.match(words):
        weight: Weight = "error" if redis or _GOODBYE.search(probe) else "weak"
        return log.error(at, at + 1, language, weight, words)
    return None


_RANK = {"fatal": 3, "error": 2, "weak": 1}
_FAR = 50
"""Lines of other matter after which a fatal error is no longer taken for the end of the program."""
_CLOSE = 20
"""Lines between an error and the message that closes it."""


def last_error(content: str) -> LastError | None:
    """Return the error that a program most likely ended with, or None when its log tells of none.

    The last fatal error wins over logged errors, and those over plain words, unless much other output follows it.
    Messages about shutting down give way to the error before them.
    """
    log = _Log(_lines(content))
    found = list(_errors(log))
    if not found:
        return None
    filled = [0] * (len(log.lines) + 1)
    for i in range(len(log.lines) - 1, -1, -1):
        row = log.body(i)
        matter = bool(row.strip()) and not _WRAPPER.search(row[:400])
        filled[i] = filled[i + 1] + (1 if matter else 0)
    found = [replace(error, trailing=filled[min(error.end, len(log.lines))]) for error in found]

    def rank(error: LastError) -> int:
        rank = _RANK[error.weight]
        return rank if error.trailing <= _FAR else min(rank, 2) if rank == 3 else rank

    near = [e for e in found if e.trailing <= _FAR] or found
    best = max(rank(e) for e in near)
    chosen = [e for e in near if rank(e) == best]
    last = chosen[-1]
    if not _says_why(last) or _takes_leave(log, last, found):
        told = [e for e in near if e.at < last.at and _says_why(e)]
        before = [e for e in told if rank(e) == best] or [e for e in told if rank(e) >= 2]
        before = before or [e for e in told if last.at - e.end <= _CLOSE]
        if before:
            # What follows the cause is the same end in other words.
            cause, gap = before[-1], filled[before[-1].end] - filled[last.at]
            last = replace(cause, trailing=last.trailing if gap <= _CLOSE else cause.trailing)
    return last


def _takes_leave(log: _Log, error: LastError, found: list[LastError]) -> bool:
    """Tell whether an error that ends in "exiting" or the like stands right under a logged error, which it sums up."""
    if not _GOODBYE.search(error.summary):
        return False
    above = error.at - 1
    while above >= 0 and not log.body(above).strip():
        above -= 1
    return any(e.end == above + 1 and e.weight != "weak" for e in found)


def without_goodbye(summary: str) -> str:
    """Return an error without the words that only say that the program ends because of it."""
    return _GOODBYE.sub("", summary)


def _says_why(error: LastError) -> bool:
    """Tell whether an error names what went wrong, not only that the program or its child ended."""
    if error.name and error.name != "klog" and error.language not in ("text", "nginx"):
        return True
    words = without_goodbye(error.summary)
    return not (_HOLLOW.search(words) or _SHUTDOWN.search(words))


def last_line(content: str) -> str:
    """Return the last line that says something, or the empty string."""
    for line in reversed(_lines(content[-64 * 1024 :])):
        if line.body.strip():
            return line.body.strip()[:_MAX_SUMMARY]
    return ""


# -- Addresses --------------------------------------------------------------------------------------------------

# strerror, errno names, and the words of clients that replace them.
_KINDS: tuple[tuple[Any, re.Pattern[str]], ...] = (
    (
        "unresolved",
        lazy(
            r"no such host|Name or service not known|name resolution|(?-i:ENOTFOUND|EAI_AGAIN|EAI_NONAME"
            r"|NXDOMAIN)|UnknownHost"
            r"|could not translate host|nodename nor servname|getaddrinfo (?:for \S+ )?failed|host not found"
            r"|Name does not resolve|No address associated|lookup address information|server misbehaving"
            r"|Unknown (?:MySQL )?server host|host is known|bad address|NameResolutionError|<unresolved>|Unknown host"
            r"|No resolvable bootstrap|DNS query name does not exist"
            # Go: the resolver itself did not answer.
            r"|\blookup [\w.-]{1,253}(?: on \S{1,60})?: (?:read|write|dial) udp"
            # Much else is "resolved" too: placeholders, modules, services of a container.
            r"|(?:could ?n[o']t|can(?:no|')t|unable to|failed to) resolve (?:the )?(?:host|server|address"
            r"|domain|name\b|ip\b|dns\b"
            r"|'[\w.-]{1,253}' [\[(]|['\"]?[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}['\"]?(?::\d| \())",
            re.IGNORECASE,
        ),
    ),
    (
        "unauthorized",
        lazy(
            r"password authentication failed|Access denied for user|\bNOAUTH\b|WRONGPASS"
            r"|invalid username-password|ACCESS_REFUSED"
            r"|authentication (?:failed|failure|error|required|unsuccessful)|SaslAuthentication|login failed"
            r"|ORA-01017|no pg_hba\.conf entry"
            r"|ER_ACCESS_DENIED|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidClientTokenId|\bExpiredToken"
            r"|UNAUTHENTICATED"
            r"|code = Unauthenticated|role \"[^\"]{1,80}\" does not exist|\b401 Unauthorized"
            r"|status(?:[ _]code)?[ :=]{1,3}401\b|\(401\)"
            r"|invalid_client|AuthenticationFailed|Logon failure|AccessRefused|bad username or password"
            r"|HTTP 401|: 401 Client Error"
            r"|not authorized to (?:access|perform|execute)|NOPERM|invalid credentials|Bad credentials"
            r"|AuthorizationException|UnrecognizedClientException|Access Key Id you provided does not"
            r"|\(AccessDenied(?:Exception)?\) when calling"
            r"|could not read (?:Username|Password) for|Permission denied \(publickey|HTTP Basic: Access denied"
            r"|username or password (?:is )?(?:not allowed|incorrect|invalid)|returned error: 401\b|Code: 403\. Errors",
            re.IGNORECASE,
        ),
    ),
    (
        "refused",
        lazy(
            r"connection refused|(?-i:ECONNREFUSED)|actively refused|\(111\b|Errno 111|Error 111|Connect call failed"
            r"|Connection to \S{1,300}"
            r" refused|could not be established\. (?:Broker|Node) may not be available|Connection refused",
            re.IGNORECASE,
        ),
    ),
    (
        "unreachable",
        lazy(
            r"no route to host|(?-i:EHOSTUNREACH|ENETUNREACH)|network is unreachable|host is (?:unreachable|down)",
            re.IGNORECASE,
        ),
    ),
    (
        "timeout",
        lazy(
            r"connection timed out|connect(?:ion)? timed? ?out|(?-i:ETIMEDOUT)|i/o timeout|operation timed out"
            r"|timeout expired"
            r"|ConnectTimeout|SocketTimeoutException|timed out (?:connecting|while connecting"
            r"|trying to connect)|connect ETIMEDOUT"
            r"|context deadline exceeded|(?:connecting|connect|connection) to .{1,300}timed? ?out"
            r"|Timeout(?:Error)? .{0,80}connect"
            r"|time(?:d |-)?out\b.{0,60}\bwaiting\b.{0,40} for (?:\w{2,12}://)?[\w.-]{1,253}:\d{2,5}\b"
            r"|connection timeout|Timed out after \d+ ms while waiting|server selection timed? ?out",
            re.IGNORECASE,
        ),
    ),
    (
        "reset",
        lazy(
            r"connection reset|(?-i:ECONNRESET)|socket hang up|server closed the connection unexpectedly"
            r"|forcibly closed|Lost connection to MySQL"
            r"|code = Unavailable|StatusCode\.UNAVAILABLE|UNAVAILABLE: |Broken pipe|(?-i:EPIPE)",
            re.IGNORECASE,
        ),
    ),
    # Only that it failed: the words of clients that keep the reason to themselves.
    (
        "failed",
        lazy(
            r"(?:could not|couldn't|cannot|can't|unable to|failed to|not possible to) "
            r"(?:connect\b|establish (?:a |the )?connection|reach\b)"
            # kafka-python, librdkafka, pika
            r"|NoBrokersAvailable|brokers? (?:are|is) down|AMQPConnectionError",
            re.IGNORECASE,
        ),
    ),
)
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63}){0,8}"
_V6 = r"\[[0-9A-Fa-f:.]{2,45}(?:%\w{1,16})?\]"
_HOST = rf"(?:{_V6}|{_NAME})"
# Forms that name both sides of a sentence; each gives host and perhaps port. The most telling first.
_FORMS: tuple[re.Pattern[str], ...] = (
    # Go: dial tcp: lookup HOST on RESOLVER:53: no such host (the resolver is not the address that failed)
    lazy(r"\blookup (?P<host>[\w.-]{1,253})(?= on |: |\Z)"),
    lazy(rf"\bdial (?:tcp|udp)[46]? (?P<host>{_HOST}):(?P<port>\d{{1,5}})"),
    # Node: connect ECONNREFUSED 10.0.0.1:5432, connect ECONNREFUSED ::1:5432, getaddrinfo ENOTFOUND db [db:5432]
    lazy(
        r"\b(?:connect|read|write) E[A-Z]{3,14} (?P<host>[0-9A-Fa-f:.]{2,45}?"
        r"|[\w.-]{1,253}):(?P<port>\d{1,5})(?!\S*:\d)"
    ),
    lazy(r"\b(?:getaddrinfo|query\w{0,8}) E[A-Z_]{3,14} (?P<host>[\w.-]{1,253})(?::(?P<port>\d{1,5}))?"),
    # libpq: connection to server at "db" (10.0.0.1), port 5432 failed; host "db" (..) ... port 5432
    lazy(r"server at \"(?P<host>[^\"\s]{1,253})\"(?: \([^)]{1,60}\))?, port (?P<port>\d{1,5})"),
    lazy(r"host name \"(?P<host>[^\"\s]{1,253})\" to address"),
    # pymongo: a SRV record
    lazy(r"query name does not exist: (?:_\w{1,15}\._\w{1,15}\.)?(?P<host>[\w.-]{1,253})"),
    lazy(r"on host \"(?P<host>[^\"\s]{1,253})\".{0,200}?port (?P<port>\d{1,5})", re.DOTALL),
    # MySQL: Can't connect to MySQL server on 'db:3306' (111), Unknown MySQL server host 'db'
    lazy(r"server (?:host|on) '(?P<host>[\w.:-]{1,253}?)(?::(?P<port>\d{1,5}))?'"),
    # urllib3: HTTPConnectionPool(host='api', port=8080)
    lazy(r"host='(?P<host>[^'\s]{1,253})',? port=(?P<port>\d{1,5})"),
    # aiohttp, redis-py: Cannot connect to host api:8080, connecting to redis:6379
    lazy(
        rf"(?:to host|connecting to|connect to|connection to|Failed to connect to|Connect to"
        rf"|reach) (?:\w{{2,12}}://)?(?P<host>{_HOST}):(?P<port>\d{{1,5}})\b",
        re.IGNORECASE,
    ),
    # curl: Failed to connect to api port 80; Could not resolve host: db
    lazy(r"connect to (?P<host>[\w.-]{1,253}) port (?P<port>\d{1,5})"),
    lazy(r"resolve host:? '?(?P<host>[\w.-]{1,253})"),
    # Ruby: connect(2) for "db" port 5432
    lazy(r"for \"(?P<host>[^\"\s]{1,253})\" port (?P<port>\d{1,5})"),
    # Java: UnknownHostException: db; Connection to db:5432 refused; kafka/10.0.0.1:9092; /10.0.0.1:5432
    lazy(
        r"UnknownHostException: (?:Failed to resolve '?)?(?P<host>[\w.-]{1,253})(?::(?P<port>\d{1,5}))?(?=[:\s'\")]|\Z)"
    ),
    lazy(
        r"(?<![\w./])(?P<host>[A-Za-z][\w.-]{0,252})/(?:<unresolved>|\d{1,3}(?:\.\d{1,3}){3}"
        r"|\[?[0-9a-f:]{2,45}\]?):(?P<port>\d{1,5})"
    ),
    lazy(r"(?<=[\s(:])/(?P<host>\d{1,3}(?:\.\d{1,3}){3}):(?P<port>\d{1,5})"),
    # .NET: Connection refused (db:5432)
    lazy(rf"\((?P<host>{_HOST}):(?P<port>\d{{1,5}})\)"),
    # nginx, HAProxy, PHP, Go net/http resolver
    lazy(
        r"(?:upstream|resolve|getaddrinfo for|bad address|address of|Failed to resolve"
        r"|server) ['\"](?P<host>[\w.-]{1,253})(?::(?P<port>\d{1,5}))?['\"]",
        re.IGNORECASE,
    ),
    lazy(r"getaddrinfo for (?P<host>[\w.-]{1,253}) failed"),
    # Python: ('10.0.0.1', 5432), busybox nc: db (10.0.0.1:5432)
    lazy(r"\(['\"](?P<host>[\w.:-]{1,253})['\"], (?P<port>\d{1,5})"),
    lazy(r"(?:remote host|nc:) \(?(?P<host>[\w.-]{1,253})\)?(?= |:|\Z)"),
)
_URL = lazy(
    rf"(?:jdbc:)?(?P<scheme>[a-z][a-z0-9+]{{1,20}})(?::\w{{2,12}})?://(?:[^\s/@\"'<>]{{0,512}}@)?(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?",
    re.IGNORECASE,
)
_HOST_PORT = lazy(
    rf"(?<![\w./:@\[-])(?P<host>{_V6}|(?:\d{{1,3}}\.){{3}}\d{{1,3}}|{_NAME}):(?P<port>\d{{2,5}})(?!\w|:\S|\.\d)"
)
_NODE_OBJECT = lazy(r"\s*(?P<key>address|hostname|host|port): '?(?P<value>[\w.:-]{1,253})'?,?\Z")
_SOURCE_FILE = lazy(
    r"\.(?:go|py|js|ts|mjs|cjs|jsx|tsx|java|kt|kts|scala|groovy|rb|rs|php|cs|fs|c|h|cc|cpp|hpp|pl|pm|sh|json"
    r"|ya?ml|conf|xml|ex|exs|erl|lua|sql|html|jar)\Z",
    re.IGNORECASE,
)
# Default ports of the schemes that services behind a name use (IANA, and the drivers' own).
_PORTS = {
    "http": 80,
    "ws": 80,
    "https": 443,
    "wss": 443,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "redis": 6379,
    "rediss": 6379,
    "amqp": 5672,
    "amqps": 5671,
    "mongodb": 27017,
    "nats": 4222,
    "ldap": 389,
    "ldaps": 636,
    "sqlserver": 1433,
    "kafka": 9092,
    "clickhouse": 9000,
    "oracle": 1521,
    "memcached": 11211,
    "mqtt": 1883,
    "grpc": 443,
}


# One of these stands in every line that a pattern above can match.
_KIND_KEYS = (
    "host", "resol", "enotfound", "eai_", "nxdomain", "getaddrinfo", "lookup", "misbehaving", "address",
    "unrecognizedclient", "password for", "error: 401", "code: 403", "broker", "dns query",
    "bootstrap", "not known", "nodename", "auth", "denied", "wrongpass", "refused", "sasl", "login", "logon",
    "ora-01017", "pg_hba", "accesskey", "access key", "signature", "token", "role", "401", "invalid_client", "username",
    "credentials", "noperm", "111", "connect", "route", "unreach", "timed", "timeout", "deadline", "reset",
    "hang up", "closed", "unavailable", "pipe", "reach", "established",
)  # fmt: skip


def _kind(row: str) -> Any:
    low = row.lower()
    if not any(key in low for key in _KIND_KEYS):
        return None
    for kind, pattern in _KINDS:
        if pattern.search(row):
            return kind
    return None


def _valid(host: str, port: str | None) -> tuple[str, int | None] | None:
    host = host.strip("[]").rstrip(".").partition("%")[0]
    number = int(port) if port else None
    if not host or (number is not None and not 0 < number < 65536) or _SOURCE_FILE.search(host):
        return None
    if host.lower() in ("tcp", "udp", "unix", "host", "port", "line", "http", "https", "error", "errno"):
        return None
    if host.isdigit():
        return None
    return host, number


def _address_in(row: str) -> tuple[str, int | None] | None:
    """Find the address that a line is about."""
    row = row[:4096]
    best: tuple[str, int | None] | None = None
    for form in _FORMS:
        match = form.search(row)
        if match is not None and (found := _valid(match["host"], match.groupdict().get("port"))) is not None:
            best = found
            break
    for match in _URL.finditer(row):
        found = _valid(match["host"], match["port"] or str(_PORTS.get(match["scheme"].lower(), "")) or None)
        if found is not None and (best is None or (found[0] == best[0] and best[1] is None)):
            return found
    if best is not None:
        if best[1] is None:
            for match in _HOST_PORT.finditer(row):
                if match["host"].rstrip(".") == best[0]:
                    return best[0], int(match["port"])
        return best
    for match in _HOST_PORT.finditer(row):
        found = _valid(match["host"], match["port"])
        if found is not None:
            return found
    return None


def addresses(content: str) -> tuple[Address, ...]:
    """Return the connections that a log says failed, in order, each address and kind once, with its last line."""
    log = _Log(_lines(content))
    found: dict[tuple[str, int | None, str], Address] = {}
    for at, line in enumerate(log.lines):
        row = line.body
        kind = _kind(row[:4096])
        if kind is None:
            continue
        address = _address_in(row) or _address_near(log, at)
        host, port = address or ("", None)
        before = found.pop((host, port, kind), None)
        times = (*(before.times if before else ())[-49:], at)
        # A field of an object (code, errno) says less than the message before it.
        said = before.line if before and _NODE_FIELD.match(row) else row.strip()[:2000]
        found[host, port, kind] = Address(host, port, kind, said, at, times)
        if len(found) > 200:
            found.pop(next(iter(found)))
    named = {(a.host, a.kind) for a in found.values() if a.port is not None}
    kept = [a for a in found.values() if a.port is not None or not a.host or (a.host, a.kind) not in named]
    return tuple(_with_reasons(kept))


def _with_reasons(found: list[Address]) -> Iterator[Address]:
    """Yield addresses; a line that only says that one failed counts for the line near it that says why."""
    bare = [a for a in found if a.kind == "failed" and a.host]
    told = [a for a in found if a.kind not in ("failed", "unauthorized")]
    for address in found:
        if address in bare:
            if not any(_beside(address, b) for b in told):
                yield address
        elif address in told:
            lines = {*address.times, *(at for a in bare if _beside(a, address) for at in a.times)}
            yield replace(address, times=tuple(sorted(lines)[-50:]))
        else:
            yield address


def _beside(one: Address, other: Address) -> bool:
    return one.host == other.host and abs(one.at - other.at) <= _FAR


def _address_near(log: _Log, at: int) -> tuple[str, int | None] | None:
    """Find the address in the lines that belong to the same error: its continuation, its object, its frames."""
    following = [log.body(i) for i in range(at + 1, min(at + 13, len(log.lines)))]
    host, port = "", None
    for row in following:
        match = _NODE_OBJECT.match(row)
        if match is not None:
            if match["key"] == "port" and match["value"].isdigit():
                port = int(match["value"])
            elif match["key"] != "port":
                host = host or match["value"]
    if host and (found := _valid(host, str(port) if port else None)) is not None:
        return found
    # libpq explains on the next lines
    joined = " ".join(row.strip() for row in following[:2] if row.startswith(" "))
    if joined and (found := _address_in(joined)) is not None:
        return found
    # The frames above the exception (Python shows their source) or the log line that opens the trace.
    for i in range(at - 1, max(at - 16, -1), -1):
        row = log.body(i)
        if row.lstrip().startswith(("Caused by", "--->")) or _head(row):
            found = _address_in(row)
            if found is not None:
                return found
        if i < at - 1 and not row.startswith((" ", "Caused by", "Traceback")) and not _head(row):
            return _address_in(row) if _kind(row) or _level_of(row) in ("error", "fatal") else None
        if row.startswith(" ") and not _FRAME.match(row):
            match = (
                re.search(r"\(['\"](?P<host>[\w.:-]{1,253})['\"], ?(?P<port>\d{1,5})", row)
                or re.search(rf"['\"](?P<host>{_NAME}):(?P<port>\d{{1,5}})['\",]", row)
                or _URL.search(row)
            )
            if match is not None and (found := _valid(match["host"], match["port"])) is not None:
                return found
    return None


# -- Start-up ---------------------------------------------------------------------------------------------------

_NUMBER = r"(\d{1,7}(?:\.\d{1,6})?)"
_STARTED: tuple[tuple[re.Pattern[str], float], ...] = (
    # Spring Boot: Started App in 42.3 seconds (process running for 43.1); 2.x: (JVM running for 43.1)
    (lazy(rf"Started \S{{1,200}} in [\d.]{{1,12}} seconds \((?:process|JVM) running for {_NUMBER}\)"), 1.0),
    (lazy(rf"Started \S{{1,200}} in {_NUMBER} seconds"), 1.0),
    # Quarkus: (powered by Quarkus 3) started in 1.234s; Helidon, Vert.x
    (lazy(rf"started in {_NUMBER} ?s(?:econds)?\b", re.IGNORECASE), 1.0),
    (
        lazy(
            rf"(?:started|startup|start-up|ready|booted|initialized)(?: completed)? in \[?{_NUMBER}\]? ?(?:ms\b"
            rf"|milliseconds)",
            re.IGNORECASE,
        ),
        0.001,
    ),
    # Jetty: Started Server@1b2c3d{...} @1234ms
    (lazy(rf"Started .{{1,200}} @{_NUMBER}ms"), 0.001),
    (
        lazy(
            rf"(?:startup|start-up|ready|booted|initialized|loaded)(?: completed)?(?: in"
            rf"| after) {_NUMBER} ?s(?:econds)?\b",
            re.IGNORECASE,
        ),
        1.0,
    ),
)
_READY = lazy(
    r"\blisten(?:ing|s)\b|ready to (?:accept|serve|handle)|server (?:is )?(?:started|running|ready)"
    r"|application startup complete"
    r"|started (?:on|server|http)|now serving|serving on|accepting connections|startup complete",
    re.IGNORECASE,
)


def startup_seconds(content: str) -> float | None:
    """Return how many seconds the program says its start took, or None when the log does not tell.

    Its own figure counts; else the time of the first line that says it is ready minus that of the first line.
    """
    lines = _lines(content)
    for line in lines:
        row = line.body[:1000]
        if "in " in row or "@" in row or "after " in row:
            for pattern, unit in _STARTED:
                match = pattern.search(row)
                if match is not None:
                    return round(float(match[1]) * unit, 3)
    first = next((t for t in (parse_time(_time_of(line)) for line in lines[:50]) if t), None)
    if first is None:
        return None
    for line in lines:
        if _READY.search(line.body[:1000]):
            ready = parse_time(_time_of(line))
            if ready is not None and ready >= first:
                return round((ready - first).total_seconds(), 3)
    return None


_LISTENS = lazy(
    r"\blisten(?:ing|s|er)?\b|\bserving\b|\bbound to\b|running (?:on|at)\b|started (?:on|server on|at)\b"
    r"|server (?:is )?(?:started|running|up)"
    r"|(?:tomcat|netty|jetty|undertow|server|application) (?:started|initialized|available)"
    r"|development server at|starting (?:\w+ ){0,3}"
    r"server (?:on|at)\b|\bserve on\b|accepting connections|available at|ready (?:on|at)\b|endpoint",
    re.IGNORECASE,
)
_LISTEN_ADDRESS = lazy(
    rf"(?:(?:https?|tcp|grpc|ws|ssl|unix)://)(?P<url>{_HOST}|\*):(?P<urlport>\d{{1,5}})"
    rf"|(?<![\w.\]:/-])(?P<host>{_V6}|(?:\d{{1,3}}\.){{3}}\d{{1,3}}|localhost|\*"
    rf"|::)?:(?P<port>\d{{2,5}})(?![\w:.]*:?\d)"
    r"|address \"(?P<quoted>[0-9A-Fa-f:.]{2,45})\", port (?P<qport>\d{1,5})"
    r"|(?<=\s)(?P<bare>(?:\d{1,3}\.){3}\d{1,3}|::) port (?P<bareport>\d{1,5})"
    r"|\bport(?:\(s\))?(?:[:=]? ?\"?| is | number )(?P<only>\d{2,5})\b",
    re.IGNORECASE,
)
_LISTEN_KEYS = (
    "listen", "serv", "bound to", "running", "started", "initialized", "available", "accepting", "ready", "endpoint",
)  # fmt: skip
_NOT_LISTENING = lazy(r"failed|error|refused|cannot|could not|unable|already in use|in use", re.IGNORECASE)


def listening(content: str) -> tuple[Listener, ...]:
    """Return the addresses that the program says it listens on, in order, each once."""
    found: dict[tuple[str, int], Listener] = {}
    for line in _lines(content):
        row = line.body[:2000]
        low = row.lower()
        if not any(key in low for key in _LISTEN_KEYS) or not _LISTENS.search(row) or _NOT_LISTENING.search(row):
            continue
        words = row
        own = _OWN_TIME.match(row)
        if own is not None:
            words = row[own.end() :]
        for match in _LISTEN_ADDRESS.finditer(re.sub(r"(?<!\d)\d\d:\d\d:\d\d(?!\d)", "", words)):
            host = match["url"] or match["host"] or match["quoted"] or match["bare"] or ""
            port = int(match["urlport"] or match["port"] or match["qport"] or match["bareport"] or match["only"])
            host = host.strip("[]")
            if host in ("0.0.0.0", "::", "*") or (match["port"] and not match["host"]):  # noqa: S104
                host = "*"
            if 0 < port < 65536 and not any(p == port and h for h, p in found if not host):
                found.setdefault((host, port), Listener(host, port, row.strip()))
            if match["only"] is None:
                break  # what follows is the same address in other words
        if len(found) > 50:
            break
    return tuple(found.values())
