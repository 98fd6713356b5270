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

from kubetriage.model import Confidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.terminations import Termination
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Attribution, Killer, attribute
from kubetriage.rules.crash.signals import signal_meaning, signal_name

CODE = "TerminatedBySignal"

_OTHER_RULES = (6, 9, 11)
"""SIGABRT, SIGKILL and SIGSEGV have their own causes."""


def check(case: Case) -> Iterator[Finding]:
    """Find containers that a signal ended."""
    for container in case.containers:
        end = case.crash(container)
        if end is None or end.signal is None or end.signal in _OTHER_RULES:
            continue
        if end.reason in ("OOMKilled", "ContainerStatusUnknown", "StartError"):
            continue
        verdict = attribute(case, container)
        if verdict is not None and verdict.killer not in (Killer.UNKNOWN, Killer.STOPPED):
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
            (Fix(_next_step(end.signal, case.workload_name, container.name)),),
            (
                case.log_command(container),
                case.kubectl(f"events --for pod/{case.pod.name}"),
            ),
        )


def _stopped(verdict: Attribution | None) -> str:
    if verdict is not None and verdict.killer is Killer.STOPPED and verdict.event is not None:
        return f" The kubelet stopped it: {verdict.event.message}."
    return ""


def _own_exit(end: Termination) -> RuledOut:
    return RuledOut("AppError", f"not ruled out: a program can call exit({end.exit_code}) itself")


def _next_step(signal: int, workload: str, container: str) -> str:
    steps = {
        4: "Build the image for the CPU of these nodes, or schedule it to nodes whose CPU has the instructions.",
        7: "Give the pod a larger /dev/shm (an emptyDir of medium Memory), and look for mapped files that shrink.",
        15: f"Find who sends SIGTERM to {container} in {workload}: a supervisor or script in the container, an "
        "operator, or an in-place update. The kubelet's own stops show as Killing events.",
        31: "Allow the system call in the seccomp profile of the container, or do without it.",
    }
    return steps.get(
        signal, f"Reproduce it with the same image and input, and read the core dump or the log of {container}."
    )
