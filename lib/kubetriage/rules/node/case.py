"""One node with everything that was seen of it, as the rules read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

from kubetriage.model import Evidence, Ref
from kubetriage.needs import Raw, Why
from kubetriage.readers.events import Events, node_events
from kubetriage.readers.kubelet_contact import (
    NODE_LEASES,
    Contact,
    condition_evidence,
    kubelet_version,
)
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, field
from kubetriage.rules.machine import Machine, machine_of
from kubetriage.rules.node.cluster_contact import MANAGER_LEASE, renewal
from kubetriage.rules.node.eviction_signals import Stat, consumers, guarded
from kubetriage.rules.node.eviction_timetable import (
    Remediation,
    Row,
    Surroundings,
    jobs_by_uid,
    remediations,
    timetable,
)
from kubetriage.rules.node.kubelet_probe import Probe, kubelet_path, read_probe
from kubetriage.rules.node.machine_words import MachineWords, kernel_events, logs_of, read_words
from kubetriage.rules.node.node_taints import LOSS_TAINTS
from kubetriage.rules.node.outage_scope import Cluster, Plane, Scope
from kubetriage.rules.node.self_report import SelfReport, parse_self_report
from kubetriage.rules.node.signing_requests import SigningRequest, waiting_requests
from kubetriage.rules.node.witnesses import Witness, read_witnesses
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import (
    Obj,
    condition,
    controller_of,
    dig,
    flag,
    labels,
    name_of,
    namespace_of,
    objects,
    text,
    uid_of,
)
from kubetriage.values.quantity import format_bytes
from kubetriage.values.times import format_time, human_duration, parse_time

_CONDITIONS = "status.conditions"
NODE_CHECKS = "/apis/remediation.medik8s.io/v1alpha1/nodehealthchecks"
MACHINE_CHECKS = {
    "machine.openshift.io/machine": "/apis/machine.openshift.io/v1beta1/machinehealthchecks",
    "cluster.x-k8s.io/machine": "/apis/cluster.x-k8s.io/v1beta1/machinehealthchecks",
}
"""Annotation of a node that a machine controller owns, and where its health checks are."""


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
    looked_up: bool = False
    """Its pods and events were looked up."""
    asked: bool = False
    """The user named this node, so a log that names no machine is about it."""
    drain: bool = False
    """The user asked what a drain would meet."""

    @cached_property
    def name(self) -> str:
        """Name of the node."""
        return name_of(self.node)

    @property
    def ref(self) -> Ref:
        """Reference to the node."""
        return Ref("Node", "", self.name, uid_of(self.node))

    @property
    def drains(self) -> bool:
        """What a drain meets is of interest: it was asked for, or the node is cordoned."""
        return self.drain or flag(self.node, "spec", "unschedulable") is True

    @property
    def renewal_command(self) -> str:
        """Command that prints when the kubelet last renewed its Lease."""
        return kubectl("get", "lease", self.name, "-o", "jsonpath={.spec.renewTime}", namespace=NODE_LEASES)

    @property
    def now(self) -> datetime:
        """The clock to judge by."""
        return self.plane.now

    @cached_property
    def contact(self) -> Contact:
        """The contact with its kubelet."""
        return self.cluster.contacts[self.name]

    @property
    def plane(self) -> Plane:
        """Who writes in this cluster."""
        return self.cluster.plane

    @cached_property
    def events(self) -> Events:
        """The events about the node."""
        if not self.looked_up:
            return Events((), False, "not read")
        return node_events(self.snapshot, self.name, uid_of(self.node))

    @cached_property
    def scope(self) -> Scope:
        """How far its silence reaches."""
        return self.cluster.scope_of(self.name)

    @cached_property
    def reports(self) -> tuple[SelfReport, ...]:
        """What its kubelet says itself; empty unless Ready is False with a living kubelet."""
        contact = self.contact
        if contact.ready != "False" or self.scope.kind == "frozen" or contact.unmarked or self.untold:
            return ()
        return parse_self_report(contact.message) or (SelfReport("other", "it gives no reason"),)

    @cached_property
    def untold(self) -> bool:
        """Only a table shows the node: its NotReady stands for what the kubelet reports and for lost contact alike."""
        contact = self.contact
        return contact.ready == "False" and not contact.message and not self.snapshot.covers(self.node, _CONDITIONS)

    def reported(self, *kinds: str) -> SelfReport | None:
        """Return the first self-report of these kinds."""
        return next((r for r in self.reports if r.kind in kinds), None)

    @cached_property
    def machine(self) -> Machine:
        """The machine and how its distribution is operated."""
        return machine_of(self.node)

    @cached_property
    def words(self) -> MachineWords:
        """What the machine's own logs say, where they were given or asked for."""
        alone = len(self.cluster.nodes) == 1
        logs = logs_of(self.snapshot, self.name, asked=self.asked, alone=alone)
        if not logs and not self.snapshot.covers(self.node, "status.nodeInfo"):
            # Of a node that only events tell of, these hold what its kernel said.
            logs = tuple(log for log in kernel_events(self.snapshot) if log.node == self.name)
        return read_words(logs, self.snapshot.now) if logs else MachineWords()

    @cached_property
    def requests(self) -> tuple[SigningRequest, ...]:
        """Requests for a client certificate that its kubelet may be waiting for."""
        return waiting_requests(self.snapshot, self.name)

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
            attachments=self.snapshot.derived(_attachments_by_node).get(self.name, ()),
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
        event = self.events.last("NodeNotReady") if self.untold else None
        if event is not None:
            found = [event.evidence()]
        elif self.untold:
            found = [Evidence("status", f"kubectl get nodes, {self.name}", "STATUS NotReady")]
        elif ready:
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
            if text(t, "key") in LOSS_TAINTS
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
        return guarded(self.config, self.stats, *signals)

    def consumers(self, path: Sequence[str], write: Callable[[int], str] = format_bytes, least: int = 0) -> str:
        """Name the three pods that use most, and at least so much, by a path of their statistics."""
        return consumers(self.stats, path, write, least)

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
            for a in self.snapshot.derived(_attachments_by_node).get(self.name, ())
            if dig(a, "status", "attached") is True
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
            return "with every node NotReady, Kubernetes stops evictions"
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

    @cached_property
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
        renewed = renewal(self.snapshot)
        if renewed is not None:
            return True, self.now - renewed
        body, failure = self.snapshot.body(MANAGER_LEASE), self.snapshot.failure(Raw(MANAGER_LEASE))
        hung = failure is not None and failure.why in (Why.TIMEOUT, Why.FAILED)
        return hung or (body is not None and body.status >= 500), None


def _attachments_by_node(snapshot: Snapshot) -> Mapping[str, Sequence[Obj]]:
    """Sort the attachments of volumes by node: a scan asks for those of each of thousands."""
    found: dict[str, list[Obj]] = {}
    for raw in snapshot.list("volumeattachments").items:
        found.setdefault(text(raw, "spec", "nodeName"), []).append(raw)
    return found


def cases(
    snapshot: Snapshot, names: Sequence[str], cluster: Cluster, *, asked: bool = False, drain: bool = False
) -> Iterator[NodeCase]:
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
            yield NodeCase(node, cluster, snapshot, by_node.get(name, ()), siblings, True, asked, drain)
