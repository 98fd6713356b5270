"""An outage of a large cluster: the cost grows with the nodes, not with their square, and folding loses nothing."""

from __future__ import annotations

import json
import random
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Severity
from kubetriage.plugins import Answer, Request, load
from kubetriage.values.fields import mapping, objects, text
from kubetriage.values.times import format_time, parse_time
from support.clock import least

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


@pytest.mark.slow
def test_lost_nodes_that_look_alike_cost_little_more_than_healthy_ones(tmp_path: Path) -> None:
    answer(tmp_path, [node(0)], fold=True)
    healthy, third = [node(i, False) for i in range(3000)], [node(i) for i in range(3000)]
    # Twice as long on a quiet machine; each in full takes nine times as long.
    assert least(lambda: answer(tmp_path, third, fold=True)[0] / answer(tmp_path, healthy, fold=True)[0], 4.5) < 4.5
    found = answer(tmp_path, third, fold=True)[1]
    assert len(found.diagnoses) == 1
    assert mapping(found.diagnoses[0].extra, "fold")["count"] == 1000


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
