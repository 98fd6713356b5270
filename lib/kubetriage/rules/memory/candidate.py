"""What may have taken the memory of a container: one thing, what speaks for it, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass

from kubetriage.model import Evidence, Fix


@dataclass(frozen=True)
class Candidate:
    """One thing that may have taken the memory."""

    name: str
    """Stable short name, for the JSON contract."""
    says: str
    """What it is and what speaks for it, as a sentence without its full stop."""
    told: bool
    """The data at hand tells it; otherwise it is only possible."""
    fixes: tuple[Fix, ...]
    evidence: tuple[Evidence, ...] = ()
