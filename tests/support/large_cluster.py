"""A large cluster on the fake API server: made of the objects of captures, one by one as they are asked for.

Every namespace has 5 Deployments with a Service and 10 replicas each; every node runs 20 pods; every pod has 6 events.
Always 40 pods are broken, however many there are: OOM-killed, without an image, or unschedulable; and 2 nodes are lost.

By hand::

    PYTHONPATH=lib:tests python -m support.large_cluster --pods 10000 --port 6443 --kubeconfig /tmp/kubeconfig
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, overload

from kubetriage.values.resources import Resource
from kubetriage.values.times import format_time, parse_time
from support.fake_api import _BY_PLURAL, Answer, FakeApi, Request, _field_terms, _label_terms, _not_found, _selected

CAPTURES = Path(__file__).parents[1] / "captures"
PODS_PER_SERVICE = 10
SERVICES_PER_NAMESPACE = 5
PODS_PER_NAMESPACE = PODS_PER_SERVICE * SERVICES_PER_NAMESPACE
PODS_PER_NODE = 20
EVENTS_PER_POD = 6
BROKEN = 40
LOST_NODES = 2
_TROUBLES = ("oom-limit", "img-not-found", "oom-limit", "unsched-memory")
_HASH = "7dd5758ddc"
_ABSENT_IMAGE = "registry.example.com/team/app:v9"


@dataclass(frozen=True)
class _Kind:
    """How the objects of a resource are made."""

    count: int
    per_namespace: int
    """0 for cluster-scoped ones, and for those that stand in one namespace."""
    make: Callable[[int], str]
    """Returns the JSON of one object."""
    namespace: str = ""


class _Made(Sequence[bytes]):
    """Objects that are made when they are sent."""

    def __init__(self, indexes: Sequence[int], make: Callable[[int], str]) -> None:
        self._indexes = indexes
        self._make = make

    def __len__(self) -> int:
        return len(self._indexes)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[bytes]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self._make(i).encode() for i in self._indexes[at]]
        return self._make(self._indexes[at]).encode()


class LargeCluster(FakeApi):
    """An API server with so many pods that nobody would write them into a capture."""

    def __init__(
        self,
        pods: int = 10_000,
        *,
        broken: int = BROKEN,
        causes: int = 0,
        nodes: int = 0,
        lost: int = LOST_NODES,
        **kwargs: Any,
    ) -> None:
        """``pods`` is a multiple of 50; further keyword arguments as for :class:`FakeApi`.

        There is one of ``nodes`` for each 20 pods, or as many as are given; ``lost`` of them, spread over all, are.

        ``broken`` pods fail of ``causes`` different images that do not exist, each in workloads of its own; without
        ``causes`` they are spread over the cluster and fail of different things.
        """
        now = parse_time((CAPTURES / "svc-healthy" / "captured-at").read_text().strip())
        assert now is not None
        kwargs.setdefault("clock", now)
        super().__init__(None, **kwargs)
        self.pods = pods
        self.namespaces = pods // PODS_PER_NAMESPACE
        self.services = pods // PODS_PER_SERVICE
        self.nodes = nodes or pods // PODS_PER_NODE
        self.lost = lost if nodes or self.nodes > PODS_PER_NODE else 0
        self.events = pods * EVENTS_PER_POD
        self.versions.update(dict.fromkeys(("httproutes", "grpcroutes", "gateways", "gatewayclasses"), ()))
        self.versions["referencegrants"] = ()
        self._fresh, self._stale = format_time(now), format_time(now - timedelta(minutes=12))
        self._marked, self._since = format_time(now - timedelta(minutes=11)), format_time(now - timedelta(hours=3))
        step = max(pods // broken, 1)
        self._broken = {k * step + k % PODS_PER_SERVICE: _TROUBLES[k % 4] for k in range(broken)}
        self._images: dict[int, str] = {}
        if causes:
            each, apart = broken // causes, pods // causes // PODS_PER_SERVICE * PODS_PER_SERVICE
            self._images = {
                group * apart + k: f"registry.example.com/team-{group:03d}/app:v9"
                for group in range(causes)
                for k in range(each)
            }
            self._broken = dict.fromkeys(self._images, "img-not-found")
        self._templates = {name: _Templates(CAPTURES / name) for name in ("svc-healthy", *_TROUBLES)}
        self._node = _node_template(CAPTURES / "svc-healthy")
        services = SERVICES_PER_NAMESPACE
        self._kinds: dict[str, _Kind] = {
            "namespaces": _Kind(self.namespaces, 0, self._make_namespace),
            "nodes": _Kind(self.nodes, 0, self._make_node),
            "leases": _Kind(self.nodes, 0, self._make_lease, "kube-node-lease"),
            "pods": _Kind(pods, PODS_PER_NAMESPACE, self._make_pod),
            "events": _Kind(self.events, PODS_PER_NAMESPACE * EVENTS_PER_POD, self._make_event),
            **{
                plural: _Kind(self.services, services, self._maker(plural))
                for plural in ("services", "endpointslices", "deployments", "replicasets")
            },
        }
        spec = json.loads(self._make_pod(0))["spec"]
        self._containers = tuple(c["name"] for c in spec["containers"])
        self.metrics = True
        """It serves metrics.k8s.io; False as in a cluster without metrics-server."""
        self._packed: dict[str, Answer] = {}
        self._chosen: dict[str, Sequence[int]] = {}

    # Answering.

    def answer(self, request: Request, target: str) -> Answer:
        """Answer from what was packed before, so that the second reader does not measure this server."""
        with self._lock:
            known = self._packed.get(target)
        if known is None:
            known = super().answer(request, target)
            if known.status == 200 and isinstance(known.body, bytes) and len(known.body) > 128 * 1024:
                known = Answer(200, gzip.compress(known.body, 1), headers={"Content-Encoding": "gzip"})
                with self._lock:
                    self._packed[target] = known
        return known

    def _resource(self, parts: list[str], query: dict[str, str]) -> Answer:
        if parts[:2] == ["apis", "metrics.k8s.io"] and parts[-1:] == ["pods"] and self.metrics:
            items = ",".join(map(self._make_sample, range(self.pods)))
            return Answer(200, f'{{"kind": "PodMetricsList", "items": [{items}]}}'.encode())
        names = parts[parts.index("v1") + 1 :] if "v1" in parts else []
        if names[:1] == ["namespaces"] and len(names) == 4:
            kind = self._kinds.get(names[2])
            index = _index(names[3])
            if kind is not None and index is not None and index < kind.count:
                document = json.loads(kind.make(index))
                if (document["metadata"]["namespace"], document["metadata"]["name"]) == (names[1], names[3]):
                    return Answer(200, json.dumps(document).encode())
        elif names[:1] == ["nodes"] and len(names) == 2 and (index := _index(names[1])) is not None:
            return Answer(200, self._make_node(index).encode())
        elif len(names) == 5 and names[2] == "pods" and names[4] == "log":
            return self._log_of(names[1], names[3], query)
        return super()._resource(parts, query)

    def _log_of(self, namespace: str, name: str, query: dict[str, str]) -> Answer:
        index = _index(name)
        if index is None or index >= self.pods:
            return _not_found(_BY_PLURAL["pods"], name)
        return self._log(json.loads(self._make_pod(index)), namespace, name, query)

    def _choose(self, resource: Resource, namespace: str, query: dict[str, str]) -> Any:
        kind = self._kinds.get(resource.plural)
        if kind is None:
            return super()._choose(resource, namespace, query)
        labels = _label_terms(query.get("labelSelector", ""))
        fields = _field_terms(query.get("fieldSelector", ""), resource)
        indexes: Sequence[int] = range(kind.count)
        if namespace and kind.namespace:
            indexes = indexes if namespace == kind.namespace else ()
        elif namespace:
            number = _index(namespace)
            number = self.namespaces if number is None else number
            begin = min(number * kind.per_namespace, kind.count)
            indexes = range(begin, min(begin + kind.per_namespace, kind.count))
        if labels or fields:
            key = f"{resource.plural}/{namespace}?{query.get('labelSelector')}&{query.get('fieldSelector')}"
            if key not in self._chosen:
                self._chosen[key] = [i for i in indexes if _selected(json.loads(kind.make(i)), labels, fields)]
            indexes = self._chosen[key]
        return _Made(indexes, kind.make)

    # Making.

    def _words(self, pod: int) -> dict[str, str]:
        service = pod // PODS_PER_SERVICE
        return {
            **self._service_words(service),
            "pod": f"app-{_HASH}-{pod:06d}",
            "pod_uid": _uid("p", pod),
            "node": f"node-{pod % self.nodes:05d}",
            "ip": f"10.{pod >> 16 & 255}.{pod >> 8 & 255}.{pod & 255}",
            "image": self._images.get(pod, _ABSENT_IMAGE),
        }

    def _service_words(self, service: int) -> dict[str, str]:
        return {
            "namespace": f"team-{service // SERVICES_PER_NAMESPACE:05d}",
            "service": f"app-{service:06d}",
            "replicaset": f"app-{_HASH}-{service:06d}",
            "replicaset_uid": _uid("r", service),
            "deployment_uid": _uid("d", service),
        }

    def _make_pod(self, index: int) -> str:
        template = self._templates[self._broken.get(index, "svc-healthy")]
        return template.pod % self._words(index)

    def _make_sample(self, index: int) -> str:
        words = self._words(index)
        names = ", ".join(
            f'{{"name": "{c}", "usage": {{"cpu": "5m", "memory": "{8 + index % 12}Mi"}}}}' for c in self._containers
        )
        meta = f'{{"name": "{words["pod"]}", "namespace": "{words["namespace"]}"}}'
        return f'{{"metadata": {meta}, "timestamp": "{self._fresh}", "window": "15s", "containers": [{names}]}}'

    def _make_event(self, index: int) -> str:
        pod, number = divmod(index, EVENTS_PER_POD)
        templates = self._templates[self._broken.get(pod, "svc-healthy")].events
        words = {**self._words(pod), "event": f"event-{index:07d}", "event_uid": _uid("e", index)}
        return templates[number % len(templates)] % words

    def _maker(self, plural: str) -> Callable[[int], str]:
        def make(index: int) -> str:
            words = self._service_words(index)
            if plural == "endpointslices":
                words["endpoints"] = ",".join(self._endpoints(index))
            return str(self._templates["svc-healthy"].services[plural] % words)

        return make

    def _endpoints(self, service: int) -> Iterator[str]:
        for pod in range(service * PODS_PER_SERVICE, (service + 1) * PODS_PER_SERVICE):
            if self._broken.get(pod) == "unsched-memory":
                continue
            words = self._words(pod)
            ready = pod not in self._broken
            yield json.dumps(
                {
                    "addresses": [words["ip"]],
                    "conditions": {"ready": ready, "serving": ready, "terminating": False},
                    "nodeName": words["node"],
                    "targetRef": {
                        "kind": "Pod",
                        "name": words["pod"],
                        "namespace": words["namespace"],
                        "uid": words["pod_uid"],
                    },
                }
            )

    def _make_namespace(self, index: int) -> str:
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": f"team-{index:05d}", "uid": _uid("n", index)},
                "status": {"phase": "Active"},
            }
        )

    def _is_lost(self, node: int) -> bool:
        # The seventh of each stretch: as many as there are stretches.
        return self.lost > 0 and (node - 7) * self.lost % self.nodes < self.lost

    def _make_node(self, index: int) -> str:
        lost = self._is_lost(index)
        return self._node % {
            "node": f"node-{index:05d}",
            "node_uid": _uid("m", index),
            "ready": "Unknown" if lost else "True",
            "beat": self._stale if lost else self._fresh,
            "reason": "NodeStatusUnknown" if lost else "KubeletReady",
            "changed": self._marked if lost else self._since,
        }

    def _make_lease(self, index: int) -> str:
        name = f"node-{index:05d}"
        beat = self._stale if self._is_lost(index) else self._fresh
        return json.dumps(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name, "namespace": "kube-node-lease", "uid": _uid("l", index)},
                "spec": {
                    "holderIdentity": name,
                    "leaseDurationSeconds": 40,
                    "renewTime": beat.replace("Z", ".000000Z"),
                },
            }
        )


class _Templates:
    """Formats of the objects of one capture."""

    def __init__(self, root: Path) -> None:
        folder = next(p for p in sorted(root.glob("*/pods.json")) if p.parent.name != "raw").parent
        pod = _items(folder / "pods.json")[0]
        old = (pod["metadata"]["name"], pod["metadata"]["uid"])
        pod["metadata"] = {
            "name": "%(pod)s",
            "namespace": "%(namespace)s",
            "uid": "%(pod_uid)s",
            "creationTimestamp": pod["metadata"]["creationTimestamp"],
            "labels": {"app": "%(service)s", "pod-template-hash": _HASH},
            "annotations": {"checksum/config": "0" * 64, "kubectl.kubernetes.io/restartedAt": "2026-11-20T10:00:00Z"},
            "ownerReferences": [_owner("ReplicaSet", "%(replicaset)s", "%(replicaset_uid)s")],
            "managedFields": _managed_fields(),
        }
        for container in pod["spec"]["containers"]:
            container.setdefault("resources", {}).setdefault("limits", {}).setdefault("memory", "512Mi")
        if pod["spec"].get("nodeName"):
            pod["spec"]["nodeName"] = "%(node)s"
        if pod["status"].get("podIP"):
            pod["status"].update(podIP="%(ip)s", podIPs=[{"ip": "%(ip)s"}])
        image = pod["spec"]["containers"][0]["image"] if root.name == "img-not-found" else ""
        self.pod = _format(pod, image)
        self.events = [
            _format(_event(e), image)
            for e in _items(folder / "events.json")
            if e["involvedObject"].get("uid") == old[1]
        ]
        assert self.events, root
        self.services: dict[str, str] = {}
        for plural in ("services", "endpointslices", "deployments", "replicasets"):
            if root.name == "svc-healthy":
                self.services[plural] = _format(_of_service(plural, _items(folder / f"{plural}.json")[0]))


def _of_service(plural: str, obj: dict[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": "%(replicaset)s" if plural == "replicasets" else "%(service)s",
        "namespace": "%(namespace)s",
        "uid": "%(replicaset_uid)s" if plural == "replicasets" else "%(deployment_uid)s",
        "creationTimestamp": obj["metadata"]["creationTimestamp"],
        "labels": {"app": "%(service)s"},
        "managedFields": _managed_fields(),
    }
    if plural == "replicasets":
        meta["ownerReferences"] = [_owner("Deployment", "%(service)s", "%(deployment_uid)s")]
    if plural == "endpointslices":
        meta["labels"]["kubernetes.io/service-name"] = "%(service)s"
        obj["endpoints"] = "%(endpoints)s"
    obj["metadata"] = meta
    spec = obj.get("spec", {})
    if plural == "services":
        spec["selector"] = {"app": "%(service)s"}
    elif plural != "endpointslices":
        spec["selector"] = {"matchLabels": {"app": "%(service)s"}}
        spec["template"]["metadata"]["labels"] = {"app": "%(service)s"}
    return obj


def _event(event: dict[str, Any]) -> dict[str, Any]:
    event["metadata"] = {
        "name": "%(pod)s.%(event)s",
        "namespace": "%(namespace)s",
        "uid": "%(event_uid)s",
        "managedFields": _managed_fields()[:1],
    }
    event["involvedObject"].update(name="%(pod)s", namespace="%(namespace)s", uid="%(pod_uid)s")
    return event


def _node_template(root: Path) -> str:
    node = _items(root / "nodes.json")[0]
    labels = {**node["metadata"].get("labels", {}), "kubernetes.io/hostname": "%(node)s"}
    node["metadata"] = {
        "name": "%(node)s",
        "uid": "%(node_uid)s",
        "creationTimestamp": node["metadata"]["creationTimestamp"],
        "labels": labels,
        "managedFields": _managed_fields(),
    }
    for condition in node["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition.update(status="%(ready)s", lastHeartbeatTime="%(beat)s", reason="%(reason)s")
            condition["lastTransitionTime"] = "%(changed)s"
    node["status"]["images"] = [
        {"names": [f"registry.example.com/team/service-{n:02d}@sha256:{n:064x}"], "sizeBytes": 10**8} for n in range(50)
    ]
    return _format(node)


def _items(file: Path) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(file.read_text())["items"]
    return items


def _format(obj: Mapping[str, Any], image: str = "") -> str:
    """Write JSON in which only the placeholders are formatted; ``image`` becomes one."""
    written = json.dumps(obj, separators=(",", ":")).replace("%", "%%").replace("%%(", "%(")
    written = written.replace(image, "%(image)s") if image else written
    return written.replace('"%(endpoints)s"', "[%(endpoints)s]")


def _owner(kind: str, name: str, uid: str) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}


def _managed_fields() -> list[dict[str, Any]]:
    """Return what server-side bookkeeping adds to an object: about as much as the object itself."""
    fields = {f"f:{name}": {".": {}, "f:type": {}, "f:value": {}} for name in ("spec", "status", "metadata", "labels")}
    paths = {f'k:{{"containerPort":{n},"protocol":"TCP"}}': fields for n in range(4)}
    entry = {"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": paths, "operation": "Update"}
    managers = ("kube-controller-manager", "kubelet")
    return [{**entry, "manager": name, "time": "2026-11-23T22:25:18Z"} for name in managers]


def _uid(kind: str, index: int) -> str:
    return f"{ord(kind):08x}-0000-4000-8000-{index:012x}"


def _index(name: str) -> int | None:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else None


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m support.large_cluster", description="Serve a large cluster.")
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--broken", type=int, default=BROKEN)
    parser.add_argument("--causes", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=0)
    parser.add_argument("--lost", type=int, default=LOST_NODES)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds before each answer")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="where to write the kubeconfig")
    parser.add_argument("--count", type=Path, help="file for the numbers of requests and bytes")
    args = parser.parse_args()
    api = LargeCluster(
        args.pods,
        broken=args.broken,
        causes=args.causes,
        nodes=args.nodes,
        lost=args.lost,
        tls=args.tls,
        latency=args.latency / 1000,
        port=args.port,
    )
    with api, contextlib.suppress(KeyboardInterrupt):
        args.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        api.kubeconfig(args.kubeconfig.parent).rename(args.kubeconfig)
        sys.stdout.write(f"export KUBECONFIG={args.kubeconfig}\n")
        sys.stdout.flush()
        api.wait(args.count)


if __name__ == "__main__":
    main()
