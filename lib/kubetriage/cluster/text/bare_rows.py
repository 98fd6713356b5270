"""Rows of ``kubectl get`` without their header, as grep, awk and ``--no-headers`` leave them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kubetriage.cluster.text.commands import Command
from kubetriage.values.patterns import lazy

_AGE = r"(?:<unknown>|<invalid>|\d[\dydhms]{1,20})"
# The columns that kubectl 1.18 to 1.37 prints, pkg/printers/internalversion; the second form is that of -o wide.
_COLUMNS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "pods": (
        ("NAME", "READY", "STATUS", "RESTARTS", "AGE"),
        ("NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"),
    ),
    "nodes": (("NAME", "STATUS", "ROLES", "AGE", "VERSION"),),
    "deployments": (("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"),),
    "statefulsets": (("NAME", "READY", "AGE"),),
    "replicasets": (("NAME", "DESIRED", "CURRENT", "READY", "AGE"),),
    "services": (
        ("NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"),
        ("NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"),
    ),
    "endpoints": (("NAME", "ENDPOINTS", "AGE"),),
    "ingresses": (("NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"),),
    "persistentvolumeclaims": (
        ("NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "AGE"),
        ("NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "VOLUMEATTRIBUTESCLASS", "AGE"),
    ),
    "volumeattachments": (("NAME", "ATTACHER", "PV", "NODE", "ATTACHED", "AGE"),),
}
# What no other line looks like: a pod's row and a node's.
_POD = lazy(
    r"\s*(?:[a-z0-9-]{1,63}\s+)?[a-z0-9][a-z0-9.-]{1,252}\s+\d{1,3}/\d{1,3}\s+(?:Init:|Pod)?[A-Z][\w:/]{2,60}\s+\d{1,9}"
    rf"(?: \([\dydhms]{{1,20}} ago\))?\s+{_AGE}(?:\s.{{0,400}})?\Z"
)
_NODE = lazy(
    r"\s*[a-z0-9][a-z0-9.-]{1,252}\s+(?:NotReady|Ready|Unknown)(?:,SchedulingDisabled)?\s+\S{1,100}\s+"
    rf"{_AGE}\s+v1\.\d{{1,3}}\.\d{{1,3}}\S{{0,60}}(?:\s.{{0,400}})?\Z"
)


def pod_rows(rows: Sequence[str]) -> list[str]:
    """Return the rows that no other line looks like: those of pods."""
    return [row for row in rows if _POD.match(row)]


def with_header(command: Command | None, rows: Sequence[str]) -> tuple[str, str, list[str]] | None:
    """Return plural name, header and rows, in columns, of rows that lack their header; None for anything else."""
    lines = [row for row in rows if row.strip()]
    if not lines:
        return None
    asked = (
        command.resources[0] if command is not None and command.verb == "get" and len(command.resources) == 1 else ""
    )
    if all(map(_POD.match, lines)) and asked in ("", "pods"):
        plural = "pods"
    elif all(map(_NODE.match, lines)) and asked in ("", "nodes"):
        plural = "nodes"
    elif command is not None and command.output in ("", "wide") and asked in _COLUMNS:
        plural = asked
    else:
        return None
    cells = [re.split(r"\s{2,}|\t", line.strip()) for line in lines]
    for known in _COLUMNS[plural]:
        for names in (known, ("NAMESPACE", *known)):
            if all(len(row) == len(names) for row in cells):
                return plural, *_aligned([list(names), *cells])
    return None


def _aligned(table: list[list[str]]) -> tuple[str, list[str]]:
    widths = [max(map(len, column)) + 3 for column in zip(*table, strict=True)]
    header, *rows = ("".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table)
    return header, rows
