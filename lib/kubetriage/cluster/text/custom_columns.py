"""Tables of ``kubectl get -o custom-columns``: the command says of which field each column is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubetriage.cluster.text.commands import Command
from kubetriage.cluster.text.found import Finds, Found, Raw
from kubetriage.cluster.text.printed_pods import NO_CONTAINER
from kubetriage.cluster.text.tables import read_rows
from kubetriage.found import Form
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL

_COLUMN = lazy(r"([^:,\s][^:,]{0,60}):\.?((?:metadata|spec|status)(?:\.\w{1,60}(?:\[(?:\d{1,2}|\*)\])?){1,7})\Z")
_STEP = lazy(r"(\w{1,60})(?:\[(\d{1,2}|\*)\])?")
_NONE = ("<none>", "")
_WELL = frozenset({"", "<none>", "0", "true", "Running", "Succeeded", "Completed"})
_MOST = 20
"""Members of a list that one cell may name."""


def read_custom(command: Command | None, rows: Sequence[str], finds: Finds, line: int) -> bool:
    """Put the objects of a table into ``finds``; return False for anything else."""
    if command is None or command.verb != "get" or len(command.resources) != 1:
        return False
    kind, _, words = command.output.replace("'", "").replace('"', "").partition("=")
    resource = BY_PLURAL.get(command.resources[0])
    paths = {}
    for part in words.split(",") if kind == "custom-columns" else ():
        match = _COLUMN.match(part.strip())
        if match is not None:
            paths[match[1].upper()] = match[2]
    named = next((head for head, path in paths.items() if path == "metadata.name"), "")
    if resource is None or not named or not rows:
        return False
    shows = tuple(re.sub(r"\[[\d*]+\]", "", path) for path in paths.values())
    for row in read_rows(rows[0], [r for r in rows[1:] if r.strip()]):
        told = [row.get(head, "") for head, path in paths.items() if path.startswith("status.")]
        if not row.get(named) or (resource.plural == "pods" and all(set(c.split(",")) <= _WELL for c in told)):
            # Of a pod without a fault the columns show too little to judge it.
            continue
        made: Raw = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
        for head, path in paths.items():
            if row.get(head, "") not in _NONE:
                _put(made, path, row[head])
        if resource.namespaced and command.namespace:
            made["metadata"].setdefault("namespace", command.namespace)
        finds.objects.append(Found(resource.plural, made, Form("kubectl get -o custom-columns", shows=shows), line))
    return True


def _put(made: Raw, path: str, cell: str) -> None:
    """Set a field by its path; a cell of a whole list has a value for each member, parted by commas."""
    steps = [(m[1], m[2]) for m in _STEP.finditer(path)]
    cells = cell.split(",")[:_MOST] if any(at == "*" for _, at in steps) else [cell]
    for number, value in enumerate(cells):
        inside: Any = made
        for i, (name, at) in enumerate(steps):
            last = i == len(steps) - 1
            if at is None:
                if last:
                    inside[name] = _typed(name, value)
                    break
                inside = inside.setdefault(name, {})
                continue
            members = inside.setdefault(name, [])
            place = number if at == "*" else int(at)
            while len(members) <= min(place, _MOST):
                members.append({"name": NO_CONTAINER if not members else f"{NO_CONTAINER}-{len(members) + 1}"})
            if last or not isinstance(members, list):
                break
            inside = members[min(place, _MOST)]
        if not isinstance(inside, dict):
            return


def _typed(name: str, value: str) -> Any:
    if name in ("restartCount", "exitCode", "signal", "replicas", "readyReplicas") and value.isdigit():
        return int(value)
    return value == "true" if value in ("true", "false") and name in ("ready", "started") else value
