"""Which Service may be meant by a name that does not exist: the nearest of the namespace, or a namesake elsewhere."""

from __future__ import annotations

from kubetriage.rules.service.cluster_view import Backend
from kubetriage.values.fields import name_of, namespace_of
from kubetriage.values.nearest import nearest


def meant_service(backend: Backend) -> str:
    """Say which Service may be meant; empty when none is near."""
    here = [name_of(s) for s in backend.world.listing("services", backend.namespace).items]
    near = nearest(backend.name, here)
    if near:
        return f" Nearest there: svc/{near}."
    spaces = sorted(
        {
            namespace_of(s)
            for s in backend.world.listing("services").items
            if name_of(s) == backend.name and namespace_of(s) != backend.namespace
        }
    )
    if spaces:
        return f" Namespace {', '.join(spaces[:3])} has one of that name; use {backend.name}.{spaces[0]} for it."
    return f" The namespace has: {', '.join(sorted(here)[:5])}." if here else ""
