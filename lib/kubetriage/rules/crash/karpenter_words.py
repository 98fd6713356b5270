"""What Karpenter says of a pod for which it makes no node: by NodePool, why that one does not fit."""

from __future__ import annotations

from kubetriage.model import Evidence
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.values.patterns import lazy

# karpenter pkg/controllers/provisioning/scheduling: one part per pool, with the overhead of its DaemonSets between.
_POOL = lazy(
    r"incompatible with (?:nodepool"
    r"|provisioner) \"(?P<pool>[^\"\n]{1,253})\",(?: daemonset overhead=\{[^}]{0,400}\},)? ?"
    r"(?P<why>[^;\n]{1,400})"
)
_LABEL = lazy(r"label \"(?P<key>[^\"\n]{1,317})\" does not have known values")


@dataclass(frozen=True)
class Pool:
    """One pool that does not fit."""

    name: str
    why: str
    label: str
    """The label whose value the pool does not know; empty for another reason."""


def pools(case: Case) -> tuple[list[Pool], tuple[Evidence, ...]]:
    """Return the pools that Karpenter tried for a pod, with its event."""
    event = case.events.last("FailedScheduling", matching=r"incompatible with (?:nodepool|provisioner)")
    if event is None:
        return [], ()
    found = []
    for match in _POOL.finditer(event.message[:8192]):
        label = _LABEL.search(match["why"])
        found.append(Pool(match["pool"], match["why"].strip(" ,."), label["key"] if label is not None else ""))
    return found, (event.evidence(),)
