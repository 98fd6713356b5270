"""What may have taken the memory of a container: one thing, what speaks for it, and what ends it."""

from __future__ import annotations

from datetime import timedelta

from kubetriage.model import Evidence, Fix
from kubetriage.records import dataclass

AT_ONCE = timedelta(seconds=10)
"""A kill this soon after the start is an allocation at start, not load and not a leak."""
WHILE_STARTING = timedelta(minutes=3)
"""A kill this soon after the start fell into the start."""


@dataclass(frozen=True)
class Candidate:
    """One thing that may have taken the memory."""

    name: str
    """Stable short name, for the JSON contract."""
    clause: str
    """What it is, as a short clause that follows the headline."""
    more: str
    """What speaks for it, as sentences; may be empty."""
    told: bool
    """The data at hand tells it; otherwise it is only possible."""
    fixes: tuple[Fix, ...]
    evidence: tuple[Evidence, ...] = ()
