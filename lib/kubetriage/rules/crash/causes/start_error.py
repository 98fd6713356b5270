"""The runtime could not make or start the container, for a reason of its own.

Meaning: the image is there and the references resolve, but the OCI runtime or the kubelet failed before the first
instruction of the program: working directory, devices, cgroups, capabilities, a runtime handler, a lost connection.

Told by: StartError (containerd), ContainerCannotRun (cri-dockerd), RunContainerError, CreateContainerError (CRI-O) or
CreateContainerConfigError with words that no other cause claims; they are shown without the layers around them.

A container that is not made in time has, with a large volume, mostly its files relabelled or given a group at each try.

Fix: depends on the words; they come from runc, crun or the kubelet. For the walk over many files:
fsGroupChangePolicy OnRootMismatch and a SELinux label by mount option; never a restart of the runtime.

Source: kubelet kuberuntime ErrRunContainer, ErrCreateContainer, ErrCreateContainerConfig; containerd and runc.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Finding
from kubetriage.needs import Need
from kubetriage.records import replace
from kubetriage.rules.crash import slow_creation
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.start_failures import Start, StartFailure, start_failures
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import meant_size

CODE = "StartError"

# runc init: the directory of workingDir cannot be entered, or (when the image has none) made.
_DIRECTORY = lazy(r'chdir to cwd \("(?P<path>[^"]*)"\)|container init: mkdir (?P<made>/[^\s:]*): ')
# What the runtimes say most often, what it means, and what to do about it; "{container}", "{image}", "{where}" and
# "{node}" are filled in beside the groups of the pattern.
_KNOWN: tuple[tuple[re.Pattern[str], str, str], ...] = (
    # containerd pkg/cri spec_opts, CRI-O internal/config/seccomp.
    (
        lazy(r'seccomp profile "(?P<path>[^"]+)"'),
        "Container {container} asks for seccomp profile {path}, which {node} cannot load.",
        "Put the profile on {node} at {path}, or use seccompProfile type RuntimeDefault in {where}.",
    ),
    # containerd pkg/cri spec_opts; runc apparmor.
    (
        lazy(r"apparmor profile not found (?P<name>\S+)|apparmor failed to apply profile"),
        "Container {container} asks for an AppArmor profile that is not loaded on {node}: {words}.",
        "Load the profile on {node} (apparmor_parser), or correct appArmorProfile in {where}.",
    ),
    # containerd oci.WithUser, runc user lookup.
    (
        lazy(r"unable to find (?:user|group) (?P<user>[^\s:]+): no matching entries|no users found"),
        "Container {container} runs as a user that image {image} does not know: {words}.",
        "Use a number in runAsUser of {where}, or add the user to /etc/passwd of image {image}.",
    ),
    (
        lazy(r'unknown capability "?(?:CAP_)?(?P<name>\w+)'),
        "Container {container} asks for capability {name}, which does not exist.",
        "Correct securityContext.capabilities of container {container} in {where}; names have no CAP_ prefix.",
    ),
    # containerd looks for AppArmor's loader where the kernel has AppArmor switched on.
    (
        lazy(r"apparmor_parser"),
        "The runtime of {node} cannot load the AppArmor profile of container {container}: apparmor_parser is not "
        "installed there or fails: {words}.",
        "Load the AppArmor tools on {node} (package apparmor, then restart the runtime), or switch AppArmor off "
        "there; a "
        "profile of type Localhost must be loaded on every node of {where}.",
    ),
    # containerd oci spec_opts, moby daemon/oci_linux.go: mountPropagation wants a mount point that shares its mounts.
    (
        lazy(
            r"path \"?(?P<path>/[^\s\"]*)\"? is mounted on \"?(?P<on>/[^\s\"]*)\"? but it is not a (?P<kind>shared)",
            re.I,
        ),
        "Container {container} mounts {path} of {node} with mountPropagation, and the mounts of {on} there are "
        "not shared.",
        "Share the mounts of {on} on {node}: mount --make-rshared {on}; keep it over a restart (a unit that runs "
        "before "
        "the runtime; systemd shares / by itself, Alpine, WSL and nodes in containers such as k3d do not). Where the "
        "container needs no mounts of the node, drop mountPropagation in {where}.",
    ),
    # containerd go-runc: runc itself did not run.
    (
        lazy(
            r"runc did not terminate successfully: exit status (?P<status>127|1\d\d)|runc: (?:symbol lookup "
            r"error|error while loading)"
        ),
        "The runtime of {node} cannot run runc itself, so no container starts there: {words}.",
        "Run runc --version on {node}: a symbol or library error there is a libseccomp that is older than runc wants "
        "(2.5 for runc 1.1; CentOS 7 has 2.3). Upgrade libseccomp, or take the runc that the distribution builds.",
    ),
    # kubelet pkg/util of subPathExpr.
    (
        lazy(r"\Amissing value for \"?(?P<name>[A-Za-z_][\w.-]*)\"?\Z"),
        "Container {container} mounts a volume by subPathExpr with $({name}), and has no variable {name}.",
        "Give container {container} the variable {name} in {where} (env or envFrom), or correct subPathExpr.",
    ),
    # hcsshim: a Windows image of another build than the node's.
    (
        lazy(r"container operating system does not match the host operating system|0xc0370101", re.I),
        "Container {container} has image {image}, whose Windows build is not the one of {node}: {words}.",
        "Use a tag of {image} for the node's build (ltsc2019, ltsc2022), or keep {where} to nodes of the "
        "image's build with "
        "nodeSelector node.kubernetes.io/windows-build.",
    ),
    # hcsshim: the node's account cannot fetch the password of the group's account.
    (
        lazy(
            r"hcs::\w{1,40}[^\n]{0,200}(?:user name or password is incorrect|0x8007052e|trust relationship"
            r"|no logon servers)",
            re.I,
        ),
        "Container {container} gets no group-managed service account on {node}: {words}.",
        "See on {node} that it may fetch the account's password: Test-ADServiceAccount there, and the node (or the "
        "user of the portable identity) in PrincipalsAllowedToRetrieveManagedPassword of the account; the domain must "
        "be reachable. Then compare the GMSACredentialSpec that {where} names in windowsOptions with the domain.",
    ),
    # hcsshim: the container's network compartment of HNS.
    (
        lazy(r"hcs::\w{1,40}[^\n]{0,200}attach namespace failed|hcsshim[^\n]{0,200}endpoint was not found", re.I),
        "Container {container} does not get its network on {node}: Windows could not attach it to the pod's network "
        "namespace.",
        "Delete the pod ({where}), so that a new one gets a new sandbox. Where it comes back on {node}: compare "
        "the Windows "
        "build of {image} with the node's (label node.kubernetes.io/windows-build), then drain {node} and restart "
        "it (or its "
        "hns service); an upgraded node image clears it for good.",
    ),
    # runc, on kernels or profiles that do not know a system call (clone3, faccessat2, openat2).
    (
        lazy(
            r"error loading seccomp filter|seccomp: .{0,200}(?:invalid|unknown|errno)|config provided but seccomp "
            r"not supported"
        ),
        "The runtime of {node} cannot load the seccomp filter for container {container}: {words}.",
        "Load the current runc and libseccomp on {node} (upgrade its runtime); until then keep {where} to newer nodes.",
    ),
    # runc rootfs_linux.go: mounts that each container gets, refused by the kernel in a nested user namespace.
    (
        lazy(
            r"mounting \"(?P<kind>proc|sysfs|cgroup|mqueue"
            r"|devpts)\" to rootfs at \"(?P<path>/[^\"]{1,60})\"[^\n]{0,300}"
            r"(?P<why>operation not permitted|permission denied|invalid argument)"
        ),
        "The runtime of {node} may not mount {path} for container {container}: {why}. The kernel refuses that in a "
        "user "
        "namespace whose own {path} is covered in parts, as in nested containers (kind, LXC, rootless nodes).",
        "Run {where} without a user namespace or procMount of its own (hostUsers, procMount) on {node}, or on a node "
        "that "
        "is no container itself; a nested node needs an uncovered /proc (LXC: nesting, privileged; Docker: "
        "--security-opt systempaths=unconfined).",
    ),
    # runc libcontainer/cgroups: the pod's cgroup and the container's do not fit together.
    (
        lazy(
            r"failed to write \"?(?P<value>[\w-]{1,40})\"?: write (?P<path>/sys/fs/cgroup/\S{1,300}/"
            r"(?P<file>cpu\.cfs_quota_us|cpu\.max|cpu\.rt_runtime_us|cpuset\.(?:cpus|mems)|memory\.(?:limit_in_bytes|max|memsw\.limit_in_bytes)))"
            r": (?P<why>invalid argument|device or resource busy|permission denied|no such device)"
        ),
        "The runtime of {node} cannot write {file} of container {container} ({value}): {why}. The cgroup of its pod "
        "has "
        "a value that does not allow it, as after limits that were changed or rounded, or CPUs that went offline.",
        "Delete the pod of {where}, so that a new one gets new cgroups. Where it comes back on {node} only: restart "
        "its "
        "kubelet and runtime after a change of CPUs (cpuset), and move it to cgroup v2 with a current runc, which "
        "write "
        "these values together.",
    ),
    (
        lazy(r"nvidia-container-cli: [^\n]*driver/library version mismatch"),
        "Container {container} gets no GPU on {node}: the loaded kernel module of NVIDIA is of another version than "
        "its "
        "libraries, as after an upgrade without a restart.",
        "Drain {node} and restart it, or unload and load the nvidia modules while nothing uses the GPU. Keep the "
        "driver's "
        "packages from updating by themselves (apt-mark hold).",
    ),
    (
        lazy(r"nvidia-container-cli: (?P<why>[^\n]+?)(?:: unknown)?\Z"),
        "Container {container} gets no GPU on {node}: {why}.",
        "Repair the NVIDIA driver of {node} (nvidia-smi there), or keep {where} to nodes where it works.",
    ),
    # containerd oci.WithDevices, runc devices.
    (
        lazy(r"(?:lstat |custom device \"?)(?P<path>/dev/[^\s\":]+)"),
        "Container {container} asks for device {path}, which {node} does not have.",
        "Load the kernel module behind {path} on {node}, or keep {where} to nodes that have it.",
    ),
)
# The kubelet's words about a reference (kubelet_pods.go), for what was missing at its last try and is there now.
_REFERENCE = lazy(r"(?:configmap|secret) \"[^\"]+\" not found|couldn't find key \S+ in (?:ConfigMap|Secret)")
# hcsshim: ERROR_DIRECTORY and ERROR_INVALID_NAME of the paths in a container's definition.
_WINDOWS_PATH = lazy(
    r"hcs::\w{1,40}[^\n]{0,200}(?:directory name is invalid|volume label syntax is incorrect|0x8007010b|0x8007007b)",
    re.I,
)
# runc 1.1: the first process died at the memory limit before it became the program. CRI-O and Docker refuse less than
# 12 MiB and 6 MiB at once.
_MEMORY = lazy(
    r"OOM-killed \(memory limit too low\?\)|set memory limit \d+ too low|[Mm]inimum memory limit (?:allowed|can)"
)


def needs(case: Case) -> Iterator[Need]:
    """Ask for the claims of a container that is not made in time."""
    for failure in start_failures(case, Start.OTHER):
        yield from slow_creation.needs(failure)


def check(case: Case) -> Iterator[Finding]:
    """Say what the runtime met."""
    for failure in start_failures(case, Start.OTHER):
        if slow_creation.SLOW.search(failure.words):
            first, *more = slow_creation.fixes(failure)
            message, seen = slow_creation.message(failure), slow_creation.evidence(failure)
            made = failure.finding(CODE, message, first, evidence=seen, confidence=Confidence.LIKELY)
            yield replace(made, fix=(first, *more))
            continue
        message, words = _say(failure)
        actor = next((a for pattern, a in _ACTORS if pattern.search(words)), Actor.MANIFEST)
        made = failure.finding(CODE, message, case.template_fix(words, _larger_limit(failure), actor=actor))
        by_limit = bool(_MEMORY.search(failure.words))
        yield replace(made, details={**made.details, "field": "resources.limits.memory"}) if by_limit else made


_STARTS_IN = "32Mi"
"""The runtime needs about 6 MiB to start a process; room for a small program beside it."""


def _larger_limit(failure: StartFailure) -> dict[str, object] | None:
    """Write the limit that lets a container start; None where its memory is not what stops it."""
    limit = text(failure.container.spec, "resources", "limits", "memory")
    if not limit or not _MEMORY.search(failure.words):
        return None
    resources = {"limits": {"memory": meant_size(limit) or _STARTS_IN}}
    asked = meant_size(text(failure.container.spec, "resources", "requests", "memory"))
    if asked:
        resources["requests"] = {"memory": asked}
    return failure.container.patch({"resources": resources})


# Who acts, by what the advice is about; all else is the manifest's.
_ACTORS = (
    (
        lazy(
            r"\A(?:Put the profile on|Load the|Repair the NVIDIA|Look at the|Drain |Delete the pod|Share the mounts"
            r"|Run runc )"
        ),
        Actor.NODE,
    ),
    (lazy(r"in image \S+\.\Z"), Actor.IMAGE),
)


def _say(failure: StartFailure) -> tuple[str, str]:
    container, where = failure.container, failure.case.workload_name
    directory = _DIRECTORY.search(failure.words)
    if directory:
        own, path = text(container.spec, "workingDir"), directory["path"] or directory["made"]
        return (
            f"Container {container.name} cannot {'enter' if directory['path'] else 'make'} its working directory "
            f"{path}: {failure.words.rpartition(': ')[2]}.",
            f"Correct workingDir of container {container.name} in {where}."
            if own
            else f"Let the container's user enter {path} in image {container.image}.",
        )
    if _MEMORY.search(failure.words):
        limit = text(container.spec, "resources", "limits", "memory")
        meant = meant_size(limit)
        if meant:
            unit = "m means thousandths of a byte" if limit.endswith("m") else "a number without a unit is bytes"
            return (
                f"Container {container.name} cannot start within its memory limit of {limit}: {unit}.",
                f"Set resources.limits.memory of container {container.name} in {where} to {meant}, which is meant.",
            )
        return (
            f"Container {container.name} cannot start within its memory limit{' of ' + limit if limit else ''}.",
            f"Raise resources.limits.memory of container {container.name} in {where} to what the program needs, "
            f"{_STARTS_IN} at least: the runtime alone needs a few MiB.",
        )
    files = [text(m, "mountPath") for m in objects(container.spec, "volumeMounts") if text(m, "subPath")]
    if _WINDOWS_PATH.search(failure.words) and files:
        return (
            f"Windows cannot make container {container.name}: it mounts a single file by subPath "
            f"({', '.join(files[:3])}), "
            "and Windows maps whole directories only.",
            f"Mount the ConfigMap, Secret or volume as a directory in {where}, without subPath, and let the "
            f"program or a "
            "link at its start find the file there.",
        )
    if _WINDOWS_PATH.search(failure.words):
        return (
            f"Windows cannot make container {container.name}: {failure.words.rstrip('.')}.",
            f"Look at the paths of container {container.name} in {where}: workingDir and mountPath as Windows "
            f"paths that "
            "exist (C:\\app), no mount of a single file, and a command that is in the image.",
        )
    said = failure.words.rstrip(".") or container.waiting_reason or "no reason given"
    node = failure.case.pod.node or "the node"
    if _REFERENCE.search(said):
        return (
            f"Container {container.name} could not be made at the kubelet's last try ({said}); what was missing is "
            "there now.",
            "Wait for the next try, within minutes.",
        )
    for pattern, message, words in _KNOWN:
        match = pattern.search(said)
        if match:
            names = {k: v or "" for k, v in match.groupdict().items()}
            names |= {"container": container.name, "image": container.image, "where": where, "node": node}
            names["words"] = said
            return message.format_map(names), words.format_map(names)
    return (
        f"The runtime cannot start container {container.name}: {said}.",
        f"Look at the runtime's log on {node} for container {container.name}: this message is not known here. "
        "The same pod "
        "on another node shows whether it is the node.",
    )
