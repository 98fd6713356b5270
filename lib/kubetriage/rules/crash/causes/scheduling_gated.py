"""The pod waits for its scheduling gates; the scheduler does not look at it before they are gone.

Meaning: some controller (Kueue, a quota or admission system) put a gate on the pod and has not lifted it yet.

Told by: the condition PodScheduled with reason SchedulingGated, and ``spec.schedulingGates``.

Fix: look at the controller that owns the gate by its name; it removes the gate when the pod may run.

Source: core/v1 PodSpec.schedulingGates (KEP-3521, stable in 1.30).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text

CODE = "SchedulingGated"


# Who owns a gate, by its name: the controller, and what of it holds the pod back.
_OWNERS = (
    (
        "kueue.x-k8s.io/",
        "Kueue",
        "its Workload waits for quota in a ClusterQueue",
        "workloads,clusterqueues,localqueues",
    ),
    ("pod-group.scheduling", "the gang scheduler", "the other pods of its group are not all there", "podgroups"),
    ("scheduling.koordinator.sh/", "Koordinator", "its reservation or quota is not ready", "reservations"),
    ("karmada.io/", "Karmada", "its dependencies are not on the cluster yet", "resourcebindings"),
    ("clusterset.", "the multi-cluster controller", "its cluster is not chosen yet", "resourcebindings"),
)


def _lift(case: Case, gates: list[str]) -> Fix:
    """Name the controller that lifts a gate, and where it says what it waits for."""
    gate = gates[0] if gates else ""
    known = next((row for row in _OWNERS if gate.startswith(row[0])), None)
    if known is None:
        words = (
            f"Find the controller that owns gate {gate or 'of the pod'} by its name, and see what it waits "
            "for: it removes "
            "the gate when the pod may run. Gates can be removed by hand only if that controller is gone for good."
        )
        return Fix(
            words,
            actor=Actor.CLUSTER,
            commands=(kubectl("describe", "pod", case.pod.name, namespace=case.pod.namespace),),
        )
    _, owner, why, kinds = known
    words = f"See what {owner} waits for before it lifts {gate}: mostly {why}. Its objects and their conditions say it."
    return Fix(words, actor=Actor.CLUSTER, commands=(kubectl("get", kinds, namespace=case.pod.namespace),))


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
        fix=(_lift(case, gates),),
        verify=(case.kubectl("get", "pod", pod.name, "-o", "jsonpath={.spec.schedulingGates}"),),
    )
