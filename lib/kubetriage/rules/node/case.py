"""One node with everything that was seen of it, as the rules read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from kubetriage.model import Evidence, Fix, Ref
from kubetriage.needs import Raw, Why
from kubetriage.readers.events import Events, node_events
from kubetriage.readers.pods import Pod
from kubetriage.rules.node.eviction_timetable import (
    Remediation,
    Row,
    Surroundings,
    jobs_by_uid,
    remediations,
    timetable,
)
from kubetriage.rules.node.kubelet_contact import (
    NODE_LEASES,
    Contact,
    Probe,
    SelfReport,
    Witness,
    condition_evidence,
    kubelet_path,
    kubelet_version,
    parse_self_report,
    read_contact,
    read_probe,
    read_witnesses,
    write_order,
)
from kubetriage.rules.node.outage_scope import Cluster, Cutoffs, Plane, Scope, judge, read_plane, written
from kubetriage.snapshot import Listing, Lookup, Snapshot, State
from kubetriage.values.fields import (
    Obj,
    condition,
    controller_of,
    dig,
    labels,
    name_of,
    namespace_of,
    objects,
    text,
    uid_of,
)
from kubetriage.values.quantity import format_bytes, parse_quantity
from kubetriage.values.times import format_time, human_duration, parse_time

MANAGER_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"
NODE_CHECKS = "/apis/remediation.medik8s.io/v1alpha1/nodehealthchecks"
MACHINE_CHECKS = {
    "machine.openshift.io/machine": "/apis/machine.openshift.io/v1beta1/machinehealthchecks",
    "cluster.x-k8s.io/machine": "/apis/cluster.x-k8s.io/v1beta1/machinehealthchecks",
}
"""Annotation of a node that a machine controller owns, and where its health checks are."""


def lease_listing(snapshot: Snapshot) -> Listing:
    """Return all Leases that were seen; complete when at least those of nodes were."""
    whole = snapshot.list("leases")
    if whole.complete and not whole.presumed:
        return whole
    nodes = snapshot.list("leases", NODE_LEASES)
    return Listing(whole.items, nodes.complete, nodes.why or whole.why, nodes.presumed)


def lease_of(leases: Listing, by_name: Mapping[str, Obj], name: str) -> Lookup:
    """Look the Lease of one node up."""
    found = by_name.get(name)
    if found is not None:
        return Lookup(State.FOUND, found)
    # A dump without a single Lease of a node left them out.
    if leases.complete and not (leases.presumed and not by_name):
        return Lookup(State.ABSENT, presumed=leases.presumed)
    return Lookup(State.UNSEEN, why=leases.why or "the dump holds no Leases of nodes")


def _renewal(snapshot: Snapshot, sample: int = 0) -> datetime | None:
    """Return the renewal of the controller-manager's Lease that a read through etcd gave."""
    body = snapshot.body(MANAGER_LEASE, sample)
    if body is None or body.status != 200:
        return None
    try:
        return parse_time(dig(json.loads(body.text), "spec", "renewTime"))
    except (ValueError, RecursionError):
        return None


def stale_through_etcd(snapshot: Snapshot, limit: timedelta) -> bool:
    """Tell whether the Lease is old even as etcd has it: only a second read tells stopped writes from a wrong clock."""
    renewed = _renewal(snapshot)
    return renewed is not None and snapshot.now - renewed > limit


def _clock(snapshot: Snapshot, limit: timedelta) -> datetime:
    """Return the clock to judge by: that of the observation, or the Leases' own.

    A Lease that is old and yet renewed between two reads shows that the API server's clock is ahead of all others. The
    lists of a recording may be older than its clock, by the time that its other reads took.
    """
    first, second = _renewal(snapshot), _renewal(snapshot, 1)
    if first and second and second > first and snapshot.now - second > limit:
        return second
    if snapshot.lag:
        others = [*snapshot.list("pods").items, *snapshot.list("events").items]
        renewed = (parse_time(dig(o, "spec", "renewTime")) for o in lease_listing(snapshot).items)
        writes = (*renewed, *written(snapshot.list("nodes").items, others))
        newest = max((t for t in writes if t and t <= snapshot.now), default=snapshot.now)
        return max(newest, snapshot.now - snapshot.lag)
    return snapshot.now


def read_cluster(snapshot: Snapshot, cut: Cutoffs | None = None) -> Cluster:
    """Judge the contact of all nodes that were seen."""
    now = _clock(snapshot, (cut or Cutoffs()).frozen)
    nodes = snapshot.list("nodes").items
    leases = lease_listing(snapshot)
    by_name = {name_of(o): o for o in leases.items if namespace_of(o) == NODE_LEASES}
    version, order = snapshot.version, write_order(leases.items)
    contacts = {name_of(n): read_contact(n, lease_of(leases, by_name, name_of(n)), order, now, version) for n in nodes}
    others = [*snapshot.list("pods").items, *snapshot.list("events").items]
    plane = read_plane(leases.items, written(nodes, others), now)
    elections = tuple(o for o in leases.items if namespace_of(o) != NODE_LEASES)
    return replace(judge(nodes, contacts, plane, cut), elections=elections)


@dataclass(frozen=True)
class Stat:
    """One resource that the kubelet guards: what is free and where it begins to evict."""

    signal: str
    """The kubelet's name (``memory.available``)."""
    threshold: str
    """As configured or by default (``100Mi``, ``10%``)."""
    available: int | None
    """Bytes, inodes or process ids."""
    capacity: int | None
    unit: str = "bytes"
    grace: str = ""
    """For a soft threshold: how long it must be met before the kubelet evicts; the condition is set at once."""

    @property
    def limit(self) -> int | None:
        """The threshold in the unit of ``available``."""
        if self.threshold.endswith("%"):
            part = parse_quantity(self.threshold[:-1])
            return int(part * self.capacity / 100) if part is not None and self.capacity is not None else None
        amount = parse_quantity(self.threshold)
        return int(amount) if amount is not None else None

    @property
    def met(self) -> bool:
        """Less is free than the threshold asks."""
        return self.available is not None and self.limit is not None and self.available < self.limit

    def words(self) -> str:
        """Say it in one line."""
        free = "unknown" if self.available is None else self._amount(self.available)
        limit = f" ({self._amount(self.limit)})" if self.threshold.endswith("%") and self.limit is not None else ""
        after = f" for {self.grace}" if self.grace else ""
        return f"{self.signal} {free}, evicts below {self.threshold}{limit}{after}"

    def _amount(self, count: int) -> str:
        return format_bytes(count) if self.unit == "bytes" else f"{count} {self.unit}"


DEFAULT_EVICTION = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
"""kubelet eviction/defaults_linux.go; in force where evictionHard is not configured at all."""


@dataclass(frozen=True)
class NodeCase:
    """What the rules look at."""

    node: Obj
    cluster: Cluster
    snapshot: Snapshot
    pods: Sequence[Pod] = ()
    """Pods bound to this node."""
    siblings: Mapping[str, Sequence[Obj]] = field(default_factory=dict)
    """Pods of any node by the uid of their controller."""
    events: Events = field(default_factory=lambda: Events((), False, "not read"))

    @property
    def name(self) -> str:
        """Name of the node."""
        return name_of(self.node)

    @property
    def ref(self) -> Ref:
        """Reference to the node."""
        return Ref("Node", "", self.name, uid_of(self.node))

    @property
    def renewal_command(self) -> str:
        """Command that prints when the kubelet last renewed its Lease."""
        return f"kubectl -n {NODE_LEASES} get lease {self.name} -o jsonpath='{{.spec.renewTime}}'"

    @property
    def now(self) -> datetime:
        """The clock to judge by."""
        return self.plane.now

    @property
    def contact(self) -> Contact:
        """The contact with its kubelet."""
        return self.cluster.contacts[self.name]

    @property
    def plane(self) -> Plane:
        """Who writes in this cluster."""
        return self.cluster.plane

    @cached_property
    def scope(self) -> Scope:
        """How far its silence reaches."""
        return self.cluster.scope_of(self.name)

    @cached_property
    def reports(self) -> tuple[SelfReport, ...]:
        """What its kubelet says itself; empty unless Ready is False with a living kubelet."""
        contact = self.contact
        if contact.ready != "False" or self.scope.kind == "frozen" or contact.unmarked:
            return ()
        return parse_self_report(contact.message) or (SelfReport("other", "it gives no reason"),)

    def reported(self, *kinds: str) -> SelfReport | None:
        """Return the first self-report of these kinds."""
        return next((r for r in self.reports if r.kind in kinds), None)

    @cached_property
    def probe(self) -> Probe | None:
        """What the dial to the kubelet gave."""
        return read_probe(self.snapshot, self.name)

    @cached_property
    def witnesses(self) -> tuple[Witness, ...]:
        """Who speaks for or against the machine being alive."""
        return read_witnesses(
            self.node,
            self.contact,
            self.now,
            elections=self.cluster.elections,
            pods=[p.raw for p in self.pods],
            attachments=self.snapshot.list("volumeattachments").items,
            events=self.events,
            probe=self.probe,
        )

    @property
    def alone(self) -> bool:
        """Its silence is its own: no zone, cluster or frozen store explains it."""
        return self.contact.lost and self.scope.kind in ("node", "pool", "together")

    @cached_property
    def machine_alive(self) -> Witness | None:
        """A witness that processes of this machine reached the API server after the kubelet fell silent."""
        return next((w for w in self.witnesses if w.machine), None)

    @cached_property
    def proven_dead(self) -> Witness | None:
        """A witness that the machine is off; None as soon as anything speaks for its life."""
        if any(w.says == "alive" for w in self.witnesses):
            return None
        return next((w for w in self.witnesses if w.says == "gone"), None)

    def contact_evidence(self) -> tuple[Evidence, ...]:
        """Quote the Lease, the Ready condition and the dial."""
        found = [self.contact.lease_evidence()]
        ready = condition(self.node, "Ready")
        if ready:
            found.append(condition_evidence(ready))
        if self.probe is not None:
            found.append(Evidence("status", f"GET {self.probe.at}", self.probe.words))
        found.extend(self._taint_gap())
        found.extend(self._unsupported_version())
        return tuple(found)

    def _taint_gap(self) -> Iterator[Evidence]:
        """Quote how much later than NoSchedule the NoExecute taint came: it waited, or a new controller set it anew."""
        added = {
            text(t, "effect"): parse_time(t.get("timeAdded"))
            for t in objects(self.node, "spec", "taints")
            if text(t, "key") in _LOSS
        }
        first, second = added.get("NoSchedule"), added.get("NoExecute")
        if first and second and second - first >= timedelta(seconds=5):
            words = (
                f"NoExecute came {human_duration(second - first)} after NoSchedule: queued (one node in 10s), or set "
                "anew by a restarted controller-manager or after a time when no node was ready"
            )
            yield Evidence("spec", "spec.taints", words, format_time(second))

    def _unsupported_version(self) -> Iterator[Evidence]:
        """Quote a kubelet that the control plane's version does not support (kubernetes.io/releases/version-skew)."""
        kubelet, plane = kubelet_version(self.node), self.snapshot.version
        if kubelet is None or plane is None or kubelet[0] != plane[0] or 0 <= plane[1] - kubelet[1] <= 3:
            return
        side = "newer than" if kubelet[1] > plane[1] else "more than three minor versions older than"
        words = f"{kubelet[0]}.{kubelet[1]}, {side} the control plane's {plane[0]}.{plane[1]}: not supported together"
        yield Evidence("status", "status.nodeInfo.kubeletVersion", words)

    def witness_evidence(self, witness: Witness) -> Evidence:
        """Quote a witness."""
        time = format_time(witness.moment) if witness.moment else ""
        return Evidence("status", witness.what, witness.detail, time)

    def silence(self) -> str:
        """Say since when the kubelet is silent (``for 1m30s``)."""
        since = self.contact.since
        return f"for {human_duration(self.now - since)}" if since and since <= self.now else "for an unknown time"

    @property
    def runtime(self) -> tuple[str, str]:
        """Name of the container runtime and of its systemd unit."""
        name = text(self.node, "status", "nodeInfo", "containerRuntimeVersion").partition("://")[0]
        return name or "container runtime", {"cri-o": "crio", "docker": "docker cri-docker"}.get(
            name, name or "containerd"
        )

    @property
    def address(self) -> str:
        """Its address for SSH: the internal IP, else the name."""
        for entry in objects(self.node, "status", "addresses"):
            if text(entry, "type") == "InternalIP":
                return text(entry, "address")
        return self.name

    # The kubelet's own figures.

    def _document(self, what: str) -> Obj:
        body = self.snapshot.body(kubelet_path(self.name, what))
        if body is None or body.status != 200:
            return {}
        try:
            found = json.loads(body.text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def stats(self) -> Obj:
        """``/stats/summary`` of the kubelet; empty when not seen."""
        return self._document("stats/summary")

    @cached_property
    def config(self) -> Obj:
        """The kubelet's configuration; empty when not seen."""
        found = self._document("configz").get("kubeletconfig")
        return found if isinstance(found, dict) else {}

    def guarded(self, *signals: str) -> tuple[Stat, ...]:
        """Return thresholds and free amounts of these eviction signals, as far as they were seen."""
        configured = labels(self.config, "evictionHard")
        # Since evictionHard replaces the defaults as a whole, a signal that it leaves out is not guarded.
        thresholds = configured or (DEFAULT_EVICTION if self.config else {})
        soft, grace = labels(self.config, "evictionSoft"), labels(self.config, "evictionSoftGracePeriod")
        found = []
        for signal in signals:
            place, unit = _STATS[signal]
            available, capacity = _whole(dig(self.stats, *place[0])), _whole(dig(self.stats, *place[1]))
            if signal == "memory.available":
                working = _whole(dig(self.stats, "node", "memory", "workingSetBytes"))
                capacity = available + working if available is not None and working is not None else None
            if signal == "pid.available" and available is not None and capacity is not None:
                available = capacity - available
            if signal in thresholds or (available is not None and not thresholds):
                found.append(Stat(signal, thresholds.get(signal, "?"), available, capacity, unit))
            if signal in soft:
                found.append(Stat(signal, soft[signal], available, capacity, unit, grace.get(signal, "a while")))
        return tuple(found)

    def consumers(self, path: Sequence[str], write: Callable[[int], str] = format_bytes, least: int = 0) -> str:
        """Name the three pods that use most, and at least so much, by a path of their statistics."""
        used = []
        for pod in objects(self.stats, "pods"):
            amount = _whole(dig(pod, *path))
            if amount and amount >= least:
                used.append((amount, f"{text(pod, 'podRef', 'namespace')}/{text(pod, 'podRef', 'name')}"))
        used.sort(reverse=True)
        return ", ".join(f"{name} {write(amount)}" for amount, name in used[:3])

    # What happens to its pods.

    @cached_property
    def timetable(self) -> tuple[Row, ...]:
        """What happens to each pod, and when."""
        namespaces = {p.namespace for p in self.pods}
        owners = {text(p.controller, "uid") for p in self.pods}
        siblings = [raw for owner in owners for raw in self.siblings.get(owner, ())]
        seen = all(self.snapshot.list("pods", n).complete for n in namespaces)
        jobs = [j for n in namespaces for j in self.snapshot.list("jobs", n).items]
        jobs_seen = all(self.snapshot.list("jobs", n).complete for n in namespaces)
        claims = [c for n in namespaces for c in self.snapshot.list("persistentvolumeclaims", n).items]
        attached = {
            text(a, "spec", "source", "persistentVolumeName")
            for a in self.snapshot.list("volumeattachments").items
            if text(a, "spec", "nodeName") == self.name and dig(a, "status", "attached") is True
        }
        down = self.cluster.whole.kind in ("controllers", "frozen") and self.plane.manager_age is not None
        return timetable(
            self.pods,
            Surroundings(
                node=self.node,
                now=self.now,
                ready=self.contact.ready,
                silent=self.contact.silent,
                acquired=self.plane.acquired,
                controllers_down=down,
                pause=self._pause(),
                shutting_down=self.reported("shutdown") is not None,
                siblings=siblings,
                siblings_seen=seen,
                jobs=jobs_by_uid(jobs) if jobs_seen else None,
                claims={(namespace_of(c), name_of(c)): c for c in claims},
                attached=frozenset(attached),
            ),
        )

    def _pause(self) -> str:
        if self.cluster.master_disruption:
            return "no node at all is ready, so the node controller evicts nothing (master disruption)"
        state, size = self.cluster.zone_state(self.name)
        if state == "Partial" and size <= 50:
            return "more than half of a small zone is down, so the node controller evicts nothing there"
        return "the node waits for its NoExecute taint (the node controller taints one node in 10s)"

    @property
    def stuck(self) -> tuple[Row, ...]:
        """Pods whose deletion waits for this node."""
        return tuple(r for r in self.timetable if r.stuck)

    @cached_property
    def remediations(self) -> tuple[Remediation, ...]:
        """What will act on this node by itself."""
        machine = [c for key, path in MACHINE_CHECKS.items() if key in self.annotations for c in self._items(path)]
        return remediations(self.node, self._items(NODE_CHECKS), machine)

    @property
    def annotations(self) -> dict[str, str]:
        """``metadata.annotations``."""
        return labels(self.node, "metadata", "annotations")

    def _items(self, path: str) -> list[Obj]:
        body = self.snapshot.body(path)
        if body is None or body.status != 200:
            return []
        try:
            return objects(json.loads(body.text), "items")
        except (ValueError, RecursionError):
            return []

    def quorum_age(self) -> tuple[bool, timedelta | None]:
        """Return whether the read through etcd was tried, and the age of the Lease that it gave (None: it hung)."""
        renewed = _renewal(self.snapshot)
        if renewed is not None:
            return True, self.now - renewed
        body, failure = self.snapshot.body(MANAGER_LEASE), self.snapshot.failure(Raw(MANAGER_LEASE))
        hung = failure is not None and failure.why in (Why.TIMEOUT, Why.FAILED)
        return hung or (body is not None and body.status >= 500), None

    def waiting_pods(self) -> str:
        """Say in a sentence which pods wait for this node; empty when none does."""
        stuck = self.stuck
        if not stuck:
            return ""
        held = [f"{text(r.pod.controller, 'kind')} pod {r.pod.name}" for r in stuck if r.waits_for_node]
        more = f" and {len(held) - 2} more" if len(held) > 2 else ""
        kept = f", with no replacement for {', '.join(held[:2])}{more} before that" if held else ""
        count = f"{len(stuck)} pods are" if len(stuck) > 1 else "1 pod is"
        return f" {count} stuck Terminating until it answers{kept}."

    def keep_hands_off(self) -> Fix:
        """Warn against force deletion while the machine may still run the pods."""
        names = [f"{r.pod.namespace}/{r.pod.name}" for r in self.timetable if r.waits_for_node][:3]
        about = f" ({', '.join(names)})" if names else ""
        return Fix(
            f"Do not force-delete pods{about} and do not set the out-of-service taint: {self.name} is not proven dead, "
            "and a second copy could write the same data. Prove first that the machine is off."
        )

    def fencing(self) -> Iterator[Fix]:
        """Free the pods of a machine that is proven to be off."""
        if self.proven_dead is None:
            return
        if not taint_present(self.node):
            yield Fix(
                f"{self.name} is off ({self.proven_dead.detail}), so its pods and volumes may be freed without its "
                f"kubelet: kubectl taint nodes {self.name} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute "
                "(remove the taint before the machine comes back)."
            )

    def faster_failover(self) -> Iterator[Fix]:
        """Offer shorter tolerations to Deployments whose pods wait out the default time."""
        offered: set[str] = set()
        for row in self.timetable:
            eviction = row.eviction
            name = deployment_of(row.pod)
            key = f"{row.pod.namespace}/{name}"
            if not name or key in offered or row.fate != "due" or eviction is None or eviction.seconds < 300:
                continue
            offered.add(key)
            yield Fix(
                f"If Deployment {key} must move sooner next time, let its pods tolerate a lost node for 30s instead of "
                f"{eviction.seconds}s. Cost: any loss of contact over {30 + int(self.contact.grace.total_seconds())}s "
                "moves them, also when only the kubelet restarts, and the old pods run on until the node is back. With "
                "-o wide the patch is shown.",
                patch=_tolerate(row.pod, 30),
                on=Ref("Deployment", row.pod.namespace, name),
            )
            if len(offered) == 2:
                return


def taint_present(node: Obj) -> bool:
    """Tell whether the out-of-service taint is already there."""
    return any(text(t, "key") == "node.kubernetes.io/out-of-service" for t in objects(node, "spec", "taints"))


def deployment_of(pod: Pod) -> str:
    """Return the name of the Deployment of a pod, by its ReplicaSet's name; empty when it has none."""
    owner, hashed = pod.controller, pod.labels.get("pod-template-hash", "")
    name = text(owner, "name")
    if text(owner, "kind") != "ReplicaSet" or not hashed or not name.endswith(f"-{hashed}"):
        return ""
    return name.removesuffix(f"-{hashed}")


_LOSS = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")


def _tolerate(pod: Pod, seconds: int) -> Mapping[str, object]:
    """Write the patch; the list of tolerations is replaced as a whole, so the pod's other ones are kept."""
    kept = [dict(t) for t in objects(pod.raw, "spec", "tolerations") if text(t, "key") not in _LOSS]
    added = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds} for key in _LOSS]
    return {"spec": {"template": {"spec": {"tolerations": [*kept, *added]}}}}


_STATS: Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], str]] = {
    "memory.available": ((("node", "memory", "availableBytes"), ()), "bytes"),
    "nodefs.available": ((("node", "fs", "availableBytes"), ("node", "fs", "capacityBytes")), "bytes"),
    "nodefs.inodesFree": ((("node", "fs", "inodesFree"), ("node", "fs", "inodes")), "inodes"),
    "imagefs.available": (
        (("node", "runtime", "imageFs", "availableBytes"), ("node", "runtime", "imageFs", "capacityBytes")),
        "bytes",
    ),
    "imagefs.inodesFree": (
        (("node", "runtime", "imageFs", "inodesFree"), ("node", "runtime", "imageFs", "inodes")),
        "inodes",
    ),
    "pid.available": ((("node", "rlimit", "curproc"), ("node", "rlimit", "maxpid")), "process ids"),
}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def cases(snapshot: Snapshot, names: Sequence[str], cluster: Cluster) -> Iterator[NodeCase]:
    """Build the cases of these nodes, in the given order."""
    wanted = set(names)
    by_node: dict[str, list[Pod]] = {}
    siblings: dict[str, list[Obj]] = {}
    for raw in snapshot.list("pods").items if wanted else ():
        if owner := text(controller_of(raw), "uid"):
            siblings.setdefault(owner, []).append(raw)
        if (place := text(raw, "spec", "nodeName")) in wanted:
            by_node.setdefault(place, []).append(Pod(raw))
    for name in names:
        if node := cluster.nodes.get(name):
            events = node_events(snapshot, name, uid_of(node))
            yield NodeCase(node, cluster, snapshot, by_node.get(name, ()), siblings, events)
