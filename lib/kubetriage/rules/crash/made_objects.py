"""Secrets and ConfigMaps that another program makes: whose work is missing, and how its pods are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.data import table
from kubetriage.model import Actor, Evidence, Fix
from kubetriage.needs import List, Need
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.root_causes import Root, first_root, pods_named, suspects
from kubetriage.typed import Any
from kubetriage.values.commands import kubectl


@dataclass(frozen=True)
class Maker:
    """The program that makes an object, as far as it was seen."""

    name: str
    """Of the missing object."""
    namespace: str
    row: Any
    pods: tuple[Pod, ...]
    root: Root | None

    @property
    def message(self) -> str:
        """Say who makes the object, and how its pods are."""
        said = f" It is made by {self.row['maker']}."
        if self.root is not None and self.root.cause != "Unknown":
            return f"{said} That does not work: {self.root.words}"
        if not self.pods:
            return f"{said} No pod of it was seen."
        if suspects(self.pods):
            pod = suspects(self.pods)[0]
            return f"{said} Its pod {pod.namespace}/{pod.name} is not ready ({pod.status_text()})."
        return said

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """Repair the maker first; then what makes it do its work again."""
        place = (self.row.get("namespaces") or [self.namespace])[0]
        looks = [kubectl(*words) for words in self.row.get("look", ())]
        looks.append(kubectl("get", "pods,jobs", namespace=place))
        act = self.row["act"]
        known = self.root is not None and self.root.cause != "Unknown"
        if known and self.root is not None and self.root.finding is not None and self.root.finding.fix:
            own = self.root.finding.fix[0]
            words = f"Repair {self.root.kind.lower()} {self.root.namespace}/{self.root.name} first. {own.text} {act}"
            fixes = [Fix(words, actor=own.actor or Actor.CLUSTER, commands=own.commands, yaml=own.yaml)]
        else:
            fixes = [Fix(act, actor=Actor.CLUSTER, commands=tuple(looks))]
        if self.row.get("by_hand"):
            command = (w.replace("{name}", self.name) for w in self.row["by_hand"])
            fixes.append(
                Fix(
                    "Or make it by hand.",
                    actor=Actor.CLUSTER,
                    commands=(kubectl(*command, namespace=self.namespace),),
                )
            )
        return tuple(fixes)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Return what shows the maker's state."""
        return self.root.evidence if self.root is not None else ()


def _row(kind: str, name: str) -> Any:
    rows = table("made_objects")["rows"]
    return next((r for r in rows if r["kind"] == kind and re.fullmatch(r["name"], name)), None)


def maker_needs(kind: str, name: str, namespace: str) -> Iterator[Need]:
    """Ask for the pods of what makes an object."""
    row = _row(kind, name)
    if row is not None:
        for place in row.get("namespaces") or [namespace]:
            yield List("pods", place)


def maker_pods(case: Case, kind: str, name: str) -> list[Pod]:
    """Return the known pods of what makes an object."""
    row = _row(kind, name)
    if row is None:
        return []
    places = row.get("namespaces") or [case.pod.namespace]
    return [p for p in pods_named(case.snapshot, row["pods"], places) if p.uid != case.pod.uid]


def maker_of(case: Case, kind: str, name: str) -> Maker | None:
    """Return who makes an object, or None where no program is known to."""
    row = _row(kind, name)
    if row is None:
        return None
    pods = maker_pods(case, kind, name)
    return Maker(name, case.pod.namespace, row, tuple(pods), first_root(case.explain, pods))
