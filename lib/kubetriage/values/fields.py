"""Total access to raw JSON objects from the API.

Objects in the wild are older, newer or damaged: a field may be absent, null or of another type. These
functions never raise; they return an empty value of the type that the caller asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.typed import Any

Obj = Mapping[str, Any]
"""One raw JSON object."""

Step = str | int

MADE_UID = "made:"
"""Begins what stands for a uid that no text tells. It ties owners and events to objects and is never shown."""


MAPPINGS: set[type] = {dict}
"""Types that are known to be a Mapping: to ask for an abstract one takes ten times as long."""


def dig(value: Any, *path: Step) -> Any:
    """Follow keys and list indexes; None where the path ends early."""
    for step in path:
        # What json made is a dict, and its keys are texts.
        if type(value) is dict:
            value = value.get(step)
        elif value is None:
            return None
        elif isinstance(step, str) and (type(value) in MAPPINGS or isinstance(value, Mapping)):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


_LONGEST_TEXT = 32 * 1024


def text(value: Any, *path: Step) -> str:
    """Return the string at ``path``, or the empty string; no more than 32 KiB of it, in which a message says it all."""
    # As dig does; this is the function that is called most.
    for step in path:
        value = value.get(step) if type(value) is dict else dig(value, step)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""


def number(value: Any, *path: Step) -> int | None:
    """Return the integer at ``path``; None when absent or not a whole number."""
    found = dig(value, *path)
    if isinstance(found, bool):
        return None
    if isinstance(found, int):
        return found
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return None


def flag(value: Any, *path: Step) -> bool | None:
    """Return the boolean at ``path``; None when absent or not a boolean."""
    found = dig(value, *path)
    return found if isinstance(found, bool) else None


def mapping(value: Any, *path: Step) -> Obj:
    """Return the object at ``path``, or an empty one."""
    found = dig(value, *path)
    return found if type(found) in MAPPINGS or isinstance(found, Mapping) else {}


def objects(value: Any, *path: Step) -> list[Obj]:
    """Return the objects of the list at ``path``; members of other types are left out."""
    found = dig(value, *path)
    if not isinstance(found, list):
        return []
    return [o for o in found if type(o) is dict or isinstance(o, Mapping)]


def texts(value: Any, *path: Step) -> list[str]:
    """Return the strings of the list at ``path``; members of other types are left out."""
    found = dig(value, *path)
    return [s for s in found if isinstance(s, str)] if isinstance(found, list) else []


def labels(value: Any, *path: Step) -> dict[str, str]:
    """Return the string-to-string map at ``path`` (labels, selectors, annotations)."""
    return {k: v for k, v in mapping(value, *path).items() if isinstance(v, str) and isinstance(k, str)}


def name_of(obj: Any) -> str:
    """Return ``metadata.name``."""
    return text(obj, "metadata", "name")


def namespace_of(obj: Any) -> str:
    """Return ``metadata.namespace``."""
    return text(obj, "metadata", "namespace")


def uid_of(obj: Any) -> str:
    """Return ``metadata.uid``."""
    return text(obj, "metadata", "uid")


def told_uid(uid: str) -> str:
    """Return a uid of the API server, or an empty string for one that stands for it."""
    return "" if uid.startswith(MADE_UID) else uid


def condition(obj: Any, kind: str) -> Obj:
    """Return the condition of this type in ``status.conditions``, or an empty object."""
    for found in objects(obj, "status", "conditions"):
        if found.get("type") == kind:
            return found
    return {}


def controller_of(obj: Any) -> Obj:
    """Return the owner reference with ``controller: true``, or an empty object."""
    for owner in objects(obj, "metadata", "ownerReferences"):
        if owner.get("controller") is True:
            return owner
    return {}
