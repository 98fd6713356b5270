"""Gives a describe that lost its indentation on the way (chat, web forms) its levels back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubetriage.values.patterns import lazy

_KEY = lazy(r"([A-Za-z][\w /().-]{0,80}?):(?:\s+(\S.*))?\Z")
_TOP = frozenset(
    {
        *("name", "namespace", "priority", "priority class name", "service account", "node", "start time", "labels"),
        *("annotations", "status", "reason", "message", "ip", "ips", "controlled by", "containers", "init containers"),
        *("ephemeral containers", "conditions", "volumes", "qos class", "node-selectors", "tolerations", "events"),
        *("topology spread constraints", "readiness gates", "runtime class name", "nominatednodename"),
        *("roles", "creationtimestamp", "taints", "unschedulable", "lease", "addresses", "capacity", "allocatable"),
        *("system info", "podcidr", "podcidrs", "providerid", "non-terminated pods", "allocated resources"),
        *("termination grace period", "seccompprofile"),
    }
)
CONTAINER_KEYS = frozenset(
    {
        *("container id", "image", "image id", "port", "ports", "host port", "host ports", "command", "args", "state"),
        *("last state", "ready", "restart count", "limits", "requests", "liveness", "readiness", "startup"),
        *("environment", "environment variables from", "mounts", "devices", "seccompprofile"),
    }
)
STATE_KEYS = frozenset({"reason", "message", "exit code", "signal", "started", "finished"})
_CONTAINERS = frozenset({"containers", "init containers", "ephemeral containers"})
_LISTED = frozenset({"labels", "annotations", "tolerations", "node-selectors", "taints"})
"""Keys whose further values stand in the column of the first."""
_FEWEST = 6


def is_flat(rows: Sequence[str]) -> bool:
    """Tell whether lines that should be indented are not."""
    full = [row for row in rows if row.strip()]
    return (
        len(full) >= _FEWEST
        and not any(row.startswith(" ") for row in full)
        and any(row.strip().lower() in ("containers:", "conditions:", "events:", "system info:") for row in full)
    )


def indented(rows: Sequence[str]) -> list[str]:
    """Return the lines of a flat describe of a pod or node with their indentation, by what may stand below what."""
    full = [row.strip() for row in rows if row.strip()]
    out: list[str] = []
    section, inside, column = "", "", 0
    for at, row in enumerate(full):
        match = _KEY.match(row)
        key = match[1].lower() if match is not None else ""
        following = full[at + 1] if at + 1 < len(full) else ""
        if _begins_top(key, row, section, inside, following):
            section, inside = key, ""
            column = row.index(match[2]) if match is not None and match[2] else 0
            out.append(row)
        elif section in _CONTAINERS:
            inside, level = _in_container(key, row, inside, following)
            out.append(" " * level + row)
        elif section == "volumes":
            named = row.endswith(":") and following.startswith("Type:")
            out.append(("  " if named else "    ") + row)
        elif section in _LISTED and column:
            out.append(" " * column + row)
        else:
            out.append("  " + row)
    return out


def _begins_top(key: str, row: str, section: str, inside: str, following: str) -> bool:
    if key not in _TOP:
        return False
    if section in _CONTAINERS:
        # A state's reason, an init container that bears a key's name.
        named = row.endswith(":") and _key(following) in CONTAINER_KEYS and key not in _CONTAINERS
        return key not in CONTAINER_KEYS and not (key in STATE_KEYS and inside in ("state", "last state")) and not named
    if section == "volumes":
        return key in ("qos class", "node-selectors", "tolerations", "events", "topology spread constraints")
    if section == "events":
        return False
    if section == "system info" and key in ("labels",):
        return False
    return not (section == "ips" and key == "ip")


def _in_container(key: str, row: str, inside: str, following: str) -> tuple[str, int]:
    """Return what is read now below a container, and the level of the line."""
    if row.endswith(":") and key not in CONTAINER_KEYS and _key(following) in CONTAINER_KEYS:
        return "", 2
    if inside in ("command", "args") and not (key in CONTAINER_KEYS and row[0].isupper()):
        return inside, 6
    if key in CONTAINER_KEYS and row[0].isupper():
        return key, 4
    return inside, 6


def _key(row: str) -> str:
    match = re.match(r"([A-Za-z][\w /().-]{0,80}?):(?:\s|\Z)", row)
    return match[1].lower() if match is not None else ""
