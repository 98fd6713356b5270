"""How far a program came in its start, and how long a start takes: from its log and from its replicas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from kubetriage.found import LogText
from kubetriage.model import Confidence, Evidence, Fix, Ref, RuledOut
from kubetriage.readers import logs
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Container, Pod
from kubetriage.readers.terminations import Termination
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.probes import Failure, Probe, ProbeEvent, happened_in, probe_of
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, number, objects
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_time

# How servers say that they are up when they name no address: .NET ("Application started."), Node ("Server started"),
# nginx and Apache ("resuming normal operations"), PostgreSQL ("ready to accept connections"), Redis ("Ready to
# accept connections"), Kafka ("started (kafka.server.KafkaServer)"), and plain scripts ("serving", "listening").
# "Tomcat initialized" and "HikariPool-1 - Start completed" are steps on the way.
_UP = lazy(
    r"(?i)\b(?:listening|serving|running on|up and running|accepting connections|resuming normal operations"
    r"|start-?up completed?)\b"
    r"|\b(?:server|application|app|service|api|listener|daemon)\b[^\n]{0,40}\bstarted\b"
    r"|\bstarted\b[^\n]{0,40}\b\w*(?:server|application|listener|http)"
    r"|(?<!not )(?<!until )\bready (?:to|for|in)\b|\b(?:is|now) ready\b"
)


def still_starting(log: LogText) -> bool:
    """Tell whether a log shows a start under way: it says something, but neither that it is up nor of trouble."""
    if not log.seen or not logs.last_line(log.text):
        return False
    trouble = logs.last_error(log.text)
    return not _UP.search(log.text) and (trouble is None or trouble.trailing > 0)


def observed_starts(case: Case, container: Container) -> tuple[tuple[timedelta, Evidence], ...]:
    """Return how long starts of this container took in ready replicas, as far as they show it."""
    memo, key = case.snapshot.derived(_known_starts), (case.workload, container.name)
    if key not in memo:
        memo[key] = tuple(_starts(case.replicas, container.name))
    return memo[key]


def _known_starts(_: Snapshot) -> dict[tuple[Ref, str], tuple[tuple[timedelta, Evidence], ...]]:
    """Hold what :func:`observed_starts` found, for the other pods of the workload."""
    return {}


def _starts(replicas: tuple[Pod, ...], name: str) -> Iterator[tuple[timedelta, Evidence]]:
    for replica in replicas:
        twin = replica.container(name) if replica.ready else None
        if twin is None or twin.running_since is None or twin.restarts:
            continue
        ready = parse_time(replica.condition("Ready").get("lastTransitionTime"))
        # A later transition to Ready is a recovery, not a start: believe only the first minutes.
        if ready is not None and timedelta() <= ready - twin.running_since <= timedelta(minutes=30):
            took = ready - twin.running_since
            value = f"pod/{replica.name} was ready {round(took.total_seconds())} s after its start"
            yield took, Evidence("status", f"pod/{replica.name} status.conditions[Ready]", value)


@dataclass(frozen=True)
class SlowStart:
    """Why an instance is taken to have been killed while it was starting."""

    words: str
    confidence: Confidence
    evidence: tuple[Evidence, ...]
    needs: timedelta | None = None
    """How long a start is known to take."""


def slow_start(
    case: Case,
    container: Container,
    end: Termination,
    probe: Probe,
    failure: ProbeEvent | None,
    kill: Event | None = None,
) -> SlowStart | None:
    """Judge whether a liveness probe killed an instance that would have come up.

    Needs that no probe of this instance can have passed, and something that shows a start under way: a known
    start-up time beyond the probe's patience, or a log that speaks of neither being up nor of trouble while the
    declared port was not served yet. A port that nothing in the pod declares is a wrong port, not a slow start.
    """
    if not _killed_at_once(container, end, probe, kill):
        return None
    log = case.log(container)
    port = failure.port if failure and failure.port else probe.port
    declared = {number(p, "containerPort") for p in objects(container.spec, "ports")}
    if failure is not None and failure.failure in (Failure.WANTS_TLS, Failure.WANTS_PLAIN, Failure.NO_GRPC_HEALTH):
        return None
    if failure is not None and failure.failure is Failure.STATUS and failure.status not in (500, 502, 503, 504):
        return None
    if declared and port is not None and port not in declared:
        return None
    took = logs.startup_seconds(log.text)
    if took is not None:
        if took < probe.earliest:
            return None
        words = f"its log says that the start took {took:g} s"
        shown = Evidence("log", container.name, words)
        return SlowStart(words, Confidence.LIKELY, (shown,), timedelta(seconds=took))
    if any(said.loopback or (said.port != port and port is not None) for said in logs.listening(log.text)):
        return None
    starts = sorted(observed_starts(case, container), key=lambda s: s[0])
    if starts and starts[-1][0].total_seconds() > probe.earliest:
        longest, shown = starts[-1]
        words = f"another replica needed {round(longest.total_seconds())} s to become ready"
        return SlowStart(words, Confidence.LIKELY, (shown,), longest)
    waits = failure is None or failure.failure in (
        Failure.REFUSED,
        Failure.NO_GRPC,
        Failure.TIMEOUT,
        Failure.RESET,
        Failure.STATUS,
        Failure.GRPC_STATUS,
    )
    if probe.handler in ("", "exec") or not waits or not still_starting(log):
        return None
    line = logs.last_line(log.text)
    return SlowStart(
        f'its log shows it still starting ("{line}")',
        Confidence.LIKELY if declared and failure is not None else Confidence.POSSIBLE,
        (Evidence("log", container.name, line),),
    )


def _killed_at_once(container: Container, end: Termination, probe: Probe, kill: Event | None) -> bool:
    """Tell whether the first probes of an instance can be those that killed it."""
    if end.lifetime is None or probe_of(container, "startup") is not None:
        return False
    decided = None
    if kill is not None and kill.last is not None and end.started is not None:
        # The Killing event of another instance tells nothing about this one's age.
        decided = kill.last - end.started if happened_in(kill, end.started, end.finished) else None
    return probe.never_passed_in(end.lifetime, end.exit_code, decided)


def could_be_slow(
    container: Container,
    end: Termination,
    probe: Probe,
    failure: ProbeEvent | None,
    kill: Event | None,
    log: LogText,
) -> RuledOut | None:
    """Return the slow start as a rival that a silent log leaves open; None where something speaks against it."""
    waits = failure is None or failure.failure in (Failure.REFUSED, Failure.NO_GRPC, Failure.TIMEOUT, Failure.RESET)
    declared = {number(p, "containerPort") for p in objects(container.spec, "ports")}
    port = failure.port if failure and failure.port else probe.port
    if not waits or probe.handler in ("", "exec") or (declared and port not in declared) or logs.last_line(log.text):
        return None
    if not _killed_at_once(container, end, probe, kill):
        return None
    why = "its log is empty" if log.seen else f"its log was not seen ({log.why})"
    return RuledOut("LivenessKillsSlowStart", f"not ruled out: {why}, so it may just not have been up yet")


def startup_probe_fix(
    case: Case, container: Container, probe: Probe, needs: timedelta | None, words: str = "Give"
) -> Fix:
    """Propose a startupProbe with the handler of ``probe`` and numbers from the observed start.

    Without an observed time the budget is five minutes, or four times what the instance lived if that is more.
    """
    period = 10
    lived = container.termination.lifetime if container.termination else None
    if needs is not None:
        budget = max(2 * needs.total_seconds(), 60.0)
        why = f"twice the observed start of {round(needs.total_seconds())} s"
    else:
        budget = max(300.0, 4 * lived.total_seconds() if lived else 0.0)
        why = "the real start-up time is not known yet"
    threshold = math.ceil(budget / period)
    handler: Obj = {probe.handler: dig(probe.raw, probe.handler)} if probe.handler else {}
    spec = {**handler, "periodSeconds": period, "failureThreshold": threshold}
    return case.template_fix(
        f"{words} container {container.name} of {case.workload_name} a startupProbe ({probe.words}, period {period} s, "
        f"failureThreshold {threshold}): {threshold * period} s to start ({why}). The liveness probe begins after it.",
        container.patch({"startupProbe": spec}),
    )
