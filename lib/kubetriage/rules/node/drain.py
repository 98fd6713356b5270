"""What holds a drain up: in come the pods of a node and the budgets, out go the evictions that are refused, and why.

As kubectl drain and the eviction subresource judge (kubectl pkg/drain/filters.go, kubernetes
pkg/registry/core/pod/storage/eviction.go): mirror pods and DaemonSets stay; a pod without a controller and local data
need a flag; more than one budget over a pod is an error; an unhealthy pod may go by unhealthyPodEvictionPolicy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from kubetriage.model import Evidence
from kubetriage.needs import List
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, field
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.eviction_timetable import MIRROR, Row
from kubetriage.typed import Literal
from kubetriage.values.commands import Command, kubectl
from kubetriage.values.fields import Obj, condition, dig, mapping, name_of, namespace_of, number, objects, text
from kubetriage.values.selectors import label_selector_matches, selector_text

BUDGETS = List("poddisruptionbudgets", cached=True, timeout=3.0)

Kind = Literal["overlap", "uncounted", "unread", "never", "unhealthy", "busy"]


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget and what its controller counted."""

    raw: Obj

    @property
    def name(self) -> str:
        """``NAMESPACE/NAME``."""
        return f"{namespace_of(self.raw)}/{name_of(self.raw)}"

    def count(self, key: str) -> int:
        """Return a number of its status (``disruptionsAllowed``, ``expectedPods``); 0 when not counted yet."""
        return number(self.raw, "status", key) or 0

    @property
    def asks(self) -> str:
        """What its spec asks for (``minAvailable 2``)."""
        for key in ("minAvailable", "maxUnavailable"):
            if (value := dig(self.raw, "spec", key)) is not None:
                return f"{key} {value}"
        return "neither minAvailable nor maxUnavailable"

    @property
    def policy(self) -> str:
        """``IfHealthyBudget`` or ``AlwaysAllow``."""
        return text(self.raw, "spec", "unhealthyPodEvictionPolicy") or "IfHealthyBudget"

    @property
    def refusal(self) -> str:
        """Why its controller cannot count, in its words; empty when it can."""
        found = condition(self.raw, "DisruptionAllowed")
        return text(found, "message") if text(found, "reason") == "SyncFailed" else ""

    @property
    def unread(self) -> bool:
        """Its controller has not seen its newest form."""
        made, seen = number(self.raw, "metadata", "generation"), number(self.raw, "status", "observedGeneration")
        return made is not None and (seen or 0) < made

    def covers(self, pod: Obj) -> bool:
        """Tell whether it guards a pod; an empty selector guards all of the namespace, none guards nothing."""
        if namespace_of(pod) != namespace_of(self.raw) or dig(self.raw, "spec", "selector") is None:
            return False
        return label_selector_matches(selector_text(self.raw), dict(Pod(pod).labels))

    def arithmetic(self) -> str:
        """Say how it comes to the number of evictions that it allows."""
        keys = ("expectedPods", "desiredHealthy", "currentHealthy")
        return f"{self.asks}: {', '.join(f'{k} {self.count(k)}' for k in keys)}, so disruptionsAllowed {self._allowed}"

    @property
    def _allowed(self) -> int:
        return self.count("disruptionsAllowed")

    def evidence(self) -> Evidence:
        """Quote its status."""
        keys = ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
        told = ", ".join(f"{key} {self.count(key)}" for key in keys)
        return Evidence("status", f"poddisruptionbudget {self.name}", f"{self.asks}; {told}")


@dataclass(frozen=True)
class Block:
    """Evictions that the API server refuses for one reason."""

    kind: Kind
    budgets: tuple[Budget, ...]
    pods: tuple[Pod, ...]
    """Pods of this node."""
    unhealthy: tuple[Pod, ...] = ()
    """Pods of the budget anywhere that are not ready."""

    @property
    def budget(self) -> Budget:
        """The first of its budgets."""
        return self.budgets[0]


@dataclass(frozen=True)
class Drain:
    """What a drain of one node meets."""

    node: str
    blocks: tuple[Block, ...] = ()
    lonely: tuple[Pod, ...] = ()
    """Pods without a controller: nothing makes them again."""
    local: tuple[Pod, ...] = ()
    """Pods whose emptyDir is lost."""
    daemons: tuple[Pod, ...] = ()
    leaving: tuple[Pod, ...] = ()
    """Pods that an eviction asks to go."""
    stuck: tuple[Row, ...] = ()
    """Pods whose deletion is overdue."""
    waits: tuple[tuple[Budget, int], ...] = field(default=())
    """Budgets that let fewer go at a time than stand here, and how many stand here."""

    @cached_property
    def command(self) -> Command:
        """The complete command."""
        flags = [flag for flag, needed in self._flags() if needed]
        return kubectl("drain", self.node, *flags)

    def _flags(self) -> Iterable[tuple[str, bool]]:
        return (
            ("--ignore-daemonsets", bool(self.daemons)),
            ("--delete-emptydir-data", bool(self.local)),
            ("--force", bool(self.lonely)),
        )


def drain_of(
    node: str, pods: Sequence[Pod], budgets: Sequence[Obj], others: Sequence[Obj], rows: Sequence[Row]
) -> Drain:
    """Judge the drain of a node; ``others`` are pods of the namespaces whose budgets allow nothing."""
    kept = [p for p in pods if MIRROR not in mapping(p.raw, "metadata", "annotations")]
    daemons = tuple(p for p in kept if text(p.controller, "kind") == "DaemonSet")
    leaving = tuple(p for p in kept if p not in daemons and not p.deleting)
    alive = [p for p in leaving if not p.finished]
    read = [Budget(b) for b in budgets]
    groups: dict[tuple[Kind, tuple[str, ...]], list[Pod]] = {}
    guards: dict[tuple[str, ...], tuple[Budget, ...]] = {}
    here: dict[str, tuple[Budget, int]] = {}
    for pod in alive:
        over = tuple(b for b in read if b.covers(pod.raw))
        names = tuple(b.name for b in over)
        if over and (kind := _refused(pod, over)) is not None:
            groups.setdefault((kind, names), []).append(pod)
            guards[names] = over
        elif len(over) == 1 and pod.ready:
            here[names[0]] = (over[0], here.get(names[0], (over[0], 0))[1] + 1)
    blocks = tuple(
        Block(kind, guards[names], tuple(members), _unhealthy(guards[names][0], others, pods))
        for (kind, names), members in groups.items()
    )
    return Drain(
        node,
        blocks,
        tuple(p for p in alive if not p.controller),
        tuple(p for p in alive if any("emptyDir" in v for v in objects(p.raw, "spec", "volumes"))),
        daemons,
        leaving,
        tuple(r for r in rows if r.stuck and r.pod not in daemons),
        tuple(pair for pair in here.values() if pair[1] > pair[0].count("disruptionsAllowed")),
    )


def drain_at(case: NodeCase) -> Drain | None:
    """Return what a drain of the node meets; None where nobody drains it."""
    if not case.drains:
        return None
    snapshot = case.snapshot
    budgets = snapshot.list(BUDGETS.resource).items
    others = [p for n in sorted({p.namespace for p in case.pods}) for p in snapshot.list("pods", n).items]
    return drain_of(case.name, case.pods, budgets, others, case.timetable)


def _refused(pod: Pod, over: tuple[Budget, ...]) -> Kind | None:
    """Return why the eviction of a pod is refused; None when it is not."""
    if pod.phase == "Pending":
        return None
    if len(over) > 1:
        return "overlap"
    budget = over[0]
    current, desired, expected = (budget.count(k) for k in ("currentHealthy", "desiredHealthy", "expectedPods"))
    if not pod.ready and (budget.policy == "AlwaysAllow" or (current >= desired > 0)):
        return None
    if budget.refusal:
        return "uncounted"
    if budget.unread:
        return "unread"
    if budget.count("disruptionsAllowed") > 0:
        return None
    if current < expected:
        return "unhealthy"
    return "never" if desired >= expected else "busy"


def _unhealthy(budget: Budget, others: Sequence[Obj], here: Sequence[Pod]) -> tuple[Pod, ...]:
    known = {p.uid or p.name: p for p in (*map(Pod, others), *here)}
    return tuple(p for p in known.values() if budget.covers(p.raw) and not p.ready and not p.finished)


def namespaces_to_read(pods: Sequence[Pod], budgets: Sequence[Obj]) -> tuple[str, ...]:
    """Return the namespaces whose pods tell which of a budget's pods are not healthy."""
    short = [b for b in map(Budget, budgets) if b.count("currentHealthy") < b.count("expectedPods")]
    return tuple(sorted({p.namespace for p in pods for b in short if b.covers(p.raw)}))
