"""The node takes no new pods because somebody or something cordoned it.

Meaning: spec.unschedulable is set. Running pods stay; a drain also evicts them. A forgotten cordon is capacity
that nobody uses.

Told by: spec.unschedulable and the taint node.kubernetes.io/unschedulable, whose timeAdded says when. Nothing
is broken by it, so it is a note.

Fix: kubectl uncordon when the maintenance is over.

Source: pkg/controller/nodelifecycle (taint mapping), kubectl cordon and drain.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.node_taints import taint
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import flag, text
from kubetriage.values.times import human_duration, parse_time

CODE = "Cordoned"


def check(case: NodeCase) -> Iterator[Finding]:
    """Match a cordon, with its age and who else acts on the node."""
    mark = taint(case.node, "node.kubernetes.io/unschedulable")
    if flag(case.node, "spec", "unschedulable") is not True and not mark:
        return
    added = parse_time(mark.get("timeAdded"))
    span = f" for {human_duration(case.now - added)}" if added and added <= case.now else ""
    acting = "; ".join(r.does for r in case.remediations)
    evidence = [Evidence("spec", "spec.unschedulable", "true", text(mark, "timeAdded"))]
    evidence += [Evidence("spec", r.what, r.does) for r in case.remediations]
    yield Finding(
        CODE,
        Severity.NOTE,
        Confidence.CONFIRMED,
        case.ref,
        f"{case.name} has been cordoned{span}: it takes no new pods, "
        + (f"and {acting}." if acting else "those that run stay."),
        evidence=tuple(evidence),
        fix=() if acting else (Fix(f"When the maintenance is over: {kubectl('uncordon', case.name)}"),),
        verify=(kubectl("get", "node", case.name),),
    )
