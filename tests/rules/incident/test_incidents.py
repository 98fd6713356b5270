"""Made-up incidents with a known root: the root first, its victims complete, nothing foreign joined."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.model import Diagnosis
from kubetriage.plugins import Request, load
from support.nodes import LOST, node, taint
from support.objects import back_off, cluster, container, obj, pod, running, status, terminated, waiting


def triage(*objects: Any, logs: Any = None, **more: Any) -> Diagnosis:
    """Ask triage about everything."""
    snapshot = cluster(*objects, **more)
    for name, text in (logs or {}).items():
        from kubetriage.needs import Log

        snapshot.add_log(Log("shop", name, "app", True), text)
        snapshot.add_log(Log("shop", name, "app", False), text)
    answer = load("triage").diagnose(snapshot, Request(namespace="", all_namespaces=True))
    assert not answer.errors
    return answer.diagnoses[0]


def roots(diagnosis: Diagnosis) -> list[tuple[str, str, dict[str, int]]]:
    return [(r["object"]["name"], r["cause"], r["counts"]) for r in diagnosis.extra["roots"]]


def deployment(name: str, namespace: str = "shop") -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container()]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return obj("Deployment", name, namespace=namespace, spec=spec, status={})


def replicas(name: str, number: int = 2, namespace: str = "shop", **more: Any) -> list[dict[str, Any]]:
    """Make a Deployment with its ReplicaSet and pods."""
    top = deployment(name, namespace)
    below = obj("ReplicaSet", f"{name}-1", namespace=namespace, owner=top, spec=top["spec"], status={})
    more.setdefault("statuses", [status(state=running(-600), ready=True)])
    pods = [pod(f"{name}-1-{i}", namespace=namespace, owner=below, labels={"app": name}, **more) for i in range(number)]
    return [top, below, *pods]


def service(name: str, namespace: str = "shop") -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return obj(
        "Service", name, namespace=namespace, spec={"selector": {"app": name}, "ports": ports, "clusterIP": "10.96.0.9"}
    )


def serving(name: str, number: int = 2) -> list[dict[str, Any]]:
    """Make a healthy Deployment with its Service and endpoints."""
    made = replicas(name, number, ready=True, containers=[container(ports=[{"containerPort": 8080}])])
    endpoints = []
    for i, one in enumerate(p for p in made if p["kind"] == "Pod"):
        one["status"]["podIPs"] = [{"ip": f"10.0.1.{i}"}]
        about = {"kind": "Pod", "name": one["metadata"]["name"], "uid": one["metadata"]["uid"], "namespace": "shop"}
        endpoints.append({"addresses": [f"10.0.1.{i}"], "conditions": {"ready": True}, "targetRef": about})
    ports = [{"name": "", "port": 8080, "protocol": "TCP"}]
    label = {"labels": {"kubernetes.io/service-name": name}}
    more = {"addressType": "IPv4", "endpoints": endpoints, "ports": ports}
    return [*made, service(name), obj("EndpointSlice", f"{name}-x", metadata=label, **more)]


def ingress(name: str, backend: str) -> dict[str, Any]:
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}]
    spec = {"ingressClassName": "nginx", "rules": [{"host": f"{name}.example", "http": {"paths": paths}}]}
    return obj("Ingress", name, spec=spec, status={"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}})


def crashing() -> dict[str, Any]:
    end = terminated(1, "Error", -90, -60)
    return {"statuses": [status(state=back_off(), last=end)]}


def pulling(message: str) -> dict[str, Any]:
    return {"statuses": [status(state=waiting("ImagePullBackOff", message))], "phase": "Pending"}


def test_a_lost_node_explains_its_pods_and_their_services():
    lost = node("n1", LOST, changed=-400, taints=[taint("unreachable", added=-400)])
    objects: list[Any] = [lost, node("n2"), node("n3")]
    for name in ("a", "b", "c", "d"):
        objects += replicas(name, 15, node="n1")
        objects.append(service(name))
    found = triage(*objects)
    assert roots(found)[0][0] == "n1"
    assert roots(found)[0][2] == {"Node": 1, "Pod": 60, "Service": 4}
    assert len(roots(found)) == 1


def test_a_registry_that_is_down_is_one_fault_for_all_images():
    words = 'failed to pull image "registry.example/{0}:1": dial tcp: lookup registry.example: no such host'
    objects: list[Any] = []
    for name in ("a", "b", "c"):
        image = f"registry.example/{name}:1"
        message = f'Back-off pulling image "{image}": ErrImagePull: {words.format(name)}'
        objects += replicas(name, 10, containers=[container(image=image)], **pulling(message))
    found = triage(*objects)
    assert [r[:2] for r in roots(found)] == [("registry.example", "RegistryUnreachable")]
    assert roots(found)[0][2] == {"Pod": 30}


def test_a_deleted_secret_is_one_fault_for_three_workloads():
    env = [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]
    objects: list[Any] = []
    for name in ("a", "b", "c"):
        state = waiting("CreateContainerConfigError", 'secret "db" not found')
        objects += replicas(name, 2, containers=[container(env=env)], statuses=[status(state=state)], phase="Pending")
    objects.append(service("a"))
    found = triage(*objects)
    assert [r[:2] for r in roots(found)] == [("db", "SecretNotFound")]
    assert roots(found)[0][2] == {"Pod": 6, "Service": 1}


def test_a_refused_dependency_leads_to_the_pods_behind_it():
    refused = "Error: connect to api.shop.svc.cluster.local:80: connection refused\n"
    objects = [*replicas("web", 2, **crashing()), *replicas("api", 2, **crashing()), service("api"), service("web")]
    objects.append(ingress("shop", "web"))
    logs = {f"web-1-{i}": refused for i in range(2)} | {f"api-1-{i}": "panic: nil map\n" for i in range(2)}
    found = triage(*objects, logs=logs)
    assert roots(found)[0][0] == "api"
    assert roots(found)[0][2]["Pod"] == 4
    assert roots(found)[0][2]["Service"] == 2
    assert roots(found)[0][2]["Ingress"] == 1


def test_two_faults_that_have_nothing_in_common_stay_two():
    objects = [
        *replicas("a", 2, **crashing()),
        *replicas("b", 3, **pulling('Failed to pull image "registry.example/api:1.4": not found')),
        service("a"),
        service("b"),
    ]
    found = triage(*objects, logs={f"a-1-{i}": "panic: nil map\n" for i in range(2)})
    told = {r[0]: r[2] for r in roots(found)}
    assert len(told) == 2
    assert all(counts["Service"] == 1 for counts in told.values())
    assert sorted(counts["Pod"] for counts in told.values()) == [2, 3]


def test_a_healthy_cluster_has_no_root():
    found = triage(*serving("a"), node("node-1"))
    assert roots(found) == []


@pytest.mark.parametrize("other", ["b", "c"])
def test_a_healthy_neighbour_is_no_victim(other):
    objects = [*replicas("a", 2, **crashing()), service("a"), *serving(other)]
    found = triage(*objects, logs={f"a-1-{i}": "panic: nil map\n" for i in range(2)})
    named = {e["name"] for r in found.extra["roots"] for e in (*r["shows"], *r["explains"])}
    assert not any(name.startswith(other) for name in named)


def test_times_alone_do_not_join():
    first = terminated(1, "Error", -90, -60)
    second = terminated(1, "Error", -80, -50)
    objects = [
        *replicas("a", 1, statuses=[status(state=back_off(), last=first)]),
        *replicas("b", 1, statuses=[status(state=back_off(), last=second)]),
    ]
    found = triage(*objects, logs={"a-1-0": "panic: one\n", "b-1-0": "panic: two\n"})
    assert len(roots(found)) == 2
