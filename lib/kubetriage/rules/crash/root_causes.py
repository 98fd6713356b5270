"""The end of a chain over objects: from a controller that does not do its work to the cause of its pods."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from kubetriage.model import Actor, Evidence, Finding, Fix, Severity
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj

Explain = Callable[[Pod], tuple[Finding, ...]]
"""Gives the findings of another pod; none for one that the chain already went through."""

MOST_PODS = 5
"""Pods of one controller that are looked at; replicas of one workload mostly share their cause."""


_FIELDS = ("kind", "namespace", "name", "cause", "message")


def unexplained(_: Pod) -> tuple[Finding, ...]:
    """Stand in where no chain is followed."""
    return ()


def repair(root: Root, then: str) -> Fix:
    """Make the fix of a chain: the root's own, and what follows from it by itself (a sentence)."""
    own = root.finding.fix[0] if root.finding is not None and root.finding.fix else Fix("")
    where = f"{root.kind.lower()} {root.namespace}/{root.name}"
    words = " ".join(w for w in (f"Repair {where} first.", own.text, then) if w)
    return Fix(words, actor=own.actor or Actor.CLUSTER, commands=own.commands, yaml=own.yaml)


@dataclass(frozen=True)
class Root:
    """The object at the end of a chain, with its own cause."""

    kind: str
    namespace: str
    name: str
    cause: str
    message: str
    finding: Finding | None = None

    @property
    def details(self) -> Obj:
        """Write it for ``details.root``."""
        return {k: getattr(self, k) for k in _FIELDS}

    @property
    def words(self) -> str:
        """Say in one clause what is wrong there (``pod kube-system/ccm-x (CertificateInvalid): ...``)."""
        return f"{self.kind.lower()} {self.namespace}/{self.name} ({self.cause}): {self.message}"

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Return the first proof of the root's own cause."""
        return self.finding.evidence[:2] if self.finding is not None else ()


def pods_named(snapshot: Snapshot, pattern: str, namespaces: Iterable[str] = (), node: str = "") -> list[Pod]:
    """Return the known pods whose name or a label (``KEY=VALUE``) fits a pattern, of these namespaces and node only."""
    places = frozenset(namespaces)
    found = []
    for pod in map(Pod, snapshot.list("pods").items):
        if pod.finished or (places and pod.namespace not in places) or (node and pod.node != node):
            continue
        if any(re.search(pattern, mark) for mark in (pod.name, *(f"{k}={v}" for k, v in pod.labels.items()))):
            found.append(pod)
    return found


def suspects(pods: Iterable[Pod]) -> list[Pod]:
    """Return the pods that a chain looks at: those that are not ready, the ones with a node first."""
    return sorted((p for p in pods if not p.ready and not p.deleting), key=lambda p: not p.node)[:MOST_PODS]


def first_root(explain: Explain, pods: Iterable[Pod]) -> Root | None:
    """Return the cause of the first pod that has one; where that pod's own chain ends elsewhere, its end."""
    for pod in suspects(pods):
        for finding in explain(pod):
            if finding.severity is not Severity.ERROR:
                continue
            deeper = finding.details.get("root")
            if isinstance(deeper, dict) and deeper.get("cause"):
                kind, namespace, name, cause, message = (str(deeper.get(k, "")) for k in _FIELDS)
                return Root(kind, namespace, name, cause, message, finding)
            return Root("Pod", pod.namespace, pod.name, finding.cause, finding.message, finding)
    return None
