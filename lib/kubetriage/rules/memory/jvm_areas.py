"""The memory areas of a HotSpot process, from its flags and its container."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.records import dataclass, replace
from kubetriage.rules import last_memory_words
from kubetriage.rules.memory import ergonomics
from kubetriage.rules.memory.budget import Amount, Area, CappedModel, Kind, Model
from kubetriage.rules.memory.ergonomics import MIB, Machine
from kubetriage.rules.memory.jvm_flags import JvmFlags, Option, Setting, format_size

HEAP = last_memory_words.HEAP
METASPACE = last_memory_words.METASPACE
DIRECT = last_memory_words.DIRECT
CODE_CACHE = "code cache"
STACKS = last_memory_words.STACKS
COLLECTOR = "GC structures"
OTHER = "other native"

ASSUMED_CLASSES = 10_000
_METASPACE_BASE = 14_000_000
_METASPACE_PER_CLASS = 5_800
# Paketo libjvm and the Cloud Foundry memory calculator estimate metaspace so.
_EXPECTED_DIRECT = 10 * MIB
_EXPECTED_CODE = 64 * MIB
_LEAST_DIRECT = 64 * MIB
# Netty's pools and HTTP clients of a small service.
_WITH_THE_MAXIMUM = (
    ("InitialHeapSize", "-Xms{}"),
    ("MinHeapSize", "-XX:MinHeapSize={}"),
    ("SoftMaxHeapSize", "-XX:SoftMaxHeapSize={}"),
)
_LEAST_STACK = 256 * 1024
# Half the default of 32-bit JVMs; frameworks with deep call chains overflow below it.


@dataclass(frozen=True)
class Count:
    """A number of threads or classes and how it is known."""

    number: int
    known: bool
    source: str


@dataclass(frozen=True)
class JvmModel(CappedModel):
    """One HotSpot process."""

    flags: JvmFlags
    jdk: int
    cpus: int | None
    arch: str
    threads: Count
    classes: Count
    node_memory: int | None = None
    """What the JVM sees where no limit reaches it."""
    forced_collector: str = ""
    equal: bool = False
    """The program wants initial and maximum heap equal (Elasticsearch)."""
    vendor: str = "HotSpot"

    heap_area = HEAP

    def machine(self, memory: int | None) -> Machine:
        """Return what the JVM sees under a limit."""
        seen = memory if memory is not None and self.flags.switch("UseContainerSupport") is not False else None
        active = self.flags.number("ActiveProcessorCount")
        cpus = int(active) if active else self.cpus
        return Machine(seen if seen is not None else self.node_memory or memory or 0, cpus, self.arch)

    def collector(self, memory: int | None) -> str:
        """Return the collector in force."""
        chosen = self.forced_collector or self.flags.collector
        return chosen or ergonomics.default_gc(self.jdk, self.machine(memory))

    @property
    def label(self) -> str:
        """Vendor and version."""
        return f"{self.vendor} {self.jdk}"

    def areas(self, memory: int | None) -> tuple[Area, ...]:
        """Return the areas; see :class:`Model`."""
        gc = self.collector(memory)
        heap = self.heap(memory)
        metaspace = self._metaspace()
        heap_size = heap.ceiling.size
        found = [heap, metaspace, self._direct(heap_size, gc), self._code(), self._stacks()]
        found.append(self._collector(gc, heap_size))
        found.append(
            Area(
                OTHER,
                Amount(None, "unknown", "symbols, CDS archive, arenas, malloc slack, JNI: no flag caps them"),
                Amount(ergonomics.OTHER_NATIVE, "assumed", "symbols, CDS archive and arenas of a small application"),
            )
        )
        return tuple(found)

    def heap(self, memory: int | None) -> Area:
        """Return the Java heap."""
        machine, gc = self.machine(memory), self.collector(memory)
        given = self.flags.size("MaxHeapSize")
        if given is not None:
            size = ergonomics.align_up(given, ergonomics.heap_alignment(gc, given))
            ceiling = Amount(size, *_flag(self.flags, "MaxHeapSize"))
        elif machine.memory <= 0:
            ceiling = Amount(None, "unknown", "a share of the node's memory, which was not seen")
        else:
            fraction = self.flags.number("MaxRAMFraction")
            percentage = self.flags.number("MaxRAMPercentage")
            name = "MaxRAMPercentage"
            if percentage is None and fraction:
                percentage, name = 100 / fraction, "MaxRAMFraction"
            size = ergonomics.max_heap(
                machine.memory,
                gc,
                jdk=self.jdk,
                max_percentage=percentage,
                min_percentage=self.flags.number("MinRAMPercentage"),
                initial_heap=self.flags.size("InitialHeapSize"),
                max_ram=self.flags.size("MaxRAM"),
            )
            if self.flags.size("InitialHeapSize") == size:
                ceiling = Amount(size, *_flag(self.flags, "InitialHeapSize"))
            elif percentage is not None:
                ceiling = Amount(size, *_flag(self.flags, name))
            else:
                ceiling = Amount(size, "default", f"JDK {self.jdk} ergonomics for {machine.memory // MIB} MiB")
        return Area(HEAP, ceiling, Amount(ceiling.size, "assumed", "a heap grows to its maximum under load"))

    def initial_heap(self, memory: int | None) -> Amount:
        """Return the heap that the JVM starts with."""
        given, heap = self.flags.size("InitialHeapSize"), self.heap(memory).ceiling.size
        if given is not None:
            return Amount(given, *_flag(self.flags, "InitialHeapSize"))
        machine = self.machine(memory)
        if heap is None or machine.memory <= 0:
            return Amount(None, "unknown", "depends on the heap")
        percentage = self.flags.number("InitialRAMPercentage")
        size = ergonomics.initial_heap(machine.memory, self.collector(memory), heap, percentage, self.jdk)
        if percentage is not None:
            return Amount(size, *_flag(self.flags, "InitialRAMPercentage"))
        return Amount(size, "default", f"InitialRAMPercentage of JDK {self.jdk}")

    def _metaspace(self) -> Area:
        estimate = _METASPACE_BASE + _METASPACE_PER_CLASS * self.classes.number
        given = self.flags.size("MaxMetaspaceSize")
        expected = Amount(min(estimate, given) if given is not None else estimate, "assumed", f"{self.classes.source}")
        if given is None:
            ceiling = Amount(None, "default", "MaxMetaspaceSize is not set: unlimited")
            return Area(METASPACE, ceiling, expected, flag="MaxMetaspaceSize", unbounded=True)
        source = _flag(self.flags, "MaxMetaspaceSize")
        classes = ergonomics.class_space(self.jdk, given)
        ceiling = Amount(given, source[0], f"{source[1]}, {classes // MIB} MiB of it class space")
        return Area(METASPACE, ceiling, expected, flag="MaxMetaspaceSize", least=estimate * 5 // 4)

    def _direct(self, heap: int | None, gc: str) -> Area:
        given = self.flags.size("MaxDirectMemorySize")
        if given is not None:
            ceiling = Amount(given, *_flag(self.flags, "MaxDirectMemorySize"))
        elif heap is not None and (share := self.flags.number("DirectShareOfHeap")) is not None:
            ceiling = Amount(int(heap * share), *_flag(self.flags, "DirectShareOfHeap"))
        elif heap is None:
            ceiling = Amount(None, "default", "as much as the heap")
        else:
            less = " less a survivor space" if gc in ("Serial", "Parallel") else ""
            ceiling = Amount(heap, "default", f"MaxDirectMemorySize is not set: as much as the heap{less}")
        size = _EXPECTED_DIRECT if ceiling.size is None else min(_EXPECTED_DIRECT, ceiling.size)
        expected = Amount(size, "assumed", "a program that does little network I/O in direct buffers")
        return Area(DIRECT, ceiling, expected, flag="MaxDirectMemorySize", least=_LEAST_DIRECT)

    def _code(self) -> Area:
        given = self.flags.size("ReservedCodeCacheSize")
        stop_at = self.flags.number("TieredStopAtLevel")
        default = ergonomics.code_cache(
            self.jdk,
            tiered=self.flags.switch("TieredCompilation") is not False,
            stop_at=None if stop_at is None else int(stop_at),
            interpreted=self.flags.switch("Interpreted") is True,
        )
        if given is not None:
            ceiling = Amount(given, *_flag(self.flags, "ReservedCodeCacheSize"))
        else:
            ceiling = Amount(default, "default", f"ReservedCodeCacheSize of JDK {self.jdk}")
        expected = Amount(min(ceiling.size or 0, _EXPECTED_CODE), "assumed", "compiled code of a warm application")
        return Area(CODE_CACHE, ceiling, expected, flag="ReservedCodeCacheSize", least=_EXPECTED_CODE)

    def _stacks(self) -> Area:
        given = self.flags.size("ThreadStackSize")
        each = given if given is not None else ergonomics.stack_size(self.arch)
        where = self.flags.source("ThreadStackSize") or f"JDK default on {self.arch}"
        kind = _flag(self.flags, "ThreadStackSize")[0] if given is not None else "default"
        number = self.threads.number
        ceiling = Amount(
            each * number,
            kind if self.threads.known else "assumed",
            f"{number} threads ({self.threads.source}) of {each // 1024} KiB ({where})",
        )
        expected = Amount(
            min(ergonomics.IDLE_STACK, each) * number,
            "assumed",
            f"{number} idle threads at about 0.1 MiB, as measured",
        )
        return Area(STACKS, ceiling, expected, flag="ThreadStackSize", least=_LEAST_STACK * number)

    def _collector(self, gc: str, heap: int | None) -> Area:
        if heap is None:
            unknown = Amount(None, "unknown", "depends on the heap")
            return Area(COLLECTOR, unknown, unknown)
        ceiling = ergonomics.gc_native_ceiling(gc, self.jdk, heap, self.cpus)
        expected = ergonomics.gc_native(gc, self.jdk, heap, self.cpus)
        if ceiling is None:
            unknown = Amount(None, "unknown", f"{gc} is not modelled: its structures grow with use")
            return Area(COLLECTOR, unknown, unknown)
        words = f"{gc} on JDK {self.jdk}, measured for a full heap; marking under load takes more"
        return Area(COLLECTOR, Amount(ceiling, "measured", words), Amount(expected, "measured", words))

    def with_heap(self, size: int) -> Model:
        """Return the model under ``-Xmx``."""
        model = self._with("MaxHeapSize", size, self.heap_flag(size))
        for name, flag in self._moved(size):
            model = model._with(name, size, flag)
        return model

    def _moved(self, size: int) -> Iterator[tuple[str, str]]:
        """Yield the flags that must not stay above a maximum heap of ``size``: the JVM would refuse to start."""
        for name, form in _WITH_THE_MAXIMUM:
            given = self.flags.size(name)
            follows = self.equal and name == "InitialHeapSize"
            if follows or (given is not None and given > size):
                yield name, form.format(format_size(size))

    def heap_flags(self, size: int) -> tuple[str, ...]:
        """Write ``-Xmx`` with ``-Xms`` and its like where they would stand above it."""
        return (*(flag for _, flag in self._moved(size)), self.heap_flag(size))

    heap_share = 1.0

    def heap_flag(self, size: int) -> str:
        """Write ``-Xmx``."""
        return f"-Xmx{format_size(size)}"

    def heap_step(self) -> int:
        """Heaps are multiples of 2 MiB."""
        return 2 * MIB

    def with_cap(self, flag: str, size: int) -> JvmModel:
        """Return the model with one cap."""
        each = self._each(size) if flag == "ThreadStackSize" else size
        return self._with(flag, each, self.cap_flag(flag, size))

    def cap_flag(self, flag: str, size: int) -> str:
        """Write a cap; for stacks ``size`` is that of all threads."""
        if flag == "ThreadStackSize":
            return f"-Xss{self._each(size) // 1024}k"
        return f"-XX:{flag}={format_size(size)}"

    def _each(self, stacks: int) -> int:
        """Return the stack of one thread, in whole KiB, when all may take ``stacks`` bytes."""
        return stacks // max(self.threads.number, 1) // 1024 * 1024

    def _with(self, name: str, size: int, text: str) -> JvmModel:
        settings = {**self.flags.settings, name: Setting(size, Option(text, "proposal"))}
        return replace(self, flags=replace(self.flags, settings=settings))


def _flag(flags: JvmFlags, name: str) -> tuple[Kind, str]:
    source = flags.source(name)
    return ("environment" if "(env " in source or "(ConfigMap" in source else "flag"), source
