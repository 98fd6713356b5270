"""why-crash and triage on workloads of kinds that only the cluster knows, live, from a dump and from a paste."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.connect import Connection, connect
from kubetriage.cluster.live import LiveReader
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import ANY_KIND, Answer, Request, Target, load
from kubetriage.rules import custom_workloads
from support.fake_api import FakeApi
from support.objects import (
    NOW,
    at,
    back_off,
    cluster,
    container,
    event,
    obj,
    pod,
    ready_node,
    running,
    status,
    terminated,
)

Obj = dict[str, Any]


def custom(kind: str, name: str, api_version: str, owner: Obj | None = None, **fields: Any) -> Obj:
    meta: Obj = {"name": name, "namespace": "shop", "uid": f"uid-{kind}-{name}", "creationTimestamp": at(-900)}
    if owner is not None:
        reference = {"kind": owner["kind"], "apiVersion": owner["apiVersion"], "controller": True}
        meta["ownerReferences"] = [{**reference, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **fields}


def crashing(name: str, owner: Obj | None = None, **labels: str) -> Obj:
    state = status(state=back_off(), last=terminated(1, "Error", -90, -60))
    return pod(name, statuses=[state], owner=owner, labels=labels or {"app": name}, containers=[container()])


def replica_set(name: str, owner: Obj) -> Obj:
    made = obj("ReplicaSet", name, spec={"replicas": 1}, status={})
    made["metadata"]["ownerReferences"] = custom("x", "x", "x/v1", owner)["metadata"]["ownerReferences"]
    return made


def rollout(**state: Any) -> list[Obj]:
    top = custom(
        "Rollout",
        "web",
        "argoproj.io/v1alpha1",
        spec={"replicas": 2, "selector": {"matchLabels": {"app": "web"}}},
        status=state,
    )
    return [top, replica_set("web-1", top)]


def knative() -> list[Obj]:
    top = custom("Service", "web", "serving.knative.dev/v1", spec={}, status={})
    middle = custom("Configuration", "web", "serving.knative.dev/v1", top, spec={}, status={})
    below = custom("Revision", "web-00001", "serving.knative.dev/v1", middle, spec={}, status={})
    made = obj("Deployment", "web-00001-deployment", spec={"selector": {"matchLabels": {"r": "1"}}}, status={})
    made["metadata"]["ownerReferences"] = custom("x", "x", "x/v1", below)["metadata"]["ownerReferences"]
    ran = obj("ReplicaSet", "web-00001-deployment-1", owner=made, spec={}, status={})
    return [top, middle, below, made, ran, crashing("web-00001-a", ran, r="1")]


def clone_set() -> list[Obj]:
    top = custom("CloneSet", "web", "apps.kruise.io/v1alpha1", spec={"selector": {"matchLabels": {"app": "web"}}})
    return [top, crashing("web-abcde", top, app="web")]


def deployment_config() -> list[Obj]:
    top = custom("DeploymentConfig", "web", "apps.openshift.io/v1", spec={"selector": {"deploymentconfig": "web"}})
    return [top, crashing("web-1-abcde", None, deploymentconfig="web")]


def kafka() -> list[Obj]:
    top = custom("Kafka", "web", "kafka.strimzi.io/v1beta2", spec={}, status={})
    below = custom("StrimziPodSet", "web-kafka", "core.strimzi.io/v1beta2", top, spec={})
    return [top, below, crashing("web-kafka-0", below, **{"strimzi.io/cluster": "web"})]


def postgres() -> list[Obj]:
    top = custom(
        "Cluster", "web", "postgresql.cnpg.io/v1", spec={"instances": 1}, status={"phase": "Setting up primary"}
    )
    return [top, crashing("web-1", None, **{"cnpg.io/cluster": "web"})]


def labelled() -> list[Obj]:
    """Make what an operator keeps that sets neither owners nor labels of its own group."""
    top = custom("Cache", "web", "caches.acme.example.com/v1", spec={})
    own = {"app.kubernetes.io/instance": "web", "app.kubernetes.io/managed-by": "cache-operator"}
    return [top, crashing("web-0", None, **own)]


CASES = {
    "Rollout": ("rollout", [*rollout(), crashing("web-1-a", rollout()[1], app="web")], "web-1-a"),
    "Rollout by its group": ("rollouts.argoproj.io", [*rollout(), crashing("web-1-a", None, app="web")], "web-1-a"),
    "Knative Service": ("services.serving.knative.dev", knative(), "web-00001-a"),
    "CloneSet": ("cloneset", clone_set(), "web-abcde"),
    "DeploymentConfig": ("dc", deployment_config(), "web-1-abcde"),
    "Kafka": ("kafka", kafka(), "web-kafka-0"),
    "Cluster of CloudNativePG": ("clusters.postgresql.cnpg.io", postgres(), "web-1"),
    "operator's own kind": ("cache", labelled(), "web-0"),
}
KINDS = (
    ("Rollout", "rollouts", "argoproj.io", ()),
    ("Service", "services", "serving.knative.dev", ("ksvc",)),
    ("Configuration", "configurations", "serving.knative.dev", ()),
    ("Revision", "revisions", "serving.knative.dev", ()),
    ("CloneSet", "clonesets", "apps.kruise.io", ()),
    ("DeploymentConfig", "deploymentconfigs", "apps.openshift.io", ("dc",)),
    ("Kafka", "kafkas", "kafka.strimzi.io", ()),
    ("StrimziPodSet", "strimzipodsets", "core.strimzi.io", ()),
    ("Cluster", "clusters", "postgresql.cnpg.io", ()),
    ("Cache", "caches", "caches.acme.example.com", ()),
)
BYSTANDER = pod("other", statuses=[status(state=running(-600), ready=True)], ready=True, labels={"app": "other"})


def live(api: FakeApi, home: Path, word: str, command: str = "why-crash") -> Answer:
    plugin = load(command)
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    request = Request(targets=(Target(ANY_KIND, "web", word),), namespace="shop", options=options)
    reader = LiveReader(connect(Connection(kubeconfig=str(api.kubeconfig(home))), {}))
    return collect(plugin, request, reader)[1]


def serve(api: FakeApi, *objects: Obj) -> None:
    for kind, plural, group, short in KINDS:
        api.define(kind, plural, group, short=short)
    api.add(*objects, BYSTANDER, ready_node())


@pytest.mark.parametrize("name", CASES)
def test_the_pods_of_a_workload_that_no_table_knows(name: str, tmp_path: Path) -> None:
    word, objects, expected = CASES[name]
    with FakeApi(clock=NOW) as api:
        serve(api, *objects)
        got = live(api, tmp_path, word)
    assert not got.errors
    assert [d.target.name for d in got.diagnoses] == [expected]
    assert got.diagnoses[0].findings


@pytest.mark.parametrize("name", CASES)
def test_the_same_from_a_dump_of_its_objects(name: str, tmp_path: Path) -> None:
    word, objects, expected = CASES[name]
    word = {"dc": "deploymentconfig"}.get(word, word)
    for number, one in enumerate([*objects, BYSTANDER]):
        (tmp_path / f"{number}.json").write_text(json.dumps(one), encoding="utf-8")
    request = Request(targets=(Target(ANY_KIND, "web", word),), namespace="shop", options={"max_logs": 50})
    _, got = collect(load("why-crash"), request, RecordedReader(tmp_path))
    assert not got.errors
    assert [d.target.name for d in got.diagnoses] == [expected]


def test_triage_takes_such_a_workload(tmp_path: Path) -> None:
    word, objects, _ = CASES["Rollout"]
    with FakeApi(clock=NOW) as api:
        serve(api, *objects)
        got = live(api, tmp_path, word, "triage")
    assert not got.errors
    assert [r["cause"] for r in got.diagnoses[0].extra["roots"]] == ["AppError"]


def failing() -> dict[str, Any]:
    words = 'ReplicaSet "web-1" has timed out progressing.'
    told = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": words}
    return {"phase": "Degraded", "conditions": [told, {"type": "Completed", "status": "False"}]}


def test_what_its_controller_says_where_no_pod_says_more(tmp_path: Path) -> None:
    with FakeApi(clock=NOW) as api:
        serve(api, *rollout(**failing()))
        got = live(api, tmp_path, "rollout")
    (finding,) = got.diagnoses[0].findings
    assert finding.cause == "ControllerReportsFailure"
    assert "timed out progressing" in finding.message


def test_its_replica_set_that_may_not_create_pods(tmp_path: Path) -> None:
    words = (
        'Error creating: pods "web-1-x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, '
        "limited: pods=1"
    )
    objects = rollout()
    refused = event("FailedCreate", words, objects[1], component="replicaset-controller")
    with FakeApi(clock=NOW) as api:
        serve(api, *objects, refused)
        got = live(api, tmp_path, "rollout")
    assert got.diagnoses[0].cause == "QuotaExceeded"


def test_an_object_whose_pods_nobody_can_tell_is_not_called_healthy(tmp_path: Path) -> None:
    with FakeApi(clock=NOW) as api:
        serve(api, custom("Cache", "web", "caches.acme.example.com/v1", spec={}))
        got = live(api, tmp_path, "cache")
    assert got.diagnoses[0].cause == "Unknown"


def test_a_type_that_the_server_does_not_have(tmp_path: Path) -> None:
    with FakeApi(clock=NOW) as api:
        serve(api)
        got = live(api, tmp_path, "gizmo")
        assert any(r.path == "/apis" for r in api.requests)
    assert got.errors == ('error: the server doesn\'t have a resource type "gizmo"',)


def test_an_object_that_is_not_there(tmp_path: Path) -> None:
    with FakeApi(clock=NOW) as api:
        serve(api)
        got = live(api, tmp_path, "rollout")
    assert got.errors == ('Error from server (NotFound): rollouts.argoproj.io "web" not found',)


def test_an_object_that_may_not_be_read(tmp_path: Path) -> None:
    with FakeApi(clock=NOW) as api:
        serve(api, *rollout())
        api.deny("rollouts.argoproj.io")
        got = live(api, tmp_path, "rollout")
    assert "Forbidden" in got.errors[0]
    assert "rollouts" in got.errors[0]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"type": "Ready", "status": "False", "reason": "RevisionFailed", "message": "no image"}, True),
        ({"type": "Available", "status": "False"}, True),
        ({"type": "Degraded", "status": "True", "message": "quorum is lost"}, True),
        ({"type": "ReplicaFailure", "status": "True"}, True),
        ({"type": "Ready", "status": "True"}, False),
        ({"type": "Ready", "status": "Unknown"}, False),
        ({"type": "Paused", "status": "False"}, False),
        ({"type": "Completed", "status": "False"}, False),
        ({"type": "Progressing", "status": "False", "reason": "RolloutPaused"}, False),
    ],
)
def test_which_conditions_speak_of_a_failure(condition: Obj, expected: bool, tmp_path: Path) -> None:
    with FakeApi(clock=NOW) as api:
        serve(api, *rollout(conditions=[condition]))
        got = live(api, tmp_path, "rollout")
    assert (got.diagnoses[0].cause == "ControllerReportsFailure") is expected


@pytest.mark.parametrize(
    ("fields", "below", "expected"),
    [
        ({"spec": {"replicas": 2}, "status": {"readyReplicas": 1}}, 2, "1 of 2 ready"),
        ({"spec": {}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}, 1, "Ready is False"),
        ({"spec": {"replicas": 2}, "status": {"readyReplicas": 2}}, 2, ""),
        ({"spec": {}, "status": {}}, 0, "no pod of it was seen"),
    ],
)
def test_what_such_a_workload_lacks_while_somebody_waits(fields: Obj, below: int, expected: str) -> None:
    top = custom("CloneSet", "web", "apps.kruise.io/v1alpha1", **fields)
    ready = [status(state=running(-60), ready=True)]
    pods = [pod(f"web-{i}", owner=top, statuses=ready, ready=True) for i in range(below)]
    assert custom_workloads.lacking(cluster(*pods), top) == expected
