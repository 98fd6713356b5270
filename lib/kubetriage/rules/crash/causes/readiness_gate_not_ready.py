"""All containers are ready, and a readiness gate of the pod is not: its controller has not set the condition to True.

Meaning: a controller outside the pod (of a load balancer, of a workload kind) decides whether the pod counts as ready.
Nobody's probe is at fault. While the gate is shut the pod gets no traffic through Services, and a rollout waits.

Told by: ``spec.readinessGates`` with a condition that is missing or False, while every container is ready. A missing
condition means that the controller has not taken the pod up; a False one carries the controller's reason and message.

Fix: act on the controller's reason (a health check of the load balancer, a registration), or repair the controller
where it does not run; the gate is not to be removed from a pod that waits, which cannot be changed.

Source: core/v1 PodSpec.readinessGates; the gates' controllers by name in data/readiness_gates.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Finding, Fix, Severity
from kubetriage.needs import List, Need
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.root_causes import Root, first_root, pods_named, repair
from kubetriage.typed import Any
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.times import human_duration

CODE = "ReadinessGateNotReady"


def needs(case: Case) -> Iterator[Need]:
    """Ask for the pods of the gate's controller."""
    for gate in _shut(case):
        for namespace in (_row(gate) or {}).get("namespaces", ()):
            yield List("pods", namespace)


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the pods of the gate's controller."""
    for gate in _shut(case):
        yield from _controller_pods(case, gate)


def check(case: Case) -> Iterator[Finding]:
    """Name the gate, its controller and the controller's reason."""
    gates = _shut(case)
    if gates:
        yield _finding(case, gates[0], gates[1:])


def _shut(case: Case) -> list[str]:
    """Return the gates that alone keep the pod from being ready."""
    pod = case.pod
    apps = [c for c in case.containers if c.kind in ("app", "sidecar")]
    if pod.finished or pod.deleting or not apps or not all(c.ready for c in apps):
        return []
    gates = [text(g, "conditionType") for g in objects(pod.raw, "spec", "readinessGates")]
    return [g for g in gates if text(pod.condition(g), "status") != "True"]


def _row(gate: str) -> Mapping[str, Any] | None:
    return next((row for row in table("readiness_gates")["rows"] if fnmatchcase(gate, row["gate"])), None)


def _controller_pods(case: Case, gate: str) -> list[Pod]:
    row = _row(gate)
    if row is None:
        return []
    return pods_named(case.snapshot, row["pods"], row["namespaces"]) if row["namespaces"] else []


def _finding(case: Case, gate: str, others: list[str]) -> Finding:
    pod, condition = case.pod, case.pod.condition(gate)
    row = _row(gate)
    who = row["controller"] if row is not None else "the controller that sets it"
    pods = _controller_pods(case, gate)
    root = first_root(case.explain, pods)
    said = f"{text(condition, 'reason')}: {text(condition, 'message')}".strip(": ").rstrip(".")
    message = f"All containers are ready, but readiness gate {gate} is "
    if condition:
        message += f"{text(condition, 'status') or 'not True'}: {who} says {said or 'nothing about the reason'}."
    else:
        message += f"missing: {who} has not set it."
    if root is not None:
        message = f"{who[:1].upper() + who[1:]} does not work, so readiness gate {gate} stays shut: {root.words}"
    elif others:
        message += f" So is {', '.join(others)}."
    shown = f"{text(condition, 'status')} {said}".strip() if condition else "<missing>"
    since = text(condition, "lastTransitionTime")
    evidence = [
        pod.fact("spec", "spec.readinessGates", gate),
        pod.fact("status", f"status.conditions[{gate}]", shown, since),
    ]
    if root is not None:
        evidence += root.evidence
    young = pod.created is not None and (case.now - pod.created).total_seconds() < 120 and root is None
    if young and pod.created is not None:
        message += f" The pod is only {human_duration(case.now - pod.created)} old."
    made = Finding(
        CODE,
        Severity.NOTE if young else Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        message,
        tuple(evidence),
        fix=(_fix(case, gate, condition, row, pods, root),),
        verify=(case.kubectl("get", "pod", pod.name, "-o", "wide"), case.kubectl("describe", "pod", pod.name)),
        details={"gate": gate},
    )
    return replace(made, details={**made.details, "root": root.details}) if root is not None else made


def _fix(
    case: Case, gate: str, condition: Obj, row: Mapping[str, Any] | None, pods: list[Pod], root: Root | None
) -> Fix:
    namespace = case.pod.namespace
    if root is not None:
        return repair(root, "It then sets the gate.")
    if row is None:
        owner = gate.partition("/")[0] if "/" in gate else gate
        words = f"Find the controller that sets pod condition {gate} (its name begins with {owner}), and read its log."
        show = kubectl("get", "pod", case.pod.name, "-o", "jsonpath={.status.conditions}", namespace=namespace)
        return Fix(words, actor=Actor.CLUSTER, commands=(show,))
    hint = row.get("reasons", {}).get(text(condition, "reason"), "")
    look = tuple(kubectl("get", kind, "-o", "wide", namespace=namespace) for kind in row.get("look", ()))
    logs = tuple(kubectl("logs", p.name, "--tail=100", namespace=p.namespace) for p in pods[:1])
    if hint:
        return Fix(hint, actor=Actor.CLOUD, commands=(*look, *logs))
    if condition:
        words = f"Act on the reason that {row['controller']} gives; its log and its own objects show more."
        return Fix(words, actor=Actor.CLOUD, commands=(*look, *logs))
    places = tuple(kubectl("get", "pods", namespace=n) for n in row["namespaces"]) if not pods else ()
    words = (
        f"See that {row['controller']} runs and watches namespace {namespace}; its log names the object that "
        "it does not find. Pods made before it was there have to be replaced."
    )
    return Fix(words, actor=Actor.CLUSTER, commands=(*places, *logs, *look))
