"""What runtimes and makers of pods leave beside the heap: a killed container in, candidates out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from kubetriage.data import table
from kubetriage.model import Actor, Evidence, Fix
from kubetriage.readers.pods import Container
from kubetriage.rules.memory import node_memory
from kubetriage.rules.memory.budget import exact
from kubetriage.rules.memory.budget_fixes import larger_limit, raise_fix
from kubetriage.rules.memory.candidate import WHILE_STARTING, Candidate
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.container_process import base_name
from kubetriage.rules.memory.generated_pods import maker_of
from kubetriage.rules.memory.oom_kills import Kill
from kubetriage.rules.memory.runtime_detection import image_parts
from kubetriage.typed import Any
from kubetriage.values.fields import texts
from kubetriage.values.quantity import parse_millis

_SMALL_SHARE = 0x32
"""Half of the limit, hexadecimal as .NET reads it."""


def runtime_candidates(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find memory beside the heap that the runtime's own settings, or the maker of the pod, decide."""
    if case.limit.size is None:
        return
    yield from _overhead(case, case.limit.size)
    yield from _build(case, case.limit.size)
    if case.detected.runtime == "dotnet":
        yield from _dotnet(case, case.limit.size)
    life = kill.end.lifetime
    if case.detected.runtime == "ruby" and life is not None and life > WHILE_STARTING:
        yield from _arenas(case)


def _overhead(case: Case, limit: int) -> Iterator[Candidate]:
    """Find what a maker of pods leaves beside the heap: the limit is their sum, so it was too little."""
    maker = case.maker
    if maker is None or not maker.beside:
        return
    heap = case.budget.heap
    known = heap.ceiling.size if heap is not None and heap.ceiling.kind != "default" else None
    room = "" if known is None or known >= limit else f", {exact(limit - known)} here"
    fixes = []
    larger = larger_limit(case, limit + max((limit - known) if known and known < limit else limit // 3, 2**29))
    if larger is not None:
        fixes.append(raise_fix(case, larger, "."))
    if maker.fewer:
        fixes.append(Fix(maker.fewer, actor=Actor.APP))
    clause = f"{maker.beside}{room}: that is what ran out"
    yield Candidate("memory overhead", clause, "", told=True, fixes=tuple(fixes))


def _build(case: Case, limit: int) -> Iterator[Candidate]:
    """Find a build tool: what it starts stands beside it and in no budget."""
    tool = build_tool(case.container)
    if tool is None:
        return
    larger = larger_limit(case, 2 * limit)
    fixes = [raise_fix(case, larger, f". {tool['fewer']}")] if larger is not None else []
    fixes = fixes or [Fix(str(tool["fewer"]), actor=Actor.APP)]
    yield Candidate("build processes", str(tool["starts"]), "", told=True, fixes=tuple(fixes))


def build_tool(container: Container) -> Mapping[str, Any] | None:
    """Recognise a build tool by the commands of a container's command line, a shell's too; a job's by its image."""
    line = " ".join([*texts(container.spec, "command"), *texts(container.spec, "args")])
    for part in re.split(r"&&|\|\||[;|\n]|\s-\w*c\s", line):
        words = part.split()
        while words and (words[0] in _BEFORE or "=" in words[0]):
            words.pop(0)
        program = base_name(words[0]) if words else ""
        if program in _SERVES_TOO and not _BUILDS & set(words[1:3]):
            continue
        for row in table("build_tools")["rows"]:
            if re.fullmatch(row["program"], program):
                return dict(row)
    maker = maker_of(container)
    if maker is None or not maker.builds:
        return None
    # The job of a pipeline runs a shell that gets its commands later; the image tells what for.
    _, segment, _ = image_parts(container.image.lower())
    return next((dict(r) for r in table("build_tools")["rows"] if re.fullmatch(r.get("image", "(?!)"), segment)), None)


_BEFORE = frozenset({"exec", "npx", "time", "env", "sudo"})
"""Words before the program that runs."""
_SERVES_TOO = frozenset({"go", "next", "cargo", "vite", "ng", "npm", "yarn", "pnpm", "bun"})
"""Programs that serve as well as build: the word after them tells."""
_BUILDS = frozenset({"build", "test", "check"})


def _dotnet(case: Case, limit: int) -> Iterator[Candidate]:
    """Find server GC: one heap per CPU that it sees, collected late."""
    value = case.process.value("DOTNET_gcServer") or case.process.value("COMPlus_gcServer")
    node = node_memory.node_cpus(case.node.obj)
    millis = parse_millis(case.cpu_limit) if case.cpu_limit else None
    cpus = math.ceil(millis / 1000) if millis else node
    stated = value is not None and value.lower() in ("1", "0x1", "true")
    web = bool(re.search(r"(?:^|/)(?:dotnet/)?aspnet\b", case.container.image))
    if value is not None and not stated:
        return
    if cpus is None or cpus < 2 or not (stated or web):
        return
    seen = f"its CPU limit of {case.cpu_limit}" if millis else f"node {case.pod.node}, as it has no CPU limit"
    how = f"DOTNET_gcServer={value}" if stated else "the default of ASP.NET Core"
    clause = f".NET's server GC ({how}) keeps one heap per CPU, {cpus} by {seen}, and collects late"
    name = case.container.name
    percent = f"0x{_SMALL_SHARE:X}"
    fixes = [
        case.template_fix(
            f"Set DOTNET_gcServer=0 for container {name}: one heap that is collected earlier (workstation GC). Or keep "
            "server GC with few heaps: DOTNET_GCHeapCount=2.",
            {"env": [{"name": "DOTNET_gcServer", "value": "0"}]},
        ),
        case.template_fix(
            f"Set DOTNET_GCHeapHardLimitPercent={percent} (50 %, hexadecimal) for container {name}, so that "
            f"{exact(limit)} holds native memory, too. A heap that needs more then ends with OutOfMemoryException.",
            {"env": [{"name": "DOTNET_GCHeapHardLimitPercent", "value": percent}]},
        ),
    ]
    larger = larger_limit(case, 2 * limit)
    if larger is not None:
        fixes.append(raise_fix(case, larger, ", if the heap itself needs it."))
    evidence = (Evidence("spec", "DOTNET_gcServer", str(value)),) if stated else ()
    yield Candidate("server GC", clause, "", told=stated, fixes=tuple(fixes), evidence=evidence)


def _arenas(case: Case) -> Iterator[Candidate]:
    """Find malloc arenas of a threaded Ruby: freed memory that glibc keeps per thread."""
    if case.process.value("MALLOC_ARENA_MAX") is not None or "jemalloc" in (case.process.value("LD_PRELOAD") or ""):
        return
    fix = case.template_fix(
        f"Set MALLOC_ARENA_MAX=2 for container {case.container.name} (or preload jemalloc): glibc keeps freed memory "
        "in an arena per thread.",
        {"env": [{"name": "MALLOC_ARENA_MAX", "value": "2"}]},
    )
    yield Candidate("malloc arenas", "glibc keeps what Ruby's threads freed in arenas", "", told=False, fixes=(fix,))
