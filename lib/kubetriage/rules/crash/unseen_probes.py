"""Probes whose settings were not seen, of which the kubelet's events tell that they fail."""

from __future__ import annotations

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.readers import logs
from kubetriage.readers.logs.addresses import Address, addresses
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.dependency_lookup import service_names
from kubetriage.rules.crash.probes import Failure, ProbeEvent, ProbeKind, latest_failure, probe_of
from kubetriage.rules.crash.program_output import short
from kubetriage.values.addresses import is_address, is_loopback
from kubetriage.values.commands import kubectl

_RECENT = 20
"""Lines after which an error no longer tells of now."""


def told_by_events(case: Case, container: Container, code: str, kind: ProbeKind) -> Finding | None:
    """Judge a probe by its newest failure; None where the pod shows its probes or no event tells of a failure."""
    field = f"{kind}Probe"
    if probe_of(container, kind) is not None or case.pod.deleting:
        return None
    if case.snapshot.covers(case.pod.raw, f"{container.spec_path.partition('[')[0]}.{field}"):
        return None
    failure = latest_failure(case, container, kind)
    if failure is None or container.ready:
        return None
    name = container.name
    ended = case.events.last("Killing", container=name)
    killed = kind != "readiness" and ended is not None and f"failed {kind} probe" in ended.message
    does = {
        "readiness": f"{name} is not ready, because its readiness probe fails",
        "liveness": f"The kubelet restarts {name}, because its liveness probe fails",
        "startup": f"The kubelet restarts {name}, because its startup probe fails",
    }[kind]
    show = case.kubectl("get", "pod", case.pod.name, "-o", f"jsonpath={{.spec.containers[*].{field}}}")
    words, actor = _act(failure, name)
    return Finding(
        code,
        Severity.ERROR,
        Confidence.CONFIRMED if killed else Confidence.LIKELY,
        container.ref,
        f"{does}: {short(failure.output)}. The settings of the probe were not seen.",
        (failure.event.evidence(), *((ended.evidence(),) if killed and ended is not None else ())),
        (),
        (Fix(words, actor=actor, commands=(show, case.log_command(container))),),
        (case.kubectl("events", "--for", f"pod/{case.pod.name}"),),
    )


def told_by_log(case: Case, container: Container, code: str) -> Finding | None:
    """Judge a container that runs and is not ready by its log, where neither its probe nor its events were seen."""
    if container.ready or not container.running or case.pod.deleting or container.kind not in ("app", "sidecar"):
        return None
    path = f"{container.spec_path.partition('[')[0]}.readinessProbe"
    if case.snapshot.covers(case.pod.raw, path) or case.events.items or probe_of(container, "readiness") is not None:
        return None
    log = case.running_log(container)
    error = logs.last_error(log.text)
    if error is None or error.weight == "weak" or error.trailing > _RECENT:
        return None
    block = range(error.at, max(error.end, error.at + 1))
    failed = [a for a in addresses(log.text) if a.host and any(at in block for at in a.times)]
    name = container.name
    words = (
        f"{name} runs and is not ready; its readiness probe and its events were not seen. The last error in its log"
        f" is: {short(error.summary)}."
    )
    describe = case.kubectl("describe", "pod", case.pod.name)
    look = Fix(
        f"Read what the readiness probe of {name} asks, and what it was answered: the event Unhealthy.",
        actor=Actor.MANIFEST,
        commands=(describe,),
    )
    end = Fix(
        f"End the error that the log of {name} names, if its readiness check is about that.",
        actor=Actor.APP,
        commands=(case.log_command(container),),
    )
    if failed:
        words += f" A check that asks {_place(failed[0])} fails as long as that does not answer."
        end = _dependency(case, failed[0])
    return Finding(
        code,
        Severity.ERROR,
        Confidence.LIKELY if failed else Confidence.POSSIBLE,
        container.ref,
        words,
        (container.fact("status", "ready", "false (running)"), Evidence("log", name, error.summary, error.time)),
        (),
        (end, look),
        (case.kubectl("get", "pod", case.pod.name), case.kubectl("events", "--for", f"pod/{case.pod.name}")),
    )


def _place(address: Address) -> str:
    return f"{address.host}:{address.port}" if address.port else address.host


def _dependency(case: Case, address: Address) -> Fix:
    """Say what to look at behind an address that a running program cannot reach."""
    place = _place(address)
    if is_address(address.host) or is_loopback(address.host):
        return Fix(f"Find out why {place} does not answer.", actor=Actor.CLUSTER)
    # A name of two parts may be one of the outside world.
    found = service_names(case, address.host) if address.host.count(".") != 1 else []
    if not found:
        return Fix(f"Find out why {place} does not answer: its name, its port, and what runs there.", actor=Actor.APP)
    service, space = found[0]
    return Fix(
        f"Bring back what answers at {place}: see that Service {service} in namespace {space} exists, and that ready"
        " pods stand behind it.",
        actor=Actor.CLUSTER,
        commands=(
            kubectl("get", "service", service, namespace=space),
            kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={service}", namespace=space),
        ),
    )


def _act(failure: ProbeEvent, name: str) -> tuple[str, Actor]:
    """Say what ends a failure of this kind, and who does it."""
    port = f"port {failure.port}" if failure.port else "the probe's port"
    kind = failure.failure
    if kind is Failure.REFUSED:
        return (
            f"Nothing listens on {port}. If the log says that {name} listens on another port, or on 127.0.0.1, correct "
            "that side; if it is still starting, give it a startupProbe; if it ended, its last error is the cause.",
            Actor.MANIFEST,
        )
    if kind is Failure.STATUS and failure.status in (401, 403, 404, 405):
        return f"The path of the probe is not served so ({failure.status}): use one that {name} serves.", Actor.MANIFEST
    if kind in (Failure.STATUS, Failure.GRPC_STATUS):
        return f"{name} answers that it is not healthy: its log says which check or dependency fails.", Actor.APP
    if kind is Failure.TIMEOUT:
        return (
            f"{name} accepts connections and does not answer in time: look in its log for what it waits for, and at "
            "its CPU limit. Raise timeoutSeconds only where the answer is known to take that long.",
            Actor.APP,
        )
    if kind is Failure.WANTS_TLS:
        return f"{port[:1].upper()}{port[1:]} speaks TLS: set scheme HTTPS in the probe.", Actor.MANIFEST
    if kind is Failure.WANTS_PLAIN:
        return f"{port[:1].upper()}{port[1:]} speaks plain HTTP: set scheme HTTP in the probe.", Actor.MANIFEST
    if kind is Failure.NO_COMMAND:
        return "The image has no such command: use one that it has.", Actor.MANIFEST
    return "Compare what the probe asks with what the program serves.", Actor.MANIFEST
