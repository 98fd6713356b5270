"""Each cause of node-triage on a small cluster where it holds, and beside one where it does not."""

import json
from datetime import timedelta
from typing import Any

import pytest

from kubetriage.model import Confidence, Ref, Severity
from kubetriage.needs import Body, Failure, List, Raw, Why
from kubetriage.plugins import Request, codes, load
from kubetriage.render.card import patch_command
from kubetriage.rules.node.causes import kernel_log, kubelet_log, machine_not_joined, node_problem
from kubetriage.rules.node.kubelet_probe import kubelet_path
from kubetriage.rules.node.registry import RULES
from support.nodes import (
    LEADERS,
    LOST,
    causes,
    condition,
    leader,
    lease,
    lost,
    node,
    pod,
    taint,
    tolerate,
    triage,
    world,
)
from support.objects import at

OTHERS = [node(f"w{i}", zone="b") for i in range(4)]
BEATS = [lease(f"w{i}", -5) for i in range(4)]
HEALTHZ = kubelet_path("n1", "healthz")


def beside(raw: dict[str, Any], renewed: float | None = -6, *, rv: int | None = None, leaders=LEADERS, more=(), **rest):
    """Put node n1 into a cluster of healthy ones."""
    own = [] if renewed is None else [lease("n1", renewed, rv=rv)]
    return world([raw, *OTHERS], [*own, *BEATS, *leaders, *more], **rest)


def gone(*, more=(), since=-152.0, raw=None, **rest):
    """Put a lost node n1 into a cluster of healthy ones."""
    return beside(raw or lost(since=since, zone="a"), since, rv=10, more=more, **rest)


def finding(snapshot, name="n1", **options):
    return triage(snapshot, name, **options).diagnoses[0].findings[0]


def dialled(words: str, status: int = 503) -> dict[str, Body]:
    return {HEALTHZ: Body(words, status)}


def said(message: str):
    return node(ready=("False", "KubeletNotReady", message), changed=-60)


def event(reason: str, seconds: float, component: str = "kubelet", host: str = "n1", message: str = "x"):
    return {
        "metadata": {"name": f"e-{reason}-{seconds}", "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": "n1", "uid": "n1"},
        "reason": reason,
        "message": message,
        "type": "Warning",
        "firstTimestamp": at(seconds),
        "lastTimestamp": at(seconds),
        "source": {"component": component, "host": host},
        "reportingComponent": component,
    }


REFUSED = "error trying to reach service: dial tcp 10.0.0.1:10250: connect: connection refused"
TIMEOUT = "error trying to reach service: dial tcp 10.0.0.1:10250: i/o timeout"
AGENT = condition("KernelDeadlock", "False", "KernelHasNoDeadlock", "kernel has no deadlock", beat=-20)
HELD = lease("app-lock", -2, namespace="shop", holderIdentity="web-1_5af", leaseDurationSeconds=15)
PLEG = "PLEG is not healthy: pleg was last seen active 3m2.1s ago; threshold is 3m0s"
CNI = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin "
    "returns error: cni plugin not initialized"
)
UNKNOWN = {"type": "Ready", "status": "Unknown"}
NEVER = ("Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status.")
OFF = taint("node.cloudprovider.kubernetes.io/shutdown", "NoSchedule", -30)


CASES = [
    pytest.param(beside(node()), [], id="healthy"),
    pytest.param(beside(node(unschedulable=True)), ["Cordoned"], id="cordoned"),
    pytest.param(
        beside(node(), events=[event("NodeNotReady", s, "node-controller") for s in (-100, -900, -1800)]),
        ["NodeFlapping"],
        id="comes and goes",
    ),
    pytest.param(
        beside(node(), events=[event("NodeNotReady", s, "node-controller") for s in (-1000, -1900, -2800)]),
        [],
        id="came and went, and is steady now",
    ),
    pytest.param(beside(node(), events=[event("NodeNotReady", -100, "node-controller")]), [], id="was lost once"),
    pytest.param(
        beside(node(taints=[taint("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule", -300, "true")])),
        ["NodeUninitialized"],
        id="waits for its cloud",
    ),
    pytest.param(gone(), ["KubeletUnreachable"], id="lost, nothing else seen"),
    pytest.param(gone(bodies=dialled(TIMEOUT)), ["KubeletUnreachable"], id="lost, packets vanish"),
    pytest.param(gone(bodies=dialled("No agent available")), ["KubeletUnreachable"], id="lost, tunnel fails"),
    pytest.param(gone(bodies=dialled(REFUSED)), ["KubeletDown"], id="refused"),
    pytest.param(gone(bodies=dialled("ok", 200)), ["NodePartitioned"], id="answers: one way is cut"),
    pytest.param(
        gone(bodies=dialled(TIMEOUT), more=[HELD], pods=[pod()]), ["NodePartitioned"], id="vanish, a pod renews"
    ),
    pytest.param(gone(more=[HELD], pods=[pod()]), ["KubeletDown"], id="not dialled, a pod renews its lease"),
    pytest.param(
        gone(more=[HELD], pods=[pod("web-1", "w1")]), ["KubeletUnreachable"], id="the pod that renews is elsewhere"
    ),
    pytest.param(gone(raw=lost(since=-152, conditions=[AGENT])), ["KubeletDown"], id="the agent still stamps"),
    pytest.param(
        gone(raw=lost(since=-152, conditions=[{**AGENT, "lastHeartbeatTime": at(-200)}])),
        ["KubeletUnreachable"],
        id="the agent stamped before the loss",
    ),
    pytest.param(
        gone(events=[event("OOMKilling", -60, "kernel-monitor")]),
        ["KubeletDown"],
        id="an event from the host",
    ),
    pytest.param(
        gone(events=[event("NodeNotReady", -60, "node-controller", "")]),
        ["KubeletUnreachable"],
        id="an event of the node controller proves nothing",
    ),
    pytest.param(
        gone(raw=lost(since=-152, taints=[OFF])), ["NodeShutdown"], id="the cloud says that it is powered off"
    ),
    pytest.param(gone(events=[event("Shutdown", -160)]), ["NodeShutdown"], id="a shutdown began before"),
    pytest.param(
        gone(events=[event("Shutdown", -2000), event("Starting", -1900)]),
        ["KubeletUnreachable"],
        id="an old shutdown explains nothing",
    ),
    pytest.param(beside(said("container runtime is down")), ["ContainerRuntimeDown"], id="runtime down"),
    pytest.param(
        beside(said(PLEG)),
        ["ContainerRuntimeSlow"],
        id="PLEG",
    ),
    pytest.param(
        beside(said(f"[container runtime is down, {PLEG}]")),
        ["ContainerRuntimeDown"],
        id="down explains slow",
    ),
    pytest.param(
        beside(said(CNI)),
        ["NetworkPluginNotReady"],
        id="CNI",
    ),
    pytest.param(beside(said("node is shutting down")), ["NodeShutdown"], id="shutting down"),
    pytest.param(beside(said("CSINode is not yet initialized")), ["KubeletNotReady"], id="CSINode"),
    pytest.param(beside(said("something new")), ["KubeletNotReady"], id="unknown self-report"),
    pytest.param(
        beside(node(ready=NEVER, version=""), None),
        ["NodeNeverReady"],
        id="never joined",
    ),
    pytest.param(beside(node(ready=(), version="", created=-600), None), ["NodeNeverReady"], id="no status at all"),
    pytest.param(
        beside(node(conditions=[condition("DiskPressure", "True", "KubeletHasDiskPressure", "x")])),
        ["DiskPressure"],
        id="disk",
    ),
    pytest.param(
        beside(node(conditions=[condition("PIDPressure", "True", "KubeletHasInsufficientPID", "x")])),
        ["PIDPressure"],
        id="pids",
    ),
    pytest.param(
        gone(raw=lost(since=-152, conditions=[condition("MemoryPressure", *LOST)])),
        ["KubeletUnreachable"],
        id="Unknown pressure is no pressure",
    ),
    pytest.param(
        beside(node("n1", LOST, changed=-300, rv=100), -4, rv=9000),
        ["StatusFrozen"],
        id="Ready stays Unknown",
    ),
    pytest.param(beside(node("n1", LOST, changed=-20, rv=100), -4, rv=9000), [], id="contact came back this moment"),
    pytest.param(beside(node(), -45), ["KubeletUnreachable"], id="late, not yet lost"),
    pytest.param(beside(node(), -28), [], id="two renewals missed"),
    pytest.param(beside(node(), -110, leaders=[leader(renewed=-112)]), ["StatusFrozen"], id="nobody marks it"),
    pytest.param(world([node()], [lease("n1", -90), leader(renewed=-90)]), ["StatusFrozen"], id="nobody writes at all"),
    pytest.param(beside(node(), leaders=[leader(renewed=-60)]), ["StatusFrozen"], id="unwatched, but in contact"),
]


@pytest.mark.parametrize(("snapshot", "expected"), CASES)
def test_the_causes_of_one_node(snapshot, expected):
    assert causes(snapshot) == expected


def test_every_rule_is_reached_by_these_cases():
    reached = {code for case in CASES for code in case.values[1]}
    told_below = {
        "AllNodesLost",
        "ZoneOutage",
        "MemoryPressure",
        "ServingCertificatePending",
        "MachineConfigDegraded",
        "DrainBlocked",
    }
    # What conditions and logs say has tests of its own, a case per code.
    own = (node_problem, kubelet_log, kernel_log, machine_not_joined)
    assert {code for rule in RULES if rule not in own for code in codes(rule)} == reached | told_below


@pytest.mark.parametrize(
    ("kind", "status", "severity"),
    [
        ("KernelDeadlock", "True", Severity.WARNING),
        ("KernelDeadlock", "False", None),
        ("ReadonlyFilesystem", "True", Severity.WARNING),
        ("XfsShutdown", "True", Severity.WARNING),
        ("FrequentKubeletRestart", "True", Severity.WARNING),
        ("KubeletUnhealthy", "True", Severity.WARNING),
        ("KubeletUnhealthy", "False", None),
        ("NTPProblem", "True", Severity.WARNING),
        ("NetworkUnavailable", "True", Severity.WARNING),
        ("NetworkUnavailable", "False", None),
        # The polarity trap: agents of EKS and k3s say True when all is well.
        ("KernelReady", "True", None),
        ("KernelReady", "False", Severity.WARNING),
        ("ContainerRuntimeReady", "True", None),
        ("AcceleratedHardwareReady", "False", Severity.WARNING),
        ("EtcdIsVoter", "True", None),
        ("StorageHealthy", "True", None),
        # Neither: printed, not judged.
        ("SELinuxEnabled", "True", Severity.NOTE),
        ("SELinuxEnabled", "False", None),
        ("KernelDeadlock", "Unknown", None),
    ],
)
def test_the_polarity_of_conditions(kind, status, severity):
    raw = node(conditions=[condition(kind, status, "Reason", "message")])
    got = triage(beside(raw), "n1").diagnoses[0].findings
    assert [(f.cause, f.severity) for f in got] == ([(kind, severity)] if severity else [])


def test_a_network_condition_is_not_sent_to_the_kernel():
    raw = node(conditions=[condition("NetworkUnavailable", "True", "NoRouteCreated", "no route")])
    (found,) = triage(beside(raw), "n1").diagnoses[0].findings
    assert "route controller" in found.fix[0].text
    assert "dmesg" not in found.fix[0].text


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("KernelDeadlock", "KernelDeadlock"),
        ("example.com/disk-slow", "DiskSlow"),
        ("etcdIsVoter", "EtcdIsVoter"),
        ("5", "Condition5"),
        ("-", "Condition"),
    ],
)
def test_any_type_of_a_condition_makes_a_code_of_the_contract(kind, code):
    assert node_problem.code(kind) == code


@pytest.mark.parametrize(
    ("changed", "severity", "confidence"),
    [(-10, Severity.WARNING, Confidence.POSSIBLE), (-300, Severity.ERROR, Confidence.LIKELY)],
)
def test_a_kubelet_that_has_just_started_does_not_condemn_its_runtime(changed, severity, confidence):
    words = "container runtime status check may not have completed yet"
    raw = node(conditions=[condition("Ready", "False", "KubeletNotReady", words, changed=changed)])
    (found,) = triage(beside(raw), "n1").diagnoses[0].findings
    assert (found.cause, found.severity, found.confidence) == ("ContainerRuntimeDown", severity, confidence)


def test_a_clean_detector_yields_nothing():
    clean = [
        condition(kind, "False", f"No{kind}", "all is well")
        for kind in node_problem.CODES
        if kind not in ("KubeletUnhealthy", "ContainerRuntimeUnhealthy")
    ]
    assert causes(beside(node(conditions=clean))) == []


def test_a_detected_problem_stands_before_the_lost_contact_that_it_may_explain():
    deadlock = condition("KernelDeadlock", "True", "DockerHung", "task docker:7 blocked", changed=-300, beat=-200)
    assert causes(gone(raw=lost(since=-152, conditions=[deadlock]))) == ["KernelDeadlock", "KubeletUnreachable"]


# Only a machine that is proven to be off is fenced.


def fixes(snapshot, **options) -> str:
    return " ".join(f.text for f in finding(snapshot, **options).fix)


@pytest.mark.parametrize(
    "snapshot",
    [
        gone(),
        gone(bodies=dialled(TIMEOUT)),
        gone(bodies=dialled(REFUSED)),
        gone(bodies=dialled("ok", 200)),
        gone(bodies=dialled(TIMEOUT), more=[HELD], pods=[pod()]),
        gone(raw=lost(since=-152, taints=[OFF], conditions=[AGENT])),
    ],
    ids=["unknown", "timeout", "refused", "one-way", "partition", "powered off, yet its agent stamps"],
)
def test_no_force_and_no_fence_without_proof(snapshot):
    words = fixes(snapshot)
    assert "kubectl taint" not in words
    assert "kubectl delete pod" not in words
    assert "--force" not in words


def test_a_machine_that_the_cloud_calls_off_may_be_fenced():
    words = fixes(gone(raw=lost(since=-152, taints=[OFF])))
    assert "kubectl taint nodes n1 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute" in words
    assert "Do not force-delete" not in words


def test_a_fenced_machine_is_not_fenced_again():
    marks = [OFF, taint("out-of-service", added=-20, value="nodeshutdown")]
    assert "kubectl taint" not in fixes(gone(raw=lost(since=-152, taints=marks)))


# Witnesses.


def says(snapshot) -> dict[str, str]:
    return {w["what"]: w["says"] for w in triage(snapshot, "n1").diagnoses[0].extra["witnesses"]}


def test_witnesses_for_and_against():
    attached = {
        "metadata": {"name": "csi-1"},
        "spec": {"nodeName": "n1", "source": {"persistentVolumeName": "pv-1"}},
        "status": {"attached": True},
    }
    got = says(
        gone(
            raw=lost(since=-152, conditions=[AGENT]),
            more=[HELD],
            pods=[pod()],
            volumeattachments=[attached],
            bodies=dialled(REFUSED),
            events=[event("Rebooted", -4000)],
        )
    )
    assert got == {
        "Lease kube-node-lease/n1": "silent",
        "status, last posted": "open",
        "agent, condition KernelDeadlock": "alive",
        "Lease shop/app-lock": "alive",
        "event Rebooted": "open",
        "volumes attached": "open",
        "kubelet port (via API server)": "alive",
    }


def test_a_dead_machine_has_only_silent_witnesses():
    stale = {**HELD, "spec": {**HELD["spec"], "renewTime": at(-200)}}
    old = {**AGENT, "lastHeartbeatTime": at(-500)}
    raw = lost(since=-452, conditions=[old])
    got = says(gone(raw=raw, since=-452, more=[stale], pods=[pod()], bodies=dialled(TIMEOUT)))
    assert set(got.values()) == {"silent", "open"}


# Frozen: the three ways that one read through etcd can end.

MANAGER = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"


def frozen(body=None, failure=None):
    leases = [lease("n1", -90), leader(renewed=-90)]
    snapshot = world([node()], leases, bodies={MANAGER: body} if body else {})
    if failure:
        snapshot.fail(Raw(MANAGER), failure)
    return finding(snapshot)


def manager(seconds: float) -> Body:
    return Body(f'{{"spec": {{"renewTime": "{at(seconds)}"}}}}')


def test_a_hanging_quorum_read_means_no_etcd():
    got = frozen(failure=Failure(Why.TIMEOUT, "timed out"))
    assert "etcd is down or has no quorum" in got.message
    assert [r.cause for r in got.ruled_out] == ["EtcdNoSpace"]


def test_an_equally_old_quorum_read_means_that_only_writes_fail():
    assert "only writes fail" in frozen(manager(-90)).message


def test_a_fresh_quorum_read_means_a_lagging_cache():
    got = frozen(manager(-2))
    assert "watch cache lags" in got.message
    assert got.severity is Severity.WARNING


def test_an_untried_quorum_read_blames_nothing():
    got = frozen(failure=Failure(Why.FORBIDDEN, "no", 403))
    assert "etcd" not in got.message


# What was not seen lowers what is said.


def test_denied_leases_leave_the_word_of_the_node_controller_and_say_so():
    snapshot = world(
        [lost(since=-152), *OTHERS],
        failures={List("leases"): Failure(Why.FORBIDDEN, 'leases is forbidden: User "jo"', 403)},
    )
    for namespace in ("kube-node-lease", "kube-system"):
        snapshot.fail(List("leases", namespace), Failure(Why.FORBIDDEN, "leases is forbidden", 403))
    got = triage(snapshot, "n1").diagnoses[0]
    assert got.cause == "KubeletUnreachable"
    assert got.findings[0].confidence is Confidence.LIKELY
    assert any(n.what.startswith("leases") for n in got.not_seen)


def test_denied_leases_freeze_nothing():
    snapshot = world([node(), *OTHERS], failures={List("leases"): Failure(Why.FORBIDDEN, "forbidden", 403)})
    assert causes(snapshot) == []
    assert any(n.what.startswith("leases") for n in triage(snapshot, "n1").diagnoses[0].not_seen)


def test_denied_nodes_are_an_error_in_kubectls_words():
    words = 'nodes is forbidden: User "jo" cannot list resource "nodes" in API group "" at the cluster scope'
    snapshot = world([], failures={List("nodes"): Failure(Why.FORBIDDEN, words, 403)})
    assert triage(snapshot).errors == (f"Error from server (Forbidden): {words}",)


def test_nodes_that_cannot_be_read_are_the_control_planes_fault():
    snapshot = world([], failures={List("nodes"): Failure(Why.TIMEOUT, "net/http: request canceled")})
    got = triage(snapshot, "n1")
    assert not got.errors
    assert got.diagnoses[0].cause == "ControlPlaneUnreachable"
    assert got.diagnoses[0].target.name == "n1"
    assert triage(snapshot).diagnoses[0].cause == "ControlPlaneUnreachable"


def test_the_unasked_probe_is_named():
    got = triage(gone(), "n1").diagnoses[0]
    assert any("--probe-kubelet" in n.why for n in got.not_seen)


def test_the_gap_of_detection_tells_that_nobody_watched():
    raw = node("n1", LOST, changed=-100, rv=5000, taints=[taint("unreachable", added=-100)])
    got = finding(beside(raw, -1090, rv=10))
    assert any("was not watching" in e.value for e in got.evidence)
    normal = finding(gone())
    assert not any("was not watching" in e.value for e in normal.evidence)


def test_exhaustion_just_before_is_named():
    got = finding(gone(events=[event("SystemOOM", -155)]))
    assert "SystemOOM" in got.message


def test_exhaustion_that_was_over_or_came_later_is_not_blamed():
    relieved = [event("EvictionThresholdMet", -400), event("NodeHasSufficientMemory", -300)]
    assert "exhaustion" not in finding(gone(events=relieved)).message
    assert "exhaustion" in finding(gone(events=relieved[:1])).message
    assert "exhaustion" not in finding(gone(events=[event("SystemOOM", -60)])).message


# Advice.


def test_shorter_tolerations_come_as_a_patch_that_keeps_the_others():
    gpu = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
    tolerations = [gpu, tolerate("not-ready"), tolerate("unreachable")]
    got = finding(gone(pods=[pod(owner=("ReplicaSet", "web-5d8c"), tolerations=tolerations)]))
    patches = [f for f in got.fix if f.patch]
    assert len(patches) == 1
    assert patches[0].on == Ref("Deployment", "shop", "web")
    assert "Deployment shop/web " in patches[0].text
    assert "Cost" in patches[0].text
    assert patch_command(patches[0]).startswith("kubectl -n shop patch deployment web --patch '{")
    wanted = patches[0].patch["spec"]["template"]["spec"]["tolerations"]
    assert wanted[0] == gpu
    assert [(t["key"], t["tolerationSeconds"]) for t in wanted[1:]] == [
        ("node.kubernetes.io/unreachable", 30),
        ("node.kubernetes.io/not-ready", 30),
    ]


@pytest.mark.parametrize("owner", [("StatefulSet", "db"), ("DaemonSet", "agent"), None])
def test_no_shorter_tolerations_for_what_does_not_move(owner):
    assert not [f for f in finding(gone(pods=[pod(owner=owner)])).fix if f.patch]


def test_all_nodes_lost_pauses_evictions():
    names = [f"n{i}" for i in range(1, 5)]
    nodes = [lost(n, since=-90, taints=[taint("unreachable", "NoSchedule", -38)]) for n in names]
    snapshot = world(nodes, [*(lease(n, -90, rv=1) for n in names), *LEADERS], [pod()])
    got = triage(snapshot, "n1").diagnoses[0]
    assert got.cause == "AllNodesLost"
    assert got.findings[0].confidence is Confidence.CONFIRMED
    assert [r["fate"] for r in got.extra["timetable"]] == ["paused"]
    assert "Kubernetes stops evictions" in got.extra["timetable"][0]["what"]


def test_a_large_loss_is_told_for_ten_nodes_and_all_on_demand():
    names = [f"n{i:03}" for i in range(60)]
    snapshot = world([lost(n) for n in names], [*(lease(n, -90, rv=1) for n in names), *LEADERS])
    assert len(triage(snapshot).diagnoses) == 10
    assert len(triage(snapshot, show_all=True).diagnoses) == 60
    assert len(triage(snapshot).diagnoses[0].extra["scope"]["members"]) == 60


def test_ready_told_as_kubectl_tells_it():
    header = dict(triage(beside(node(unschedulable=True)), "n1").diagnoses[0].header)
    assert header[""] == "Ready,SchedulingDisabled"


def test_thresholds_in_percent_are_counted_out():
    raw = node(conditions=[condition("DiskPressure", "True", "KubeletHasDiskPressure", "x")])
    bodies = {
        kubelet_path("n1", "configz"): Body('{"kubeletconfig": {"evictionHard": {"nodefs.available": "10%"}}}'),
        kubelet_path("n1", "stats/summary"): Body(
            '{"node": {"fs": {"availableBytes": 1073741824, "capacityBytes": 107374182400}},'
            ' "pods": [{"podRef": {"namespace": "shop", "name": "log-1"},'
            ' "ephemeral-storage": {"usedBytes": 2147483648}}]}'
        ),
    }
    got = finding(beside(raw, bodies=bodies))
    assert "nodefs.available 1Gi, evicts below 10% (10Gi)" in got.message
    assert "shop/log-1 2Gi" in got.message


def test_pressure_that_eased_is_told():
    raw = node(conditions=[condition("MemoryPressure", "True", "KubeletHasInsufficientMemory", "x")])
    bodies = {
        kubelet_path("n1", "configz"): Body('{"kubeletconfig": {"evictionHard": {"memory.available": "100Mi"}}}'),
        kubelet_path("n1", "stats/summary"): Body('{"node": {"memory": {"availableBytes": 1073741824}}}'),
    }
    assert "eased" in finding(beside(raw, bodies=bodies)).message


def test_pressure_has_not_eased_while_the_kubelet_still_reclaims():
    raw = node(conditions=[condition("MemoryPressure", "True", "KubeletHasInsufficientMemory", "x")])
    bodies = {
        kubelet_path("n1", "configz"): Body('{"kubeletconfig": {"evictionHard": {"memory.available": "100Mi"}}}'),
        kubelet_path("n1", "stats/summary"): Body('{"node": {"memory": {"availableBytes": 1073741824}}}'),
    }
    words = "Attempting to reclaim memory"
    now = beside(raw, bodies=bodies, events=[event("EvictionThresholdMet", -10, message=words)])
    assert "eased" not in finding(now).message
    before = beside(raw, bodies=bodies, events=[event("EvictionThresholdMet", -200, message=words)])
    assert "eased" in finding(before).message


def test_a_soft_threshold_that_is_met_is_told():
    raw = node(conditions=[condition("MemoryPressure", "True", "KubeletHasInsufficientMemory", "x")])
    bodies = {
        kubelet_path("n1", "configz"): Body(
            '{"kubeletconfig": {"evictionHard": {"memory.available": "100Mi"}, "evictionSoft":'
            ' {"memory.available": "2Gi"}, "evictionSoftGracePeriod": {"memory.available": "1m30s"}}}'
        ),
        kubelet_path("n1", "stats/summary"): Body('{"node": {"memory": {"availableBytes": 1073741824}}}'),
    }
    got = finding(beside(raw, bodies=bodies)).message
    assert "memory.available 1Gi, evicts below 2Gi for 1m30s" in got
    assert "100Mi" not in got
    assert "eased" not in got


def test_a_pod_that_uses_next_to_nothing_is_not_blamed_for_a_full_disk():
    raw = node(conditions=[condition("DiskPressure", "True", "KubeletHasDiskPressure", "x")])
    bodies = {
        kubelet_path("n1", "configz"): Body('{"kubeletconfig": {"evictionHard": {"nodefs.available": "10%"}}}'),
        kubelet_path("n1", "stats/summary"): Body(
            '{"node": {"fs": {"availableBytes": 1073741824, "capacityBytes": 107374182400}},'
            ' "pods": [{"podRef": {"namespace": "shop", "name": "log-1"}, "ephemeral-storage": {"usedBytes": 40960}}]}'
        ),
    }
    assert "log-1" not in finding(beside(raw, bodies=bodies)).message


def test_a_zone_that_is_out_names_its_nodes_and_rules_out_their_kubelets():
    nodes = [lost(f"a{i}", zone="a") for i in range(3)] + OTHERS
    snapshot = world(nodes, [*(lease(f"a{i}", -90, rv=1) for i in range(3)), *BEATS, *LEADERS])
    got = finding(snapshot, "a1")
    assert got.cause == "ZoneOutage"
    assert "r1/a" in got.message
    assert {r.cause for r in got.ruled_out} == {"KubeletDown", "AllNodesLost"}


def test_a_selector_chooses_among_the_nodes_but_all_are_judged():
    nodes = [lost(f"a{i}", zone="a", labels={"pool": "x" if i else "y"}) for i in range(3)] + OTHERS
    snapshot = world(nodes, [*(lease(f"a{i}", -90, rv=1) for i in range(3)), *BEATS, *LEADERS])
    request = Request(selector="pool=x", options={})
    got = load("node-triage").diagnose(snapshot, request)
    assert [(d.target.name, d.cause) for d in got.diagnoses] == [("a1", "ZoneOutage"), ("a2", "ZoneOutage")]


def test_named_nodes_keep_the_order_of_the_call():
    assert [d.target.name for d in triage(beside(node()), "w2", "n1", "w0").diagnoses] == ["w2", "n1", "w0"]


@pytest.mark.parametrize(
    ("kubelet", "quoted"), [("v1.37.0", True), ("v1.36.9", False), ("v1.33.0", False), ("v1.32.0", True)]
)
def test_a_kubelet_that_the_control_plane_does_not_support_is_quoted(kubelet, quoted):
    evidence = finding(gone(raw=lost(since=-152, version=kubelet))).evidence
    assert any(e.at == "status.nodeInfo.kubeletVersion" for e in evidence) is quoted


def test_a_boot_just_before_is_told_with_the_kubelets_own_word():
    raw = said(CNI)
    assert "booted 40s ago" in finding(beside(raw, events=[event("Rebooted", -40)])).message
    assert "booted" not in finding(beside(raw, events=[event("Rebooted", -4000)])).message


def test_a_healthy_node_tells_of_its_boot_and_its_clock():
    assert "booted again 40s ago" in triage(beside(node(), events=[event("Rebooted", -40)]), "n1").diagnoses[0].summary
    assert "ahead of" in triage(beside(node(), 120), "n1").diagnoses[0].summary


def summary(snapshot) -> str:
    return triage(snapshot, "n1").diagnoses[0].summary


def test_a_ready_node_tells_of_its_latest_trouble():
    told = summary(beside(node(), events=[event("TaskHung", -60, message="task java:1 blocked for more than 120s")]))
    assert told.startswith("No fault: n1 is Ready")
    assert "60s ago: TaskHung: task java:1 blocked for more than 120s." in told
    assert "TaskHung" not in summary(beside(node(), events=[event("TaskHung", -1000)]))
    assert summary(beside(node())).startswith("Healthy: n1 is Ready")


def test_a_ready_node_tells_that_it_flapped():
    once = [event("NodeNotReady", -300, "node-controller")]
    assert "It became NotReady 5m ago, and came back." in summary(beside(node(), events=once))
    often = [*once, event("NodeNotReady", -100, "node-controller")]
    assert "NotReady 100s ago, 2 times by the events of the last hour" in summary(beside(node(), events=often))
    assert "became" not in summary(beside(node(), events=[event("NodeNotReady", -2000, "node-controller")]))


@pytest.mark.parametrize(
    ("words", "asks"),
    [("error dialing backend: No agent available", False), ("nodes is forbidden", True)],
)
def test_the_probe_is_advised_only_where_it_may_bring_something(words, asks):
    got = finding(gone(bodies=dialled(words, 403 if asks else 503)))
    assert ("--probe-kubelet" in got.fix[0].text) == asks


def test_a_ready_node_tells_what_keeps_pods_away():
    own = taint("example.com/reserved", "NoSchedule", -300, "true")
    words = "It takes only pods that tolerate example.com/reserved:NoSchedule."
    assert words in summary(beside(node(taints=[own])))
    role = taint("node-role.kubernetes.io/control-plane", "NoSchedule")
    assert "tolerate" not in summary(beside(node(taints=[role])))


def test_a_cordon_by_the_cloud_does_not_promise_that_pods_stay():
    mark = taint("aws-node-termination-handler/spot-itn", "NoSchedule", -30)
    message = finding(beside(node(taints=[mark], unschedulable=True))).message
    assert "takes this spot machine back within 2 minutes." in message
    assert "stay" not in message
    assert "those that run stay" in finding(beside(node(unschedulable=True))).message


def test_a_node_that_joined_just_now_waits_for_its_network_plugin():
    got = finding(beside(node(ready=("False", "KubeletNotReady", CNI), changed=-20, created=-20)))
    assert (got.cause, got.severity) == ("NetworkPluginNotReady", Severity.WARNING)
    assert "joined 20s ago" in got.message
    old = finding(beside(node(ready=("False", "KubeletNotReady", CNI), changed=-20)))
    assert (old.severity, "joined" in old.message) == (Severity.ERROR, False)


@pytest.mark.parametrize(("lag", "kind"), [(0.0, "StatusFrozen"), (120.0, "KubeletUnreachable")])
def test_the_lists_of_a_slow_recording_are_judged_by_their_own_time(lag, kind):
    nodes = [lost(since=-300, zone="a"), *OTHERS]
    leases = [lease("n1", -300, rv=10), *(lease(f"w{i}", -100) for i in range(4))]
    snapshot = world(nodes, leases)
    snapshot.lag = timedelta(seconds=lag)
    found = {f.cause for d in triage(snapshot).diagnoses for f in d.findings}
    assert kind in found
    assert ("StatusFrozen" in found) == (lag == 0)


def test_a_frozen_node_is_not_sent_to_its_machine():
    shown = [
        t.title for t in triage(world([node()], [lease("n1", -300), leader(renewed=-300)]), "n1").diagnoses[0].tail
    ]
    assert "ON THE NODE ITSELF" not in shown
    assert "ON THE NODE ITSELF" in [t.title for t in triage(gone(), "n1").diagnoses[0].tail]


def test_a_lag_does_not_thaw_a_frozen_cluster():
    snapshot = world([node()], [lease("n1", -300), leader(renewed=-300)])
    snapshot.lag = timedelta(seconds=120)
    assert finding(snapshot).cause == "StatusFrozen"


def test_controllers_that_are_down_are_told_once():
    snapshot = world([node(f"n{i}") for i in range(5)], [*(lease(f"n{i}", -5) for i in range(5)), leader(renewed=-60)])
    got = triage(snapshot)
    assert [(d.target.kind, d.cause, d.healthy) for d in got.diagnoses] == [("Cluster", "StatusFrozen", True)]


def test_remediation_is_read_from_the_cluster():
    path = "/apis/cluster.x-k8s.io/v1beta1/machinehealthchecks"
    check = {"metadata": {"name": "mhc"}, "spec": {"unhealthyConditions": [{**UNKNOWN, "timeout": "5m"}]}}
    raw = lost(since=-152, annotations={"cluster.x-k8s.io/machine": "m-1"})
    got = triage(gone(raw=raw, bodies={path: Body(json.dumps({"items": [check]}))}), "n1").diagnoses[0]
    (table,) = [t for t in got.tail if t.title == "WILL ACT ON THIS NODE"]
    assert table.rows == (("MachineHealthCheck mhc", table.rows[0][1], at(-100 + 300)),)


def test_a_late_kubelet_is_a_warning_with_the_time_that_is_left():
    got = finding(beside(node(), -45))
    assert (got.severity, got.confidence) == (Severity.WARNING, Confidence.POSSIBLE)
    assert at(5) in got.message


def test_what_silent_nodes_share_is_told():
    gpu = {"karpenter.sh/nodepool": "gpu"}
    pool = [lost("g0", since=-90, labels=gpu), lost("g1", since=-150, labels=gpu)]
    snapshot = world([*pool, *OTHERS], [lease("g0", -90, rv=1), lease("g1", -150, rv=1), *BEATS, *LEADERS])
    got = triage(snapshot, "g0").diagnoses[0]
    assert got.cause == "KubeletUnreachable"
    assert "karpenter.sh/nodepool=gpu" in got.summary
    assert got.extra["scope"]["kind"] == "pool"
    together = [lost("g0", since=-90, zone="x"), lost("g1", since=-95, zone="y")]
    snapshot = world([*together, *OTHERS], [lease("g0", -90, rv=1), lease("g1", -95, rv=1), *BEATS, *LEADERS])
    got = triage(snapshot, "g0").diagnoses[0]
    assert "one common event" in got.summary
    assert got.extra["scope"]["kind"] == "together"


def test_an_unmarked_node_is_put_to_the_controllers_only_when_they_are_silent_too():
    silent = finding(beside(node(), -110, leaders=[leader(renewed=-112)]))
    assert silent.confidence is Confidence.CONFIRMED
    alive = finding(beside(node(), -110))
    assert alive.confidence is Confidence.POSSIBLE
    assert "clock" in alive.message
    unseen = finding(beside(node(), -110, leaders=[]))
    assert unseen.confidence is Confidence.POSSIBLE
    assert "not seen" in unseen.message


def test_a_lease_without_a_status_is_another_trouble_than_a_machine_that_never_came():
    got = finding(beside(node(ready=NEVER, version=""), -5))
    assert got.cause == "NodeNeverReady"
    assert "never posted its status" in got.message


def test_a_node_that_is_just_joining_is_a_note():
    got = triage(beside(node(ready=(), version="", created=-20), None), "n1").diagnoses[0]
    assert got.cause == "NodeNeverReady"
    assert got.healthy


def test_the_network_plugins_own_pod_is_named():
    agent = pod("cni-x", owner=("DaemonSet", "cni"), namespace="kube-system")
    agent["spec"]["hostNetwork"] = True
    agent["status"]["containerStatuses"] = [{"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    got = finding(beside(said(CNI), pods=[agent]))
    assert "kube-system/cni-x here is CrashLoopBackOff" in got.message
    assert "kubectl -n kube-system logs cni-x" in " ".join(got.fix[0].commands)


def test_the_gap_between_the_taints_is_quoted():
    marks = [taint("unreachable", "NoSchedule", -100), taint("unreachable", added=-90)]
    got = finding(gone(raw=lost(since=-152, taints=marks)))
    assert any("came 10s after NoSchedule" in e.value for e in got.evidence)


def test_processes_are_counted_where_pids_run_out():
    raw = node(conditions=[condition("PIDPressure", "True", "KubeletHasInsufficientPID", "x")])
    stats = {
        "node": {"rlimit": {"maxpid": 32768, "curproc": 32000}},
        "pods": [{"podRef": {"namespace": "shop", "name": "fork-1"}, "process_stats": {"process_count": 30000}}],
    }
    bodies = {
        kubelet_path("n1", "configz"): Body('{"kubeletconfig": {"evictionHard": {"pid.available": "1k"}}}'),
        kubelet_path("n1", "stats/summary"): Body(json.dumps(stats)),
    }
    got = finding(beside(raw, bodies=bodies))
    assert "pid.available 768 process ids, evicts below 1k" in got.message
    assert "shop/fork-1 30000" in got.message


@pytest.mark.parametrize("text", ["not json", "[]", '{"kubeletconfig": 5}', "[" * 10000])
def test_unreadable_figures_are_no_figures(text):
    raw = node(conditions=[condition("DiskPressure", "True", "KubeletHasDiskPressure", "x")])
    bodies = {kubelet_path("n1", what): Body(text) for what in ("configz", "stats/summary")}
    got = finding(beside(raw, bodies=bodies))
    assert got.cause == "DiskPressure"
    assert not [e for e in got.evidence if e.source == "metric"]


def test_an_api_server_whose_clock_is_ahead_freezes_nothing():
    snapshot = world([node(), node("n2")], [lease("n1", -95), lease("n2", -92), leader(renewed=-90)])
    snapshot.add_body(Raw(MANAGER), manager(-90))
    assert causes(snapshot) == ["StatusFrozen"]
    snapshot.add_body(Raw(MANAGER, 1), manager(-87))
    assert causes(snapshot) == []


def test_two_equal_reads_prove_that_nobody_writes():
    snapshot = world([node(), node("n2")], [lease("n1", -95), lease("n2", -92), leader(renewed=-90)])
    for sample in (0, 1):
        snapshot.add_body(Raw(MANAGER, sample), manager(-90))
    assert causes(snapshot) == ["StatusFrozen"]


@pytest.mark.parametrize(("namespace", "cause"), [("shop", "KubeletDown"), ("other", "KubeletUnreachable")])
def test_a_name_that_recurs_speaks_only_for_its_own_namespace(namespace, cause):
    held = lease("lock", -2, namespace=namespace, holderIdentity="db-0_5af", leaseDurationSeconds=15)
    assert causes(gone(more=[held], pods=[pod("db-0", owner=("StatefulSet", "db"))])) == [cause]
