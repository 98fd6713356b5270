"""Each cause of a sick control plane: a plane that has it, and the nearest one that has not."""

import json
from datetime import timedelta

import pytest

from kubetriage.needs import Body, Dial, Failure, Why
from kubetriage.rules.plane.api_server import METRICS
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.causes import webhook_blocking
from kubetriage.rules.plane.causes.api_server_overloaded import isolation
from kubetriage.rules.plane.leases import quorum_read
from kubetriage.rules.plane.thresholds import LIMITS, Limits
from kubetriage.snapshot import Snapshot
from kubetriage.values.manifest_text import yaml_lines
from kubetriage.values.times import format_time
from support.plane import NOW, Plane, ago, flood, health, histogram, micro, timed_out, zap


def links(plane, **options):
    return {x["link"]: x for x in plane.diagnosis(**options).extra["links"]}


def test_healthy_plane_is_silent():
    got = Plane().diagnosis()
    assert got.healthy
    assert got.findings == ()
    assert {x["state"] for x in got.extra["links"]} == {"ok"}


def test_single_member_is_healthy():
    assert Plane(members=1, nodes=1).causes() == []


# etcd's disk.


@pytest.mark.parametrize(
    ("seconds", "severity"),
    [(0.004, None), (0.009, None), (0.012, "warning"), (0.3, "warning"), (0.6, "error"), (1.3, "error")],
)
def test_mean_of_the_delta_decides_on_the_disk(seconds, severity):
    plane = Plane()
    plane.fsyncs = dict.fromkeys(plane.members, [seconds] * 20)
    found = {f.cause: f.severity.value for f in plane.diagnosis().findings}
    assert found.get("EtcdSlowDisk") == severity


def test_disk_is_told_by_counts_when_samples_are_few_and_by_bucket_when_many():
    plane = Plane()
    plane.fsyncs = dict.fromkeys(plane.members, [0.7] * 20)
    few = plane.diagnosis().findings[0].evidence[0].value
    assert "mean 700 ms" in few
    assert "20 of 20" in few
    assert "p99" not in few
    plane.fsyncs = dict.fromkeys(plane.members, [0.7] * 200)
    many = plane.diagnosis().findings[0].evidence[0].value
    assert "p99 between 512 ms and 1.02 s" in many


def test_one_slow_follower_is_a_warning_about_that_member():
    plane = Plane()
    plane.fsyncs = {"etcd-cp-3": [1.3] * 20}
    finding = plane.diagnosis().findings[0]
    assert (finding.cause, finding.severity.value, finding.object.name) == ("EtcdSlowDisk", "warning", "etcd-cp-3")


def test_slow_leader_is_an_error():
    plane = Plane()
    plane.fsyncs = {"etcd-cp-1": [1.3] * 20}
    assert plane.diagnosis().findings[0].severity.value == "error"


def test_slow_commit_alone_counts():
    plane = Plane()
    plane.commits = dict.fromkeys(plane.members, [0.4] * 10)
    assert plane.causes() == ["EtcdSlowDisk"]


def test_old_slow_fsyncs_do_not_count():
    """Counters hold the past: only what happened between the samples is the present."""
    plane = Plane()
    plane.fsyncs = {m: [] for m in plane.members}
    assert plane.causes() == []


def test_hanging_fsync_is_seen_though_no_fsync_finished():
    plane = Plane()
    plane.fsyncs = {m: [] for m in plane.members}
    plane.gauges = {m: {"etcd_server_proposals_pending": 7.0} for m in plane.members}
    assert plane.causes() == ["EtcdSlowDisk"]


def test_log_decides_where_metrics_listen_on_loopback():
    plane = Plane(listen="http://127.0.0.1:2381")
    lines = [zap(ago(90 - n), "compact tree index") for n in range(2)]
    lines += [zap(ago(20 - n), "slow fdatasync", took="1.3s", **{"expected-duration": "1s"}) for n in range(5)]
    plane.logs = dict.fromkeys(plane.members, lines)
    got = plane.diagnosis()
    assert got.cause == "EtcdSlowDisk"
    assert "--etcd" in " ".join(gap.why for gap in got.not_seen)


def test_slow_fsyncs_of_the_past_are_a_fossil():
    plane = Plane(listen="http://127.0.0.1:2381")
    plane.logs = {m: [zap(ago(600), "slow fdatasync", took="1.3s")] for m in plane.members}
    got = plane.diagnosis()
    assert got.findings == ()
    assert any("slow fdatasync" in f["what"] for f in got.extra["timeline"])


def test_port_forward_reads_loopback_metrics():
    plane = Plane(listen="http://127.0.0.1:2381")
    plane.fsyncs = dict.fromkeys(plane.members, [1.3] * 20)
    for i, member in enumerate(plane.members, 1):
        for sample in (0, 1):
            body = Body("\n".join(plane.member_lines(member, i, sample)), at=10.0 * sample)
            plane.dials[Dial("kube-system", member, 2381, "/metrics", False, sample)] = body
    assert plane.causes() == []
    assert plane.causes(etcd=True) == ["EtcdSlowDisk"]


def test_managed_plane_is_judged_by_the_api_servers_requests():
    plane = Plane(members=0)
    total = 'etcd_request_duration_seconds_{}{{operation="get",resource="pods"}} {}'
    plane.api = (
        plane.api_lines(total.format("count", 100), total.format("sum", 1)),
        plane.api_lines(total.format("count", 150), total.format("sum", 61)),
    )
    got = plane.diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdSlowDisk", "possible")
    plane.api = (plane.api[0], plane.api_lines(total.format("count", 150), total.format("sum", 1.2)))
    healthy = plane.diagnosis()
    assert healthy.findings == ()
    assert links(plane)["etcd disk"]["state"] == "ok"
    assert "no etcd pod is visible" in links(plane)["etcd disk"]["evidence"]
    assert any("etcd" in gap.what for gap in healthy.not_seen)


# Quorum and leader.


def test_lost_quorum_is_read_before_green_histograms():
    plane = Plane()
    plane.refused = {"etcd-cp-2", "etcd-cp-3"}
    plane.gauges = {"etcd-cp-1": {"etcd_server_has_leader": 0.0, "etcd_server_is_leader": 0.0}}
    plane.fsyncs = {"etcd-cp-1": []}
    plane.livez = health("etcd")
    plane.frozen()
    got = plane.diagnosis()
    assert got.cause == "EtcdQuorumLost"
    assert got.findings[0].confidence.value == "confirmed"
    assert got.findings[0].details["members"] == ["etcd-cp-2", "etcd-cp-3"]
    states = links(plane)
    assert states["kubelets' contact"]["state"] == "frozen"
    assert states["controller-manager"]["consequenceOf"] == "EtcdQuorumLost"


def test_all_members_refused_is_down():
    plane = Plane()
    plane.refused = set(plane.members)
    plane.livez = plane.readyz = health("etcd")
    plane.frozen()
    assert plane.causes()[0] == "EtcdDown"
    assert links(plane)["API server health"]["consequenceOf"] == "EtcdDown"


def test_one_member_down_is_a_warning_and_breaks_nothing():
    plane = Plane()
    plane.refused = {"etcd-cp-2"}
    got = plane.diagnosis()
    assert [(f.cause, f.severity.value, f.object.name) for f in got.findings] == [("EtcdDown", "warning", "etcd-cp-2")]


def test_silent_logs_with_a_failing_check_are_down_and_talking_ones_are_without_quorum():
    plane = Plane(listen="http://127.0.0.1:2381")
    plane.livez = health("etcd")
    plane.frozen()
    plane.logs = {m: [zap(ago(300), "compact tree index")] for m in plane.members}
    assert plane.causes()[0] == "EtcdDown"
    plane.logs["etcd-cp-1"] = [
        zap(ago(30 - n), "1e538232f1a33ff2 is starting a new election at term 9", logger="raft") for n in range(30)
    ]
    got = plane.diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdQuorumLost", "likely")


def test_saved_logs_speak_for_members_whose_pods_could_not_be_listed():
    plane = Plane(members=0)
    plane.livez = health("etcd")
    plane.frozen()
    lines = [zap(ago(40), "received signal; shutting down"), zap(ago(39), "closed etcd server")]
    plane.logs = {f"etcd-cp-{n}": lines for n in (1, 2, 3)}
    got = plane.diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdDown", "likely")


def test_unread_metrics_are_not_a_dead_etcd():
    plane = Plane(listen="http://127.0.0.1:2381")
    assert plane.causes() == []
    assert links(plane)["etcd disk"]["state"] == "not seen"


@pytest.mark.parametrize(("changes", "severity"), [(0, None), (1, "warning"), (3, "error")])
def test_leader_changes_in_the_window(changes, severity):
    plane = Plane()
    plane.growth = {m: {"etcd_server_leader_changes_seen_total": float(changes)} for m in plane.members}
    found = {f.cause: f.severity.value for f in plane.diagnosis().findings}
    assert found.get("EtcdLeaderFlapping") == severity


@pytest.mark.parametrize(("elections", "newest", "flaps"), [(3, 10, False), (4, 10, True), (6, 700, False)])
def test_leader_changes_in_the_log(elections, newest, flaps):
    plane = Plane()
    message = "raft.node: 43c695fb8aef3e99 elected leader 43c695fb8aef3e99 at term 7"
    plane.logs = {"etcd-cp-1": [zap(ago(newest + 20 * n), message) for n in reversed(range(elections))]}
    assert ("EtcdLeaderFlapping" in plane.causes()) == flaps


def test_refused_listeners_of_a_working_etcd_are_a_firewall():
    plane = Plane()
    plane.refused = set(plane.members)
    got = plane.diagnosis()
    assert got.findings == ()
    assert len([gap for gap in got.not_seen if "refused" in gap.why]) == 3


def test_refused_listener_of_a_connected_member_is_not_a_dead_member():
    plane = Plane()
    plane.refused = {"etcd-cp-2"}
    peers = {f'etcd_network_active_peers{{Remote="{n}"}}': 1.0 for n in ("b", "c")}
    plane.gauges = {"etcd-cp-1": peers}
    assert plane.causes() == []
    plane.gauges = {"etcd-cp-1": {**peers, 'etcd_network_active_peers{Remote="b"}': 0.0}}
    assert plane.causes() == ["EtcdDown"]


def klog(at, words):
    return f"W{at:%m%d %H:%M:%S.%f}   23104 x.go:1] {words}"


def test_api_servers_log_proves_a_dead_etcd():
    plane = Plane(listen="http://127.0.0.1:2381")
    plane.livez = health("etcd")
    plane.frozen()
    plane.logs = {m: [zap(ago(300), "compact tree index")] for m in plane.members}
    words = (
        "[core] [Channel #1 SubChannel #2] grpc: addrConn.createTransport failed to connect to {Addr: "
        '"127.0.0.1:2379", ServerName: "127.0.0.1:2379", }. Err: connection error: desc = "transport: Error while '
        'dialing: dial tcp 127.0.0.1:2379: connect: connection refused"'
    )
    plane.api_log = [klog(ago(5), words)]
    got = plane.diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdDown", "confirmed")
    plane.api_log = [klog(ago(500), words)]
    assert plane.diagnosis().findings[0].confidence.value == "possible"


# Space.


def test_alarm_in_the_metrics_is_no_space():
    plane = Plane()
    plane.gauges = {m: {'etcd_debugging_server_alarms{alarm_type="NOSPACE",server_id="1"}': 1.0} for m in plane.members}
    plane.frozen()
    got = plane.diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdNoSpace", "confirmed")
    assert any("alarm disarm" in c for f in got.findings[0].fix for c in f.commands)
    assert links(plane)["kubelets' contact"]["state"] == "frozen"


def test_alarm_in_the_log_counts_until_it_is_disarmed():
    plane = Plane(listen="http://127.0.0.1:2381")
    plane.frozen()
    raised = zap(ago(95), "alarm raised", alarm="NOSPACE")
    plane.logs = {"etcd-cp-1": [raised]}
    assert plane.causes()[0] == "EtcdNoSpace"
    plane.logs = {"etcd-cp-1": [raised, zap(ago(50), "alarm disarmed", alarm="NOSPACE")]}
    assert "EtcdNoSpace" not in plane.causes()


def test_no_space_is_told_from_outside_when_only_writes_fail():
    plane = Plane(members=0)
    plane.frozen()
    plane.metrics('etcd_request_errors_total{operation="update",resource="leases"} 9')
    got = plane.diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdNoSpace", "likely")
    plane.metrics(
        'etcd_request_errors_total{operation="update",resource="leases"} 9',
        'etcd_request_errors_total{operation="get",resource="leases"} 9',
    )
    assert plane.causes()[0] == "ApiServerUnready"


def test_api_servers_log_proves_no_space():
    plane = Plane(members=0)
    plane.frozen()
    plane.api_log = [
        klog(ago(5), 'err="rpc error: code = ResourceExhausted desc = etcdserver: mvcc: database space exceeded"')
    ]
    got = plane.diagnosis()
    assert (got.cause, got.findings[0].confidence.value) == ("EtcdNoSpace", "confirmed")


def test_full_database_with_failing_lease_writes_is_no_space_before_leases_grow_old():
    plane = Plane()
    plane.gauges = {m: {"etcd_mvcc_db_total_size_in_bytes": 0.985 * 2**31} for m in plane.members}
    assert plane.causes()[0] == "EtcdNearQuota"
    plane.metrics('etcd_request_errors_total{operation="update",resource="leases"} 9')
    assert plane.causes()[0] == "EtcdNoSpace"


@pytest.mark.parametrize(("share", "severity"), [(0.5, None), (0.85, "warning"), (0.97, "error")])
def test_quota(share, severity):
    plane = Plane()
    size = {"etcd_mvcc_db_total_size_in_bytes": share * 2**31, "etcd_mvcc_db_total_size_in_use_in_bytes": share * 2**31}
    plane.gauges = dict.fromkeys(plane.members, size)
    found = {f.cause: f.severity.value for f in plane.diagnosis().findings}
    assert found.get("EtcdNearQuota") == severity


@pytest.mark.parametrize(("used", "fragmented"), [(0.01, True), (0.2, True), (0.6, False)])
def test_fragmentation(used, fragmented):
    plane = Plane()
    plane.gauges = {
        "etcd-cp-2": {
            "etcd_mvcc_db_total_size_in_bytes": 2.0**30,
            "etcd_mvcc_db_total_size_in_use_in_bytes": used * 2**30,
        }
    }
    assert ("EtcdFragmented" in plane.causes()) == fragmented


def test_small_database_is_not_worth_a_defragmentation():
    plane = Plane()
    plane.gauges = {"etcd-cp-2": {"etcd_mvcc_db_total_size_in_use_in_bytes": 1000.0}}
    assert plane.causes() == []


# The API server.


def test_failing_check_is_named_with_its_reason():
    plane = Plane()
    plane.readyz = health("poststarthook/rbac/bootstrap-roles")
    finding = plane.diagnosis().findings[0]
    assert finding.cause == "ApiServerUnready"
    assert finding.details["checks"] == ["poststarthook/rbac/bootstrap-roles"]


def test_hanging_health_check_is_unready():
    plane = Plane()
    plane.livez = plane.readyz = timed_out()
    assert plane.causes() == ["ApiServerUnready"]


def test_denied_health_check_is_not_unready():
    plane = Plane()
    plane.livez = plane.readyz = Failure(Why.FORBIDDEN, "forbidden", 403)
    got = plane.diagnosis()
    assert got.findings == ()
    assert any("/livez" in gap.what for gap in got.not_seen)


def test_stale_leases_with_all_nodes_ready_mean_that_writes_fail():
    plane = Plane(members=0)
    plane.metrics()
    plane.frozen(90)
    got = plane.diagnosis()
    assert got.cause == "ApiServerUnready"
    assert got.findings[0].details["since"] == format_time(ago(90))
    assert links(plane)["kubelets' contact"]["state"] == "frozen"
    assert all(f.details.get("consequenceOf") == "ApiServerUnready" for f in got.findings[1:])


def test_fresh_leases_are_silent():
    plane = Plane(members=0)
    assert plane.causes() == []


def quorum(age):
    return Body(json.dumps({"spec": {"renewTime": micro(ago(age)), "holderIdentity": "cp-1_x"}}))


@pytest.mark.parametrize(
    ("answer", "cause", "confidence"),
    [
        (timed_out(), "ApiServerUnready", "confirmed"),
        (quorum(90), "ApiServerUnready", "confirmed"),
        (None, "ApiServerUnready", "likely"),
        (quorum(0), None, None),
    ],
)
def test_quorum_read_splits_frozen_leases(answer, cause, confidence):
    """Hangs: etcd does not answer; equally stale: only writes fail; fresh: only the watch cache lags."""
    plane = Plane(members=0)
    plane.frozen(90)
    plane.leader_age["kube-scheduler"] = 1000.0 if answer is None else 90.0
    plane.quorum = answer
    found = [f for f in plane.diagnosis().findings if f.cause == "ApiServerUnready"]
    assert [(f.cause, f.confidence.value) for f in found] == ([(cause, confidence)] if cause else [])


@pytest.mark.parametrize(("nodes", "frozen"), [(1, False), (5, True)])
def test_without_leader_leases_several_silent_kubelets_are_needed(nodes, frozen):
    plane = Plane(members=0, nodes=nodes)
    plane.frozen(90)
    plane.leader_age = {}
    assert ("ApiServerUnready" in plane.causes()) == frozen
    # Who marks nodes can write.
    plane.node_ready["node-1"] = "Unknown"
    plane.marked = 40.0
    assert "ApiServerUnready" not in plane.causes()


@pytest.mark.parametrize(("age", "frozen"), [(10, False), (100, True)])
def test_a_new_event_is_a_write(age, frozen):
    plane = Plane(members=0)
    plane.frozen(90)
    plane.leader_age = {}
    plane.events = [
        {
            "metadata": {"namespace": "kube-system", "name": "e"},
            "involvedObject": {"kind": "Pod", "name": "p"},
            "reason": "Pulled",
            "message": "pulled",
            "lastTimestamp": format_time(ago(age)),
        }
    ]
    assert ("ApiServerUnready" in plane.causes()) == frozen


def test_clock_ahead_does_not_hide_frozen_writes():
    plane = Plane(members=0)
    plane.frozen(90)
    plane.node_lease["node-1"] = -120.0
    assert plane.causes()[0] == "ApiServerUnready"


def test_clock_behind_is_not_a_lost_node():
    plane = Plane()
    plane.node_lease["node-1"] = 120.0
    got = plane.diagnosis()
    assert got.findings == ()
    assert "clock" in links(plane)["kubelets' contact"]["evidence"]


def test_one_stuck_api_server():
    plane = Plane()
    plane.identities = {"apiserver-a": 4.0, "apiserver-b": 80.0}
    assert plane.causes() == ["ApiServerUnready"]
    plane.identities = {"apiserver-a": 4.0, "apiserver-b": 9.0}
    assert plane.causes() == []


_CERTIFICATE = "apiserver_client_certificate_expiration_seconds"
_CERTIFICATE_BOUNDS = (0.0, 1800.0, 86400.0, 604800.0, 2.592e6)


@pytest.mark.parametrize(("left", "expiring"), [(3600.0, True), (3 * 86400.0, True), (30 * 86400.0, False)])
def test_certificates(left, expiring):
    plane = Plane()
    before = histogram(_CERTIFICATE, [4e7], _CERTIFICATE_BOUNDS)
    after = histogram(_CERTIFICATE, [4e7, left], _CERTIFICATE_BOUNDS)
    plane.api = (plane.api_lines(*before), plane.api_lines(*after))
    assert ("CertificateExpiring" in plane.causes()) == expiring


def test_certificates_are_judged_by_the_first_sample_where_the_second_leaves_them_out():
    plane = Plane()
    plane.api = (plane.api_lines(*histogram(_CERTIFICATE, [3600.0, 4e7], _CERTIFICATE_BOUNDS)), plane.api_lines())
    assert plane.causes() == ["CertificateExpiring"]
    plane.api = (plane.api_lines(*histogram(_CERTIFICATE, [4e7], _CERTIFICATE_BOUNDS)), plane.api_lines())
    assert plane.causes() == []


# Start-up.


def started(seconds):
    at = NOW.timestamp() - seconds
    return (Plane.api_lines(start=at), Plane.api_lines(start=at))


@pytest.mark.parametrize(("up", "severity"), [(25, "warning"), (600, "error")])
def test_hooks_of_an_api_server_that_just_started_are_a_warning(up, severity):
    plane = Plane()
    plane.readyz = health("poststarthook/rbac/bootstrap-roles")
    plane.api = started(up)
    got = plane.diagnosis().findings[0]
    assert (got.cause, got.severity.value) == ("ApiServerUnready", severity)
    assert ("started 25s ago" in got.message) == (up == 25)


def test_a_failing_etcd_check_is_no_matter_of_starting():
    plane = Plane()
    plane.livez = health("etcd")
    plane.api = started(25)
    assert plane.diagnosis().findings[0].severity.value == "error"


def test_a_recent_start_is_told_beside_green_checks():
    plane = Plane()
    plane.api = started(45)
    assert "started 45s ago" in links(plane)["API server health"]["evidence"]
    plane.api = started(4000)
    assert "started" not in links(plane)["API server health"]["evidence"]


def test_a_refused_connection_is_no_answer():
    plane = Plane()
    plane.livez = plane.readyz = Failure(Why.FAILED, "The connection to the server 10.0.0.1:6443 was refused")
    got = plane.diagnosis().findings[0]
    assert (got.cause, got.message) == ("ApiServerUnready", "The API server does not answer /livez, /readyz.")
    assert got.evidence[0].value.endswith("was refused")


def test_the_last_renewals_that_a_recording_shows_are_no_end_of_leadership():
    plane = Plane()
    plane.source = "dump"
    plane.leader_age = dict.fromkeys(plane.leader_age, 20.0)
    plane.node_lease = dict.fromkeys(plane.node_zones, 22.0)
    told = [f["what"] for f in plane.diagnosis().extra["timeline"]]
    assert not any("last time" in what for what in told)
    plane.leader_age["kube-scheduler"] = 300.0
    told = [f["what"] for f in plane.diagnosis().extra["timeline"]]
    assert "kube-scheduler renewed its lease for the last time" in told


def test_clocks_of_members_that_differ_are_told_beside_the_leader():
    plane = Plane()
    plane.logs = {"etcd-cp-1": [zap(ago(20), "prober found high clock drift", **{"clock-drift": "3.2s"})]}
    assert links(plane)["etcd quorum and leader"]["evidence"].endswith("; the clocks of their hosts differ by 3.2s")
    plane.logs = {"etcd-cp-1": [zap(ago(2000), "prober found high clock drift", **{"clock-drift": "3.2s"})]}
    assert "clocks" not in links(plane)["etcd quorum and leader"]["evidence"]


@pytest.mark.parametrize(("waiting", "causes"), [(640, ["ApiServerOverloaded"]), (3, [])])
def test_more_waiting_than_seats_is_overload_even_in_a_single_look(waiting, causes):
    plane = Plane()
    level = f'{{priority_level="global-default"}} {waiting}'
    plane.api = (plane.api_lines(f"apiserver_flowcontrol_current_inqueue_requests{level}"), [])
    assert plane.causes() == causes


# The network between members.


TRIP = "etcd_network_peer_round_trip_time_seconds"


def far(plane, seconds, monkeypatch):
    lines = plane.member_lines

    def with_trips(member, i, sample):
        return [
            *lines(member, i, sample),
            *histogram(TRIP, [0.001] * 50 + [seconds] * 40 * sample, (0.1, 0.8), 'To="x"'),
        ]

    monkeypatch.setattr(plane, "member_lines", with_trips)


@pytest.mark.parametrize(("members", "mean", "found"), [(3, 0.8, True), (1, 0.8, True), (3, 0.02, False)])
def test_slow_requests_that_no_disk_explains_are_no_all_clear(members, mean, found):
    """Members probe each other every half a minute, so that two samples may hold no round trip."""
    plane = Plane(members=members)
    total = 'etcd_request_duration_seconds_{}{{operation="get",resource="pods"}} {}'
    plane.api = (
        plane.api_lines(total.format("count", 100), total.format("sum", 1)),
        plane.api_lines(total.format("count", 150), total.format("sum", 1 + 50 * mean)),
    )
    got = plane.diagnosis()
    assert [(f.cause, f.severity.value, f.confidence.value) for f in got.findings] == (
        [("EtcdSlowNetwork", "warning", "possible")] if found else []
    )


def test_a_disk_a_little_below_target_is_a_note_beside_a_slow_network(monkeypatch):
    plane = Plane()
    plane.fsyncs["etcd-cp-1"] = [0.011] * 40
    alone = plane.diagnosis()
    assert [(f.cause, f.severity.value) for f in alone.findings] == [("EtcdSlowDisk", "warning")]
    far(plane, 0.3, monkeypatch)
    got = plane.diagnosis()
    assert [(f.cause, f.severity.value) for f in got.findings] == [
        ("EtcdSlowNetwork", "warning"),
        ("EtcdSlowDisk", "note"),
    ]


@pytest.mark.parametrize(("seconds", "slow"), [(0.002, False), (0.3, True)])
def test_a_slow_network_between_members(seconds, slow, monkeypatch):
    plane = Plane()
    far(plane, seconds, monkeypatch)
    found = [(f.cause, f.severity.value) for f in plane.diagnosis().findings]
    assert found == ([("EtcdSlowNetwork", "warning")] if slow else [])


def test_a_slow_network_is_told_with_the_changes_of_leader_that_it_makes(monkeypatch):
    plane = Plane()
    far(plane, 0.3, monkeypatch)
    plane.growth = {m: {"etcd_server_leader_changes_seen_total": 3.0} for m in plane.members}
    (got,) = plane.diagnosis().findings
    assert got.cause == "EtcdLeaderFlapping"
    assert "A round trip between members takes 300 ms" in got.message
    assert "port 2380" in got.fix[0].text


# Recordings.


def test_leaders_are_frozen_where_nobody_can_write():
    plane = Plane()
    plane.source = "dump"
    plane.frozen(90.0)
    found = links(plane)
    assert found["controller-manager"]["state"] == found["scheduler"]["state"] == "frozen"
    assert "last renewed 90s ago" in found["scheduler"]["evidence"]


@pytest.mark.parametrize(("lag", "causes"), [(0, ["ApiServerUnready"]), (100, [])])
def test_a_slow_recording_does_not_freeze_a_cluster(lag, causes, monkeypatch):
    plane = Plane()
    plane.source = "dump"
    plane.frozen(90.0)
    made = plane.snapshot()
    made.lag = timedelta(seconds=lag)
    monkeypatch.setattr(plane, "snapshot", lambda: made)
    assert plane.causes() == causes


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("failed to apply request", {"error": "etcdserver: no space"}),
        ("serving /health false due to an alarm", {"alarm": "NOSPACE"}),
        ("request stats", {"error": "etcdserver: mvcc: database space exceeded"}),
    ],
)
def test_a_full_etcd_is_told_by_its_log_when_the_alarm_has_rolled_out_of_it(message, fields):
    plane = Plane()
    plane.logs = {"etcd-cp-1": [zap(ago(20), message, **fields)]}
    got = plane.diagnosis().findings[0]
    assert (got.cause, got.confidence.value) == ("EtcdNoSpace", "confirmed")
    assert got.evidence[0].value == f"{message} (no space), 1 time"
    plane.logs = {"etcd-cp-1": [zap(ago(20), message, error="etcdserver: leader changed", alarm="CORRUPT")]}
    assert "EtcdNoSpace" not in plane.causes()


@pytest.mark.parametrize(("share", "cause"), [(1.001, "EtcdNoSpace"), (0.97, "EtcdNearQuota")])
def test_a_quota_that_is_reached_is_full_and_not_only_near(share, cause):
    plane = Plane()
    used = {"etcd_mvcc_db_total_size_in_use_in_bytes": 0.9 * 2.0**31}
    over = {**used, "etcd_mvcc_db_total_size_in_bytes": share * 2.0**31}
    plane.gauges = dict.fromkeys(plane.members, over)
    assert plane.causes() == [cause]


def test_an_api_server_that_hangs_does_not_condemn_a_quiet_etcd():
    plane = Plane()
    plane.livez = plane.readyz = timed_out()
    plane.listen = "http://127.0.0.1:2381"
    plane.logs = {m: [zap(ago(300), "finished scheduled compaction")] for m in plane.members}
    assert plane.causes()[0] == "ApiServerUnready"
    plane.livez = plane.readyz = health("etcd")
    plane.frozen(200.0)
    assert plane.causes()[0] == "EtcdDown"


# Load.


def rejected(level, number):
    labels = f'flow_schema="x",priority_level="{level}",reason="queue-full"'
    return f"apiserver_flowcontrol_rejected_requests_total{{{labels}}} {number}"


@pytest.mark.parametrize(
    ("level", "severity"), [("workload-low", "warning"), ("node-high", "error"), ("leader-election", "error")]
)
def test_rejects_by_level(level, severity):
    plane = Plane()
    plane.metrics(rejected(level, 40))
    finding = plane.diagnosis().findings[0]
    assert (finding.cause, finding.severity.value, finding.details["levels"]) == (
        "ApiServerOverloaded",
        severity,
        [level],
    )


def test_old_rejects_do_not_count():
    plane = Plane()
    plane.metrics(both=(rejected("workload-low", 4000),))
    assert plane.causes() == []


def test_full_level_with_a_queue_is_pressed_and_a_busy_one_is_not():
    plane = Plane()
    busy = 'apiserver_flowcontrol_current_executing_seats{priority_level="workload-low"} 49'
    plane.metrics(both=(busy,))
    assert plane.causes() == []
    plane.metrics(both=(busy, 'apiserver_flowcontrol_current_inqueue_requests{priority_level="workload-low"} 30'))
    assert plane.causes() == ["ApiServerOverloaded"]


def test_long_waits_are_pressure():
    name = "apiserver_flowcontrol_request_wait_duration_seconds"
    plane = Plane()
    plane.metrics(*histogram(name, [0.01] * 9, (0.1, 1.0), 'priority_level="workload-low"'))
    assert plane.causes() == []
    plane.metrics(*histogram(name, [3.0] * 9, (0.1, 1.0), 'priority_level="workload-low"'))
    assert plane.causes() == ["ApiServerOverloaded"]


def test_flooder_is_named_and_isolated():
    plane = Plane()
    plane.metrics(rejected("workload-low", 40))
    user = "system:serviceaccount:team-a:lister"
    rows = [("workload-low", user, "list", "pods")] * 8 + [("workload-low", "bob", "get", "secrets")] * 2
    plane.raw = flood(*rows)
    got = plane.diagnosis()
    finding = got.findings[0]
    assert finding.details["flooder"] == {"user": user, "verb": "list", "resource": "pods"}
    level, schema = finding.details["manifests"]
    assert schema["spec"]["rules"][0]["subjects"] == [
        {"kind": "ServiceAccount", "serviceAccount": {"namespace": "team-a", "name": "lister"}}
    ]
    assert schema["spec"]["priorityLevelConfiguration"]["name"] == level["metadata"]["name"]
    shown = next(s for s in got.tail if s.title.startswith("Manifest"))
    yaml = pytest.importorskip("yaml")
    assert list(yaml.safe_load_all("\n".join(shown.lines))) == finding.details["manifests"]


def test_users_of_the_cluster_are_never_throttled():
    assert isolation("system:kube-controller-manager") is None
    assert isolation("system:serviceaccount:kube-system:daemon-set-controller") is None
    assert isolation("") is None
    assert isolation("bob") is not None
    for version, group in (((1, 28), "v1beta3"), ((1, 29), "v1"), (None, "v1")):
        made = isolation("bob", version) or []
        assert {m["apiVersion"] for m in made} == {f"flowcontrol.apiserver.k8s.io/{group}"}


def test_yaml_quotes_what_yaml_would_read_otherwise():
    yaml = pytest.importorskip("yaml")
    odd = {
        "a": "yes",
        "b": "1e3",
        "c": 'x: "y" #',
        "d": True,
        "e": 5,
        "f": ["*", "null", ""],
        "g": [{"h": "i", "j": ["k"]}],
    }
    assert yaml.safe_load("\n".join(yaml_lines(odd))) == odd


def test_levels_from_the_dump_where_metrics_are_denied():
    plane = Plane()
    plane.api = ([], [])
    head = (
        "PriorityLevelName, ActiveQueues, IsIdle, IsQuiescing, WaitingRequests, ExecutingRequests, DispatchedRequests,"
        " RejectedRequests, TimedoutRequests, CancelledRequests"
    )
    from kubetriage.rules.plane import priority_and_fairness

    rows = ["workload-low, 1, false, false, 3, 9, 100, {}, 0, 0", "exempt, 0, true, false, 0, 1, 9, 0, 0, 0"]
    for need, number in zip(priority_and_fairness.LEVELS, (5, 25), strict=True):
        plane.raw[need] = Body("\n".join([head, rows[0].format(number), rows[1]]))
    assert plane.causes() == ["ApiServerOverloaded"]
    plane.raw[priority_and_fairness.LEVELS[1]] = plane.raw[priority_and_fairness.LEVELS[0]]
    assert plane.causes() == []


def test_two_api_servers_behind_one_address_are_not_compared():
    plane = Plane()
    plane.api = (plane.api_lines(start=1.0), plane.api_lines(rejected("node-high", 40), start=2.0))
    got = plane.diagnosis()
    assert got.findings == ()
    assert any("two API servers" in gap.why for gap in got.not_seen)


# Controllers and scheduler.


@pytest.mark.parametrize(("age", "severity"), [(1, None), (14, None), (20, "warning"), (112, "error")])
def test_age_of_the_controllers_lease(age, severity):
    plane = Plane()
    plane.leader_age["kube-controller-manager"] = float(age)
    found = {f.cause: f.severity.value for f in plane.diagnosis().findings}
    assert found.get("ControllersDown") == severity


def test_scheduler_alone():
    plane = Plane()
    plane.leader_age["kube-scheduler"] = 300.0
    assert plane.causes() == ["SchedulerDown"]


def test_released_lease_is_an_orderly_shutdown():
    plane = Plane()
    plane.leader_age["kube-scheduler"] = 20.0
    plane.released = {"kube-scheduler"}
    finding = plane.diagnosis().findings[0]
    assert (finding.cause, finding.severity.value) == ("SchedulerDown", "error")
    assert "released" in finding.evidence[0].value


def test_second_read_clears_a_controller_that_came_back():
    plane = Plane()
    plane.leader_age["kube-controller-manager"] = 112.0
    plane.quorum = quorum(0)
    assert plane.causes() == []


def test_election_after_the_list_clears_it_and_one_before_does_not():
    plane = Plane()
    plane.leader_age["kube-controller-manager"] = 112.0
    event = {
        "metadata": {"namespace": "kube-system", "name": "e"},
        "involvedObject": {"kind": "Lease", "name": "kube-controller-manager"},
        "reason": "LeaderElection",
        "message": "cp-2_y became leader",
        "lastTimestamp": format_time(ago(20)),
    }
    plane.events = [event]
    assert plane.causes() == []
    plane.events = [{**event, "lastTimestamp": format_time(ago(300))}]
    assert plane.causes() == ["ControllersDown"]


def test_clock_of_a_leader_that_is_behind_is_told_by_a_lease_that_moves():
    plane = Plane()
    plane.leader_age["kube-controller-manager"] = 112.0
    plane.raw[quorum_read("kube-controller-manager", 0)] = quorum(112)
    plane.raw[quorum_read("kube-controller-manager", 1)] = quorum(102)
    assert plane.causes() == []
    assert "behind" in links(plane)["controller-manager"]["evidence"]
    plane.raw[quorum_read("kube-controller-manager", 1)] = quorum(112)
    assert plane.causes() == ["ControllersDown"]


def test_missing_lease_is_not_a_dead_controller():
    plane = Plane()
    plane.leader_age = {"kube-scheduler": 1.0}
    got = plane.diagnosis()
    assert got.findings == ()
    assert links(plane)["controller-manager"]["state"] == "not seen"


def test_crashing_controller_manager_shows_its_exit():
    plane = Plane()
    plane.leader_age["kube-controller-manager"] = 112.0
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": format_time(ago(100))}
    plane.pods_changed["kube-controller-manager"] = {
        "containerStatuses": [
            {
                "name": "kube-controller-manager",
                "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": ended},
            }
        ]
    }
    got = plane.diagnosis()
    assert any("CrashLoopBackOff" in e.value for e in got.findings[0].evidence)
    assert any("exited with 1" in f["what"] for f in got.extra["timeline"])


def test_controllers_that_died_long_before_the_disk_are_not_its_consequence():
    plane = Plane()
    plane.fsyncs = dict.fromkeys(plane.members, [1.3] * 20)
    quiet = zap(ago(3000), "compact tree index")
    plane.logs = {m: [quiet, zap(ago(100), "slow fdatasync", took="1.3s")] for m in plane.members}
    plane.leader_age["kube-controller-manager"] = 2000.0
    assert "consequenceOf" not in links(plane)["controller-manager"]
    plane.leader_age["kube-controller-manager"] = 80.0
    assert links(plane)["controller-manager"]["consequenceOf"] == "EtcdSlowDisk"


def test_slow_requests_to_an_unseen_etcd_are_not_blamed_for_dead_controllers():
    plane = Plane(members=0)
    total = 'etcd_request_duration_seconds_{}{{operation="get",resource="pods"}} {}'
    plane.leader_age["kube-controller-manager"] = 112.0
    for mean, blamed in ((0.3, False), (2.0, True)):
        plane.api = (
            plane.api_lines(total.format("count", 100), total.format("sum", 1)),
            plane.api_lines(total.format("count", 150), total.format("sum", 1 + 50 * mean)),
        )
        assert ("consequenceOf" in links(plane)["controller-manager"]) == blamed


def test_merely_slowish_disk_is_not_blamed_for_dead_controllers():
    plane = Plane()
    plane.fsyncs = dict.fromkeys(plane.members, [0.02] * 20)
    plane.leader_age["kube-controller-manager"] = 112.0
    got = plane.diagnosis()
    assert got.cause == "ControllersDown"
    assert not any("consequenceOf" in f.details for f in got.findings)


# Webhooks.


def webhook(**changes):
    return {
        "name": "check.example.com",
        "failurePolicy": "Fail",
        "timeoutSeconds": 10,
        "clientConfig": {"service": {"namespace": "policy", "name": "checker"}},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        **changes,
    }


def endpoints(*ready):
    return {
        "metadata": {"name": "checker-x", "namespace": "policy", "labels": {"kubernetes.io/service-name": "checker"}},
        "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": r}} for r in ready],
    }


def test_webhook_without_backend_blocks_when_it_must_be_asked():
    plane = Plane()
    plane.webhooks = [webhook()]
    plane.slices = {"policy": [endpoints(False)]}
    finding = plane.diagnosis().findings[0]
    assert (finding.cause, finding.confidence.value, finding.object.name) == ("WebhookBlocking", "likely", "checks")
    plane.webhooks = [webhook(failurePolicy="Ignore")]
    assert plane.causes() == []
    plane.webhooks = [webhook()]
    plane.slices = {"policy": [endpoints(True)]}
    assert plane.causes() == []


def failed_call(kind):
    labels = f'error_type="{kind}",name="check.example.com",operation="CREATE",type="validating"'
    return f"apiserver_admission_webhook_rejection_count{{{labels}}} 3"


def test_failed_calls_count_and_rejections_by_the_webhook_do_not():
    plane = Plane()
    plane.webhooks = [webhook()]
    plane.slices = {"policy": [endpoints(True)]}
    plane.metrics(failed_call("calling_webhook_error"))
    finding = plane.diagnosis().findings[0]
    assert (finding.cause, finding.confidence.value) == ("WebhookBlocking", "confirmed")
    plane.metrics(failed_call("no_error"))
    assert plane.causes() == []


@pytest.mark.parametrize(("age", "blocks"), [(30, True), (3000, False)])
def test_event_of_a_failed_call(age, blocks):
    plane = Plane()
    plane.webhooks = [webhook()]
    plane.slices = {"policy": [endpoints(True)]}
    plane.events = [
        {
            "metadata": {"namespace": "shop", "name": "e"},
            "reason": "FailedCreate",
            "message": 'Error creating: Internal error occurred: failed calling webhook "check.example.com":'
            ' failed to call webhook: Post "https://checker.policy.svc:443/?timeout=10s": context deadline exceeded',
            "lastTimestamp": format_time(ago(age)),
        }
    ]
    assert plane.causes() == (["WebhookBlocking"] if blocks else [])


def test_api_servers_log_of_a_failed_call():
    plane = Plane()
    plane.webhooks = [webhook()]
    plane.slices = {"policy": [endpoints(True)]}
    plane.api_log = [
        klog(ago(30), 'Failed calling webhook, failing closed check.example.com: failed calling webhook "check')
    ]
    assert plane.causes() == ["WebhookBlocking"]


@pytest.mark.parametrize(("seconds", "slow"), [(0.05, False), (4.0, True)])
def test_slow_webhook(seconds, slow):
    plane = Plane()
    plane.webhooks = [webhook()]
    plane.slices = {"policy": [endpoints(True)]}
    name = "apiserver_admission_webhook_admission_duration_seconds"
    plane.metrics(*histogram(name, [seconds] * 5, (0.5, 1.0, 2.5, 10.0), 'name="check.example.com"'))
    found = [(f.cause, f.severity.value) for f in plane.diagnosis().findings]
    assert found == ([("WebhookBlocking", "warning")] if slow else [])


CALLS = "apiserver_admission_webhook_admission_duration_seconds"
CALLED = 'name="check.example.com"'


@pytest.mark.parametrize(("calls", "blocks"), [(3, True), (500, False)])
def test_failures_since_the_start_tell_by_their_share_where_the_second_sample_leaves_them_out(calls, blocks):
    plane = Plane()
    plane.webhooks = [webhook()]
    plane.slices = {"policy": [endpoints(True)]}
    first = [failed_call("calling_webhook_error"), *histogram(CALLS, [0.1] * calls, (0.5, 10.0), CALLED)]
    plane.api = (plane.api_lines(*first), plane.api_lines())
    found = plane.diagnosis().findings
    assert [(f.cause, f.confidence.value) for f in found] == ([("WebhookBlocking", "likely")] if blocks else [])


def unlisted(plane):
    """Take the configurations away, as a recording does that has none."""
    snapshot = plane.snapshot()
    case = Case(Snapshot(snapshot.now, presumes_absent=True), Limits())
    for need, body in ((METRICS[0], "\n".join(plane.api[0])), (METRICS[1], "\n".join(plane.api[1]))):
        case.snapshot.add_body(need, Body(body))
    for raw in plane.events:
        case.snapshot.add("events", raw)
    return list(webhook_blocking.check(case))


def test_a_webhook_whose_configuration_was_not_recorded_is_told_by_its_failed_calls():
    plane = Plane()
    plane.metrics(failed_call("calling_webhook_error"))
    (got,) = unlisted(plane)
    assert (got.cause, got.confidence.value) == ("WebhookBlocking", "confirmed")
    assert "check.example.com" in got.message
    plane.metrics(failed_call("no_error"))
    assert unlisted(plane) == []


def test_an_event_names_the_service_behind_an_unlisted_webhook():
    plane = Plane()
    plane.events = [
        {
            "metadata": {"namespace": "shop", "name": "e"},
            "reason": "FailedCreate",
            "message": 'Internal error occurred: failed calling webhook "check.example.com": failed to call webhook:'
            ' Post "https://checker.policy.svc:443/?timeout=10s": context deadline exceeded',
            "lastTimestamp": format_time(ago(30)),
        }
    ]
    (got,) = unlisted(plane)
    assert got.fix[0].text == "Bring back the pods behind service policy/checker."


def test_a_webhook_that_is_gone_from_a_complete_list_blocks_nothing():
    plane = Plane()
    plane.metrics(failed_call("calling_webhook_error"))
    assert plane.causes() == []


def test_webhook_on_leases_explains_dead_controllers():
    plane = Plane()
    rule = {"operations": ["UPDATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["leases"]}
    plane.webhooks = [webhook(rules=[rule])]
    plane.slices = {"policy": [endpoints(False)]}
    plane.leader_age["kube-controller-manager"] = 112.0
    assert plane.causes() == ["WebhookBlocking", "ControllersDown"]
    assert links(plane)["controller-manager"]["consequenceOf"] == "WebhookBlocking"
    plane.webhooks = [webhook()]
    assert "consequenceOf" not in links(plane)["controller-manager"]


# Kubelets.


def lose(plane, *nodes):
    for node in nodes:
        plane.node_ready[node] = "Unknown"
        plane.node_lease[node] = 400.0


def test_whole_cluster_with_live_controllers_is_the_way_to_the_api_server():
    plane = Plane(nodes=6)
    lose(plane, *(f"node-{n}" for n in range(1, 7)))
    finding = plane.diagnosis().findings[0]
    assert (finding.cause, finding.severity.value) == ("NodesLostContact", "error")
    assert len(finding.details["nodes"]) == 6


def test_zone():
    plane = Plane(nodes=9)
    lose(plane, "node-3", "node-6", "node-9")
    finding = plane.diagnosis().findings[0]
    assert (finding.cause, finding.severity.value) == ("NodesLostContact", "error")
    assert "z0" in finding.message


def test_single_node_is_its_own_matter():
    plane = Plane(nodes=6)
    lose(plane, "node-2")
    got = plane.diagnosis()
    assert [(f.cause, f.severity.value) for f in got.findings] == [("NodesLostContact", "note")]
    assert got.healthy


def test_stale_node_is_lost_when_nobody_marks_nodes():
    plane = Plane(nodes=2)
    plane.leader_age["kube-controller-manager"] = 300.0
    plane.node_lease = {"node-1": 110.0, "node-2": 110.0}
    plane.leader_age["kube-scheduler"] = 1.0
    assert plane.causes() == ["ControllersDown", "NodesLostContact"]


def test_starving_heartbeats_explain_lost_nodes():
    plane = Plane(nodes=4)
    lose(plane, *(f"node-{n}" for n in range(1, 5)))
    plane.metrics(rejected("node-high", 40))
    assert plane.causes() == ["ApiServerOverloaded", "NodesLostContact"]
    assert links(plane)["kubelets' contact"]["consequenceOf"] == "ApiServerOverloaded"
    plane.metrics(rejected("workload-low", 40))
    assert "consequenceOf" not in links(plane)["kubelets' contact"]


# Thresholds.


def test_every_threshold_has_a_source_and_a_flag():
    from kubetriage.plugins import load

    flags = {o.flag for o in load("plane-trace").options}
    for name, _, limit in LIMITS:
        assert limit.source
        assert limit.help
        assert "--" + name.replace("_", "-") in flags


def test_flags_change_verdicts():
    plane = Plane()
    plane.fsyncs = dict.fromkeys(plane.members, [0.012] * 20)
    assert plane.causes() == ["EtcdSlowDisk"]
    assert plane.causes(fsync_target=0.05) == []
    assert Limits.read({"fsync_target": "odd"}) == Limits()


def test_timeline_orders_elections_restarts_and_nodes():
    plane = Plane()
    plane.node_ready["node-1"] = "Unknown"
    plane.logs = {
        "etcd-cp-1": [zap(ago(400), "alarm raised", alarm="NOSPACE"), zap(ago(350), "alarm disarmed", alarm="NOSPACE")]
    }
    times = [f["time"] for f in plane.diagnosis().extra["timeline"]]
    assert times == sorted(times)
    assert format_time(NOW - timedelta(seconds=400)) in times
    assert format_time(ago(300)) in times


def test_refusals_without_flow_control():
    plane = Plane()
    plane.metrics('apiserver_request_total{code="429",resource="pods",verb="LIST"} 30')
    assert plane.causes() == ["ApiServerOverloaded"]


def test_failing_metrics_are_a_gap():
    plane = Plane()
    plane.api = ([], [])
    plane.raw[METRICS[0]] = plane.raw[METRICS[1]] = Body("internal error", 500)
    got = plane.diagnosis()
    assert any("internal error" in gap.why for gap in got.not_seen)
    assert links(plane)["API server load"]["state"] == "not seen"


def test_unready_without_a_list_of_checks():
    plane = Plane()
    plane.livez = Body("", 503)
    finding = plane.diagnosis().findings[0]
    assert (finding.cause, finding.details["checks"]) == ("ApiServerUnready", [])
    assert "503" in finding.message


def test_api_server_that_reconnects_after_an_outage_is_told_so():
    plane = Plane()
    plane.livez = health("etcd")
    assert "about a minute" in plane.diagnosis().findings[0].message


def test_overloaded_election_level_explains_dead_controllers():
    plane = Plane()
    plane.metrics(rejected("leader-election", 40))
    plane.leader_age["kube-controller-manager"] = 112.0
    assert plane.causes() == ["ApiServerOverloaded", "ControllersDown"]
    assert links(plane)["controller-manager"]["consequenceOf"] == "ApiServerOverloaded"


def test_full_etcd_is_not_explained_by_its_consequences():
    plane = Plane()
    plane.gauges = {m: {'etcd_debugging_server_alarms{alarm_type="NOSPACE"}': 1.0} for m in plane.members}
    plane.frozen()
    got = plane.diagnosis()
    assert [f.cause for f in got.findings if "consequenceOf" not in f.details] == ["EtcdNoSpace"]


def test_nodes_blocked_by_a_webhook_on_leases():
    plane = Plane(nodes=4)
    lose(plane, *(f"node-{n}" for n in range(1, 5)))
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    plane.webhooks = [webhook(rules=[rule])]
    plane.slices = {"policy": [endpoints(False)]}
    assert links(plane)["kubelets' contact"]["consequenceOf"] == "WebhookBlocking"
