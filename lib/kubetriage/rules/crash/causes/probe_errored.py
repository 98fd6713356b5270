"""A probe cannot be carried out at all, so its result never counts.

Meaning: the kubelet throws an errored result away: it is neither a failure nor a success. A readiness probe that
errors keeps the container unready for ever, a startup probe keeps it unstarted for ever without a restart, and a
liveness probe never protects anything.

Told by: Unhealthy events "probe errored" as the newest of that probe, or a probe whose named port the container does
not declare. Told apart from a probe that fails (which counts) and from runtimes that report a missing binary as exit
code 126 or 127, where it does count.

Fix: use a command that exists in the image, a port name that the container declares, or a probe that needs neither
(httpGet, tcpSocket, grpc).

Source: kubernetes pkg/kubelet/prober/worker.go (doProbe returns early on error), prober.go, pkg/probe/util.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.probes import Failure, Probe, ProbeEvent, ProbeKind, happened_in, probe_events, probe_of
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

CODE = "ProbeErrored"

_KINDS: tuple[ProbeKind, ...] = ("startup", "readiness", "liveness")
_EFFECT = {
    "startup": "the container never counts as started, is never ready and is never restarted for it",
    "readiness": "the container can never become ready",
    "liveness": "the probe can never restart the container",
}
# CRI and runc wrap the words of execve (containerd 1.6 to 2.x, CRI-O): failed to exec in container: ...
_WRAPPINGS = lazy(r"\A.{0,300}?exec failed: (?:unable to start container process: )?(?=exec: )")


def check(case: Case) -> Iterator[Finding]:
    """Find probes that error."""
    if case.pod.deleting:
        return
    for container in case.containers:
        if not container.running:
            continue
        for kind in _KINDS:
            probe = probe_of(container, kind)
            if probe is None:
                continue
            told = [
                p for p in probe_events(case, container, kind) if happened_in(p.event, container.running_since, None)
            ]
            # One error among failures (a runtime that restarted) is nothing: the newest decides.
            errs = told[-1] if told and told[-1].errored and not told[-1].passing else None
            if errs is not None and _stands(case, container, probe, errs):
                yield _finding(case, container, probe, errs)
            elif probe.unknown_port_name and (kind == "liveness" or not container.ready):
                yield _finding(case, container, probe, None)


def _stands(case: Case, container: Container, probe: Probe, told: ProbeEvent) -> bool:
    """Tell whether the error goes on: a readiness or startup probe that passed since is well again."""
    if probe.kind == "startup":
        return container.started is False
    if probe.kind == "readiness":
        return not container.ready and container.started is not False
    # A busy recorder lets one event through in five minutes.
    age = case.now - told.event.last if told.event.last is not None else timedelta.max
    return age <= max(timedelta(seconds=3 * (probe.period + probe.timeout)), timedelta(minutes=6))


def _finding(case: Case, container: Container, probe: Probe, told: ProbeEvent | None) -> Finding:
    blocks = probe.kind != "liveness" and not container.ready
    evidence: list[Evidence] = [told.event.evidence()] if told else []
    evidence.append(probe.evidence())
    if probe.unknown_port_name:
        names = ", ".join(text(p, "name") or str(p.get("containerPort")) for p in objects(container.spec, "ports"))
        why = f"port name {probe.unknown_port_name} is not declared (declared: {names or 'none'})"
        evidence.append(container.fact("spec", "ports", names or "<none>"))
        fix = case.template_fix(
            f"Declare a containerPort named {probe.unknown_port_name} in container {container.name} of "
            f"{case.workload_name}, or name one that exists ({names or 'none does'}) in the {probe.field}."
        )
    else:
        why = told.output.splitlines()[0] if told and told.output else "the kubelet gives no detail"
        why = _WRAPPINGS.sub("", why, count=1)
        name, where = container.name, case.workload_name
        if told is not None and told.failure is Failure.TIMEOUT:
            fix = case.template_fix(
                f"Make the check of the {probe.field} of container {name} faster than {probe.timeout} s, or raise "
                f"timeoutSeconds in {where}; on this runtime a time-out is an error and does not count."
            )
        elif probe.handler == "exec":
            fix = case.template_fix(
                f"Replace the {probe.field} of container {name} in {where}: {probe.words} cannot run there. A "
                "distroless or scratch image has no shell: use httpGet, tcpSocket or grpc."
            )
        else:
            fix = case.template_fix(f"Correct the {probe.field} of container {name} in {where} ({probe.words}).")
    return Finding(
        CODE,
        Severity.ERROR if blocks else Severity.WARNING,
        Confidence.CONFIRMED if told else Confidence.LIKELY,
        container.ref,
        f"The {probe.kind} probe ({probe.words}) of {container.name} cannot be carried out, so {_EFFECT[probe.kind]}: "
        f"{why}.",
        tuple(evidence),
        (),
        (fix,),
        (case.kubectl("events", "--for", f"pod/{case.pod.name}", "--types", "Warning"),),
    )
