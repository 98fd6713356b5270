"""What the user states instead of what the cluster shows: overrides and ``--what-if`` questions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kubetriage.records import dataclass, field, replace
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.jvm_flags import parse_size
from kubetriage.rules.memory.native_memory_tracking import NativeMemory, parse_nmt
from kubetriage.rules.memory.proc_status import ProcessStatus, parse_status
from kubetriage.typed import Any
from kubetriage.values.quantity import parse_bytes

COLLECTORS = ("Serial", "Parallel", "G1", "ZGC", "Shenandoah")
_LEAST_MARGIN = 16 * MIB
_DEFAULT_MARGIN = 1  # percent


@dataclass(frozen=True)
class Margin:
    """Room that should stay between the ceilings and the limit."""

    percent: float = 0.0
    size: int = 0
    stated: bool = False
    """The user asked for it; then less is a warning and not only a remark."""

    def of(self, limit: int) -> int:
        """Return the bytes to keep free under a limit."""
        return max(self.size, -int(-limit * self.percent // 100))


DEFAULT_MARGIN = Margin(_DEFAULT_MARGIN, _LEAST_MARGIN)


def parse_margin(words: str) -> Margin | None:
    """Read ``5%`` or a quantity (``64Mi``); None when it is neither."""
    match = re.fullmatch(r"(\d{1,2}(?:\.\d+)?)%", words, re.ASCII)
    if match:
        return Margin(percent=float(match[1]), stated=True)
    size = parse_bytes(words)
    return Margin(size=size, stated=True) if size is not None and size >= 0 else None


@dataclass(frozen=True)
class Wishes:
    """Overrides of one question; empty values mean "as the cluster has it"."""

    runtime: str = ""
    jdk: int | None = None
    threads: int | None = None
    classes: int | None = None
    collector: str = ""
    cpus: int | None = None
    limit: int | None = None
    request: int | None = None
    flags: tuple[tuple[str, int | float, str], ...] = ()
    """JVM flags to replace: name, value, option as it would be written."""
    main: int | None = None
    """Bytes of the main area of another runtime (V8's old generation, GOMEMLIMIT)."""
    margin: Margin = DEFAULT_MARGIN
    nmt: NativeMemory | None = None
    process: ProcessStatus | None = None
    what_if: tuple[str, ...] = field(default=())
    """The questions as they were put."""


class WhatIfError(ValueError):
    """A ``--what-if`` that says nothing we know; the message names it."""


_JVM_SIZES = {
    "xmx": ("MaxHeapSize", "-Xmx{}"),
    "heap": ("MaxHeapSize", "-Xmx{}"),
    "xms": ("InitialHeapSize", "-Xms{}"),
    "xss": ("ThreadStackSize", "-Xss{}"),
    "metaspace": ("MaxMetaspaceSize", "-XX:MaxMetaspaceSize={}"),
    "direct": ("MaxDirectMemorySize", "-XX:MaxDirectMemorySize={}"),
    "codecache": ("ReservedCodeCacheSize", "-XX:ReservedCodeCacheSize={}"),
}
_PERCENTAGES = {"percentage": "MaxRAMPercentage", "maxrampercentage": "MaxRAMPercentage"}
_COUNTS = ("threads", "classes", "jdk", "cpus")
KEYS = ("limit", "request", *_COUNTS, "gc", "percentage", *_JVM_SIZES, "oldspace", "gomemlimit")
"""What ``--what-if`` can change."""


def apply_what_if(wishes: Wishes, questions: Iterable[str]) -> Wishes:
    """Apply ``limit=6Gi,threads=400,xmx=4g``; raises WhatIfError for anything else."""
    for question in questions:
        for part in question.split(","):
            if part.strip():
                wishes = _apply(wishes, part.strip())
        wishes = replace(wishes, what_if=(*wishes.what_if, question))
    return wishes


def _apply(wishes: Wishes, part: str) -> Wishes:
    name, sign, value = (s.strip() for s in part.partition("="))
    key = name.lower().replace("-", "")
    if not sign or key not in (*KEYS, *_PERCENTAGES):
        raise WhatIfError(f'--what-if "{part}": expected one of {", ".join(KEYS)} with =VALUE')
    wrong = WhatIfError(f'--what-if "{part}": not a value for {name}')
    if key in ("limit", "request"):
        size = parse_bytes(value)
        if size is None or size <= 0:
            raise wrong
        return replace(wishes, limit=size) if key == "limit" else replace(wishes, request=size)
    if key in _COUNTS:
        if not re.fullmatch(r"\d{1,6}", value, re.ASCII) or not int(value):
            raise wrong
        count = int(value)
        if key == "threads":
            return replace(wishes, threads=count)
        if key == "classes":
            return replace(wishes, classes=count)
        return replace(wishes, jdk=count) if key == "jdk" else replace(wishes, cpus=count)
    if key == "gc":
        chosen = next((c for c in COLLECTORS if c.lower() == value.lower()), "")
        if not chosen:
            raise wrong
        return replace(wishes, collector=chosen)
    if key in _PERCENTAGES:
        if not re.fullmatch(r"\d{1,3}(\.\d+)?", value, re.ASCII) or not 0 < float(value) <= 100:
            raise wrong
        setting = (_PERCENTAGES[key], float(value), f"-XX:{_PERCENTAGES[key]}={float(value)}")
        # An explicit heap would make the percentage inert.
        return replace(wishes, flags=(*wishes.flags, ("MaxHeapSize", -1, ""), setting))
    size = parse_size(value) if key in _JVM_SIZES else parse_bytes(f"{value}Mi" if value.isdigit() else value)
    if size is None:
        size = parse_bytes(value)
    if size is None or size <= 0:
        raise wrong
    if key in _JVM_SIZES:
        flag, form = _JVM_SIZES[key]
        return replace(
            wishes,
            flags=(*wishes.flags, (flag, size, form.format(value))),
            main=size if flag == "MaxHeapSize" else wishes.main,
        )
    return replace(wishes, main=size)


def wishes_of(options: Mapping[str, Any]) -> Wishes:
    """Read the plugin's options; raises ValueError in words for the user."""
    wishes = Wishes(
        runtime=options.get("runtime") or "",
        jdk=options.get("jdk"),
        threads=options.get("threads"),
        classes=options.get("classes"),
        collector=options.get("gc") or "",
    )
    margin = options.get("margin")
    if margin:
        stated = parse_margin(margin)
        if stated is None:
            raise WhatIfError(f'--margin "{margin}": a percentage (5%) or a quantity (64Mi) is needed')
        wishes = replace(wishes, margin=stated)
    if options.get("nmt"):
        nmt = parse_nmt(options["nmt"])
        if nmt is None:
            raise WhatIfError("--nmt: no output of jcmd VM.native_memory summary")
        wishes = replace(wishes, nmt=nmt)
    if options.get("proc"):
        status = parse_status(options["proc"])
        if status is None:
            raise WhatIfError("--proc: no /proc/PID/status")
        wishes = replace(wishes, process=status)
    return apply_what_if(wishes, options.get("what_if") or ())
