"""A volume or the container's file system is full, and the program ended because of it.

Meaning: a write failed with ENOSPC (or EDQUOT, a quota). Restarting does not free space; the next start fails at the
same place unless the program cleans up.

Told by: "No space left on device" or its equivalent in the last error of the crashed instance, or in the runtime's
words about an image that it cannot unpack or a container that it cannot make (then the node's disk is full). The path
in a program's message is looked up among the mounts. Told apart from eviction for ephemeral storage (the kubelet ends
the pod then), from the 64 MiB of /dev/shm, and from the kernel's limit on inotify watches, which has the same errno.

Fix: grow the PersistentVolumeClaim or the emptyDir's sizeLimit, or remove what fills it; for /dev/shm mount an
emptyDir with medium Memory; for inotify raise fs.inotify limits on the node.

Source: errno(3) ENOSPC and EDQUOT, inotify(7); containerd mounts /dev/shm with 64 MiB by default.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Finding, Fix
from kubetriage.rules.crash.acts import app, manifest, node, on_node, place, where
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import claims, mount_of, volume_words
from kubetriage.rules.crash.image_pulls import Pull, pull_failures
from kubetriage.rules.crash.known_errors import unknown_words
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.rules.crash.program_output import LastWords, Said, path_near, short
from kubetriage.rules.crash.start_failures import Start, start_failures
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import Obj, dig, text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import format_mebibytes, parse_bytes

CODE = "DiskFull"

# strerror(ENOSPC, EDQUOT) of glibc and musl, Node's and Java's names, Windows' words, databases' own.
_FULL = lazy(
    r"no space left on device|\bENOSPC\b|disk quota exceeded|\bEDQUOT\b|not enough (?:disk )?space|errno 28\b"
    r"|os error 28\b"
    # PyTorch's loader and NCCL, where a worker writes beyond a full /dev/shm.
    r"|insufficient shared memory|workers are out of shared memory|(?:extend|creating shared memory segment) /dev/shm/"
    r"|database or disk is full|insufficient disk space|disk is full|filesystem is full|could not extend file"
    r"|\blow[- ]disk[- ]space|(?:low on|out of) disk space",
    re.IGNORECASE,
)
_WATCHES = lazy(r"inotify|file watchers|\bwatch\b", re.IGNORECASE)
_SHM = lazy(r"dev/shm|shared memory|shm_open|sem_open|could not resize shared memory", re.IGNORECASE)


def check(case: Case) -> Iterator[Finding]:
    """Find nodes without room for an image or a container, and containers whose last error is a full disk."""
    node = case.pod.node or "the node"
    fix = Fix(
        f"Free disk space on {node} (unused images, logs, finished pods), or enlarge its disk.",
        actor=Actor.NODE,
        commands=(
            node_command(case, "sh", "-c", "df -h; crictl rmi --prune"),
            *((kubectl("node-triage", case.pod.node),) if case.pod.node else ()),
        ),
    )
    for pull in pull_failures(case, Pull.SPACE):
        yield pull.finding(CODE, f"{node} has no disk space left to unpack image {pull.image}.", [fix])
    for start in start_failures(case, Start.SPACE):
        message = f"{node} has no disk space left to make container {start.container.name}: {start.words}."
        yield start.finding(CODE, message, fix)
    for words in unknown_words(case):
        said = words.find(_FULL)
        if said is not None:
            yield _finding(case, words, said)


def _finding(case: Case, words: LastWords, said: Said) -> Finding:
    name = words.container.name
    if _WATCHES.search(said.line):
        return words.finding(
            CODE,
            said.confidence,
            f"{name} ended because the node allows no more inotify watches; the error has the words of a full disk: "
            f"{short(said.line)}.",
            quoted=(said.line,),
            fix=(
                node(
                    f"Raise the inotify limits of {place(words)}, and keep them in /etc/sysctl.d.",
                    on_node(
                        words,
                        "sysctl",
                        "-w",
                        "fs.inotify.max_user_watches=1048576",
                        "fs.inotify.max_user_instances=8192",
                    ),
                ),
                manifest(words, f"Or let {name} watch fewer files (no watch mode in production, ignore node_modules)."),
            ),
        )
    if _SHM.search(said.line):
        return _shared_memory(words, said)
    path = path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if path else None
    at_place = " on its own file system" if path else ""
    evidence = []
    look = kubectl("exec", case.pod.name, "-c", name, "--", "df", "-h", namespace=case.pod.namespace)
    held = claims(words.container) if not path else []
    fixes: tuple[Fix, ...] = (
        manifest(
            words, f"Find what fills the disk of {name}; write large data to a volume that is sized for it.", None, look
        ),
    )
    verify = [case.kubectl("describe", "pod", case.pod.name)]
    if found is not None:
        mount, volume = found
        at_place = f" on {volume_words(volume)}"
        at = f"{words.container.spec_path}.volumeMounts[{text(mount, 'name')}]"
        evidence.append(Evidence("spec", at, f"{text(mount, 'mountPath')} is {volume_words(volume)}"))
        claim = text(volume, "persistentVolumeClaim", "claimName")
        if claim:
            fixes = _claim(words, claim)
            verify.insert(0, kubectl("get", "pvc", claim, "-o", "wide", namespace=case.pod.namespace))
        elif "emptyDir" in volume:
            fixes = _empty_dir(words, volume)
        elif "hostPath" in volume:
            host = text(volume, "hostPath", "path")
            fixes = (node(f"Free space under {host} on {place(words)}.", on_node(words, "df", "-h", host)),)
    elif len(held) == 1:
        at_place = f", most likely on PersistentVolumeClaim {held[0]}"
        fixes = _claim(words, held[0])
        verify.insert(0, kubectl("get", "pvc", held[0], "-o", "wide", namespace=case.pod.namespace))
    elif path:
        fixes = (
            node(
                f"{path} is on the container's writable layer, on the disk of {place(words)}: free space there.",
                on_node(words, "df", "-h", "/var/lib"),
            ),
            manifest(words, f"Or mount a volume at {posixpath.dirname(path) or path}; set ephemeral-storage limits."),
        )
    target = f" writing {path}" if path else ""
    return words.finding(
        CODE,
        said.confidence,
        f"{name} ended because no space is left{at_place}{target}: {short(said.line)}.",
        quoted=(said.line,),
        evidence=evidence,
        fix=fixes,
        verify=verify,
    )


def _shared_memory(words: LastWords, said: Said) -> Finding:
    """Tell of a full /dev/shm: a container gets 64 MiB of it, a memory-backed volume counts as its memory."""
    name, at = words.container.name, where(words)
    limit = parse_bytes(dig(words.container.spec, "resources", "limits", "memory"))
    size = "1Gi" if limit is None or limit >= 4 * 2**30 else format_mebibytes(max(limit // 4, 64 * 2**20))
    size = format_mebibytes(limit // 4) if limit is not None and limit >= 8 * 2**30 else size
    mounted = mount_of(words.container, "/dev/shm/x")  # noqa: S108
    held = "a container gets 64 MiB of it"
    if mounted is not None and text(mounted[0], "mountPath") == "/dev/shm":  # noqa: S108
        held = f"it is {volume_words(mounted[1])}"
    spec = words.container.patch(
        {"volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]},  # noqa: S108
        volumes=[{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}],
    )
    pod, path = words.case.pod, "/dev/shm"  # noqa: S108
    look = kubectl("exec", pod.name, "-c", name, "--", "df", "-h", path, namespace=pod.namespace)
    return words.finding(
        CODE,
        said.confidence,
        f"{name} ended because /dev/shm is full; {held}: {short(said.line)}.",
        quoted=(said.line,),
        fix=(
            manifest(
                words,
                f"Mount an emptyDir with medium Memory and a sizeLimit at /dev/shm of {at}. It counts as memory of "
                f"{name}, so leave room for it in the memory limit; without one a full node is the limit.",
                spec,
            ),
            app(f"Or let {name} share less: fewer worker processes (num_workers), or smaller batches."),
        ),
        verify=(look,),
    )


def _claim(words: LastWords, claim: str) -> tuple[Fix, ...]:
    """Return what frees a full PersistentVolumeClaim: a larger one, at about twice its size where that is known."""
    case = words.case
    found = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, claim)
    size = text(found.obj, "spec", "resources", "requests", "storage") if found.found else ""
    held = re.fullmatch(r"(\d{1,9})([KMGTP]i?)", size)
    wanted = f"{2 * int(held[1])}{held[2]}" if held is not None else placeholder("size")
    change = json.dumps({"spec": {"resources": {"requests": {"storage": wanted}}}}, separators=(",", ":"))
    return (
        manifest(
            words,
            f"Enlarge PersistentVolumeClaim {claim}"
            + (f" from {size}" if size else "")
            + ", if its StorageClass has allowVolumeExpansion; some drivers need the pod restarted for it.",
            None,
            kubectl("patch", "pvc", claim, "-p", change, namespace=case.pod.namespace),
        ),
        app("Or delete what fills it: old logs, write-ahead logs that nobody archives, data beyond its retention."),
    )


def _empty_dir(words: LastWords, volume: Obj) -> tuple[Fix, ...]:
    name, limit = text(volume, "name"), text(volume, "emptyDir", "sizeLimit")
    memory = text(volume, "emptyDir", "medium") == "Memory"
    held = re.fullmatch(r"(\d{1,9})([KMGTP]i?)", limit)
    if held is not None:
        wanted = f"{2 * int(held[1])}{held[2]}"
        counts = f" It counts as memory of {words.container.name}." if memory else ""
        return (
            manifest(
                words,
                f"Raise the emptyDir sizeLimit of volume {name} from {limit} to {wanted}, or write less to it.{counts}",
                {"volumes": [{"name": name, "emptyDir": {"sizeLimit": wanted}}]},
            ),
        )
    return (
        node(
            f"Volume {name} is an emptyDir on the disk of {place(words)}: free space there.", on_node(words, "df", "-h")
        ),
        manifest(words, f"Or put volume {name} on a PersistentVolumeClaim that is sized for it."),
    )
