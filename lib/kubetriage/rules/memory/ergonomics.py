"""HotSpot's memory ergonomics, JDK 8 to 27: what the JVM chooses where no flag says so.

Every number here was measured with the JDKs named beside it, or stands in their source. Sizes are bytes.
"""

from __future__ import annotations

from kubetriage.records import dataclass

MIB = 2**20
GIB = 2**30

MODELLED = range(8, 28)
"""JDK majors that this model knows."""
ASSUMED_JDK = 17
"""Used, and said, where nothing tells the version."""

_SMALL_HEAP = 130_862_280
# arguments.cpp set_heap_size compares with MaxHeapSize's default, ScaleForWordSize(96*M):
# align_down(96 MiB * 13 / 10, 8) on 64 bit.
_LARGEST_RAM = 128 * GIB
# Default of MaxRAM for 64-bit servers until JDK 25 (PrintFlagsFinal: 137438953472).
_LARGEST_COMPRESSED_HEAP = 32 * GIB - 32 * MIB
# Heaps above lose compressed oops, so ergonomics stays below unless a percentage or MaxRAM is given.
_SERVER_MEMORY = 1792 * MIB
# os::is_server_class_machine: 2 GB less 256 MB of "missing" memory; 1791 MiB gives Serial, 1792 MiB gives G1.

DEFAULT_MAX_PERCENTAGE = 25.0
DEFAULT_MIN_PERCENTAGE = 50.0
DEFAULT_INITIAL_PERCENTAGE = 1.5625

IDLE_STACK = 112 * 1024
"""Resident part of an idle thread's stack and its malloc: 19 to 22 MiB for 200 threads (JDK 17, 21, 25)."""
OTHER_NATIVE = 24 * MIB
"""Symbols, CDS archive (12 to 14 MiB committed), compiler arenas and NMT's "Internal" of a small application."""


@dataclass(frozen=True)
class Machine:
    """What the JVM sees of its container or node."""

    memory: int
    """Bytes of the limit, or of the node where nothing limits the container."""
    cpus: int | None
    """Whole CPUs as the JVM counts them; None when nobody knows, then a server class machine is assumed."""
    arch: str = "amd64"

    @property
    def server_class(self) -> bool:
        """Tell whether HotSpot takes it for a server: at least two CPUs and 1792 MiB."""
        return (self.cpus is None or self.cpus >= 2) and self.memory >= _SERVER_MEMORY


def align_up(size: int, step: int) -> int:
    """Round up to a multiple."""
    return -(-size // step) * step


def g1_region_size(heap: int) -> int:
    """Return ``G1HeapRegionSize`` for a heap: a 2048th, as a power of two from 1 to 32 MiB."""
    wanted = max(heap // 2048, MIB)
    return min(1 << (wanted.bit_length() - 1), 32 * MIB)


def heap_alignment(gc: str, heap: int) -> int:
    """Return the step that heap sizes are rounded up to."""
    return max(2 * MIB, g1_region_size(heap)) if gc == "G1" else 2 * MIB


def default_gc(jdk: int, machine: Machine) -> str:
    """Return the collector that HotSpot picks (``Serial``, ``Parallel``, ``G1``)."""
    if jdk >= 27:  # JEP 523 makes G1 the default everywhere.
        return "G1"
    if not machine.server_class:
        return "Serial"
    return "G1" if jdk >= 9 else "Parallel"


def max_heap(
    memory: int,
    gc: str,
    *,
    jdk: int = ASSUMED_JDK,
    max_percentage: float | None = None,
    min_percentage: float | None = None,
    initial_heap: int | None = None,
    max_ram: int | None = None,
) -> int:
    """Return the maximum heap that ergonomics chooses without ``-Xmx``.

    Three regimes: half of a small machine, a flat 124.8 MiB, then a quarter. ``MinRAMPercentage`` rules only the
    first, so it is no floor. ``initial_heap`` (``-Xms``) raises the result. None stands for "not given".
    """
    overridden = max_ram is not None or max_percentage is not None or min_percentage is not None
    seen = memory if max_ram is None else max_ram
    if not overridden and jdk <= 25:
        seen = min(seen, _LARGEST_RAM)
    small = int(seen * (DEFAULT_MIN_PERCENTAGE if min_percentage is None else min_percentage) / 100)
    large = int(seen * (DEFAULT_MAX_PERCENTAGE if max_percentage is None else max_percentage) / 100)
    heap = small if small < _SMALL_HEAP else max(large, _SMALL_HEAP)
    if not overridden:
        heap = min(heap, _LARGEST_COMPRESSED_HEAP)
    if initial_heap is not None:
        heap = max(heap, initial_heap)
    return align_up(heap, heap_alignment(gc, heap))


def initial_heap(memory: int, gc: str, heap: int, percentage: float | None = None, jdk: int = ASSUMED_JDK) -> int:
    """Return the initial heap that ergonomics chooses without ``-Xms``: 1/64, at least 8 MiB, at most the heap.

    From JDK 26 the default percentage is 0 (JDK-8371986), so that the 8 MiB stand.
    """
    default = DEFAULT_INITIAL_PERCENTAGE if jdk < 26 else 0.0
    wanted = int(memory * (default if percentage is None else percentage) / 100)
    return min(heap, align_up(max(wanted, 8 * MIB), heap_alignment(gc, heap)))


def code_cache(jdk: int, *, tiered: bool = True, stop_at: int | None = None, interpreted: bool = False) -> int:
    """Return the default ``ReservedCodeCacheSize``: 240 MiB with the C2 compiler in tiers, otherwise 48 MiB."""
    if not tiered or interpreted:
        return 48 * MIB
    if stop_at is not None and stop_at < 4 and jdk >= 17:
        return 48 * MIB
    return 240 * MIB


def class_space(jdk: int, max_metaspace: int | None) -> int:
    """Return the compressed class space, which is a part of ``MaxMetaspaceSize``.

    Without a cap 1 GiB is reserved. Under one it is what the cap leaves beside the first non-class chunks (248 of
    256 MiB on JDK 11), on 17 and later 80 % of it in steps of 16 MiB.
    """
    if max_metaspace is None:
        return GIB
    if jdk < 16:
        return max(min(GIB, max_metaspace - 8 * MIB), MIB)
    return min(GIB, align_up(max_metaspace * 4 // 5, 16 * MIB))


def stack_size(arch: str) -> int:
    """Return the default Java thread stack (``ThreadStackSize``) of a Linux architecture."""
    return 2 * MIB if arch in ("arm64", "aarch64") else MIB


_HEAPS = (512, 1024, 2048, 3072, 4096, 6144, 8192, 12288)
# "GC committed" of NMT in MiB for the heaps above, idle, heap fully committed, 2 CPUs. One row per collector and
# first JDK it holds for.
_GC_NATIVE: dict[str, tuple[tuple[int, tuple[int, ...]], ...]] = {
    "G1": (
        (25, (46, 57, 77, 97, 118, 157, 198, 278)),
        (21, (48, 59, 83, 101, 123, 161, 203, 281)),
        (8, (56, 77, 118, 157, 198, 272, 350, 506)),
    ),
    "Parallel": (
        (25, (16, 25, 45, 64, 84, 122, 161, 239)),
        (8, (28, 47, 84, 122, 159, 234, 309, 458)),
    ),
    "Serial": ((8, (2, 3, 7, 10, 13, 20, 27, 40)),),
}
_PER_CPU = {"G1": 2, "Parallel": 3}
# MiB per GC worker beyond two: task queues and card caches. Measured with 2, 4 and 8 CPUs on 17 and 25:
# G1 157/161/170 and 97/101/109, Parallel 122/128/140 and 64/70/82 for a 3 GiB heap.
_MEASURED_CPUS = 4
# The ceiling is never taken from fewer CPUs than this, so that it does not depend on an unknown small machine.


def gc_native(gc: str, jdk: int, heap: int, cpus: int | None = None) -> int | None:
    """Return what the collector's own structures commit for a full heap, in whole MiB; None when not modelled.

    It is a floor: remembered sets and marking under load come on top, and for G1 "around 10 % of the heap" has
    been published. ``cpus`` None means four.
    """
    mib = _gc_native_mib(gc, jdk, heap / MIB)
    if mib is None:
        return None
    count = _MEASURED_CPUS if cpus is None else cpus
    workers = count if count <= 8 else 8 + (count - 8) * 5 // 8  # ParallelGCThreads
    return max(round(mib) + _PER_CPU.get(gc, 0) * max(workers - 2, 0), 0) * MIB


def gc_native_ceiling(gc: str, jdk: int, heap: int, cpus: int | None = None) -> int | None:
    """Return the collector's share of the ceiling: as measured with four CPUs, or with more where there are."""
    return gc_native(gc, jdk, heap, max(cpus or 0, _MEASURED_CPUS))


def _gc_native_mib(gc: str, jdk: int, heap: float) -> float | None:
    if gc == "Shenandoah":
        return 2 + heap * (0.016 if jdk < 17 else 0.0315)
    if gc == "Epsilon":
        return 0.0
    rows = _GC_NATIVE.get(gc)
    if rows is None:
        return None  # ZGC's structures grow with use.
    row = next(values for first, values in rows if jdk >= first)
    return _interpolate(heap, row)


def _interpolate(heap: float, row: tuple[int, ...]) -> float:
    """Draw straight lines through the measured points and beyond the last ones."""
    position = next((i for i, size in enumerate(_HEAPS) if heap <= size), len(_HEAPS) - 1)
    position = max(position, 1)
    left, right = _HEAPS[position - 1], _HEAPS[position]
    low, high = row[position - 1], row[position]
    return max(low + (heap - left) * (high - low) / (right - left), 0.0)


def supports_containers(jdk: int, update: int | None, cgroup: int) -> bool | None:
    """Tell whether the JVM reads its container's limits; None when the update number would decide and is unknown.

    Container support came with 8u191; cgroup v2 with 8u372, 11.0.16 and 15.
    """
    if jdk >= 15:
        return True
    if jdk in (9, 10):
        return jdk == 10 and cgroup == 1
    needed = {8: 372 if cgroup == 2 else 191, 11: 16 if cgroup == 2 else 0}.get(jdk)
    if needed is None:  # 12 to 14 never learnt cgroup v2
        return cgroup == 1
    if needed == 0:
        return True
    return None if update is None else update >= needed
