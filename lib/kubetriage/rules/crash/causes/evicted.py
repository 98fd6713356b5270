"""The kubelet or the API ended the pod to protect the node, or because the pod passed its own storage limit.

Meaning: an evicted pod is over for good (phase Failed); its controller makes another. Three different things carry
the same reason: the node ran short of memory, disk, inodes or process ids; the pod passed a limit of its own on
ephemeral storage or an emptyDir, which says nothing about the node; or the node was under pressure when the pod
arrived, so that it never ran.

Told by: ``status.reason`` Evicted with ``status.message``, which outlives the ``Evicted`` event; for drains,
taints and nodes that are gone the condition DisruptionTarget.

Fix: for a limit of its own, write less or raise ``sizeLimit`` or ``limits.ephemeral-storage``; for node pressure set
requests near the real use (the pods furthest above their requests go first) or free the node.

Source: kubelet pkg/kubelet/eviction (eviction_manager.go, helpers.go); kube-controller-manager taint eviction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.records import dataclass, field
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import dig, objects, text
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import format_mebibytes, parse_bytes

CODE = "Evicted"

# helpers.go of kubelet eviction, 1.28 to 1.36; "which exceeds its request of" until 1.25.
_EMPTY_DIR = lazy(r'EmptyDir volume "(?P<volume>[^"]+)" exceeds the limit "(?P<limit>[^"]+)"')
_CONTAINER = lazy(r'Container (?P<container>\S+) exceeded its local ephemeral storage limit "(?P<limit>[^"]+)"')
_POD = lazy(r"ephemeral local storage usage exceeds the total limit of containers (?P<limit>[^\s]+?)\.?\s*\Z")
_LOW = lazy(
    r"low on resource: (?P<resource>[\w-]+)\."
    r"(?:.*?Threshold quantity: (?P<threshold>[^,\s]+), available: (?P<available>[^.\s]+)\.)?",
    re.S,
)
_USING = lazy(
    r"Container (?P<container>\S+) was using (?P<used>[^,\s]+), "
    r"(?:request is (?P<request>[^,\s]+)|which exceeds its request of (?P<old>[^.,\s]+))"
)
_CONDITION = lazy(r"The node had condition: \[(?P<conditions>[^]]{0,600})\]")

_API = {
    "EvictionByEvictionAPI": "through the Eviction API (kubectl drain, an autoscaler)",
    "DeletionByTaintManager": "because of a NoExecute taint on its node",
    "DeletionByPodGC": "because its node does not exist any more",
}


@dataclass(frozen=True)
class _Told:
    """What an eviction message means."""

    message: str
    fix: Fix
    ruled_out: tuple[RuledOut, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    details: dict[str, object] = field(default_factory=dict)


def check(case: Case) -> Iterator[Finding]:
    """Say which of the three it was."""
    pod = case.pod
    event = case.events.last("Evicted")
    if pod.reason == CODE:
        said = pod.message or (event.message if event else "")
        told = _read(case, said)
        evidence = [pod.fact("status", "status.reason", f"{CODE}: {said.strip()}".removesuffix(": "))]
        if event is not None:
            evidence = [Evidence(e.source, e.at, e.value, event.evidence().time) for e in evidence]
        yield Finding(
            cause=CODE,
            severity=Severity.ERROR,
            confidence=Confidence.CONFIRMED,
            object=pod.ref,
            message=told.message,
            evidence=(*evidence, *told.evidence),
            ruled_out=told.ruled_out,
            fix=(told.fix,),
            verify=(case.kubectl("get", "pod", pod.name, "-o", "jsonpath={.status.message}"),),
            details=told.details,
        )
        return
    target = pod.condition("DisruptionTarget")
    how = _API.get(text(target, "reason"))
    if how and text(target, "status") == "True" and (pod.deleting or pod.phase == "Failed"):
        yield Finding(
            cause=CODE,
            # A pod that is going away is as it should be; one that stays Failed is what the user asks about.
            severity=Severity.NOTE if pod.deleting else Severity.ERROR,
            confidence=Confidence.CONFIRMED,
            object=pod.ref,
            message=f"The pod was evicted {how}" + ("; its controller makes another." if pod.controller else "."),
            evidence=(
                Evidence(
                    "status",
                    "status.conditions[DisruptionTarget]",
                    f"{text(target, 'reason')}: {text(target, 'message')}",
                    text(target, "lastTransitionTime"),
                ),
            ),
            fix=(
                Fix(
                    "The pod itself is healthy: delete what is left"
                    + ("." if pod.controller else " and create it again; it has no controller."),
                    actor=Actor.CLUSTER,
                    commands=(kubectl("delete", "pod", pod.name, namespace=pod.namespace),),
                ),
            )
            if not pod.deleting
            else (),
            verify=(kubectl("describe", "node", pod.node),) if pod.node else (),
        )


def _read(case: Case, said: str) -> _Told:
    match = _EMPTY_DIR.search(said)
    if match:
        return _empty_dir(case, match["volume"], match["limit"])
    match = _CONTAINER.search(said)
    if match:
        return _container_limit(case, match["container"], match["limit"])
    match = _POD.search(said)
    if match:
        return _Told(
            f"The containers together wrote more than their ephemeral storage limits allow ({match['limit']}).",
            case.template_fix(
                f"Write less to the container filesystem, logs and emptyDirs, or raise limits.ephemeral-storage in "
                f"{case.workload_name}."
            ),
            _OWN_LIMIT,
            details={"limit": match["limit"]},
        )
    match = _CONDITION.search(said)
    if match:
        return _pressure_on_arrival(case, match["conditions"])
    match = _LOW.search(said)
    if match:
        return _node_low(case, said, match)
    where = f"node {case.pod.node}" if case.pod.node else "its node"
    return _Told(
        f"The kubelet evicted the pod: {said.strip() or 'it gave no reason'}",
        Fix(
            f"Look at the conditions and events of {where}; the controller replaces the pod.",
            actor=Actor.NODE,
            commands=(kubectl("node-triage", case.pod.node),) if case.pod.node else (),
        ),
    )


_OWN_LIMIT = (RuledOut("DiskPressure", "the pod passed a limit of its own; the node had no part in it"),)


def _empty_dir(case: Case, volume: str, limit: str) -> _Told:
    source = next((v for v in objects(case.pod.raw, "spec", "volumes") if text(v, "name") == volume), {})
    in_memory = text(source, "emptyDir", "medium") == "Memory"
    size = parse_bytes(dig(source, "emptyDir", "sizeLimit") or limit)
    good = format_mebibytes(size * 2) if size else ""
    where = f"Write less to it, or raise emptyDir.sizeLimit of volume {volume} in {case.workload_name}"
    patch = {"volumes": [{"name": volume, "emptyDir": {"sizeLimit": good}}]} if good else None
    what = "memory-backed volume" if in_memory else "volume"
    return _Told(
        f"The pod wrote more than {limit} into its {what} {volume}, which is the volume's own sizeLimit.",
        case.template_fix(f"{where} (now {limit}, for example {good})." if good else f"{where}.", patch),
        _OWN_LIMIT,
        (Evidence("spec", f"spec.volumes[{volume}].emptyDir.sizeLimit", limit),),
        {"volume": volume, "limit": limit},
    )


def _container_limit(case: Case, name: str, limit: str) -> _Told:
    size = parse_bytes(limit)
    good = format_mebibytes(size * 2) if size else ""
    container = case.pod.container(name)
    part = {"resources": {"limits": {"ephemeral-storage": good}}}
    evidence = (container.fact("spec", "resources.limits.ephemeral-storage", limit),) if container else ()
    return _Told(
        f"Container {name} wrote more than its ephemeral storage limit of {limit} (its filesystem and its logs).",
        case.template_fix(
            f"Write less, or to a volume, or raise limits.ephemeral-storage of container {name} in "
            f"{case.workload_name} (now {limit}).",
            container.patch(part) if good and container is not None else None,
        ),
        _OWN_LIMIT,
        evidence,
        {"container": name, "limit": limit},
    )


def _pressure_on_arrival(case: Case, conditions: str) -> _Told:
    node = case.pod.node or "the node"
    # A kubelet that restarts admits its pods anew, so a pod that ran can be refused, too.
    ran = any(c.running or c.restarts or text(c.status, "imageID") or c.termination for c in case.containers)
    when = "when its kubelet restarted and admitted its pods anew" if ran else "when it arrived; it never ran"
    return _Told(
        f"{node} had {conditions} and refused the pod {when}.",
        Fix(
            f"Relieve {node}; the controller's next pod goes elsewhere or succeeds.",
            actor=Actor.NODE,
            commands=(kubectl("node-triage", node),),
        ),
        (RuledOut("the pod's own use", "the kubelet refused it at admission, whatever it used"),),
        details={"conditions": conditions},
    )


def _node_low(case: Case, said: str, match: re.Match[str]) -> _Told:
    node, resource = case.pod.node or "the node", match["resource"]
    users = [(m["container"], m["used"], m["request"] or m["old"]) for m in _USING.finditer(said)]
    amounts = f" ({match['available']} left of the {match['threshold']} threshold)" if match["available"] else ""
    message = f"{node} ran low on {resource}{amounts}, and the kubelet chose this pod to end."
    words = f"Find what fills {node} ({kubectl('node-triage', node)})."
    patch = None
    if users:
        name, used, request = users[0]
        message += f" Container {name} used {used} with a request of {request}."
        words = (
            f"Set requests.{resource} of container {name} in {case.workload_name} near its real use ({used}), so that "
            f"the scheduler counts it and it is not the first to go; and find what fills {node}."
        )
        bytes_used = parse_bytes(used)
        container = case.pod.container(name)
        if resource in ("memory", "ephemeral-storage") and bytes_used and container is not None:
            wanted = format_mebibytes(bytes_used)
            changed = {"requests": {resource: wanted}}
            limit = parse_bytes(dig(container.spec, "resources", "limits", resource))
            # The API server refuses a request above the limit; use is rounded up, and may stand above it for a moment.
            if limit is not None and limit < (parse_bytes(wanted) or 0):
                changed["limits"] = {resource: wanted}
                words += f" Its limit of {dig(container.spec, 'resources', 'limits', resource)} moves with it."
            patch = container.patch({"resources": changed})
    evidence = tuple(Evidence("status", "status.message", f"container {n} used {u}, request {r}") for n, u, r in users)
    if text(case.pod.raw, "status", "qosClass"):
        evidence += (case.pod.fact("status", "status.qosClass", text(case.pod.raw, "status", "qosClass")),)
    return _Told(
        message,
        _larger_request(case, users[0][0] if users else "", words, patch),
        (RuledOut("OOMKilled", "the kubelet ended the pod before the kernel had to"),) if resource == "memory" else (),
        evidence,
        {"resource": resource},
    )


def _larger_request(case: Case, name: str, words: str, patch: dict[str, object] | None) -> Fix:
    """Say where the request is set: in the template, or in what a program reads that makes the pod."""
    from kubetriage.rules.memory.generated_pods import maker_of

    container = case.pod.container(name) if name else None
    maker = maker_of(container) if container is not None else None
    if maker is None or maker.injected:
        return case.template_fix(words, patch)
    return Fix(f"{words} {maker.sentence}", actor=Actor.MANIFEST, yaml=yaml_text(patch) if patch else "")
