"""A zone outage of a large cluster: the cost grows with the nodes, not with their square."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Request, load

SEEN, LOST = "2026-11-28T09:59:50Z", "2026-11-28T09:58:00Z"


def node(i: int) -> dict:
    lost = i % 3 == 0
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


def seconds(folder: Path, nodes: int) -> float:
    file = folder / f"{nodes}.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [node(i) for i in range(nodes)]}))
    plugin = load("node-triage")
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    begun = time.process_time()
    answer = collect(plugin, Request(targets=(), namespace="default", options=options), RecordedReader(file))[1]
    took = time.process_time() - begun
    assert sum(bool(d.findings) for d in answer.diagnoses) >= nodes // 3
    return took


@pytest.mark.slow
def test_the_cost_of_lost_nodes_grows_no_faster_than_they_do(tmp_path: Path) -> None:
    seconds(tmp_path, 30)
    few, many = seconds(tmp_path, 300), seconds(tmp_path, 1200)
    # Four times as many take four times as long; sixteen times would be the square.
    assert many < 8 * few, f"{few:.2f} s, {many:.2f} s"
