"""A runtime without the program that it calls, a plugin's pod of which only an event tells, names that nobody knows."""

from kubetriage.needs import Log
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


# What makes and stops a kubelet.


def told(line, unit="kubelet[812]", name="kubelet.log", image=""):
    made = lost("n1", since=-600)
    made["status"]["nodeInfo"]["osImage"] = image
    snapshot = world([made], [*LEADERS])
    snapshot.add_node_log("n1", name, f"Nov 24 11:59:01 n1 {unit}: {line}\n" if unit else f"{line}\n")
    return triage(snapshot, "n1").diagnoses[0].findings[0]


def ends(words):
    return told(f'E1124 11:59:01.123456     812 run.go:72] "command failed" err="{words}"')


LABELS = (
    "failed to validate kubelet flags: unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [{}]"
)


def test_labels_that_a_kubelet_may_not_set_are_named():
    found = ends(LABELS.format("node-role.kubernetes.io/worker"))
    assert found.cause == "KubeletConfigInvalid"
    assert "Take node-role.kubernetes.io/worker out of --node-labels" in found.fix[0].text
    assert any("kubectl label node n1 node-role.kubernetes.io/worker=" in str(c) for c in found.fix[0].commands)


def test_what_is_kept_back_is_held_against_what_is_there():
    found = told(
        'E1124 11:59:01.123456     812 kubelet.go:1649] "Failed to start ContainerManager" err="invalid Node'
        ' Allocatable configuration. Resource \\"memory\\" has a reservation of {{3221225472 0} {<nil>} 3Gi BinarySI}'
        ' but capacity of {{2062450688 0} {<nil>} 2014112Ki BinarySI}. Expected capacity >= reservation."'
    )
    assert found.cause == "KubeletConfigInvalid"
    assert "3Gi reserved, 2014112Ki there" in found.message


def test_the_one_flag_of_unknown_last_words_is_named():
    assert "--odd-flag" in ends("failed to run Kubelet: --odd-flag is not what it should be").fix[0].text
    both = ends("failed to run Kubelet: --odd-flag and --even-flag exclude one another").fix[0].text
    assert "--odd-flag" not in both


NODEADM = '{"level":"fatal","ts":1.1,"caller":"nodeadm/main.go:36","msg":"Command failed","error":"{}"}'
ROLE = (
    "operation error EKS: DescribeCluster, api error AccessDeniedException: User:"
    " arn:aws:sts::111122223333:assumed-role/workers/i-0abd is not authorized to perform: eks:DescribeCluster"
)


def test_what_makes_a_machines_kubelet_says_why_there_is_none():
    found = told(NODEADM.replace("{}", ROLE), "nodeadm[1643]")
    assert found.cause == "KubeletUnauthorized"
    assert "eks:DescribeCluster to the nodes' role workers" in found.fix[0].text
    other = told(NODEADM.replace("{}", "dial tcp 10.0.0.1:443: i/o timeout"), "nodeadm[1643]")
    assert other.cause == "KubeletDown"
    assert "Open the way" in other.fix[0].text


def test_talos_that_cannot_pull_its_kubelet_names_the_registry():
    line = (
        "user: warning: [2026-11-24T11:55:01.1Z]: [talos] service[kubelet](Failed): Failed to run pre stage: failed to"
        ' pull image "ghcr.io/siderolabs/kubelet:v1.31.1": failed to resolve reference: dial tcp: i/o timeout'
    )
    found = told(line, "", "dmesg.log", "Talos (v1.9.1)")
    assert found.cause == "KubeletDown"
    assert "reach ghcr.io" in found.fix[0].text
    assert "Talos" in found.message


def plugin_says(*rows):
    flannel = pod("kube-flannel-ds-b4", owner=("DaemonSet", "kube-flannel-ds"), namespace="kube-flannel")
    flannel["spec"]["containers"] = [{"name": "kube-flannel"}]
    snapshot = world([node("n1", NETWORK, podCIDR="10.244.1.0/24")], [lease("n1", -5), *LEADERS], [flannel])
    snapshot.add_log(Log("kube-flannel", "kube-flannel-ds-b4", "kube-flannel"), "".join(f"{r}\n" for r in rows))
    return triage(snapshot, "n1").diagnoses[0].findings[0]


def test_words_of_a_plugins_pod_say_what_its_node_lacks():
    for words, says in (
        ("Failed to check br_netfilter: stat /proc/sys/net/bridge/bridge-nf-call-iptables: no such file", "modprobe"),
        ("iptables v1.8.7: can't initialize iptables table `nat': Table does not exist", "iptable_nat"),
        ("failed to list nodes: dial tcp 10.96.0.1:443: i/o timeout", "kube-proxy"),
    ):
        found = plugin_says(f"E1124 11:59:00.500000       1 main.go:279] {words}")
        assert found.cause == "NetworkPluginNotReady"
        assert says in " ".join([found.fix[0].text, *map(str, found.fix[0].commands)])
    assert "why-crash" in plugin_says("E1124 11:59:00.500000       1 main.go:1] odd error").fix[0].text


def test_what_a_plugin_says_before_it_ends_counts_more_than_that_it_ends():
    found = plugin_says(
        "2026-11-24 11:59:00.500 [WARNING][9] startup/utils.go 49: Calico node 'cp-1' is already using the IPv4 address"
        " 172.17.0.1.",
        "Calico node failed to start",
    )
    assert "same address 172.17.0.1:" in found.fix[0].text
    assert "IP_AUTODETECTION_METHOD" in found.fix[0].text


def test_a_machine_whose_later_attempt_came_through_is_left_alone():
    snapshot = world([node("n1")], [lease("n1", -5), *LEADERS])
    row = NODEADM.replace("{}", ROLE)
    snapshot.add_node_log("n1", "kubelet.log", f"Nov 24 11:59:01 n1 nodeadm[1643]: {row}\n")
    assert "KubeletUnauthorized" not in [f.cause for f in triage(snapshot, "n1").diagnoses[0].findings]
