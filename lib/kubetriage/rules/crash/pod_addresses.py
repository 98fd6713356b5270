"""Network plugins by the words of their errors, and what to do when they have no address left."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kubetriage.data import table
from kubetriage.records import dataclass
from kubetriage.typed import Any
from kubetriage.values.commands import Command, kubectl


@dataclass(frozen=True)
class NetworkPlugin:
    """One row of the table of network plugins."""

    row: Mapping[str, Any]

    @property
    def no_address(self) -> str:
        """What to do when no address is left; ``{node}`` stands for the node."""
        return str(self.row["no_address"])

    @property
    def cloud(self) -> bool:
        """The addresses are the cloud's."""
        return bool(self.row.get("cloud"))

    def look(self, node: str) -> tuple[Command, ...]:
        """Return the commands that show the plugin's own state."""
        return tuple(kubectl(*(w.replace("{node}", node) for w in words)) for words in self.row.get("look", ()))


def cni_of(words: str) -> NetworkPlugin | None:
    """Return the plugin that an error comes from, or None."""
    for row in table("pod_address_ranges")["rows"]:
        if re.search(row["words"], words, re.IGNORECASE):
            return NetworkPlugin(row)
    return None
