"""States of a control plane on real etcd members: how each is made and ended, and the causes that name it rightly."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from e2e.binaries import CannotRunError
from e2e.conftest import Real, built, prepared
from e2e.etcd import Etcd
from e2e.machine import address
from e2e.replay import RefusedError
from e2e.stand_in import Heartbeats, add_node, node, stacked
from kubetriage.values.times import parse_time

QUOTA = 16 * 1024 * 1024
"""Bytes: etcd refuses writes beyond; an empty API server needs about two."""

FORWARDED, PLAIN, LIMITED = "pods, logs, --etcd", "pods, logs", "pods only (RBAC)"
EXTERNAL, MANAGED = "external", "managed"
SIGHTS = (FORWARDED, PLAIN, LIMITED, EXTERNAL, MANAGED)
"""What the one who asks can see of etcd."""

_LOOKER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "looker"},
    "rules": [
        {"apiGroups": [""], "resources": ["pods", "nodes", "events"], "verbs": ["get", "list"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list"]},
    ],
}
_BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "looker"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "looker"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "viewers"}],
}


@dataclass
class Planes:
    """One etcd with three API servers before it."""

    etcd: Etcd
    seen: Real
    """Shows the members of etcd and its own programs as pods."""
    external: Real
    """Shows its own programs as pods, of which the API server names members that are no pods."""
    managed: Real
    """Shows nothing of itself."""
    beats: list[Heartbeats] = field(default_factory=list)

    @property
    def all(self) -> tuple[Real, ...]:
        """The clusters."""
        return self.seen, self.external, self.managed

    def answers(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Ask from every point of sight at once, live, and keep what each saw in ``folder``."""

        def ask(sight: str) -> dict[str, Any]:
            real = {EXTERNAL: self.external, MANAGED: self.managed}.get(sight, self.seen)
            flags = ["--etcd"] if sight == FORWARDED else []
            config = real.plane.viewer if sight == LIMITED else None
            words = ["plane-trace", *flags, "--record", str(folder / sight)]
            done = real.kubectl(*words, "-o", "json", config=config, timeout=180)
            if not done.stdout:
                raise AssertionError(f"{sight}: {done.stderr}")
            found: dict[str, Any] = json.loads(done.stdout)["items"][0]
            return found

        with ThreadPoolExecutor(len(SIGHTS)) as pool:
            return dict(zip(SIGHTS, pool.map(ask, SIGHTS), strict=True))

    def recover(self) -> None:
        """Wait until the API servers write again; start again what has ended for want of them."""
        for real in self.all:
            if not real.plane.runs("kube-apiserver"):
                real.plane.start("kube-apiserver")
            real.plane.wait_ready()
            for name in ("kube-controller-manager", "kube-scheduler"):
                if not real.plane.runs(name):
                    real.plane.start(name)
        for real in self.all:
            _until_leads(real)

    def close(self) -> None:
        """End everything."""
        for beat in self.beats:
            beat.close()
        for real in self.all:
            real.plane.close()
            real.kubelet.close()
        self.etcd.close()


def start(version: str, folder: Path, size: int) -> Planes:
    """Start members and the planes."""
    host = ""
    with contextlib.suppress(CannotRunError):
        host = address()
    etcd = Etcd(built(version)["etcd"], folder / "etcd", size, f"--quota-backend-bytes={QUOTA}", host=host)
    seen, external, managed = (
        prepared(version, folder / name, store=etcd, outward=name == "external", prefix=f"/{name}", context=name)
        for name in ("seen", "external", "managed")
    )
    planes = Planes(etcd, seen, external, managed)
    try:
        etcd.start()
        for real in planes.all:
            real.plane.start_store()
            for daemon in ("kube-controller-manager", "kube-scheduler"):
                real.plane.start(daemon)
        stacked(seen.plane, seen.api, etcd, seen.kubelet)
        for plural, body in (("clusterroles", _LOOKER), ("clusterrolebindings", _BINDING)):
            seen.api.send("POST", f"/apis/rbac.authorization.k8s.io/v1/{plural}", body)
        stacked(external.plane, external.api, etcd, external.kubelet, external=True)
        nodes = tuple(f"cp-{i}" for i in etcd.members)
        for name in nodes:
            add_node(managed.api, node(name, "a", managed.kubelet))
        planes.beats = [Heartbeats(real.api, nodes) for real in planes.all]
        planes.recover()
    except BaseException:
        planes.close()
        raise
    return planes


def _until_leads(real: Real) -> None:
    """Wait until controller-manager and scheduler renew their Leases again."""
    ends = time.monotonic() + 90
    waiting = ["kube-controller-manager", "kube-scheduler"]
    while waiting:
        if time.monotonic() > ends:
            raise TimeoutError(f"{waiting} of {real.plane.version} do not lead")
        with contextlib.suppress(RefusedError, OSError):
            lease = real.api.send("GET", f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{waiting[0]}")
            renewed = parse_time(lease["spec"]["renewTime"])
            if renewed is not None and (datetime.now(timezone.utc) - renewed).total_seconds() < 5:
                waiting.pop(0)
                continue
        if not real.plane.runs(waiting[0]):
            real.plane.start(waiting[0])
        time.sleep(1)


@dataclass(frozen=True)
class State:
    """One state of a control plane."""

    name: str
    size: int
    made: Callable[[Planes], AbstractContextManager[None]]
    lasts: float
    """Seconds between its beginning and the question."""
    right: dict[str, tuple[str, ...]]
    """Causes that name it rightly, by sight; ``""`` for every other sight. An empty tuple: nothing may be an error."""
    final: bool = False
    """It cannot be undone."""


_DOWN = ("EtcdDown", "EtcdQuorumLost")
_STALLS = {"": ("EtcdSlowDisk", *_DOWN), FORWARDED: ("EtcdSlowDisk",), LIMITED: ("EtcdSlowDisk", *_DOWN, "Unknown")}
"""Where reads were given up, of etcd's logs too, a stalled disk is not told from a lost quorum: both are named. Leases
alone show a slow disk only when they come late."""
_SLOW = ("EtcdSlowDisk", "EtcdSlowNetwork")
"""From outside a slow network looks like a slow disk; the finding names both and is possible only."""


@contextlib.contextmanager
def _nothing(_planes: Planes) -> Iterator[None]:
    yield


def _killed(count: int) -> Callable[[Planes], AbstractContextManager[None]]:
    @contextlib.contextmanager
    def made(planes: Planes) -> Iterator[None]:
        leader = planes.etcd.leader()
        gone = [i for i in planes.etcd.members if i != leader or count == len(planes.etcd.members)][:count]
        planes.etcd.stop(*gone)
        try:
            yield
        finally:
            planes.etcd.start(*gone)

    return made


@contextlib.contextmanager
def _frozen(planes: Planes) -> Iterator[None]:
    planes.etcd.freeze(*planes.etcd.members)
    try:
        yield
    finally:
        planes.etcd.thaw(*planes.etcd.members)


@contextlib.contextmanager
def _slow_disk(planes: Planes) -> Iterator[None]:
    with planes.etcd.slow_disk(1.3):
        yield


@contextlib.contextmanager
def _slow_network(planes: Planes) -> Iterator[None]:
    with planes.etcd.slow_network(0.15):
        yield


@contextlib.contextmanager
def _full(planes: Planes) -> Iterator[None]:
    """Fill the database until the API server says so; it is not emptied again."""
    blob = "x" * 900_000
    for i in range(64):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"blob-{i}"}, "data": {"blob": blob}}
        try:
            planes.seen.api.send("POST", "/api/v1/namespaces/default/configmaps", body)
        except RefusedError as error:
            if "space exceeded" not in str(error):
                raise
            break
    else:
        raise AssertionError("etcd took more than its quota")
    yield


STATES = (
    State("healthy", 3, _nothing, 15, {"": ()}),
    State("one member of three down", 3, _killed(1), 45, {"": ("EtcdDown",), EXTERNAL: (), MANAGED: (), LIMITED: ()}),
    State(
        "slow network between members", 3, _slow_network, 45, {"": _SLOW, FORWARDED: ("EtcdSlowNetwork",), LIMITED: ()}
    ),
    State("slow disk on three members", 3, _slow_disk, 60, _STALLS),
    State("two members of three down", 3, _killed(2), 60, {"": _DOWN}),
    State("three members down", 3, _killed(3), 60, {"": _DOWN}),
    State("three members frozen", 3, _frozen, 60, {"": _DOWN}),
    State("the only member down", 1, _killed(1), 60, {"": _DOWN}),
    State("the only member frozen", 1, _frozen, 60, {"": _DOWN}),
    State("slow disk on the only member", 1, _slow_disk, 60, _STALLS),
    # Who may read pods and leases only sees that reads work and no write does: a full database, or a webhook.
    State("database full", 1, _full, 80, {"": ("EtcdNoSpace",), LIMITED: ("ApiServerUnready",)}, final=True),
)
"""By number of members; what cannot be undone stands last."""
