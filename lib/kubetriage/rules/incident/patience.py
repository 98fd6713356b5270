"""Whether waiting may cure a fault: findings go in; healthy, hopeless or undecided comes out."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from kubetriage.model import Confidence, Diagnosis, Severity

MAY_PASS = frozenset(
    {
        "DependencyUnreachable",
        "DNSNotReady",
        "ImagePullRateLimited",
        "InitContainerWaiting",
        "LoadBalancerPending",
        "NodeNotReady",
        "NodeRestarted",
        "NoEndpoints",
        "PersistentVolumeClaimPending",
        "PodsNotReady",
        "PodsTerminating",
        "ReadinessGateNotReady",
        "ReadinessProbeFailed",
        "RegistryError",
        "RegistryUnreachable",
        "ResourceClaimPending",
        "RestartedThenStable",
        "SandboxCreateFailed",
        "SchedulingGated",
        "SomePodsNotReady",
        "StuckTerminating",
        "Unknown",
        "UnschedulableAffinity",
        "UnschedulableResources",
        "UnschedulableTaint",
        "VolumeAttachFailed",
    }
)
"""Codes of states that others may end without anybody changing this object: a start that takes its time, a node that
an autoscaler adds, a dependency or registry that comes back. All other codes stay until somebody acts."""


class Prospect(enum.Enum):
    """What waiting is good for."""

    HEALTHY = "healthy"
    HOPELESS = "hopeless"
    """There is a cause that waiting does not cure."""
    UNDECIDED = "undecided"


def prospect(diagnoses: Iterable[Diagnosis], done: bool) -> Prospect:
    """Judge one look at a workload; ``done``: it has all that its spec asks for."""
    faults = [f for d in diagnoses for f in d.findings if f.severity is Severity.ERROR]
    if any(f.cause not in MAY_PASS and f.confidence is not Confidence.POSSIBLE for f in faults):
        return Prospect.HOPELESS
    return Prospect.HEALTHY if done and not faults else Prospect.UNDECIDED
