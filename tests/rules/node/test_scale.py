"""An outage of a large cluster: the cost grows with the nodes, not with their square, and folding loses nothing."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Severity
from kubetriage.needs import Failure, Get, List, Need, Why
from kubetriage.plugins import Answer, Request, load
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import mapping, name_of, namespace_of, objects, text
from kubetriage.values.resources import BY_PLURAL
from kubetriage.values.selectors import field_selector_matches
from kubetriage.values.times import format_time, parse_time
from support import nodes
from support.clock import least
from support.objects import NOW

SEEN, LOST = "2026-11-28T09:59:50Z", "2026-11-28T09:58:00Z"


def node(i: int, lost: bool | None = None) -> dict[str, Any]:
    lost = i % 3 == 0 if lost is None else lost
    at = LOST if lost else SEEN
    ready = {
        "type": "Ready",
        "status": "Unknown" if lost else "True",
        "reason": "NodeStatusUnknown" if lost else "KubeletReady",
        "message": "Kubelet stopped posting node status." if lost else "kubelet is posting ready status",
        "lastHeartbeatTime": at,
        "lastTransitionTime": at,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"n{i:05}", "uid": f"u{i}", "labels": {"topology.kubernetes.io/zone": f"z{i % 7}"}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": f"10.0.{i // 250}.{i % 250}"}],
            "conditions": [ready],
        },
    }


def answer(folder: Path, items: list[dict[str, Any]], *, fold: bool, every: bool = False) -> tuple[float, Answer]:
    file = folder / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    plugin = load("node-triage")
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    begun = time.process_time()
    request = Request(namespace="default", options=options, fold=fold, show_all=every)
    found = collect(plugin, request, RecordedReader(file))[1]
    return time.process_time() - begun, found


def seconds(folder: Path, nodes: int) -> float:
    took, found = answer(folder, [node(i) for i in range(nodes)], fold=False)
    assert sum(bool(d.findings) for d in found.diagnoses) >= nodes // 3
    return took


@pytest.mark.slow
def test_the_cost_of_lost_nodes_grows_no_faster_than_they_do(tmp_path: Path) -> None:
    seconds(tmp_path, 30)
    # Four times as many take four times as long; sixteen times would be the square.
    assert least(lambda: seconds(tmp_path, 1200) / seconds(tmp_path, 300), 8) < 8


def calls(folder: Path, nodes: int, lost: bool | None) -> tuple[int, Answer]:
    """Count the calls of functions: the same number on every machine."""
    counted = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal counted
        counted += event == "call"

    items = [node(i, lost) for i in range(nodes)]
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        found = answer(folder, items, fold=True)[1]
    finally:
        sys.setprofile(before)
    return counted, found


@pytest.mark.attack("work that grows with the input, not faster")
def test_lost_nodes_that_look_alike_cost_little_more_than_healthy_ones(tmp_path: Path) -> None:
    calls(tmp_path, 30, None)
    healthy, few, many = (calls(tmp_path, n, lost) for n, lost in ((1200, False), (300, None), (1200, None)))
    # 1.7 times, without what the network and the parser cost; each in full takes nine times as many.
    assert many[0] < 2 * healthy[0]
    assert many[0] < 4.5 * few[0]
    assert len(many[1].diagnoses) == 1
    assert mapping(many[1].diagnoses[0].extra, "fold")["count"] == 400


def outage(seed: int) -> list[dict[str, Any]]:
    """Make a cluster of which parts are lost in different ways and at different times."""
    chance = random.Random(seed)
    seen = parse_time(SEEN)
    assert seen is not None
    items = []
    for i in range(210):
        lost = chance.random() < 0.4
        made = node(i, lost)
        if lost:
            since = seen - timedelta(seconds=chance.choice((100, 100, 100, 900, 4000)) + chance.randrange(4))
            ready = made["status"]["conditions"][0]
            ready["lastHeartbeatTime"] = format_time(since)
            ready["lastTransitionTime"] = format_time(since + timedelta(seconds=50 + chance.randrange(4)))
            if chance.random() < 0.2:
                made["spec"] = {
                    "taints": [
                        {
                            "key": chance.choice(("node.cloudprovider.kubernetes.io/shutdown", "x")),
                            "effect": "NoSchedule",
                        }
                    ]
                }
            if chance.random() < 0.1:
                bad = {
                    "type": "ReadonlyFilesystem",
                    "status": "True",
                    "reason": "FilesystemIsReadOnly",
                    "message": f"disk of {i}",
                }
                made["status"]["conditions"].append(bad)
            if chance.random() < 0.05:
                made["spec"] = {"unschedulable": True}
        items.append(made)
        renewed = parse_time(text(made["status"]["conditions"][0], "lastHeartbeatTime"))
        assert renewed is not None
        items.append(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": f"n{i:05}", "namespace": "kube-node-lease"},
                "spec": {"renewTime": format_time(renewed).replace("Z", ".000000Z"), "leaseDurationSeconds": 40},
            }
        )
        if chance.random() < 0.1:
            # The program of a machine that lives on although its kubelet is silent.
            items.append(
                {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": f"election-{i}", "namespace": "default"},
                    "spec": {
                        "renewTime": SEEN.replace("Z", ".000000Z"),
                        "holderIdentity": f"n{i:05}_1",
                        "leaseDurationSeconds": 15,
                    },
                }
            )
    return items


@pytest.mark.parametrize("seed", range(12))
def test_a_folded_outage_says_of_each_node_what_the_whole_answer_says(tmp_path: Path, seed: int) -> None:
    items = outage(seed)
    every = answer(tmp_path, items, fold=False, every=True)[1].diagnoses
    whole = {d.target.name: d for d in every if any(f.severity is not Severity.NOTE for f in d.findings)}
    folded = answer(tmp_path, items, fold=True)[1].diagnoses
    told: list[str] = []
    stood_for = 0
    for diagnosis in folded:
        fold = mapping(diagnosis.extra, "fold")
        names = [text(o, "name") for key in ("lookedAt", "sameSymptom") for o in objects(fold, key)]
        stood_for += len(objects(fold, "sameSymptom"))
        names = names or [diagnosis.target.name]
        told += names
        own = whole[diagnosis.target.name]
        assert (diagnosis.findings, diagnosis.summary, diagnosis.header) == (own.findings, own.summary, own.header)
        for name in names:
            assert whole[name].cause == diagnosis.cause, name
            assert whole[name].findings[0].confidence is diagnosis.findings[0].confidence, name
        if fold:
            since = [t for n in names if (t := parse_time(text(whole[n].extra, "scope", "since")))]
            assert parse_time(text(fold, "since")) == min(since)
    assert sorted(told) == sorted(whole)
    assert len(told) == len(set(told))
    assert stood_for


class Cluster:
    """Answers each need from a whole cluster as an API server does, so that what was not asked for is not there."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects, self.asked = objects, list[Need]()

    def open(self) -> Snapshot:
        return Snapshot(NOW)

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        for need in needs:
            self.asked.append(need)
            if isinstance(need, List):
                kind = BY_PLURAL[need.resource].kind
                place = [o for o in self.objects if o["kind"] == kind and need.namespace in ("", namespace_of(o))]
                snapshot.add_list(need, [o for o in place if field_selector_matches(need.fields, o)])
                continue
            found = [o for o in self.objects if isinstance(need, Get) and name_of(o) == need.name]
            if isinstance(need, Get) and found:
                snapshot.add(need.resource, found[0])
            else:
                snapshot.fail(need, Failure(Why.NOT_FOUND, "not found", 404))


def pod_on(place: str, name: str, **status: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "uid": name}
    status = {"phase": "Running", **status}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": {"nodeName": place}, "status": status}


def of_kind(kind: str, *objects: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return tuple({"kind": kind, **o} for o in objects)


def test_of_an_outage_only_the_pods_are_read_of_which_something_is_told() -> None:
    names = [f"n{i:02}" for i in range(60)]
    pods = [pod_on(name, f"web-{name}") for name in names]
    # Two nodes are not like the others, as pods show: one holds a Lease that is renewed, one was ended by a shutdown.
    pods += [pod_on("n31", "operator-0"), pod_on("n42", "db-0", phase="Failed", reason="Terminated")]
    election = nodes.lease("operator", -2, namespace="shop", holderIdentity="operator-0_1")
    beats = [nodes.lease(name, -90) for name in names] + [nodes.lease("well", -3)]
    cluster = Cluster(
        *(nodes.lost(name) for name in names),
        nodes.node("well"),
        *of_kind("Lease", *beats, election, *nodes.LEADERS),
        *pods,
    )
    plugin = load("node-triage")
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    request = Request(namespace="default", options={**options, "cluster_share": 1.0}, fold=True)
    found = {d.target.name: d for d in collect(plugin, request, cluster)[1].diagnoses}
    assert found["n31"].cause == "KubeletDown"
    assert set(found) == {"n00", "n31", "n42"}
    assert mapping(found["n00"].extra, "fold")["count"] == 58
    lists = {str(need) for need in cluster.asked if isinstance(need, List) and need.resource == "pods"}
    assert "pods" not in lists
    assert len(lists) < 10
    assert "pods (spec.nodeName=n31)" in lists


def test_of_many_different_losses_all_pods_are_read_once() -> None:
    names = [f"n{i:02}" for i in range(40)]
    lost = [nodes.lost(name, annotations={f"x/{name}": "1"}) for name in names]
    cluster = Cluster(*lost, *of_kind("Lease", *(nodes.lease(name, -90) for name in names)))
    plugin = load("node-triage")
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    collect(plugin, Request(namespace="default", options=options, show_all=True), cluster)
    assert [str(n) for n in cluster.asked if isinstance(n, List) and n.resource == "pods"] == ["pods"]
