"""One node, one zone, one pool or the whole cluster: the table of live clusters with their injected faults."""

from datetime import timedelta

import pytest

from kubetriage.model import Confidence
from kubetriage.rules.node.cluster_contact import read_cluster
from kubetriage.rules.node.outage_scope import Cutoffs
from support.nodes import LEADERS, leader, lease, lost, node, pod, taint, world
from support.objects import NOW

NAMES = [f"n{i}" for i in range(1, 7)]
ZONES = {"n1": "z1", "n2": "z1", "n3": "z2", "n4": "z2", "n5": "z3", "n6": "z3"}


def fleet(lost_names=(), stale=(), leaders=LEADERS, since=-90.0, age=-6.0, zoned=True, stale_age=-110.0):
    """Six nodes in three zones; ``lost`` are marked, ``stale`` are silent but still shown as Ready."""
    nodes, leases = [], list(leaders)
    for name in NAMES:
        zone = ZONES[name] if zoned else ""
        if name in lost_names:
            nodes.append(lost(name, since=since, zone=zone))
            leases.append(lease(name, since, rv=1000))
        else:
            nodes.append(node(name, zone=zone))
            leases.append(lease(name, stale_age if name in stale else age))
    return world(nodes, leases)


DOWN = (leader(renewed=-112), leader("kube-scheduler", renewed=-111))


@pytest.mark.parametrize(
    ("snapshot", "whole", "scopes"),
    [
        pytest.param(fleet(), "none", {}, id="S0 all well"),
        pytest.param(fleet(["n1"]), "none", {"n1": "node"}, id="S2 one node"),
        pytest.param(fleet(["n1"], zoned=False), "none", {"n1": "node"}, id="S3 one node, no zones"),
        pytest.param(fleet(["n1", "n2"]), "none", {"n1": "zone", "n2": "zone"}, id="S10 zone z1"),
        pytest.param(fleet(NAMES), "cluster", dict.fromkeys(NAMES, "cluster"), id="S4 whole cluster"),
        pytest.param(fleet(NAMES[:5]), "cluster", dict.fromkeys(NAMES[:5], "cluster"), id="five of six"),
        pytest.param(fleet(stale=["n2"], leaders=DOWN), "controllers", {"n2": "node"}, id="S6 controllers down"),
        pytest.param(
            fleet(stale=NAMES, leaders=DOWN, stale_age=-298),
            "frozen",
            dict.fromkeys(NAMES, "frozen"),
            id="S7 etcd dead",
        ),
        pytest.param(
            fleet(stale=NAMES, leaders=DOWN, stale_age=-150), "frozen", dict.fromkeys(NAMES, "frozen"), id="S9 no space"
        ),
        pytest.param(fleet(["n1", "n3"], since=-95), "none", {"n1": "together", "n3": "together"}, id="two at once"),
    ],
)
def test_the_extent_of_the_silence(snapshot, whole, scopes):
    cluster = read_cluster(snapshot)
    assert cluster.whole.kind == whole
    assert {n: cluster.scope_of(n).kind for n in NAMES if cluster.scope_of(n).kind != "none"} == scopes


@pytest.mark.parametrize(("age", "kind"), [(-90, "frozen"), (-31, "frozen"), (-29, "none"), (-1, "none")])
def test_the_age_of_the_newest_lease_tests_the_write_path(age, kind):
    leaders = (leader(renewed=age), leader("kube-scheduler", renewed=age))
    snapshot = world([node(n) for n in NAMES], [*leaders, *(lease(n, age) for n in NAMES)])
    assert read_cluster(snapshot).whole.kind in ((kind, "controllers") if kind == "none" else (kind,))


def test_without_leader_leases_the_nodes_alone_are_judged_and_it_says_so():
    snapshot = world([node(n) for n in NAMES], [lease(n, -90) for n in NAMES])
    whole = read_cluster(snapshot).whole
    assert whole.kind == "frozen"
    assert whole.confidence is Confidence.LIKELY
    assert "Leases alone" in whole.basis


def test_marks_later_than_the_last_renewal_prove_that_somebody_writes():
    snapshot = world([lost(n, since=-90) for n in NAMES], [lease(n, -90, rv=100) for n in NAMES])
    whole = read_cluster(snapshot).whole
    assert whole.kind == "cluster"
    assert whole.confidence is Confidence.LIKELY


def test_another_write_of_late_proves_that_writes_work():
    snapshot = world([node(n) for n in NAMES], [lease(n, -90) for n in NAMES], [pod(bound=-5)])
    assert read_cluster(snapshot).whole.kind == "cluster"


def test_an_old_mark_proves_no_write_of_late():
    nodes = [lost("n1", since=-900), *(node(n) for n in NAMES[1:])]
    snapshot = world(nodes, [lease("n1", -900, rv=1), *(lease(n, -90) for n in NAMES[1:])])
    assert read_cluster(snapshot).whole.kind == "frozen"


def test_an_older_loss_of_one_node_does_not_date_that_of_all():
    nodes = [lost("n1", since=-900), *(lost(n, since=-90) for n in NAMES[1:])]
    leases = [lease("n1", -900, rv=1), *(lease(n, -90, rv=2) for n in NAMES[1:]), *LEADERS]
    whole = read_cluster(world(nodes, leases)).whole
    assert whole.kind == "cluster"
    assert whole.since == NOW - timedelta(seconds=90)


def test_one_wrong_clock_does_not_hide_a_frozen_cluster():
    leases = [*DOWN, *(lease(n, -120) for n in NAMES[1:]), lease("n1", 60)]
    assert read_cluster(world([node(n) for n in NAMES], leases)).whole.kind == "frozen"


def test_a_lone_node_that_is_lost_is_one_node_not_a_cluster():
    snapshot = world([lost()], [lease("n1", -90, rv=1)])
    cluster = read_cluster(snapshot)
    assert cluster.whole.kind == "none"
    assert cluster.scope_of("n1").kind == "node"


@pytest.mark.parametrize(
    ("down", "size", "kind"),
    [(2, 2, "zone"), (1, 1, "node"), (3, 5, "zone"), (3, 6, "node"), (2, 3, "node"), (11, 20, "zone")],
)
def test_a_zone_is_out_by_the_node_controllers_own_numbers(down, size, kind):
    inside = [f"a{i}" for i in range(size)]
    gone = inside[:down]
    # Spread over time, so that nothing else than the zone is common to them.
    nodes = [lost(n, since=-100 - 30 * i, zone="a") if n in gone else node(n, zone="a") for i, n in enumerate(inside)]
    nodes += [node(f"b{i}", zone="b") for i in range(30)]
    leases = [lease(n, -100 - 30 * i if n in gone else -5, rv=1 if n in gone else None) for i, n in enumerate(inside)]
    leases += [lease(f"b{i}", -5) for i in range(30)] + list(LEADERS)
    cluster = read_cluster(world(nodes, leases))
    assert cluster.scope_of("a0").kind == kind


def test_nodes_without_a_zone_share_no_place():
    nodes = [lost(n, since=-90 - 40 * i) for i, n in enumerate(["n1", "n2"])] + [
        node(f"b{i}", zone="b") for i in range(9)
    ]
    leases = [lease("n1", -90, rv=1), lease("n2", -130, rv=1), *(lease(f"b{i}", -5) for i in range(9)), *LEADERS]
    assert read_cluster(world(nodes, leases)).scope_of("n1").kind == "node"


def test_a_pool_is_named_by_what_only_the_silent_share():
    gpu = {"karpenter.sh/nodepool": "gpu"}
    nodes = [lost(f"g{i}", since=-90 - 60 * i, labels=gpu) for i in range(2)]
    nodes += [node(f"w{i}", labels={"karpenter.sh/nodepool": "web"}) for i in range(8)]
    leases = [
        *(lease(f"g{i}", -90 - 60 * i, rv=1) for i in range(2)),
        *(lease(f"w{i}", -5) for i in range(8)),
        *LEADERS,
    ]
    scope = read_cluster(world(nodes, leases)).scope_of("g0")
    assert (scope.kind, scope.label) == ("pool", "karpenter.sh/nodepool=gpu")


def test_a_kubelet_version_is_named_when_only_it_is_silent():
    nodes = [lost(f"g{i}", since=-90 - 60 * i, version="v1.37.0") for i in range(2)]
    nodes += [node(f"w{i}") for i in range(8)]
    leases = [
        *(lease(f"g{i}", -90 - 60 * i, rv=1) for i in range(2)),
        *(lease(f"w{i}", -5) for i in range(8)),
        *LEADERS,
    ]
    scope = read_cluster(world(nodes, leases)).scope_of("g1")
    assert (scope.kind, scope.label) == ("pool", "kubelet v1.37.0")


def test_the_cutoffs_can_be_moved():
    snapshot = fleet(["n1", "n2", "n3"], since=-90)
    assert read_cluster(snapshot, Cutoffs(cluster=0.5)).whole.kind == "cluster"
    assert (
        read_cluster(fleet(stale=NAMES, leaders=DOWN, stale_age=-112), Cutoffs(frozen=timedelta(minutes=5))).whole.kind
        != "frozen"
    )


def test_a_zone_where_most_of_few_are_down_gets_no_evictions():
    nodes = [node(f"a{i}", ("False", "KubeletNotReady", "x"), zone="a") for i in range(3)]
    nodes += [node("a3", zone="a"), node("b1", zone="b", taints=[taint("x", "NoSchedule")])]
    cluster = read_cluster(world(nodes, LEADERS))
    assert cluster.zone_state("a0") == ("Partial", 4)
    assert cluster.zone_state("b1") == ("Normal", 1)
    assert not cluster.master_disruption
