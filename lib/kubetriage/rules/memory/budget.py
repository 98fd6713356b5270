"""The budget of one container: areas of memory, what they may take, what they take, and how to make them fit.

Three columns that are never mixed. *Ceiling*: what flags and defaults allow. *Expected*: what such a process
commits when it works. *Observed*: what somebody measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kubetriage.records import dataclass, replace
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.jvm_flags import Lint
from kubetriage.typed import Literal, Protocol

Kind = Literal["flag", "environment", "default", "measured", "assumed", "unknown"]


@dataclass(frozen=True)
class Amount:
    """A number of bytes and how it is known."""

    size: int | None
    """None: unbounded in the ceiling column, unknown elsewhere."""
    kind: Kind
    source: str = ""
    """The flag as it stands, the JDK default's name, who measured it, or why it is unknown."""

    def __str__(self) -> str:
        """Write the source for people."""
        return f"{self.kind}: {self.source}" if self.source else self.kind


UNKNOWN = Amount(None, "unknown")


@dataclass(frozen=True)
class Area:
    """One area of a process's memory."""

    name: str
    ceiling: Amount
    expected: Amount
    observed: Amount = UNKNOWN
    flag: str = ""
    """Name of the flag that caps it (``MaxMetaspaceSize``), for proposals."""
    least: int = 0
    """A cap below this would hurt the program; proposals stay above."""
    unbounded: bool = False
    """Nothing caps it; the ceiling column then counts what is expected."""

    @property
    def counted(self) -> int:
        """Bytes that it adds to the sum of ceilings."""
        if self.ceiling.size is not None:
            return self.ceiling.size
        return (self.expected.size or 0) if self.unbounded else 0


class Model(Protocol):
    """How a runtime divides its memory."""

    @property
    def label(self) -> str:
        """Runtime, version and collector, for people (``HotSpot 17, G1``)."""

    @property
    def heap_area(self) -> str:
        """Name of the area that a proposal for this limit changes; empty when there is none."""

    def areas(self, memory: int | None) -> tuple[Area, ...]:
        """Return the areas under a limit of ``memory`` bytes (None: the runtime sees no limit)."""

    def with_heap(self, size: int) -> Model:
        """Return the model with the main area set to ``size`` bytes by a flag."""

    def heap_flag(self, size: int) -> str:
        """Write the flag that sets the main area."""

    def heap_flags(self, size: int) -> tuple[str, ...]:
        """Write it with the flags that must change with it (an initial heap above the new maximum)."""

    @property
    def heap_share(self) -> float:
        """Largest share of a limit that a proposal gives the main area, where what stands beside it has no figure."""

    def heap_step(self) -> int:
        """Bytes in which the main area can be chosen."""


class CappedModel(Model):
    """A runtime that has flags for its smaller areas too."""

    def with_cap(self, flag: str, size: int) -> CappedModel:
        """Return the model with one more cap."""
        raise NotImplementedError

    def cap_flag(self, flag: str, size: int) -> str:
        """Write the flag that caps an area."""
        raise NotImplementedError


@dataclass(frozen=True)
class Limit:
    """A limit or request and where it was read."""

    size: int | None
    source: str
    """Field path, or why there is none."""
    level: Literal["container", "pod", "none", "what-if"] = "none"


@dataclass(frozen=True)
class Proposal:
    """One change that makes the budget close."""

    kind: Literal["heap", "limit", "caps"]
    text: str
    flags: tuple[str, ...] = ()
    """Flags to set; they replace flags of the same name."""
    limit: int | None = None
    """The limit with this change, in bytes."""
    margin: int = 0
    """Bytes that are left between ceilings and limit."""
    size: int | None = None
    """Bytes that it gives the main area, where it changes that."""


@dataclass(frozen=True)
class Budget:
    """The budget of one container."""

    container: str
    runtime: str
    limit: Limit
    request: Limit
    model: Model | None
    areas: tuple[Area, ...]
    wanted_margin: int
    """Bytes that should stay free, see ``--margin``."""
    total_observed: Amount = UNKNOWN
    """Working set of the container, the number that metrics APIs agree on."""
    other_observed: tuple[tuple[str, Amount], ...] = ()
    """Further measured numbers, each under its own name (``rssBytes``, ``VmRSS``); none is the working set."""
    lints: tuple[Lint, ...] = ()
    assumptions: tuple[str, ...] = ()
    """What was assumed, in words."""
    unseen: tuple[str, ...] = ()
    """What may change the budget and could not be seen."""
    decisive_assumption: bool = False
    """The ceilings pass the limit only because of an assumed number."""

    @property
    def ceiling(self) -> int | None:
        """Sum of what the areas may take; None without any model."""
        return sum(a.counted for a in self.areas) if self.areas else None

    @property
    def expected(self) -> int | None:
        """Sum of what the areas are expected to take; None when a part of it is unknown."""
        if not self.areas or any(a.expected.size is None for a in self.areas):
            return None
        return sum(a.expected.size or 0 for a in self.areas)

    @property
    def solvable(self) -> bool:
        """Every area has a figure, so the sum of the ceilings means something."""
        return solvable(self.areas)

    @property
    def margin(self) -> int | None:
        """Limit less ceilings; negative when it does not close.

        None without limit or model, and where an area without a figure could still pass the limit.
        """
        if self.limit.size is None or self.ceiling is None:
            return None
        left = self.limit.size - self.ceiling
        return left if left < 0 or self.solvable else None

    @property
    def unbounded(self) -> tuple[str, ...]:
        """Names of areas that nothing caps."""
        return tuple(a.name for a in self.areas if a.unbounded and a.ceiling.size is None)

    @property
    def heap(self) -> Area | None:
        """The main area, where the model has one."""
        if self.model is None or not self.model.heap_area:
            return None
        return next((a for a in self.areas if a.name == self.model.heap_area), None)

    @property
    def blamed(self) -> Area | None:
        """The area whose ceiling alone passes the limit: the main one, else the largest such.

        A reserve that only a default makes (240 MiB of code cache) is no one's fault while it is not expected to fill.
        """
        limit = self.limit.size
        if limit is None:
            return None
        heap = self.heap
        over = [
            a
            for a in self.areas
            if a.counted > limit and (a is heap or a.ceiling.kind != "default" or (a.expected.size or 0) > limit)
        ]
        if heap is not None and heap in over:
            return heap
        return max(over, key=lambda a: a.counted, default=None)


def solvable(areas: tuple[Area, ...]) -> bool:
    """Tell whether every area has a figure at all; what is unknown cannot be added up."""
    return bool(areas) and all(a.ceiling.size is not None or a.expected.size is not None for a in areas)


def total(model: Model, memory: int | None) -> int:
    """Return the sum of the ceilings under a limit."""
    return sum(a.counted for a in model.areas(memory))


def mebibytes(size: int, *, up: bool = False) -> str:
    """Write bytes as whole MiB, rounded down (for a heap) or up (for a limit)."""
    count = -(-size // MIB) if up else size // MIB
    return f"{count} MiB"


def exact(size: int) -> str:
    """Write bytes as a quantity without rounding, as people write it (``4501Mi``, ``4096M``)."""
    for suffix, unit in (("Gi", 2**30), ("Mi", 2**20), ("G", 10**9), ("M", 10**6), ("Ki", 2**10)):
        if size and size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


_LARGEST_LIMIT_MIB = 2**24
"""16 TiB: a limit beyond is no proposal."""


def propose(
    model: Model, limit: int | None, margin: Callable[[int], int], used: Mapping[str, int] | None = None
) -> tuple[Proposal, ...]:
    """Solve the budget three ways, each exactly: one step more (or one MiB of limit less) does not close.

    ``margin`` gives the bytes to keep free under a limit; ``used`` what was measured by area, below which no cap goes.
    """
    if limit is None:
        return tuple(_smallest_limit(model, margin))
    heaps, caps = list(_largest_heap(model, limit, margin(limit))), list(_caps(model, limit, margin, used or {}))
    pinned = [] if heaps or caps else list(_same_heap(model, limit, margin))
    return (*heaps, *pinned, *_smallest_limit(model, margin), *caps)


def _same_heap(model: Model, limit: int, margin: Callable[[int], int]) -> Iterator[Proposal]:
    """Keep the main area as it is under this limit, where it is a share that would grow with a larger one."""
    size = next((a.ceiling.size for a in model.areas(limit) if a.name == model.heap_area), None)
    if not size:
        return
    flags = model.heap_flags(size)
    for found in _smallest_limit(model.with_heap(size), margin):
        free = list(_smallest_limit(model, margin))
        if found.limit is not None and found.limit > limit and (not free or found.limit < (free[0].limit or 0)):
            text = f"smallest limit with the {model.heap_area} of today: {' '.join(flags)} and {found.limit // MIB}Mi"
            yield Proposal("limit", text, flags, found.limit, found.margin, size)


def _largest_heap(model: Model, limit: int, margin: int) -> Iterator[Proposal]:
    step = model.heap_step()
    if not model.heap_area or step <= 0:
        return

    def closes(count: int) -> bool:
        return total(model.with_heap(count * step), limit) + margin <= limit

    if not closes(1) or not solvable(model.with_heap(step).areas(limit)):
        return
    count = _last_true(closes, 1, max(int(limit * model.heap_share) // step, 1))
    size = count * step
    chosen = model.with_heap(size)
    flags = model.heap_flags(size)
    left = limit - total(chosen, limit)
    yield Proposal("heap", f"largest {model.heap_area} for this limit: {' '.join(flags)}", flags, limit, left, size)


def _smallest_limit(model: Model, margin: Callable[[int], int]) -> Iterator[Proposal]:
    def closes(count: int) -> bool:
        size = count * MIB
        return total(model, size) + margin(size) <= size

    if not solvable(model.areas(MIB * 1024)):
        return
    high = 64
    while not closes(high):
        high *= 2
        if high > _LARGEST_LIMIT_MIB:
            return  # the ceilings grow as fast as the limit: a percentage of it, twice
    best = _first_true(closes, 1, high)
    size = best * MIB
    left = size - total(model, size)
    yield Proposal("limit", f"smallest limit for these flags: {best}Mi", (), size, left)


_ROOM_ABOVE_USE = 5, 4
"""A cap leaves a quarter above what was in use when somebody looked."""


def _caps(model: Model, limit: int, margin: Callable[[int], int], used: Mapping[str, int]) -> Iterator[Proposal]:
    if not isinstance(model, CappedModel) or not solvable(model.areas(limit)):
        return
    over = total(model, limit) + margin(limit) - limit
    if over <= 0:
        return
    more, of = _ROOM_ABOVE_USE
    capped = [
        replace(a, least=max(a.least, used.get(a.name, 0) * more // of))
        for a in model.areas(limit)
        if a.flag and a.ceiling.size is not None
    ]
    # Stacks last, unless they are the trouble: a program that recurses deeply dies of smaller ones.
    by_slack = sorted(
        (a for a in capped if a.counted - a.least >= MIB),
        key=lambda a: (a.flag == "ThreadStackSize" and a.counted <= limit, a.least - a.counted),
    )
    # The largest slack first, so that as few caps as possible do; the last one is cut no further than needed.
    chosen: CappedModel = model
    flags: list[str] = []
    for area in by_slack:
        size = (area.counted - min(area.counted - area.least, over)) // MIB * MIB
        chosen = chosen.with_cap(area.flag, size)
        flags.append(model.cap_flag(area.flag, size))
        over = total(chosen, limit) + margin(limit) - limit
        if over <= 0:
            text = "caps that make it close: " + " ".join(flags)
            yield Proposal("caps", text, tuple(flags), limit, limit - total(chosen, limit))
            return


def _last_true(test: Callable[[int], bool], low: int, high: int) -> int:
    """Return the largest count from ``low`` (true) to ``high`` for which ``test`` holds and the next one fails."""
    if test(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if test(middle) else (low, middle)
    return low


_WINDOW = 32
"""Heaps are rounded up to regions of at most 32 MiB, so a smaller limit that closes can only stand this near."""


def _first_true(test: Callable[[int], bool], low: int, high: int) -> int:
    """Return the smallest count for which ``test`` holds; ``high`` does."""
    bottom = low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if test(middle) else (middle, high)
    smaller = (n for n in range(max(bottom, high - _WINDOW), high) if test(n))
    return next(smaller, high)


def with_observed(areas: tuple[Area, ...], measured: Mapping[str, Amount]) -> tuple[Area, ...]:
    """Fill the observed column by area name."""
    return tuple(replace(a, observed=measured[a.name]) if a.name in measured else a for a in areas)
