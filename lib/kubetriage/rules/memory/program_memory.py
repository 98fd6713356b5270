"""Servers that are no JVM: command line, variables and log in, what caps their memory and how much out.

The facts stand in a dated table (``data/program_memory.json``): a program, the option, variable or log line that
sizes it, and what a fix sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from kubetriage.data import table
from kubetriage.records import dataclass
from kubetriage.rules.memory.budget import Amount, Area, Kind
from kubetriage.rules.memory.container_process import Process
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.rules.memory.runtime_detection import image_parts, is_companion
from kubetriage.rules.memory.runtimes import FixedModel
from kubetriage.typed import Any
from kubetriage.values.quantity import parse_bytes

_UNITS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}


_LAST_LINES = 20
"""A start that ended while it read a log back has said so in its last lines."""


@dataclass(frozen=True)
class Size:
    """A number of bytes that was read somewhere."""

    size: int
    source: str
    kind: Kind
    line: str = ""
    """The log line where it stands; empty for an option or a variable."""


@dataclass(frozen=True)
class Program:
    """A server of the table, as one container runs it."""

    row: Mapping[str, Any]
    told: Size | None
    """What an option, a variable or its own log says that its main area may take."""
    evidence: str
    """What it was recognised by."""

    @property
    def name(self) -> str:
        """Name for people."""
        return str(self.row["program"])

    @property
    def area(self) -> str:
        """Name of the area that its setting caps."""
        return str(self.row["area"])

    @property
    def setting(self) -> str:
        """Name of the setting."""
        return str(self.row["setting"])

    @property
    def beside(self) -> str:
        """What takes memory beside the area, as a clause; empty where the table says nothing."""
        return str(self.row.get("beside", ""))

    @property
    def blind(self) -> str:
        """Why it may not see the container's limit, as a clause; empty where it does."""
        return str(self.row.get("blind", ""))

    @property
    def check(self) -> str:
        """What shows its size from inside."""
        return str(self.row.get("check", ""))

    @property
    def at_start(self) -> bool:
        """It allocates a table at its start that the limit of open files sizes."""
        return "start_table" in self.row

    @property
    def grows(self) -> str:
        """What its memory follows, as a clause; empty where a setting caps it."""
        return str(self.row.get("grows", ""))

    @property
    def limit_first(self) -> bool:
        """It needs the memory: the limit is raised before anything is capped."""
        return bool(self.row.get("limit_first"))

    @property
    def keeps(self) -> bool:
        """Its area holds data that a smaller setting would evict or refuse."""
        return bool(self.row.get("keeps"))

    def replayed(self, log: str) -> str:
        """Return the last line in which it reads a log of its own back into memory; empty where it does not."""
        pattern = self.row.get("replay")
        lines = [line for line in log.splitlines()[-_LAST_LINES:] if pattern and re.search(pattern, line)]
        return lines[-1].strip()[:300] if lines else ""

    def forking(self, log: str) -> str:
        """Return the last line in which a forked child began to save, and no later one that ends it; else empty."""
        pattern = self.row.get("forks")
        lines = log.splitlines()[-_LAST_LINES:] if pattern else []
        for line in reversed(lines):
            if re.search(self.row["forked"], line):
                return ""
            if re.search(str(pattern), line):
                return line.strip()[:300]
        return ""

    @property
    def least(self) -> int:
        """Bytes that it needs to start with its defaults; 0 where the table says nothing."""
        return parse_bytes(self.row.get("least", "0")) or 0

    @property
    def children(self) -> str:
        """What makes the processes that it starts need less, as sentences; empty where the table says nothing."""
        return str(self.row.get("children") or (self.advice if self.grows else ""))

    @property
    def advice(self) -> str:
        """What else to do, as sentences."""
        return str(self.row.get("advice", ""))

    def wanted(self, limit: int) -> int:
        """Return what a fix gives the area under a limit, in whole MiB."""
        size = int(limit * float(self.row["share"])) // MIB
        step = 256 if size >= 2048 else 64 if size >= 512 else 8
        return max(size // step * step, 8) * MIB

    def option(self, size: int) -> str:
        """Write the option or variable that gives the area ``size`` bytes."""
        form = str(self.row.get("option") or self.row.get("env") or self.setting)
        gib = size / GIB
        return form.format(mib=size // MIB, gib=f"{gib:.0f}" if gib == int(gib) else f"{gib:.2f}".rstrip("0"))

    @property
    def env(self) -> tuple[str, str] | None:
        """Variable and form that set it, where a variable does."""
        form = self.row.get("env")
        name, sign, value = str(form or "").partition("=")
        return (name, value) if sign else None

    def model(self) -> FixedModel:
        """Return the areas of the server."""
        auto = self.row.get("auto")
        share: dict[str, float | int] = {}
        given, kind, source = None, "default", str(self.row.get("unbounded", "nothing here caps it"))
        if self.told is not None:
            given, kind, source = self.told.size, self.told.kind, self.told.source
        elif auto:
            share = {"fraction": float(auto["share"])}
            words = f"{auto['share']:.0%} of the memory that it sees"
            if "less" in auto:
                share = {"fraction": share["fraction"], "less": int((parse_bytes(auto["less"]) or 0) * auto["share"])}
                words = f"{auto['share']:.0%} of the memory that it sees less {auto['less']}"
            if "least" in auto:
                share["floor"] = parse_bytes(auto["least"]) or 0
            source = f"default of {self.name}: {words}"
        elif "default" in self.row:
            given, source = parse_bytes(self.row["default"]), f"default of {self.name}"
        beside = Amount(None, "unknown", self.beside or "what else it keeps")
        chosen: Kind = "flag" if kind == "flag" else "environment" if kind == "environment" else "default"
        chosen = "measured" if kind == "measured" else chosen
        rest = (
            () if self.row.get("whole") else (Area("beside it", beside, Amount(None, "unknown", "depends on its use")),)
        )
        return FixedModel(self.name, self.area, share, given, source, chosen, rest, f"{self.setting}={{}}Mi", MIB)


def _size(number: str, unit: str, default: int, *, decimal: bool) -> int | None:
    """Read a number with a unit as these servers do: base 1024, but base 1000 for Redis' units without a ``b``."""
    try:
        value = float(number)
    except ValueError:
        return None
    letter = unit.lower()[:1]
    power = _UNITS.get(letter)
    if power is None or value > 2**60:
        return None
    base = 1000 if decimal and not unit.lower().endswith("b") else 1024
    size = int(value * (default if not letter else base**power))
    return size if 0 < size < 2**60 else None


@cache
def _rows() -> tuple[Mapping[str, Any], ...]:
    return tuple(table("program_memory")["programs"])


def program_of(process: Process, image: str, log: str) -> Program | None:
    """Recognise a server of the table by its command, its image, or a log line that only it writes."""
    path, segment, _ = image_parts(image.lower())
    words = [w for w in (process.program, _module(process)) if w]
    for row in _rows():
        hit = next((w for w in words if re.fullmatch(row.get("command", "(?!)"), w)), "")
        if hit:
            return Program(row, _told(row, process, log), f"{process.where}: {hit}")
    for row in () if _other_program(process) else _rows():
        if is_companion(segment) and not row.get("any_image"):
            continue
        if re.fullmatch(row["image"], segment) and re.fullmatch(row.get("path", ".*"), path):
            return Program(row, _told(row, process, log), f"image {path}")
    for row in _rows():
        told = next(_from_log(row, log), None) if log else None
        if told is not None:
            return Program(row, told, "its log")
    return None


def _module(process: Process) -> str:
    """Return the package that Python runs as a module (``python -m vllm.entrypoints``); empty for anything else."""
    words = process.argv
    at = words.index("-m") + 1 if "-m" in words and process.program.startswith("python") else len(words)
    return words[at].partition(".")[0] if at < len(words) else ""


def _other_program(process: Process) -> bool:
    """Tell whether the command names another program than the image's own (an exporter, a script)."""
    # Arguments alone go to the image's own entrypoint.
    return process.where != "args" and bool(process.program) and "entrypoint" not in process.program


def _told(row: Mapping[str, Any], process: Process, log: str) -> Size | None:
    """Return what the log says, which is what is in force, else the option, else the variable."""
    return next(
        (size for found in (_from_log(row, log), _from_words(row, process)) for size in found),
        None,
    )


def _from_log(row: Mapping[str, Any], log: str) -> Iterator[Size]:
    for entry in row.get("sizes", ()):
        if "log" not in entry:
            continue
        matches = list(re.finditer(entry["log"], log))
        if matches:
            found = matches[-1]
            size = _size(found[1], found[2], int(entry.get("unit", 1)), decimal=False)
            if size is not None:
                start = log.rfind("\n", 0, found.start()) + 1
                stop = log.find("\n", found.end())
                line = log[start : stop if stop >= 0 else len(log)].strip()
                yield Size(size, f"its log: {found[0][-60:]}", "measured", line[:300])


def _from_words(row: Mapping[str, Any], process: Process) -> Iterator[Size]:
    words = " ".join(process.argv)
    for entry in row.get("sizes", ()):
        unit, decimal = int(entry.get("unit", 1)), bool(entry.get("decimal"))
        found = re.search(entry["option"], words) if "option" in entry else None
        if found is not None:
            size = _size(found[1], found[2], unit, decimal=decimal)
            if size is not None:
                yield Size(size, f"{found[0].strip()} ({process.where})", "flag")
        for name, variable in process.environment.items() if "variable" in entry else ():
            if not variable.value or not re.fullmatch(entry["variable"], name):
                continue
            match = re.search(entry.get("pattern", r"\A(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(?:i?[bB])?\Z"), variable.value)
            size = _size(match[1], match[2], 1, decimal=False) if match else None
            if size is not None and size >= MIB:
                yield Size(size, f"{name}={variable.value[:60]} ({variable.source})", "environment")
