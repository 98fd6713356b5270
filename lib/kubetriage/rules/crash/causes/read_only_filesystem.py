"""The program writes to a file system that is mounted read-only, and ended because of it.

Meaning: either readOnlyRootFilesystem is set and the program needs a writable place that is not a volume, or the
volume itself is mounted read-only (readOnly, a ConfigMap, a Secret), or the node remounted a damaged disk.

Told by: "Read-only file system" (EROFS) in the last error of the crashed instance, the path in it, and the mounts and
security context of the container.

Fix: mount an emptyDir at the directory that the program writes to, or write elsewhere; keep readOnlyRootFilesystem.

Source: errno(3) EROFS; core/v1 SecurityContext.readOnlyRootFilesystem, VolumeMount.readOnly; ConfigMap, Secret,
projected and downwardAPI volumes are always read-only.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, Fix
from kubetriage.rules.crash.acts import manifest, node, on_node
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import mount_of, security, volume_words
from kubetriage.rules.crash.known_errors import known_findings, unknown_words
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import shell
from kubetriage.values.fields import flag, objects, text
from kubetriage.values.patterns import lazy

CODE = "ReadOnlyFilesystem"

# strerror(EROFS) of glibc and musl, Node's name, the JDK's class, Rust and Python numbers.
READ_ONLY = lazy(
    r"read-only file ?system|\bEROFS\b|ReadOnlyFileSystemException|errno 30\b|os error 30\b", re.IGNORECASE
)
# Directories that hold more of an image than what a program writes; a mount over them hides it.
_BROAD = frozenset(
    ("/var", "/var/lib", "/etc", "/usr", "/usr/share", "/opt", "/home", "/root", "/app", "/srv", "/lib", "/bin")
)
_NGINX = ("/var/cache/nginx", "/var/run", "/tmp")  # noqa: S108
"""Where nginx keeps its temporary files and its process id."""
_ALWAYS = ("configMap", "secret", "projected", "downwardAPI")


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is a write to a read-only file system."""
    yield from known_findings(case, CODE)
    for words in unknown_words(case):
        said = words.find(READ_ONLY)
        if said is not None:
            yield _finding(case, words, said)


# Directories in which an image keeps its program, and those that hold nothing that was not made while it ran.
_PROGRAM = frozenset((
    "lib", "lib64", "libs", "bin", "sbin", "dist", "build", "node_modules", "site-packages", "vendor", "plugins",
    "modules", "webapps", "conf", "conf.d", "config", "etc", "share", "public", "static", "assets", "src", "wwwroot",
))  # fmt: skip
_SCRATCH = lazy(r"\.?(?:cache|caches|tmp|temp|logs?|run|data|sessions?|uploads?|work|spool|__pycache__)\Z")


def _of_the_image(directory: str) -> bool:
    """Tell whether a directory most likely holds what the image brings, which a mount over it hides."""
    parts = directory.strip("/").split("/")
    if directory.startswith(("/var/", "/tmp", "/run", "/home/", "/root/")) or _SCRATCH.match(parts[-1]):  # noqa: S108
        return False
    return any(part in _PROGRAM for part in parts)


def _copied(words: LastWords, directory: str) -> Fix:
    """Make a writable copy of a directory of the image: an emptyDir, filled by an init container of the same image."""
    container = words.container
    name = re.sub(r"[^a-z0-9]+", "-", directory.lower()).strip("-")[:50].rstrip("-")
    own = container.spec.get("securityContext")
    copy: dict[str, object] = {
        "name": f"copy-{name}"[:60].rstrip("-"),
        "image": container.image,
        "command": ["sh", "-c", f"cp -a {shell(directory)}/. /copy/"],
        "volumeMounts": [{"name": name, "mountPath": "/copy"}],
        **({"securityContext": own} if own else {}),
    }
    change = container.patch(
        {"volumeMounts": [{"name": name, "mountPath": directory}]}, volumes=[{"name": name, "emptyDir": {}}]
    )
    both = {**change, "initContainers": [copy, *objects(change, "initContainers")]}
    built = (
        "Build it ahead, so that the start writes nothing: run kc.sh build in the image's build with the same options, "
        "and start with --optimized. Or mount"
        if "quarkus" in directory and "keycloak" in f"{container.image} {directory}"
        else "Mount"
    )
    return manifest(
        words,
        f"{built} an emptyDir at {directory} of {words.case.workload_name} that an init container fills first with "
        f"what image {container.image} has there: an empty one would hide the program's own files. Keep the root "
        "read-only.",
        both,
    )


def _read_only_mounts(words: LastWords) -> list[str]:
    """Name the mounts of a container that take no writes."""
    container = words.container
    found = []
    for mount in objects(container.spec, "volumeMounts"):
        at = text(mount, "mountPath")
        volume = (mount_of(container, at) or ({}, {}))[1]
        if text(mount, "name").startswith("kube-api-access"):
            continue
        if flag(mount, "readOnly") is True or any(key in volume for key in _ALWAYS):
            found.append(f"{at} ({volume_words(volume)})")
    return found[:4]


def _finding(case: Case, words: LastWords, said: Said) -> Finding:
    container, name = words.container, words.container.name
    path = path_near(said.line, said.match.start())
    found = mount_of(container, path) if path else None
    root, root_at = security(container, "readOnlyRootFilesystem")
    hidden = f"spec.{container.spec_list}.securityContext.readOnlyRootFilesystem"
    target = path or "a file"
    evidence: list[Evidence] = []
    if found is not None:
        mount, volume = found
        at = f"{container.spec_path}.volumeMounts[{text(mount, 'name')}]"
        where = text(mount, "mountPath")
        if flag(mount, "readOnly") is True:
            evidence.append(Evidence("spec", f"{at}.readOnly", "true"))
            said_why = f"{where} is {volume_words(volume)}, mounted with readOnly"
            fix = manifest(
                words,
                f"Remove readOnly from the mount of {text(mount, 'name')} in {case.workload_name}, or write elsewhere.",
            )
        elif any(key in volume for key in _ALWAYS):
            evidence.append(Evidence("spec", at, f"{where} is {volume_words(volume)}"))
            said_why = f"{where} is {volume_words(volume)}, which is always read-only"
            fix = manifest(
                words, f"Let {name} write elsewhere, or copy {where} to an emptyDir in an init container first."
            )
        else:
            evidence.append(Evidence("spec", at, f"{where} is {volume_words(volume)}"))
            said_why = f"{where} is {volume_words(volume)}, which the pod mounts writable"
            fix = node(
                f"The storage itself is read-only: look for I/O errors in the kernel log of node "
                f"{case.pod.node}, and at the "
                f"access mode of the volume.",
                on_node(words, "sh", "-c", "dmesg -T | grep -iE 'remount|I/O error|ext4|xfs' | tail -20"),
            )
    elif root is True or (root is None and not case.snapshot.covers(case.pod.raw, hidden)):
        evidence.append(Evidence("spec", root_at or hidden, "true" if root else "not shown"))
        said_why = "its root file system is read-only (readOnlyRootFilesystem)"
        if not root:
            said_why = "most likely its root file system is read-only (readOnlyRootFilesystem, which is not shown)"
        directory = posixpath.dirname(path.rstrip("/")) if path else ""
        if "nginx" in said.line and directory.startswith(_NGINX):
            names = {d: re.sub(r"[^a-z0-9]+", "-", d.lower()).strip("-") for d in _NGINX}
            return words.finding(
                CODE,
                said.confidence,
                f"{name} ended because nginx could not write {target}: {said_why}.",
                quoted=(said.line,),
                evidence=evidence,
                fix=(
                    manifest(
                        words,
                        f"Mount emptyDirs where nginx writes ({', '.join(_NGINX)}) in "
                        f"{case.workload_name}; keep the root "
                        "read-only.",
                        container.patch(
                            {"volumeMounts": [{"name": n, "mountPath": d} for d, n in names.items()]},
                            volumes=[{"name": n, "emptyDir": {}} for n in names.values()],
                        ),
                    ),
                ),
                details={"path": path},
            )
        if directory in _BROAD:
            fix = manifest(
                words,
                f"Mount an emptyDir at a directory of its own and let {name} write {posixpath.basename(path)} "
                f"there; one over "
                f"{directory} would hide what the image has in it. Keep the root read-only.",
            )
        elif _of_the_image(directory):
            fix = _copied(words, directory)
        elif directory not in ("", "/"):
            volume_name = re.sub(r"[^a-z0-9]+", "-", directory.lower()).strip("-")[:50] or "writable"
            fix = manifest(
                words,
                f"Mount an emptyDir at {directory} in container {name} of {case.workload_name} and keep the "
                f"root read-only.",
                container.patch(
                    {"volumeMounts": [{"name": volume_name, "mountPath": directory}]},
                    volumes=[{"name": volume_name, "emptyDir": {}}],
                ),
            )
        else:
            fix = manifest(
                words,
                f"Mount an emptyDir at the directory that {name} writes to (often /tmp), and keep the root read-only.",
                container.patch(
                    {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},  # noqa: S108
                    volumes=[{"name": "tmp", "emptyDir": {}}],
                ),
            )
    elif not path and (held := _read_only_mounts(words)):
        evidence.append(Evidence("spec", f"{container.spec_path}.volumeMounts", "; ".join(held)))
        said_why = f"the line names no path, and read-only in this container are {', '.join(held)}"
        fix = manifest(
            words,
            f"See which of these {name} opens for writing. Let it open the file for reading only (.NET: "
            "FileAccess.Read), "
            "write elsewhere, or copy the files to an emptyDir in an init container first.",
        )
    else:
        said_why = "the pod does not ask for that"
        fix = node(
            f"Look for I/O errors in the kernel log of node {case.pod.node or '(unknown)'}: Linux remounts a "
            f"damaged disk "
            f"read-only. /proc and /sys are read-only for containers that are not privileged.",
            on_node(words, "sh", "-c", "dmesg -T | grep -iE 'remount|I/O error|ext4|xfs' | tail -20"),
        )
    return words.finding(
        CODE,
        said.confidence,
        f"{name} ended because it could not write {target}: {said_why}.",
        quoted=(said.line,),
        evidence=evidence,
        fix=(fix,),
        details={"path": path} if path else {},
    )
