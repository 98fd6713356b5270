"""What lies behind a mounted volume, and whether it lets a container change owners and modes."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence
from kubetriage.needs import Get, Need
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.values.fields import Obj, text


@dataclass(frozen=True)
class Refusal:
    """A file system that keeps owners or modes to itself, and who can change what."""

    kind: str
    """Its name in a sentence."""
    advice: str
    """What ends it, in one or two sentences."""
    actor: Actor
    evidence: Evidence
    yaml: str = ""


_EFS = (
    "EFS access point",
    "An EFS access point maps every owner to its own uid and gid: set uid and gid in the "
    "StorageClass (or posixUser of the "
    "access point) to those of the program, and drop the chown.",
)
_NFS = (
    "NFS export with root_squash",
    "The NFS server maps root to an unprivileged user (root_squash), so chown is refused whatever "
    "the pod may do. Export it with "
    "no_root_squash, or give the directory to the program's uid on the server, and skip the chown.",
)
_MAPPED = (
    "SMB or Azure Files share",
    "An SMB share has no owners and modes of its own: they come from its mountOptions (uid=, gid=, "
    "dir_mode=, file_mode=). "
    "Set them in the StorageClass or PersistentVolume and make the volume anew; databases want NFS or a disk instead.",
)
_FUSE = (
    "object store through FUSE",
    "A bucket has no owners: they come from the mount options (uid, gid, allow_other). A database or "
    "a chown does not work "
    "on it; use a disk.",
)
_HOST = (
    "hostPath",
    "The file system of the node behind the hostPath refuses it (9p and other shares of virtual machines do: minikube "
    "mount, WSL /mnt, Docker Desktop). Use a volume of the node's own disk, or a PersistentVolumeClaim.",
)
# By driver of a CSI volume or kind of an in-tree one.
_REFUSING: dict[str, tuple[str, str]] = {
    "efs.csi.aws.com": _EFS,
    "nfs.csi.k8s.io": _NFS,
    "filestore.csi.storage.gke.io": _NFS,
    "nfs": _NFS,
    "file.csi.azure.com": _MAPPED,
    "smb.csi.k8s.io": _MAPPED,
    "azureFile": _MAPPED,
    "cifs": _MAPPED,
    "blob.csi.azure.com": _FUSE,
    "s3.csi.aws.com": _FUSE,
    "gcsfuse.csi.storage.gke.io": _FUSE,
    "ru.yandex.s3.csi": _FUSE,
}
_MAPPED_YAML = """mountOptions:
- uid={uid}
- gid={uid}
- dir_mode=0700
- file_mode=0600
- nobrl"""


def backing_needs(case: Case, volume: Obj) -> Iterator[Need]:
    """Ask for the claim behind a volume and the PersistentVolume behind the claim."""
    claim = text(volume, "persistentVolumeClaim", "claimName")
    if not claim:
        return
    yield Get("persistentvolumeclaims", case.pod.namespace, claim)
    found = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, claim)
    name = text(found.obj, "spec", "volumeName") if found.found else ""
    if name:
        yield Get("persistentvolumes", "", name)


def _source(case: Case, volume: Obj) -> tuple[str, str]:
    """Return the driver or kind behind a volume, and where it is told; both empty when unknown."""
    claim = text(volume, "persistentVolumeClaim", "claimName")
    if not claim:
        driver = text(volume, "csi", "driver")
        kind = driver or next((k for k in ("nfs", "azureFile", "hostPath") if k in volume), "")
        return kind, f"volumes[{text(volume, 'name')}]"
    found = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, claim)
    name = text(found.obj, "spec", "volumeName") if found.found else ""
    persistent = case.snapshot.get("persistentvolumes", "", name) if name else None
    if persistent is not None and persistent.found:
        driver = text(persistent.obj, "spec", "csi", "driver")
        spec = persistent.obj.get("spec")
        kinds = spec if isinstance(spec, dict) else {}
        kind = driver or next((k for k in ("nfs", "azureFile", "hostPath") if k in kinds), "")
        return kind, f"persistentvolumes[{name}]"
    return "", ""


def host_directory(case: Case, volume: Obj) -> str:
    """Return the directory of the node behind a claim of a hostPath or local volume; empty for others."""
    claim = text(volume, "persistentVolumeClaim", "claimName")
    found = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, claim) if claim else None
    name = text(found.obj, "spec", "volumeName") if found is not None and found.found else ""
    persistent = case.snapshot.get("persistentvolumes", "", name).obj if name else {}
    return text(persistent, "spec", "hostPath", "path") or text(persistent, "spec", "local", "path")


def refusal(case: Case, volume: Obj, user: object) -> Refusal | None:
    """Return why the file system behind a volume refuses changes of owner or mode; None when it takes them."""
    source, at = _source(case, volume)
    if source == "hostPath":
        path = text(volume, "hostPath", "path")
        return Refusal(_HOST[0], _HOST[1], Actor.NODE, Evidence("spec", at, f"hostPath {path}".strip()))
    known = _REFUSING.get(source) or (
        _NFS if "nfs" in source else _MAPPED if "smb" in source or "cifs" in source else None
    )
    if known is None:
        return None
    yaml = _MAPPED_YAML.format(uid=user if isinstance(user, int) else 1000) if known is _MAPPED else ""
    return Refusal(known[0], known[1], Actor.CLOUD, Evidence("config", at, source), yaml)
