"""Every wrapping of one line leaves the same line."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from kubetriage.readers.outer_layers import peel, peeled

NOW = datetime(2021, 1, 25, 7, 0, tzinfo=timezone.utc)
ZAP = '{"level":"warn","ts":"2021-01-25T06:42:36.000+0100","caller":"wal.go:1","msg":"slow fdatasync","took":"7.4s"}'
AT = datetime(2021, 1, 25, 5, 42, 36, tzinfo=timezone.utc)

WRAPPED = {
    "as it is": ZAP,
    "kubectl --timestamps": f"2021-01-25T05:42:36.000000000Z {ZAP}",
    "kubectl --prefix": f"[pod/etcd-cp-1/etcd] {ZAP}",
    "CRI": f"2021-01-25T05:42:36.000000000Z stderr F {ZAP}",
    "Docker": json.dumps({"log": ZAP + "\n", "stream": "stderr", "time": "2021-01-25T05:42:36Z"}),
    "journal short": f"Jan 25 06:42:36 cp-1 k3s[2189071]: {ZAP}",
    "journal short-precise": f"Jan 25 06:42:36.001234 cp-1 k3s[2189071]: {ZAP}",
    "journal short-iso": f"2021-01-25T06:42:36+0100 cp-1 k3s[2189071]: {ZAP}",
    "journal short-full": f"Mon 2021-01-25 06:42:36 CET cp-1 k3s[2189071]: {ZAP}",
    "journal json": json.dumps({"MESSAGE": ZAP, "_HOSTNAME": "cp-1", "SYSLOG_IDENTIFIER": "k3s"}),
    "journal json as bytes": json.dumps({"MESSAGE": list(ZAP.encode()), "_HOSTNAME": "cp-1"}),
    "talosctl": f"10.0.0.1: {ZAP}",
    "k0s": f'time="2021-01-25 06:42:36" level=info msg={json.dumps(ZAP)} component=etcd stream=stderr',
    "CR LF": ZAP + "\r",
}


@pytest.mark.parametrize("form", WRAPPED)
def test_each_wrapping_is_peeled(form):
    line = peel(WRAPPED[form], NOW)
    assert line.text == ZAP
    assert line.at == AT


def test_host_and_unit_come_from_the_journal():
    line = peel(WRAPPED["journal short"], NOW)
    assert (line.host, line.unit) == ("cp-1", "k3s")


def test_a_logrus_line_of_its_own_stays():
    row = 'time="2025-05-19T20:50:26+02:00" level=info msg="Slow SQL (total time: 1.09s): SELECT"'
    assert peel(row, NOW).text == row


def test_the_zone_of_a_journal_comes_from_a_line_with_two_times():
    klog = "Jan 25 06:42:41 cp-1 k3s[1]: E0125 06:42:39.880363 2189071 leaderelection.go:325] error"
    lines = list(peeled(f"{WRAPPED['journal short']}\n{klog}", NOW))
    assert lines[1].at == datetime(2021, 1, 25, 5, 42, 41, tzinfo=timezone.utc)


def test_times_of_the_future_show_a_zone_east_of_utc():
    klog = "E0125 09:59:50.000000 1 leaderelection.go:325] error"
    assert next(peeled(klog, NOW)).at == datetime(2021, 1, 25, 6, 59, 50, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "row",
    [
        "[12345.678901] Out of memory: Killed process 12 (java)",
        "[Mon Jan 25 06:42:29 2021] Out of memory: Killed process 12 (java)",
        "10.0.0.1: kern: err: [2021-01-25T06:42:29.123Z]: Out of memory: Killed process 12 (java)",
        "Jan 25 06:42:36 node kernel: [   12.123456] Out of memory: Killed process 12 (java)",
    ],
)
def test_the_kernels_own_words(row):
    line = peel(row, NOW)
    assert line.text == "Out of memory: Killed process 12 (java)"
    assert line.unit == "kernel"
