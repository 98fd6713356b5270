"""System calls that the kernel or its filter refused: no file is meant, whatever the words say."""

from __future__ import annotations

from kubetriage.model import Evidence, RuledOut
from kubetriage.rules.crash.acts import image, manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import security
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy


def _new_thread(words: LastWords, _: Said) -> Advice:
    profile, at = security(words.container, "seccompProfile")
    kind = text({"p": profile}, "p", "type")
    runtime = text(words.case.node.obj, "status", "nodeInfo", "containerRuntimeVersion")
    evidence = [
        Evidence("spec", at or "spec.securityContext.seccompProfile", kind or "not set (kubelet or runtime default)")
    ]
    if runtime:
        evidence.append(
            Evidence("status", f"nodes[{words.case.pod.node}].status.nodeInfo.containerRuntimeVersion", runtime)
        )
    known = f" ({runtime})" if runtime else ""
    fixes = [
        node(
            f"Update libseccomp, runc and the container runtime{known} of {place(words)}: old ones answer clone3 with "
            "EPERM instead of ENOSYS, so that the C library cannot fall back.",
            on_node(words, "sh", "-c", "runc --version; uname -r"),
        ),
        manifest(
            words,
            f"To prove it, run {where(words)} with seccompProfile Unconfined for a test only.",
            words.container.patch({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
        ),
        image("Or use an image with an older base (glibc before 2.34), which calls clone instead of clone3."),
    ]
    if kind == "Localhost":
        profile_name = text({"p": profile}, "p", "localhostProfile")
        fixes.insert(0, node(f"Allow clone3 and clone in the seccomp profile {profile_name} on the nodes."))
    if kind == "Unconfined":
        fixes = [
            fixes[0],
            image("seccomp is off already: see whether SELinux or AppArmor refuses it (audit log of the node)."),
        ]
    return Advice(
        "the kernel refused to create a thread or process with EPERM: a seccomp filter forbids the "
        "system call (clone3), "
        "it is no file",
        tuple(fixes),
        tuple(evidence),
        (
            RuledOut("file mode", "no path is refused; a thread or process could not be made"),
            RuledOut("PID limit", "that would be EAGAIN (Resource temporarily unavailable), not EPERM"),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "seccomp-thread",
        lazy(
            r"(?:pthread_create|thread_init|clone3?\b|spawn(?:ing)?(?: worker)? thread|create (?:\w+ ){0,3}thread"
            r"|start(?:ing)? (?:\w+ ){0,3}thread|newosproc|new OS thread|uv_thread_create|fork/exec"
            r"|posix_spawn|std::thread"
            r"|thread constructor|\bfork\b|\bspawn\b)[^\n]{0,120}(?:[Oo]peration not permitted"
            r"|\bEPERM\b|errno[ =:]{0,3}1\b"
            r"|os error 1\b)"
            r"|\A\s*make: /\S{1,80}: Operation not permitted|\A(?:make|ninja|npm|node|apt-get"
            r"|git): [^\n]{0,80}/bin/\w{0,4}sh: Operation not permitted"
            r"|(?:[Oo]peration not permitted|\bEPERM\b|os error 1\b)[^\n]{0,80}(?:spawn|thread|clone3)",
        ),
        _new_thread,
        "PermissionDenied",
        beside=True,
    ),
)
