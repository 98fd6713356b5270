"""A Secret exists but does not have the key that the pod asks for.

Meaning: the environment variable or the volume item cannot be filled, so the container does not start.

Told by: the kubelet's ``couldn't find key K in Secret NS/N`` or ``references non-existent secret key: K``, and a
lookup of every key that is not optional in the Secrets that exist.

Fix: add the key, or correct it in the workload's pod template; keys are case sensitive.

Source: core/v1 SecretKeySelector, KeyToPath; kubelet makeEnvironmentVariables, volume/secret MakePayload.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.crash import missing_references, sub_path_keys
from kubetriage.rules.crash.case import Case

CODE = "SecretKeyNotFound"


def check(case: Case) -> Iterator[Finding]:
    """Name keys that Secrets do not have."""
    yield from missing_references.missing_keys(case, "secrets", CODE)
    yield from sub_path_keys.missing(case, "secrets", CODE)
