"""A container runs but its readiness probe does not pass, so it gets no traffic.

Meaning: nothing restarts. The pod stays out of the endpoints of its Services, and a rollout waits for it.

Told by: state running, started true and ready false: from then on only the readiness probe decides ready. The
newest Unhealthy event says what the probe met. Told apart from a crash (the running instance has left the last crash
behind), from a start that is not finished (started false), from an errored probe (ProbeErrored) and from a port that
another container of the pod serves.

Fix: correct the probe's port, path, scheme or command, or cure what the program reports as not ready (often a
dependency). A readiness probe never restarts anything, so a wrong one stays until the template changes.

Source: kubernetes pkg/kubelet/prober/prober_manager.go (UpdatePodStatus), worker.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Finding, Severity
from kubetriage.needs import Log, Need
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.probes import Failure, Probe, ProbeEvent, happened_in, probe_events, probe_of
from kubetriage.rules.crash.unseen_probes import told_by_events, told_by_log
from kubetriage.values.times import precise_duration

CODE = "ReadinessProbeFailed"

_START = timedelta(seconds=30)
"""Younger than this a container may well be starting."""
_NEVER_PASSES = (Failure.WANTS_TLS, Failure.WANTS_PLAIN, Failure.CERTIFICATE, Failure.NO_GRPC_HEALTH)
"""What no longer wait changes."""


def applies(case: Case, container: Container) -> bool:
    """Tell whether only the readiness probe keeps a container from being ready."""
    if case.pod.deleting or not container.running or container.ready or container.started is False:
        return False
    probe = probe_of(container, "readiness")
    if probe is None or container.running_since is None:
        return False
    # Shortly after a crash the next instance is not ready because it starts, not because the probe is wrong.
    return case.outlived(container) or case.now - container.running_since >= timedelta(seconds=60 + probe.latest)


def needs(case: Case) -> Iterator[Need]:
    """Ask for the log of the running instance, where the crashed one's was read."""
    for container in case.containers:
        if applies(case, container):
            yield Log(case.pod.namespace, case.pod.name, container.name)


def check(case: Case) -> Iterator[Finding]:
    """Find running containers that are not ready."""
    for container in case.containers:
        probe = probe_of(container, "readiness")
        if probe is None and container.running:
            unseen = told_by_events(case, container, CODE, "readiness") or told_by_log(case, container, CODE)
            if unseen is not None:
                yield unseen
        if probe is None or not applies(case, container):
            continue
        told = [
            p for p in probe_events(case, container, "readiness") if happened_in(p.event, container.running_since, None)
        ]
        told = [p for p in told if not p.passing]
        if told and told[-1].errored:
            continue
        if probe.unknown_port_name:
            continue
        yield _finding(case, container, probe, told[-1] if told else None)


def _finding(case: Case, container: Container, probe: Probe, failure: ProbeEvent | None) -> Finding:
    since = container.running_since
    age = case.now - since if since is not None else timedelta()
    from kubetriage.rules.crash.probe_advice import advise  # no pod without a failing probe needs it

    advice = advise(case, container, probe, failure, case.running_log(container))
    # A program that has just started is not ready yet; a few failed probes say no more than that.
    hardly = age.total_seconds() < probe.delay + probe.period + probe.timeout and failure is None
    early = hardly or (age < _START and (failure is None or failure.failure not in _NEVER_PASSES))
    evidence = [container.fact("status", "ready", "false (started true, running)")]
    if failure is not None:
        evidence.append(failure.event.evidence())
    evidence.append(probe.evidence())
    runs = f"{container.name} runs ({precise_duration(age)}) but is not ready"
    if hardly:
        words = f"{runs}: its readiness probe ({probe.words}) has hardly begun."
    elif early and failure is not None:
        words = f"{runs} yet: its readiness probe ({probe.words}) still fails ({advice.words}), which is usual so soon."
    elif failure is None:
        seen = "no event tells what it met" if case.events.seen else "the events with the reason could not be read"
        words = f"{runs}: its readiness probe ({probe.words}) does not pass; {seen}."
    else:
        words = f"{runs}: its readiness probe ({probe.words}) fails: {advice.words}."
    return Finding(
        CODE,
        Severity.NOTE
        if early
        else Severity.ERROR
        if case.outlived(container) and not advice.blame
        else Severity.WARNING,
        Confidence.POSSIBLE if hardly else Confidence.CONFIRMED if failure is not None else Confidence.LIKELY,
        container.ref,
        words,
        (*evidence, *advice.evidence),
        (),
        advice.fixes,
        (
            case.kubectl("events", "--for", f"pod/{case.pod.name}", "--types", "Warning"),
            case.kubectl("logs", case.pod.name, "-c", container.name, "--tail", "20"),
        ),
    )
