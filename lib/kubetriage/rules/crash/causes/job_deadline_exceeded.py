"""A Job was ended because it ran longer than its activeDeadlineSeconds.

Meaning: the Job is Failed for good and its running pods were deleted, however far they were. The time counts from the
Job's start, over all retries.

Told by: the Job's condition Failed with reason DeadlineExceeded. The pod template's own activeDeadlineSeconds is
PodDeadlineExceeded.

Fix: make the work shorter, raise activeDeadlineSeconds of the Job, or look at why its pods did not start in time.

Source: kube-controller-manager job controller; batch/v1 JobSpec.activeDeadlineSeconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.rules.crash.failed_jobs import again, failed_jobs
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of, number, text, uid_of

CODE = "JobDeadlineExceeded"


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Name the deadline."""
    for job, condition in failed_jobs(case, "DeadlineExceeded"):
        name, namespace = name_of(job), case.ref.namespace
        limit = number(job, "spec", "activeDeadlineSeconds")
        shown = f"{limit} s" if limit is not None else "its deadline"
        inner = {"spec": {"activeDeadlineSeconds": limit * 2}} if limit else None
        patch = {"spec": {"jobTemplate": inner}} if inner and case.kind == "CronJob" else None
        then, command = again(case, name)
        words = (
            f"Shorten the work, or raise activeDeadlineSeconds of cronjob/{case.ref.name} (now {shown})."
            if case.kind == "CronJob"
            else f"Shorten the work, or set a longer activeDeadlineSeconds (now {shown}). Then {then}."
        )
        failed = number(job, "status", "failed") or 0
        retries = f" after {failed} failed pods" if failed > 1 else ""
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.CONFIRMED,
            Ref("Job", namespace, name, uid_of(job)),
            f"Job {name} was ended{retries}, because it ran longer than {shown} (activeDeadlineSeconds).",
            (
                Evidence(
                    "status",
                    f"job/{name} status.conditions[Failed]",
                    f"DeadlineExceeded: {text(condition, 'message')}",
                    text(condition, "lastTransitionTime"),
                ),
                Evidence("status", f"job/{name} status.startTime", text(job, "status", "startTime") or "<none>"),
                *((Evidence("spec", f"job/{name} spec.activeDeadlineSeconds", str(limit)),) if limit else ()),
            ),
            fix=(Fix(words, patch, case.ref if patch else None, actor=Actor.MANIFEST, commands=(command,)),),
            verify=(kubectl("describe", "job", name, namespace=namespace),),
        )
