"""A ConfigMap exists but does not have the key that the pod asks for.

Meaning: the environment variable or the volume item cannot be filled, so the container does not start.

Told by: the kubelet's ``couldn't find key K in ConfigMap NS/N`` or ``references non-existent config key: K``, and a
lookup of every key that is not optional in the ConfigMaps that exist. A mount with a subPath that is no key makes an
empty directory without a word of the kubelet; the program's error about a directory tells of it.

Fix: add the key, or correct it in the workload's pod template; keys are case sensitive.

Source: core/v1 ConfigMapKeySelector, KeyToPath; kubelet makeEnvironmentVariables, volume/configmap MakePayload.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.crash import missing_references, sub_path_keys
from kubetriage.rules.crash.case import Case

CODE = "ConfigMapKeyNotFound"


needs = sub_path_keys.needs


def check(case: Case) -> Iterator[Finding]:
    """Name keys that ConfigMaps do not have."""
    yield from missing_references.missing_keys(case, "configmaps", CODE)
    yield from sub_path_keys.missing(case, "configmaps", CODE)
