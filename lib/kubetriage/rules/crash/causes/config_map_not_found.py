"""A ConfigMap that the pod needs does not exist in its namespace.

Meaning: the kubelet cannot make the environment or the volumes of the pod, so no container starts. It tries again
by itself: the pod starts as soon as the ConfigMap is there.

Told by: the kubelet's words in ``state.waiting.message`` (CreateContainerConfigError) or in the ``FailedMount``
event, and a lookup of every ConfigMap that ``env``, ``envFrom``, volumes and projected volumes name and that is not
optional. The kubelet names the first broken reference only; the lookup finds the others and the nearest name.

Fix: create the ConfigMap, or correct the name in the workload's pod template.

Source: core/v1 ConfigMapEnvSource, ConfigMapKeySelector, ConfigMapVolumeSource; kubelet makeEnvironmentVariables.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.needs import Need
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import config_references, missing_references
from kubetriage.rules.crash.case import Case

CODE = "ConfigMapNotFound"


def needs(case: Case) -> Iterator[Need]:
    """Ask for what the pod refers to, and for the pods of what makes a missing object."""
    yield from config_references.needs(case)
    yield from missing_references.missing_object_needs(case, "configmaps")


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the pods of what makes the missing object."""
    yield from missing_references.missing_object_leads(case, "configmaps")


def check(case: Case) -> Iterator[Finding]:
    """Name missing ConfigMaps."""
    yield from missing_references.missing_objects(case, "configmaps", CODE)
