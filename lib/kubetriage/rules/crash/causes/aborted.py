"""The program or its runtime gave up and called abort().

Meaning: exit code 134 is 128 + SIGABRT. A failed assertion, a fatal error of a runtime (HotSpot, V8, .NET), a C++
exception that nobody caught, or glibc that found a damaged heap. The reason usually stands in the log.

Told by: exit code 134. A language runtime that ran out of its own memory (V8 ends that way) is RuntimeOutOfMemory.

Fix: the last words of the log name the assertion or the fatal error.

Source: abort(3), signal(7); V8 and HotSpot end fatal errors with abort().
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.logs import last_error, last_line
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Killer, attribute
from kubetriage.rules.crash.known_errors import known_error
from kubetriage.rules.crash.next_looks import next_looks
from kubetriage.rules.crash.program_output import dies_of_an_exception, short, words_of

CODE = "Aborted"


def check(case: Case) -> Iterator[Finding]:
    """Find containers that ended by SIGABRT."""
    for container in case.containers:
        end = case.crash(container)
        if end is None or end.exit_code != 134 or end.reason == "OOMKilled":
            continue
        verdict = attribute(case, container)
        if verdict is not None and verdict.killer is not Killer.UNKNOWN:
            continue
        words = words_of(case, container, end)
        if dies_of_an_exception(case, container, end) or known_error(words) is not None:
            continue  # what the runtime said before abort() is the cause
        log = case.log(container)
        error = last_error(log.text)
        line = error.summary if error is not None and error.weight != "weak" else last_line(log.text)
        lived = end.age_words()
        shown = f"; its last words: {short(line)}" if line else ""
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.LIKELY if log.seen else Confidence.POSSIBLE,
            container.ref,
            f"{container.name} aborted itself{lived} (exit code 134 = 128 + SIGABRT){shown}.",
            (end.evidence(), *((Evidence("log", container.name, line),) if line else ())),
            (RuledOut("AppError", "not ruled out: a program can call exit(134) itself"),),
            (_decides(error.summary if error is not None else line), *next_looks(words)[:2]),
            (case.log_command(container),),
        )


def _decides(line: str) -> Fix:
    """Say which of the reasons for abort() it is, by the words, and who acts."""
    low = line.lower()
    if "assert" in low or "check failed" in low or "fatal error in" in low:
        return Fix(
            "A failed assertion: the line names the check and its source file; report it with the "
            "version, or use another "
            "release of the image.",
            actor=Actor.IMAGE,
        )
    if any(words in low for words in ("free()", "malloc", "corrupt", "double free", "stack smashing", "heap")):
        return Fix(
            "The C library found damaged memory: a fault in native code. Use another release of the image or of the "
            "extension that was added last.",
            actor=Actor.IMAGE,
        )
    return Fix(
        "See whether the log ends with an assertion (another release of the image), damaged memory "
        "(a native extension) "
        "or an exception of C++ (its what() line names the input or setting).",
        actor=Actor.APP,
    )
