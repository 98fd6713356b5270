"""Which parts of an object a controller's words speak of: by the key of an annotation, or by a value of a field."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.typed import Any
from kubetriage.values.fields import Obj, labels, mapping
from kubetriage.values.patterns import lazy


def parts_named(said: str, raw: Obj) -> tuple[tuple[str, str], ...]:
    """Return the (annotation, value) pairs of an object that words speak of: by the whole key, or its last part."""
    found = []
    for key, value in labels(raw, "metadata", "annotations").items():
        short = key.rpartition("/")[2]
        if key.startswith("kubectl.kubernetes.io/") or len(value) > _LONGEST_VALUE:
            continue
        words = _word(said, key) or (len(short) > 3 and _word(said, short))
        if words:
            found.append((key, value))
    return tuple(found[:3])


_ADDRESS = lazy(r"(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?|[0-9a-f]{0,4}:[0-9a-f:]{2,40}(?:/\d{1,3})?|arn:\S{5,200}")


def values_named(said: str, raw: Obj) -> tuple[tuple[str, str], ...]:
    """Return the (field, value) pairs of an object whose value words speak of: addresses, ARNs, and annotations."""
    notes = [(k, v) for k, v in labels(raw, "metadata", "annotations").items() if not k.startswith("kubectl.")]
    spec = [
        (f, v)
        for f, v in scalars(mapping(raw, "spec"), "spec")
        if _ADDRESS.fullmatch(v) and not f.startswith("spec.clusterIP")
    ]
    found = []
    for key, value in (*spec, *notes):
        short = 4 < len(value) <= _LONGEST_VALUE and not value.isalnum()
        if short and re.search(rf"(?<![\w.:/-]){re.escape(value)}(?![\w:/-]|\.\w)", said):
            found.append((key, value))
    return tuple(found[:3])


def scalars(raw: Any, at: str) -> Iterator[tuple[str, str]]:
    """Yield each text in an object with its path."""
    if isinstance(raw, str):
        yield at, raw
    elif isinstance(raw, dict):
        for key, value in raw.items():
            yield from scalars(value, f"{at}.{key}")
    elif isinstance(raw, list):
        for i, value in enumerate(raw[:50]):
            yield from scalars(value, f"{at}[{i}]")


_LONGEST_VALUE = 200
_NAMING = lazy(r"[\w./-]+")


def _word(said: str, name: str) -> bool:
    return name in {m.group().strip(".") for m in _NAMING.finditer(said)}
