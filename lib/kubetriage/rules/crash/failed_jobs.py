"""Jobs that failed for good, and how to run one anew."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, objects, text


def failed_jobs(case: ControllerCase, *reasons: str) -> Iterator[tuple[Obj, Obj]]:
    """Yield the Jobs of the family that failed for one of ``reasons``, each with its condition.

    Of a CronJob's Jobs only the newest counts.
    """
    jobs = [obj for kind, obj in case.family if kind == "Job"]
    if case.kind == "CronJob":
        jobs = sorted(jobs, key=lambda j: text(j, "metadata", "creationTimestamp"))[-1:]
    for job in jobs:
        for condition in objects(job, "status", "conditions"):
            # FailureTarget stands first, while the pods are still being ended (1.31 and newer).
            if text(condition, "type") in ("Failed", "FailureTarget") and text(condition, "status") == "True":
                if text(condition, "reason") in reasons:
                    yield job, condition
                break


def again(case: ControllerCase, name: str) -> tuple[str, str]:
    """Say how to run a Job anew, with its command: a finished one cannot be started, and its export is refused.

    The API server adds the uid of the Job to ``spec.selector`` and to the labels of its pods.
    """
    if case.kind == "CronJob":
        start = ("create", "job", f"{name}-again", f"--from=cronjob/{case.ref.name}")
        return "wait for the next run, or start one", kubectl(*start, namespace=case.ref.namespace)
    return f"delete Job {name} and apply its manifest again", kubectl(
        "delete", "job", name, namespace=case.ref.namespace
    )
