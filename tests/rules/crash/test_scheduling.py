"""Why a pod has no node: words of schedulers from 1.28 to 1.36, and what the nodes say."""

import pytest

from kubetriage.model import Confidence
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation, scheduling
from kubetriage.rules.crash.resource_requests import amount_text, pod_request
from kubetriage.rules.crash.scheduling import Block, parse_reasons
from support.objects import advised, at, cluster, container, crash_causes, crash_findings, event, obj, pod
from support.offline import diagnosis

TAIL_136 = (
    " no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)
TAIL_128 = " preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.."


def pending(why, total=3, tail=TAIL_136, **more):
    message = f"0/{total} nodes are available: {why}.{tail}" if why else ""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(node="", phase="Pending", conditions=[{**condition, "lastTransitionTime": at(-60)}], **more)


def node(name, *, cpu="4", memory="8Gi", pods="110", labels=None, taints=(), **spec):
    return obj(
        "Node",
        name,
        metadata={"labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        spec={"taints": list(taints), **spec},
        status={"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}},
    )


WORDS = [
    ("3 Insufficient cpu", "UnschedulableResources"),
    ("1 Insufficient memory, 2 Insufficient cpu", "UnschedulableResources"),
    ("3 Insufficient nvidia.com/gpu", "UnschedulableResources"),
    ("3 Too many pods", "UnschedulableResources"),
    ("3 node(s) exceed max volume count", "UnschedulableResources"),
    ("3 node(s) didn't match Pod's node affinity/selector", "UnschedulableNodeSelector"),
    ("3 node(s) didn't match node selector", "UnschedulableNodeSelector"),
    ("3 node(s) didn't satisfy plugin(s) [NodeAffinity]", "UnschedulableNodeSelector"),
    ("3 node(s) didn't match pod affinity rules", "UnschedulableAffinity"),
    ("3 node(s) didn't match pod anti-affinity rules", "UnschedulableAffinity"),
    ("3 node(s) didn't satisfy existing pods anti-affinity rules", "UnschedulableAffinity"),
    ("3 node(s) had untolerated taint(s)", "UnschedulableTaint"),
    ("3 node(s) had untolerated taint {dedicated: gpu}", "UnschedulableTaint"),
    ("3 node(s) had taint {dedicated: gpu}, that the pod didn't tolerate", "UnschedulableTaint"),
    ("3 node(s) were unschedulable", "UnschedulableTaint"),
    ("3 node(s) didn't have free ports for the requested pod ports", "UnschedulableHostPort"),
    ("3 node(s) didn't match pod topology spread constraints", "UnschedulableTopology"),
    ("3 node(s) didn't match PersistentVolume's node affinity", "UnschedulableTopology"),
    ("3 node(s) had volume node affinity conflict", "UnschedulableTopology"),
    ('persistentvolumeclaim "data" not found', "PersistentVolumeClaimNotFound"),
    ('persistentvolumeclaim "data" not found. not found', "PersistentVolumeClaimNotFound"),
    ("pod has unbound immediate PersistentVolumeClaims", "PersistentVolumeClaimPending"),
    ("3 pod has unbound immediate PersistentVolumeClaims", "PersistentVolumeClaimPending"),
    ("3 node(s) didn't find available persistent volumes to bind", "PersistentVolumeClaimPending"),
]


@pytest.mark.parametrize(("why", "cause"), WORDS)
@pytest.mark.parametrize("tail", [TAIL_136, TAIL_128, ""])
@pytest.mark.parametrize("denied", [(), ("nodes",), ("nodes", "events", "persistentvolumeclaims")])
def test_every_wording(why, cause, tail, denied):
    (found,) = crash_findings(pending(why, tail=tail), denied=denied)
    assert (found.cause, found.object.container) == (cause, "")
    assert found.confidence is Confidence.CONFIRMED


@pytest.mark.parametrize(("why", "cause"), WORDS)
def test_the_event_alone_is_enough(why, cause):
    target = pod(node="", phase="Pending")
    said = event("FailedScheduling", f"0/3 nodes are available: {why}.{TAIL_136}", component="default-scheduler")
    assert crash_causes(target, said) == [(cause, "")]


@pytest.mark.parametrize(
    ("why", "blocks"),
    [
        (
            "1 Too many pods, 9 node(s) didn't satisfy plugin(s) [NodeAffinity]",
            [(1, Block.RESOURCES), (9, Block.SELECTOR)],
        ),
        (
            "1 node(s) had taint {a: b}, that the pod didn't tolerate, 2 Insufficient cpu",
            [(1, Block.TAINT), (2, Block.RESOURCES)],
        ),
        ("1 node(s) had untolerated taint {a: }, 2 Insufficient memory", [(1, Block.TAINT), (2, Block.RESOURCES)]),
    ],
)
def test_counts(why, blocks):
    assert [(r.nodes, r.block) for r in parse_reasons(f"0/10 nodes are available: {why}.{TAIL_136}")] == blocks


@pytest.mark.parametrize("message", ["", "no nodes", "0/x nodes", "1 node(s) had taint"])
def test_other_messages_have_no_reasons(message):
    assert parse_reasons(message) == ()


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        ("1 Insufficient cpu, 2 node(s) had untolerated taint {dedicated: db}", "UnschedulableTaint"),
        (
            "1 Insufficient cpu, 2 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }",
            "UnschedulableResources",
        ),
        ("1 Insufficient cpu, 9 node(s) didn't match Pod's node affinity/selector", "UnschedulableResources"),
        (
            "1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node affinity/selector",
            "UnschedulableNodeSelector",
        ),
    ],
)
def test_the_head_of_mixed_reasons(why, cause):
    (found,) = crash_findings(pending(why, total=10))
    assert found.cause == cause
    assert sum(r["nodes"] for r in found.details["reasons"]) in (3, 10)


def test_control_plane_taints_are_recognised_from_the_nodes():
    master = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    nodes = [node("m-1", taints=master), node("m-2", taints=master), node("w-1")]
    (found,) = crash_findings(pending("1 Insufficient cpu, 2 node(s) had untolerated taint(s)"), *nodes)
    assert found.cause == "UnschedulableResources"


def big(memory="16Gi"):
    return [container(resources={"requests": {"memory": memory}})]


def test_a_request_that_no_node_can_ever_hold():
    (found,) = crash_findings(
        pending("3 Insufficient memory", containers=big()), node("w-1"), node("w-2", memory="12Gi")
    )
    assert "w-2" in found.message
    assert "12Gi" in found.message
    assert "never" in found.message


def test_what_is_free_on_the_best_node():
    def used(where, name):
        return pod(name, containers=big("5Gi"), node=where)

    target = pending("2 Insufficient memory", total=2, containers=big("6Gi"))
    (found,) = crash_findings(target, node("w-1"), node("w-2"), used("w-1", "a"), used("w-2", "b"), used("w-2", "c"))
    assert "3Gi on w-1" in found.message
    assert "to at most 3072Mi" in found.fix[0].text


def test_pods_of_a_node_are_read_only_when_it_could_hold_the_request():
    target = pending("2 Insufficient memory", total=2, containers=big("10Gi"))
    made = cluster(target, node("w-1"), node("w-2", memory="12Gi"))
    asked = [n.fields for n in evaluation.pod_needs(made, Pod(target)) if getattr(n, "resource", "") == "pods"]
    assert asked == ["spec.nodeName=w-2"]


def test_the_nearest_label_value():
    (found,) = crash_findings(
        pending("2 node(s) didn't match Pod's node affinity/selector", total=2, nodeSelector={"disktype": "ssd"}),
        node("w-1", labels={"disktype": "ssd2"}),
        node("w-2", labels={"disktype": "ssd2"}),
    )
    assert "disktype=ssd2" in found.message


def test_the_nearest_label_key():
    (found,) = crash_findings(
        pending("1 node(s) didn't match Pod's node affinity/selector", total=1, nodeSelector={"disk-type": "ssd"}),
        node("w-1", labels={"disktype": "ssd"}),
    )
    assert "label disktype" in found.message


def affinity(key, operator, *values):
    rule = {"key": key, "operator": operator, "values": list(values)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def test_required_node_affinity_is_compared_too():
    target = pending(
        "1 node(s) didn't match Pod's node affinity/selector",
        total=1,
        affinity=affinity("topology.kubernetes.io/zone", "In", "eu-1c"),
    )
    (found,) = crash_findings(target, node("w-1", labels={"topology.kubernetes.io/zone": "eu-1a"}))
    assert "eu-1c" in found.message
    assert "eu-1a" in found.message


def test_taints_are_named_and_tolerated_ones_are_not():
    dedicated = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
    other = {"key": "team", "value": "a", "effect": "NoSchedule"}
    target = pending(
        "2 node(s) had untolerated taint(s)",
        total=2,
        tolerations=[{"key": "team", "operator": "Exists"}],
        owner=obj("ReplicaSet", "api-1"),
    )
    (found,) = crash_findings(
        target, node("w-1", taints=[dedicated, other]), node("w-2", taints=[dedicated]), obj("ReplicaSet", "api-1")
    )
    assert "dedicated=gpu:NoSchedule" in found.message
    assert "team=a" not in found.message
    added = found.fix[0].patch["spec"]["template"]["spec"]["tolerations"]
    assert added == [
        {"key": "team", "operator": "Exists"},
        {"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
    ]


@pytest.mark.parametrize(
    ("key", "word"),
    [("node.kubernetes.io/unreachable", "node-triage"), ("node.kubernetes.io/unschedulable", "uncordon")],
)
def test_taints_of_the_control_plane_have_another_fix(key, word):
    made = node("w-1", taints=[{"key": key, "effect": "NoSchedule"}])
    (found,) = crash_findings(pending("1 node(s) had untolerated taint(s)", total=1), made)
    assert word in advised(found)
    assert found.fix[0].patch is None


@pytest.mark.parametrize(
    ("why", "words", "fix"),
    [
        ("node(s) had untolerated taint {dedicated: gpu}", "dedicated=gpu", "Tolerate"),
        ("node(s) had untolerated taint {node.kubernetes.io/not-ready: }", "node.kubernetes.io/not-ready", "Repair"),
        ("node(s) were unschedulable", "cordoned", "uncordon"),
        ("node(s) had untolerated taint(s)", "taint", "Tolerate"),
    ],
)
def test_taints_by_the_schedulers_words_alone(why, words, fix):
    (found,) = crash_findings(pending(f"3 {why}"), denied=["nodes"])
    assert words in found.message
    assert fix in advised(found)


def test_the_holder_of_a_host_port():
    ports = [container(ports=[{"containerPort": 80, "hostPort": 8080}])]
    other = pod("web", containers=ports, node="w-1")
    (found,) = crash_findings(pending("1 node(s) didn't have free ports", total=1, containers=ports), other)
    assert "8080" in found.message
    assert "web" in found.message


@pytest.mark.parametrize(("hashes", "surge"), [(("1", "2"), True), (("1", "1"), False)])
def test_a_rollout_whose_old_pod_holds_the_host_port(hashes, surge):
    ports = [container(ports=[{"containerPort": 80, "hostPort": 8080}])]
    top = obj("Deployment", "web")
    sets = [obj("ReplicaSet", f"web-{n}", owner=top) for n in "12"]
    old, new = ({"pod-template-hash": h, "app": "web"} for h in hashes)
    other = pod("web-old", owner=sets[0], labels=old, containers=ports, node="w-1")
    why = "1 node(s) didn't have free ports"
    waits = pending(why, total=1, name="web-new", owner=sets[int(hashes[1]) - 1], labels=new, containers=ports)
    (found,) = crash_findings(waits, other, top, *sets)
    told = "\n".join((found.fix[0].text, *map(str, found.fix[0].commands)))
    assert ("maxSurge" in told) == surge
    assert ("no more replicas than nodes" in told) == (not surge)


@pytest.mark.parametrize(
    ("key", "value", "labels"),
    [("kubernetes.io/os", "windows", False), ("kubernetes.io/arch", "arm64", False), ("disk", "fast", True)],
)
def test_what_a_machine_is_cannot_be_changed_by_a_label(key, value, labels):
    made = pending("1 node(s) didn't match Pod's node affinity/selector", total=1, nodeSelector={key: value})
    (found,) = crash_findings(made, node("w-1"))
    assert ("kubectl label node" in found.fix[0].text) == labels
    assert ("the kubelet itself sets" in found.fix[0].text) == (not labels)


def claim(name, phase="Pending", **spec):
    return obj("PersistentVolumeClaim", name, spec=spec, status={"phase": phase})


def using(name):
    return {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": name}}]}


def test_the_nearest_claim():
    (found,) = crash_findings(pending('persistentvolumeclaim "data" not found', **using("data")), claim("data-1"))
    assert (found.cause, found.details["reference"]["nearest"]) == ("PersistentVolumeClaimNotFound", "data-1")


UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


def test_a_storage_class_that_does_not_exist():
    standard = obj("StorageClass", "standard", provisioner="x")
    (found,) = crash_findings(pending(UNBOUND, **using("data")), claim("data", storageClassName="standrad"), standard)
    assert found.cause == "PersistentVolumeClaimPending"
    assert "standrad does not exist" in found.message
    assert "standard" in found.fix[0].text


def test_no_default_class():
    (found,) = crash_findings(pending(UNBOUND, **using("data")), claim("data"), obj("StorageClass", "fast"))
    assert "no class is the default" in found.message


def test_the_provisioners_own_words():
    data = claim("data", storageClassName="fast")
    said = event("ProvisioningFailed", "failed to provision volume: quota of project p exceeded", data)
    fast = obj("StorageClass", "fast", provisioner="csi.example")
    (found,) = crash_findings(pending(UNBOUND, **using("data")), data, said, fast)
    assert "quota of project p exceeded" in found.message
    assert "csi.example" in found.fix[0].text


def test_a_claim_that_waits_for_its_first_consumer_is_not_the_cause():
    data = claim("data", storageClassName="wait")
    wait = obj("StorageClass", "wait", provisioner="x", volumeBindingMode="WaitForFirstConsumer")
    assert crash_causes(pending("3 Insufficient cpu", **using("data")), data, wait) == [("UnschedulableResources", "")]


def test_the_place_of_a_volume():
    volume = obj(
        "PersistentVolume",
        "pv-1",
        spec={
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z-2"]}
                            ]
                        }
                    ]
                }
            }
        },
    )
    target = pending("3 node(s) had volume node affinity conflict", **using("data"))
    (found,) = crash_findings(target, volume, claim("data", "Bound", volumeName="pv-1"))
    assert found.cause == "UnschedulableTopology"
    assert "z-2" in found.message


def test_gates():
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked",
    }
    target = pod(
        node="", phase="Pending", conditions=[condition], schedulingGates=[{"name": "kueue.x-k8s.io/admission"}]
    )
    (found,) = crash_findings(target)
    assert found.cause == "SchedulingGated"
    assert "kueue.x-k8s.io/admission" in found.message


def test_a_placed_pod_is_not_unschedulable():
    old = event("FailedScheduling", f"0/3 nodes are available: 3 Insufficient cpu.{TAIL_136}", last=-300)
    fine = pod(node="w-1", ready=True)
    assert crash_causes(fine, old) == []


@pytest.mark.parametrize("scenario", ["unsched-memory", "unsched-nodeselector", "unsched-pvc"])
def test_recorded(scenario):
    found = diagnosis("why-crash", "pod/api", capture=scenario).findings
    assert len(found) == 1
    assert found[0].confidence is Confidence.CONFIRMED


def test_a_driver_that_makes_no_volume_while_the_scheduler_waits():
    data = claim("data", storageClassName="wait")
    wait = obj("StorageClass", "wait", provisioner="csi.example", volumeBindingMode="WaitForFirstConsumer")
    words = "Waiting for a volume to be created either by the external provisioner 'csi.example' or manually"
    said = event("ExternalProvisioning", words, data, warning=False)
    (found,) = crash_findings(pod(node="", phase="Pending", **using("data")), data, wait, said)
    assert (found.cause, found.confidence) == ("PersistentVolumeClaimPending", Confidence.LIKELY)
    assert "csi.example" in found.message


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        (
            {"containers": [{"resources": {"requests": {"cpu": "1"}}}, {"resources": {"limits": {"cpu": "500m"}}}]},
            "1500m CPU",
        ),
        (
            {
                "containers": [{"resources": {"requests": {"cpu": "1"}}}],
                "initContainers": [
                    {"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
                    {"resources": {"requests": {"cpu": "3"}}},
                ],
            },
            "4 CPU",
        ),
        ({"containers": [{"resources": {"requests": {"cpu": "1"}}}], "overhead": {"cpu": "1"}}, "2 CPU"),
        ({"containers": [], "resources": {"requests": {"cpu": "2"}}}, "2 CPU"),
        ({"containers": []}, "0 CPU"),
    ],
)
def test_the_request_is_added_up_as_the_scheduler_does(fields, amount):
    assert amount_text("cpu", pod_request(Pod({"spec": fields}), "cpu")) == amount


def test_a_gpu_is_counted_in_pieces():
    target = pending(
        "1 Insufficient nvidia.com/gpu", total=1, containers=[container(resources={"limits": {"nvidia.com/gpu": "2"}})]
    )
    (found,) = crash_findings(target, obj("Node", "w-1", spec={}, status={"allocatable": {"nvidia.com/gpu": "1"}}))
    assert "2 of nvidia.com/gpu" in found.message


@pytest.mark.parametrize(
    ("fields", "phase", "reason", "word"),
    [
        ({"storageClassName": "fast"}, "Lost", "", "gone"),
        ({"storageClassName": "local"}, "Pending", "", "no-provisioner"),
        (
            {"storageClassName": "fast", "accessModes": ["ReadWriteMany"]},
            "Pending",
            "FailedBinding",
            "no persistent volumes",
        ),
        ({"storageClassName": "fast"}, "Pending", "", "has not made"),
    ],
)
def test_what_is_wrong_with_a_claim(fields, phase, reason, word):
    data = claim("data", phase, **fields)
    classes = [
        obj("StorageClass", "fast", provisioner="csi.example"),
        obj("StorageClass", "local", provisioner="kubernetes.io/no-provisioner"),
    ]
    said = [event(reason, "no persistent volumes available for this claim", data)] if reason else []
    (found,) = crash_findings(pending(UNBOUND, **using("data")), data, *classes, *said)
    assert found.cause == "PersistentVolumeClaimPending"
    assert word in found.message


def test_a_claim_that_is_being_deleted():
    data = {**claim("data", "Bound"), "metadata": {**claim("data")["metadata"], "deletionTimestamp": at(-60)}}
    why = 'persistentvolumeclaim "data" is being deleted'
    (found,) = crash_findings(pending(why, **using("data")), data)
    assert "being deleted" in found.message


def test_the_claim_of_an_ephemeral_volume():
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]
    (found,) = crash_findings(pending('persistentvolumeclaim "api-scratch" not found', volumes=volumes))
    assert "volume scratch" in found.message


ANTI = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "labelSelector": {
                    "matchLabels": {"app": "api"},
                    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}],
                },
                "topologyKey": "kubernetes.io/hostname",
            }
        ]
    }
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("didn't match pod anti-affinity rules", "app=api, tier In (a) by kubernetes.io/hostname"),
        ("didn't satisfy existing pods anti-affinity rules", "shuns"),
    ],
)
def test_the_rule_of_anti_affinity(words, expected):
    (found,) = crash_findings(pending(f"3 node(s) {words}", affinity=ANTI))
    assert expected in found.message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("didn't match pod topology spread constraints", "maxSkew 1"),
        ("didn't match pod topology spread constraints (missing required label)", "lack the label zone"),
    ],
)
def test_the_spread_constraint(words, expected):
    rule = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    (found,) = crash_findings(pending(f"3 node(s) {words}", topologySpreadConstraints=[rule]))
    assert expected in found.message


GPU = [container(resources={"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}})]
DEDICATED = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}


def gpu_node(**more):
    made = node("gpu-1", **more)
    made["status"]["allocatable"]["nvidia.com/gpu"] = "4"
    return made


@pytest.mark.parametrize(
    ("why", "fields", "special"),
    [
        ("2 Insufficient nvidia.com/gpu", {"containers": GPU}, gpu_node(taints=[DEDICATED])),
        (
            "2 node(s) didn't match Pod's node affinity/selector",
            {"nodeSelector": {"pool": "db"}},
            node("db-1", labels={"pool": "db"}, taints=[DEDICATED]),
        ),
        (
            "2 node(s) didn't match Pod's node affinity/selector",
            {"nodeSelector": {"pool": "db"}},
            node("db-1", labels={"pool": "db"}, unschedulable=True),
        ),
    ],
)
def test_a_taint_on_the_only_nodes_that_fit_is_the_cause(why, fields, special):
    target = pending(f"1 node(s) had untolerated taint(s), {why}", **fields)
    (found,) = crash_findings(target, special, node("w-1"), node("w-2"))
    assert found.cause == "UnschedulableTaint"
    assert f"Only {special['metadata']['name']} would fit" in found.message


@pytest.mark.parametrize(
    ("why", "fields", "special", "cause"),
    [
        # The tainted node lacks the label, too.
        (
            "2 node(s) didn't match Pod's node affinity/selector",
            {"nodeSelector": {"pool": "db"}},
            node("x-1", taints=[DEDICATED]),
            "UnschedulableNodeSelector",
        ),
        # Nodes without the taint would do, were they not full: both are a way out, the scheduler's count decides.
        (
            "2 Insufficient memory",
            {"containers": [container(resources={"requests": {"memory": "16Gi"}})]},
            node("x-1", memory="64Gi", taints=[DEDICATED]),
            "UnschedulableResources",
        ),
        # A control plane is nobody's first choice.
        (
            "2 Insufficient nvidia.com/gpu",
            {"containers": GPU},
            gpu_node(taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]),
            "UnschedulableResources",
        ),
    ],
)
def test_other_taints_do_not_hide_the_cause(why, fields, special, cause):
    target = pending(f"1 node(s) had untolerated taint(s), {why}", **fields)
    (found,) = crash_findings(target, special, node("w-1"), node("w-2"))
    assert found.cause == cause


def test_terms_of_node_affinity_are_alternatives():
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [z]}]} for z in ("a", "b")]
    either = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    target = pending(
        "1 Insufficient cpu, 1 node(s) had untolerated taint(s)", total=2, affinity={"nodeAffinity": either}
    )
    nodes = [node("w-a", labels={"zone": "a"}), node("w-b", labels={"zone": "b"}, taints=[DEDICATED])]
    assert [scheduling.node_choice(Pod(target))(n) for n in nodes] == [True, True]
    assert not scheduling.node_choice(Pod(target))(node("w-c", labels={"zone": "c"}))
    (found,) = crash_findings(
        pending("2 node(s) didn't match Pod's node affinity/selector", total=2, affinity={"nodeAffinity": either}),
        node("w-c", labels={"zone": "c"}),
        node("w-d", labels={"zone": "d"}),
    )
    assert "zone=a or zone=b" in found.message


def test_node_affinity_by_name():
    rule = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["w-1"]}]}
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [rule]}}
    target = Pod(pending("", affinity={"nodeAffinity": wanted}))
    assert [scheduling.node_choice(target)(node(n)) for n in ("w-1", "w-2")] == [True, False]


@pytest.mark.parametrize(
    ("operator", "values", "met"),
    [
        ("NotIn", ["3"], False),
        ("NotIn", ["4"], True),
        ("DoesNotExist", [], False),
        ("Gt", ["2"], True),
        ("Gt", ["3"], False),
        ("Lt", ["x"], False),
        ("Lt", [], False),
    ],
)
def test_operators_of_node_affinity(operator, values, met):
    assert scheduling.meets(node("w-1", labels={"cores": "3"}), ("cores", operator, tuple(values))) is met


def test_a_cluster_without_nodes():
    condition = {"type": "PodScheduled", "status": "False", "message": "no nodes available to schedule pods"}
    (found,) = crash_findings(pod(node="", phase="Pending", conditions=[condition]))
    assert found.cause == "UnschedulableResources"
    assert "no nodes at all" in found.message


def test_a_device_that_no_node_has():
    (found,) = crash_findings(pending("1 Insufficient nvidia.com/gpu", total=1, containers=GPU), node("w-1"))
    assert "no node has any" in found.message
    assert "device plugin" in found.fix[0].text


def test_room_that_is_there_now_is_not_called_missing():
    asks = [container(resources={"requests": {"cpu": "3"}})]
    (found,) = crash_findings(pending("1 Insufficient cpu", total=1, containers=asks), node("w-1"))
    assert "w-1 now seems to have some" in found.message


CLAIMED = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]


def test_a_claim_for_one_pod_names_the_pod_that_uses_it():
    why = (
        "1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by "
        "another pod"
    )
    claim = obj("PersistentVolumeClaim", "data", spec={"accessModes": ["ReadWriteOncePod"]}, status={"phase": "Bound"})
    other = pod("api-old", volumes=CLAIMED, node="w-1")
    (found,) = crash_findings(pending(why, total=1, volumes=CLAIMED), claim, other, node("w-1"))
    assert found.cause == "PersistentVolumeClaimPending"
    assert "in use by pod api-old on w-1" in found.message


def test_storage_that_no_node_has_left():
    spec = {"storageClassName": "local", "resources": {"requests": {"storage": "500Gi"}}}
    claim = obj("PersistentVolumeClaim", "data", spec=spec, status={"phase": "Pending"})
    local = obj("StorageClass", "local", provisioner="topolvm.io", volumeBindingMode="WaitForFirstConsumer")
    why = "1 node(s) did not have enough free storage"
    (found,) = crash_findings(pending(why, total=1, volumes=CLAIMED), claim, local, node("w-1"))
    assert "no node has 500Gi of free storage in StorageClass local" in found.message


@pytest.mark.parametrize(
    ("reason", "message", "word"),
    [
        (
            "NotTriggerScaleUp",
            "pod didn't trigger scale-up: 1 max node group size reached",
            "adds no node: 1 max node group size reached.",
        ),
        ("TriggeredScaleUp", "pod triggered scale-up: [{ng-1 2->3 (max: 5)}]", "A node is on its way"),
        ("Nominated", "Pod should schedule on: nodeclaim/default-x", "A node is on its way"),
    ],
)
def test_what_the_autoscaler_says(reason, message, word):
    said = event(reason, message, warning=False, component="cluster-autoscaler")
    (found,) = crash_findings(pending("1 Insufficient cpu", total=1), said)
    assert found.cause == "UnschedulableResources"
    assert word in found.message
    assert any(reason in e.at for e in found.evidence)


def test_a_pod_that_waits_for_the_pods_that_it_preempts():
    target = pending("1 Insufficient cpu", total=1, more_status={"nominatedNodeName": "w-1"})
    assert "preempt pods of lower priority on w-1" in crash_findings(target)[0].message


def test_volumes_that_did_not_come_in_time():
    said = 'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulerError", "message": said}
    claim = obj("PersistentVolumeClaim", "data", spec={"storageClassName": "std"}, status={"phase": "Pending"})
    std = obj("StorageClass", "std", provisioner="csi.example", volumeBindingMode="WaitForFirstConsumer")
    (found,) = crash_findings(pod(node="", phase="Pending", conditions=[condition], volumes=CLAIMED), claim, std)
    assert found.cause == "PersistentVolumeClaimPending"
    assert "csi.example has not made its volume" in found.message


def test_a_claim_that_a_dump_leaves_out_is_not_missing_where_the_scheduler_met_it():
    from datetime import timedelta

    from kubetriage.readers.pods import Pod
    from kubetriage.rules.crash.evaluation import diagnose_pod
    from kubetriage.snapshot import Snapshot
    from support.objects import NOW

    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}
    words = "0/3 nodes are available: 3 node(s) exceed max volume count."
    waiting_pod = pod(phase="Pending", node="", volumes=[volume])
    waiting_pod["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    ]
    snapshot = Snapshot(now=NOW + timedelta(), source="a dump", presumes_absent=True)
    snapshot.add("pods", waiting_pod)
    causes = [f.cause for f in diagnose_pod(snapshot, Pod(waiting_pod))]
    assert "PersistentVolumeClaimNotFound" not in causes
    assert causes
