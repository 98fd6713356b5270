"""The kubelet cannot list its containers in time: the pod lifecycle event generator is not healthy.

Meaning: the runtime answers too slowly or hangs on one container. Usual reasons: a saturated disk, too many
containers, a runtime in deadlock.

Told by: Ready=False with 'PLEG is not healthy: pleg was last seen active ... ago; threshold is 3m0s' (10m with
EventedPLEG), or 'EventedPLEG is not healthy'. Told apart from a runtime that does not answer at all.

Fix: look at disk pressure and the runtime on the node (iostat, crictl ps, its journal); restart the runtime if
one container hangs it.

Source: pkg/kubelet/pleg/generic.go and evented.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.node.case import NodeCase
from kubetriage.values.commands import PIPE, kubectl

CODE = "ContainerRuntimeSlow"


def check(case: NodeCase) -> Iterator[Finding]:
    """Match an unhealthy PLEG."""
    report = case.reported("runtime-slow", "starting")
    if report is None or case.reported("runtime-down") is not None:
        return
    count = sum(len(p.containers) for p in case.pods if not p.finished)
    load = f" {len(case.pods)} pods with {count} containers are bound here." if case.pods else ""
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY if report.kind == "starting" else Confidence.CONFIRMED,
        case.ref,
        f"The kubelet on {case.name} reports NotReady: {report.words}. Its container runtime answers too slowly.{load}",
        evidence=case.contact_evidence(),
        ruled_out=(RuledOut("ContainerRuntimeDown", "the kubelet does not report the runtime as down"),),
        fix=(
            Fix(
                f"On {case.name}: a full or slow disk first, then one hanging container; a restart of the runtime frees"
                " one in deadlock.",
                actor=Actor.NODE,
                commands=case.machine.lines("disk latency", "containers", "runtime log", "runtime restart"),
            ),
        ),
        verify=(
            kubectl("get", "node", case.name, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'),
            kubectl("get", f"--raw=/api/v1/nodes/{case.name}/proxy/metrics", PIPE, "grep", "pleg_relist_duration"),
        ),
    )
