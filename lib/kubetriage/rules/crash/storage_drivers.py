"""Storage drivers: from a driver's name to its controller's and node pods, and to their cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from kubetriage.data import table
from kubetriage.needs import List, Need
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.root_causes import Root, first_root, pods_named
from kubetriage.typed import Any


def _row(driver: str) -> Mapping[str, Any] | None:
    return next((row for row in table("storage_drivers")["rows"] if fnmatchcase(driver, row["driver"])), None)


def needs(driver: str) -> Iterator[Need]:
    """Ask for the pods of the namespaces in which the driver usually runs."""
    for namespace in (_row(driver) or {}).get("namespaces", ()):
        yield List("pods", namespace)


def driver_pods(case: Case, driver: str, node: str = "") -> list[Pod]:
    """Return the known pods of the driver's controller, or its node pods on ``node``."""
    row = _row(driver)
    if row is None:
        return []
    return pods_named(case.snapshot, row["node" if node else "controller"], row["namespaces"], node)


def driver_root(case: Case, driver: str, node: str = "") -> Root | None:
    """Return the cause of the driver's controller, or of its pod on ``node``, where it does not work."""
    return first_root(case.explain, driver_pods(case, driver, node))
