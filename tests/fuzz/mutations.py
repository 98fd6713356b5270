"""Breaks objects of the API as bad clients, proxies, tools and people do: one seeded change after another."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]

CONTROLS = (
    "\x1b[31m",
    "\x1b]8;;http://evil/\x07x\x1b]8;;\x07",
    "\x9b2J",
    "\x00",
    "\r",
    "\u202e",
    "\u2066",
    "\ud800",
    "\x85",
)
"""Terminal control of all kinds: CSI, OSC 8, C1, NUL, bidirectional overrides and isolates, a lone surrogate."""
TIMES = ("", "now", "2026-13-45T99:99:99Z", "0000-00-00T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
         "2026-11-24T12:00:00+99:99", "2026-11-24", "1970-01-01T00:00:00.123456789123Z",
         "-2026-11-24T12:00:00Z")  # fmt: skip
QUANTITIES = ("", "0", "-1", "1.5.5Gi", "Gi", "1e999", "1E9999999Gi", "9" * 400 + "Ki", "0x10", "1Gib", "１２Mi", "nan",
              "inf", ".", "+", "1e-999", "100m", "1n")  # fmt: skip
DURATIONS = ("1h1h1h", "-5s", "9" * 60 + "h", "5", "1.s", "µs")
NUMBERS = (0, -1, 1, 137, 2**31, -(2**31), 2**63, -(2**63), 2**64, 10**300, 1e308, -0.0, 0.5, float("nan"),
           float("inf"), float("-inf"))  # fmt: skip


def deep(levels: int, inner: Any = None) -> Any:
    """Nest lists and objects in each other."""
    value = inner
    for level in range(levels):
        value = [value] if level % 2 else {"name": "x", "spec": value}
    return value


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the path of every value inside a value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield (*at, key)
            yield from paths(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield (*at, index)
            yield from paths(inner, (*at, index))


def other(rng: random.Random, value: Any) -> Any:
    """Return a value of another type or an extreme one of the same."""
    kind = rng.randrange(14)
    if kind == 0:
        return None
    if kind == 1:
        return rng.choice((True, False))
    if kind == 2:
        return rng.choice(NUMBERS)
    if kind == 3:
        return rng.choice(("", " ", "x", "\n", "null", "True", "-", "/", "..", "{}", "%s%n", "💥", "a" * 300))
    if kind == 4:
        return rng.choice(([], {}, [[]], [{}], [None], {"": None}, [0, "x", {}]))
    if kind == 5:
        return deep(rng.choice((3, 30, 180)), rng.choice((value, None, "x")))
    if kind == 6:
        return rng.choice(TIMES)
    if kind == 7:
        return rng.choice(QUANTITIES)
    if kind == 8:
        return rng.choice(DURATIONS)
    if kind == 9 and rng.random() < 0.02:
        return rng.choice(
            ("x", "=", "a b ", "-----BEGIN PRIVATE KEY-----\n", "password=", "\n", "\u202e", "[", "//")
        ) * rng.choice((1000, 20_000, 50_000))
    if isinstance(value, str):
        return _text(rng, value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return rng.choice((value + 1, -value, str(value), value * 2**40))
    if isinstance(value, list):
        return _list(rng, value)
    return {str(k): v for k, v in list(value.items())[::2]} if isinstance(value, Mapping) else [value]


def _text(rng: random.Random, value: str) -> str:
    at = rng.randrange(len(value) + 1)
    return rng.choice(
        (
            value[:at],
            value[at:],
            value[:at] + rng.choice(CONTROLS) + value[at:],
            value.upper(),
            value + value,
            value[::-1],
            value + "\n" + value,
            "".join(rng.sample(value[:400], min(len(value), 400))),
        )
    )


def _list(rng: random.Random, value: list[Any]) -> Any:
    return rng.choice(
        (
            value + value,
            value[:-1],
            value[1:],
            value[::-1],
            value * 50 if len(value) < 20 else value,
            [*value, None, 1, "x"],
            {str(i): v for i, v in enumerate(value)},
            value[0] if value else None,
        )
    )


def change(rng: random.Random, obj: dict[str, Any], known: list[Path]) -> None:
    """Break one place of an object that nothing else holds."""
    if not known:
        return
    *way, last = rng.choice(known)
    place: Any = obj
    for step in way:
        try:
            place = place[step]
        except (KeyError, IndexError, TypeError):
            return
    if not isinstance(place, dict | list):
        return
    try:
        value = place[last]  # type: ignore[index, call-overload, unused-ignore]
    except (KeyError, IndexError, TypeError):
        return
    kind = rng.randrange(8)
    if kind <= 1:
        del place[last]  # type: ignore[arg-type, unused-ignore]
    elif kind == 2 and isinstance(place, dict):
        place[rng.choice((str(last).upper(), str(last) + "x", "", " ", "\x1b[1m", "name", "status"))] = place.pop(last)
    elif kind == 3:
        # Something from elsewhere in the same object.
        found: Any = obj
        for step in rng.choice(known):
            if not isinstance(found, dict | list):
                break
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                break
        place[last] = copy.deepcopy(found) if found is not obj else {}
    else:
        place[last] = other(rng, value)


def own_in_a_circle(objs: list[dict[str, Any]]) -> None:
    """Make each object the controller of the next one, the last one of the first."""
    for position, obj in enumerate(objs):
        above = objs[position - 1]
        meta, of = obj.get("metadata"), above.get("metadata")
        if isinstance(meta, dict) and isinstance(of, dict):
            meta["ownerReferences"] = [
                {
                    "apiVersion": above.get("apiVersion"),
                    "kind": above.get("kind"),
                    "name": of.get("name"),
                    "uid": of.get("uid"),
                    "controller": True,
                }
            ]


def broken_text(rng: random.Random, content: str) -> str:
    """Break a log, or the body of a plain GET."""
    at = rng.randrange(len(content) + 1)
    changes: tuple[Callable[[], str], ...] = (
        lambda: "",
        lambda: content[:at],
        lambda: content[at:],
        lambda: content.replace("\n", ""),
        lambda: content[:at] + rng.choice(CONTROLS) + content[at:],
        lambda: content + content[-2000:] * rng.choice((2, 20)),
        lambda: content.replace(" ", rng.choice(("", "\t", "=", "\x00"))),
        lambda: "".join(rng.sample(lines := content.splitlines(keepends=True), len(lines))),
        lambda: content.replace("1", rng.choice(("NaN", "-1", "1e400", "9" * 30, ""))),
        lambda: json.dumps(content),
        lambda: rng.choice(("x", "  at a.b(C.java:1)\n", "{", "Caused by: ", "\ud800\n")) * rng.choice((10, 3000)),
    )
    return rng.choice(changes)()
