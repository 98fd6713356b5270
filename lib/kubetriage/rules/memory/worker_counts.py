"""Programs that start worker processes: command line, variables, image and log in, how many there are and why out.

The facts stand in a dated table (``data/worker_counts.json``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from kubetriage.data import table
from kubetriage.records import dataclass, replace
from kubetriage.rules.memory.container_process import Process
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.runtime_detection import image_parts, is_companion
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_bytes

_ROOM = 0.8
"""Share of the limit that workers may fill: the master, page cache and peaks need the rest."""


_WRAPPERS = frozenset({"bundle", "rails"})
"""Programs that start others: the word after them tells more."""
_FEW = 2
"""Up to so many process ids in a log are a count; more may be workers that were started again."""

_SHARED = frozenset({"WEB_CONCURRENCY", "WORKERS", "MAX_WORKERS", "NUM_WORKERS", "WORKER_CONCURRENCY", "instances"})
"""Variables that several programs read, so that they do not tell which one it is."""


@dataclass(frozen=True)
class Workers:
    """A program of the table, as one container runs it."""

    row: Mapping[str, Any]
    count: int | None
    """How many workers a setting asks for; None where nothing here says it."""
    source: str
    """Where the count stands, or what the program does without it."""
    evidence: str
    """What it was recognised by."""
    bound: int | None = None
    """Bytes that a variable allows one worker; None where none does."""

    @property
    def name(self) -> str:
        """Name for people."""
        return str(self.row["program"])

    @property
    def setting(self) -> str:
        """Name of the option or variable that says how many."""
        return str(self.row["setting"])

    @property
    def per_cpu(self) -> bool:
        """Without a setting it starts one for each CPU that it sees, which is the node's."""
        return "cpu" in str(self.row["counts"])

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables that say how many."""
        return tuple(self.row.get("variables", ()))

    @property
    def each(self) -> int:
        """Bytes that one worker takes: what a variable allows it, else a rule of thumb."""
        return self.bound or parse_bytes(self.row["each"]) or 0

    @property
    def also(self) -> str:
        """What else keeps it small, as a clause."""
        return str(self.row.get("also", ""))

    def fitting(self, limit: int, each: int | None = None) -> int:
        """Return how many workers fit a limit, from the size of one (else the rule of thumb)."""
        return max(int(limit * _ROOM) // max(each or self.each, MIB), 1)

    def set_words(self, count: int) -> str:
        """Write the setting for a count."""
        return str(self.row["set"]).format(n=count)

    def variables_for(self, count: int) -> dict[str, str]:
        """Return the variables to set for a count; empty where only a file or an option does it."""
        return {name: str(form).format(n=count) for name, form in self.row.get("env", {}).items()}


@cache
def _rows() -> tuple[Mapping[str, Any], ...]:
    return tuple(table("worker_counts")["programs"])


def workers_of(process: Process, image: str, log: str, runtime: str) -> Workers | None:
    """Recognise a program of the table by command, image, log, or a variable that only it reads; then by runtime."""
    words = {process.program, *(w.rpartition("/")[2] for w in process.argv[:3])} - {""}
    path, segment, tag = image_parts(image.lower())
    line = " ".join(process.argv)
    rows = [row for row in _rows() if re.search(row.get("needs", ""), line)]
    for some in (words - _WRAPPERS, words & _WRAPPERS):
        for row in rows:
            hit = next((w for w in sorted(some) if re.fullmatch(row["command"], w)), "")
            if hit:
                return _found(row, process, log, f"{process.where}: {hit}")
    for row in rows:
        match = re.search(row["log"], log) if log else None
        if match is not None:
            return _found(row, process, log, f"its log: {match[0]}")
    for row in rows:
        if not re.search(row.get("tag", ""), tag):
            continue
        if not is_companion(segment) and (re.fullmatch(row["image"], segment) or re.fullmatch(row["image"], path)):
            return _found(row, process, log, f"image {path}")
        if "path" in row and re.fullmatch(row["path"], path):
            return _found(row, process, log, f"image {path}")
    own = ((row["program"], v) for row in rows for v in row.get("variables", ()) if v not in _SHARED)
    named = {program: variable for program, variable in own if variable in process.environment}
    for row in rows:
        if row["program"] in named:
            return _found(row, process, log, f"variable {named[row['program']]}")
        if runtime in ("ruby", "php") and row.get("runtime") == runtime:
            return _found(row, process, log, f"the runtime, {row['program']} is usual there")
    return None


def _found(row: Mapping[str, Any], process: Process, log: str, evidence: str) -> Workers:
    found = _counted(row, process, log, evidence)
    values = (process.value(n) or "" for n in row.get("each_variables", ()))
    sizes = (int(m[1]) * (MIB if m[2].upper() == "M" else 1024 * MIB) for v in values if (m := _PHP_SIZE.match(v)))
    return replace(found, bound=next(sizes, None))


_PHP_SIZE = lazy(r"(\d{1,6})([MmGg])\Z")


def _counted(row: Mapping[str, Any], process: Process, log: str, evidence: str) -> Workers:
    option = re.search(row["option"], " ".join(process.argv)) if "option" in row else None
    if option is not None and option[1].isdigit():
        return Workers(row, int(option[1][:6]), f"{option[0]} ({process.where})", evidence)
    for name in row.get("variables", ()):
        value = process.value(name)
        if value and value.isascii() and value.isdigit():
            return Workers(row, int(value[:6]), f"{name}={value}", evidence)
    said = re.search(row["count_log"], log) if "count_log" in row and log else None
    if said is not None:
        return Workers(row, int(said[1]), f"its log: {said[0].strip()}", evidence)
    started = set(re.findall(row["count_lines"], log)) if "count_lines" in row and log else set()
    if 0 < len(started) <= _FEW:
        # More than that are restarts of workers, which take new process ids.
        return Workers(row, len(started), f"its log names {len(started)} that started", evidence)
    usual = int(row["default"]) if "default" in row else None
    return Workers(row, usual, str(row["counts"]), evidence)


def stated_workers(process: Process) -> tuple[str, int] | None:
    """Return a variable that counts workers by its name (``*_WORKERS``, ``*_CONCURRENCY``) and its value."""
    for name, variable in process.environment.items():
        if re.search(r"(?:^|_)(?:WORKERS|CONCURRENCY|PROCESSES|MAX_CHILDREN|WORKER_PROCESSES)$", name):
            value = variable.value or ""
            if value.isascii() and value.isdigit() and 0 < len(value) < 6:
                return name, int(value)
    return None
