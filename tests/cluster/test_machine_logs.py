"""Logs of machines: in a must-gather, in a folder per node, as one file, and in a recording."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from kubetriage.cluster.record import record
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.rules.node.machine_words import unit_logs
from kubetriage.snapshot import Snapshot

ROW = "Nov 24 11:59:01 n1 kubelet[812]: E1124 11:59:01.1 812 run.go:74] running with swap on is not supported\n"
NODES = {"kind": "NodeList", "apiVersion": "v1", "items": [{"metadata": {"name": "n1"}}]}


def tree(root, where):
    file = root / where
    file.parent.mkdir(parents=True)
    file.write_text(ROW)
    (root / "nodes.json").write_text(json.dumps(NODES))
    return RecordedReader(root).open()


def test_a_must_gather_holds_journals_of_machines(tmp_path):
    snapshot = tree(tmp_path, "host_service_logs/masters/kubelet_service.log")
    assert [(log.node, log.text) for log in snapshot.node_logs()] == [("", ROW)]


def test_a_folder_per_node_names_the_node(tmp_path):
    assert [log.node for log in tree(tmp_path, "nodes/n1/kubelet.log").node_logs("n1")] == ["n1"]


def test_the_kernels_ring_buffer_is_no_json(tmp_path):
    file = tmp_path / "dmesg.txt"
    file.write_text("[Tue Nov 24 11:59:01 2026] nf_conntrack: table full, dropping packet\n")
    assert len(RecordedReader(file).open().node_logs()) == 1


def test_a_recording_keeps_them(tmp_path):
    snapshot = Snapshot(datetime(2026, 11, 24, 12, tzinfo=timezone.utc))
    snapshot.add_node_log("n1", "--node-log", ROW)
    record(snapshot, tmp_path / "out")
    kept = RecordedReader(tmp_path / "out").open().node_logs()
    assert [(log.node, log.source, log.text) for log in kept] == [("n1", "--node-log", ROW)]


@pytest.mark.parametrize(
    ("where", "node"),
    [("nodes/n1/kubelet.log", "n1"), ("nodes/n1/dmesg", "n1"), ("host_service_logs/masters/k.log", "")],
)
def test_a_capture_holds_them_where_a_tree_does(tmp_path, where, node):
    (tmp_path / "captured-at").write_text("2026-11-24T12:00:00Z")
    assert [(log.node, log.text) for log in tree(tmp_path, where).node_logs()] == [(node, ROW)]


def test_a_capture_keeps_a_units_log_among_those_of_pods(tmp_path):
    (tmp_path / "captured-at").write_text("2026-11-24T12:00:00Z")
    snapshot = tree(tmp_path, "kube-system/kubelet.log")
    assert [need.container for need in unit_logs(snapshot)] == ["kubelet"]
