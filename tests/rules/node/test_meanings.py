"""What lines of machines mean: narrower causes by what a line names, look-alikes, and the ways of distributions."""

from __future__ import annotations

from typing import Any

import pytest

from support.nodes import LEADERS, condition, lease, lost, node, pod, taint, triage, world
from support.objects import at

MCO = "machineconfiguration.openshift.io/"
OTHERS = [node(f"w{i}") for i in range(3)]
BEATS = [lease(f"w{i}", -5) for i in range(3)]
PRESSED = ("True", "KubeletHasDiskPressure", "kubelet has disk pressure")


def journal(row: str, host: str = "n1", unit: str = "kubelet[812]") -> str:
    return f"Nov 24 11:59:01 {host} {unit}: {row}\n"


def failed(words: str) -> str:
    return journal(f'E1124 11:59:01.123456     812 run.go:74] "command failed" err="{words}"')


def told(log: str, raw: dict[str, Any] | None = None, pods: tuple[Any, ...] = ()) -> Any:
    snapshot = world([raw or lost(since=-152), *OTHERS], [lease("n1", -152, rv=10), *BEATS, *LEADERS], pods=list(pods))
    snapshot.add_node_log("n1", "journal", log)
    return triage(snapshot, "n1").diagnoses[0]


def words(finding: Any) -> str:
    return " ".join([finding.message, *(f.text for f in finding.fix), *(c for f in finding.fix for c in f.commands)])


@pytest.mark.parametrize(
    ("log", "code", "says"),
    [
        (failed("failed to parse kubelet flag: unknown flag: --network-plugin"), "KubeletConfigInvalid", "1.24"),
        (failed("failed to parse kubelet flag: unknown flag: --mine"), "KubeletConfigInvalid", "grep -rn -e mine"),
        (failed("failed to set feature gates: unrecognized feature gate: Foo"), "KubeletConfigInvalid", "gate Foo"),
        (failed("kubelet is configured to not run on a host using cgroup v1"), "KubeletConfigInvalid", "failCgroupV1"),
        (
            failed("failed to load kubelet config file, path: /var/lib/kubelet/config.yaml, error: no such file"),
            "KubeletConfigInvalid",
            "token create",
        ),
        (
            failed("failed to run Kubelet: cannot create certificate signing request: Unauthorized"),
            "KubeletUnauthorized",
            "token create --print-join-command",
        ),
        (
            failed(
                "start cpu manager error: could not restore state from checkpoint: configured policy static differs"
            ),
            "KubeletCheckpointInvalid",
            "/var/lib/kubelet/cpu_manager_state",
        ),
        (
            failed("start memory manager error: the expected machine state is different from the real one"),
            "KubeletCheckpointInvalid",
            "memory_manager_state",
        ),
        (
            failed('Unable to register node: Post "https://a:6443/x": x509: certificate signed by unknown authority'),
            "ApiServerCertificateInvalid",
            "another authority",
        ),
        (
            failed(
                'Unable to register node: Get "https://10.0.0.9:6443/x": tls: failed to verify certificate: x509:'
                " certificate is valid for 10.96.0.1, 10.0.0.1, not 10.0.0.9"
            ),
            "ApiServerCertificateInvalid",
            "does not name 10.0.0.9",
        ),
        (
            failed(
                'lease: Get "https://10.0.0.1:6443/x": tls: failed to verify certificate: x509: certificate has'
                " expired or is not yet valid: current time 2026-11-24T11:59:01Z is after 2026-11-20T00:00:00Z"
            ),
            "ApiServerCertificateInvalid",
            "kubeadm certs renew",
        ),
        (
            failed('Get "https://10.0.0.1:6443/x": proxyconnect tcp: dial tcp 10.1.1.1:3128: i/o timeout'),
            "ApiServerUnreachable",
            "NO_PROXY",
        ),
        (failed("node IP: 10.0.0.99 not found in the host's network interfaces"), "NodeAddressInvalid", "--node-ip"),
        (
            failed('nodes n1 is forbidden: node \\"old\\" is not allowed to modify node \\"n1\\"'),
            "NodeNameMismatch",
            "hostname",
        ),
        (
            failed("validate CRI v1 runtime API: rpc error: code = Unimplemented desc = unknown service runtime.v1"),
            "ContainerRuntimeDown",
            "disabled_plugins",
        ),
        (
            failed(
                "validate service connection: dial unix /var/run/dockershim.sock: connect: no such file or directory"
            ),
            "ContainerRuntimeDown",
            "since Kubernetes 1.24",
        ),
        (
            failed("validate service connection: dial unix /run/crio/crio.sock: connect: no such file or directory"),
            "ContainerRuntimeDown",
            "at /run/crio/crio.sock",
        ),
        ("[ 9.1] nfs: server 10.9.9.9 not responding, still trying\n", "NFSServerNotResponding", "10.9.9.9 2049"),
        ("[ 9.1] watchdog: BUG: soft lockup - CPU#7 stuck for 23s! [kworker]\n", "KernelDeadlock", "CPU#7"),
        ("[ 9.1] Kernel panic - not syncing: Fatal exception in interrupt\n", "KernelPanic", "Fatal exception"),
        ("[ 9.1] blk_update_request: I/O error, dev nvme0n1, sector 1\n", "DiskIOError", "/dev/nvme0n1"),
    ],
)
def test_what_a_line_names_decides_what_ends_it(log, code, says):
    found = told(log).findings
    assert found[0].cause == code
    assert says in words(found[0])
    if code.startswith(("Kubelet", "ApiServer", "Container")):
        assert "KubeletUnreachable" not in [f.cause for f in found], "its own log says what failed"


@pytest.mark.parametrize(
    "log",
    [
        journal("I1124 11:59:01.123456     812 cpu_manager.go:1] Restored state from checkpoint"),
        journal("I1124 11:59:01.123456     812 server.go:1] Flag --network-plugin has been deprecated"),
        "[ 9.1] nfs: server 10.9.9.9 OK\n",
        "[ 9.1] NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.\n",
    ],
)
def test_look_alikes_name_nothing(log):
    assert told(log).findings[0].cause == "KubeletUnreachable"


@pytest.mark.parametrize(
    ("version", "os", "has", "hasnt"),
    [
        ("v1.30.6+rke2r1", "Ubuntu", "agent.node-password.rke2", "kubeadm"),
        ("v1.30.6+k3s1", "Ubuntu", "agent.node-password.k3s", "kubeadm"),
    ],
)
def test_a_refused_node_password_names_its_secret(version, os, has, hasnt):
    row = 'time="2026-11-24T11:59:01Z" level=info msg="server is not ready: Node password rejected, duplicate hostname"'
    found = told(journal(row, unit="k3s[1]"), lost(since=-152, version=version)).findings[0]
    assert found.cause == "NodePasswordRejected"
    assert has.replace("agent", "n1") in words(found)
    assert hasnt not in words(found)


@pytest.mark.parametrize(
    ("version", "provider", "has"),
    [
        ("v1.29.3-eks-ae9a62a", "aws:///a/i-1", "system:bootstrappers"),
        ("v1.30.6+k3s1", "", "node-token"),
        ("v1.29.2+k0s", "", "k0s token create"),
        ("v1.36.2", "", "kubeadm kubeconfig user"),
    ],
)
def test_a_refused_kubelet_gets_its_identity_as_its_distribution_gives_it(version, provider, has):
    row = 'E1124 11:59:01.1 812 kubelet_node_status.go:92] "Unable to register node with API server" err="Unauthorized"'
    raw = lost(since=-152, version=version, **({"providerID": provider} if provider else {}))
    found = told(journal(row), raw).findings[0]
    assert found.cause == "KubeletUnauthorized"
    assert has in words(found)


def test_talos_has_no_shell_to_remove_a_checkpoint_with():
    raw = lost(since=-152)
    raw["status"]["nodeInfo"]["osImage"] = "Talos (v1.9.0)"
    found = told(failed("could not restore state from checkpoint: /var/lib/kubelet/cpu_manager_state"), raw).findings[0]
    assert "ssh" not in words(found)
    assert "talosctl -n 10.0.0.1 edit machineconfig" in words(found)


UID = "0a1b2c3d-1111-2222-3333-444455556666"


def test_a_kill_at_a_pods_limit_is_the_pods_matter():
    log = (
        "[ 9.1] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/kubepods.slice/kubepods-pod"
        f"{UID.replace('-', '_')}.slice,task_memcg=/kubepods.slice/x,task=java,pid=1\n"
        "[ 9.2] Memory cgroup out of memory: Killed process 1 (java) total-vm:1kB\n"
    )
    raw = pod("web-1", "n1")
    raw["metadata"]["uid"] = UID
    found = [f for f in told(log, lost(since=-152), (raw,)).findings if f.cause == "KernelOOMKill"]
    assert len(found) == 1
    assert "pod shop/web-1" in found[0].message
    assert "oom-budget web-1" in words(found[0])


def test_a_kill_beside_the_pods_asks_for_a_reserve():
    log = (
        "[ 9.1] oom-kill:constraint=CONSTRAINT_NONE,global_oom,task_memcg=/system.slice/backup.service\n"
        "[ 9.2] Out of memory: Killed process 7 (backup) total-vm:1kB\n"
    )
    assert "systemReserved" in words(told(log).findings[0])
    assert "backup.service" in told(log).findings[0].message


def test_an_address_of_no_node_is_called_so_and_one_of_a_node_by_its_name():
    row = 'E1124 11:59:01.1 812 controller.go:145] "Failed to ensure lease exists" err="dial tcp {}:6443: {}"'
    stray = told(journal(row.format("10.90.0.10", "connect: no route to host"))).findings[0]
    assert "No node has 10.90.0.10" in words(stray)
    assert "3 other nodes are in contact" in words(stray)
    local = told(journal(row.format("127.0.0.1", "connect: connection refused"))).findings[0]
    assert "local balancer" in words(local)


# Pressure, networks, owners.


def event(reason: str, message: str, seconds: float = -60) -> Any:
    return {
        "metadata": {"name": f"e-{reason}", "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": "n1", "uid": "uid-n1"},
        **{"reason": reason, "message": message, "type": "Warning", "count": 1},
        **{"firstTimestamp": at(seconds), "lastTimestamp": at(seconds), "source": {"component": "kubelet"}},
    }


def here(raw: Any, **rest: Any) -> Any:
    return triage(world([raw, *OTHERS], [lease("n1", -5), *BEATS, *LEADERS], **rest), "n1").diagnoses[0].findings


@pytest.mark.parametrize(("resource", "lacks"), [("inodes", True), ("ephemeral-storage", False)])
def test_inodes_are_told_from_bytes(resource, lacks):
    raw = node(conditions=[condition("DiskPressure", *PRESSED)])
    found = here(raw, events=[event("EvictionThresholdMet", f"Attempting to reclaim {resource}")])[0]
    assert (found.details.get("lacks") == "inodes") is lacks
    assert ("--inodes" in words(found)) is lacks


def test_evicted_pods_say_what_they_used():
    raw = pod("a-1", "n1", phase="Failed")
    raw["status"] |= {
        "reason": "Evicted",
        "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 2Mi. Container"
        " c was using 12Gi, request is 0, has larger consumption of ephemeral-storage. ",
    }
    found = here(node(conditions=[condition("DiskPressure", *PRESSED)]), pods=[raw])[0]
    assert "a-1 used 12Gi with a request of 0" in found.message


CNI = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni not initialized"


@pytest.mark.parametrize(("others", "says"), [("10.244.1.0/24", "no block"), ("", "--allocate-node-cidrs")])
def test_a_node_without_a_range_of_addresses(others, says):
    down = node("n1", ("False", "KubeletNotReady", CNI))
    rest = [node(f"w{i}", **({"podCIDR": others} if others else {})) for i in range(3)]
    events = [event("CIDRNotAvailable", "Node n1 status is now: CIDRNotAvailable")] if others else []
    snapshot = world([down, *rest], [lease("n1", -5), *BEATS, *LEADERS], events=events)
    agent = pod("kube-flannel-ds-1", "n1", namespace="kube-system", ready=False)
    snapshot.add("pods", agent)
    found = triage(snapshot, "n1").diagnoses[0].findings[0]
    if others:
        assert found.details["reason"] == "range"
        assert says in words(found)
    else:
        assert found.details["reason"] != "range", "nothing says that a range is missing"


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ('unexpected on-disk state: content mismatch for file "/etc/x.env"', "machine-config-daemon-force"),
        ('machineconfig.machineconfiguration.openshift.io "rendered-worker-1" not found', "was deleted"),
        ("failed to drain node: n1 after 1 hour", "--drain"),
        ("error running rpm-ostree: pull failed", "rpm-ostree status"),
        ("", "Mend what the reason names"),
    ],
)
def test_a_degraded_machine_configuration_is_told_by_its_reason(reason, says):
    notes = {f"{MCO}state": "Degraded", f"{MCO}reason": reason, f"{MCO}currentConfig": "rendered-worker-0"}
    found = here(node(unschedulable=True, annotations=notes))
    assert found[0].cause == "MachineConfigDegraded"
    assert says in words(found[0])


def test_a_machine_configuration_that_is_done_is_no_fault():
    assert here(node(annotations={f"{MCO}state": "Done"})) == ()


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ({"events": [event("SpotInterrupted", "Spot interruption warning was triggered", -160)]}, "NodeShutdown"),
        (
            {"events": [event("SpotInterrupted", "Spot interruption warning was triggered", -9000)]},
            "KubeletUnreachable",
        ),
        ({}, "KubeletUnreachable"),
    ],
)
def test_a_machine_that_is_taken_away_needs_no_repair(rest, code):
    snapshot = world([lost(since=-152), *OTHERS], [lease("n1", -152, rv=10), *BEATS, *LEADERS], **rest)
    found = triage(snapshot, "n1").diagnoses[0].findings[0]
    assert found.cause == code
    assert ("ping" in words(found)) is (code == "KubeletUnreachable")


def test_a_taint_of_an_autoscaler_tells_it_too():
    marks = [taint("karpenter.sh/disrupted", "NoSchedule", -160), taint("unreachable", "NoExecute", -100)]
    snapshot = world([lost(since=-152, taints=marks), *OTHERS], [lease("n1", -152, rv=10), *BEATS, *LEADERS])
    assert triage(snapshot, "n1").diagnoses[0].findings[0].cause == "NodeShutdown"


def test_a_runtime_that_says_why_in_another_field_is_quoted_whole():
    row = 'time="2026-11-24T11:59:01Z" level=error msg="RunPodSandbox failed" error="write x: no space left on device"'
    found = told(journal(row, unit="containerd[7]")).findings[0]
    assert found.cause == "NodeDiskFull"
    assert "no space left on device" in found.evidence[0].value


def unrouted(ready: bool) -> Any:
    down = condition("NetworkUnavailable", "True", "CalicoIsDown", "Calico is shutting down on this node")
    agent = pod("calico-node-x", "n1", namespace="kube-system", owner=("DaemonSet", "calico-node"))
    if ready:
        agent["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    return next(f for f in here(node(conditions=[down]), pods=[agent]) if f.cause == "NetworkUnavailable")


def test_a_missing_network_is_that_of_the_plugins_pod_where_it_does_not_run():
    assert "Bring up kube-system/calico-node-x" in words(unrouted(ready=False))
    assert "route controller" in words(unrouted(ready=True))
