"""JSON that is no object by itself: events as watchers and chat robots send them, and what a JSONPath picked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from kubetriage.cluster.text.commands import Command
from kubetriage.cluster.text.found import Finds, Found, FoundEvent, Raw
from kubetriage.cluster.text.printed_pods import NO_CONTAINER
from kubetriage.found import Form
from kubetriage.typed import Any
from kubetriage.values.fields import mapping, number, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL

_PATH = lazy(r"jsonpath=[\'\"]?\{\.((?:spec|status|metadata)(?:\.\w{1,60}(?:\[0\])?){1,5})\}[\'\"]?\Z")


def json_events(rows: Sequence[str]) -> list[FoundEvent]:
    """Return the events of rows of which each is the JSON of one; empty when any row is something else."""
    found = []
    for row in filter(None, map(str.strip, rows)):
        if not row.startswith("{") or '"involvedObject"' not in row:
            return []
        try:
            value = json.loads(row)
        except (ValueError, RecursionError):
            return []
        if not isinstance(value, Mapping) or not text(value, "reason") or not text(value, "involvedObject", "name"):
            return []
        found.append(_event(value))
    return found


def _event(value: Mapping[str, Any]) -> FoundEvent:
    about = mapping(value, "involvedObject")
    return FoundEvent(
        kind=text(about, "kind") or "Pod",
        name=text(about, "name"),
        namespace=text(about, "namespace"),
        warning=text(value, "type") == "Warning",
        reason=text(value, "reason"),
        message=text(value, "message"),
        age=None,
        first=None,
        count=int(number(value, "count") or 1),
        component=text(value, "source", "component") or text(value, "reportingComponent"),
        container_path=text(about, "fieldPath"),
        at=text(value, "lastTimestamp") or text(value, "eventTime"),
        listed=True,
    )


def picked(command: Command | None, rows: Sequence[str], finds: Finds, line: int) -> bool:
    """Put into ``finds`` the one field of one object that a JSONPath picked; return False for anything else."""
    if command is None or command.verb != "get" or len(command.resources) != 1 or len(command.names) != 1:
        return False
    resource, path = BY_PLURAL.get(command.resources[0]), _PATH.match(command.output)
    if resource is None or path is None:
        return False
    words = "\n".join(rows).strip()
    try:
        value: Any = json.loads(words)
    except (ValueError, RecursionError):
        value = words
    inside: Any = value
    for key in reversed(path[1].split(".")) if words else ():
        field, first, _ = key.partition("[")
        if first and isinstance(inside, dict):
            # Its name stands elsewhere in the text, or nowhere.
            inside.setdefault("name", NO_CONTAINER)
        inside = {field: [inside] if first else inside}
    if not isinstance(inside, dict):
        inside = {}
    made: Raw = {"apiVersion": resource.api_version, "kind": resource.kind, **inside}
    made["metadata"] = {**made.get("metadata", {}), "name": command.names[0]}
    if resource.namespaced and command.namespace:
        made["metadata"]["namespace"] = command.namespace
    form = Form("kubectl get -o jsonpath", shows=("metadata.name", path[1].replace("[0]", "")))
    finds.objects.append(Found(resource.plural, made, form, line))
    return True
