"""Data that a program cannot open: locked by another, not writable, or with parts that are gone."""

from __future__ import annotations

from kubetriage.model import Evidence, Fix
from kubetriage.rules.crash.acts import app, cloud, manifest
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors.data_versions import held_data
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, mapping, text
from kubetriage.values.patterns import lazy


def _locked(words: LastWords, said: Said) -> Advice:
    case = words.case
    path = path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if path else None
    held = volume_words(found[1]) if found is not None else held_data(words)
    many = [p.name for p in case.replicas if p.name != case.pod.name and not p.finished]
    fixes: list[Fix] = []
    if case.workload.kind == "Deployment":
        fixes.append(
            manifest(
                words,
                f"Set strategy Recreate in {case.workload_name}: a rolling update starts the new pod while the old one "
                "still holds the lock.",
                None,
                kubectl(
                    "patch",
                    "deployment",
                    case.workload.name,
                    "--type=merge",
                    "-p",
                    '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}',
                    namespace=case.pod.namespace,
                ),
            )
        )
    other = f"pods {', '.join(many[:3])} use it too" if many else "another process or pod may use it"
    fixes.append(
        manifest(
            words,
            "Let one pod use the data: replicas 1, or a StatefulSet with a claim per pod; delete a pod that hangs in "
            "Terminating.",
            None,
            kubectl("get", "pods", "-o", "wide", namespace=case.pod.namespace),
        )
    )
    fixes.append(
        app(
            f"If no other pod uses {held}, the lock is left from a killed one, or the storage (NFS) "
            "does not lock: check "
            "that it is writable, then remove the lock file."
        )
    )
    return Advice(f"the lock of its data is held ({held}); {other}", tuple(fixes))


# Java's own words for a lock file that could not be made (no such file: it did not get as far as to make one).
_LOCK_NOT_MADE = lazy(
    r"(?:AccessDenied|NoSuchFile)Exception: (?P<path>/\S{0,300}?\.?lock)\b|(?P<other>/\S{0,300}lock): Permission denied"
)


def _not_writable(words: LastWords, _: Said) -> Advice | None:
    """Judge a lock that is not held by anybody: the program may not write where it is to be."""
    refused = _LOCK_NOT_MADE.search(words.text)
    if refused is None:
        return None
    path = refused["path"] or refused["other"] or ""
    found = mount_of(words.container, path)
    held = volume_words(found[1]) if found is not None else held_data(words)
    pod, own = (
        mapping(words.case.pod.raw, "spec", "securityContext"),
        mapping(words.container.spec, "securityContext"),
    )
    user = own.get("runAsUser", pod.get("runAsUser"))
    group = pod.get("fsGroup")
    runs = f"user {user}" if isinstance(user, int) else "the image's user"
    fixes: list[Fix] = []
    if group is None:
        wanted = user if isinstance(user, int) and user > 0 else 1000
        fixes.append(
            manifest(
                words,
                f"Let the kubelet give the volume the program's group: fsGroup in {words.case.workload_name}. On "
                "OpenShift leave runAsUser and fsGroup out: the namespace's range decides.",
                {"securityContext": {"fsGroup": wanted}},
            )
        )
    fixes.append(
        manifest(
            words,
            f"Where the driver takes no fsGroup (hostPath, NFS, SMB): give the directory on {held} to {runs}. An init "
            "container that runs as root can do that, or the server.",
        )
    )
    return Advice(
        f"it may not write on {held} as {runs}, so it cannot make its lock {path}; no other process holds it",
        tuple(fixes),
        (Evidence("spec", "spec.securityContext.fsGroup", str(group) if group is not None else "<none>"),),
        details={"path": path},
    )


_OPENED = lazy(
    r"(?P<path>/[\w./+-]{1,300})(?:\\?[\"'])?: no such file or directory",
)
_NETWORK = {
    "file.csi.azure.com": "Azure Files (SMB)",
    "smb.csi.k8s.io": "SMB",
    "nfs.csi.k8s.io": "NFS",
    "efs.csi.aws.com": "EFS (NFS)",
    "s3.csi.aws.com": "a bucket",
    "gcsfuse.csi.storage.gke.io": "a bucket",
    "blob.csi.azure.com": "a bucket",
}


def _part_missing(words: LastWords, said: Said) -> Advice | None:
    """Judge data of which a file is gone that only the program itself writes."""
    opened = _OPENED.search(said.line)
    path = opened["path"] if opened is not None else path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if path else None
    if found is None or not ({"persistentVolumeClaim", "emptyDir", "hostPath", "ephemeral", "nfs"} & set(found[1])):
        return None
    claim = text(found[1], "persistentVolumeClaim", "claimName")
    kind = _network_kind(words, found[1], claim)
    directory = path.rpartition("/")[0]
    fixes = [
        app(
            f"Keep a copy of the volume, then move {directory} away: what it held is lost, the rest is read again."
            if directory != text(found[0], "mountPath").rstrip("/")
            else "Keep a copy of the volume, then restore the newest backup into an empty one.",
        )
    ]
    if kind:
        fixes.append(
            cloud(
                f"Then move the data to a disk: {volume_words(found[1])} is {kind}, and a database or TSDB there loses "
                "files, as it needs a POSIX file system with locks and renames.",
                kubectl("get", "storageclass"),
            )
        )
    else:
        fixes.append(
            cloud(
                "See how it got lost: a full disk, a kill in the midst of a write, a network file system (NFS, SMB) "
                "behind the claim, or two pods on one volume.",
                *((kubectl("describe", "pvc", claim, namespace=words.case.pod.namespace),) if claim else ()),
            )
        )
    return Advice(
        f"a part of its own data is gone on {volume_words(found[1])}: {path} does not exist",
        tuple(fixes),
        details={"path": path},
    )


def _network_kind(words: LastWords, volume: Obj, claim: str) -> str:
    """Name the network file system behind a volume; empty for a disk and where it is not known."""
    if "nfs" in volume:
        return "NFS"
    snapshot, namespace = words.case.snapshot, words.case.pod.namespace
    bound = snapshot.get("persistentvolumeclaims", namespace, claim).obj if claim else {}
    behind = snapshot.get("persistentvolumes", "", text(bound, "spec", "volumeName")).obj
    if "nfs" in mapping(behind, "spec"):
        return "NFS"
    return _NETWORK.get(text(behind, "spec", "csi", "driver"), "")


ROWS: tuple[Row, ...] = (
    Row(
        "lock-not-writable",
        lazy(r"(?i)failed to obtain node locks?|failed to obtain lock on|\block (?:file|directory)|\block: "),
        _not_writable,
        "PermissionDenied",
    ),
    Row(
        "data-part-missing",
        lazy(
            r"(?i)(?:opening (?:storage|db|database|block|segment|head)|reloadBlocks|open (?:segment|block|manifest)"
            r"|replay(?:ing)? (?:wal|log)|/(?:wal|chunks_head|commitlog|segments?|MANIFEST|CURRENT)\b)"
            r"[^\n]{0,300}no such file or directory"
            r"|\.(?:sst|ldb|ibd|tsm|vlog|wal)\W{0,3}[^\n]{0,60}no such file"
        ),
        _part_missing,
        beside=True,
    ),
    Row(
        "data-locked",
        lazy(
            r"(?i)(?:lock DB directory|failed to obtain node locks?|unable to lock (?:the )?(?:data"
            r"|store|file|database)"
            r"|could not lock (?:the )?(?:data|store|file|database|pid)|cannot (?:acquire|obtain"
            r"|get) (?:directory )?lock"
            r"|failed to (?:acquire|obtain|get) (?:the )?(?:directory |file |store |database )?lock\b"
            r"|Unable to lock \./ibdata1|Could not acquire lock on|store lock|lock file \"[^\"]{1,200}\" already exists"
            r"|another (?:instance|process|\w{1,20}) is (?:already )?(?:running|using)"
            r"|another (?:instance|process) (?:already )?us(?:es|ing) (?:the|this|that|its) [^\n]{0,40}"
            r"\b(?:data|director|store|database)"
            r"|database is already (?:open|in use)"
            r"|Unable to acquire exclusive lock|timeout acquiring exclusive lock|cannot open lock file"
            # bbolt waits for the file's lock and then says only that
            r"|(?:open(?:ing)?|load(?:ing)?) (?:the )?\w{0,10}(?:boltdb|bolt (?:db|file|database)"
            r"|bbolt)[^\n]{0,80}\btimeout\b)",
        ),
        _locked,
        beside=True,
        whole=False,
    ),
)
