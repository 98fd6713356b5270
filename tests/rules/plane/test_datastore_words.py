"""Datastores that a server's log explains, what tools said, and the agents of the tunnel: what each needs."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.needs import List, Log
from kubetriage.plugins import Request, load
from kubetriage.snapshot import Snapshot
from support.plane import NOW, ago, zap

AT = ago(30).strftime("%Y-%m-%dT%H:%M:%SZ")


def logrus(words: str, level: str = "error") -> str:
    return f'time="{AT}" level={level} msg="{words}"\n'


def ask(logs: dict[str, str], pods: list[Any] | None = None, node_logs: dict[str, str] | None = None) -> Any:
    snapshot = Snapshot(NOW, source="dump")
    if pods is not None:
        snapshot.add_list(List("pods", "kube-system"), pods)
    for name, content in logs.items():
        pod, _, container = name.rpartition("/")
        snapshot.add_log(Log("kube-system", pod or container, container), content)
    for source, content in (node_logs or {}).items():
        snapshot.add_node_log("srv1", source, content)
    return load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]


def words(diagnosis: Any) -> str:
    finding = diagnosis.findings[0]
    commands = (str(c) for f in finding.fix for c in f.commands)
    return " ".join([finding.message, *(f.text for f in finding.fix), *commands])


MOVED = (
    "Failed to test data store connection: this server is a not a member of the etcd cluster. Found [{}], expect: {}"
)
ME = "k3s1-2f5d=https://192.168.1.{}:2380"


@pytest.mark.parametrize(
    ("found", "says", "not_said"),
    [
        (ME.format(10), "--cluster-reset", "kubectl delete node"),
        (
            f"{ME.format(10)} k3s2-11aa=https://192.168.1.11:2380",
            "sudo mv /var/lib/rancher/k3s/server/db",
            "--cluster-reset",
        ),
    ],
)
def test_a_server_with_another_address_gets_the_old_one_back(found: str, says: str, not_said: str) -> None:
    got = ask({}, node_logs={"journalctl -u k3s": logrus(MOVED.format(found, ME.format(57)), "info")})
    assert got.cause == "EtcdDown"
    assert "192.168.1.10 back" in words(got)
    assert "192.168.1.57" in words(got)
    assert says in words(got)
    assert not_said not in words(got)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("error in txn: pq: sorry, too many clients already", "max_connections"),
        ("error: FATAL: remaining connection slots are reserved (SQLSTATE 53300)", "PgBouncer"),
        ("error: Error 1045 (28000): Access denied for user 'k3s'@'10.0.0.5'", "datastore-endpoint"),
        ("error: pq: cannot execute INSERT in a read-only transaction", "primary"),
        ("failed: dial tcp 10.0.0.9:3306: connect: connection refused", "Bring the SQL server back"),
    ],
)
def test_an_sql_server_that_refuses_is_no_slow_disk(row: str, says: str) -> None:
    got = ask({}, node_logs={"journalctl -u k3s": logrus(row)})
    assert got.cause == "EtcdDown"
    assert says in words(got)
    assert "SSD" not in words(got)


def test_the_database_of_an_application_is_not_the_clusters() -> None:
    assert (
        ask({}, node_logs={"x": logrus("hook app-db: dial tcp 10.0.0.9:6379: connection refused")}).cause != "EtcdDown"
    )


def test_dqlite_without_a_leader_wants_its_voters() -> None:
    row = f"{AT} mk1 microk8s.daemon-k8s-dqlite[1]: " + logrus(
        "load cluster.yaml: no available dqlite leader server found"
    )
    got = ask({}, node_logs={"journalctl": row})
    assert got.cause == "EtcdQuorumLost"
    assert "cluster.yaml" in words(got)


def test_a_learner_that_is_not_promoted_is_told_with_its_way_out() -> None:
    row = zap(
        ago(30), "rejecting promote learner: learner is not ready", level="warn", caller="etcdserver/server.go:1310"
    )
    got = ask({"etcd-10.0.0.1/etcd": f"10.0.0.1: {row}\n"})
    assert got.cause == "EtcdDown"
    assert "2380" in words(got)
    assert "talosctl" in words(got)
    assert "reset --system-labels-to-wipe=EPHEMERAL" in words(got)


def test_a_removed_member_wipes_its_own_data_only() -> None:
    row = zap(ago(30), "server error", level="warn", error="the member has been permanently removed from the cluster")
    got = ask({"etcd-10.0.0.1/etcd": f"10.0.0.1: {row}\n"})
    assert got.cause == "EtcdDown"
    assert "of this member alone" in words(got)
    assert "restore" not in words(got)
    assert "remove-member" not in words(got)


def test_damaged_data_are_no_proof_that_no_other_member_is_left() -> None:
    row = zap(ago(30), "failed to recover v3 backend from snapshot", level="panic", error="snapshot file doesn't exist")
    got = ask({"etcd-m1/etcd": row + "\n"})
    assert "No other member is left" not in words(got)
    assert "Only if no other member has whole data" in words(got)


TABLE = (
    "admin.conf                 Aug 11, 2025 20:15 UTC   {}       ca                      no\n"
    "apiserver                  Aug 11, 2025 20:15 UTC   {}       ca                      no\n"
)


def test_kubeadms_table_tells_which_certificates_are_over() -> None:
    got = ask({"kubeadm": TABLE.format("<invalid>", "<invalid>")})
    assert got.cause == "CertificateExpiring"
    assert "admin.conf, apiserver" in words(got).replace(" and ", ", ")
    assert "crictl stop" in words(got)
    assert ask({"kubeadm": TABLE.format("285d", "285d")}).cause != "CertificateExpiring"


HOOK = (
    "unable to reconcile clusterrolebinding system:x: Internal error occurred: failed calling webhook"
    ' "roles.example.io": failed to call webhook: Post "https://hook.sys.svc:443/r": context deadline exceeded'
)


def klog(level: str, source: str, row: str) -> str:
    return f"{level}{ago(30).strftime('%m%d')} {ago(30).strftime('%H:%M:%S.%f')}       1 {source}] {row}\n"


def test_a_webhook_that_keeps_an_api_server_from_starting_is_deleted_or_left_out_once() -> None:
    end = klog(
        "F", "hooks.go:203", 'PostStartHook "rbac/bootstrap-roles" failed: unable to initialize roles: timed out'
    )
    got = ask({"kube-apiserver": klog("E", "storage_rbac.go:264", HOOK) + end})
    assert {f.cause for f in got.findings} >= {"ApiServerUnready", "WebhookBlocking"}
    assert "roles.example.io" in words(got)
    assert "--disable-admission-plugins" in words(got)
    alone = ask({"kube-apiserver": end})
    assert "--disable-admission-plugins" not in words(alone)


def test_a_call_that_fails_open_blocks_nothing() -> None:
    row = (
        'Failed calling webhook, failing open hook.example.io: failed calling webhook "hook.example.io": Post: refused'
    )
    assert ask({"kube-apiserver": klog("W", "dispatcher.go:170", row)}).cause != "WebhookBlocking"


def agent(name: str, *, reason: str = "", kind: str = "ReplicaSet") -> dict[str, Any]:
    state = {"waiting": {"reason": reason}} if reason else {"running": {}}
    return {
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "ownerReferences": [{"kind": kind, "name": "konnectivity-agent-1", "controller": True}],
        },
        "spec": {"containers": [{"name": "agent"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False" if reason else "True"}],
            "containerStatuses": [{"name": "agent", "ready": not reason, "restartCount": 3, "state": state}],
        },
    }


NONE = 'Error from server: Get "https://10.2.0.5:10250/containerLogs/shop/web/web": No agent available\n'


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        ([agent("konnectivity-agent-1-x", reason="CrashLoopBackOff")], "why-crash konnectivity-agent-1-x"),
        ([agent("konnectivity-agent-1-x")], "rollout restart deployment/konnectivity-agent"),
        ([agent("konnectivity-agent-x", kind="DaemonSet")], "rollout restart daemonset/konnectivity-agent"),
        ([], "rollout restart daemonset/konnectivity-agent"),
    ],
)
def test_the_agents_of_the_tunnel_tell_which_side_is_cut(pods: list[Any], says: str) -> None:
    got = ask({"kubectl": NONE}, pods)
    assert got.cause == "APIServiceUnavailable"
    assert says in words(got)


def test_a_server_of_konnectivity_is_no_agent() -> None:
    got = ask({"kubectl": NONE}, [agent("konnectivity-server-x", reason="CrashLoopBackOff")])
    assert "why-crash" not in words(got)


def test_static_pods_of_a_table_are_known_by_their_names() -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": AT}
    status = {
        "name": "kube-apiserver",
        "ready": True,
        "restartCount": 9,
        "state": {"running": {}},
        "lastState": {"terminated": ended},
    }
    pod = {
        "metadata": {"name": "kube-apiserver-m1", "namespace": "kube-system"},
        "spec": {"nodeName": "m1", "containers": [{"name": "kube-apiserver"}]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }
    got = ask({}, [pod])
    assert got.cause == "ControlPlaneRestarts"
    assert "list all objects" in words(got)
    labelled = {**pod, "metadata": {**pod["metadata"], "labels": {"app": "kube-apiserver-proxy"}}}
    assert ask({}, [labelled]).cause != "ControlPlaneRestarts"


def test_a_webhook_that_is_not_trusted_needs_its_certificate_and_not_its_pods() -> None:
    row = HOOK.replace("context deadline exceeded", "x509: certificate signed by unknown authority")
    got = ask({"kube-apiserver": klog("E", "storage_rbac.go:264", row)})
    assert got.cause == "WebhookBlocking"
    assert "caBundle" in words(got)
    assert "Bring back the pods" not in words(got)
    plain = ask(
        {"kube-apiserver": klog("E", "storage_rbac.go:264", HOOK.replace("context", "connection refused context"))}
    )
    assert "caBundle" not in words(plain)


def test_flags_that_an_api_server_requires_are_named_with_values() -> None:
    row = f"{AT} m1 kube-apiserver[9]: Error: [service-account-issuer is a required flag]\n"
    got = ask({}, node_logs={"journalctl": row})
    assert got.cause == "ApiServerUnready"
    assert "--service-account-signing-key-file=" in words(got)


def test_etcdctls_table_shows_the_alarm() -> None:
    row = "| https://10.0.0.11:2379 | 8e9e05c52164694d | 3.5.9 | 2.1 GB | true | false | 11 | 9 | 9 | alarm:{} |\n"
    assert ask({"etcdctl": row.format("NOSPACE")}).cause == "EtcdNoSpace"
    assert ask({"etcdctl": row.format("")}).cause != "EtcdNoSpace"
