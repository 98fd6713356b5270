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

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.kill_attribution import Killer, attribute
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
            (
                Fix(
                    f"Look for the native code that crashes in image {container.image}: what changed last, native "
                    "modules built for another libc (glibc against musl) or CPU; a core dump names the function."
                ),
            ),
            (case.log_command(container), case.kubectl(f"describe pod {case.pod.name}")),
        )
