"""The language runtime ran out of its own memory limit and gave up; the kernel killed nothing.

Meaning: the heap (or another area) that the runtime set for itself was full. The container may well have had room
left, so a higher container limit alone changes nothing unless the runtime derives its limit from it.

Told by: the runtime's own last words: java.lang.OutOfMemoryError and its area, V8's "heap out of memory",
MemoryError, Go's "out of memory", System.OutOfMemoryException, PHP's allowed memory size. The kernel's OOM killer
writes no such line: the reason would be OOMKilled and the log would just stop.

Fix: raise the runtime's own limit (MaxRAMPercentage, --max-old-space-size, memory_limit) within the container's
limit, and raise both where the program needs it; oom-budget shows how the areas add up.

Source: HotSpot memory/universe.cpp and java.lang.OutOfMemoryError messages, V8 FatalProcessOutOfMemory, CPython
MemoryError, Go runtime malloc.go, PHP Zend/zend_alloc.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut
from kubetriage.readers.logs.memory_words import find_any_words
from kubetriage.records import replace
from kubetriage.rules.crash.acts import app, manifest, node, on_node, place, where
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import environment_fix
from kubetriage.rules.crash.known_errors import known_error, unknown_words
from kubetriage.rules.crash.program_output import LastWords, Said, short, words_of
from kubetriage.rules.last_memory_words import find_last_memory_words, find_memory_words, line_of
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text, texts
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_quantity

CODE = "RuntimeOutOfMemory"

_PATTERN = lazy(
    r"java\.lang\.OutOfMemoryError(?:: (?P<java>[A-Za-z' ]{3,60}))?"
    r"|OutOfDirectMemoryError: failed to allocated? \d+ byte\(s\) of (?P<netty>direct memory)"
    r"|(?P<native>insufficient memory for the Java Runtime|Could not reserve enough space for \d+\w* object heap"
    r"|os::commit_memory\([^)\n]{0,200}\) failed|Failed to instantiate (?:compressed references )?heap; \w+ requested)"
    r"|(?P<openj9>JVMDUMP039I[^\n]*java/lang/OutOfMemoryError)"
    r"|(?P<server>(?:fixed|non-heap|all) memory regions require \d+"
    r"|could not map anonymous shared memory: Cannot allocate memory"
    r"|InnoDB: [^\n]*[Cc]annot allocate (?:memory for the buffer pool|\d+ bytes))"
    r"|(?P<node>JavaScript heap out of memory|FatalProcessOutOfMemory|Array buffer allocation failed"
    r"|invalid array length Allocation failed|FATAL ERROR: [^\n]*process out of memory"
    r"|Fatal JavaScript out of memory)"
    r"|(?P<python>(?:\b|_Array)MemoryError\b)"
    r"|(?P<go>fatal error: (?:runtime: )?(?:out of memory|cannot allocate memory)|runtime: out of memory)"
    r"|(?P<dotnet>System\.OutOfMemoryException|\AOut of memory\.|(?:CoreCLR, HRESULT:|failed with error) 0x8007000E)"
    r"|(?P<php>Allowed memory size of \d+ bytes exhausted)"
    r"|(?P<ruby>NoMemoryError|failed to allocate memory)"
    r"|(?P<other>memory allocation of \d+ bytes failed|std::bad_alloc|\b[a-z]{1,16}_alloc: Cannot (?:re)?allocate"
    r"|(?:Redis|Valkey) aborting for OUT OF MEMORY|Current maximum heap size is \d+ bytes)"
)
_JVM_FLAGS = lazy(r"-Xmx\S+|-XX:(?:MaxRAMPercentage|MaxMetaspaceSize|MaxDirectMemorySize|MaxHeapSize)=\S+")
_NODE_FLAG = lazy(r"--max[-_]old[-_]space[-_]size=\d+")
_MIB = 1024 * 1024


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose runtime gave up for lack of memory."""
    for words in (*unknown_words(case, kills=True), *_of_signals(case)):
        said = words.find(_PATTERN)
        error = words.error
        if said is None:
            yield from _in_other_words(case, words)
            continue
        if words.end.exit_code in (137, 143):
            # The JVM runs -XX:OnOutOfMemoryError="kill -9 %p" right after it said so; .NET's host ends with 137 of its
            # own (0x80008089, CoreClrInitFailure) when the runtime gets no memory.
            if error is None or (error.language != "java" and said.match["dotnet"] is None) or error.trailing > 5:
                continue
            said = replace(said, confidence=Confidence.LIKELY)
        yield _finding(case, words, said)


def _in_other_words(case: Case, words: LastWords) -> Iterator[Finding]:
    """Report a program that ended by itself after it said, in words of its own, that it got no more memory."""
    if words.end.exit_code in (0, 137, 143):
        return
    known, match = find_last_memory_words(words.text), find_any_words(words.text)
    if known is None and match is None:
        return
    from kubetriage.rules.memory.case import Case as MemoryCase
    from kubetriage.rules.memory.refused_memory import refused_fixes
    from kubetriage.rules.memory.runtime_advice import runtime_fixes

    memory, name = MemoryCase(words.container, case.snapshot), words.container.name
    if known is not None:
        line = line_of(known[1])
        what, fixes = known[0].what, runtime_fixes(memory, known[0], line)
    else:
        assert match is not None
        line = match.string.strip()[:300]
        what, fixes = "it got no more memory", refused_fixes(memory, line)
    yield words.finding(
        CODE,
        Confidence.LIKELY,
        f"{name} ended as {what}: {short(line)}.",
        quoted=(line,),
        ruled_out=(
            RuledOut("OOMKilled", f"the reason is {words.end.reason or 'not OOMKilled'}, and the program spoke"),
        ),
        fix=fixes,
        verify=(kubectl("oom-budget", f"pod/{case.pod.name}", namespace=case.pod.namespace),),
    )


_SIGNALS = (133, 135, 136, 139)
"""Ends by a signal that a runtime's last words explain: V8 and .NET may die so after they said that memory is gone."""


def _of_signals(case: Case) -> Iterator[LastWords]:
    for container in case.containers:
        end = case.crash(container)
        if end is not None and end.exit_code in _SIGNALS:
            words = words_of(case, container, end)
            if known_error(words) is None:
                yield words


def _given(words: LastWords) -> list[str]:
    """Return everything that configures the runtime: literal variables, command and arguments."""
    return [
        *words.container.environment().values(),
        *texts(words.container.spec, "command"),
        *texts(words.container.spec, "args"),
    ]


def _finding(case: Case, words: LastWords, said: Said) -> Finding:
    name = words.container.name
    limit_text = text(words.container.spec, "resources", "limits", "memory")
    limit = parse_quantity(limit_text) if limit_text else None
    mib = int(limit) // _MIB if limit else 0
    room = f" (container limit {limit_text})" if limit_text else " (no container limit)"
    given = " ".join(_given(words))
    evidence: list[Evidence] = []
    if limit_text:
        evidence.append(Evidence("spec", f"{words.container.spec_path}.resources.limits.memory", limit_text))
    kind = said.match.lastgroup or "java"
    kind = "java" if kind == "netty" else kind
    flags = _JVM_FLAGS.findall(given) if kind == "java" else _NODE_FLAG.findall(given) if kind == "node" else []
    if flags:
        evidence.append(Evidence("spec", words.container.spec_path, " ".join(flags)))
    what, fixes = _advice(words, said, kind, mib, flags)
    fixes = _by_budget(case, words, said) or fixes
    return words.finding(
        CODE,
        said.confidence,
        f"{name} ended because {what}{room}: {short(said.line)}.",
        quoted=(said.line,),
        evidence=evidence,
        ruled_out=(
            RuledOut(
                "OOMKilled",
                f"the reason is {words.end.reason or 'not OOMKilled'} with exit code {words.end.exit_code}, and "
                f"the runtime spoke",
            ),
        ),
        fix=fixes,
        verify=(kubectl("oom-budget", f"pod/{case.pod.name}", "-n", case.pod.namespace),),
    )


_HEAPS = ("heap", "old generation", "GC heap")
"""Main areas of the budgets of oom-budget."""


def _by_budget(case: Case, words: LastWords, said: Said) -> tuple[Fix, ...]:
    """Return the advice of oom-budget where a heap was full or the system refused memory; empty for other areas."""
    from kubetriage.rules.memory.case import Case as MemoryCase
    from kubetriage.rules.memory.runtime_advice import runtime_fixes

    found = find_memory_words(said.line) or find_memory_words(words.text)
    if found is None or not (
        found[0].area in _HEAPS or (found[0].fix and said.match.lastgroup in ("native", "server", "other"))
    ):
        return ()
    return runtime_fixes(MemoryCase(words.container, case.snapshot), found[0], said.line)


def _advice(words: LastWords, said: Said, kind: str, mib: int, flags: list[str]) -> tuple[str, tuple[Fix, ...]]:
    name = words.container.name
    at = where(words)
    if kind == "java":
        return _java(words, (said.match["java"] or said.match["netty"] or "").strip(), mib, flags)
    if kind == "openj9":
        return _java(words, "Java heap space", mib, flags)
    if kind == "native":
        return "the system refused native memory to the JVM: its heap was not full", _refused(words, at, mib)
    if kind == "server":
        return "it needs more memory at its start than it gets", _refused(words, at, mib)
    if kind == "node":
        size = max(mib * 3 // 4, 64) if mib else 0
        was = f" ({flags[0]})" if flags else ""
        if not size:
            return f"the V8 heap was full{was}", (
                manifest(
                    words,
                    f"Give {at} a memory limit, and set NODE_OPTIONS=--max-old-space-size to three "
                    "quarters of it in MiB.",
                    words.container.patch(
                        {
                            "resources": {"limits": {"memory": "1Gi"}},
                            "env": [{"name": "NODE_OPTIONS", "value": "--max-old-space-size=768"}],
                        }
                    ),
                ),
                _leak(words, "node --heapsnapshot-near-heap-limit=2"),
            )
        return f"the V8 heap was full{was}", (
            environment_fix(
                words,
                f"Set NODE_OPTIONS of {at} to --max-old-space-size={size}, three quarters of its "
                "limit; raise the limit as well "
                "if it needs more.",
                "NODE_OPTIONS",
                _added(words, "NODE_OPTIONS", f"--max-old-space-size={size}"),
            ),
            _leak(words, "node --heapsnapshot-near-heap-limit=2"),
        )
    if kind == "php":
        return "PHP's memory_limit was reached", (
            manifest(
                words,
                f"Raise memory_limit in the php.ini of {name}, within the container's limit "
                "(PHP_MEMORY_LIMIT in many images).",
            ),
        )
    runtime = {"python": "Python", "go": "the Go runtime", "dotnet": ".NET", "ruby": "Ruby"}.get(kind, "the allocator")
    more = f"{2 * mib}Mi" if mib else ""
    if not more:
        return f"{runtime} could not get more memory", (
            node(
                f"{name} has no memory limit, so look at the node: free memory, overcommit "
                "(vm.overcommit_memory=2), ulimit -v.",
                on_node(words, "sh", "-c", "free -m; sysctl vm.overcommit_memory vm.overcommit_ratio"),
            ),
            _leak(words, "the profiler of the runtime"),
        )
    return f"{runtime} could not get more memory", (
        manifest(
            words,
            f"Raise the memory limit of {at} to {more} and see whether the use levels off; an rlimit "
            "(ulimit -v) has the same "
            "effect.",
            words.container.patch({"resources": {"limits": {"memory": more}}}),
        ),
        _leak(words, "the profiler of the runtime"),
    )


def _refused(words: LastWords, at: str, mib: int) -> tuple[Fix, ...]:
    return (
        manifest(
            words,
            f"Leave more of the limit{f' of {mib}Mi' if mib else ''} to memory outside the heap of {at}: a "
            "smaller heap, "
            "fewer threads, or a larger limit.",
        ),
        _leak(words, "native memory tracking (-XX:NativeMemoryTracking=summary)"),
    )


def _leak(words: LastWords, how: str) -> Fix:
    return app(
        f"If it comes back at any size, {words.container.name} leaks or loads too much at once: find it with {how}."
    )


def _java(words: LastWords, area: str, mib: int, flags: list[str]) -> tuple[str, tuple[Fix, ...]]:
    """Judge an OutOfMemoryError by the area that was full."""
    at = where(words)
    if "native thread" in area:
        return "the JVM could not create a thread: a limit on processes, not on memory", (
            node(
                "Compare pids.current and pids.max of the pod, then raise podPidsLimit in the "
                "kubelet's configuration of "
                f"{place(words)}.",
                on_node(words, "sh", "-c", "grep -r . /sys/fs/cgroup/kubepods*/pids.max; cat /proc/sys/kernel/pid_max"),
            ),
            app(
                f"Or use fewer threads in {words.container.name}: bound its pools (a pool without a "
                "bound is the usual leak)."
            ),
        )
    if "Metaspace" in area or "class space" in area:
        return "the JVM's Metaspace was full", (
            manifest(words, f"Raise or remove -XX:MaxMetaspaceSize of {at}."),
            app("A Metaspace that keeps growing is a class loader leak: jcmd 1 VM.classloader_stats shows it."),
        )
    if "Map failed" in area:
        return "the system refused to map another file; the heap was not full", (
            node(
                f"Raise vm.max_map_count on {place(words)}, or let {words.container.name} open fewer files at a time: "
                "a larger heap makes it worse.",
                on_node(words, "sysctl", "-w", "vm.max_map_count=262144"),
            ),
        )
    if "irect" in area:
        return "the JVM's direct buffers reached their limit", (
            manifest(words, f"Raise -XX:MaxDirectMemorySize of {at} together with its memory limit."),
            app("If it comes back, Netty or NIO buffers are not released: -Dio.netty.leakDetection.level=advanced."),
        )
    if "GC overhead" in area:
        heap = "the JVM spent nearly all time on collecting a full heap"
    else:
        heap = "the Java heap was full"
    if flags:
        wanted = f"; {mib}Mi is the limit now" if mib else ""
        return f"{heap} ({' '.join(flags)})", (
            manifest(
                words, f"Raise {flags[0]} of {at}, and its memory limit to at least a third more than the heap{wanted}."
            ),
            _leak(words, "-XX:+HeapDumpOnOutOfMemoryError and a heap dump"),
        )
    return f"{heap}; the JVM takes a quarter of the container's memory unless told otherwise", (
        environment_fix(
            words,
            f"Set JAVA_TOOL_OPTIONS of {at} to -XX:MaxRAMPercentage=75.",
            "JAVA_TOOL_OPTIONS",
            _added(words, "JAVA_TOOL_OPTIONS", "-XX:MaxRAMPercentage=75"),
        ),
        _leak(words, "-XX:+HeapDumpOnOutOfMemoryError and a heap dump"),
    )


def _added(words: LastWords, name: str, value: str) -> str:
    return f"{words.container.environment().get(name, '')} {value}".strip()
