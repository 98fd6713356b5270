"""A ConfigMap exists but does not have the key that the pod asks for.

Meaning: the environment variable or the volume item cannot be filled, so the container does not start.

Told by: the kubelet's ``couldn't find key K in ConfigMap NS/N`` or ``references non-existent config key: K``, and a
lookup of every key that is not optional in the ConfigMaps that exist.

Fix: add the key, or correct it in the workload's pod template; keys are case sensitive.

Source: core/v1 ConfigMapKeySelector, KeyToPath; kubelet makeEnvironmentVariables, volume/configmap MakePayload.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.crash import config_references
from kubetriage.rules.crash.case import Case

CODE = "ConfigMapKeyNotFound"


def check(case: Case) -> Iterator[Finding]:
    """Name keys that ConfigMaps do not have."""
    yield from config_references.missing_keys(case, "configmaps", CODE)
