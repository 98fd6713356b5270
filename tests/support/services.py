"""Builds small clusters around a Service, and asks svc-trace about them."""

from datetime import datetime, timezone
from typing import Any

from kubetriage.model import Diagnosis, Finding, Severity
from kubetriage.needs import Failure, List, Why
from kubetriage.plugins import Answer, Request, Target, load
from kubetriage.snapshot import Snapshot
from kubetriage.values.resources import BY_KIND, RESOURCES, resource_of_kind
from support.offline import target as read_target

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
OLD = "2026-11-20T12:00:00Z"
NS = "shop"
PLUGIN = load("svc-trace")


def meta(name: str, namespace: str = NS, created: str = OLD, **more: Any) -> dict[str, Any]:
    """Make metadata."""
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, "uid": f"uid-{namespace}-{name}", "creationTimestamp": created, **place, **more}


def service(
    name="web", namespace=NS, selector=None, ports=({"port": 80, "targetPort": 8080},), kind="ClusterIP", **spec
):
    """Make a Service; it selects app=web unless told otherwise."""
    chosen = {"app": "web"} if selector is None else selector
    body = {"type": kind, "ports": [{"protocol": "TCP", **p} for p in ports], "clusterIP": "10.96.0.1", **spec}
    if chosen:
        body["selector"] = chosen
    return {"kind": "Service", "metadata": meta(name, namespace), "spec": body, "status": {"loadBalancer": {}}}


def container(*ports: Any, name="app", probe: Any = None, image="acme/web:1", **more: Any) -> dict[str, Any]:
    """Make a container; a port is a number or (name, number[, protocol])."""
    declared = []
    for port in ports:
        parts = ("", port) if isinstance(port, int) else port
        declared.append({"containerPort": parts[1], "protocol": parts[2] if len(parts) > 2 else "TCP"})
        if parts[0]:
            declared[-1]["name"] = parts[0]
    probes = {"readinessProbe": {"httpGet": {"path": "/", "port": probe}}} if probe is not None else {}
    return {"name": name, "image": image, "ports": declared, **probes, **more}


def pod(
    name="web-1",
    *containers,
    namespace=NS,
    labels=None,
    ready=True,
    ip="10.0.0.1",
    node="n1",
    owner=None,
    init=(),
    waiting="",
    restarts=0,
    phase="Running",
    deleting=False,
    **spec,
):
    """Make a pod that runs, ready unless told otherwise."""
    built = containers or (container(("http", 8080), probe=8080),)
    extra: dict[str, Any] = {"labels": {"app": "web"} if labels is None else labels}
    if owner is not None:
        extra["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "uid": f"uid-{owner[1]}", "controller": True}]
    if deleting:
        extra["deletionTimestamp"] = "2026-11-24T12:00:10Z"
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {"startedAt": OLD}}
    last = (
        {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": OLD, "finishedAt": "2026-11-24T11:59:00Z"}}
        if restarts
        else {}
    )
    return {
        "kind": "Pod",
        "metadata": meta(name, namespace, **extra),
        "spec": {"containers": list(built), "initContainers": list(init), "nodeName": node, **spec},
        "status": {
            "phase": phase,
            "podIP": ip,
            "podIPs": [{"ip": ip}] if ip else [],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": OLD}],
            "containerStatuses": [
                {"name": c["name"], "ready": ready, "restartCount": restarts, "state": state, "lastState": last}
                for c in built
            ],
        },
    }


def slice_of(svc, *pods, ports=({"name": "", "port": 8080},), name=None, family="IPv4", **conditions):
    """Make the EndpointSlice of a Service with an endpoint for each pod."""
    owner = svc["metadata"]
    entries = []
    for p in pods:
        is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"]["conditions"])
        terminating = "deletionTimestamp" in p["metadata"]
        state = {"ready": is_ready and not terminating, "serving": is_ready, "terminating": terminating, **conditions}
        reference = {"kind": "Pod", "name": p["metadata"]["name"], "uid": p["metadata"]["uid"]}
        entries.append(
            {
                "addresses": [p["status"]["podIP"]],
                "conditions": state,
                "targetRef": reference,
                "nodeName": p["spec"]["nodeName"],
            }
        )
    return {
        "kind": "EndpointSlice",
        "addressType": family,
        "metadata": meta(
            name or f"{owner['name']}-x{family[-1]}",
            owner["namespace"],
            labels={"kubernetes.io/service-name": owner["name"]},
        ),
        "endpoints": entries or None,
        "ports": [{"protocol": "TCP", **p} for p in ports] if ports else None,
    }


def workload(kind="Deployment", name="web", labels=None, replicas=2, namespace=NS, own=None):
    """Make a workload with a pod template."""
    chosen = {"app": "web"} if labels is None else labels
    return {
        "kind": kind,
        "metadata": meta(name, namespace, labels=own or {}),
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": chosen}, "spec": {"containers": []}}},
    }


def policy(name="deny", selector=None, namespace=NS, **spec):
    """Make a NetworkPolicy."""
    return {
        "kind": "NetworkPolicy",
        "metadata": meta(name, namespace),
        "spec": {"podSelector": selector or {}, "policyTypes": ["Ingress"], **spec},
    }


def ingress(
    name="web",
    namespace=NS,
    host="shop.example.com",
    path="/",
    kind="Prefix",
    backend=None,
    cls="nginx",
    tls=None,
    address="203.0.113.1",
    created=OLD,
    annotations=None,
    **spec,
):
    """Make an Ingress with one rule."""
    leads = {"service": {"name": "web", "port": {"number": 80}}} if backend is None else backend
    body: dict[str, Any] = {
        "rules": [{"host": host, "http": {"paths": [{"path": path, "pathType": kind, "backend": leads}]}}],
        **spec,
    }
    if cls:
        body["ingressClassName"] = cls
    if tls:
        body["tls"] = tls
    given = {"ingress": [{"ip": address}]} if address else {}
    return {
        "kind": "Ingress",
        "metadata": meta(name, namespace, created, annotations=annotations or {}),
        "spec": body,
        "status": {"loadBalancer": given},
    }


def ingress_class(name="nginx", default=False, controller="k8s.io/ingress-nginx", created=OLD):
    """Make an IngressClass."""
    marks = {"ingressclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "kind": "IngressClass",
        "metadata": meta(name, "", created, annotations=marks),
        "spec": {"controller": controller},
    }


def namespace(name, **labels):
    """Make a Namespace."""
    own = {"kubernetes.io/metadata.name": name, **labels}
    return {"kind": "Namespace", "metadata": meta(name, "", labels=own)}


def node(name):
    """Make a Node."""
    return {"kind": "Node", "metadata": meta(name, "")}


def cluster(*objects: dict[str, Any], unseen: tuple[str, ...] = ()) -> Snapshot:
    """Return a snapshot in which every list was read, but for the ``unseen`` ones, which are forbidden."""
    snapshot = Snapshot(NOW)
    by_plural: dict[str, list[dict[str, Any]]] = {}
    for obj in objects:
        group = obj.get("apiVersion", "").rpartition("/")[0]
        known = resource_of_kind(group, obj["kind"]) or (None if group else BY_KIND[obj["kind"]])
        if known is None:
            snapshot.add_other(obj)
        else:
            by_plural.setdefault(known.plural, []).append(obj)
    for resource in RESOURCES:
        if resource.plural in unseen:
            for space in {"", NS, *(o["metadata"].get("namespace", "") for o in objects)}:
                words = f'{resource.plural} is forbidden: User "jane" cannot list resource "{resource.plural}"'
                snapshot.fail(List(resource.plural, space), Failure(Why.FORBIDDEN, words, 403))
        else:
            snapshot.add_list(List(resource.plural), by_plural.get(resource.plural, ()))
    return snapshot


def answer(snapshot: Snapshot, *targets: str, **options: Any) -> Answer:
    """Ask svc-trace; a target without a slash is a URL, none is a scan."""
    asked = tuple(read_target(t) if "/" in t and "://" not in t else Target("url", t) for t in targets)
    defaults = {"client": "", "symptom": "", "probe": False}
    space = options.pop("namespace", NS)
    show_all = options.pop("show_all", True)
    request = Request(asked, space, show_all=show_all, options={**defaults, **options})
    list(PLUGIN.plan(snapshot, request))
    return PLUGIN.diagnose(snapshot, request)


def trace(snapshot: Snapshot, target: str = "svc/web", **options: Any) -> Diagnosis:
    """Ask svc-trace about one target."""
    got = answer(snapshot, target, **options)
    assert not got.errors, got.errors
    return got.diagnoses[0]


def problems(found: Diagnosis) -> list[Finding]:
    """Return the findings that are more than notes; every one of them has what the contract asks for."""
    for finding in found.findings:
        assert finding.evidence, finding
        if finding.severity is Severity.ERROR:
            assert finding.fix, finding
            assert finding.verify, finding
    return [f for f in found.findings if f.severity is not Severity.NOTE]


def causes(found: Diagnosis) -> list[str]:
    """Return the codes of the problems, first first."""
    return [f.cause for f in problems(found)]


def states(found: Diagnosis) -> list[tuple[str, str]]:
    """Return (hop, state) of each row."""
    return [(h["hop"], h["state"]) for h in found.extra["hops"]]


def machines() -> list[dict[str, Any]]:
    """Return the nodes of the pods of ``healthy_web``, for API servers that are asked for each by itself."""
    return [{"kind": "Node", "apiVersion": "v1", "metadata": meta(name, namespace="")} for name in ("n1", "n2")]


def healthy_web(**how: Any) -> list[dict[str, Any]]:
    """Return a Service with two ready pods behind it."""
    svc = service(**how)
    pods = [pod("web-1", ip="10.0.0.1"), pod("web-2", ip="10.0.0.2", node="n2")]
    ports = [{"name": p.get("name", ""), "port": 8080} for p in svc["spec"]["ports"]]
    return [svc, *pods, slice_of(svc, *pods, ports=ports), workload()]
