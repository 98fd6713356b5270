"""A scan tells one fault once, and looks at a few pods of each workload and symptom."""

from __future__ import annotations

import pytest

from kubetriage.plugins import Request, load
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.crash.representatives import MOST, representatives
from support.nodes import LOST, lease, node, world
from support.objects import back_off, cluster, container, obj, pod, status, terminated, waiting


def replicas(name, number, *, node=None, revision="1", namespace="shop", **more):
    top = obj("Deployment", name, namespace=namespace, spec={"selector": {"matchLabels": {"app": name}}}, status={})
    below = obj("ReplicaSet", f"{name}-{revision}", namespace=namespace, owner=top, spec={}, status={})
    labels = {"app": name, "pod-template-hash": revision}
    made = [
        pod(f"{name}-{revision}-{i}", namespace=namespace, owner=below, labels=labels, node=node or f"n{i % 5}", **more)
        for i in range(number)
    ]
    return [top, below, *made]


def crashing(code=1):
    return {"statuses": [status(state=back_off(), last=terminated(code, "Error", -90, -60))]}


def scan(*objects, fold=True):
    request = Request(namespace="", all_namespaces=True, fold=fold, options={"max_logs": 50})
    return load("why-crash").diagnose(cluster(*objects), request)


def test_replicas_of_one_workload_are_one_row():
    got = scan(*replicas("a", 40, **crashing()))
    assert len(got.diagnoses) == 1
    fold = got.diagnoses[0].extra["fold"]
    assert fold["count"] == 40
    assert fold["workloads"] == [{"kind": "Deployment", "namespace": "shop", "name": "a"}]
    assert len(fold["lookedAt"]) == MOST
    assert len(fold["sameSymptom"]) == 40 - MOST


def test_one_image_of_many_workloads_is_one_row():
    state = waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/api:9": not found')
    more = {"statuses": [status(state=state)], "containers": [container(image="registry.example/api:9")]}
    got = scan(
        *replicas("a", 5, phase="Pending", **more),
        *replicas("b", 6, namespace="other", phase="Pending", **more),
    )
    assert len(got.diagnoses) == 1
    fold = got.diagnoses[0].extra["fold"]
    assert fold["count"] == 11
    assert fold["root"] == {"kind": "Image", "name": "registry.example/api:9"}
    assert fold["namespaces"] == ["other", "shop"]


def test_two_causes_are_two_rows():
    got = scan(*replicas("a", 4, **crashing(1)), *replicas("b", 4, **crashing(139)))
    assert len(got.diagnoses) == 2
    assert [d.extra["fold"]["count"] for d in got.diagnoses] == [4, 4]


def test_without_folding_each_pod_has_its_row():
    got = scan(*replicas("a", 40, **crashing()), fold=False)
    assert len(got.diagnoses) == 40
    assert all("fold" not in d.extra for d in got.diagnoses)


def test_one_pod_alone_says_nothing_of_folding():
    assert "fold" not in scan(*replicas("a", 1, **crashing())).diagnoses[0].extra


def test_representatives_are_of_different_nodes_and_revisions_first():
    old = [Pod(o) for o in replicas("a", 5, node="n1", revision="1", **crashing()) if o["kind"] == "Pod"]
    new = [Pod(o) for o in replicas("a", 5, node="n2", revision="2", **crashing()) if o["kind"] == "Pod"]
    chosen = representatives([*old, *new])
    assert len(chosen) == MOST
    assert {p.node for p, _ in chosen} == {"n1", "n2"}
    assert sum(len(others) for _, others in chosen) == 7


def test_pods_that_differ_in_their_state_do_not_stand_for_each_other():
    one = [Pod(o) for o in replicas("a", 4, **crashing(1)) if o["kind"] == "Pod"]
    two = [Pod(o) for o in replicas("a", 4, revision="2", **crashing(137)) if o["kind"] == "Pod"]
    assert len(representatives([*one, *two])) == 2 * MOST


def image_wait(name, words, namespace="shop"):
    image = "registry.example/api:9"
    state = waiting("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {words}')
    more = {"statuses": [status(state=state)], "containers": [container(image=image)], "phase": "Pending"}
    return [Pod(o) for o in replicas(name, 6, namespace=namespace, **more) if o["kind"] == "Pod"]


def test_workloads_that_wait_for_one_image_share_their_representatives():
    gone = [*image_wait("a", "not found"), *image_wait("b", "not found", "other")]
    assert len(representatives(gone)) == MOST
    # Who may read an image is decided in each namespace.
    refused = [*image_wait("a", "401 Unauthorized"), *image_wait("b", "401 Unauthorized", "other")]
    assert len(representatives(refused)) == 2 * MOST


def test_workloads_that_wait_for_one_object_share_their_representatives():
    def held(name, words):
        state = waiting("CreateContainerConfigError", words)
        return [Pod(o) for o in replicas(name, 4, statuses=[status(state=state)]) if o["kind"] == "Pod"]

    assert len(representatives([*held("a", 'secret "db" not found'), *held("b", 'secret "db" not found')])) == MOST
    assert len(representatives([*held("a", 'secret "db" not found'), *held("b", 'secret "x" not found')])) == 2 * MOST


@pytest.mark.parametrize(("symptoms", "each"), [(20, 3), (60, 2), (61, 1)])
def test_of_many_symptoms_fewer_pods_each_are_looked_at(symptoms, each):
    pods = [Pod(o) for n in range(symptoms) for o in replicas(f"a{n}", 5, **crashing()) if o["kind"] == "Pod"]
    chosen = representatives(pods)
    assert len(chosen) == symptoms * each
    assert len(chosen) + sum(len(others) for _, others in chosen) == len(pods)


def test_bare_pods_stand_for_nobody():
    alone = [Pod(pod(f"p{i}", **crashing())) for i in range(5)]
    assert len(representatives(alone)) == 5


def test_nodes_of_a_lost_zone_are_one_row_that_counts_all_of_them():
    lost = [node(f"a-{i}", LOST, changed=-250, zone="a") for i in range(14)]
    well = [node(f"b-{i}", zone="b") for i in range(6)]
    leases = [lease(f"a-{i}", -300) for i in range(14)] + [lease(f"b-{i}", -5) for i in range(6)]
    request = Request(namespace="", all_namespaces=True, fold=True)
    got = load("node-triage").diagnose(world([*lost, *well], leases), request)
    (row,) = (d for d in got.diagnoses if d.cause == "ZoneOutage")
    assert row.extra["fold"]["count"] == 14
    plain = load("node-triage").diagnose(world([*lost, *well], leases), replace(request, fold=False))
    assert len([d for d in plain.diagnoses if d.cause == "ZoneOutage"]) == 10
