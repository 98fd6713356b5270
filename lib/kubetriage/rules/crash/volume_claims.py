"""The PersistentVolumeClaims of a pod."""

from __future__ import annotations

from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.values.fields import mapping, objects, text


def waiting_for_storage(case: Case) -> bool:
    """Tell whether the pod has no node yet, so that its claims may be the reason."""
    return not case.pod.node and not case.pod.finished and not case.pod.deleting


def claim_names(pod: Pod) -> tuple[str, ...]:
    """Return the claims that the pod uses, those of generic ephemeral volumes (``POD-VOLUME``) among them."""
    found = []
    for volume in objects(pod.raw, "spec", "volumes"):
        name = text(volume, "persistentVolumeClaim", "claimName")
        if not name and mapping(volume, "ephemeral"):
            name = f"{pod.name}-{text(volume, 'name')}"
        if name:
            found.append(name)
    return tuple(dict.fromkeys(found))


def volume_of_claim(pod: Pod, claim: str) -> str:
    """Return the name of the pod's volume that uses a claim, or empty."""
    for volume in objects(pod.raw, "spec", "volumes"):
        own = text(volume, "persistentVolumeClaim", "claimName")
        if claim in (own, f"{pod.name}-{text(volume, 'name')}" if mapping(volume, "ephemeral") else ""):
            return text(volume, "name")
    return ""


def claim_of(case: Case, volume: str) -> str:
    """Return the pod's claim that is bound to a PersistentVolume, or its only claim; empty when neither tells."""
    names = claim_names(case.pod)
    for name in names:
        claim = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, name)
        if volume and text(claim.obj, "spec", "volumeName") == volume:
            return name
    return names[0] if len(names) == 1 and volume not in _volume_names(case) else ""


def _volume_names(case: Case) -> set[str]:
    return {text(v, "name") for v in objects(case.pod.raw, "spec", "volumes")}
