"""What a CronJob's events say of the runs that it does not start: its case goes in, a finding comes out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping, objects, text
from kubetriage.values.times import human_duration

# cronjob_controllerv2.go: why a CronJob starts nothing, or leaves out a run.
_SCHEDULE = {
    "UnparseableSchedule": (Severity.ERROR, "has a schedule that cannot be read, so it never starts a job"),
    "UnknownTimeZone": (Severity.ERROR, "names a time zone that does not exist, so it never starts a job"),
    "UnparseableTimeZone": (Severity.ERROR, "names a time zone that cannot be read, so it never starts a job"),
    "FailedNeedsStart": (
        Severity.ERROR,
        "has missed more than 100 starts, after which its controller starts no job at all",
    ),
    "TooManyMissedTimes": (Severity.WARNING, "has missed more than 100 starts"),
    "MissSchedule": (Severity.WARNING, "missed its time to start by more than startingDeadlineSeconds"),
    "JobAlreadyActive": (
        Severity.NOTE,
        "left out a run, because the one before still goes on (concurrencyPolicy Forbid)",
    ),
}
_MISSED = ("FailedNeedsStart", "TooManyMissedTimes")
_LOOK_BACK = 300
"""Seconds: more than the controller's 10 between two looks, and no 100 starts of any schedule."""
_FOR_LONG = timedelta(hours=1)
"""For so long the controller left out runs: the job before is not merely late."""
_HELD_UP = "starts no more runs, because a job of it does not end and concurrencyPolicy is Forbid"


def told_by_schedule(case: ControllerCase, code: str) -> Iterator[Finding]:
    """Tell from its newest event of this kind why a CronJob does not start a job when it should."""
    event = case.events_of(case.kind, case.raw).last(*_SCHEDULE, "SuccessfulCreate")
    if event is None or event.reason not in _SCHEDULE:
        return
    severity, what = _SCHEDULE[event.reason]
    spec = mapping(case.raw, "spec")
    fixes = [Fix(f"Correct spec.schedule and spec.timeZone of cronjob/{case.ref.name}.", actor=Actor.MANIFEST)]
    if event.reason == "JobAlreadyActive":
        active = [text(j, "name") for j in objects(case.raw, "status", "active")]
        span = event.last - event.first if event.last is not None and event.first is not None else timedelta()
        if span >= _FOR_LONG:
            severity = Severity.WARNING
            which = f" (job/{active[0]})" if active else ""
            what = f"{_HELD_UP}{which}, for {human_duration(span)}. The controller said"
        fixes = list(_held_up(case, active))
    elif event.reason in _MISSED:
        words = (
            f"Let cronjob/{case.ref.name} count only the last {_LOOK_BACK} seconds, and look what held it up so long: "
            "it was suspended, kube-controller-manager was down, or a clock is wrong."
        )
        patch = json.dumps({"spec": {"startingDeadlineSeconds": _LOOK_BACK}})
        command = kubectl("patch", "cronjob", case.ref.name, "--type=merge", "-p", patch, namespace=case.ref.namespace)
        fixes = [Fix(words, actor=Actor.MANIFEST, commands=(command,))]
    elif event.reason == "MissSchedule":
        words = (
            f"Raise startingDeadlineSeconds of cronjob/{case.ref.name}, or see what held up kube-controller-manager."
        )
        fixes = [Fix(words, actor=Actor.MANIFEST)]
    asked = {f: text(spec, f) for f in ("schedule", "timeZone", "concurrencyPolicy")}
    yield Finding(
        code,
        severity,
        Confidence.CONFIRMED,
        case.ref,
        f"CronJob {case.ref.name} {what}: {event.message.rstrip('.')}.",
        (event.evidence(), *(Evidence("spec", f"spec.{f}", v) for f, v in asked.items() if v)),
        fix=tuple(fixes),
        verify=(kubectl("describe", "cronjob", case.ref.name, namespace=case.ref.namespace),),
    )


def _held_up(case: ControllerCase, active: list[str]) -> Iterator[Fix]:
    """Say what ends the run that no other may start beside: what its pod waits for, its end, a limit for the next."""
    name, space = case.ref.name, case.ref.namespace
    if not active:
        yield Fix(
            f"See why the job that still runs takes so long, or set another concurrencyPolicy in cronjob/{name}.",
            actor=Actor.MANIFEST,
            commands=(kubectl("get", "jobs", namespace=space),),
        )
        return
    job = active[0]
    pods = [p for p in case.pods if text(p.controller, "name") == job and not p.finished]
    stuck = next((p for p in pods if p.is_troubled), None)
    if stuck is not None:
        age = human_duration(case.now - stuck.created) if stuck.created is not None else ""
        yield Fix(
            f"Repair what holds up pod/{stuck.name} of job/{job} "
            f"({stuck.status_text()}{f' for {age}' if age else ''}): until that job ends or is deleted, no run starts.",
            actor=Actor.APP,
            commands=(kubectl("why-crash", f"pod/{stuck.name}", namespace=space),),
        )
    else:
        yield Fix(
            f"Until job/{job} ends or is deleted, no run starts: see what its pod does or waits for.",
            actor=Actor.APP,
            commands=(
                kubectl("get", "pods", "-l", f"job-name={job}", "-o", "wide", namespace=space),
                kubectl("logs", f"job/{job}", "--tail=50", namespace=space),
            ),
        )
    yield Fix(
        f"If it does no work any more, delete job/{job}: cronjob/{name} then starts the next run by its schedule.",
        actor=Actor.APP,
        commands=(kubectl("delete", "job", job, namespace=space),),
    )
    yield Fix(
        "Let a run that hangs end by itself: set activeDeadlineSeconds in spec.jobTemplate.spec of "
        f"cronjob/{name}; or let it give way to the next with concurrencyPolicy Replace.",
        actor=Actor.MANIFEST,
    )
