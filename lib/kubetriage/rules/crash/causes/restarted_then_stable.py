"""A container crashed before and has been running well since.

Meaning: nothing is broken now. The crash is kept in lastState until the next one, for months if need be; a restart
count is not an illness.

Told by: a running container that has left its last crash behind: it has run for ten minutes (then the kubelet forgets
the back-off) or clearly longer than the crashed instance did. A container that keeps crashing at the same pace (three
restarts or more, and a quiet time no longer than usual between two of them) is reported with its cause as a warning; so
is an OOM kill that the running instance has not outlived.

Fix: none needed; the cause of the last crash stands in the notes while its log and events are there.

Source: kubernetes kubelet.go (back-off, HasExpiredFunc), core/v1 ContainerStatus.
"""

from __future__ import annotations

from datetime import timedelta

from kubetriage.model import Confidence, Finding, Fix, Severity
from kubetriage.readers.pods import Container
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.values.times import human_duration

CODE = "RestartedThenStable"

ABOUT_NOW = ("ReadinessProbeFailed", "ProbeErrored", "InitContainerWaiting", "PreStopHookFailed")
"""Causes that are about the running instance whatever happened before."""


def conclude(case: Case, findings: list[Finding]) -> list[Finding]:
    """Weaken what explains a crash that is over, and say that it is over."""
    made: list[Finding] = []
    for container in case.containers:
        end = case.crash(container)
        if end is None or container.kind not in ("app", "sidecar") or not case.outlived(container):
            continue
        again = recurring(case, container) or _not_outlived_a_kill(case, container)
        about = [f for f in findings if f.object.container == container.name and _is_about_the_end(container, f)]
        for finding in about:
            severity = Severity.WARNING if again and finding.severity is Severity.ERROR else Severity.NOTE
            findings = [replace(f, severity=severity) if f is finding else f for f in findings]
        known_better = any(f.cause == "NodeRestarted" for f in about)
        if container.ready and not known_better and not (again and about):
            made.append(_finding(case, container, about))
    if not made:
        return findings
    stable = {m.object.container for m in made}
    # The note stands for the container; its old cause follows it.
    rest = [f for f in findings if not (f.object.container in stable and f.severity is Severity.NOTE)]
    old = [f for f in findings if f.object.container in stable and f.severity is Severity.NOTE]
    return [*rest, *made, *old]


def _is_about_the_end(container: Container, finding: Finding) -> bool:
    if finding.cause in ABOUT_NOW:
        return False
    end = container.termination
    # A finding about the running instance does not quote the ended one.
    return end is not None and any(e.at.startswith(end.at) for e in finding.evidence)


def recurring(case: Case, container: Container) -> bool:
    """Tell whether a running container keeps crashing at a pace that its present quiet does not break."""
    end, since, created = container.last_termination, container.running_since, case.pod.created
    if end is None or end.finished is None or since is None or created is None or container.restarts < 3:
        return False
    usual = (end.finished - created) / container.restarts
    lived = end.lifetime or timedelta()
    return case.now - since <= 2 * max(usual, lived) and lived >= usual / 4


def _not_outlived_a_kill(case: Case, container: Container) -> bool:
    """Tell whether an OOM kill may come again: memory that grew over a life needs as long to grow again."""
    end, since = container.last_termination, container.running_since
    if end is None or end.reason != "OOMKilled" or end.lifetime is None or since is None:
        return False
    return case.now - since <= end.lifetime


def _finding(case: Case, container: Container, about: list[Finding]) -> Finding:
    end = container.last_termination
    since = container.running_since
    age = human_duration(case.now - since) if since is not None else "some time"
    code = f"exit code {end.exit_code}" if end is not None else "a crash"
    lived = end.age_words() if end is not None else ""
    times = "once" if container.restarts == 1 else f"{container.restarts} times"
    why = f" ({about[0].cause})" if about else ""
    return Finding(
        CODE,
        Severity.NOTE,
        Confidence.CONFIRMED,
        container.ref,
        f"{container.name} restarted {times}, last with {code}{lived}{why}; it has been running for {age} since.",
        (
            *((end.evidence(),) if end is not None else ()),
            container.fact("status", "state.running.startedAt", f"running for {age}, ready"),
        ),
        (),
        (Fix("Nothing to do now."),),
        (case.kubectl("get", "pod", case.pod.name),),
    )
