"""The work of a Job is done, and another container keeps its pod from ending.

Meaning: a pod is only Succeeded when all its containers have ended. A proxy or agent that an injector added runs for
ever, so neither the pod nor its Job completes, a CronJob with concurrencyPolicy Forbid starts nothing more, and the
pod's resources stay taken.

Told by: a pod whose restart policy lets it end, with a container that ended with success, while all that still run are
helpers: an injected container by its name, or one that the Job's own template does not have. A second worker of the
template that still runs is no fault.

Fix: keep the injector out of this Job (its own label or annotation on the pod template), end the helper as the last
step of the task, or switch the injector to native sidecars, which Kubernetes ends itself.

Source: batch/v1 Job; KEP-753 (sidecar containers, 1.29 and later); the injectors in data/injected_containers.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from kubetriage.model import Actor, Confidence, Finding, Fix, Severity
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.injected_containers import Injected, in_template, injected, job_of
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.times import human_duration

CODE = "JobBlockedBySidecar"

PATIENCE = timedelta(minutes=3)
"""A helper that is told to stop takes as long as its grace period at most."""
OWN_PATIENCE = timedelta(minutes=10)
"""A helper of the template may have work of its own, uploading what the task left."""


def check(case: Case) -> Iterator[Finding]:
    """Find pods that only a helper keeps alive."""
    pod = case.pod
    if pod.finished or pod.deleting or text(pod.raw, "spec", "restartPolicy") not in ("Never", "OnFailure"):
        return
    apps = [c for c in case.containers if c.kind == "app"]
    done = [c for c in apps if _succeeded(c)]
    left = [c for c in apps if c.running]
    if not done or not left or len(done) + len(left) != len(apps):
        return
    since = max((e.finished for c in done if (e := c.current_termination) and e.finished), default=None)
    helpers = [(c, injected(c), in_template(case, c)) for c in left]
    # A second worker may still be at its own part of the task.
    helping = all(row is not None or own is False for _, row, own in helpers)
    yield _finding(case, done, left, helpers[0][1], since, in_template(case, left[0]), helping=helping)


def _succeeded(container: Container) -> bool:
    end = container.current_termination
    return end is not None and end.exit_code == 0


def _finding(
    case: Case,
    done: list[Container],
    left: list[Container],
    row: Injected | None,
    since: datetime | None,
    own: bool | None,
    *,
    helping: bool,
) -> Finding:
    pod, job = case.pod, job_of(case)
    helper, work = ", ".join(c.name for c in left), ", ".join(c.name for c in done)
    age = case.now - since if since is not None else None
    late = helping and (age is None or age >= (OWN_PATIENCE if own else PATIENCE))
    ago = f" {human_duration(age)} ago" if age is not None else ""
    by = f" that {row.name} injects" if row is not None and own is not True else ""
    what = f"Job {job}" if job else f"pod {pod.name}"
    message = f"{work} ended with success{ago}, and the sidecar {helper}{by} goes on, so {what} never completes."
    if not late:
        message = f"{work} ended with success{ago}; {what} completes once {helper}{by} has ended, too."
    evidence = []
    for container in (*done, *left):
        end = container.current_termination
        evidence.append(end.evidence() if end is not None else container.fact("status", "state", "running"))
    evidence.append(pod.fact("spec", "spec.restartPolicy", text(pod.raw, "spec", "restartPolicy")))
    return Finding(
        CODE,
        Severity.ERROR if late else Severity.NOTE,
        Confidence.CONFIRMED,
        left[0].ref,
        message,
        tuple(evidence),
        fix=tuple(_fixes(case, left[0], row, own, job)),
        verify=(case.kubectl("get", "job", job) if job else case.kubectl("get", "pod", pod.name),),
        details={"job": job, "sidecar": [c.name for c in left]},
    )


def _fixes(case: Case, helper: Container, row: Injected | None, own: bool | None, job: str) -> Iterator[Fix]:
    pod = case.pod
    if own:
        words = (
            f"Make {helper.name} a native sidecar in {case.workload_name}: an entry of initContainers with "
            "restartPolicy Always. Kubernetes then ends it after the task (1.29 and later)."
        )
        yield case.template_fix(words)
    elif row is not None:
        metadata = row.opt_out_metadata()
        made = case.template_fix(f"Keep {row.name} out of {case.workload_name}: {row.opt_out} on its pod template.")
        snippet = yaml_text({"spec": {"template": {"metadata": metadata}}}) if metadata else ""
        yield Fix(made.text, actor=Actor.MANIFEST, commands=made.commands, yaml=snippet)
        if row.native:
            words = f"Where the task needs {row.name}: {row.native}, so that Kubernetes ends {helper.name} itself."
            yield Fix(words, actor=Actor.CLUSTER)
    else:
        words = (
            f"Find the webhook that injects {helper.name} into {case.workload_name}, and switch it off for this Job by "
            "its own label or annotation. Or let it inject a native sidecar."
        )
        yield Fix(words, actor=Actor.CLUSTER, commands=(kubectl("get", "mutatingwebhookconfigurations"),))
    if row is not None and row.quit:
        stop = kubectl("exec", pod.name, "-c", helper.name, "--", *row.quit, namespace=pod.namespace)
        words = f"To let this run complete now, end {helper.name}; make the same call the last step of the task."
        yield Fix(words, actor=Actor.APP, commands=(stop,))
    elif job:
        words = f"The result of this run stands in its log; then delete Job {job}."
        log = next((c.name for c in case.containers if _succeeded(c) and c.kind == "app"), "")
        read = kubectl("logs", pod.name, "-c", log, namespace=pod.namespace)
        yield Fix(words, actor=Actor.APP, commands=(read, kubectl("delete", "job", job, namespace=pod.namespace)))
