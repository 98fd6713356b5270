"""The pods behind a Service that a program could not reach: what keeps them from being ready, and where it listens."""

from __future__ import annotations

from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.values.fields import Obj, labels, mapping, name_of, namespace_of, number, objects, text


def pods_behind(case: Case, service: Obj) -> list[Pod]:
    """Return the known pods that a Service selects; none for a Service without a selector."""
    wanted = mapping(service, "spec", "selector")
    if not wanted:
        return []
    namespace = namespace_of(service)
    found = case.snapshot.list("pods", namespace).items
    return [
        Pod(raw)
        for raw in found
        if namespace_of(raw) == namespace
        and all(labels(raw, "metadata", "labels").get(key) == value for key, value in wanted.items())
    ]


def trouble(pod: Pod) -> str:
    """Say in a few words of the API why a pod is not ready; empty for a ready one."""
    if pod.ready:
        return ""
    for container in pod.containers:
        end = container.termination
        code = f", exit code {end.exit_code}" if end is not None and end.exit_code else ""
        if container.waiting_reason and container.waiting_reason not in ("PodInitializing", "ContainerCreating"):
            return f"{container.name}: {container.waiting_reason}{code}"
        if container.kind == "init" and container.running:
            return f"init container {container.name} still runs"
    scheduled = next((c for c in objects(pod.raw, "status", "conditions") if text(c, "type") == "PodScheduled"), {})
    if text(scheduled, "status") == "False":
        return f"Pending, {text(scheduled, 'reason') or 'not scheduled'}"
    unready = [c.name for c in pod.containers if c.running and not c.ready]
    if unready:
        return f"{', '.join(unready)} not ready"
    return text(pod.raw, "status", "reason") or text(pod.raw, "status", "phase") or "not ready"


def root_of(pods: list[Pod]) -> tuple[str, dict[str, str]] | None:
    """Return words and ``details.root`` for the first pod that is not ready; None when all are."""
    for pod in pods:
        why = trouble(pod)
        if why:
            root = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "reason": why}
            return f"pod {pod.name} is not ready ({why})", root
    return None


def undeclared_target(service: Obj, port: int | None, pods: list[Pod]) -> str:
    """Say that no container declares the port to which a Service sends; empty when one does or none declares any."""
    entry = next((p for p in objects(service, "spec", "ports") if port is None or number(p, "port") == port), {})
    target = entry.get("targetPort", entry.get("port"))
    declared = [p for pod in pods for c in pod.containers for p in objects(c.spec, "ports")]
    if not declared or target is None:
        return ""
    known = {number(p, "containerPort") for p in declared} | {text(p, "name") for p in declared}
    if target in known:
        return ""
    shown = ", ".join(sorted({str(number(p, "containerPort")) for p in declared}))
    return f"Service {name_of(service)} sends port {number(entry, 'port')} to {target}, and its pods declare {shown}"
