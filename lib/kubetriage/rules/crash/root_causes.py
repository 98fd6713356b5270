"""The end of a chain over objects: from a controller that does not do its work to the cause of its pods."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kubetriage.model import Evidence, Finding, Severity
from kubetriage.readers.pods import Pod
from kubetriage.values.fields import Obj

Explain = Callable[[Pod], tuple[Finding, ...]]
"""Gives the findings of another pod; none for one that the chain already went through."""

MOST_PODS = 5
"""Pods of one controller that are looked at; replicas of one workload mostly share their cause."""


_FIELDS = ("kind", "namespace", "name", "cause", "message")


def unexplained(_: Pod) -> tuple[Finding, ...]:
    """Stand in where no chain is followed."""
    return ()


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
