"""Memory models of the runtimes other than HotSpot: a process's settings and the limit in, areas of memory out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kubetriage.records import dataclass, replace
from kubetriage.rules.memory.budget import Amount, Area, Kind, Model
from kubetriage.rules.memory.container_process import Process
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.rules.memory.jvm_flags import Lint, Option, parse_size
from kubetriage.rules.memory.jvm_options import split_options
from kubetriage.rules.memory.runtime_detection import Runtime
from kubetriage.values.patterns import lazy


@dataclass(frozen=True)
class FixedModel:
    """A runtime whose areas follow from its settings and the limit by simple shares."""

    label: str
    main: str
    """Name of the main area, empty when nothing caps it."""
    share: Mapping[str, float | int]
    """``fraction`` of the limit, ``less`` bytes off it, ``floor`` and ``cap`` in bytes: the main area's default."""
    given: int | None = None
    """Bytes that a setting gives the main area."""
    source: str = ""
    kind: Kind = "default"
    rest: tuple[Area, ...] = ()
    """Areas that do not depend on the limit."""
    flag: str = ""
    """How the setting of the main area is written; ``{}`` stands for the number."""
    unit: int = MIB
    hexadecimal: bool = False
    soft: float = 0.0
    """The setting is a goal that the runtime may pass, by about this share of the limit."""

    @property
    def heap_area(self) -> str:
        """Name of the area that a proposal changes."""
        return self.main if self.flag else ""

    def areas(self, memory: int | None) -> tuple[Area, ...]:
        """Return the areas; see :class:`Model`."""
        if not self.main:
            return self.rest
        if self.given is not None:
            ceiling = Amount(self.given, self.kind, self.source)
        elif not self.share:
            ceiling = Amount(None, "default", self.source)
        elif memory is None:
            ceiling = Amount(None, "unknown", "a share of memory that was not seen")
        else:
            ceiling = Amount(self._share(memory), self.kind, self.source)
        expected = (
            Amount(ceiling.size, "assumed", "grows to its maximum under load")
            if ceiling.size is not None
            else Amount(None, "unknown", "depends on the program")
        )
        found = [Area(self.main, ceiling, expected, unbounded=ceiling.size is None), *self.rest]
        if self.soft and memory is not None and ceiling.size is not None:
            room = Amount(int(memory * self.soft), "assumed", f"a soft limit is passed: {self.soft:.0%} stay free")
            found.append(Area("room beside a soft limit", room, Amount(0, "assumed", "passed only at times")))
        return tuple(found)

    def _share(self, memory: int) -> int:
        size = int(memory * self.share.get("fraction", 1)) - int(self.share.get("less", 0))
        size = max(size, int(self.share.get("floor", 0)))
        return min(size, int(self.share.get("cap", size)))

    def with_heap(self, size: int) -> Model:
        """Return the model with its setting."""
        return replace(self, given=size, kind="flag", source=self.heap_flag(size))

    def heap_flag(self, size: int) -> str:
        """Write the setting."""
        count = size // self.unit
        return self.flag.format(f"0x{count:X}" if self.hexadecimal else count)

    def heap_flags(self, size: int) -> tuple[str, ...]:
        """Write the setting; nothing else changes with it."""
        return (self.heap_flag(size),)

    @property
    def heap_share(self) -> float:
        """A soft limit leaves a tenth free."""
        return 0.9 if self.soft else 1.0

    def heap_step(self) -> int:
        """Return the unit of the setting, at least one MiB."""
        return max(self.unit, MIB)


_NODE_LARGE = 15 * GIB
# V8 gives the old generation 4 GiB from 15 GiB of memory on, else half of the memory from 256 MiB to 2 GiB.
# Measured with Node 20 under limits from 128 MiB to 20 GiB.


@dataclass(frozen=True)
class NodeModel:
    """Node.js: V8's old and young generation, and what lives outside."""

    major: int
    old: int | None = None
    """Bytes of ``--max-old-space-size``."""
    old_source: str = ""
    old_kind: Kind = "flag"
    percentage: float | None = None
    semi: int | None = None
    semi_source: str = ""
    whole: int | None = None
    """Bytes of ``--max-heap-size``, which bounds both generations."""

    heap_area = "old generation"

    @property
    def label(self) -> str:
        """Name and version."""
        return f"Node.js {self.major}"

    def areas(self, memory: int | None) -> tuple[Area, ...]:
        """Return the areas; see :class:`Model`."""
        young = 3 * self.semi if self.semi is not None else self._young(memory)
        young_amount = Amount(
            young, "flag" if self.semi is not None else "default", self.semi_source or "3 semi-spaces"
        )
        old = self._old(memory, young)
        expected = (
            Amount(old.size, "assumed", "grows to its maximum under load")
            if old.size is not None
            else Amount(None, "unknown", "depends on the limit")
        )
        outside = Amount(40 * MIB, "assumed", "code, libuv threads and Buffers of a small program")
        return (
            Area(self.heap_area, old, expected),
            Area("young generation", young_amount, Amount(young, "assumed", "fills under load")),
            Area("Buffers and native", Amount(None, "unknown", "no flag caps them"), outside, unbounded=True),
        )

    def _old(self, memory: int | None, young: int) -> Amount:
        if self.whole is not None:
            return Amount(max(self.whole - young, 0), self.old_kind, self.old_source)
        if self.old is not None:
            return Amount(self.old, self.old_kind, self.old_source)
        if memory is None:
            return Amount(None, "unknown", "a share of memory that was not seen")
        if self.percentage is not None:
            return Amount(int(memory * self.percentage / 100), self.old_kind, self.old_source)
        return Amount(self._default_old(memory), "default", f"V8 default for {memory // MIB} MiB")

    def _default_old(self, memory: int) -> int:
        if memory >= _NODE_LARGE:
            return 4 * GIB
        return max(min(memory // 2, 2 * GIB), 256 * MIB)

    def _young(self, memory: int | None) -> int:
        if self.major >= 24 and self.old is not None and self.old >= 512 * MIB:
            return 192 * MIB  # measured with Node 24 and --max-old-space-size=1024: 1216 MiB together
        # Measured with Node 20 by cgroup limit; 24 allows four times the semi-space.
        seen = memory if memory is not None else _NODE_LARGE
        if seen <= 512 * MIB:
            return 3 * MIB
        semi = 4 if seen <= GIB else 8 if seen <= 2 * GIB else 16
        return 3 * semi * (4 if self.major >= 24 else 1) * MIB

    def with_heap(self, size: int) -> Model:
        """Return the model under ``--max-old-space-size``."""
        return replace(self, old=size, percentage=None, whole=None, old_source=self.heap_flag(size), old_kind="flag")

    def heap_flag(self, size: int) -> str:
        """Write ``--max-old-space-size``, in MiB."""
        return f"--max-old-space-size={size // MIB}"

    def heap_flags(self, size: int) -> tuple[str, ...]:
        """Write ``--max-old-space-size``; nothing else changes with it."""
        return (self.heap_flag(size),)

    heap_share = 0.75
    """Buffers, code and the young generation of newer releases have no flag: a quarter stays for them."""

    def heap_step(self) -> int:
        """Whole MiB."""
        return MIB


_NODE_OPTION = lazy(
    r"--(max[-_]old[-_]space[-_]size|max[-_]semi[-_]space[-_]size|max[-_]heap[-_]size|max[-_]old[-_]space[-_]size[-_]percentage)"
    r"(?:=(.*))?\Z"
)
ASSUMED_NODE = 22


def node_model(process: Process, major: int | None) -> tuple[NodeModel, list[Lint]]:
    """Read V8's options from ``NODE_OPTIONS`` and the command line, which wins."""
    model, lints = NodeModel(major or ASSUMED_NODE), list[Lint]()
    variable = process.environment.get("NODE_OPTIONS")
    sources: list[tuple[list[str], str, Kind]] = []
    if variable is not None and variable.value:
        words = split_options(variable.value) or variable.value.split()
        sources.append((words, variable.source, "environment"))
    sources.append((list(process.argv[1:]), process.where, "flag"))
    for words, source, kind in sources:
        for position, word in enumerate(words):
            if not word.startswith("-"):
                if kind == "flag":
                    break  # the script: what follows are its own arguments
                continue
            match = _NODE_OPTION.match(word)
            if match is None:
                continue
            name, value = match[1].replace("_", "-"), match[2]
            if value is None:
                value = words[position + 1] if position + 1 < len(words) else ""
            model = _node_option(model, name, value, Option(word, source), kind, lints)
    return model, lints


def _node_option(model: NodeModel, name: str, value: str, option: Option, kind: Kind, lints: list[Lint]) -> NodeModel:
    source = f"{option.text} ({option.source})"
    if name == "max-old-space-size-percentage":
        number = re.fullmatch(r"\d{1,3}(\.\d+)?", value, re.ASCII)
        if number is None or not 0 < float(value) <= 100:
            lints.append(Lint(option.text, option.source, "refused", "must be above 0 and at most 100"))
            return model
        return replace(model, percentage=float(value), old_source=source, old_kind=kind)
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        lints.append(Lint(option.text, option.source, "refused", "takes a whole number of MiB without a unit"))
        return model
    size = int(value) * MIB
    if name == "max-semi-space-size":
        return replace(model, semi=size, semi_source=source)
    if name == "max-heap-size":
        return replace(model, whole=size, old_source=source, old_kind=kind)
    return replace(model, old=size, old_source=source, old_kind=kind)


_GO_SIZE = lazy(r"(\d+)(B|KiB|MiB|GiB|TiB)?\Z", re.ASCII)
_GO_UNIT = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, None: 1}


def go_model(process: Process, limit: int | None = None) -> tuple[FixedModel, list[Lint]]:
    """Go: ``GOMEMLIMIT`` is a goal for heap, stacks and runtime; without it nothing bounds the heap.

    Where it is filled from ``limits.memory`` it follows the limit.
    """
    lints: list[Lint] = []
    variable = process.environment.get("GOMEMLIMIT")
    gogc = process.value("GOGC") or "100"
    size: int | None = None
    share: dict[str, float | int] = {}
    outside = Area(
        "cgo and mmap",
        Amount(None, "unknown", "GOMEMLIMIT does not count them"),
        Amount(0, "assumed", "a program without cgo"),
    )
    source = f"GOMEMLIMIT is not set: no bound, GOGC={gogc} lets the heap grow past twice what is live"
    if variable is not None and variable.value is not None and variable.value != "off":
        match = _GO_SIZE.match(variable.value)
        if match is None:
            lints.append(
                Lint(f"GOMEMLIMIT={variable.value}", variable.source, "refused", "units are B, KiB, MiB, GiB and TiB")
            )
        else:
            size, source = (
                int(match[1]) * _GO_UNIT[match[2]],
                f"{variable.source}: GOMEMLIMIT={variable.value}, a soft limit",
            )
            if "limits.memory" in variable.source and limit:
                share, size = {"fraction": (size or 0) / limit}, None
                lints.append(
                    Lint(
                        "GOMEMLIMIT", variable.source, "trap", "100 % of the limit leaves no room: keep 5 to 10 % free"
                    )
                )
    return (
        FixedModel(
            "Go", "Go runtime", share, size, source, "environment", (outside,), "GOMEMLIMIT={}MiB", MIB, soft=0.1
        ),
        lints,
    )


def dotnet_model(process: Process) -> tuple[FixedModel, list[Lint]]:
    """.NET: the GC heap's hard limit, 75 % of the container's by default; both variables are hexadecimal."""
    lints: list[Lint] = []
    given, source, kind = None, "GC heap hard limit: 75 % of the limit, at least 20 MB", "default"
    share: dict[str, float | int] = {"fraction": 0.75, "floor": 20_000_000}
    for prefix in ("COMPlus_", "DOTNET_"):  # the newer prefix wins
        for name in ("GCHeapHardLimitPercent", "GCHeapHardLimit"):
            variable = process.environment.get(prefix + name)
            if variable is None or variable.value is None:
                continue
            match = re.fullmatch(r"(?:0[xX])?([0-9a-fA-F]{1,16})", variable.value)
            if match is None:
                lints.append(
                    Lint(f"{prefix}{name}={variable.value}", variable.source, "ignored", "not a hexadecimal number")
                )
                continue
            number, kind, source = (
                int(match[1], 16),
                "environment",
                f"{prefix}{name}={variable.value} ({variable.source})",
            )
            if (
                not variable.value.lower().startswith("0x")
                and variable.value.isdigit()
                and int(variable.value) != number
            ):
                lints.append(
                    Lint(
                        f"{prefix}{name}={variable.value}",
                        variable.source,
                        "trap",
                        f"it is hexadecimal: {number} decimal",
                    )
                )
            if name == "GCHeapHardLimit":
                given = number
            elif 0 < number <= 100:
                share = {"fraction": number / 100}
    outside = Area(
        "native, JIT, stacks",
        Amount(None, "unknown", "the hard limit does not count them"),
        Amount(None, "unknown", "depends on the program"),
    )
    chosen: Kind = "environment" if kind == "environment" else "default"
    return FixedModel(
        ".NET", "GC heap", share, given, source, chosen, (outside,), "DOTNET_GCHeapHardLimit={}", 1, hexadecimal=True
    ), lints


def openj9_model(major: int | None, words: Iterable[tuple[str, str]], memory: int | None) -> FixedModel:
    """OpenJ9: half of a small container, the limit less 512 MB, then three quarters, at most 25 GB."""
    label = f"OpenJ9 {major}" if major else "OpenJ9"
    heap: tuple[int, str] | None = None
    for word, source in words:
        match = re.match(r"-Xmx(.+)", word)
        size = parse_size(match[1]) if match else None
        if size is not None:
            heap = size, f"{word} ({source})"
    share: dict[str, float | int] = {"fraction": 0.75, "cap": 25 * GIB}
    if memory is not None and memory < GIB:
        share = {"fraction": 0.5}
    elif memory is not None and memory <= 2 * GIB:
        share = {"fraction": 1, "less": 512 * MIB}
    rest = _outside("JIT, classes, stacks")
    if heap is not None:
        return FixedModel(label, "heap", share, heap[0], heap[1], "flag", rest, "-Xmx{}m")
    return FixedModel(label, "heap", share, None, "OpenJ9 default for this limit", "default", rest, "-Xmx{}m")


def native_image_model(words: Iterable[tuple[str, str]]) -> FixedModel:
    """GraalVM native image with its serial collector: 80 % of memory; a G1 build takes 25 %."""
    share: dict[str, float | int] = {"fraction": 0.8}
    given, source, kind = None, "80 % of memory (serial collector; a build with G1 takes 25 %)", "default"
    for word, where in words:
        match = re.match(r"-XX:MaximumHeapSizePercent=(\d{1,3})\Z", word)
        if match:
            share, source, kind = {"fraction": int(match[1]) / 100}, f"{word} ({where})", "flag"
        match = re.match(r"-Xmx(.+)", word)
        size = parse_size(match[1]) if match else None
        if size is not None:
            given, source, kind = size, f"{word} ({where})", "flag"
    chosen: Kind = "flag" if kind == "flag" else "default"
    return FixedModel(
        "GraalVM native image", "heap", share, given, source, chosen, _outside("code and stacks"), "-Xmx{}m"
    )


def azul_prime_model(words: Iterable[tuple[str, str]]) -> FixedModel:
    """Azul Prime: a quarter of memory; ``-Xmx`` is at least 512 MB."""
    given, source = None, "25 % of memory"
    for word, where in words:
        match = re.match(r"-Xmx(.+)", word)
        size = parse_size(match[1]) if match else None
        if size is not None:
            given, source = size, f"{word} ({where})"
    kind: Kind = "default" if given is None else "flag"
    return FixedModel(
        "Azul Prime", "heap", {"fraction": 0.25}, given, source, kind, _outside("JIT, classes, stacks"), "-Xmx{}m"
    )


def _outside(name: str) -> tuple[Area, ...]:
    return (
        Area(
            name,
            Amount(None, "unknown", "not modelled for this runtime"),
            Amount(None, "unknown", "not modelled for this runtime"),
        ),
    )


_WORKER_OPTION = lazy(r"(?:-w|--workers|--processes|--concurrency|-c|-p)(?:=?(\d+))?\Z")
_MULTIPLIED = {
    "python": "each worker is a process with its own heap",
    "ruby": "each worker is a process with its own heap; MALLOC_ARENA_MAX=2 or jemalloc keeps arenas small",
    "php": "memory_limit (128 MB by default) per request times pm.max_children",
    "nginx": "worker_processes auto counts the node's CPUs, not the limit",
}


def worker_model(runtime: Runtime, process: Process) -> FixedModel:
    """Python, Ruby, PHP-FPM, nginx: nothing bounds a process; what matters is how many there are."""
    workers = ""
    if process.program in ("gunicorn", "uvicorn", "celery", "uwsgi", "puma", "hypercorn"):
        for position, word in enumerate(process.argv):
            match = _WORKER_OPTION.match(word)
            if match is None or (word in ("-c", "-p") and process.program not in ("celery", "uwsgi")):
                continue
            following = process.argv[position + 1] if position + 1 < len(process.argv) else ""
            number = match[1] or (following if following.isdigit() else "")
            if number:
                workers = f"{number} workers ({process.where}); "
    concurrency = process.value("WEB_CONCURRENCY")
    if not workers and concurrency and concurrency.isdigit():
        workers = f"{concurrency} workers (WEB_CONCURRENCY); "
    labels = {"python": "Python", "ruby": "Ruby", "php": "PHP", "nginx": "nginx"}
    words = workers + _MULTIPLIED[runtime]
    area = Area(
        "processes", Amount(None, "default", words), Amount(None, "unknown", "depends on the program"), unbounded=True
    )
    return FixedModel(labels[runtime], "", {}, rest=(area,))
