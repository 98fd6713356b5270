"""What a kubelet guards: free memory, disk and process ids against the thresholds at which it evicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kubetriage.records import dataclass
from kubetriage.values.fields import Obj, dig, labels, objects, text
from kubetriage.values.quantity import format_bytes, parse_quantity


@dataclass(frozen=True)
class Stat:
    """One resource that the kubelet guards: what is free and where it begins to evict."""

    signal: str
    """The kubelet's name (``memory.available``)."""
    threshold: str
    """As configured or by default (``100Mi``, ``10%``)."""
    available: int | None
    """Bytes, inodes or process ids."""
    capacity: int | None
    unit: str = "bytes"
    grace: str = ""
    """For a soft threshold: how long it must be met before the kubelet evicts; the condition is set at once."""

    @property
    def limit(self) -> int | None:
        """The threshold in the unit of ``available``."""
        if self.threshold.endswith("%"):
            part = parse_quantity(self.threshold[:-1])
            return int(part * self.capacity / 100) if part is not None and self.capacity is not None else None
        amount = parse_quantity(self.threshold)
        return int(amount) if amount is not None else None

    @property
    def met(self) -> bool:
        """Less is free than the threshold asks."""
        return self.available is not None and self.limit is not None and self.available < self.limit

    def words(self) -> str:
        """Say it in one line."""
        free = "unknown" if self.available is None else self._amount(self.available)
        limit = f" ({self._amount(self.limit)})" if self.threshold.endswith("%") and self.limit is not None else ""
        after = f" for {self.grace}" if self.grace else ""
        return f"{self.signal} {free}, evicts below {self.threshold}{limit}{after}"

    def _amount(self, count: int) -> str:
        return format_bytes(count) if self.unit == "bytes" else f"{count} {self.unit}"


DEFAULT_EVICTION = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
"""kubelet eviction/defaults_linux.go; in force where evictionHard is not configured at all."""
_STATS: Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], str]] = {
    "memory.available": ((("node", "memory", "availableBytes"), ()), "bytes"),
    "nodefs.available": ((("node", "fs", "availableBytes"), ("node", "fs", "capacityBytes")), "bytes"),
    "nodefs.inodesFree": ((("node", "fs", "inodesFree"), ("node", "fs", "inodes")), "inodes"),
    "imagefs.available": (
        (("node", "runtime", "imageFs", "availableBytes"), ("node", "runtime", "imageFs", "capacityBytes")),
        "bytes",
    ),
    "imagefs.inodesFree": (
        (("node", "runtime", "imageFs", "inodesFree"), ("node", "runtime", "imageFs", "inodes")),
        "inodes",
    ),
    "pid.available": ((("node", "rlimit", "curproc"), ("node", "rlimit", "maxpid")), "process ids"),
}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def guarded(config: Obj, stats: Obj, *signals: str) -> tuple[Stat, ...]:
    """Return thresholds and free amounts of these eviction signals, as far as they were seen."""
    configured = labels(config, "evictionHard")
    # Since evictionHard replaces the defaults as a whole, a signal that it leaves out is not guarded.
    thresholds = configured or (DEFAULT_EVICTION if config else {})
    soft, grace = labels(config, "evictionSoft"), labels(config, "evictionSoftGracePeriod")
    found = []
    for signal in signals:
        place, unit = _STATS[signal]
        available, capacity = _whole(dig(stats, *place[0])), _whole(dig(stats, *place[1]))
        if signal == "memory.available":
            working = _whole(dig(stats, "node", "memory", "workingSetBytes"))
            capacity = available + working if available is not None and working is not None else None
        if signal == "pid.available" and available is not None and capacity is not None:
            available = capacity - available
        if signal in thresholds or (available is not None and not thresholds):
            found.append(Stat(signal, thresholds.get(signal, "?"), available, capacity, unit))
        if signal in soft:
            found.append(Stat(signal, soft[signal], available, capacity, unit, grace.get(signal, "a while")))
    return tuple(found)


def consumers(stats: Obj, path: Sequence[str], write: Callable[[int], str] = format_bytes, least: int = 0) -> str:
    """Name the three pods that use most, and at least so much, by a path of their statistics."""
    used = []
    for pod in objects(stats, "pods"):
        amount = _whole(dig(pod, *path))
        if amount and amount >= least:
            used.append((amount, f"{text(pod, 'podRef', 'namespace')}/{text(pod, 'podRef', 'name')}"))
    used.sort(reverse=True)
    return ", ".join(f"{name} {write(amount)}" for amount, name in used[:3])
