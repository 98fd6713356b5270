"""The kubelet restarts a container because its startup probe did not pass in time.

Meaning: the program did not crash; it was killed because the startup probe never passed within initialDelaySeconds
plus failureThreshold times periodSeconds. Liveness and readiness probes never began.

Told by: a Killing event "failed startup probe", or an earlier instance's together with the lifetime; with events
expired, the lifetime against the probe's window. What the probe met (refused, 404, time-out) names the fix. A
container that runs, is not started and still has attempts left is a warning with the time of the kill.

Fix: correct the port, path or command if the program is up and the probe asks something else; raise
failureThreshold if the start is slower than the budget.

Source: kubernetes pkg/kubelet/prober/worker.go, kuberuntime_manager.go, KEP-950.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from kubetriage.found import LogText
from kubetriage.model import Confidence, Finding, Fix, Severity
from kubetriage.readers import logs
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Killer, attribute, lifetime_evidence
from kubetriage.rules.crash.probes import (
    Failure,
    Probe,
    ProbeEvent,
    happened_in,
    latest_failure,
    probe_events,
    probe_of,
)
from kubetriage.rules.crash.startup_progress import still_starting
from kubetriage.rules.crash.unseen_probes import told_by_events
from kubetriage.values.times import format_time, precise_duration, span_of

CODE = "StartupProbeFailed"


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose startup probe has killed them, or has not passed yet."""
    for container in case.containers:
        probe = probe_of(container, "startup")
        if probe is None:
            unseen = told_by_events(case, container, CODE, "startup")
            if unseen is not None:
                yield unseen
            continue
        finding = _killed(case, container, probe) or _pending(case, container, probe)
        if finding is not None:
            yield finding


def _killed(case: Case, container: Container, probe: Probe) -> Finding | None:
    end = case.crash(container)
    verdict = attribute(case, container) if end is not None else None
    if end is None or verdict is None or verdict.killer is not Killer.STARTUP:
        return None
    failure = latest_failure(case, container, "startup")
    log = case.log(container)
    from kubetriage.rules.crash.probe_advice import advise  # no pod without a failing probe needs it

    advice = advise(case, container, probe, failure, log)
    lived = end.age_words()
    met = f": {advice.words}" if advice.words else ""
    sure = "The kubelet killed" if verdict.confidence is Confidence.CONFIRMED else "The kubelet probably killed"
    evidence = [e for e in verdict.evidence if e.source != "spec"]
    evidence.append(lifetime_evidence(probe, end) if end.lifetime is not None else probe.evidence())
    if failure is not None:
        evidence.insert(1, failure.event.evidence())
    return Finding(
        CODE,
        Severity.ERROR,
        verdict.confidence,
        container.ref,
        f"{sure} {container.name}{lived} because its startup probe ({probe.words}) never passed in "
        f"{probe.threshold} {'try' if probe.threshold == 1 else 'tries'}{met}.",
        tuple(dict.fromkeys([*evidence, *advice.evidence])),
        verdict.ruled_out + verdict.still_possible,
        (*_more_time(case, container, probe, failure, log), *advice.fixes),
        (
            case.kubectl("events", "--for", f"pod/{case.pod.name}"),
            case.log_command(container),
        ),
    )


def _more_time(
    case: Case, container: Container, probe: Probe, failure: ProbeEvent | None, log: LogText
) -> tuple[Fix, ...]:
    """Propose a larger budget where the start is under way, not where the probe asks the wrong thing."""
    waits = failure is None or failure.failure in (
        Failure.REFUSED,
        Failure.NO_GRPC,
        Failure.TIMEOUT,
        Failure.GRPC_STATUS,
    )
    if not waits or logs.listening(log.text) or not still_starting(log):
        return ()
    threshold = max(30, math.ceil(300 / probe.period))
    return (
        case.template_fix(
            f"If the start is only slow (its log shows it under way), raise failureThreshold of the startupProbe in "
            f"{case.workload_name} from {probe.threshold} to {threshold}: {threshold * probe.period} s to start.",
            container.patch({"startupProbe": {"failureThreshold": threshold}}),
        ),
    )


def _pending(case: Case, container: Container, probe: Probe) -> Finding | None:
    since = container.running_since
    if since is None or container.started is not False or case.pod.deleting:
        return None
    if container.last_termination is not None and not case.outlived(container):
        return None
    told = [p for p in probe_events(case, container, "startup") if happened_in(p.event, since, None)]
    if told and told[-1].errored:
        # It can neither pass nor kill, which ProbeErrored says.
        return None
    failure = latest_failure(case, container, "startup")
    if failure is not None and not happened_in(failure.event, since, None):
        failure = None
    deadline = since + span_of(probe.latest)
    from kubetriage.rules.crash.probe_advice import advise  # no pod without a failing probe needs it

    advice = advise(case, container, probe, failure, case.running_log(container))
    met = f": {advice.words}" if advice.words and failure is not None else ""
    # A first start within its time is one like any other, though nothing listens yet.
    waits = failure is None or failure.failure in (Failure.REFUSED, Failure.NO_GRPC, Failure.TIMEOUT)
    first = failure is None or (
        container.last_termination is None and not logs.listening(case.running_log(container).text)
    )
    on_its_way = waits and first and case.now < deadline
    seen = (failure.event.evidence(),) if failure is not None else ()
    return Finding(
        CODE,
        Severity.NOTE if on_its_way else Severity.WARNING,
        Confidence.CONFIRMED,
        container.ref,
        f"{container.name} has not passed its startup probe ({probe.words}) in {precise_duration(case.now - since)}"
        f"{met}; it is killed at about {format_time(deadline)} if it never passes.",
        (container.fact("status", "started", "false"), *seen, probe.evidence(), *advice.evidence),
        (),
        advice.fixes if failure is not None else (),
        (case.kubectl("events", "--for", f"pod/{case.pod.name}"),),
    )
