"""Plans the memory of a process for a limit: runtime, limit and threads in, the whole set of settings out.

It is the sum that people do by hand, from the limit down: what stays free, what the areas beside the heap may take,
and the heap from the rest. Every number has its reason, and the budget is asked again with the result.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.records import dataclass
from kubetriage.rules.memory import jvm_areas
from kubetriage.rules.memory.budget import Model, mebibytes, propose
from kubetriage.rules.memory.ergonomics import ASSUMED_JDK, GIB, MIB
from kubetriage.rules.memory.jvm_areas import Count, JvmModel
from kubetriage.rules.memory.jvm_flags import JvmFlags, Option, Setting
from kubetriage.rules.memory.overrides import Margin

PLANNED = ("hotspot", "openj9", "node", "go", "dotnet", "python", "ruby", "php")
"""Runtimes that there is a plan for."""
ROOM = Margin(percent=5, size=32 * MIB)
"""What a plan leaves free where nobody states a margin: malloc slack, JNI, page cache of files."""
_LARGEST_HEAP = 0.75
"""A plan gives a heap no more of the limit, however much would be left: the rest serves as page cache."""
_LEAST_HEAP = 16 * MIB


@dataclass(frozen=True)
class Plan:
    """Settings for one process, and why each number is what it is."""

    limit: int
    rows: tuple[tuple[str, int | None, str, str], ...]
    """Area, bytes, setting, reason; the last row is what stays free."""
    variables: Mapping[str, str]
    """Environment variables that set it."""
    refused: str = ""
    """Why there is no plan for this limit; empty where there is one."""

    @property
    def flags(self) -> tuple[str, ...]:
        """The settings, in the order of the areas."""
        return tuple(setting for _, _, setting, _ in self.rows if setting)


def plan(
    runtime: str,
    limit: int,
    *,
    threads: int,
    jdk: int = ASSUMED_JDK,
    classes: int = jvm_areas.ASSUMED_CLASSES,
    cpus: int | None = None,
    collector: str = "",
    arch: str = "amd64",
    margin: Margin = ROOM,
    variable: str = "JAVA_TOOL_OPTIONS",
) -> Plan:
    """Return the settings of a process under ``limit`` bytes."""
    if runtime in ("hotspot", "openj9"):
        return _jvm(runtime, limit, threads, jdk, classes, cpus, collector, arch, margin, variable)
    free = margin.of(limit)
    if runtime == "node":
        return _node(limit, free)
    if runtime == "go":
        size = min(int(limit * 0.9), limit - free) // MIB * MIB
        rows = (
            (
                "Go runtime",
                size,
                f"GOMEMLIMIT={size // MIB}MiB",
                "heap, stacks and runtime; soft, so a tenth stays free",
            ),
            ("free", limit - size, "", "cgo, mapped files, and what passes a soft limit for a moment"),
        )
        return Plan(limit, rows, {"GOMEMLIMIT": f"{size // MIB}MiB"})
    if runtime == "dotnet":
        size = int(limit * 0.7) // MIB * MIB
        dotnet = (
            ("GC heap", size, f"DOTNET_GCHeapHardLimit=0x{size:X}", "70 % of the limit; the variable is hexadecimal"),
            ("thread stacks", threads * 3 * MIB // 2, "", f"{threads} threads of 1.5 MiB"),
            ("free", limit - size - threads * 3 * MIB // 2, "", "JIT, native libraries and what stays free"),
        )
        return Plan(limit, dotnet, {"DOTNET_GCHeapHardLimit": f"0x{size:X}"})
    return _workers(runtime, limit)


def _node(limit: int, free: int) -> Plan:
    old = min(int(limit * 0.75), limit - free - 64 * MIB) // MIB
    old = old // 64 * 64 if old >= 512 else old // 8 * 8
    if old < 32:
        return Plan(limit, (), {}, f"{mebibytes(limit)} hold no Node.js program: it needs about 100 MiB to start")
    flag = f"--max-old-space-size={old}"
    rest = limit - old * MIB - free
    rows = (
        ("old generation", old * MIB, flag, "three quarters of the limit; V8 collects hard before it"),
        (
            "young generation, Buffers, code",
            rest,
            "",
            "no flag caps them; the young may take 192 MiB",
        ),
        ("free", free, "", "the wanted margin"),
    )
    return Plan(limit, rows, {"NODE_OPTIONS": flag})


_WORKER = {
    "python": ("a Python web worker", 150, "WEB_CONCURRENCY"),
    "ruby": ("a Puma worker", 250, "WEB_CONCURRENCY"),
    "php": ("a PHP-FPM child (memory_limit)", 128, "PHP_FPM_PM_MAX_CHILDREN"),
}


def _workers(runtime: str, limit: int) -> Plan:
    what, each, variable = _WORKER.get(runtime, _WORKER["python"])
    count = int(limit * 0.8) // (each * MIB)
    if not count:
        return Plan(limit, (), {}, f"{mebibytes(limit)} hold no worker of {each} MiB; measure yours with --proc")
    rows = (
        ("workers", count * each * MIB, f"{variable}={count}", f"{count} times {what}, {each} MiB each: measure yours"),
        ("free", limit - count * each * MIB, "", "the master process, page cache, peaks"),
    )
    return Plan(limit, rows, {variable: str(count), **({"MALLOC_ARENA_MAX": "2"} if runtime != "php" else {})})


def _jvm(
    runtime: str,
    limit: int,
    threads: int,
    jdk: int,
    classes: int,
    cpus: int | None,
    collector: str,
    arch: str,
    margin: Margin,
    variable: str,
) -> Plan:
    metaspace = _stepped(max(_metaspace(classes) * 3 // 2, (256 if limit >= 2 * GIB else 96) * MIB), 32)
    direct = (256 if limit >= 4 * GIB else 128 if limit >= GIB else 64) * MIB
    code = (240 if limit >= 2 * GIB else 128 if limit >= GIB else 64) * MIB
    stack = (1024 if limit >= GIB else 512) * 1024
    settings = {
        "MaxMetaspaceSize": (metaspace, f"-XX:MaxMetaspaceSize={metaspace // MIB}m"),
        "MaxDirectMemorySize": (direct, f"-XX:MaxDirectMemorySize={direct // MIB}m"),
        "ReservedCodeCacheSize": (code, f"-XX:ReservedCodeCacheSize={code // MIB}m"),
        "ThreadStackSize": (stack, f"-Xss{stack // 1024}k"),
    }
    flags = JvmFlags({n: Setting(size, Option(text, "plan")) for n, (size, text) in settings.items()})
    model: Model = JvmModel(
        flags=flags,
        jdk=jdk,
        cpus=cpus,
        arch=arch,
        threads=Count(threads, True, "as stated"),
        classes=Count(classes, True, f"{classes} classes"),
        forced_collector=collector,
    )
    heap = next((p.size for p in propose(model, limit, margin.of) if p.kind == "heap" and p.size), None)
    beside = sum(a.counted for a in model.with_heap(2 * MIB).areas(limit)) - 2 * MIB
    if heap is None or heap < _LEAST_HEAP:
        words = f"{threads} threads, {classes} classes and the JVM itself leave no heap of {mebibytes(limit)}: "
        return Plan(limit, (), {}, words + f"{mebibytes(beside + margin.of(limit), up=True)} stand beside it")
    step = 64 if heap >= GIB else 16 if heap >= 256 * MIB else 2
    heap = min(heap, int(limit * _LARGEST_HEAP)) // (step * MIB) * step * MIB
    chosen = model.with_heap(heap)
    assert isinstance(chosen, JvmModel)
    by_name = {a.name: a for a in chosen.areas(limit)}
    shown = (
        (
            jvm_areas.HEAP,
            f"-Xmx{heap // MIB}m",
            f"{heap / limit:.0%} of the limit: what the others leave",
        ),
        (
            jvm_areas.METASPACE,
            settings["MaxMetaspaceSize"][1],
            f"{classes} classes: about {mebibytes(_metaspace(classes))}",
        ),
        (jvm_areas.DIRECT, settings["MaxDirectMemorySize"][1], "unset it may grow as large as the heap"),
        (jvm_areas.CODE_CACHE, settings["ReservedCodeCacheSize"][1], "the default is 240m, in use are 50 to 100"),
        (
            jvm_areas.STACKS,
            settings["ThreadStackSize"][1],
            f"{threads} threads of {stack // 1024}k",
        ),
        (jvm_areas.COLLECTOR, "", f"{chosen.collector(limit)}'s own structures for this heap, measured"),
        (jvm_areas.OTHER, "", "symbols, CDS archive, arenas"),
    )
    # What no flag caps counts as expected.
    sizes = {name: by_name[name].counted or by_name[name].expected.size or 0 for name, _, _ in shown}
    rows = tuple((name, sizes[name], flag, why) for name, flag, why in shown)
    left = limit - sum(sizes.values())
    why = f"{left / limit:.1%} of the limit: malloc slack, JNI libraries, page cache"
    words = " ".join(f for _, f, _ in shown if f)
    if runtime == "openj9":
        words = f"-Xmx{heap // MIB}m"
        rows = tuple((n, s, f if n == jvm_areas.HEAP else "", w) for n, s, f, w in rows)
        variable = "OPENJ9_JAVA_OPTIONS"
    return Plan(limit, (*rows, ("free", left, "", why)), {variable: words})


def _metaspace(classes: int) -> int:
    return 14_000_000 + 5_800 * classes


def _stepped(size: int, step: int) -> int:
    return -(-size // (step * MIB)) * step * MIB
