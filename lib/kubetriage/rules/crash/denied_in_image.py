"""What a program may not touch in its own image: no home, a user that the image does not know, OpenShift's user ids."""

from __future__ import annotations

import posixpath
import re

from kubetriage.model import Actor, Fix
from kubetriage.rules.crash.acts import image, manifest, operator, where
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.commands import placeholder, shell
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

SCC = "openshift.io/scc"
"""Annotation with the SecurityContextConstraints that admitted a pod; all but a few give it a user id of the
namespace's range, which no image knows, and group 0."""
_FREE = ("anyuid", "privileged", "hostaccess", "hostmount-anyuid", "nonroot", "nonroot-v2", "node-exporter")
"""Constraints that leave the image's or the pod's user as it is."""
_HOME = lazy(r"/\.[A-Za-z][\w.-]{0,60}(?:/|\Z)")
_BROAD = frozenset(
    ("/var", "/var/lib", "/etc", "/usr", "/usr/bin", "/usr/share", "/opt", "/home", "/root", "/app", "/srv", "/bin")
)
"""Directories that hold more of an image than what a program writes; a mount over them hides it."""

_TEMPORARY = ("/tmp", "/var/tmp", "/var/run", "/run", "/var/cache", "/var/log")  # noqa: S108
"""Directories of which an image needs nothing."""


def fixes_in_either(words: LastWords, path: str, who: str) -> tuple[Fix, ...]:
    """Return what to do where nobody knows whether a path is of the image or of a volume."""
    case, name = words.case, words.container.name
    shown = "jsonpath={.spec.securityContext} {.spec.containers[*].volumeMounts}"
    look = Fix(
        f"See whether {path or 'the path'} is on a volume of {name}, and as whom it runs.",
        actor=Actor.MANIFEST,
        commands=(case.kubectl("get", "pod", case.pod.name, "-o", shown),),
    )
    group = "set fsGroup to the group that it runs as (the kubelet changes no files of hostPath and NFS)"
    return (
        look,
        manifest(words, f"If it is on a volume, {group}."),
        image(f"If it is of the image, make it accessible to {who} there (chown, chmod; OpenShift: group 0)."),
    )


def fixes_in_image(words: LastWords, path: str, who: str, scc: str) -> tuple[Fix, ...]:
    """Return what gives a program access to a path of its image; an empty path is one that nobody named."""
    container = words.container
    below_root = bool(path) and posixpath.dirname(path.rstrip("/")) == "/"
    if path and (_HOME.match(path) or (below_root and scc and scc not in _FREE)):
        home = manifest(
            words,
            f"{who[0].upper()}{who[1:]} has no home, so it takes / for it: set HOME of {where(words)} to a writable "
            "directory.",
            container.patch({"env": [{"name": "HOME", "value": "/tmp"}]}),  # noqa: S108
        )
        other = _own_user(words, scc) if scc else (manifest(words, f"Or mount an emptyDir at {path}."),)
        return (home, *other)
    directory = posixpath.dirname(path.rstrip("/")) if path else ""
    name = re.sub(r"[^a-z0-9]+", "-", directory.lower()).strip("-")[:50] or "writable"
    repair = image(
        f"Make {path or 'the path'} accessible to {who} in image {container.image} (chown, chmod; OpenShift: group 0)."
    )
    if not path:
        place = text(container.spec, "workingDir")
        unnamed = manifest(
            words,
            f"The line names no path: look which directory it writes to{f' (workingDir {place})' if place else ''}, "
            "below the working directory of the image most likely, and mount an emptyDir or a subPath of its volume "
            "there.",
        )
        return (unnamed, *(_own_user(words, scc) if scc else (repair,)))
    if directory in ("", "/") or directory in _BROAD:
        as_built = _own_user(words, scc) if scc else ()
        return (
            repair,
            *(as_built or (manifest(words, "Or run it as the user that the image was built for (runAsUser)."),)),
        )
    temporary = directory in _TEMPORARY
    mount = manifest(
        words,
        f"Mount an emptyDir at {directory} in {where(words)}: {who} may write there."
        if temporary
        else f"Or mount an emptyDir at {directory} in {where(words)}, if nothing of the image is needed there.",
        container.patch(
            {"volumeMounts": [{"name": name, "mountPath": directory}]}, volumes=[{"name": name, "emptyDir": {}}]
        ),
    )
    return (mount, repair) if temporary else (repair, mount, *_own_user(words, scc))


def _own_user(words: LastWords, scc: str) -> tuple[Fix, ...]:
    """Say how OpenShift lets a pod run as the user that its image was built for."""
    if not scc or scc in _FREE:
        return ()
    account = text(words.case.pod.raw, "spec", "serviceAccountName") or "default"
    # What default may do, every pod of the namespace may.
    own = account if account != "default" else placeholder("own-account")
    return (
        operator(
            f"Or let it run as the image's user: {scc} gives every pod a user id of the namespace. Grant anyuid to "
            + (f"ServiceAccount {account}" if account != "default" else "a ServiceAccount of its own")
            + ", and recreate the pod.",
            shell("oc", "-n", words.case.pod.namespace, "adm", "policy", "add-scc-to-user", "anyuid", "-z", own),
        ),
    )
