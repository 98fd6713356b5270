"""Facts of the outside world that age: one dated file each, a source per row; adding a row is no code."""

from __future__ import annotations

import json
from functools import cache

from kubetriage.typed import Any


@cache
def table(name: str) -> Any:
    """Return the content of ``NAME.json`` in this folder, read once. Callers must not change it."""
    # pathlib takes longer to import than any of these files to read.
    with open(f"{__path__[0]}/{name}.json", encoding="utf-8") as file:
        return json.load(file)
