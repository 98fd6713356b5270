"""A Job gave up: its pods failed more often than it allows.

Meaning: the Job is Failed for good. The number of retries is its own (``backoffLimit``, default 6, or per index); why
its pods fail is another question, answered by the last failed pod.

Told by: the Job's condition Failed with reason BackoffLimitExceeded, PodFailurePolicy, FailedIndexes or
MaxFailedIndexesExceeded. The failing container is taken from the newest failed pod that is left.

Fix: repair what the pods fail of, then create the Job again (a finished Job cannot be restarted).

Source: kube-controller-manager job controller; batch/v1 JobSpec.backoffLimit, podFailurePolicy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.readers.logs import last_error
from kubetriage.readers.pods import Container, Pod
from kubetriage.rules.crash.case import Case, ControllerCase
from kubetriage.rules.crash.failed_jobs import again, failed_jobs
from kubetriage.rules.workloads import owner_uids
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, dig, name_of, number, objects, text, uid_of

CODE = "JobBackoffLimitExceeded"

_SHORT = 120
"""Longest log line that still fits into the message."""
_REASONS = ("BackoffLimitExceeded", "PodFailurePolicy", "FailedIndexes", "MaxFailedIndexesExceeded")


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Say how often it failed, and how the last pod ended."""
    for job, condition in failed_jobs(case, *_REASONS):
        yield _finding(case, job, condition)


def _finding(case: ControllerCase, job: Obj, condition: Obj) -> Finding:
    name, namespace = name_of(job), case.ref.namespace
    reason = text(condition, "reason")
    limit = number(job, "spec", "backoffLimit")
    failed = number(job, "status", "failed") or 0
    last = _last_failure(case, job)
    message = f"Job {name} gave up after {failed} failed pod{'s' if failed != 1 else ''}"
    if reason == "BackoffLimitExceeded":
        message += f" (backoffLimit {6 if limit is None else limit})."
    else:
        message += f" ({reason}: {text(condition, 'message').rstrip('.')})."
    evidence = [
        Evidence(
            "status",
            f"job/{name} status.conditions[Failed]",
            f"{reason}: {text(condition, 'message')}",
            text(condition, "lastTransitionTime"),
        ),
        Evidence("status", f"job/{name} status.failed", str(failed)),
        Evidence("spec", f"job/{name} spec.backoffLimit", "6 (default)" if limit is None else str(limit)),
    ]
    container = ""
    verify = [kubectl("describe", "job", name, namespace=namespace)]
    if last is not None:
        pod, ended = last
        container = ended.name
        end = ended.termination
        code = end.exit_code if end is not None else None
        message += f" In the last one, {pod.name}, container {container} ended with exit code {code}"
        verify.append(kubectl("logs", pod.name, "-c", container, namespace=namespace))
        if end is not None:
            evidence.append(end.evidence())
        # The program's last error, or its last line as it stands; its own cause follows with the pod.
        log = Case(pod, case.snapshot).log(ended)
        lines = [line.strip() for line in log.text.splitlines() if line.strip()] if log.seen else []
        if lines:
            evidence.append(Evidence("log", f"{pod.name}/{container}", lines[-1]))
        error = last_error(log.text) if lines else None
        said = error.summary if error is not None and error.weight != "weak" else lines[-1] if lines else ""
        if said and said not in lines[-1]:
            evidence.append(Evidence("log", f"{pod.name}/{container}", said[:600]))
        short = said if len(said) <= _SHORT else ""
        message += f": {short}" if short else "."
    else:
        message += " None of its failed pods is left."
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        Ref("Job", namespace, name, uid_of(job), container),
        message,
        tuple(evidence),
        fix=_fixes(case, job, condition, last),
        verify=tuple(verify),
        details={"reason": reason, "failed": failed},
    )


def _fixes(case: ControllerCase, job: Obj, condition: Obj, last: tuple[Pod, Container] | None) -> tuple[Fix, ...]:
    if text(condition, "reason") == "PodFailurePolicy":
        return (_policy(case, job, condition),)
    if last is not None or text(job, "spec", "template", "spec", "restartPolicy") != "OnFailure":
        return (_repair(case, name_of(job), last),)
    # The Job controller deletes such a pod when the limit is reached, and its log with it.
    words, command = again(case, name_of(job))
    return (
        Fix(
            f"Set restartPolicy: Never in the pod template of {case.kind.lower()}/{case.ref.name}: with OnFailure the "
            f"last pod is deleted with its log when the limit is reached. Then {words}, and ask again.",
            actor=Actor.MANIFEST,
            commands=(command,),
        ),
    )


def _repair(case: ControllerCase, name: str, last: tuple[Pod, Container] | None) -> Fix:
    words, command = again(case, name)
    cause = "Fix the error of its pods; their own cause follows"
    if last is not None:
        own = next((f for f in case.explain(last[0]) if f.severity is Severity.ERROR), None)
        cause = own.fix[0].text.rstrip(".") if own is not None and own.fix else cause
    return Fix(f"{cause}. Then {words}.", actor=Actor.APP, commands=(command,))


def _policy(case: ControllerCase, job: Obj, condition: Obj) -> Fix:
    """Name the rule of podFailurePolicy that ended the Job at its first match, whatever backoffLimit says."""
    rules = objects(job, "spec", "podFailurePolicy", "rules")
    told = re.search(r"rule at index (\d+)", text(condition, "message"))
    index = int(told[1]) if told else next((i for i, r in enumerate(rules) if text(r, "action") == "FailJob"), 0)
    rule = rules[index] if index < len(rules) else {}
    codes = ", ".join(str(v) for v in dig(rule, "onExitCodes", "values") or ())
    on = f" (exit codes {codes})" if codes else ""
    words, command = again(case, name_of(job))
    fail = f"podFailurePolicy.rules[{index}]{on} of job/{name_of(job)}"
    return Fix(
        f"{fail} ends the Job at the first such end, without a retry. Repair that end, or give the rule another action "
        f"(Count or Ignore) if it is to be tried again. Then {words}.",
        actor=Actor.MANIFEST,
        commands=(command,),
    )


def _last_failure(case: ControllerCase, job: Obj) -> tuple[Pod, Container] | None:
    """Return the newest failed pod of the Job and the container that failed in it."""
    found: tuple[str, Pod, Container] | None = None
    for pod in case.pods:
        if uid_of(job) not in owner_uids(case.snapshot, pod.raw):
            continue
        for container in pod.containers:
            end = container.termination
            if end is None or end.exit_code in (0, None):
                continue
            when = text(end.raw, "finishedAt")
            if found is None or when > found[0]:
                found = (when, pod, container)
            break
    return (found[1], found[2]) if found else None
