"""Errors in the text entries of log libraries, and in plain words: shells, npm, nginx, banners."""

from __future__ import annotations

import json
import re

from kubetriage.readers.logs.addresses import failure_kind
from kubetriage.readers.logs.foreign import tells_of_failure
from kubetriage.readers.logs.levels import (
    KLOG,
    LEVEL,
    LOG_LINE,
    LOGFMT_LEVEL,
    LOWER_LEVEL,
    level_of,
)
from kubetriage.readers.logs.stacks import CLASS_ONLY, FRAME, continued, read_head
from kubetriage.readers.logs.text import MAX_LINE, LastError, Log, Weight, with_cause
from kubetriage.readers.logs.traces import GO_LOG
from kubetriage.values.patterns import lazy

# What may follow the level before the message: process, thread, logger, source position.
_AFTER_LEVEL = lazy(
    r"\s*(?:\d{1,7}\s+---\s+)?(?:\[[^\]]{0,120}\]\s*){0,4}(?:\([\w #:.-]{1,60}\)\s)?"
    r"(?:[A-Za-z_$][\w.$/<>-]{0,120}(?:\s*\[\d{1,6}\])?\s*(?:: | - |:(?=\s)))?"
    r"(?:[\w./-]{1,100}\.(?:go|rs|py|c|cc|cpp|js|ts):\d{1,6}:?\s)?[\s:|>)\]-]*"
)
_LOGFMT_FIELD = lazy(r"(?<!\S)([\w.@-]{1,64})=(\"(?:[^\"\\]|\\.){0,8192}\"?|\S{0,8192})")

# Wrappers that only repeat that a child failed; the child's own words are the error.
WRAPPER = lazy(
    r"npm (?:ERR!|error)|npm (?:notice|warn|WARN)\b|dmesg\(1\) may have more information"
    r"|error Command failed|ELIFECYCLE|exit status \d+$|exited? with (?:code|status) \d+|make(?:\[\d+\])?: \*\*\* "
    r"|Node\.js v\d|BEGIN failed--|Compilation failed in require|note: run with `RUST_BACKTRACE"
    r"|bundler: failed to load command"
    r"|command terminated with|\(node:\d+\) \[DEP|Process exited|Backing off|non-zero (?:code|exit|status)"
    r"|Use `node --trace|Some errors have detailed explanations|A listener indicated an asynchronous",
)
# What programs append to the reason for which they end.
_ANY_URL = lazy(r"\bhttps?://\S+")
GOODBYE = lazy(
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
    r"|does not match|unsupported|illegal|bad|unreachable|exceeded|assertion|too many|too (?:open|low|old)"
    r"|incompatible|locked|corruption"
    r"|segmentation fault|core dumped)\b",
    re.IGNORECASE,
)
# A level or a first word that says error in another language; times and brackets may stand before it.
_FOREIGN_HEAD = lazy(
    r"(?:\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d\S{0,12} )?\[?(?:\w{1,40} ?: )?(?:FEHLER|Fehler"
    r"|PANIK|SCHWERWIEGEND|ERREUR"
    r"|Erreur|FATAL|ERRO|Erro|ERROR|Error|오류|에러|치명적오류|エラー|致命的エラー|错误|错 误|错误信息|致命错误|錯誤)"
    r"(?: fatal)?\]?(?: ?[:：]|\]) ?\S"
)
_NOT_WEAK = lazy(
    r"\b(?:no|0|zero|without) (?:errors?|failures?|warnings?)\b|\berrors?[=:] ?(?:0|nil|null|none|false)\b"
    r"|\bfailed[=:] ?0\b"
    r"|\b0 failed\b|\berror[_ -]?(?:log|handler|page|reporting)s?\b",
    re.IGNORECASE,
)
_PERL = lazy(
    r".{1,2000} at \S{1,300} line \d{1,7}(?:, <\w{1,20}> (?:line|chunk) \d{1,9})?\.\Z|Can't locate \S+ in @INC"
)
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
_NGINX = lazy(r"(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d |nginx: )\[(emerg|alert|crit|error)\] (?:\d+#\d+: )?(?:\*\d+ )?(.*)")
_NPM = lazy(r"npm (?:ERR!|error) ?(.*)")
# What npm says of itself around the words that matter; where a script failed, the script's own words matter.
_NPM_ROUTINE = lazy(
    r"(?:code|errno|syscall|path|dest|command|location|workspace|signal|enoent This is|To see a list|npm run|This is"
    r"|A complete log|Additional logging|\S*/_logs/|Your cache folder|previous versions of npm)\b|\Z"
)
_NPM_SCRIPT = lazy(r"Lifecycle script|ELIFECYCLE|command failed|Exit status|Failed at the|code \d+\Z")
_BANNER = lazy(r"([*#!])\1{2,}\s+(\S.{0,200}?)\s+\1{3,}\Z")
# A shell's ${NAME:?words}: SCRIPT: line N: NAME: words.
_SHELL_VARIABLE = lazy(r"\S{1,200}: (?:line )?\d{1,6}: [A-Za-z_]\w{1,80}: \S")
# strerror with its number first (APR, as in Apache httpd), curl with its exit code.
_NUMBERED = lazy(r"\(\d{1,3}\)[A-Z][a-z]|curl: \(\d{1,2}\) ")
# Redis: PID:role time level; "#" is a warning or worse, and there is no other.
_REDIS = lazy(r"\d{1,7}:[A-Z] \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} ([.*#-]) (.*)")


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
    "too many", "listen tcp", "lost+found", "too open", "incompatible", "locked", "insecure",
    "fehler", "fehlge", "ausnahme", "kann nicht", "konnte nicht", "nicht gefunden", "impossible", "introuvable",
    "fallo", "falha", "falhou", "no se p",
    "read-only", "directory", "busy", "exists", "substitution", "unbound", "argument", "operator",
)  # fmt: skip


def may_begin(body: str) -> bool:
    """Tell whether an error can begin with this line, which is not empty."""
    if body[0] in "EF{" and (body[0] == "{" or body[1:2].isdigit()):
        return True  # JSON, klog
    if not body.isascii():
        return True
    low = body[:MAX_LINE].lower()
    return any(key in low for key in _ERROR_KEYS)


def read_npm(log: Log, at: int, body: str) -> LastError | None:
    """Read npm's own error; where it only tells that a script failed, the script said why."""
    if not body.startswith("npm ") or _NPM.match(body) is None:
        return None
    end = at
    rows: list[str] = []
    while (match := _NPM.match(log.body(end))) is not None:
        rows.append(match[1].strip())
        end += 1
    told = [row for row in rows if not _NPM_ROUTINE.match(row)]
    if not told:
        fields = dict(row.split(" ", 1) for row in rows if row.startswith(("code ", "syscall ", "path ")))
        if len(fields) == 3:
            return log.error(at, end, "node", "error", "{code}: {syscall} '{path}'".format(**fields), fields["code"])
    if not told or any(_NPM_SCRIPT.match(row) for row in rows):
        return None
    summary = next((row for row in told if row.startswith("Error: ")), told[0])
    code = next((row.removeprefix("code ") for row in rows if row.startswith("code ")), "")
    return log.error(at, end, "node", "error", summary.removeprefix(f"{code.lower()} "), code)


def read_banner(log: Log, at: int, body: str) -> LastError | None:
    """Read an error with a headline of its own (Redis): the lines beneath say what is wrong."""
    match = _BANNER.match(body)
    if match is None or not re.search(r"error|fail|fatal", match[2], re.IGNORECASE):
        return None
    end = at + 1
    while end < len(log.lines) and end - at < 6 and log.body(end).strip() and not LOG_LINE.match(log.body(end)):
        end += 1
    rows = [log.body(i).strip() for i in range(at + 1, end)]
    return log.error(at, end, "text", "fatal", " ".join([f"{match[2]}:", *rows])) if rows else None


def read_nginx(log: Log, at: int, body: str) -> LastError | None:
    """Read a line of nginx of level error or worse."""
    match = _NGINX.match(body)
    if match is None:
        return None
    return log.error(at, at + 1, "nginx", "fatal" if match[1] in ("emerg", "alert") else "error", match[2], match[1])


# Erlang's logger heads a message of several lines with the process alone.
_PROCESS_ONLY = lazy(r"<\d{1,9}\.\d{1,9}\.\d{1,9}>")
# PostgreSQL's explanations; initdb's have small letters.
_EXPLAINS = lazy(r"\b(?:DETAIL|HINT):  |\A\w{2,20}: (?:detail|hint): ")


def read_leveled(log: Log, at: int, body: str) -> LastError | None:
    """Read a line that carries a level: a log library's text form, klog, or logfmt."""
    level = level_of(body)
    if level not in ("fatal", "error"):
        return None
    weight: Weight = "fatal" if level == "fatal" else "error"
    logfmt = LOGFMT_LEVEL.search(body[:400])
    if logfmt is not None:
        fields = {m[1]: _unquote(m[2]) for m in _LOGFMT_FIELD.finditer(body)}
        words = fields.get("msg") or fields.get("message") or ""
        cause = fields.get("err") or fields.get("error") or fields.get("cause") or ""
        summary = with_cause(words, cause) or body
        return log.error(at, at + 1, "logfmt", weight, summary)
    klog = KLOG.match(body)
    if klog is not None:
        words = body[klog.end() :]
        quoted = re.match(r"\"((?:[^\"\\]|\\.){0,4000})\"(.*)", words)
        if quoted is not None:
            fields = {m[1]: _unquote(m[2]) for m in _LOGFMT_FIELD.finditer(quoted[2])}
            words = with_cause(quoted[1], fields.get("err") or fields.get("error") or "")
        # The AWS SDK writes what caused its error on lines of their own; the last is the root.
        end, cause = at + 1, ""
        while end < len(log.lines) and end - at < 12 and log.body(end).startswith("caused by: "):
            cause = log.body(end).removeprefix("caused by: ")
            end += 1
        return log.error(at, end, "go", weight, with_cause(words, cause) or body, "klog")
    summary = body
    upper, lower = LEVEL.search(body[:200]), LOWER_LEVEL.search(body[:200])
    mark = upper if upper is not None and (lower is None or upper.start() <= lower.start()) else lower
    if mark is lower and lower is not None and lower[2] and re.search(r"[a-z]\Z", body[: lower.start()]):
        mark = None  # a sentence: "config parse error: ..."
    end = at + 1
    if mark is not None:
        rest = body[mark.end() :]
        after = _AFTER_LEVEL.match(rest)
        message = rest[after.end() :] if after else rest
        if _PROCESS_ONLY.fullmatch(rest.strip()):
            return None
        if not message.strip() or re.fullmatch(r"[\w.`]+\[\d+\]", message.strip()):
            # Microsoft.Extensions.Logging writes the message on the next, indented line.
            rows = []
            while end < len(log.lines) and re.match(r"\s{2,}\S", log.body(end)) and end - at < 40:
                rows.append(log.body(end).strip())
                end += 1
            inner = log.nested("\n".join(rows)) if rows and any(read_head(r) for r in rows) else None
            if inner is not None:
                return log.error(at, end, "dotnet", weight, inner.summary, inner.name)
            message = rows[0] if rows else body
        summary = message if len(message.strip()) > 2 else body
        summary, end = continued(log, summary, end)
    # PostgreSQL and others explain on the following lines.
    while end < len(log.lines) and end - at < 6:
        explains = _EXPLAINS.search(log.body(end)[:120])
        if explains is None:
            break
        summary = f"{summary.rstrip('.')}. {log.body(end)[explains.start() :]}"
        end += 1
    head = read_head(summary)
    return log.error(at, end, _language_of(summary), weight, summary, head[0] if head else "")


def _language_of(summary: str) -> str:
    head = read_head(summary)
    if head is not None and CLASS_ONLY.match(head[0]) and head[0][0].islower():
        return "java"
    return "text"


def _unquote(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value if value.endswith('"') and len(value) > 1 else value + '"'))
        except ValueError:
            return value.strip('"')
    return value


def _goes_on(row: str) -> bool:
    """Tell whether a line can belong to the message of the line before it."""
    return bool(row.strip()) and not LOG_LINE.match(row) and not row.startswith("{") and not may_begin(row.strip())


def _listed(log: Log, at: int) -> int:
    """Return the end of the indented list that an unmarshalling error announces; zero where there is none."""
    if not log.body(at).rstrip().endswith("unmarshal errors:"):
        return 0
    end = at + 1
    while end < len(log.lines) and end - at < 40 and re.match(r"\s{1,8}line \d{1,6}: \S", log.body(end)):
        end += 1
    return end if end > at + 1 else 0


def read_plain(log: Log, at: int, body: str) -> LastError | None:
    """Read plain words: shells, Perl, an exception without frames, or any line that tells of a failure."""
    if level_of(body) == "other":
        return None
    go, redis = GO_LOG.match(body), _REDIS.match(body)
    words = go[1] if go else redis[2] if redis else body
    if WRAPPER.search(words[:400]) or (redis and redis[1] != "#"):
        return None
    if _SHELL.match(words[:2500]):
        name = words.rpartition(": ")[2]
        return log.error(at, at + 1, "shell", "error", words, name)
    if _SHELL_VARIABLE.match(words) or _NUMBERED.match(words):
        return log.error(at, at + 1, "shell", "error", words)
    if " line " in words and _PERL.match(words[:3000]):
        return log.error(at, at + 1, "perl", "error", words)
    head = read_head(words) if not words.startswith(" ") else None
    if head is not None:
        # An exception whose frames are missing may have a message of several lines.
        end = at + 1
        while end < len(log.lines) and end - at < 8 and _goes_on(log.body(end)):
            end += 1
        return log.error(at, end, _language_of(words), "error", words, head[0])
    language = "go" if go else "text"
    listed = _listed(log, at)
    if listed:
        rows = " ".join(log.body(i).strip() for i in range(at + 1, min(at + 4, listed)))
        return log.error(at, listed, language, "error", f"{words.rstrip()} {rows}")
    if re.match(r"(?:[\w./-]{1,60}: )?(?:fatal|FATAL|Fatal|panic|PANIC)\b(?!\()", words):
        return log.error(at, at + 1, language, "fatal", words)
    if _FOREIGN_HEAD.match(words):
        return log.error(at, at + 1, language, "error", words)
    if re.match(r"(?:[\w./-]{1,60}: )?(?:error|ERROR|Error)\b[:\s]", words):
        words, end = continued(log, words, at + 1)
        return log.error(at, end, language, "error", words)
    probe = _ANY_URL.sub("", words[:1000])
    failed = (
        _WEAK.search(probe)
        or tells_of_failure(probe)
        or failure_kind(probe) in ("refused", "unresolved", "timeout", "unreachable", "reset")
    )
    if failed and not _NOT_WEAK.search(probe) and not FRAME.match(words):
        weight: Weight = "error" if redis or GOODBYE.search(probe) else "weak"
        return log.error(at, at + 1, language, weight, words)
    return None
