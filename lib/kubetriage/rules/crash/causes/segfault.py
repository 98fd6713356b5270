"""The program accessed memory that is not mapped and the kernel ended it with SIGSEGV.

Meaning: exit code 139 is 128 + 11. The fault is in native code: the program itself, a library or extension that it
loads, or a mismatch between them (libc of another distribution, another CPU).

Told by: exit code 139. A program can call exit(139) itself, and a shell passes on the code of a child that crashed,
so it is likely rather than confirmed unless the log says so too.

Fix: find the crashing library with a core dump or the runtime's crash log; check what changed in the image; for
musl-based images, native modules built for glibc are the usual reason.

Source: signal(7), core(5).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Killer, attribute
from kubetriage.rules.crash.known_errors import known_error
from kubetriage.rules.crash.node_commands import in_copy, node_command
from kubetriage.rules.crash.program_output import words_of
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

CODE = "Segfault"

# Shells ("Segmentation fault (core dumped)"), HotSpot since 1.4 ("SIGSEGV (0xb) at pc="), Python faulthandler
# ("Fatal Python error: Segmentation fault"), Go cgo and Node ("SIGSEGV: segmentation violation").
_SAID = lazy(r"(?i)segmentation (?:fault|violation)|\bSIGSEGV\b")


def check(case: Case) -> Iterator[Finding]:
    """Find containers that ended by SIGSEGV."""
    for container in case.containers:
        end = case.crash(container)
        if end is None or end.exit_code != 139 or end.reason == "OOMKilled":
            continue
        verdict = attribute(case, container)
        if verdict is not None and verdict.killer is not Killer.UNKNOWN:
            continue
        if known_error(words_of(case, container, end)) is not None:
            continue
        said = next((line.strip() for line in case.log(container).text.splitlines() if _SAID.search(line)), "")
        lived = end.age_words()
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.CONFIRMED if said else Confidence.LIKELY,
            container.ref,
            f"{container.name} crashed with a segmentation fault{lived} (exit code 139 = 128 + SIGSEGV).",
            (end.evidence(), *((Evidence("log", container.name, said),) if said else ())),
            ()
            if said
            else (
                RuledOut("AppError", "not ruled out: a program can call exit(139) itself; nothing in its log says so"),
            ),
            _fixes(case, container),
            (case.log_command(container), case.kubectl("describe", "pod", case.pod.name)),
        )


def _fixes(case: Case, container: Container) -> tuple[Fix, ...]:
    """Return what decides between the usual reasons: a native module, the CPU, the image of the last update."""
    image = Fix(
        f"Look for the native code that crashes in image {container.image}: modules built for another "
        "libc (glibc on musl, "
        "Alpine), an agent or profiler that is preloaded (LD_PRELOAD, APM).",
        actor=Actor.IMAGE,
        commands=(in_copy(case.pod, container.name, "sh"),),
    )
    node = Fix(
        "If pods on other nodes run, it is this node: its CPU, its memory (ECC errors in the kernel log).",
        actor=Actor.NODE,
        commands=(kubectl("get", "pods", "-o", "wide", namespace=case.pod.namespace),),
    )
    dump = Fix(
        "A core dump names the function: the kernel log shows the library and the address of the fault.",
        actor=Actor.NODE,
        commands=(node_command(case, "dmesg", "-T"),),
    )
    return (image, node, dump)
