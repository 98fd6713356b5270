"""Whether the nodes of pods that read ready still report.

A pod's status is what its kubelet wrote last. While the kubelet is silent, or without its container runtime, pods read
ready whatever became of them: for 40 to 50 s after a node's death nothing else in the API changes. The Lease of the
node tells within 20 s, its Ready condition after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from kubetriage.model import Evidence, NotSeen
from kubetriage.needs import Get, List, Need
from kubetriage.readers.kubelet_contact import (
    NODE_LEASES,
    THREE_MISSES,
    Beat,
    Contact,
    Written,
    condition_evidence,
    read_contact,
    write_order,
)
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.shapes import lean_lease, lean_node, without_managed_fields
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, name_of, text
from kubetriage.values.packed import packing
from kubetriage.values.times import format_time, human_duration

ALONE_AT_MOST = 5
"""With more nodes than this, nodes and Leases are read in one list each."""


@dataclass(frozen=True)
class Doubt:
    """Why the status of a node's pods may not be true any more."""

    node: str
    words: str
    """The fact, as a clause."""
    brief: str
    """The fact in a few words."""
    evidence: tuple[Evidence, ...]
    marked: bool = True
    """The API says that the node is not ready or gone; otherwise it still counts as ready."""
    firm: bool = True
    """False: two renewals were missed, which a busy machine may do as well; or no node renews its Lease."""
    then: str = ""
    """What comes next, as a sentence."""
    everywhere: bool = False
    """No node renews its Lease, so it is the control plane that takes no writes."""

    @property
    def command(self) -> str:
        """Write what tells more."""
        return str(kubectl("plane-trace") if self.everywhere else kubectl("node-triage", self.node))


def carrier(pod: Pod) -> str:
    """Return the node whose word a pod's good status is; empty for a pod that claims none."""
    return "" if pod.finished or pod.deleting or pod.phase == "Pending" else pod.node


class Sieve:
    """The shape of a scan: keeps pods that are worth a look, and of each node one other pod, whose word it is."""

    def __init__(self, wanted: Callable[[Pod], bool]) -> None:
        """Keep what is ``wanted``."""
        self._wanted = wanted
        self._known: set[str] = set()

    def __call__(self, raw: Obj) -> Obj | None:
        """Return what is kept of a pod; None for a pod that nobody looks at again."""
        pod = Pod(raw)
        if self._wanted(pod):
            return raw
        node = carrier(pod)
        if not node or node in self._known:
            return None
        self._known.add(node)
        containers = [{k: c[k] for k in ("name", "image") if k in c} for c in pod.raw["spec"].get("containers", ())]
        return {**without_managed_fields(raw), "spec": {"nodeName": node, "containers": containers}}


def contact_needs(snapshot: Snapshot, names: Iterable[str]) -> Iterator[Need]:
    """Ask for nodes and their Leases, of all at once where they are many. A dump holds what it holds."""
    nodes = sorted({name for name in names if name})
    if len(nodes) > ALONE_AT_MOST:
        asked: list[Need] = [_NODES, _LEASES]
    else:
        asked = [n for name in nodes for n in (Get("nodes", "", name), Get("leases", NODE_LEASES, name))]
    yield from asked if snapshot.source == "cluster" else (n for n in asked if snapshot.knows(n))
    if any(_late(snapshot, name) for name in nodes) and snapshot.source == "cluster":
        # The order in which all were written tells a clock that is wrong from a kubelet that is silent.
        yield _LEASES


_NODES = List("nodes", cached=True, shape=packing(lean_node))
_LEASES = List("leases", NODE_LEASES, cached=True, shape=packing(lean_lease))


def is_contact(need: Need) -> bool:
    """Tell whether a need is about a node's contact alone, or the node itself."""
    return isinstance(need, Get | List) and need.resource in ("nodes", "leases")


def unread(needs: Iterable[Need]) -> str:
    """Say what the nodes and Leases that were not read would have told; empty where none of them is a Lease."""
    contact = [n for n in needs if is_contact(n)]
    if not any(n.resource == "leases" for n in contact if isinstance(n, Get | List)):
        return ""
    names = list(dict.fromkeys(n.name for n in contact if isinstance(n, Get)))
    if not names:
        return "whether the nodes of these pods still report"
    if len(names) == 1:
        return f"whether node {names[0]} still reports"
    return f"whether nodes {', '.join(names[:3])}{f' and {len(names) - 3} more' if names[3:] else ''} still report"


def _late(snapshot: Snapshot, name: str) -> bool:
    contact = _contact(snapshot, name)
    return contact is not None and contact.beat in (Beat.LATE, Beat.STALE)


def _contact(snapshot: Snapshot, name: str) -> Contact | None:
    node = snapshot.get("nodes", "", name)
    if not node.found or not condition(node.obj, "Ready"):
        return None
    lease, order = snapshot.get("leases", NODE_LEASES, name), snapshot.derived(_order)
    return read_contact(node.obj, lease, order, snapshot.now - snapshot.lag, snapshot.version)


def _order(snapshot: Snapshot) -> tuple[Written, ...]:
    return write_order(snapshot.list("leases").items)


def doubt(snapshot: Snapshot, name: str) -> Doubt | None:
    """Say why the pods of a node may not be what they read; None where it reports, or nobody knows."""
    if snapshot.stale:
        # All that was read is the API server's memory, which the answer says.
        return None
    found = snapshot.get("nodes", "", name)
    if found.absent and not found.presumed and not _without_nodes(snapshot):
        gone = Evidence("status", f"node/{name}", "not found")
        return Doubt(name, f"node {name} does not exist any more", "the node is gone", (gone,))
    contact = _contact(snapshot, name)
    if contact is None:
        return None
    ready = condition_evidence(condition(found.obj, "Ready"))
    if contact.ready != "True":
        since = f" for {human_duration(snapshot.now - contact.changed)}" if contact.changed else ""
        said = contact.message.strip().rstrip(".") or contact.reason or "no reason given"
        state = f"has not been ready{since}" if since else "is not ready"
        return Doubt(name, f"node {name} {state} ({said})", f"not ready{since}", (ready,))
    return _late_doubt(snapshot, contact, ready) or _mute_runtime(name, found.obj, ready)


def _without_nodes(snapshot: Snapshot) -> bool:
    """Tell whether a list of nodes is empty while pods run: then it is not the list of their nodes."""
    listing = snapshot.list("nodes")
    return listing.complete and not listing.items


def _late_doubt(snapshot: Snapshot, contact: Contact, ready: Evidence) -> Doubt | None:
    if contact.beat not in (Beat.LATE, Beat.STALE) or contact.age is None or contact.renewed is None:
        return None
    age, name = human_duration(contact.age), contact.name
    others = [o for o in _others(snapshot, name) if o.age is not None]
    everywhere = bool(others) and all(o.beat in (Beat.LATE, Beat.STALE) for o in others)
    then = "The control plane has not marked the node yet."
    if not contact.unmarked and (ends := contact.renewed + contact.grace) > snapshot.now:
        then = f"Unless it reports, the node turns not ready at {format_time(ends)}."
    return Doubt(
        name,
        f"the kubelet of node {name} has not renewed its Lease for {age} (every 10s is normal)",
        "no node renews its Lease" if everywhere else f"its Lease is {age} old",
        (contact.lease_evidence(), ready),
        marked=False,
        firm=contact.age > THREE_MISSES and not everywhere,
        then=then,
        everywhere=everywhere,
    )


def _mute_runtime(name: str, node: Obj, ready: Evidence) -> Doubt | None:
    """Tell of a kubelet that reports while its container runtime does not answer: it says so 20 s before NotReady."""
    version = text(node, "status", "nodeInfo", "containerRuntimeVersion")
    runtime, _, number = version.partition("://")
    if number != "Unknown":
        return None
    return Doubt(
        name,
        f"{runtime} on node {name} does not answer the kubelet",
        f"{runtime} does not answer",
        (Evidence("status", "status.nodeInfo.containerRuntimeVersion", version), ready),
        marked=False,
        then="Unless it answers, the node turns not ready within half a minute.",
    )


def _others(snapshot: Snapshot, name: str) -> Iterator[Contact]:
    """Yield the contact of other nodes that were read."""
    for raw in snapshot.list("nodes").items:
        other = name_of(raw)
        contact = _contact(snapshot, other) if other != name else None
        if contact is not None:
            yield contact


def contact_gaps(snapshot: Snapshot, ready: Mapping[str, int], one: str, many: str) -> tuple[NotSeen, ...]:
    """Say for which nodes, each with its number of pods (0: not counted), it is not known what their pods do now.

    ``one`` and ``many`` follow the pods: ``"still answers"``, ``"still answer"``.
    """
    found = []
    for name, count in sorted(ready.items()):
        why = doubt(snapshot, name)
        if why is not None:
            pods = (
                f"the pod on {name} {one}" if count == 1 else f"the {f'{count} ' if count else ''}pods on {name} {many}"
            )
            found.append(NotSeen(f"whether {pods}", f"{why.brief}; run: {why.command}", decides=True))
    return tuple(found)
