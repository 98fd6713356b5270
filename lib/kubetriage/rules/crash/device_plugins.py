"""Devices that a plugin reports to the kubelet: from an extended resource to the plugin's pods and their cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from kubetriage.data import table
from kubetriage.needs import List, Need
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.root_causes import Root, first_root, pods_named
from kubetriage.typed import Any


def _row(resource: str) -> Mapping[str, Any] | None:
    return next((row for row in table("device_plugins")["rows"] if fnmatchcase(resource, row["resource"])), None)


def plugin_name(resource: str) -> str:
    """Return the plugin of an extended resource in words; "its device plugin" where it is not known."""
    row = _row(resource)
    return f"the {row['plugin']}" if row is not None else "its device plugin"


def lacking(resource: str) -> str:
    """Return what to do where no node reports a resource; empty where nothing special is known."""
    return str((_row(resource) or {}).get("lacking", ""))


def needs(resource: str) -> Iterator[Need]:
    """Ask for the pods of the namespaces in which the plugin usually runs."""
    for namespace in (_row(resource) or {}).get("namespaces", ()):
        yield List("pods", namespace)


def plugin_pods(case: Case, resource: str, node: str = "") -> list[Pod]:
    """Return the plugin's known pods, those on ``node`` alone where one is given."""
    row = _row(resource)
    if row is None:
        return []
    return pods_named(case.snapshot, row["pods"], node=node)


def plugin_root(case: Case, resource: str, node: str = "") -> Root | None:
    """Return the cause of the plugin's pods, where one of them does not do its work."""
    return first_root(case.explain, plugin_pods(case, resource, node))
