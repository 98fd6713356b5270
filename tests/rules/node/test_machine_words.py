"""Journals and kernel logs: one line of each kind as the programs write it, look-alikes, and whose machine it is."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from kubetriage.cli.main import main
from kubetriage.found import NodeLog
from kubetriage.needs import Body
from kubetriage.plugins import Request, Target, load
from kubetriage.rules.node.machine_words import read_words
from kubetriage.snapshot import Snapshot
from support.nodes import LEADERS, lease, lost, node, triage, world
from support.objects import NOW

# As in public reports: kubernetes#104620 (cgroups), #53333 (swap), kubeadm#1721 (bootstrap), k3s#2640, and the sources
# named in the rule.
LINES = {
    "KubeletCertificateExpired": (
        "E1124 11:59:01.123456     812 bootstrap.go:266] part of the existing bootstrap client certificate in"
        " /etc/kubernetes/kubelet.conf is expired: 2026-11-01 10:00:00 +0000 UTC"
    ),
    "NodeClockWrong": (
        "E1124 11:59:01.123456     812 reflector.go:150] x509: certificate has expired or is not yet valid: current"
        " time"
        " 2020-01-01T00:00:00Z is before 2026-01-01T00:00:00Z"
    ),
    "CgroupDriverMismatch": (
        'E1124 11:59:01.123456     812 server.go:294] "Failed to run kubelet"'
        ' err="failed to run Kubelet: misconfiguration:'
        ' kubelet cgroup driver: \\"systemd\\" is different from docker cgroup driver: \\"cgroupfs\\""'
    ),
    "SwapEnabled": (
        'E1124 11:59:01.123456     812 run.go:74] "command failed" err="failed to run'
        " Kubelet: running with swap on is not"
        ' supported, please disable swap! or set --fail-swap-on flag to false"'
    ),
    "KubeletConfigInvalid": (
        'E1124 11:59:01.123456     812 run.go:74] "command failed" err="failed to parse kubelet flag: unknown flag:'
        ' --network-plugin"'
    ),
    "InotifyLimitReached": (
        'E1124 11:59:01.123456     812 kubelet.go:1] "Failed to watch directory" err="inotify_add_watch'
        ' /sys/fs/cgroup/x: no space left on device"'
    ),
    "CgroupLimitReached": (
        "E1124 11:59:01.123456     812 pod_workers.go:1] mkdir /sys/fs/cgroup/memory/kubepods/pod1: no space left on"
        " device"
    ),
    "CgroupUnavailable": 'time="2026-11-24T11:59:01Z" level=fatal msg="failed to find memory cgroup (v2)"',
    "ProcessLimitReached": "cgroup: fork rejected by pids controller in /kubepods/pod1",
    "NodeDiskFull": "E1124 11:59:01.123456     812 kubelet.go:1] write /var/lib/kubelet/x: no space left on device",
    "ApiServerUnreachable": (
        'E1124 11:59:01.123456     812 controller.go:145] "Failed to ensure lease exists, will retry" err="Get'
        ' \\"https://10.0.0.9:6443/apis\\": dial tcp 10.0.0.9:6443: i/o timeout"'
    ),
    "KubeletUnauthorized": (
        'E1124 11:59:01.123456     812 kubelet_node_status.go:92] "Unable to register node with API server"'
        ' err="Unauthorized" node="n1"'
    ),
    "KernelOOMKill": "Out of memory: Killed process 1234 (java) total-vm:8000000kB, anon-rss:4000000kB",
    "OOMDaemonKill": 'sending SIGTERM to process 8121 uid 1000 "java": oom_score 1203, VmRSS 4012 MiB',
    "DiskIOError": "blk_update_request: I/O error, dev sda, sector 12345 op 0x1:(WRITE)",
    "ReadonlyFilesystem": "EXT4-fs (sda1): Remounting filesystem read-only",
    "LinkDown": "e1000e 0000:00:19.0 eth0: NIC Link is Down",
    "KernelDeadlock": "INFO: task kworker/u8:1:123 blocked for more than 120 seconds.",
    "ConntrackFull": "nf_conntrack: nf_conntrack: table full, dropping packet",
    "HardwareError": "mce: [Hardware Error]: Machine check events logged",
    "NeighbourTableFull": "neighbour: arp_cache: neighbor table overflow!",
}
KERNEL = ("Kernel", "OOMDaemon", "Disk", "Readonly", "Link", "Conntrack", "Hardware", "Neighbour")


def journal(row: str, host: str = "n1") -> str:
    unit = "kubelet[812]" if (row[0] in "EIWF" and row[1:5].isdigit()) or row.startswith("time=") else "kernel"
    return f"Nov 24 11:59:01 {host} {unit}: {row}\n"


def silent(*logs: NodeLog) -> Snapshot:
    others = [node(f"w{i}") for i in range(4)]
    beats = [lease(f"w{i}", -5) for i in range(4)]
    snapshot = world([lost(since=-152), *others], [lease("n1", -152, rv=10), *beats, *LEADERS])
    for log in logs:
        snapshot.add_node_log(log.node, log.source, log.text)
    return snapshot


def first(snapshot: Snapshot) -> Any:
    return triage(snapshot, "n1").diagnoses[0].findings[0]


@pytest.mark.parametrize("code", LINES)
def test_the_machines_own_word_stands_before_what_is_seen_from_outside(code):
    got = first(silent(NodeLog("", "journal", journal(LINES[code]))))
    assert (got.cause, got.severity.value) == (code, "error")
    assert got.evidence[0].source == "log"
    assert got.fix[0].commands or got.fix[0].text


@pytest.mark.parametrize("code", [c for c in LINES if c.startswith(KERNEL)])
@pytest.mark.parametrize(
    "form", ["[  123.456789] {}", "[Tue Nov 24 11:59:01 2026] {}", "10.0.0.1: kern: err: [2026-11-24T11:59:01.1Z]: {}"]
)
def test_dmesg_and_talosctl_say_the_same(code, form):
    assert first(silent(NodeLog("n1", "dmesg", form.format(LINES[code])))).cause == code


@pytest.mark.parametrize(
    "row",
    [
        "I1124 11:59:01.123456     812 kubelet.go:1] Attempting to register node n1",
        "I1124 11:59:01.123456     812 certificate_manager.go:356] certificate expiration is 2027-01-01",
        "EXT4-fs (sda1): mounted filesystem with ordered data mode",
        "e1000e 0000:00:19.0 eth0: NIC Link is Up 1000 Mbps",
        "eth0: link becomes ready",
    ],
)
def test_lines_of_a_healthy_machine_name_nothing(row):
    assert first(silent(NodeLog("", "journal", journal(row)))).cause == "KubeletUnreachable"


def test_lines_older_than_an_hour_before_the_end_are_over():
    old = "Nov 24 09:00:00 n1 kernel: nf_conntrack: table full, dropping packet\n"
    new = journal("I1124 11:59:01.123456     812 kubelet.go:1] Attempting to register node n1")
    assert first(silent(NodeLog("", "journal", old + new))).cause == "KubeletUnreachable"


def test_a_log_of_another_host_is_not_used_and_named():
    snapshot = silent(NodeLog("", "journal.txt", journal(LINES["SwapEnabled"], host="db-7")))
    assert first(snapshot).cause == "KubeletUnreachable"
    answer = load("node-triage").diagnose(snapshot, Request())
    assert any("db-7" in gap.why for gap in answer.not_seen)


def test_a_log_without_a_host_is_about_the_node_that_was_asked_for():
    raw = NodeLog("", "kubelet.log", LINES["SwapEnabled"])
    assert first(silent(raw)).cause == "SwapEnabled"


def test_a_log_of_which_nothing_was_understood_is_not_seen():
    gaps = triage(silent(NodeLog("n1", "notes.txt", "hello\nworld again\n")), "n1").diagnoses[0].not_seen
    assert any("0 of 2 lines understood" in gap.why for gap in gaps)


def test_the_option_takes_texts_and_no_cluster_is_needed():
    snapshot = Snapshot(NOW, source="dump")
    request = Request(targets=(Target("nodes", "n1"),), options={"node_log": (journal(LINES["SwapEnabled"]),)})
    plugin = load("node-triage")
    list(plugin.plan(snapshot, request))
    got = plugin.diagnose(snapshot, request).diagnoses[0]
    assert (got.cause, got.target.name) == ("SwapEnabled", "n1")
    quiet = Snapshot(NOW, source="dump")
    quiet.add_node_log("", "journal", journal("I1124 11:59:01.123456     812 kubelet.go:1] Started"))
    assert plugin.diagnose(quiet, Request()).diagnoses[0].cause == "Unknown"


def test_the_kubelets_log_query_is_read_and_its_refusal_told():
    snapshot = silent()
    path = "/api/v1/nodes/n1/proxy/logs/?query=kubelet&tailLines=400"
    from kubetriage.needs import Failure, Raw, Why

    snapshot.add_body(Raw(path), Body(journal(LINES["SwapEnabled"])))
    assert first(snapshot).cause == "SwapEnabled"
    listing = silent()
    listing.add_body(Raw(path), Body('<pre>\n<a href="pods/">pods/</a>'))
    assert first(listing).cause == "KubeletUnreachable"
    refused = silent()
    refused.fail(Raw(path), Failure(Why.FORBIDDEN, "nodes/proxy is forbidden", 403))
    gaps = triage(refused, "n1", probe_kubelet=True).diagnoses[0].not_seen
    assert any("enableSystemLogQuery" in gap.why for gap in gaps)


def test_a_runtime_that_does_not_answer_is_the_runtimes_matter():
    row = (
        'E1124 11:59:01.123456     812 run.go:74] "command failed" err="failed to run'
        " Kubelet: validate service connection:"
        ' validate CRI v1 runtime API for endpoint \\"unix:///run/containerd/containerd.sock\\": rpc error: code ='
        ' Unimplemented desc = unknown service runtime.v1.RuntimeService"'
    )
    found = triage(silent(NodeLog("n1", "journal", journal(row))), "n1").diagnoses[0].findings
    assert "ContainerRuntimeDown" in [f.cause for f in found]


def test_counts_and_times_are_kept():
    words = read_words([NodeLog("", "j", journal(LINES["ConntrackFull"]) * 3)], NOW)
    assert words.words[0].count == 3
    assert words.words[0].at == datetime(2026, 11, 24, 11, 59, 1, tzinfo=timezone.utc)


def alone(tmp_path, capsys, text):
    file = tmp_path / "paste.txt"
    file.write_text(text, encoding="utf-8")
    main("node-triage", ["--from", str(file), "-o", "json"])
    return json.loads(capsys.readouterr().out)["items"][0]


NODEUP = (
    "$ journalctl -u kops-configuration\nNov 28 10:05:10 ip-172-20-45-12 nodeup[1203]: W1128 10:05:10.451221    1203"
    " main.go:133] got error running nodeup (will retry in 30s): failed to get node config from server: Post"
    ' "https://kops-controller.internal.prod.k8s.local:3988/bootstrap": {}\n'
)


@pytest.mark.parametrize(
    "words",
    [
        "dial tcp 172.20.33.4:3988: i/o timeout",
        "dial tcp 172.20.33.4:3988: connect: connection refused",
        "dial tcp: lookup kops-controller.internal.prod.k8s.local: no such host",
    ],
)
def test_a_new_machine_that_gets_no_configuration(tmp_path, capsys, words):
    item = alone(tmp_path, capsys, NODEUP.format(words))
    assert item["cause"] == "ApiServerUnreachable"
    assert "port 3988" in json.dumps(item)
    assert "k8s-app=kops-controller" in json.dumps(item)


def test_a_machine_that_waits_for_its_clock(tmp_path, capsys):
    row = (
        '10.5.0.3: user: warning: [2026-11-28T10:00:05.12Z]: [talos] time query error {"component":'
        ' "controller-runtime", "controller": "time.SyncController", "server": "time.cloudflare.com", "error": "lookup'
        ' time.cloudflare.com on 8.8.8.8:53: i/o timeout"}\n'
    )
    item = alone(tmp_path, capsys, f"$ talosctl -n 10.5.0.3 dmesg\n{row}")
    assert item["cause"] == "NodeClockWrong"
    assert "time server time.cloudflare.com does not answer" in item["summary"]
    assert "machine.time.servers" in json.dumps(item)
    quiet = row.replace("time query error", "adjusting time (slew)")
    assert read_words([NodeLog("10.5.0.3", "dmesg", quiet)], NOW).of("time server") is None
    assert read_words([NodeLog("10.5.0.3", "dmesg", row)], NOW).of("time server") is not None


@pytest.mark.parametrize(
    "words",
    [
        "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
        "read tcp 127.0.0.1:51234->127.0.0.1:6444: read: connection reset by peer",
    ],
)
def test_an_agent_that_gets_nothing_through_its_own_balancer(tmp_path, capsys, words):
    said = f'failed to get CA certs: Get \\"https://127.0.0.1:6444/cacerts\\": {words}'
    row = f'Nov 28 08:00:21 w-2 rke2[1022]: time="2026-11-28T08:00:21Z" level=error msg="{said}"\n'
    item = alone(tmp_path, capsys, f"$ journalctl -u rke2-agent\n{row}")
    assert item["cause"] == "ApiServerUnreachable"
    assert "the agent's own balancer" in json.dumps(item)


REFUSED = (
    "Nov 28 10:00:10 {} kubelet[2201]: E1128 10:00:10.332121    2201 kubelet_node_status.go:96]"
    ' "Unable to register node with API server" err="Unauthorized" node="{}"\n'
)


@pytest.mark.parametrize(
    ("host", "first", "then"),
    [
        ("ip-10-0-4-12.ec2.internal", "IAM role", "If kubeadm made this cluster"),
        ("ip-10-0-4-12.eu-west-1.compute.internal", "IAM role", "If kubeadm made this cluster"),
        ("aks-pool1-31812345-vmss000004", "az aks rotate-certs", ""),
        ("worker-1", "kubeadm kubeconfig user", ""),
    ],
)
def test_who_gives_a_refused_kubelet_its_identity(tmp_path, capsys, host, first, then):
    item = alone(tmp_path, capsys, f"$ journalctl -u kubelet\n{REFUSED.format(host, host)}")
    fixes = item["findings"][0]["fix"]
    assert item["cause"] == "KubeletUnauthorized"
    assert first in json.dumps(fixes[0])
    assert then in json.dumps(fixes[1:])


def test_a_kubelet_of_openshift_has_its_runtime(tmp_path, capsys):
    row = (
        "Nov 28 10:02:10 w-2 kubenswrapper[2531]: E1128 10:02:10.551221    2531 kubelet.go:2495] "
        '"Container runtime sanity check failed" err="rpc error: code = DeadlineExceeded desc = context deadline'
        ' exceeded"\n'
    )
    item = alone(tmp_path, capsys, f"$ journalctl -u kubelet\n{row}")
    assert item["cause"] == "ContainerRuntimeDown"
    assert "crio" in json.dumps(item["findings"][0]["fix"])
    assert "containerd" not in json.dumps(item["findings"][0]["fix"])
