"""The language runtime met its own limit, with room left in the container.

Meaning: the runtime refused memory by a limit of its own (Java heap, metaspace, direct buffers, V8's heap, PHP's
memory_limit), or the system refused what it asked for (another thread, an allocation). The kernel did not kill; a
higher container limit alone changes nothing while the flag stays.

Told by: the runtime's own words in the log of the instance (``java.lang.OutOfMemoryError: Java heap space``,
``JavaScript heap out of memory``, ``MemoryError``), with exit code 3 (ExitOnOutOfMemoryError), 134
(CrashOnOutOfMemoryError, V8) or another, and a reason that is not OOMKilled.

Fix: find the leak, or raise the runtime's limit as far as the container's budget allows; the budget says how far.

Source: HotSpot ``debug.cpp`` report_java_out_of_memory, ``java.nio.Bits``; V8 ``FatalProcessOutOfMemory``; CPython
``PyErr_NoMemory``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.memory import jvm_areas
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_fixes import proposal_fixes
from kubetriage.rules.memory.case import Case
from kubetriage.values.patterns import lazy

CODE = "RuntimeOutOfMemory"


@dataclass(frozen=True)
class _Words:
    """How one runtime says that its memory is exhausted."""

    pattern: re.Pattern[str]
    runtime: str
    area: str
    """Area of the budget, or empty."""
    what: str
    fix: str = ""
    """What to do, where that is not to raise a flag of the budget."""


_REFUSED = (
    "Find what refuses it: an address-space limit (ulimit -v), the node's vm.overcommit_memory, or a single request "
    "beyond all memory; the log says how much was asked for."
)
_THREADS = (
    "Use fewer threads (the log or a thread dump names the pool that grows), or raise the PID limit of the pod: "
    "podPidsLimit of the kubelet."
)

_WORDS: tuple[_Words, ...] = (
    # HotSpot 8 to 25: the message of the Error names the area.
    _Words(
        lazy(r"java\.lang\.OutOfMemoryError: (?:Java heap space|GC overhead limit exceeded|Requested array size.*)"),
        "JVM",
        jvm_areas.HEAP,
        "the Java heap is full",
    ),
    _Words(lazy(r"java\.lang\.OutOfMemoryError: Metaspace"), "JVM", jvm_areas.METASPACE, "metaspace is full"),
    _Words(
        lazy(r"java\.lang\.OutOfMemoryError: Compressed class space"),
        "JVM",
        jvm_areas.METASPACE,
        "the compressed class space is full",
    ),
    # java.nio.Bits: "Cannot reserve ..." from 17, "Direct buffer memory" before.
    _Words(
        lazy(
            r"Cannot reserve \d+ bytes of direct buffer memory \(allocated: \d+, limit: \d+\)"
            r"|OutOfMemoryError: Direct buffer memory"
        ),
        "JVM",
        jvm_areas.DIRECT,
        "direct buffers have reached MaxDirectMemorySize",
    ),
    _Words(
        lazy(r"java\.lang\.OutOfMemoryError: unable to create (?:new )?native thread.*"),
        "JVM",
        jvm_areas.STACKS,
        "the system refused another thread (PID limit, or no memory for its stack)",
        _THREADS,
    ),
    # os_linux.cpp warn_fail_commit_memory and vmError.cpp: the JVM ends with exit code 1 and writes hs_err_pid1.log.
    _Words(
        lazy(
            r"os::commit_memory\([^)\n]*\) failed; error='(?:Not enough space|Cannot allocate memory)'"
            r"|There is insufficient memory for the Java Runtime Environment"
        ),
        "JVM",
        "",
        "the system refused memory that the JVM asked for",
        _REFUSED,
    ),
    # ExitOnOutOfMemoryError and CrashOnOutOfMemoryError print this to stdout; the reason follows on 17 and later.
    _Words(
        lazy(r"(?:Terminating|Aborting) due to java\.lang\.OutOfMemoryError.*"),
        "JVM",
        "",
        "the JVM ended itself at an OutOfMemoryError",
    ),
    _Words(lazy(r"java\.lang\.OutOfMemoryError.*"), "JVM", "", "the JVM threw an OutOfMemoryError"),
    _Words(
        lazy(r"FATAL ERROR: .*JavaScript heap out of memory|FATAL ERROR: invalid (?:array|table) .*Allocation failed"),
        "Node.js",
        "old generation",
        "V8's heap limit is reached",
    ),
    # lib/internal/worker.js, Node.js 12 and later: the heap of one worker thread, its resourceLimits.
    _Words(
        lazy(r"ERR_WORKER_OUT_OF_MEMORY.*|Worker terminated due to reaching memory limit.*"),
        "Node.js",
        "",
        "a worker thread reached its own heap limit",
        "Raise resourceLimits.maxOldGenerationSizeMb where the program creates the worker, if it needs that much.",
    ),
    _Words(lazy(r"RangeError: Array buffer allocation failed"), "Node.js", "", "a Buffer got no memory", _REFUSED),
    # MemoryError with or without words, and NumPy's subclass with its module before it.
    _Words(
        lazy(r"^(?:[\w.]+\.)?_?(?:Array)?MemoryError\b.*", re.MULTILINE),
        "Python",
        "",
        "Python could not allocate memory",
        _REFUSED,
    ),
    # runtime/malloc.go, mem_linux.go: throw("out of memory"), throw("runtime: cannot allocate memory").
    _Words(
        lazy(r"fatal error: (?:runtime: )?(?:out of memory|cannot allocate memory)|^runtime: out of memory: .*", re.M),
        "Go",
        "",
        "the Go runtime got no memory",
        _REFUSED,
    ),
    _Words(
        lazy(r"System\.OutOfMemoryException.*|^Out of memory\.$", re.MULTILINE),
        ".NET",
        "GC heap",
        "the GC heap's hard limit is reached",
    ),
    # coreclr gcheaputilities.cpp: E_OUTOFMEMORY while the heap is set up.
    _Words(
        lazy(r"GC heap initialization failed.*|Failed to create CoreCLR, HRESULT: 0x8007000E"),
        ".NET",
        "GC heap",
        "the GC heap could not be set up within its hard limit",
    ),
    _Words(
        lazy(r"failed to allocate memory \(NoMemoryError\)|\[FATAL\] failed to allocate memory"),
        "Ruby",
        "",
        "Ruby could not allocate memory",
        _REFUSED,
    ),
    _Words(
        lazy(r"Allowed memory size of \d+ bytes exhausted.*"),
        "PHP",
        "",
        "a request has reached memory_limit",
        "Raise memory_limit if one request needs that much; times pm.max_children it must still fit the container.",
    ),
    _Words(lazy(r"memory allocation of \d+ bytes failed"), "Rust", "", "an allocation failed", _REFUSED),
    _Words(lazy(r"std::bad_alloc"), "C++", "", "an allocation failed (std::bad_alloc)", _REFUSED),
    _Words(lazy(r"eheap_alloc: Cannot allocate.*"), "Erlang", "", "an allocation failed", _REFUSED),
)


# "129 ms: Mark-Compact 23.9 (40.8) -> 23.9 (56.5) MB": V8 heap.cc, "Mark-sweep" before Node 18.
_V8_USED = lazy(r"Mark-(?:Compact|sweep)[^\n]*? -> ([\d.]+) \([\d.]+\) MB")


def check(case: Case) -> Iterator[Finding]:
    """Report the runtime's own words, of the newest ended instance or of the running one."""
    if case.recent_kill is not None:
        return  # the kernel was faster; the log may still hold words of an earlier instance
    end = case.container.termination
    for log, ended in ((case.log, end is not None), (case.running_log, False)):
        found = next(((w, m) for w in _WORDS if (m := w.pattern.search(log))), None)
        if found is not None:
            yield _finding(case, *found, ended=ended)
            return
    yield from _by_exit_code(case)


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
        verify=(f"kubectl -n {case.pod.namespace} logs {case.pod.name} -c {name} --previous",),
        details={"killedBy": "runtime"},
    )


def _finding(case: Case, words: _Words, match: re.Match[str], *, ended: bool) -> Finding:
    end, name = case.container.termination, case.container.name
    line = _line(match)
    evidence = [Evidence("log", name, line)]
    if ended and end is not None:
        evidence.append(end.evidence())
    area = next((a for a in case.budget.areas if a.name == words.area), None)
    how = "did not get what it asked for" if words.fix in (_REFUSED, _THREADS) else "ran out of memory by its own limit"
    message = f"{words.runtime} in container {name} {how}: {words.what}"
    used = _V8_USED.findall(match.string) if words.runtime == "Node.js" else ()
    if used:
        # V8 says itself how much was in use; its flags may stand where nobody sees them.
        evidence.append(Evidence("log", name, f"heap in use after the last collection: {used[-1]} MB"))
        message += f" with {used[-1]} MB in use"
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
        fix=tuple(_fixes(case, words)),
        verify=(
            f"kubectl -n {case.pod.namespace} logs {case.pod.name} -c {name}"
            + (" --previous" if case.container.log_is_previous and ended else ""),
        ),
        details={"killedBy": "runtime"},
    )


def _line(match: re.Match[str]) -> str:
    """Return the whole line around a match, cut to a readable length."""
    text = match.string
    start = text.rfind("\n", 0, match.start()) + 1
    stop = text.find("\n", match.end())
    return text[start : stop if stop >= 0 else len(text)].strip()[:300]


_OPTION_OF = {
    jvm_areas.METASPACE: "-XX:MaxMetaspaceSize",
    jvm_areas.DIRECT: "-XX:MaxDirectMemorySize",
    "GC heap": "DOTNET_GCHeapHardLimit",
}


def _fixes(case: Case, words: _Words) -> Iterator[Fix]:
    if words.fix:
        yield Fix(words.fix)
        return
    heap, margin = case.budget.heap, case.budget.margin
    option = _OPTION_OF.get(words.area, "")
    if heap is not None and words.area == heap.name and case.budget.model is not None:
        if margin is not None and margin > 0:
            yield from proposal_fixes(case, "heap")
        option = "-Xmx" if heap.name == jvm_areas.HEAP else case.budget.model.heap_flag(0).partition("=")[0]
    room = "" if margin is None or margin <= 0 else f"; the limit leaves {mebibytes(margin)} for it"
    what = f"Raise {option}" if option else "Raise the runtime's own limit"
    yield Fix(f"{what} if the program needs that much{room}. A profile of what lives there tells whether it is a leak.")
