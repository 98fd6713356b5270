"""Reads ``jcmd PID VM.native_memory summary`` of JDK 11 to 25, in bytes, KB or MB."""

from __future__ import annotations

import re

from kubetriage.records import dataclass
from kubetriage.rules.memory import jvm_areas
from kubetriage.values.patterns import lazy

_UNIT = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}
_AMOUNTS = lazy(r"reserved=(\d+)(GB|MB|KB|B)?, committed=(\d+)(GB|MB|KB|B)?")
# "-                 Java Heap (reserved=3145728KB, committed=3145728KB)": one line per category, indented after a dash.
_CATEGORY = lazy(r"^-\s+(\S.*?) \(" + _AMOUNTS.pattern, re.MULTILINE)
_TOTAL = lazy(r"^Total: " + _AMOUNTS.pattern, re.MULTILINE)
_THREADS = lazy(r"\(threads? #(\d+)\)")  # "thread #" on 11 and 17, "threads #" from 21
_CLASSES = lazy(r"\(classes #(\d+)\)")


@dataclass(frozen=True)
class Category:
    """One category of NMT."""

    name: str
    reserved: int
    committed: int


@dataclass(frozen=True)
class NativeMemory:
    """One summary."""

    reserved: int
    committed: int
    categories: tuple[Category, ...]
    threads: int | None
    classes: int | None

    def committed_of(self, *names: str) -> int:
        """Add up what categories have committed."""
        return sum(c.committed for c in self.categories if c.name in names)

    @property
    def areas(self) -> dict[str, int]:
        """What is committed, by the area names of the budget.

        JDK 11 counts class metadata inside "Class"; from 17 "Metaspace" is its own and "Class" is class space only.
        Direct buffers stand in "Other" (11 and later).
        """
        known = {
            jvm_areas.HEAP: ("Java Heap",),
            jvm_areas.METASPACE: ("Class", "Metaspace"),
            jvm_areas.DIRECT: ("Other",),
            jvm_areas.CODE_CACHE: ("Code",),
            jvm_areas.STACKS: ("Thread",),
            jvm_areas.COLLECTOR: ("GC", "GCCardSet"),
        }
        found = {area: self.committed_of(*names) for area, names in known.items()}
        found[jvm_areas.OTHER] = max(self.committed - sum(found.values()), 0)
        return found


def parse_nmt(text: str) -> NativeMemory | None:
    """Read a summary; None when the text is not one."""
    total = _TOTAL.search(text)
    if total is None:
        return None
    categories = tuple(Category(m[1], _size(m[2], m[3]), _size(m[4], m[5])) for m in _CATEGORY.finditer(text))
    threads, classes = _THREADS.search(text), _CLASSES.search(text)
    return NativeMemory(
        _size(total[1], total[2]),
        _size(total[3], total[4]),
        categories,
        int(threads[1]) if threads else None,
        int(classes[1]) if classes else None,
    )


def _size(digits: str, unit: str | None) -> int:
    return int(digits) * _UNIT[unit or ""]
