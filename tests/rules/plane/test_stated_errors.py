"""What the logs of a control plane state: conversion webhooks, key services, logins, foreign members, and the rest."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.needs import List, Log
from kubetriage.plugins import Request, load
from kubetriage.rules.plane.kubectl_errors import explain
from kubetriage.snapshot import Snapshot
from support.plane import NOW, ago, zap

AT = ago(60).strftime("%H:%M:%S.%f")
DATE = ago(60).strftime("%m%d")


def line(words: str, level: str = "E") -> str:
    return f"{level}{DATE} {AT}       1 file.go:59] {words}\n"


def pod(name: str, component: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "kube-system", "uid": name, "labels": {"component": component}},
        "spec": {"nodeName": "m1", "containers": [{"name": component}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": component, "ready": True, "state": {}}]},
    }


def node(name: str, ready: str = "True", version: str = "v1.31.4") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": f"10.0.0.{name[1:]}"}],
            "conditions": [{"type": "Ready", "status": ready}],
            "nodeInfo": {"kubeletVersion": version},
        },
    }


def ask(component: str, log: str, **lists: list[Any]) -> Any:
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("nodes"), lists.pop("nodes", [node("m1")]))
    snapshot.add_list(List("pods", "kube-system"), [pod(f"{component}-m1", component)])
    for resource, items in lists.items():
        snapshot.add_list(List(resource), items)
    snapshot.add_log(Log("kube-system", f"{component}-m1", component), log)
    return load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]


def words(diagnosis: Any) -> str:
    finding = diagnosis.findings[0]
    return " ".join(
        [finding.message, *(f.text for f in finding.fix), *(str(c) for f in finding.fix for c in f.commands)]
    )


CONVERSION = (
    'conversion webhook for example.io/v1beta1, Kind=Widget failed: Post "https://widget-hook.widgets.svc:443/convert'
    '?timeout=30s": '
)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ('service "widget-hook" not found', "install example.io again"),
        ("dial tcp 10.96.1.9:443: connect: connection refused", "pods behind service widgets/widget-hook"),
        ("context deadline exceeded", "pods behind service widgets/widget-hook"),
    ],
)
def test_a_conversion_webhook_stops_every_list_of_its_kind(reason: str, says: str) -> None:
    log = line(f"deletion of namespace team-a failed: {CONVERSION}{reason}") + line(
        "unable to sync caches for garbage collector"
    )
    found = ask("kube-controller-manager", log)
    assert found.cause == "WebhookBlocking"
    assert says in words(found)
    assert "namespace team-a stays Terminating" in words(found)
    assert "garbage collector stands still" in words(found)


def test_a_garbage_collector_alone_names_no_webhook() -> None:
    found = ask("kube-controller-manager", line("unable to sync caches for garbage collector") * 3)
    assert found.cause == "ControlPlaneErrors"


SOCKET = 'dial unix:///run/kms/plugin-kms.sock: connect: no such file or directory"'


@pytest.mark.parametrize(
    "log",
    [
        line("kms-provider-0 check failed: readyz") + line(f"connection error: {SOCKET}"),
        line('failed to list *core.Secret: unable to transform key "/registry/secrets/a/b": rpc error') + line(SOCKET),
        line(f'Err: connection error: desc = "transport: {SOCKET}', "W"),
    ],
)
def test_a_key_service_that_is_away_stops_secrets(log: str) -> None:
    found = ask("kube-apiserver", log)
    assert found.cause == "ApiServerUnready"
    assert "KMS plugin" in words(found)
    assert "/run/kms/plugin-kms.sock" in words(found)
    assert "Do not take the provider out" in words(found)


def test_another_socket_is_no_key_service() -> None:
    found = ask("kube-apiserver", line('dial unix /run/csi/csi.sock: connect: no such file or directory"', "W"))
    assert found.cause != "ApiServerUnready"


ISSUER = 'oidc authenticator: initializing plugin: Get "https://id.example/.well-known/openid-configuration": '


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (f"{ISSUER}tls: failed to verify certificate: x509: certificate signed by unknown authority", "--oidc-ca-file"),
        (f"{ISSUER}dial tcp: lookup id.example on 10.0.0.2:53: no such host", "do not ask the cluster's DNS"),
        (f"{ISSUER}dial tcp 192.0.2.7:443: i/o timeout", "Bring id.example back"),
        (f"{ISSUER}x509: certificate has expired or is not yet valid", "Renew the certificate of id.example"),
        (
            'Failed to make webhook authenticator request: Post "https://127.0.0.1:21362/authenticate": dial tcp'
            " 127.0.0.1:21362: connect: connection refused",
            "token webhook",
        ),
        (
            'Failed to make webhook authorizer request: Post "https://authz.example/check": context deadline exceeded',
            "no other authorizer",
        ),
    ],
)
def test_logins_fail_with_who_vouches_for_them(told: str, says: str) -> None:
    found = ask("kube-apiserver", line(told))
    assert found.cause == "AuthenticationFailing"
    assert says in words(found)
    assert "client certificate" in words(found)


def test_an_expired_token_of_one_client_is_no_fault_of_logins() -> None:
    log = line('"Unable to authenticate the request" err="[invalid bearer token, token is expired]"') * 2
    assert ask("kube-apiserver", log).cause != "AuthenticationFailing"


def test_tokens_that_another_key_signed_are_told_from_three_on() -> None:
    row = line(
        '"Unable to authenticate the request" err="[invalid bearer token, go-jose/go-jose: error in cryptographic'
        ' primitive]"'
    )
    assert ask("kube-apiserver", row * 2).cause != "AuthenticationFailing"
    found = ask("kube-apiserver", row * 3)
    assert found.cause == "AuthenticationFailing"
    assert "sa.pub" in words(found)


def mismatch(**fields: str) -> str:
    return zap(ago(60), "request sent was ignored by remote peer due to cluster ID mismatch", **fields)


def test_a_member_with_the_data_of_before_a_restore_is_of_another_cluster() -> None:
    ids = {"remote-peer-cluster-id": "96831dd7fb68f941", "local-member-cluster-id": "f3896440d3d0845"}
    log = mismatch(caller="rafthttp/stream.go:653", **{"remote-peer-id": "12ad", **ids})
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("nodes"), [node("m1", version="v1.30.4+k3s1"), node("m2", "Unknown", "v1.30.4+k3s1")])
    snapshot.add_log(Log("kube-system", "k3s", "k3s"), log)
    found = load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]
    assert found.cause == "EtcdDown"
    assert "another cluster" in words(found)
    assert "ssh 10.0.0.2 'sudo mv /var/lib/rancher/k3s/server/db" in words(found)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            'failed to list *v1.Node: nodes is forbidden: User "system:kube-scheduler" cannot list resource "nodes" in'
            ' API group "" at the cluster scope',
            "auth can-i list nodes --as=system:kube-scheduler",
        ),
        ('Get "https://10.9.8.7:8443/x": dial tcp 10.9.8.7:8443: i/o timeout', "answer at 10.9.8.7 on port 8443"),
        ("open /etc/kubernetes/cloud.conf: no such file or directory", "Bring /etc/kubernetes/cloud.conf back"),
        ('secrets "bootstrap" not found', "whether secrets bootstrap should exist"),
    ],
)
def test_an_error_that_no_rule_knows_is_told_with_what_it_names(told: str, says: str) -> None:
    found = ask("kube-scheduler", line(told) * 3)
    assert found.cause == "ControlPlaneErrors"
    assert says in words(found)


def test_one_error_is_no_news_and_neither_are_errors_beside_a_cause() -> None:
    assert ask("kube-scheduler", line("something odd") * 2).cause != "ControlPlaneErrors"
    log = line("something odd") * 5 + line("kms-provider-0 check failed: readyz")
    assert [f.cause for f in ask("kube-apiserver", log).findings] == ["ApiServerUnready"]


def api(reason: str, message: str) -> dict[str, Any]:
    condition = {"type": "Available", "status": "False", "reason": reason, "message": message}
    return {
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {"service": {"name": "metrics-server", "namespace": "kube-system"}},
        "status": {"conditions": [condition]},
    }


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            "x509: cannot validate certificate for 10.0.0.21 because it doesn't contain any IP SANs",
            "serverTLSBootstrap",
        ),
        ("dial tcp: lookup w1 on 10.96.0.10:53: no such host", "preferred-address-types"),
        ('Get "https://10.0.0.21:10250/metrics/resource": context deadline exceeded', "Open port 10250"),
        ('Get "https://10.0.0.21:10250/metrics/resource": 403 Forbidden', "auth can-i get nodes/metrics"),
        ('request to https://10.0.0.21:10250/ failed, status: "401 Unauthorized"', "authentication.webhook.enabled"),
    ],
)
def test_the_pods_behind_an_aggregated_api_say_why(told: str, says: str) -> None:
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("nodes"), [node("m1")])
    snapshot.add_list(List("apiservices"), [api("MissingEndpoints", "endpoints have no addresses")])
    log = line(f'"Failed to scrape node" err="{told}" node="w1"') + line('"Failed probe" err="no metrics"', "I")
    snapshot.add_log(Log("kube-system", "metrics-server-7-x", "metrics-server"), log)
    found = load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]
    assert found.cause == "APIServiceUnavailable"
    assert says in words(found)


def test_an_api_without_a_service_is_deleted_or_installed_again() -> None:
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("nodes"), [node("m1")])
    snapshot.add_list(List("apiservices"), [api("ServiceNotFound", "service/metrics-server is not present")])
    found = load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]
    assert found.findings[0].fix[0].commands == ("kubectl delete apiservice v1beta1.metrics.k8s.io",)
    assert "logs service/" not in words(found)


def operator(name: str, kind: str, status: str, message: str) -> dict[str, Any]:
    condition = {"type": kind, "status": status, "reason": "Odd", "message": message}
    return {"metadata": {"name": name}, "status": {"conditions": [condition]}}


def test_the_operator_that_others_stand_on_comes_first_with_the_node_that_it_waits_for() -> None:
    snapshot = Snapshot(NOW, source="dump")
    nodes = [node("m1"), node("m2", "Unknown")]
    nodes[0]["metadata"]["labels"]["node.openshift.io/os_id"] = "rhcos"
    snapshot.add_list(List("nodes"), nodes)
    told = 'NodeControllerDegraded: The master nodes not ready: node "m2" not ready since'
    operators = [
        operator("authentication", "Available", "False", "OAuthServer: no endpoints"),
        operator("etcd", "Degraded", "True", told),
        operator("dns", "Degraded", "False", ""),
    ]
    snapshot.add_list(List("clusteroperators"), operators)
    found = load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]
    finding = next(f for f in found.findings if f.cause == "ClusterOperatorDegraded")
    assert finding.object.name == "etcd"
    assert finding.details["operators"] == ["etcd", "authentication"]
    assert finding.fix[0].commands == ("kubectl node-triage m2",)


def test_operators_that_are_well_are_no_news() -> None:
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("nodes"), [node("m1")])
    fine = [operator("etcd", "Degraded", "False", ""), operator("dns", "Available", "True", "")]
    snapshot.add_list(List("clusteroperators"), fine)
    found = load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]
    assert "ClusterOperatorDegraded" not in [f.cause for f in found.findings]


def fatal(words: str) -> str:
    return f'time="{ago(60).isoformat()}" level=fatal msg="{words}"\n'


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("preparing server: bootstrap data already found and encrypted with different token", "server/token"),
        ("joining etcd cluster: duplicate node name found, please use a unique name", "delete the old Node"),
        ("failed to validate server configuration: critical configuration value mismatch", "cluster-cidr"),
        ("apiserver exited: unable to find suitable network address.error='no default routes found'", "default route"),
        (
            "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now",
            "take cluster-reset",
        ),
    ],
)
@pytest.mark.parametrize("agent", ["k3s", "rke2"])
def test_the_last_words_of_an_agent_ask_for_one_thing(told: str, says: str, agent: str) -> None:
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("nodes"), [node("m1", version=f"v1.30.4+{agent}1")])
    snapshot.add_log(Log("kube-system", agent, agent), fatal(told))
    found = load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]
    assert found.cause == "ApiServerUnready"
    assert says in words(found)


def looping(component: str) -> dict[str, Any]:
    raw = pod(f"{component}-m1", component)
    ended = {"exitCode": 1, "reason": "Error"}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    raw["status"]["containerStatuses"] = [
        {"name": component, "restartCount": 9, "state": state, "lastState": {"terminated": ended}}
    ]
    return raw


def looped(component: str, log: str) -> Any:
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("nodes"), [node("m1")])
    snapshot.add_list(List("pods", "kube-system"), [looping(component)])
    snapshot.add_log(Log("kube-system", f"{component}-m1", component), log)
    return load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]


@pytest.mark.parametrize("alert", ["bad certificate", "unknown certificate authority"])
def test_an_api_server_that_etcd_does_not_trust(alert: str) -> None:
    dial = 'createTransport failed to connect to {Addr: "127.0.0.1:2379"}. Err: handshake failed: remote error: tls: '
    dial += alert
    found = looped("kube-apiserver", line(dial, "W") + line("Error creating leases: context deadline exceeded", "F"))
    assert found.cause == "ApiServerUnready"
    assert "kubeadm certs renew apiserver-etcd-client" in words(found)


def test_a_component_that_uses_an_address_which_the_certificate_lacks() -> None:
    told = 'error retrieving resource lock: Get "https://10.1.1.9:6443/": x509: certificate is valid for 10.96.0.1'
    found = looped("kube-controller-manager", line(f"{told}, not 10.1.1.9"))
    assert found.cause == "ControllersDown"
    assert "--apiserver-cert-extra-sans=10.1.1.9" in words(found)


@pytest.mark.parametrize(
    ("told", "says", "not_said"),
    [
        (
            "discovery failed: listen tcp 10.9.9.9:2380: bind: cannot assign requested address",
            "10.9.9.9 no more",
            "member",
        ),
        ("listen tcp 10.0.0.1:2379: bind: address already in use", "ss -ltnp", "member remove"),
    ],
)
def test_an_address_that_etcd_cannot_take_is_no_matter_of_its_membership(told: str, says: str, not_said: str) -> None:
    found = looped("etcd", zap(ago(60), told, level="fatal") + "\n")
    assert found.cause == "EtcdDown"
    assert says in words(found)
    assert not_said not in words(found)


@pytest.mark.parametrize(
    "row",
    [
        {"msg": "alarm raised", "alarm": "CORRUPT"},
        {"msg": "failed compact hash check", "error": "leader's hash doesn't match"},
        {"msg": "found data inconsistency with peers"},
    ],
)
def test_members_whose_data_differ_are_replaced_before_the_alarm_is_disarmed(row: dict[str, str]) -> None:
    fields = {k: v for k, v in row.items() if k != "msg"}
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("nodes"), [node("m1")])
    snapshot.add_list(List("pods", "kube-system"), [pod(f"etcd-m{i}", "etcd") for i in (1, 2, 3)])
    snapshot.add_log(Log("kube-system", "etcd-m1", "etcd"), zap(ago(60), row["msg"], **fields) + "\n")
    found = load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]
    assert found.cause == "EtcdCorrupt"
    assert "hash differs from the majority" in words(found)
    assert found.findings[0].fix[-1].text.startswith("Disarm the alarm last")


def test_another_alarm_is_no_corruption() -> None:
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("pods", "kube-system"), [pod("etcd-m1", "etcd")])
    snapshot.add_log(Log("kube-system", "etcd-m1", "etcd"), zap(ago(60), "alarm raised", alarm="NOSPACE") + "\n")
    assert load("plane-trace").diagnose(snapshot, Request()).diagnoses[0].cause == "EtcdNoSpace"


@pytest.mark.parametrize(
    ("component", "code"), [("kube-controller-manager", "ControllersDown"), ("kube-scheduler", "SchedulerDown")]
)
def test_a_component_that_may_not_take_its_lease(component: str, code: str) -> None:
    told = (
        f'error retrieving resource lock kube-system/{component}: leases.coordination.k8s.io "{component}" is'
        f' forbidden: User "system:{component}" cannot get resource "leases" in API group "coordination.k8s.io"'
    )
    found = ask(component, line(told) * 2)
    assert found.cause == code
    assert f"get rolebinding system::leader-locking-{component}" in words(found)


def test_round_trips_in_a_log_tell_of_a_slow_network() -> None:
    rows = [
        zap(ago(600 - 60 * i), "prober found high clock drift", **{"clock-drift": "1.2s", "rtt": "380ms"})
        for i in range(5)
    ]
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_list(List("pods", "kube-system"), [pod("etcd-m1", "etcd")])
    snapshot.add_log(Log("kube-system", "etcd-m1", "etcd"), "\n".join(rows) + "\n")
    found = load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]
    assert found.cause == "EtcdSlowNetwork"
    assert "380" in words(found)


# Values that no configured key opens; a KMS plugin that does not answer is another matter.

KEY = 'unable to transform key "/registry/secrets/shop/db": '


@pytest.mark.parametrize(
    ("why", "says", "not_said"),
    [
        ("no matching prefix found", "identity: {} as the last provider of secrets", "a key that this"),
        ("invalid padding on input", "Put the old key back", "identity: {}"),
        ("cipher: message authentication failed", "Put the old key back", "identity: {}"),
        ("identity transformer tried to read encrypted data", "Put the old key back", "plain"),
    ],
)
def test_the_reason_says_whether_a_provider_or_a_key_is_missing(why, says, not_said):
    log = line(f"cacher (secrets): unexpected ListAndWatch error: failed to list *core.Secret: {KEY}{why}; reiniting")
    found = ask("kube-apiserver", log)
    assert found.findings[0].cause == "EncryptionKeyMissing"
    assert "secrets shop/db" in found.findings[0].message
    assert says in words(found)
    assert not_said not in words(found)
    assert "Delete nothing" in words(found)
    client = explain(f"Error from server (InternalError): Internal error occurred: {KEY}{why}")
    assert client.cause == "EncryptionKeyMissing"
    assert says in client.fix[0].text


def test_a_plugin_that_does_not_answer_is_no_missing_key():
    log = line(
        f"{KEY}failed to decrypt DEK, error: rpc error: code = Unavailable desc = dial unix /run/kms.sock: connect:"
    )
    assert ask("kube-apiserver", log).findings[0].cause == "ApiServerUnready"


def test_a_placeholder_in_the_file_is_told_from_a_lost_key():
    log = (
        'Error: error while parsing encryption provider configuration file "/etc/kubernetes/enc.yaml": could not obtain'
        " secret for named key key1: illegal base64 data at input byte 0\n"
    )
    found = ask("kube-apiserver", log)
    assert "variable unfilled" in words(found)
    assert "put the key back" in words(found)


def test_what_an_api_server_met_before_it_gave_up_names_etcds_certificate():
    met = (
        'grpc: addrConn.createTransport failed to connect to {Addr: "127.0.0.1:2379"}. Err: connection error: desc ='
        ' "transport: authentication handshake failed: x509: certificate is valid for 10.0.0.5, not 127.0.0.1"'
    )
    end = "Error creating leases: error creating storage factory: context deadline exceeded"
    found = ask("kube-apiserver", line(met, "W") + line(end, "F"))
    assert "etcd's server certificate lacks 127.0.0.1" in words(found)
    assert "kubeadm init phase certs etcd-server" in words(found)
    alone = ask("kube-apiserver", line(end, "F"))
    assert "etcd's server certificate" not in words(alone)
