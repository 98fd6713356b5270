"""What is asked of pasted texts, and what they held beside the snapshot."""

from __future__ import annotations

from datetime import datetime

from kubetriage.cluster.text.found import Unused
from kubetriage.records import dataclass, field

ObjectKey = tuple[str, str, str]
"""Resource, namespace and name."""
LogKey = tuple[str, str, str, bool]
"""Namespace, pod, container, and whether it is the log of the instance before."""


@dataclass(frozen=True)
class Hint:
    """What the user said on the command line; it names what a text leaves out."""

    namespace: str = ""
    targets: tuple[tuple[str, str], ...] = ()
    """Resource and name."""
    container: str = ""
    now: datetime | None = None
    """``--now``: when the text was printed."""


@dataclass
class Paste:
    """What the texts of one run held, beside what is in the snapshot."""

    namespace: str = "default"
    """The namespace of what does not name its own."""
    described: list[ObjectKey] = field(default_factory=list)
    """Resource, namespace and name of the objects that a describe or a document is about."""
    logs: dict[LogKey, str] = field(default_factory=dict)
    unused: list[Unused] = field(default_factory=list)
