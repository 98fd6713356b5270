"""A claim that a pod names in two volumes: the kubelet mounts it once and waits for the second for ever."""

from __future__ import annotations

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.readers.events import Event
from kubetriage.rules.crash.case import Case
from kubetriage.values.fields import objects, text


def repeated_claim(case: Case, code: str, unmounted: list[str], summary: Event) -> Finding | None:
    """Return the finding about a claim that stands in more than one volume of a pod, one of which is not mounted.

    kubelet desired_state_of_world: volumes of one driver are told apart by their handle (kubernetes#132921).
    """
    held: dict[str, list[str]] = {}
    for volume in objects(case.pod.raw, "spec", "volumes"):
        claim = text(volume, "persistentVolumeClaim", "claimName")
        if claim:
            held.setdefault(claim, []).append(text(volume, "name"))
    found = next(((c, v) for c, v in held.items() if len(v) > 1 and set(v) & set(unmounted)), None)
    if found is None:
        return None
    claim, volumes = found
    return Finding(
        code,
        Severity.ERROR,
        Confidence.LIKELY,
        case.pod.ref,
        f"Volumes {' and '.join(volumes)} are the same claim {claim}: the kubelet mounts it once, and waits for the "
        "other volume.",
        (
            summary.evidence(),
            *(Evidence("spec", f"spec.volumes[{v}].persistentVolumeClaim", claim) for v in volumes),
        ),
        fix=(
            case.template_fix(
                f"Keep one volume for claim {claim} in {case.workload_name}, and mount that one at both places "
                f"(volumeMounts with name {volumes[0]}, with subPath where they differ); remove volume {volumes[-1]}."
            ),
        ),
        verify=(case.kubectl("describe", "pod", case.pod.name),),
    )
