"""A runtime without the program that it calls, a plugin's pod of which only an event tells, names that nobody knows."""

from support.nodes import LEADERS, lease, lost, node, pod, triage, world
from support.objects import at

NETWORK = (
    "False",
    "KubeletNotReady",
    "container runtime network not ready: NetworkReady=false "
    "reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
)
CALICO = pod("calico-node-7f", owner=("DaemonSet", "calico-node"), namespace="kube-system", phase="Pending")
CALICO["spec"]["containers"] = [{"name": "calico-node"}]
GONE = "unable to retrieve OCI runtime error (open /run/x/log.json: no such file or directory): {}: unknown"
PREFIX = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to create containerd task: "
    "failed to create shim task: OCI runtime create failed: "
)


def said(message, reason="FailedCreatePodSandBox"):
    return {
        "metadata": {"name": "calico.x", "namespace": "kube-system", "creationTimestamp": at(-300)},
        "involvedObject": {
            "kind": "Pod",
            "name": "calico-node-7f",
            "namespace": "kube-system",
            "uid": "uid-calico-node-7f",
        },
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet"},
        "count": 9,
        "lastTimestamp": at(-30),
    }


def ask(*events, log=""):
    snapshot = world([node("n1", NETWORK)], [lease("n1", -5), *LEADERS], [CALICO], events=events)
    if log:
        snapshot.add_node_log("n1", "kubelet.log", f"Nov 24 11:59:01 n1 kubelet[812]: {log}\n")
    return triage(snapshot, "n1").diagnoses[0].findings


def row(words):
    return f'E1124 11:59:01.123456     812 pod_workers.go:1301] "Error syncing pod, skipping" err="{PREFIX}{words}"'


def test_the_program_is_named_by_log_and_by_event():
    for program in (
        "fork/exec /usr/bin/nvidia-container-runtime: no such file or directory",
        'exec: "crun": executable file not found in $PATH',
    ):
        for found in (ask(said(PREFIX + GONE.format(program))), ask(log=row(GONE.format(program).replace('"', '\\"')))):
            assert found[0].cause == "ContainerRuntimeDown"
            assert "starts no container" in found[0].message
            assert "does not answer" not in found[0].message
            assert "default_runtime_name" in found[0].fix[0].text
            assert [f.cause for f in found].count("ContainerRuntimeDown") == 1


def test_a_command_that_a_containers_own_image_lacks_is_no_fault_of_the_runtime():
    words = 'runc create failed: unable to start container process: exec: "serve": executable file not found in $PATH'
    assert ask(said(PREFIX + words))[0].cause == "NetworkPluginNotReady"


def test_what_only_an_event_says_of_the_plugins_pod_is_quoted():
    found = ask(said('MountVolume.SetUp failed for volume "cfg": configmap "calico-config" not found', "FailedMount"))[
        0
    ]
    assert found.cause == "NetworkPluginNotReady"
    assert "calico-config" in found.message


EKS = "0A1B.gr7.eu-west-1.eks.amazonaws.com"


def unresolved(host, tail):
    snapshot = world([lost("n1", since=-600)], [*LEADERS])
    words = f'"Failed to ensure lease exists, will retry" err="Get \\"https://{host}/apis\\": dial tcp: {tail}"'
    snapshot.add_node_log(
        "n1",
        "kubelet.log",
        f"Nov 24 11:59:01 n1 kubelet[812]: E1124 11:59:01.123456     812 controller.go:145] {words}\n",
    )
    return triage(snapshot, "n1").diagnoses[0].findings[0]


def test_a_name_that_does_not_resolve_is_for_the_name_server():
    found = unresolved(EKS, f"lookup {EKS} on 10.20.0.2:53: no such host")
    assert found.cause == "ApiServerUnreachable"
    assert "10.20.0.2" in found.fix[0].text
    assert "enableDnsHostnames" in found.fix[0].text
    own = unresolved("api.corp.example", "lookup api.corp.example: no such host").fix[0].text
    assert "/etc/hosts" in own
    assert "VPC" not in own


def test_an_address_that_does_not_answer_is_no_matter_of_names():
    found = unresolved("10.0.0.9:6443", "dial tcp 10.0.0.9:6443: i/o timeout")
    assert found.cause == "ApiServerUnreachable"
    assert "name server" not in found.fix[0].text
