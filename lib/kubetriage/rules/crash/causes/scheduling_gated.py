"""The pod waits for its scheduling gates; the scheduler does not look at it before they are gone.

Meaning: some controller (Kueue, a quota or admission system) put a gate on the pod and has not lifted it yet.

Told by: the condition PodScheduled with reason SchedulingGated, and ``spec.schedulingGates``.

Fix: look at the controller that owns the gate by its name; it removes the gate when the pod may run.

Source: core/v1 PodSpec.schedulingGates (KEP-3521, stable in 1.30).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Finding, Fix, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.values.fields import objects, text

CODE = "SchedulingGated"


def check(case: Case) -> Iterator[Finding]:
    """Name the gates."""
    pod = case.pod
    gates = [text(g, "name") for g in objects(pod.raw, "spec", "schedulingGates")]
    condition = pod.condition("PodScheduled")
    if pod.node or pod.finished or not (gates or text(condition, "reason") == "SchedulingGated"):
        return
    shown = ", ".join(gates) or "not named"
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        f"The pod is held back by scheduling gate {shown}; the scheduler has not looked at it.",
        (
            pod.fact("spec", "spec.schedulingGates", shown),
            pod.fact(
                "status",
                "status.conditions[PodScheduled]",
                text(condition, "reason") or "<none>",
                text(condition, "lastTransitionTime"),
            ),
        ),
        fix=(Fix(f"Ask the controller that owns the gate {gates[0] if gates else ''} why it has not lifted it."),),
        verify=(case.kubectl(f"get pod {pod.name} -o jsonpath='{{.spec.schedulingGates}}'"),),
    )
