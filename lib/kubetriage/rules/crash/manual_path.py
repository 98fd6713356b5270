"""The path by hand that an answer replaces: command, what it shows here, what it means (``--explain``)."""

from __future__ import annotations

from kubetriage.model import Finding
from kubetriage.readers.events import event_selector
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, dig, labels, name_of, text


def why_no_pods(kind: str, obj: Obj) -> str:
    """Say in one sentence why a controller without pods and without failures has none."""
    if dig(obj, "spec", "replicas") == 0:
        return f"The {kind} is scaled to zero: no pods are wanted."
    if kind in ("CronJob", "Job") and dig(obj, "spec", "suspend") is True:
        return f"The {kind} is suspended: it starts no {'jobs' if kind == 'CronJob' else 'pods'}."
    if kind == "CronJob" and not dig(obj, "status", "lastScheduleTime"):
        return "The CronJob has not started a job yet, and none of its events tells of a failure."
    if kind == "Job" and text(condition(obj, "Complete"), "status") == "True":
        return "The Job is complete; its pods have been removed."
    if kind == "DaemonSet" and dig(obj, "status", "desiredNumberScheduled") == 0:
        selector = labels(obj, "spec", "template", "spec", "nodeSelector")
        asked = ", ".join(f"{k}={v}" for k, v in sorted(selector.items()))
        return "The DaemonSet wants no pods: no node matches it" + (f" (nodeSelector {asked})." if asked else ".")
    return f"The {kind} has no pods, and none of its events tells of a failure."


def manual_path_of_controller(case: ControllerCase, findings: tuple[Finding, ...]) -> tuple[tuple[str, str, str], ...]:
    """Show the path by hand: the controller, the events of those below it, and what they point at."""
    namespace = case.ref.namespace
    rows: list[tuple[str, str, str]] = [
        (
            kubectl("get", case.kind.lower(), case.ref.name, namespace=namespace),
            f"{len(case.pods)} pod{'s' if len(case.pods) != 1 else ''}",
            "the symptom",
        )
    ]
    said = [line for finding in findings for line in finding.evidence]
    for kind, member in case.family:
        events = {e.evidence() for e in case.events_of(kind, member).items}
        shown = "; ".join(f"{line.at}: {line.value}" for line in said if line in events)
        if shown or not findings:
            rows.append(
                (
                    kubectl("describe", kind.lower(), name_of(member), namespace=namespace),
                    shown or "no event that tells why",
                    "what its controller met",
                )
            )
    rest = [f"{line.at}: {line.value}" for line in said if line.source != "event"]
    if rest:
        commands = list(dict.fromkeys(v for f in findings for v in f.verify))
        look = commands[-1] if commands else kubectl("get", "events", namespace=namespace)
        rows.append((look, "; ".join(rest[:3]), "what that points at"))
    command, shown, meaning = rows[-1]
    rows[-1] = (command, shown, f"{meaning}; together: {findings[0].cause if findings else 'nothing is wrong with it'}")
    return tuple(rows)


def manual_path_of_pod(pod: Pod, findings: tuple[Finding, ...]) -> tuple[tuple[str, str, str], ...]:
    """Show the path by hand that this answer replaces."""
    head = findings[0] if findings else None
    cause = head.cause if head else "nothing wrong"
    look = kubectl("get", "pod", pod.name, namespace=pod.namespace)
    rows: list[tuple[str, str, str]] = [(look, f"{pod.status_text()}, {pod.ready_text()} ready", "the symptom")]
    by_source: dict[str, list[str]] = {}
    for finding in findings:
        for line in finding.evidence:
            by_source.setdefault(line.source, []).append(f"{line.at}: {line.value}")
    status = by_source.get("status", []) + by_source.get("spec", [])
    if status:
        look = kubectl("describe", "pod", pod.name, namespace=pod.namespace)
        rows.append((look, "; ".join(status[:3]), "what the kubelet recorded"))
    crashed = next((c for c in pod.containers if head and c.name == head.object.container), None)
    if crashed is not None and crashed.termination is not None:
        previous = ("--previous",) if crashed.log_is_previous else ()
        look = kubectl("logs", pod.name, "-c", crashed.name, *previous, namespace=pod.namespace)
        shown = "; ".join(by_source.get("log", [])[:2]) or "no line that names a cause"
        rows.append((look, shown, "the program's own last words"))
    shown = "; ".join(by_source.get("event", [])[:2]) or "no event that decides"
    selector = event_selector(pod.uid, pod.name)
    look = kubectl("get", "events", "--field-selector", selector, namespace=pod.namespace)
    rows.append((look, shown, f"together: {cause}"))
    return tuple(rows)
