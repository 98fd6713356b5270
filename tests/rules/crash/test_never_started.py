"""Pods that never started: what ends it by the words of runtimes, network plugins, storage and the API server."""
# ruff: noqa: E501

import pytest

from kubetriage.model import Actor
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.rules.crash.image_pulls import Pull, classify
from support.objects import (
    advised,
    back_off,
    cluster,
    container,
    crash_findings,
    event,
    obj,
    pod,
    running,
    status,
    terminated,
    waiting,
)

LEAD = 'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "abc": '


@pytest.mark.parametrize(
    ("words", "means", "act"),
    [
        (
            "plugin type=\"flannel\" failed (add): failed to load flannel 'subnet.env' file: open /run/flannel/subnet.env: no such file or directory",
            "subnet file",
            "spec.podCIDR",
        ),
        (
            'plugin type="calico" failed (add): error getting ClusterInformation: connection is unauthorized: Unauthorized',
            "token",
            "daemonset/calico-node",
        ),
        (
            'plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory: check that the calico/node container is running',
            "nodename",
            "calico-node pod",
        ),
        (
            'plugin type="bridge" failed (add): failed to set bridge addr: "cni0" already has an IP address different from 10.244.1.1/24',
            "bridge of the node",
            "ip link delete cni0",
        ),
        ('failed to find plugin "loopback" in path [/opt/cni/bin]', "standard CNI plugins", "/opt/cni/bin"),
    ],
)
def test_words_of_network_plugins(words, means, act):
    target = pod(statuses=[status(state=waiting("ContainerCreating"))], phase="Pending")
    (found,) = crash_findings(target, event("FailedCreatePodSandBox", LEAD + words))
    assert found.cause == "SandboxCreateFailed"
    assert means in found.message
    assert act in advised(found)


def test_other_words_of_a_network_plugin_send_to_its_log():
    target = pod(statuses=[status(state=waiting("ContainerCreating"))], phase="Pending")
    (found,) = crash_findings(
        target, event("FailedCreatePodSandBox", LEAD + 'plugin type="calico" failed (add): the moon is full')
    )
    assert "log of the network plugin calico" in advised(found)


@pytest.mark.parametrize(
    ("why", "act", "actor", "not_act"),
    [
        (
            "mount failed: exit status 32 Output: mount: wrong fs type, bad option, bad superblock on /dev/nvme1n1, missing codepage or helper program, or other error.",
            "blkid",
            Actor.NODE,
            "nfs-common",
        ),
        (
            "mount failed: exit status 32 Output: mount: wrong fs type, bad option, bad superblock on 10.0.0.9:/export, missing codepage or helper program, or other error.",
            "mount helper",
            Actor.NODE,
            "fsck",
        ),
        (
            "mount failed: exit status 32 Output: mount: /x: bad option; for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program.",
            "nfs-common",
            Actor.NODE,
            "fsck",
        ),
        (
            'mount failed: exit status 32 Output: Failed to resolve "fs-0abc.efs.eu-west-1.amazonaws.com" - check that your file system ID is correct, and ensure that the VPC has an EFS mount target',
            "mount target",
            Actor.CLOUD,
            "not known",
        ),
    ],
)
def test_mounts_by_what_they_are_of(why, act, actor, not_act):
    target = pod(
        statuses=[status(state=waiting("ContainerCreating"))],
        phase="Pending",
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    )
    (found,) = crash_findings(
        target,
        event(
            "FailedMount", f'MountVolume.MountDevice failed for volume "pv-1" : rpc error: code = Internal desc = {why}'
        ),
    )
    assert found.cause == "VolumeMountError"
    assert act in advised(found)
    assert not_act not in advised(found)
    assert found.fix[0].actor is actor


def pulled(error, image="registry.example/team/api:1.4"):
    message = f'Back-off pulling image "{image}": ErrImagePull: {error}'
    target = pod(
        containers=[container(image=image)],
        statuses=[status(state=waiting("ImagePullBackOff", message))],
        phase="Pending",
    )
    return crash_findings(target)[0]


def test_a_proxy_that_does_not_answer_is_no_registry_that_does_not():
    found = pulled(
        'failed to do request: Head "https://registry.example/v2/": proxyconnect tcp: dial tcp 10.1.1.1:3128: connect: connection refused'
    )
    assert found.cause == "RegistryUnreachable"
    assert "proxy 10.1.1.1:3128" in found.message
    assert "NO_PROXY" in advised(found)
    plain = pulled(
        'failed to do request: Head "https://registry.example/v2/": dial tcp 10.1.1.1:443: connect: connection refused'
    )
    assert "proxy 10.1.1.1" not in plain.message


def test_certificates_and_plain_http_name_the_file():
    for error in (
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "http: server gave HTTP response to HTTPS client",
    ):
        found = pulled(f'failed to do request: Head "https://registry.example/v2/": {error}')
        assert "/etc/containerd/certs.d/registry.example/hosts.toml" in advised(found)


def test_a_download_that_was_cut_off_is_not_an_unknown_message():
    found = pulled("rpc error: code = Unknown desc = context canceled")
    assert "cut off" in found.message
    assert "image_pull_progress_timeout" in advised(found)


def test_schema_1_of_containerd_2():
    words = 'not implemented: media type "application/vnd.docker.distribution.manifest.v1+prettyjws" is no longer supported since containerd v2.1, please rebuild the image'
    assert classify(words) is Pull.FORMAT
    assert classify('media type "application/json" is odd') is not Pull.FORMAT


def test_programs_of_the_node_are_not_the_containers_command():
    def cause(words):
        target = pod(statuses=[status(state=waiting("CreateContainerError", words))], phase="Pending")
        return crash_findings(target)[0]

    found = cause(
        'failed to create containerd container: get apparmor_parser version: exec: "apparmor_parser": executable file not found in $PATH'
    )
    assert found.cause == "StartError"
    assert "package apparmor" in advised(found)
    assert cause('exec: "server": executable file not found in $PATH').cause == "CommandNotFound"


def unscheduled(words, *objects, volumes=None, denied=(), **more):
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    target = pod(node="", phase="Pending", statuses=[], conditions=[condition], volumes=volumes or [], **more)
    return target, crash_findings(target, *objects, denied=denied)[0]


CLAIM = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]


def test_a_claim_that_was_not_seen_tells_by_its_events():
    claim = obj("PersistentVolumeClaim", "data")
    said = event(
        "ProvisioningFailed",
        'failed to provision volume with StorageClass "gp3": rpc error: UnauthorizedOperation: not authorized to perform: ec2:CreateVolume',
        claim,
    )
    _, found = unscheduled(
        "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        said,
        volumes=CLAIM,
        denied=("persistentvolumeclaims",),
    )
    assert "ec2:CreateVolume" in found.message
    assert found.fix[0].actor is Actor.CLOUD
    other = event("ProvisioningFailed", "no", obj("PersistentVolumeClaim", "data-2"))
    _, found = unscheduled(
        "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        other,
        volumes=CLAIM,
        denied=("persistentvolumeclaims",),
    )
    assert "keeps the pod from every node" in found.message


def test_a_claim_without_a_class_asks_for_a_default_class_first():
    claim = obj("PersistentVolumeClaim", "data")
    said = event("FailedBinding", "no persistent volumes available for this claim and no storage class is set", claim)
    _, found = unscheduled(
        "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        said,
        volumes=CLAIM,
        denied=("persistentvolumeclaims",),
    )
    assert "is-default-class=true" in advised(found)


def test_a_gpu_that_nodes_lack_is_not_a_request_to_lower():
    spec = container(resources={"limits": {"nvidia.com/gpu": 1}, "requests": {"nvidia.com/gpu": 1}})
    _, found = unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", containers=[spec])
    assert "device plugin" in advised(found)
    assert "Lower requests" not in advised(found)


@pytest.mark.parametrize(("owner", "wanted"), [("Deployment", "deployment/api"), ("", "replicaset/api-1")])
def test_a_replica_set_alone_is_mended_in_its_deployment(owner, wanted):
    template = {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "app"}]}}
    below = obj("ReplicaSet", "api-1", spec={"replicas": 1, "template": template}, status={})
    if owner:
        below["metadata"]["ownerReferences"] = [{"kind": owner, "name": "api", "controller": True}]
    said = event(
        "FailedCreate",
        'Error creating: pods "api-1-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "app" must set securityContext.runAsNonRoot=true)',
        below,
    )
    (found,) = evaluation.diagnose_controller(ControllerCase(below, "ReplicaSet", cluster(below, said)))
    assert wanted in advised(found)


@pytest.mark.parametrize(
    ("said", "act"),
    [
        ('spec.containers[0].volumeMounts[0].name: Not found: "config"', "Declare volume config under volumes"),
        (
            'spec.containers[0].resources.requests: Invalid value: "2Gi": must be less than or equal to memory request',
            "Correct spec.containers[0].resources.requests",
        ),
        ("the moon is full", "no rule that is known"),
    ],
)
def test_a_template_that_is_not_valid_names_its_field(said, act):
    below = obj(
        "ReplicaSet", "api-1", spec={"replicas": 1, "template": {"spec": {"containers": [{"name": "app"}]}}}, status={}
    )
    refused = event("FailedCreate", f'Error creating: Pod "api-1-x" is invalid: {said}', below)
    (found,) = evaluation.diagnose_controller(ControllerCase(below, "ReplicaSet", cluster(below, refused)))
    assert act in advised(found)


@pytest.mark.parametrize(("lived", "wanted"), [(629, "LivenessProbeFailed"), (2, "KilledBySignal")])
def test_as_many_kills_as_restarts_name_the_killer_whatever_the_clocks_say(lived, wanted):
    spec = container(
        livenessProbe={"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "failureThreshold": 3}
    )
    ended = terminated(137, "Error", -71 - lived, -71)
    raw = pod(containers=[spec], statuses=[status("app", back_off(), ended, restarts=5)])
    words = "Container app failed liveness probe, will be restarted"
    kill = event("Killing", words, container="app", first=-720, last=-40, count=5)
    assert crash_findings(raw, kill)[0].cause == wanted


def test_runcs_word_about_a_missing_interpreter_counts_with_code_127():
    raw = pod(statuses=[status("app", back_off(), terminated(127, "Error", -130, -70))])
    found = crash_findings(raw, logs={"app": "exec /docker-entrypoint.sh: no such file or directory\n"})[0]
    assert found.cause == "CommandNotFound"
    assert "line ends" in advised(found)


def test_a_node_that_was_not_seen_is_told_of_by_the_event_about_its_pod():
    raw = pod(statuses=[status("app", running(-3600), ready=True)])
    lost = event("NodeNotReady", "Node is not ready", last=-300, component="node-controller")
    (found,) = crash_findings(raw, lost, denied=("nodes",))
    assert (found.cause, found.confidence.value) == ("NodeNotReady", "likely")
    back = event("Started", "Started container app", container="app", last=-10)
    assert "NodeNotReady" not in [f.cause for f in crash_findings(raw, lost, back, denied=("nodes",))]


def test_an_init_container_names_the_service_that_was_not_seen():
    wait = container("wait", command=["sh", "-c", "until nslookup postgres; do sleep 2; done"])
    raw = pod(
        containers=[container()],
        statuses=[status(state=waiting("PodInitializing"))],
        init=[wait],
        init_statuses=[status("wait", running(-3600))],
        phase="Pending",
    )
    unknown = crash_findings(raw, logs={"wait": "waiting\n"}, denied=("services",))[0]
    assert "Service postgres" in advised(unknown)
    told = crash_findings(
        raw, logs={"wait": "** server can't find postgres.shop.svc.cluster.local: NXDOMAIN\n"}, denied=("services",)
    )[0]
    assert "does not resolve" in told.message


@pytest.mark.parametrize(("policy", "wanted"), [("OrderedReady", True), ("Parallel", False)])
def test_a_stateful_set_that_waits_for_ready_pods_needs_the_pod_deleted(policy, wanted):
    top = obj("StatefulSet", "db", spec={"podManagementPolicy": policy})
    raw = pod(
        "db-0",
        owner=top,
        statuses=[status("app", back_off(), terminated(137, "OOMKilled", -70, -60))],
        containers=[container(resources={"limits": {"memory": "128Mi"}})],
    )
    said = advised(crash_findings(raw, top)[0])
    assert ("delete pod db-0" in said) is wanted, said
