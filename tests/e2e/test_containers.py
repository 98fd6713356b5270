"""A real kubelet and containerd: what they make of manifests, and what is left when either of them stops."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.binaries import VERSIONS, CannotRunError, kubelet
from e2e.conftest import Cluster, Real, prepared
from e2e.images import BOX, Registry, busybox
from e2e.machine import NODE, Machine, address, requirements
from e2e.results import Results

SCENARIOS: list[dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("containers.yaml").read_text(encoding="utf-8")
)
MAY_COME_WITHIN = 90.0
"""Seconds after the last manifest in which kubelet and runtime report what the answer rests on."""


@dataclass
class Whole:
    """A control plane with one real node."""

    real: Real
    machine: Machine
    since: float
    """When the last scenario was applied."""


@pytest.fixture(scope="module", params=VERSIONS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Start a control plane and a node, and apply all scenarios at once."""
    version = request.param
    try:
        requirements()
        busybox()
        host = address()
        real = prepared(version, tmp_path_factory.mktemp(version), nodes=(host,))
        program = kubelet(version)
    except CannotRunError as error:
        pytest.skip(str(error))
    registry, machine = Registry(), Machine(real.plane, program, VERSIONS.index(version))
    try:
        real.plane.start_store()
        real.plane.start("kube-controller-manager")
        real.plane.start("kube-scheduler")
        machine.start()
        for scenario in SCENARIOS:
            apply(real, scenario, registry.name)
        yield Whole(real, machine, time.monotonic())
    finally:
        machine.close()
        real.plane.close()
        real.kubelet.close()
        registry.close()


def apply(cluster: Cluster, scenario: dict[str, Any], registry: str) -> None:
    """Put the objects of a scenario into a namespace of its name."""
    if cluster.minor < int(scenario.get("since", 0)):
        return
    name = scenario["name"]
    items = list(yaml.safe_load_all(scenario.get("objects", ""))) if "objects" in scenario else []
    if "container" in scenario:
        spec = {"terminationGracePeriodSeconds": 5, **scenario.get("spec", {})}
        # BOX is on the machine; with its tag a kubelet asks no registry.
        spec["containers"] = [{"name": "app", "image": "BOX", **scenario["container"]}]
        metadata = {"name": "api", **scenario.get("metadata", {})}
        items.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    listed = re.sub(r'"BOX"', json.dumps(BOX), listed).replace("REGISTRY/", f"{registry}/")
    file = cluster.folder / f"{name}.json"
    file.write_text(listed, encoding="utf-8")
    cluster.kubectl("create", "namespace", name)
    for _ in range(30):  # the ServiceAccount of a namespace comes a moment after it
        done = cluster.kubectl("apply", "-n", name, "-f", str(file))
        if "serviceaccount" not in done.stderr:
            break
        time.sleep(0.5)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s["name"])
def test_the_cause_of_a_state_that_a_kubelet_made(whole: Whole, scenario: dict[str, Any], results: Results) -> None:
    found = answered(whole.real, scenario, whole.since)
    results.add(whole.real.version, "containers", scenario["name"], found)


def answered(cluster: Cluster, scenario: dict[str, Any], since: float) -> dict[str, Any]:
    """Return the answer once it is right; ``since`` is when the last scenario was applied (monotonic)."""
    if cluster.minor < int(scenario.get("since", 0)):
        pytest.skip(f"{cluster.version} does not serve it")
    if scenario.get("deleted"):
        cluster.kubectl("delete", "pod", "api", "-n", scenario["name"], "--wait=false")
    right = (scenario["cause"], *scenario.get("accept", ()))
    ends = max(since + scenario.get("wait", MAY_COME_WITHIN), time.monotonic() + scenario.get("least", 10))
    while True:
        found = cluster.item(*scenario["ask"].split(), "-n", scenario["name"])
        if found["cause"] in right:
            break
        assert time.monotonic() < ends, (found["cause"], found["summary"])
        time.sleep(3)
    if "confidence" in scenario:
        assert found["findings"][0]["confidence"] == scenario["confidence"]
    assert scenario.get("names", "") in found["summary"]
    return found


@pytest.mark.parametrize("name", ["out-of-memory", "child-out-of-memory"])
def test_a_scan_of_oom_budget_does_not_contradict_the_answer_for_one_pod(whole: Whole, name: str) -> None:
    named = whole.real.item("oom-budget", "pod/api", "-n", name)["cause"]
    done = whole.real.kubectl("oom-budget", "-n", name, "-o", "json")
    told = json.loads(done.stdout)
    scanned = [f["cause"] for item in told["items"] for f in item["findings"]]
    # A scan does not read cAdvisor, which alone tells of a killed child; it says so.
    children = any("children" in gap["what"] for gap in told["notSeen"])
    assert named in scanned or (named == "ChildOOMKilled" and children), done.stdout


def _triaged(whole: Whole, right: tuple[str, ...], seconds: float, *flags: str) -> dict[str, Any]:
    ends = time.monotonic() + seconds
    while True:
        found = whole.real.item("node-triage", NODE, *flags)
        if found["cause"] in right:
            return found
        assert time.monotonic() < ends, (found["cause"], found["summary"])
        time.sleep(4)


def test_a_node_without_fault(whole: Whole, results: Results) -> None:
    found = _triaged(whole, ("Healthy",), 10)
    results.add(whole.real.plane.version, "nodes", "healthy", found)


_AT_WORK = (
    ("why-crash", "pod/api", "-n", "runs"),
    ("why-crash", "-n", "runs"),
    ("oom-budget", "pod/api", "-n", "runs"),
    ("svc-trace", "api", "-n", "service-answers"),
    ("svc-trace", "-n", "service-answers"),
)
"""Questions whose answer is an all-clear while the node reports."""


def test_pods_of_a_node_that_reports_are_an_all_clear(whole: Whole) -> None:
    told = {" ".join(words): whole.real.kubectl(*words, "--exit-code") for words in _AT_WORK}
    assert {words: done.stdout for words, done in told.items() if done.returncode} == {}


@pytest.mark.parametrize(
    ("name", "stop", "again", "flags", "right"),
    [
        ("runtime-stopped", "containerd", Machine.start_runtime, (), ("ContainerRuntimeDown",)),
        ("kubelet-stopped", "kubelet", Machine.start_kubelet, (), ("KubeletUnreachable", "KubeletDown")),
        ("kubelet-stopped-and-probed", "kubelet", Machine.start_kubelet, ("--probe-kubelet",), ("KubeletDown",)),
    ],
)
def test_a_node_whose_daemon_stops(
    whole: Whole,
    results: Results,
    name: str,
    stop: str,
    again: Callable[[Machine], None],
    flags: tuple[str, ...],
    right: tuple[str, ...],
) -> None:
    asked = (*_AT_WORK, ("triage", "-n", "runs"))
    whole.machine.stop(stop)
    try:
        found = _triaged(whole, right, 110, *flags)
        told = {" ".join(words): whole.real.kubectl(*words, "--exit-code") for words in asked}
    finally:
        again(whole.machine)
        whole.machine.wait("Ready")
    assert not found["healthy"]
    cleared = {words: done.stdout for words, done in told.items() if done.returncode == 0}
    assert cleared == {}, f"an all-clear over a node whose {stop} is stopped"
    results.add(whole.real.plane.version, "nodes", name, found)
