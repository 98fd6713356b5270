"""Claims of which nothing but events is there, and the pods that wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubetriage.cluster.text.found import FoundEvent, Raw
from kubetriage.found import Form
from kubetriage.values.fields import dig, objects, text
from kubetriage.values.patterns import lazy

FORM = Form("its events", shows=("metadata.name", "status.phase"))
# pkg/controller/volume/persistentvolume and the external provisioner: of a claim that is not bound yet.
_UNBOUND = frozenset({"ProvisioningFailed", "FailedBinding", "WaitForFirstConsumer", "ExternalProvisioning"}) | {
    "Provisioning",
    "WaitForPodScheduled",
    "VolumeBinding",
}
_WAITS = "unbound immediate PersistentVolumeClaims"


_NO_CLASS = lazy(r"storageclass(?:es)?(?:\.storage\.k8s\.io)? \"([a-z0-9][a-z0-9.-]{0,252})\" not found")


def claims_of(events: Iterable[FoundEvent], namespace: str) -> dict[tuple[str, str], str]:
    """Return the claims that events call unbound, by namespace and name, with the class that they call missing."""
    found: dict[tuple[str, str], str] = {}
    for event in events:
        if event.kind == "PersistentVolumeClaim" and event.name and event.reason in _UNBOUND:
            missing = _NO_CLASS.search(event.message)
            key = (event.namespace or namespace, event.name)
            found[key] = missing[1] if missing is not None else found.get(key, "")
    return found


def tie(pod: Raw, name: str, claims: Sequence[str]) -> None:
    """Give a pod that waits for a claim the one that is meant: the only one, or that of its name in a StatefulSet."""
    said = next(
        (text(c, "message") for c in objects(pod, "status", "conditions") if text(c, "type") == "PodScheduled"), ""
    )
    if _WAITS not in said or dig(pod, "spec", "volumes"):
        return
    own = [claim for claim in claims if claim.endswith(f"-{name}")]
    chosen = own if len(own) == 1 else list(claims) if len(claims) == 1 else []
    for claim in chosen:
        volume = {"name": claim, "persistentVolumeClaim": {"claimName": claim}}
        pod["spec"] = {**(pod.get("spec") or {}), "volumes": [volume]}
