"""Kills for memory that no status tells of: a pod and its node in, who may have killed it and where that is seen out.

The facts stand in a dated table (``data/oom_killers.json``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kubetriage.data import table
from kubetriage.model import Actor, Fix
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.typed import Any
from kubetriage.values.commands import Command, shell
from kubetriage.values.fields import objects, text

_JOURNAL = ("systemd-oomd", "earlyoom", "nohang")
"""Units of the killers in user space that people install."""


@dataclass(frozen=True)
class UnreportedKiller:
    """One row of the table, for the node of one pod."""

    row: Mapping[str, Any]
    case: Case

    @property
    def name(self) -> str:
        """Who kills."""
        return str(self.row["killer"])

    @property
    def words(self) -> str:
        """Why the node may have it, as a clause."""
        return str(self.row["words"])

    def fix(self) -> Fix:
        """Say where its kills are seen, and what sets it."""
        node = self.case.pod.node or "its node"
        words = f"Look whether {self.name} killed it on {node}. {self.row['config']}"
        return Fix(words, actor=Actor.NODE, commands=self._commands())

    def _commands(self) -> tuple[Command, ...]:
        address = next(
            (
                text(a, "address")
                for a in objects(self.case.node.obj, "status", "addresses")
                if text(a, "type") == "InternalIP"
            ),
            self.case.pod.node,
        )
        looks = tuple(shell(*(w.format(address=address) for w in words)) for words in self.row.get("look", ()))
        units = tuple(self.row.get("journal", ()))
        return looks or ((journal(self.case, units),) if units else ())


def journal(case: Case, units: tuple[str, ...] = _JOURNAL) -> Command:
    """Write the command that shows what killers in user space logged on the pod's node."""
    wanted = (w for unit in units for w in ("-u", unit))
    return node_command(case, "journalctl", *wanted, "--since", "-1h")


def unreported_killer(case: Case) -> UnreportedKiller | None:
    """Return who may have killed for memory on the pod's node without the reason OOMKilled; None for nobody known."""
    info = ("status", "nodeInfo")
    seen = {
        "os": text(case.node.obj, *info, "osImage"),
        "runtime": text(case.node.obj, *info, "containerRuntimeVersion"),
        "sandbox": text(case.pod.raw, "spec", "runtimeClassName"),
    }
    for row in table("oom_killers")["rows"]:
        for key, value in seen.items():
            if key in row and value and re.search(row[key], value):
                return UnreportedKiller(row, case)
    return None
