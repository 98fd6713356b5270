"""Refusals without a file: user namespaces of rootless programs, and operations that an error does not name."""

from __future__ import annotations

import re

from kubetriage.model import Evidence, Fix
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.acts import manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import added_capabilities, dropped_capabilities, security
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

Judged = tuple[str, tuple[Evidence, ...], tuple[Fix, ...], dict[str, object]]

_MAPS = lazy(
    r"newuidmap|newgidmap|\b[ug]id_map\b|UID/GID map|CLONE_NEWUSER|user namespaces?\b|\[rootlesskit:|cannot clone"
    r"|cannot re-exec process to join the existing user namespace",
    re.IGNORECASE,
)
_EPERM = lazy(r"operation not permitted|\bEPERM\b|os error 1\b|errno 1\b", re.IGNORECASE)


def _restrictions(container: Container) -> list[tuple[str, str]]:
    """Return what the spec takes from a program, as path and value."""
    found = []
    escalation, at = security(container, "allowPrivilegeEscalation")
    if escalation is False:
        found.append((at, "false"))
    if drop := dropped_capabilities(container):
        found.append((f"{container.spec_path}.securityContext.capabilities.drop", ", ".join(drop)))
    for field in ("seccompProfile", "appArmorProfile"):
        profile, at = security(container, field)
        kind = text(profile, "type") if isinstance(profile, dict) else ""
        if kind and kind != "Unconfined":
            found.append((f"{at}.type", kind))
    return found


def judge_namespace(words: LastWords, said: Said, user: object) -> Judged | None:
    """Judge a rootless program that may not map users into a namespace of its own."""
    if not _MAPS.search(said.line):
        return None
    container = words.container
    held = _restrictions(container)
    evidence = tuple(Evidence("spec", at, value) for at, value in held)
    context: dict[str, object] = {"seccompProfile": {"type": "Unconfined"}}
    asks = ["seccompProfile Unconfined (RuntimeDefault refuses mounts in the namespace)"]
    if any(at.endswith("allowPrivilegeEscalation") for at, _ in held):
        context["allowPrivilegeEscalation"] = True
        asks.insert(
            0, "allowPrivilegeEscalation true (newuidmap gets its right from the file, which false switches off)"
        )
    added = {c.upper().removeprefix("CAP_") for c in added_capabilities(container)}
    if any(at.endswith("drop") for at, _ in held) and not {"SETUID", "SETGID"} <= added:
        context["capabilities"] = {"add": ["SETUID", "SETGID"]}
        asks.insert(0, "the capabilities SETUID and SETGID, which capabilities.drop takes from its bounding set")
    grant = manifest(
        words,
        f"Give {where(words)} what mapping users needs: {'; '.join(asks)}; and no AppArmor profile "
        "(appArmorProfile Unconfined). Namespaces that enforce restricted refuse that: label one for it.",
        container.patch({"securityContext": context}),
    )
    kernel = node(
        f"If it has all that: user namespaces may be switched off on {place(words)} (Ubuntu 24.04: "
        "kernel.apparmor_restrict_unprivileged_userns=1; others user.max_user_namespaces=0).",
        on_node(words, "sysctl", "user.max_user_namespaces", "kernel.apparmor_restrict_unprivileged_userns"),
    )
    return (
        f"ended because it may not map users into a user namespace of its own{f' as user {user}' if user else ''}",
        evidence,
        (grant, kernel),
        {"operation": "user namespace"},
    )


def judge_unnamed(words: LastWords, said: Said, user: object) -> Judged | None:
    """Judge EPERM of an operation that the error names neither by a file nor by a call: candidates, and a look."""
    if not _EPERM.search(said.line) or "permission denied" in said.line.lower():
        return None
    if path_near(said.line, said.match.start()):
        return None
    container, pod = words.container, words.case.pod
    held = _restrictions(container)
    listed = ", ".join(f"{at.rpartition('securityContext.')[2]} {value}" for at, value in held)
    copy = kubectl(
        *("debug", pod.name, "-it", f"--copy-to={pod.name[:50]}-debug", f"--container={container.name}"),
        *("--profile=sysadmin", "--", "sh"),
        namespace=pod.namespace,
    )
    return (
        "ended because the system refused it an operation that is not about a file"
        + (f" as user {user}" if user is not None else "")
        + ": a capability that it lacks, its seccomp profile, or no new privileges",
        tuple(Evidence("spec", at, value) for at, value in held),
        (
            manifest(
                words,
                f"Run its command in a privileged copy of the pod: if it goes on there, give {where(words)} back what "
                "it needs, one at a time"
                + (
                    f", beginning with what its spec takes: {listed}." if listed else " (capabilities, seccompProfile)."
                ),
                None,
                copy,
            ),
            node(
                f"If it fails there too, the kernel of {place(words)} or its SELinux or AppArmor refuses it.",
                on_node(words, "sh", "-c", "dmesg -T | grep -iE 'audit|apparmor|seccomp' | tail -20"),
            ),
        ),
        {},
    )
