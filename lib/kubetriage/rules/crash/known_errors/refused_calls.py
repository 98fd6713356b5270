"""System calls that the kernel or its filter refused: no file is meant, whatever the words say."""

from __future__ import annotations

from kubetriage.model import Evidence, RuledOut
from kubetriage.rules.crash.acts import image, manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import security
from kubetriage.rules.crash.denied_operations import judge_call
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.known_images import group_of
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
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


def _as_root_of_the_network(words: LastWords, said: Said) -> Advice | None:
    judged = judge_call(words, said, security(words.container, "runAsUser")[0])
    if judged is None:
        return None
    what, evidence, fixes, details = judged
    return Advice(f"it {what}", fixes, evidence, details=details)


def _other_owner(words: LastWords, said: Said) -> Advice:
    path = path_near(words.text[-4096:], 0)
    runs, owner = said.match["runs"], said.match["owner"]
    group = group_of(words.container.image)
    user = group if group is not None else 1000
    return Advice(
        f"it runs as {runs}, and its data belongs to {owner}: it refuses data of another user",
        (
            manifest(
                words,
                f"Run {where(words)} as the owner of the data ({owner}"
                + (f", {user} in image {words.container.image}" if group is not None else "; look it up with ls -ln")
                + ").",
                {"securityContext": {"runAsUser": user, "runAsGroup": user, "fsGroup": user}},
            ),
            manifest(
                words,
                f"Or give the data to {runs} once, in an init container that runs chown -R on its directory"
                + (f" ({path})." if path else "."),
            ),
        ),
    )


def _supervisor(words: LastWords, _: Said) -> Advice:
    user, at = security(words.container, "runAsUser")
    return Advice(
        "its supervisor (s6-overlay) must start as root to prepare /run, and the pod starts it as another user",
        (
            manifest(
                words,
                f"Remove runAsUser and runAsNonRoot from {where(words)}; such images change to the user of PUID "
                f"and PGID "
                "themselves.",
                words.container.patch({"env": [{"name": "PUID", "value": "1000"}, {"name": "PGID", "value": "1000"}]}),
            ),
            manifest(
                words,
                "Or mount an emptyDir at /run, and use a release of the image that supports running without root.",
                words.container.patch(
                    {"volumeMounts": [{"name": "run", "mountPath": "/run"}]}, volumes=[{"name": "run", "emptyDir": {}}]
                ),
            ),
        ),
        (Evidence("spec", at or "spec.securityContext.runAsUser", str(user) if user is not None else "not shown"),),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "network-needs-root",
        lazy(r"(?:iptables|ip6tables|nft)\S{0,20}[^\n]{0,120}[Pp]ermission denied \(you must be root\)"),
        _as_root_of_the_network,
        "PermissionDenied",
        beside=True,
    ),
    Row(
        "data-of-another-user",
        lazy(
            r"user of the process \((?P<runs>\w{1,32})\) does not match the owner of the data \((?P<owner>\w{1,32})\)"
        ),
        _other_owner,
        "PermissionDenied",
        beside=True,
    ),
    Row(
        "supervisor-needs-root",
        lazy(
            r"(?:s6-\S{1,40}|preinit|suexec)[^\n]{0,40}fatal: [^\n]{0,60}(?:belongs to uid|unable to \w+ /run"
            r"|lacking the privileges)"
        ),
        _supervisor,
        "PermissionDenied",
        beside=True,
    ),
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
