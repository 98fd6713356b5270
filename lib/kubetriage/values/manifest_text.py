"""Manifests as YAML text, for a person to paste."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.typed import Any


def yaml_lines(value: Any, indent: str = "") -> Iterator[str]:
    """Write plain manifests (maps, lists, strings, numbers and booleans) as YAML."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list):
                yield f"{indent}{key}:"
                yield from yaml_lines(inner, indent + "  ")
            else:
                yield f"{indent}{key}: {_scalar(inner)}"
    else:
        for inner in value:
            if isinstance(inner, dict | list):
                lines = list(yaml_lines(inner, indent + "  "))
                yield f"{indent}- {lines[0].lstrip()}"
                yield from lines[1:]
            else:
                yield f"{indent}- {_scalar(inner)}"


def _scalar(value: str | int | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    # JSON strings are YAML strings; plain words stay bare.
    if value is None:
        return "null"
    plain = re.match(r"[A-Za-z][\w./-]*\Z", value) and value.lower() not in (
        "true",
        "false",
        "null",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
    )
    return value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def yaml_text(value: Any) -> str:
    """Return a plain manifest, or a piece of one, as YAML text."""
    return "\n".join(yaml_lines(value))
