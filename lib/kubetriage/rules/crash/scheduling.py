"""What the scheduler says about a pod that has no node."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cached_property

from kubetriage.found import Listing
from kubetriage.model import Confidence, Evidence, Finding, Fix, Severity
from kubetriage.needs import List, Need
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.karpenter_words import pools
from kubetriage.rules.crash.resource_requests import pod_request, requested_resources
from kubetriage.rules.shapes import lean_node
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, flag, labels, name_of, objects, text, texts
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_quantity


class Block(enum.Enum):
    """Why nodes do not take a pod."""

    RESOURCES = "resources"
    SELECTOR = "node selector"
    AFFINITY = "pod affinity"
    TOPOLOGY = "topology"
    PORT = "host port"
    TAINT = "taint"
    CLAIM_ABSENT = "claim not found"
    CLAIM = "claim"
    OTHER = "other"


# Reasons of the scheduler's filter plugins (kubernetes pkg/scheduler/framework/plugins), 1.28 to 1.36. The order is
# that of a tie, too: what the pod asks for before what the nodes forbid.
_REASONS: tuple[tuple[Block, re.Pattern[str]], ...] = (
    (Block.CLAIM_ABSENT, lazy(r'persistentvolumeclaim "[^"]+" not found')),
    (
        Block.CLAIM,
        lazy(
            r"unbound immediate PersistentVolumeClaims|find available persistent volumes to bind|"
            r"non-existent (?:persistentvolume|pv)|enough free storage|ReadWriteOncePod|"
            r'persistentvolumeclaim "[^"]+" is being deleted|storageclass\S* "[^"]+" not found'
        ),
    ),
    # noderesources, nodevolumelimits, dynamicresources.
    (
        Block.RESOURCES,
        lazy(
            r"Insufficient |Too many pods|exceed max volume count|cannot allocate all claims|resourceclaim\b|"
            r"device class \S+ does not exist"
        ),
    ),
    # podtopologyspread, volumebinding, volumezone. "volume node affinity conflict" until 1.33 or so.
    (
        Block.TOPOLOGY,
        lazy(
            r"topology spread constraints|PersistentVolume's node affinity|volume node affinity conflict|"
            r"no available volume zone"
        ),
    ),
    # interpodaffinity.
    (Block.AFFINITY, lazy(r"pod (?:anti-)?affinity|pods (?:anti-)?affinity|affinity/anti-affinity")),
    # nodeaffinity, nodename; "didn't satisfy plugin(s)" is how a PreFilter that chose nodes is told.
    (
        Block.SELECTOR,
        lazy(
            r"node affinity/selector|node selector|node affinity|satisfy plugin\(s\) \[[^]]*NodeAffinity|"
            r"requested (?:node ?name|host ?name)"
        ),
    ),
    (Block.PORT, lazy(r"free ports")),
    # tainttoleration ("{key: value}" until 1.33 or so), nodeunschedulable.
    (Block.TAINT, lazy(r"untolerated taint|that the pod didn't tolerate|were unschedulable")),
)

_MESSAGE = lazy(
    r"(?<!\d)(?P<available>\d{1,9})/(?P<nodes>\d{1,9}) nodes are available: (?P<why>.*?)"
    r"(?:\.? no new claims to deallocate,?| ?still not schedulable,?)?(?:[.,] ?preemption: .*)?\Z",
    re.S,
)
# Counts stand before each reason; a reason may hold commas of its own ("{a: b}, that the pod didn't tolerate").
_COUNTED = lazy(r"(?<!\d)(?P<count>\d{1,9}) (?P<reason>.{1,2000}?)(?=, \d{1,9} |\Z)", re.S)
_TAINT = lazy(r"taint \{(?P<key>[^:}]{1,317})(?:: (?P<value>[^}]{0,63}))?\}")

# Filters that run after NodeAffinity (default plugins, scheduler/apis/config/v1/default_plugins.go).
_AFTER_SELECTOR = (Block.RESOURCES, Block.PORT, Block.TOPOLOGY, Block.AFFINITY, Block.CLAIM)

# Events on a pending pod of the cluster autoscaler and of Karpenter, which says FailedScheduling where it cannot help.
_AUTOSCALERS = ("NotTriggerScaleUp", "TriggeredScaleUp", "Nominated")
# volumebinding: a node was found, and the volumes did not come in time (bindTimeoutSeconds, 600).
_BINDING = lazy(r"binding volumes: ")
# scheduler schedule_one.go ErrNoNodesAvailable.
NO_NODES = "no nodes available to schedule pods"
CORDON = "node.kubernetes.io/unschedulable"
CONTROL_PLANE_TAINTS = frozenset({"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"})


@dataclass(frozen=True)
class Reason:
    """One reason of the scheduler and the number of nodes that it stands for."""

    block: Block
    words: str
    nodes: int

    def __str__(self) -> str:
        """Write it as the scheduler does."""
        return f"{self.nodes} {self.words}" if self.nodes else self.words


def parse_reasons(message: str) -> tuple[Reason, ...]:
    """Split a FailedScheduling message; empty when it is none."""
    match = _MESSAGE.search(message)
    if match is None:
        words = message.strip()
        if words == NO_NODES:
            return (Reason(Block.RESOURCES, NO_NODES, 0),)
        return (Reason(Block.CLAIM, words, 0),) if _BINDING.search(words) else ()
    why = match["why"].strip().rstrip(".,")
    if not re.match(r"\d+ ", why):
        return (Reason(_block(why), why, int(match["nodes"])),) if why else ()
    return tuple(
        Reason(_block(m["reason"]), m["reason"].strip().rstrip("."), int(m["count"])) for m in _COUNTED.finditer(why)
    )


# volumebinding, volumezone: three words for one thing.
_BY_VOLUME = lazy(r"PersistentVolume's node affinity|volume node affinity conflict|no available volume zone")


def by_volume(reason: Reason) -> bool:
    """Tell whether nodes are left out for the place of a volume."""
    return bool(_BY_VOLUME.search(reason.words))


def _block(words: str) -> Block:
    return next((block for block, pattern in _REASONS if pattern.search(words)), Block.OTHER)


@dataclass(frozen=True)
class Unscheduled:
    """The scheduler's verdict about a pod without a node."""

    case: Case
    message: str
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]

    @cached_property
    def head(self) -> Reason:
        """The reason that covers most nodes.

        Two kinds of nodes count only when there is nothing else: those that the pod's own node selector leaves out
        while others passed it (the scheduler checks it before resources, ports and topology, so a node that fails
        later has the labels), and control-plane nodes with their usual taint.
        """
        ranks = [block for block, _ in _REASONS]
        return max(
            self.reasons,
            key=lambda r: (self._weight(r), -ranks.index(r.block) if r.block in ranks else -len(ranks)),
        )

    def _weight(self, reason: Reason) -> int:
        if reason.block is Block.TAINT and self.reserved:
            return self.total + 1
        if reason.block is Block.SELECTOR and any(r.block in _AFTER_SELECTOR for r in self.reasons):
            return 0
        if reason.block is Block.TAINT:
            told = _TAINT.search(reason.words)
            if told:
                return 0 if told["key"] in CONTROL_PLANE_TAINTS else reason.nodes
            spare = self.case.snapshot.derived(_control_planes)
            return max(reason.nodes - spare, 0)
        if by_volume(reason):
            # Two plugins tell the same of different nodes.
            return sum(r.nodes for r in self.reasons if by_volume(r))
        return reason.nodes

    @property
    def nodes(self) -> Listing:
        """The nodes of the cluster."""
        return self.case.snapshot.list("nodes")

    @cached_property
    def reserved(self) -> tuple[Obj, ...]:
        """The only nodes with the labels and devices that the pod asks for, when all of them shun it by a taint.

        The scheduler names one reason a node, and taints come first: that the pod would fit there is not said. A
        control-plane node is nobody's first choice, and is never among them.
        """
        pod = self.case.pod
        chooses, devices = node_choice(pod), _devices(pod)
        shunned = []
        for node in self.nodes.items:
            if not chooses(node) or not _has(node, devices) or _is_control_plane(node):
                continue
            if not untolerated(pod, node):
                return ()
            shunned.append(node)
        return tuple(shunned) if len(shunned) < len(self.nodes.items) else ()

    @property
    def total(self) -> int:
        """Number of nodes that the scheduler looked at."""
        match = _MESSAGE.search(self.message)
        return int(match["nodes"]) if match else 0

    def finding(
        self,
        cause: str,
        message: str,
        fix: tuple[Fix, ...],
        evidence: tuple[Evidence, ...] = (),
        confidence: Confidence = Confidence.CONFIRMED,
        verify: tuple[str, ...] = (),
        *,
        others: bool = True,
    ) -> Finding:
        """Make the finding; the other reasons of the scheduler follow the message, unless it tells them."""
        head = self.head
        more = [str(r) for r in self.reasons if others and r is not head and not self._same(r)]
        pod = self.case.pod
        coming, told = self._coming()
        return Finding(
            cause=cause,
            severity=Severity.ERROR,
            confidence=confidence,
            object=pod.ref,
            message=message + (f" The other nodes: {'; '.join(more)}." if more else "") + coming,
            evidence=(*self.evidence, *evidence, *told),
            fix=fix,
            verify=(self.case.kubectl("describe", "pod", pod.name), *verify),
            details={"reasons": [{"words": r.words, "nodes": r.nodes} for r in self.reasons]},
        )

    def _same(self, other: Reason) -> bool:
        """Tell whether another reason is the head in other words: a volume that the node cannot reach."""
        return all(by_volume(r) for r in (self.head, other))

    def _coming(self) -> tuple[str, tuple[Evidence, ...]]:
        """Say what is under way to make room, or why nothing is; the sentence begins with a space."""
        pod = self.case.pod
        nominated = text(pod.raw, "status", "nominatedNodeName")
        if nominated:
            words = f" It is to preempt pods of lower priority on {nominated}, and waits until they are gone."
            return words, (pod.fact("status", "status.nominatedNodeName", nominated),)
        event = self.case.events.last(*_AUTOSCALERS)
        if event is None:
            tried, proof = pools(self.case)
            told = "; ".join(f"NodePool {p.name}: {p.why}" for p in tried[:3])
            return (f" Karpenter makes no node: {told}.", proof) if tried else ("", ())
        said = event.message.strip().rstrip(".")
        if event.reason == "NotTriggerScaleUp":
            why = said.partition("scale-up: ")[2] or said
            return f" The cluster autoscaler adds no node: {why}.", (event.evidence(),)
        return f" A node is on its way ({event.reason}: {said}).", (event.evidence(),)


def unscheduled(case: Case, *blocks: Block) -> Unscheduled | None:
    """Return what the scheduler says, if its main reason is one of ``blocks`` (all when empty)."""
    known = case.snapshot.derived(_verdicts)
    key = (case.pod.namespace, case.pod.name, case.pod.uid)
    if key not in known:
        known[key] = _verdict(case)
    found = known[key]
    return found if found is not None and (not blocks or found.head.block in blocks) else None


def _verdicts(_: Snapshot) -> dict[tuple[str, str, str], Unscheduled | None]:
    """Hold the verdicts by pod: every rule of scheduling asks, and telling the head may look at all nodes."""
    return {}


def _verdict(case: Case) -> Unscheduled | None:
    pod = case.pod
    if pod.node or pod.finished or pod.deleting:
        return None
    condition = pod.condition("PodScheduled")
    if text(condition, "status") == "True" or text(condition, "reason") == "SchedulingGated":
        return None
    message = text(condition, "message")
    evidence = []
    if message:
        since = text(condition, "lastTransitionTime")
        evidence.append(pod.fact("status", "status.conditions[PodScheduled]", message, since))
    # The condition outlives the events; an event is newer only when the condition is not written yet.
    event = case.events.last("FailedScheduling")
    if event is not None:
        if not message or not evidence:
            message = event.message
            evidence.append(event.evidence())
        else:
            evidence = [replace(evidence[0], time=event.evidence().time or evidence[0].time)]
    reasons = parse_reasons(message)
    if not reasons:
        return None
    return Unscheduled(case, message, reasons, tuple(evidence))


def needs(case: Case) -> Iterator[Need]:
    """Ask for the nodes, once the scheduler refused the pod."""
    if unscheduled(case) is not None:
        yield List("nodes", cached=True, shape=lean_node)


def taints(node: Obj) -> list[Obj]:
    """Return the taints of a node that keep pods away (NoSchedule and NoExecute)."""
    return [t for t in objects(node, "spec", "taints") if text(t, "effect") in ("NoSchedule", "NoExecute")]


def tolerated(pod: Pod, taint: Obj) -> bool:
    """Tell whether the pod tolerates a taint (core/v1 Toleration.ToleratesTaint)."""
    for toleration in objects(pod.raw, "spec", "tolerations"):
        effect, key = text(toleration, "effect"), text(toleration, "key")
        if effect and effect != text(taint, "effect"):
            continue
        if key and key != text(taint, "key"):
            continue
        operator = text(toleration, "operator") or "Equal"
        if operator == "Exists" or (operator == "Equal" and text(toleration, "value") == text(taint, "value")):
            return True
    return False


def untolerated(pod: Pod, node: Obj) -> list[Obj]:
    """Return the taints that keep the pod away from a node; cordoning counts, with or without its taint."""
    found = [t for t in taints(node) if not tolerated(pod, t)]
    if flag(node, "spec", "unschedulable") and not any(text(t, "key") == CORDON for t in taints(node)):
        found.append({"key": CORDON, "effect": "NoSchedule"})
    return found


def taint_text(taint: Obj) -> str:
    """Write a taint as kubectl does (``key=value:Effect``)."""
    value = text(taint, "value")
    return f"{text(taint, 'key')}{'=' + value if value else ''}:{text(taint, 'effect')}"


Requirement = tuple[str, str, tuple[str, ...]]
"""What a pod asks of a node's labels: key, operator, values."""


def affinity_terms(pod: Pod) -> list[list[Requirement]]:
    """Return the terms of the required node affinity; one of them must be met, whole.

    ``matchFields`` knows one field, the node's name; it stands as a requirement of the key ``metadata.name``.
    """
    terms = objects(
        pod.raw,
        "spec",
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    )
    return [
        [
            (text(rule, "key"), text(rule, "operator"), tuple(texts(rule, "values")))
            for field in ("matchExpressions", "matchFields")
            for rule in objects(term, field)
        ]
        for term in terms
    ]


def node_requirements(pod: Pod) -> list[Requirement]:
    """Return what a node must have in any case: the node selector, and the affinity unless it leaves a choice."""
    wanted: list[Requirement] = [(k, "In", (v,)) for k, v in sorted(labels(pod.raw, "spec", "nodeSelector").items())]
    terms = affinity_terms(pod)
    return wanted + terms[0] if len(terms) == 1 else wanted


def meets(node: Obj, requirement: Requirement) -> bool:
    """Tell whether a node meets one requirement (component-helpers nodeaffinity)."""
    key, operator, values = requirement
    have = name_of(node) if key == "metadata.name" else node_labels(node).get(key)
    if operator == "In":
        return have in values
    if operator == "NotIn":
        return have not in values
    if operator in ("Exists", "DoesNotExist"):
        return (have is not None) == (operator == "Exists")
    try:
        return have is not None and (int(have) > int(values[0]) if operator == "Gt" else int(have) < int(values[0]))
    except (ValueError, IndexError):
        return False


def node_choice(pod: Pod) -> Callable[[Obj], bool]:
    """Return what tells whether node selector and required node affinity let the pod onto a node."""
    always, terms = node_requirements(pod), affinity_terms(pod)
    return lambda node: (
        all(meets(node, r) for r in always)
        and (not terms or any(term and all(meets(node, r) for r in term) for term in terms))
    )


def _devices(pod: Pod) -> dict[str, Fraction]:
    """Return the extended resources (``nvidia.com/gpu``) that the pod asks for."""
    return {r: pod_request(pod, r) for r in requested_resources(pod) if "/" in r}


def _has(node: Obj, devices: dict[str, Fraction]) -> bool:
    return all(n <= (parse_quantity(dig(node, "status", "allocatable", r)) or 0) for r, n in devices.items())


def _control_planes(snapshot: Snapshot) -> int:
    return sum(1 for n in snapshot.list("nodes").items if _is_control_plane(n))


def _is_control_plane(node: Obj) -> bool:
    return bool(CONTROL_PLANE_TAINTS & {text(t, "key") for t in taints(node)})


def node_labels(node: Obj) -> dict[str, str]:
    """Return the labels of a node."""
    return labels(node, "metadata", "labels")


def some(nodes: list[str]) -> str:
    """Write a few node names."""
    shown = ", ".join(nodes[:3])
    return shown if len(nodes) <= 3 else f"{shown} and {len(nodes) - 3} more"
