"""Real controllers and a real scheduler: the states that they make of manifests, and the loss of each of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.binaries import VERSIONS
from e2e.conftest import Real, prepared
from e2e.replay import Api

SCENARIOS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("scenarios.yaml").read_text(encoding="utf-8"))
MAY_COME_WITHIN = 40.0
"""Seconds in which controllers and scheduler write what the answer rests on."""


def _node(name: str, zone: str) -> dict[str, Any]:
    capacity = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    conditions = [
        {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "lastHeartbeatTime": _now(),
            "lastTransitionTime": _now(),
        }
    ]
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"capacity": capacity, "allocatable": capacity, "conditions": conditions},
    }


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Heartbeats:
    """Renews the Leases of the nodes as their kubelets would."""

    def __init__(self, api: Api, names: tuple[str, ...]) -> None:
        """Begin at once, every five seconds."""
        self._api, self._names = api, names
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        place = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        while not self._ended.is_set():
            for name in self._names:
                moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": moment}
                lease = {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": name},
                    "spec": spec,
                }
                try:
                    known = self._api.send("GET", f"{place}/{name}")
                    self._api.send("PUT", f"{place}/{name}", {**known, "spec": spec})
                except Exception:
                    try:
                        self._api.send("POST", place, {**lease, "spec": spec})
                    except Exception:  # the API server may be down for a test
                        continue
            self._ended.wait(5)

    def close(self) -> None:
        """End."""
        self._ended.set()


@pytest.fixture(scope="module", params=VERSIONS)
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Start a whole control plane with two nodes that beat."""
    real = prepared(request.param, tmp_path_factory.mktemp(request.param))
    plane, api = real.plane, real.api
    beats = None
    try:
        plane.start_store()
        plane.start("kube-controller-manager")
        plane.start("kube-scheduler")
        for name, zone in (("node-1", "a"), ("node-2", "b")):
            made = api.send("POST", "/api/v1/nodes", _node(name, zone))
            api.send("PUT", f"/api/v1/nodes/{name}/status", {**made, "status": _node(name, zone)["status"]})
        api.send(
            "POST",
            "/apis/networking.k8s.io/v1/ingressclasses",
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "IngressClass",
                "metadata": {"name": "e2e"},
                "spec": {"controller": "acme.example/ingress"},
            },
        )
        beats = Heartbeats(api, ("node-1", "node-2"))
        for scenario in SCENARIOS:
            _apply(real, scenario)
        yield real
    finally:
        if beats is not None:
            beats.close()
        plane.close()
        real.kubelet.close()


def _apply(real: Real, scenario: dict[str, Any]) -> None:
    if not _served(real, scenario):
        return
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": scenario["name"], "labels": scenario.get("labels", {})},
    }
    real.api.send("POST", "/api/v1/namespaces", namespace)
    file = real.plane.folder / f"{scenario['name']}.json"
    items = list(yaml.safe_load_all(scenario["objects"]))
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), encoding="utf-8")
    done = real.kubectl("apply", "-n", scenario["name"], "-f", str(file))
    assert done.returncode == 0, done.stderr


def _served(real: Real, scenario: dict[str, Any]) -> bool:
    minor = int(real.plane.version.split(".")[1])
    return minor >= int(scenario.get("since", 0))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s["name"])
def test_the_cause_of_a_state_that_controllers_made(live: Real, scenario: dict[str, Any]) -> None:
    if not _served(live, scenario):
        pytest.skip(f"{live.plane.version} does not serve it")
    right = (scenario["cause"], *scenario.get("accept", ()))
    ends = time.monotonic() + MAY_COME_WITHIN
    while True:
        found = live.item(*scenario["ask"].split(), "-n", scenario["name"])
        if found["cause"] in right:
            break
        assert time.monotonic() < ends, (found["cause"], found["summary"])
        time.sleep(2)
    # A pod that waits since a moment ago is a note only.
    assert found["healthy"] is False or found["cause"] == "Unknown"


@pytest.mark.parametrize(
    ("daemon", "cause"), [("kube-controller-manager", "ControllersDown"), ("kube-scheduler", "SchedulerDown")]
)
def test_a_daemon_that_is_gone(live: Real, daemon: str, cause: str) -> None:
    live.plane.stop(daemon)
    try:
        ends = time.monotonic() + 90
        while True:
            found = live.item("plane-trace", "--interval", "1s")
            if cause in [f["cause"] for f in found["findings"]]:
                break
            assert time.monotonic() < ends, found["summary"]
            time.sleep(3)
    finally:
        live.plane.start(daemon)
