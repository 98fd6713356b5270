"""Conditions of an object, cut from its YAML or describe by grep or a mouse: whose they are, and where they stood.

Pods have other readers. An object is known by the command above, else by conditions that only one kind has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubetriage.cluster.text.documents import parsed
from kubetriage.cluster.text.found import Finds, Found, Raw
from kubetriage.cluster.text.keyed import custom
from kubetriage.cluster.text.lines import dedent
from kubetriage.cluster.text.outline import Entry
from kubetriage.found import Form
from kubetriage.records import dataclass
from kubetriage.typed import Any
from kubetriage.values.fields import mapping, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL, Resource

_ROUTES = ("httproutes", "grpcroutes", "tlsroutes")
_PLACEHOLDERS = {"httproutes": "ROUTE", "gateways": "GATEWAY", "apiservices": "APISERVICE", "nodes": "NODE"}
"""Stand for the names of objects that a part does not tell."""
# kube-aggregator pkg/controllers/status: only of APIs that a Service serves.
_AGGREGATED = frozenset({"FailedDiscoveryCheck", "MissingEndpoints", "EndpointsNotFound", "ServiceNotFound"}) | {
    "ServiceAccessError",
    "ServicePortError",
    "EndpointsAccessError",
}
_API = lazy(r"/apis/([a-z0-9.-]{1,253})/(v\d{1,2}(?:(?:alpha|beta)\d{1,2})?)(?=[:\s\"/?]|\Z)")
_SERVICE = lazy(r"(?:service/|endpoints for service/)([a-z0-9-]{1,63}) in \"([a-z0-9-]{1,63})\"")
# Gateway API v1, ListenerConditionType: types that a Gateway itself does not have.
_OF_LISTENERS = frozenset({"ResolvedRefs", "Conflicted", "Ready", "Detached", "OverlappingTLSConfig"})
_NO_LISTENER = "LISTENER"
_NODE_TYPES = frozenset({"MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"})


@dataclass(frozen=True)
class About:
    """What the command above a part tells of it."""

    asked: tuple[str, ...] = ()
    """Plural names of the resources that it asked for."""
    name: str = ""
    namespace: str = ""


def read_yaml(rows: Sequence[str], about: About, finds: Finds, line: int) -> bool:
    """Take the conditions of a part of YAML or JSON; return False where there are none, or of nobody known."""
    parts: list[Raw] = []
    chunk: list[str] = []
    for row in (*rows, "--"):
        if row.strip() != "--":
            chunk.append(row)
            continue
        # grep writes this between two matches.
        parts += [status for document in parsed("\n".join(dedent(chunk))) if (status := _status(document))]
        chunk = []
    return take(parts, about, finds, line)


def read_described(root: Entry, about: About, finds: Finds, line: int) -> bool:
    """Take the conditions of a part of a describe of the generic form, in which kubectl prints custom kinds."""
    status = _status(custom(root, "", ""))
    return bool(status) and take([status], about, finds, line)


def _status(document: Any) -> Raw:
    """Return what a part tells of a status; empty where it tells of no conditions."""
    if isinstance(document, list):
        rows = [row for row in document if isinstance(row, Mapping)]
        if rows and all({"type", "status"} <= set(row) for row in rows):
            return {"conditions": rows}
        held = [dict(row) for row in rows if objects(row, "conditions")]
        if not held:
            return {}
        listeners = any("attachedRoutes" in row or "supportedKinds" in row for row in held)
        return {"listeners" if listeners else "parents": held}
    if not isinstance(document, Mapping):
        return {}
    if isinstance(status := document.get("status"), Mapping):
        return _status(status)
    if {"type", "status", "reason"} <= set(document):
        return {"conditions": [dict(document)]}
    if "controllerName" in document or "parentRef" in document:
        # The describe prints a list of one as the one.
        return {"parents": [dict(document)]} if objects(document, "conditions") else {}
    kept = {key: document[key] for key in ("conditions", "parents", "listeners", "addresses") if key in document}
    if isinstance(one := kept.get("conditions"), Mapping):
        kept["conditions"] = [one]
    return kept if any(objects(kept, key) for key in ("conditions", "parents", "listeners")) else {}


def take(parts: Sequence[Raw], about: About, finds: Finds, line: int) -> bool:
    """Make the object that parts of a status are of; return False where nobody tells which."""
    status: Raw = {}
    for part in parts:
        for key, value in part.items():
            status[key] = [*status.get(key, ()), *value] if isinstance(value, list) else value
    conditions = [c for c in objects(status, "conditions") if text(c, "type")]
    resource = _resource(status, conditions, about.asked)
    if resource is None or (about.asked and not about.name and resource.plural != "apiservices"):
        # A command without a name printed all objects of the kind.
        return False
    if resource.plural in _ROUTES and "parents" not in status:
        status = {"parents": [{"conditions": conditions}]}
    name = about.name
    if resource.plural == "gateways":
        own = [c for c in conditions if text(c, "type") not in _OF_LISTENERS]
        if len(own) < len(conditions):
            # Cut from a listener, whose name stands behind its conditions.
            theirs = [c for c in conditions if text(c, "type") in _OF_LISTENERS]
            status["listeners"] = [*objects(status, "listeners"), {"name": _NO_LISTENER, "conditions": theirs}]
        if not any(text(c, "type") == "Programmed" or text(c, "status") == "False" for c in own):
            status.pop("conditions", None)
    made: Raw = {"apiVersion": resource.api_version, "kind": resource.kind, "status": status}
    shows = ["metadata.name", *(f"status.{key}" for key in status)]
    if resource.plural in _ROUTES:
        # There is a status of each parent that the spec names.
        refs = [dict(ref) for row in objects(status, "parents") if (ref := mapping(row, "parentRef"))]
        if refs:
            made["spec"] = {"parentRefs": refs}
            shows.append("spec.parentRefs")
    elif resource.plural == "gateways" and (names := [text(row, "name") for row in objects(status, "listeners")]):
        made["spec"] = {"listeners": [{"name": one or _NO_LISTENER} for one in names]}
        status["listeners"] = [
            {**row, "name": text(row, "name") or _NO_LISTENER} for row in objects(status, "listeners")
        ]
        shows.append("spec.listeners.name")
    elif resource.plural == "apiservices":
        name = name or _api_name(conditions)
        if any(text(c, "reason") in _AGGREGATED for c in conditions):
            made["spec"] = {"service": _service(conditions)}
    made["metadata"] = {"name": name or _PLACEHOLDERS.get(resource.plural, resource.kind.upper())}
    if resource.namespaced and about.namespace:
        made["metadata"]["namespace"] = about.namespace
    form = Form(f"conditions of {resource.kind}", shows=tuple(shows))
    finds.objects.append(Found(resource.plural, made, form, line, described=True))
    return True


def _resource(status: Raw, conditions: Sequence[Mapping[str, Any]], asked: Sequence[str]) -> Resource | None:
    if len(asked) == 1:
        return BY_PLURAL.get(asked[0]) if asked[0] != "pods" else None
    types = {text(c, "type") for c in conditions}
    if objects(status, "parents") and any("parentRef" in row for row in objects(status, "parents")):
        return BY_PLURAL["httproutes"]
    if objects(status, "listeners") or "Programmed" in types:
        return BY_PLURAL["gateways"]
    if "Available" in types and any(text(c, "reason") in _AGGREGATED for c in conditions):
        return BY_PLURAL["apiservices"]
    return BY_PLURAL["nodes"] if types & _NODE_TYPES else None


def _api_name(conditions: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of an APIService, which is its version and group, as the message's path tells them."""
    found = next((m for c in conditions if (m := _API.search(text(c, "message"))) is not None), None)
    return f"{found[2]}.{found[1]}" if found is not None else ""


def _service(conditions: Sequence[Mapping[str, Any]]) -> Raw:
    """Return the Service of an API, which only some messages name."""
    found = next((m for c in conditions if (m := _SERVICE.search(text(c, "message"))) is not None), None)
    return {"namespace": found[2], "name": found[1]} if found is not None else {"namespace": "", "name": ""}
