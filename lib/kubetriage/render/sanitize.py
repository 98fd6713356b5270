"""Text from a cluster is untrusted: control characters and secrets are taken out once, here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar, cast

from kubetriage.redact import clean

T = TypeVar("T")


def sanitized(value: T) -> T:
    """Return ``value`` with every string in it cleaned, through dataclasses, tuples, lists and mappings."""
    return cast("T", _sanitized(value))


def _sanitized(value: Any) -> Any:
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(k) if isinstance(k, str) else k: _sanitized(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_sanitized(v) for v in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _sanitized(getattr(value, f.name)) for f in fields(value)})
    return value
