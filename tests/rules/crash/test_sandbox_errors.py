"""Sandboxes that cannot be made: addresses by platform, agents, old runtimes; ids are left out."""

import pytest

from kubetriage.model import Actor
from support.objects import advised, back_off, crash_findings, event, pod, status, terminated, waiting

ID = "71ef22cdaf65163adca4c97ed66df6a7cdcdcbe7c011d0ff62a77648cba5b46b"
LEAD = f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "{ID}": '


def refused(words):
    target = pod(statuses=[status(state=waiting("ContainerCreating"))], phase="Pending")
    (found,) = crash_findings(target, event("FailedCreatePodSandBox", LEAD + words))
    assert found.cause == "SandboxCreateFailed"
    return found


@pytest.mark.parametrize(
    ("words", "act", "actor"),
    [
        (
            'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container',
            "max-pods",
            Actor.CLOUD,
        ),
        (
            'plugin type="azure-vnet" failed (add): Failed to allocate address: No available addresses',
            "larger subnet",
            Actor.CLOUD,
        ),
        (
            'plugin type="host-local" failed (add): range 0: no IP addresses available in range set: '
            "10.4.1.1-10.4.1.254",
            "/var/lib/cni/networks",
            Actor.CLUSTER,
        ),
        ('plugin type="calico" failed (add): no more free addresses: no IPs available', "IPPool", Actor.CLUSTER),
        (
            'plugin type="cilium-cni" failed (add): unable to allocate IP via local cilium agent: range is full',
            "CiliumNode",
            Actor.CLUSTER,
        ),
        (
            'plugin type="whereabouts" failed (add): Could not allocate IP in range: ip: 10.0.0.1',
            "reservations",
            Actor.CLUSTER,
        ),
    ],
)
def test_addresses_by_platform(words, act, actor):
    found = refused(words)
    assert "no free address" in found.message
    assert act in advised(found)
    assert found.fix[0].actor is actor


def test_an_unknown_plugin_is_told_without_what_its_platform_lacks():
    words = advised(refused('plugin type="acme" failed (add): no available IPs'))
    assert "ENI" not in words
    assert "Free addresses on node-1" in words


@pytest.mark.parametrize(
    "words",
    [
        'plugin type="multus-shim" failed (add): CmdAdd (shim): CNI request failed: dial unix /run/multus/multus.sock: '
        "connect: connection refused",
        'plugin type="antrea" failed (add): rpc error: code = Unavailable desc = dial unix /var/run/antrea/cni.sock: '
        "connect: connection refused",
        'plugin type="cilium-cni" failed (add): unable to connect to Cilium daemon: failed to create client',
    ],
)
def test_an_agent_that_does_not_answer_is_the_plugins_pod(words):
    assert "agent on node-1, which does not answer" in advised(refused(words))


@pytest.mark.parametrize(
    ("words", "act"),
    [
        (
            "Multus: [voip/sip]: error loading k8s delegates: GetCNIConfig: err in GetCNIConfigFromFile: No networks "
            "found "
            "in /etc/cni/multus/net.d",
            "NetworkAttachmentDefinition",
        ),
        ("Multus: error getting pod: Unauthorized", "Restart the multus pod"),
        (
            'plugin type="multus-shim" failed (add): CmdAdd (shim): CNI request failed with status 400: plugin '
            'type="flannel" failed (add): open /run/flannel/subnet.env: no such file or directory',
            "hostPath /run/flannel",
        ),
        (
            'plugin type="flannel" failed (add): open /run/flannel/subnet.env: no such file or directory',
            "spec.podCIDR",
        ),
        ('plugin type="cilium-cni" failed (add): unable to create endpoint: Cilium API client timeout exceeded', "CPU"),
        ('plugin type="linkerd-cni" failed (add): exit status 127', "iptables"),
        ('plugin type="aws-cni" failed (add): dial tcp 127.0.0.1:50051: connect: connection refused', "ipamd"),
        ('plugin type="bridge" failed (add): incompatible CNI versions; config is "1.0.0"', "cniVersion"),
    ],
)
def test_what_plugins_say_has_its_own_act(words, act):
    assert act in advised(refused(words))


def test_ids_are_stripped_and_the_tail_with_the_reason_stays():
    words = f'plugin type="calico" failed (add): error getting ClusterInformation: container "{ID}" Unauthorized'
    found = refused(words)
    assert ID not in found.message
    assert "Unauthorized" in found.message


@pytest.mark.parametrize(
    ("words", "act"),
    [
        ("name api_shop_u_0 is reserved for " + ID, "crictl"),
        ("runc create failed: error adding seccomp rule: function not implemented", "Upgrade runc"),
        ("the moon is full", "not known here"),
    ],
)
def test_the_node_and_its_runtime(words, act):
    target = pod(statuses=[status(state=waiting("ContainerCreating"))], phase="Pending")
    lead = "Failed to create pod sandbox: rpc error: code = Unknown desc = "
    (found,) = crash_findings(target, event("FailedCreatePodSandBox", lead + words))
    assert act in advised(found)
    assert found.fix[0].actor is Actor.NODE


@pytest.mark.parametrize(
    "words",
    [
        'plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory',
        'plugin type="aws-cni" failed (add): dial tcp 127.0.0.1:50051: connect: connection refused',
        "cni plugin not initialized",
    ],
)
def test_leads_to_the_plugins_pod_on_the_node(words):
    name = "calico-node-abcde"
    agent = pod(
        name,
        namespace="kube-system",
        statuses=[status(state=back_off(pod=name), last=terminated(1, "Error", -30, -20))],
    )
    target = pod(statuses=[status(state=waiting("ContainerCreating"))], phase="Pending")
    told = event("FailedCreatePodSandBox", LEAD + words)
    found = next(f for f in crash_findings(target, told, agent) if f.cause == "SandboxCreateFailed")
    assert found.details["root"]["name"] == name
    assert name in found.message
    elsewhere = {**agent, "spec": {**agent["spec"], "nodeName": "node-9"}}
    found = next(f for f in crash_findings(target, told, elsewhere) if f.cause == "SandboxCreateFailed")
    assert "root" not in found.details


def too_low(limit):
    words = (
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to create containerd task: failed to "
        "create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
        "container init was OOM-killed (memory limit too low?): unknown"
    )
    spec = {"name": "app", "image": "acme/api:1", "resources": {"limits": {"memory": limit}}}
    target = pod(containers=[spec], statuses=[status(state=waiting("ContainerCreating"))], phase="Pending")
    (found,) = crash_findings(target, event("FailedCreatePodSandBox", words))
    return found


def test_a_limit_in_thousandths_of_a_byte_is_named():
    found = too_low("256m")
    assert found.cause == "SandboxCreateFailed"
    assert "app 256m" in found.message
    assert "thousandths of a byte" in found.message
    assert "app to 256Mi" in found.fix[0].text


@pytest.mark.parametrize("limit", ["100", "2Mi", "512k"])
def test_a_limit_that_is_too_small_for_a_sandbox_is_named_without_a_guess(limit):
    found = too_low(limit)
    assert f"app {limit}" in found.message
    assert "thousandths" not in found.message
    assert found.fix[0].patch is None


def test_a_runtime_without_user_namespaces():
    told = "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces"
    target = pod(statuses=[status(state=waiting("ContainerCreating"))], phase="Pending", hostUsers=False)
    (found,) = crash_findings(target, event("FailedCreatePodSandBox", told))
    assert "hostUsers: false" in advised(found)
    assert "runtime's log" not in advised(found)


def test_a_node_without_room_for_a_process():
    lead = "Failed to create pod sandbox: rpc error: code = Unknown desc = "
    target = pod(statuses=[status(state=waiting("ContainerCreating"))], phase="Pending")
    full = event("FailedCreatePodSandBox", f"{lead}fork/exec /usr/bin/runc: resource temporarily unavailable")
    (found,) = crash_findings(target, full)
    assert "podPidsLimit" in found.fix[0].text
    assert found.fix[0].actor is Actor.NODE
    other = event("FailedCreatePodSandBox", f"{lead}read tcp: resource temporarily unavailable")
    assert "podPidsLimit" not in advised(crash_findings(target, other)[0])
