"""What the crashed instance of a container said before it ended by itself, and how much that proves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache

from kubetriage.model import Confidence, Evidence, EvidenceSource, Finding, Fix, RuledOut, Severity
from kubetriage.readers.logs import (
    Address,
    LastError,
    addresses,
    bodies,
    last_error,
    last_line,
    message_of,
    without_goodbye,
)
from kubetriage.readers.pods import Container
from kubetriage.readers.terminations import Termination
from kubetriage.records import dataclass
from kubetriage.redact import clean
from kubetriage.rules.crash.case import Case
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time

_NOT_ITS_OWN_END = frozenset(
    ("OOMKilled", "StartError", "ContainerCannotRun", "ContainerStatusUnknown", "Unknown", "Completed")
)
"""Reasons that name another cause than the program's own exit."""
_OWN_SIGNALS = (132, 133, 134)
"""Exit codes by which runtimes end themselves: V8's and Swift's traps, abort() of .NET, V8, Rust and glibc."""
_ABORTING = frozenset(("dotnet", "go", "rust", "python", "node"))
"""Languages whose runtime can end an uncaught exception or panic with abort() (exit code 134)."""
_SHORT = 200
_BESIDE = 15
"""Lines around the last error in which the same failure may be told in other words."""
_NEAR = 40
"""Lines before a closing error in which its cause is looked for."""
# A closing message that names no cause of its own; what it gave up on stands before it.
_CLOSING = lazy(
    r"gave? up|giving up|attempts?\b|retr(?:y|ies)|start(?:ing|ed|up)?\b.{0,40}fail|fail.{0,40}\bstart"
    r"|unable to start|could not"
    r" (?:start|connect|initiali[sz]e|reach|bind)|cannot (?:start|connect)|can't connect|unable to connect"
    r"|failed to (?:connect|initiali[sz]e|run)"
    r"|timed? ?out|not (?:ready|available|reachable)|unavailable|connection (?:failed|error|lost)"
    r"|fatal error, exiting|exit(?:ing|ed)?\b"
    # Hibernate, when the connection pool failed before it.
    r"|DialectResolutionInfo|Dialect without JDBC metadata"
    r"|\berror (?:getting|retrieving|fetching|downloading)\b"
    r"|caches? (?:to )?sync|leader election|terminated unexpectedly|abort|shutting down|migrat\w* fail|unhealthy"
    # rsync, and others that sum up
    r"|\b(?:see|due to|because of) (?:the )?(?:previous|above|earlier) errors?\b",
    re.IGNORECASE,
)


_STACK_FRAME = lazy(r"\s+(?:at |\.\.\. \d)|\s*\Z")
# What went wrong until this line did no harm.
_OVERCOME = lazy(
    r"\b(?:re)?connected\b|\bconnection (?:established|restored)\b|\brecovered\b|\bsucce(?:ss\w*|eded)\b"
    r"|\bcontinuing\b|\bfall(?:ing)? ?back\b|\bignor(?:ed|ing)\b|\bskipp(?:ed|ing)\b",
    re.IGNORECASE,
)
# It could not do something, and gives no reason.
_UNREASONED = lazy(
    r"(?:(?:panic|fatal|error): )*(?:unable to|failed to|could not|couldn't|cannot|can't) [^:]*\Z", re.IGNORECASE
)
# The underlining of Python and Node, headers without content, braces.
_DECORATION = lazy(r"[\s~^|*=+-]*\Z|Traceback \(most recent call last\):\Z|\s*[\]})\[{(]+,?\Z|Stack trace:\Z")


@lru_cache(maxsize=16)
def _read(content: str) -> tuple[LastError | None, tuple[Address, ...], tuple[str, ...]]:
    """Read a log once for all rules."""
    return last_error(content), addresses(content), bodies(content)


@dataclass(frozen=True)
class Said:
    """A line of the crashed instance that names a cause."""

    line: str
    confidence: Confidence
    match: re.Match[str]


@dataclass(frozen=True)
class Output:
    """What a crashed instance wrote, read for its last error."""

    text: str
    """Its log, or the termination message where the log says nothing; empty when neither was seen."""

    @cached_property
    def error(self) -> LastError | None:
        """The error that it ended with."""
        return _read(self.text)[0]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that it says it could not use."""
        return _read(self.text)[1]

    @property
    def language(self) -> str:
        """Language of the last error."""
        return self.error.language if self.error else ""

    @property
    def confidence(self) -> Confidence:
        """How surely the last error is why the program ended."""
        error = self.error
        if error is None:
            return Confidence.POSSIBLE
        if error.weight == "fatal" and error.trailing <= 50:
            return Confidence.CONFIRMED
        return Confidence.LIKELY if error.trailing <= 5 else Confidence.POSSIBLE

    @cached_property
    def searched(self) -> str:
        """All that :meth:`find` and :meth:`beside` look at, as one text."""
        rows, error = _read(self.text)[2], self.error
        own = (error.summary, *error.lines, *self._before) if error is not None else (last_line(self.text),)
        return "\n".join((*own, *(rows[at][:4096] for at in self._near)))

    def find(self, pattern: re.Pattern[str], unless: re.Pattern[str] | None = None) -> Said | None:
        """Find a line in the last error that matches; before it, when it only says that the program gave up."""
        error = self.error
        if error is None:
            # Nothing looks like an error; the last words before the exit still may name the cause.
            line = last_line(self.text)
            match = pattern.search(line)
            return Said(line, Confidence.LIKELY, match) if match and not (unless and unless.search(line)) else None
        for line in (error.summary, *error.lines):
            match = pattern.search(line)
            if match is not None and not (unless and unless.search(line)):
                return Said(line, self.confidence, match)
        for line in self._before:
            match = pattern.search(line)
            if match is not None and not (unless and unless.search(line)):
                # Without the fields of its log library, where the words are in its message.
                told = last_error(line)
                inner = pattern.search(told.summary) if told is not None else None
                shown, match = (
                    (told.summary, inner) if told is not None and inner is not None else (line.strip(), match)
                )
                return Said(shown, self._weaker, match)
        return None

    def beside(self, pattern: re.Pattern[str]) -> Said | None:
        """Find a line that matches near the last error, or near the end of an output without one."""
        rows = _read(self.text)[2]
        for at in reversed(self._near):
            match = pattern.search(rows[at][:4096])
            if match is not None:
                return Said(rows[at].strip()[:4096], Confidence.LIKELY, match)
        return None

    @property
    def _near(self) -> range:
        """Numbers of the lines near the last error, or near the end of an output without one."""
        rows, error = _read(self.text)[2], self.error
        if error is None:
            return range(len(rows))[-_BESIDE:]
        return range(max(error.at - _BESIDE, 0), min(error.end + _BESIDE, len(rows)))

    @property
    def _weaker(self) -> Confidence:
        """How surely a line before the last error is why the program ended."""
        return max(self.confidence, Confidence.LIKELY, key=lambda c: c.rank)

    @cached_property
    def _before(self) -> list[str]:
        """Return the lines before the last error in which its cause may stand, the nearest first."""
        return [_read(self.text)[2][at][:4096] for at in reversed(self._reach)]

    @property
    def _far(self) -> int:
        """Number of the line ``_NEAR`` lines before the last error, stack frames not counted."""
        rows, at = _read(self.text)[2], self.error.at if self.error else 0
        left = _NEAR
        while at > 0 and left > 0:
            at -= 1
            left -= not _STACK_FRAME.match(rows[at])
        return at

    @cached_property
    def _reach(self) -> range:
        """Numbers of the lines before the last error in which its cause may stand.

        An error that only says that the program gave up can have its cause further up. One that gives no reason for
        what it could not do has it in the logged error right above, if at all.
        """
        error = self.error
        if error is None:
            return range(0)
        rows = _read(self.text)[2]
        if closes(error):
            far = self._far
            overcome = [at for at in range(far, error.at) if _OVERCOME.search(rows[at])]
            return range(overcome[-1] + 1 if overcome else far, error.at)
        above = error.at - 1
        if above < 0 or not _UNREASONED.match(error.summary):
            return range(0)
        said = last_error(rows[above])
        return range(above, error.at) if said is not None and said.weight != "weak" else range(0)

    def failed_addresses(self) -> list[tuple[Address, Confidence]]:
        """Return the addresses that the last error is about, the surest first."""
        error = self.error
        if error is None:
            return []
        block = range(error.at, max(error.end, error.at + 1))
        inside = [(a, self.confidence) for a in self.addresses if any(at in block for at in a.times)]
        if any(a.host for a, _ in inside):
            return inside
        # An error without the address may repeat one that had it.
        kinds = {a.kind for a, _ in inside} - {"failed"}
        near = range(self._far, error.at) if inside else self._reach
        before = [
            (a, self._weaker)
            for a in reversed(self.addresses)
            if any(at in near for at in a.times) and (not inside or (a.host and (a.kind in kinds or not kinds)))
        ]
        return before or inside


@dataclass(frozen=True)
class LastWords(Output):
    """The output of one container's crashed instance."""

    case: Case
    container: Container
    end: Termination
    source: EvidenceSource
    seen: bool
    """False: there may have been output, but nobody could read it."""
    why: str
    """Why the log was not seen."""

    def quote(self, *lines: str) -> tuple[Evidence, ...]:
        """Quote lines of the output, with the last error where they stand before it; by default those of the error."""
        error = self.error
        wanted = list(lines)
        if wanted and error is not None:
            block = [error.summary, *(row.strip() for row in error.lines)]
            if not any(row.strip() in whole or whole in row for row in wanted for whole in block if whole):
                wanted.append(error.summary)
        if not wanted and error is not None:
            rows = [row for row in error.lines if row.strip() and not _DECORATION.match(row)]
            wanted = [error.summary, *[r for r in rows[:2] + rows[-4:] if r.strip() not in error.summary]]
            wanted = [error.summary, *[r for r in wanted[1:] if error.summary not in r]]
        at = f"{self.end.at}.message" if self.source == "status" else self.container.name
        when = error.time if error is not None else ""
        # Secrets over more than one line (private keys) are only seen when the lines stand together.
        shown = clean("\n".join(wanted)).split("\n")
        rows = [row.strip()[:600] for row in dict.fromkeys(shown) if row.strip()]
        return tuple(Evidence(self.source, at, row, when if parse_time(when) else "") for row in rows[:6])

    def finding(
        self,
        cause: str,
        confidence: Confidence,
        message: str,
        *,
        quoted: Iterable[str] = (),
        evidence: Iterable[Evidence] = (),
        ruled_out: Iterable[RuledOut] = (),
        fix: Iterable[Fix] = (),
        verify: Iterable[str] = (),
        details: Mapping[str, Any] | None = None,
    ) -> Finding:
        """Make a finding about this container that quotes the exit and the output."""
        return Finding(
            cause,
            Severity.ERROR,
            confidence,
            self.container.ref,
            message,
            (self.end.evidence(), *self.quote(*quoted), *evidence),
            tuple(ruled_out),
            tuple(fix),
            (*verify, self.case.log_command(self.container)),
            dict(details or {}),
        )


def closes(error: LastError) -> bool:
    """Tell whether an error only says that the program gives up."""
    return bool(_CLOSING.search(without_goodbye(error.summary)))


def last_words(case: Case, *, shells: bool = False, kills: bool = False) -> Iterator[LastWords]:
    """Yield the output of each container that ended by itself with an error.

    Exit codes 126 and 127 are a shell's or a runtime's; they are left out unless ``shells``. With ``kills`` an end
    by SIGKILL or SIGTERM counts too, which a runtime can send to itself.
    """
    for container in case.containers:
        end = case.crash(container)
        if end is None or (end.exit_code in (126, 127) and not shells):
            continue
        killed = kills and end.exit_code in (137, 143) and end.reason == "Error"
        if killed or end.untold or ended_by_itself(end) or not case.shows_states:
            yield words_of(case, container, end)


def ended_by_itself(end: Termination) -> bool:
    """Tell whether the exit code is one that the program chose."""
    code = end.exit_code
    if code is None or code == 0 or not end.ran or end.reason in _NOT_ITS_OWN_END:
        return False
    return end.signal is None or code in _OWN_SIGNALS


def words_of(case: Case, container: Container, end: Termination) -> LastWords:
    """Return what one crashed instance said: its log, else its termination message."""
    log = case.log(container)
    # A program that writes a message of its own says more there than in a log without an error.
    told = bool(end.message.strip()) and _read(log.text)[0] is None and _read(end.message)[0] is not None
    if log.seen and last_line(log.text) and not told:
        return LastWords(log.text, case, container, end, "log", True, "")
    if end.message.strip():
        return LastWords(end.message, case, container, end, "status", True, log.why)
    return LastWords("", case, container, end, "log", log.seen, log.why)


def dies_of_an_exception(case: Case, container: Container, end: Termination) -> bool:
    """Tell whether the output ends with an exception or panic of a runtime that aborts on those."""
    error = words_of(case, container, end).error
    return error is not None and error.weight == "fatal" and error.language in _ABORTING


def short(line: str) -> str:
    """Return one line for a message; of a JSON line its words."""
    line = message_of(line)
    shown = " ".join(clean(line).split()).rstrip(".")
    return shown if len(shown) <= _SHORT else shown[: _SHORT - 1] + "…"


_PATH = lazy(
    r"['\"`‘«](?P<quoted>/[^'\"`’»\n]{1,400})['\"`’»]"
    r"|(?<![\w/.:@-])(?P<bare>/[\w.@%+=~-]{1,200}(?:/[\w.@%+=~-]{1,200}){0,30}/?)"
)


# Times of day, and places in source files: main.rs:42:47, server.go:80.
_NO_PORTS = lazy(
    r"(?<!\d)\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?!\d)"
    r"|[\w$./@-]{1,200}\.(?:go|rs|py|js|ts|mjs|cjs|jsx|tsx|java|kt|scala|rb|php|cs|c|h|cc|cpp|hpp|pl|ex|exs|erl|lua)"
    r"(?::| line )\d{1,6}(?::\d{1,5})?(?!\d)"
)


def without_clock(line: str) -> str:
    """Return a line without times of day and places in source files, whose parts look like ports."""
    return _NO_PORTS.sub("", line[:1000])


def path_near(line: str, at: int) -> str:
    """Return the file path that a reason at position ``at`` of a line is about: the last before it, else the next."""
    before, after = "", ""
    for match in _PATH.finditer(line[:4096]):
        path = (match["quoted"] or match["bare"]).rstrip(":.,)")
        if match.start() < at:
            before = path
        elif not after:
            after = path
    return before or after
