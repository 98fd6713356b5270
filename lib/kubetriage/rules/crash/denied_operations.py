"""What an operation was that the operating system refused, by its words, and what the pod lacks for it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Evidence, Fix
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.acts import cloud, manifest, node, on_node, place, where
from kubetriage.rules.crash.acts import operator as cluster_fix
from kubetriage.rules.crash.container_spec import (
    added_capabilities,
    dropped_capabilities,
    mount_of,
    security,
    volume_words,
)
from kubetriage.rules.crash.denied_in_image import SCC, fixes_in_either, fixes_in_image
from kubetriage.rules.crash.known_images import group_of
from kubetriage.rules.crash.node_commands import in_copy
from kubetriage.rules.crash.program_output import LastWords, Said, path_near, without_clock
from kubetriage.rules.crash.volume_backing import host_directory, refusal
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import dig, labels, text
from kubetriage.values.patterns import lazy

# In .NET, EACCES of a socket is about binding it: SocketException (13).
_BIND = lazy(r"\bbind\b|\blisten\b|could not bind|BindException|SocketException\b", re.IGNORECASE)


_PORT = lazy(r"(?:[\w.*\]]|::|\s):(\d{1,5})(?!\d)|\bport\D{0,3}(\d{1,5})", re.IGNORECASE)


# Operations by the words beside the refusal, with the capability that allows each; the first that matches counts.
_CALLS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        lazy(r"iptables|ip6tables|netlink|\bnft\b|ip (?:link|route|addr)|ipset|\btun\b|RTNETLINK", re.IGNORECASE),
        "NET_ADMIN",
        "change the network",
    ),
    (lazy(r"mlock|memory lock", re.IGNORECASE), "IPC_LOCK", "lock memory"),
    (lazy(r"ptrace", re.IGNORECASE), "SYS_PTRACE", "trace processes"),
    (lazy(r"raw socket|\bping\b|icmp|SOCK_RAW", re.IGNORECASE), "NET_RAW", "use raw sockets"),
    (
        lazy(r"sethostname|unshare|\bbpf\b|\bmount(?:ing)?(?:\(\))?[: ]|\bumount\b|pivot_root|setns", re.IGNORECASE),
        "SYS_ADMIN",
        "mount or make that system call",
    ),
    (lazy(r"sysctl|/proc/sys/", re.IGNORECASE), "SYS_ADMIN", "change a sysctl"),
    (lazy(r"settime|adjtime|clock", re.IGNORECASE), "SYS_TIME", "set the clock"),
    (lazy(r"sched_set|setpriority|nice", re.IGNORECASE), "SYS_NICE", "change priorities"),
    (
        lazy(r"setuid|setgid|setgroups|initgroups|\bsu(?:do)?:|su-exec|gosu|switching to", re.IGNORECASE),
        "SETUID",
        "change its user",
    ),
)


_OWNERS = lazy(
    r"\bchown|chgrp|changing owner|change (?:the )?owner|change permissions|changing permissions"
    r"|\bchmod|set permissions"
    r"|could not change permissions|preserv\w+ (?:owner|permission|time)|utime",
    re.IGNORECASE,
)


_MACHINES = lazy(
    r"/?(?:[^/]{1,100}/?)?\Z|/(?:etc|usr|proc|sys|dev|run|bin|sbin|lib\d{0,2}|boot|root)(?:/|\Z)"
    r"|/var/(?:run|log|cache|spool|tmp|lib)/?\Z|/var/run/|/var/log/|/var/lib/(?:kubelet|docker|containerd|containers|etcd|cni)"
    r"(?:/|\Z)"
)


def of_the_machine(path: str) -> bool:
    """Tell whether a path of a node belongs to the machine itself, so that its owner must stay what it is."""
    return _MACHINES.match(path) is not None


def _machine_path(words: LastWords, host: str, path: str) -> Iterator[Fix]:
    """Yield what helps where a directory or socket of the machine is mounted; its owner and mode stay as they are."""
    yield manifest(
        words,
        f"{host} belongs to the machine: leave its owner as it is. Mount a directory of this program alone (an "
        "emptyDir, a "
        f"claim, or a hostPath below /var/lib of its own) where {path} is, in {where(words)}.",
    )
    yield manifest(
        words,
        f"If the program must use the machine's own {host}: run {where(words)} with a user or group that may "
        "(securityContext.runAsUser 0, or supplementalGroups with the group that owns it).",
        None,
        on_node(words, "ls", "-ld", host),
    )


def _without_override(words: LastWords) -> bool:
    """Tell whether root lost the capability by which it passes over owners and modes, or is under no label anyway."""
    if dig(words.container.spec, "securityContext", "privileged") is True:
        return True
    dropped = dig(words.container.spec, "securityContext", "capabilities", "drop") or ()
    return any(str(c).upper().removeprefix("CAP_") in ("ALL", "DAC_OVERRIDE") for c in dropped)


def _label(words: LastWords, host: str) -> Fix:
    return manifest(
        words,
        f"Give {where(words)} a SELinux type that may use {host} of the machine: seLinuxOptions type spc_t "
        "(OpenShift: a "
        "SecurityContextConstraint that allows it, such as privileged). Do not relabel a directory of the machine. The "
        "node's audit log names what was refused.",
        words.container.patch({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}),
        on_node(words, "ausearch", "-m", "avc", "-ts", "recent"),
    )


Judged = tuple[str, tuple[Evidence, ...], tuple[Fix, ...], dict[str, object]]
"""A clause that follows the container's name, evidence, fixes and details."""


def _as(user: object) -> str:
    return f" as user {user}" if user is not None else ""


def judge_port(words: LastWords, said: Said, user: object) -> Judged | None:
    """Judge a socket that could not be bound."""
    container = words.container
    port = _privileged_port(said.line)
    bind = _BIND.search(said.line) or _binding_frame(words, said)
    if bind is None or (port is None and bind[0].lower() == "listen"):
        return None
    which = f"port {port}" if port is not None else "its port"
    higher = 8080 if port in (80, None) else 8443 if port == 443 else 8000 + (port or 0)
    has = "NET_BIND_SERVICE" in added_capabilities(container) or "ALL" in added_capabilities(container)
    move = manifest(
        words,
        f"Let {container.name} listen on a port above 1023 ({higher}); the Service keeps "
        f"{port or 'its port'} with another "
        "targetPort.",
    )
    allow = manifest(
        words,
        "Or allow low ports in the pod: the sysctl is safe and works for every user.",
        {"securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}},
    )
    grant = manifest(
        words,
        f"Or give {where(words)} the capability NET_BIND_SERVICE; a program of another user than root "
        "also needs it as a "
        "file capability (setcap).",
        container.patch({"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}}}),
    )
    granted = ", although NET_BIND_SERVICE is granted: only root gets it that way" if has else ""
    return (
        f"could not listen on {which}{_as(user)}: ports below 1024 need NET_BIND_SERVICE{granted}",
        _capabilities(container),
        (move, allow) if has else (move, grant, allow),
        {"port": port} if port is not None else {},
    )


def _lacks(container: Container, *names: str) -> bool:
    """Tell whether a container was left without all of these capabilities."""
    dropped = {c.upper().removeprefix("CAP_") for c in dropped_capabilities(container)}
    added = {c.upper().removeprefix("CAP_") for c in added_capabilities(container)}
    gone = "ALL" in dropped or names[0] in dropped
    return gone and not added & {*names, "ALL"} and security(container, "privileged")[0] is not True


def judge_owner(words: LastWords, said: Said, user: object) -> Judged | None:
    """Judge a change of owner or mode: the file system may refuse it whatever the pod may do."""
    if not _OWNERS.search(said.line):
        return None
    container, case = words.container, words.case
    path = path_near(said.line, said.match.start())
    found = mount_of(container, path) if path else None
    what = f"may not change owner or mode of {path or 'a file'}{_as(user)}"
    evidence = list(_capabilities(container))
    details: dict[str, object] = {"path": path} if path else {}
    if found is not None:
        mount, volume = found
        at = f"{container.spec_path}.volumeMounts[{text(mount, 'name')}]"
        evidence.append(Evidence("spec", at, f"{text(mount, 'mountPath')} is {volume_words(volume)}"))
        kept = refusal(case, volume, user)
        if kept is not None:
            skip = manifest(
                words, f"Or let {where(words)} skip the change: many charts have a switch (volumePermissions)."
            )
            return (
                f"{what}: {volume_words(volume)} is a {kept.kind}, which refuses that to everybody",
                (*evidence, kept.evidence),
                (Fix(kept.advice, actor=kept.actor, yaml=kept.yaml), skip),
                details,
            )
        if any(key in volume for key in ("configMap", "secret", "projected", "downwardAPI")):
            return (
                f"{what}: {volume_words(volume)} is always read-only",
                tuple(evidence),
                (
                    manifest(
                        words,
                        f"Copy {path} to an emptyDir in an init container and change it there, or set defaultMode.",
                    ),
                ),
                details,
            )
    fixes: list[Fix] = []
    fs_group, _ = security(container, "fsGroup")
    root = user in (None, 0)
    dropped = dropped_capabilities(container)
    if found is not None and fs_group is None and any(k in found[1] for k in _GROUPED):
        wanted = user if isinstance(user, int) and user > 0 else group_of(container.image) or 1000
        fixes.append(
            manifest(
                words,
                f"Set fsGroup {wanted} (the group that {container.name} runs with): the kubelet then "
                "gives the volume to it, "
                "no chown is needed.",
                {"securityContext": {"fsGroup": wanted}},
            )
        )
    blind = root and "permission denied" in said.line.lower() and _lacks(container, "DAC_OVERRIDE", "DAC_READ_SEARCH")
    if blind:
        # EACCES in place of EPERM: the way to the file is closed, before its owner matters.
        wanted_caps = ["DAC_OVERRIDE", *(("CHOWN",) if _lacks(container, "CHOWN") else ())]
        done = (
            f"Turn the change of owners off: fsGroup {fs_group} gives the volume to the pod at its mount already "
            "(Helm charts: initChownData.enabled, volumePermissions.enabled, false)."
        )
        if fs_group is not None:
            fixes.append(manifest(words, done))
        fixes.append(
            manifest(
                words,
                f"{'Or give' if fixes else 'Give'} {where(words)} {' and '.join(wanted_caps)} back: without it root "
                "may not enter directories that others own and closed.",
                container.patch({"securityContext": {"capabilities": {"add": wanted_caps}}}),
            )
        )
        what += ", whose directory it may not enter: capabilities.drop took what root needs for that"
    elif "CHOWN" in added_capabilities(container) or (root and not dropped):
        fixes.append(
            cloud(
                "The pod has what chown needs: look at the storage behind the volume (NFS "
                "root_squash, SMB, a read-only mount)."
            )
        )
    elif root:
        fixes.append(
            manifest(
                words,
                f"{'Or give' if fixes else 'Give'} {where(words)} the capabilities CHOWN and FOWNER back, which "
                "capabilities.drop takes away.",
                container.patch({"securityContext": {"capabilities": {"add": ["CHOWN", "FOWNER"]}}}),
            )
        )
    else:
        fixes.append(
            manifest(
                words,
                "Only root may change owners: do it once in an init container with runAsUser 0, or "
                "in the image, and let "
                f"{container.name} skip it. The capability CHOWN alone does not help user {user}.",
            )
        )
    return what, tuple(evidence), tuple(fixes), details


def judge_call(words: LastWords, said: Said, user: object) -> Judged | None:
    """Judge a system call that needs a capability."""
    call = next(((cap, verb) for pattern, cap, verb in _CALLS if pattern.search(said.line)), None)
    if call is None:
        return None
    capability, verb = call
    container = words.container
    path = path_near(said.line, said.match.start())
    has = capability in added_capabilities(container) or "ALL" in added_capabilities(container)
    privileged = security(container, "privileged")[0] is True
    what = f"may not {verb}{_as(user)}" + (f" ({path})" if path else "")
    if has or privileged:
        fixes = (
            [
                manifest(
                    words,
                    f"{capability} is granted already, but only root gets it: run {where(words)} with runAsUser 0.",
                    container.patch({"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}),
                )
            ]
            if user not in (None, 0)
            else []
        )
        fixes.append(
            node(
                f"Look at what else refuses it on {place(words)}: SELinux or AppArmor (audit log), a "
                "kernel module that is "
                "not loaded (ip_tables, nf_tables).",
                on_node(words, "sh", "-c", "dmesg | tail -50; lsmod | grep -E 'ip_tables|nf_tables'"),
            )
        )
        return (
            f"{what}, although {capability} is granted",
            _capabilities(container),
            tuple(fixes),
            {"capability": capability},
        )
    grant = manifest(
        words,
        f"Give {where(words)} the capability {capability}"
        + ("" if user in (None, 0) else " and runAsUser 0: it counts for root only")
        + ". Namespaces that enforce baseline or restricted refuse it.",
        container.patch({"securityContext": {"capabilities": {"add": [capability]}}}),
    )
    without = {
        "NET_ADMIN": "Or let the network plugin do it: a mesh with its CNI plugin needs no NET_ADMIN in the pod.",
        "SETUID": "Or start it as its own user with runAsUser, so that it need not switch; keep SETGID with SETUID.",
        "SYS_ADMIN": "Or let Kubernetes mount it: a volume, hostPath or CSI driver; privileged: true only if it must.",
        "NET_RAW": "Or allow it by sysctl net.ipv4.ping_group_range, which is safe.",
    }.get(capability, "Or switch the feature off that needs it.")
    return what, _capabilities(container), (grant, manifest(words, without)), {"capability": capability}


_GROUPED = ("persistentVolumeClaim", "emptyDir", "csi", "ephemeral", "nfs")
"""Volumes of which the kubelet can give the files to fsGroup."""


def judge_file(words: LastWords, said: Said, user: object) -> Judged:
    """Judge a file or directory that may not be opened, made or changed."""
    container, case = words.container, words.case
    path = path_near(said.line, said.match.start())
    path = f"/{path.lstrip('/')}" if path.startswith("//") else path
    found = mount_of(container, path) if path else None
    group, _ = security(container, "runAsGroup")
    fs_group, fs_group_at = security(container, "fsGroup")
    details: dict[str, object] = {"path": path} if path else {}
    scc = labels(case.pod.raw, "metadata", "annotations").get(SCC, "")
    who = f"user {user}" if user is not None else "the namespace's user" if scc else "the image's user"
    if found is None and not case.snapshot.covers(case.pod.raw, f"spec.{container.spec_list}.volumeMounts"):
        return (
            f"ended because it may not access {path or 'a file'}{_as(user)}; its volumes were not seen",
            (),
            fixes_in_either(words, path, who),
            details,
        )
    if found is None:
        return (
            f"ended because it may not access {path or 'a file'} in the image{_as(user)}",
            (Evidence("spec", f"metadata.annotations[{SCC}]", scc),) if scc else (),
            fixes_in_image(words, path, who, scc),
            details,
        )
    mount, volume = found
    absent = "not set" if case.snapshot.covers(case.pod.raw, "spec.securityContext") else "not shown"
    at = f"{container.spec_path}.volumeMounts[{text(mount, 'name')}]"
    evidence = (
        Evidence("spec", at, f"{text(mount, 'mountPath')} is {volume_words(volume)}"),
        Evidence("spec", fs_group_at or "spec.securityContext.fsGroup", str(fs_group or absent)),
    )
    what = f"ended because it may not access {path} on {volume_words(volume)}{_as(user)}"
    kept = refusal(case, volume, user)
    host = text(volume, "hostPath", "path") or host_directory(case, volume)
    if host and user == 0 and not _without_override(words):
        return f"{what}, and no mode stops root: SELinux or AppArmor does", evidence, (_label(words, host),), details
    if host and of_the_machine(host):
        return what, evidence, tuple(_machine_path(words, host, path)), {}
    if host:
        owner = user if isinstance(user, int) else 1000
        return (
            what,
            evidence,
            (
                node(
                    f"fsGroup does not change a hostPath: give {host} on {place(words)} to {who}.",
                    on_node(words, "chown", "-R", f"{owner}:{group if isinstance(group, int) else owner}", host),
                ),
                manifest(
                    words,
                    "Or use a PersistentVolumeClaim or emptyDir, which fsGroup covers."
                    if "hostPath" in volume
                    else "Or give it away at each start: an init container with runAsUser 0 that runs chown -R "
                    "(charts: "
                    "volumePermissions.enabled=true).",
                ),
            ),
            details,
        )
    if kept is not None:
        return (
            f"{what}; it is a {kept.kind}",
            (*evidence, kept.evidence),
            (Fix(kept.advice, actor=kept.actor, yaml=kept.yaml),),
            details,
        )
    if fs_group is None and any(k in volume for k in _GROUPED):
        known = group_of(container.image)
        wanted = next((v for v in (group, user, known) if isinstance(v, int) and v > 0), 1000)
        of = (
            f"the group that image {container.image} runs with"
            if wanted == known and group is None and not user
            else f"use the group that {container.name} runs with"
        )
        fix = manifest(
            words,
            f"Set fsGroup {wanted} in the pod's securityContext of {case.workload_name}, so that the "
            f"volume belongs to that group ({of}).",
            {"securityContext": {"fsGroup": wanted}},
        )
        return what, evidence, (fix,), details
    if any(k in volume for k in ("configMap", "secret", "projected", "downwardAPI")):
        return (
            what,
            evidence,
            (
                manifest(
                    words,
                    "The volume is read-only and its modes come from defaultMode: set 0444 (0555 to "
                    "run files), or copy "
                    f"{path} to an emptyDir to change it.",
                ),
            ),
            details,
        )
    look = manifest(
        words,
        f"fsGroup {fs_group} is set already: look at owner and mode of {path}. A subPath directory or "
        "files that another "
        "user made with mode 0700 stay closed.",
        None,
        in_copy(case.pod, container.name, "ls", "-lnd", path, text(mount, "mountPath")),
    )
    once = manifest(
        words,
        f"Then give it to {who} once: an init container with runAsUser 0 that runs chown -R on "
        f"{text(mount, 'mountPath')}.",
    )
    csi = cluster_fix(
        "Or the CSI driver ignores fsGroup: its CSIDriver object has fsGroupPolicy None.",
        kubectl("get", "csidrivers", "-o", "custom-columns=NAME:.metadata.name,POLICY:.spec.fsGroupPolicy"),
    )
    return what, evidence, (look, once, csi), details


def _capabilities(container: Container) -> tuple[Evidence, ...]:
    """Quote the capabilities that are dropped and added."""
    _, at = security(container, "capabilities")
    dropped, added = dropped_capabilities(container), added_capabilities(container)
    return (
        *((Evidence("spec", f"{at}.drop", ", ".join(dropped)),) if dropped else ()),
        *((Evidence("spec", f"{at}.add", ", ".join(added)),) if added else ()),
    )


def _binding_frame(words: LastWords, said: Said) -> re.Match[str] | None:
    """Find the call that binds a socket in the stack trace of an error that names no path."""
    if words.error is None or path_near(said.line, said.match.start()):
        return None
    frames = (re.search(r"\b(?:bind|server_bind|DoBind)\(", line) for line in words.error.lines)
    return next((match for match in frames if match), None)


def _privileged_port(line: str) -> int | None:
    for match in _PORT.finditer(without_clock(line)):
        port = int(match[1] or match[2])
        if 0 < port < 1024:
            return port
    return None
