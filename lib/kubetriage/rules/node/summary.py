"""The first lines about one node: header, sentence, and the path by hand that they replace."""

from __future__ import annotations

from datetime import timedelta

from kubetriage.model import Finding
from kubetriage.readers.events import node_event_selector
from kubetriage.readers.kubelet_contact import NODE_LEASES
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.drain import drain_at
from kubetriage.rules.node.outage_scope import zone_of
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, dig, flag, objects, text
from kubetriage.values.times import human_duration, parse_time


def status_text(node: Obj) -> str:
    """Return the STATUS column as ``kubectl get nodes`` prints it (printNode of kubernetes/pkg/printers)."""
    ready = text(condition(node, "Ready"), "status")
    word = {"True": "Ready", "": "Unknown"}.get(ready, "NotReady")
    return word + (",SchedulingDisabled" if flag(node, "spec", "unschedulable") else "")


def header(case: NodeCase) -> tuple[tuple[str, str], ...]:
    """Return the label and value pairs of the header line."""
    contact = case.contact
    created = parse_time(dig(case.node, "metadata", "creationTimestamp"))
    lease = "none" if contact.age is None else f"{human_duration(abs(contact.age))} old"
    if contact.age is None and contact.beat.value == "unseen":
        lease = "not seen"
    return (
        ("", status_text(case.node) if _shows_conditions(case) else "events only"),
        ("age", human_duration(case.now - created) if created else "<unknown>"),
        ("kubelet", text(case.node, "status", "nodeInfo", "kubeletVersion") or "<none>"),
        ("zone", zone_of(case.node) or "<none>"),
        ("lease", lease),
    )


def _shows_conditions(case: NodeCase) -> bool:
    """Tell whether its conditions were seen, and not made of its events."""
    return case.snapshot.covers(case.node, "status.conditions")


def summary(case: NodeCase, findings: tuple[Finding, ...]) -> str:
    """Say in one sentence how the node is."""
    if findings:
        return findings[0].message
    contact = case.contact
    age = (
        f"Lease renewed {human_duration(abs(contact.age))} ago"
        if contact.age is not None
        else "its Lease could not be read"
    )
    more = ""
    booted = case.events.last("Rebooted")
    if booted is not None and booted.last is not None:
        more += f" It booted again {human_duration(case.now - booted.last)} ago."
    more += _recent_trouble(case) + _closed_to(case)
    if contact.skew is not None:
        side = "ahead of" if contact.skew > timedelta() else "behind"
        more += f" Its clock is about {human_duration(abs(contact.skew))} {side} the API server's."
    more += _drain(case)
    head = "No fault" if more else "Healthy"
    if not _shows_conditions(case):
        # Events alone are there: of a kubelet that nobody called not ready.
        return f"Nothing in its events speaks against {case.name}; whether it is Ready was not seen, and {age}.{more}"
    return f"{head}: {case.name} is {status_text(case.node)}, {age}.{more}"


_TROUBLE = (
    # Of the kubelet (pkg/kubelet/events, all versions) and of Node Problem Detector's monitors (its config/*.json).
    *("SystemOOM", "EvictionThresholdMet", "FreeDiskSpaceFailed", "ImageGCFailed", "ContainerGCFailed"),
    *("OOMKilling", "TaskHung", "KernelOops", "Ext4Error", "Ext4Warning", "IOError", "MemoryReadError"),
    *("ConntrackFull", "DNSUnreachable", "CperHardwareErrorCorrected", "CperHardwareErrorRecoverable"),
)
_LATELY = timedelta(minutes=15)
_EXPECTED_TAINTS = ("node-role.kubernetes.io/", "node.kubernetes.io/unschedulable")


def _recent_trouble(case: NodeCase) -> str:
    """Tell of the latest trouble that a node which is Ready has had: lost readiness, then the newest event."""
    return "".join((_unready_lately(case), _event_lately(case)))


def _unready_lately(case: NodeCase) -> str:
    event = case.events.last("NodeNotReady")
    if event is None or event.last is None or not timedelta() <= case.now - event.last <= _LATELY:
        return ""
    times = sum(e.count for e in case.events.select("NodeNotReady"))
    often = f", {times} times by the events of the last hour" if times > 1 else ""
    return f" It became NotReady {human_duration(case.now - event.last)} ago{often}, and came back."


def _event_lately(case: NodeCase) -> str:
    event = case.events.last(*_TROUBLE)
    if event is None or event.last is None or not timedelta() <= case.now - event.last <= _LATELY:
        return ""
    return f" {human_duration(case.now - event.last)} ago: {event.reason}: {event.message.rstrip('.')}."


def _drain(case: NodeCase) -> str:
    """Say that a drain would finish, where that was asked and all that could refuse it was seen."""
    budgets = case.snapshot.list("poddisruptionbudgets")
    if not case.drain or not budgets.complete or budgets.presumed or not case.pods:
        return ""
    drain = drain_at(case)
    if drain is None:
        return ""
    waits = "".join(
        f" PodDisruptionBudget {b.name} lets {b.count('disruptionsAllowed')} of {here} pods here go at a time."
        for b, here in drain.waits[:2]
    )
    return f" A drain moves {len(drain.leaving)} pods ({drain.command}).{waits}"


def _closed_to(case: NodeCase) -> str:
    """Name the taints that keep pods away, such as that of a node which its cloud has not initialised."""
    marks = [
        f"{text(t, 'key')}:{text(t, 'effect')}"
        for t in objects(case.node, "spec", "taints")
        if text(t, "effect") in ("NoSchedule", "NoExecute") and not text(t, "key").startswith(_EXPECTED_TAINTS)
    ]
    return f" It takes only pods that tolerate {', '.join(marks)}." if marks else ""


def manual_path(case: NodeCase, findings: tuple[Finding, ...]) -> tuple[tuple[str, str, str], ...]:
    """Show the path by hand that this answer replaces."""
    contact, head = case.contact, findings[0] if findings else None
    ready = condition(case.node, "Ready")
    said = f"Ready={contact.ready or '<none>'} ({text(ready, 'reason')}: {text(ready, 'message')})"
    lease = contact.lease_evidence().value
    rows = [
        (kubectl("get", "node", case.name), status_text(case.node), "the symptom, or a fossil of better days"),
        (
            kubectl("describe", "node", case.name),
            said,
            "Unknown: the controller lost contact; False: the kubelet's own word",
        ),
        (
            kubectl("get", "lease", case.name, "-o", "yaml", namespace=NODE_LEASES),
            lease,
            f"the one heartbeat to judge, against {int(contact.grace.total_seconds())}s",
        ),
    ]
    silent = case.cluster.silent
    extent = {"zone": f"zone {case.scope.label}", "cluster": "the whole cluster", "frozen": "nobody writes"}
    rows.append(
        (
            kubectl("get", "leases", "--sort-by=.spec.renewTime", namespace=NODE_LEASES),
            f"{silent} of {len(case.cluster.contacts)} nodes silent",
            extent.get(case.scope.kind, "one node" if silent else "all in contact"),
        )
    )
    if case.timetable:
        fates = sorted({r.fate for r in case.timetable})
        rows.append(
            (
                kubectl("get", "pods", "-A", "-o", "yaml", "--field-selector", f"spec.nodeName={case.name}"),
                f"{len(case.timetable)} pods: {', '.join(fates)}",
                "taints, tolerationSeconds and owners tell what happens when",
            )
        )
    rows.append(
        (
            kubectl("get", "events", "--field-selector", node_event_selector(case.name)),
            "; ".join(dict.fromkeys(e.reason for e in case.events.items[-5:])) or "none",
            f"together: {head.cause if head else 'nothing wrong'}",
        )
    )
    return tuple(rows)
