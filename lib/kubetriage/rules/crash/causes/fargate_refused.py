"""EKS Fargate does not take the pod: it asks for what no Fargate node can give.

Meaning: a Fargate profile selects the pod, so its scheduler alone places it, and refuses it for a field of its spec or
for a claim that was not bound when it looked.

Told by: ``Pod not supported on Fargate: ...`` in the FailedScheduling event of a pod without a node.

Fix: take the pod out of the profile's selectors, so that it runs on a node group; or take out what the event names
(privileged, the host's network, ports and paths, volumes other than EFS); bind the claim first.

Source: docs.aws.amazon.com/eks: AWS Fargate considerations; fargate-scheduler's events.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Finding, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import placeholder, shell
from kubetriage.values.patterns import lazy

CODE = "FargateRefused"

_REFUSED = lazy(r"Pod not supported on Fargate: (?P<why>[^\n]{1,1000})")
# A claim that was not there or not bound when the pod was looked at; its storage is the only kind that can be
# bound later.
_LATER = lazy(r"PVC \S+ not bound|persistentvolumeclaim \S+ not found")
_PROFILE = "eks.amazonaws.com/fargate-profile"
"""Label that the webhook of EKS puts on pods that a Fargate profile selects."""


def check(case: Case) -> Iterator[Finding]:
    """Say which of its fields keep a pod off Fargate."""
    event = case.events.last("FailedScheduling")
    told = _REFUSED.search(event.message) if event is not None and not case.pod.node else None
    if event is None or told is None:
        return
    why, profile = told["why"].strip().rstrip("."), case.pod.labels.get(_PROFILE, "")
    by = f" (profile {profile} selects it)" if profile else ""
    if _LATER.search(why):
        message = f"Fargate did not take the pod, because its claim was not bound when it looked{by}: {why}."
        fixes = [
            case.template_fix(
                "Bind the claim first, then recreate the pod: Fargate looks once. It mounts EFS only, with a "
                "PersistentVolume that is made by hand (static provisioning).",
                commands=(
                    case.kubectl("get", "pvc"),
                    case.kubectl("delete", "pod", case.pod.name),
                ),
            )
        ]
    else:
        message = f"Fargate cannot run the pod{by}: {why}."
        fixes = [
            case.template_fix(
                f"Let {case.workload_name} run on a node group of EC2: take its namespace or labels out of the "
                f"profile's "
                "selectors, and recreate the pods. Fargate has no privileged or host-network pods, no hostPath, host "
                "ports, DaemonSets or EBS.",
                commands=(
                    shell(
                        "aws",
                        "eks",
                        "describe-fargate-profile",
                        "--cluster-name",
                        placeholder("cluster"),
                        "--fargate-profile-name",
                        profile or placeholder("profile"),
                    ),
                ),
            ),
            case.template_fix(
                f"Or take what it names out of {case.workload_name}: privileged, the host's network and ports, "
                f"hostPath "
                "volumes (EFS is the storage that Fargate mounts)."
            ),
        ]
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.pod.ref,
        message,
        (event.evidence(),),
        fix=tuple(fixes),
        verify=(case.kubectl("describe", "pod", case.pod.name),),
    )
