"""Stack traces of the JVM, .NET and Node, from their head through their causes to the last frame."""

from __future__ import annotations

import re

from kubetriage.readers.logs.levels import LOG_LINE, level_of
from kubetriage.readers.logs.text import MAX_BLOCK, LastError, Log, Weight
from kubetriage.records import replace
from kubetriage.values.patterns import lazy

FRAME = lazy(
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
    r"(?:Unhandled [Ee]xception[.:]\s*)?((?:[A-Z]\w{0,60}\.){1,10}(?:[A-Z]\w{0,120})?(?:Exception"
    r"|Error))(?: \([0-9A-Fa-fx, ]{1,40}\)){0,2}(?:: (.*))?\Z"
)
ERROR_HEAD = lazy(
    r"(?:Uncaught )?((?:[A-Z][\w$]{0,60}(?:Error|Exception|Failure|Rejection|Warning)|Error"
    r"|Exception))(?: \[([A-Z][A-Z0-9_]{2,60})\])?(?:: (.*))?\Z"
)
_NODE_CAUSE = lazy(r"\s*\[?cause\]?: (.*)")
# A field of an object that Node prints after the frames, and what closes it.
NODE_FIELD = lazy(r"\s+(?:['\"]?[\w$ -]{1,60}['\"]?|\[[\w ()]{1,60}\]): |\s*[\]})]{1,3},?\Z|\s+['\"\[{]")


def continued(log: Log, summary: str, end: int) -> tuple[str, int]:
    """Add the line that a message ending in a colon announces, and return it with the line after that."""
    if not summary.rstrip().endswith(":"):
        return summary, end
    row = end
    while row < len(log.lines) and row - end < 3 and not log.body(row).strip():
        row += 1
    more = log.body(row)
    if not more.strip() or LOG_LINE.match(more) or FRAME.match(more) or more.startswith("{"):
        return summary, end
    return f"{summary.rstrip()} {more.strip()}", row + 1


def read_stack(log: Log, at: int, body: str) -> LastError | None:
    """Read a stack trace of the JVM, .NET or Node from its head, through its causes, to its last frame."""
    # A head has its frames (or causes) within the next lines; a message may have several lines.
    if body.startswith((" at ", "  at ")) and not body.strip().startswith("at "):
        return None
    near = next(
        (
            i
            for i in range(at + 1, min(at + 12, len(log.lines)))
            if FRAME.match(log.body(i)) or _CAUSED_BY.match(log.body(i)) or _DOTNET_INNER.match(log.body(i))
        ),
        None,
    )
    head = read_head(body)
    if near is None:
        return None
    if head is None:
        # A log line whose exception begins on the next line.
        level = level_of(body)
        if level in ("fatal", "error") and not FRAME.match(log.body(at + 1)) and read_head(log.body(at + 1)):
            beneath = read_stack(log, at + 1, log.body(at + 1))
            if beneath is not None:
                weight: Weight = "fatal" if "fatal" in (level, beneath.weight) else "error"
                return replace(beneath, at=at, weight=weight, lines=(body[:2000], *beneath.lines)[:MAX_BLOCK])
        if near == at + 1 and not FRAME.match(body) and level_of(body) in ("fatal", "error"):
            head = ("", body)
        else:
            return None
    elif near > at + 1 and any(read_head(log.body(i)) for i in range(at + 1, near)):
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
        if FRAME.match(row):
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
                causes.append((*(read_head(caused[2]) or ("", caused[2])), end))
            loose = 0
        elif inner is not None:
            causes.append((*(read_head(inner[1]) or ("", inner[1])), end))
            loose = 0
        elif node_cause is not None and braces:
            causes.append((*(read_head(node_cause[1].rstrip(" {")) or ("", node_cause[1])), end))
        elif braces and NODE_FIELD.match(row):
            if row.rstrip().endswith(("{", "[")):
                braces += 1
            elif re.match(r"\s*[\]}]", row):
                braces -= 1
        elif re.match(r"\s+Suppressed: ", row):
            loose = 0
        elif (
            row.strip()
            and not LOG_LINE.match(row)
            and loose < 10
            and (
                end < near
                or any(FRAME.match(log.body(i)) for i in range(end + 1, min(end + 11 - loose, len(log.lines))))
            )
            and not (loose == 0 and end > near and read_head(row) and not _causes_follow(log, end))
        ):
            loose += 1  # further lines of a message
        elif (
            LOG_LINE.match(row)
            and any(FRAME.match(log.body(i)) for i in range(end + 1, min(end + 3, len(log.lines))))
            and loose < 10
            and not read_head(row)
        ):
            loose += 1  # another thread wrote between
        else:
            break
        end += 1
    root_name, root, root_at = causes[-1] if causes else (name, summary, at)
    root = continued(log, root, root_at + 1)[0]
    if " ---> " in root:
        # .NET Framework writes the whole chain on one line.
        inner_most = root.rpartition(" ---> ")[2].strip()
        root_name, root = read_head(inner_most) or ("", inner_most)
    if not language:
        language = "java" if CLASS_ONLY.match(root_name) else "node"
    if language == "node" and not causes:
        code = next((m[1] for m in (re.match(r"\s+code: '(\w+)'", log.body(i)) for i in range(at, end)) if m), "")
        root_name = code or root_name
    uncaught = bool(
        re.match(r"Exception in thread|Unhandled [Ee]xception|Uncaught ", body)
        or level_of(body) == "fatal"
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
    found = log.error(at, end, language, "fatal" if uncaught else "error", root, root_name, lines[:MAX_BLOCK])
    return replace(found, at=first) if first != at else found


CLASS_ONLY = lazy(rf"{_CLASS}\Z")


def _causes_follow(log: Log, at: int) -> bool:
    """Tell whether the line is part of the message of a cause just named."""
    return bool(_CAUSED_BY.match(log.body(at - 1)) or _DOTNET_INNER.match(log.body(at - 1)))


def _thrown(log: Log, at: int) -> bool:
    """Tell whether Node printed the source line of an uncaught exception above it."""
    rows = [log.body(i) for i in range(max(at - 6, 0), at)]
    return any(re.match(r"(?:node:|/|file://|[A-Za-z]:\\).{1,300}:\d+\Z", row) for row in rows) and any(
        "^" in r for r in rows
    )


def read_head(row: str) -> tuple[str, str] | None:
    """Return the class and the words of a line that begins an exception."""
    row = row.strip()
    if not row or len(row) > 8000:
        return None
    for pattern in (_JAVA_HEAD, _DOTNET_HEAD):
        match = pattern.match(row)
        if match is not None and (row.startswith(("Exception in", "Caused by", "Unhandled")) or _exceptional(match[1])):
            return match[1], match[1] + (f": {match[2]}" if match[2] else "")
    match = ERROR_HEAD.match(row)
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
