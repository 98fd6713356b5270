"""Taints that a controller sets or takes off: from a taint's key to the controller and its pods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache

from kubetriage.data import table
from kubetriage.needs import List, Need
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any


@dataclass(frozen=True)
class TaintController:
    """Who owns a taint."""

    key: str
    """The taint's key."""
    name: str
    """The controller in words (``the Cilium agent``); empty where a person sets and removes the taint."""
    removes: str
    """When the controller takes the taint off, as a clause (``once the agent runs on that node``); empty where the
    node is about to go."""
    act: str
    """What to do where the taint does not go by itself, as sentences."""
    on_node: bool
    """The controller is an agent: its pod on the tainted node counts."""
    namespaces: tuple[str, ...]
    """Where its pods usually run."""
    pattern: str
    """Regular expression for the names and labels of its pods."""
    word: str = ""
    """What the names of its pods hold, for a search in a list."""
    missing: str = ""
    """What a node lacks until the taint is taken off; empty for a taint that does not mark a new node."""
    secret: str = ""
    """The Secret with the controller's credentials, where it has one."""
    asks: str = ""
    """The object that it works on, in words."""
    look: tuple[tuple[str, ...], ...] = ()
    """Arguments of kubectl that show that object."""

    @property
    def subject(self) -> str:
        """The controller at the begin of a sentence."""
        return self.name[:1].upper() + self.name[1:]

    @property
    def temporary(self) -> bool:
        """The taint goes by itself once the controller has done its work on the node."""
        return bool(self.removes)

    def needs(self) -> Iterator[Need]:
        """Ask for the pods of the namespaces in which the controller usually runs."""
        for namespace in self.namespaces:
            yield List("pods", namespace)

    def pods(self, snapshot: Snapshot, nodes: frozenset[str] = frozenset()) -> list[Pod]:
        """Return the controller's known pods; of an agent those on ``nodes``, where it has any there."""
        found = [p for p in map(Pod, snapshot.list("pods").items) if self.owns(p) and not p.finished]
        there = [p for p in found if p.node in nodes]
        return there if self.on_node and there else found

    def seen(self, snapshot: Snapshot) -> bool:
        """Tell whether all places were read in which its pods usually run."""
        listings = [snapshot.list("pods", namespace) for namespace in self.namespaces]
        return bool(listings) and all(listing.complete and not listing.presumed for listing in listings)

    def owns(self, pod: Pod) -> bool:
        """Tell whether a pod is one of the controller's own."""
        marks = (pod.name, *(f"{k}={v}" for k, v in pod.labels.items()))
        return any(re.search(self.pattern, mark) for mark in marks)


@cache
def controller_of_taint(key: str) -> TaintController | None:
    """Return who owns the taint with this key, or None where it is the cluster's own reservation."""
    row = next((row for row in table("taints")["rows"] if fnmatchcase(key, row["taint"])), None)
    return _read(row, key) if row is not None else None


def _read(row: Mapping[str, Any], key: str) -> TaintController:
    driver, _, last = key.partition("/")
    # The pattern's own word for the agent: the first label of a driver's name, or what Nidhogg's key ends with.
    stem = last.rpartition(".")[2] if row["taint"].startswith("nidhogg") else driver.partition(".")[0]
    return TaintController(
        key,
        row["controller"].replace("{driver}", driver),
        row["removes"],
        row.get("act", ""),
        row["scope"] == "node",
        tuple(row["namespaces"]),
        row["pods"].replace("{stem}", re.escape(stem)),
        row.get("word", "").replace("{stem}", stem),
        row.get("missing", "").replace("{driver}", driver),
        row.get("secret", ""),
        row.get("asks", ""),
        tuple(map(tuple, row.get("look", ()))),
    )
