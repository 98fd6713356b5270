"""What ends the words with which a network plugin's own pod does not start: the rows of ``plugin_agent_errors``."""

from __future__ import annotations

import re
from functools import cache

from kubetriage.data import table
from kubetriage.model import Actor, Fix
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.missing_network import Missing
from kubetriage.rules.node.stage import stage_of
from kubetriage.rules.node.word_findings import on_machine
from kubetriage.values.commands import kubectl


def agent_fix(case: NodeCase, missing: Missing) -> Fix | None:
    """Return what the words of the plugin's pod ask for; None where no row knows them."""
    said = missing.says or (missing.told.message if missing.told is not None else "")
    for row in table("plugin_agent_errors")["rows"] if said else ():
        match = _compiled(row["words"]).search(said)
        if match is None:
            continue
        words = row["act"].replace("{node}", case.name)
        for key, value in match.groupdict().items():
            words = words.replace("{" + key + "}", value or "")
        line = on_machine(stage_of(case), row["shell"]) if "shell" in row else ()
        return Fix(
            words, actor=Actor(row["where"]), commands=(*line, *(kubectl(*look) for look in row.get("look", ())))
        )
    return None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
