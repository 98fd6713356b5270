# ruff: noqa: E501  (the words of runtimes and kubelets stand on one line)
"""Pods that something else ended: eviction, preemption, shutdown, admission, lost nodes, deletion."""

import pytest

from kubetriage.model import Confidence, Severity
from kubetriage.readers.pods import Pod
from support.objects import (
    advised,
    at,
    container,
    crash_causes,
    crash_findings,
    event,
    obj,
    pod,
    ready_node,
    status,
    terminated,
)
from support.offline import answer, diagnosis

UNKNOWN = terminated(
    137, "ContainerStatusUnknown", None, None, "The container could not be located when the pod was terminated"
)


def failed(reason, message="", **more):
    return pod(
        phase="Failed", statuses=[status(state=UNKNOWN)], more_status={"reason": reason, "message": message}, **more
    )


EVICTIONS = [
    ('Usage of EmptyDir volume "d" exceeds the limit "10Mi". ', {"volume": "d", "limit": "10Mi"}),
    ('Container app exceeded its local ephemeral storage limit "1Gi". ', {"container": "app", "limit": "1Gi"}),
    ("Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. ", {"limit": "2Gi"}),
    (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container app was using "
        "900Mi, request is 0, has larger consumption of memory. ",
        {"resource": "memory"},
    ),
    (
        "The node was low on resource: ephemeral-storage. Container app was using 9Gi, which exceeds its request of 0. ",
        {"resource": "ephemeral-storage"},
    ),
    ("The node was low on resource: inodes. ", {"resource": "inodes"}),
    ("The node had condition: [DiskPressure]. ", {"conditions": "DiskPressure"}),
    ("Pod The node had condition: [MemoryPressure, DiskPressure]. ", {"conditions": "MemoryPressure, DiskPressure"}),
]


@pytest.mark.parametrize(("message", "details"), EVICTIONS)
@pytest.mark.parametrize("denied", [(), ("events", "nodes", "pods/log")])
def test_every_form_of_eviction(message, details, denied):
    (found,) = crash_findings(failed("Evicted", message), denied=denied)
    assert (found.cause, found.object.container, found.confidence) == ("Evicted", "", Confidence.CONFIRMED)
    assert found.details == details


@pytest.mark.parametrize(
    ("limit", "moved"), [("1000Mi", {"memory": "1024Mi"}), ("1Gi", None), ("2Gi", None), (None, None)]
)
def test_no_request_is_set_above_the_limit(limit, moved):
    message = (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi. Container app was using "
        "1048000Ki, request is 256Mi, has larger consumption of memory. "
    )
    given = {"requests": {"memory": "256Mi"}, **({"limits": {"memory": limit}} if limit else {})}
    owner = obj("ReplicaSet", "api-1")
    (found,) = crash_findings(failed("Evicted", message, containers=[container(resources=given)], owner=owner), owner)
    (part,) = found.fix[0].patch["spec"]["template"]["spec"]["containers"]
    assert part["resources"]["requests"] == {"memory": "1024Mi"}
    assert part["resources"].get("limits") == moved


@pytest.mark.parametrize("message", [m for m, d in EVICTIONS if "limit" in d])
def test_a_limit_of_the_pods_own_is_no_node_pressure(message):
    (found,) = crash_findings(failed("Evicted", message))
    assert "DiskPressure" in [r.cause for r in found.ruled_out]
    assert "ran low" not in found.message


def test_the_event_fills_in_for_a_status_without_words():
    said = event("Evicted", EVICTIONS[0][0])
    (found,) = crash_findings(failed("Evicted"), said)
    assert found.details == EVICTIONS[0][1]


def test_patches_double_the_limit_that_was_passed():
    owner = obj("ReplicaSet", "api-1")
    target = failed("Evicted", EVICTIONS[0][0], owner=owner, volumes=[{"name": "d", "emptyDir": {"sizeLimit": "10Mi"}}])
    (found,) = crash_findings(target, owner)
    assert found.fix[0].patch["spec"]["template"]["spec"]["volumes"] == [
        {"name": "d", "emptyDir": {"sizeLimit": "20Mi"}}
    ]


def test_a_drain_is_a_note():
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API",
    }
    (found,) = crash_findings(pod(deletion=20, conditions=[condition]))
    assert (found.cause, found.severity) == ("Evicted", Severity.NOTE)


def test_preemption_by_the_scheduler_names_the_other_pod():
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "default-scheduler: preempting to accommodate a higher priority pod",
    }
    said = event("Preempted", "Preempted by pod uid-big on node node-1", warning=False)
    target = pod(phase="Failed", conditions=[condition], statuses=[status(state=terminated(137, "Error", -90, -60))])
    (found,) = crash_findings(target, said, pod("big"))
    assert found.cause == "Preempted"
    assert "shop/big" in found.message


def test_preemption_by_the_kubelet():
    assert crash_causes(failed("Preempting", "Preempted in order to admit critical pod")) == [("Preempted", "")]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Terminated", "Pod was terminated in response to imminent node shutdown."),
        ("NodeShutdown", "Pod was rejected as the node is shutting down."),
        ("Shutdown", "Node is shutting, evicting pods"),
    ],
)
def test_node_shutdown(reason, message):
    assert crash_causes(failed(reason, message)) == [("NodeShutdown", "")]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (
            "OutOfcpu",
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 1900, capacity: 2000",
        ),
        ("OutOfmemory", "Node didn't have enough resource: memory, requested: 2, used: 1, capacity: 2"),
        ("OutOfpods", "Pod Node didn't have enough resource: pods, requested: 1, used: 110, capacity: 110"),
        ("OutOfnvidia.com/gpu", "Node didn't have enough resource: nvidia.com/gpu, requested: 1, used: 1, capacity: 1"),
        ("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"),
        ("UnexpectedAdmissionError", "Allocate failed due to no healthy devices present; cannot allocate devices"),
        ("TopologyAffinityError", "Resources cannot be allocated with Topology locality"),
        ("AppArmor", "Cannot enforce AppArmor: profile x is not loaded"),
        ("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"),
        ("SomethingNew", "Pod was rejected: a handler of a later version"),
    ],
)
@pytest.mark.parametrize("denied", [(), ("events", "nodes")])
def test_kubelet_admission(reason, message, denied):
    target = pod(phase="Failed", more_status={"reason": reason, "message": message})
    assert crash_causes(target, denied=denied) == [("NodeAdmissionRejected", "")]


def test_a_failed_pod_with_an_exit_code_is_no_admission():
    target = pod(phase="Failed", restartPolicy="Never", statuses=[status(state=terminated(3, "Error", -90, -60))])
    assert "NodeAdmissionRejected" not in {c for c, _ in crash_causes(target)}


def test_the_pods_own_deadline():
    message = "Pod was active on the node longer than the specified deadline"
    (found,) = crash_findings(failed("DeadlineExceeded", message, activeDeadlineSeconds=60))
    assert found.cause == "PodDeadlineExceeded"
    assert "60 s" in found.message


def node(state, reason="NodeStatusUnknown", message="Kubelet stopped posting node status."):
    condition = {
        "type": "Ready",
        "status": state,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(-300),
        "lastHeartbeatTime": at(-340),
    }
    return ready_node(conditions=[condition])


def test_a_lost_node_makes_the_status_old():
    running = status(state={"running": {"startedAt": at(-900)}}, ready=True)
    (found,) = crash_findings(pod(statuses=[running]), node("Unknown"))
    assert (found.cause, found.severity) == ("NodeNotReady", Severity.ERROR)
    assert "5m" in found.message


def test_a_node_that_is_gone():
    assert crash_causes(pod(), gone_nodes=["node-1"]) == [("NodeNotReady", "")]


def test_a_node_that_may_not_be_read_is_not_judged():
    assert "NodeNotReady" not in {c for c, _ in crash_causes(pod(), denied=["nodes"])}


def test_a_crash_on_a_node_that_still_reports_is_told():
    crashed = status(state=terminated(1, "Error", -60, -50), restarts=2)
    found = crash_findings(
        pod(statuses=[crashed]), node("False", "KubeletNotReady", "PLEG is not healthy"), logs={"app": "x"}
    )
    assert found[0].object.container == "app"
    assert ("NodeNotReady", Severity.WARNING) in [(f.cause, f.severity) for f in found]


def test_a_finished_pod_does_not_care_about_its_node():
    assert crash_causes(pod(phase="Succeeded"), node("Unknown")) == []


RUNNING = status(state={"running": {"startedAt": at(-900)}})
DONE = status(state=terminated(0, "Completed", -900, -200))


class TestStuckTerminating:
    def test_a_finalizer(self):
        target = pod(deletion=-120, statuses=[DONE], metadata={"finalizers": ["example.com/cleanup"]})
        (found,) = crash_findings(target)
        assert (found.cause, found.confidence) == ("StuckTerminating", Confidence.CONFIRMED)
        assert "example.com/cleanup" in found.message

    def test_a_dead_node_comes_before_the_finalizer(self):
        target = pod(deletion=-120, statuses=[RUNNING], metadata={"finalizers": ["example.com/cleanup"]})
        found = crash_findings(target, node("Unknown"))
        assert [f.cause for f in found] == ["StuckTerminating", "NodeNotReady"]
        assert "node-1" in found[0].message
        assert "out-of-service" in advised(found[0])

    def test_a_container_that_cannot_be_killed(self):
        said = event("FailedKillPod", "error killing pod: context deadline exceeded")
        (found,) = crash_findings(pod(deletion=-120, statuses=[RUNNING]), said)
        assert (found.cause, found.confidence) == ("StuckTerminating", Confidence.CONFIRMED)

    def test_no_visible_holder_is_only_possible(self):
        (found,) = crash_findings(pod(deletion=-120, statuses=[DONE]))
        assert (found.cause, found.confidence) == ("StuckTerminating", Confidence.POSSIBLE)

    def test_a_long_grace_period_runs(self):
        target = pod(deletion=3000, statuses=[RUNNING], terminationGracePeriodSeconds=3600)
        (found,) = crash_findings(target)
        assert (found.cause, found.severity) == ("StuckTerminating", Severity.WARNING)
        assert "50m" in found.message

    @pytest.mark.parametrize("deletion", [25, 5, -10])
    def test_an_ordinary_deletion_is_not_stuck(self, deletion):
        assert "StuckTerminating" not in {c for c, _ in crash_causes(pod(deletion=deletion, statuses=[RUNNING]))}


@pytest.mark.parametrize(
    ("capture", "pod_name", "causes"),
    [
        ("node-kubelet-stopped-6m", "db-0", ["StuckTerminating", "NodeNotReady"]),
        ("node-kubelet-stopped-6m", "agent-gcmhz", ["NodeNotReady"]),
        ("node-kubelet-stopped", "checkout-798756bfc9-7s7xp", ["UnschedulableTaint"]),
        ("node-memory-pressure", "bare", ["Evicted"]),
        ("evicted-emptydir", "api", ["Evicted"]),
    ],
)
def test_recorded_pods(capture, pod_name, causes):
    found = diagnosis(
        "why-crash", f"pod/{pod_name}", capture=capture, namespace="shop" if "node" in capture else capture
    )
    assert [f.cause for f in found.findings] == causes


@pytest.mark.parametrize("capture", ["node-healthy", "node-cordoned"])
def test_recorded_healthy_pods(capture):
    assert answer("why-crash", capture=capture, namespace="shop").diagnoses == ()


class TestSandbox:
    @pytest.mark.parametrize(
        ("message", "word"),
        [
            (
                'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "0a": plugin '
                'type="host-local" failed (add): failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.9',
                "address",
            ),
            (
                'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "gvisor" is configured',
                "gvisor",
            ),
            ('Failed to create pod sandbox: RuntimeClass.node.k8s.io "kata" not found', "kata"),
            (
                'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image "registry.k8s.io/pause:3.9": failed to pull image',
                "registry.k8s.io/pause:3.9",
            ),
            (
                'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "0a": plugin type="calico" failed (add): '
                "error getting ClusterInformation: connection is unauthorized",
                "calico",
            ),
            (
                "Failed to create pod sandbox: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
                "context deadline",
            ),
        ],
    )
    def test_words(self, message, word):
        target = pod(phase="Pending", statuses=[status(state={"waiting": {"reason": "ContainerCreating"}})])
        (found,) = crash_findings(target, event("FailedCreatePodSandBox", message))
        assert (found.cause, found.object.container) == ("SandboxCreateFailed", "")
        assert word in found.message

    def test_network_not_ready(self):
        said = event(
            "NetworkNotReady", "network is not ready: container runtime network not ready: cni plugin not initialized"
        )
        target = pod(phase="Pending", statuses=[status(state={"waiting": {"reason": "ContainerCreating"}})])
        assert crash_causes(target, said) == [("SandboxCreateFailed", "")]

    def test_a_failure_that_was_overcome(self):
        said = event("FailedCreatePodSandBox", "Failed to create pod sandbox: x", last=-60)
        later = event("Pulling", "Pulling image", container="app", last=-40, warning=False)
        target = pod(phase="Pending", statuses=[status(state={"waiting": {"reason": "ContainerCreating"}})])
        assert "SandboxCreateFailed" not in {c for c, _ in crash_causes(target, said, later)}


def creating(*volumes, **more):
    mounts = [{"name": v["name"], "mountPath": f"/mnt/{v['name']}"} for v in volumes]
    state = {"waiting": {"reason": "ContainerCreating"}}
    return pod(
        containers=[container(volumeMounts=mounts)],
        statuses=[status(state=state)],
        phase="Pending",
        volumes=list(volumes),
        **more,
    )


CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


class TestVolumes:
    @pytest.mark.parametrize(
        ("volume", "message", "word"),
        [
            (
                {"name": "h", "hostPath": {"path": "/srv/x", "type": "Directory"}},
                'MountVolume.SetUp failed for volume "h" : hostPath type check failed: /srv/x is not a directory',
                "/srv/x",
            ),
            (
                CLAIM,
                'MountVolume.MountDevice failed for volume "data" : rpc error: code = Internal desc = mount failed: wrong fs type',
                "wrong fs type",
            ),
            (
                CLAIM,
                'MountVolume.MountDevice failed for volume "data" : kubernetes.io/csi: attacher.MountDevice failed to create '
                "newCsiDriverClient: driver name csi.example not found in the list of registered CSI drivers",
                "csi.example",
            ),
            (
                {"name": "n", "nfs": {"server": "nas", "path": "/x"}},
                'MountVolume.SetUp failed for volume "n" : mount failed: exit status 32 mount.nfs: Connection timed out',
                "nas",
            ),
        ],
    )
    def test_mounts(self, volume, message, word):
        claim = obj("PersistentVolumeClaim", "data", spec={}, status={"phase": "Bound"})
        (found,) = crash_findings(creating(volume), event("FailedMount", message), claim)
        assert (found.cause, found.object.container, found.confidence) == ("VolumeMountError", "", Confidence.CONFIRMED)
        assert word in found.message

    def test_the_summary_alone_is_only_possible(self):
        message = (
            "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process "
            "volumes=[]: timed out waiting for the condition"
        )
        (found,) = crash_findings(creating(CLAIM), event("FailedMount", message))
        assert (found.cause, found.confidence) == ("VolumeMountError", Confidence.POSSIBLE)

    def test_a_mount_failure_that_passes_is_no_cause(self):
        message = 'MountVolume.SetUp failed for volume "data" : object "shop"/"kube-root-ca.crt" not registered'
        assert "VolumeMountError" not in {c for c, _ in crash_causes(creating(CLAIM), event("FailedMount", message))}

    def test_an_old_mount_failure_of_a_crashing_pod_is_no_cause(self):
        # crash.md 1d 5: a transient mount failure from the start must not hide what the program says.
        target = pod(statuses=[status(state=terminated(1, "Error", -60, -50), restarts=2)])
        said = event("FailedMount", 'MountVolume.SetUp failed for volume "data" : timed out', last=-800)
        assert "VolumeMountError" not in {c for c, _ in crash_causes(target, said, logs={"app": "boom"})}

    @pytest.mark.parametrize(
        "why",
        [
            "Volume is already exclusively attached to one node and can't be attached to another",
            "Volume is already used by pod(s) old",
        ],
    )
    def test_multi_attach_names_the_holder(self, why):
        claim = obj("PersistentVolumeClaim", "data", spec={"volumeName": "pvc-1"}, status={"phase": "Bound"})
        old = pod("old", node="node-2", volumes=[CLAIM], statuses=[RUNNING])
        said = event(
            "FailedAttachVolume", f'Multi-Attach error for volume "pvc-1" {why}', component="attachdetach-controller"
        )
        (found,) = crash_findings(creating(CLAIM), said, claim, old)
        assert found.cause == "VolumeAttachFailed"
        assert "old on node-2" in found.message
        assert found.details == {"volume": "pvc-1", "claim": "data", "nodes": ["node-2"]}

    def test_the_holder_is_a_lost_node(self):
        claim = obj("PersistentVolumeClaim", "data", spec={"volumeName": "pvc-1"}, status={"phase": "Bound"})
        attachment = obj(
            "VolumeAttachment",
            "csi-0a",
            spec={"source": {"persistentVolumeName": "pvc-1"}, "nodeName": "node-2"},
            status={"attached": True},
        )
        lost = obj("Node", "node-2", spec={}, status={"conditions": [{"type": "Ready", "status": "Unknown"}]})
        said = event(
            "FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached'
        )
        (found,) = crash_findings(creating(CLAIM), said, claim, attachment, lost)
        assert "node-2 is not ready" in found.message
        assert "out-of-service" in advised(found)

    def test_attached_by_now(self):
        said = event("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" x', last=-60)
        done = event(
            "SuccessfulAttachVolume", 'AttachVolume.Attach succeeded for volume "pvc-1"', last=-30, warning=False
        )
        assert "VolumeAttachFailed" not in {c for c, _ in crash_causes(creating(CLAIM), said, done)}


def test_a_succeeded_pod_that_a_finalizer_holds_is_looked_at():
    target = pod(deletion=-120, phase="Succeeded", statuses=[DONE], metadata={"finalizers": ["example.com/cleanup"]})
    assert Pod(target).is_troubled
    assert crash_causes(target) == [("StuckTerminating", "")]


def test_a_node_name_that_never_existed():
    (found,) = crash_findings(pod(phase="Pending", node="ghost"), gone_nodes=["ghost"])
    assert found.cause == "NodeNotReady"
    assert "no kubelet starts" in found.message


def test_a_driver_that_refuses_to_attach():
    claim = obj("PersistentVolumeClaim", "data", spec={"volumeName": "pvc-1"}, status={"phase": "Bound"})
    said = event("FailedAttachVolume", 'AttachVolume.Attach failed for volume "pvc-1" : rpc error: disk not found')
    (found,) = crash_findings(creating(CLAIM), said, claim)
    assert found.cause == "VolumeAttachFailed"
    assert "claim data" in found.message
    assert "disk not found" in found.message


def test_a_holder_that_is_not_visible():
    said = event("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached')
    claim = obj("PersistentVolumeClaim", "data", spec={"volumeName": "pvc-1"}, status={"phase": "Bound"})
    (found,) = crash_findings(creating(CLAIM), said, claim, denied=["pods", "volumeattachments"])
    assert (found.cause, found.confidence) == ("VolumeAttachFailed", Confidence.CONFIRMED)


def disrupted(reason, **more):
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": ""}
    return pod(conditions=[condition], **more)


@pytest.mark.parametrize("reason", ["EvictionByEvictionAPI", "DeletionByTaintManager", "DeletionByPodGC"])
def test_a_pod_that_failed_of_its_eviction_was_not_stopped_by_a_stranger(reason):
    ended = [status(state=terminated(143, "Error", -900, -90))]
    (found,) = crash_findings(disrupted(reason, phase="Failed", restartPolicy="Never", statuses=ended))
    assert (found.cause, found.severity) == ("Evicted", Severity.ERROR)
    assert "delete pod api" in advised(found)


def test_a_refusal_by_any_name_is_the_kubelets():
    said = {"reason": "SMTAlignmentError", "message": "SMT Alignment Error: requested 1 cpus"}
    (found,) = crash_findings(pod(phase="Failed", more_status=said))
    assert found.cause == "NodeAdmissionRejected"
    assert "SMTAlignmentError" in found.message


def test_a_failed_pod_that_ran_was_not_refused():
    said = {"reason": "SomethingNew", "message": "words"}
    ended = [status(state=terminated(1, "Error", -90, -60))]
    target = pod(phase="Failed", restartPolicy="Never", statuses=ended, more_status=said)
    assert "NodeAdmissionRejected" not in {c for c, _ in crash_causes(target, logs={"app": "boom"})}


@pytest.mark.parametrize(
    ("seen", "pinned"),
    [
        ([], False),
        ([event("OutOfcpu", "Node didn't have enough resource: cpu")], True),
        ([event("OutOfcpu", "Node didn't"), event("Scheduled", "Successfully assigned", warning=False)], False),
    ],
)
def test_a_pinned_node_is_not_concluded_from_events_that_are_gone(seen, pinned):
    message = "Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 3500, capacity: 4000"
    (found,) = crash_findings(pod(phase="Failed", more_status={"reason": "OutOfcpu", "message": message}), *seen)
    assert ("nodeName" in found.message) is pinned
    assert "requested 2000m, used 3500m of 4000m" in found.message


def waits_for(volume, said, *objects):
    target = pod(
        phase="Pending", statuses=[status(state={"waiting": {"reason": "ContainerCreating"}})], volumes=[volume]
    )
    (found,) = crash_findings(target, said, *objects)
    return found


DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


def test_the_pod_that_holds_a_volume_is_named_when_pods_may_not_be_listed():
    said = event("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) api-old')
    found = waits_for(DATA, said)
    assert found.cause == "VolumeAttachFailed"
    assert "used by pod api-old" in found.message


def test_a_driver_that_is_not_on_the_node_cannot_attach():
    why = "CSINode node-1 does not contain driver ebs.csi.aws.com"
    found = waits_for(DATA, event("FailedAttachVolume", f'AttachVolume.Attach failed for volume "pvc-1" : {why}'))
    assert "kubectl get csinode node-1" in advised(found)


NFS = {"name": "share", "nfs": {"server": "10.0.0.9", "path": "/x"}}


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("mount.nfs: Connection timed out", "from node-1: mount.nfs: Connection timed out"),
        (
            "mount: bad option; for several filesystems (e.g. nfs) you might need a /sbin/mount.<type> helper program.",
            "no NFS client",
        ),
    ],
)
def test_of_a_mount_command_its_output_is_told(output, said):
    why = f"mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs 10.0.0.9:/x /var/lib\nOutput: {output}"
    found = waits_for(NFS, event("FailedMount", f'MountVolume.SetUp failed for volume "share" : {why}'))
    assert found.cause == "VolumeMountError"
    assert said in found.message
    assert "exit status" not in found.message


def test_a_mount_failure_names_the_claim_without_the_layers():
    claim = obj("PersistentVolumeClaim", "data", spec={"volumeName": "pvc-1"}, status={"phase": "Bound"})
    why = "rpc error: code = Internal desc = 'fsck' found errors on device /dev/nvme1n1"
    found = waits_for(DATA, event("FailedMount", f'MountVolume.MountDevice failed for volume "pvc-1" : {why}'), claim)
    assert "Volume pvc-1 (claim data) has a damaged filesystem: 'fsck' found errors" in found.message


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("Unknown", "does not answer"),
        ("False", "is not ready, so its kubelet cannot end it: container runtime is down"),
    ],
)
def test_a_node_that_says_it_is_not_ready_does_answer(state, said):
    sick = ready_node("node-1")
    sick["status"]["conditions"] = [
        {"type": "Ready", "status": state, "reason": "KubeletNotReady", "message": "container runtime is down"}
    ]
    found = crash_findings(pod(deletion=-600), sick)[0]
    assert found.cause == "StuckTerminating"
    assert said in found.message


def test_a_request_above_the_nodes_size_is_no_race():
    message = "Node didn't have enough resource: memory, requested: 17179869184, used: 0, capacity: 8589934592"
    (found,) = crash_findings(pod(phase="Failed", more_status={"reason": "OutOfmemory", "message": message}))
    assert "requests 16Gi of memory, and node-1 has 8Gi in all" in found.message
    assert "Lower requests.memory" in found.fix[0].text


@pytest.mark.parametrize(
    ("kind", "words", "fix"),
    [("Directory", "a directory", "type DirectoryOrCreate"), ("Socket", "a socket file", "or use another path")],
)
def test_only_directories_and_files_can_be_created_with_the_mount(kind, words, fix):
    volume = {"name": "h", "hostPath": {"path": "/srv/x", "type": kind}}
    why = f"hostPath type check failed: /srv/x is not {words}"
    found = waits_for(volume, event("FailedMount", f'MountVolume.SetUp failed for volume "h" : {why}'))
    assert fix in found.fix[0].text
    assert "SocketOrCreate" not in found.fix[0].text


@pytest.mark.parametrize(("name", "told"), [("api-1-old", True), ("web-1-old", False)])
def test_a_pod_without_room_may_replace_one_that_was_preempted(name, told):
    owner = obj("ReplicaSet", "api-1")
    why = "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
    target = pod("api-1-new", node="", phase="Pending", owner=owner, conditions=[condition])
    old = {"kind": "Pod", "metadata": {"name": name, "namespace": "shop", "uid": "uid-old"}}
    said = event("Preempted", "Preempted by pod uid-big on node node-1", old, warning=False)
    found = crash_findings(target, owner, said, pod("big"))
    assert found[0].cause == "UnschedulableResources"
    assert ("Preempted" in [f.cause for f in found]) is told
    if told:
        assert "It replaces api-1-old, which had to make room on node-1 for pod shop/big" in found[1].message


def test_the_request_of_a_pod_that_a_program_makes_is_set_where_it_reads_it():
    message = (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi. Container app was using "
        "1048000Ki, request is 0, has larger consumption of memory. "
    )
    made = failed("Evicted", message)
    made["metadata"]["labels"] = {"component": "singleuser-server"}
    (found,) = crash_findings(made)
    assert "JupyterHub" in found.fix[0].text
    assert not found.fix[0].commands
