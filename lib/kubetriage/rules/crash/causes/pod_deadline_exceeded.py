"""The pod ran longer than its own activeDeadlineSeconds.

Meaning: the kubelet ended it because the pod's template gives it only so long, counted from its start on the node,
whatever it was doing.

Told by: phase Failed with ``status.reason`` DeadlineExceeded. A Job's activeDeadlineSeconds is another field and
ends the Job (JobDeadlineExceeded).

Fix: make the work shorter, or raise activeDeadlineSeconds in the pod template.

Source: kubelet active_deadline.go; core/v1 PodSpec.activeDeadlineSeconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.values.fields import number

CODE = "PodDeadlineExceeded"


def check(case: Case) -> Iterator[Finding]:
    """Name the deadline."""
    pod = case.pod
    if pod.phase != "Failed" or pod.reason != "DeadlineExceeded":
        return
    limit = number(pod.raw, "spec", "activeDeadlineSeconds")
    shown = f"{limit} s" if limit is not None else "its deadline"
    evidence: list[Evidence] = [
        pod.fact("status", "status.reason", f"DeadlineExceeded: {pod.message}".removesuffix(": "))
    ]
    if limit is not None:
        evidence.append(pod.fact("spec", "spec.activeDeadlineSeconds", limit))
    unready = [c.name for c in case.containers if c.kind == "init" and c.current_termination is None]
    init = f" Its init container {unready[0]} had not finished." if unready else ""
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        f"The kubelet ended the pod after {shown}, its activeDeadlineSeconds.{init}",
        tuple(evidence),
        fix=(
            case.template_fix(
                f"Shorten the work, or raise activeDeadlineSeconds in {case.workload_name} (now {shown}).",
                {"activeDeadlineSeconds": limit * 2} if limit else None,
            ),
        ),
        verify=(case.kubectl("get", "pod", pod.name, "-o", "jsonpath={.spec.activeDeadlineSeconds}"),),
    )
