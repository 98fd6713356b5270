"""Why a container's process could not be started, in the words of runc, crun, the kernel and the shells.

Where the words stand depends on the runtime: containerd ends the instance with reason StartError (128), cri-dockerd
with ContainerCannotRun, CRI-O leaves the container waiting with CreateContainerError and no ended instance. When the
process began and a shell or the kernel refused the program, they stand in the log only.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Container
from kubetriage.readers.terminations import Termination
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import mount_of
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping, objects, text, texts
from kubetriage.values.patterns import lazy


class Start(enum.Enum):
    """What kept a process from starting."""

    NOT_FOUND = "no such program"
    INTERPRETER = "the file is there, its interpreter or loader is not"
    LIBRARY = "a shared library is missing"
    NOT_EXECUTABLE = "not executable"
    FORMAT = "exec format"
    MOUNT = "mount"
    NON_ROOT = "runAsNonRoot"
    SPACE = "no disk space"
    OTHER = "other"


WAITING = frozenset(
    {
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "ImageInspectError",
    }
)
"""Waiting reasons of a container that the runtime did not make or start (kubelet kuberuntime, images)."""

# The runtimes' wrappings, outermost first, as containerd 1.6 to 2.x, CRI-O and cri-dockerd write them.
_WRAPPINGS = lazy(
    r"(?:rpc error: code = \w+ desc = |Error response from daemon: |Error: |failed to start container \"[^\"]*\": |"
    r"failed to create containerd (?:task|container): |failed to generate (?:container \"[^\"]*\" )?spec: |"
    r"failed to create shim(?: task)?: |failed to create task for container: |"
    r"container create failed: |time=\"[^\"]*\" level=error msg=\"|OCI runtime (?:create|start) failed: |"
    r"(?:runc|crun) create failed: |container_linux\.go:\d+: |unable to start container process: |"
    r"starting container process caused:? \"?)+"
)
_ENDING = lazy(r"(?::\s{0,9}unknown)?\"?\s{0,99}\Z")

# Order decides: mounts come first, because their errors end in "no such file or directory" as well.
_RUNTIME: tuple[tuple[Start, re.Pattern[str]], ...] = (
    # kubelet kuberuntime_container.go verifyRunAsNonRoot.
    (
        Start.NON_ROOT,
        lazy(r"has runAsNonRoot and image (?:will run as root|has non-numeric user)|breaks non-root policy"),
    ),
    # containerd and runc run a program of the node, which is not the container's command.
    (Start.OTHER, lazy(r"apparmor_parser|nvidia-container-(?:runtime|cli)|newuidmap|fuse-overlayfs\\?\": exec", re.I)),
    # ENOSPC, EDQUOT; of a cgroup it means that the kernel has no ids left for more of them.
    (Start.SPACE, lazy(r"\A(?!.*cgroup).*(?:no space left on device|disk quota exceeded)", re.I | re.S)),
    # runc rootfs_linux.go, crun linux.c; kubelet subpath.
    (
        Start.MOUNT,
        lazy(
            # What the runtime mounts into each container itself is no volume.
            r"\A(?!.{0,400}mounting \"(?:proc|sysfs|cgroup|mqueue|devpts|tmpfs)\" to rootfs)(?s:.*?)(?:error mounting"
            r"|mounting \S+ to rootfs|failed to mount|to rootfs at|failed to (?:prepare|expand) subPath|"
            r"\Afailed to (?:mkdir|stat) \"|"
            r"Are you trying to mount a directory onto a file|mount source path|cannot mount|"
            r"mount `[^`]*` to|error during container init: .*mount)",
            re.I,
        ),
    ),
    # execve ENOEXEC.
    (Start.FORMAT, lazy(r"exec format error", re.I)),
    # execve EACCES, EISDIR.
    (
        Start.NOT_EXECUTABLE,
        lazy(
            r"(?:exec|eaccess):? [^:]*: (?:permission denied|operation not permitted)|is a directory|"
            r"open executable: (?:Permission denied|Operation not permitted)",
            re.I,
        ),
    ),
    # Go exec.LookPath, runc's stat of the program, crun find_executable, Kata's agent, hcsshim (Windows), containerd
    # WithProcessArgs.
    (
        Start.NOT_FOUND,
        lazy(
            r"executable file (?:`[^`]*` )?not found|exec:? [^:]*: (?:stat [^:]*: )?no such file or directory|"
            r"cannot find the file specified|no command specified|the file \S+ was not found",
            re.I,
        ),
    ),
)
_PROGRAM = lazy(
    r"exec:? \\?\"(?P<quoted>[^\"\\]+)\\?\"|"
    r"(?:executable file `|the file )(?P<tick>[^`\s]+)`?(?: not| was not)|"
    r"(?:exec|eaccess) (?P<bare>/[^:\s]+):"
)

# Lines that end a log after 126 or 127, of dash, bash, busybox ash, zsh, env, tini, ld.so and musl. The
# look-behind keeps each long word to one attempt.
_SHELL: tuple[tuple[Start, re.Pattern[str]], ...] = tuple(
    (kind, lazy(pattern))
    for kind, pattern in (
        (Start.INTERPRETER, r"(?<![^\s:])(?P<what>[^\s:]+(?:\^M|\r)?): bad interpreter"),
        (Start.INTERPRETER, r"env: (?:can't execute )?['‘]?(?P<what>[^\s'’:]+\r?)['’]?: No such file"),
        (Start.INTERPRETER, r"(?<![^\s:])(?P<what>[^\s:]+): cannot execute: required file not found"),
        (Start.LIBRARY, r"error while loading shared libraries: (?P<what>[^\s:]+)"),
        (Start.LIBRARY, r"Error loading shared library (?P<what>[^\s:]+)"),
        (Start.FORMAT, r"(?<![^\s:])(?P<what>[^\s:]+): (?:cannot execute binary file: )?[Ee]xec format error"),
        (Start.NOT_EXECUTABLE, r"(?<![^\s:])(?P<what>[^\s:]+): (?:Permission denied|Is a directory)\s*\Z"),
        (Start.NOT_EXECUTABLE, r"exec (?P<what>\S+) failed: Permission denied"),
        (Start.NOT_FOUND, r"(?<![^\s:])(?P<what>[^\s:]+): (?:command )?not found\s*\Z"),
        (Start.NOT_FOUND, r"command not found: (?P<what>\S+)\s*\Z"),
        (Start.NOT_FOUND, r"exec (?P<what>\S+) failed: No such file or directory"),
        (Start.NOT_FOUND, r"(?:line \d+|\A(?:/bin/)?(?:ba)?sh): (?P<what>\S*/[^\s:]+): No such file or directory\s*\Z"),
    )
)

# runc and crun write these into the container's own output when execve fails after the container was made; the
# file itself was found before, so "no such file" is about its interpreter. "standard_init_linux.go" until runc 1.0.
_INIT = lazy(
    r"\A(?:exec (?P<what>[^:]+)|standard_init_linux\.go:\d+: exec user process caused):? \"?"
    r"(?P<why>exec format error|no such file or directory|permission denied|operation not permitted)\"?\s*\Z",
    re.I,
)
_INIT_KIND = {
    "exec format error": Start.FORMAT,
    "no such file or directory": Start.INTERPRETER,
    "permission denied": Start.NOT_EXECUTABLE,
    "operation not permitted": Start.NOT_EXECUTABLE,
}
_SCRIPT = lazy(r"\.(?:sh|bash|py|rb|pl|js|php)\Z")
_OF_A_SHELL = lazy(
    r"(?:\S{0,60}sh|\S{1,200}: (?:line )?\d{1,6}|env|exec \S{1,200}|standard_init_linux\.go:\d+): "
    r"(?!.*(?:Permission denied|Is a directory)\s*\Z)"
    r"|.*(?:bad interpreter|[Ee]xec format error|required file not found|shared librar)"
)
LAST_LINES = 8
"""A shell's complaint stands at the end of the log; a trap or wrapper may add a few lines."""


@dataclass(frozen=True)
class StartFailure:
    """One container whose process could not be started."""

    case: Case
    container: Container
    kind: Start
    words: str
    """The runtime's, kernel's or shell's own words, without the wrappings."""
    program: str
    """What could not be run; empty when the words do not name it."""
    in_log: bool
    """The container was made; a shell or the kernel refused the program inside it."""
    evidence: tuple[Evidence, ...]
    confidence: Confidence = Confidence.CONFIRMED

    @property
    def command(self) -> str:
        """What the spec tells the container to run; empty when it leaves that to the image."""
        own = {f: texts(self.container.spec, f) for f in ("command", "args")}
        return " ".join(f"{f} {json.dumps(v, ensure_ascii=False)}" for f, v in own.items() if v)

    @property
    def is_script(self) -> bool:
        """The program is a script by its name."""
        return bool(_SCRIPT.search(self.program))

    @property
    def configuration_volume(self) -> str:
        """The ConfigMap, Secret or projected volume that holds the program, which then is a script; or empty."""
        found = mount_of(self.container, self.program)
        volume = found[1] if found is not None else {}
        held = any(mapping(volume, kind) for kind in ("configMap", "secret", "projected"))
        return text(volume, "name") if held else ""

    @property
    def hidden_by(self) -> str:
        """The mount that covers the program's directory and hides what the image has there, or empty."""
        if not self.program.startswith("/"):
            return ""
        for mount in objects(self.container.spec, "volumeMounts"):
            path = text(mount, "mountPath").rstrip("/")
            if path and self.program.startswith(path + "/"):
                return f"volume {text(mount, 'name')} at {path}"
        return ""

    @property
    def empty_before(self) -> list[str] | None:
        """The init containers that mount the covering emptyDir before this one; None where another volume covers."""
        if (found := mount_of(self.container, self.program)) is None or "emptyDir" not in found[1]:
            return None
        volume, before = text(found[1], "name"), list[str]()
        for spec in objects(self.container.pod.raw, "spec", "initContainers"):
            if text(spec, "name") == self.container.name:
                break
            if any(text(m, "name") == volume for m in objects(spec, "volumeMounts")):
                before.append(text(spec, "name"))
        return before

    def finding(
        self,
        cause: str,
        message: str,
        fix: Fix,
        *,
        evidence: tuple[Evidence, ...] = (),
        ruled_out: tuple[RuledOut, ...] = (),
        confidence: Confidence | None = None,
    ) -> Finding:
        """Make the finding; a debug container never breaks the pod."""
        pod, container = self.container.pod, self.container
        asked = (Evidence("spec", container.spec_path, self.command),) if self.command else ()
        look = kubectl("get", "pod", pod.name, "-o", "yaml", namespace=pod.namespace)
        if self.in_log:
            previous = ("--previous",) if container.log_is_previous else ()
            look = kubectl("logs", pod.name, "-c", container.name, *previous, namespace=pod.namespace)
        return Finding(
            cause=cause,
            severity=Severity.WARNING if container.kind == "ephemeral" else Severity.ERROR,
            confidence=confidence or self.confidence,
            object=container.ref,
            message=message,
            evidence=(*self.evidence, *asked, *evidence),
            ruled_out=ruled_out,
            fix=(fix,),
            verify=(look,),
        )


def start_failures(case: Case, *kinds: Start) -> Iterator[StartFailure]:
    """Yield the containers whose process could not be started for one of ``kinds`` (all when empty)."""
    for container in case.containers:
        found = _from_runtime(case, container) or _from_log(case, container)
        if found is not None and (not kinds or found.kind in kinds):
            yield found


def unwrapped(message: str) -> str:
    """Return a runtime's message without the layers that passed it on."""
    plain = message.replace('\\"', '"').strip()
    while True:
        shorter = _WRAPPINGS.sub("", plain, count=1) if _WRAPPINGS.match(plain) else plain
        if shorter == plain:
            return _ENDING.sub("", plain) if plain.count('"') % 2 or plain.endswith("unknown") else plain
        plain = shorter


def _from_runtime(case: Case, container: Container) -> StartFailure | None:
    if container.running:
        return None
    message, evidence = "", []
    end = container.termination
    if container.waiting_reason in WAITING:
        message = container.waiting_message
        event = _failed(case, container)
        when = event.evidence().time if event is not None else ""
        if event is not None and not message:
            message = event.message
            evidence.append(event.evidence())
        said = f"{container.waiting_reason}: {message}".removesuffix(": ")
        evidence.insert(0, container.fact("status", "state.waiting", said, when))
    elif end is not None and end.reason in ("StartError", "ContainerCannotRun") and case.crash(container) is not None:
        message = end.message
        said = f"exitCode {end.exit_code}, reason {end.reason}: {message}".removesuffix(": ")
        evidence.append(Evidence("status", end.at, said, text(end.raw, "finishedAt")))
    else:
        return None
    words = unwrapped(message)
    kind = next((k for k, pattern in _RUNTIME if pattern.search(words)), Start.OTHER)
    program = _PROGRAM.search(words)
    name = (program["quoted"] or program["tick"] or program["bare"]) if program else ""
    return StartFailure(case, container, kind, words, name, False, tuple(evidence))


def _failed(case: Case, container: Container) -> Event | None:
    return case.events.last("Failed", container=container.name, matching=r"\AError: ")


def _from_log(case: Case, container: Container) -> StartFailure | None:
    end = case.crash(container)
    if end is None or (container.running and case.outlived(container)):
        return None
    if end.exit_code in (126, 127) and end.reason not in ("StartError", "ContainerCannotRun"):
        return _from_init(case, container, end) or _from_shell(case, container, end)
    if end.exit_code in (1, 255):
        return _from_init(case, container, end)
    if end.untold:
        # Without the code only a shell's own complaint counts: any program may be denied or miss a file.
        found = _from_init(case, container, end) or _from_shell(case, container, end)
        return found if found is not None and found.words and _OF_A_SHELL.match(found.words) else None
    return None


def _from_shell(case: Case, container: Container, end: Termination) -> StartFailure | None:
    log = case.log(container)
    written = log.text if log.seen else end.message
    for line in reversed(_last_lines(written)):
        for kind, pattern in _SHELL:
            match = pattern.search(line)
            if match:
                return _told_by_log(case, container, end, kind, line, match["what"])
    if written.strip():
        return None
    # The shell's convention alone: 127 is not found, 126 not executable, and a program may use both itself.
    kind = Start.NOT_FOUND if end.exit_code == 127 else Start.NOT_EXECUTABLE
    return StartFailure(
        case, container, kind, "", "", True, (end.evidence(),), Confidence.LIKELY if log.seen else Confidence.POSSIBLE
    )


def _from_init(case: Case, container: Container, end: Termination) -> StartFailure | None:
    log = case.log(container)
    lines = _last_lines(log.text if log.seen else end.message)
    match = _INIT.match(lines[-1]) if lines else None
    if match is None:
        return None
    kind = _INIT_KIND[match["why"].lower()]
    return _told_by_log(case, container, end, kind, lines[-1], (match["what"] or "").strip('" '))


def _told_by_log(case: Case, container: Container, end: Termination, kind: Start, line: str, what: str) -> StartFailure:
    evidence = (end.evidence(), Evidence("log", container.name, line))
    return StartFailure(case, container, kind, line, what, True, evidence)


def _last_lines(written: str) -> list[str]:
    return [line.strip(" \t") for line in written[-8192:].split("\n") if line.strip()][-LAST_LINES:]
