"""One node, one zone, one pool or the whole cluster: who is silent, together with whom, and who still writes.

The first test that matches wins. Everything comes from nodes and Leases, which the API server answers from its
watch cache even while etcd is down; the age of the newest Lease is a test of the write path that writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

from kubetriage.model import Confidence
from kubetriage.readers.kubelet_contact import SKEW, Beat, Contact
from kubetriage.records import dataclass, field
from kubetriage.rules.machine import SERVER_ROLES
from kubetriage.typed import Literal
from kubetriage.values.fields import Obj, condition, dig, mapping, name_of, namespace_of, objects, text
from kubetriage.values.times import parse_time

ScopeKind = Literal["none", "frozen", "controllers", "cluster", "zone", "pool", "together", "node"]
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"


@dataclass(frozen=True)
class Cutoffs:
    """Where judgement begins."""

    frozen: timedelta = timedelta(seconds=30)
    """No Lease of the whole cluster renewed for this long: writes fail. In a live cluster controller-manager and
    scheduler renew every 2 s and each node every 10 s."""
    controllers: timedelta = timedelta(seconds=15)
    """Age of the controller-manager's Lease: its duration (component-base defaults)."""
    cluster: float = 0.8
    """Part of all nodes that is silent."""
    zone: float = 0.55
    """``--unhealthy-zone-threshold`` of the node controller, with more than two silent nodes."""
    together: timedelta = timedelta(seconds=20)
    """Last renewals this close have one common event: each node renews every 10 s."""


@dataclass(frozen=True)
class Plane:
    """Who writes in this cluster."""

    manager: Obj = field(default_factory=dict)
    """Leader Lease of the controller-manager; empty when not seen."""
    scheduler: Obj = field(default_factory=dict)
    newest_renewal: datetime | None = None
    newest_holder: str = ""
    newest_write: datetime | None = None
    """Newest time of any write that was seen, Leases included."""
    now: datetime = datetime.min

    @property
    def renewal_age(self) -> timedelta | None:
        """Age of the newest renewal of all Leases."""
        return self.now - self.newest_renewal if self.newest_renewal else None

    @property
    def manager_age(self) -> timedelta | None:
        """Age of the controller-manager's Lease; None when it was not seen."""
        return _age(self.manager, self.now)

    @property
    def leaders_seen(self) -> bool:
        """At least one leader Lease of the control plane is visible."""
        return self.manager_age is not None or _age(self.scheduler, self.now) is not None

    @property
    def acquired(self) -> datetime | None:
        """When the present controller-manager became leader: its timers began then."""
        return parse_time(dig(self.manager, "spec", "acquireTime"))


def _age(lease: Obj, now: datetime) -> timedelta | None:
    renewed = parse_time(dig(lease, "spec", "renewTime"))
    return now - renewed if renewed else None


def read_plane(leases: Iterable[Obj], writes: Iterable[datetime], now: datetime) -> Plane:
    """Read who still writes; ``writes`` are times of other writes that were seen (marks, taints, pods)."""
    leases = list(leases)
    leaders = {name_of(o): o for o in leases if namespace_of(o) == "kube-system"}
    renewals = [(t, name_of(o)) for o in leases if (t := parse_time(dig(o, "spec", "renewTime"))) and t <= now + SKEW]
    newest = max(renewals, default=None)
    others = [t for t in writes if t <= now + SKEW]
    return Plane(
        manager=leaders.get(CONTROLLER_MANAGER, {}),
        scheduler=leaders.get(SCHEDULER, {}),
        newest_renewal=newest[0] if newest else None,
        newest_holder=newest[1] if newest else "",
        newest_write=max([*others, *(t for t, _ in renewals)], default=None),
        now=now,
    )


def written(nodes: Iterable[Obj], others: Iterable[Obj] = ()) -> Iterable[datetime]:
    """Yield times that only a successful write of the control plane can have left."""
    for node in nodes:
        ready = condition(node, "Ready")
        if text(ready, "status") == "Unknown" and (moment := parse_time(ready.get("lastTransitionTime"))):
            yield moment
        for taint in objects(node, "spec", "taints"):
            if moment := parse_time(taint.get("timeAdded")):
                yield moment
    for other in others:
        for path in (("metadata", "creationTimestamp"), ("lastTimestamp",), ("eventTime",)):
            if moment := parse_time(dig(other, *path)):
                yield moment


def zone_of(node: Obj) -> str:
    """Return region and zone as the node controller joins them; empty without labels."""
    have = mapping(node, "metadata", "labels")
    region = text(have, "failure-domain.beta.kubernetes.io/region") or text(have, "topology.kubernetes.io/region")
    zone = text(have, "failure-domain.beta.kubernetes.io/zone") or text(have, "topology.kubernetes.io/zone")
    return f"{region}/{zone}" if region and zone else region or zone


_POOL_LABELS = (
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "alpha.eksctl.io/nodegroup-name",
    "karpenter.sh/nodepool",
    "kubernetes.azure.com/agentpool",
    "agentpool",
)


def _pool(node: Obj) -> str:
    have = mapping(node, "metadata", "labels")
    return next((f"{key}={value}" for key in _POOL_LABELS if (value := text(have, key))), "")


def _info(name: str) -> Callable[[Obj], str]:
    return lambda node: text(node, "status", "nodeInfo", name)


def _role(node: Obj) -> str:
    return "control-plane" if "node-role.kubernetes.io/control-plane" in mapping(node, "metadata", "labels") else ""


_BUCKETS: tuple[tuple[str, Callable[[Obj], str]], ...] = (
    ("pool", _pool),
    ("role", _role),
    ("kubelet", _info("kubeletVersion")),
    ("container runtime", _info("containerRuntimeVersion")),
    ("kernel", _info("kernelVersion")),
    ("OS image", _info("osImage")),
    ("created on", lambda node: text(node, "metadata", "creationTimestamp")[:10]),
)
"""What nodes that fail together may share, the most telling first."""


@dataclass(frozen=True)
class Scope:
    """How far the trouble of a node reaches."""

    kind: ScopeKind
    label: str = ""
    """Zone, or what the pool shares."""
    members: tuple[str, ...] = ()
    """Silent nodes in this scope, by name."""
    total: int = 0
    """Nodes in this scope, silent or not."""
    confidence: Confidence = Confidence.CONFIRMED
    since: datetime | None = None
    basis: str = ""
    """What it rests on, in words, where that is less than usual."""


@dataclass(frozen=True)
class Cluster:
    """All nodes with their contact, and what follows for each."""

    nodes: Mapping[str, Obj]
    contacts: Mapping[str, Contact]
    plane: Plane
    whole: Scope
    """``frozen``, ``controllers``, ``cluster``, or ``none``."""
    zones: Mapping[str, Scope]
    """Zones that are out, by zone."""
    rest: Scope
    """What the silent nodes outside of such zones have in common."""
    elections: tuple[Obj, ...] = ()
    """All Leases but those of nodes: leader elections and identities."""

    def scope_of(self, name: str) -> Scope:
        """Return the scope of one node's silence."""
        if name not in self._scopes:
            self._scopes[name] = self._scope(name)
        return self._scopes[name]

    @cached_property
    def _scopes(self) -> dict[str, Scope]:
        return {}

    def _scope(self, name: str) -> Scope:
        contact = self.contacts.get(name)
        if self.whole.kind in ("frozen", "cluster") and name in self._members[0]:
            return self.whole
        if contact is None or not contact.silent:
            return Scope("none")
        zone = zone_of(self.nodes.get(name, {}))
        if zone in self.zones:
            return self.zones[zone]
        if name in self._members[1] and self.rest.kind in ("pool", "together"):
            return self.rest
        return Scope("node", members=(name,), total=1, since=contact.since)

    # What rules ask for every node of thousands is counted once.

    @cached_property
    def addresses(self) -> Mapping[str, str]:
        """The name of the node of each address."""
        return {
            text(address, "address"): name
            for name, node in self.nodes.items()
            for address in objects(node, "status", "addresses")
        }

    @cached_property
    def holders(self) -> Mapping[str, str]:
        """The pods and hosts that hold the Lease of an election, by name, and the Lease's namespace."""
        holders = ((text(o, "spec", "holderIdentity").partition("_")[0], o) for o in self.elections)
        # The Lease by which an API server shows that it runs is named after it.
        return {name: namespace_of(o) for name, o in holders if name and name != name_of(o)}

    @cached_property
    def live_planes(self) -> Mapping[str, str]:
        """An address of each control plane node that is heard from; its name where it has none."""
        found = {}
        for name, node in self.nodes.items():
            roles = mapping(node, "metadata", "labels")
            if any(r in roles for r in SERVER_ROLES) and not self.contacts[name].silent:
                own = (text(a, "address") for a in objects(node, "status", "addresses"))
                found[name] = next((a for a in own if a), name)
        return found

    @cached_property
    def _members(self) -> tuple[frozenset[str], frozenset[str]]:
        return frozenset(self.whole.members), frozenset(self.rest.members)

    @cached_property
    def _zone_states(self) -> Mapping[str, tuple[str, int]]:
        size: Counter[str] = Counter()
        down: Counter[str] = Counter()
        for name, node in self.nodes.items():
            if "node.kubernetes.io/exclude-disruption" not in mapping(node, "metadata", "labels"):
                zone = zone_of(node)
                size[zone] += 1
                down[zone] += self.contacts[name].ready != "True"
        states = {}
        for zone, count in size.items():
            full, partial = down[zone] == count, down[zone] > 2 and down[zone] / count >= 0.55
            states[zone] = ("Full" if full else "Partial" if partial else "Normal", count)
        return states

    def zone_state(self, name: str) -> tuple[str, int]:
        """Return the node controller's state of a node's zone (Normal, Partial, Full) and the zone's size."""
        return self._zone_states.get(zone_of(self.nodes.get(name, {})), ("Normal", 0))

    @cached_property
    def silent(self) -> int:
        """How many nodes are silent."""
        return sum(1 for c in self.contacts.values() if c.silent)

    @cached_property
    def mute(self) -> int:
        """How many nodes are silent or were never heard of."""
        return sum(1 for c in self.contacts.values() if c.silent or c.never)

    @cached_property
    def not_ready(self) -> int:
        """How many nodes say themselves that they are not ready."""
        return sum(1 for c in self.contacts.values() if c.ready == "False")

    @cached_property
    def losses(self) -> tuple[datetime, ...]:
        """When the lost nodes fell silent, sorted."""
        return tuple(sorted(c.since for c in self.contacts.values() if c.lost and c.since))

    @cached_property
    def alarms(self) -> Mapping[str, int]:
        """How many nodes have each condition at True."""
        conditions = (c for n in self.nodes.values() for c in objects(n, "status", "conditions"))
        return Counter(text(c, "type") for c in conditions if text(c, "status") == "True")

    @cached_property
    def taints(self) -> Mapping[str, int]:
        """How many nodes have each taint, by its key."""
        return Counter(text(t, "key") for n in self.nodes.values() for t in objects(n, "spec", "taints"))

    @cached_property
    def master_disruption(self) -> bool:
        """No node at all is ready: the node controller takes its NoExecute taints back and evicts nothing."""
        return bool(self.contacts) and all(c.ready != "True" for c in self.contacts.values())


def judge(nodes: Sequence[Obj], contacts: Mapping[str, Contact], plane: Plane, cut: Cutoffs | None = None) -> Cluster:
    """Tell one node, one zone, one pool and the whole cluster apart."""
    cut = cut or Cutoffs()
    by_name = {name_of(n): n for n in nodes}
    joined = [c for c in contacts.values() if not c.never]
    silent = [c for c in joined if c.silent]
    whole = _whole(joined, silent, plane, cut)
    zones = _zones(by_name, joined, cut) if whole.kind != "cluster" else {}
    left = [c for c in silent if zone_of(by_name.get(c.name, {})) not in zones]
    return Cluster(by_name, contacts, plane, whole, zones, _rest(by_name, joined, left, cut))


def _names(found: Iterable[Contact]) -> tuple[str, ...]:
    return tuple(sorted(c.name for c in found))


def _since(found: Iterable[Contact]) -> datetime | None:
    """Return when the middle one fell silent: an older loss of one node must not date that of all."""
    times = sorted(c.since for c in found if c.since)
    return times[len(times) // 2] if times else None


def _whole(joined: Sequence[Contact], silent: Sequence[Contact], plane: Plane, cut: Cutoffs) -> Scope:
    names, total = _names(joined), len(joined)
    age, manager_age = plane.renewal_age, plane.manager_age
    if age is not None and age > cut.frozen:
        if plane.leaders_seen:
            return Scope("frozen", members=names, total=total, since=plane.newest_renewal)
        late = all(c.beat is Beat.STALE or c.lost for c in joined)
        if not _wrote_without_kubelets(joined, plane, cut) and (total > 1 or late):
            basis = "judged by the nodes' Leases alone: no leader Lease of the control plane was seen"
            confidence = Confidence.LIKELY if total > 1 else Confidence.POSSIBLE
            return Scope("frozen", "", names, total, confidence, plane.newest_renewal, basis)
    if manager_age is not None and manager_age > cut.controllers and len(silent) < total:
        return Scope(
            "controllers", members=names, total=total, since=parse_time(dig(plane.manager, "spec", "renewTime"))
        )
    if total > 1 and len(silent) >= cut.cluster * total:
        sure = manager_age is not None and manager_age <= cut.controllers
        confidence = Confidence.CONFIRMED if sure else Confidence.LIKELY
        basis = "" if sure else "the controller-manager's Lease was not seen; its marks on the nodes show that it wrote"
        return Scope("cluster", "", _names(silent), total, confidence, _since(silent), basis)
    return Scope("none")


def _wrote_without_kubelets(joined: Sequence[Contact], plane: Plane, cut: Cutoffs) -> bool:
    """Tell whether something was written while no kubelet renewed: a mark on a node, or anything much later."""
    newest, write = plane.newest_renewal, plane.newest_write
    if newest is None:
        return False
    marked = any(c.lost and c.changed and c.changed > newest for c in joined)
    return marked or (write is not None and write - newest > cut.frozen)


def _zones(nodes: Mapping[str, Obj], joined: Sequence[Contact], cut: Cutoffs) -> dict[str, Scope]:
    members: dict[str, list[Contact]] = {}
    for contact in joined:
        members.setdefault(zone_of(nodes.get(contact.name, {})), []).append(contact)
    found = {}
    for zone, inside in members.items():
        down = [c for c in inside if c.silent]
        whole = len(down) == len(inside) and len(down) >= 2
        most = len(down) > 2 and len(down) / len(inside) >= cut.zone
        # Nodes without a zone label share no place.
        if zone and (whole or most):
            found[zone] = Scope("zone", zone, _names(down), len(inside), since=_since(down))
    return found if len(found) < len(members) else {}


def _rest(nodes: Mapping[str, Obj], joined: Sequence[Contact], left: Sequence[Contact], cut: Cutoffs) -> Scope:
    if len(left) < 2:
        return Scope("node" if left else "none", members=_names(left), total=len(left), since=_since(left))
    gone = {c.name for c in left}
    lost = [nodes.get(c.name, {}) for c in left]
    others = [nodes.get(c.name, {}) for c in joined if c.name not in gone]
    for name, bucket in _BUCKETS:
        value = bucket(lost[0])
        if not value or any(bucket(node) != value for node in lost):
            continue
        # How many of the others share it; what most of them share is found out before all are counted.
        alike = 0
        for node in others:
            alike += bucket(node) == value
            if len(left) / (len(left) + alike) < cut.zone:
                break
        else:
            if alike < len(others):
                label = value if name == "pool" else f"{name} {value}"
                return Scope("pool", label, _names(left), len(left) + alike, Confidence.LIKELY, _since(left))
    moments = sorted(c.renewed for c in left if c.renewed)
    if len(moments) == len(left) and moments[-1] - moments[0] <= cut.together:
        return Scope("together", "", _names(left), len(left), Confidence.LIKELY, moments[0])
    return Scope("node", members=_names(left), total=len(left), since=_since(left))
