"""The pull secrets of a pod."""

from __future__ import annotations

from kubetriage.readers.pods import Pod
from kubetriage.values.fields import objects, text

PULL_SECRET_KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
"""Secret types that the kubelet takes credentials from, with the key that each must have."""


def pull_secret_names(pod: Pod) -> tuple[str, ...]:
    """Return ``spec.imagePullSecrets``; admission has copied the ServiceAccount's into it when it was empty."""
    return tuple(n for n in (text(s, "name") for s in objects(pod.raw, "spec", "imagePullSecrets")) if n)


def service_account(pod: Pod) -> str:
    """Return the ServiceAccount of the pod."""
    return text(pod.raw, "spec", "serviceAccountName") or text(pod.raw, "spec", "serviceAccount") or "default"
