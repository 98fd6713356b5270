"""The liveness probe kills the program before it could finish its start.

Meaning: the program is not broken, it is slow to start. The liveness probe counts its failures from the start on
and restarts the container before it ever answers, so it never gets up.

Told by: a kill by the liveness probe (see LivenessProbeFailed) at an age at which no probe of this instance can have
passed, and a sign of a start under way: replicas that needed longer to get ready, or a log that neither says that
the program is up nor speaks of trouble, while the port that the container declares is not served yet. A probe of a
port that nothing declares, a 404 or a log that says "listening" is LivenessProbeFailed.

Fix: give the container a startupProbe with the same check and enough failures for the slowest start; liveness
begins only when it has passed. Raising initialDelaySeconds works too, but delays every later detection.

Source: kubernetes pkg/kubelet/prober/worker.go (liveness is off until started), KEP-950.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding, RuledOut, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Killer, attribute, lifetime_evidence
from kubetriage.rules.crash.probes import latest_failure, probe_of
from kubetriage.rules.crash.startup_progress import slow_start, startup_probe_fix
from kubetriage.values.times import precise_duration

CODE = "LivenessKillsSlowStart"


def check(case: Case) -> Iterator[Finding]:
    """Find containers that the liveness probe restarts while they start."""
    for container in case.containers:
        end = case.crash(container)
        probe = probe_of(container, "liveness")
        if end is None or probe is None or end.lifetime is None:
            continue
        verdict = attribute(case, container)
        if verdict is None or verdict.killer is not Killer.LIVENESS:
            continue
        failure = latest_failure(case, container, "liveness")
        slow = slow_start(case, container, end, probe, failure, verdict.event)
        if slow is None:
            continue
        port = failure.port if failure is not None and failure.port else probe.port
        served = f" before it served port {port}" if port is not None else " before it was up"
        seen = (failure.event.evidence(),) if failure is not None else ()
        told = [e for e in verdict.evidence if e.source != "spec"]
        evidence = (*told, *seen, *slow.evidence, lifetime_evidence(probe, end))
        confidence = max(verdict.confidence, slow.confidence, key=lambda c: c.rank)
        yield Finding(
            CODE,
            Severity.ERROR,
            confidence,
            container.ref,
            f"The liveness probe killed {container.name} {precise_duration(end.lifetime)} after its start,{served}; "
            f"{slow.words}.",
            tuple(dict.fromkeys(evidence)),
            (
                *verdict.ruled_out,
                *verdict.still_possible,
                RuledOut("LivenessProbeFailed", "the instance was killed by its first probes; none of them can pass"),
            ),
            (startup_probe_fix(case, container, probe, slow.needs),),
            (
                case.kubectl("events", "--for", f"pod/{case.pod.name}"),
                case.log_command(container),
            ),
        )
