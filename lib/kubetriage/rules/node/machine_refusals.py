"""Why nobody gives a machine: in come the words of a cloud or of who orders there, out go their meaning and its end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from kubetriage.data import table
from kubetriage.typed import Any

LAUNCHED, JOINED = "MachineNotLaunched", "MachineNotJoined"


def known(said: str) -> tuple[Mapping[str, Any], str]:
    """Return the row of the table that knows these words, and its fix with their names; empty where none does."""
    for row in table("machine_errors")["errors"]:
        match = _compiled(row["match"]).search(said)
        if match is not None:
            fix = str(row["fix"])
            for name, value in match.groupdict().items():
                fix = fix.replace("{" + name + "}", value or "that it names")
            return row, f"{fix}."
    return {}, ""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
