"""What stands around a program's own line is taken off; what is its own stays."""

from __future__ import annotations

import json

import pytest

from kubetriage.readers.logs.layers import exported_rows, is_etcd_line, is_journal_line, peel, peel_rows
from kubetriage.readers.logs.text import bodies

INNER = '{"level":"error","msg":"no space left"}'


@pytest.mark.parametrize(
    ("row", "body"),
    [
        (f"2026-01-02T03:04:05.123456789Z stderr F {INNER}", INNER),
        (f"2026-01-02T03:04:05.123456789Z {INNER}", INNER),
        (f"[pod/api-0/app] 2026-01-02T03:04:05.123456789Z {INNER}", INNER),
        (json.dumps({"log": INNER + "\n", "stream": "stderr", "time": "2026-01-02T03:04:05Z"}), INNER),
        (json.dumps({"log": INNER, "kubernetes": {"pod_name": "api-0", "container_name": "app"}}), INNER),
        (json.dumps({"timestamp": 1700000000000, "message": INNER, "ingestionTime": 1700000000001}), INNER),
        (json.dumps({"MESSAGE": INNER, "_HOSTNAME": "node-1", "SYSLOG_IDENTIFIER": "kubelet"}), INNER),
        (f"Nov 28 17:30:39 node-1 kubelet[1234]: {INNER}", INNER),
        (f"Nov  8 17:30:39.123456 node-1 k3s[1234]: {INNER}", INNER),
        (f"2026-11-28T17:30:39+0100 node-1 containerd[9]: {INNER}", INNER),
        (f"<30>Nov 28 17:30:39 node-1 kubelet: {INNER}", INNER),
        (f"10.0.0.1: {INNER}", INNER),
        (f"10.0.0.1: 2026-01-02T03:04:05.123456789Z stderr F {INNER}", INNER),
        ('time="2026-01-02 03:04:05" level=info msg="{\\"level\\":\\"warn\\"}" component=etcd', '{"level":"warn"}'),
        ('time="2026-01-02T03:04:05Z" level=error msg="cannot open \\"x\\""', None),
        (INNER, None),
        ('{"message":"no space left","service":"api"}', None),
        ("E0102 03:04:05.123456       1 main.go:12] boom", None),
        ("2026-01-02 03:04:05 ERROR no space left", None),
        ("Error: cannot open /data/x", None),
    ],
)
def test_layers_come_off_and_a_programs_own_form_stays(row, body):
    assert peel(row).body == (row if body is None else body)


def test_who_wrote_a_line_is_told():
    line = peel(json.dumps({"log": "x", "kubernetes": {"pod_name": "api-0", "container_name": "app"}}))
    assert (line.pod, line.container) == ("api-0", "app")
    line = peel("Nov 28 17:30:39 node-1 kubelet[1234]: x")
    assert (line.host, line.program, line.time) == ("node-1", "kubelet", "")
    assert peel("[pod/api-0/app] x").container == "app"


def test_stern_is_known_by_all_lines_together():
    rows = [f"api-7d9c5b8f6-x2x4q app line {i}" for i in range(5)]
    assert [line.body for line in peel_rows(rows)] == [f"line {i}" for i in range(5)]
    assert peel_rows(rows)[0].pod == "api-7d9c5b8f6-x2x4q"
    prose = ["well-known host found", "no server here", "well-known host lost"]
    assert [line.body for line in peel_rows(prose)] == prose


def test_exports_of_log_stores_are_logs():
    cloudwatch = json.dumps(
        {"events": [{"timestamp": 1, "message": "a"}, {"timestamp": 2, "message": "b\n"}]}, indent=1
    )
    assert exported_rows(cloudwatch) == ["a", "b"]
    loki = json.dumps({"status": "success", "data": {"result": [{"stream": {}, "values": [["1", "a"], ["2", "b"]]}]}})
    assert exported_rows(loki) == ["a", "b"]
    assert exported_rows('{"level":"info"}') is None
    assert bodies(cloudwatch) == ("a", "b")


def test_lines_in_parts_are_joined_below_other_layers():
    rows = "10.0.0.1: 2026-01-02T03:04:05.1Z stdout P one \n10.0.0.1: 2026-01-02T03:04:05.2Z stdout F two\n"
    assert bodies(rows) == ("one two",)


@pytest.mark.parametrize(
    "row",
    [
        "Nov 28 17:30:39 node-1 kubelet[1234]: x",
        "2026-11-28T17:30:39+0100 node-1 k3s[9]: x",
        "[  123.456789] Out of memory: Killed process 1",
        "[Sat Nov 28 17:30:39 2026] Out of memory: Killed process 1",
        '{"__REALTIME_TIMESTAMP":"1","MESSAGE":"x"}',
    ],
)
def test_the_words_of_machines_are_known(row):
    assert is_journal_line(row)


@pytest.mark.parametrize(
    "row", ["Name: api", "2026-01-02T03:04:05Z starting", "[INFO] ready", '{"level":"info"}', "Error: node-1 is gone"]
)
def test_other_lines_are_not_taken_for_a_machines(row):
    assert not is_journal_line(row)


def test_both_forms_of_etcd_are_known():
    assert is_etcd_line("2026-01-02 03:04:05.123456 W | wal: sync duration of 7.45s, expected less than 1s")
    assert is_etcd_line('{"level":"warn","ts":"x","caller":"wal/wal.go:802","msg":"slow fdatasync"}')
    assert not is_etcd_line('{"level":"warn","caller":"app/main.go:1"}')
