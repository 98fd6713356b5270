"""Public incidents about data, locks and volumes: the ids that the data carries, what is gone, who holds it."""
# ruff: noqa: E501

import pytest

from support.objects import (
    advised,
    back_off,
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

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}


def told(log, *objects, mount="/data", volume=CLAIM, env=(), labels=None, **pod_spec):
    made = container(image="registry.example/api:1.4", volumeMounts=[{"name": "data", "mountPath": mount}])
    if env:
        made["env"] = [{"name": k, "value": v} for k, v in env]
    raw = pod(
        containers=[made],
        statuses=[status("app", back_off(), terminated(1, "Error", -80, -60))],
        labels=labels,
        volumes=[volume],
        **pod_spec,
    )
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


NODE_ID = "kafka.common.InconsistentNodeIdException: Configured node.id `1001` doesn't match stored node.id `1389' in meta.properties. If you moved your data, make sure your configured controller.id matches.\n\tat kafka.Kafka.main(Kafka.scala)\n"
CLUSTER_ID = "2025-06-09 03:02:11,144 ERROR Exiting Kafka due to fatal exception (kafka.Kafka$) [main]\njava.lang.RuntimeException: Invalid cluster.id in: /data/kafka-log0/meta.properties. Expected pS4cwz5wQC2vFvbCaJPdRg, but read IGG0uPuGRRaWQ9JQMxLZJA\n\tat kafka.Kafka.main(Kafka.scala)\n"


def test_an_id_goes_back_to_what_the_data_has_by_its_variable():
    found, said = told(NODE_ID, env=[("KAFKA_NODE_ID", "1001")])
    assert found.details["stored"] == "1389"
    assert 'value: "1389"' in said
    assert "the data has 1389" in said


def test_an_operators_cluster_id_is_set_in_its_object():
    _, said = told(CLUSTER_ID, labels={"strimzi.io/cluster": "my"})
    assert '"clusterId":"IGG0uPuGRRaWQ9JQMxLZJA"' in said
    assert "patch kafka my" in said
    _, plain = told(CLUSTER_ID)
    assert "patch kafka" not in plain
    assert "IGG0uPuGRRaWQ9JQMxLZJA" in plain


@pytest.mark.parametrize(
    "log",
    [
        'level=error ts=2021-04-09T06:29:57.302Z caller=main.go:800 err="opening storage failed: reloadBlocks blocks: open /data/01F2Z077M9/meta.json: no such file or directory"\n',
        "panic: open /data/000012.sst: no such file or directory\n\ngoroutine 1 [running]:\nmain.main()\n\t/x/main.go:1 +0x1\n",
    ],
)
def test_a_file_that_the_program_alone_writes_is_lost_data(log):
    found, said = told(log)
    assert found.details["mechanism"] == "data-part-missing"
    assert "Put the file" not in said
    assert "copy of the volume" in said


def test_a_network_file_system_behind_lost_data_is_named():
    claim = obj("PersistentVolumeClaim", "data-0", spec={"volumeName": "pv-1"}, status={"phase": "Bound"})
    volume = obj("PersistentVolume", "pv-1", spec={"csi": {"driver": "file.csi.azure.com"}})
    log = 'level=error caller=main.go:800 err="opening storage failed: open block /data/01F/meta.json: no such file or directory"\n'
    assert "Azure Files (SMB)" in told(log, claim, volume)[1]


def test_a_configuration_file_that_is_missing_is_no_lost_data():
    found, _ = told("Error: open /data/app.yaml: no such file or directory\n")
    assert found.details.get("mechanism") != "data-part-missing"


LOCK = "java.lang.IllegalStateException: failed to obtain node locks, tried [/data]; maybe these locations are not writable or multiple nodes were started on the same data path?\n\tat org.x.Env.<init>(Env.java:292)\n"


def test_a_lock_that_cannot_be_made_is_no_lock_that_is_held():
    found, said = told(LOCK + "Caused by: java.nio.file.NoSuchFileException: /data/node.lock\n\tat a.B.c(B.java:1)\n")
    assert found.cause == "PermissionDenied"
    assert "fsGroup" in said
    assert "no other process holds it" in said
    held, said = told(LOCK)
    assert held.details["mechanism"] == "data-locked"
    assert "fsGroup" not in said


def test_erlangs_lists_of_characters_are_words():
    codes = ",".join(str(ord(c)) for c in "Cookie file /data/.erlang.cookie is of type ")
    log = (
        "2023-08-05 03:10:11.310213+00:00 [error] <0.130.0> \nBOOT FAILED\n===========\nException during startup:\n\n"
        f"error:{{badmatch,{{error,{{{{shutdown,{{failed_to_start_child,auth,{{[{codes}|directory],[{{auth,init,1,[]}}]}}}}}}}}}}}}\n"
    )
    found, said = told(log)
    assert found.details["mechanism"] == "file-is-directory"
    assert "/data/.erlang.cookie is a directory" in said
    numbers = "Error: bad weights [10,200,300,400,500,600,700,800,900,100]\n"
    assert "[10,200" in told(numbers)[1]


def test_a_metadata_service_that_is_not_reached_comes_before_roles():
    log = 'E0508 04:50:11.868297       1 main.go:154] "Could not determine region from any metadata service." err="error getting instance data from ec2 metadata or kubernetes api"\n'
    late = 'I0508 04:49:41.864780       1 metadata.go:52] "failed to retrieve instance data" err="operation error ec2imds: GetInstanceIdentityDocument, request canceled, context deadline exceeded"\n'
    found, _ = told(late + log)
    assert "--http-put-response-hop-limit" in found.fix[0].commands[0]
    found, _ = told("An error occurred: Unable to locate credentials\n")
    assert "role-arn" in found.fix[0].text


def test_a_kind_that_is_not_named_may_be_a_removed_one():
    _, said = told(
        '{"level":"error","msg":"unable to create controller","controller":"Ingress","error":"the server could not find the requested resource"}\n'
    )
    assert "removed" in said
    assert "kubectl api-versions" in said
    _, named = told('no matches for kind "Widget" in version "example.org/v1"\n')
    assert "kubectl api-resources --api-group=example.org" in named


def volume_message(words):
    raw = pod(
        containers=[container(volumeMounts=[{"name": "data", "mountPath": "/data"}])],
        statuses=[status("app", waiting("ContainerCreating"))],
        volumes=[CLAIM],
        phase="Pending",
    )
    found = crash_findings(
        raw, event("FailedMount", f'MountVolume.MountDevice failed for volume "pvc-1" : {words}', raw)
    )[0]
    return f"{found.message}\n{advised(found)}"


def test_a_device_that_multipathd_may_hold():
    out = "mount failed: exit status 32 Mounting command: mount Output: mount: /x/globalmount: "
    assert "multipath.conf" in volume_message(out + "/dev/longhorn/pvc-1 already mounted or mount point busy.")
    assert "multipath" not in volume_message(out + "10.0.0.4:/share already mounted or mount point busy.")


def test_the_server_of_longhorns_shared_volume_is_a_pod():
    at = "/var/lib/kubelet/plugins/kubernetes.io/csi/{}/1a/globalmount\nOutput: mount.nfs: Connection timed out"
    mount = "mount failed: exit status 32\nMounting arguments: mount -t nfs 10.43.6.2:/pvc-1 "
    assert "share-manager-pvc-1" in volume_message(mount + at.format("driver.longhorn.io"))
    assert "share-manager" not in volume_message(mount + at.format("nfs.csi.k8s.io"))


def proxy(log, message="Readiness probe failed: HTTP probe failed with statuscode: 503"):
    made = container(
        "istio-proxy",
        "registry.example/proxyv2:1.20.0",
        readinessProbe={"httpGet": {"path": "/healthz/ready", "port": 15021}},
    )
    raw = pod(containers=[made], statuses=[status("istio-proxy", running(-600), started=True)])
    found = crash_findings(
        raw, event("Unhealthy", message, raw, container="istio-proxy", count=9), logs={"istio-proxy": log}
    )[0]
    return f"{found.message}\n{advised(found)}"


NO_CONFIG = (
    "2022-01-02T06:20:33Z     warn    Envoy proxy is NOT ready: config not received from Pilot (is Pilot running?)\n"
)


def test_a_proxy_that_may_not_read_its_token_needs_the_group():
    refused = "2022-01-02T06:20:31Z     warn    failed to fetch token from file: open ./var/run/secrets/tokens/istio-token: permission denied\n"
    assert "fsGroup: 1337" in proxy(refused + NO_CONFIG)
    assert "fsGroup" not in proxy(NO_CONFIG)


def test_a_proxy_that_does_not_reach_istiod_is_not_told_to_listen():
    log = '2023-03-08T18:08:50Z\twarn\tsds\tfailed to warm certificate: failed to generate workload certificate: create certificate: rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing dial tcp 10.2.1.6:15012: connect: connection timed out"\n'
    refused = 'Readiness probe failed: Get "http://10.1.1.3:15021/healthz/ready": dial tcp 10.1.1.3:15021: connect: connection refused'
    said = proxy(log, refused)
    assert "does not reach istiod" in said
    assert "listen on" not in said
    assert "istio-system" in said


def test_a_sub_path_that_is_gone_from_the_node_needs_a_new_pod():
    message = 'failed to start container "ab": Error response from daemon: OCI runtime create failed: container_linux.go:345: starting container process caused "rootfs_linux.go:58: mounting \\"/var/lib/kubelet/pods/33/volume-subpaths/key/app/0\\" to rootfs \\"/var/lib/docker/overlay2/15/merged\\" at \\"/etc/key.json\\" caused \\"no such file or directory\\"": unknown'
    raw = pod(
        containers=[container(volumeMounts=[{"name": "key", "mountPath": "/etc/key.json", "subPath": "key.json"}])],
        statuses=[
            status("app", waiting("RunContainerError", message), terminated(128, "ContainerCannotRun", -60, -60))
        ],
        volumes=[{"name": "key", "secret": {"secretName": "key"}}],
    )
    found = crash_findings(raw, obj("Secret", "key", data={"key.json": ""}))[0]
    assert found.cause == "VolumeMountError"
    assert "delete pod api" in advised(found)
