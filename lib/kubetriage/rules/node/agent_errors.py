"""What ends the words with which a network plugin's own pod does not start: the rows of ``plugin_agent_errors``."""

from __future__ import annotations

from kubetriage.model import Actor, Fix
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.missing_network import Missing
from kubetriage.rules.node.plugin_words import known_words
from kubetriage.rules.node.stage import stage_of
from kubetriage.rules.node.word_findings import on_machine
from kubetriage.values.commands import kubectl


def agent_fix(case: NodeCase, missing: Missing) -> Fix | None:
    """Return what the words of the plugin's pod ask for; None where no row knows them."""
    said = missing.says or (missing.told.message if missing.told is not None else "")
    known = known_words(said)
    if known is None:
        return None
    row, match = known
    words = row["act"].replace("{node}", case.name)
    for key, value in match.groupdict().items():
        words = words.replace("{" + key + "}", (value or "").rstrip(".,"))
    line = on_machine(stage_of(case), row["shell"]) if "shell" in row else ()
    return Fix(words, actor=Actor(row["where"]), commands=(*line, *(kubectl(*look) for look in row.get("look", ()))))
