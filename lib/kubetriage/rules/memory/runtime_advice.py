"""Advice for a runtime that met its own limit: the container's case and the area in, fixes out, for both plugins.

A larger container limit alone changes nothing while the runtime's own limit stays; a larger own limit must leave room
for what stands beside it. So the first fix uses the room that there is, the second raises both together.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Fix
from kubetriage.rules.last_memory_words import REFUSED, MemoryWords, stated_cap
from kubetriage.rules.memory import jvm_areas
from kubetriage.rules.memory.budget import exact, mebibytes
from kubetriage.rules.memory.budget_builder import Extended
from kubetriage.rules.memory.budget_fixes import (
    flags_patch,
    human_limit,
    larger_limit,
    most_limit,
    option_variable,
    raise_fix,
)
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.limit_planner import PLANNED, Plan, plan
from kubetriage.rules.memory.program_fixes import program_fix
from kubetriage.values.patterns import lazy

_OPTION_OF = {
    jvm_areas.METASPACE: "-XX:MaxMetaspaceSize",
    jvm_areas.DIRECT: "-XX:MaxDirectMemorySize",
}
_PROFILES = {
    "hotspot": "-XX:+HeapDumpOnOutOfMemoryError and a heap dump",
    "openj9": "-XX:+HeapDumpOnOutOfMemoryError and a heap dump",
    "node": "node --heapsnapshot-near-heap-limit=2",
    "dotnet": "dotnet-gcdump collect -p 1",
}
_MOST = 0.85
"""A heap above this share of the limit leaves nothing for what stands beside it."""
_PHP_LIMIT = lazy(r"Allowed memory size of (\d{1,15}) bytes")
_INITIAL = lazy(r"(?:\A|\s)-Xms\d")
_WORTHWHILE = 1.15
"""A larger heap under the same limit is worth a try from here on."""


def runtime_fixes(case: Case, words: MemoryWords, line: str = "") -> tuple[Fix, ...]:
    """Return what helps a runtime that met its own limit, or was refused memory; ``line`` is what it said."""
    return tuple(_fixes(case, words, line))[:3]


def _fixes(case: Case, words: MemoryWords, line: str) -> Iterator[Fix]:
    if words.asks_for == "heap":
        oversized = oversized_heap_fixes(case)
        if oversized:
            yield from oversized
            return
    if words.asks_for == "setting" and case.program is not None and case.limit.size is not None:
        yield program_fix(case)
        told = case.program.told.size if case.program.told is not None else 0
        larger = larger_limit(case, max(2 * case.limit.size, int(told / float(case.program.row["share"]))))
        if larger is not None:
            yield raise_fix(case, larger, f", which holds {case.program.setting} as it is, if it needs that much.")
        return
    if words.asks_for == "many cores" and case.process.environment.get("DOTNET_gcServer") is not None:
        yield case.template_fix(
            f"Set DOTNET_gcServer=0 of container {case.container.name}: the server GC makes a heap for each CPU that "
            "it sees, which a small limit does not hold.",
            {"env": [{"name": "DOTNET_gcServer", "value": "0"}]},
        )
    if words.asks_for == "memory_limit" and (allowed := _PHP_LIMIT.search(line)) is not None:
        yield from _php(case, int(allowed[1]))
        return
    if words.fix:
        yield Fix(words.fix, actor=Actor.NODE if words.fix == REFUSED else Actor.MANIFEST)
        return
    heap = case.budget.heap
    option = _OPTION_OF.get(words.area, "")
    if option:
        yield _raised(case, words.area, option, stated_cap(line) if words.area == jvm_areas.DIRECT else None)
    elif heap is not None and (not words.area or words.area == heap.name):
        yield from _larger_heap(case, heap.ceiling.size)
    else:
        yield Fix("Raise the runtime's own limit if the program needs that much.", actor=Actor.MANIFEST)
    how = _PROFILES.get(case.detected.runtime, "the runtime's profiler")
    yield Fix(
        f"If it comes back at any size, it leaks or loads too much at once: find what with {how}.", actor=Actor.APP
    )


def oversized_heap_fixes(case: Case) -> tuple[Fix, ...]:
    """Fit a heap that is more than the limit can hold: a smaller heap, or a limit for this one; empty for others."""
    limit, heap = case.limit.size, case.budget.heap
    now = heap.ceiling.size if heap is not None else None
    if limit is None or now is None or now <= limit * _MOST or case.detected.runtime not in PLANNED:
        return ()
    size, flags = _heap(_plan(case, limit))
    model = case.budget.model
    if size and model is not None and model.heap_area == (heap.name if heap is not None else ""):
        # The initial heap moves along: a JVM refuses one above the maximum.
        own = model.heap_flags(size)
        if own[-1].startswith("-Xmx") and len(own) == 1 and _INITIAL.search(_given(case)):
            own = (f"-Xms{size // MIB}m", *own)
        flags = (*own, *(f for f in flags if "MaxDirectMemorySize" in f))
    fixes = []
    if size:
        fixes.append(
            case.template_fix(
                f"Run container {case.container.name} with {_written(case, flags)}: the limit of {exact(limit)} holds "
                f"a heap of {mebibytes(size)}, not of {mebibytes(now)}.",
                flags_patch(case, flags),
            )
        )
    larger = larger_limit(case, now * 4 // 3)
    if larger is not None:
        fixes.append(raise_fix(case, larger, f" if it needs a heap of {mebibytes(now)}."))
    return tuple(fixes)


def _php(case: Case, allowed: int) -> Iterator[Fix]:
    """Raise PHP's memory_limit by what the container holds: beside one script, or beside all children of FPM."""
    name, limit = case.container.name, case.limit.size
    room = (limit or 0) * 3 // 4
    wanted = (allowed * 3 // 2 if allowed * 3 // 2 <= room < 2 * allowed else 2 * allowed) // MIB
    script = case.process.program.startswith("php") and "fpm" not in case.process.program
    how = f"php -d memory_limit={wanted}M" if script else f"memory_limit = {wanted}M in a file of conf.d"
    known = "PHP_MEMORY_LIMIT" in case.process.environment
    patch: dict[str, object] | None = {"env": [{"name": "PHP_MEMORY_LIMIT", "value": f"{wanted}M"}]} if known else None
    where = "PHP_MEMORY_LIMIT" if known else f"PHP_MEMORY_LIMIT where the image reads it, else {how}"
    words = f"Raise memory_limit of container {name} from {allowed // MIB}M to {wanted}M, if one "
    words += f"{'run' if script else 'request'} needs that much ({where})."
    if limit is not None and wanted * MIB > room:
        larger = larger_limit(case, wanted * MIB * 4 // 3)
        if larger is not None:
            resources: dict[str, object] = {"resources": {"limits": {"memory": exact(larger)}}}
            yield case.template_fix(
                f"{words} The memory limit must grow with it, to {exact(larger)}.", {**(patch or {}), **resources}
            )
    else:
        yield case.template_fix(f"{words} The limit of {exact(limit)} holds it." if limit is not None else words, patch)
    if not script and limit is not None:
        fits = max(int(limit * 0.8) // (wanted * MIB), 1)
        yield Fix(
            f"With FPM or Apache at most {fits} such requests at a time fit the limit (pm.max_children).",
            actor=Actor.MANIFEST,
        )
    yield Fix(
        "If it takes more at any size, it loads too much at once: read in chunks; memory_get_peak_usage() shows where.",
        actor=Actor.APP,
    )


def _given(case: Case) -> str:
    return " ".join([*case.process.argv, *(v.value or "" for v in case.process.environment.values())])


def _raised(case: Case, name: str, option: str, stated: int | None) -> Fix:
    """Raise the cap that an area met, together with the limit where it does not hold twice the cap.

    ``stated`` is the cap that the runtime named itself, which counts more than what the manifest tells.
    """
    area = next((a for a in case.budget.areas if a.name == name), None)
    now, limit = stated or (area.ceiling.size if area is not None else None), case.limit.size
    if not now or (stated is None and (area is None or area.ceiling.kind not in ("flag", "environment"))):
        words = f"Raise {option} of container {case.container.name} if the program needs that much."
        return Fix(f"{words} Else raise it together with the memory limit.", actor=Actor.MANIFEST)
    flag = f"{option}={2 * now // MIB}m"
    patch = flags_patch(case, [flag])
    words = f"Raise {option} of container {case.container.name} from {mebibytes(now)} to {2 * now // MIB}m"
    margin = case.budget.margin
    if limit is None or margin is None or margin >= now:
        return case.template_fix(f"{words}; the limit holds it.", patch)
    larger = larger_limit(case, limit + now)
    if larger is None:
        return case.template_fix(f"{words}, and lower the heap by as much: the node has no more.", patch)
    resources: dict[str, object] = {"resources": {"limits": {"memory": exact(larger)}}}
    return case.template_fix(
        f"{words}, and the memory limit to {exact(larger)} with it.", None if patch is None else {**patch, **resources}
    )


def _larger_heap(case: Case, now: int | None) -> Iterator[Fix]:
    limit, name = case.limit.size, case.container.name
    if limit is None or case.detected.runtime not in PLANNED:
        yield Fix(
            f"Give container {name} a memory limit, and the runtime a heap of about three quarters of it.",
            actor=Actor.MANIFEST,
        )
        return
    here = _plan(case, limit)
    size, flags = _heap(here)
    if size and (now is None or size >= now * _WORTHWHILE):
        yield case.template_fix(
            f"Run container {name} with {_written(case, flags)}: the limit of {exact(limit)} holds a heap of "
            f"{mebibytes(size)}" + (f" instead of {mebibytes(now)}." if now else "."),
            flags_patch(case, flags),
        )
    larger = human_limit(2 * limit)
    most = most_limit(case)
    there = _plan(case, larger)
    more, raised = _heap(there)
    if more and (most is None or larger <= most):
        patch = flags_patch(case, raised)
        resources: dict[str, object] = {"resources": {"limits": {"memory": exact(larger)}}}
        yield case.template_fix(
            f"If it needs more, raise the memory limit to {exact(larger)} together with {_written(case, raised)}: a "
            "larger limit alone may change nothing.",
            None if patch is None else {**patch, **resources},
        )


def _plan(case: Case, limit: int) -> Plan:
    model = case.budget.model.model if isinstance(case.budget.model, Extended) else case.budget.model
    threads, jdk, classes = 60, case.detected.version or 17, jvm_areas.ASSUMED_CLASSES
    if isinstance(model, jvm_areas.JvmModel):
        threads, jdk, classes = model.threads.number, model.jdk, model.classes.number
    return plan(case.detected.runtime, limit, threads=threads, jdk=jdk, classes=classes)


def _heap(made: Plan) -> tuple[int, tuple[str, ...]]:
    """Return the heap of a plan and its flags, with that of direct memory, which follows a heap where it is unset."""
    if not made.rows or made.rows[0][1] is None:
        return 0, ()
    wanted = [f for f in made.flags if f.startswith(("-Xmx", "--max-old", "DOTNET_", "GOMEMLIMIT"))]
    wanted += [f for f in made.flags if "MaxDirectMemorySize" in f]
    return made.rows[0][1], tuple(wanted)


def _written(case: Case, flags: tuple[str, ...]) -> str:
    if case.detected.runtime in ("go", "dotnet"):
        return " ".join(flags)
    return f"{option_variable(case)}={flags[0]}" if len(flags) == 1 else f"{option_variable(case)}='{' '.join(flags)}'"
