"""JVM flags: which one wins, and which ones the JVM refuses, ignores or takes otherwise than meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from kubetriage.records import dataclass, field
from kubetriage.rules.memory.ergonomics import (
    DEFAULT_MAX_PERCENTAGE,
    DEFAULT_MIN_PERCENTAGE,
    MIB,
    Machine,
    max_heap,
)
from kubetriage.typed import Literal
from kubetriage.values.patterns import lazy

_SIZE = lazy(r"(0[xX][0-9a-fA-F]+|\d+)([kKmMgGtT]?)\Z", re.ASCII)
_UNIT = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parse_size(value: str) -> int | None:
    """Read a size as HotSpot does: whole digits or 0x hex, one of ``kmgt`` in either case, base 1024.

    None for what HotSpot refuses: fractions, ``3GB``, ``1500b``, an empty value.
    """
    match = _SIZE.match(value)
    if match is None or len(value) > 32:
        return None
    return int(match[1], 0 if match[1][:2] in ("0x", "0X") else 10) * _UNIT[match[2].lower()]


def format_size(size: int) -> str:
    """Write a size for a JVM flag in the largest unit that is exact (``3g``, ``2990m``)."""
    for unit in ("t", "g", "m", "k"):
        if size >= _UNIT[unit] and size % _UNIT[unit] == 0:
            return f"{size // _UNIT[unit]}{unit}"
    return str(size)


LintKind = Literal["refused", "ignored", "trap"]


@dataclass(frozen=True)
class Lint:
    """Something about one option that its author did not mean."""

    option: str
    source: str
    kind: LintKind
    """``refused``: the program does not start with it. ``ignored``: it changes nothing. ``trap``: it does
    something else than it seems."""
    message: str


@dataclass(frozen=True)
class Option:
    """One option as it stands."""

    text: str
    source: str
    """``env JAVA_TOOL_OPTIONS``, ``command``, ``ConfigMap app`` and so on."""


@dataclass(frozen=True)
class Setting:
    """The value of a flag that is in force."""

    value: int | float | bool
    option: Option


_SIZES = frozenset(
    {"MaxHeapSize", "InitialHeapSize", "MinHeapSize", "SoftMaxHeapSize", "NewSize", "MaxNewSize", "MaxMetaspaceSize"}
    | {"MetaspaceSize", "CompressedClassSpaceSize", "MaxDirectMemorySize", "ReservedCodeCacheSize", "MaxRAM"}
    | {"InitialCodeCacheSize", "G1HeapRegionSize"}
)
_KIB = frozenset({"ThreadStackSize", "VMThreadStackSize", "CompilerThreadStackSize"})
_PERCENTAGES = frozenset({"MaxRAMPercentage", "MinRAMPercentage", "InitialRAMPercentage"})
_NUMBERS = frozenset(
    {"MaxRAMFraction", "MinRAMFraction", "InitialRAMFraction", "TieredStopAtLevel", "ActiveProcessorCount"}
)
COLLECTORS = {
    "UseSerialGC": "Serial",
    "UseParallelGC": "Parallel",
    "UseParallelOldGC": "Parallel",
    "UseG1GC": "G1",
    "UseZGC": "ZGC",
    "UseShenandoahGC": "Shenandoah",
    "UseEpsilonGC": "Epsilon",
    "UseConcMarkSweepGC": "CMS",
}
_SWITCHES = frozenset(
    {"UseContainerSupport", "TieredCompilation", "AlwaysPreTouch", "ExitOnOutOfMemoryError"}
    | {"CrashOnOutOfMemoryError", "HeapDumpOnOutOfMemoryError", "UseCompressedOops", "UseCompressedClassPointers"}
    | {"UnlockExperimentalVMOptions", "UnlockDiagnosticVMOptions", "IgnoreUnrecognizedVMOptions", "UseLargePages"}
    | set(COLLECTORS)
)
_KNOWN = {n.lower(): n for n in (*_SIZES, *_KIB, *_PERCENTAGES, *_NUMBERS, *_SWITCHES)}


@dataclass(frozen=True)
class _Removed:
    ignored_from: int
    refused_from: int
    instead: str


_PERCENTAGE_INSTEAD = "use the RAMPercentage flag of the same name"
_LOG_INSTEAD = "use -Xlog:gc*"
# First JDK that ignores the option with a warning, and first that refuses it ("Unrecognized VM option");
# arguments.cpp special_jvm_flags, the ends checked by starting 17.0.15 and 25.0.3.
_REMOVED = {
    "MaxPermSize": _Removed(8, 17, "use MaxMetaspaceSize"),
    "PermSize": _Removed(8, 17, "use MetaspaceSize"),
    "UseParNewGC": _Removed(10, 11, "choose another collector"),
    "UseConcMarkSweepGC": _Removed(14, 15, "choose another collector"),
    "CMSInitiatingOccupancyFraction": _Removed(14, 15, "it belongs to the removed CMS collector"),
    "UseCMSInitiatingOccupancyOnly": _Removed(14, 15, "it belongs to the removed CMS collector"),
    "UseCGroupMemoryLimitForHeap": _Removed(11, 11, "container limits are read by default"),
    "PrintGCDateStamps": _Removed(9, 9, _LOG_INSTEAD),
    "PrintGCTimeStamps": _Removed(9, 9, _LOG_INSTEAD),
    "UseGCLogFileRotation": _Removed(9, 9, _LOG_INSTEAD),
    "AggressiveOpts": _Removed(12, 13, "leave it out"),
    "UseParallelOldGC": _Removed(15, 16, "UseParallelGC does the same"),
    "UseBiasedLocking": _Removed(18, 19, "leave it out"),
    "MaxRAMFraction": _Removed(22, 22, _PERCENTAGE_INSTEAD),
    "MinRAMFraction": _Removed(22, 22, _PERCENTAGE_INSTEAD),
    "InitialRAMFraction": _Removed(22, 22, _PERCENTAGE_INSTEAD),
    "ZGenerational": _Removed(24, 27, "ZGC is generational"),
}

_LETTER_OPTION = lazy(r"-(?:X(mx|ms|ss|mn)|(mx|ms|ss))(.*)\Z", re.DOTALL)
_LETTER_FLAG = {"mx": "MaxHeapSize", "ms": "InitialHeapSize", "ss": "ThreadStackSize", "mn": "NewSize"}
_LETTER_NAME = {"mx": "maximum heap", "ms": "initial heap", "ss": "thread stack", "mn": "young generation"}
_SMALLEST_STACK = 136 * 1024
# "The Java thread stack size specified is too small. Specify at least 136k": x86-64, 11 to 25.
_LARGEST_STACK = 2**30
_SMALLEST_CODE_CACHE = 2496 * 1024
_LARGEST_CODE_CACHE = 2**31
_SMALLEST_HEAP = 2 * MIB


@dataclass(frozen=True)
class JvmFlags:
    """All options of one JVM, resolved."""

    settings: dict[str, Setting] = field(default_factory=dict)
    """Flag name to the value in force. Sizes are bytes, ``ThreadStackSize`` too."""
    lints: tuple[Lint, ...] = ()
    unseen: tuple[str, ...] = ()
    """Places that may hold further options."""
    agents: tuple[str, ...] = ()
    """Java and native agents; their memory is not modelled."""

    def size(self, name: str) -> int | None:
        """Return a size flag's bytes; None when it is not given."""
        setting = self.settings.get(name)
        return int(setting.value) if setting is not None else None

    def number(self, name: str) -> float | None:
        """Return a numeric flag; None when it is not given."""
        setting = self.settings.get(name)
        return float(setting.value) if setting is not None else None

    def switch(self, name: str) -> bool | None:
        """Return a boolean flag; None when it is not given."""
        setting = self.settings.get(name)
        return bool(setting.value) if setting is not None else None

    def source(self, name: str) -> str:
        """Quote the option that sets a flag and where it stands."""
        setting = self.settings.get(name)
        return f"{setting.option.text} ({setting.option.source})" if setting is not None else ""

    @cached_property
    def collector(self) -> str:
        """The collector that a flag chooses, or empty."""
        return next((gc for f, gc in COLLECTORS.items() if self.switch(f)), "")


def resolve(options: Iterable[Option], jdk: int | None) -> JvmFlags:
    """Apply options in order, and remark on those that the JVM refuses, ignores or takes otherwise."""
    settings: dict[str, Setting] = {}
    lints: list[Lint] = []
    unseen: list[str] = []
    agents: list[str] = []
    for option in options:
        lint = None
        if option.text.startswith(("-XX:Flags=", "-XX:VMOptionsFile=")):
            unseen.append(f"the options in the file of {option.text}")
        elif option.text.startswith(("-javaagent:", "-agentpath:", "-agentlib:")):
            agents.append(option.text)
        elif option.text == "-Xint":
            settings["Interpreted"] = Setting(True, option)
        elif option.text.startswith("-XX:"):
            lint = _apply_flag(option, settings, jdk)
        elif (letter := _LETTER_OPTION.match(option.text)) is not None:
            lint = _apply_letter(option, letter[1] or letter[2], letter[3], settings)
        elif option.text == "-Xincgc" and jdk is not None and jdk >= 9:
            lint = ("refused", "removed in JDK 9")
        if lint is not None:
            lints.append(Lint(option.text, option.source, *lint))
    return JvmFlags(settings, tuple(lints), tuple(unseen), tuple(agents))


_Remark = tuple[LintKind, str]


def _apply_letter(option: Option, letter: str, value: str, settings: dict[str, Setting]) -> _Remark | None:
    size = parse_size(value)
    if size is None:
        return "refused", f"not a size for the {_LETTER_NAME[letter]}: whole numbers with k, m, g or t only"
    if letter == "mx" and size < _SMALLEST_HEAP:
        return "refused", f"too small a maximum heap: {size} bytes"
    if letter == "ss":
        return _apply_stack(option, size, settings)
    settings[_LETTER_FLAG[letter]] = Setting(size, option)
    return None


def _apply_stack(option: Option, size: int, settings: dict[str, Setting]) -> _Remark | None:
    if 0 < size < _SMALLEST_STACK:
        return "refused", f"{size} bytes of stack; at least 136k is needed"
    if size > _LARGEST_STACK:
        return "refused", "more than 1 GiB of stack"
    if size:  # 0 means the default
        settings["ThreadStackSize"] = Setting(-(-size // 1024) * 1024, option)
    return None


def _apply_flag(option: Option, settings: dict[str, Setting], jdk: int | None) -> _Remark | None:
    body = option.text[len("-XX:") :]
    sign = body[:1] if body[:1] in ("+", "-") else ""
    name, equals, value = body[len(sign) :].partition("=")
    removed = _REMOVED.get(name)
    if removed is not None and jdk is not None and jdk >= removed.ignored_from:
        if jdk >= removed.refused_from:
            return "refused", f"JDK {jdk} does not know it any more; {removed.instead}"
        return "ignored", f"JDK {jdk} ignores it with a warning; {removed.instead}"
    if name not in _KNOWN.values():
        proper = _KNOWN.get(name.lower()) or _KNOWN.get(name.lower() + "size")
        return ("refused", f"no such flag; {proper} is meant") if proper and proper != name else None
    if name in _SWITCHES:
        if not sign:
            return "refused", f"missing + or - before {name}"
        settings[name] = Setting(sign == "+", option)
        return None
    if sign or not equals:
        return "refused", f"{name} needs a value: -XX:{name}=..."
    if name in _PERCENTAGES:
        return _apply_percentage(option, name, value, settings)
    if name in _NUMBERS:
        if not value.isascii() or not value.isdigit():
            return "refused", f"{name} takes a whole number"
        settings[name] = Setting(int(value), option)
        return None
    size = parse_size(value)
    if size is None:
        return "refused", f"not a size: {value or 'nothing'}; whole numbers with k, m, g or t only"
    return _apply_size(option, name, value, size, settings)


def _apply_percentage(option: Option, name: str, value: str, settings: dict[str, Setting]) -> _Remark | None:
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", value, re.ASCII):
        return "refused", f"{name} takes a plain number such as 75.0"
    number = float(value)
    if number > 100:
        return "refused", f"{name} must be from 0 to 100"
    settings[name] = Setting(number, option)
    return None


def _apply_size(option: Option, name: str, value: str, size: int, settings: dict[str, Setting]) -> _Remark | None:
    if name in _KIB:
        if size > _LARGEST_STACK // 1024:
            return "refused", f"{name} counts KiB and allows at most 1048576"
        if name == "ThreadStackSize" and 0 < size * 1024 < _SMALLEST_STACK:
            return "refused", "at least 136 (KiB) is needed"
        if size:
            settings[name] = Setting(size * 1024, option)
        if not value[-1:].isdigit():
            return "trap", f"{name} counts KiB, so {value} means {size // 1024} MiB"
        return None
    if name == "MaxHeapSize" and size < _SMALLEST_HEAP:
        return "refused", f"too small a maximum heap: {size} bytes"
    if name == "MaxMetaspaceSize" and size < MIB:
        return "refused", f"{size} bytes of metaspace: the JVM dies while it starts; a unit (m) is missing"
    if name == "CompressedClassSpaceSize" and size < MIB:
        return "refused", "at least 1m is needed"
    if name == "ReservedCodeCacheSize" and not _SMALLEST_CODE_CACHE <= size <= _LARGEST_CODE_CACHE:
        return "refused", "the code cache must be from 2496k to 2g"
    if name == "MaxDirectMemorySize" and size == 0:
        return "ignored", "0 means the default, which is the maximum heap"  # jdk.internal.misc.VM.saveProperties
    settings[name] = Setting(size, option)
    return None


def lint_together(flags: JvmFlags, jdk: int, machine: Machine, gc: str) -> Iterator[Lint]:
    """Remark on flags that are inert or refused because of others, or on this machine."""
    heap, chosen = flags.settings.get("MaxHeapSize"), [f for f in COLLECTORS if flags.switch(f)]
    if len({COLLECTORS[f] for f in chosen}) > 1:
        for name in chosen[1:]:
            yield _lint(flags, name, "refused", f"together with {chosen[0]}: multiple garbage collectors selected")
    if heap is not None:
        for name in ("MaxRAMPercentage", "MinRAMPercentage", "MaxRAM", "MaxRAMFraction", "MinRAMFraction"):
            if name in flags.settings:
                yield _lint(flags, name, "ignored", f"{heap.option.text} sets the maximum heap")
        initial = flags.settings.get("InitialHeapSize")
        if initial is not None and initial.value > heap.value:
            yield _lint(flags, "InitialHeapSize", "refused", f"larger than the maximum heap {heap.option.text}")
        soft = flags.settings.get("SoftMaxHeapSize")
        if soft is not None and soft.value > heap.value:
            yield _lint(flags, "SoftMaxHeapSize", "refused", f"larger than the maximum heap {heap.option.text}")
    else:
        yield from _lint_percentages(flags, jdk, machine, gc)
    if flags.size("InitialHeapSize") is not None and "InitialRAMPercentage" in flags.settings:
        yield _lint(
            flags, "InitialRAMPercentage", "ignored", f"{flags.source('InitialHeapSize')} sets the initial heap"
        )
    metaspace, classes = flags.size("MaxMetaspaceSize"), flags.size("CompressedClassSpaceSize")
    if metaspace is not None and classes is not None and classes > metaspace:
        yield _lint(flags, "CompressedClassSpaceSize", "ignored", "it is a part of MaxMetaspaceSize, which is smaller")
    if flags.switch("UseContainerSupport") is False:
        yield _lint(flags, "UseContainerSupport", "trap", "the JVM sizes itself by the node, not by the limit")
    unlocked = flags.switch("UnlockExperimentalVMOptions") is True
    if not unlocked and (flags.switch("UseEpsilonGC") or (flags.switch("UseZGC") and 11 <= jdk < 15)):
        name = "UseEpsilonGC" if flags.switch("UseEpsilonGC") else "UseZGC"
        yield _lint(
            flags, name, "refused", f"experimental in JDK {jdk}: needs -XX:+UnlockExperimentalVMOptions before it"
        )
    for name, setting in flags.settings.items():
        if setting.option.source.startswith("env _JAVA_OPTIONS"):
            yield _lint(flags, name, "trap", "_JAVA_OPTIONS wins over the command line")


def _lint_percentages(flags: JvmFlags, jdk: int, machine: Machine, gc: str) -> Iterator[Lint]:
    maximum, minimum = flags.number("MaxRAMPercentage"), flags.number("MinRAMPercentage")
    memory = flags.size("MaxRAM") or machine.memory

    def heap(upper: float | None, lower: float | None) -> int:
        return max_heap(memory, gc, jdk=jdk, max_percentage=upper, min_percentage=lower)

    given = heap(maximum, minimum)
    if maximum is not None and maximum != DEFAULT_MAX_PERCENTAGE and given == heap(None, minimum):
        message = f"at {memory // MIB} MiB ergonomics gives a heap of {given // MIB} MiB whatever it says"
        yield _lint(flags, "MaxRAMPercentage", "ignored", message)
    if minimum is None:
        return
    if minimum != DEFAULT_MIN_PERCENTAGE and given == heap(maximum, None):
        message = f"it is no floor: it rules only where half of the memory is below 125 MiB, not at {memory // MIB} MiB"
        yield _lint(flags, "MinRAMPercentage", "ignored", message)
    elif memory * minimum / 100 > given:
        message = f"more than 125 MiB, so the heap becomes {given // MIB} MiB, not {minimum:g} % of {memory // MIB} MiB"
        yield _lint(flags, "MinRAMPercentage", "trap", message)


def _lint(flags: JvmFlags, name: str, kind: LintKind, message: str) -> Lint:
    option = flags.settings[name].option
    return Lint(option.text, option.source, kind, message)
