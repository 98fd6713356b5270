"""What a control plane shows beside metrics: its pods, every component's words, aggregated APIs, deadlocks,"
" blindness."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubetriage.needs import Body, Failure, List, Log, Raw, Why
from kubetriage.plugins import Request, load
from kubetriage.rules.plane import api_server, leases
from kubetriage.snapshot import Snapshot
from support.plane import NOW, Plane, ago, health, micro, timed_out, zap

FDATASYNC = zap(ago(20), "slow fdatasync", took="7.45s", caller="wal/wal.go:806")


def unlisted(plane: Plane, *logs: tuple[str, str, str]) -> Any:
    """Ask about a plane with further logs under plain names."""
    snapshot = plane.snapshot()
    for pod, container, content in logs:
        snapshot.add_log(Log("kube-system", pod, container), content)
    return load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]


def only(*logs: tuple[str, str, str]) -> Any:
    """Ask about logs alone, as a user has them when the API server is down."""
    snapshot = Snapshot(NOW, source="dump")
    for pod, container, content in logs:
        snapshot.add_log(Log("kube-system", pod, container), content)
    return load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]


def text_of(got: Any) -> str:
    return " ".join(
        [f.message for f in got.findings] + [c for f in got.findings for x in f.fix for c in (x.text, *x.commands)]
    )


# etcd's words in every wrapping

WRAPPED = [
    FDATASYNC,
    f"2026-01-02T11:59:40.000000000Z stderr F {FDATASYNC}",
    f"10.0.0.1: {FDATASYNC}",
    f"Jan 02 11:59:40 cp-1 k3s[77]: {FDATASYNC}",
    "2026-01-02 11:59:40.000000 W | wal: sync duration of 7.45s, expected less than 1s",
    FDATASYNC[:-12],
]


@pytest.mark.parametrize("row", WRAPPED)
def test_a_slow_fsync_is_seen_in_every_wrapping(row):
    got = only(("etcd-cp-1", "etcd", row))
    assert got.cause == "EtcdSlowDisk"


def test_a_log_that_was_not_understood_is_no_quiet_log():
    plane = Plane(members=1, listen="http://127.0.0.1:2381")
    plane.logs = {"etcd-cp-1": ["some other program", "says things"]}
    got = plane.diagnosis()
    link = next(x for x in got.extra["links"] if x["link"] == "etcd disk")
    assert link["state"] == "not seen"
    assert "0 of 2 lines understood" in link["evidence"]
    assert got.cause == "Unknown"


# The control plane's own pods


def looping(code: int = 1, reason: str = "Error", restarts: int = 84) -> dict[str, Any]:
    ended = {"exitCode": code, "reason": reason, "finishedAt": micro(ago(30)), "startedAt": micro(ago(200))}
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}
    return {"phase": "Running", "containerStatuses": [
        {"name": "x", "restartCount": restarts, "ready": False, "state": state, "lastState": {"terminated": ended}}
    ]}  # fmt: skip


@pytest.mark.parametrize(
    ("component", "cause"),
    [
        ("kube-apiserver", "ApiServerUnready"),
        ("kube-controller-manager", "ControllersDown"),
        ("kube-scheduler", "SchedulerDown"),
    ],
)
def test_a_looping_component_breaks_its_link(component, cause):
    plane = Plane()
    plane.leader_age = {}
    plane.pods_changed = {component: looping()}
    got = plane.diagnosis()
    assert cause in [f.cause for f in got.findings]
    assert "CrashLoopBackOff" in text_of(got)


def etcd_loops(plane: Plane, **ending: Any) -> Snapshot:
    snapshot = plane.snapshot()
    for i, name in enumerate(plane.members, 1):
        raw = plane._pod(name, i)
        raw["status"] = looping(**ending)
        raw["status"]["containerStatuses"][0]["name"] = "etcd"
        snapshot.add("pods", raw)
    return snapshot


def ask(snapshot: Snapshot) -> Any:
    return load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("tocommit(11) is out of range [lastIndex(3)]. Was the raft log corrupted, truncated, or lost?", "snapshot"),
        ("failed to recover v3 backend from snapshot", "snapshot"),
        ("listen tcp 10.0.0.1:2380: bind: cannot assign requested address", "address"),
        ("open /etc/kubernetes/pki/etcd/server.crt: no such file or directory", "certificates"),
        ("write /var/lib/etcd/member/wal: no space left on device", "Free the disk"),
    ],
)
def test_etcds_last_words_choose_the_fix(words, advice):
    plane = Plane(members=1, listen="http://127.0.0.1:2381")
    snapshot = etcd_loops(plane)
    snapshot.add_log(
        Log("kube-system", "etcd-cp-1", "etcd", True), zap(ago(31), words, level="fatal").replace("warn", "x", 1)
    )
    got = ask(snapshot)
    assert got.cause == "EtcdDown"
    assert words[:30] in got.findings[0].message
    assert advice in " ".join(f.text for f in got.findings[0].fix)


def killed(reason: str, count: int, message: str = "x", name: str = "etcd-cp-1") -> dict[str, Any]:
    about = {"kind": "Pod", "name": name, "namespace": "kube-system"}
    meta = {"name": f"{name}.{reason}", "namespace": "kube-system"}
    return {"metadata": meta, "involvedObject": about, "reason": reason, "message": message, "count": count,
            "lastTimestamp": micro(ago(29)), "firstTimestamp": micro(ago(9000)), "type": "Normal"}  # fmt: skip


def test_a_kubelet_that_stops_its_static_pods_is_named_and_not_etcd():
    plane = Plane(members=1, listen="http://127.0.0.1:2381")
    plane.events = [killed("Killing", 84), killed("SandboxChanged", 84)]
    got = ask(etcd_loops(plane, code=0, reason="Completed"))
    assert "kubelet of cp-1 stops" in got.findings[0].message
    assert "cgroup" in text_of(got)


def test_a_probe_that_kills_is_no_cgroup_driver():
    plane = Plane(members=1, listen="http://127.0.0.1:2381")
    probe = killed("Unhealthy", 9, "Liveness probe failed: HTTP probe failed with statuscode: 503")
    plane.events = [killed("Killing", 84), killed("SandboxChanged", 84), probe]
    got = ask(etcd_loops(plane, code=137))
    assert "cgroup" not in text_of(got)


def test_one_looping_member_of_three_leaves_a_quorum():
    plane = Plane()
    snapshot = plane.snapshot()
    raw = plane._pod("etcd-cp-1", 1)
    raw["status"] = looping()
    snapshot.add("pods", raw)
    assert next(f for f in ask(snapshot).findings if f.cause == "EtcdDown").severity.value == "warning"


# etcd from outside


def blind(members: int = 0, *, frozen: float = 600.0) -> Plane:
    plane = Plane(members=members, listen="http://127.0.0.1:2381")
    plane.livez = plane.readyz = health("etcd")
    plane.frozen(frozen)
    plane.quorum = timed_out()
    plane.api = ([], [])
    return plane


@pytest.mark.parametrize(("members", "cause"), [(0, "EtcdDown"), (1, "EtcdDown"), (3, "EtcdQuorumLost")])
def test_failing_etcd_checks_and_frozen_leases_are_evidence_against_etcd(members, cause):
    got = blind(members).diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == (cause, "likely")
    follows = [f for f in got.findings if f.cause == "ApiServerUnready"]
    assert follows[0].details["consequenceOf"] == cause


def test_after_a_minute_only_a_stalling_disk_is_a_candidate_too():
    got = blind(frozen=45.0).diagnosis()
    assert got.findings[0].confidence.value == "possible"
    assert "disk stalls" in got.findings[0].message


@pytest.mark.parametrize(("members", "cause"), [(0, "EtcdDown"), (3, "EtcdQuorumLost")])
def test_a_read_that_hangs_outweighs_a_check_that_passes(members, cause):
    """Of clients that ask at once all but one are told the check's last result."""
    plane = blind(members)
    plane.livez = plane.readyz = health()
    got = plane.diagnosis()
    assert got.cause == cause
    states = {x["link"]: x["state"] for x in got.extra["links"]}
    assert states["etcd quorum and leader"] == "broken"


def test_a_check_that_fails_when_asked_again_counts():
    plane = blind()
    plane.livez = plane.readyz = health()
    plane.raw = {api_server.READYZ_LATER: health("etcd")}
    got = plane.diagnosis()
    assert got.cause == "EtcdDown"
    assert any("asked again" in e.at for e in got.findings[0].evidence)


def test_a_check_that_passes_again_and_reads_that_answer_are_not_etcd():
    plane = blind()
    plane.livez = plane.readyz = health()
    plane.quorum = None
    plane.raw = {api_server.READYZ_LATER: health()}
    assert plane.diagnosis().cause == "ApiServerUnready"


@pytest.mark.parametrize(("failures", "cause"), [(3, "EtcdDown"), (1, "Unknown")])
def test_lists_that_hang_beside_checks_that_pass_are_evidence_against_etcd(failures, cause):
    """A watch cache that lost its etcd answers lists no more, and a user without further rights sees nothing else."""
    snapshot = Snapshot(NOW, source="cluster")
    for need in (api_server.LIVEZ, api_server.READYZ):
        snapshot.add_body(need, health())
    snapshot.add_body(Raw("/version"), Body('{"gitVersion": "v1.28.15"}', 200))
    lists = (leases.NODE_LEASES, leases.SYSTEM_LEASES, List("nodes"), List("pods", "kube-system"))
    for i, need in enumerate(lists):
        forbidden = Failure(Why.FORBIDDEN, "forbidden", 403)
        snapshot.fail(need, Failure(Why.TIMEOUT, "i/o timeout") if i < failures else forbidden)
    got = load("plane-trace").diagnose(snapshot, Request()).diagnoses[0]
    assert got.cause == cause
    assert got.cause == "Unknown" or got.findings[0].confidence.value == "possible"


def quiet(slow: float, livez: float = 0.05) -> Plane:
    """Both leaders late, the checks pass, and a lease read through etcd takes ``slow`` seconds; no metrics."""
    plane = Plane(members=3, listen="http://127.0.0.1:2381")
    plane.livez = plane.readyz = Body("ok", 200, livez)
    plane.leader_age = {"kube-controller-manager": 29.0, "kube-scheduler": 39.0}
    lease = {"metadata": {"name": leases.CONTROLLER_MANAGER, "namespace": "kube-system"}}
    lease["spec"] = {"holderIdentity": "cp-1", "renewTime": micro(ago(29))}
    plane.quorum = Body(json.dumps(lease), 200, slow)
    plane.api = ([], [])
    return plane


def test_a_slow_read_through_etcd_is_evidence_where_metrics_are_forbidden():
    got = quiet(4.06).diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdSlowDisk", "possible")
    assert {f.cause for f in got.findings if f.details.get("consequenceOf") == "EtcdSlowDisk"} == {
        "ControllersDown",
        "SchedulerDown",
    }


@pytest.mark.parametrize(("slow", "livez"), [(0.02, 0.01), (4.06, 3.9)])
def test_a_quick_read_or_a_slow_api_server_is_not_etcd(slow, livez):
    assert "EtcdSlowDisk" not in [f.cause for f in quiet(slow, livez).diagnosis().findings]


def test_a_read_that_is_given_up_while_leases_are_renewed_is_a_slow_etcd():
    plane = quiet(0.0)
    plane.quorum = timed_out()
    got = plane.diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdSlowDisk", "possible")


def unreached(*sayers: int, age: float = 20, last: float = 5, back: bool = False) -> Plane:
    plane = Plane(members=3, listen="http://127.0.0.1:2381")
    probe = {"remote-peer-id": "393946eff881cca6", "rtt": "0s", "error": "dial tcp 10.0.0.1:2380: connect: refused"}
    for n in (1, 2, 3):
        rows = [zap(ago(600), "ready to serve client requests")]
        if n in sayers:
            rows.append(zap(ago(age), "prober detected unhealthy status", **probe))
            rows += [zap(ago(age - 1), "peer became active", **{"peer-id": probe["remote-peer-id"]})] if back else []
        if n != 1:
            rows.append(zap(ago(last), "apply request took too long", took="120ms"))
        plane.logs[f"etcd-cp-{n}"] = rows
    return plane


@pytest.mark.parametrize(("sayers", "confidence"), [((2, 3), "likely"), ((3,), "possible")])
def test_a_member_that_the_others_do_not_reach_is_named_without_metrics(sayers, confidence):
    got = unreached(*sayers).diagnosis()
    assert (got.cause, got.findings[0].severity.value, got.findings[0].confidence.value) == (
        "EtcdDown",
        "warning",
        confidence,
    )
    assert "etcd-cp-1" in got.findings[0].message


@pytest.mark.parametrize("change", [{"age": 600}, {"back": True}])
def test_a_member_that_came_back_or_was_missed_long_ago_is_not_down(change):
    assert "EtcdDown" not in [f.cause for f in unreached(2, 3, **change).diagnosis().findings]


def test_slow_but_finished_requests_mean_a_slow_etcd():
    plane = blind(1, frozen=20.0)
    plane.quorum = None
    total = 'etcd_request_duration_seconds_{}{{operation="get",resource="pods"}} {}'
    plane.api = (
        plane.api_lines(total.format("count", 100), total.format("sum", 1)),
        plane.api_lines(total.format("count", 150), total.format("sum", 201)),
    )
    got = plane.diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdSlowDisk", "possible")


def test_lists_refused_while_the_watch_cache_is_rebuilt_are_no_overload():
    plane = blind(3)
    words = "storage is (re)initializing, retry after 1s"
    plane.raw = {Raw("/api/v1/nodes"): Body(words, 429)}
    got = plane.diagnosis()
    assert got.cause == "EtcdQuorumLost"
    assert "ApiServerOverloaded" not in [f.cause for f in got.findings if "consequenceOf" not in f.details]


def test_links_never_contradict_each_other_on_one_check():
    plane = Plane(members=0)
    plane.readyz = health("etcd")
    states = {x["link"]: x for x in plane.diagnosis().extra["links"]}
    assert "passes and fails" in states["etcd quorum and leader"]["evidence"]


# One process with everything in it


def test_kine_is_named_where_there_is_no_etcd():
    sql = 'time="2026-01-02T11:59:40Z" level=info msg="Slow SQL (started: x) (total time: 1.5s): SELECT (SELECT"'
    lost = 'Jan 02 11:59:45 cp k3s[1]: E0102 11:59:45.064229    1 controllermanager.go:328] "leaderelection lost"'
    got = only(("k3s", "k3s", "\n".join([f"Jan 02 11:59:40 cp k3s[1]: {sql}"] * 2 + [lost])))
    assert got.cause == "EtcdSlowDisk"
    assert "kine" in got.findings[0].message
    assert "etcdctl" not in text_of(got)
    assert got.findings[1].details["consequenceOf"] == "EtcdSlowDisk"


def test_a_locked_datastore_that_costs_the_lease_is_the_cause():
    locked = 'time="2026-01-02T11:59:40Z" level=error msg="error while range on /registry/health: database is locked"'
    lost = "F0102 11:59:42.1 1 controllermanager.go:300] leaderelection lost"
    got = only(("kubelite", "kubelite", f"{locked}\n{lost}"))
    assert (got.cause, got.findings[1].cause) == ("EtcdSlowDisk", "ControllersDown")
    assert "ApiServerUnready" not in [f.cause for f in got.findings]


def test_other_components_tell_that_the_api_server_refuses_them():
    row = "E0102 11:59:50.1 1 leaderelection.go:327] error retrieving resource lock kube-system/kube-scheduler: Get"
    row += ' "https://10.0.0.10:6443/apis": dial tcp 10.0.0.10:6443: connect: connection refused'
    got = only(("kube-scheduler", "kube-scheduler", row))
    assert got.cause == "ApiServerUnready"
    assert "10.0.0.10:6443" in got.findings[0].message
    healthy = unlisted(Plane(), ("kube-scheduler-cp-1", "kube-scheduler", row))
    assert healthy.cause == "Healthy"


def test_one_slow_statement_is_no_slow_datastore():
    sql = 'time="2026-01-02T11:59:40Z" level=info msg="Slow SQL (started: x) (total time: 1.5s): SELECT"'
    assert only(("k3s", "k3s", sql)).cause == "Unknown"


FATAL = 'time="2026-01-02T11:59:40Z" level=fatal msg="starting kubernetes: preparing server: bootstrap: https timeout"'


@pytest.mark.parametrize(
    ("pod", "container", "row"),
    [
        ("k3s", "k3s", FATAL),
        ("kube-apiserver-cp-1", "kube-apiserver", "F0102 11:59:40.1 1 server.go:1] unknown flag: --insecure-port"),
    ],
)
def test_the_last_words_of_a_process_are_the_cause_where_nothing_else_is_seen(pod, container, row):
    got = only((pod, container, row))
    assert got.cause == "ApiServerUnready"
    assert row[-20:].strip('"') in got.findings[0].message


def test_a_kubelets_last_words_are_not_the_api_servers():
    snapshot = Snapshot(NOW, source="dump")
    snapshot.add_node_log(
        "", "journal", "Jan 02 11:59:40 w1 kubelet[1]: F0102 11:59:40.1 1 server.go:1] unknown flag: --x"
    )
    assert ask(snapshot).cause == "Unknown"


# Certificates

EXPIRED = (
    "E0102 11:59:40.610253       1 authentication.go:53] Unable to authenticate the request due to an error: x509:"
    " certificate has expired or is not yet valid: current time 2026-01-02T11:59:40Z is after 2026-01-02T01:10:16Z"
)


def test_clients_with_expired_certificates_are_told_from_the_servers_own():
    got = unlisted(Plane(), ("kube-apiserver-cp-1", "kube-apiserver", EXPIRED))
    assert got.cause == "CertificateExpiring"
    assert got.findings[0].details["ended"] == ["2026-01-02T01:10:16Z"]
    assert "kubeadm certs renew all" in text_of(got)


def test_an_old_refusal_is_over():
    old = EXPIRED.replace("E0102 11:59:40", "E0102 08:59:40")
    assert "CertificateExpiring" not in [
        f.cause for f in unlisted(Plane(), ("kube-apiserver-cp-1", "kube-apiserver", old)).findings
    ]


NOT_YET = EXPIRED.replace("is after 2026-01-02T01:10:16Z", "is before 2026-01-02T13:10:16Z")
UNKNOWN_CA = EXPIRED[: EXPIRED.index("x509")] + "x509: certificate signed by unknown authority"
SHAKEN = (
    "I0102 11:59:4{} 1 log.go:172] http: TLS handshake error from 10.0.0.5:3433{}: remote error: tls: bad certificate"
)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([NOT_YET], "a clock is wrong"),
        ([UNKNOWN_CA], "authority that it does not know"),
        ([SHAKEN.format(f"{i}.100000", i) for i in range(4)], "Clients refuse the API server's serving certificate"),
    ],
)
def test_certificates_that_are_refused_without_having_expired(rows, words):
    got = unlisted(Plane(), ("kube-apiserver-cp-1", "kube-apiserver", "\n".join(rows)))
    assert got.cause == "CertificateRejected"
    assert words in got.findings[0].message


def test_one_failed_handshake_is_a_scanner():
    row = SHAKEN.format("1.100000", 1)
    assert unlisted(Plane(), ("kube-apiserver-cp-1", "kube-apiserver", row)).cause == "Healthy"


# Parts that run just now


def running(reason: str = "Error", code: int = 1, restarts: int = 9, ended: float = 120) -> dict[str, Any]:
    last = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": micro(ago(ended))}}
    return {"containerStatuses": [
        {"name": "x", "ready": True, "restartCount": restarts, "state": {"running": {}}, "lastState": last}
    ]}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (running(), True),
        (running("OOMKilled", 137, 1, 1800), True),
        (running(restarts=1), False),
        (running(ended=7200), False),
        (running("OOMKilled", 137, 1, 7200), False),
    ],
)
def test_a_part_that_ended_lately_again_is_not_ok(status, told):
    plane = Plane()
    plane.pods_changed = {"kube-apiserver": status}
    assert plane.diagnosis().cause == ("ControlPlaneRestarts" if told else "Healthy")


def test_restarts_are_not_told_beside_what_explains_them():
    plane = blind(0)
    plane.pods_changed = {"kube-scheduler": running()}
    assert "ControlPlaneRestarts" not in [f.cause for f in plane.diagnosis().findings]


# Aggregated APIs


def api(message: str, status: str = "False", reason: str = "FailedDiscoveryCheck") -> dict[str, Any]:
    available = {"type": "Available", "status": status, "reason": reason, "message": message,
                 "lastTransitionTime": micro(ago(600))}  # fmt: skip
    spec = {"service": {"namespace": "kube-system", "name": "metrics-server"}, "group": "metrics.k8s.io"}
    return {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": spec, "status": {"conditions": [available]}}


@pytest.mark.parametrize(
    ("message", "reason", "advice"),
    [
        ("error trying to reach service: No agent available", "FailedDiscoveryCheck", "konnectivity"),
        ("endpoints for service/metrics-server have no addresses", "MissingEndpoints", "Bring back the pods"),
        (
            "failing or missing response: bad status from https://10.0.0.1: 403",
            "FailedDiscoveryCheck",
            "auth-delegator",
        ),
        ("failing or missing response: dial tcp 10.0.0.1:443: i/o timeout", "FailedDiscoveryCheck", "Open the way"),
        (
            "failing or missing response: x509: certificate signed by unknown authority",
            "FailedDiscoveryCheck",
            "caBundle",
        ),
    ],
)
def test_what_stands_in_the_way_of_an_aggregated_api_chooses_the_fix(message, reason, advice):
    plane = Plane()
    plane.apis = [api(message, reason=reason)]
    got = plane.diagnosis()
    assert got.cause == "APIServiceUnavailable"
    assert advice in got.findings[0].fix[0].text


def test_a_tunnel_without_agents_is_told_where_no_apiservice_was_seen():
    row = 'E0102 11:59:40.711656   22920 server.go:528] "Failed to get a backend" err="No agent available" dialID=1'
    got = only(("konnectivity-server", "kube-apiserver", row))
    assert got.cause == "APIServiceUnavailable"
    assert "konnectivity" in text_of(got)


def test_local_and_available_apis_are_no_trouble():
    plane = Plane()
    local = {"metadata": {"name": "v1."}, "spec": {}, "status": {}}
    plane.apis = [api("all checks passed", "True", "Passed"), local]
    got = plane.diagnosis()
    assert got.cause == "Healthy"


def test_the_stuck_namespace_is_left_alone():
    plane = Plane()
    plane.apis = [api("No agent available")]
    snapshot = plane.snapshot()
    stuck = {"type": "NamespaceDeletionDiscoveryFailure", "status": "True"}
    snapshot.add_list(List("namespaces"), [{"metadata": {"name": "test"}, "status": {"conditions": [stuck]}}])
    got = ask(snapshot)
    assert "namespace test, which stays Terminating" in got.findings[0].message
    assert "keep its finalizers" in text_of(got)


# Webhooks

CLOSED = {
    "name": "m.acme.io", "failurePolicy": "Fail", "clientConfig": {"service": {"namespace": "acme", "name": "hook"}},
    "rules": [{"resources": ["pods"], "operations": ["CREATE"]}],
}  # fmt: skip


def refused(kind: str, name: str, namespace: str = "kube-system") -> dict[str, Any]:
    words = 'Error creating: Internal error occurred: failed calling webhook "m.acme.io": Post'
    words += ' "https://hook.acme.svc:443/m": no endpoints available for service "hook"'
    event = killed("FailedCreate", 9, words, name)
    event["involvedObject"] |= {"kind": kind, "namespace": namespace}
    event["metadata"]["namespace"] = namespace
    return event


def test_a_webhook_that_blocks_the_network_plugin_is_opened_first():
    plane = Plane()
    plane.webhooks = [CLOSED]
    plane.events = [refused("DaemonSet", "aws-node")]
    got = plane.diagnosis()
    assert "deadlock" in got.findings[0].message
    first = got.findings[0].fix[0]
    assert first.text.startswith("Open it first")
    assert any("/webhooks/0/failurePolicy" in c for c in first.commands)
    assert any("rollout restart daemonset/aws-node" in c for c in first.commands)


def test_no_ready_node_is_a_deadlock_too():
    plane = Plane()
    plane.webhooks = [CLOSED]
    plane.node_ready = dict.fromkeys(plane.node_zones, "False")
    plane.events = [refused("ReplicaSet", "web-1", "shop")]
    assert "None of the 3 nodes is Ready" in plane.diagnosis().findings[0].message


def test_another_workload_is_no_deadlock():
    plane = Plane()
    chosen = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["acme"]}]}
    plane.webhooks = [{**CLOSED, "namespaceSelector": chosen}]
    plane.slices = {"acme": []}
    plane.events = [refused("ReplicaSet", "web-1", "shop")]
    assert plane.diagnosis().findings[0].fix[0].text.startswith("Bring back")


def test_a_webhook_of_one_namespace_does_not_reject_every_request():
    plane = Plane()
    chosen = {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
    plane.webhooks = [{**CLOSED, "namespaceSelector": chosen}]
    plane.events = [refused("ReplicaSet", "web-1", "shop")]
    got = plane.diagnosis().findings[0]
    assert got.severity.value == "warning"
    assert "in namespace shop" in got.message


# Blindness


def test_every_link_is_ok_not_seen_or_broken_and_only_ok_is_healthy():
    plane = Plane()
    assert plane.diagnosis().cause == "Healthy"
    snapshot = plane.snapshot()
    snapshot.fail(List("apiservices"), Failure(Why.FORBIDDEN, "forbidden", 403))
    half = Snapshot(NOW)
    half.add_list(leases.NODE_LEASES, [])
    got = ask(half)
    assert (got.cause, got.healthy) == ("Unknown", False)
    assert "10 not seen" in dict(got.header)["LINKS"]


def test_without_health_checks_fresh_leases_are_no_all_clear():
    plane = Plane()
    plane.livez = plane.readyz = Failure(Why.FORBIDDEN, "forbidden", 403)
    assert plane.diagnosis().cause == "Unknown"


def test_some_nodes_without_contact_are_not_ok():
    plane = Plane()
    plane.node_ready = {"node-1": "Unknown"}
    states = {x["link"]: x["state"] for x in plane.diagnosis().extra["links"]}
    assert states["kubelets' contact"] == "degraded"


def test_an_excluded_check_proves_nothing():
    body = Body("[+]ping ok\n[+]etcd excluded: ok\nlivez check passed", 200, 0.01)
    snapshot = Snapshot(NOW)
    snapshot.add_body(api_server.LIVEZ, body)
    assert not api_server.read_health(snapshot, api_server.LIVEZ).checks("etcd")


# etcd outside the cluster

URLS = ("https://10.0.0.21:2379", "https://10.0.0.22:2379", "https://10.0.0.23:2379")
CERTIFICATES = ("--etcd-cafile=/pki/ca.crt", "--etcd-certfile=/pki/client.crt", "--etcd-keyfile=/pki/client.key")


def outside(urls=URLS, **changes):
    """Break a plane whose etcd is on machines of its own, as its API server's flags say."""
    plane = blind(**changes)
    words = ["kube-apiserver", f"--etcd-servers={','.join(urls)}", *CERTIFICATES]
    plane.specs["kube-apiserver"] = {"containers": [{"name": "kube-apiserver", "command": words}]}
    return plane


def told_commands(got):
    return [c for f in got.findings for x in f.fix for c in x.commands]


def test_an_external_etcd_is_looked_at_on_its_own_machines():
    got = outside().diagnosis()
    assert got.cause == "EtcdDown"
    first = got.findings[0].fix[0]
    assert "10.0.0.21, 10.0.0.22, 10.0.0.23" in first.text
    trust = "--cacert /pki/ca.crt --cert /pki/client.crt --key /pki/client.key"
    assert first.commands[0] == f"ssh node-1 sudo curl -sm5 {trust} https://10.0.0.21:2379/health"
    assert first.commands[3] == "ssh 10.0.0.21 sudo journalctl -u etcd -n 100 --no-pager"
    assert not any("crictl" in c for c in first.commands)


def test_a_full_external_etcd_is_asked_with_the_certificates_of_the_api_server():
    plane = outside()
    plane.livez = plane.readyz = health()
    plane.quorum = None
    plane.frozen(600.0)
    commands = [c for c in told_commands(plane.diagnosis()) if "etcdctl" in c]
    trust = "--cacert=/pki/ca.crt --cert=/pki/client.crt --key=/pki/client.key"
    assert f"ssh node-1 sudo etcdctl --endpoints={','.join(URLS)} {trust} alarm list" in commands


@pytest.mark.parametrize("urls", [("https://127.0.0.1:2379",), ("https://[::1]:2379",), ("unix:///etcd.sock",)])
def test_an_etcd_on_the_same_machine_is_looked_for_there(urls):
    commands = told_commands(outside(urls).diagnosis())
    assert any("crictl" in c for c in commands)
    assert not any("journalctl -u etcd" in c for c in commands)


def test_members_that_are_pods_are_no_external_etcd():
    plane = outside(members=3)
    assert not any("journalctl -u etcd" in c for c in told_commands(plane.diagnosis()))


def dialling(address, error, seconds):
    return (
        f"W{ago(seconds):%m%d %H:%M:%S}.000000       1 logging.go:55] [core] [Channel #1 SubChannel #7]grpc:"
        f' addrConn.createTransport failed to connect to {{Addr: "{address}", ServerName: "{address}", }}. Err:'
        f' connection error: desc = "transport: Error while dialing: dial tcp {address}: {error}"'
    )


def one_lost(*lines):
    plane = outside()
    plane.livez = plane.readyz = health()
    plane.quorum = None
    plane.frozen(3.0)
    plane.api_log = list(lines)
    return plane.diagnosis()


@pytest.mark.parametrize("error", ["connect: connection refused", "i/o timeout", "connect: no route to host"])
def test_an_external_server_that_is_not_reached_is_lost_redundancy(error):
    got = one_lost(dialling("10.0.0.22:2379", error, 40), dialling("10.0.0.22:2379", error, 5))
    (finding,) = [f for f in got.findings if f.cause == "EtcdDown"]
    assert (finding.severity.value, finding.confidence.value) == ("warning", "likely")
    assert "10.0.0.22:2379" in finding.message
    assert "2 of 3 servers are left" in finding.message
    assert finding.fix[0].commands[-1] == "ssh 10.0.0.22 sudo journalctl -u etcd -n 100 --no-pager"
    assert not any("10.0.0.21" in c for c in finding.fix[0].commands)


@pytest.mark.parametrize(
    "line",
    [
        dialling("10.0.0.22:2379", "connect: connection refused", 400),
        dialling("10.0.0.22:2379", "operation was canceled", 5),
        dialling("10.0.0.99:2379", "connect: connection refused", 5),
    ],
    ids=["long ago", "given up by the client", "another server"],
)
def test_other_failed_connections_are_no_lost_server(line):
    assert "EtcdDown" not in [f.cause for f in one_lost(line).findings]


def test_two_lost_servers_of_three_are_not_told_as_lost_redundancy():
    lines = [dialling(f"10.0.0.{n}:2379", "connect: connection refused", 5) for n in (21, 22)]
    assert not [f for f in one_lost(*lines).findings if "servers are left" in f.message]


def test_the_log_that_alone_tells_of_an_external_etcd_is_read_while_all_seems_well():
    log = Log("kube-system", "kube-apiserver-cp-1", "kube-apiserver")
    for plane, wanted in ((outside(), True), (blind(), False)):
        plane.livez = plane.readyz = health()
        plane.raw = {Raw("/version"): Body('{"gitVersion": "v1.37.2"}', 200)}
        plane.quorum = None
        plane.metrics()
        plane.frozen(3.0)
        assert (log in list(load("plane-trace").plan(plane.snapshot(), Request()))) == wanted
