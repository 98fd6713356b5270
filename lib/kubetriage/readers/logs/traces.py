"""Last words of other runtimes: Python, Go, Ruby, Rust, PHP, Elixir, C++, the JVM's launcher, V8, Spring's banner."""

from __future__ import annotations

import re

from kubetriage.readers.logs.levels import LOG_LINE, level_of
from kubetriage.readers.logs.stacks import ERROR_HEAD, continued, read_head
from kubetriage.readers.logs.text import MAX_BLOCK, LastError, Log
from kubetriage.values.patterns import lazy

_PY_EXCEPTION = lazy(r"((?:[A-Za-z_]\w{0,80}\.){0,8}[A-Za-z_]\w{0,80})(?:: (.*))?\Z")
_PY_FRAME = lazy(r"( {3,8})File \"")
_PY_CHAIN = lazy(r"(?:During handling of the above exception|The above exception was the direct cause)")
# pydantic, marshmallow: the fields follow on lines of their own.
_PY_LIST = lazy(r"\d+ validation errors? for ")
_RUBY_HEAD = lazy(r"(?:\S{1,400}:\d{1,7}:in [`'](?:.{0,200})': )(.{0,4000}?)(?: \(([A-Z][\w:]{0,120})\))?\Z")
_RUBY_FRAME = lazy(r"(?:from )?/?[\w./@+-]{1,400}:\d{1,7}:in [`'][^'\n]{0,200}'\s*\Z")
_RUBY_ABORT = lazy(r"(?:rails|rake) aborted!\Z")
_RUST_PANIC = lazy(r"thread '[^']{0,80}' (?:\(\d+\) )?panicked at (?:'(.{0,4000})', )?(\S{1,400}?:\d+:\d+)?(:?)\s*\Z")
_GO_PANIC = lazy(r"(?:panic: |fatal error: |runtime: out of memory|unexpected fault address|SIG[A-Z]{3,6}: )")
_PHP = lazy(r"(?:\[[^\]]{1,60}\] )?(?:PHP )?(Fatal error|Parse error|Catchable fatal error|Core error): {1,4}(.*)")
_ELIXIR = lazy(r"\*\* \((\w[\w.]{0,100})\) (.*)")
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
# Collision (Laravel): class, message and place each in a paragraph; Symfony's console: "In File.php line 3:".
_CONSOLE_CLASS = lazy(r"\s{2,4}([A-Z]\w*(?:\\\w+)+|[A-Z]\w*(?:Exception|Error))\s*\Z")
_CONSOLE_FILE = lazy(r"(?:In|at) \S{1,200}\.php line \d{1,7}:\Z")
_RECOVERED = lazy(r"goroutine \d{1,10} \[[^\]]{1,60}\]:\Z")
GO_LOG = lazy(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d{6})? (?:[\w./-]{1,100}\.go:\d+: )?(.*)")


def read_python(log: Log, at: int) -> LastError | None:
    """Read a traceback and those chained to it."""
    prefix = log.body(at).find("Traceback")
    margin = log.body(at)[:prefix] if log.body(at)[:prefix].strip(" |+-") == "" else ""
    deep = _PY_FRAME.match(log.body(at + 1)) if not margin else None
    if deep is not None:
        margin = " " * (len(deep[1]) - 2)  # all lines but the first were indented, as by a paste
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
            elif LOG_LINE.match(shown) and skipped < 20:
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
                or LOG_LINE.match(extra)
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
    logged = bool(log.body(at)[:prefix].strip(" |+-")) or (at > 0 and bool(level_of(log.body(at - 1))))
    return log.error(
        at, end, "python", "error" if logged else "fatal", last[1], last[0].rpartition(".")[2], rows[-MAX_BLOCK:]
    )


def read_go(log: Log, at: int, body: str) -> LastError | None:
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
        if LOG_LINE.match(row):
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
        while end < len(log.lines) and not LOG_LINE.match(log.body(end)) and not log.body(end).startswith("{"):
            end += 1
    if body.startswith("fatal error: ") and not is_go and not signal:
        return None  # compilers and other programs say so too: plain words
    if body.startswith("SIG") and not is_go:
        return None
    name = "panic" if "panic: " in summary else summary.partition(":")[0]
    lines = tuple(row[:2000] for row in (*head[:12], *stack))
    return log.error(at, end, "go", "fatal", summary.removesuffix(" [recovered]"), name, lines)


def read_recovered(log: Log, at: int, body: str) -> LastError | None:
    """Read a panic that the program caught and logged (net/http, gin): the goroutine's trace follows the line."""
    if not _RECOVERED.match(log.body(at + 1)) or body.startswith(("panic: ", "fatal error: ")):
        return None
    end = at + 2
    while end < len(log.lines) and (row := log.body(end)) and not LOG_LINE.match(row) and row[0] != "{":
        end += 1
    go = GO_LOG.match(body)
    return log.error(at, end, "go", "error", go[1] if go else body, "panic")


def read_console(log: Log, at: int, body: str) -> LastError | None:
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


def _paragraph(log: Log, at: int) -> tuple[list[str], int]:
    """Return the next indented lines between empty ones, and the line after them."""
    while at < len(log.lines) and not log.body(at).strip():
        at += 1
    rows: list[str] = []
    while log.body(at).strip() and log.body(at).startswith(" ") and len(rows) < 12:
        rows.append(log.body(at).strip())
        at += 1
    return rows, at


def read_spring(log: Log, at: int, body: str) -> LastError | None:
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
            if LOG_LINE.match(row):
                break
            sections.setdefault(current, []).append(row)
        end += 1
    words = sections.get("Description") or sections[""]
    if not words:
        return None
    lines = (*words, *sections.get("Reason", []), *(f"Action: {row}" for row in sections.get("Action", [])))
    return log.error(at, end, "java", "fatal", " ".join(words[:3]), "ApplicationFailedToStart", lines[:20])


def read_rust(log: Log, at: int, body: str) -> LastError | None:
    """Read a Rust panic (both formats) or an error that ``main`` returned, with anyhow's and eyre's causes."""
    if body.startswith("thread '") and (match := _RUST_PANIC.match(body)) is not None:
        end = at + 1
        summary = match[1] or ""
        if not summary:
            rows = []
            while (
                end < len(log.lines) and end - at < 12 and not log.body(end).startswith(("note:", "stack backtrace:"))
            ):
                if LOG_LINE.match(log.body(end)):
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


def read_php(log: Log, at: int, body: str) -> LastError | None:
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


def read_runtime(log: Log, at: int, body: str) -> LastError | None:
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
            elif end == at + 2 and read_head(rows[1]):
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
        while end < len(log.lines) and not LOG_LINE.match(log.body(end)) and end - at < 80:
            end += 1
        summary = re.sub(r"\A\(node:\d+\) UnhandledPromiseRejectionWarning: ", "", body)
        reason = re.search(r"rejected with the reason \"(.{1,2000}?)\"\.?\]", summary)
        summary = reason[1] if reason else summary
        head = ERROR_HEAD.match(summary)
        return log.error(at, end, "node", "fatal", summary, head[2] or head[1] if head else "", log.block(at, at + 10))
    return None


def read_ruby(log: Log, at: int, body: str) -> LastError | None:
    """Read an uncaught Ruby exception; causes follow the exception that they caused."""
    if _RUBY_ABORT.match(body):
        head = re.match(r"([A-Z][\w:]{0,160}):(?: |\Z)", log.body(at + 1))
        # Rails puts an empty message, or the class once more, before words of several lines.
        bare = head is not None and log.body(at + 1).replace(f"({head[1]})", "").strip() == f"{head[1]}:"
        summary, end = continued(log, f"{head[1]}:" if head and bare else log.body(at + 1) or body, at + 2)
        return log.error(at, end, "ruby", "fatal", summary, head[1] if head else "")
    if ":in " not in body:
        return None
    # A program that rescued the exception prints its message, then the frames.
    if _RUBY_FRAME.match(body) and _RUBY_FRAME.match(log.body(at + 1)) and at > 0:
        above = log.body(at - 1)
        if above.strip() and not _RUBY_FRAME.match(above) and level_of(above) != "other":
            end = at + 1
            while end < len(log.lines) and end - at < 400 and _RUBY_FRAME.match(log.body(end)):
                end += 1
            return log.error(at - 1, end, "ruby", "fatal", above.strip(), "")
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


def read_elixir(log: Log, at: int, body: str) -> LastError | None:
    """Read an uncaught Elixir exception."""
    match = _ELIXIR.match(body.strip())
    if match is None:
        return None
    end = at + 1
    while end < len(log.lines) and re.match(r"\s{2,}", log.body(end)) and end - at < 60:
        end += 1
    return log.error(at, end, "elixir", "error", f"{match[1]}: {match[2]}", match[1])
