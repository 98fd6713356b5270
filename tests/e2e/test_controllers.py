"""Real controllers and a real scheduler: the states that they make of manifests, and the loss of each of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.binaries import VERSIONS
from e2e.conftest import Real, prepared
from e2e.results import Results
from e2e.stand_in import Heartbeats, add_node, node, now

SCENARIOS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("scenarios.yaml").read_text(encoding="utf-8"))
MAY_COME_WITHIN = 40.0
"""Seconds in which controllers and scheduler write what the answer rests on."""


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
            add_node(api, node(name, zone, real.kubelet))
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
    return real.minor >= int(scenario.get("since", 0))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s["name"])
def test_the_cause_of_a_state_that_controllers_made(live: Real, scenario: dict[str, Any], results: Results) -> None:
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
    results.add(live.plane.version, "controllers", scenario["name"], found)


@pytest.mark.parametrize(
    ("daemon", "cause"), [("kube-controller-manager", "ControllersDown"), ("kube-scheduler", "SchedulerDown")]
)
def test_a_daemon_that_is_gone(live: Real, daemon: str, cause: str, results: Results) -> None:
    live.plane.stop(daemon)
    try:
        ends = time.monotonic() + 90
        while True:
            found = live.item("plane-trace", "--interval", "1s")
            if cause in [f["cause"] for f in found["findings"]]:
                break
            assert time.monotonic() < ends, found["summary"]
            time.sleep(3)
        results.add(live.plane.version, "controllers", f"{daemon}-gone", {**found, "cause": cause})
    finally:
        live.plane.start(daemon)


def _claimant(name: str) -> dict[str, Any]:
    backend = {"service": {"name": name, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    rules = [{"host": "claimed.example", "http": {"paths": [path]}}]
    spec = {"ingressClassName": "e2e", "rules": rules}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": spec}


def test_each_ingress_that_loses_a_host_and_path_is_told_once_who_wins(live: Real) -> None:
    api, place = live.api, "/apis/networking.k8s.io/v1/namespaces/claims/ingresses"
    api.send("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "claims"}})
    for name in ("oldest", "second", "third"):
        service = {"spec": {"type": "ExternalName", "externalName": "example.org", "ports": [{"port": 80}]}}
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, **service}
        api.send("POST", "/api/v1/namespaces/claims/services", body)
        api.send("POST", place, _claimant(name))
        time.sleep(1.1)  # creationTimestamp has seconds
    done = live.kubectl("svc-trace", "-n", "claims", "-o", "json")
    found = [f for i in json.loads(done.stdout)["items"] for f in i["findings"] if f["cause"] == "HostPathConflict"]
    assert sorted(f["object"]["name"] for f in found) == ["second", "third"]
    assert all("ingress/oldest is the oldest and wins" in f["message"] for f in found)


def test_a_webhook_of_one_namespace_is_no_broken_control_plane(live: Real) -> None:
    found = live.item("plane-trace", "--interval", "1s")
    assert [f["severity"] for f in found["findings"] if f["cause"] == "WebhookBlocking"] == ["warning"]
    assert {x["link"]: x["state"] for x in found["links"]}["admission webhooks"] == "degraded"
    assert not [f for f in found["findings"] if f["severity"] == "error"]


def test_a_workload_may_stand_for_its_service(live: Real) -> None:
    assert live.item("svc-trace", "deploy/web", "-n", "scaled-to-zero")["cause"] == "NoPods"


def _fails_with(code: int) -> dict[str, Any]:
    """Return the status of a pod whose only container ended, as its kubelet writes it."""
    ended = {"exitCode": code, "reason": "Error", "startedAt": now(), "finishedAt": now()}
    container = {"name": "app", "image": "acme/report:1", "imageID": "", "ready": False, "restartCount": 0}
    return {"phase": "Failed", "containerStatuses": [{**container, "state": {"terminated": ended}}]}


def test_a_job_that_its_pod_failure_policy_ends(live: Real) -> None:
    api, place = live.api, "/apis/batch/v1/namespaces/policy/jobs"
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    pod = {"restartPolicy": "Never", "containers": [{"name": "app", "image": "acme/report:1"}]}
    spec = {"backoffLimit": 5, "podFailurePolicy": {"rules": [rule]}, "template": {"spec": pod}}
    api.send("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "policy"}})
    api.send("POST", place, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "report"}, "spec": spec})
    ends = time.monotonic() + MAY_COME_WITHIN
    while not (pods := api.send("GET", "/api/v1/namespaces/policy/pods")["items"]):
        assert time.monotonic() < ends
        time.sleep(1)
    api.set_status(f"/api/v1/namespaces/policy/pods/{pods[0]['metadata']['name']}", _fails_with(42))
    while (found := live.item("why-crash", "job/report", "-n", "policy"))["cause"] != "JobBackoffLimitExceeded":
        assert time.monotonic() < ends, found["summary"]
        time.sleep(2)
    fix = found["findings"][0]["fix"][0]["text"]
    assert "podFailurePolicy.rules[0] (exit codes 42)" in fix
