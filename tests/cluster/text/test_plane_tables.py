"""What people paste of a control plane: tables of aggregated APIs, requests and operators, and health checks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubetriage.cli.main import main


def ask(tmp_path: Any, capsys: Any, plugin: str, text: str, *names: str) -> Any:
    file = tmp_path / "paste.txt"
    file.write_text(text, encoding="utf-8")
    main(plugin, ["--from", str(file), "-o", "json", *names])
    return json.loads(capsys.readouterr().out)["items"][0]


APIS = """$ kubectl get apiservices
NAME                     SERVICE                      AVAILABLE                  AGE
v1.apps                  Local                        True                       300d
v1beta1.metrics.k8s.io   kube-system/metrics-server   {}   300d
"""


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("False (MissingEndpoints)", "APIServiceUnavailable"),
        ("False (ServiceNotFound) ", "APIServiceUnavailable"),
        ("True                    ", "Unknown"),
    ],
)
def test_a_table_of_aggregated_apis(tmp_path, capsys, state, cause):
    assert ask(tmp_path, capsys, "plane-trace", APIS.format(state))["cause"] == cause


CHECKS = """$ kubectl get --raw='/readyz?verbose'
[+]ping ok
[{}]etcd {}
readyz check {}
"""


@pytest.mark.parametrize(
    ("checks", "causes"),
    [
        (("-", "failed: reason withheld", "failed"), ("EtcdDown", "ApiServerUnready")),
        (("+", "ok", "passed"), ("Unknown",)),
    ],
)
def test_health_checks_as_they_were_printed(tmp_path, capsys, checks, causes):
    assert ask(tmp_path, capsys, "plane-trace", CHECKS.format(*checks))["cause"] in causes


NODES = """$ oc get nodes
NAME       STATUS     ROLES    AGE    VERSION
master-0   NotReady   master   400d   v1.27.11+749fe1d
$ oc get csr
NAME        AGE   SIGNERNAME                                    REQUESTOR                          CONDITION
csr-2k9xl   12m   kubernetes.io/kube-apiserver-client-kubelet   system:serviceaccount:x:bootstrap  {}
"""


@pytest.mark.parametrize(("condition", "approves"), [("Pending", True), ("Approved,Issued", False)])
def test_a_table_of_signing_requests(tmp_path, capsys, condition, approves):
    item = ask(tmp_path, capsys, "node-triage", NODES.format(condition), "master-0")
    assert ("certificate approve csr-2k9xl" in json.dumps(item)) is approves


NOT_READY = """$ kubectl get nodes
NAME   STATUS     ROLES           AGE   VERSION
cp-1   Ready      control-plane   10d   v1.29.3
w-1    NotReady   <none>          9m    v1.29.3
"""
PLUGIN = """$ kubectl get pods -n kube-system -o wide
NAME                READY   STATUS                  RESTARTS      AGE   IP          NODE   NOMINATED NODE
calico-node-4xk2p   1/1     Running                 0             10d   10.0.0.11   cp-1   <none>
calico-node-9zq7d   0/1     {:<23} 6 (2m ago)    9m    10.0.0.12   w-1    <none>
"""
INSTALLS = """$ kubectl logs -n kube-system calico-node-9zq7d -c install-cni --previous
2026-11-29 10:01:33.456 [FATAL][1] cni-installer/install.go 508: Unable to create token for CNI kubeconfig error=Post \
"https://10.96.0.1:443/api/v1/namespaces/kube-system/serviceaccounts/calico-cni-plugin/token": dial tcp 10.96.0.1:443: \
i/o timeout
""".replace("\\\n", "")


def test_a_table_does_not_tell_a_silent_kubelet_from_one_that_reports_a_fault(tmp_path, capsys):
    item = ask(tmp_path, capsys, "node-triage", NOT_READY, "w-1")
    assert item["cause"] == "NodeNotReady"
    (finding,) = item["findings"]
    assert "which of them it is was not seen" in finding["message"]
    assert "kubectl describe node w-1" in str(finding["fix"])
    assert "kubectl -n kube-node-lease get lease w-1" in str(finding["fix"])
    assert ask(tmp_path, capsys, "triage", NOT_READY)["cause"] == "NodeNotReady"


@pytest.mark.parametrize("state", ["Init:CrashLoopBackOff", "Init:Error", "CrashLoopBackOff", "ImagePullBackOff"])
def test_beside_it_the_plugins_pod_that_fails_there_is_the_likely_reason(tmp_path, capsys, state):
    item = ask(tmp_path, capsys, "node-triage", NOT_READY + PLUGIN.format(state), "w-1")
    assert (item["cause"], item["findings"][0]["confidence"]) == ("NetworkPluginNotReady", "likely")
    assert f"kube-system/calico-node-9zq7d here is {state}" in item["summary"]


@pytest.mark.parametrize("state", ["Running", "Init:0/3", "Pending", "Terminating"])
def test_a_pod_that_only_waits_is_no_reason(tmp_path, capsys, state):
    assert ask(tmp_path, capsys, "node-triage", NOT_READY + PLUGIN.format(state), "w-1")["cause"] == "NodeNotReady"


def test_the_log_of_its_init_container_says_more(tmp_path, capsys):
    text = NOT_READY + PLUGIN.format("Init:CrashLoopBackOff") + INSTALLS
    assert "Unable to create token" in ask(tmp_path, capsys, "node-triage", text, "w-1")["summary"]
    item = ask(tmp_path, capsys, "why-crash", text, "calico-node-9zq7d", "-n", "kube-system")
    assert item["cause"] == "DependencyUnreachable"
    assert "install-cni ended because 10.96.0.1:443 timed out" in item["summary"]


COMPONENTS = """NAME                 STATUS      MESSAGE                                        ERROR
controller-manager   Healthy     ok
scheduler            Unhealthy   Get "http://127.0.0.1:10251/healthz": dial tcp 127.0.0.1:10251: connect: refused
{}
"""


@pytest.mark.parametrize(
    ("row", "cause", "told"),
    [
        ('etcd-0               Healthy     {"health":"true"}', "Unknown", "that alone is no fault"),
        (
            'etcd-0               Unhealthy   Get "https://127.0.0.1:2379/health": context deadline exceeded',
            "EtcdDown",
            "no sign of health from its etcd server etcd-0",
        ),
    ],
)
def test_a_table_of_components(tmp_path, capsys, row, cause, told):
    item = ask(tmp_path, capsys, "plane-trace", COMPONENTS.format(row))
    assert item["cause"] == cause
    assert told in item["summary"]


REFUSED = """$ kubectl logs -n kube-system {} --tail 2
E1128 10:00:01.123456       1 leaderelection.go:332] error retrieving resource lock kube-system/kube-scheduler: \
leases.coordination.k8s.io "kube-scheduler" is forbidden: User "system:kube-scheduler" cannot get resource "leases" in \
API group "coordination.k8s.io" in the namespace "kube-system"
"""
LOOP = """$ kubectl logs -n kube-system coredns-7d9f8c6b5-x2x4q
[FATAL] plugin/loop: Loop (127.0.0.1:55953 -> :53) detected for zone ".", see coredns.io/plugins/loop. Query: "1"
"""


@pytest.mark.parametrize("pod", ["kube-scheduler-cp1", "kube-scheduler-ip-10-0-1-7.ec2.internal", "kube-scheduler"])
def test_the_log_of_a_part_of_the_control_plane_alone(tmp_path, capsys, pod):
    assert ask(tmp_path, capsys, "plane-trace", REFUSED.format(pod))["cause"] == "SchedulerDown"


def test_the_log_of_another_pod_of_kube_system_alone(tmp_path, capsys):
    item = ask(tmp_path, capsys, "why-crash", LOOP)
    assert (item["target"]["name"], item["target"]["namespace"]) == ("coredns-7d9f8c6b5-x2x4q", "kube-system")
    assert "its queries come back to itself" in item["summary"]


ENDED = """$ kubectl logs -n kube-system kube-controller-manager-cp1 --previous
{}
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Error: unknown flag: --pod-eviction-timeout", "Take --pod-eviction-timeout out of"),
        (
            "F1128 10:00:21.823456       1 controllermanager.go:1] open /etc/kubernetes/pki/sa.key: no such file or"
            " directory",
            "Put /etc/kubernetes/pki/sa.key on the host",
        ),
    ],
)
def test_the_last_words_of_a_controller_manager_alone(tmp_path, capsys, words, told):
    item = ask(tmp_path, capsys, "plane-trace", ENDED.format(words))
    assert item["cause"] == "ControlPlaneErrors"
    assert told in json.dumps(item)


def test_a_lost_election_is_no_end_of_its_own(tmp_path, capsys):
    words = 'E1128 10:00:21.823456       1 controllermanager.go:1] "leaderelection lost"'
    assert ask(tmp_path, capsys, "plane-trace", ENDED.format(words))["cause"] != "ControlPlaneErrors"
