"""Follows ExternalName Services through the cluster."""

from __future__ import annotations

import re

from kubetriage.rules.service.cluster_view import Backend
from kubetriage.values.patterns import lazy

_IN_CLUSTER = lazy(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.[a-z0-9.-]+)?\.?\Z", re.IGNORECASE)
"""<service>.<namespace>.svc[.<zone>] (kubernetes/dns specification.md, 1.1.0)."""
_LONGEST_CHAIN = 8


def in_cluster_target(name: str) -> tuple[str, str] | None:
    """Return (namespace, service) that a DNS name means inside the cluster; None for other names."""
    match = _IN_CLUSTER.match(name)
    return (match[2].lower(), match[1].lower()) if match else None


def follow(backend: Backend) -> tuple[list[Backend], bool]:
    """Return the Services that an ExternalName leads through, itself first, and whether it comes back to one."""
    chain = [backend]
    while len(chain) <= _LONGEST_CHAIN:
        target = in_cluster_target(chain[-1].external_name)
        if target is None:
            return chain, False
        following = backend.world.backend(*target)
        if any(b.namespace == following.namespace and b.name == following.name for b in chain):
            return [*chain, following], True
        chain.append(following)
    return chain, False
