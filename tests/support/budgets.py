"""Builds cases and answers of oom-budget from made-up pods."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from kubetriage.model import Diagnosis, Finding
from kubetriage.needs import Body, Raw
from kubetriage.plugins import Answer, Request, load
from kubetriage.readers.pods import Pod
from kubetriage.rules import memory
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.overrides import Wishes
from kubetriage.snapshot import Snapshot
from support.objects import NOW, at, cluster, container, obj, pod, running, status

ORDERS = (
    "java",
    "-XX:MaxRAMPercentage=75",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:MaxDirectMemorySize=256m",
    "-jar",
    "app.jar",
)
"""The command line of the case that this plugin starts from: 4 GiB, three caps, 200 threads."""


def resources(limit: str = "", request: str = "") -> dict[str, Any]:
    """Make the resources of a container."""
    made: dict[str, Any] = {}
    if limit:
        made["limits"] = {"memory": limit}
    if request or limit:
        made["requests"] = {"memory": request or limit}
    return made


def java(*words: str, limit: str = "4Gi", image: str = "eclipse-temurin:17-jre", **spec: Any) -> dict[str, Any]:
    """Make a container that runs java."""
    command = list(words or ORDERS)
    return container(image=image, command=command, resources=resources(limit), **spec)


def live(
    spec: Mapping[str, Any], state: Mapping[str, Any] | None = None, last: Any = None, **more: Any
) -> dict[str, Any]:
    """Make a pod of one container; it runs and is ready unless ``state`` says otherwise."""
    shown = status(spec["name"], state or running(-600), last, ready=state is None)
    return pod(containers=[spec], statuses=[shown], ready=state is None, **more)


def node(capacity: str = "16Gi", cpu: str = "4", name: str = "node-1", **fields: Any) -> dict[str, Any]:
    """Make a node."""
    amounts = {"memory": capacity, "cpu": cpu}
    return obj("Node", name, status={"capacity": amounts, "allocatable": amounts}, **fields)


def case(
    target: Mapping[str, Any], *objects: Mapping[str, Any], name: str = "app", wishes: Any = None, **more: Any
) -> Case:
    """Make the case of one container of a pod in a cluster that holds it and ``objects``."""
    made = cluster(target, *objects, **more)
    found = Pod(target).container(name)
    assert found is not None
    return Case(found, made, wishes or Wishes())


def diagnose_container(found: Case) -> list[Finding]:
    """Return all findings of one container, in the order of the rules."""
    return [f for rule in memory.RULES for f in rule.check(found)]


def findings(target: Mapping[str, Any], *objects: Mapping[str, Any], **more: Any) -> list[Finding]:
    """Return what the rules say of the container ``app``."""
    return diagnose_container(case(target, *objects, **more))


def causes(*args: Any, **more: Any) -> list[str]:
    """Return the causes of :func:`findings`."""
    return [f.cause for f in findings(*args, **more)]


def measured(made: Snapshot, target: Mapping[str, Any], usage: Mapping[str, int], time: float = -10) -> Snapshot:
    """Add a sample of metrics.k8s.io to a cluster: working set in bytes by container."""
    meta = target["metadata"]
    body = {
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "timestamp": at(time),
        "containers": [{"name": n, "usage": {"memory": str(size)}} for n, size in usage.items()],
    }
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{meta['namespace']}/pods/{meta['name']}"
    made.add_body(Raw(path), Body(json.dumps(body)))
    return made


def ask(made: Snapshot, *targets: Any, options: Mapping[str, Any] | None = None, **request: Any) -> Answer:
    """Let the plugin answer on a cluster."""
    plugin = load("oom-budget")
    request.setdefault("namespace", "shop")
    return plugin.diagnose(made, Request(targets=tuple(targets), options=dict(options or {}), **request))


def planned(documents: Iterable[Any], **options: Any) -> Diagnosis:
    """Answer for the first pod template of a manifest."""
    got = ask(Snapshot(NOW), options={"plan": list(documents), **options})
    assert not got.errors, got.errors
    return got.diagnoses[0]


def deployment(spec: Mapping[str, Any], **template: Any) -> dict[str, Any]:
    """Make a Deployment's manifest of one container."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": [dict(spec)], **template}}},
    }
