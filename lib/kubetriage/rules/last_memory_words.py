"""Last words of runtimes and servers that got no more memory: a log in, who said it, which area and what helps out.

Outside of the memory model, which is not imported for a crash whose log says none of them.
"""

from __future__ import annotations

import re

from kubetriage.readers.logs.memory_words import LAST_LINES
from kubetriage.records import dataclass
from kubetriage.typed import Literal
from kubetriage.values.patterns import lazy

HEAP = "heap"
METASPACE = "metaspace"
DIRECT = "direct buffers"
STACKS = "thread stacks"


@dataclass(frozen=True)
class MemoryWords:
    """How one runtime says that its memory is exhausted."""

    pattern: re.Pattern[str]
    runtime: str
    area: str
    """Area of the budget, or empty."""
    what: str
    fix: str = ""
    """What to do, where that is not to raise a flag of the budget."""
    asks_for: Literal["", "heap", "setting", "many cores", "memory_limit"] = ""
    """What was too large: a heap that was asked for as a whole, a server's setting, one heap for each CPU, a script."""


REFUSED = (
    "Find what refuses it: an address-space limit (ulimit -v), the node's vm.overcommit_memory, or a single request "
    "beyond all memory; the log says how much was asked for."
)
THREADS = (
    "Use fewer threads (the log or a thread dump names the pool that grows), or raise the PID limit of the pod: "
    "podPidsLimit of the kubelet."
)

MEMORY_WORDS: tuple[MemoryWords, ...] = (
    # HotSpot 8 to 25: the message of the Error names the area.
    MemoryWords(
        lazy(r"java\.lang\.OutOfMemoryError: (?:Java heap space|GC overhead limit exceeded|Requested array size.*)"),
        "JVM",
        HEAP,
        "the Java heap is full",
    ),
    MemoryWords(lazy(r"java\.lang\.OutOfMemoryError: Metaspace"), "JVM", METASPACE, "metaspace is full"),
    MemoryWords(
        lazy(r"java\.lang\.OutOfMemoryError: Compressed class space"),
        "JVM",
        METASPACE,
        "the compressed class space is full",
    ),
    # java.nio.Bits: "Cannot reserve ..." from 17, "Direct buffer memory" before.
    MemoryWords(
        lazy(
            r"Cannot reserve \d+ bytes of direct buffer memory \(allocated: \d+, limit: \d+\)"
            r"|OutOfMemoryError: Direct buffer memory"
        ),
        "JVM",
        DIRECT,
        "direct buffers have reached MaxDirectMemorySize",
    ),
    # netty's own account of direct memory, as large as MaxDirectMemorySize unless io.netty.maxDirectMemory says more.
    MemoryWords(
        lazy(r"OutOfDirectMemoryError: failed to allocated? \d+ byte\(s\) of direct memory[^\n]*"),
        "JVM",
        DIRECT,
        "netty's direct buffers have reached their cap",
    ),
    # sun.nio.ch.FileChannelImpl: a file could not be mapped; the heap is not full.
    MemoryWords(
        lazy(r"java\.lang\.OutOfMemoryError: Map failed"),
        "JVM",
        "",
        "the system refused to map another file (vm.max_map_count, or address space)",
        "Raise vm.max_map_count of the node (sysctl -w vm.max_map_count=262144), or let it open fewer files at a time; "
        "a larger heap makes it worse.",
    ),
    MemoryWords(
        lazy(r"java\.lang\.OutOfMemoryError: unable to create (?:new )?native thread.*"),
        "JVM",
        STACKS,
        "the system refused another thread (PID limit, or no memory for its stack)",
        THREADS,
    ),
    # OpenJ9 writes its dumps before it ends; the class name has slashes there.
    MemoryWords(
        lazy(r"JVMDUMP039I[^\n]{0,300}java/lang/OutOfMemoryError[^\n]*|JVMJ9GC\w{0,8}[^\n]{0,300}?out of memory[^\n]*"),
        "JVM",
        "heap",
        "OpenJ9's heap is full",
    ),
    # arguments.cpp: -Xms or -Xmx is more than the system gives at once.
    MemoryWords(
        # OpenJ9 says what it wanted: VMInitStages.c, "Failed to instantiate heap; 6G requested".
        lazy(
            r"Could not reserve enough space for \d+\w* object heap"
            r"|Failed to instantiate (?:compressed references )?heap; \w+ requested"
        ),
        "JVM",
        "",
        "the system refused the address space of the heap",
        "Lower -Xms and -Xmx below what the container may use, or raise its limit; ulimit -v must not be below "
        "the heap.",
        "heap",
    ),
    # libjvm calc/calculator.go of Paketo's and Cloud Foundry's memory calculators.
    MemoryWords(
        lazy(r"(?:fixed|non-heap|all) memory regions require \d+\w*[^\n]*?greater than \d+\w*[^\n]*"),
        "The buildpack's memory calculator",
        "",
        "its regions (threads, code cache, metaspace, direct memory) are more than the limit",
        "Raise the memory limit above what the line requires, or lower BPL_JVM_THREAD_COUNT and "
        "-XX:ReservedCodeCacheSize.",
    ),
    # os_linux.cpp warn_fail_commit_memory and vmError.cpp: the JVM ends with exit code 1 and writes hs_err_pid1.log.
    MemoryWords(
        lazy(
            r"os::commit_memory\([^)\n]{0,200}\) failed; error='(?:Not enough space|Cannot allocate memory)'"
            r"|There is insufficient memory for the Java Runtime Environment"
        ),
        "JVM",
        "",
        "the system refused memory that the JVM asked for",
        REFUSED,
    ),
    # ExitOnOutOfMemoryError and CrashOnOutOfMemoryError print this to stdout; the reason follows on 17 and later.
    MemoryWords(
        lazy(r"(?:Terminating|Aborting) due to java\.lang\.OutOfMemoryError.*"),
        "JVM",
        "",
        "the JVM ended itself at an OutOfMemoryError",
    ),
    MemoryWords(lazy(r"java\.lang\.OutOfMemoryError.*"), "JVM", "", "the JVM threw an OutOfMemoryError"),
    MemoryWords(
        lazy(
            r"FATAL ERROR: .*JavaScript heap out of memory|FATAL ERROR: invalid (?:array|table) .*Allocation failed"
            r"|FATAL ERROR: .*process out of memory|Fatal JavaScript out of memory:.*"
        ),
        "Node.js",
        "old generation",
        "V8's heap limit is reached",
    ),
    # lib/internal/worker.js, Node.js 12 and later: the heap of one worker thread, its resourceLimits.
    MemoryWords(
        lazy(r"ERR_WORKER_OUT_OF_MEMORY.*|Worker terminated due to reaching memory limit.*"),
        "Node.js",
        "",
        "a worker thread reached its own heap limit",
        "Raise resourceLimits.maxOldGenerationSizeMb where the program creates the worker, if it needs that much.",
    ),
    MemoryWords(lazy(r"RangeError: Array buffer allocation failed"), "Node.js", "", "a Buffer got no memory", REFUSED),
    # MemoryError with or without words, and NumPy's subclass with its module before it.
    MemoryWords(
        lazy(r"^(?:[\w.]+\.)?_?(?:Array)?MemoryError\b.*", re.MULTILINE),
        "Python",
        "",
        "Python could not allocate memory",
        REFUSED,
    ),
    # runtime/malloc.go, mem_linux.go: throw("out of memory"), throw("runtime: cannot allocate memory").
    MemoryWords(
        lazy(r"fatal error: (?:runtime: )?(?:out of memory|cannot allocate memory)|^runtime: out of memory: .*", re.M),
        "Go",
        "",
        "the Go runtime got no memory",
        REFUSED,
    ),
    MemoryWords(
        lazy(r"System\.OutOfMemoryException.*|^Out of memory\.$", re.MULTILINE),
        ".NET",
        "GC heap",
        "the GC heap's hard limit is reached",
    ),
    # coreclr gcheaputilities.cpp: E_OUTOFMEMORY while the heap is set up.
    MemoryWords(
        lazy(r"GC heap initialization failed.*|Failed to create CoreCLR, HRESULT: 0x8007000E"),
        ".NET",
        "GC heap",
        "the GC heap could not be set up within its hard limit",
        asks_for="many cores",
    ),
    MemoryWords(
        lazy(r"failed to allocate memory \(NoMemoryError\)|\[FATAL\] failed to allocate memory"),
        "Ruby",
        "",
        "Ruby could not allocate memory",
        REFUSED,
    ),
    MemoryWords(
        lazy(r"Allowed memory size of \d+ bytes exhausted.*"),
        "PHP",
        "",
        "a request has reached memory_limit",
        "Raise memory_limit if one request needs that much; times pm.max_children it must still fit the container.",
        "memory_limit",
    ),
    MemoryWords(lazy(r"memory allocation of \d+ bytes failed"), "Rust", "", "an allocation failed", REFUSED),
    MemoryWords(lazy(r"std::bad_alloc"), "C++", "", "an allocation failed (std::bad_alloc)", REFUSED),
    # PostgreSQL sysv_shmem.c CreateAnonymousSegment.
    MemoryWords(
        lazy(r"could not map anonymous shared memory: Cannot allocate memory"),
        "PostgreSQL",
        "",
        "the system refused its shared buffers",
        "Lower shared_buffers (and max_connections) of the server below the limit, or raise the limit.",
        "setting",
    ),
    # InnoDB ut0new.h and buf0buf.cc.
    MemoryWords(
        lazy(r"InnoDB: (?:Fatal error: )?[Cc]annot allocate (?:memory for the buffer pool|\d+ bytes)[^\n]*"),
        "InnoDB",
        "",
        "the system refused its buffer pool",
        "Lower innodb_buffer_pool_size below the limit with room for connections, or raise the limit.",
        "setting",
    ),
    # erts/emulator/beam/erl_ptab.c: the table of ports has as many rows as files may be open.
    MemoryWords(
        lazy(
            r"\b[a-z]{1,16}_alloc: Cannot (?:re)?allocate \d+ bytes of memory \(of type \"(?:port_tab|proc(?:ess)?_tab"
            r"|fd_tab|drv_tab)[^\n]*"
        ),
        "Erlang",
        "",
        "a table was refused that it sizes by its limit of open files, 1e9 where the node leaves that at infinity",
        "Set ERL_MAX_PORTS=65536 (or '+Q 65536' among the VM's arguments). Or give the node's container runtime "
        "LimitNOFILE=1048576. A larger memory limit does not help.",
    ),
    MemoryWords(lazy(r"\b[a-z]{1,16}_alloc: Cannot (?:re)?allocate.*"), "Erlang", "", "an allocation failed", REFUSED),
    # distributed/nanny.py and worker_memory.py: the nanny ends a worker at memory.terminate of its own limit.
    MemoryWords(
        lazy(r"exceeded \d+% memory budget\. Restarting"),
        "Dask",
        "",
        "its nanny ended a worker that neared the worker's own memory limit",
        "Give each worker more (--memory-limit, and the container's limit with it; fewer --nworkers or --nthreads), or "
        "make partitions smaller. The kernel killed nothing.",
    ),
    # ray/_private/memory_monitor.py and the raylet's memory monitor.
    MemoryWords(
        lazy(
            r"(?:Task|Actor|Worker)[^\n]{0,80}killed due to the node running low on memory[^\n]*"
            r"|ray\.exceptions\.OutOfMemoryError[^\n]*|Workers \(tasks / actors\) killed due to memory pressure \(OOM\)"
        ),
        "Ray",
        "",
        "its memory monitor killed a worker as the container was nearly full (95 %)",
        "Give tasks more memory to reckon with (num_cpus or memory=... of the task), run fewer at a time, or raise the "
        "container's limit. RAY_memory_usage_threshold moves the mark.",
    ),
    # zmalloc.c and server.c redisOutOfMemoryHandler: malloc returned nothing.
    MemoryWords(
        lazy(r"(?:Redis|Valkey) aborting for OUT OF MEMORY[^\n]*"), "Redis", "", "an allocation failed", REFUSED
    ),
    # GHC's runtime: -M of +RTS.
    MemoryWords(
        lazy(r"Heap exhausted;|Current maximum heap size is \d+ bytes"),
        "GHC's runtime",
        "",
        "its heap has reached -M",
        "Raise -M of +RTS (GHCRTS), and keep it below the memory limit.",
    ),
)

_CAP = lazy(r"\b(?:limit|max): (\d{1,15})\)")


def stated_cap(line: str) -> int | None:
    """Return the cap in bytes that a line of full direct memory states itself; None where it states none."""
    match = _CAP.search(line)
    return int(match[1]) if match is not None else None


def find_memory_words(log: str) -> tuple[MemoryWords, re.Match[str]] | None:
    """Find how a runtime says in a log that its memory is exhausted; None where none does."""
    return next(((w, m) for w in MEMORY_WORDS if (m := w.pattern.search(log))), None)


def find_last_memory_words(log: str) -> tuple[MemoryWords, re.Match[str]] | None:
    """Find them in the last lines of a program that ended."""
    return find_memory_words("\n".join(log.splitlines()[-LAST_LINES:]))


def line_of(match: re.Match[str]) -> str:
    """Return the whole line around a match, cut to a readable length."""
    text = match.string
    start = text.rfind("\n", 0, match.start()) + 1
    stop = text.find("\n", match.end())
    return text[start : stop if stop >= 0 else len(text)].strip()[:300]
