"""The node's view: effective request, QoS, oom_score_adj, eviction order, limits in force."""

import pytest

from kubetriage.readers.pods import Pod
from kubetriage.rules.memory import node_memory
from support.budgets import live, resources
from support.objects import container, pod, status

MI = 2**20
GI = 2**30


def make(containers=(), init=(), **more):
    return Pod(pod(containers=containers or [container()], init=init, **more))


def sized(name, request, **more):
    return container(name, resources={"requests": {"memory": request}}, **more)


@pytest.mark.parametrize(
    ("containers", "init", "more", "size"),
    [
        ([sized("a", "100Mi"), sized("b", "200Mi")], [], {}, 300),
        ([sized("a", "100Mi")], [sized("i", "300Mi")], {}, 300),
        ([sized("a", "100Mi")], [sized("s", "50Mi", restartPolicy="Always"), sized("i", "120Mi")], {}, 170),
        ([sized("a", "100Mi")], [sized("i", "120Mi"), sized("s", "50Mi", restartPolicy="Always")], {}, 150),
        ([sized("a", "100Mi")], [sized("s", "50Mi", restartPolicy="Always")], {"overhead": {"memory": "10Mi"}}, 160),
        ([sized("a", "100Mi")], [], {"resources": {"requests": {"memory": "400Mi"}}}, 400),
        (
            [sized("a", "100Mi")],
            [],
            {"resources": {"requests": {"memory": "400Mi"}}, "overhead": {"memory": "1Mi"}},
            401,
        ),
        ([container("a", resources={"limits": {"memory": "64Mi"}})], [], {}, 64),
        ([container("a")], [], {}, 0),
    ],
)
def test_effective_request(containers, init, more, size):
    found = node_memory.effective_request(make(containers, init, **more))
    assert found.size == size * MI
    assert found.words.endswith(f"= {size}Mi") or size in (0,)


def test_every_term_is_shown():
    found = node_memory.effective_request(
        make([sized("a", "100Mi")], [sized("s", "50Mi", restartPolicy="Always"), sized("i", "120Mi")])
    )
    assert [(t.size // MI, t.counts) for t in found.terms] == [(100, True), (50, True), (170, False)]


@pytest.mark.parametrize(
    ("reason", "size"),
    [("Deferred", 300), ("Infeasible", 200)],
)
def test_an_open_resize_counts_the_larger_one_unless_it_is_infeasible(reason, size):
    shown = status("a", allocatedResources={"memory": "200Mi"}, resources={"requests": {"memory": "100Mi"}})
    condition = {"type": "PodResizePending", "status": "True", "reason": reason}
    target = Pod(pod(containers=[sized("a", "300Mi")], statuses=[shown], conditions=[condition]))
    assert node_memory.effective_request(target).size == size * MI


@pytest.mark.parametrize(
    ("given", "qos"),
    [
        ([{}], "BestEffort"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"memory": "1Gi"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
    ],
)
def test_qos(given, qos):
    containers = [container(f"c{i}", resources=r) for i, r in enumerate(given)]
    assert node_memory.qos_class(make(containers)) == qos


def test_qos_of_the_status_outlives_a_resize():
    target = Pod(pod(more_status={"qosClass": "Burstable"}))
    assert node_memory.qos_class(target) == "Burstable"


def test_qos_of_a_pod_with_resources_of_its_own():
    whole = {"limits": {"cpu": "1", "memory": "1Gi"}}
    assert node_memory.qos_class(make(resources=whole)) == "Guaranteed"


@pytest.mark.parametrize(
    ("request_", "capacity", "score"),
    [("4Gi", 16, 750), ("1Mi", 64, 999), ("16Gi", 16, 3), ("160Mi", 24, 994)],
)
def test_oom_score_adj_of_burstable(request_, capacity, score):
    (found,) = make([sized("a", request_)]).containers
    assert node_memory.oom_score_adj(found, capacity * GI) == score


def test_oom_score_adj_of_the_others():
    (best,) = make([container("a")]).containers
    (guaranteed,) = make([container("a", resources={"limits": {"cpu": "1", "memory": "1Gi"}})]).containers
    (critical,) = make([container("a")], priorityClassName="system-node-critical").containers
    (unknown,) = make([sized("a", "1Gi")]).containers
    assert node_memory.oom_score_adj(best, None) == 1000
    assert node_memory.oom_score_adj(guaranteed, None) == -997
    assert node_memory.oom_score_adj(critical, None) == -997
    assert node_memory.oom_score_adj(unknown, None) is None


def test_oom_score_adj_of_a_sidecar_is_no_higher_than_the_smallest_container():
    target = make([sized("a", "8Gi")], [sized("s", "1Mi", restartPolicy="Always")])
    side, main = target.containers
    assert node_memory.oom_score_adj(main, 16 * GI) == 500
    assert node_memory.oom_score_adj(side, 16 * GI) == 500


def test_pod_level_request_is_shared_out():
    target = make([sized("a", "1Gi"), sized("b", "1Gi")], resources={"requests": {"memory": "6Gi"}})
    assert [node_memory.oom_score_adj(c, 16 * GI) for c in target.containers] == [813, 813]


def test_eviction_order():
    def member(name, request, priority=0, **more):
        return Pod(live(sized("app", request), name=name, priority=priority, **more))

    pods = [
        member("within", "1Gi"),
        member("above-a-little", "100Mi"),
        member("above-a-lot", "100Mi"),
        member("above-important", "100Mi", priority=1000),
        member("no-statistics", "1Gi", priority=1000),
        member("critical", "1Mi", priority=2_000_000_000),
        member("done", "1Mi", phase="Succeeded"),
        member("static", "1Mi", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}),
    ]
    usage = {p.uid: size * MI for p, size in zip(pods, (500, 110, 900, 2000, None, 900, 9, 900), strict=True) if size}
    order = [c.pod.name for c in node_memory.eviction_order(pods, usage)]
    assert order == ["no-statistics", "above-a-lot", "above-a-little", "above-important", "within"]


def one(spec, **more):
    return Pod(pod(containers=[spec], **more)).containers[0]


def test_the_limit_in_force_is_the_one_the_kubelet_applied():
    shown = status("app", resources={"limits": {"memory": "2Gi"}})
    found = node_memory.limit_of(one(container(resources=resources("1Gi")), statuses=[shown]))
    assert (found.size, found.level) == (2 * GI, "container")
    assert found.source.startswith("status.containerStatuses[app]")


def test_a_pod_limit_holds_where_the_container_has_none():
    found = node_memory.limit_of(one(container(), resources={"limits": {"memory": "1Gi"}}))
    assert (found.size, found.level) == (GI, "pod")


def test_the_sum_in_the_pods_status_is_no_pod_limit():
    found = node_memory.limit_of(one(container(), more_status={"resources": {"limits": {"memory": "1Gi"}}}))
    assert found.size is None


def test_a_limit_range_is_named():
    note = "LimitRanger plugin set: memory request for container app; memory limit for container app"
    meta = {"annotations": {"kubernetes.io/limit-ranger": note}}
    found = node_memory.limit_of(one(container(resources=resources("1Gi")), metadata=meta))
    assert "LimitRange" in found.source


def test_a_request_defaults_to_the_limit():
    assert node_memory.request_of(one(container(resources={"limits": {"memory": "1Gi"}}))).size == GI
    assert node_memory.request_of(one(container())).size is None
