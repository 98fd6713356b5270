"""Which of the errors in a log the program ended with."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.readers.logs.entries import (
    GOODBYE,
    WRAPPER,
    may_begin,
    read_banner,
    read_leveled,
    read_nginx,
    read_npm,
    read_plain,
)
from kubetriage.readers.logs.json_entries import read_json_error
from kubetriage.readers.logs.levels import LOG_LINE
from kubetriage.readers.logs.stacks import read_stack
from kubetriage.readers.logs.text import FAR, LastError, Log, read_lines
from kubetriage.readers.logs.traces import (
    read_console,
    read_elixir,
    read_go,
    read_php,
    read_python,
    read_recovered,
    read_ruby,
    read_runtime,
    read_rust,
    read_spring,
)
from kubetriage.records import replace
from kubetriage.values.patterns import lazy

_SHUTDOWN = lazy(
    r"shut(?:ting)?[ -]?down|stopping|stopped|exiting|terminat(?:ing|ed)|aborting|closing|closed|bye\b"
    r"|giving up|will exit|processes will be killed|"
    r"graceful|worker failed to boot|destroy(?:ing|ed)",
    re.IGNORECASE,
)
# An error that only reports the end: a supervisor about its child, a program about its own start, a pointer to other
# output. The error before it says why.
_HOLLOW = lazy(
    r"exit(?:ed|s|ing)?(?: \w+){0,4} (?:code|status)[ :=]{1,2}\d+|did not exit normally|exited unexpectedly\Z"
    r"|(?:fail(?:ed|ure)|unable|could not|couldn't|cannot) to (?:start|boot|initiali[sz]e|launch|run|execute)\b[^:]*\Z"
    r"|initiali[sz]ation (?:failed|aborted)\b[^:]*\Z|(?:start-?up|boot) (?:failed|aborted)\b[^:]*\Z|\bBOOT FAILED\b"
    # A sum of failures that stand before it.
    r"|(?:failed|unable|could not|couldn't|cannot) (?:to )?(?:load|start|open|create|run|initiali[sz]e|build|deploy"
    r"|validate) (?:all|some|any|one or more|\d{1,4})(?: of)?(?: the)? [\w -]{1,40}\Z"
    r"|\A(?:error: )?(?:one or more|some|multiple|several|\d{1,4}) [\w -]{1,40}\b(?:errors?|failed|failures?)"
    r"(?: occurred| found)?\W*\Z"
    # A part that gives up because of what another has told.
    r"|\A(?:\[[\w -]{1,20}\] )?(?:\w{1,20} ){0,2}(?:backend|engine|setup|bootstrap|plugin|configuration|service)"
    r"(?: initiali[sz]ation| startup| loading)? failed\W*\Z"
    # Erlang's report of a process that crashed: what its program said before it is plainer.
    r"|\A(?:crasher: {1,4})?initial call: "
    r"|\A(?:Error: )?\w{1,40}(?:CannotStart|FailedToStart)\Z"
    r"|\AFatal assertion\Z|aborting after (?:fassert|invariant)\(\) failure"
    r"|terminated (?:unexpectedly|abnormally)|application run failed\Z"
    r"|\berror(?:\(s\)|s)? found in\b|\bunable to open logs\Z|could not read from remote repository"
    r"|\A(?:\([\w-]{1,40}\) )?(?:please )?(?:see|check|refer to|run|try|use|for more)\b"
    r".*(?:log|option|help|details|information|command)"
    r"|\A\W*(?:(?:a |an )?(?:fatal|critical|unrecoverable|unhandled|unexpected) )?(?:error|exception|failure)"
    r"(?: occurred)?\W*\Z|\A\W*\w+:\Z|\A\W*\Z",
    re.IGNORECASE,
)
# The help that flag, cobra, argparse, clap and picocli print with an error about their arguments.
_USAGE = lazy(r"(?:usage|Usage)(?: of [^:]{1,200})?:(?:\s|\Z)")


def _errors(log: Log) -> Iterator[LastError]:
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


def _after_usage(log: Log, at: int) -> int:
    """Return the line after a command's help, whose words are no errors."""
    end = at + 1
    while end < len(log.lines) and (not (row := log.body(end)).strip() or row[0] in " \t-" or row.endswith(":")):
        end += 1
    return end


# A line that several of them could read belongs to the first: the more telling forms before the general ones.
_READERS = (
    read_npm,
    read_go,
    read_recovered,
    read_spring,
    read_rust,
    read_php,
    read_console,
    read_runtime,
    read_ruby,
    read_stack,
    read_elixir,
    read_nginx,
    read_banner,
    read_leveled,
    read_plain,
)


def _error_at(log: Log, at: int) -> LastError | None:
    body = log.body(at)
    if not body or not may_begin(body):
        return None
    if body.startswith("{"):
        found = read_json_error(log, at, body)
        if found is not None or body.endswith("}"):
            return found
    if "Traceback (most recent call last)" in body:
        return read_python(log, at)
    for read in _READERS:
        found = read(log, at, body)
        if found is not None:
            return found
    return None


_RANK = {"fatal": 3, "error": 2, "weak": 1}
_CLOSE = 20
"""Lines between an error and the message that closes it."""


def last_error(content: str) -> LastError | None:
    """Return the error that a program most likely ended with, or None when its log tells of none.

    The last fatal error wins over logged errors, and those over plain words, unless much other output follows it.
    Messages about shutting down give way to the error before them.
    """
    log = Log(read_lines(content), last_error)
    found = list(_errors(log))
    if not found:
        return None
    filled = [0] * (len(log.lines) + 1)
    for i in range(len(log.lines) - 1, -1, -1):
        row = log.body(i)
        matter = bool(row.strip()) and not WRAPPER.search(row[:400])
        filled[i] = filled[i + 1] + (1 if matter else 0)
    found = [replace(error, trailing=filled[min(error.end, len(log.lines))]) for error in found]

    def rank(error: LastError) -> int:
        rank = _RANK[error.weight]
        return rank if error.trailing <= FAR else min(rank, 2) if rank == 3 else rank

    near = [e for e in found if e.trailing <= FAR] or found
    best = max(rank(e) for e in near)
    chosen = [e for e in near if rank(e) == best]
    last = chosen[-1]
    # What follows the cause may be the same end in other words, more than once.
    while not _says_why(last) or _takes_leave(log, last, found):
        told = [e for e in near if e.at < last.at and _says_why(e)]
        before = [e for e in told if rank(e) == best] or [e for e in told if rank(e) >= 2]
        before = before or [e for e in told if last.at - e.end <= _CLOSE]
        if not before:
            break
        cause, gap = before[-1], filled[before[-1].end] - filled[last.at]
        last = replace(cause, trailing=last.trailing if gap <= _CLOSE else cause.trailing)
    return _announced(log, last)


def _announced(log: Log, error: LastError) -> LastError:
    """Add the line that an error announces with a colon at its end."""
    if error.summary.rstrip()[-1:] != ":":
        return error
    for i in range(error.at + 1, min(error.at + 4, len(log.lines))):
        row = log.body(i).strip()
        if row and row not in error.summary:
            told = not LOG_LINE.match(row) and not row.startswith(("at ", "{", "Caused by", "File "))
            return replace(error, summary=f"{error.summary.rstrip()} {row[:600]}") if told else error
    return error


def _takes_leave(log: Log, error: LastError, found: list[LastError]) -> bool:
    """Tell whether an error that ends in "exiting" or the like stands right under a logged error, which it sums up."""
    if not GOODBYE.search(error.summary):
        return False
    above = error.at - 1
    while above >= 0 and not log.body(above).strip():
        above -= 1
    return any(e.end == above + 1 and e.weight != "weak" for e in found)


def without_goodbye(summary: str) -> str:
    """Return an error without the words that only say that the program ends because of it."""
    return GOODBYE.sub("", summary)


def _says_why(error: LastError) -> bool:
    """Tell whether an error names what went wrong, not only that the program or its child ended."""
    if error.name and error.name != "klog" and error.language not in ("text", "nginx"):
        return True
    words = without_goodbye(error.summary).replace("{shutdown,{", "{{")  # Erlang's supervisors wrap the cause in it
    return not (_HOLLOW.search(words) or _SHUTDOWN.search(words))
