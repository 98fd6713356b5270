"""Components that end themselves, etcd seen by its logs alone, and webhooks that nobody answers: what each needs."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.needs import List, Log
from kubetriage.plugins import Request, load
from kubetriage.snapshot import Snapshot
from support.plane import NOW, ago, micro, zap


def pod(name: str, component: str, *, loops: bool = True) -> dict[str, Any]:
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": micro(ago(60)), "startedAt": micro(ago(70))}
    state = {"waiting": {"reason": "CrashLoopBackOff"}} if loops else {"running": {"startedAt": micro(ago(9000))}}
    status = {"name": component, "ready": not loops, "restartCount": 9 * loops, "state": state}
    if loops:
        status["lastState"] = {"terminated": ended}
    return {
        "metadata": {"name": name, "namespace": "kube-system", "uid": name, "labels": {"component": component}},
        "spec": {"nodeName": "m1", "containers": [{"name": component}]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


def node(name: str, address: str) -> dict[str, Any]:
    silent = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped"}
    times = {"lastHeartbeatTime": micro(ago(800)), "lastTransitionTime": micro(ago(760))}
    return {
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "status": {"addresses": [{"type": "InternalIP", "address": address}], "conditions": [{**silent, **times}]},
    }


def lease(name: str, age: float, namespace: str = "kube-node-lease") -> dict[str, Any]:
    spec = {"holderIdentity": name, "leaseDurationSeconds": 15, "renewTime": micro(ago(age))}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def ask(pods: list[Any], leases: list[Any], logs: dict[tuple[str, str, bool], str], nodes: int = 1) -> Any:
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("nodes"), [node(f"m{i}", f"10.0.0.{i}") for i in range(1, nodes + 1)])
    snapshot.add_list(List("pods", "kube-system"), pods)
    snapshot.add_list(List("leases"), leases)
    for (name, container, previous), content in logs.items():
        snapshot.add_log(Log("kube-system", name, container, previous), content)
    return load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]


def words(finding: Any) -> str:
    return " ".join([finding.message, *(f.text for f in finding.fix), *(c for f in finding.fix for c in f.commands)])


AT = ago(60).strftime("%H:%M:%S.%f")
DATE = ago(60).strftime("%m%d")
DIAL = f'W{DATE} {AT}       1 logging.go:59] createTransport failed to connect to {{Addr: "127.0.0.1:2379"}}. Err: '
STORE = f"F{DATE} {AT}       1 instance.go:290] Error creating leases: error creating storage factory: context deadline"


def failed(text: str) -> str:
    return f'E{DATE} {AT}       1 run.go:74] "command failed" err="{text}"'


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (failed("secret has the wrong length, loading encryption provider config /etc/enc.yaml"), "EncryptionConfig"),
        (failed("loading audit policy file: open /etc/audit.yaml: no such file or directory"), "audit policy"),
        (failed("open /etc/kubernetes/pki/sa.pub: no such file or directory"), "Put /etc/kubernetes/pki/sa.pub"),
        (failed("failed to listen on 0.0.0.0:6443: bind: address already in use"), "ss -ltnp"),
        (failed('enable-admission-plugins plugin "PodSecurityPolicy" is unknown'), "--enable-admission-plugins"),
        ("Error: unknown flag: --insecure-port\nUsage:\n  kube-apiserver [flags]", "Take --insecure-port out"),
        (f"{DIAL}dial tcp 127.0.0.1:2379: connect: connection refused\n{STORE}", "Bring etcd back first"),
        (f"{DIAL}tls: x509: certificate has expired or is not yet valid\n{STORE}", "Renew etcd's certificates"),
    ],
)
def test_the_last_words_of_a_looping_api_server_decide_what_ends_it(log, says):
    logs = {("kube-apiserver-m1", "kube-apiserver", True): log}
    found = ask([pod("kube-apiserver-m1", "kube-apiserver")], [lease("m1", 800)], logs).findings[0]
    assert found.cause == "ApiServerUnready"
    assert says in words(found)
    assert "node-triage" not in words(found), "the node looks lost because its API server is down"


def test_words_that_no_table_knows_are_quoted_and_get_no_guess():
    logs = {("kube-apiserver-m1", "kube-apiserver", True): failed("the moon is full")}
    found = ask([pod("kube-apiserver-m1", "kube-apiserver")], [lease("m1", 800)], logs).findings[0]
    assert "it ends with: " in found.message
    assert "the moon is full" in found.message
    assert "Correct" not in words(found)


MANAGER = "kube-controller-manager"
LOCK = f"E{DATE} {AT}       1 leaderelection.go:332] error retrieving resource lock kube-system/{MANAGER}: "


@pytest.mark.parametrize(
    ("line", "renews"),
    [(f"{LOCK}Unauthorized", True), (f"{LOCK}Get https://10.0.0.1:6443: context deadline exceeded", False)],
)
def test_a_manager_that_is_refused_needs_a_certificate(line, renews):
    leases = [lease("m1", 3), lease(MANAGER, 5000, "kube-system"), lease("kube-scheduler", 3, "kube-system")]
    found = ask([pod(f"{MANAGER}-m1", MANAGER, loops=False)], leases, {(f"{MANAGER}-m1", MANAGER, False): line})
    down = next(f for f in found.findings if f.cause == "ControllersDown")
    assert ("controller-manager.conf" in words(down)) is renews


def etcds(*rows: str) -> dict[tuple[str, str, bool], str]:
    return {(f"etcd-m{i}", "etcd", False): "\n".join(rows) for i in (1, 2, 3)}


SPOILED = zap(
    ago(20),
    "prober detected unhealthy status",
    **{
        "remote-peer-id": "b2",
        "error": "remote error: tls: bad certificate",
        "caller": "rafthttp/probing_status.go:68",
    },
)
REFUSED = SPOILED.replace("remote error: tls: bad certificate", "dial tcp 10.0.0.2:2380: connect: no route to host")
ELECTION = zap(ago(15), "8e9 is starting a new election at term 9", caller="etcdserver/zap_raft.go:77")
MEMBERS = [pod(f"etcd-m{i}", "etcd", loops=False) for i in (1, 2, 3)]


def test_members_that_refuse_each_others_certificates_need_no_restore():
    leases = [*(lease(f"m{i}", 800) for i in (1, 2, 3)), lease(MANAGER, 800, "kube-system")]
    found = ask(MEMBERS, leases, etcds(SPOILED), nodes=3).findings[0]
    assert found.cause == "EtcdQuorumLost"
    assert "certificate" in found.message
    assert "Do not restore" in words(found)


def test_such_words_while_leases_are_renewed_are_no_lost_quorum():
    leases = [*(lease(f"m{i}", 3) for i in (1, 2, 3)), lease(MANAGER, 2, "kube-system")]
    assert "EtcdQuorumLost" not in [f.cause for f in ask(MEMBERS, leases, etcds(SPOILED), nodes=3).findings]


@pytest.mark.parametrize(("age", "lost"), [(800, True), (3, False)])
def test_elections_without_end_beside_leases_that_nobody_renews_are_a_lost_quorum(age, lost):
    logs = {("etcd-m1", "etcd", False): "\n".join((REFUSED, ELECTION))}
    leases = [lease("m1", age), lease(MANAGER, age, "kube-system")]
    found = ask([MEMBERS[0]], leases, logs).findings
    assert ("EtcdQuorumLost" in [f.cause for f in found]) is lost


def hook_answer(error: str) -> Any:
    snapshot = Snapshot(NOW, source="dump", presumes_absent=True)
    ready = node("m1", "10.0.0.1")
    ready["status"]["conditions"][0]["status"] = "True"
    snapshot.add_list(List("nodes"), [ready])
    called = 'Error creating: Internal error occurred: failed calling webhook "a.b.c": failed to call webhook: '
    service = {"name": "hook", "namespace": "tools"}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    config = {
        "metadata": {"name": "cfg"},
        "webhooks": [{"name": "a.b.c", "failurePolicy": "Fail", "clientConfig": {"service": service}, "rules": [rule]}],
    }
    snapshot.add_list(List("validatingwebhookconfigurations"), [config])
    event = {
        "metadata": {"name": "e", "namespace": "shop"},
        "involvedObject": {"kind": "ReplicaSet", "name": "web", "namespace": "shop"},
        **{"reason": "FailedCreate", "type": "Warning", "count": 3, "message": called + error},
        **{"firstTimestamp": micro(ago(300)), "lastTimestamp": micro(ago(20))},
    }
    snapshot.add_list(List("events", "shop"), [event])
    return load("plane-trace").diagnose(snapshot, Request()).diagnoses[0].findings[0]


@pytest.mark.parametrize(
    ("error", "way"),
    [
        ('Post "https://hook.tools.svc:443/v": context deadline exceeded', True),
        ('Post "https://hook.tools.svc:443/v": dial tcp 10.1.1.1:9443: i/o timeout', True),
        ('Post "https://hook.tools.svc:443/v": no endpoints available for service "hook"', False),
    ],
)
def test_calls_that_time_out_need_a_way_and_not_pods(error, way):
    found = hook_answer(error)
    assert found.cause == "WebhookBlocking"
    assert ("Open the way" in words(found)) is way
    assert ("no ready endpoint" in found.message) is not way
