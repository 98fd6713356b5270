"""The incidents of docs/incidents.md: what fails, what is at its root, and all that fails because of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kubetriage.values.times import parse_time
from support.combined import (
    MACHINES,
    Combined,
    Expected,
    Town,
    beat,
    events_of,
    healthy,
    ingress,
    join,
    machine,
    name_of,
    names,
    pulling,
    refusals,
    service,
    town,
    workload,
)
from support.nodes import LOST, condition, taint
from support.objects import NOW, back_off, container, event, obj, status, terminated, waiting
from support.offline import CAPTURES

Obj = dict[str, Any]
_VICTIMS = ("Pod", "Service", "Ingress")
CRASH = "panic: runtime error: invalid memory address or nil pointer dereference\ngoroutine 1 [running]:\nmain.main()\n"


def _expect(causes: str, name: str, victims: Any) -> Expected:
    return Expected(frozenset(causes.split()), name, frozenset(victims))


def _crashing(code: int = 1) -> dict[str, Any]:
    end = terminated(code, "Error", -90, -60)
    return {
        "statuses": [status(state=back_off(), last=end, restarts=9)],
        "created": -1200,
        "containers": [container(ports=[{"containerPort": 8080}])],
    }


def _logs(into: Town, made: list[Obj], text: str) -> None:
    for kind, namespace, name in names(made, "Pod"):
        assert kind
        into.logs[namespace, name, "app"] = text


def _made(build: Callable[[Town], Any]) -> tuple[Callable[[Path], None], tuple[Expected, ...]]:
    place = town()
    expected = build(place)
    return place.write, (expected,) if isinstance(expected, Expected) else tuple(expected)


_CONTACT = "KubeletUnreachable KubeletDown NodePartitioned"


def _lost(name: str) -> tuple[Obj, Obj]:
    gone = [taint("unreachable", "NoSchedule", -560), taint("unreachable", "NoExecute", -560)]
    return machine(name, ready=LOST, changed=-560, taints=gone), beat(name, -600)


def _node_lost(place: Town) -> Expected:
    lost, gone = _lost("w9")
    place.add(lost, gone)
    more = {**healthy(), "ready": False, "node": "w9"}
    victims = {name_of(lost)}
    for name in ("cart", "search", "prices", "users"):
        app = workload(name, 15, **more)
        for one in app:
            if one["kind"] == "Pod":
                one["status"]["conditions"][0]["lastTransitionTime"] = "2026-11-24T11:50:40Z"
        front = service(name, app)
        place.add(*app, *front)
        victims |= names([*app, *front], *_VICTIMS)
    door = ingress("cart", "cart")
    place.add(door)
    return _expect(_CONTACT, "w9", victims | {name_of(door)})


def _hook() -> Obj:
    hook = {
        "name": "check.policy.example",
        "clientConfig": {"service": {"name": "policy", "namespace": "policy", "path": "/v", "port": 443}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
        "failurePolicy": "Fail",
        "timeoutSeconds": 10,
    }
    return obj("ValidatingWebhookConfiguration", "policy", webhooks=[hook])


def _webhook(place: Town) -> Expected:
    place.add(_hook())
    server = workload("policy", 2, "policy", **healthy())
    place.add(*server, *service("policy", server, "policy"))
    words = (
        'Error creating: Internal error occurred: failed calling webhook "check.policy.example": '
        "failed to call webhook: "
        'Post "https://policy.policy.svc:443/v?timeout=10s": tls: failed to verify certificate: x509: certificate has '
        "expired or is not yet valid: current time 2026-11-24T11:59:40Z is after 2026-11-24T00:00:00Z"
    )
    victims = set()
    for name in ("cart", "search", "prices", "users", "ads"):
        app = workload(name, 0)
        for one in app:
            one["spec"]["replicas"] = 3
        front = service(name, app)
        place.add(*app, *front, *refusals(app, words))
        victims |= names(app, "Deployment") | names(front, "Service")
    return _expect("AdmissionDenied WebhookBlocking", "", victims)


def _registry(place: Town) -> Expected:
    victims: set[Any] = set()
    for name in ("cart", "search", "prices"):
        image = f"registry.example/{name}:1"
        words = (
            f'failed to pull image "{image}": failed to do request: Head '
            f'"https://registry.example/v2/{name}/manifests/1": dial tcp 192.0.2.7:443: connect: '
            f"connection refused"
        )
        app = workload(name, 10, **pulling(image, words))
        front = service(name, app)
        place.add(*app, *front, *events_of(app, "Failed", f'Failed to pull image "{image}": {words}', first=-600))
        victims |= names([*app, *front], *_VICTIMS)
    return _expect("RegistryUnreachable", "registry.example", victims)


def _secret(place: Town) -> Expected:
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]
    victims: set[Any] = set()
    for name in ("cart", "search", "prices"):
        state = waiting("CreateContainerConfigError", 'secret "db" not found')
        app = workload(
            name,
            2,
            containers=[container(env=env, ports=[{"containerPort": 8080}])],
            statuses=[status(state=state)],
            phase="Pending",
        )
        front = service(name, app)
        place.add(*app, *front, *events_of(app, "Failed", 'Error: secret "db" not found', container="app"))
        victims |= names([*app, *front], *_VICTIMS)
    return _expect("SecretNotFound", "db", victims)


def _dns(place: Town) -> Expected:
    words = "/etc/coredns/Corefile:9 - Error during parsing: Unknown directive 'forwrad'\n"
    dns = workload("coredns", 2, "kube-system", **_crashing())
    for one in dns:
        one["metadata"].setdefault("labels", {})["k8s-app"] = "kube-dns"
    front = service("coredns", dns, "kube-system", "10.96.0.10")
    front[0]["metadata"]["name"] = "kube-dns"
    front[1]["metadata"]["labels"]["kubernetes.io/service-name"] = "kube-dns"
    place.add(*dns, *front)
    _logs(place, dns, words)
    victims = set(names([*dns, *front], *_VICTIMS))
    place.add(*workload("db", 1, **healthy()))
    base = workload("db", 1, **healthy())
    place.add(*base, *service("db", base))
    for name in ("cart", "search", "prices", "users"):
        app = workload(name, 3, **_crashing())
        ways = service(name, app)
        place.add(*app, *ways)
        _logs(
            place,
            app,
            "Error: connect db.shop.svc.cluster.local:5432: dial tcp: lookup db.shop.svc.cluster.local "
            "on 10.96.0.10:53: read udp 10.1.1.1:40000->10.96.0.10:53: i/o timeout\n",
        )
        victims |= names([*app, *ways], *_VICTIMS)
    return _expect("AppError AppConfigInvalid ConfigInvalid", "coredns", victims)


def _unrelated(place: Town) -> Iterator[Expected]:
    app = workload("cart", 3, **_crashing())
    front = service("cart", app)
    place.add(*app, *front)
    _logs(place, app, CRASH)
    yield _expect("AppError", "cart", names([*app, *front], *_VICTIMS))
    image = "registry.example/search:9"
    other = workload("search", 4, **pulling(image, f"{image}: not found"))
    ways = service("search", other)
    place.add(*other, *ways, *events_of(other, "Failed", f'Failed to pull image "{image}": {image}: not found'))
    yield _expect("ImageNotFound", image, names([*other, *ways], *_VICTIMS))


def _quota(place: Town) -> Expected:
    limit = {"hard": {"pods": "10"}}
    place.add(obj("ResourceQuota", "team", spec=limit, status={**limit, "used": {"pods": "10"}}))
    full = workload("worker", 10, **healthy())
    place.add(*full)
    victims: set[Any] = set()
    for name in ("cart", "search", "prices"):
        app = workload(name, 0)
        for one in app:
            one["spec"]["replicas"] = 2
        words = (
            f'Error creating: pods "{name}-1-abcde" is forbidden: exceeded quota: team, requested: '
            f"pods=1, used: pods=10, limited: pods=10"
        )
        front = service(name, app)
        place.add(*app, *front, *refusals(app, words))
        victims |= names(app, "Deployment") | names(front, "Service")
    return _expect("QuotaExceeded", "team", victims)


def _image(place: Town) -> Expected:
    image = "registry.example/front:7"
    victims: set[Any] = set()
    for name, number in (("front", 200), ("front-eu", 120), ("front-us", 80)):
        app = workload(name, number, **pulling(image, f"{image}: not found"))
        ways = service(name, app)
        place.add(*app, *ways, *events_of(app[:20], "Failed", f'Failed to pull image "{image}": {image}: not found'))
        victims |= names([*app, *ways], *_VICTIMS)
    door = ingress("front", "front")
    place.add(door)
    return _expect("ImageNotFound", image, victims | {name_of(door)})


def _storage(place: Town) -> Expected:
    driver = "ebs.csi.aws.com"
    place.add(obj("StorageClass", "fast", provisioner=driver, volumeBindingMode="Immediate", reclaimPolicy="Delete"))
    controller = workload("ebs-csi-controller", 2, "kube-system", **_crashing())
    for one in controller:
        one["metadata"].setdefault("labels", {})["app"] = "ebs-csi-controller"
    place.add(*controller)
    _logs(
        place,
        controller,
        "E1124 11:58:00.000000 1 main.go:40] could not get credentials: NoCredentialProviders: no "
        "valid providers in chain\n",
    )
    victims: set[Any] = set(names(controller, "Pod"))
    words = (
        'waiting for a volume to be created, either by external provisioner "ebs.csi.aws.com" or '
        "manually created by system administrator"
    )
    for name in ("db", "queue", "cache"):
        claim = obj(
            "PersistentVolumeClaim",
            f"data-{name}-0",
            spec={
                "storageClassName": "fast",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "8Gi"}},
            },
            status={"phase": "Pending"},
        )
        claim["metadata"]["creationTimestamp"] = "2026-11-24T11:40:00Z"
        place.add(
            claim,
            event(
                "ExternalProvisioning",
                words,
                claim,
                component="persistentvolume-controller",
                warning=False,
                first=-1200,
                count=70,
            ),
        )
        unbound = (
            "0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: "
            "0/4 nodes are available: 4 Preemption is not helpful for scheduling."
        )
        app = workload(
            name,
            1,
            kind="StatefulSet",
            phase="Pending",
            node="",
            created=-1200,
            containers=[container(ports=[{"containerPort": 8080}])],
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": f"data-{name}-0"}}],
            conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unbound}],
        )
        front = service(name, app)
        place.add(*app, *front, *events_of(app, "FailedScheduling", unbound, component="default-scheduler"))
        victims |= names([*app, *front], *_VICTIMS)
    return _expect("AppError DependencyAuthFailed CredentialsMissing", "ebs-csi-controller", victims)


def _policy(place: Town) -> Expected:
    rules = {"podSelector": {}, "policyTypes": ["Ingress"]}
    place.add(obj("NetworkPolicy", "default-deny", spec=rules))
    victims: set[Any] = set()
    for name in ("api", "stock"):
        app = workload(name, 2, **healthy())
        front = service(name, app)
        place.add(*app, *front)
        victims |= names(front, "Service")
    for name, to in (("cart", "api"), ("search", "api"), ("prices", "stock")):
        app = workload(name, 2, **_crashing())
        front = service(name, app)
        place.add(*app, *front)
        _logs(place, app, f"Error: dial tcp: connect {to}.shop.svc.cluster.local:80: i/o timeout\n")
        victims |= names([*app, *front], *_VICTIMS)
    return _expect("NetworkPolicyBlocks", "default-deny", victims)


def _disk(place: Town) -> Expected:
    full = machine(
        "w9",
        taints=[taint("disk-pressure", "NoSchedule", -590)],
        conditions=[
            condition("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure", -600, -10)
        ],
    )
    place.add(full, beat("w9", -5))
    victims: set[Any] = {name_of(full)}
    words = (
        "The node was low on resource: ephemeral-storage. Threshold quantity: 5Gi, available: 2Gi. "
        "Container app was using 900Mi, request is 0, has larger consumption of ephemeral-storage. "
    )
    for name in ("cart", "search", "prices"):
        app = workload(
            name,
            4,
            node="w9",
            phase="Failed",
            created=-3000,
            more_status={"reason": "Evicted", "message": words, "startTime": "2026-11-24T11:10:00Z"},
        )
        place.add(*app, *events_of(app, "Evicted", words, first=-400, last=-400))
        victims |= names(app, "Pod")
    return _expect("DiskPressure", "w9", victims)


def _database(place: Town) -> Expected:
    base = workload("db", 1, kind="StatefulSet", **_crashing())
    ways = service("db", base, address="10.96.4.4")
    place.add(*base, *ways)
    _logs(
        place,
        base,
        '2026-11-24 11:59:00.000 UTC [1] FATAL:  could not open file "global/pg_control": No such file or directory\n',
    )
    victims = set(names([*base, *ways], *_VICTIMS))
    for name in ("cart", "search", "prices"):
        app = workload(name, 3, **_crashing())
        front = service(name, app)
        place.add(*app, *front)
        _logs(place, app, "Error: connect ECONNREFUSED db.shop.svc.cluster.local:80\n")
        victims |= names([*app, *front], *_VICTIMS)
    door = ingress("cart", "cart")
    place.add(door)
    return _expect("AppError DataCorrupted StoredDataInvalid", "db", victims | {name_of(door)})


def _zone_and_image(place: Town) -> Iterator[Expected]:
    first = _node_lost(place)
    image = "registry.example/news:2"
    other = workload("news", 5, **pulling(image, f"{image}: not found"))
    ways = service("news", other)
    place.add(*other, *ways, *events_of(other, "Failed", f'Failed to pull image "{image}": {image}: not found'))
    yield first
    yield _expect("ImageNotFound", image, names([*other, *ways], *_VICTIMS))


def _database_on_a_lost_node(place: Town) -> Expected:
    lost, gone = _lost("w9")
    place.add(lost, gone)
    base = workload("db", 1, kind="StatefulSet", **{**healthy(), "ready": False, "node": "w9"})
    ways = service("db", base, address="10.96.4.4")
    place.add(*base, *ways)
    victims = {name_of(lost)} | names([*base, *ways], *_VICTIMS)
    for name in ("cart", "search"):
        app = workload(name, 3, **_crashing())
        front = service(name, app)
        place.add(*app, *front)
        _logs(place, app, "Error: dial tcp: connect db.shop.svc.cluster.local:80: i/o timeout\n")
        victims |= names([*app, *front], *_VICTIMS)
    return _expect(_CONTACT, "w9", victims)


def _webhook_server(place: Town) -> Expected:
    place.add(_hook())
    server = workload("policy", 2, "policy", **_crashing())
    ways = service("policy", server, "policy")
    place.add(*server, *ways)
    _logs(place, server, CRASH)
    victims = set(names([*server, *ways], *_VICTIMS))
    words = (
        'Error creating: Internal error occurred: failed calling webhook "check.policy.example": '
        "failed to call webhook: "
        'Post "https://policy.policy.svc:443/v?timeout=10s": dial tcp 10.96.1.6:443: connect: connection refused'
    )
    for name in ("cart", "search", "prices"):
        app = workload(name, 0)
        for one in app:
            one["spec"]["replicas"] = 3
        front = service(name, app)
        place.add(*app, *front, *refusals(app, words))
        victims |= names(app, "Deployment") | names(front, "Service")
    return _expect("AppError", "policy", victims)


def _config_map(place: Town) -> Expected:
    words = 'MountVolume.SetUp failed for volume "config" : configmap "settings" not found'
    victims: set[Any] = set()
    for name in ("cart", "search"):
        app = workload(
            name,
            3,
            phase="Pending",
            created=-700,
            containers=[container(volumeMounts=[{"name": "config", "mountPath": "/etc/app"}])],
            volumes=[{"name": "config", "configMap": {"name": "settings"}}],
            statuses=[status(state=waiting("ContainerCreating"))],
        )
        front = service(name, app)
        place.add(*app, *front, *events_of(app, "FailedMount", words, first=-600, count=9))
        victims |= names([*app, *front], *_VICTIMS)
    return _expect("ConfigMapNotFound", "settings", victims)


def _login(place: Town) -> Expected:
    victims: set[Any] = set()
    login = obj("Secret", "pull", type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "e30="})
    place.add(login)
    for name in ("cart", "search", "prices"):
        image = f"registry.example/{name}:1"
        words = (
            f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to authorize: '
            "failed to fetch anonymous token: unexpected status from GET request: 401 Unauthorized"
        )
        app = workload(name, 3, imagePullSecrets=[{"name": "pull"}], **pulling(image, words))
        front = service(name, app)
        place.add(*app, *front, *events_of(app, "Failed", f'Failed to pull image "{image}": {words}', first=-600))
        victims |= names([*app, *front], *_VICTIMS)
    return _expect("ImagePullUnauthorized", "registry.example", victims)


def _full(place: Town) -> Expected:
    for name in MACHINES:
        full = machine(name)
        full["status"]["allocatable"] = {"cpu": "4", "memory": "16Gi", "pods": "110"}
        place.add(full)
    big = {
        **healthy(),
        "containers": [container(resources={"requests": {"cpu": "3500m"}, "limits": {"memory": "1Gi"}})],
    }
    place.add(*workload("batch", 4, "jobs", **big))
    words = (
        "0/4 nodes are available: 4 Insufficient cpu. preemption: 0/4 nodes are available: "
        "4 No preemption victims found for incoming pod."
    )
    victims: set[Any] = set()
    for name in ("cart", "search", "prices"):
        app = workload(
            name,
            3,
            phase="Pending",
            node="",
            created=-700,
            containers=[container(resources={"requests": {"cpu": "1"}})],
            conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}],
        )
        front = service(name, app)
        events = events_of(app, "FailedScheduling", words, component="default-scheduler", first=-690, count=3)
        place.add(*app, *front, *events)
        victims |= names([*app, *front], *_VICTIMS)
    return _expect("UnschedulableResources", "cpu", victims)


def _controller(place: Town) -> Expected:
    controller = workload("ingress-nginx-controller", 2, "ingress-nginx", **_crashing())
    for one in controller:
        one["metadata"].setdefault("labels", {})["app.kubernetes.io/name"] = "ingress-nginx"
    place.add(*controller)
    _logs(place, controller, CRASH)
    doors = {("Ingress", "town", name) for name in ("blog", "mail", "wiki")}
    return _expect("AppError", "ingress-nginx-controller", doors | names(controller, "Pod"))


def _network_plugin(place: Town) -> Expected:
    victims: set[Any] = set()
    plugin = workload("calico-node", 2, "kube-system", kind="DaemonSet", **_crashing())
    for one, on in zip((o for o in plugin if o["kind"] == "Pod"), ("w8", "w9"), strict=True):
        one["spec"].update(nodeName=on, hostNetwork=True)
    for one in plugin:
        one["metadata"].setdefault("labels", {})["k8s-app"] = "calico-node"
    place.add(*plugin)
    _logs(place, plugin, CRASH)
    words = (
        "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin "
        "returns error: cni plugin not initialized"
    )
    for name in ("w8", "w9"):
        one = machine(name, ready=("False", "KubeletNotReady", words), changed=-500, taints=[taint("not-ready")])
        place.add(one, beat(name, -5))
        victims.add(name_of(one))
    return _expect("AppError", "calico-node", victims | names(plugin, "Pod"))


_MADE: tuple[tuple[str, Callable[[Town], Any]], ...] = (
    ("a node lost with 60 pods, 4 Services and an Ingress", _node_lost),
    ("the certificate of an admission webhook expired, 5 Deployments", _webhook),
    ("a registry that is down, 30 pods of 3 images", _registry),
    ("a Secret deleted that 3 workloads read", _secret),
    ("cluster DNS crashes, 4 workloads cannot resolve", _dns),
    ("a database that crashes, 3 workloads and an Ingress above it", _database),
    ("a quota that is used up, 3 Deployments", _quota),
    ("a bad image of 400 pods, 3 Services and an Ingress", _image),
    ("the CSI controller of a StorageClass crashes, 3 StatefulSets", _storage),
    ("a NetworkPolicy that closes 2 Services, 3 clients of them", _policy),
    ("disk pressure on a node, 12 pods evicted", _disk),
    ("a database on a lost node, 2 workloads above it", _database_on_a_lost_node),
    ("the server of an admission webhook crashes, 3 Deployments", _webhook_server),
    ("a ConfigMap deleted that 2 workloads mount", _config_map),
    ("a registry that refuses the login, 3 images", _login),
    ("no CPU left in the cluster, 3 workloads", _full),
    ("the ingress controller crashes, 3 Ingresses", _controller),
    ("the network plugin crashes on 2 nodes", _network_plugin),
    ("two faults at once that have nothing in common", _unrelated),
    ("a node lost, and a bad image elsewhere", _zone_and_image),
)


def all_made() -> list[Combined]:
    """Return the incidents that are made up, and the recorded control plane above made-up machines."""
    return [*(Combined(name, *_made(build)) for name, build in _MADE), _etcd()]


def _etcd() -> Combined:
    """Return the recorded control plane whose etcd has a slow disk, above machines whose kubelets cannot write."""

    def write(folder: Path) -> None:
        capture = CAPTURES / "cp-etcd-disk-stall"
        moment = parse_time((capture / "captured-at").read_text(encoding="utf-8").strip())
        assert moment is not None
        place = town()
        for name in MACHINES:
            place.add(beat(name, -200))
        place.write(folder / "town")
        join(capture, folder / "town", moment - NOW, folder)
        shutil.rmtree(folder / "town")

    nodes = frozenset(("Node", "", name) for name in MACHINES)
    return Combined("etcd's disk is slow, no kubelet can write", write, (_expect("EtcdSlowDisk", "", nodes),))
