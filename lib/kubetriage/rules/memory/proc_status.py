"""Reads ``/proc/PID/status`` of Linux."""

from __future__ import annotations

import re

from kubetriage.records import dataclass
from kubetriage.values.patterns import lazy

_LINE = lazy(r"^(\w+):\s+(\d+)(?: kB)?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ProcessStatus:
    """Memory of one process in bytes; None where the kernel does not print a field."""

    rss: int | None
    """VmRSS: anonymous memory, mapped files and shared memory. It is neither rssBytes nor the working set."""
    peak: int | None
    """VmHWM, the largest VmRSS so far."""
    anonymous: int | None
    """RssAnon."""
    files: int | None
    """RssFile."""
    shared: int | None
    """RssShmem (tmpfs, shared memory)."""
    swap: int | None
    threads: int | None


def parse_status(text: str) -> ProcessStatus | None:
    """Read a status file; None when the text is not one."""
    values = {m[1]: int(m[2]) for m in _LINE.finditer(text) if len(m[2]) < 20}
    if "VmRSS" not in values and "RssAnon" not in values:
        return None

    def size(name: str) -> int | None:
        return values[name] * 1024 if name in values else None

    return ProcessStatus(
        size("VmRSS"),
        size("VmHWM"),
        size("RssAnon"),
        size("RssFile"),
        size("RssShmem"),
        size("VmSwap"),
        values.get("Threads"),
    )
