"""ConfigMaps, Secrets and custom resources as ``kubectl describe`` prints them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubetriage.cluster.text.ages import api_time
from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.outline import Entry
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy

_KEY_LINE = lazy(r"([-._a-zA-Z0-9]{1,253}):\s*\Z")
_SECRET_LINE = lazy(r"([-._a-zA-Z0-9]{1,253}):\s+\d{1,12} bytes\Z")


def config_map(rows: Sequence[str]) -> Raw:
    """Make a ConfigMap of the lines of its describe: ``key:``, ``----``, and the value up to the next key."""
    made: Raw = {"apiVersion": "v1", "kind": "ConfigMap"}
    section, key = "", ""
    for at, row in enumerate(rows):
        following = rows[at + 1].strip() if at + 1 < len(rows) else ""
        stripped = row.strip()
        if stripped in ("Data", "BinaryData") and following == "=" * len(stripped):
            section, key = ("data" if stripped == "Data" else "binaryData"), ""
            made.setdefault(section, {})
        elif section and (match := _KEY_LINE.match(stripped)) is not None and re.fullmatch(r"-{4,}", following):
            key = match[1]
            made[section][key] = ""
        elif section == "binaryData" and (size := _SECRET_LINE.match(stripped)) is not None:
            made[section][size[1]] = ""
        elif row.startswith("Events:"):
            break
        elif key and section == "data" and not re.fullmatch(r"-{4,}", stripped):
            made[section][key] += row + "\n"
    for name, value in made.get("data", {}).items():
        made["data"][name] = value.strip("\n")
    return made


def secret(root: Entry) -> Raw:
    """Make a Secret of its describe: the names of its keys; values are not printed."""
    made: Raw = {"apiVersion": "v1", "kind": "Secret", "type": root.text("Type") or "Opaque"}
    made["data"] = {e.key: "" for e in root.below if re.fullmatch(r"\d{1,12} bytes", e.value)}
    token = root.get("token")
    if token is not None and token.value and not token.value.endswith(" bytes"):
        made["data"]["token"] = ""
    return made


_LISTS = frozenset(
    [
        "addresses",
        "allowedMethods",
        "backendRefs",
        "certificateRefs",
        "conditions",
        "endpoints",
        "egress",
        "filters",
        "from",
        "hostnames",
        "hosts",
        "http",
        "includes",
        "ingress",
        "kinds",
        "listeners",
        "matches",
        "managedFields",
        "ownerReferences",
        "parentRefs",
        "parents",
        "paths",
        "ports",
        "principals",
        "requestRedirect",
        "routes",
        "rules",
        "servers",
        "services",
        "supportedKinds",
        "tls",
        "to",
        "tolerations",
        "controllers",
        "items",
        "headers",
        "queryParams",
        "subsets",
    ]
)
"""Fields that are lists in the custom resources that are read; the printed form does not tell a list of one map."""
_MAPS = frozenset(["tls", "http", "requestRedirect"])
"""Fields that are a list in some resources and a map in others; a map unless a key comes twice."""
_WORDS = frozenset(
    [
        "name",
        "namespace",
        "kind",
        "group",
        "version",
        "apiVersion",
        "reason",
        "message",
        "type",
        "status",
        "hostname",
        "host",
        "path",
    ]
)


def custom(root: Entry, kind: str, api_version: str) -> Raw:
    """Make an object of the generic form: keys with blanks and capitals, lists without a mark of their items."""
    made: Raw = {"apiVersion": api_version, "kind": kind}
    for entry in root.below:
        field = field_name(entry.key)
        if field in ("name", "namespace", "labels", "annotations", "apiVersion", "kind", "events", ""):
            continue
        value = _value(entry, field)
        if field == "metadata":
            if isinstance(value, dict):
                made["metadata"] = {k: v for k, v in value.items() if k != "managedFields"}
        elif value is not None:
            made[field] = value
    return made


def field_name(label: str) -> str:
    """Return the field of the API that a label stands for: ``Backend Refs`` is ``backendRefs``."""
    words = label.split()
    if not words:
        return ""
    if len(words) == 1 and not words[0].isupper() and words[0][:1].isupper():
        return words[0][:1].lower() + words[0][1:]
    first = words[0].lower()
    return first + "".join(
        w if w.isupper() and len(w) > 1 and w not in ("API", "URL", "UID") else w[:1].upper() + w[1:] for w in words[1:]
    ).replace("URL", "Url")


def _value(entry: Entry, field: str) -> Any:
    if not entry.below:
        if field in _LISTS and field not in _MAPS:
            return [_scalar(v, "") for v in (entry.value, *entry.more) if v]
        return _scalar(entry.value, field) if not entry.more else "\n".join([entry.value, *entry.more])
    if all(not e.key for e in entry.below):
        return [_scalar(e.raw, "") for e in entry.below]
    items = _items(entry.below)
    made = [{field_name(e.key): _value(e, field_name(e.key)) for e in item if e.key} for item in items]
    if len(made) > 1 or (field in _LISTS and field not in _MAPS):
        return made
    return made[0] if made else {}


def _items(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Part the keys of a list of maps: keys of one map are sorted, so one that is not after the last begins another."""
    items: list[list[Entry]] = []
    last = ""
    for entry in entries:
        name = field_name(entry.key)
        if not items or name <= last:
            items.append([])
        items[-1].append(entry)
        last = name
    return items


def _scalar(value: str, field: str) -> Any:
    if value == "<none>":
        return None
    if value in ("true", "false") and field not in ("status",):
        return value == "true"
    if re.fullmatch(r"-?\d{1,15}", value) and field not in _WORDS:
        return int(value)
    return api_time(value) or value if field.endswith(("Time", "Timestamp")) else value
