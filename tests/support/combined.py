"""Incidents with a known root, written as dumps: made-up faults in a town of healthy applications, and pairs of
recorded ones. Each says which objects are its victims, so that an answer can be scored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kubetriage.values.resources import BY_KIND
from kubetriage.values.times import format_time, parse_time
from support import nodes as machines
from support.objects import NOW, container, event, obj, pod, running, status, waiting
from support.offline import CAPTURES

Obj = dict[str, Any]
Name = tuple[str, str, str]
"""Kind, namespace and name."""
MACHINES = ("w1", "w2", "w3", "w4")


@dataclass(frozen=True)
class Expected:
    """One root that an answer must name."""

    causes: frozenset[str]
    object: str
    """Name of the object at the root; empty where several are right."""
    victims: frozenset[Name]


@dataclass
class Town:
    """A cluster to which applications and faults are added."""

    objects: dict[str, list[Obj]] = field(default_factory=dict)
    logs: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """By namespace, pod and container."""

    def add(self, *made: Obj) -> None:
        """Add objects; one with the name of an earlier one takes its place."""
        for one in made:
            known = self.objects.setdefault(BY_KIND[one["kind"]].plural, [])
            known[:] = [o for o in known if name_of(o) != name_of(one)]
            known.append(one)

    def write(self, folder: Path, now: datetime = NOW) -> None:
        """Write a dump in the layout of the captures."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "captured-at").write_text(format_time(now) + "\n", encoding="utf-8")
        files: dict[Path, list[Obj]] = {}
        for plural, items in self.objects.items():
            for item in items:
                place = item["metadata"].get("namespace", "")
                files.setdefault(folder / place / f"{plural}.json", []).append(item)
        for file, items in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            known = json.loads(file.read_text(encoding="utf-8"))["items"] if file.exists() else []
            file.write_text(json.dumps({"kind": "List", "items": known + items}), encoding="utf-8")
        for (namespace, name, of), text in self.logs.items():
            for suffix in (".log", ".previous.log"):
                file = folder / namespace / name / f"{of}{suffix}"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")


def name_of(one: Mapping[str, Any]) -> Name:
    """Name an object."""
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def names(made: Iterable[Obj], *kinds: str) -> frozenset[Name]:
    """Name the objects of some kinds."""
    return frozenset(name_of(o) for o in made if o["kind"] in kinds)


# Parts of a town.


def workload(name: str, number: int = 2, namespace: str = "shop", kind: str = "Deployment", **pods: Any) -> list[Obj]:
    """Make a workload with its pods on all machines; keyword arguments are those of the pods."""
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [dict(c) for c in pods.get("containers", ()) or [container()]]},
    }
    spec = {"replicas": number, "selector": {"matchLabels": {"app": name}}, "template": template}
    top = obj(kind, name, namespace=namespace, spec=spec, status={"replicas": number})
    top["metadata"]["uid"] = f"uid-{namespace}-{name}"
    labels, below, made = {"app": name}, top, [top]
    if kind == "Deployment":
        hashed = f"{abs(sum(map(ord, name)) * 7919) % 10**8:08d}"
        labels["pod-template-hash"] = hashed
        below = obj("ReplicaSet", f"{name}-{hashed}", namespace=namespace, owner=top, spec=spec, status={})
        below["metadata"].update(labels=dict(labels), uid=f"uid-{namespace}-{name}-rs")
        made.append(below)
    node = pods.pop("node", None)
    for i in range(number):
        one = pod(
            f"{below['metadata']['name']}-{i:03d}",
            namespace=namespace,
            owner=below,
            labels=labels,
            node=MACHINES[i % len(MACHINES)] if node is None else node,
            **pods,
        )
        one["metadata"]["uid"] = f"uid-{namespace}-{one['metadata']['name']}"
        made.append(one)
    return made


def healthy() -> dict[str, Any]:
    """Return what a pod that is ready has."""
    return {
        "ready": True,
        "statuses": [status(state=running(-7200), ready=True)],
        "created": -7300,
        "containers": [container(ports=[{"containerPort": 8080}], resources={"limits": {"memory": "256Mi"}})],
    }


def service(name: str, made: Iterable[Obj], namespace: str = "shop", address: str = "") -> list[Obj]:
    """Make the Service of a workload and its endpoints."""
    selector = {"app": name}
    ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    ip = address or f"10.96.{sum(map(ord, name)) % 200}.{len(name)}"
    front = obj("Service", name, namespace=namespace, spec={"selector": selector, "ports": ports, "clusterIP": ip})
    front["metadata"]["uid"] = f"uid-{namespace}-svc-{name}"
    endpoints = []
    for i, one in enumerate(o for o in made if o["kind"] == "Pod" and o["spec"].get("nodeName")):
        if one["status"].get("phase") != "Running":
            continue
        one["status"]["podIP"] = f"10.1.{sum(map(ord, name)) % 250}.{i}"
        one["status"]["podIPs"] = [{"ip": one["status"]["podIP"]}]
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in one["status"]["conditions"])
        about = {"kind": "Pod", "name": one["metadata"]["name"], "uid": one["metadata"]["uid"], "namespace": namespace}
        endpoints.append(
            {
                "addresses": [one["status"]["podIP"]],
                "conditions": {"ready": ready, "serving": ready, "terminating": False},
                "targetRef": about,
                "nodeName": one["spec"]["nodeName"],
            }
        )
    label = {"labels": {"kubernetes.io/service-name": name}}
    listed = [{"name": "", "port": 8080, "protocol": "TCP"}]
    slices = obj(
        "EndpointSlice",
        f"{name}-x",
        namespace=namespace,
        metadata=label,
        addressType="IPv4",
        endpoints=endpoints,
        ports=listed,
    )
    return [front, slices]


def ingress(name: str, backend: str, namespace: str = "shop") -> Obj:
    """Make an Ingress that leads to a Service."""
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}]
    spec = {"ingressClassName": "nginx", "rules": [{"host": f"{name}.example.com", "http": {"paths": paths}}]}
    return obj(
        "Ingress", name, namespace=namespace, spec=spec, status={"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    )


def town() -> Town:
    """Make a cluster in which all is healthy: four machines, DNS, an ingress controller, three applications."""
    made = Town()
    for name in MACHINES:
        made.add(machine(name))
        made.add(beat(name, -5))
    dns = workload("coredns", 2, "kube-system", **healthy())
    for one in dns:
        one["metadata"].setdefault("labels", {})["k8s-app"] = "kube-dns"
    front = service("coredns", dns, "kube-system", "10.96.0.10")
    front[0]["metadata"]["name"] = "kube-dns"
    front[1]["metadata"]["labels"]["kubernetes.io/service-name"] = "kube-dns"
    made.add(*dns, *front)
    controller = workload("ingress-nginx-controller", 2, "ingress-nginx", **healthy())
    for one in controller:
        one["metadata"].setdefault("labels", {})["app.kubernetes.io/name"] = "ingress-nginx"
    made.add(*controller, obj("IngressClass", "nginx", spec={"controller": "k8s.io/ingress-nginx"}))
    for name in ("blog", "mail", "wiki"):
        app = workload(name, 3, "town", **healthy())
        made.add(*app, *service(name, app, "town"), ingress(name, name, "town"))
    return made


def machine(name: str, **more: Any) -> Obj:
    """Make a node that is ready unless told otherwise."""
    one = machines.node(name, more.pop("ready", machines.READY), **more)
    return {"apiVersion": "v1", **one}


def beat(name: str, renewed: float) -> Obj:
    """Make the Lease of a node."""
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **machines.lease(name, renewed)}


def refusals(top: Iterable[Obj], message: str) -> list[Obj]:
    """Make the events of ReplicaSets whose pods are refused."""
    return [
        event("FailedCreate", message, one, component="replicaset-controller", first=-600, last=-20, count=14)
        for one in top
        if one["kind"] in ("ReplicaSet", "StatefulSet")
    ]


def events_of(made: Iterable[Obj], reason: str, message: str, **more: Any) -> list[Obj]:
    """Make one event for each pod."""
    return [event(reason, message.format(**one["metadata"]), one, **more) for one in made if one["kind"] == "Pod"]


def pulling(image: str, words: str) -> dict[str, Any]:
    """Return what a pod that waits for its image has."""
    message = f'Back-off pulling image "{image}": ErrImagePull: {words}'
    return {
        "phase": "Pending",
        "created": -600,
        "containers": [container(image=image, ports=[{"containerPort": 8080}])],
        "statuses": [status(state=waiting("ImagePullBackOff", message), image=image)],
    }


# Recorded incidents, two in one cluster.

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_SHARED = ("raw", "captured-at", "truth.json")


def combine(first: str, second: str, folder: Path) -> None:
    """Write two captures as one cluster: the second is moved in time to the first and runs on a machine of its own."""
    moments = [parse_time((CAPTURES / c / "captured-at").read_text().strip()) for c in (first, second)]
    assert moments[0] is not None
    assert moments[1] is not None
    join(CAPTURES / first, CAPTURES / second, moments[0] - moments[1], folder)


def shifted(text: str, by: timedelta) -> str:
    """Move all times of a text."""

    def moved(match: re.Match[str]) -> str:
        moment = parse_time(match[0])
        if moment is None or moment.year < 2000:
            return match[0]
        return (moment.replace(microsecond=0) + by).strftime("%Y-%m-%dT%H:%M:%S") + match[0][19:-1] + "Z"

    return _TIME.sub(moved, text)


def join(first: Path, second: Path, by: timedelta, folder: Path) -> None:
    """Write two dumps as one, the times of the second moved."""
    for source, change in ((first, False), (second, True)):
        for file in sorted(p for p in source.rglob("*") if p.is_file()):
            parts = file.relative_to(source).parts
            if change and parts[0] in _SHARED:
                continue
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
            text = shifted(text, by).replace("node-1", "node-9") if change else text
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and target.suffix == ".json":
                text = _merged(target.read_text(encoding="utf-8"), text)
            target.write_text(text, encoding="utf-8", errors="surrogateescape")


def _merged(known: str, more: str) -> str:
    both = json.loads(known)
    have = {(i["metadata"].get("namespace"), i["metadata"]["name"]) for i in both["items"]}
    both["items"] += [
        i for i in json.loads(more)["items"] if (i["metadata"].get("namespace"), i["metadata"]["name"]) not in have
    ]
    return json.dumps(both)


@dataclass(frozen=True)
class Combined:
    """An incident and what is true of it."""

    name: str
    """What happened, for the table."""
    write: Callable[[Path], None]
    expected: tuple[Expected, ...]
