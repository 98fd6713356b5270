r"""The program that the container is to run does not exist in it.

Meaning: the image has no such file (or not on its PATH), a mount hides it, or a script's first line names an
interpreter that is not there. Restarts do not help.

Told by: the runtime's words in StartError, RunContainerError, CreateContainerError (CRI-O) or ContainerCannotRun
(cri-dockerd): ``executable file not found in $PATH``, ``stat ...: no such file or directory``; or exit code 127
together with the shell's own last line (``sh: 1: foo: not found``). "no such file or directory" for a file that
exists is about its interpreter: a first line that ends in ``\r`` (Windows line ends), or a missing loader.

Fix: correct ``command`` and ``args`` in the workload's pod template, or the image.

Source: execve(2) ENOENT; Go os/exec LookPath; runc init_linux.go; POSIX shell exit status 127.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Finding, RuledOut
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.start_failures import Start, StartFailure, start_failures
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

CODE = "CommandNotFound"

_SHELL_LINE = lazy(
    r"(?P<shell>(?:/\S*/)?(?:ba|da|a|z)?sh)\s+(?P<flag>-l?c)\s+(?P<quote>['\"])(?P<line>.*)(?P=quote)\s*\Z", re.S
)
_SHELLS = ("sh", "bash", "ash", "/bin/sh", "/bin/bash", "/bin/ash")


def check(case: Case) -> Iterator[Finding]:
    """Name programs that are not there."""
    for failure in start_failures(case, Start.NOT_FOUND, Start.INTERPRETER, Start.LIBRARY):
        message, words = _say(failure)
        rivals: tuple[RuledOut, ...] = ()
        if failure.confidence is not Confidence.CONFIRMED:
            rivals = (RuledOut("CommandNotExecutable", "a shell returns 126 for that"),)
        yield failure.finding(CODE, message, case.template_fix(words), ruled_out=rivals)


def _say(failure: StartFailure) -> tuple[str, str]:
    name, where = failure.container.name, failure.case.workload_name
    program = failure.program or "the program"
    if failure.kind is Start.LIBRARY:
        return (
            f"Container {name} cannot start: the shared library {program} is not in the image.",
            f"Install {program} in the image, or use the base image that the program was built for.",
        )
    if failure.kind is Start.INTERPRETER:
        return _interpreter(failure, program)
    if "no command specified" in failure.words.lower():
        return (
            f"Neither the image nor container {name} says what to run.",
            f"Set command of container {name} in {where}, or an ENTRYPOINT in image {failure.container.image}.",
        )
    if failure.in_log and not failure.words:
        return (
            f"Container {name} ended with 127, which a shell returns when it cannot find a command; its output "
            + ("is empty." if failure.confidence is Confidence.LIKELY else "was not seen."),
            f"Check that every command in {failure.command or 'the entrypoint'} exists in {failure.container.image}.",
        )
    if program.rpartition("/")[2] == "nvidia-smi" and not text(failure.case.pod.raw, "spec", "runtimeClassName"):
        return (
            f"Container {name} has no nvidia-smi: the NVIDIA runtime puts it and the driver's libraries into a "
            f"container, "
            "and this pod runs with the default runtime.",
            f"Set runtimeClassName: nvidia in {where} (kubectl get runtimeclass shows its name; k3s, RKE2 and "
            f"containerd "
            "without a changed default need it), and request nvidia.com/gpu in the limits.",
        )
    if failure.in_log:
        return (
            f"The shell of container {name} found no command {program}.",
            f"Correct {program} in the command of container {name} in {where}, or install it in "
            f"{failure.container.image}.",
        )
    if failure.hidden_by and failure.empty_before is not None:
        before = failure.empty_before
        ran = f" ({', '.join(before)} mount it before)" if before else ", and no container mounts it before this one"
        return (
            f"Container {name} cannot start: {program} is not there. {failure.hidden_by} is empty when the pod "
            f"starts{ran}.",
            f"Let an init container before {name} copy {program} into the volume"
            + (f": see what {before[-1]} copied, and in which version of its image." if before else f" in {where}.")
            + " If the image has it, mount the volume elsewhere.",
        )
    if failure.hidden_by:
        return (
            f"Container {name} cannot start: {program} is not there, because {failure.hidden_by} covers the image's "
            "own files.",
            f"Mount the volume of container {name} somewhere else in {where} (or use subPath), so that {program} of "
            "the image stays visible.",
        )
    if " " in program and (shell := _SHELL_LINE.match(program)):
        inner = json.dumps(shell["line"], ensure_ascii=False)
        return (
            f'Container {name} cannot start: the whole line "{program}" is taken as the name of one program.',
            f"Write each word as an item of its own in {where}: command: [{shell['shell']}, {shell['flag']}, {inner}].",
        )
    if " " in program:
        first = program.split()[0]
        return (
            f'Container {name} cannot start: the whole line "{program}" is taken as the name of one program.',
            f"Write each word as an item of its own in {where} (command: [{first}, ...]), or use "
            f'command: [sh, -c, "{program}"].',
        )
    if program in _SHELLS:
        return (
            f"Container {name} cannot start: image {failure.container.image} has no {program} (a distroless or "
            "scratch image has no shell).",
            f"Run the image's program directly in {where}, without {program} -c.",
        )
    own = "" if failure.command else " It is the image's own entrypoint."
    return (
        f"Container {name} cannot start: {program} does not exist in image {failure.container.image}.{own}",
        f"Correct command of container {name} in {where}, or the image."
        if failure.command
        else f"Use an image that contains {program}, or set command of container {name} in {where}.",
    )


def _interpreter(failure: StartFailure, program: str) -> tuple[str, str]:
    name = failure.container.name
    if "\r" in failure.words or "^M" in failure.words or "\\r" in failure.words:
        return (
            f"A script of container {name} has Windows line ends: its interpreter is looked for as "
            f"{_plain(program)} with a carriage return.",
            "Save the script with Unix line ends (dos2unix, or eol=lf in .gitattributes) and rebuild the image.",
        )
    return (
        f"Container {name} cannot start: {program} is there, but its interpreter or loader is not.",
        f"Check the first line of {program} (#! path, Windows line ends), and that a binary fits the image's libc "
        f"(musl or glibc), in image {failure.container.image}.",
    )


def _plain(program: str) -> str:
    r"""Return a name without the carriage return, which GNU env prints as ``\\r`` and bash as ``^M``."""
    return program.strip().removesuffix("^M").removesuffix("\\r")
