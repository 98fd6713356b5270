"""The kubelet restarts a container because its liveness probe fails.

Meaning: the program did not crash; the kubelet asked it to stop (SIGTERM, then SIGKILL after the grace period)
because the liveness probe failed too often in a row. The exit code (137, 143, 0 or the program's own) says only how
the program took it.

Told by: a Killing event "failed liveness probe" within the life of the instance; an earlier instance's Killing
event when the newest ended at an age at which the same probe kills; with events expired, the lifetime alone
(failureThreshold, periodSeconds, initialDelaySeconds, timeoutSeconds and grace), which is never more than likely.
It is told apart from OOMKilled by the reason, from LivenessKillsSlowStart by what the probe met and by the log, and
from a normal stop ("Stopping container").

Fix: make the probe ask what the program really serves (port, path, scheme, command), or cure why the program stops
answering. Do not widen the thresholds to hide a program that hangs.

Source: kubernetes pkg/kubelet/prober, kuberuntime_manager.go (Killing event), pkg/apis/core/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.readers.logs import last_line
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Killer, attribute
from kubetriage.rules.crash.probes import latest_failure, probe_of
from kubetriage.rules.crash.startup_progress import could_be_slow, slow_start, startup_probe_fix
from kubetriage.rules.crash.unseen_probes import told_by_events

CODE = "LivenessProbeFailed"


def check(case: Case) -> Iterator[Finding]:
    """Find containers that the kubelet kills for their liveness probe, or is about to."""
    for container in case.containers:
        finding = _killed(case, container) or _failing(case, container)
        finding = finding or told_by_events(case, container, CODE, "liveness")
        if finding is not None:
            yield finding


def _killed(case: Case, container: Container) -> Finding | None:
    end = case.crash(container)
    probe = probe_of(container, "liveness")
    verdict = attribute(case, container) if end is not None else None
    if end is None or verdict is None or verdict.killer is not Killer.LIVENESS:
        return None
    if probe is None:
        # The event names a probe that the spec no longer has: only an edited dump shows this.
        return None
    failure = latest_failure(case, container, "liveness")
    if slow_start(case, container, end, probe, failure, verdict.event) is not None:
        return None
    log = case.log(container)
    from kubetriage.rules.crash.probe_advice import advise  # no pod without a failing probe needs it

    advice = advise(case, container, probe, failure, log)
    rival = could_be_slow(container, end, probe, failure, verdict.event, log)
    slow_fix = (startup_probe_fix(case, container, probe, None, "If the start is only slow: give"),) if rival else ()
    line = last_line(log.text)
    lived = end.age_words()
    met = f": {advice.words}" if advice.words else ""
    sure = "The kubelet killed" if verdict.confidence is Confidence.CONFIRMED else "The kubelet probably killed"
    evidence = list(verdict.evidence)
    if not any(e.at == probe.evidence().at for e in evidence):
        evidence.append(probe.evidence())
    if failure is not None:
        evidence.insert(1, failure.event.evidence())
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY if rival and not log.seen else verdict.confidence,
        container.ref,
        f"{sure} {container.name}{lived} because its liveness probe ({probe.words}) failed "
        f"{'once' if probe.threshold == 1 else f'{probe.threshold} times'}{met}.",
        tuple(dict.fromkeys([*evidence, *advice.evidence, *([Evidence("log", container.name, line)] if line else [])])),
        (*verdict.ruled_out, *verdict.still_possible, *([rival] if rival else [])),
        (*advice.fixes, *slow_fix),
        (
            case.kubectl("events", "--for", f"pod/{case.pod.name}"),
            case.log_command(container),
        ),
    )


def _failing(case: Case, container: Container) -> Finding | None:
    """Warn of a probe that fails now and has not killed yet."""
    probe = probe_of(container, "liveness")
    since = container.running_since
    if probe is None or since is None or not container.running or case.pod.deleting:
        return None
    failure = latest_failure(case, container, "liveness")
    if failure is None or failure.event.last is None or failure.event.last < since:
        return None
    if case.now - failure.event.last > timedelta(seconds=2 * max(probe.period, probe.timeout) + 1):
        return None
    if container.last_termination is not None and not case.outlived(container):
        return None
    from kubetriage.rules.crash.probe_advice import advise  # no pod without a failing probe needs it

    advice = advise(case, container, probe, failure, case.running_log(container))
    met = f": {advice.words}" if advice.words else ""
    return Finding(
        CODE,
        Severity.WARNING,
        Confidence.CONFIRMED,
        container.ref,
        f"The liveness probe ({probe.words}) of {container.name} is failing{met}; "
        f"{probe.threshold} failures in a row restart it.",
        (failure.event.evidence(), probe.evidence(), *advice.evidence),
        (),
        advice.fixes,
        (case.kubectl("events", "--for", f"pod/{case.pod.name}"),),
    )
