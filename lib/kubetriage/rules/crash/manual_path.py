"""The path by hand that an answer replaces: command, what it shows here, what it means (``--explain``)."""

from __future__ import annotations

from kubetriage.model import Finding
from kubetriage.readers.events import event_selector
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import ControllerCase
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
    where = f"kubectl -n {case.ref.namespace}"
    rows = [
        (
            f"{where} get {case.kind.lower()} {case.ref.name}",
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
                    f"{where} describe {kind.lower()} {name_of(member)}",
                    shown or "no event that tells why",
                    "what its controller met",
                )
            )
    rest = [f"{line.at}: {line.value}" for line in said if line.source != "event"]
    if rest:
        commands = list(dict.fromkeys(v for f in findings for v in f.verify))
        rows.append((commands[-1] if commands else f"{where} get events", "; ".join(rest[:3]), "what that points at"))
    command, shown, meaning = rows[-1]
    rows[-1] = (command, shown, f"{meaning}; together: {findings[0].cause if findings else 'nothing is wrong with it'}")
    return tuple(rows)


def manual_path_of_pod(pod: Pod, findings: tuple[Finding, ...]) -> tuple[tuple[str, str, str], ...]:
    """Show the path by hand that this answer replaces."""
    where = f"kubectl -n {pod.namespace}"
    head = findings[0] if findings else None
    cause = head.cause if head else "nothing wrong"
    rows = [(f"{where} get pod {pod.name}", f"{pod.status_text()}, {pod.ready_text()} ready", "the symptom")]
    by_source: dict[str, list[str]] = {}
    for finding in findings:
        for line in finding.evidence:
            by_source.setdefault(line.source, []).append(f"{line.at}: {line.value}")
    status = by_source.get("status", []) + by_source.get("spec", [])
    if status:
        rows.append((f"{where} describe pod {pod.name}", "; ".join(status[:3]), "what the kubelet recorded"))
    crashed = next((c for c in pod.containers if head and c.name == head.object.container), None)
    if crashed is not None and crashed.termination is not None:
        flag = " --previous" if crashed.log_is_previous else ""
        shown = "; ".join(by_source.get("log", [])[:2]) or "no line that names a cause"
        rows.append((f"{where} logs {pod.name} -c {crashed.name}{flag}", shown, "the program's own last words"))
    shown = "; ".join(by_source.get("event", [])[:2]) or "no event that decides"
    rows.append(
        (f"{where} get events --field-selector {event_selector(pod.uid, pod.name)}", shown, f"together: {cause}")
    )
    return tuple(rows)
