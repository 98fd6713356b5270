"""The language runtime met its own limit, with room left in the container.

Meaning: the runtime refused memory by a limit of its own (Java heap, metaspace, direct buffers, V8's heap, PHP's
memory_limit), or the system refused what it asked for (another thread, an allocation). The kernel did not kill; a
higher container limit alone changes nothing while the flag stays.

Told by: the runtime's own words in the log of the instance (``java.lang.OutOfMemoryError: Java heap space``,
``JavaScript heap out of memory``, ``MemoryError``), with exit code 3 (ExitOnOutOfMemoryError), 134
(CrashOnOutOfMemoryError, V8) or another, and a reason that is not OOMKilled. Likely: a program's own words in its last
lines (``out of memory``, ``insufficient physical memory``), not about a GPU, locked pages or shared memory.

Fix: find the leak, or raise the runtime's limit as far as the container's budget allows; the budget says how far.

Source: HotSpot ``debug.cpp`` report_java_out_of_memory, ``java.nio.Bits``; V8 ``FatalProcessOutOfMemory``; CPython
``PyErr_NoMemory``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.logs.memory_words import find_any_words
from kubetriage.rules.last_memory_words import (
    REFUSED,
    THREADS,
    MemoryWords,
    find_memory_words,
    line_of,
    stated_cap,
)
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.jvm_areas import DIRECT
from kubetriage.rules.memory.refused_memory import refused_fixes
from kubetriage.rules.memory.runtime_advice import runtime_fixes
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

CODE = "RuntimeOutOfMemory"


# "129 ms: Mark-Compact 23.9 (40.8) -> 23.9 (56.5) MB": V8 heap.cc, "Mark-sweep" before Node 18.
_V8_USED = lazy(r"Mark-(?:Compact|sweep)[^\n]*? -> ([\d.]+) \([\d.]+\) MB")


def check(case: Case) -> Iterator[Finding]:
    """Report the runtime's own words, of the newest ended instance or of the running one."""
    if case.recent_kill is not None:
        return  # the kernel was faster; the log may still hold words of an earlier instance
    end = case.container.termination
    for log, ended in ((case.log, end is not None), (case.running_log, False)):
        found = find_memory_words(log)
        if found is not None:
            yield _finding(case, *found, ended=ended)
            return
    yield from _in_other_words(case)
    yield from _by_exit_code(case)


def _in_other_words(case: Case) -> Iterator[Finding]:
    """Report a program that ended by itself after it said, in words of its own, that it got no more memory."""
    end, name = case.container.termination, case.container.name
    if end is None or end.exit_code in (0, 137, 143, None):
        return
    match = find_any_words(case.log)
    if match is None:
        return
    line = match.string.strip()[:300]
    yield Finding(
        cause=CODE,
        severity=Severity.WARNING if case.container.ready else Severity.ERROR,
        confidence=Confidence.LIKELY,
        object=case.ref,
        message=f"The program in container {name} ended with exit code {end.exit_code} as it got no more memory.",
        evidence=(Evidence("log", name, line), end.evidence()),
        ruled_out=(RuledOut("OOMKilled", f"the runtime recorded reason {end.reason or 'none'}, not OOMKilled"),),
        fix=refused_fixes(case, line),
        verify=(kubectl("logs", case.pod.name, "-c", name, namespace=case.pod.namespace),),
        details={"killedBy": "runtime"},
    )


_EXITS = {3: "ExitOnOutOfMemoryError", 134: "CrashOnOutOfMemoryError"}


def _by_exit_code(case: Case) -> Iterator[Finding]:
    """Conclude from a flag and its exit code where nobody could read the log; the JVM would have said it there."""
    end, name = case.container.termination, case.container.name
    if end is None or end.exit_code is None or case.log_seen:
        return
    flag = _EXITS.get(end.exit_code, "")
    given = case.jvm_flag(flag) if flag else ""
    if not given:
        return
    yield Finding(
        cause=CODE,
        severity=Severity.WARNING if case.container.ready else Severity.ERROR,
        confidence=Confidence.LIKELY if end.exit_code == 3 else Confidence.POSSIBLE,
        object=case.ref,
        message=f"The JVM in container {name} ended with exit code {end.exit_code}, as {flag} makes it do at an "
        "OutOfMemoryError; its log was not seen.",
        evidence=(end.evidence(), Evidence("config", flag, given)),
        ruled_out=(RuledOut("OOMKilled", f"the runtime recorded reason {end.reason or 'none'}, not OOMKilled"),),
        fix=(
            Fix("Read the log: the message of the error names the area (heap, metaspace, direct buffers) to look at."),
        ),
        verify=(kubectl("logs", case.pod.name, "-c", name, "--previous", namespace=case.pod.namespace),),
        details={"killedBy": "runtime"},
    )


def _finding(case: Case, words: MemoryWords, match: re.Match[str], *, ended: bool) -> Finding:
    end, name = case.container.termination, case.container.name
    line = line_of(match)
    evidence = [Evidence("log", name, line)]
    if ended and end is not None:
        evidence.append(end.evidence())
    area = next((a for a in case.budget.areas if a.name == words.area), None)
    how = "did not get what it asked for" if words.fix in (REFUSED, THREADS) else "ran out of memory by its own limit"
    message = f"{words.runtime} in container {name} {how}: {words.what}"
    used = _V8_USED.findall(match.string) if words.runtime == "Node.js" else ()
    if used:
        # V8 says itself how much was in use; its flags may stand where nobody sees them.
        evidence.append(Evidence("log", name, f"heap in use after the last collection: {used[-1]} MB"))
        message += f" with {used[-1]} MB in use"
    elif words.area == DIRECT and (cap := stated_cap(line)) is not None:
        message += f" at {mebibytes(cap)}"
    elif area is not None and area.ceiling.size is not None and not words.fix:
        evidence.append(Evidence("config", area.name, f"{mebibytes(area.ceiling.size)}: {area.ceiling.source}"))
        message += f" at {mebibytes(area.ceiling.size)}"
    limit = case.budget.limit.size
    if limit is not None:
        message += f", while the container may use {exact(limit)}"
    crashed = ended and end is not None and end.exit_code not in (0, None)
    return Finding(
        cause=CODE,
        severity=Severity.ERROR if crashed and not case.container.ready else Severity.WARNING,
        confidence=Confidence.CONFIRMED,
        object=case.ref,
        message=message + ".",
        evidence=tuple(evidence),
        ruled_out=(RuledOut("OOMKilled", f"the runtime recorded reason {end.reason or 'none'}, not OOMKilled"),)
        if end is not None
        else (),
        fix=runtime_fixes(case, words, line),
        verify=(
            kubectl("logs", case.pod.name, "-c", name, namespace=case.pod.namespace)
            + (" --previous" if case.container.log_is_previous and ended else ""),
        ),
        details={"killedBy": "runtime"},
    )
