"""The program or its runtime gave up and called abort().

Meaning: exit code 134 is 128 + SIGABRT. A failed assertion, a fatal error of a runtime (HotSpot, V8, .NET), a C++
exception that nobody caught, or glibc that found a damaged heap. The reason usually stands in the log.

Told by: exit code 134. A language runtime that ran out of its own memory (V8 ends that way) is RuntimeOutOfMemory.

Fix: the last words of the log name the assertion or the fatal error.

Source: abort(3), signal(7); V8 and HotSpot end fatal errors with abort().
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.logs import last_error, last_line
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Killer, attribute
from kubetriage.rules.crash.program_output import dies_of_an_exception, short

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
        if dies_of_an_exception(case, container, end):
            continue  # .NET and others end an uncaught exception with abort(): that is AppError
        log = case.log(container)
        error = last_error(log.text)
        line = error.summary if error is not None and error.weight != "weak" else last_line(log.text)
        lived = end.age_words()
        words = f"; its last words: {short(line)}" if line else ""
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.LIKELY if log.seen else Confidence.POSSIBLE,
            container.ref,
            f"{container.name} aborted itself{lived} (exit code 134 = 128 + SIGABRT){words}.",
            (end.evidence(), *((Evidence("log", container.name, line),) if line else ())),
            (RuledOut("AppError", "not ruled out: a program can call exit(134) itself"),),
            (
                Fix(
                    f"The assertion or fatal error stands at the end of the log of {container.name}; fix what it names."
                ),
            ),
            (case.log_command(container),),
        )
