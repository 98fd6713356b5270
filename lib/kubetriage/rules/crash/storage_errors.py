"""What mounts and attachments fail of, by the words of the kernel, mount helpers and clouds: meaning and act."""

from __future__ import annotations

import re

from kubetriage.model import Actor
from kubetriage.records import dataclass
from kubetriage.values.patterns import lazy


@dataclass(frozen=True)
class StorageError:
    """One kind of failure."""

    pattern: re.Pattern[str]
    meaning: str
    """A clause that follows the volume's name; {node} is filled in."""
    act: str
    """What to do; {node}, {volume} and {claim} are filled in."""
    actor: Actor


def _row(pattern: str, meaning: str, act: str, actor: Actor) -> StorageError:
    return StorageError(lazy(pattern, re.I), meaning, act, actor)


# Clouds' APIs through their CSI drivers (EC2, Compute Engine, Azure, OpenStack, vSphere), and the kubelet.
ATTACH: tuple[StorageError, ...] = (
    _row(
        # Azure names the disk whose detach holds back all disks of the machine, which may be another volume's.
        r"AttachDiskWhileBeingDetached|disk is currently being detached or the last detach operation failed",
        "waits for a disk that Azure did not finish detaching from {node}; one such disk blocks all others of the VM",
        "Wait a few minutes; if the words stay, detach the disk that Azure names from the VM of {node} again (az vmss "
        "disk detach, az vm disk detach), or update the instance (az vmss update-instances, az vm update). The volume "
        "is attached by itself then; a drained and new node helps too.",
        Actor.CLOUD,
    ),
    _row(
        # Longhorn's own words; its volumes have a state of their own.
        r"is not ready for workloads|volume \S+ (?:is )?(?:faulted|not scheduled)|replica scheduling failed"
        r"|failed to attach to node \S+ with attachmentID \S+\Z",
        "is not ready in Longhorn",
        "See its state and conditions in Longhorn. Replicas that find no disk (fewer nodes than numberOfReplicas, "
        "full or "
        "disabled disks) or an engine that does not start hold it back; a faulted volume is salvaged from a replica "
        "there.",
        Actor.CLUSTER,
    ),
    _row(
        r"zone ?mismatch|different (?:availability )?zone|not in the same (?:availability )?zone|"
        r"must be (?:created |located )?in the same (?:zone|location|region)|"
        r"(?:is|are) not in (?:availability )?zone\b|should be in the same (?:availability )?zone",
        "is in another zone than {node}",
        "Run the pod in the volume's zone: the PersistentVolume's nodeAffinity should say it, and the "
        "StorageClass should "
        "have volumeBindingMode WaitForFirstConsumer. Data moves to another zone by snapshot only.",
        Actor.CLOUD,
    ),
    _row(
        r"AttachmentLimit|maximum number of (?:data )?(?:disks|volumes)|too many (?:disks|volumes|attached)|"
        r"(?:volume|disk|attach\w*) limit|exceeded? (?:the )?max\w*|max\w* (?:count|number) of (?:disks|volumes)",
        "would be one disk more than {node} can hold",
        "Move the pod or another with a volume to a node that holds fewer disks: cordon {node}, delete the "
        "pod, uncordon. "
        "CSINode {node} must report the machine type's real limit (allocatable.count).",
        Actor.CLOUD,
    ),
    _row(
        r"UnauthorizedOperation|AuthorizationFailed|AccessDenied|access denied|not authorized|forbidden|"
        r"does not have (?:authorization|permission)|permission denied|\b403\b|required '\S+' permission",
        "may not be attached by the storage driver's identity",
        "Give the identity of the CSI controller the rights to attach disks and to use the disk's key.",
        Actor.CLOUD,
    ),
    _row(
        r"VolumeInUse|RESOURCE_IN_USE|(?:is )?(?:already|currently) (?:being )?(?:attached|in use|used)|"
        r"attached to (?:another|a different|instance|node|VM)|is in use by",
        "is still attached to another machine at the cloud",
        "Detach it from the machine that the message names, once nothing there writes to it. A machine that "
        "is gone lets "
        "go after its deletion; a VolumeAttachment without its node can be deleted.",
        Actor.CLOUD,
    ),
    _row(
        r"(?:instance|node|virtual machine|VM|server)\b[^.]{0,60}(?:not ?found|does not exist|could not be found)|"
        r"InvalidInstanceID|providerID|unable to find (?:VM|node)",
        "cannot be attached, as the cloud does not know the machine of {node}",
        "Compare spec.providerID of {node} with the cloud. A node whose machine is gone is to be deleted; the cloud "
        "controller manager sets the ID of a new one.",
        Actor.CLOUD,
    ),
    _row(
        r"InvalidVolume\.NotFound|(?:volume|disk|resource)\b[^.]{0,80}(?:not ?found|does not exist|could not be found)|"
        r"NotFound|\b404\b|is being deleted|has been deleted",
        "does not exist at the cloud any more",
        "Look for the disk, or a snapshot of it, at the cloud. If it is gone, delete the claim and its "
        "PersistentVolume, "
        "create the claim again and restore the data.",
        Actor.CLOUD,
    ),
    _row(
        # Compute Engine's driver: the failure itself stands in an earlier event, and in the driver's log.
        r"not permitted on node .{0,200}due to backoff condition",
        "is put off after failures before it, which these words do not name",
        "Look for the first error of {volume}: earlier events of the pod, or the log of the driver's controller. Often "
        "the disk is still attached to another machine, or {node} holds as many as it can.",
        Actor.CLOUD,
    ),
    _row(
        r"RequestLimitExceeded|TooManyRequests|rate limit|throttl|\b429\b|quota",
        "is put off by the cloud's API limits",
        "Wait: the attacher tries again. Where it lasts, find who calls the API so often, or have the limit raised.",
        Actor.CLOUD,
    ),
    _row(
        r"timed out waiting for external-attacher|deadline ?exceeded|timed? ?out",
        "is not attached in time: the driver's attacher or the cloud does not answer",
        "See that the CSI controller's pod with its csi-attacher runs, and read its log for {volume}; then "
        "the cloud's own "
        "state of the disk.",
        Actor.CLUSTER,
    ),
)

# util-linux mount, nfs-utils, cifs, the kernel's filesystems, CSI node plugins.
MOUNT: tuple[StorageError, ...] = (
    _row(
        # Where the volume itself was seen, SecretKeyNotFound and ConfigMapKeyNotFound name the object.
        r"references non-existent secret key",
        "asks for a key that its Secret does not have",
        "Add the key that the message names to the Secret of volume {volume}, or correct the key under items of that "
        "volume. Keys are case sensitive; a Secret of type kubernetes.io/tls has tls.crt and tls.key.",
        Actor.MANIFEST,
    ),
    _row(
        r"references non-existent config key",
        "asks for a key that its ConfigMap does not have",
        "Add the key that the message names to the ConfigMap of volume {volume}, or correct the key under items of "
        "that volume. Keys are case sensitive.",
        Actor.MANIFEST,
    ),
    _row(
        # efs-utils mounts its own TLS tunnel on the loopback address: the refusal is the file system's.
        r"access denied by server while mounting 127\.0\.0\.1:",
        "is refused by its EFS file system: its policy or the access point does not let the driver in",
        "Look at the file system's policy and the access point's owner and root directory. A policy that wants IAM "
        "needs "
        "mountOptions iam (and tls) in the PersistentVolume, and elasticfilesystem:ClientMount and ClientWrite for the "
        "driver's role. An access point must belong to this very file system.",
        Actor.CLOUD,
    ),
    _row(
        r"efs-mount-watchdog[^\x00]{0,160}?"
        r"(?:connection (?:reset|timed out|refused)|mount system call failed|timed? ?out|deadline ?exceeded)",
        "cannot reach its EFS file system from {node}",
        "Let the nodes in on TCP 2049: the security group of the file system's mount targets (inbound) and of the "
        "nodes "
        "(outbound). It needs a mount target in the availability zone of {node}; from another VPC or region its name "
        "must "
        "resolve to one.",
        Actor.CLOUD,
    ),
    _row(
        r"access denied by server|reason given by server: (?:No such file|Permission)|mount\.nfs: .*denied",
        "is refused by its server",
        "Let the server export that path to {node} (its address, and the port range it comes from).",
        Actor.CLOUD,
    ),
    _row(
        r"stale (?:NFS )?file handle|ESTALE",
        "has a stale handle: what was exported there was replaced",
        "Delete the pod, so that the volume is mounted anew. Where it stays, unmount it on {node} or restart "
        "that node.",
        Actor.NODE,
    ),
    _row(
        r"transport endpoint is not connected",
        "has lost its FUSE process on {node}",
        "Restart the driver's node pod on {node}, and then delete the pod.",
        Actor.NODE,
    ),
    _row(
        r"structure needs cleaning|fsck'? found errors|has errors|needs? (?:xfs_repair|fsck)|bad magic number|corrupt",
        "has a damaged filesystem",
        "Take a snapshot, then repair the filesystem on {node} while nothing uses it (fsck or xfs_repair).",
        Actor.NODE,
    ),
    _row(
        r"mount target|efs\.\S{1,60}amazonaws\.com",
        "cannot reach its EFS file system from {node}",
        "Give the EFS file system a mount target in the availability zone of {node}, with a security group that "
        "lets the "
        "nodes in on port 2049; the VPC needs DNS hostnames and DNS resolution for its name.",
        Actor.CLOUD,
    ),
    _row(
        r"(?:for several filesystems|need) [^\n]{0,80}/sbin/mount\.<type>|helper program(?!, or other error)"
        r"|mount\.nfs: not found",
        "cannot be mounted on {node}: the mount helper of its file system is not installed there",
        "Install the client of the file system on {node}: nfs-common or nfs-utils for NFS, cifs-utils for SMB, "
        "glusterfs-client, ceph-common.",
        Actor.NODE,
    ),
    _row(
        r"(?:bad superblock|wrong fs type)[^\n]{0,80} on /dev/\S{1,80}",
        "has a block device on {node} that cannot be mounted as the file system that it is declared to have",
        "See what is on the device (blkid, lsblk -f, dmesg of {node}). Another file system than fsType: correct "
        "fsType, or "
        "use a new volume. The declared one: take a snapshot, then repair it (fsck, xfs_repair) while nothing uses it. "
        "XFS made by newer tools needs a newer kernel; never format a disk that holds data.",
        Actor.NODE,
    ),
    _row(
        r"wrong fs type, bad option, bad superblock|unknown filesystem type|missing codepage or helper program",
        "cannot be mounted as that filesystem on {node}",
        "Install the mount helper or kernel module of the filesystem on {node} (mount.nfs, mount.cifs, xfs). "
        "Else compare "
        "fsType and mountOptions with what is on the disk; never format a disk that holds data.",
        Actor.NODE,
    ),
    _row(
        r"mount error\(13\)|STATUS_LOGON_FAILURE|cifs.{0,200}?Permission denied|NT_STATUS_ACCESS_DENIED",
        "is refused by its SMB server for its credentials",
        "Correct user and password in the Secret of the volume, and the account's right on the share.",
        Actor.CLOUD,
    ),
    _row(
        r"no mds(?: \([^)]{1,40}\))? (?:server )?is up|cluster (?:is|might be) laggy",
        "has no metadata server: no MDS of its CephFS is active, or the client may not use it",
        "See the MDS pods and the state of the file system (kubectl -n rook-ceph get pods -l app=rook-ceph-mds; "
        "ceph fs "
        "status, ceph health detail in the toolbox): without an active MDS nothing can be mounted. If one is active, "
        "compare the user and file system of the StorageClass with ceph auth get.",
        Actor.CLUSTER,
    ),
    _row(
        # Longhorn serves a ReadWriteMany volume by NFS from a pod of its own, behind a Service.
        r"driver\.longhorn\.io[^\x00]{0,400}?(?:timed out|refused|no route to host)",
        "cannot reach from {node} the pod of Longhorn that serves it (share-manager)",
        "See that share-manager-{volume} in longhorn-system runs and is ready (kubectl -n longhorn-system get pods "
        "-l longhorn.io/component=share-manager -o wide). Where it does: its Service must be reachable from the "
        "host of "
        "{node} on TCP 2049 (kube-proxy, firewall between nodes), and the kernel there must speak NFS 4.1.",
        Actor.CLUSTER,
    ),
    _row(
        r"no route to host|connection (?:timed out|refused)|host is down|mount error\(11[0-9]\)|name or "
        r"service not known|"
        r"could not resolve|failed to resolve server",
        "cannot reach its server from {node}",
        "Open the way from {node} to the storage server (NFS 2049, SMB 445, Ceph 6789 and 3300), and see that its name "
        "resolves on the node.",
        Actor.CLOUD,
    ),
    _row(
        r"/dev/(?:longhorn|sd|dm-|mapper|disk)\S{0,200} (?:is )?already mounted or .{0,40}busy",
        "has a device on {node} that something else holds: multipathd, which takes every iSCSI disk that it is not "
        "told "
        "to leave alone, or an earlier mount",
        "Look who holds the device on {node} (lsblk, multipath -ll). If it is multipathd: put its disks into the "
        "blacklist "
        'of /etc/multipath.conf (devnode "^sd[a-z0-9]+") and restart multipathd. If a pod there still uses the volume, '
        "end that pod; an orphaned mount goes with a restart of the node.",
        Actor.NODE,
    ),
    _row(
        r"(?:already|is) mounted or .*busy|mount point busy|device or resource busy",
        "is in use on {node} by an earlier mount",
        "End the pod that still uses it on {node}; an orphaned mount goes with a restart of the kubelet or of "
        "the node.",
        Actor.NODE,
    ),
    _row(
        # The kernel's client gives a bare errno to rbd, and its reason to the kernel's log.
        r"\brbd: (?:map failed|sysfs write failed)",
        "is an RBD image that the kernel of {node} does not map",
        "The reason is in the kernel's log of {node} (dmesg: libceph, rbd). Features that the kernel does not know: "
        "rbd feature disable POOL/IMAGE object-map fast-diff deep-flatten, or imageFeatures: layering in the "
        "StorageClass. No answer of the monitors: open 6789 and 3300. A refused key: the Secret of the node stage.",
        Actor.NODE,
    ),
    _row(
        r"device path .{0,300} (?:not found|does not exist)|(?:can't|cannot|failed to|unable to) (?:find|get|locate) "
        r"(?:the )?(?:device|disk)|timed out waiting for (?:device|disk)|no such device|special device .{0,300} "
        r"does not exist",
        "is attached, and its device does not appear on {node}",
        "Look at udev and the kernel's log of {node} (dmesg); detaching the disk and deleting the pod "
        "attaches it anew.",
        Actor.NODE,
    ),
    _row(
        r"applyFSGroup failed|failed to (?:set|apply) (?:volume )?ownership|lchown|chown .*operation not permitted",
        "refuses the owner change that fsGroup asks for",
        "Leave fsGroup out for this volume, or mount it with the owner it is to have (uid, gid, dir_mode; CSIDriver "
        "fsGroupPolicy None).",
        Actor.MANIFEST,
    ),
    _row(
        r"not a shared mount|is not shared",
        "needs mount propagation, and its path on {node} is not a shared mount",
        "Make the mount shared on {node} (mount --make-rshared), or drop mountPropagation.",
        Actor.NODE,
    ),
    # Workload Identity of GKE: the ServiceAccount of the pod may not act for the account of Google.
    _row(
        r"iam\.serviceAccounts\.getAccessToken|failed to fetch GCP SA token|IAM returned 403",
        "may not be mounted: the pod's ServiceAccount may not act for the Google service account that it names",
        "Let the pod's ServiceAccount use it: role roles/iam.workloadIdentityUser on that account for member "
        "serviceAccount:PROJECT.svc.id.goog[NAMESPACE/SERVICEACCOUNT], and annotation iam.gke.io/gcp-service-account "
        "on the ServiceAccount; or give the ServiceAccount itself rights on the bucket (roles/storage.objectUser).",
        Actor.CLOUD,
    ),
    _row(
        r"credentials? (?:not found|missing)|cannot get credentials|Unauthenticated|PermissionDenied|"
        r"permission denied|\b403\b|access ?denied",
        "may not be mounted with the credentials it has",
        "Correct the Secret that the StorageClass or PersistentVolume names for the node plugin, and its rights there.",
        Actor.CLOUD,
    ),
    _row(
        r"deadline ?exceeded|timed? ?out|an operation with the given volume .* already exists|Aborted",
        "is not mounted in time: the first try still goes on in the driver",
        "Read the log of the driver's node pod on {node}: a slow server, a filesystem check, or an owner "
        "change of very "
        "many files keeps it busy. Each new pod begins it anew.",
        Actor.CLUSTER,
    ),
)


def attach_error(words: str) -> StorageError | None:
    """Return what an attachment fails of; None for words of no known kind."""
    return next((row for row in ATTACH if row.pattern.search(words)), None)


def mount_error(words: str) -> StorageError | None:
    """Return what a mount fails of; None for words of no known kind."""
    return next((row for row in MOUNT if row.pattern.search(words)), None)
