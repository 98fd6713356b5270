"""Names of Services in other objects: ExternalName Services, and URLs that an annotation holds."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.values.fields import labels
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


AUTH_URLS = (
    "nginx.ingress.kubernetes.io/auth-url",
    "ingress.kubernetes.io/auth-url",
    "haproxy-ingress.github.io/auth-url",
)


def auth_service(entrance: Entrance) -> tuple[str, str, str, str] | None:
    """Return (annotation, URL, namespace, name) of the Service that authenticates; None where none of the cluster."""
    marks = labels(entrance.ingress.raw, "metadata", "annotations")
    for key in AUTH_URLS:
        url = marks.get(key, "")
        host = _host(url)
        target = in_cluster_target(host) if host else None
        if target is not None:
            return (key, url, *target)
    return None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
