"""What a scan of a large cluster costs grows with what is wrong, not with what is well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.asking import PAGE
from kubetriage.cluster.connect import Connection, connect
from kubetriage.cluster.live import LiveReader
from kubetriage.plugins import Request, load
from support.clock import least
from support.large_cluster import BROKEN, PODS_PER_NODE, LargeCluster
from support.offline import ROOT


def scan(api, tmp_path, name, fold=False, **options):
    plugin = load(name)
    known = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options} | options
    reader = LiveReader(connect(Connection(kubeconfig=str(api.kubeconfig(tmp_path))), {}))
    request = Request(all_namespaces=True, namespace="", fold=fold, options=known)
    return collect(plugin, request, reader)


def pages(api):
    return sum(1 for r in api.asked() if "limit" in r.query and "continue" in r.query)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["why-crash", "oom-budget", "node-triage"])
def test_the_number_of_requests_does_not_grow_with_healthy_pods(name, tmp_path):
    counts = []
    for pods in (2_000, 4_000):
        with LargeCluster(pods) as api:
            scan(api, tmp_path, name)
            counts.append(len(api.asked()) - pages(api))
            assert pages(api) <= 2 * pods / PAGE
    # Beside the pages of the lists. Where the broken pods share a namespace their events are one list.
    assert abs(counts[0] - counts[1]) <= BROKEN


@pytest.mark.slow
def test_a_scan_names_what_is_broken_and_counts_the_rest(tmp_path):
    with LargeCluster(2_000) as api:
        _, answer = scan(api, tmp_path, "why-crash")
    assert answer.checked == 2_000
    # The pods of the lost nodes may come on top; replicas that were read to compare with them may not.
    assert BROKEN <= len(answer.diagnoses) <= BROKEN + 2 * PODS_PER_NODE
    assert {f.cause for d in answer.diagnoses for f in d.findings[:1]} >= {"OOMKilled", "ImageNotFound"}


@pytest.mark.slow
def test_a_scan_costs_by_the_number_of_faults_not_of_broken_pods(tmp_path):
    counts = []
    for broken in (40, 400):
        with LargeCluster(2_000, broken=broken, causes=1) as api:
            _, answer = scan(api, tmp_path, "why-crash", fold=True)
            counts.append(len(api.asked()))
        assert [d.extra["fold"]["count"] for d in answer.diagnoses if d.cause == "ImageNotFound"] == [broken]
    assert abs(counts[0] - counts[1]) <= 5


@pytest.mark.slow
def test_logs_of_a_scan_are_bounded_and_the_others_named(tmp_path):
    with LargeCluster(2_000) as api:
        _, answer = scan(api, tmp_path, "why-crash", max_logs=3)
        assert len(api.asked("/log$")) == 3
    unread = [n for d in answer.diagnoses for n in d.not_seen if "log of" in n.what]
    assert len(unread) >= 10


def seconds_of_node_triage(tmp_path, nodes, lost):
    """Return the CPU time of a whole run against a server whose answers are made already."""
    code = "import sys; sys.argv = ['kubectl-node_triage']; from kubetriage.cli import main; main.main('node-triage')"
    with LargeCluster(2_000, nodes=nodes, lost=lost) as api:
        env = {**os.environ, "PYTHONPATH": str(ROOT / "lib"), "KUBECONFIG": str(api.kubeconfig(tmp_path))}
        costs = []
        for _ in range(3):
            with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, env=env) as process:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            costs.append(usage.ru_utime + usage.ru_stime)
        # Without the pods of all nodes: those of the nodes that are told, and no more.
        assert not [r for r in api.asked("/pods$") if "fieldSelector" not in r.query]
    return min(costs)


@pytest.mark.slow
@pytest.mark.attack("work that grows with the input, not faster")
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the CPU time of one process")
def test_a_third_of_the_nodes_lost_costs_at_most_half_more_than_none(tmp_path):
    def ratio():
        return seconds_of_node_triage(tmp_path, 5_000, 1_667) / seconds_of_node_triage(tmp_path, 5_000, 0)

    # 1.3 on a quiet machine.
    assert least(ratio, 1.5) < 1.5


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_a_scan_of_ten_thousand_pods_stays_small(tmp_path):
    code = (
        "import sys\n"
        "sys.argv = ['kubectl-why_crash', '-A']\n"
        "from kubetriage.cli import main\n"
        "main.main('why-crash')\n"
        "sys.stderr.write('PEAK ' + open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])\n"
    )
    with LargeCluster(10_000) as api:
        env = {**os.environ, "PYTHONPATH": str(ROOT / "lib"), "KUBECONFIG": str(api.kubeconfig(tmp_path))}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert int(done.stderr.rpartition("PEAK ")[2]) < 150 * 1024
