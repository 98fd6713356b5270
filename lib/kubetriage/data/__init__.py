"""Facts of the outside world that age: one dated file each, a source per row; adding a row is no code."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def table(name: str) -> Any:
    """Return the content of ``NAME.json`` in this folder, read once. Callers must not change it."""
    return json.loads(Path(__file__).with_name(f"{name}.json").read_text(encoding="utf-8"))
