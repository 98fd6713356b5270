"""Conditions that grep left of the describe of a custom resource; the command names the object."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.cluster.text import condition_parts
from kubetriage.cluster.text.ages import api_time
from kubetriage.cluster.text.commands import Command
from kubetriage.cluster.text.found import Finds, Raw
from kubetriage.cluster.text.keyed import field_name
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL

_FIELD = lazy(
    r"\s{1,40}(Last Transition Time|Last Heartbeat Time|Message|Observed Generation|Reason|Severity|Status|Type):"
    r"(?:\s{1,40}(\S.{0,4000}))?\s*\Z"
)
_OTHERS = frozenset({"nodes", "pods", "deployments", "replicasets", "jobs", "services"})
"""Resources whose describe prints conditions in a form of its own, or none."""


def read_cut_conditions(command: Command | None, rows: Sequence[str], finds: Finds, line: int) -> bool:
    """Take the conditions of the one object that a describe was asked for; tell whether there were any."""
    if command is None or command.verb != "describe" or len(command.names) != 1 or len(command.resources) != 1:
        return False
    resource = BY_PLURAL.get(command.resources[0])
    conditions = _conditions(rows)
    if resource is None or resource.plural in _OTHERS or not conditions:
        return False
    about = condition_parts.About((resource.plural,), command.names[0], command.namespace)
    return condition_parts.take([{"conditions": conditions}], about, finds, line)


def _conditions(rows: Sequence[str]) -> list[Raw]:
    """Part the rows into conditions: the keys of one are sorted, so Type ends it."""
    found: list[Raw] = []
    one: Raw = {}
    for row in rows:
        match = _FIELD.match(row)
        if match is None:
            continue
        key, value = field_name(match[1]), (match[2] or "").strip()
        one[key] = api_time(value) or value if key.endswith("Time") else value
        if key == "type":
            if one.get("status") in ("True", "False", "Unknown"):
                found.append(one)
            one = {}
    return found
