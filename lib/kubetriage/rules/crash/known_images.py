"""What is known about well-known images: the user of their program, and what it wants of the CPU."""

from __future__ import annotations

import re

from kubetriage.data import table
from kubetriage.records import dataclass
from kubetriage.typed import Any


def _split(image: str) -> tuple[str, str]:
    """Return repository path without the registry, and tag."""
    path = image.partition("@")[0]
    first, slash, rest = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        path = rest
    repository, _, tag = path.partition(":")
    return repository, tag


def _row(name: str, repository: str) -> Any:
    return next((row for row in table(name)["rows"] if re.fullmatch(row["image"], repository)), None)


def group_of(image: str) -> int | None:
    """Return the group that the files of an image's program belong to, or None for an image that is not known."""
    repository, tag = _split(image)
    row = _row("image_users", repository)
    if row is None:
        return None
    for variant in row.get("variants", ()):
        if re.fullmatch(variant["tag"], tag):
            return int(variant["user"])
    return int(row.get("group", row["user"]))


@dataclass(frozen=True)
class CpuNeed:
    """What an image wants of the CPU."""

    needs: str
    """In words."""
    without: str
    """The image of the last version that runs without it; empty when there is none."""


def cpu_need(image: str) -> CpuNeed | None:
    """Return what the program of a well-known image wants of the CPU, or None for one that is not known."""
    repository, tag = _split(image)
    row = _row("image_cpu_levels", repository)
    if row is None:
        return None
    version = re.match(r"v?(\d{1,5}(?:\.\d{1,5}){0,2})(?!\d)", tag)
    if row["since"] and version is not None and _numbers(version[1]) < _numbers(row["since"]):
        return None
    name = image.partition("@")[0].removesuffix(f":{tag}") if tag else image.partition("@")[0]
    return CpuNeed(row["needs"], f"{name}:{row['without']}" if row["without"] else "")


def _numbers(version: str) -> tuple[int, ...]:
    return (*(int(n) for n in version.split(".")), 0, 0)[:3]
