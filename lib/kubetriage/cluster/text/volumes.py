"""Volumes as ``kubectl describe`` prints them, of pods and persistent ones."""

from __future__ import annotations

from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.outline import NONE, Entry

_VOLUMES = {
    "PersistentVolumeClaim": ("persistentVolumeClaim", (("ClaimName", "claimName"),)),
    "ConfigMap": ("configMap", (("Name", "name"),)),
    "Secret": ("secret", (("SecretName", "secretName"),)),
    "HostPath": ("hostPath", (("Path", "path"), ("HostPathType", "type"))),
    "EmptyDir": ("emptyDir", (("Medium", "medium"), ("SizeLimit", "sizeLimit"))),
    "CSI": ("csi", (("Driver", "driver"), ("FSType", "fsType"))),
    "NFS": ("nfs", (("Server", "server"), ("Path", "path"))),
    "Image": ("image", (("Reference", "reference"), ("PullPolicy", "pullPolicy"))),
    "EphemeralVolume": ("ephemeral", ()),
    "AWSElasticBlockStore": ("awsElasticBlockStore", (("VolumeID", "volumeID"), ("FSType", "fsType"))),
    "GCEPersistentDisk": ("gcePersistentDisk", (("PDName", "pdName"), ("FSType", "fsType"))),
    "AzureDisk": ("azureDisk", (("DiskName", "diskName"),)),
    "AzureFile": ("azureFile", (("SecretName", "secretName"), ("ShareName", "shareName"))),
    "ISCSI": ("iscsi", (("TargetPortal", "targetPortal"), ("IQN", "iqn"))),
    "CephFS": ("cephfs", (("Path", "path"),)),
    "RBD": ("rbd", (("RBDImage", "image"), ("RBDPool", "pool"))),
}


def volume_source(entry: Entry) -> Raw:
    """Return the source of a volume (of a pod, or of a persistent volume) as the API names it."""
    kind = entry.text("Type").partition(" ")[0]
    if kind == "Projected":
        return {"projected": {"sources": _projected(entry)}}
    if kind == "DownwardAPI":
        return {"downwardAPI": {}}
    field, keys = _VOLUMES.get(kind, ("", ()))
    if not field:
        return {}
    source: Raw = {}
    for key, name in keys:
        if value := entry.text(key):
            source[name] = value
    if entry.text("ReadOnly") == "true":
        source["readOnly"] = True
    if entry.text("Optional") == "true":
        source["optional"] = True
    if kind == "CSI":
        attributes = entry.get("VolumeAttributes")
        if attributes is not None:
            source["volumeAttributes"] = attributes.pairs()
        if handle := entry.text("VolumeHandle"):
            source["volumeHandle"] = handle
    return {field: source}


def _projected(entry: Entry) -> list[Raw]:
    """Read the sources of a projected volume, which stand in a row without a mark between them."""
    sources: list[Raw] = []
    for below in entry.below:
        if below.value in NONE and below.key not in ("DownwardAPI",):
            continue
        if below.key == "TokenExpirationSeconds":
            sources.append(
                {"serviceAccountToken": {"expirationSeconds": int(below.value) if below.value.isdigit() else 3600}}
            )
        elif below.key == "ConfigMapName":
            sources.append({"configMap": {"name": below.value}})
        elif below.key == "SecretName":
            sources.append({"secret": {"name": below.value}})
        elif below.key == "DownwardAPI" and below.value == "true":
            sources.append({"downwardAPI": {}})
        elif below.key in ("Optional", "ConfigMapOptional", "SecretOptionalName") and below.value == "true" and sources:
            for part in ("configMap", "secret"):
                if part in sources[-1]:
                    sources[-1][part]["optional"] = True
    return sources


def volume(entry: Entry) -> Raw:
    """Make a volume of a pod."""
    return {"name": entry.key, **volume_source(entry)}
