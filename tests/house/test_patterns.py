"""No regular expression of the package takes more than linear time, whatever the text that it meets.

All patterns are taken from the source: every ``lazy(...)`` and ``re.compile(...)`` of a constant. Each is given texts
that grow by doubling, made of its own characters: runs of every literal and of every class of it, alone and in pairs.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

import kubetriage
from kubetriage.data import table
from kubetriage.records import fields, is_record
from kubetriage.values.patterns import Lazy
from support.clock import least
from support.offline import ROOT

SIZES = (750, 3_000)
"""Characters; four times as much text may take four times as long, and not sixteen times."""
LONGER = (6_000, 24_000)
"""Characters where a pattern is looked at again that took longer than its share: one with bounds is linear here."""
FACTOR = 9.0
"""Between linear (4) and quadratic (16), with room for a busy machine."""
NOTICEABLE = 0.002
"""Seconds under which a time says nothing."""
PUMPS_AT_MOST = 30


def patterns() -> dict[str, re.Pattern[str]]:
    """Return every pattern of the package by module and name, each once."""
    found: dict[str, re.Pattern[str]] = {}
    seen: set[tuple[str, int]] = set()

    def keep(name: str, value: object) -> None:
        if isinstance(value, Lazy):
            value = re.compile(value.pattern, value.flags)
        if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
            key = (value.pattern, value.flags)
            if key not in seen:
                seen.add(key)
                found[name] = value
        elif isinstance(value, tuple | list | frozenset | set):
            for i, inner in enumerate(value):
                keep(f"{name}[{i}]", inner)
        elif isinstance(value, dict):
            for i, (key, inner) in enumerate(value.items()):
                keep(f"{name}.key[{i}]", key)
                keep(f"{name}[{i}]", inner)
        elif is_record(value) and not isinstance(value, type):
            for field in fields(value):
                keep(f"{name}.{field.name}", getattr(value, field.name, None))

    for module in pkgutil.walk_packages(kubetriage.__path__, "kubetriage."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if not name.startswith("__"):
                keep(f"{module.name.removeprefix('kubetriage.')}:{name}", value)
    for row in table("secret_shapes")["tokens"]:
        keep(f"data.secret_shapes:{row['issuer']}", re.compile(row["pattern"]))
    for name, pattern in in_functions():
        keep(name, pattern)
    return found


def in_functions() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the patterns that are written where they are used: ``re.match(r"...", text)``."""
    package = ROOT / "lib" / "kubetriage"
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            called, first = node.func, node.args[0]
            if isinstance(called.value, ast.Name) and called.value.id == "re" and isinstance(first, ast.Constant):
                if called.attr in ("match", "fullmatch"):
                    yield f"{path.relative_to(package)}:{node.lineno}", re.compile(r"\A(?:" + first.value + ")")
                elif called.attr in ("search", "sub", "split", "findall", "finditer"):
                    yield f"{path.relative_to(package)}:{node.lineno}", re.compile(first.value)


PATTERNS = patterns()
_LITERALS = re.compile(r"(?:\\.|[A-Za-z0-9 _:/=@\"'<>,;-])+")
_COMMON = (
    "a",
    "0",
    " ",
    "\n",
    "a ",
    "a.",
    "a:",
    "a=",
    "/a",
    "-",
    '"',
    "'",
    "a-",
    ".",
    "0.",
    "(",
    "[",
    "{",
    "<a",
    "\t",
    "A",
    "=",
)


def pumps(pattern: str) -> list[str]:
    """Return short texts to repeat: common ones, and the pattern's own literals, also with a letter after them."""
    own: dict[str, None] = {}
    for literal in _LITERALS.findall(re.sub(r"\(\?[a-zA-Z<!=:>]*|\{[\d,]*\}|\\[dwsbSWDBAZz]", "\0", pattern)):
        word = literal.replace("\\", "")
        if word.strip("\0"):
            own[word] = None
            own[word + "a"] = None
    return [*_COMMON, *list(own)[: PUMPS_AT_MOST - len(_COMMON)]]


MATCHED_FROM_TABLES = ("readers.logs.frames:_FRAMES", "cluster.documents:_NUMBERS")
"""Tables whose patterns are only asked for a match at the beginning of a line that was cut, or of a single value."""


def only_at_the_beginning(name: str) -> bool:
    """Tell whether the product only ever asks a pattern for a match at the beginning of a text."""
    module, _, plain = name.partition(":")
    if module == "data.secret_shapes" or module.endswith(".py"):
        return False
    if name.startswith(MATCHED_FROM_TABLES):
        return True
    path = ROOT / "lib" / "kubetriage" / module.replace(".", "/")
    source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    uses = set(re.findall(rf"\b{re.escape(plain)}\.(\w+)", source.read_text(encoding="utf-8")))
    return bool(uses) and uses <= {"match", "fullmatch"}


def seconds(pattern: re.Pattern[str], text: str, at_beginning: bool) -> float:
    begun = time.process_time()
    if at_beginning:
        pattern.match(text)
    else:
        for _ in pattern.finditer(text):
            pass
    return time.process_time() - begun


def grows(pattern: re.Pattern[str], pump: str, at_beginning: bool) -> float:
    """Return how many times as long a longer text takes, where no bound of the pattern is in the way."""
    few, many = (f"{pump * (size // len(pump))}!" for size in LONGER)
    return seconds(pattern, many, at_beginning) / max(min(seconds(pattern, few, at_beginning) for _ in range(2)), 1e-4)


def give_up(*_: object) -> None:
    raise AssertionError("a pattern takes more than two minutes")


def test_the_whole_package_is_looked_at() -> None:
    assert len(PATTERNS) > 459


@pytest.mark.slow
@pytest.mark.attack("regular expressions, by text that grows")
@pytest.mark.parametrize("part", range(8))
def test_no_pattern_takes_more_than_linear_time(part: int, record_property: Callable[[str, object], None]) -> None:
    slow, tried = [], 0
    signal.signal(signal.SIGALRM, give_up)
    for name, pattern in list(PATTERNS.items())[part::8]:
        start = only_at_the_beginning(name)
        for pump in pumps(pattern.pattern):
            # The engine looks for signals, so that an exponential pattern ends, too.
            # Not ITIMER_VIRTUAL: with it, Linux counts the time of a process in ticks of 4 ms.
            signal.setitimer(signal.ITIMER_REAL, 120)
            tried += 1
            few, many = (f"{pump * (size // len(pump))}!" for size in SIZES)
            if (took := seconds(pattern, many, start)) < NOTICEABLE:
                continue
            before = max(min(seconds(pattern, few, start) for _ in range(2)), 1e-4)
            if took / before > FACTOR and (took := least(partial(grows, pattern, pump, start), FACTOR)) > FACTOR:
                slow.append(
                    f"{name}: {pump!r} repeated {LONGER[1] // LONGER[0]} times as often takes {took:.0f} times as long"
                )
                break
    signal.setitimer(signal.ITIMER_REAL, 0)
    record_property("tried", tried)
    assert not slow, "\n".join(slow)
