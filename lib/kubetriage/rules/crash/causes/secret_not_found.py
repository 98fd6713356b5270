"""A Secret that the pod needs does not exist in its namespace.

Meaning: the kubelet cannot make the environment or the volumes of the pod, so no container starts. It tries again
by itself: the pod starts as soon as the Secret is there.

Told by: the kubelet's words in ``state.waiting.message`` (CreateContainerConfigError) or in the ``FailedMount``
event, and a lookup of every Secret that ``env``, ``envFrom``, volumes, projected volumes and CSI volumes name and
that is not optional. Only names, types and keys of Secrets are read; values are dropped as they arrive.

Fix: create the Secret, or correct the name in the workload's pod template. Secrets of other namespaces do not count.

Source: core/v1 SecretEnvSource, SecretKeySelector, SecretVolumeSource, CSIVolumeSource; kubelet
makeEnvironmentVariables.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.needs import Need
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import missing_references
from kubetriage.rules.crash.case import Case

CODE = "SecretNotFound"


def needs(case: Case) -> Iterator[Need]:
    """Ask for the pods of what makes the missing object."""
    yield from missing_references.missing_object_needs(case, "secrets")


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the pods of what makes the missing object."""
    yield from missing_references.missing_object_leads(case, "secrets")


def check(case: Case) -> Iterator[Finding]:
    """Name missing Secrets."""
    yield from missing_references.missing_objects(case, "secrets", CODE)
