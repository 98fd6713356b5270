"""Builds the raw objects of small made-up clusters, in the shapes that the API server prints.

Times are seconds relative to :data:`NOW` (``at(-30)`` is half a minute ago); builders take either such a
number or an RFC 3339 text.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from kubetriage.model import Finding
from kubetriage.needs import Body, Failure, List, Log, Raw, Why
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import evaluation
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import name_of, text
from kubetriage.values.resources import BY_KIND, RESOURCES
from kubetriage.values.times import format_time

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=timezone.utc)
NAMESPACE = "shop"
Time = int | float | str


def at(seconds: float) -> str:
    """Write the time ``seconds`` after (negative: before) NOW."""
    return format_time(NOW + timedelta(seconds=seconds))


def _time(value: Time | None) -> str | None:
    return at(value) if isinstance(value, int | float) else value


def container(name: str = "app", image: str = "registry.example/api:1.4", **spec: Any) -> dict[str, Any]:
    """Make a container's spec."""
    return {"name": name, "image": image, "resources": {}, **spec}


def running(since: Time) -> dict[str, Any]:
    """Make a running state."""
    return {"running": {"startedAt": _time(since)}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """Make a waiting state."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(
    code: int, reason: str, started: Time | None = None, finished: Time | None = None, message: str = "", **more: Any
) -> dict[str, Any]:
    """Make a terminated state."""
    state = {"exitCode": code, "reason": reason, "startedAt": _time(started), "finishedAt": _time(finished), **more}
    if message:
        state["message"] = message
    return {"terminated": {"containerID": "containerd://0a1b2c", **state}}


def status(
    name: str = "app",
    state: Mapping[str, Any] | None = None,
    last: Mapping[str, Any] | None = None,
    *,
    restarts: int | None = None,
    ready: bool = False,
    started: bool | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Make a container's status; ``restarts`` defaults to 3 when an earlier instance ended, else 0."""
    if restarts is None:
        restarts = 3 if last else 0
    return {
        "name": name,
        "state": dict(state or {}),
        "lastState": dict(last or {}),
        "restartCount": restarts,
        "ready": ready,
        "started": ready if started is None else started,
        "image": "registry.example/api:1.4",
        "imageID": "",
        **more,
    }


def back_off(container: str = "app", delay: str = "2m40s", pod: str = "api") -> dict[str, Any]:
    """Make the waiting state of a container that the kubelet will start again later."""
    return waiting(
        "CrashLoopBackOff", f"back-off {delay} restarting failed container={container} pod={pod}_{NAMESPACE}(uid-{pod})"
    )


def pod(
    name: str = "api",
    containers: Iterable[Mapping[str, Any]] = (),
    statuses: Iterable[Mapping[str, Any]] = (),
    *,
    init: Iterable[Mapping[str, Any]] = (),
    init_statuses: Iterable[Mapping[str, Any]] = (),
    namespace: str = NAMESPACE,
    phase: str = "Running",
    ready: bool = False,
    created: Time = -900,
    owner: Mapping[str, Any] | None = None,
    node: str = "node-1",
    labels: Mapping[str, str] | None = None,
    conditions: Iterable[Mapping[str, Any]] = (),
    deletion: Time | None = None,
    metadata: Mapping[str, Any] | None = None,
    more_status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Make a pod; keyword arguments beyond the named ones are fields of its spec."""
    meta: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "creationTimestamp": _time(created),
        "labels": dict(labels or {"app": "api"}),
        **(metadata or {}),
    }
    if owner is not None:
        meta["ownerReferences"] = [owner_reference(owner)]
    if deletion is not None:
        meta["deletionTimestamp"] = _time(deletion)
        meta["deletionGracePeriodSeconds"] = spec.get("terminationGracePeriodSeconds", 30)
    chosen = [dict(c) for c in containers] or [container()]
    body: dict[str, Any] = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "containers": chosen,
        **({"initContainers": [dict(c) for c in init]} if init else {}),
        **({"nodeName": node} if node else {}),
        **spec,
    }
    value = "True" if ready else "False"
    current = {
        "phase": phase,
        "conditions": [
            {"type": "Ready", "status": value, "lastTransitionTime": _time(created)},
            {"type": "ContainersReady", "status": value, "lastTransitionTime": _time(created)},
            *[dict(c) for c in conditions],
        ],
        "containerStatuses": [dict(s) for s in statuses],
        **({"initContainerStatuses": [dict(s) for s in init_statuses]} if init_statuses else {}),
        **(more_status or {}),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body, "status": current}


def owner_reference(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Make the reference to a controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }


def obj(
    kind: str,
    name: str,
    *,
    namespace: str | None = None,
    owner: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Make an object of any kind that the suite reads; ``fields`` are its top-level keys (spec, status, data)."""
    resource = BY_KIND[kind]
    meta: dict[str, Any] = {"name": name, "uid": f"uid-{kind.lower()}-{name}", "creationTimestamp": at(-86400)}
    if resource.namespaced:
        meta["namespace"] = namespace or NAMESPACE
    if owner is not None:
        meta["ownerReferences"] = [owner_reference(owner)]
    meta.update(metadata or {})
    return {"apiVersion": resource.api_version, "kind": kind, "metadata": meta, **fields}


def ready_node(name: str = "node-1", **more_status: Any) -> dict[str, Any]:
    """Make a node that is well; keyword arguments replace fields of its status."""
    condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": at(-86400)}
    info = {"architecture": "amd64", "operatingSystem": "linux"}
    return obj("Node", name, spec={}, status={"conditions": [condition], "nodeInfo": info, **more_status})


def event(
    reason: str,
    message: str,
    about: Mapping[str, Any] | None = None,
    *,
    container: str = "",
    init: bool = False,
    first: Time | None = None,
    last: Time = -30,
    count: int = 1,
    warning: bool = True,
    component: str = "kubelet",
) -> dict[str, Any]:
    """Make an event of the core recorder about an object (default: the pod ``api``)."""
    meta = (about or {"metadata": {"name": "api", "namespace": NAMESPACE, "uid": "uid-api"}})["metadata"]
    field = f"spec.{'initContainers' if init else 'containers'}{{{container}}}" if container else ""
    namespace = meta.get("namespace", "default")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{meta['name']}.{abs(hash((reason, message, container, last))):x}",
            "namespace": namespace,
            "creationTimestamp": _time(last if first is None else first),
        },
        "involvedObject": {
            "kind": (about or {}).get("kind", "Pod"),
            "namespace": meta.get("namespace", ""),
            "name": meta["name"],
            "uid": meta.get("uid", ""),
            **({"fieldPath": field} if field else {}),
        },
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "source": {"component": component, "host": "node-1"},
        "reportingComponent": component,
        "firstTimestamp": _time(last if first is None else first),
        "lastTimestamp": _time(last),
        "count": count,
        "eventTime": None,
    }


def cluster(
    *objects: Mapping[str, Any],
    logs: Mapping[str, str] | None = None,
    previous: Mapping[str, str] | None = None,
    pod_name: str = "api",
    denied: Iterable[str] = (),
    version: str = "v1.36.2",
    now: datetime = NOW,
    gone_nodes: Iterable[str] = (),
) -> Snapshot:
    """Make the snapshot of a cluster in which exactly ``objects`` exist, and ready nodes under the pods.

    A node under a pod that is neither among ``objects`` nor in ``gone_nodes`` is added.

    ``logs`` and ``previous`` map container names of the pod ``pod_name`` to what ``kubectl logs`` prints
    without and with ``--previous``. ``denied`` holds plural resource names (and ``pods/log``) that may not be read.
    """
    refused = set(denied)
    made = Snapshot(now)
    under = {text(o, "spec", "nodeName") for o in objects if o["kind"] == "Pod"} - {"", *gone_nodes}
    named = {name_of(o) for o in objects if o["kind"] == "Node"}
    objects = (*objects, *(ready_node(name) for name in sorted(under - named)))
    for resource in RESOURCES:
        need = List(resource.plural)
        if resource.plural in refused:
            made.fail(need, Failure(Why.FORBIDDEN, f"{resource.plural} is forbidden: User cannot list", 403))
        else:
            made.add_list(need, [o for o in objects if o["kind"] == resource.kind])
    for is_previous, texts in ((False, logs), (True, previous)):
        for name, content in (texts or {}).items():
            need = Log(NAMESPACE, pod_name, name, is_previous)
            if "pods/log" in refused:
                made.fail(need, Failure(Why.FORBIDDEN, "pods is forbidden: User cannot get pods/log", 403))
            else:
                made.add_log(need, content)
    made.add_body(Raw("/version"), Body(f'{{"gitVersion": "{version}"}}'))
    return made


def crash_findings(target: Mapping[str, Any], *objects: Mapping[str, Any], **more: Any) -> tuple[Finding, ...]:
    """Diagnose one pod of a cluster that holds it and ``objects``; keyword arguments go to :func:`cluster`."""
    made = cluster(target, *objects, pod_name=target["metadata"]["name"], **more)
    return evaluation.diagnose_pod(made, Pod(target))


def crash_causes(target: Mapping[str, Any], *objects: Mapping[str, Any], **more: Any) -> list[tuple[str, str]]:
    """Return (cause, container) of each finding, the first one first."""
    return [(f.cause, f.object.container) for f in crash_findings(target, *objects, **more)]


def advised(finding: Finding) -> str:
    """Return all that the fixes of a finding say: words, commands, YAML and patches."""
    return "\n".join("\n".join((f.text, *f.commands, f.yaml, str(f.patch or ""))) for f in finding.fix)
