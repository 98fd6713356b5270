"""When each pod is deleted, to the second, and who must act for one that is stuck."""

from datetime import timedelta

import pytest

from kubetriage.readers.pods import Pod
from kubetriage.rules.node.eviction_timetable import Surroundings, evict, remediations, timetable, tolerates
from support.nodes import DEFAULTS, FOR_EVER, condition, lost, node, pod, taint, tolerate
from support.objects import NOW, at

BOTH = [taint("unreachable", "NoSchedule", -100), taint("unreachable", added=-100)]


@pytest.mark.parametrize(
    ("tolerations", "taints", "bound", "acquired", "expected"),
    [
        pytest.param(DEFAULTS, [], -7200, None, None, id="no taint at all"),
        pytest.param(DEFAULTS, [taint("unreachable", "NoSchedule", -100)], -7200, None, None, id="NoSchedule only"),
        pytest.param(DEFAULTS, BOTH, -7200, None, 200, id="default 300s"),
        pytest.param([tolerate("unreachable", 30)], BOTH, -7200, None, -70, id="30s, in the past"),
        pytest.param([tolerate("unreachable", 0)], BOTH, -7200, None, -100, id="0s is now"),
        pytest.param([tolerate("unreachable", -5)], BOTH, -7200, None, -100, id="negative is now"),
        pytest.param([], BOTH, -7200, None, -100, id="not tolerated"),
        pytest.param([tolerate("not-ready", 300)], BOTH, -7200, None, -100, id="only the other taint tolerated"),
        pytest.param(FOR_EVER, BOTH, -7200, None, "never", id="no seconds"),
        pytest.param([{"operator": "Exists"}], BOTH, -7200, None, "never", id="everything tolerated"),
        pytest.param([{"operator": "Exists", "effect": "NoExecute"}], BOTH, -7200, None, "never", id="static pod's"),
        # The timers are in memory: a restart of the controller-manager counts anew.
        pytest.param([tolerate("unreachable", 60)], BOTH, -7200, -40, 20, id="restart after the taint"),
        pytest.param([tolerate("unreachable", 60)], BOTH, -7200, -400, -40, id="restart before the taint"),
        pytest.param([], BOTH, -7200, -40, -40, id="not tolerated, restart"),
        pytest.param(FOR_EVER, BOTH, -7200, -40, "never", id="no seconds, restart"),
        # A pod bound to a tainted node counts from its binding.
        pytest.param(DEFAULTS, BOTH, -10, None, 290, id="bound after the taint"),
        pytest.param(DEFAULTS, BOTH, -10, -5, 295, id="bound after the taint, then a restart"),
        # Several taints: the first timer stays.
        pytest.param(
            [tolerate("unreachable", 300), tolerate("maintenance", 60)],
            [taint("unreachable", added=-100), taint("maintenance", added=-50)],
            -7200,
            None,
            200,
            id="a later, shorter taint does not shorten the timer",
        ),
        pytest.param(
            [tolerate("unreachable", 300), tolerate("maintenance", 60)],
            [taint("unreachable", added=-100), taint("maintenance", added=-50)],
            -7200,
            -20,
            40,
            id="after a restart the shorter one counts",
        ),
        pytest.param(
            [tolerate("unreachable", 300), tolerate("maintenance", 200)],
            [taint("unreachable", added=-100), taint("maintenance", added=-100)],
            -7200,
            None,
            100,
            id="at the same time the shorter one counts",
        ),
        pytest.param(
            [tolerate("unreachable", 300)],
            [taint("unreachable", added=-100), taint("out-of-service", added=-50, value="nodeshutdown")],
            -7200,
            None,
            -50,
            id="out-of-service is not tolerated",
        ),
        pytest.param(
            [tolerate("unreachable", 300), tolerate("maintenance", None)],
            [taint("unreachable", added=-100), taint("maintenance", added=-5000)],
            -7200,
            None,
            200,
            id="one of two without seconds",
        ),
        pytest.param(
            [tolerate("unreachable", 40), tolerate("unreachable", 300)],
            BOTH,
            -7200,
            None,
            -60,
            id="the first toleration that fits is used",
        ),
        pytest.param(DEFAULTS, [taint("unreachable")], -60, None, 240, id="a taint without a time"),
    ],
)
def test_the_deadline_of_a_pod(tolerations, taints, bound, acquired, expected):
    def time(seconds):
        return NOW + timedelta(seconds=seconds) if seconds is not None else None

    got = evict(list(tolerations), list(taints), time(bound), time(acquired))
    if expected is None:
        assert got.kind == "none"
    elif expected == "never":
        assert got.kind == "never"
    else:
        assert (got.kind, got.at) == ("at", time(expected))


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "k", "value": "5", "effect": "NoExecute"}, True),
        ({"key": "k", "operator": "Equal", "value": "6"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "k", "operator": "Lt", "value": "6"}, True),
        ({"key": "k", "operator": "Gt", "value": "6"}, False),
        ({"key": "k", "operator": "Gt", "value": "x"}, False),
        ({"key": "k", "operator": "New", "value": "5"}, False),
        ({}, False),
    ],
)
def test_a_toleration_covers_a_taint_as_the_api_says(toleration, covers):
    assert tolerates(toleration, {"key": "k", "value": "5", "effect": "NoExecute"}) is covers


def rows(*pods, raw=None, **around):
    raw = raw or lost(since=-152)
    around.setdefault("jobs", {})
    setting = Surroundings(node=raw, now=NOW, ready="Unknown", silent=True, **around)
    return {r.pod.name: r for r in timetable([Pod(p) for p in pods], setting)}


def one(raw_pod, **around):
    return rows(raw_pod, **around)[raw_pod["metadata"]["name"]]


def test_a_due_pod_names_its_second():
    row = one(pod())
    assert (row.fate, row.when) == ("due", "12:03:20Z (in 3m20s)")
    assert row.at is not None


def test_a_pod_whose_time_passed_is_overdue():
    row = one(pod(tolerations=[tolerate("unreachable", 60)]))
    assert row.fate == "overdue"
    assert "40s overdue" in row.when


def test_a_restarted_controller_counts_anew_and_the_row_says_so():
    row = one(pod(tolerations=[tolerate("unreachable", 60)]), acquired=NOW - timedelta(seconds=40))
    assert (row.fate, row.when) == ("due", "12:00:20Z (in 20s)")
    assert "restarted" in row.what


def test_nothing_is_evicted_while_no_controller_runs():
    assert one(pod(), controllers_down=True).fate == "paused"


def test_without_the_no_execute_taint_eviction_is_paused_with_the_reason():
    raw = lost(taints=[taint("unreachable", "NoSchedule", -100)])
    row = one(pod(), raw=raw, pause="no node at all is ready")
    assert row.fate == "paused"
    assert "no node at all is ready" in row.what


@pytest.mark.parametrize(
    "raw_pod",
    [
        pod(owner=("DaemonSet", "agent"), tolerations=FOR_EVER),
        pod(owner=("Node", "n1"), annotations={"kubernetes.io/config.mirror": "x"}),
        pod(tolerations=FOR_EVER),
    ],
)
def test_some_pods_are_never_evicted(raw_pod):
    assert one(raw_pod).fate == "never"


def test_a_finished_pod_is_left_out():
    assert rows(pod(phase="Succeeded")) == {}


BY_TAINT = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "DeletionByTaintManager",
    "lastTransitionTime": at(-60),
}


def test_a_pod_within_its_grace_period_is_not_stuck():
    row = one(pod(deleted=-10, grace=30))
    assert row.fate == "terminating"
    assert not row.stuck


def test_the_request_time_is_the_deletion_time_less_the_grace():
    assert one(pod(deleted=-60, grace=30)).when == "asked 11:59:00Z, 1m0s ago"


def test_a_replica_set_replaces_at_once_and_the_new_pod_is_named():
    new = pod("web-2", "n2", bound=-59)
    old = pod("web-0", "n3", bound=-9000)
    row = one(pod(deleted=-60, conditions=[BY_TAINT]), siblings=[new, old])
    assert row.stuck
    assert row.replaced_by == ("web-2 (Running on n2)",)
    assert not row.waits_for_node
    assert "taint eviction" in row.what


def test_an_unseen_namespace_is_not_called_without_replacement():
    assert "not seen" in one(pod(deleted=-60), siblings_seen=False).what


def test_a_stateful_set_waits_for_the_object_and_its_volume():
    claim = {
        "metadata": {"name": "data-db-0", "namespace": "shop"},
        "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "pv-1"},
    }
    raw_pod = pod(
        "db-0",
        owner=("StatefulSet", "db"),
        deleted=-60,
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}],
    )
    row = one(raw_pod, claims={("shop", "data-db-0"): claim}, attached=frozenset({"pv-1"}))
    assert row.waits_for_node
    assert "data-db-0 is still attached here" in row.what
    assert "6m" in row.what


def test_a_shared_volume_holds_nothing_up():
    claim = {"metadata": {"name": "c", "namespace": "shop"}, "spec": {"accessModes": ["ReadWriteMany"]}}
    raw_pod = pod(deleted=-60, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}])
    assert "volume" not in one(raw_pod, claims={("shop", "c"): claim}).what


@pytest.mark.parametrize(("policy", "waits"), [("Failed", True), ("TerminatingOrFailed", False)])
def test_a_job_replaces_by_its_policy(policy, waits):
    job = {"metadata": {"name": "j", "uid": "uid-j"}, "spec": {"podReplacementPolicy": policy}}
    row = one(pod(owner=("Job", "j"), deleted=-60), jobs={"uid-j": job})
    assert row.waits_for_node is waits


def test_an_unseen_job_is_said_to_be_unseen():
    assert "not seen" in one(pod(owner=("Job", "j"), deleted=-60), jobs=None).what


def test_a_finalizer_must_go_first():
    row = one(pod(deleted=-60, finalizers=["example.com/keep"]))
    assert row.stuck
    assert "example.com/keep" in row.what
    assert "its owner must remove it" in row.what


def test_a_bare_pod_is_replaced_by_nobody():
    assert "nothing replaces" in one(pod(owner=None, deleted=-60)).what


def test_a_shutdown_ends_every_pod_without_an_eviction():
    got = one(pod("web-1", owner=("ReplicaSet", "web")), shutting_down=True, pause="x")
    assert (got.fate, got.when) == ("due", "now")
    assert "ended by the kubelet with the shutdown of the node; a new pod starts elsewhere" in got.what
    agent = one(pod("agent-1", owner=("DaemonSet", "agent")), shutting_down=True)
    assert "runs again after the boot" in agent.what
    assert "nothing replaces" in one(pod("bare", owner=None), shutting_down=True).what


def test_the_nearest_comes_first():
    got = rows(
        pod("late"),
        pod("stuck", deleted=-60),
        pod("soon", tolerations=[tolerate("unreachable", 120)]),
        pod("agent", owner=("DaemonSet", "agent"), tolerations=FOR_EVER),
    )
    assert list(got) == ["stuck", "soon", "late", "agent"]


def test_a_node_health_check_that_selects_the_node_acts_at_its_time():
    raw = node(ready=("Unknown", "NodeStatusUnknown", "x"), changed=-100, labels={"node-role.kubernetes.io/worker": ""})
    check = {
        "metadata": {"name": "workers"},
        "spec": {
            "selector": {"matchExpressions": [{"key": "node-role.kubernetes.io/worker", "operator": "Exists"}]},
            "unhealthyConditions": [{"type": "Ready", "status": "Unknown", "duration": "300s"}],
        },
    }
    found = remediations(raw, [check], [])
    assert [(r.what, r.at) for r in found] == [("NodeHealthCheck workers", NOW + timedelta(seconds=200))]
    assert remediations(node(), [check], []) == ()


@pytest.mark.parametrize("term", [{"timeout": "10m"}, {"timeoutSeconds": 600}])
def test_a_machine_health_check_may_act(term):
    raw = lost(conditions=[condition("X", "True", "r", "m")])
    check = {
        "metadata": {"name": "mhc", "namespace": "m"},
        "spec": {"unhealthyConditions": [{"type": "Ready", "status": "Unknown", **term}]},
    }
    (found,) = remediations(raw, [], [check])
    assert found.at == NOW + timedelta(seconds=-38 + 600)
    assert "if it covers" in found.does


def test_a_taint_of_the_autoscaler_announces_its_act():
    raw = node(taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}])
    assert [r.what for r in remediations(raw, [], [])] == ["taint ToBeDeletedByClusterAutoscaler"]
