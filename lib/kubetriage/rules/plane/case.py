"""Everything that the control plane's rules look at, read once."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property

from kubetriage.model import Ref
from kubetriage.needs import List, Log, Why
from kubetriage.readers.events import Event, read_event
from kubetriage.readers.kubelet_contact import grace_period
from kubetriage.readers.outer_layers import TALOSCTL
from kubetriage.readers.prometheus import Window
from kubetriage.records import dataclass, replace
from kubetriage.rules.machine import SERVER_ROLES, Machine, machine_of, named
from kubetriage.rules.node.outage_scope import written
from kubetriage.rules.plane import admission_webhooks, api_server, component_log, etcd_members, priority_and_fairness
from kubetriage.rules.plane.control_plane_pods import Failing, Stopped, failing, stopped_together, unsteady
from kubetriage.rules.plane.etcd_log import read_log
from kubetriage.rules.plane.etcd_servers import Servers, servers_of
from kubetriage.rules.plane.leases import CONTROLLER_MANAGER, Lease, Leases, Quorum, read_quorum
from kubetriage.rules.plane.object_states import ready_status
from kubetriage.rules.plane.plane_lists import COMPONENTS, component
from kubetriage.rules.plane.thresholds import Limits
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, labels, name_of, namespace_of, text
from kubetriage.values.patterns import lazy

CLUSTER = Ref("Cluster", "", "control-plane")
"""What a finding about no single object is about."""
_SEVERAL = 3
"""Nodes that do not fall silent in the same moment by chance."""
_READING = timedelta(seconds=10)
"""By how much more the lists of a recording may be older than its clock."""
_ETCD_NAMESPACES = ("kube-system", "openshift-etcd")
_OPENSHIFT = "node.openshift.io/"


# etcd's api/v3rpc/rpctypes/error.go, all versions: what a member without a quorum or with a stalled disk answers.
_ETCD_ERROR = lazy(r"etcdserver: (?:request timed out|no leader|leader changed|server stopped|not capable)[^\n]{0,80}")


class Writes(enum.Enum):
    """Whether anybody in the cluster can still write, told from the ages of leases."""

    FLOWING = "flowing"
    SLOW = "slow"
    """Leases are old, yet the API server completed a few renewals between the samples."""
    FROZEN = "frozen"
    UNKNOWN = "unknown"


class Leading(enum.Enum):
    """Whether a component that elects a leader has one."""

    YES = "yes"
    BACK = "back"
    """Its lease was stale in the list, but it renewed or worked after that."""
    LATE = "late"
    """No renewal for longer than a lease lasts, not yet for a minute."""
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Case:
    """One control plane, as far as it was seen."""

    snapshot: Snapshot
    limits: Limits
    forward: bool = False
    """Port-forwards to etcd are allowed."""

    @property
    def now(self) -> datetime:
        """The clock of the observation."""
        return self.snapshot.now

    @cached_property
    def pods(self) -> tuple[Obj, ...]:
        """Pods of the control plane; none on a managed cluster."""
        found = [p for namespace in _ETCD_NAMESPACES for p in self.snapshot.list("pods", namespace).items]
        return tuple(p for p in found if component(p) and namespace_of(p) in _ETCD_NAMESPACES)

    @cached_property
    def pods_seen(self) -> bool:
        """Whether the pods of kube-system were listed."""
        return self.snapshot.list("pods", "kube-system").complete

    def of(self, name: str) -> tuple[Obj, ...]:
        """Return the pods of one component."""
        return tuple(p for p in self.pods if component(p) == name)

    @property
    def by_component(self) -> tuple[tuple[str, Obj], ...]:
        """The pods of all components but etcd, each with its component's name."""
        return tuple((name, pod) for name in COMPONENTS[1:] for pod in self.of(name))

    @cached_property
    def openshift(self) -> bool:
        """Whether nodes carry OpenShift's labels, so that etcd stands in a namespace of its own."""
        return any(key.startswith(_OPENSHIFT) for node in self.nodes for key in labels(node, "metadata", "labels"))

    @cached_property
    def members(self) -> tuple[etcd_members.Member, ...]:
        """The etcd members.

        While etcd hangs the list of pods may be missing although logs were saved, so a log makes a member too. So does
        etcd's word in the one journal of k3s or RKE2, or in that of a machine.
        """
        pods = self.of("etcd")
        if not pods:
            pods = tuple(_logged_member(name, self.snapshot) for name in self.snapshot.logged("kube-system", "etcd"))
        found = etcd_members.read_members(pods, self.snapshot, self.forward)
        return found or tuple(self._journal_members())

    def _journal_members(self) -> Iterator[etcd_members.Member]:
        journals = {n.pod: self.snapshot.log(n.namespace, n.pod, n.container).text for n in self.plain_logs}
        journals.update({j.node or j.source: j.text for j in self.snapshot.node_logs()})
        for name, content in journals.items():
            log = read_log(content, self.now, server_only=True)
            if log.understood:
                yield etcd_members.journal_member(name, log)

    @cached_property
    def livez(self) -> api_server.Health:
        """The API server's own word on whether it lives."""
        return api_server.read_health(self.snapshot, api_server.LIVEZ)

    @cached_property
    def readyz(self) -> api_server.Health:
        """The API server's own word on whether it serves."""
        return api_server.read_health(self.snapshot, api_server.READYZ)

    @cached_property
    def plain_logs(self) -> tuple[Log, ...]:
        """Logs under a component's or unit's plain name, as recordings and journals have them."""
        return component_log.plain_logs(self.snapshot)

    @cached_property
    def logs(self) -> tuple[component_log.ComponentLog, ...]:
        """The logs of all components but etcd, and journals of machines."""
        needs: list[Log] = []
        for name in COMPONENTS[1:]:
            for previous in (True, False):
                needs += component_log.log_needs(self.of(name), name, previous=previous)
        return component_log.read_component_logs(self.snapshot, needs)

    @cached_property
    def remarks(self) -> tuple[component_log.Remark, ...]:
        """What these logs say, oldest first."""
        return tuple(sorted((r for log in self.logs for r in log.remarks), key=lambda r: r.at))

    def lately(self, kind: str, seconds: float) -> tuple[component_log.Remark, ...]:
        """Return the remarks of one kind of the last so many seconds.

        A journal ends when somebody saved it, so what is recent there is counted from its last line.
        """
        limit = timedelta(seconds=seconds)
        pods = {p for name in COMPONENTS for p in map(name_of, self.of(name))} | set(COMPONENTS)
        clocks = {log.source: log.last for log in self.logs if log.source.removesuffix(" (previous)") not in pods}
        return tuple(
            r
            for r in self.remarks
            if r.kind == kind and min(self.now, clocks.get(r.source) or self.now) - r.at <= limit
        )

    @cached_property
    def failing(self) -> tuple[Failing, ...]:
        """Pods of the control plane that do not run or restart again and again, in the order of the chain."""
        found = (failing(p, name) for name in COMPONENTS for p in self.of(name))
        return tuple(f for f in found if f is not None)

    @cached_property
    def unsteady(self) -> tuple[Failing, ...]:
        """Pods of the control plane that run now and ended lately, again."""
        found = (unsteady(p, name, self.now) for name in COMPONENTS for p in self.of(name))
        return tuple(f for f in found if f is not None)

    @cached_property
    def stopped(self) -> Stopped | None:
        """Static pods of one node that its kubelet ends again and again."""
        return stopped_together(self.failing, self.events)

    @cached_property
    def machine(self) -> Machine:
        """A machine of the control plane, or one like it, for commands.

        Where no Node was seen the units whose journals were read tell the distribution.
        """
        servers = [n for n in self.nodes if any(r in labels(n, "metadata", "labels") for r in SERVER_ROLES)]
        if servers or self.nodes:
            return replace(machine_of((servers or list(self.nodes))[0]), server=True)
        units = {w.partition("-")[0] for log in self.logs for w in (log.unit, log.source)}
        units |= {m.log.head_unit for m in self.members if m.log}
        # "journalctl -u k3s", "k3s.log"
        units |= {re.split(r"[-.]", j.source.rpartition(" ")[2])[0] for j in self.snapshot.node_logs()}
        known = {"k3s": "k3s", "rke2": "rke2", "k0scontroller": "k0s", "k0s": "k0s", "kubelite": "microk8s"}
        known[TALOSCTL] = "talos"
        kind = next((known[u] for u in known if u in units), "")
        if not kind and any(u.startswith("microk8s.") for u in units):
            kind = "microk8s"
        hosts = {log.node for log in self.snapshot.node_logs() if log.node}
        hosts |= {m.name.removeprefix("etcd-") for m in self.members if not m.namespace or m.name.startswith("etcd-")}
        host = hosts.pop() if len(hosts) == 1 else ""
        found = named(kind)
        return replace(found, node=host, address=host) if host and host not in ("etcd", kind) else found

    @cached_property
    def servers(self) -> Servers | None:
        """The machines of an etcd that shows no pod, as the API server's flags name them."""
        if self.members or not self.pods_seen:
            return None
        return next((s for p in self.of("kube-apiserver") if (s := servers_of(p, self.machine.address))), None)

    @property
    def etcd_check_fails(self) -> bool:
        """Whether the API server's check of etcd fails, or the whole answer hangs."""
        failed = self.livez.fails("etcd") or self.readyz.fails("etcd") or self.livez.hung
        return failed or self._later.fails("etcd")

    @property
    def etcd_check_seen(self) -> tuple[int, int]:
        """How often the API server's check of etcd passed and failed in the answers of this run."""
        failed = sum(h.fails("etcd") for h in (self.livez, self.readyz))
        passed = sum(h.seen and not h.hung and h.checks("etcd") for h in (self.livez, self.readyz)) - failed
        later = self._later
        again = later.seen and not later.hung and later.checks("etcd")
        return max(passed, 0) + (again and not later.fails("etcd")), failed + later.fails("etcd")

    @cached_property
    def _later(self) -> api_server.Health:
        """The health checks when they were asked once more."""
        return api_server.read_health(self.snapshot, api_server.READYZ_LATER)

    @cached_property
    def lists_hang(self) -> bool:
        """Whether lists were not answered, although they come from memory, while what needs no etcd was."""
        failed = [f for need, f in self.snapshot.failures if isinstance(need, List)]
        hung = sum(f.why is Why.TIMEOUT or f.status >= 500 for f in failed)
        version = self.snapshot.body("/version")
        return hung >= _SEVERAL and version is not None and self.livez.seen and not self.livez.hung

    @cached_property
    def reinitializing(self) -> bool:
        """Whether the API server has lost its watch cache and cannot fill it: it answers lists with 429 for that."""
        words = "storage is (re)initializing"
        told = any(words in str(f) for _, f in self.snapshot.failures)
        return (
            told
            or any(words in b.text for _, b in self.snapshot.bodies if b.status == 429)
            or bool(self.lately("reinitializing", 60.0))
        )

    @cached_property
    def etcd_words(self) -> str:
        """An error of etcd itself, as the API server passes it on in the answer to a read; empty for none."""
        told = [str(f) for _, f in self.snapshot.failures]
        told += [b.text for _, b in self.snapshot.bodies if b.status >= 500]
        return next((m[0] for words in told if (m := _ETCD_ERROR.search(words))), "")

    @property
    def etcd_check(self) -> str:
        """The API server's reason for a failing etcd check, where it may be read."""
        body = self.snapshot.body(api_server.ETCD_CHECK.path)
        return body.text.strip()[:300] if body and body.status >= 500 else ""

    @cached_property
    def api(self) -> Window | None:
        """The API server's metrics."""
        return api_server.read_metrics(self.snapshot)

    @cached_property
    def api_uptime(self) -> timedelta | None:
        """How long the API server that answered has run; None when not seen."""
        started = self.api.latest.value("process_start_time_seconds") if self.api else None
        up = self.now.timestamp() - started if started else -1.0
        return timedelta(seconds=up) if 0 <= up < 1e9 else None

    @cached_property
    def traffic(self) -> api_server.EtcdTraffic | None:
        """The API server's requests to etcd."""
        return api_server.etcd_traffic(self.api)

    @cached_property
    def levels(self) -> tuple[priority_and_fairness.Level, ...]:
        """The priority levels."""
        return priority_and_fairness.read_levels(self.api, self.snapshot)

    @cached_property
    def requests(self) -> tuple[priority_and_fairness.Request, ...]:
        """Requests that were seen waiting or executing."""
        return priority_and_fairness.read_requests(self.snapshot)

    @cached_property
    def leases(self) -> Leases:
        """The leases."""
        return Leases.read(self.snapshot)

    @cached_property
    def webhooks(self) -> tuple[admission_webhooks.Webhook, ...]:
        """The admission webhooks."""
        return admission_webhooks.read_webhooks(self.snapshot)

    @cached_property
    def nodes(self) -> tuple[Obj, ...]:
        """The nodes, by name."""
        return tuple(sorted(self.snapshot.list("nodes").items, key=name_of))

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Events of kube-system, oldest first."""
        read = [read_event(raw) for raw in self.snapshot.list("events", "kube-system").items]
        return tuple(sorted(read, key=lambda e: e.last.timestamp() if e.last else 0.0))

    @property
    def grace(self) -> timedelta:
        """How long a kubelet may be silent before the controller-manager gives its node up."""
        return grace_period(self.snapshot.version)

    # What follows from several sources.

    def quorum(self, name: str) -> Quorum:
        """Return what a quorum read of a leader lease said."""
        return read_quorum(self.snapshot, name)

    def age(self, lease: Lease) -> timedelta | None:
        """Return how old a lease certainly is.

        Live, against the API server's clock. The clock of a dump is that of its last file, so there a lease is
        judged against the newest lease of the same dump; where the time of the recording is known, against that too.
        """
        if lease.renewed is None:
            return None
        newest = self.leases.newest
        if self.snapshot.source == "cluster" or newest is None or newest.renewed is None:
            return self.now - lease.renewed
        beside = newest.renewed - lease.renewed
        if not self.snapshot.presumes_absent:
            return beside
        return max(beside, self.now - self.snapshot.lag - _READING - lease.renewed)

    @cached_property
    def writes(self) -> Writes:
        """Whether anybody still writes (a write probe that writes nothing)."""
        last = self.leases.newest
        if last is None or last.renewed is None:
            return Writes.UNKNOWN
        if (self.now - last.renewed).total_seconds() <= self.limits.writes_frozen:
            return Writes.FLOWING
        again = self.quorum(CONTROLLER_MANAGER).lease
        if again is not None and again.renewed is not None and again.renewed > last.renewed:
            return Writes.FLOWING
        others = [t for t in (*written(self.nodes), *(e.last for e in self.events if e.last)) if t > last.renewed]
        limit = timedelta(seconds=self.limits.writes_frozen)
        if any(timedelta() <= self.now - t <= limit for t in others):
            return Writes.FLOWING
        # Kubelets may be silent by themselves: without a lease of the control plane's own, only several of them that
        # nobody marked since tell that nobody can write.
        if not self.leases.own and (others or len(self.leases.nodes) < _SEVERAL):
            return Writes.UNKNOWN
        done = api_server.lease_writes(self.api)
        if done:
            return Writes.SLOW if self.etcd_check_fails else Writes.FLOWING
        return Writes.FROZEN if self.now - last.renewed > limit + self.snapshot.lag else Writes.UNKNOWN

    def leading(self, name: str) -> Leading:
        """Tell whether the component with this leader lease has a leader."""
        lease = self.leases.leader(name)
        if lease is None or lease.renewed is None:
            return Leading.UNKNOWN
        age = self.age(lease)
        if age is None or age.total_seconds() <= self.limits.controller_stale:
            return Leading.YES
        again = self.quorum(name).lease
        if again is not None and again.renewed is not None and again.renewed > lease.renewed and again.holder:
            return Leading.BACK
        if self._elected_after(name, lease.renewed) or self._works(name):
            return Leading.BACK
        released = not lease.holder
        return Leading.NO if released or age.total_seconds() > 4 * self.limits.controller_stale else Leading.LATE

    def _elected_after(self, name: str, moment: datetime) -> bool:
        return any(
            e.reason == "LeaderElection"
            and text(e.raw, "involvedObject", "name") == name
            and e.last is not None
            and e.last > moment + timedelta(seconds=1)
            and e.message.endswith("became leader")
            for e in self.events
        )

    def _works(self, name: str) -> bool:
        """Tell whether the component renewed a lease and did its work between the two samples.

        The flow schemas ``kube-controller-manager`` and ``kube-scheduler`` select these users; one that waits for
        the leadership sends nothing but lease requests, and those fail while nobody can write.
        """
        elections = api_server.served(self.api, "system-leader-election")
        return bool(elections and api_server.served(self.api, name) and api_server.lease_writes(self.api))

    @cached_property
    def lost_nodes(self) -> tuple[str, ...]:
        """Nodes whose kubelets do not reach the API server.

        The controller-manager says so (Ready=Unknown), or, where it does not lead, the node's lease is older than
        the grace period. A stale lease of a node that a living controller-manager keeps Ready is a wrong clock.
        """
        watched = self.leading(CONTROLLER_MANAGER) in (Leading.YES, Leading.BACK, Leading.LATE)
        lost = []
        for node in self.nodes:
            lease = self.leases.nodes.get(name_of(node))
            age = self.age(lease) if lease else None
            stale = age is not None and age > self.grace
            if ready_status(node) == "Unknown" or (stale and not watched):
                lost.append(name_of(node))
        return tuple(lost)

    @cached_property
    def skewed_nodes(self) -> tuple[tuple[str, timedelta], ...]:
        """Nodes whose clocks are wrong, with how far their leases are off."""
        watched = self.leading(CONTROLLER_MANAGER) is Leading.YES
        skewed = []
        for node in self.nodes:
            lease = self.leases.nodes.get(name_of(node))
            age = lease.age(self.now) if lease else None
            if age is None or lease is None:
                continue
            behind = watched and ready_status(node) == "True" and self.writes is Writes.FLOWING
            if lease in self.leases.skewed_ahead or (behind and age > self.grace + timedelta(seconds=30)):
                skewed.append((name_of(node), -age))
        return tuple(skewed)


def _logged_member(name: str, snapshot: Snapshot) -> Obj:
    """Return what a log and the reads of its metrics show of a member whose pod was not listed."""
    place = f"/api/v1/namespaces/kube-system/pods/{name}:"
    ports = [p[len(place) :].partition("/")[0] for p in snapshot.tried_paths() if p.startswith(place)]
    container = {"name": "etcd", "command": [f"--listen-metrics-urls=http://{name}:{port}" for port in ports[:1]]}
    return {"metadata": {"name": name, "namespace": "kube-system"}, "spec": {"containers": [container]}}
