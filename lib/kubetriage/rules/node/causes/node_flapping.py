"""A node turns NotReady and comes back, again and again.

Meaning: between the losses everything looks ok. Each loss of more than the tolerated time moves pods, and each takes
the node's endpoints out of their Services.

Told by: at least three NodeNotReady events of the last hour, the last within a quarter of an hour, while the node is
Ready now.

Fix: find what makes heartbeats late: a slow runtime or disk, memory pressure, an overloaded API server, a lossy link.
The kubelet's log of those minutes decides.

Source: kubernetes-mixin KubeNodeReadinessFlapping; nodelifecycle controller.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Finding, Fix, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.values.commands import kubectl
from kubetriage.values.times import human_duration

CODE = "NodeFlapping"

_OFTEN = 3
_LATELY = timedelta(minutes=15)


def check(case: NodeCase) -> Iterator[Finding]:
    """Count the losses of a node that is Ready now."""
    event = case.events.last("NodeNotReady")
    if case.contact.ready != "True" or case.contact.silent or event is None or event.last is None:
        return
    times = sum(e.count for e in case.events.select("NodeNotReady"))
    age = case.now - event.last
    if times < _OFTEN or not timedelta() <= age <= _LATELY:
        return
    yield Finding(
        CODE,
        Severity.WARNING,
        Confidence.CONFIRMED,
        case.ref,
        f"{case.name} is Ready now and became NotReady {times} times by the events of the last hour, the last time"
        f" {human_duration(age)} ago.",
        (event.evidence(),),
        (),
        (
            Fix(
                "Read in the kubelet's log of those minutes what made its heartbeats late: runtime, disk, memory,"
                " API server"
                " or network.",
                actor=Actor.NODE,
                commands=case.machine.lines("kubelet log", "kernel log", "disk latency"),
            ),
        ),
        (kubectl("get", "events", "--field-selector", f"involvedObject.name={case.name},reason=NodeNotReady"),),
    )
