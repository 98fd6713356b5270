"""Leases: who still writes, and who leads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from kubetriage.needs import Body, Failure, List, Raw, Why
from kubetriage.records import dataclass, replace
from kubetriage.rules.plane.thresholds import CLOCK_SKEW
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, labels, mapping, name_of, namespace_of, number, text
from kubetriage.values.times import parse_time

NODE_LEASES = List("leases", "kube-node-lease", cached=True, timeout=5.0)
SYSTEM_LEASES = List("leases", "kube-system", cached=True, timeout=5.0)
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"


def quorum_read(name: str, sample: int = 0) -> Raw:
    """Return the read of one leader lease without resourceVersion: it is answered by a quorum of etcd, or hangs.

    The second sample tells a leader whose clock is behind from one that is gone: the lease moves, or it does not.
    """
    return Raw(f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}", sample, timeout=5.0)


@dataclass(frozen=True)
class Lease:
    """One lease."""

    name: str
    namespace: str
    holder: str
    """Empty: released."""
    renewed: datetime | None
    acquired: datetime | None
    transitions: int
    identity: bool = False
    """The identity of an API server."""

    def age(self, now: datetime) -> timedelta | None:
        """Time since the last renewal; negative when the writer's clock is ahead."""
        return now - self.renewed if self.renewed else None


def read_lease(raw: Obj) -> Lease:
    """Read a lease."""
    spec = mapping(raw, "spec")
    return Lease(
        name_of(raw),
        namespace_of(raw),
        text(spec, "holderIdentity"),
        parse_time(text(spec, "renewTime")),
        parse_time(text(spec, "acquireTime")),
        number(spec, "leaseTransitions") or 0,
        labels(raw, "metadata", "labels").get("apiserver.kubernetes.io/identity") == "kube-apiserver",
    )


@dataclass(frozen=True)
class Quorum:
    """What a read that needs etcd's quorum said of one lease."""

    lease: Lease | None = None
    hung: bool = False
    """It timed out or failed inside the server."""
    words: str = ""
    seen: bool = True
    seconds: float = 0.0
    """How long the slowest answer took; 0 where there was none."""


def read_quorum(snapshot: Snapshot, name: str) -> Quorum:
    """Read the answer of :func:`quorum_read`, the newer one where both are lease objects."""
    answers, took = [], 0.0
    for sample in (1, 0):
        need = quorum_read(name, sample)
        body = snapshot.body(need.path, sample)
        answers.append(_quorum(body, snapshot.failure(need)))
        took = max(took, body.seconds if body is not None and body.status < 400 else 0.0)
    return replace(next((a for a in answers if a.lease is not None), answers[1]), seconds=took)


def _quorum(body: Body | None, failure: Failure | None) -> Quorum:
    if body is not None and body.status < 400:
        try:
            return Quorum(read_lease(json.loads(body.text)))
        except (ValueError, RecursionError, AttributeError):
            return Quorum(seen=False, words="the answer is not JSON")
    if body is not None and body.status >= 500:
        return Quorum(hung=True, words=body.text.strip()[:300])
    if failure is not None and (failure.why is Why.TIMEOUT or failure.status >= 500):
        return Quorum(hung=True, words=str(failure))
    return Quorum(seen=False, words=str(failure) if failure else "not read")


@dataclass(frozen=True)
class Leases:
    """All leases that matter, at one time."""

    now: datetime
    items: tuple[Lease, ...]
    system_seen: bool

    @classmethod
    def read(cls, snapshot: Snapshot) -> Leases:
        """Read the leases of the nodes and of kube-system."""
        node = snapshot.list("leases", "kube-node-lease")
        system = snapshot.list("leases", "kube-system")
        return cls(snapshot.now, tuple(read_lease(raw) for raw in (*node.items, *system.items)), system.complete)

    def leader(self, name: str) -> Lease | None:
        """Return a leader lease of kube-system."""
        return next((x for x in self.items if x.namespace == "kube-system" and x.name == name), None)

    @property
    def nodes(self) -> dict[str, Lease]:
        """Node leases by node."""
        return {x.name: x for x in self.items if x.namespace == "kube-node-lease"}

    @property
    def identities(self) -> tuple[Lease, ...]:
        """Identities of the API servers."""
        return tuple(x for x in self.items if x.identity)

    @property
    def own(self) -> tuple[Lease, ...]:
        """Leases that the control plane itself renews."""
        return tuple(x for x in self.items if x.namespace == "kube-system" and x.renewed)

    @property
    def ahead(self) -> tuple[Lease, ...]:
        """Leases renewed in the future: their writers' clocks are ahead of the API server's."""
        return tuple(x for x in self.items if (age := x.age(self.now)) and age.total_seconds() < -CLOCK_SKEW)

    @property
    def skewed_ahead(self) -> tuple[Lease, ...]:
        """Those of them that are ahead of the control plane's own leases too: the list itself may have come late."""
        limit = max((x.renewed for x in self.own if x.renewed), default=self.now) + timedelta(seconds=CLOCK_SKEW)
        return tuple(x for x in self.ahead if x.renewed and x.renewed > limit)

    @property
    def newest(self) -> Lease | None:
        """The lease renewed last, those of clocks that run ahead left out: the last write that is known."""
        return newest(x for x in self.items if x not in self.ahead)


def newest(leases: Iterable[Lease]) -> Lease | None:
    """Return the lease renewed last."""
    known = [(x.renewed, x) for x in leases if x.renewed]
    return max(known, key=lambda pair: pair[0])[1] if known else None
