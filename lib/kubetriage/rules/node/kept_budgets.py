"""PodDisruptionBudgets that an operator holds at zero on purpose: in comes the budget, out go its keeper and a way."""

from __future__ import annotations

import re

from kubetriage.data import table
from kubetriage.records import dataclass
from kubetriage.values.commands import kubectl


@dataclass(frozen=True)
class Kept:
    """Who holds a budget, and what lets it go."""

    keeper: str
    says: str
    fix: str
    commands: tuple[str, ...]


def keeper_of(budget: str) -> Kept | None:
    """Return who holds a budget (``NAMESPACE/NAME``); None for one that people wrote."""
    row = next((r for r in table("kept_budgets")["rows"] if re.search(r["budget"], budget)), None)
    if row is None:
        return None
    return Kept(row["keeper"], row["says"], row["fix"], tuple(kubectl(*words) for words in row["commands"]))
