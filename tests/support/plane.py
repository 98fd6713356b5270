"""Builds control planes in memory: a healthy one, and what tests break of it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from kubetriage.model import Diagnosis
from kubetriage.needs import Body, Dial, Failure, List, Log, Raw, Why
from kubetriage.plugins import Request, load
from kubetriage.rules.plane import api_server, leases, priority_and_fairness
from kubetriage.snapshot import Snapshot
from kubetriage.values.times import format_time

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=timezone.utc)
BOUNDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192)
"""Buckets of etcd's disk histograms."""
CHECKS = ("ping", "log", "etcd", "poststarthook/rbac/bootstrap-roles")


def micro(moment: datetime) -> str:
    """Write a MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def ago(seconds: float) -> datetime:
    """Return a time before the present of the tests."""
    return NOW - timedelta(seconds=seconds)


def histogram(name: str, observations: list[float], bounds: tuple[float, ...] = BOUNDS, labels: str = "") -> list[str]:
    """Write a histogram as a client library does."""
    head = f"{labels}," if labels else ""
    tail = f"{{{labels}}}" if labels else ""
    lines = [f'{name}_bucket{{{head}le="{b}"}} {sum(o <= b for o in observations)}' for b in bounds]
    lines.append(f'{name}_bucket{{{head}le="+Inf"}} {len(observations)}')
    return [*lines, f"{name}_sum{tail} {sum(observations)!r}", f"{name}_count{tail} {len(observations)}"]


def zap(at: datetime, msg: str, **fields: Any) -> str:
    """Write a line of etcd's log."""
    return json.dumps({"level": "warn", "ts": micro(at), "caller": "x.go:1", "msg": msg} | fields)


def health(*failing: str) -> Body:
    """Return the body of livez."""
    lines = [f"[-]{c} failed: reason withheld" if c in failing else f"[+]{c} ok" for c in CHECKS]
    lines.append(f"livez check {'failed' if failing else 'passed'}")
    return Body("\n".join(lines), 500 if failing else 200, 2.0 if failing else 0.01)


class Plane:
    """A control plane that is well until a test changes it; ``diagnosis()`` asks plane-trace."""

    def __init__(self, members: int = 3, nodes: int = 3, listen: str = "http://10.0.0.{n}:2381") -> None:
        self.members = [f"etcd-cp-{n}" for n in range(1, members + 1)]
        self.listen = listen
        self.node_zones = {f"node-{n}": f"z{n % 3}" for n in range(1, nodes + 1)}
        self.node_ready: dict[str, str] = {}
        self.marked = 300.0
        """Seconds since the Ready conditions last changed."""
        self.node_lease: dict[str, float] = {}
        """Age of a node's lease in seconds where it is not 3."""
        self.leader_age = {"kube-controller-manager": 1.0, "kube-scheduler": 1.0}
        self.released: set[str] = set()
        self.identities: dict[str, float] = {}
        self.livez: Body | Failure = health()
        self.readyz: Body | Failure = health()
        self.fsyncs: dict[str, list[float]] = {}
        self.commits: dict[str, list[float]] = {}
        self.gauges: dict[str, dict[str, float]] = {}
        """Gauges of a member that differ from the healthy ones, in both samples."""
        self.growth: dict[str, dict[str, float]] = {}
        """By how much counters of a member grow between the samples."""
        self.refused: set[str] = set()
        """Members whose metrics listener refuses connections."""
        self.logs: dict[str, list[str]] = {}
        self.api = (self.api_lines(), self.api_lines())
        self.api_log: list[str] = []
        self.quorum: Body | Failure | None = None
        self.raw: dict[Raw, Body | Failure] = {}
        self.dials: dict[Dial, Body] = {}
        self.webhooks: list[dict[str, Any]] = []
        self.slices: dict[str, list[dict[str, Any]]] = {}
        self.events: list[dict[str, Any]] = []
        self.apis: list[dict[str, Any]] = []
        self.now = NOW
        self.pods_changed: dict[str, dict[str, Any]] = {}
        self.specs: dict[str, dict[str, Any]] = {}
        """Specs of a component's pod where they are not the plain ones."""
        self.source = "cluster"

    @staticmethod
    def api_lines(*extra: str, nominal: int = 49, start: float = 1.0) -> list[str]:
        """Write the API server's metrics."""
        levels = (
            "catch-all",
            "global-default",
            "leader-election",
            "node-high",
            "system",
            "workload-high",
            "workload-low",
        )
        return [
            f"process_start_time_seconds {start}",
            *(f'apiserver_flowcontrol_nominal_limit_seats{{priority_level="{x}"}} {nominal}' for x in levels),
            *(f'apiserver_flowcontrol_current_limit_seats{{priority_level="{x}"}} {nominal}' for x in levels),
            *extra,
        ]

    def metrics(self, *later: str, both: tuple[str, ...] = ()) -> None:
        """Set the API server's metrics: ``both`` in both samples, ``later`` in the second."""
        self.api = (self.api_lines(*both), self.api_lines(*both, *later))

    def snapshot(self) -> Snapshot:
        """Return what a run would have read."""
        snapshot = Snapshot(self.now, source=self.source)
        snapshot.add_list(List("nodes"), [self._node(n, z) for n, z in self.node_zones.items()])
        snapshot.add_list(List("pods", "kube-system"), [self._pod(m, i) for i, m in enumerate(self.members, 1)])
        for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            snapshot.add("pods", self._plain_pod(component))
        snapshot.add_list(
            leases.NODE_LEASES,
            [self._lease("kube-node-lease", n, self.node_lease.get(n, 3.0)) for n in self.node_zones],
        )
        snapshot.add_list(leases.SYSTEM_LEASES, [*self._leaders(), *self._identities()])
        snapshot.add_list(
            List("validatingwebhookconfigurations"),
            [{"metadata": {"name": "checks"}, "webhooks": self.webhooks}] if self.webhooks else [],
        )
        snapshot.add_list(List("mutatingwebhookconfigurations"), [])
        snapshot.add_list(List("apiservices"), self.apis)
        for namespace in {
            w["clientConfig"]["service"]["namespace"] for w in self.webhooks if "service" in w["clientConfig"]
        }:
            snapshot.add_list(List("endpointslices", namespace), self.slices.get(namespace, []))
        snapshot.add_list(List("events"), self.events)
        self._put(snapshot, api_server.LIVEZ, self.livez)
        self._put(snapshot, api_server.READYZ, self.readyz)
        for need, lines in zip(api_server.METRICS, self.api, strict=True):
            if lines:
                snapshot.add_body(need, Body("\n".join(lines), at=10.0 * need.sample))
        self._etcd(snapshot)
        if self.quorum is not None:
            self._put(snapshot, leases.quorum_read(leases.CONTROLLER_MANAGER), self.quorum)
        for raw, answer in self.raw.items():
            self._put(snapshot, raw, answer)
        if self.api_log:
            snapshot.add_log(Log("kube-system", "kube-apiserver-cp-1", "kube-apiserver"), "\n".join(self.api_log))
        for dial, body in self.dials.items():
            snapshot.add_body(dial, body)
        return snapshot

    def diagnosis(self, **options: Any) -> Diagnosis:
        """Ask plane-trace."""
        plugin = load("plane-trace")
        answer = plugin.diagnose(self.snapshot(), Request(options=options))
        assert not answer.errors
        return answer.diagnoses[0]

    def causes(self, **options: Any) -> list[str]:
        """Return the codes of all findings but notes, the root first."""
        return [f.cause for f in self.diagnosis(**options).findings if f.severity.value != "note"]

    def _put(self, snapshot: Snapshot, need: Raw, answer: Body | Failure) -> None:
        if isinstance(answer, Body):
            snapshot.add_body(need, answer)
        else:
            snapshot.fail(need, answer)

    def _etcd(self, snapshot: Snapshot) -> None:
        routable = "127.0.0.1" not in self.listen
        for i, member in enumerate(self.members, 1):
            path = f"/api/v1/namespaces/kube-system/pods/{member}:2381/proxy/metrics"
            for sample in (0, 1) if routable else ():
                need = Raw(path, sample)
                if member in self.refused:
                    words = f"error trying to reach service: dial tcp 10.0.0.{i}:2381: connect: connection refused"
                    snapshot.add_body(need, Body(words, 503))
                else:
                    snapshot.add_body(need, Body("\n".join(self.member_lines(member, i, sample)), at=10.0 * sample))
        for member, lines in self.logs.items():
            snapshot.add_log(Log("kube-system", member, "etcd"), "\n".join(lines))

    def member_lines(self, member: str, i: int, sample: int) -> list[str]:
        """Write a member's metrics."""
        gauges = {
            "etcd_server_has_leader": 1.0,
            "etcd_server_is_leader": float(i == 1),
            "etcd_mvcc_db_total_size_in_bytes": 2.0**20,
            "etcd_mvcc_db_total_size_in_use_in_bytes": 2.0**19,
            "etcd_server_quota_backend_bytes": 2.0**31,
            "etcd_server_leader_changes_seen_total": 1.0,
            "process_start_time_seconds": 1.0,
            **self.gauges.get(member, {}),
        }
        for name, grown in self.growth.get(member, {}).items():
            gauges[name] = gauges.get(name, 0.0) + grown * sample
        lines = [f"{name} {value!r}" for name, value in gauges.items()]
        old = [0.001] * 5000
        lines += histogram("etcd_disk_wal_fsync_duration_seconds", old + self.fsyncs.get(member, [0.001] * 20) * sample)
        return lines + histogram(
            "etcd_disk_backend_commit_duration_seconds", old + self.commits.get(member, [0.002] * 10) * sample
        )

    def _pod(self, name: str, i: int) -> dict[str, Any]:
        command = ["etcd", f"--listen-metrics-urls={self.listen.format(n=i)}", f"--name={name}"]
        pod = self._plain_pod("etcd")
        pod["metadata"]["name"] = name
        pod["spec"] = {"nodeName": f"cp-{i}", "containers": [{"name": "etcd", "command": command}]}
        return pod

    def _plain_pod(self, component: str) -> dict[str, Any]:
        return {
            "metadata": {"name": f"{component}-cp-1", "namespace": "kube-system", "labels": {"component": component}},
            "spec": self.specs.get(component, {"containers": [{"name": component}]}),
            "status": self.pods_changed.get(component, {}),
        }

    def _node(self, name: str, zone: str) -> dict[str, Any]:
        ready = {
            "type": "Ready",
            "status": self.node_ready.get(name, "True"),
            "lastTransitionTime": format_time(ago(self.marked)),
        }
        return {
            "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
            "status": {"conditions": [ready]},
        }

    def _lease(self, namespace: str, name: str, age: float, **spec: Any) -> dict[str, Any]:
        renewed = {"renewTime": micro(self.now - timedelta(seconds=age)), "holderIdentity": name, **spec}
        return {"metadata": {"name": name, "namespace": namespace}, "spec": renewed}

    def _leaders(self) -> list[dict[str, Any]]:
        return [
            self._lease("kube-system", name, age, holderIdentity="" if name in self.released else "cp-1_x")
            for name, age in self.leader_age.items()
        ]

    def _identities(self) -> list[dict[str, Any]]:
        found = []
        for name, age in self.identities.items():
            lease = self._lease("kube-system", name, age)
            lease["metadata"]["labels"] = {"apiserver.kubernetes.io/identity": "kube-apiserver"}
            found.append(lease)
        return found

    def frozen(self, age: float = 90.0) -> None:
        """Let nobody renew any lease."""
        self.node_lease = dict.fromkeys(self.node_zones, age + 5)
        self.leader_age = dict.fromkeys(self.leader_age, age)


def timed_out() -> Failure:
    """Return a read that got no answer."""
    return Failure(Why.TIMEOUT, "context deadline exceeded")


def requests_dump(*rows: tuple[str, str, str, str]) -> str:
    """Write dump_requests for rows of level, user, verb and resource, in the API server's words and padding."""
    head = (
        "PriorityLevelName, FlowSchemaName, QueueIndex, RequestIndexInQueue, FlowDistingsher, ArriveTime, "
        "InitialSeats, FinalSeats, AdditionalLatency, StartTime, UserName, Verb, APIPath, Namespace, Name, APIVersion, "
        "Resource, SubResource"
    )
    lines = [
        f"{level},\t{level},\t-1,\t-1,\t{user},\t2026-01-02T12:00:00Z,\t1,\t0,\t0s,\t2026-01-02T12:00:00Z,\t{user},\t{verb},"
        f"\t/api/v1/{resource},\t,\t,\tv1,\t{resource},\t"
        for level, user, verb, resource in rows
    ]
    return "\n".join([head, *lines]) + "\n"


def flood(*rows: tuple[str, str, str, str]) -> dict[Raw, Body | Failure]:
    """Return every look at dump_requests with these rows."""
    return {need: Body(requests_dump(*rows)) for need in priority_and_fairness.REQUESTS}
