"""A signal other than SIGKILL, SIGSEGV and SIGABRT ended the program.

Meaning: exit code 128+n is the shell's and the runtime's way to say "ended by signal n": 143 is SIGTERM, which asks
a program to stop. Outside of a rollout or a deletion something asked it to; other numbers (SIGBUS, SIGILL, SIGFPE,
SIGSYS and so on) are faults of the program or of what it ran into.

Told by: the exit code, and the absence of a kill by the kubelet that would explain it. A pod that is being deleted is
quiet here: SIGTERM is how every stop begins. A program can also call exit(128+n) itself, so this is never more than
likely.

Fix: for SIGTERM, find who sent it (a supervisor inside the container, an operator, an in-place update); for a fault,
the image, the CPU or the limits that the signal names.

Source: signal(7), containerd and CRI-O (which leave state.terminated.signal empty), KEP-4960 (stopSignal).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.pods import Container
from kubetriage.readers.terminations import Termination
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Attribution, Killer, attribute
from kubetriage.rules.crash.known_errors import known_error
from kubetriage.rules.crash.known_images import cpu_need
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.rules.crash.program_output import words_of
from kubetriage.rules.crash.sandbox_loops import loop_findings, stopped_with_it
from kubetriage.rules.crash.signals import signal_meaning, signal_name
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping
from kubetriage.values.quantity import parse_bytes

CODE = "TerminatedBySignal"

_ILLEGAL, _BUS, _SIGTERM, _BAD_CALL = 4, 7, 15, 31
_OTHER_RULES = (6, 9, 11)
"""SIGABRT, SIGKILL and SIGSEGV have their own causes."""


def check(case: Case) -> Iterator[Finding]:
    """Find containers that a signal ended."""
    yield from loop_findings(case, CODE)
    for container in case.containers:
        end = case.crash(container)
        if stopped_with_it(case, container):
            continue
        if end is None or end.signal is None or end.signal in _OTHER_RULES:
            continue
        if end.reason in ("OOMKilled", "ContainerStatusUnknown", "StartError"):
            continue
        verdict = attribute(case, container)
        if verdict is not None and verdict.killer not in (Killer.UNKNOWN, Killer.STOPPED):
            continue
        if end.signal != _SIGTERM and known_error(words_of(case, container, end)) is not None:
            continue
        name = signal_name(end.signal)
        meaning = signal_meaning(end.signal)
        lived = end.age_words()
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.POSSIBLE if verdict is not None and verdict.still_possible else Confidence.LIKELY,
            container.ref,
            f"{name} ended {container.name}{lived} (exit code {end.exit_code})"
            + (f": {meaning}." if meaning else ".")
            + _stopped(verdict),
            verdict.evidence if verdict is not None else (end.evidence(),),
            (*(verdict.ruled_out + verdict.still_possible if verdict else ()), _own_exit(end)),
            _next_steps(case, container, end.signal),
            (
                case.log_command(container),
                case.kubectl("events", "--for", f"pod/{case.pod.name}"),
            ),
        )


def _stopped(verdict: Attribution | None) -> str:
    if verdict is not None and verdict.killer is Killer.STOPPED and verdict.event is not None:
        return f" The kubelet stopped it: {verdict.event.message}."
    return ""


def _own_exit(end: Termination) -> RuledOut:
    return RuledOut("AppError", f"not ruled out: a program can call exit({end.exit_code}) itself")


def _unrequested_huge_pages(case: Case, container: Container) -> str:
    """Name huge pages that the node has and the container has no limit for: a program that maps them gets SIGBUS."""
    has = mapping(case.node.obj, "status", "allocatable")
    own = mapping(container.spec, "resources", "limits")
    return next((k for k, v in has.items() if k.startswith("hugepages-") and parse_bytes(v) and k not in own), "")


def _next_steps(case: Case, container: Container, signal: int) -> tuple[Fix, ...]:
    """Return what decides between the usual reasons behind a signal, and who acts."""
    name, workload = container.name, case.workload_name
    if signal == _ILLEGAL:
        known = cpu_need(container.image)
        older = (
            f"{container.image} needs {known.needs}; {known.without} is the last version without. Data of a newer "
            "version does not go back: dump and restore."
            if known is not None and known.without
            else f"{container.image} needs {known.needs}: use a build for older CPUs, if there is one."
            if known is not None
            else f"Use an image of {name} for the CPU of these nodes (without AVX or x86-64-v3), or another release."
        )
        return (
            Fix(older, actor=Actor.IMAGE),
            Fix(
                f"Or schedule it to nodes whose CPU has the instructions; virtual machines need the CPU type host "
                f"({case.pod.node or 'its node'}).",
                actor=Actor.NODE,
                commands=(node_command(case, "grep", "-m1", "flags", "/proc/cpuinfo"),),
            ),
        )
    if signal == _BUS:
        pages = _unrequested_huge_pages(case, container)
        huge = (
            case.template_fix(
                f"Node {case.pod.node} has {pages}, and {name} may use none of them: turn them off in the program "
                "(PostgreSQL: huge_pages = off), or give it a limit of them."
            ),
        )
        return (
            *(huge if pages else ()),
            replace(
                case.template_fix(
                    f"Give {workload} a larger /dev/shm: an emptyDir of medium Memory (a container gets 64 MiB).",
                    container.patch(
                        {"volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]},  # noqa: S108
                        volumes=[{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}],
                    ),
                ),
                actor=Actor.MANIFEST,
            ),
            Fix(
                "If it maps files instead: look for a full or shrinking volume, and for I/O errors in the kernel log.",
                actor=Actor.NODE,
                commands=(node_command(case, "dmesg", "-T"),),
            ),
        )
    if signal == _SIGTERM:
        return (
            Fix(
                "See whether the kubelet stopped it: Killing and SandboxChanged events name a probe, "
                "an update or a new "
                f"sandbox of {name}.",
                actor=Actor.CLUSTER,
                commands=(kubectl("events", "--for", f"pod/{case.pod.name}", namespace=case.pod.namespace),),
            ),
            Fix(
                "Without such events something inside sends it: a supervisor, a script with a time "
                "limit or a watchdog "
                f"in {workload}.",
                actor=Actor.APP,
                commands=(
                    kubectl(
                        "logs", case.pod.name, "-c", name, "--previous", "--tail=100", namespace=case.pod.namespace
                    ),
                ),
            ),
        )
    if signal == _BAD_CALL:
        return (
            Fix(
                f"Allow the system call in the seccomp profile of {name}, or do without it; the audit "
                "log of the node names "
                "its number.",
                actor=Actor.MANIFEST,
                commands=(node_command(case, "sh", "-c", "dmesg | grep -i seccomp"),),
            ),
        )
    return (
        Fix(
            f"Reproduce it with the same image and input, and read the core dump or the log of {name}.",
            actor=Actor.APP,
            commands=(
                kubectl("logs", case.pod.name, "-c", name, "--previous", "--tail=100", namespace=case.pod.namespace),
            ),
        ),
    )
